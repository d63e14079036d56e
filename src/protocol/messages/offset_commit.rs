//! OffsetCommit: stores how far a group has consumed.
//!
//! | from | brings |
//! |------|--------|
//! | 2 | retention time, until version 4 |
//! | 6 | the leader epoch of the committed offset (KIP-320) |
//! | 7 | static members (KIP-345) |
//! | 8 | flexible |
//! | 9 | members of consumer groups with their epoch (KIP-848) |
//! | 10 | topic ids instead of names (KIP-848) |

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The offsets that a group has reached.
    message OffsetCommitRequest (versions 2..=10, flexible 8..) {
        group_id: String [0..],
        /// Generation of a classic group, member epoch of a consumer group; -1 for a client that is in no group.
        generation_id_or_member_epoch: i32 [1.., default -1],
        member_id: String [1..],
        group_instance_id: Option<String> [7.., null 7..],
        retention_time_ms: i64 [2..=4, default -1],
        topics: Vec<OffsetCommitRequestTopic> [0..],
    }

    /// The offsets reached in one topic.
    struct OffsetCommitRequestTopic {
        name: String [0..=9],
        topic_id: Uuid [10..],
        partitions: Vec<OffsetCommitRequestPartition> [0..],
    }

    /// The offset reached in one partition.
    struct OffsetCommitRequestPartition {
        partition_index: i32 [0..],
        committed_offset: i64 [0..],
        committed_leader_epoch: i32 [6.., default -1],
        committed_metadata: Option<String> [0.., null 0..],
    }

    /// Which offsets were stored.
    message OffsetCommitResponse (versions 2..=10, flexible 8..) {
        throttle_time_ms: i32 [3..],
        topics: Vec<OffsetCommitResponseTopic> [0..],
    }

    /// Which offsets of one topic were stored.
    struct OffsetCommitResponseTopic {
        name: String [0..=9],
        topic_id: Uuid [10..],
        partitions: Vec<OffsetCommitResponsePartition> [0..],
    }

    /// Whether the offset of one partition was stored.
    struct OffsetCommitResponsePartition {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
