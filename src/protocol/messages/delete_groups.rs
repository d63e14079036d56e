//! DeleteGroups: deletes empty groups. Version 2 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The groups to delete.
    message DeleteGroupsRequest (versions 0..=2, flexible 2..) {
        groups_names: Vec<String> [0..],
    }

    /// The groups deleted.
    message DeleteGroupsResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        results: Vec<DeletableGroupResult> [0..],
    }

    /// What became of one group.
    struct DeletableGroupResult {
        group_id: String [0..],
        error_code: ErrorCode [0..],
    }
}
