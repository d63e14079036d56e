//! Fetches from one leader, for all replicas here that follow it.
//!
//! One connection, one request at a time, in an incremental session. The next request acknowledges what the answer
//! before it brought. When there is something else to fetch the connection is given up, however long its request still
//! waits at the leader: a new leadership must not wait for the end of a long poll.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{ClientError, Connection, ConnectionOptions};
use crate::clock;
use crate::cluster::BrokerLifecycle;
use crate::config::FollowerConfig;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, TopicId};
use crate::protocol::Records;
use crate::protocol::messages::{FetchPartitionResponse, FetchReplicaState, FetchRequest, FetchResponse};
use crate::replication::LeaderAnswer;

use super::fetch_session::FetchSession;
use super::fetchers::{Assignment, FetchKey};
use super::replica::Replica;
use super::replicas::Replicas;
use super::suspicions::Suspicions;

/// First pause before a leader that cannot be reached is tried again; it doubles up to `replica.fetch.backoff.ms`.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// How long a request waits for what was fetched before it to get onto the disk.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// A leader that answers a fetch later than this, beyond the wait it was asked for, seems to hang.
const ANSWER_DELAY_MAX: Duration = Duration::from_millis(700);
/// A single batch may be larger than a whole answer should be.
const LARGEST_BATCH_BYTES: usize = 128 << 20;

/// How followers fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetcherConfig {
    /// The listener that brokers use among themselves.
    pub listener_name: String,
    /// Sizes and times.
    pub limits: FollowerConfig,
}

/// What all fetchers share.
pub(super) struct FetcherContext {
    pub broker_id: BrokerId,
    pub config: FetcherConfig,
    pub lifecycle: BrokerLifecycle,
    pub replicas: Weak<Replicas>,
}

/// The fetcher of one leader.
pub(super) struct Fetcher {
    leader: BrokerId,
    assignment: Arc<Assignment>,
    context: Arc<FetcherContext>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the metadata names no listener {listener} of broker {leader}")]
    NoEndpoint { leader: BrokerId, listener: String },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("broker {leader} refuses to be fetched from: {error_code}")]
    Refused { leader: BrokerId, error_code: ErrorCode },
}

impl Fetcher {
    pub fn new(leader: BrokerId, assignment: Arc<Assignment>, context: Arc<FetcherContext>) -> Self {
        Self { leader, assignment, context }
    }

    /// Runs until the broker stops.
    pub async fn run(self) {
        let mut changes = self.assignment.changes();
        let mut pause = Duration::ZERO;
        while self.context.replicas.strong_count() > 0 {
            changes.mark_unchanged();
            let session = self.new_session();
            let outcome = match session {
                None => changes.changed().await.map_err(|_| None),
                Some(session) => {
                    tokio::select! {
                        biased;
                        changed = changes.changed() => changed.map_err(|_| None),
                        error = self.fetch(session, &mut pause) => Err(Some(error)),
                    }
                }
            };
            match outcome {
                Ok(()) => {
                    self.suspect(|suspicions| suspicions.on_given_up(self.leader));
                    pause = Duration::ZERO;
                }
                Err(None) => return,
                Err(Some(error)) => self.rest(&error, &mut pause, &mut changes).await,
            }
        }
    }

    fn new_session(&self) -> Option<FetchSession> {
        let partitions = self.assignment.partitions();
        let FollowerConfig { fetch_max_bytes, fetch_backoff, .. } = self.context.config.limits;
        (!partitions.is_empty()).then(|| FetchSession::new(partitions, fetch_max_bytes, fetch_backoff))
    }

    /// Waits before the next try, but not when there is something else to fetch.
    async fn rest(&self, error: &FetchError, pause: &mut Duration, changes: &mut watch::Receiver<u64>) {
        if matches!(error, FetchError::Client(_)) {
            self.suspect(|suspicions| suspicions.on_broken(self.leader, clock::monotonic()));
        }
        if pause.is_zero() {
            tracing::info!(leader = %self.leader, "cannot fetch, trying again: {error}");
        }
        let backoff_max = self.context.config.limits.fetch_backoff;
        *pause = (*pause * 2).clamp(BACKOFF_FIRST.min(backoff_max), backoff_max);
        // Either way it is time to look again.
        let _ = tokio::time::timeout(*pause, changes.changed()).await;
    }

    /// Fetches over one connection until it fails. `pause` is reset once the leader answers.
    async fn fetch(&self, mut session: FetchSession, pause: &mut Duration) -> FetchError {
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return error,
        };
        loop {
            session.resume(Instant::now());
            self.hold_back(&mut session);
            if let Some(until) = session.idle_until() {
                tokio::time::sleep_until(until).await;
                continue;
            }
            self.put_on_disk(&session).await;
            let request = self.request(&mut session);
            let answer_due = clock::monotonic() + self.answer_patience();
            self.suspect(|suspicions| suspicions.on_asked(self.leader, answer_due));
            let response = match connection.send(&request).await {
                Ok(response) => response,
                Err(error) => return error.into(),
            };
            self.suspect(|suspicions| suspicions.on_answered(self.leader));
            *pause = Duration::ZERO;
            match session.on_response(response.error_code, response.session_id) {
                Ok(true) => self.take(&mut session, response),
                Ok(false) => {}
                Err(error_code) => return FetchError::Refused { leader: self.leader, error_code },
            }
        }
    }

    /// What is fetched from a topic with `flush.before.ack` is acknowledged once it is on disk. The others wait for it,
    /// but not for long: a disk that takes no more must not stop all replication.
    async fn put_on_disk(&self, session: &FetchSession) {
        let flushes = async {
            for replica in session.not_on_disk() {
                replica.all_on_disk().await;
            }
        };
        // Those that were not in time are spoken of in a later request.
        let _ = tokio::time::timeout(FLUSH_PATIENCE, flushes).await;
    }

    /// Leaves out what is throttled while more than the limit is fetched, but looks again soon: limits change.
    fn hold_back(&self, session: &mut FetchSession) {
        let Some(replicas) = self.context.replicas.upgrade() else { return };
        let throttle = &replicas.throttles().follower;
        if let Some(wait_ms) = throttle.wait_ms(clock::monotonic()) {
            let wait = Duration::from_millis(wait_ms).min(self.context.config.limits.fetch_backoff);
            for _ in 0..session.hold_back(Instant::now() + wait) {
                throttle.on_held_back();
            }
        }
    }

    fn suspect(&self, note: impl FnOnce(&Suspicions)) {
        if let Some(replicas) = self.context.replicas.upgrade() {
            note(&replicas.suspicions);
        }
    }

    /// A leader that has nothing to send says so after the wait it was asked for.
    fn answer_patience(&self) -> Duration {
        let wait_ms = u64::try_from(self.context.config.limits.fetch_wait_max_ms).unwrap_or(0);
        Duration::from_millis(wait_ms) + ANSWER_DELAY_MAX
    }

    async fn connect(&self) -> Result<Connection, FetchError> {
        let config = &self.context.config.limits;
        let options = ConnectionOptions {
            client_id: format!("broker-{}-fetcher", self.context.broker_id),
            connect_timeout: config.connect_timeout,
            request_timeout: config.socket_timeout,
            response_bytes_max: usize::try_from(config.fetch_response_max_bytes).unwrap_or(0) + LARGEST_BATCH_BYTES,
        };
        Ok(Connection::open(&self.address()?, options).await?)
    }

    fn address(&self) -> Result<String, FetchError> {
        let listener = &self.context.config.listener_name;
        let image = self.context.replicas.upgrade().map(|replicas| replicas.image());
        let broker = image.as_ref().and_then(|image| image.broker(self.leader));
        let endpoint = broker.and_then(|broker| broker.endpoint(listener));
        let no_endpoint = || FetchError::NoEndpoint { leader: self.leader, listener: listener.clone() };
        endpoint.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)).ok_or_else(no_endpoint)
    }

    fn request(&self, session: &mut FetchSession) -> FetchRequest {
        let (topics, forgotten_topics_data) = session.next_request(Instant::now());
        let config = &self.context.config.limits;
        FetchRequest {
            replica_state: FetchReplicaState {
                replica_id: self.context.broker_id.0,
                replica_epoch: self.context.lifecycle.broker_epoch().map_or(-1, |epoch| epoch.0),
            },
            max_wait_ms: config.fetch_wait_max_ms,
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_response_max_bytes,
            session_id: session.id(),
            session_epoch: session.epoch(),
            topics,
            forgotten_topics_data,
            ..FetchRequest::default()
        }
    }

    fn take(&self, session: &mut FetchSession, response: FetchResponse) {
        for topic in response.responses {
            for partition in topic.partitions {
                let key = (TopicId(topic.topic_id), partition.partition_index);
                self.take_partition(session, key, partition);
            }
        }
    }

    fn take_partition(&self, session: &mut FetchSession, key: FetchKey, response: FetchPartitionResponse) {
        let Some((replica, asked)) = session.asked(key) else { return };
        let (leaders_high_watermark, mut bytes) = (response.high_watermark, 0);
        let taken = match answer(&response) {
            Ok(answer) => {
                let records = match response.records {
                    Records::Inline(records) => records,
                    Records::Null | Records::External { .. } => Bytes::new(),
                };
                bytes = records.len();
                replica.take_answer(&asked, answer, &records, clock::wall()).map_err(|error| error.to_string())
            }
            Err(error_code) => Err(error_code.to_string()),
        };
        // An offset that is out of range and stays so would be refused again at once.
        let moved = !response.error_code.is_error() || replica.next_fetch() != Some(asked);
        let replica = Arc::clone(replica);
        self.count(&replica, bytes);
        match taken {
            Ok(()) if moved => session.on_taken(key, replica.log_end_offset() >= leaders_high_watermark),
            failed => {
                let reason = failed.err().unwrap_or_else(|| response.error_code.to_string());
                let partition = replica.topic_partition().clone();
                if session.on_failed(key, Instant::now()) {
                    tracing::info!(%partition, leader = %self.leader, "cannot follow, trying again: {reason}");
                }
            }
        }
    }

    /// What throttled replicas fetch counts, in sync or not.
    fn count(&self, replica: &Replica, bytes: usize) {
        if replica.config().throttled_as_follower.contains(replica.topic_partition().partition)
            && let Some(replicas) = self.context.replicas.upgrade()
        {
            replicas.throttles().follower.record(bytes, clock::monotonic());
        }
    }
}

fn answer(response: &FetchPartitionResponse) -> Result<LeaderAnswer, ErrorCode> {
    let (diverging, log_start_offset) = (&response.diverging_epoch, response.log_start_offset);
    match response.error_code {
        ErrorCode::None if diverging.epoch >= 0 || diverging.end_offset >= 0 => {
            Ok(LeaderAnswer::Diverging { epoch: LeaderEpoch(diverging.epoch), end_offset: diverging.end_offset })
        }
        ErrorCode::None => Ok(LeaderAnswer::Records { high_watermark: response.high_watermark, log_start_offset }),
        ErrorCode::OffsetOutOfRange => Ok(LeaderAnswer::OutOfRange { log_start_offset }),
        error_code => Err(error_code),
    }
}
