//! ConsumerGroupDescribe, versions 0 to 1.
//!
//! Shows groups of the consumer protocol (KIP-848) with their epochs, and their members with what they own and what
//! they shall own. Version 1 tells members of the classic protocol from others (KIP-1099). A group that does not
//! exist, or has another protocol, is GROUP_ID_NOT_FOUND. A client that asks for it in a tagged field of our own is
//! told why the group last shared out its partitions anew.

use crate::broker::authorized_operations;
use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::group::{ConsumerGroupDescription, ConsumerMemberDescription, Partitions, Rebalance};
use crate::metadata::ClusterImage;
use crate::model::ErrorCode;
use crate::protocol::messages::{
    ConsumerGroupDescribeAssignment, ConsumerGroupDescribeGroup, ConsumerGroupDescribeMember,
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupDescribeTopicPartitions,
};

/// Kafka's number for a member of the classic protocol.
const CLASSIC_MEMBER: i8 = 0;
/// Kafka's number for a member of the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

/// Describes groups.
pub async fn handle(
    context: &Context,
    _: Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let image = context.image();
    let authorized_operations = match request.include_authorized_operations {
        true => authorized_operations::GROUP,
        false => authorized_operations::NOT_ASKED,
    };
    let describe = |group_id: String| match context.groups.describe_consumer_group(&group_id) {
        Ok(Some((group, rebalance))) => {
            let rebalance = rebalance.filter(|_| request.include_last_rebalance);
            let group = described(group_id, group, rebalance, &image);
            ConsumerGroupDescribeGroup { authorized_operations, ..group }
        }
        Ok(None) => {
            let error_message = Some(format!("Group {group_id} is not a consumer group."));
            refused(group_id, ErrorCode::GroupIdNotFound, error_message)
        }
        Err(error) => refused(group_id, error, None),
    };
    ConsumerGroupDescribeResponse { throttle_time_ms: 0, groups: request.group_ids.into_iter().map(describe).collect() }
}

fn refused(group_id: String, error_code: ErrorCode, error_message: Option<String>) -> ConsumerGroupDescribeGroup {
    ConsumerGroupDescribeGroup { error_code, error_message, group_id, ..ConsumerGroupDescribeGroup::default() }
}

fn described(
    group_id: String,
    group: ConsumerGroupDescription,
    rebalance: Option<Rebalance>,
    image: &ClusterImage,
) -> ConsumerGroupDescribeGroup {
    let rebalance = rebalance.map(|rebalance| (rebalance.at.0, rebalance.reason));
    let (last_rebalance_at, last_rebalance_reason) = rebalance.unwrap_or_default();
    ConsumerGroupDescribeGroup {
        error_code: ErrorCode::None,
        error_message: None,
        group_id,
        group_state: group.state.name().to_owned(),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: group.assignor.name().to_owned(),
        members: group.members.into_iter().map(|member| described_member(member, image)).collect(),
        authorized_operations: authorized_operations::NOT_ASKED,
        last_rebalance_at,
        last_rebalance_reason,
    }
}

fn described_member(member: ConsumerMemberDescription, image: &ClusterImage) -> ConsumerGroupDescribeMember {
    let ConsumerMemberDescription { member_id, epoch, subscription, assigned, target } = member;
    ConsumerGroupDescribeMember {
        member_id: member_id.to_string(),
        instance_id: subscription.instance_id.clone(),
        rack_id: subscription.rack_id.clone(),
        member_epoch: epoch,
        client_id: subscription.client_id.clone(),
        client_host: subscription.client_host.clone(),
        subscribed_topic_names: subscription.topics.iter().cloned().collect(),
        // Empty where there is none, as in Kafka.
        subscribed_topic_regex: Some(subscription.regex.as_deref().unwrap_or_default().to_owned()),
        assignment: assignment(&assigned, image),
        target_assignment: assignment(&target, image),
        member_type: if subscription.classic.is_some() { CLASSIC_MEMBER } else { CONSUMER_MEMBER },
    }
}

/// Partitions of topics that are gone by now have no name, and are left out.
fn assignment(partitions: &Partitions, image: &ClusterImage) -> ConsumerGroupDescribeAssignment {
    let mut topics: Vec<ConsumerGroupDescribeTopicPartitions> = Vec::new();
    for (id, index) in partitions {
        let Some(topic) = image.topic(*id) else { continue };
        match topics.last_mut().filter(|last| last.topic_id == id.0) {
            Some(last) => last.partitions.push(*index),
            None => topics.push(ConsumerGroupDescribeTopicPartitions {
                topic_id: id.0,
                topic_name: topic.name.to_string(),
                partitions: vec![*index],
            }),
        }
    }
    ConsumerGroupDescribeAssignment { topic_partitions: topics }
}
