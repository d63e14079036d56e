//! ListOffsets: finds offsets by time, or at the ends of a partition.
//!
//! | from | brings |
//! |------|--------|
//! | 1 | one offset per partition; version 0 answered with several and has no schema here |
//! | 2 | isolation level |
//! | 4 | leader epochs (KIP-320) |
//! | 6 | flexible |
//! | 7 | timestamp -3, the record with the largest timestamp (KIP-734) |
//! | 8 | timestamp -4, the earliest local offset (KIP-405) |
//! | 9 | timestamp -5, the last tiered offset (KIP-1005) |
//! | 10 | a time-out for remote reads (KIP-1075) |
//! | 11 | timestamp -6, the earliest offset not yet tiered (KIP-1023) |

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Timestamps to look up.
    message ListOffsetsRequest (versions 1..=11, flexible 6..) {
        /// The follower that asks; -1 for a consumer.
        replica_id: i32 [0..],
        /// 0 read_uncommitted, 1 read_committed.
        isolation_level: i8 [2..],
        topics: Vec<ListOffsetsTopic> [0..],
        timeout_ms: i32 [10..],
    }

    /// Timestamps to look up in one topic.
    struct ListOffsetsTopic {
        name: String [0..],
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    /// The timestamp to look up in one partition.
    struct ListOffsetsPartition {
        partition_index: i32 [0..],
        current_leader_epoch: i32 [4.., default -1],
        /// Milliseconds since the Unix epoch, or a special one: -1 latest, -2 earliest, and those of the table
        /// above.
        timestamp: i64 [0..],
    }

    /// The offsets found.
    message ListOffsetsResponse (versions 1..=11, flexible 6..) {
        throttle_time_ms: i32 [2..],
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    /// The offsets found in one topic.
    struct ListOffsetsTopicResponse {
        name: String [0..],
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    /// The offset found in one partition; -1 when there is none.
    struct ListOffsetsPartitionResponse {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
        timestamp: i64 [1.., default -1],
        offset: i64 [1.., default -1],
        leader_epoch: i32 [4.., default -1],
    }
}
