//! Which replicas here fetch from which leader.
//!
//! There is one fetcher per leader broker (`fetcher`). This module keeps what each of them has to fetch, as the metadata
//! says, and wakes those for which that has changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::model::{BrokerId, TopicId};

use super::replica::Replica;

/// A partition as a Fetch request names it.
pub(super) type FetchKey = (TopicId, i32);

/// What is to be fetched from one leader.
#[derive(Debug)]
pub(super) struct Assignment {
    partitions: Mutex<BTreeMap<FetchKey, Arc<Replica>>>,
    /// Counts the changes.
    version: watch::Sender<u64>,
}

impl Assignment {
    fn new() -> Self {
        Self { partitions: Mutex::default(), version: watch::channel(0).0 }
    }

    /// What is to be fetched now.
    pub fn partitions(&self) -> BTreeMap<FetchKey, Arc<Replica>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Told of each change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

/// Starts the fetcher of a leader.
type Spawn = dyn Fn(BrokerId, Arc<Assignment>) -> AbortHandle + Send + Sync;

/// All of a broker's fetchers.
#[derive(Default)]
pub(super) struct Fetchers {
    inner: Mutex<Inner>,
    /// Known once replication has been started.
    spawn: OnceLock<Box<Spawn>>,
}

#[derive(Default)]
struct Inner {
    by_leader: HashMap<BrokerId, Arc<Assignment>>,
    leader_of: HashMap<FetchKey, BrokerId>,
    tasks: HashMap<BrokerId, AbortHandle>,
}

impl Fetchers {
    /// From now on what is assigned is also fetched, by the fetchers that `spawn` starts, one for each leader.
    pub fn start(&self, spawn: impl Fn(BrokerId, Arc<Assignment>) -> AbortHandle + Send + Sync + 'static) {
        // Started once, by the node.
        let _ = self.spawn.set(Box::new(spawn));
        self.start_missing(&mut self.lock());
    }

    /// Points replicas to their leaders, or to nobody.
    pub fn point(&self, replicas: impl IntoIterator<Item = (Arc<Replica>, Option<BrokerId>)>) {
        let mut inner = self.lock();
        let mut changed: HashMap<BrokerId, Arc<Assignment>> = HashMap::new();
        for (replica, leader) in replicas {
            inner.point(&replica, leader, &mut changed);
        }
        self.start_missing(&mut inner);
        drop(inner);
        for assignment in changed.values() {
            assignment.version.send_modify(|version| *version += 1);
        }
    }

    /// Fetches nothing any more.
    pub fn stop(&self) {
        for (_, task) in self.lock().tasks.drain() {
            task.abort();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_missing(&self, inner: &mut Inner) {
        let Some(spawn) = self.spawn.get() else { return };
        for (&leader, assignment) in &inner.by_leader {
            inner.tasks.entry(leader).or_insert_with(|| spawn(leader, Arc::clone(assignment)));
        }
    }
}

impl Inner {
    fn point(
        &mut self,
        replica: &Arc<Replica>,
        leader: Option<BrokerId>,
        changed: &mut HashMap<BrokerId, Arc<Assignment>>,
    ) {
        let key = (replica.topic_id(), replica.topic_partition().partition);
        let before = match leader {
            Some(leader) => self.leader_of.insert(key, leader),
            None => self.leader_of.remove(&key),
        };
        let of = |by_leader: &HashMap<BrokerId, Arc<Assignment>>, leader| by_leader.get(&leader).cloned();
        if let Some((leader, assignment)) = before.and_then(|leader| Some((leader, of(&self.by_leader, leader)?))) {
            assignment.partitions.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            changed.insert(leader, assignment);
        }
        if let Some(leader) = leader {
            let assignment = self.by_leader.entry(leader).or_insert_with(|| Arc::new(Assignment::new()));
            assignment.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(replica));
            changed.insert(leader, Arc::clone(assignment));
        }
    }
}
