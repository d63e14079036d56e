//! OffsetFetch: asks how far a group has consumed.
//!
//! | from | brings |
//! |------|--------|
//! | 2 | null topics for all of them; a top-level error |
//! | 5 | leader epochs (KIP-320) |
//! | 6 | flexible |
//! | 7 | stable offsets only, past pending transactions (KIP-447) |
//! | 8 | several groups in one request |
//! | 9 | members of consumer groups with their epoch (KIP-848) |
//! | 10 | topic ids instead of names (KIP-848) |

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The partitions whose offsets are asked; one group until version 7, several from version 8 on.
    message OffsetFetchRequest (versions 1..=10, flexible 6..) {
        group_id: String [0..=7],
        /// Null for all topics.
        topics: Option<Vec<OffsetFetchRequestTopic>> [0..=7, null 2..=7],
        groups: Vec<OffsetFetchRequestGroup> [8..],
        require_stable: bool [7..],
    }

    /// Partitions of one topic, until version 7.
    struct OffsetFetchRequestTopic {
        name: String [0..=7],
        partition_indexes: Vec<i32> [0..=7],
    }

    /// What is asked of one group, from version 8 on.
    struct OffsetFetchRequestGroup {
        group_id: String [8..],
        member_id: Option<String> [9.., null 9..],
        member_epoch: i32 [9.., default -1],
        /// Null for all topics.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8.., null 8..],
    }

    /// Partitions of one topic, from version 8 on.
    struct OffsetFetchRequestTopics {
        name: String [8..=9],
        topic_id: Uuid [10..],
        partition_indexes: Vec<i32> [8..],
    }

    /// The committed offsets.
    message OffsetFetchResponse (versions 1..=10, flexible 6..) {
        throttle_time_ms: i32 [3..],
        topics: Vec<OffsetFetchResponseTopic> [0..=7],
        error_code: ErrorCode [2..=7],
        groups: Vec<OffsetFetchResponseGroup> [8..],
    }

    /// The committed offsets of one topic, until version 7.
    struct OffsetFetchResponseTopic {
        name: String [0..=7],
        partitions: Vec<OffsetFetchResponsePartition> [0..=7],
    }

    /// The committed offset of one partition, until version 7; -1 when there is none.
    struct OffsetFetchResponsePartition {
        partition_index: i32 [0..=7],
        committed_offset: i64 [0..=7],
        committed_leader_epoch: i32 [5..=7, default -1],
        metadata: Option<String> [0..=7, null 0..=7],
        error_code: ErrorCode [0..=7],
    }

    /// The committed offsets of one group, from version 8 on.
    struct OffsetFetchResponseGroup {
        group_id: String [8..],
        topics: Vec<OffsetFetchResponseTopics> [8..],
        error_code: ErrorCode [8..],
    }

    /// The committed offsets of one topic, from version 8 on.
    struct OffsetFetchResponseTopics {
        name: String [8..=9],
        topic_id: Uuid [10..],
        partitions: Vec<OffsetFetchResponsePartitions> [8..],
    }

    /// The committed offset of one partition, from version 8 on; -1 when there is none.
    struct OffsetFetchResponsePartitions {
        partition_index: i32 [8..],
        committed_offset: i64 [8..],
        committed_leader_epoch: i32 [8.., default -1],
        metadata: Option<String> [8.., null 8..],
        error_code: ErrorCode [8..],
    }
}
