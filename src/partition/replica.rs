//! One replica: its log and, while it leads or follows, its replication machine.
//!
//! It carries out what `log` and `replication` say and decides nothing itself. One lock covers both, and is held
//! across the write to the page cache but never across an await. Readers use offsets that are published
//! atomically and never take the lock. What it does in each role is in `leading`, `append`, `following` and `read`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;

use crate::log::{LogAccess, LogError, LogReader, OsDisk, PartitionLog, ProducerInfo};
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition, Uuid};
use crate::replication::{Effect, Follower, Leader};

use super::config::ReplicaConfig;
use super::directory::Directory;
use super::error::PartitionError;
use super::flush_signal::FlushSignal;
use super::proposed_isr::{IsrProposalSender, ProposedIsr};
use super::room::Room;
use super::traffic::Traffic;
use super::waiters::{Waiters, Watched};

/// Appended since the last flush: past this the flusher is asked to come at once, which bounds what recovery
/// after a crash has to scan.
const DIRTY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The replica of one partition on this broker.
#[derive(Debug)]
pub struct Replica {
    topic_partition: TopicPartition,
    topic_id: TopicId,
    state: Mutex<State>,
    pub(super) reader: LogReader<OsDisk>,
    pub(super) config: ArcSwap<ReplicaConfig>,
    /// −1 while this replica does not lead.
    leader_epoch: AtomicI32,
    high_watermark: AtomicI64,
    /// `Offset::MAX` while no transaction is open.
    first_unstable_offset: AtomicI64,
    /// What the last flush or commit has reached, less what was cut off since.
    pub(super) flushed_offset: AtomicI64,
    flush_wanted: AtomicBool,
    /// It waits in the queue of its directory's committer.
    pub(super) commit_wanted: AtomicBool,
    /// Held while a flush runs; true once one has failed.
    pub(super) flush_failed: Mutex<bool>,
    /// Changed under the partition's lock.
    place: ArcSwap<Place>,
    /// Held while a copy in another directory takes the log's place, and by whoever must not come in between.
    pub(super) relocating: Mutex<()>,
    pub(super) myself: Weak<Self>,
    pub(super) waiters: Waiters,
    isr_proposals: IsrProposalSender,
    traffic: Traffic,
}

/// Where a replica's log lies.
#[derive(Debug)]
pub(super) struct Place {
    /// Which of the broker's data directories it is.
    pub(super) directory: usize,
    path: PathBuf,
    signal: Arc<FlushSignal>,
    room: Arc<Room>,
}

impl Place {
    /// In the directory at this place among the broker's.
    pub(super) fn new(at: usize, directory: &Directory) -> Self {
        Self {
            directory: at,
            path: directory.log.path().to_owned(),
            signal: Arc::clone(&directory.signal),
            room: Arc::clone(&directory.room),
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// `None` once the partition has been deleted.
    pub(super) log: Option<PartitionLog<OsDisk>>,
    pub(super) role: Role,
}

/// What the metadata says this replica is.
#[derive(Debug)]
pub(super) enum Role {
    /// Nobody leads, or nothing has been said yet.
    Idle,
    Leader(Leader),
    Follower(Follower),
}

impl Replica {
    /// A replica that leads nothing yet. `high_watermark` is the checkpointed one, a hint that the log bounds.
    pub(super) fn new(
        topic_partition: TopicPartition,
        topic_id: TopicId,
        mut log: PartitionLog<OsDisk>,
        high_watermark: Offset,
        config: Arc<ReplicaConfig>,
        place: Place,
        isr_proposals: IsrProposalSender,
    ) -> Arc<Self> {
        let high_watermark = high_watermark.clamp(log.log_start_offset(), log.log_end_offset());
        let recovery_point = log.recovery_point();
        Arc::new_cyclic(|myself| Self {
            topic_partition,
            topic_id,
            reader: log.reader(),
            first_unstable_offset: AtomicI64::new(log.first_unstable_offset(high_watermark).unwrap_or(Offset::MAX)),
            state: Mutex::new(State { log: Some(log), role: Role::Idle }),
            config: ArcSwap::new(config),
            leader_epoch: AtomicI32::new(LeaderEpoch::NONE.0),
            high_watermark: AtomicI64::new(high_watermark),
            flushed_offset: AtomicI64::new(recovery_point),
            flush_wanted: AtomicBool::new(false),
            commit_wanted: AtomicBool::new(false),
            flush_failed: Mutex::new(false),
            place: ArcSwap::from_pointee(place),
            relocating: Mutex::new(()),
            myself: Weak::clone(myself),
            waiters: Waiters::default(),
            isr_proposals,
            traffic: Traffic::default(),
        })
    }

    /// Its name.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// The id of its topic.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The settings in force.
    pub fn config(&self) -> Arc<ReplicaConfig> {
        self.config.load_full()
    }

    /// The epoch this replica leads in, if it does.
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        Some(LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))).filter(|&epoch| epoch != LeaderEpoch::NONE)
    }

    /// First offset that is not committed.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// First offset of an open transaction, else the high watermark.
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark().min(self.first_unstable_offset.load(Ordering::Acquire))
    }

    /// Offset of the first record.
    pub fn log_start_offset(&self) -> Offset {
        self.reader.log_start_offset()
    }

    /// One past the last record.
    pub fn log_end_offset(&self) -> Offset {
        self.reader.log_end_offset()
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.reader.size_bytes()
    }

    /// What has passed through here.
    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Notes that a consumer was sent so many bytes of records.
    pub fn on_fetched(&self, bytes: usize) {
        self.traffic.on_fetched(bytes as u64);
    }

    /// Those who wait for this partition.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|_| {
            // A panic under this lock means that an invariant was found broken: better stop than go on with it.
            tracing::error!(partition = %self.topic_partition, "a bug broke this partition; the process ends");
            std::process::abort()
        })
    }

    pub(super) fn not_leader(&self) -> PartitionError {
        PartitionError::NotLeader(self.topic_partition.clone())
    }

    /// True once when the flusher should come now.
    pub fn take_flush_wanted(&self) -> bool {
        self.flush_wanted.load(Ordering::Acquire) && self.flush_wanted.swap(false, Ordering::AcqRel)
    }

    /// True when a crash would make the next start scan nothing of this log.
    pub fn is_flushed(&self) -> bool {
        self.with_log(|log| log.dirty_bytes() == 0).unwrap_or(true)
    }

    /// The idempotent producers that have written here (DescribeProducers).
    pub fn describe_producers(&self) -> Vec<ProducerInfo> {
        self.state().log.as_ref().map(PartitionLog::describe_producers).unwrap_or_default()
    }

    /// Puts a changed topic configuration in force.
    pub fn set_config(&self, config: Arc<ReplicaConfig>) {
        if let Some(log) = &mut self.state().log {
            log.set_config(Arc::clone(&config.log));
        }
        self.config.store(config);
    }

    /// Which of the broker's data directories the log is in.
    pub(super) fn directory(&self) -> usize {
        self.place.load().directory
    }

    /// From now on the log is elsewhere. To be called under the partition's lock.
    pub(super) fn set_place(&self, place: Place) {
        self.place.store(Arc::new(place));
    }

    /// The flusher of its directory.
    pub(super) fn flush_signal(&self) -> Arc<FlushSignal> {
        Arc::clone(&self.place.load().signal)
    }

    /// What the disk has left for producers.
    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.place.load().room)
    }

    /// Tells the directory's flusher when the disk has failed.
    pub(super) fn note_fault(&self, error: &PartitionError) {
        if let PartitionError::Log(error) = error {
            self.note_log_fault(error);
        }
    }

    /// The same for what the log says. A reader may still have been in a directory that the log has left.
    pub(super) fn note_log_fault(&self, error: &LogError) {
        let place = self.place.load();
        if error.is_below(&place.path) {
            place.signal.note_fault(error);
        }
    }

    /// Runs `work` on the log under the lock; `None` when the partition has been deleted.
    pub(super) fn with_log<T>(&self, work: impl FnOnce(&mut PartitionLog<OsDisk>) -> T) -> Option<T> {
        self.state().log.as_mut().map(work)
    }

    /// How far a compacted log is cleaned; `None` for one that is not compacted.
    pub fn cleaned_offset(&self) -> Option<Offset> {
        self.with_log(|log| log.config().cleanup_policy.compact.then(|| log.first_dirty_offset())).flatten()
    }

    /// Ends the replica and renames its directory for removal. `unique` names the renamed directory.
    pub(super) fn delete(&self, unique: Uuid) -> Result<(), LogError> {
        let _stays = self.stay();
        match self.end() {
            Some(log) => log.delete(unique),
            None => Ok(()),
        }
    }

    /// Ends the replica and sets its log aside, whole, until its topic is restored.
    pub(super) fn set_aside(&self) -> Result<(), LogError> {
        let _stays = self.stay();
        match self.end() {
            Some(log) => log.set_aside(self.topic_id, self.high_watermark()),
            None => Ok(()),
        }
    }

    /// Ends the replica with everything flushed.
    pub(super) fn close(&self) -> Result<(), LogError> {
        let _stays = self.stay();
        match self.end() {
            Some(log) => log.close(),
            None => Ok(()),
        }
    }

    /// Ends the replica as it is, without another word to its disk.
    pub(super) fn fail(&self) {
        drop(self.end());
    }

    /// True once it has been deleted or closed, or its disk has failed.
    pub(super) fn is_ended(&self) -> bool {
        self.state().log.is_none()
    }

    /// Until the guard is dropped the log does not change its directory.
    pub(super) fn stay(&self) -> MutexGuard<'_, ()> {
        self.relocating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> Option<PartitionLog<OsDisk>> {
        self.resign();
        self.state().log.take()
    }

    pub(super) fn publish_role(&self, leader_epoch: LeaderEpoch) {
        self.leader_epoch.store(leader_epoch.0, Ordering::Release);
    }

    /// Publishes the high watermark, and what it says of transactions: those whose markers are below are decided.
    pub(super) fn publish_high_watermark(&self, log: &mut PartitionLog<OsDisk>, high_watermark: Offset) {
        self.high_watermark.store(high_watermark, Ordering::Release);
        if self.first_unstable_offset.load(Ordering::Acquire) != Offset::MAX {
            self.publish_first_unstable(log);
        }
    }

    pub(super) fn publish_first_unstable(&self, log: &mut PartitionLog<OsDisk>) {
        let first_unstable = log.first_unstable_offset(self.high_watermark()).unwrap_or(Offset::MAX);
        self.first_unstable_offset.store(first_unstable, Ordering::Release);
    }

    /// Publishes what an append or a truncation has changed, before the high watermark passes it, and asks for a flush
    /// or a commit when it is time.
    pub(super) fn publish_log(&self, log: &mut PartitionLog<OsDisk>) {
        self.publish_first_unstable(log);
        self.flushed_offset.store(log.recovery_point(), Ordering::Release);
        if self.flushes_before_ack() {
            self.want_commit();
        }
        if wants_flush(log, &self.config.load()) {
            self.flush_signal().want(&self.flush_wanted);
        }
    }

    /// Carries out what the leader's machine says: publishes under the lock, and tells others without it.
    pub(super) fn act(&self, mut state: MutexGuard<'_, State>, effects: impl IntoIterator<Item = Effect>) {
        let mut committed = None;
        let mut proposals = Vec::new();
        for effect in effects {
            match effect {
                Effect::AdvanceHighWatermark { high_watermark } => {
                    if let Some(log) = &mut state.log {
                        self.publish_high_watermark(log, high_watermark);
                    }
                    committed = Some(high_watermark);
                }
                Effect::ProposeIsr(proposal) => proposals.push(proposal),
            }
        }
        drop(state);
        if let Some(high_watermark) = committed {
            self.waiters.wake(Watched::HighWatermark, high_watermark);
        }
        for proposal in proposals {
            let (topic_partition, topic_id) = (self.topic_partition.clone(), self.topic_id);
            self.isr_proposals.send(ProposedIsr { topic_partition, topic_id, proposal });
        }
    }
}

impl LogAccess<OsDisk> for Replica {
    fn with<T>(&self, work: impl FnOnce(&mut PartitionLog<OsDisk>) -> T) -> Option<T> {
        self.with_log(work)
    }
}

fn wants_flush(log: &PartitionLog<OsDisk>, config: &ReplicaConfig) -> bool {
    let unflushed = log.log_end_offset() - log.recovery_point();
    log.dirty_bytes() >= DIRTY_BYTES_MAX || unflushed >= config.flush_messages
}
