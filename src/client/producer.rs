//! Produces records to one topic, in batches.
//!
//! With acks=all it is an idempotent producer: a batch goes out again under the same sequence number until the broker
//! has it, and is stored once. Without, a batch goes out again only when it is sure not to be stored. Records of one
//! partition keep their order, because a partition's batch is finished before the next one goes out.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::cluster_client::{ClusterClient, Target};
use super::cluster_error::ClusterError;
use super::error::ClientError;
use super::partitioner::partition_of_key;
use super::repeat;
use crate::model::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};
use crate::protocol::{
    ApiKey, InitProducerIdRequest, ProducePartition, ProducePartitionResponse, ProduceRequest, ProduceTopic,
};
use crate::record::{BatchBuilder, Codec, Header};

/// The last version of Produce that names topics; later ones give their ids.
const PRODUCE_BY_NAME: i16 = 12;

const PAUSE: Duration = Duration::from_millis(100);

/// How a producer behaves.
#[derive(Clone, Copy, Debug)]
pub struct ProducerOptions {
    /// −1 waits for all in-sync replicas, 1 for the leader, 0 for nothing.
    pub acks: i16,
    /// How batches are compressed.
    pub codec: Codec,
    /// The codec's level; `None` for its default.
    pub level: Option<i32>,
    /// When a batch is full: bytes before compression.
    pub batch_bytes: usize,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self { acks: -1, codec: Codec::None, level: None, batch_bytes: 256 << 10 }
    }
}

/// A record to produce.
#[derive(Clone, Copy, Default, Debug)]
pub struct NewRecord<'a> {
    /// The key; `None` for null. It chooses the partition.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for null, a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a [Header<'a>],
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// The partition, where the key shall not choose it.
    pub partition: Option<i32>,
}

/// What a producer has done.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Produced {
    /// Records that were acknowledged, or sent with acks=0.
    pub records: u64,
    /// Their bytes, before compression.
    pub bytes: u64,
}

/// Collects records of one topic and sends them.
pub struct Producer {
    topic: std::sync::Arc<str>,
    partition_count: usize,
    options: ProducerOptions,
    identity: Option<(ProducerId, ProducerEpoch)>,
    sequences: BTreeMap<i32, i32>,
    open: BTreeMap<i32, Open>,
    /// Where records without a key go until their batch is full.
    sticky: i32,
    done: Produced,
}

/// A batch that is being filled.
struct Open {
    batch: BatchBuilder,
    records: i32,
}

/// A batch on its way.
struct Sealed {
    partition: i32,
    bytes: Bytes,
    records: i32,
    size: usize,
}

impl Producer {
    /// Gets ready to produce to `topic`, which must exist, and takes a producer id if it is to be idempotent.
    pub async fn open(client: &mut ClusterClient, topic: &str, options: ProducerOptions) -> Result<Self, ClusterError> {
        let metadata = client.learn_topics(Some(&[topic.to_owned()])).await?;
        let partition_count = metadata.topic(topic)?.partitions.len();
        let identity = if options.acks == -1 { producer_id(client).await? } else { None };
        Ok(Self {
            topic: topic.into(),
            partition_count,
            options,
            identity,
            sequences: BTreeMap::new(),
            open: BTreeMap::new(),
            sticky: 0,
            done: Produced::default(),
        })
    }

    /// What was produced so far.
    pub fn done(&self) -> Produced {
        self.done
    }

    /// True when every record has gone out.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Adds a record; when its batch is full, sends all that wait.
    pub async fn send(&mut self, client: &mut ClusterClient, record: &NewRecord<'_>) -> Result<(), ClusterError> {
        let partition = self.partition(record)?;
        let open = match self.open.entry(partition) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let mut batch = BatchBuilder::new().codec(self.options.codec, self.options.level);
                if let Some((id, epoch)) = self.identity {
                    let sequence = self.sequences.get(&partition).copied().unwrap_or_default();
                    batch = batch.producer(id, epoch, sequence);
                }
                vacant.insert(Open { batch, records: 0 })
            }
        };
        open.batch.append(record.timestamp, record.key, record.value, record.headers);
        open.records += 1;
        if open.batch.size() >= self.options.batch_bytes {
            self.flush(client).await?;
        }
        Ok(())
    }

    /// Sends all that wait, and returns when the brokers have acknowledged it.
    pub async fn flush(&mut self, client: &mut ClusterClient) -> Result<(), ClusterError> {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() {
            return Ok(());
        }
        self.sticky = (self.sticky + 1) % i32::try_from(self.partition_count.max(1)).unwrap_or(i32::MAX);
        let seal = |(partition, open): (i32, Open)| {
            let size = open.batch.size();
            Sealed { partition, bytes: open.batch.build(), records: open.records, size }
        };
        let mut rest: Vec<Sealed> = open.into_iter().map(seal).collect();
        let deadline = Instant::now() + client.options().patience;
        loop {
            let round = self.send_round(client, rest).await?;
            let Some(error) = round.error else { return Ok(()) };
            if Instant::now() + PAUSE > deadline {
                return Err(error);
            }
            rest = round.again;
            sleep(PAUSE).await;
            client.learn_topics(Some(&[self.topic.to_string()])).await?;
        }
    }

    /// Sends each batch to its leader, all leaders at the same time.
    async fn send_round(&mut self, client: &mut ClusterClient, batches: Vec<Sealed>) -> Result<Round, ClusterError> {
        let mut round = Round::default();
        let mut by_leader: BTreeMap<i32, Vec<Sealed>> = BTreeMap::new();
        for batch in batches {
            let place = TopicPartition::new(self.topic.clone(), batch.partition);
            match client.metadata().leader(&place) {
                Ok(leader) => by_leader.entry(leader).or_default().push(batch),
                Err(error @ ClusterError::NoLeader(_)) => round.repeat(batch, error),
                Err(error) => return Err(error),
            }
        }
        let mut started = Vec::new();
        for (leader, batches) in by_leader {
            let request = self.request(client, &batches);
            if self.options.acks == 0 {
                client.tell(leader, PRODUCE_BY_NAME, &request).await?;
                batches.iter().for_each(|batch| self.note(batch));
                continue;
            }
            match client.start(leader, PRODUCE_BY_NAME, &request).await {
                Ok(unanswered) => started.push((leader, batches, unanswered)),
                Err(error) => self.after_failure(&mut round, batches, error),
            }
        }
        for (leader, batches, unanswered) in started {
            match client.finish(leader, unanswered).await {
                Ok(response) => {
                    let answers = response.responses.into_iter().flat_map(|topic| topic.partition_responses);
                    self.after_answers(&mut round, batches, &answers.collect::<Vec<_>>());
                }
                Err(error) => self.after_failure(&mut round, batches, error),
            }
        }
        match round.fatal.take() {
            Some(fatal) => Err(fatal),
            None => Ok(round),
        }
    }

    fn request(&self, client: &ClusterClient, batches: &[Sealed]) -> ProduceRequest {
        let partition =
            |batch: &Sealed| ProducePartition { index: batch.partition, records: Some(batch.bytes.clone()) };
        let topic = ProduceTopic {
            name: self.topic.to_string(),
            partitions: batches.iter().map(partition).collect(),
            ..ProduceTopic::default()
        };
        ProduceRequest {
            transactional_id: None,
            acks: self.options.acks,
            timeout_ms: i32::try_from(client.options().connection.request_timeout.as_millis()).unwrap_or(i32::MAX),
            topics: vec![topic],
        }
    }

    fn after_answers(&mut self, round: &mut Round, batches: Vec<Sealed>, answers: &[ProducePartitionResponse]) {
        for batch in batches {
            let answer = answers.iter().find(|answer| answer.index == batch.partition);
            let code = answer.map_or(ErrorCode::UnknownServerError, |answer| answer.error_code);
            match code {
                // The broker has this batch from before: an answer got lost.
                ErrorCode::None | ErrorCode::DuplicateSequenceNumber => self.note(&batch),
                code => {
                    let subject = format!("{}-{}", self.topic, batch.partition);
                    let error = ClusterError::refused(subject, code, answer.and_then(told));
                    let again = repeat::after_answer(ApiKey::Produce, code)
                        || (self.identity.is_some() && code.is_retriable())
                        || code == ErrorCode::UnknownTopicOrPartition;
                    if again { round.repeat(batch, error) } else { round.fatal = Some(error) }
                }
            }
        }
    }

    fn after_failure(&mut self, round: &mut Round, batches: Vec<Sealed>, error: ClusterError) {
        let lost = matches!(error, ClusterError::Connection(ClientError::Broken { .. } | ClientError::TimedOut { .. }));
        if repeat::after_failure(ApiKey::Produce, &error) || (lost && self.identity.is_some()) {
            round.again.extend(batches);
            round.error = Some(error);
        } else {
            round.fatal = Some(error);
        }
    }

    /// Counts a batch that the broker has.
    fn note(&mut self, batch: &Sealed) {
        self.done.records += u64::from(batch.records.unsigned_abs());
        self.done.bytes += batch.size as u64;
        let sequence = self.sequences.entry(batch.partition).or_default();
        // It wraps from 2^31 − 1 to 0.
        *sequence = sequence.wrapping_add(batch.records) & i32::MAX;
    }

    fn partition(&self, record: &NewRecord<'_>) -> Result<i32, ClusterError> {
        let (topic, count) = (self.topic.to_string(), self.partition_count);
        match (record.partition, record.key) {
            (Some(partition), _) if usize::try_from(partition).is_ok_and(|partition| partition < count) => {
                Ok(partition)
            }
            (Some(partition), _) => Err(ClusterError::UnknownPartition { topic, partition, count }),
            (None, Some(key)) => Ok(partition_of_key(key, count)),
            (None, None) => Ok(self.sticky),
        }
    }
}

/// What is left after every batch went out once.
#[derive(Default)]
struct Round {
    again: Vec<Sealed>,
    /// Why they have to go out again.
    error: Option<ClusterError>,
    /// Why there is no use in it.
    fatal: Option<ClusterError>,
}

impl Round {
    fn repeat(&mut self, batch: Sealed, error: ClusterError) {
        self.again.push(batch);
        self.error = Some(error);
    }
}

/// The broker's words about a batch, or about a record in it.
fn told(answer: &ProducePartitionResponse) -> Option<String> {
    let of_record = answer.record_errors.iter().find_map(|record| record.batch_index_error_message.clone());
    of_record.or_else(|| answer.error_message.clone())
}

/// A producer id, or none where the brokers give none: then the producer is not idempotent.
async fn producer_id(client: &mut ClusterClient) -> Result<Option<(ProducerId, ProducerEpoch)>, ClusterError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    match client.ask(&Target::Any, &request, |response| response.error_code).await {
        Ok(response) if !response.error_code.is_error() => {
            Ok(Some((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch))))
        }
        Ok(_) | Err(ClusterError::Connection(ClientError::NotServed { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}
