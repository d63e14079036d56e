//! DescribeGroups: state and members of classic groups.
//!
//! Version 3 brings authorized operations (KIP-430), version 4 static members (KIP-345), version 5 is
//! flexible, version 6 tells unknown groups from dead ones (KIP-1043).

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The groups to describe.
    message DescribeGroupsRequest (versions 0..=6, flexible 5..) {
        groups: Vec<String> [0..],
        include_authorized_operations: bool [3..],
    }

    /// The groups described.
    message DescribeGroupsResponse (versions 0..=6, flexible 5..) {
        throttle_time_ms: i32 [1..],
        groups: Vec<DescribedGroup> [0..],
    }

    /// A group.
    struct DescribedGroup {
        error_code: ErrorCode [0..],
        error_message: Option<String> [6.., null 6..],
        group_id: String [0..],
        group_state: String [0..],
        protocol_type: String [0..],
        protocol_data: String [0..],
        members: Vec<DescribedGroupMember> [0..],
        /// A bit for each operation; the lowest number when they were not asked.
        authorized_operations: i32 [3.., default i32::MIN],
    }

    /// A member of a group.
    struct DescribedGroupMember {
        member_id: String [0..],
        group_instance_id: Option<String> [4.., null 4..],
        client_id: String [0..],
        client_host: String [0..],
        member_metadata: Bytes [0..],
        member_assignment: Bytes [0..],
    }
}
