//! LeaveGroup, versions 0 to 5.
//!
//! Members leave, or an administrator removes them. From version 3 on there are many in a request, each with its own
//! error, and static members are named by their instance (KIP-345); before, one member's error is the answer's.
//! Version 4 is flexible, 5 has reasons for the log (KIP-800).

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::group::{LeaveGroup, LeaveReply, LeavingMember};
use crate::model::ErrorCode;
use crate::protocol::messages::{LeaveGroupMemberResponse, LeaveGroupRequest, LeaveGroupResponse};

/// First version with a list of members.
const BATCHED: i16 = 3;

/// Lets members go.
pub async fn handle(context: &Context, call: Call, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let batched = call.api_version >= BATCHED;
    if request.group_id.is_empty() {
        return LeaveGroupResponse { error_code: ErrorCode::InvalidGroupId, ..LeaveGroupResponse::default() };
    }
    let members: Vec<LeavingMember> = if batched {
        let many = request.members.into_iter();
        many.map(|m| leaving(m.member_id, m.group_instance_id, m.reason)).collect()
    } else {
        vec![leaving(request.member_id, None, None)]
    };
    let reply = context.groups.leave(&request.group_id, |token| LeaveGroup { token, members }).await;
    if batched { many(reply) } else { one(&reply) }
}

fn leaving(member_id: String, group_instance_id: Option<String>, reason: Option<String>) -> LeavingMember {
    LeavingMember { member_id, group_instance_id, reason }
}

fn many(reply: LeaveReply) -> LeaveGroupResponse {
    let member = |member: crate::group::LeaveReplyMember| LeaveGroupMemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: member.error,
    };
    let members = reply.members.into_iter().map(member).collect();
    LeaveGroupResponse { throttle_time_ms: 0, error_code: reply.error, members }
}

fn one(reply: &LeaveReply) -> LeaveGroupResponse {
    let of_member = reply.members.first().map_or(ErrorCode::None, |member| member.error);
    let error_code = if reply.error == ErrorCode::None { of_member } else { reply.error };
    LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() }
}
