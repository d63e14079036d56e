//! DescribeQuorum, versions 0 to 2 (KIP-595, KIP-836).
//!
//! The state of the metadata quorum, asked for as partition 0 of `__cluster_metadata`; anything else is
//! UNKNOWN_TOPIC_OR_PARTITION. The quorum is a Raft quorum of the controllers, not a Kafka log: leader epochs are its
//! terms and offsets its log indexes. Version 1 brings the times of fetching, version 2 error messages, directory ids and
//! the controllers' addresses (KIP-853), by the name that `controller.listener.names` gives this broker's. The quorum's
//! leader is asked, so the answer is its view. Observers are controllers without a vote and the brokers that are alive.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::submit::CONTROLLER_TIMEOUT;
use crate::cluster::ClusterError;
use crate::model::{CLUSTER_METADATA_TOPIC, ErrorCode, Uuid};
use crate::protocol::messages::{
    DescribeQuorumListener, DescribeQuorumNode, DescribeQuorumPartitionResponse, DescribeQuorumReplicaState,
    DescribeQuorumRequest, DescribeQuorumResponse, DescribeQuorumTopicResponse,
};
use crate::rpc::controller::{QuorumDescription, QuorumReplica};

/// The key that names the listener which controllers are reached on, the first of a list; and its default.
const LISTENER_NAMES: &str = "controller.listener.names";
const CONTROLLER_LISTENER: &str = "CONTROLLER";

/// Describes the quorum.
pub async fn handle(context: &Context, _: Call, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let is_quorum = |topic: &str, partition: i32| topic == CLUSTER_METADATA_TOPIC && partition == 0;
    let is_asked = request
        .topics
        .iter()
        .any(|topic| topic.partitions.iter().any(|partition| is_quorum(&topic.topic_name, partition.partition_index)));
    let description = match is_asked {
        true => Some(context.controller.describe_quorum(CONTROLLER_TIMEOUT).await),
        false => None,
    };
    let topics = request.topics.into_iter().map(|topic| DescribeQuorumTopicResponse {
        partitions: topic
            .partitions
            .iter()
            .map(|partition| match &description {
                Some(described) if is_quorum(&topic.topic_name, partition.partition_index) => quorum(described),
                _ => unknown(partition.partition_index),
            })
            .collect(),
        topic_name: topic.topic_name,
    });
    DescribeQuorumResponse {
        topics: topics.collect(),
        nodes: description
            .and_then(Result::ok)
            .map(|quorum| nodes(&quorum, listener_name(context)))
            .unwrap_or_default(),
        ..DescribeQuorumResponse::default()
    }
}

fn unknown(partition_index: i32) -> DescribeQuorumPartitionResponse {
    DescribeQuorumPartitionResponse {
        partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition,
        error_message: Some(format!("only partition 0 of {CLUSTER_METADATA_TOPIC} is kept by the quorum")),
        ..DescribeQuorumPartitionResponse::default()
    }
}

fn quorum(described: &Result<QuorumDescription, ClusterError>) -> DescribeQuorumPartitionResponse {
    match described {
        Ok(quorum) => DescribeQuorumPartitionResponse {
            leader_id: quorum.leader_node_id,
            leader_epoch: i32::try_from(quorum.leader_epoch).unwrap_or(i32::MAX),
            high_watermark: quorum.high_watermark,
            current_voters: quorum.voters.iter().map(replica).collect(),
            observers: quorum.observers.iter().map(replica).collect(),
            ..DescribeQuorumPartitionResponse::default()
        },
        Err(error) => DescribeQuorumPartitionResponse {
            error_code: error.error_code(),
            error_message: Some(error.to_string()),
            ..DescribeQuorumPartitionResponse::default()
        },
    }
}

fn replica(replica: &QuorumReplica) -> DescribeQuorumReplicaState {
    DescribeQuorumReplicaState {
        replica_id: replica.node_id,
        replica_directory_id: <[u8; 16]>::try_from(replica.directory_id.as_ref()).map_or(Uuid::ZERO, Uuid),
        log_end_offset: replica.log_end_offset,
        last_fetch_timestamp: replica.last_fetch_timestamp_ms,
        last_caught_up_timestamp: replica.last_caught_up_timestamp_ms,
    }
}

/// As this broker was told; the controllers are.
fn listener_name(context: &Context) -> &str {
    let names = context.settings.value(LISTENER_NAMES).unwrap_or(CONTROLLER_LISTENER);
    names.split(',').map(str::trim).find(|name| !name.is_empty()).unwrap_or(CONTROLLER_LISTENER)
}

fn nodes(quorum: &QuorumDescription, listener_name: &str) -> Vec<DescribeQuorumNode> {
    let listener = |replica: &QuorumReplica| DescribeQuorumListener {
        name: listener_name.to_owned(),
        host: replica.host.clone(),
        port: u16::try_from(replica.port).unwrap_or_default(),
    };
    let voters = quorum.voters.iter();
    voters.map(|voter| DescribeQuorumNode { node_id: voter.node_id, listeners: vec![listener(voter)] }).collect()
}
