//! DescribeProducers: the idempotent producers that a partition remembers (KIP-664).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The partitions asked.
    message DescribeProducersRequest (versions 0..=0, flexible 0..) {
        topics: Vec<DescribeProducersTopic> [0..],
    }

    /// The partitions asked of one topic.
    struct DescribeProducersTopic {
        name: String [0..],
        partition_indexes: Vec<i32> [0..],
    }

    /// The producers.
    message DescribeProducersResponse (versions 0..=0, flexible 0..) {
        throttle_time_ms: i32 [0..],
        topics: Vec<DescribeProducersTopicResponse> [0..],
    }

    /// The producers of one topic.
    struct DescribeProducersTopicResponse {
        name: String [0..],
        partitions: Vec<DescribeProducersPartitionResponse> [0..],
    }

    /// The producers of one partition.
    struct DescribeProducersPartitionResponse {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        active_producers: Vec<ProducerState> [0..],
    }

    /// What a partition remembers of a producer.
    struct ProducerState {
        producer_id: i64 [0..],
        producer_epoch: i32 [0..],
        last_sequence: i32 [0.., default -1],
        last_timestamp: i64 [0.., default -1],
        coordinator_epoch: i32 [0..],
        current_txn_start_offset: i64 [0.., default -1],
    }
}
