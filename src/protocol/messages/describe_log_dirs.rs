//! DescribeLogDirs: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message DescribeLogDirsRequest (versions 0..=5, flexible 2..) {
        topics: Option<Vec<DescribableLogDirTopic>> [0.., null 0..],
    }

    struct DescribableLogDirTopic {
        topic: String [0..],
        partitions: Vec<i32> [0..],
    }

    message DescribeLogDirsResponse (versions 0..=5, flexible 2..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [3..],
        results: Vec<DescribeLogDirsResult> [0..],
    }

    struct DescribeLogDirsResult {
        error_code: ErrorCode [0..],
        log_dir: String [0..],
        topics: Vec<DescribeLogDirsTopic> [0..],
        total_bytes: i64 [4.., default -1],
        usable_bytes: i64 [4.., default -1],
        is_cordoned: bool [5..],
    }

    struct DescribeLogDirsTopic {
        name: String [0..],
        partitions: Vec<DescribeLogDirsPartition> [0..],
    }

    struct DescribeLogDirsPartition {
        partition_index: i32 [0..],
        partition_size: i64 [0..],
        offset_lag: i64 [0..],
        is_future_key: bool [0..],
    }
}
