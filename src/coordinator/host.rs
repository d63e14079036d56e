//! Follows the leadership of an internal topic's partitions: loads what this broker begins to lead, hands it out
//! under its lock, and drops what it leads no more.
//!
//! ```text
//!   (absent) ── leads ──▶ Loading ── replayed up to the log's end ──▶ Active
//!      ▲                     ▲  │                                       │
//!      │                     │  └──────────── leads no more ────────────┤
//!      └─────────────────────┼──────────────────────────────────────────┘
//!                            └─────── an append of open outcome ──── Active
//! ```
//!
//! What a partition holds is a [`Machine`]; this module knows nothing about groups.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::load::{LoadError, Logged, load};
use crate::clock;
use crate::cluster::spawn_or_abort;
use crate::log::VerificationGuard;
use crate::metadata::ClusterImage;
use crate::model::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::partition::{AppendRequest, Appended, LeadershipChange, MarkerRequest, PartitionError, Replica, Replicas};
use crate::protocol::DecodeError;

/// Partitions read from disk at a time.
const LOADS_AT_A_TIME: usize = 4;
/// Pause before a partition that could not be loaded is tried again.
const LOAD_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Pause before looking again whether a log's end is committed while too few replicas are in sync.
const COMMIT_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What is made of a partition's records.
pub(super) trait Machine: Sized + Send + 'static {
    /// Takes over what the log says next.
    fn replay(&mut self, logged: Logged<'_>) -> Result<(), DecodeError>;
    /// All records have been replayed. `image` is at least as new as this leadership.
    fn on_loaded(shard: &mut Shard<Self>, image: &ClusterImage);
    /// This broker serves the partition no more, or has to load it again.
    fn on_resigned(self, error: ErrorCode);
}

/// One partition that is being served.
pub(super) struct Shard<M> {
    /// Index of the partition.
    pub partition: i32,
    /// What its records add up to.
    pub machine: M,
    replica: Arc<Replica>,
    leader_epoch: LeaderEpoch,
    /// Tells this loading of the partition from all others.
    load_id: u64,
    /// One past the last record that `machine` knows of.
    last_written: Offset,
    /// Set when an append failed and its records may be in the log all the same.
    outcome_open: bool,
}

/// A place in a partition's log that is to be committed.
pub(super) struct Written {
    replica: Arc<Replica>,
    leader_epoch: LeaderEpoch,
    load_id: u64,
    next_offset: Offset,
}

enum Slot<M> {
    Loading(LeaderEpoch),
    Active(Box<Shard<M>>),
    /// Not led any more; the slot is on its way out of the map.
    Gone,
}

type SharedSlot<M> = Arc<Mutex<Slot<M>>>;

/// The partitions of one internal topic that this broker leads.
pub(super) struct Host<M: Machine> {
    topic: &'static str,
    replicas: Arc<Replicas>,
    load_buffer_bytes: usize,
    new_machine: Box<dyn Fn(Weak<Self>) -> M + Send + Sync>,
    slots: RwLock<HashMap<i32, SharedSlot<M>>>,
    loads: Semaphore,
    last_load_id: AtomicU64,
    this: Weak<Self>,
}

impl<M> Shard<M> {
    /// The leadership the shard was loaded in; of `__transaction_state` it is the coordinator's epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// False once the leadership it was loaded in is over, which this host may not have been told yet.
    fn is_led(&self) -> bool {
        self.replica.leader_epoch() == Some(self.leader_epoch)
    }

    /// Appends one batch under the leadership the shard was loaded in.
    pub fn append(&mut self, records: Bytes) -> Result<Appended, PartitionError> {
        self.append_guarded(records, None)
    }

    /// The same for a batch that may begin a transaction, see [`Replica::start_verification`].
    pub fn append_guarded(
        &mut self,
        records: Bytes,
        guard: Option<VerificationGuard>,
    ) -> Result<Appended, PartitionError> {
        let request = AppendRequest { guard, ..AppendRequest::internal(records, self.leader_epoch) };
        let appended = self.replica.append(request, clock::wall());
        self.note(appended)
    }

    /// Appends the end of a transaction.
    pub fn append_marker(&mut self, marker: MarkerRequest) -> Result<Appended, PartitionError> {
        let request = MarkerRequest { leader_epoch: Some(self.leader_epoch), ..marker };
        let appended = self.replica.append_marker(request, clock::wall());
        self.note(appended)
    }

    /// To be called before a coordinator is asked whether the producer's transaction is ongoing.
    pub fn start_verification(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> Option<VerificationGuard> {
        self.replica.start_verification(producer_id, epoch, clock::wall())
    }

    fn note(&mut self, appended: Result<Appended, PartitionError>) -> Result<Appended, PartitionError> {
        match &appended {
            Ok(appended) => self.last_written = appended.next_offset,
            // Refused before anything was written.
            Err(
                PartitionError::NotEnoughReplicas { .. }
                | PartitionError::InvalidBatch(_)
                | PartitionError::ProducerRefused(_),
            ) => {}
            Err(_) => self.outcome_open = true,
        }
        appended
    }

    /// Everything that the machine knows of, as a place in the log.
    pub fn written(&self) -> Written {
        Written {
            replica: self.replica.clone(),
            leader_epoch: self.leader_epoch,
            load_id: self.load_id,
            next_offset: self.last_written,
        }
    }
}

impl Written {
    /// True when nothing has to be waited for.
    pub fn is_committed(&self) -> bool {
        self.replica.high_watermark() >= self.next_offset
    }

    /// True when the partition has not been loaded anew since.
    pub fn is_of<M>(&self, shard: &Shard<M>) -> bool {
        self.load_id == shard.load_id
    }

    /// Waits until it is committed, at most `timeout`.
    pub async fn committed(&self, timeout: Duration) -> Result<(), PartitionError> {
        if self.is_committed() {
            return Ok(());
        }
        let committed = self.replica.committed(self.next_offset, self.leader_epoch);
        tokio::time::timeout(timeout, committed).await.unwrap_or(Err(PartitionError::TimedOut))
    }

    /// Waits until it is committed, as long as this broker leads.
    pub async fn committed_at_last(&self) -> Result<(), PartitionError> {
        loop {
            match self.replica.committed(self.next_offset, self.leader_epoch).await {
                Err(PartitionError::NotEnoughReplicasAfterAppend) if self.is_committed() => return Ok(()),
                Err(PartitionError::NotEnoughReplicasAfterAppend) => tokio::time::sleep(COMMIT_RETRY_PAUSE).await,
                other => return other,
            }
        }
    }
}

impl<M: Machine> Host<M> {
    /// A host that follows leaderships of `topic` from now on, with a machine from `new_machine` for each.
    pub fn start(
        topic: &'static str,
        replicas: Arc<Replicas>,
        load_buffer_bytes: usize,
        new_machine: impl Fn(Weak<Self>) -> M + Send + Sync + 'static,
    ) -> Arc<Self> {
        let mut leaderships = replicas.leaderships(topic);
        let host = Arc::new_cyclic(|this| Self {
            topic,
            replicas,
            load_buffer_bytes,
            new_machine: Box::new(new_machine),
            slots: RwLock::default(),
            loads: Semaphore::new(LOADS_AT_A_TIME),
            last_load_id: AtomicU64::new(0),
            this: this.clone(),
        });
        let following = host.this.clone();
        spawn_or_abort(&Handle::current(), "coordinator leaderships", async move {
            while let Some(change) = leaderships.recv().await {
                let Some(host) = following.upgrade() else { return };
                host.on_leadership(&change);
            }
        });
        host
    }

    /// Runs `work` on a partition under its lock. Errors say why the partition cannot be served here.
    pub fn with<T>(&self, partition: i32, work: impl FnOnce(&mut Shard<M>) -> T) -> Result<T, ErrorCode> {
        let slot = self.slot(partition).ok_or(ErrorCode::NotCoordinator)?;
        let mut slot = lock(&slot);
        match &mut *slot {
            Slot::Gone => Err(ErrorCode::NotCoordinator),
            Slot::Loading(_) => Err(ErrorCode::CoordinatorLoadInProgress),
            Slot::Active(shard) => {
                let outcome = work(shard);
                if shard.outcome_open {
                    self.reload(&mut slot, partition);
                }
                Ok(outcome)
            }
        }
    }

    /// The same for a client. While this broker cannot tell whether it still leads the partition, another may have
    /// acknowledged what is not known here: clients are to look for the coordinator anew (invariant C1).
    pub fn serve<T>(&self, partition: i32, work: impl FnOnce(&mut Shard<M>) -> T) -> Result<T, ErrorCode> {
        if !self.replicas.know_their_roles() {
            return Err(ErrorCode::NotCoordinator);
        }
        self.with(partition, |shard| shard.is_led().then(|| work(shard)))?.ok_or(ErrorCode::NotCoordinator)
    }

    /// Runs `work` on each partition that is being served, one after the other.
    pub fn for_each(&self, mut work: impl FnMut(&mut Shard<M>)) {
        for partition in self.partitions() {
            // One that is not served has nothing to be worked on.
            let _ = self.with(partition, &mut work);
        }
    }

    /// The partitions this broker leads, those being loaded included.
    pub fn partitions(&self) -> Vec<i32> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut partitions: Vec<i32> = slots.keys().copied().collect();
        partitions.sort_unstable();
        partitions
    }

    fn slot(&self, partition: i32) -> Option<SharedSlot<M>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&partition).cloned()
    }

    fn on_leadership(&self, change: &LeadershipChange) {
        let partition = change.topic_partition.partition;
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = match change.leader_epoch {
            Some(_) => slots.entry(partition).or_insert_with(|| Arc::new(Mutex::new(Slot::Gone))).clone(),
            None => match slots.remove(&partition) {
                Some(slot) => slot,
                None => return,
            },
        };
        drop(slots);
        let next = change.leader_epoch.map_or(Slot::Gone, Slot::Loading);
        resign(std::mem::replace(&mut *lock(&slot), next), ErrorCode::NotCoordinator);
        if let Some(leader_epoch) = change.leader_epoch {
            self.start_loading(partition, leader_epoch);
        }
    }

    /// What the machine knows may differ from the log now: it is dropped, and read again.
    fn reload(&self, slot: &mut Slot<M>, partition: i32) {
        let Slot::Active(shard) = slot else { return };
        let leader_epoch = shard.leader_epoch;
        tracing::warn!(topic = self.topic, partition, "an append failed; loading the partition again");
        let dropped = std::mem::replace(slot, Slot::Loading(leader_epoch));
        resign(dropped, ErrorCode::CoordinatorNotAvailable);
        self.start_loading(partition, leader_epoch);
    }

    fn start_loading(&self, partition: i32, leader_epoch: LeaderEpoch) {
        let this = self.this.clone();
        spawn_or_abort(&Handle::current(), "coordinator load", async move {
            while let Some(host) = this.upgrade() {
                match host.load(partition, leader_epoch).await {
                    Ok(()) | Err(LoadError::Partition(PartitionError::NotLeader(_))) => return,
                    Err(error) => {
                        tracing::error!(topic = host.topic, partition, "cannot load: {error}; trying again");
                    }
                }
                drop(host);
                tokio::time::sleep(LOAD_RETRY_PAUSE).await;
            }
        });
    }

    async fn load(&self, partition: i32, leader_epoch: LeaderEpoch) -> Result<(), LoadError> {
        let replica = self.replicas.find(self.topic, partition)?;
        let end = replica.log_end_offset();
        let load_id = self.last_load_id.fetch_add(1, Ordering::Relaxed) + 1;
        let written = Written { replica: replica.clone(), leader_epoch, load_id, next_offset: end };
        written.committed_at_last().await?;
        let image = self.image_of_leadership(&replica, leader_epoch).await?;
        let started = clock::monotonic();
        let machine = self.replay(replica.clone(), leader_epoch, end).await?;
        let took_ms = clock::monotonic().since_ms(started);
        tracing::debug!(topic = self.topic, partition, %leader_epoch, records = end - replica.log_start_offset(), took_ms, "loaded");
        let Some(slot) = self.slot(partition) else { return Ok(()) };
        let mut slot = lock(&slot);
        if matches!(&*slot, Slot::Loading(epoch) if *epoch == leader_epoch) {
            let mut shard =
                Shard { partition, machine, replica, leader_epoch, load_id, last_written: end, outcome_open: false };
            M::on_loaded(&mut shard, &image);
            let outcome_open = shard.outcome_open;
            *slot = Slot::Active(Box::new(shard));
            if outcome_open {
                self.reload(&mut slot, partition);
            }
        }
        Ok(())
    }

    /// Waits for the metadata that made this broker the leader: a topic that is not in it does not exist, however
    /// many records speak of it.
    async fn image_of_leadership(
        &self,
        replica: &Replica,
        leader_epoch: LeaderEpoch,
    ) -> Result<Arc<ClusterImage>, PartitionError> {
        loop {
            let image = self.replicas.image();
            let partition = image.partition(replica.topic_id(), replica.topic_partition().partition);
            if partition.is_some_and(|partition| partition.leader_epoch >= leader_epoch) {
                return Ok(image);
            }
            if replica.leader_epoch() != Some(leader_epoch) {
                return Err(PartitionError::NotLeader(replica.topic_partition().clone()));
            }
            self.replicas.wait_for_index(image.applied_index() + 1).await;
        }
    }

    async fn replay(&self, replica: Arc<Replica>, leader_epoch: LeaderEpoch, end: Offset) -> Result<M, LoadError> {
        let mut machine = (self.new_machine)(self.this.clone());
        if replica.log_start_offset() == end {
            return Ok(machine);
        }
        let _turn = self.loads.acquire().await.expect("the semaphore is never closed");
        let buffer_bytes = self.load_buffer_bytes;
        let work = move || {
            load(&replica, leader_epoch, end, buffer_bytes, |logged| machine.replay(logged))?;
            Ok(machine)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

fn lock<M>(slot: &Mutex<Slot<M>>) -> MutexGuard<'_, Slot<M>> {
    // A panic under this lock means that a broken invariant was found: the process must not go on with it.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn resign<M: Machine>(slot: Slot<M>, error: ErrorCode) {
    if let Slot::Active(shard) = slot {
        shard.machine.on_resigned(error);
    }
}
