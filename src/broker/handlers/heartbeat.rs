//! Heartbeat, versions 0 to 4.
//!
//! A member is alive; the answer tells it when a rebalance has begun. Version 3 has static members (KIP-345), 4 is
//! flexible.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::group::Heartbeat;
use crate::model::ErrorCode;
use crate::protocol::messages::{HeartbeatRequest, HeartbeatResponse};

/// Takes in a sign of life.
pub async fn handle(context: &Context, _: Call, request: HeartbeatRequest) -> HeartbeatResponse {
    let HeartbeatRequest { group_id, generation_id: generation, member_id, group_instance_id } = request;
    let error_code = if group_id.is_empty() {
        ErrorCode::InvalidGroupId
    } else {
        let heartbeat = |token| Heartbeat { token, member_id, group_instance_id, generation };
        context.groups.heartbeat(&group_id, heartbeat).await
    };
    HeartbeatResponse { throttle_time_ms: 0, error_code }
}
