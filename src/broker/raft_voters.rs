//! What AddRaftVoter and RemoveRaftVoter have in common.

use std::time::Duration;

use crate::model::{ErrorCode, Uuid};
use crate::rpc::controller::change_voters_request::Change;

use super::context::Context;
use super::controller_answers::{error_code, message};

/// Has the quorum's leader change who votes, unless the request is for another cluster. The answer's error and its
/// sentence.
pub async fn change_voters(
    context: &Context,
    change: Change,
    cluster_id: Option<&str>,
    node_id: i32,
    directory_id: Uuid,
    timeout: Duration,
) -> (ErrorCode, Option<String>) {
    let ours = context.controller.cluster_id();
    if cluster_id.is_some_and(|asked| ours.is_some_and(|ours| ours != asked)) {
        let sentence = format!("this is cluster {}", ours.unwrap_or_default());
        return (ErrorCode::InconsistentClusterId, Some(sentence));
    }
    let directory_id = Some(directory_id).filter(|id| *id != Uuid::ZERO);
    match context.controller.change_voters(change, node_id, directory_id, timeout).await {
        Ok(outcome) => (error_code(outcome.error_code), message(outcome.error_message)),
        Err(error) => (error.error_code(), Some(error.to_string())),
    }
}
