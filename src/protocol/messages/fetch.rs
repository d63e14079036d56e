//! Fetch: ?

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::model::{ErrorCode, Uuid};
use crate::protocol::records::Records;
use crate::protocol::schema::schema;

schema! {
    message FetchRequest (versions 4..=18, flexible 12..) {
        cluster_id: Option<String> [12.., null 12.., tag 0],
        replica_id: i32 [0..=14, default -1],
        replica_state: FetchReplicaState [15.., tag 1],
        max_wait_ms: i32 [0..],
        min_bytes: i32 [0..],
        max_bytes: i32 [3.., default i32::MAX],
        isolation_level: i8 [4..],
        session_id: i32 [7..],
        session_epoch: i32 [7.., default -1],
        topics: Vec<FetchTopic> [0..],
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        rack_id: String [11..],
    }

    struct FetchReplicaState {
        replica_id: i32 [15.., default -1],
        replica_epoch: i64 [15.., default -1],
    }

    struct FetchTopic {
        topic: String [0..=12],
        topic_id: Uuid [13..],
        partitions: Vec<FetchPartition> [0..],
    }

    struct FetchPartition {
        partition: i32 [0..],
        current_leader_epoch: i32 [9.., default -1],
        fetch_offset: i64 [0..],
        last_fetched_epoch: i32 [12.., default -1],
        log_start_offset: i64 [5.., default -1],
        partition_max_bytes: i32 [0..],
        replica_directory_id: Uuid [17.., tag 0],
        high_watermark: i64 [18.., default i64::MAX, tag 1],
        /// Ottla's own: how far the follower's log is on disk, for topics with `flush.before.ack`.
        flushed_offset: i64 [12.., default -1, tag 20000],
    }

    struct ForgottenTopic {
        topic: String [7..=12],
        topic_id: Uuid [13..],
        partitions: Vec<i32> [7..],
    }

    message FetchResponse (versions 4..=18, flexible 12..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [7..],
        session_id: i32 [7..],
        responses: Vec<FetchTopicResponse> [0..],
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    struct FetchTopicResponse {
        topic: String [0..=12],
        topic_id: Uuid [13..],
        partitions: Vec<FetchPartitionResponse> [0..],
    }

    struct FetchPartitionResponse {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
        high_watermark: i64 [0..],
        last_stable_offset: i64 [4.., default -1],
        log_start_offset: i64 [5.., default -1],
        diverging_epoch: DivergingEpoch [12.., tag 0],
        current_leader: LeaderIdAndEpoch [12.., tag 1],
        snapshot_id: SnapshotId [12.., tag 2],
        aborted_transactions: Option<Vec<AbortedTransaction>> [4.., null 4..],
        preferred_read_replica: i32 [11.., default -1],
        records: Records [0..],
    }

    struct DivergingEpoch {
        epoch: i32 [12.., default -1],
        end_offset: i64 [12.., default -1],
    }

    struct SnapshotId {
        end_offset: i64 [0.., default -1],
        epoch: i32 [0.., default -1],
    }

    struct AbortedTransaction {
        producer_id: i64 [4..],
        first_offset: i64 [4..],
    }
}
