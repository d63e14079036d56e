//! OffsetDelete, version 0.
//!
//! Deletes committed offsets of partitions that no member of the group consumes (KIP-496): those of subscribed topics
//! are GROUP_SUBSCRIBED_TO_TOPIC, and a group with members of another protocol than consumers' is NON_EMPTY_GROUP.
//! What is not committed is deleted already.

use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::model::ErrorCode;
use crate::protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

/// Deletes offsets.
pub async fn handle(context: &Context, _: Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let image = context.image();
    let exists =
        |topic: &str, partition: i32| image.topic_by_name(topic).is_some_and(|t| t.partition(partition).is_some());
    let mut partitions: Vec<(Arc<str>, i32)> = Vec::new();
    for topic in &request.topics {
        let name: Arc<str> = topic.name.as_str().into();
        let existing = topic.partitions.iter().map(|partition| partition.partition_index).filter(|&p| exists(&name, p));
        partitions.extend(existing.map(|partition| (name.clone(), partition)));
    }
    let mut decided = match context.groups.delete_offsets(&request.group_id, &partitions).await {
        Ok(decided) => decided.into_iter(),
        Err(error) => return refused(error),
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let answer = |partition_index: i32| {
            let known = exists(&topic.name, partition_index);
            let error_code = if known { decided.next() } else { None };
            let error_code = error_code.unwrap_or(ErrorCode::UnknownTopicOrPartition);
            OffsetDeleteResponsePartition { partition_index, error_code }
        };
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index).map(answer).collect();
        topics.push(OffsetDeleteResponseTopic { name: topic.name, partitions });
    }
    OffsetDeleteResponse { error_code: ErrorCode::None, throttle_time_ms: 0, topics }
}

fn refused(error_code: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code, ..OffsetDeleteResponse::default() }
}
