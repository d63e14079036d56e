//! InitProducerId: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message InitProducerIdRequest (versions 0..=5, flexible 2..) {
        transactional_id: Option<String> [0.., null 0..],
        transaction_timeout_ms: i32 [0..],
        producer_id: i64 [3.., default -1],
        producer_epoch: i16 [3.., default -1],
    }

    message InitProducerIdResponse (versions 0..=5, flexible 2..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        producer_id: i64 [0.., default -1],
        producer_epoch: i16 [0..],
    }
}
