//! Moves partitions between brokers, and tells which moves are under way.

use std::collections::BTreeMap;

use crate::client::{ClusterClient, ClusterError, Target};
use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::{
    AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest, OngoingPartitionReassignment,
    ReassignablePartition, ReassignableTopic,
};

/// The moves that are under way, by partition.
pub async fn list(
    client: &mut ClusterClient,
) -> Result<BTreeMap<TopicPartition, OngoingPartitionReassignment>, ClusterError> {
    let request = ListPartitionReassignmentsRequest { timeout_ms: 30_000, topics: None };
    let response = client.ask(&Target::Controller, &request, |response| response.error_code).await?;
    if response.error_code.is_error() {
        return Err(ClusterError::refused("the reassignments", response.error_code, response.error_message));
    }
    let mut moves = BTreeMap::new();
    for topic in response.topics {
        for moving in topic.partitions {
            moves.insert(TopicPartition::new(topic.name.as_str(), moving.partition_index), moving);
        }
    }
    Ok(moves)
}

/// Begins to move partitions to these brokers; `None` cancels a move. Tells what became of each.
pub async fn alter(
    client: &mut ClusterClient,
    wanted: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
    allow_replication_factor_change: bool,
) -> Result<BTreeMap<TopicPartition, Result<(), ClusterError>>, ClusterError> {
    let mut topics: Vec<ReassignableTopic> = Vec::new();
    for (partition, replicas) in wanted {
        let entry = ReassignablePartition { partition_index: partition.partition, replicas: replicas.clone() };
        match topics.last_mut().filter(|topic| *topic.name == *partition.topic) {
            Some(topic) => topic.partitions.push(entry),
            None => topics.push(ReassignableTopic { name: partition.topic.to_string(), partitions: vec![entry] }),
        }
    }
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 30_000, allow_replication_factor_change, topics };
    let response = client.ask(&Target::Controller, &request, |response| response.error_code).await?;
    if response.error_code.is_error() {
        return Err(ClusterError::refused("the reassignment", response.error_code, response.error_message));
    }
    let mut outcomes = BTreeMap::new();
    for topic in response.responses {
        for answer in topic.partitions {
            let partition = TopicPartition::new(topic.name.as_str(), answer.partition_index);
            let outcome = match answer.error_code {
                ErrorCode::None => Ok(()),
                code => Err(ClusterError::refused(partition.to_string(), code, answer.error_message)),
            };
            outcomes.insert(partition, outcome);
        }
    }
    Ok(outcomes)
}
