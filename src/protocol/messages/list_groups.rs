//! ListGroups: the groups that a broker coordinates.
//!
//! Version 3 is flexible, version 4 brings states and a filter by them (KIP-518), version 5 the same for
//! types (KIP-848).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Which groups to list; empty filters let all pass.
    message ListGroupsRequest (versions 0..=5, flexible 3..) {
        states_filter: Vec<String> [4..],
        types_filter: Vec<String> [5..],
    }

    /// The groups listed.
    message ListGroupsResponse (versions 0..=5, flexible 3..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [0..],
        groups: Vec<ListedGroup> [0..],
    }

    /// A group.
    struct ListedGroup {
        group_id: String [0..],
        protocol_type: String [0..],
        group_state: String [4..],
        group_type: String [5..],
    }
}
