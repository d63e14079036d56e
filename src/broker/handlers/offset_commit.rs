//! OffsetCommit, versions 2 to 10.
//!
//! Commits offsets of a member of the current generation, or of a simple consumer (generation -1, no member id)
//! while the group has no members. The answer comes when they are committed to the log. Versions 2 to 4 may set a
//! retention time, 6 has leader epochs (KIP-320), 7 static members (KIP-345), 8 is flexible, 9 answers
//! GROUP_ID_NOT_FOUND where earlier ones said ILLEGAL_GENERATION and is for members of the consumer protocol, which bring
//! their member epoch (KIP-848), 10 names topics by id.

use std::sync::Arc;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::coordinator::OffsetCommitError;
use crate::group::{OffsetCommit, OffsetCommitPartition};
use crate::metadata::{ClusterImage, TopicImage};
use crate::model::{ErrorCode, TopicId};
use crate::protocol::messages::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

const GROUP_ID_NOT_FOUND: i16 = 9;
const MEMBER_EPOCHS: i16 = 9;
const TOPIC_IDS: i16 = 10;
/// "The broker's own retention."
const NO_RETENTION_TIME: i64 = -1;

/// Commits offsets.
pub async fn handle(context: &Context, call: Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let image = context.image();
    let mut partitions = Vec::new();
    // The answer as far as it is known: `None` where the group has to be asked.
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let found = find(&image, call.api_version, topic);
        let mut check = |partition: &OffsetCommitRequestPartition| match &found {
            Err(error) => Some(*error),
            Ok(known) if known.partition(partition.partition_index).is_none() => {
                Some(ErrorCode::UnknownTopicOrPartition)
            }
            Ok(known) => {
                partitions.push(commit_partition(known, partition));
                None
            }
        };
        answers.push(topic.partitions.iter().map(&mut check).collect::<Vec<_>>());
    }
    let decided = commit(context, &call, &request, partitions).await;
    response(request, answers, decided)
}

fn find(image: &ClusterImage, version: i16, topic: &OffsetCommitRequestTopic) -> Result<Arc<TopicImage>, ErrorCode> {
    if version >= TOPIC_IDS {
        image.topic(TopicId(topic.topic_id)).cloned().ok_or(ErrorCode::UnknownTopicId)
    } else {
        image.topic_by_name(&topic.name).cloned().ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

fn commit_partition(topic: &TopicImage, partition: &OffsetCommitRequestPartition) -> OffsetCommitPartition {
    OffsetCommitPartition {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone(),
    }
}

/// The outcome for each partition that exists, in order.
async fn commit(
    context: &Context,
    call: &Call,
    request: &OffsetCommitRequest,
    partitions: Vec<OffsetCommitPartition>,
) -> Vec<ErrorCode> {
    let count = partitions.len();
    if count == 0 {
        return Vec::new();
    }
    let commit = OffsetCommit {
        member_id: request.member_id.clone(),
        group_instance_id: request.group_instance_id.clone(),
        generation: request.generation_id_or_member_epoch,
        knows_member_epochs: call.api_version >= MEMBER_EPOCHS,
        retention_time_ms: Some(request.retention_time_ms).filter(|&ms| ms != NO_RETENTION_TIME),
        partitions,
    };
    match context.groups.commit_offsets(&request.group_id, &commit).await {
        Ok(errors) => errors,
        Err(OffsetCommitError::Refused(error)) => vec![error; count],
        Err(OffsetCommitError::NoSuchGroup) if call.api_version >= GROUP_ID_NOT_FOUND => {
            vec![ErrorCode::GroupIdNotFound; count]
        }
        Err(OffsetCommitError::NoSuchGroup) => vec![ErrorCode::IllegalGeneration; count],
    }
}

fn response(
    request: OffsetCommitRequest,
    answers: Vec<Vec<Option<ErrorCode>>>,
    decided: Vec<ErrorCode>,
) -> OffsetCommitResponse {
    let mut decided = decided.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic, answers) in request.topics.into_iter().zip(answers) {
        let partitions = topic.partitions.iter().zip(answers).map(|(partition, answer)| {
            let error_code = answer.or_else(|| decided.next()).unwrap_or(ErrorCode::UnknownServerError);
            OffsetCommitResponsePartition { partition_index: partition.partition_index, error_code }
        });
        let partitions = partitions.collect();
        topics.push(OffsetCommitResponseTopic { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    OffsetCommitResponse { throttle_time_ms: 0, topics }
}
