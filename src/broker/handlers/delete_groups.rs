//! DeleteGroups, versions 0 to 2.
//!
//! Deletes groups without members, with all they have committed; others are NON_EMPTY_GROUP. Version 2 is flexible.
//! A group named twice is deleted and answered once.

use std::collections::BTreeSet;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::protocol::messages::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};

/// Deletes groups.
pub async fn handle(context: &Context, _: Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let group_ids: BTreeSet<String> = request.groups_names.into_iter().collect();
    let mut results = Vec::with_capacity(group_ids.len());
    for group_id in group_ids {
        let error_code = context.groups.delete(&group_id).await;
        results.push(DeletableGroupResult { group_id, error_code });
    }
    DeleteGroupsResponse { throttle_time_ms: 0, results }
}
