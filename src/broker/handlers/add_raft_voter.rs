//! AddRaftVoter, versions 0 and 1 (KIP-853).
//!
//! Gives a controller that follows the quorum as an observer a vote. It is known by its `node.id`, and by its
//! directory id unless that is zero; its address is what it announced itself, so the listeners are not needed. The answer
//! always comes after the change is committed: version 1's wish not to wait for that is not heeded.

use std::time::Duration;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::raft_voters::change_voters;
use crate::protocol::messages::{AddRaftVoterRequest, AddRaftVoterResponse};
use crate::rpc::controller::change_voters_request::Change;

/// The least time that a joint consensus is given.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// Adds the voter.
pub async fn handle(context: &Context, _: Call, request: AddRaftVoterRequest) -> AddRaftVoterResponse {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).max(TIMEOUT_MIN);
    let (cluster_id, id, directory_id) = (request.cluster_id.as_deref(), request.voter_id, request.voter_directory_id);
    let (error_code, error_message) = change_voters(context, Change::Add, cluster_id, id, directory_id, timeout).await;
    AddRaftVoterResponse { throttle_time_ms: 0, error_code, error_message }
}
