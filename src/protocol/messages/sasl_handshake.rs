//! SaslHandshake: agrees on a SASL mechanism.
//!
//! After version 0 SASL tokens follow without any frame of Kafka's, after version 1 in SaslAuthenticate.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The mechanism that the client would use.
    message SaslHandshakeRequest (versions 0..=1) {
        mechanism: String [0..],
    }

    /// The mechanisms that the broker offers.
    message SaslHandshakeResponse (versions 0..=1) {
        error_code: ErrorCode [0..],
        mechanisms: Vec<String> [0..],
    }
}
