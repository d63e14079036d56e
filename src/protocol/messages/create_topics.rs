//! CreateTopics: creates topics.
//!
//! | from | brings |
//! |------|--------|
//! | 1 | `validate_only`, error messages |
//! | 4 | -1 for the broker's default number of partitions and replicas (KIP-464) |
//! | 5 | flexible; the configuration of the new topic in the answer (KIP-525) |
//! | 7 | the topic id in the answer (KIP-516) |

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The topics to create.
    message CreateTopicsRequest (versions 0..=7, flexible 5..) {
        topics: Vec<CreatableTopic> [0..],
        timeout_ms: i32 [0.., default 60000],
        validate_only: bool [1..],
    }

    /// A topic to create.
    struct CreatableTopic {
        name: String [0..],
        /// -1 for the broker's default, or when there are assignments.
        num_partitions: i32 [0..],
        /// -1 for the broker's default, or when there are assignments.
        replication_factor: i16 [0..],
        assignments: Vec<CreatableReplicaAssignment> [0..],
        configs: Vec<CreatableTopicConfig> [0..],
    }

    /// Where the replicas of one partition shall be.
    struct CreatableReplicaAssignment {
        partition_index: i32 [0..],
        broker_ids: Vec<i32> [0..],
    }

    /// A configuration value for a new topic.
    struct CreatableTopicConfig {
        name: String [0..],
        value: Option<String> [0.., null 0..],
    }

    /// The topics created.
    message CreateTopicsResponse (versions 0..=7, flexible 5..) {
        throttle_time_ms: i32 [2..],
        topics: Vec<CreatableTopicResult> [0..],
    }

    /// What became of one topic.
    struct CreatableTopicResult {
        name: String [0..],
        topic_id: Uuid [7..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [1.., null 0..],
        topic_config_error_code: ErrorCode [5.., tag 0],
        num_partitions: i32 [5.., default -1],
        replication_factor: i16 [5.., default -1],
        configs: Option<Vec<CreatableTopicConfigs>> [5.., null 5..],
    }

    /// A configuration value of the new topic.
    struct CreatableTopicConfigs {
        name: String [5..],
        value: Option<String> [5.., null 5..],
        read_only: bool [5..],
        config_source: i8 [5.., default -1],
        is_sensitive: bool [5..],
    }
}
