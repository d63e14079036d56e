//! AlterReplicaLogDirs: into which of a broker's log directories its replicas are to move (KIP-113).
//!
//! Version 2 is flexible. Version 0 is gone since Kafka 4.0.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// What is to move.
    message AlterReplicaLogDirsRequest (versions 1..=2, flexible 2..) {
        dirs: Vec<AlterReplicaLogDir> [1..],
    }

    /// What is to move to one directory.
    struct AlterReplicaLogDir {
        /// An absolute path.
        path: String [1..],
        topics: Vec<AlterReplicaLogDirTopic> [1..],
    }

    /// The partitions of one topic that are to move to it.
    struct AlterReplicaLogDirTopic {
        name: String [1..],
        partitions: Vec<i32> [1..],
    }

    /// What became of it.
    message AlterReplicaLogDirsResponse (versions 1..=2, flexible 2..) {
        throttle_time_ms: i32 [1..],
        results: Vec<AlterReplicaLogDirTopicResult> [1..],
    }

    /// What became of one topic.
    struct AlterReplicaLogDirTopicResult {
        topic_name: String [1..],
        partitions: Vec<AlterReplicaLogDirPartitionResult> [1..],
    }

    /// What became of one partition.
    struct AlterReplicaLogDirPartitionResult {
        partition_index: i32 [1..],
        error_code: ErrorCode [1..],
    }
}
