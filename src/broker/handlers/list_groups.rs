//! ListGroups, versions 0 to 5.
//!
//! Lists the groups that this broker coordinates; a client asks every broker. Version 3 is flexible, 4 has states and
//! a filter by them (KIP-518), 5 types and a filter by them (KIP-848). Names in filters may be in any case, unknown
//! ones match nothing.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::coordinator;
use crate::protocol::messages::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

/// Lists groups.
pub async fn handle(context: &Context, _: Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let groups = match context.groups.list() {
        Ok(groups) => groups,
        Err(error_code) => return ListGroupsResponse { error_code, ..ListGroupsResponse::default() },
    };
    let is_wanted = |group: &coordinator::ListedGroup| {
        passes(&request.states_filter, group.state.name()) && passes(&request.types_filter, group.group_type.name())
    };
    let mut groups: Vec<_> = groups.into_iter().filter(is_wanted).map(listed).collect();
    groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
    ListGroupsResponse { groups, ..ListGroupsResponse::default() }
}

/// An empty filter lets everything pass.
fn passes(filter: &[String], name: &str) -> bool {
    filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
}

fn listed(group: coordinator::ListedGroup) -> ListedGroup {
    ListedGroup {
        group_id: group.group_id,
        protocol_type: group.protocol_type,
        group_state: group.state.name().to_owned(),
        group_type: group.group_type.name().to_owned(),
    }
}
