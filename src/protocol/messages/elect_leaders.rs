//! ElectLeaders: ?

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    message ElectLeadersRequest (versions 0..=2, flexible 2..) {
        election_type: i8 [1..],
        topic_partitions: Option<Vec<ElectLeadersTopic>> [0.., null 0..],
        timeout_ms: i32 [0.., default 60000],
    }

    struct ElectLeadersTopic {
        topic: String [0..],
        partitions: Vec<i32> [0..],
    }

    message ElectLeadersResponse (versions 0..=2, flexible 2..) {
        throttle_time_ms: i32 [0..],
        error_code: ErrorCode [1..],
        replica_election_results: Vec<ReplicaElectionResult> [0..],
    }

    struct ReplicaElectionResult {
        topic: String [0..],
        partition_result: Vec<ReplicaElectionPartitionResult> [0..],
    }

    struct ReplicaElectionPartitionResult {
        partition_id: i32 [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
