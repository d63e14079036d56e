//! RemoveRaftVoter, version 0 (KIP-853).
//!
//! Takes a controller's vote away, or an observer off the list. It is known by its `node.id`, and by its directory
//! id unless that is zero. The only voter stays.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::raft_voters::change_voters;
use crate::broker::submit::CONTROLLER_TIMEOUT;
use crate::protocol::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};
use crate::rpc::controller::change_voters_request::Change;

/// Removes the voter.
pub async fn handle(context: &Context, _: Call, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse {
    let (cluster_id, id, directory_id) = (request.cluster_id.as_deref(), request.voter_id, request.voter_directory_id);
    let (error_code, error_message) =
        change_voters(context, Change::Remove, cluster_id, id, directory_id, CONTROLLER_TIMEOUT).await;
    RemoveRaftVoterResponse { throttle_time_ms: 0, error_code, error_message }
}
