//! ListPartitionReassignments: the moves of partitions that are under way (KIP-455).

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The partitions asked; null for all of them.
    message ListPartitionReassignmentsRequest (versions 0..=0, flexible 0..) {
        timeout_ms: i32 [0.., default 60000],
        topics: Option<Vec<ListPartitionReassignmentsTopics>> [0.., null 0..],
    }

    /// The partitions asked of one topic.
    struct ListPartitionReassignmentsTopics {
        name: String [0..],
        partition_indexes: Vec<i32> [0..],
    }

    /// The moves under way.
    message ListPartitionReassignmentsResponse (versions 0..=0, flexible 0..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
        topics: Vec<OngoingTopicReassignment> [0..],
    }

    /// The moves under way in one topic.
    struct OngoingTopicReassignment {
        name: String [0..],
        partitions: Vec<OngoingPartitionReassignment> [0..],
    }

    /// The move of one partition.
    struct OngoingPartitionReassignment {
        partition_index: i32 [0..],
        replicas: Vec<i32> [0..],
        adding_replicas: Vec<i32> [0..],
        removing_replicas: Vec<i32> [0..],
    }
}
