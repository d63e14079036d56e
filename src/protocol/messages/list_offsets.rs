//! ListOffsets: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message ListOffsetsRequest (versions 1..=11, flexible 6..) {
        replica_id: i32 [0..],
        isolation_level: i8 [2..],
        topics: Vec<ListOffsetsTopic> [0..],
        timeout_ms: i32 [10..],
    }

    struct ListOffsetsTopic {
        name: String [0..],
        partitions: Vec<ListOffsetsPartition> [0..],
    }

    struct ListOffsetsPartition {
        partition_index: i32 [0..],
        current_leader_epoch: i32 [4.., default -1],
        timestamp: i64 [0..],
    }

    message ListOffsetsResponse (versions 1..=11, flexible 6..) {
        throttle_time_ms: i32 [2..],
        topics: Vec<ListOffsetsTopicResponse> [0..],
    }

    struct ListOffsetsTopicResponse {
        name: String [0..],
        partitions: Vec<ListOffsetsPartitionResponse> [0..],
    }

    struct ListOffsetsPartitionResponse {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
        timestamp: i64 [1.., default -1],
        offset: i64 [1.., default -1],
        leader_epoch: i32 [4.., default -1],
    }
}
