//! DescribeLogDirs: sizes of the replicas in a broker's log directories.
//!
//! Version 2 is flexible, version 3 brings a top-level error, version 4 the size of the volume (KIP-827),
//! version 5 whether a directory is cordoned (KIP-1066).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The partitions asked; null for all of them.
    message DescribeLogDirsRequest (versions 0..=5, flexible 2..) {
        topics: Option<Vec<DescribableLogDirTopic>> [0.., null 0..],
    }

    /// The partitions asked of one topic.
    struct DescribableLogDirTopic {
        topic: String [0..],
        partitions: Vec<i32> [0..],
    }

    /// The log directories.
    message DescribeLogDirsResponse (versions 0..=5, flexible 2..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [3..],
        results: Vec<DescribeLogDirsResult> [0..],
    }

    /// One log directory.
    struct DescribeLogDirsResult {
        error_code: ErrorCode [0..],
        log_dir: String [0..],
        topics: Vec<DescribeLogDirsTopic> [0..],
        total_bytes: i64 [4.., default -1],
        usable_bytes: i64 [4.., default -1],
        is_cordoned: bool [5..],
    }

    /// The replicas of one topic in a log directory.
    struct DescribeLogDirsTopic {
        name: String [0..],
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    /// One replica in a log directory.
    struct DescribeLogDirsPartition {
        partition_index: i32 [0..],
        partition_size: i64 [0..],
        /// How far the replica is behind.
        offset_lag: i64 [0..],
        is_future_key: bool [0..],
        /// Ours: below this offset a compacted partition holds one record of a key; -1 where it is not compacted.
        cleaned_offset: i64 [2.., default -1, tag 20000],
    }
}
