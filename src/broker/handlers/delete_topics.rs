//! DeleteTopics, versions 0 to 6.
//!
//! Topics are named by name; from version 6 on by name or by id (KIP-516), never by both. Version 1 brings the throttle
//! time, version 4 is flexible, version 5 has error messages. With `delete.topic.enable=false` nothing is deleted:
//! TOPIC_DELETION_DISABLED, and INVALID_REQUEST before version 3. The records are gone from this broker's view when
//! the answer comes; their files are removed a little later.
//!
//! The partitions count against `controller_mutation_rate` (KIP-599). From version 5 on a topic that exceeds it gets
//! THROTTLING_QUOTA_EXCEEDED; for earlier versions it is deleted, and the client waits afterwards.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::broker::controller_answers::{Refused, ask, error_code, message, unexpected};
use crate::broker::quotas::mutation_quota;
use crate::config;
use crate::model::{ErrorCode, Uuid};
use crate::partition;
use crate::protocol::messages::{DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use crate::rpc::metadata::{
    DeletableTopic, DeleteTopics, TopicResult, deletable_topic::Topic, metadata_command, metadata_reply,
};

/// The version from which on clients understand that a topic exceeds their quota.
const STRICT_SINCE: i16 = 5;

/// Deletes topics.
pub async fn handle(context: &Context, call: Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let by_name = |name| DeleteTopicState { name: Some(name), topic_id: Uuid::ZERO };
    let asked: Vec<DeleteTopicState> = match call.api_version {
        6.. => request.topics,
        _ => request.topic_names.into_iter().map(by_name).collect(),
    };
    if !is_enabled(context) {
        return all_refused(asked, &disabled(call.api_version));
    }
    let (asked, twice_named): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|topic| topic.name.is_none() || topic.topic_id.is_zero());
    let mut response = delete(context, &call, asked, request.timeout_ms).await;
    let refused = Refused::new(ErrorCode::InvalidRequest, "a topic is named by its name or by its id, not by both");
    response.responses.extend(all_refused(twice_named, &refused).responses);
    response.throttle_time_ms = call.throttle.throttle_time_ms();
    response
}

fn is_enabled(context: &Context) -> bool {
    let image = context.image();
    let layers = partition::broker_layers(&image, context.broker_id, &context.settings);
    config::effective_broker_value(layers.layers(), "delete.topic.enable").as_deref() != Some("false")
}

fn disabled(api_version: i16) -> Refused {
    let error_code = if api_version < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
    Refused::new(error_code, "delete.topic.enable is false")
}

async fn delete(context: &Context, call: &Call, asked: Vec<DeleteTopicState>, timeout_ms: i32) -> DeleteTopicsResponse {
    let quota = Some(mutation_quota(call.client_id.as_deref(), call.api_version >= STRICT_SINCE));
    let command = DeleteTopics { topics: asked.iter().map(wanted).collect(), quota, ..DeleteTopics::default() };
    match ask(context, metadata_command::Kind::DeleteTopics(command), timeout_ms).await {
        Ok(metadata_reply::Kind::DeleteTopics(reply)) => {
            call.throttle.raise_for(reply.spent.as_ref());
            let responses = reply.topics.into_iter().map(outcome).collect();
            DeleteTopicsResponse { throttle_time_ms: 0, responses }
        }
        Ok(_) => all_refused(asked, &unexpected()),
        Err(refused) => all_refused(asked, &refused),
    }
}

fn wanted(topic: &DeleteTopicState) -> DeletableTopic {
    let by_id = || (!topic.topic_id.is_zero()).then(|| Topic::TopicId(topic.topic_id.0.to_vec().into()));
    DeletableTopic { topic: topic.name.clone().map(Topic::Name).or_else(by_id) }
}

fn outcome(result: TopicResult) -> DeletableTopicResult {
    let topic_id = <[u8; 16]>::try_from(result.topic_id.as_ref()).map_or(Uuid::ZERO, Uuid);
    DeletableTopicResult {
        name: result.name,
        topic_id,
        error_code: error_code(result.error_code),
        error_message: message(result.error_message),
    }
}

fn all_refused(asked: Vec<DeleteTopicState>, refused: &Refused) -> DeleteTopicsResponse {
    let failed = |topic: DeleteTopicState| DeletableTopicResult {
        name: topic.name,
        topic_id: topic.topic_id,
        error_code: refused.error_code,
        error_message: refused.error_message.clone(),
    };
    DeleteTopicsResponse { throttle_time_ms: 0, responses: asked.into_iter().map(failed).collect() }
}
