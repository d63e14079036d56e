//! Incremental fetch sessions (KIP-227): the broker remembers which partitions a consumer fetches, so that a
//! request names only what changed and an answer only what has news.
//!
//! ```text
//! request (session id, epoch)     meaning
//! (0, 0) or (0, -1)               full fetch; 0 asks for a session, -1 wants none
//! (id, 0) / (id, -1)              close that session, then as above
//! (id, n > 0)                     incremental; n counts up by one, after i32::MAX comes 1
//! ```
//!
//! At most `max.incremental.fetch.session.cache.slots` sessions are kept; the least recently used makes room. When none
//! can be evicted (all used within [`EVICTION_MIN_MS`]) the fetch is answered without a session. A follower's session
//! never makes room for a consumer's, and takes that of one however lately it was used: replication must not get slower
//! by the number of consumers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{ErrorCode, Monotonic, Offset, Uuid};

/// Partitions over all sessions together; about 16 MiB of memory.
pub const SESSION_PARTITIONS_MAX: usize = 160_000;
/// A session younger in use than this is not evicted for another.
pub const EVICTION_MIN_MS: u64 = 120_000;

/// Names a fetched partition: by topic id from Fetch version 13 on, by name before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FetchKey {
    /// Empty when the request names ids.
    pub topic: Arc<str>,
    /// Zero when the request names names.
    pub topic_id: Uuid,
    /// Index of the partition.
    pub partition: i32,
}

/// What is asked of one partition, and what was last answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchPartition {
    /// First offset wanted.
    pub fetch_offset: Offset,
    /// Bytes at most.
    pub partition_max_bytes: i32,
    /// The leader epoch the client knows, −1 for none.
    pub current_leader_epoch: i32,
    /// Epoch of the last record the fetcher has, −1 for none.
    pub last_fetched_epoch: i32,
    /// The follower's log start offset, −1 for consumers.
    pub log_start_offset: Offset,
    /// How far the follower's log is on disk, if it tells.
    pub flushed_offset: Option<Offset>,
    answered: Answered,
}

impl FetchPartition {
    /// A partition that has not been answered yet.
    pub fn new(
        fetch_offset: Offset,
        partition_max_bytes: i32,
        current_leader_epoch: i32,
        last_fetched_epoch: i32,
        log_start_offset: Offset,
    ) -> Self {
        let answered = Answered { high_watermark: -1, log_start_offset: -1 };
        Self {
            fetch_offset,
            partition_max_bytes,
            current_leader_epoch,
            last_fetched_epoch,
            log_start_offset,
            flushed_offset: None,
            answered,
        }
    }

    /// The same, of a follower whose log is on disk up to there.
    pub fn flushed(self, flushed_offset: Option<Offset>) -> Self {
        Self { flushed_offset, ..self }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Answered {
    high_watermark: Offset,
    log_start_offset: Offset,
}

/// News of a partition, as far as the session cares.
#[derive(Clone, Copy, Debug)]
pub struct PartitionNews {
    /// As answered.
    pub high_watermark: Offset,
    /// As answered.
    pub log_start_offset: Offset,
    /// There are records, an error or a diverging epoch.
    pub has_payload: bool,
}

/// The state of one session. One request of it is served at a time.
#[derive(Debug, Default)]
pub struct Session {
    id: i32,
    next_epoch: i32,
    partitions: BTreeMap<FetchKey, FetchPartition>,
    /// Partitions are answered in turn: the key where the next answer begins.
    next_first: Option<FetchKey>,
}

/// How a request is to be answered.
#[derive(Debug)]
pub enum SessionContext {
    /// Everything asked is answered, session id 0.
    Sessionless(Vec<(FetchKey, FetchPartition)>),
    /// Everything asked is answered, and remembered.
    New(Arc<Mutex<Session>>, Vec<(FetchKey, FetchPartition)>),
    /// Only news is answered.
    Incremental(Arc<Mutex<Session>>, Vec<(FetchKey, FetchPartition)>),
}

impl SessionContext {
    /// The session id for the answer, 0 for none.
    pub fn session_id(&self) -> i32 {
        match self {
            Self::Sessionless(_) => 0,
            Self::New(session, _) | Self::Incremental(session, _) => lock(session).id,
        }
    }

    /// What to read, in the order to read it.
    pub fn partitions(&self) -> &[(FetchKey, FetchPartition)] {
        match self {
            Self::Sessionless(partitions) | Self::New(_, partitions) | Self::Incremental(_, partitions) => partitions,
        }
    }

    /// Notes what is about to be answered and says which of the partitions belong into the answer.
    pub fn select(&self, news: &[PartitionNews]) -> Vec<bool> {
        match self {
            Self::Sessionless(partitions) => vec![true; partitions.len()],
            Self::New(session, partitions) => {
                lock(session).note(partitions, news);
                vec![true; partitions.len()]
            }
            Self::Incremental(session, partitions) => lock(session).note(partitions, news),
        }
    }
}

fn lock(session: &Mutex<Session>) -> std::sync::MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn note(&mut self, partitions: &[(FetchKey, FetchPartition)], news: &[PartitionNews]) -> Vec<bool> {
        let mut selected = Vec::with_capacity(partitions.len());
        for ((key, _), news) in partitions.iter().zip(news) {
            let answered = Answered { high_watermark: news.high_watermark, log_start_offset: news.log_start_offset };
            let Some(partition) = self.partitions.get_mut(key) else {
                selected.push(true);
                continue;
            };
            selected.push(news.has_payload || partition.answered != answered);
            partition.answered = answered;
            if news.has_payload {
                // The next answer starts behind the last partition that had records, so that all get a turn.
                self.next_first = Some(key.clone());
            }
        }
        selected
    }

    fn in_turn(&self) -> Vec<(FetchKey, FetchPartition)> {
        let all = self.partitions.iter().map(|(key, partition)| (key.clone(), partition.clone()));
        let mut ordered: Vec<_> = all.collect();
        if let Some(last) = &self.next_first {
            let behind = ordered.iter().position(|(key, _)| key > last).unwrap_or(0);
            ordered.rotate_left(behind);
        }
        ordered
    }
}

/// All sessions of the node.
#[derive(Debug)]
pub struct FetchSessions {
    inner: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// `max.incremental.fetch.session.cache.slots`.
    sessions_max: usize,
    sessions: HashMap<i32, Slot>,
    partitions: usize,
    last_id: i32,
}

#[derive(Debug)]
struct Slot {
    session: Arc<Mutex<Session>>,
    last_used: Monotonic,
    partitions: usize,
    of_follower: bool,
}

/// What a Fetch request says of sessions.
#[derive(Debug)]
pub struct SessionRequest {
    /// 0 for none.
    pub session_id: i32,
    /// See the table in this file's head.
    pub session_epoch: i32,
    /// Partitions to fetch, to add or to change.
    pub partitions: Vec<(FetchKey, FetchPartition)>,
    /// Partitions to drop from the session.
    pub forgotten: Vec<FetchKey>,
    /// A follower asks.
    pub of_follower: bool,
}

impl FetchSessions {
    /// Keeps at most `sessions_max` sessions.
    pub fn new(sessions_max: usize) -> Self {
        Self { inner: Mutex::new(Cache { sessions_max, ..Cache::default() }) }
    }

    /// Finds or makes the session a request speaks of. Errors: FETCH_SESSION_ID_NOT_FOUND,
    /// INVALID_FETCH_SESSION_EPOCH.
    pub fn begin(&self, request: SessionRequest, now: Monotonic) -> Result<SessionContext, ErrorCode> {
        let mut cache = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if request.session_epoch <= 0 {
            cache.remove(request.session_id);
            if request.session_epoch < 0 || request.partitions.is_empty() {
                return Ok(SessionContext::Sessionless(request.partitions));
            }
            return Ok(match cache.create(&request.partitions, request.of_follower, now) {
                Some(session) => SessionContext::New(session, request.partitions),
                None => SessionContext::Sessionless(request.partitions),
            });
        }
        let slot = cache.sessions.get_mut(&request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let shared = Arc::clone(&slot.session);
        let mut session = lock(&shared);
        if session.next_epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.next_epoch = session.next_epoch.checked_add(1).unwrap_or(1);
        for key in &request.forgotten {
            session.partitions.remove(key);
        }
        for (key, asked) in request.partitions {
            let answered = session.partitions.get(&key).map(|known| known.answered);
            let answered = answered.unwrap_or(asked.answered);
            session.partitions.insert(key, FetchPartition { answered, ..asked });
        }
        let in_turn = session.in_turn();
        drop(session);
        slot.last_used = now;
        let before = std::mem::replace(&mut slot.partitions, in_turn.len());
        cache.partitions = cache.partitions + in_turn.len() - before;
        Ok(SessionContext::Incremental(shared, in_turn))
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(slot) = self.sessions.remove(&id) {
            self.partitions -= slot.partitions;
        }
    }

    fn create(
        &mut self,
        partitions: &[(FetchKey, FetchPartition)],
        of_follower: bool,
        now: Monotonic,
    ) -> Option<Arc<Mutex<Session>>> {
        if !self.make_room(partitions.len(), of_follower, now) {
            return None;
        }
        let id = self.unused_id();
        let session = Arc::new(Mutex::new(Session {
            id,
            next_epoch: 1,
            partitions: partitions.iter().cloned().collect(),
            next_first: None,
        }));
        self.partitions += partitions.len();
        let slot = Slot { session: Arc::clone(&session), last_used: now, partitions: partitions.len(), of_follower };
        self.sessions.insert(id, slot);
        Some(session)
    }

    fn unused_id(&mut self) -> i32 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.sessions.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Evicts the least recently used sessions that may be; false when that does not make room.
    fn make_room(&mut self, partitions: usize, for_follower: bool, now: Monotonic) -> bool {
        while self.sessions.len() >= self.sessions_max || self.partitions + partitions > SESSION_PARTITIONS_MAX {
            let is_idle = |slot: &Slot| now.since_ms(slot.last_used) >= EVICTION_MIN_MS;
            let may_go = |slot: &Slot| match slot.of_follower {
                true => for_follower && is_idle(slot),
                false => for_follower || is_idle(slot),
            };
            let evictable = self.sessions.iter().filter(|(_, slot)| may_go(slot));
            match evictable.min_by_key(|(_, slot)| slot.last_used).map(|(&id, _)| id) {
                Some(id) => self.remove(id),
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSIONS_MAX: usize = 100;

    fn key(partition: i32) -> FetchKey {
        FetchKey { topic: "t".into(), topic_id: Uuid::ZERO, partition }
    }

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> SessionRequest {
        let partitions = partitions.iter().map(|&p| (key(p), FetchPartition::new(0, 1024, -1, -1, -1))).collect();
        SessionRequest { session_id, session_epoch, partitions, forgotten: Vec::new(), of_follower: false }
    }

    fn news(high_watermark: Offset, has_payload: bool) -> PartitionNews {
        PartitionNews { high_watermark, log_start_offset: 0, has_payload }
    }

    #[test]
    fn an_incremental_answer_has_only_news() {
        let sessions = FetchSessions::new(SESSIONS_MAX);
        let full = sessions.begin(request(0, 0, &[0, 1]), Monotonic(0)).unwrap();
        let id = full.session_id();
        assert!(id > 0);
        assert_eq!(full.select(&[news(5, true), news(0, false)]), [true, true]);
        let next = sessions.begin(request(id, 1, &[]), Monotonic(1)).unwrap();
        let order: Vec<i32> = next.partitions().iter().map(|(key, _)| key.partition).collect();
        assert_eq!(order, [1, 0], "whoever had records last comes last");
        assert_eq!(next.select(&[news(0, false), news(6, false)]), [false, true]);
    }

    #[test]
    fn epochs_count_up_by_one_and_unknown_ids_are_refused() {
        let sessions = FetchSessions::new(SESSIONS_MAX);
        let id = sessions.begin(request(0, 0, &[0]), Monotonic(0)).unwrap().session_id();
        assert_eq!(sessions.begin(request(id, 2, &[]), Monotonic(0)).unwrap_err(), ErrorCode::InvalidFetchSessionEpoch);
        assert!(sessions.begin(request(id, 1, &[]), Monotonic(0)).is_ok());
        assert_eq!(
            sessions.begin(request(id + 1, 1, &[]), Monotonic(0)).unwrap_err(),
            ErrorCode::FetchSessionIdNotFound
        );
    }

    #[test]
    fn a_closed_session_is_gone_and_forgotten_partitions_are_not_read() {
        let sessions = FetchSessions::new(SESSIONS_MAX);
        let id = sessions.begin(request(0, 0, &[0, 1]), Monotonic(0)).unwrap().session_id();
        let forget = SessionRequest { forgotten: vec![key(0)], ..request(id, 1, &[]) };
        assert_eq!(sessions.begin(forget, Monotonic(0)).unwrap().partitions().len(), 1);
        assert_eq!(sessions.begin(request(id, -1, &[]), Monotonic(0)).unwrap().session_id(), 0);
        assert!(sessions.begin(request(id, 2, &[]), Monotonic(0)).is_err());
    }

    #[test]
    fn sessions_are_bounded() {
        let sessions = FetchSessions::new(SESSIONS_MAX);
        for _ in 0..SESSIONS_MAX {
            assert!(sessions.begin(request(0, 0, &[0]), Monotonic(0)).unwrap().session_id() > 0);
        }
        assert_eq!(sessions.begin(request(0, 0, &[0]), Monotonic(1)).unwrap().session_id(), 0, "none is old enough");
        let later = Monotonic(EVICTION_MIN_MS);
        assert!(sessions.begin(request(0, 0, &[0]), later).unwrap().session_id() > 0);
        assert_eq!(sessions.inner.lock().unwrap().sessions.len(), SESSIONS_MAX);
    }

    #[test]
    fn followers_take_the_place_of_consumers_and_never_the_other_way_round() {
        let sessions = FetchSessions::new(2);
        let follower = || SessionRequest { of_follower: true, ..request(0, 0, &[0]) };
        let begin = |request| sessions.begin(request, Monotonic(0)).unwrap().session_id();
        assert!(begin(request(0, 0, &[0])) > 0);
        assert!(begin(request(0, 0, &[0])) > 0);
        assert!(begin(follower()) > 0);
        assert!(begin(follower()) > 0);
        let much_later = Monotonic(10 * EVICTION_MIN_MS);
        assert_eq!(sessions.begin(request(0, 0, &[0]), much_later).unwrap().session_id(), 0);
        assert_eq!(begin(follower()), 0, "both are in use");
    }
}
