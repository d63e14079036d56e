//! The follower's end of an incremental fetch session (KIP-227): what each Fetch request to a leader names, and what
//! an answer was asked for.
//!
//! The first request of a session names every partition; later ones only those whose offset or epoch has changed, and
//! those that are given up for a while after an error. Pure but for the replicas it asks for their next fetch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::model::{ErrorCode, Offset, is_internal_topic};
use crate::protocol::messages::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::replication::NextFetch;

use super::fetchers::FetchKey;
use super::replica::Replica;

/// First pause after an error of a partition; it doubles up to `replica.fetch.backoff.ms`. The usual error is a leader
/// that has not yet applied the metadata which made it one.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);

/// What a request says of a partition: besides the fetch, how far the log is on disk, where that counts.
type Asked = (NextFetch, Option<Offset>);

/// One partition of the session.
struct Entry {
    replica: Arc<Replica>,
    /// What the leader was asked last, as its session has it.
    asked: Option<Asked>,
    /// After an error: the last pause.
    pause: Duration,
    /// By the last answer it has everything committed; a throttle leaves it alone then.
    in_sync: bool,
}

/// A session with one leader, over one connection.
pub(super) struct FetchSession {
    id: i32,
    /// 0 asks for a new session.
    epoch: i32,
    partition_max_bytes: i32,
    backoff_max: Duration,
    entries: BTreeMap<FetchKey, Entry>,
    /// Those whose next fetch may be another than was asked last.
    moved: BTreeSet<FetchKey>,
    /// Those that are not to be fetched until then.
    paused: BTreeMap<FetchKey, Instant>,
    /// Those the leader's session has and this one does not any more.
    forgotten: BTreeSet<FetchKey>,
}

impl FetchSession {
    /// A session that has not begun.
    pub fn new(partitions: BTreeMap<FetchKey, Arc<Replica>>, partition_max_bytes: i32, backoff_max: Duration) -> Self {
        let entry = |replica| Entry { replica, asked: None, pause: Duration::ZERO, in_sync: false };
        let entries: BTreeMap<_, _> = partitions.into_iter().map(|(key, replica)| (key, entry(replica))).collect();
        let moved = entries.keys().copied().collect();
        let (paused, forgotten) = (BTreeMap::new(), BTreeSet::new());
        Self { id: 0, epoch: 0, partition_max_bytes, backoff_max, entries, moved, paused, forgotten }
    }

    /// The session's id, 0 before it has begun.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The number of the next request.
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The replicas that the next request may speak of and that have something to put on disk before it.
    pub fn not_on_disk(&self) -> Vec<Arc<Replica>> {
        let replicas = self.moved.iter().filter_map(|key| self.entries.get(key)).map(|entry| &entry.replica);
        replicas.filter(|replica| !replica.is_on_disk(replica.log_end_offset())).cloned().collect()
    }

    /// When the next pause ends, if every partition is paused.
    pub fn idle_until(&self) -> Option<Instant> {
        let all = self.paused.len() == self.entries.len();
        self.paused.values().min().copied().filter(|_| all)
    }

    /// Ends the pauses that are over.
    pub fn resume(&mut self, now: Instant) {
        let over: Vec<FetchKey> = self.paused.iter().filter(|(_, until)| **until <= now).map(|(key, _)| *key).collect();
        for key in over {
            self.paused.remove(&key);
            self.moved.insert(key);
        }
    }

    /// Leaves throttled replicas that are not in sync alone until then; how many there are.
    pub fn hold_back(&mut self, until: Instant) -> usize {
        let throttled = |(partition, entry): (i32, &Entry)| {
            !entry.in_sync && entry.replica.config().throttled_as_follower.contains(partition)
        };
        let held_back: Vec<FetchKey> = self
            .entries
            .iter()
            .filter(|(key, entry)| !self.paused.contains_key(*key) && throttled((key.1, *entry)))
            .map(|(key, _)| *key)
            .collect();
        for &key in &held_back {
            self.pause(key, until);
        }
        held_back.len()
    }

    /// What the next request names, and what it drops from the session.
    pub fn next_request(&mut self, now: Instant) -> (Vec<FetchTopic>, Vec<ForgottenTopic>) {
        if self.epoch == 0 {
            self.begin_anew();
        }
        let mut topics: Vec<FetchTopic> = Vec::new();
        for key in std::mem::take(&mut self.moved) {
            if self.leave_for_want_of_room(key, now) {
                continue;
            }
            if let Some(partition) = self.ask(key) {
                push(&mut topics, key, partition);
            }
        }
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        for (topic_id, partition) in std::mem::take(&mut self.forgotten) {
            match forgotten.last_mut().filter(|topic| topic.topic_id == topic_id.0) {
                Some(topic) => topic.partitions.push(partition),
                None => forgotten.push(ForgottenTopic {
                    topic_id: topic_id.0,
                    partitions: vec![partition],
                    ..ForgottenTopic::default()
                }),
            }
        }
        (topics, forgotten)
    }

    fn begin_anew(&mut self) {
        self.id = 0;
        self.forgotten.clear();
        self.entries.values_mut().for_each(|entry| entry.asked = None);
        self.moved = self.entries.keys().filter(|key| !self.paused.contains_key(key)).copied().collect();
    }

    /// True when the disk is so full that the partition is not fetched for now. Internal topics always are: they are
    /// small, and what makes room may depend on them.
    fn leave_for_want_of_room(&mut self, key: FetchKey, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let leaves = entry.replica.room().is_scarce() && !is_internal_topic(&entry.replica.topic_partition().topic);
        if leaves {
            if entry.asked.take().is_some() {
                self.forgotten.insert(key);
            }
            self.paused.insert(key, now + self.backoff_max);
        }
        leaves
    }

    /// `None` when the leader knows it already, or the replica does not follow any more.
    fn ask(&mut self, key: FetchKey) -> Option<FetchPartition> {
        let entry = self.entries.get_mut(&key)?;
        let next = entry.replica.next_fetch()?;
        let flushed = entry.replica.flushes_before_ack().then(|| entry.replica.flushed_offset());
        if flushed.is_some_and(|flushed| flushed < next.fetch_offset) {
            // More has to be said once it is on disk.
            self.moved.insert(key);
        }
        if entry.asked == Some((next, flushed)) {
            return None;
        }
        entry.asked = Some((next, flushed));
        self.forgotten.remove(&key);
        Some(FetchPartition {
            partition: key.1,
            current_leader_epoch: next.leader_epoch.0,
            fetch_offset: next.fetch_offset,
            last_fetched_epoch: next.last_fetched_epoch.0,
            log_start_offset: next.log_start_offset,
            partition_max_bytes: self.partition_max_bytes,
            high_watermark: entry.replica.high_watermark(),
            flushed_offset: flushed.unwrap_or(-1),
            ..FetchPartition::default()
        })
    }

    /// The leader has answered, with this id for the session. False when the request has to be made anew.
    pub fn on_response(&mut self, error_code: ErrorCode, session_id: i32) -> Result<bool, ErrorCode> {
        match error_code {
            ErrorCode::None if session_id == 0 => self.epoch = 0,
            ErrorCode::None => {
                self.id = session_id;
                self.epoch = self.epoch.checked_add(1).unwrap_or(1);
            }
            ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
            | ErrorCode::FetchSessionTopicIdError => {
                self.epoch = 0;
                return Ok(false);
            }
            other => return Err(other),
        }
        Ok(true)
    }

    /// The replica of an answered partition, and what it had asked.
    pub fn asked(&self, key: FetchKey) -> Option<(&Arc<Replica>, NextFetch)> {
        let entry = self.entries.get(&key)?;
        Some((&entry.replica, entry.asked?.0))
    }

    /// The answer has been taken in; `in_sync` when the replica has everything committed by it.
    pub fn on_taken(&mut self, key: FetchKey, in_sync: bool) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.pause = Duration::ZERO;
            entry.in_sync = in_sync;
            self.moved.insert(key);
        }
    }

    /// The partition cannot be fetched; it is left alone for a while. True the first time in a row.
    pub fn on_failed(&mut self, key: FetchKey, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let first = entry.pause.is_zero();
        entry.pause = (entry.pause * 2).clamp(BACKOFF_FIRST.min(self.backoff_max), self.backoff_max);
        let until = now + entry.pause;
        self.pause(key, until);
        first
    }

    fn pause(&mut self, key: FetchKey, until: Instant) {
        self.paused.insert(key, until);
        self.moved.remove(&key);
        let asked = self.entries.get_mut(&key).and_then(|entry| entry.asked.take());
        if asked.is_some() {
            self.forgotten.insert(key);
        }
    }
}

fn push(topics: &mut Vec<FetchTopic>, (topic_id, _): FetchKey, partition: FetchPartition) {
    match topics.last_mut().filter(|topic| topic.topic_id == topic_id.0) {
        Some(topic) => topic.partitions.push(partition),
        None => {
            topics.push(FetchTopic { topic_id: topic_id.0, partitions: vec![partition], ..FetchTopic::default() });
        }
    }
}
