//! ListPartitionReassignments, version 0 (KIP-455).
//!
//! The partitions that are moving: all replicas that hold the records meanwhile, which of them are new, and which
//! will go. What is asked for and does not move, or does not exist, is not in the answer.

use crate::broker::by_topic::by_topic;
use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::metadata::{ClusterImage, PartitionImage};
use crate::model::BrokerId;
use crate::protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, ListPartitionReassignmentsTopics,
    OngoingPartitionReassignment, OngoingTopicReassignment,
};

/// Lists reassignments.
pub async fn handle(
    context: &Context,
    _: Call,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = context.image();
    let moving: Vec<_> = match &request.topics {
        None => image
            .reassignments()
            .map(|(topic, index, partition)| (topic.name.to_string(), ongoing(index, partition)))
            .collect(),
        Some(topics) => topics.iter().flat_map(|topic| moving_of(&image, topic)).collect(),
    };
    let topics = by_topic(moving).into_iter();
    ListPartitionReassignmentsResponse {
        topics: topics.map(|(name, partitions)| OngoingTopicReassignment { name, partitions }).collect(),
        ..Default::default()
    }
}

fn moving_of(
    image: &ClusterImage,
    asked: &ListPartitionReassignmentsTopics,
) -> Vec<(String, OngoingPartitionReassignment)> {
    let Some(topic) = image.topic_by_name(&asked.name) else { return Vec::new() };
    let found = asked.partition_indexes.iter().filter_map(|index| Some((*index, topic.partition(*index)?)));
    let moving = found.filter(|(_, partition)| partition.is_reassigned());
    moving.map(|(index, partition)| (asked.name.clone(), ongoing(index, partition))).collect()
}

fn ongoing(partition_index: i32, partition: &PartitionImage) -> OngoingPartitionReassignment {
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    OngoingPartitionReassignment {
        partition_index,
        replicas: ids(&partition.replicas),
        adding_replicas: ids(&partition.adding_replicas),
        removing_replicas: ids(&partition.removing_replicas),
    }
}
