//! DeleteGroups: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message DeleteGroupsRequest (versions 0..=2, flexible 2..) {
        groups_names: Vec<String> [0..],
    }

    message DeleteGroupsResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        results: Vec<DeletableGroupResult> [0..],
    }

    struct DeletableGroupResult {
        group_id: String [0..],
        error_code: ErrorCode [0..],
    }
}
