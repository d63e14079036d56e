//! What the controllers answered to a handler's command, or why they did not.

use std::time::Duration;

use crate::cluster::ClusterError;
use crate::model::ErrorCode;
use crate::rpc::metadata::{metadata_command, metadata_reply};

use super::context::Context;
use super::submit::CONTROLLER_TIMEOUT;

/// The longest a client may have its request wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// Why a request as a whole was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The answer.
    pub error_code: ErrorCode,
    /// Why, for the client's user.
    pub error_message: Option<String>,
}

impl Refused {
    /// A refusal that says why.
    pub fn new(error_code: ErrorCode, message: impl Into<String>) -> Self {
        Self { error_code, error_message: Some(message.into()) }
    }
}

impl From<ClusterError> for Refused {
    fn from(error: ClusterError) -> Self {
        Self::new(error.error_code(), error.to_string())
    }
}

/// Has the controllers carry out `command` within the time that the client gave, and waits until this broker has
/// applied what came of it.
pub async fn ask(
    context: &Context,
    command: metadata_command::Kind,
    timeout_ms: i32,
) -> Result<metadata_reply::Kind, Refused> {
    let reply = context.submit(command, timeout(timeout_ms)).await?;
    let code = error_code(reply.error_code);
    if code.is_error() {
        return Err(Refused { error_code: code, error_message: message(reply.error_message) });
    }
    reply.kind.ok_or_else(unexpected)
}

/// The answer when the controllers reply to something that was not asked.
pub fn unexpected() -> Refused {
    Refused::new(ErrorCode::UnknownServerError, "the controllers answered something else than was asked")
}

/// The time a client gives. Nothing, or less, leaves it to the broker: some clients mean "do not wait" by it, and
/// want the request carried out all the same.
fn timeout(timeout_ms: i32) -> Duration {
    match u64::try_from(timeout_ms) {
        Ok(timeout_ms @ 1..) => Duration::from_millis(timeout_ms).min(TIMEOUT_MAX),
        _ => CONTROLLER_TIMEOUT,
    }
}

/// The error code that a reply carries as a number.
pub fn error_code(code: i32) -> ErrorCode {
    i16::try_from(code).ok().and_then(ErrorCode::from_code).unwrap_or(ErrorCode::UnknownServerError)
}

/// A reply's message; replies have an empty one for none.
pub fn message(message: String) -> Option<String> {
    (!message.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_time_counts_within_bounds() {
        assert_eq!(timeout(1_500), Duration::from_millis(1_500));
        assert_eq!((timeout(0), timeout(-1)), (CONTROLLER_TIMEOUT, CONTROLLER_TIMEOUT));
        assert_eq!(timeout(i32::MAX), TIMEOUT_MAX);
    }

    #[test]
    fn numbers_become_codes() {
        assert_eq!(error_code(36), ErrorCode::TopicAlreadyExists);
        assert_eq!(
            (error_code(99_999), error_code(12_345)),
            (ErrorCode::UnknownServerError, ErrorCode::UnknownServerError)
        );
        assert_eq!((message(String::new()), message("why".to_owned())), (None, Some("why".to_owned())));
    }
}
