//! InitProducerId: gives a producer its id and epoch.
//!
//! Version 2 is flexible, version 3 lets a producer bump its own epoch (KIP-360), version 4 brings
//! PRODUCER_FENCED, version 5 TRANSACTION_ABORTABLE (KIP-890). Version 6 is not stable in Kafka 4.3.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Who produces, and the id it has had, if any.
    message InitProducerIdRequest (versions 0..=5, flexible 2..) {
        /// Null for a producer that is only idempotent.
        transactional_id: Option<String> [0.., null 0..],
        transaction_timeout_ms: i32 [0..],
        producer_id: i64 [3.., default -1],
        producer_epoch: i16 [3.., default -1],
    }

    /// The producer's id and epoch.
    message InitProducerIdResponse (versions 0..=5, flexible 2..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        producer_id: i64 [0.., default -1],
        producer_epoch: i16 [0..],
    }
}
