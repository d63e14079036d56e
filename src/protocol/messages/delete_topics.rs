//! DeleteTopics: ?

use crate::model::{ErrorCode, Uuid};
use crate::protocol::schema::schema;

schema! {
    message DeleteTopicsRequest (versions 0..=6, flexible 4..) {
        topics: Vec<DeleteTopicState> [6..],
        topic_names: Vec<String> [0..=5],
        timeout_ms: i32 [0..],
    }

    struct DeleteTopicState {
        name: Option<String> [6.., null 6..],
        topic_id: Uuid [6..],
    }

    message DeleteTopicsResponse (versions 0..=6, flexible 4..) {
        throttle_time_ms: i32 [1..],
        responses: Vec<DeletableTopicResult> [0..],
    }

    struct DeletableTopicResult {
        name: Option<String> [0.., null 6..],
        topic_id: Uuid [6..],
        error_code: ErrorCode [0..],
        error_message: Option<String> [5.., null 5..],
    }
}
