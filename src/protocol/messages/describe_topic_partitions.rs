//! DescribeTopicPartitions: topics and partitions, page by page, with eligible leader replicas (KIP-966).

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The topics asked, and where the last page ended.
    message DescribeTopicPartitionsRequest (versions 0..=0, flexible 0..) {
        topics: Vec<DescribeTopicPartitionsTopic> [0..],
        response_partition_limit: i32 [0.., default 2000],
        cursor: Option<DescribeTopicPartitionsCursor> [0.., null 0..],
    }

    /// A topic.
    struct DescribeTopicPartitionsTopic {
        name: String [0..],
    }

    /// The partition that the next page starts with.
    struct DescribeTopicPartitionsCursor {
        topic_name: String [0..],
        partition_index: i32 [0..],
    }

    /// A page of topics.
    message DescribeTopicPartitionsResponse (versions 0..=0, flexible 0..) {
        throttle_time_ms: i32 [0..],
        topics: Vec<DescribeTopicPartitionsResponseTopic> [0..],
        next_cursor: Option<DescribeTopicPartitionsCursor> [0.., null 0..],
    }

    /// A topic and its partitions.
    struct DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode [0..],
        name: Option<String> [0.., null 0..],
        topic_id: Uuid [0..],
        is_internal: bool [0..],
        partitions: Vec<DescribeTopicPartitionsResponsePartition> [0..],
        topic_authorized_operations: i32 [0.., default i32::MIN],
    }

    /// Who leads a partition, who replicates it, and who could lead it.
    struct DescribeTopicPartitionsResponsePartition {
        error_code: ErrorCode [0..],
        partition_index: i32 [0..],
        leader_id: i32 [0..],
        leader_epoch: i32 [0.., default -1],
        replica_nodes: Vec<i32> [0..],
        isr_nodes: Vec<i32> [0..],
        eligible_leader_replicas: Option<Vec<i32>> [0.., null 0..],
        last_known_elr: Option<Vec<i32>> [0.., null 0..],
        offline_replicas: Vec<i32> [0..],
    }
}
