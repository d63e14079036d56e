//! SaslAuthenticate: carries SASL tokens.
//!
//! Version 1 brings the lifetime of the session (KIP-368), version 2 is flexible.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// A token of the client.
    message SaslAuthenticateRequest (versions 0..=2, flexible 2..) {
        auth_bytes: Bytes [0..],
    }

    /// A token of the broker.
    message SaslAuthenticateResponse (versions 0..=2, flexible 2..) {
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        auth_bytes: Bytes [0..],
        /// After which the client has to authenticate again; 0 for never.
        session_lifetime_ms: i64 [1..],
    }
}
