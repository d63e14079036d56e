//! OffsetForLeaderEpoch: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message OffsetForLeaderEpochRequest (versions 2..=4, flexible 4..) {
        replica_id: i32 [3.., default -2],
        topics: Vec<OffsetForLeaderTopic> [0..],
    }

    struct OffsetForLeaderTopic {
        topic: String [0..],
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    struct OffsetForLeaderPartition {
        partition: i32 [0..],
        current_leader_epoch: i32 [2.., default -1],
        leader_epoch: i32 [0..],
    }

    message OffsetForLeaderEpochResponse (versions 2..=4, flexible 4..) {
        throttle_time_ms: i32 [2..],
        topics: Vec<OffsetForLeaderTopicResult> [0..],
    }

    struct OffsetForLeaderTopicResult {
        topic: String [0..],
        partitions: Vec<EpochEndOffset> [0..],
    }

    struct EpochEndOffset {
        error_code: ErrorCode [0..],
        partition: i32 [0..],
        leader_epoch: i32 [1.., default -1],
        end_offset: i64 [0.., default -1],
    }
}
