//! Fetch: reads record batches, for consumers and for followers.
//!
//! | from | brings |
//! |------|--------|
//! | 4 | isolation level, aborted transactions |
//! | 5 | log start offsets |
//! | 7 | incremental fetch sessions (KIP-227) |
//! | 9 | the leader epoch the client knows (KIP-320) |
//! | 10 | zstd |
//! | 11 | reading from the nearest replica (KIP-392) |
//! | 12 | flexible; diverging epochs in the answer to followers (KIP-595) |
//! | 13 | topic ids instead of names (KIP-516) |
//! | 15 | replica state with the broker epoch (KIP-903) |
//! | 16 | the endpoints of new leaders (KIP-951) |
//! | 17 | the follower's directory id (KIP-853) |
//! | 18 | the follower's high watermark (KIP-1166) |

use super::common::{LeaderIdAndEpoch, NodeEndpoint};
use crate::model::{ErrorCode, Uuid};
use crate::protocol::records::Records;
use crate::protocol::schema::schema;

schema! {
    /// What to read, how much, and how long to wait for it.
    message FetchRequest (versions 4..=18, flexible 12..) {
        cluster_id: Option<String> [12.., null 12.., tag 0],
        /// The follower that reads; -1 for a consumer.
        replica_id: i32 [0..=14, default -1],
        replica_state: FetchReplicaState [15.., tag 1],
        max_wait_ms: i32 [0..],
        min_bytes: i32 [0..],
        max_bytes: i32 [3.., default i32::MAX],
        /// 0 read_uncommitted, 1 read_committed.
        isolation_level: i8 [4..],
        /// The incremental session; 0 for none.
        session_id: i32 [7..],
        /// Counts the requests of a session; 0 asks for a new one, -1 does without or ends it.
        session_epoch: i32 [7.., default -1],
        topics: Vec<FetchTopic> [0..],
        forgotten_topics_data: Vec<ForgottenTopic> [7..],
        rack_id: String [11..],
    }

    /// Which follower reads, and in which of its lives.
    struct FetchReplicaState {
        replica_id: i32 [15.., default -1],
        replica_epoch: i64 [15.., default -1],
    }

    /// What to read of one topic.
    struct FetchTopic {
        topic: String [0..=12],
        topic_id: Uuid [13..],
        partitions: Vec<FetchPartition> [0..],
    }

    /// What to read of one partition.
    struct FetchPartition {
        partition: i32 [0..],
        current_leader_epoch: i32 [9.., default -1],
        fetch_offset: i64 [0..],
        /// The epoch of the follower's last record, by which the leader sees divergence; -1 from consumers.
        last_fetched_epoch: i32 [12.., default -1],
        /// Where the follower's log starts; -1 from consumers.
        log_start_offset: i64 [5.., default -1],
        partition_max_bytes: i32 [0..],
        replica_directory_id: Uuid [17.., tag 0],
        high_watermark: i64 [18.., default i64::MAX, tag 1],
        /// Ottla's own: how far the follower's log is on disk, for topics with `flush.before.ack`.
        flushed_offset: i64 [12.., default -1, tag 20000],
    }

    /// Partitions that leave an incremental fetch session.
    struct ForgottenTopic {
        topic: String [7..=12],
        topic_id: Uuid [13..],
        partitions: Vec<i32> [7..],
    }

    /// The records read.
    message FetchResponse (versions 4..=18, flexible 12..) {
        throttle_time_ms: i32 [1..],
        error_code: ErrorCode [7..],
        session_id: i32 [7..],
        responses: Vec<FetchTopicResponse> [0..],
        node_endpoints: Vec<NodeEndpoint> [16.., tag 0],
    }

    /// What was read of one topic.
    struct FetchTopicResponse {
        topic: String [0..=12],
        topic_id: Uuid [13..],
        partitions: Vec<FetchPartitionResponse> [0..],
    }

    /// What was read of one partition.
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
        /// The broker to read from instead; -1 for this one.
        preferred_read_replica: i32 [11.., default -1],
        records: Records [0..],
    }

    /// Where a follower's log leaves the leader's: it truncates to this end of this epoch.
    struct DivergingEpoch {
        epoch: i32 [12.., default -1],
        end_offset: i64 [12.., default -1],
    }

    /// A snapshot to fetch instead, when the log no longer reaches back far enough.
    struct SnapshotId {
        end_offset: i64 [0.., default -1],
        epoch: i32 [0.., default -1],
    }

    /// A transaction whose records a `read_committed` consumer drops, from its first offset on.
    struct AbortedTransaction {
        producer_id: i64 [4..],
        first_offset: i64 [4..],
    }
}
