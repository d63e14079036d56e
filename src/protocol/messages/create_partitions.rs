//! CreatePartitions: adds partitions to topics. Version 2 is flexible.

use crate::model::ErrorCode;
use crate::protocol::schema::schema;

schema! {
    /// The topics to enlarge.
    message CreatePartitionsRequest (versions 0..=3, flexible 2..) {
        topics: Vec<CreatePartitionsTopic> [0..],
        timeout_ms: i32 [0..],
        validate_only: bool [0..],
    }

    /// A topic to enlarge.
    struct CreatePartitionsTopic {
        name: String [0..],
        /// The number of partitions after the change.
        count: i32 [0..],
        assignments: Option<Vec<CreatePartitionsAssignment>> [0.., null 0..],
    }

    /// Where the replicas of one new partition shall be.
    struct CreatePartitionsAssignment {
        broker_ids: Vec<i32> [0..],
    }

    /// The topics enlarged.
    message CreatePartitionsResponse (versions 0..=3, flexible 2..) {
        throttle_time_ms: i32 [0..],
        results: Vec<CreatePartitionsTopicResult> [0..],
    }

    /// What became of one topic.
    struct CreatePartitionsTopicResult {
        name: String [0..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [0.., null 0..],
    }
}
