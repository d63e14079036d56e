//! TxnOffsetCommit: stores how far a group has consumed, once the transaction commits.
//!
//! Version 2 brings leader epochs, version 3 is flexible and brings member and generation (KIP-447).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The offsets that a group will have reached.
    message TxnOffsetCommitRequest (versions 0..=5, flexible 3..) {
        transactional_id: String [0..],
        group_id: String [0..],
        producer_id: i64 [0..],
        producer_epoch: i16 [0..],
        generation_id: i32 [3.., default -1],
        member_id: String [3..],
        group_instance_id: Option<String> [3.., null 3..],
        topics: Vec<TxnOffsetCommitRequestTopic> [0..],
    }

    /// The offsets in one topic.
    struct TxnOffsetCommitRequestTopic {
        name: String [0..],
        partitions: Vec<TxnOffsetCommitRequestPartition> [0..],
    }

    /// The offset in one partition.
    struct TxnOffsetCommitRequestPartition {
        partition_index: i32 [0..],
        committed_offset: i64 [0..],
        committed_leader_epoch: i32 [2.., default -1],
        committed_metadata: Option<String> [0.., null 0..],
    }

    /// Which offsets were taken.
    message TxnOffsetCommitResponse (versions 0..=5, flexible 3..) {
        throttle_time_ms: i32 [0..],
        topics: Vec<TxnOffsetCommitResponseTopic> [0..],
    }

    /// Which offsets of one topic were taken.
    struct TxnOffsetCommitResponseTopic {
        name: String [0..],
        partitions: Vec<TxnOffsetCommitResponsePartition> [0..],
    }

    /// Whether the offset of one partition was taken.
    struct TxnOffsetCommitResponsePartition {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
    }
}
