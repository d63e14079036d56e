//! OffsetDelete: forgets committed offsets of a group (KIP-496).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The partitions whose offsets to forget.
    message OffsetDeleteRequest (versions 0..=0) {
        group_id: String [0..],
        topics: Vec<OffsetDeleteRequestTopic> [0..],
    }

    /// The partitions of one topic.
    struct OffsetDeleteRequestTopic {
        name: String [0..],
        partitions: Vec<OffsetDeleteRequestPartition> [0..],
    }

    /// One partition.
    struct OffsetDeleteRequestPartition {
        partition_index: i32 [0..],
    }

    /// The offsets forgotten.
    message OffsetDeleteResponse (versions 0..=0) {
        error_code: ErrorCode [0..],
        throttle_time_ms: i32 [0..],
        topics: Vec<OffsetDeleteResponseTopic> [0..],
    }

    /// The offsets forgotten in one topic.
    struct OffsetDeleteResponseTopic {
        name: String [0..],
        partitions: Vec<OffsetDeleteResponsePartition> [0..],
    }

    /// Whether the offset of one partition was forgotten.
    struct OffsetDeleteResponsePartition {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
