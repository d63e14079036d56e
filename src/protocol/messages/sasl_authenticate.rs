//! SaslAuthenticate: ?

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message SaslAuthenticateRequest (versions 0..=2, flexible 2..) {
        auth_bytes: Bytes [0..],
    }

    message SaslAuthenticateResponse (versions 0..=2, flexible 2..) {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        auth_bytes: Bytes [0..],
        session_lifetime_ms: i64 [1..],
    }
}
