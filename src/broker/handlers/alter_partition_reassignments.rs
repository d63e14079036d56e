//! AlterPartitionReassignments, versions 0 and 1 (KIP-455).
//!
//! Begins to move partitions to the replicas named, the preferred leader first; null cancels a move that is under
//! way. A partition is readable and writable all the time; ListPartitionReassignments tells how far it is. Version 1
//! can forbid that the number of replicas changes (KIP-860). Every partition asked for is in the answer.

use crate::broker::by_topic::by_topic;
use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{Refused, ask, error_code, message, unexpected};
use crate::protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartitionResponse,
    ReassignableTopic, ReassignableTopicResponse,
};
use crate::rpc::metadata::{
    AlterPartitionReassignments, BrokerIds, ReassignablePartition, ReassignmentResult, metadata_command, metadata_reply,
};

/// Begins and cancels reassignments.
pub async fn handle(
    context: &Context,
    _: Call,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let partitions = request.topics.iter().flat_map(wanted).collect();
    let command = AlterPartitionReassignments { partitions, allow_replication_factor_change };
    let command = metadata_command::Kind::AlterPartitionReassignments(command);
    let answer = match ask(context, command, request.timeout_ms).await {
        Ok(metadata_reply::Kind::AlterPartitionReassignments(reply)) => Ok(reply.partitions),
        Ok(_) => Err(unexpected()),
        Err(refused) => Err(refused),
    };
    let mut response = AlterPartitionReassignmentsResponse { allow_replication_factor_change, ..Default::default() };
    match answer {
        Ok(results) => {
            let topics = by_topic(results.into_iter().map(outcome)).into_iter();
            response.responses =
                topics.map(|(name, partitions)| ReassignableTopicResponse { name, partitions }).collect();
        }
        Err(Refused { error_code, error_message }) => {
            response.error_code = error_code;
            response.error_message = error_message;
        }
    }
    response
}

fn wanted(topic: &ReassignableTopic) -> impl Iterator<Item = ReassignablePartition> {
    topic.partitions.iter().map(|partition| ReassignablePartition {
        topic: topic.name.clone(),
        partition: partition.partition_index,
        replicas: partition.replicas.clone().map(|ids| BrokerIds { ids }),
    })
}

fn outcome(result: ReassignmentResult) -> (String, ReassignablePartitionResponse) {
    let partition = ReassignablePartitionResponse {
        partition_index: result.partition,
        error_code: error_code(result.error_code),
        error_message: message(result.error_message),
    };
    (result.topic, partition)
}
