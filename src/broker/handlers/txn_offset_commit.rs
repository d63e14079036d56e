//! TxnOffsetCommit, versions 0 to 5.
//!
//! Commits offsets of a group as part of a transaction: they count when it is committed. Version 2 has leader epochs, 3
//! is flexible and names member and generation, which must be current (KIP-447), 4 knows TRANSACTION_ABORTABLE, 5 adds
//! the group to the transaction without AddOffsetsToTxn (KIP-890). Before the first offsets of a transaction are taken,
//! its coordinator is asked whether they belong to it.

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::coordinator::Membership;
use crate::group::{OffsetCommit, OffsetCommitPartition};
use crate::log::VerificationGuard;
use crate::metadata::TopicImage;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId};
use crate::protocol::messages::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
};
use crate::transaction::Producer;

/// First version that knows TRANSACTION_ABORTABLE.
const TRANSACTION_ABORTABLE: i16 = 4;
/// First version that adds the group to the transaction.
const ADDS_THE_GROUP: i16 = 5;

/// Commits offsets with a transaction.
pub async fn handle(context: &Context, call: Call, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let image = context.image();
    let mut partitions = Vec::new();
    // The answer as far as it is known: `None` where the group has to be asked.
    let mut answers = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let known = image.topic_by_name(&topic.name);
        let mut check = |partition: &TxnOffsetCommitRequestPartition| match known {
            Some(known) if known.partition(partition.partition_index).is_some() => {
                partitions.push(commit_partition(known, partition));
                None
            }
            _ => Some(ErrorCode::UnknownTopicOrPartition),
        };
        answers.push(topic.partitions.iter().map(&mut check).collect::<Vec<_>>());
    }
    let count = partitions.len();
    let decided = match count {
        0 => Ok(Vec::new()),
        _ => commit(context, &call, &request, partitions).await,
    };
    respond(request, answers, decided.unwrap_or_else(|error| vec![error; count]))
}

fn commit_partition(topic: &TopicImage, partition: &TxnOffsetCommitRequestPartition) -> OffsetCommitPartition {
    OffsetCommitPartition {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.clone(),
    }
}

async fn commit(
    context: &Context,
    call: &Call,
    request: &TxnOffsetCommitRequest,
    partitions: Vec<OffsetCommitPartition>,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    if request.transactional_id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let producer = Producer { id: ProducerId(request.producer_id), epoch: ProducerEpoch(request.producer_epoch) };
    let guard = verify(context, call.api_version, request, producer).await?;
    let commit = OffsetCommit {
        knows_member_epochs: true,
        member_id: request.member_id.clone(),
        group_instance_id: request.group_instance_id.clone(),
        generation: request.generation_id,
        retention_time_ms: None,
        partitions,
    };
    context.groups.commit_transactional_offsets(&request.group_id, producer, &commit, guard).await
}

/// Asks the transaction's coordinator, unless the transaction is known to go on.
async fn verify(
    context: &Context,
    version: i16,
    request: &TxnOffsetCommitRequest,
    producer: Producer,
) -> Result<Option<VerificationGuard>, ErrorCode> {
    let Some(guard) = context.groups.start_verification(&request.group_id, producer)? else { return Ok(None) };
    let partition = context.groups.partition_of(&request.group_id).await?;
    let replica = context.replicas.find(&partition.topic, partition.partition);
    let verifies = replica.is_ok_and(|replica| replica.config().verifies_transactions);
    let membership = if version >= ADDS_THE_GROUP { Membership::Add } else { Membership::Verify };
    if membership == Membership::Add || verifies {
        let id = &request.transactional_id;
        let outcomes = context.transactions.join(id, producer, &[partition], membership).await;
        outcomes.into_iter().find(|error| error.is_error()).map_or(Ok(()), |error| Err(told(error, version)))?;
    }
    Ok(Some(guard))
}

/// What the client is told of an error of the transaction's coordinator.
fn told(error: ErrorCode, version: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if version < TRANSACTION_ABORTABLE => ErrorCode::InvalidTxnState,
        // It would look for the group's coordinator elsewhere.
        retriable if retriable.is_retriable() => ErrorCode::CoordinatorLoadInProgress,
        other => other,
    }
}

fn respond(
    request: TxnOffsetCommitRequest,
    answers: Vec<Vec<Option<ErrorCode>>>,
    decided: Vec<ErrorCode>,
) -> TxnOffsetCommitResponse {
    let mut decided = decided.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for (topic, answers) in request.topics.into_iter().zip(answers) {
        let partitions = topic.partitions.iter().zip(answers).map(|(partition, answer)| {
            let error_code = answer.or_else(|| decided.next()).unwrap_or(ErrorCode::UnknownServerError);
            TxnOffsetCommitResponsePartition { partition_index: partition.partition_index, error_code }
        });
        let partitions = partitions.collect();
        topics.push(TxnOffsetCommitResponseTopic { name: topic.name, partitions });
    }
    TxnOffsetCommitResponse { throttle_time_ms: 0, topics }
}
