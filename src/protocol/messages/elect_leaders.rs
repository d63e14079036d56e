//! ElectLeaders: elects leaders anew. Version 1 brings the type of election (KIP-460), version 2 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The partitions to elect leaders for; null for all of them.
    message ElectLeadersRequest (versions 0..=2, flexible 2..) {
        /// 0 preferred, 1 unclean.
        election_type: i8 [1..],
        topic_partitions: Option<Vec<ElectLeadersTopic>> [0.., null 0..],
        timeout_ms: i32 [0.., default 60000],
    }

    /// The partitions of one topic.
    struct ElectLeadersTopic {
        topic: String [0..],
        partitions: Vec<i32> [0..],
    }

    /// The elections.
    message ElectLeadersResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [1..],
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    /// The elections in one topic.
    struct ReplicaElectionResult {
        topic: String [0..],
        partition_result: Vec<ReplicaElectionPartitionResult> [0..],
    }

    /// The election in one partition.
    struct ReplicaElectionPartitionResult {
        partition_id: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
