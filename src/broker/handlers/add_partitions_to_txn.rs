//! AddPartitionsToTxn, versions 0 to 5.
//!
//! Makes partitions part of a transaction, which begins with the first. Versions 0 to 3 are the clients'; version 2
//! knows PRODUCER_FENCED. Versions 4 and 5 are the brokers': many transactions at once, to be added on behalf of clients
//! that write without asking, or only to be verified (KIP-890). If one partition does not exist none is added, and the
//! others are OPERATION_NOT_ATTEMPTED.

use std::collections::BTreeSet;

use crate::broker::call::Call;
use crate::broker::context::Context;
use crate::coordinator::verified_code;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use crate::protocol::messages::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};
use crate::transaction::{Producer, TransactionVersion};

/// First version with many transactions, which is the brokers'.
const BATCHED: i16 = 4;
/// First version that knows PRODUCER_FENCED.
const PRODUCER_FENCED: i16 = 2;

/// Adds partitions, or verifies them.
pub async fn handle(context: &Context, call: Call, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if call.api_version >= BATCHED {
        let mut results_by_transaction = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            let topic_results = add(context, &transaction, TransactionVersion::V2).await;
            let transactional_id = transaction.transactional_id;
            results_by_transaction.push(AddPartitionsToTxnResult { transactional_id, topic_results });
        }
        return AddPartitionsToTxnResponse { results_by_transaction, ..AddPartitionsToTxnResponse::default() };
    }
    let transaction = AddPartitionsToTxnTransaction {
        transactional_id: request.v3_and_below_transactional_id,
        producer_id: request.v3_and_below_producer_id,
        producer_epoch: request.v3_and_below_producer_epoch,
        verify_only: false,
        topics: request.v3_and_below_topics,
    };
    let mut results = add(context, &transaction, TransactionVersion::V1).await;
    if call.api_version < PRODUCER_FENCED {
        results.iter_mut().flat_map(|topic| &mut topic.results_by_partition).for_each(|result| {
            if result.partition_error_code == ErrorCode::ProducerFenced {
                result.partition_error_code = ErrorCode::InvalidProducerEpoch;
            }
        });
    }
    AddPartitionsToTxnResponse { results_by_topic_v3_and_below: results, ..AddPartitionsToTxnResponse::default() }
}

async fn add(
    context: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    version: TransactionVersion,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let image = context.image();
    let exists = |partition: &TopicPartition| {
        image.topic_by_name(&partition.topic).is_some_and(|topic| topic.partition(partition.partition).is_some())
    };
    let partitions: Vec<TopicPartition> = partitions(&transaction.topics).collect();
    let unknown: BTreeSet<&TopicPartition> = partitions.iter().filter(|partition| !exists(partition)).collect();
    if !unknown.is_empty() && !transaction.verify_only {
        return answer(
            &transaction.topics,
            partitions.iter().map(|partition| match unknown.contains(partition) {
                true => ErrorCode::UnknownTopicOrPartition,
                false => ErrorCode::OperationNotAttempted,
            }),
        );
    }
    let count = partitions.len();
    let outcomes = decide(context, transaction, version, partitions).await;
    answer(&transaction.topics, outcomes.unwrap_or_else(|error| vec![error; count]))
}

async fn decide(
    context: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    version: TransactionVersion,
    partitions: Vec<TopicPartition>,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    let id = transaction.transactional_id.as_str();
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let producer =
        Producer { id: ProducerId(transaction.producer_id), epoch: ProducerEpoch(transaction.producer_epoch) };
    if transaction.verify_only {
        let verified = context.transactions.verify_partitions(id, producer, &partitions).await?;
        return Ok(verified.into_iter().map(verified_code).collect());
    }
    let count = partitions.len();
    context.transactions.add_partitions(id, producer, &partitions.into_iter().collect(), version).await?;
    Ok(vec![ErrorCode::None; count])
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = TopicPartition> + '_ {
    topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|&partition| TopicPartition::new(topic.name.as_str(), partition)))
}

/// An outcome for each partition, in the order of the request.
fn answer(
    topics: &[AddPartitionsToTxnTopic],
    outcomes: impl IntoIterator<Item = ErrorCode>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut outcomes = outcomes.into_iter();
    let mut result = |&partition_index: &i32| AddPartitionsToTxnPartitionResult {
        partition_index,
        partition_error_code: outcomes.next().unwrap_or(ErrorCode::UnknownServerError),
    };
    let mut results = Vec::with_capacity(topics.len());
    for topic in topics {
        let results_by_partition = topic.partitions.iter().map(&mut result).collect();
        results.push(AddPartitionsToTxnTopicResult { name: topic.name.clone(), results_by_partition });
    }
    results
}
