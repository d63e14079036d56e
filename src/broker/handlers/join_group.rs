//! JoinGroup, versions 0 to 9.
//!
//! A member joins a group, or joins again; the answer comes when all have, or when the time for it is over.
//! Version 1 has a rebalance time-out of its own, 4 tells a new member its id first (KIP-394; never before, old
//! clients would ask for ever), 5 has static members (KIP-345), 6 is flexible, 7 answers the protocol type
//! (KIP-559), 8 has a reason for the log (KIP-800), 9 can tell a leader not to assign (KIP-814).

use crate::broker::call::Call;
use crate::broker::client_host::client_host;
use crate::broker::context::Context;
use crate::group::{JoinGroup, JoinReply, JoinReplyMember, Protocol, Token};
use crate::model::ErrorCode;
use crate::protocol::messages::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

const REBALANCE_TIMEOUT: i16 = 1;
const KNOWN_MEMBER_ID: i16 = 4;
const NULLABLE_PROTOCOL: i16 = 7;
const SKIP_ASSIGNMENT: i16 = 9;

/// Lets a member join.
pub async fn handle(context: &Context, call: Call, request: JoinGroupRequest) -> JoinGroupResponse {
    let version = call.api_version;
    if request.group_id.is_empty() {
        return response(version, JoinReply::refused(ErrorCode::InvalidGroupId, request.member_id));
    }
    let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
    let reply = context.groups.join(&group_id, |token| join(token, &call, request)).await;
    response(version, reply.unwrap_or_else(|error| JoinReply::refused(error, member_id)))
}

fn join(token: Token, call: &Call, request: JoinGroupRequest) -> JoinGroup {
    let version = call.api_version;
    let own_timeout = version >= REBALANCE_TIMEOUT;
    let protocols = request.protocols.into_iter();
    JoinGroup {
        token,
        member_id: request.member_id,
        random_id: random_id(rand::random()),
        group_instance_id: request.group_instance_id,
        client_id: call.client_id.clone().unwrap_or_default(),
        client_host: client_host(&call.client),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if own_timeout { request.rebalance_timeout_ms } else { request.session_timeout_ms },
        protocol_type: request.protocol_type,
        protocols: protocols.map(|p| Protocol { name: p.name, metadata: owned(&p.metadata) }).collect(),
        reason: request.reason,
        requires_known_member_id: version >= KNOWN_MEMBER_ID,
        supports_skipping_assignment: version >= SKIP_ASSIGNMENT,
    }
}

/// The metadata outlive the request by far; a slice of the request's buffer would keep all of it.
fn owned(bytes: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

/// A random UUID as Java writes it.
fn random_id(random: u128) -> String {
    let version_4 = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{version_4:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn response(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let member = |member: JoinReplyMember| JoinGroupResponseMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        metadata: member.metadata,
    };
    let protocol_name = match reply.protocol {
        None if version < NULLABLE_PROTOCOL => Some(String::new()),
        protocol => protocol,
    };
    JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error,
        generation_id: reply.generation,
        protocol_type: reply.protocol_type,
        protocol_name,
        leader: reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: reply.member_id,
        members: reply.members.into_iter().map(member).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_look_like_javas() {
        assert_eq!(random_id(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(random_id(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
