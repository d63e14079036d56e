//! OffsetForLeaderEpoch: where a leader epoch ended in the leader's log.
//!
//! Version 2 brings the epoch the client knows of the leader (KIP-320), version 3 the replica id, version 4
//! is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The epochs to look up.
    message OffsetForLeaderEpochRequest (versions 2..=4, flexible 4..) {
        /// The follower that asks; -1 for a consumer, -2 when it is not known.
        replica_id: i32 [3.., default -2],
        topics: Vec<OffsetForLeaderTopic> [0..],
    }

    /// The epochs to look up in one topic.
    struct OffsetForLeaderTopic {
        topic: String [0..],
        partitions: Vec<OffsetForLeaderPartition> [0..],
    }

    /// The epoch to look up in one partition.
    struct OffsetForLeaderPartition {
        partition: i32 [0..],
        current_leader_epoch: i32 [2.., default -1],
        leader_epoch: i32 [0..],
    }

    /// The ends found.
    message OffsetForLeaderEpochResponse (versions 2..=4, flexible 4..) {
        throttle_time_ms: i32 [2..],
        topics: Vec<OffsetForLeaderTopicResult> [0..],
    }

    /// The ends found in one topic.
    struct OffsetForLeaderTopicResult {
        topic: String [0..],
        partitions: Vec<EpochEndOffset> [0..],
    }

    /// The largest epoch not above the one asked, and where it ended; -1 when there is none.
    struct EpochEndOffset {
        error_code: ErrorCode [0..],
        partition: i32 [0..],
        leader_epoch: i32 [1.., default -1],
        end_offset: i64 [0.., default -1],
    }
}
