//! EndTxn: commits or aborts a transaction.
//!
//! Version 3 is flexible, version 5 answers with the producer id and epoch of the next one (KIP-890).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The transaction, and how it ends.
    message EndTxnRequest (versions 0..=5, flexible 3..) {
        transactional_id: String [0..],
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        /// True for commit.
        committed: bool [0..],
    }

    /// Whether it will end so.
    message EndTxnResponse (versions 0..=5, flexible 3..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        producer_id: i64 [5.., default -1],
        producer_epoch: i16 [5.., default -1],
    }
}
