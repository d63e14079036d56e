//! AddOffsetsToTxn: makes a group's offsets part of a transaction. Version 3 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The group whose offsets the transaction will commit.
    message AddOffsetsToTxnRequest (versions 0..=4, flexible 3..) {
        transactional_id: String [0..],
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        group_id: String [0..],
    }

    /// Whether the group was added.
    message AddOffsetsToTxnResponse (versions 0..=4, flexible 3..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
