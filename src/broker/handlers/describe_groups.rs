//! DescribeGroups, versions 0 to 6.
//!
//! Shows groups with their members. Version 3 can answer what the client may do with a group (KIP-430), 4 has static
//! members, 5 is flexible. A group that does not exist is a dead one up to version 5 and GROUP_ID_NOT_FOUND from 6 on
//! (KIP-1043), and so is a group of the consumer
//! protocol, which ConsumerGroupDescribe shows. A client that asks for it in a tagged field of our own is told why the
//! group last shared out its partitions anew. Protocol, metadata and assignments are there only when a group is stable.

use crate::broker::authorized_operations;
use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::group::{GroupDescription, MemberDescription, Rebalance, State};
use crate::model::ErrorCode;
use crate::protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember};

const GROUP_ID_NOT_FOUND: i16 = 6;

/// Describes groups.
pub async fn handle(context: &Context, call: Call, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let operations = match request.include_authorized_operations {
        true => authorized_operations::GROUP,
        false => authorized_operations::NOT_ASKED,
    };
    let describe = |group_id: String| match context.groups.describe(&group_id) {
        Ok(Some(group)) => {
            let rebalance = context.groups.last_rebalance(&group_id).ok().flatten();
            let rebalance = rebalance.filter(|_| request.include_last_rebalance);
            described(group_id, group, rebalance, operations)
        }
        Ok(None) => unknown(group_id, call.api_version, operations),
        Err(error_code) => DescribedGroup { error_code, group_id, ..DescribedGroup::default() },
    };
    DescribeGroupsResponse { throttle_time_ms: 0, groups: request.groups.into_iter().map(describe).collect() }
}

fn described(
    group_id: String,
    group: GroupDescription,
    rebalance: Option<Rebalance>,
    authorized_operations: i32,
) -> DescribedGroup {
    let rebalance = rebalance.map(|rebalance| (rebalance.at.0, rebalance.reason));
    let (last_rebalance_at, last_rebalance_reason) = rebalance.unwrap_or_default();
    let member = |member: MemberDescription| DescribedGroupMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    DescribedGroup {
        error_code: ErrorCode::None,
        error_message: None,
        group_id,
        group_state: group.state.name().to_owned(),
        protocol_type: group.protocol_type,
        protocol_data: group.protocol,
        members: group.members.into_iter().map(member).collect(),
        authorized_operations,
        last_rebalance_at,
        last_rebalance_reason,
    }
}

fn unknown(group_id: String, version: i16, authorized_operations: i32) -> DescribedGroup {
    let dead = DescribedGroup { group_state: State::Dead.name().to_owned(), ..DescribedGroup::default() };
    if version < GROUP_ID_NOT_FOUND {
        return DescribedGroup { group_id, authorized_operations, ..dead };
    }
    let error_message = Some(format!("Group {group_id} not found."));
    DescribedGroup { error_code: ErrorCode::GroupIdNotFound, error_message, group_id, ..dead }
}
