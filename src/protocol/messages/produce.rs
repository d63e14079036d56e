//! Produce: ?

use bytes::Bytes;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    message ProduceRequest (versions 3..=13, flexible 9..) {
        transactional_id: Option<String> [3.., null 3..],
        acks: i16 [0..],
        timeout_ms: i32 [0..],
        topics: Vec<ProduceTopic> [0..],
    }

    struct ProduceTopic {
        name: String [0..=12],
        topic_id: Uuid [13..],
        partitions: Vec<ProducePartition> [0..],
    }

    struct ProducePartition {
        index: i32 [0..],
        records: Option<Bytes> [0.., null 0..],
    }

    message ProduceResponse (versions 3..=13, flexible 9..) {
        responses: Vec<ProduceTopicResponse> [0..],
        throttle_time_ms: i32 [1..],
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    struct ProduceTopicResponse {
        name: String [0..=12],
        topic_id: Uuid [13..],
        partition_responses: Vec<ProducePartitionResponse> [0..],
    }

    struct ProducePartitionResponse {
        index: i32 [0..],
        error_code: ErrorCode [0..],
        base_offset: i64 [0..],
        log_append_time_ms: i64 [2.., default -1],
        log_start_offset: i64 [5.., default -1],
        record_errors: Vec<BatchIndexAndErrorMessage> [8..],
        error_message: Option<String> [8.., null 8..],
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    struct BatchIndexAndErrorMessage {
        batch_index: i32 [8..],
        batch_index_error_message: Option<String> [8.., null 8..],
    }
}
