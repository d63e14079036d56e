//! SyncGroup, versions 0 to 5.
//!
//! The leader brings everybody's assignment, the others fetch theirs; the answer comes when the assignment is
//! committed. Version 3 has static members (KIP-345), 4 is flexible, 5 names the protocol, which must be the
//! group's (KIP-559).

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::group::{SyncGroup, SyncReply, Token};
use crate::model::ErrorCode;
use crate::protocol::messages::{SyncGroupRequest, SyncGroupResponse};

/// From this version on the protocol must be named.
const NAMES_PROTOCOL: i16 = 5;

/// Hands out assignments.
pub async fn handle(context: &Context, call: Call, request: SyncGroupRequest) -> SyncGroupResponse {
    let unnamed = request.protocol_type.is_none() || request.protocol_name.is_none();
    if call.api_version >= NAMES_PROTOCOL && unnamed {
        return response(SyncReply::refused(ErrorCode::InconsistentGroupProtocol));
    }
    if request.group_id.is_empty() {
        return response(SyncReply::refused(ErrorCode::InvalidGroupId));
    }
    let group_id = request.group_id.clone();
    response(context.groups.sync(&group_id, |token| sync(token, request)).await)
}

fn sync(token: Token, request: SyncGroupRequest) -> SyncGroup {
    // Assignments live as long as the generation; a slice of the request's buffer would keep all of it.
    let owned = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
    SyncGroup {
        token,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: request.assignments.into_iter().map(|a| (a.member_id, owned(&a.assignment))).collect(),
    }
}

fn response(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error,
        protocol_type: reply.protocol_type,
        protocol_name: reply.protocol,
        assignment: reply.assignment,
    }
}
