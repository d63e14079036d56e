//! Produce, versions 0 to 13 advertised, 3 to 13 served.
//!
//! Versions 0 to 2 carry message formats that Kafka 4 no longer takes either; the dispatch table says why they are
//! advertised. Version 7 knows Zstandard (KIP-110), 8 tells which record was refused (KIP-467), 9 is flexible, 10
//! names the current leader when this broker is not (KIP-951), 12 implies transactions of version 2 (KIP-890), 13
//! names topics by id (KIP-516).
//!
//! Each partition's batch is appended at once, before anything is awaited, so that the requests of a connection are
//! appended in their order. With acks=all the answer waits for the high watermark, and with acks=1 for nothing but the
//! leader's disk where the topic has `flush.before.ack`. With acks=0 there is no answer,
//! and an error closes the connection. The first batch of a transaction in a partition is appended once the transaction's
//! coordinator has confirmed it; from version 12 on that also makes the partition part of the transaction (KIP-890).
//! Requests with a transactional id are therefore handled one after the other.
//!
//! A client over its `producer_byte_rate` is told how long to wait, and not read from until then (KIP-219).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::broker::call::{Call, Outcome};
use crate::broker::context::Context;
use crate::broker::first_writes::FirstWrites;
use crate::broker::leader_hints::LeaderHints;
use crate::broker::quotas::Limited;
use crate::clock;
use crate::log::VerificationGuard;
use crate::model::{ErrorCode, TopicId, is_internal_topic};
use crate::partition::{AppendRequest, Appended, PartitionError, Replica};
use crate::protocol::messages::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, ProducePartition, ProducePartitionResponse, ProduceRequest,
    ProduceResponse, ProduceTopic, ProduceTopicResponse,
};
use crate::record::InvalidBatch;

/// Kafka's clients with this name may write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// Appends, and answers when the asked-for replicas have the records.
pub async fn handle(context: &Context, call: Call, request: ProduceRequest) -> Outcome<ProduceResponse> {
    let ProduceRequest { transactional_id, acks, timeout_ms, topics } = request;
    let what = What { acks, zstd_known: call.api_version >= 7, transactional: transactional_id.is_some() };
    let first_writes = match &transactional_id {
        Some(id) => FirstWrites::verify(context, id, call.api_version, &topics).await,
        None => FirstWrites::default(),
    };
    let wait_ms = context.limit(Limited::Produce, call.client_id.as_deref(), call.request_bytes);
    call.throttle.raise(wait_ms);
    let throttle = call.throttle.clone();
    let by_id = call.api_version >= 13;
    let may_write_internal = call.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
    let mut hints = LeaderHints::new(context, &call, 10);
    let mut responses = Vec::with_capacity(topics.len());
    let mut waiting = Vec::new();
    for (at, topic) in topics.into_iter().enumerate() {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let refused = !by_id && !may_write_internal && is_internal_topic(&topic.name);
        for partition in topic.partitions.iter().cloned() {
            let index = partition.index;
            let result = match refused {
                true => Err(Refusal::Answer(ErrorCode::InvalidTopicException)),
                false => match first_writes.guard(at, index) {
                    Ok(guard) => append(context, &what, by_id, &topic, partition, guard),
                    Err(error_code) => Err(Refusal::Answer(error_code)),
                },
            };
            if let Ok((replica, appended)) = &result
                && must_wait(acks, appended)
            {
                waiting.push((at, partitions.len(), Arc::clone(replica), *appended));
            }
            partitions.push(answer(index, result, &mut hints));
        }
        responses.push(ProduceTopicResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: partitions,
        });
    }
    drop(call.memory);
    if acks == 0 {
        let failed = |p: &ProducePartitionResponse| p.error_code.is_error();
        let any = responses.iter().flat_map(|topic| &topic.partition_responses).any(failed);
        return if any { Outcome::Close } else { Outcome::Nothing };
    }
    wait_for_replicas(waiting, acks, timeout_ms, &mut responses).await;
    ProduceResponse { responses, throttle_time_ms: throttle.throttle_time_ms(), node_endpoints: hints.into_endpoints() }
        .into()
}

/// Batches that are inflated at a time in the whole process: small ones may grow to 64 MiB.
static INFLATING: Semaphore = Semaphore::const_new(4);

struct What {
    acks: i16,
    zstd_known: bool,
    transactional: bool,
}

enum Refusal {
    Answer(ErrorCode),
    Partition(PartitionError),
}

impl<E: Into<PartitionError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Partition(error.into())
    }
}

fn append(
    context: &Context,
    what: &What,
    by_id: bool,
    topic: &ProduceTopic,
    partition: ProducePartition,
    guard: Option<VerificationGuard>,
) -> Result<(Arc<Replica>, Appended), Refusal> {
    if !(-1..=1).contains(&what.acks) {
        return Err(Refusal::Answer(ErrorCode::InvalidRequiredAcks));
    }
    let replica = match by_id {
        true => context.replicas.find_by_id(TopicId(topic.topic_id), partition.index)?,
        false => context.replicas.find(&topic.name, partition.index)?,
    };
    let records = partition.records.ok_or(InvalidBatch::NoBatch)?;
    let appended = append_batch(&replica, what, records, guard)?;
    Ok((replica, appended))
}

fn append_batch(
    replica: &Replica,
    what: &What,
    records: Bytes,
    guard: Option<VerificationGuard>,
) -> Result<Appended, PartitionError> {
    let inflates = replica.needs_codec(&records);
    let request = AppendRequest {
        records,
        required_acks: what.acks,
        zstd_known: what.zstd_known,
        transactional: what.transactional,
        leader_epoch: None,
        guard,
        coordinated: false,
    };
    let append = || replica.append(request, clock::wall());
    if !inflates {
        return append();
    }
    // In place rather than on another thread: the next request of this connection must be appended after it.
    tokio::task::block_in_place(|| {
        let _turn = Handle::current().block_on(INFLATING.acquire());
        append()
    })
}

fn answer(
    index: i32,
    result: Result<(Arc<Replica>, Appended), Refusal>,
    hints: &mut LeaderHints<'_>,
) -> ProducePartitionResponse {
    let failed = ProducePartitionResponse { index, base_offset: -1, ..ProducePartitionResponse::default() };
    match result {
        Ok((_, appended)) => ProducePartitionResponse {
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time,
            log_start_offset: appended.log_start_offset,
            ..failed
        },
        Err(Refusal::Answer(error_code)) => ProducePartitionResponse { error_code, ..failed },
        Err(Refusal::Partition(error)) => {
            if matches!(error, PartitionError::Log(_)) {
                tracing::error!("a produce failed: {error}");
            }
            ProducePartitionResponse {
                error_code: error.error_code(),
                error_message: Some(error.to_string()),
                record_errors: record_errors(&error),
                current_leader: hint(&error, hints),
                ..failed
            }
        }
    }
}

fn hint(error: &PartitionError, hints: &mut LeaderHints<'_>) -> LeaderIdAndEpoch {
    match error {
        PartitionError::NotLeader(partition) => hints.leader_of(partition),
        _ => LeaderIdAndEpoch::default(),
    }
}

fn record_errors(error: &PartitionError) -> Vec<BatchIndexAndErrorMessage> {
    let PartitionError::InvalidBatch(invalid) = error else { return Vec::new() };
    let one =
        |batch_index| BatchIndexAndErrorMessage { batch_index, batch_index_error_message: Some(invalid.to_string()) };
    invalid.record_index().map(one).into_iter().collect()
}

/// With acks=all until the replicas in sync have it, with acks=1 at most until it is on the leader's disk.
fn must_wait(acks: i16, appended: &Appended) -> bool {
    match acks {
        -1 => !appended.committed,
        1 => !appended.on_disk,
        _ => false,
    }
}

/// Replaces the answers of those partitions whose replicas did not follow.
async fn wait_for_replicas(
    waiting: Vec<(usize, usize, Arc<Replica>, Appended)>,
    acks: i16,
    timeout_ms: i32,
    responses: &mut [ProduceTopicResponse],
) {
    let deadline = Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    for (topic, partition, replica, appended) in waiting {
        let acknowledged = async {
            match acks {
                1 => replica.on_disk(appended.next_offset, appended.leader_epoch).await,
                _ => replica.committed(appended.next_offset, appended.leader_epoch).await,
            }
        };
        let outcome = tokio::time::timeout_at(deadline, acknowledged).await.unwrap_or(Err(PartitionError::TimedOut));
        let place = responses.get_mut(topic).and_then(|topic| topic.partition_responses.get_mut(partition));
        if let (Err(error), Some(place)) = (outcome, place) {
            place.error_code = error.error_code();
            place.error_message = Some(error.to_string());
            place.base_offset = -1;
        }
    }
}
