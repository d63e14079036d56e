//! JoinGroup: makes a member part of a classic group, and ends when all have joined.
//!
//! | from | brings |
//! |------|--------|
//! | 1 | a rebalance time-out apart from the session time-out |
//! | 4 | MEMBER_ID_REQUIRED: a new member joins twice (KIP-394) |
//! | 5 | static members (KIP-345) |
//! | 6 | flexible |
//! | 7 | the protocol type in the answer (KIP-559) |
//! | 8 | a reason (KIP-800) |
//! | 9 | a leader can be told not to assign (KIP-814) |

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Who joins, with the assignment protocols it supports.
    message JoinGroupRequest (versions 0..=9, flexible 6..) {
        group_id: String [0..],
        session_timeout_ms: i32 [0..],
        rebalance_timeout_ms: i32 [1.., default -1],
        /// Empty for a new member.
        member_id: String [0..],
        group_instance_id: Option<String> [5.., null 5..],
        protocol_type: String [0..],
        /// Preferred ones first.
        protocols: Vec<JoinGroupRequestProtocol> [0..],
        reason: Option<String> [8.., null 8..],
    }

    /// An assignment protocol with the member's data for it, which only clients understand.
    struct JoinGroupRequestProtocol {
        name: String [0..],
        metadata: Bytes [0..],
    }

    /// The generation joined. Its leader alone learns of the members.
    message JoinGroupResponse (versions 0..=9, flexible 6..) {
        throttle_time_ms: i32 [2..],
        error_code: ErrorCode [0..],
        generation_id: i32 [0.., default -1],
        protocol_type: Option<String> [7.., null 7..],
        protocol_name: Option<String> [0.., null 7..],
        leader: String [0..],
        skip_assignment: bool [9..],
        member_id: String [0..],
        members: Vec<JoinGroupResponseMember> [0..],
    }

    /// A member, as the leader needs it to assign.
    struct JoinGroupResponseMember {
        member_id: String [0..],
        group_instance_id: Option<String> [5.., null 5..],
        metadata: Bytes [0..],
    }
}
