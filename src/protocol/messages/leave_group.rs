//! LeaveGroup: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message LeaveGroupRequest (versions 0..=5, flexible 4..) {
        group_id: String [0..],
        member_id: String [0..=2],
        members: Vec<LeaveGroupMember> [3..],
    }

    struct LeaveGroupMember {
        member_id: String [3..],
        group_instance_id: Option<String> [3.., null 3..],
        reason: Option<String> [5.., null 5..],
    }

    message LeaveGroupResponse (versions 0..=5, flexible 4..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
        members: Vec<LeaveGroupMemberResponse> [3..],
    }

    struct LeaveGroupMemberResponse {
        member_id: String [3..],
        group_instance_id: Option<String> [3.., null 3..],
        error_code: ErrorCode [3..],
    }
}
