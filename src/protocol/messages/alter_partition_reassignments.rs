//! AlterPartitionReassignments: moves partitions to other brokers (KIP-455).
//!
//! Version 1 can forbid that the replication factor changes on the way (KIP-860).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// Where replicas shall be.
    message AlterPartitionReassignmentsRequest (versions 0..=1, flexible 0..) {
        timeout_ms: i32 [0.., default 60000],
        allow_replication_factor_change: bool [1.., default true],
        topics: Vec<ReassignableTopic> [0..],
    }

    /// Where the replicas of one topic shall be.
    struct ReassignableTopic {
        name: String [0..],
        partitions: Vec<ReassignablePartition> [0..],
    }

    /// Where the replicas of one partition shall be; null ends its move.
    struct ReassignablePartition {
        partition_index: i32 [0..],
        replicas: Option<Vec<i32>> [0.., null 0..],
    }

    /// The moves begun.
    message AlterPartitionReassignmentsResponse (versions 0..=1, flexible 0..) {
        throttle_time_ms: i32 [0..],
        allow_replication_factor_change: bool [1.., default true],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        responses: Vec<ReassignableTopicResponse> [0..],
    }

    /// The moves begun in one topic.
    struct ReassignableTopicResponse {
        name: String [0..],
        partitions: Vec<ReassignablePartitionResponse> [0..],
    }

    /// Whether the move of one partition has begun.
    struct ReassignablePartitionResponse {
        partition_index: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
