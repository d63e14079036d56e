//! Fetch, versions 4 to 18.
//!
//! Version 5 tells the log start offset, 7 has incremental sessions (KIP-227), 9 checks the leader epoch (KIP-320), 12
//! is flexible and tells a diverging epoch (KIP-595), 13 names topics by id (KIP-516), 15 moves the follower's id into
//! `replica_state` (KIP-903), 16 names the current leader when this broker is not (KIP-951), 17 and 18 concern
//! followers.
//!
//! Answers whole batches as they lie, from the one that holds the asked-for offset on; the first is never cut by a size
//! limit (KIP-74). Waits for `min_bytes` up to `max_wait_ms`. An empty partition answers zero-length records, never
//! null.
//!
//! From version 11 on consumers may read from followers, up to the high watermark known there. With
//! `replica.selector.class` a leader sends a consumer that names its rack to the in-sync follower there (KIP-392).
//!
//! A consumer over its `consumer_byte_rate` gets its records and is told how long to wait; it is not read from until then
//! (KIP-219).
//!
//! A follower reads up to the log's end, and its fetch offset acknowledges everything below. When its log is not the
//! leader's it is told where they part instead. While it is not in sync it may be held back by a throttle (KIP-73). It may join the in-sync replicas only when the broker epoch of its
//! request is that of the metadata (KIP-903), so one that tells none never does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::call::{Call, Outcome};
use crate::broker::context::Context;
use crate::broker::fetch_session::{FetchKey, FetchPartition, PartitionNews, SessionContext, SessionRequest};
use crate::broker::leader_hints::LeaderHints;
use crate::broker::quotas::Limited;
use crate::clock;
use crate::log::{AbortedTransaction, FileSlice, OsDisk};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, Monotonic, Offset, TopicId, TopicPartition, Uuid};
use crate::partition::{
    FollowerRead, Isolation, PartitionError, ReadRecords, Registration, Replica, ReplicationThrottle, Waker, Watched,
};
use crate::protocol::Records;
use crate::protocol::messages::{
    AbortedTransaction as AbortedTransactionAnswer, DivergingEpoch, FetchPartitionResponse, FetchRequest,
    FetchResponse, FetchTopicResponse, LeaderIdAndEpoch,
};
use crate::replication::IsrMember;

/// A wait is never longer, whatever the client asks.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Reads, waits when there is too little, and answers.
pub async fn handle(context: &Context, call: Call, mut request: FetchRequest) -> Outcome<FetchResponse> {
    let asked = session_request(&mut request);
    let session = match context.fetch_sessions.begin(asked, clock::monotonic()) {
        Ok(session) => session,
        Err(error_code) => return FetchResponse { error_code, ..FetchResponse::default() }.into(),
    };
    let fetch = Fetch {
        context,
        reader: reader(&request),
        from_followers: call.api_version >= 11,
        rack: Some(std::mem::take(&mut request.rack_id)).filter(|rack| context.rack_aware_reads && !rack.is_empty()),
        listener: Arc::clone(&call.client.listener),
        max_bytes: usize::try_from(request.max_bytes).unwrap_or(0).min(limit_bytes(context, &call, &request)),
    };
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(fetch.max_bytes);
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_MAX);
    let reads = fetch.read_enough(session.partitions(), min_bytes, wait).await;
    if let Reader::Consumer(_) = fetch.reader {
        let bytes = reads.iter().filter_map(|read| read.as_ref().ok()).map(|(_, read)| bytes_of(read)).sum();
        call.throttle.raise(context.limit(Limited::Fetch, call.client_id.as_deref(), bytes));
    }
    fetch.respond(&call, &session, reads)
}

/// The most that one answer may hold: a consumer with a limit gets what that lets through in a window, so that it never
/// has to wait for longer than one.
fn limit_bytes(context: &Context, call: &Call, request: &FetchRequest) -> usize {
    let image = context.image();
    if image.has_no_client_quotas() || matches!(reader(request), Reader::Follower(_)) {
        return context.fetch_max_bytes;
    }
    context.quotas.burst(&image, Limited::Fetch, call.client_id.as_deref()).min(context.fetch_max_bytes)
}

fn reader(request: &FetchRequest) -> Reader {
    let state = &request.replica_state;
    let replica_id = if state.replica_id >= 0 { state.replica_id } else { request.replica_id };
    if replica_id < 0 {
        let read_committed = request.isolation_level == 1;
        return Reader::Consumer(if read_committed { Isolation::ReadCommitted } else { Isolation::ReadUncommitted });
    }
    let follower = IsrMember { broker_id: BrokerId(replica_id), broker_epoch: BrokerEpoch(state.replica_epoch) };
    Reader::Follower(follower)
}

fn session_request(request: &mut FetchRequest) -> SessionRequest {
    let mut partitions = Vec::new();
    for topic in std::mem::take(&mut request.topics) {
        let name: Arc<str> = topic.topic.into();
        partitions.extend(topic.partitions.into_iter().map(|p| {
            let key = FetchKey { topic: Arc::clone(&name), topic_id: topic.topic_id, partition: p.partition };
            let asked = FetchPartition::new(
                p.fetch_offset,
                p.partition_max_bytes,
                p.current_leader_epoch,
                p.last_fetched_epoch,
                p.log_start_offset,
            );
            (key, asked.flushed(Some(p.flushed_offset).filter(|&offset| offset >= 0)))
        }));
    }
    let forgotten = std::mem::take(&mut request.forgotten_topics_data)
        .into_iter()
        .flat_map(|topic| {
            let name: Arc<str> = topic.topic.into();
            let id = topic.topic_id;
            topic.partitions.into_iter().map(move |partition| FetchKey {
                topic: Arc::clone(&name),
                topic_id: id,
                partition,
            })
        })
        .collect();
    let (session_id, session_epoch) = (request.session_id, request.session_epoch);
    let of_follower = matches!(reader(request), Reader::Follower(_));
    SessionRequest { session_id, session_epoch, partitions, forgotten, of_follower }
}

/// What all partitions of one request share.
struct Fetch<'a> {
    context: &'a Context,
    reader: Reader,
    /// The consumer's version knows of reading from followers.
    from_followers: bool,
    /// The consumer's rack, where that matters.
    rack: Option<String>,
    listener: Arc<str>,
    max_bytes: usize,
}

/// Who reads.
#[derive(Clone, Copy)]
enum Reader {
    Consumer(Isolation),
    Follower(IsrMember),
}

impl Reader {
    fn isolation(self) -> Isolation {
        match self {
            Self::Consumer(isolation) => isolation,
            Self::Follower(_) => Isolation::ReadUncommitted,
        }
    }

    /// What has to move for the reader to see more.
    fn watched(self) -> Watched {
        match self {
            Self::Consumer(_) => Watched::HighWatermark,
            Self::Follower(_) => Watched::LogEndOffset,
        }
    }

    /// Where the reader has to stop now.
    fn readable_end(self, replica: &Replica) -> Offset {
        match self {
            Self::Consumer(isolation) => replica.readable_end(isolation),
            Self::Follower(_) => replica.log_end_offset(),
        }
    }
}

/// How much one partition may be answered with.
#[derive(Clone, Copy)]
struct Limits {
    max_bytes: usize,
    /// Nothing has been read for the answer yet: one batch comes whole, however large.
    min_one: bool,
    acknowledge: bool,
}

type Read = Result<(Arc<Replica>, ReadRecords), PartitionError>;

impl Fetch<'_> {
    /// Reads until there are `min_bytes`, an error, or no more time.
    async fn read_enough(&self, asked: &[(FetchKey, FetchPartition)], min_bytes: usize, wait: Duration) -> Vec<Read> {
        let mut reads = self.read_all(asked, true);
        if is_enough(&reads, min_bytes) || wait.is_zero() {
            return reads;
        }
        let deadline = Instant::now() + wait;
        let waker = Waker::default();
        loop {
            let moved = {
                let registrations = self.register(&reads, &waker);
                // What moved before the registration woke nobody.
                let moved = registrations.iter().any(|(replica, seen, _)| self.reader.readable_end(replica) > *seen);
                moved || tokio::time::timeout_at(deadline, waker.notified()).await.is_ok()
            };
            reads = self.read_all(asked, false);
            if !moved || is_enough(&reads, min_bytes) {
                return reads;
            }
        }
    }

    fn register<'r>(&self, reads: &'r [Read], waker: &Waker) -> Vec<(&'r Replica, Offset, Registration<'r>)> {
        let online = reads.iter().filter_map(|read| read.as_ref().ok());
        let watched = self.reader.watched();
        online
            .map(|(replica, read)| {
                let seen = read.readable_end;
                (&**replica, seen, replica.waiters().register(watched, seen, Waker::clone(waker)))
            })
            .collect()
    }

    /// With `acknowledge`, a follower's offsets count as what it has: once per request.
    fn read_all(&self, asked: &[(FetchKey, FetchPartition)], acknowledge: bool) -> Vec<Read> {
        let mut left = self.max_bytes;
        let mut nothing_yet = true;
        let now = clock::monotonic();
        asked
            .iter()
            .map(|(key, asked)| {
                let limits = Limits { max_bytes: left, min_one: nothing_yet, acknowledge };
                let read = self.read_one(key, asked, limits, now);
                let length = read.as_ref().map_or(0, |(_, read)| bytes_of(read));
                nothing_yet &= length == 0;
                left = left.saturating_sub(length);
                read
            })
            .collect()
    }

    fn read_one(&self, key: &FetchKey, asked: &FetchPartition, limits: Limits, now: Monotonic) -> Read {
        let replica = match key.topic_id {
            Uuid::ZERO => self.context.replicas.find(&key.topic, key.partition)?,
            id => self.context.replicas.find_by_id(TopicId(id), key.partition)?,
        };
        let Limits { max_bytes, min_one, acknowledge } = limits;
        let max_bytes = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(max_bytes);
        let read = match self.reader {
            Reader::Consumer(isolation) => {
                match self.from_followers {
                    true => replica.check_epoch_of_any_role(asked.current_leader_epoch)?,
                    false => replica.check_leader_epoch(asked.current_leader_epoch)?,
                };
                let read = replica.read(asked.fetch_offset, max_bytes, min_one, isolation)?;
                match self.preferred_replica(&replica, asked.fetch_offset) {
                    None => read,
                    preferred => ReadRecords { slice: None, preferred, ..read },
                }
            }
            Reader::Follower(follower) => {
                let asked = FollowerRead {
                    follower,
                    fetch_offset: asked.fetch_offset,
                    flushed_offset: asked.flushed_offset,
                    is_eligible: &|| {
                        self.is_active(follower, (replica.topic_id(), replica.topic_partition().partition))
                    },
                    throttle: &self.context.replicas.throttles().leader,
                    current_leader_epoch: asked.current_leader_epoch,
                    last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
                };
                replica.read_for_follower(&asked, max_bytes, min_one, acknowledge, now)?
            }
        };
        Ok((replica, read))
    }

    /// A follower in the consumer's rack that has what it asks for, unless this broker is in that rack itself.
    fn preferred_replica(&self, replica: &Replica, offset: Offset) -> Option<BrokerId> {
        let rack = self.rack.as_deref()?;
        let image = self.context.image();
        let is_there = |id: BrokerId| {
            let broker = image.broker(id).filter(|broker| broker.rack.as_deref() == Some(rack));
            broker.is_some_and(|broker| broker.is_active() && broker.endpoint(&self.listener).is_some())
        };
        if is_there(self.context.broker_id) {
            return None;
        }
        replica.followers_with(offset).into_iter().find(|&id| is_there(id))
    }

    /// The follower is in that very life by the metadata of now, and may be in the partition's ISR.
    fn is_active(&self, follower: IsrMember, (topic_id, partition): (TopicId, i32)) -> bool {
        let image = self.context.image();
        let registered = image.broker(follower.broker_id);
        registered
            .is_some_and(|broker| broker.is_active_for(topic_id, partition) && broker.epoch == follower.broker_epoch)
    }

    fn respond(&self, call: &Call, session: &SessionContext, reads: Vec<Read>) -> Outcome<FetchResponse> {
        let news: Vec<_> = reads.iter().map(news).collect();
        let selected = session.select(&news);
        let mut response = Builder::new(self, call, session.session_id());
        for (((key, _), read), selected) in session.partitions().iter().zip(reads).zip(selected) {
            if selected {
                response.add(key, read);
            }
        }
        response.finish()
    }
}

fn bytes_of(read: &ReadRecords) -> usize {
    read.slice.as_ref().map_or(0, |slice| slice.length)
}

fn is_enough(reads: &[Read], min_bytes: usize) -> bool {
    let bytes: usize = reads.iter().filter_map(|read| read.as_ref().ok()).map(|(_, read)| bytes_of(read)).sum();
    let urgent =
        |read: &Read| read.as_ref().map_or(true, |(_, read)| read.diverging.is_some() || read.preferred.is_some());
    bytes >= min_bytes || reads.iter().any(urgent)
}

fn news(read: &Read) -> PartitionNews {
    match read {
        Ok((_, read)) => PartitionNews {
            high_watermark: read.high_watermark,
            log_start_offset: read.log_start_offset,
            has_payload: read.slice.is_some() || read.diverging.is_some() || read.preferred.is_some(),
        },
        Err(_) => PartitionNews { high_watermark: -1, log_start_offset: -1, has_payload: true },
    }
}

fn aborted(transaction: &AbortedTransaction) -> AbortedTransactionAnswer {
    AbortedTransactionAnswer { producer_id: transaction.producer_id.0, first_offset: transaction.first_offset }
}

/// Puts partitions together by topic, and notes where their records lie.
struct Builder<'a> {
    isolation: Isolation,
    is_consumer: bool,
    /// What followers are sent counts against it.
    throttle: &'a ReplicationThrottle,
    now: Monotonic,
    hints: LeaderHints<'a>,
    response: FetchResponse,
    slots: Vec<Vec<FileSlice<OsDisk>>>,
    topics: HashMap<(Arc<str>, Uuid), usize>,
}

impl<'a> Builder<'a> {
    fn new(fetch: &Fetch<'a>, call: &Call, session_id: i32) -> Self {
        Self {
            isolation: fetch.reader.isolation(),
            is_consumer: matches!(fetch.reader, Reader::Consumer(_)),
            throttle: &fetch.context.replicas.throttles().leader,
            now: clock::monotonic(),
            hints: LeaderHints::new(fetch.context, call, 16),
            response: FetchResponse {
                throttle_time_ms: call.throttle.throttle_time_ms(),
                session_id,
                ..FetchResponse::default()
            },
            slots: Vec::new(),
            topics: HashMap::new(),
        }
    }

    fn add(&mut self, key: &FetchKey, read: Read) {
        let answer = match read {
            Ok((replica, read)) => {
                match self.is_consumer {
                    true => replica.on_fetched(bytes_of(&read)),
                    false => replica.on_fetched_by_follower(bytes_of(&read), self.throttle, self.now),
                }
                self.records(key.partition, read)
            }
            Err(error) => self.error(key, &error),
        };
        let responses = &mut self.response.responses;
        let topic = *self.topics.entry((Arc::clone(&key.topic), key.topic_id)).or_insert_with(|| {
            let topic =
                FetchTopicResponse { topic: key.topic.to_string(), topic_id: key.topic_id, partitions: Vec::new() };
            responses.push(topic);
            responses.len() - 1
        });
        if let Some(topic) = responses.get_mut(topic) {
            topic.partitions.push(answer);
        }
    }

    fn records(&mut self, partition_index: i32, read: ReadRecords) -> FetchPartitionResponse {
        let records = match read.slice {
            Some(slice) => {
                let external = Records::External { length: slice.length, slot: self.slots.len() };
                self.slots.push(vec![slice]);
                external
            }
            None => Records::EMPTY,
        };
        FetchPartitionResponse {
            partition_index,
            high_watermark: read.high_watermark,
            last_stable_offset: read.last_stable_offset,
            log_start_offset: read.log_start_offset,
            diverging_epoch: read
                .diverging
                .map(|(epoch, end_offset)| DivergingEpoch { epoch: epoch.0, end_offset })
                .unwrap_or_default(),
            aborted_transactions: match self.isolation {
                Isolation::ReadUncommitted => None,
                Isolation::ReadCommitted => Some(read.aborted.iter().map(aborted).collect()),
            },
            preferred_read_replica: read.preferred.map_or(-1, |replica| replica.0),
            records,
            ..FetchPartitionResponse::default()
        }
    }

    fn error(&mut self, key: &FetchKey, error: &PartitionError) -> FetchPartitionResponse {
        if let PartitionError::Log(fault) = error {
            tracing::error!(topic = %key.topic, partition = key.partition, "a fetch failed: {fault}");
        }
        let (high_watermark, log_start_offset) = match error {
            PartitionError::OffsetOutOfRange { log_start_offset, high_watermark, .. } => {
                (*high_watermark, *log_start_offset)
            }
            _ => (-1, -1),
        };
        FetchPartitionResponse {
            partition_index: key.partition,
            error_code: error.error_code(),
            high_watermark,
            log_start_offset,
            current_leader: self.hint(key, error),
            records: Records::EMPTY,
            ..FetchPartitionResponse::default()
        }
    }

    fn hint(&mut self, key: &FetchKey, error: &PartitionError) -> LeaderIdAndEpoch {
        match error {
            PartitionError::NotLeader(partition) => self.hints.leader_of(partition),
            PartitionError::FencedLeaderEpoch { .. } | PartitionError::UnknownLeaderEpoch { .. } => {
                self.hints.leader_of(&TopicPartition::new(Arc::clone(&key.topic), key.partition))
            }
            _ => LeaderIdAndEpoch::default(),
        }
    }

    fn finish(self) -> Outcome<FetchResponse> {
        let mut response = self.response;
        response.node_endpoints = self.hints.into_endpoints();
        Outcome::WithRecords(response, self.slots)
    }
}
