//! DeleteTopics: deletes topics.
//!
//! Version 4 is flexible, version 5 brings error messages, version 6 topic ids beside names (KIP-516).

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    /// The topics to delete; by name until version 5, by name or id from version 6 on.
    message DeleteTopicsRequest (versions 0..=6, flexible 4..) {
        topics: Vec<DeleteTopicState> [6..],
        topic_names: Vec<String> [0..=5],
        timeout_ms: i32 [0..],
    }

    /// A topic to delete.
    struct DeleteTopicState {
        name: Option<String> [6.., null 6..],
        topic_id: Uuid [6..],
    }

    /// The topics deleted.
    message DeleteTopicsResponse (versions 0..=6, flexible 4..) {
        throttle_time_ms: i32 [1..],
        responses: Vec<DeletableTopicResult> [0..],
    }

    /// What became of one topic.
    struct DeletableTopicResult {
        name: Option<String> [0.., null 6..],
        topic_id: Uuid [6..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [5.., null 5..],
    }
}
