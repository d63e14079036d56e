//! Produce: appends record batches to partitions.
//!
//! | from | brings |
//! |------|--------|
//! | 3 | record batch v2, transactional id; earlier ones carried message sets and have no schema here |
//! | 5 | the log start offset in the response |
//! | 7 | zstd |
//! | 8 | errors by record (KIP-467) |
//! | 9 | flexible |
//! | 10 | the current leader beside NOT_LEADER_OR_FOLLOWER (KIP-951) |
//! | 12 | a transaction may begin without AddPartitionsToTxn (KIP-890) |
//! | 13 | topic ids instead of names (KIP-516) |

use bytes::Bytes;

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// Records for any number of partitions.
    message ProduceRequest (versions 3..=13, flexible 9..) {
        transactional_id: Option<String> [3.., null 3..],
        /// -1 waits for all in-sync replicas, 1 for the leader, 0 for nothing.
        acks: i16 [0..],
        timeout_ms: i32 [0..],
        topics: Vec<ProduceTopic> [0..],
    }

    /// The records for one topic.
    struct ProduceTopic {
        name: String [0..=12],
        topic_id: Uuid [13..],
        partitions: Vec<ProducePartition> [0..],
    }

    /// The records for one partition.
    struct ProducePartition {
        index: i32 [0..],
        /// One record batch v2.
        records: Option<Bytes> [0.., null 0..],
    }

    /// What became of each partition's records. There is none when `acks` is 0.
    message ProduceResponse (versions 3..=13, flexible 9..) {
        responses: Vec<ProduceTopicResponse> [0..],
        throttle_time_ms: i32 [1..],
        node_endpoints: Vec<NodeEndpoint> [10.., tag 0],
    }

    /// What became of one topic's records.
    struct ProduceTopicResponse {
        name: String [0..=12],
        topic_id: Uuid [13..],
        partition_responses: Vec<ProducePartitionResponse> [0..],
    }

    /// What became of one partition's records.
    struct ProducePartitionResponse {
        index: i32 [0..],
        error_code: ErrorCode [0..],
        base_offset: i64 [0..],
        /// When the broker stamped the records; -1 when they keep the producer's timestamps.
        log_append_time_ms: i64 [2.., default -1],
        log_start_offset: i64 [5.., default -1],
        record_errors: Vec<BatchIndexAndErrorMessage> [8..],
        error_message: Option<String> [8.., null 8..],
        current_leader: LeaderIdAndEpoch [10.., tag 0],
    }

    /// A record that made its batch fail.
    struct BatchIndexAndErrorMessage {
        batch_index: i32 [8..],
        batch_index_error_message: Option<String> [8.., null 8..],
    }
}
