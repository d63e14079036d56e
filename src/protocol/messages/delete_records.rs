//! DeleteRecords: moves the start of partitions forward. Version 2 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The new starts of partitions.
    message DeleteRecordsRequest (versions 0..=2, flexible 2..) {
        topics: Vec<DeleteRecordsTopic> [0..],
        timeout_ms: i32 [0..],
    }

    /// The new starts in one topic.
    struct DeleteRecordsTopic {
        name: String [0..],
        partitions: Vec<DeleteRecordsPartition> [0..],
    }

    /// The new start of one partition.
    struct DeleteRecordsPartition {
        partition_index: i32 [0..],
        /// The first offset to keep; -1 deletes up to the high watermark.
        offset: i64 [0..],
    }

    /// Where partitions start now.
    message DeleteRecordsResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        topics: Vec<DeleteRecordsTopicResult> [0..],
    }

    /// Where the partitions of one topic start now.
    struct DeleteRecordsTopicResult {
        name: String [0..],
        partitions: Vec<DeleteRecordsPartitionResult> [0..],
    }

    /// Where one partition starts now.
    struct DeleteRecordsPartitionResult {
        partition_index: i32 [0..],
        low_watermark: i64 [0..],
        error_code: ErrorCode [0..],
    }
}
