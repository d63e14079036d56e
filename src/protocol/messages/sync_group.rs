//! SyncGroup: ?

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message SyncGroupRequest (versions 0..=5, flexible 4..) {
        group_id: String [0..],
        generation_id: i32 [0..],
        member_id: String [0..],
        group_instance_id: Option<String> [3.., null 3..],
        protocol_type: Option<String> [5.., null 5..],
        protocol_name: Option<String> [5.., null 5..],
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    struct SyncGroupRequestAssignment {
        member_id: String [0..],
        assignment: Bytes [0..],
    }

    message SyncGroupResponse (versions 0..=5, flexible 4..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
        protocol_type: Option<String> [5.., null 5..],
        protocol_name: Option<String> [5.., null 5..],
        assignment: Bytes [0..],
    }
}
