//! LeaveGroup: takes members out of a classic group.
//!
//! Version 3 brings several members at once, static ones too (KIP-345), version 4 is flexible, version 5
//! brings a reason (KIP-800).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Who leaves; one member until version 2, several from version 3 on.
    message LeaveGroupRequest (versions 0..=5, flexible 4..) {
        group_id: String [0..],
        member_id: String [0..=2],
        members: Vec<LeaveGroupMember> [3..],
    }

    /// A member that leaves.
    struct LeaveGroupMember {
        member_id: String [3..],
        group_instance_id: Option<String> [3.., null 3..],
        reason: Option<String> [5.., null 5..],
    }

    /// Who has left.
    message LeaveGroupResponse (versions 0..=5, flexible 4..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
        members: Vec<LeaveGroupMemberResponse> [3..],
    }

    /// Whether one member has left.
    struct LeaveGroupMemberResponse {
        member_id: String [3..],
        group_instance_id: Option<String> [3.., null 3..],
        error_code: ErrorCode [3..],
    }
}
