//! SyncGroup: hands the leader's assignments out to the members of a classic group.
//!
//! Version 3 brings static members (KIP-345), version 4 is flexible, version 5 brings protocol type and
//! name, so that a member can check them (KIP-559).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Asks for an assignment; the leader's request brings those of all.
    message SyncGroupRequest (versions 0..=5, flexible 4..) {
        group_id: String [0..],
        generation_id: i32 [0..],
        member_id: String [0..],
        group_instance_id: Option<String> [3.., null 3..],
        protocol_type: Option<String> [5.., null 5..],
        protocol_name: Option<String> [5.., null 5..],
        assignments: Vec<SyncGroupRequestAssignment> [0..],
    }

    /// The assignment of one member, which only clients understand.
    struct SyncGroupRequestAssignment {
        member_id: String [0..],
        assignment: Bytes [0..],
    }

    /// The member's own assignment.
    message SyncGroupResponse (versions 0..=5, flexible 4..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
        protocol_type: Option<String> [5.., null 5..],
        protocol_name: Option<String> [5.., null 5..],
        assignment: Bytes [0..],
    }
}
