//! A transaction's first write to a partition: nothing is appended before the transaction's coordinator has said that it
//! is ongoing (KIP-890). Clients from Produce version 12 on have the partition added that way; earlier ones have added
//! it beforehand, and it is verified, unless `transaction.partition.verification.enable` is off.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock;
use crate::coordinator::Membership;
use crate::log::VerificationGuard;
use crate::model::{ErrorCode, TopicId};
use crate::partition::{PartitionError, Replica};
use crate::protocol::messages::{ProducePartition, ProduceTopic};
use crate::record::BatchHeader;
use crate::transaction::Producer;

use super::context::Context;

/// First version of Produce that knows TRANSACTION_ABORTABLE.
const TRANSACTION_ABORTABLE: i16 = 11;
/// First version of Produce that adds partitions to the transaction.
const ADDS_PARTITIONS: i16 = 12;
/// First version of Produce that names topics by id.
const TOPIC_IDS: i16 = 13;

/// What is known of the batches of one Produce, by the place of their topic in the request and their partition.
#[derive(Debug, Default)]
pub(super) struct FirstWrites {
    by_partition: HashMap<(usize, i32), Result<VerificationGuard, ErrorCode>>,
}

impl FirstWrites {
    /// Asks the coordinator about the batches in `topics` that begin a transaction in their partitions.
    pub(super) async fn verify(context: &Context, id: &str, api_version: i16, topics: &[ProduceTopic]) -> Self {
        let mut asked: Vec<((usize, i32), Producer, Arc<Replica>, VerificationGuard)> = Vec::new();
        for (at, topic) in topics.iter().enumerate() {
            for partition in &topic.partitions {
                if let Some((producer, replica, guard)) = begin(context, api_version, topic, partition) {
                    asked.push(((at, partition.index), producer, replica, guard));
                }
            }
        }
        let mut by_partition = HashMap::with_capacity(asked.len());
        // The batches of a request are those of one producer.
        let Some((_, producer, _, _)) = asked.first() else { return Self::default() };
        let producer = *producer;
        let membership = if api_version >= ADDS_PARTITIONS { Membership::Add } else { Membership::Verify };
        let (ask, trust): (Vec<_>, Vec<_>) = asked
            .into_iter()
            .partition(|(_, _, replica, _)| membership == Membership::Add || replica.config().verifies_transactions);
        by_partition.extend(trust.into_iter().map(|(key, _, _, guard)| (key, Ok(guard))));
        let partitions: Vec<_> = ask.iter().map(|(_, _, replica, _)| replica.topic_partition().clone()).collect();
        if !partitions.is_empty() {
            let outcomes = context.transactions.join(id, producer, &partitions, membership).await;
            by_partition.extend(ask.into_iter().zip(outcomes).map(|((key, of, _, guard), outcome)| {
                let outcome = if of == producer { outcome } else { ErrorCode::InvalidProducerIdMapping };
                (key, if outcome.is_error() { Err(told(outcome, api_version)) } else { Ok(guard) })
            }));
        }
        Self { by_partition }
    }

    /// What allows the append of a batch; `None` where nothing is needed.
    pub(super) fn guard(&self, topic_at: usize, partition: i32) -> Result<Option<VerificationGuard>, ErrorCode> {
        self.by_partition.get(&(topic_at, partition)).copied().transpose()
    }
}

/// `None` for a batch that begins no transaction, or that cannot be appended for another reason.
fn begin(
    context: &Context,
    api_version: i16,
    topic: &ProduceTopic,
    partition: &ProducePartition,
) -> Option<(Producer, Arc<Replica>, VerificationGuard)> {
    let header = BatchHeader::parse(partition.records.as_ref()?).ok().filter(BatchHeader::is_transactional)?;
    let replica: Result<_, PartitionError> = match api_version >= TOPIC_IDS {
        true => context.replicas.find_by_id(TopicId(topic.topic_id), partition.index),
        false => context.replicas.find(&topic.name, partition.index),
    };
    let replica = replica.ok().filter(|replica| replica.leader_epoch().is_some())?;
    let guard = replica.start_verification(header.producer_id, header.producer_epoch, clock::wall())?;
    Some((Producer { id: header.producer_id, epoch: header.producer_epoch }, replica, guard))
}

/// What the producer is told of an error of the coordinator.
fn told(error: ErrorCode, api_version: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if api_version < TRANSACTION_ABORTABLE => ErrorCode::InvalidTxnState,
        // A producer knows nothing of coordinators here; this is an error after which it only sends again.
        retriable if retriable.is_retriable() => ErrorCode::NotEnoughReplicas,
        other => other,
    }
}
