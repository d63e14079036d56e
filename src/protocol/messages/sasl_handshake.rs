//! SaslHandshake: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message SaslHandshakeRequest (versions 0..=1) {
        mechanism: String [0..],
    }

    message SaslHandshakeResponse (versions 0..=1) {
        error_code: ErrorCode [0..],
        mechanisms: Vec<String> [0..],
    }
}
