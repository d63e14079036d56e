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

/// A batch that begins a transaction in its partition.
struct FirstWrite {
    place: (usize, i32),
    producer: Producer,
    header: BatchHeader,
    replica: Arc<Replica>,
    guard: VerificationGuard,
}

impl FirstWrites {
    /// Asks the coordinator about the batches in `topics` that begin a transaction in their partitions.
    pub(super) async fn verify(context: &Context, id: &str, api_version: i16, topics: &[ProduceTopic]) -> Self {
        let places = topics.iter().enumerate().flat_map(|(at, topic)| {
            topic.partitions.iter().filter_map(move |partition| begin(context, api_version, (at, topic), partition))
        });
        let first_writes: Vec<FirstWrite> = places.collect();
        let membership = if api_version >= ADDS_PARTITIONS { Membership::Add } else { Membership::Verify };
        let (ask, trust): (Vec<_>, Vec<_>) = first_writes.into_iter().partition(|first_write| {
            membership == Membership::Add || first_write.replica.config().verifies_transactions
        });
        let mut by_partition: HashMap<_, _> =
            trust.into_iter().map(|first_write| (first_write.place, Ok(first_write.guard))).collect();
        // The batches of a request are those of one producer.
        let Some(producer) = ask.first().map(|first_write| first_write.producer) else { return Self { by_partition } };
        let partitions: Vec<_> = ask.iter().map(|first_write| first_write.replica.topic_partition().clone()).collect();
        let outcomes = context.transactions.join(id, producer, &partitions, membership).await;
        by_partition.extend(ask.into_iter().zip(outcomes).map(|(first_write, outcome)| {
            let FirstWrite { place, producer: of, header, replica, guard } = first_write;
            let outcome = if of == producer { outcome } else { ErrorCode::InvalidProducerIdMapping };
            if outcome.is_retriable() {
                replica.note_refused(&header, clock::wall());
            }
            (place, if outcome.is_error() { Err(told(outcome, api_version)) } else { Ok(guard) })
        }));
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
    (topic_at, topic): (usize, &ProduceTopic),
    partition: &ProducePartition,
) -> Option<FirstWrite> {
    let header = BatchHeader::parse(partition.records.as_ref()?).ok().filter(BatchHeader::is_transactional)?;
    let replica: Result<_, PartitionError> = match api_version >= TOPIC_IDS {
        true => context.replicas.find_by_id(TopicId(topic.topic_id), partition.index),
        false => context.replicas.find(&topic.name, partition.index),
    };
    let replica = replica.ok().filter(|replica| replica.leader_epoch().is_some())?;
    let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
    let guard = replica.start_verification(producer.id, producer.epoch, clock::wall())?;
    Some(FirstWrite { place: (topic_at, partition.index), producer, header, replica, guard })
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
