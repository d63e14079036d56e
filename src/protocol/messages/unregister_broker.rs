//! UnregisterBroker: forgets a broker that will not come back (KIP-631).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The broker to forget.
    message UnregisterBrokerRequest (versions 0..=0, flexible 0..) {
        broker_id: i32 [0..],
    }

    /// What became of it.
    message UnregisterBrokerResponse (versions 0..=0, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
