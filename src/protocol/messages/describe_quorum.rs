//! DescribeQuorum: the metadata quorum's leader and the progress of its replicas (KIP-595).
//!
//! Version 1 brings fetch times (KIP-836), version 2 directory ids, listeners and error messages (KIP-853).

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The metadata partition, in a form that has room for others.
    message DescribeQuorumRequest (versions 0..=2, flexible 0..) {
        topics: Vec<DescribeQuorumTopic> [0..],
    }

    /// The metadata topic.
    struct DescribeQuorumTopic {
        topic_name: String [0..],
        partitions: Vec<DescribeQuorumPartition> [0..],
    }

    /// The metadata partition.
    struct DescribeQuorumPartition {
        partition_index: i32 [0..],
    }

    /// The quorum.
    message DescribeQuorumResponse (versions 0..=2, flexible 0..) {
        error_code: ErrorCode [0..],
        error_message: Option<String> [2.., null 2..],
        topics: Vec<DescribeQuorumTopicResponse> [0..],
        nodes: Vec<DescribeQuorumNode> [2..],
    }

    /// The metadata topic.
    struct DescribeQuorumTopicResponse {
        topic_name: String [0..],
        partitions: Vec<DescribeQuorumPartitionResponse> [0..],
    }

    /// Leader and replicas of the metadata partition.
    struct DescribeQuorumPartitionResponse {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [2.., null 2..],
        leader_id: i32 [0..],
        leader_epoch: i32 [0..],
        high_watermark: i64 [0..],
        current_voters: Vec<DescribeQuorumReplicaState> [0..],
        observers: Vec<DescribeQuorumReplicaState> [0..],
    }

    /// Where a controller is reached.
    struct DescribeQuorumNode {
        node_id: i32 [2..],
        listeners: Vec<DescribeQuorumListener> [2..],
    }

    /// One address of a controller.
    struct DescribeQuorumListener {
        name: String [2..],
        host: String [2..],
        port: u16 [2..],
    }

    /// How far a voter or an observer has come.
    struct DescribeQuorumReplicaState {
        replica_id: i32 [0..],
        replica_directory_id: Uuid [2..],
        log_end_offset: i64 [0..],
        last_fetch_timestamp: i64 [1.., default -1],
        last_caught_up_timestamp: i64 [1.., default -1],
    }
}
