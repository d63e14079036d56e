//! DescribeGroups: state and members of classic groups.
//!
//! Version 3 brings authorized operations (KIP-430), version 4 static members (KIP-345), version 5 is
//! flexible, version 6 tells unknown groups from dead ones (KIP-1043). Tagged fields from 10000 on are our own: a client
//! that sets the one of the request gets those of the answer.

use bytes::Bytes;

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The groups to describe.
    message DescribeGroupsRequest (versions 0..=6, flexible 5..) {
        groups: Vec<String> [0..],
        include_authorized_operations: bool [3..],
        /// Ours: asks for the reason of the last rebalance.
        include_last_rebalance: bool [5.., tag 10000],
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
        /// Ours: milliseconds since the Unix epoch; 0 when it is not known.
        last_rebalance_at: i64 [5.., tag 10000],
        /// Ours: who caused it and how.
        last_rebalance_reason: String [5.., tag 10001],
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
