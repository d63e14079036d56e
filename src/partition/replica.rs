//! One replica: its log and, while it leads, its replication machine.
//!
//! It carries out what `log` and `replication` say and decides nothing itself. One lock covers both, and is held
//! across the write to the page cache but never across an await. Readers use offsets that are published
//! atomically and never take the lock.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::log::{
    AbortedTransaction, AppendOutcome, FileSlice, LogError, LogReader, OsDisk, PartitionLog, ProducerInfo,
    TimestampTarget, TimestampedOffset, VerificationGuard,
};
use crate::model::{LeaderEpoch, Monotonic, Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition, Uuid, Wall};
use crate::record::{self, EndTransactionMarker, ProduceRules, TimestampType};
use crate::replication::{Effect, Leader, LeaderStart};

use super::config::ReplicaConfig;
use super::error::PartitionError;
use super::flusher::FlushSignal;
use super::waiters::{Waiters, Waker, Watched};

/// Appended since the last flush: past this the flusher is asked to come at once, which bounds what recovery
/// after a crash has to scan.
const DIRTY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A batch to append, and what its request says.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// Exactly one record batch.
    pub records: Bytes,
    /// −1 for all in-sync replicas, 1 for the leader, 0 for none.
    pub required_acks: i16,
    /// The request's version knows Zstandard.
    pub zstd_known: bool,
    /// The request names a transactional id.
    pub transactional: bool,
    /// The leadership under which the append was decided: under any other it is refused.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What [`Replica::start_verification`] gave, for a batch that may begin a transaction.
    pub guard: Option<VerificationGuard>,
}

/// The end of a transaction, to be written into one of its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkerRequest {
    /// Whose transaction.
    pub producer_id: ProducerId,
    /// The epoch that the producer has from now on.
    pub producer_epoch: ProducerEpoch,
    /// How it ends, and who says so.
    pub marker: EndTransactionMarker,
    /// `transaction.version` of the client (KIP-890).
    pub transaction_version: i8,
    /// The leadership under which the append was decided: under any other it is refused.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl AppendRequest {
    /// What the broker itself appends to its internal topics, as decided under the leadership of `leader_epoch`.
    pub fn internal(records: Bytes, leader_epoch: LeaderEpoch) -> Self {
        let leader_epoch = Some(leader_epoch);
        Self { records, required_acks: -1, zstd_known: true, transactional: false, leader_epoch, guard: None }
    }
}

/// Where a batch went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// One past its last record: acks=all waits for the high watermark to get here.
    pub next_offset: Offset,
    /// The time the broker stamped on it, −1 when the producer's timestamps were kept; milliseconds.
    pub log_append_time: i64,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// The leadership it was appended under.
    pub leader_epoch: LeaderEpoch,
    /// The high watermark has reached `next_offset` already.
    pub committed: bool,
}

/// How far a reader may see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Everything committed to the replicas.
    ReadUncommitted,
    /// Nothing of open transactions either.
    ReadCommitted,
}

/// What a fetch gets.
#[derive(Debug)]
pub struct ReadRecords {
    /// First offset that is not committed.
    pub high_watermark: Offset,
    /// First offset of an open transaction, else the high watermark.
    pub last_stable_offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// What a reader of committed records must skip; empty for others.
    pub aborted: Vec<AbortedTransaction>,
    /// The records, as they lie.
    pub slice: Option<FileSlice<OsDisk>>,
}

/// The replica of one partition on this broker.
#[derive(Debug)]
pub struct Replica {
    topic_partition: TopicPartition,
    topic_id: TopicId,
    state: Mutex<State>,
    reader: LogReader<OsDisk>,
    config: ArcSwap<ReplicaConfig>,
    /// −1 while this replica does not lead.
    leader_epoch: AtomicI32,
    high_watermark: AtomicI64,
    /// `Offset::MAX` while no transaction is open.
    first_unstable_offset: AtomicI64,
    flush_wanted: AtomicBool,
    flush_signal: Arc<FlushSignal>,
    waiters: Waiters,
}

#[derive(Debug)]
struct State {
    /// `None` once the partition has been deleted.
    log: Option<PartitionLog<OsDisk>>,
    leader: Option<Leader>,
}

impl Replica {
    /// A replica that leads nothing yet. `high_watermark` is the checkpointed one, a hint that the log bounds.
    pub fn new(
        topic_partition: TopicPartition,
        topic_id: TopicId,
        mut log: PartitionLog<OsDisk>,
        high_watermark: Offset,
        config: Arc<ReplicaConfig>,
        flush_signal: Arc<FlushSignal>,
    ) -> Self {
        let high_watermark = high_watermark.clamp(log.log_start_offset(), log.log_end_offset());
        Self {
            topic_partition,
            topic_id,
            reader: log.reader(),
            first_unstable_offset: AtomicI64::new(log.first_unstable_offset(high_watermark).unwrap_or(Offset::MAX)),
            state: Mutex::new(State { log: Some(log), leader: None }),
            config: ArcSwap::new(config),
            leader_epoch: AtomicI32::new(LeaderEpoch::NONE.0),
            high_watermark: AtomicI64::new(high_watermark),
            flush_wanted: AtomicBool::new(false),
            flush_signal,
            waiters: Waiters::default(),
        }
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

    /// Where readers may stop.
    pub fn readable_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark(),
            Isolation::ReadCommitted => self.last_stable_offset(),
        }
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

    /// Those who wait for this partition.
    pub fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|_| {
            // A panic under this lock means that an invariant was found broken: better stop than go on with it.
            tracing::error!(partition = %self.topic_partition, "a bug broke this partition; the process ends");
            std::process::abort()
        })
    }

    fn not_leader(&self) -> PartitionError {
        PartitionError::NotLeader(self.topic_partition.clone())
    }

    /// Checks a client's leader epoch (KIP-320); −1 means that it knows none.
    pub fn check_leader_epoch(&self, asked: i32) -> Result<LeaderEpoch, PartitionError> {
        let current = self.leader_epoch().ok_or_else(|| self.not_leader())?;
        let asked = LeaderEpoch(asked);
        match asked {
            LeaderEpoch::NONE => Ok(current),
            _ if asked < current => Err(PartitionError::FencedLeaderEpoch { asked, current }),
            _ if asked > current => Err(PartitionError::UnknownLeaderEpoch { asked, current }),
            _ => Ok(current),
        }
    }

    /// Begins to lead, or takes in a newer state of the partition it leads.
    pub fn lead(&self, start: LeaderStart, now: Monotonic) -> Result<(), PartitionError> {
        let mut state = self.state();
        let State { log: Some(log), leader } = &mut *state else { return Err(self.not_leader()) };
        if let Some(leader) = leader
            && leader.leader_epoch() == start.leader_epoch
        {
            let effect = leader.on_isr_decided(start.partition_epoch, start.isr, start.min_isr);
            drop(state);
            self.act(effect);
            return Ok(());
        }
        log.assign_leader_epoch_start(start.leader_epoch)?;
        self.publish_first_unstable(log);
        let start =
            LeaderStart { log_end_offset: log.log_end_offset(), high_watermark: self.high_watermark(), ..start };
        let epoch = start.leader_epoch;
        let (machine, effects) = Leader::new(start, now);
        *leader = Some(machine);
        self.leader_epoch.store(epoch.0, Ordering::Release);
        drop(state);
        self.act(effects);
        Ok(())
    }

    /// Leads no longer. Whoever waits is told.
    pub fn resign(&self) {
        let mut state = self.state();
        state.leader = None;
        self.leader_epoch.store(LeaderEpoch::NONE.0, Ordering::Release);
        drop(state);
        self.waiters.wake_all();
    }

    /// Appends a batch: at once into the page cache, in the order of the calls.
    pub fn append(&self, request: AppendRequest, now: Wall) -> Result<Appended, PartitionError> {
        let AppendRequest { records, required_acks, zstd_known, transactional, leader_epoch: decided_in, guard } =
            request;
        let config = self.config.load();
        let rules = ProduceRules { zstd_known, transactional, ..config.produce_rules };
        let valid = record::validate(records, &rules, now)?;
        let stamped = valid.header.timestamp_type() == TimestampType::LogAppendTime;
        self.append_with(required_acks, decided_in, stamped, |log, leader_epoch| {
            log.append_as_leader(&valid.batch, &valid.header, leader_epoch, guard, now)
        })
    }

    /// Ends a producer's transaction in this partition.
    pub fn append_marker(&self, request: MarkerRequest, now: Wall) -> Result<Appended, PartitionError> {
        let MarkerRequest { producer_id, producer_epoch, marker, transaction_version, leader_epoch } = request;
        self.append_with(-1, leader_epoch, false, |log, leader_epoch| {
            log.append_marker(marker, (producer_id, producer_epoch), transaction_version, leader_epoch, now)
        })
    }

    /// To be called before a coordinator is asked whether the producer's transaction is ongoing. `None` when that is
    /// known here.
    pub fn start_verification(
        &self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        now: Wall,
    ) -> Option<VerificationGuard> {
        self.with_log(|log| log.start_verification(producer_id, producer_epoch, now)).flatten()
    }

    /// Has `append` write under the leadership of `decided_in`, and sees to what follows from it.
    fn append_with(
        &self,
        required_acks: i16,
        decided_in: Option<LeaderEpoch>,
        stamped: bool,
        append: impl FnOnce(&mut PartitionLog<OsDisk>, LeaderEpoch) -> Result<AppendOutcome, LogError>,
    ) -> Result<Appended, PartitionError> {
        let config = self.config.load();
        let mut state = self.state();
        let State { log: Some(log), leader: Some(leader) } = &mut *state else { return Err(self.not_leader()) };
        if required_acks == -1 && !leader.has_min_isr() {
            return Err(PartitionError::NotEnoughReplicas { in_sync: leader.isr().len() });
        }
        let leader_epoch = leader.leader_epoch();
        if decided_in.is_some_and(|epoch| epoch != leader_epoch) {
            return Err(self.not_leader());
        }
        let info = match append(log, leader_epoch)? {
            AppendOutcome::Appended(info) | AppendOutcome::Duplicate(info) => info,
            AppendOutcome::Refused(refusal) => return Err(refusal.into()),
        };
        let effect = leader.on_append(log.log_end_offset());
        // Before the high watermark passes what was appended.
        self.publish_first_unstable(log);
        let flush_now = wants_flush(log, &config);
        drop(state);
        self.act(effect);
        if flush_now {
            self.flush_signal.want(&self.flush_wanted);
        }
        self.waiters.wake(Watched::LogEndOffset, self.log_end_offset());
        let next_offset = info.last_offset + 1;
        Ok(Appended {
            base_offset: info.base_offset,
            next_offset,
            log_append_time: if stamped { info.max_timestamp } else { -1 },
            log_start_offset: info.log_start_offset,
            leader_epoch,
            committed: self.high_watermark() >= next_offset,
        })
    }

    /// True when appending `records` means inflating or compressing: too long for a thread that serves others.
    pub fn needs_codec(&self, records: &[u8]) -> bool {
        self.config.load().produce_rules.needs_codec(records)
    }

    /// True once when the flusher should come now.
    pub fn take_flush_wanted(&self) -> bool {
        self.flush_wanted.load(Ordering::Acquire) && self.flush_wanted.swap(false, Ordering::AcqRel)
    }

    /// True when a crash would make the next start scan nothing of this log.
    pub fn is_flushed(&self) -> bool {
        self.with_log(|log| log.dirty_bytes() == 0).unwrap_or(true)
    }

    /// Waits until everything below `next_offset`, appended in `leader_epoch`, is committed.
    pub async fn committed(&self, next_offset: Offset, leader_epoch: LeaderEpoch) -> Result<(), PartitionError> {
        let waker = Waker::default();
        loop {
            let _registration = self.waiters.register(Watched::HighWatermark, next_offset - 1, waker.clone());
            if self.leader_epoch() != Some(leader_epoch) {
                return Err(self.not_leader());
            }
            if self.high_watermark() >= next_offset {
                return if self.has_min_isr() { Ok(()) } else { Err(PartitionError::NotEnoughReplicasAfterAppend) };
            }
            waker.notified().await;
        }
    }

    fn has_min_isr(&self) -> bool {
        self.state().leader.as_ref().is_some_and(Leader::has_min_isr)
    }

    /// Reads up to `max_bytes` from `fetch_offset` on, of what `isolation` may see. With `min_one` the first batch
    /// comes whole, however large.
    pub fn read(
        &self,
        fetch_offset: Offset,
        max_bytes: usize,
        min_one: bool,
        isolation: Isolation,
    ) -> Result<ReadRecords, PartitionError> {
        let high_watermark = self.high_watermark();
        let last_stable_offset = self.last_stable_offset();
        let end = self.readable_end(isolation);
        let log_start_offset = self.log_start_offset();
        if fetch_offset < log_start_offset || fetch_offset > self.log_end_offset() {
            return Err(PartitionError::OffsetOutOfRange { offset: fetch_offset, log_start_offset, high_watermark });
        }
        let slice = if fetch_offset < end {
            self.read_log(fetch_offset, max_bytes, end, min_one, high_watermark)?
        } else {
            None
        };
        let aborted = match (&slice, isolation) {
            (Some(slice), Isolation::ReadCommitted) => {
                self.reader.aborted_transactions(fetch_offset, slice.upper_offset)?
            }
            _ => Vec::new(),
        };
        Ok(ReadRecords { high_watermark, last_stable_offset, log_start_offset, aborted, slice })
    }

    fn read_log(
        &self,
        offset: Offset,
        max_bytes: usize,
        end: Offset,
        min_one: bool,
        high_watermark: Offset,
    ) -> Result<Option<FileSlice<OsDisk>>, PartitionError> {
        match self.reader.read(offset, max_bytes, end, min_one) {
            Ok(read) => Ok(read.slice),
            // The log's start moved between the check and the read.
            Err(LogError::OffsetOutOfRange { offset, log_start_offset, .. }) => {
                Err(PartitionError::OffsetOutOfRange { offset, log_start_offset, high_watermark })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Answers ListOffsets below what `isolation` may see.
    pub fn offset_for(
        &self,
        target: TimestampTarget,
        isolation: Isolation,
    ) -> Result<Option<TimestampedOffset>, PartitionError> {
        self.check_offsets_available()?;
        Ok(self.reader.offset_for_timestamp(target, self.readable_end(isolation))?)
    }

    /// Until the high watermark has reached the start of its epoch, a new leader could answer less than its
    /// predecessor did (invariant A13).
    fn check_offsets_available(&self) -> Result<(), PartitionError> {
        let state = self.state();
        let leader = state.leader.as_ref().ok_or_else(|| self.not_leader())?;
        if leader.high_watermark() < leader.leader_epoch_start_offset() {
            return Err(PartitionError::OffsetNotAvailable);
        }
        Ok(())
    }

    /// Answers OffsetForLeaderEpoch: the largest epoch not above `requested`, and where it ends.
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.reader.leader_epochs().end_offset_for(requested, self.log_end_offset())
    }

    /// DeleteRecords up to `offset`; −1 stands for the high watermark. Answers the new log start offset.
    pub fn delete_records(&self, offset: Offset) -> Result<Offset, PartitionError> {
        let high_watermark = self.high_watermark();
        let mut state = self.state();
        let State { log: Some(log), leader: Some(_) } = &mut *state else { return Err(self.not_leader()) };
        if !log.config().cleanup_policy.delete {
            return Err(PartitionError::NotDeletable);
        }
        let target = if offset == -1 { high_watermark } else { offset };
        if target < 0 || target > high_watermark {
            let log_start_offset = log.log_start_offset();
            return Err(PartitionError::OffsetOutOfRange { offset: target, log_start_offset, high_watermark });
        }
        log.advance_log_start_offset(target)?;
        Ok(log.log_start_offset())
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

    /// Runs `work` on the log under the lock; `None` when the partition has been deleted.
    pub(super) fn with_log<T>(&self, work: impl FnOnce(&mut PartitionLog<OsDisk>) -> T) -> Option<T> {
        self.state().log.as_mut().map(work)
    }

    /// Ends the replica and renames its directory for removal. `unique` names the renamed directory.
    pub(super) fn delete(&self, unique: Uuid) -> Result<(), LogError> {
        match self.end() {
            Some(log) => log.delete(unique),
            None => Ok(()),
        }
    }

    /// Ends the replica with everything flushed.
    pub(super) fn close(&self) -> Result<(), LogError> {
        match self.end() {
            Some(log) => log.close(),
            None => Ok(()),
        }
    }

    fn end(&self) -> Option<PartitionLog<OsDisk>> {
        self.resign();
        self.state().log.take()
    }

    fn publish_first_unstable(&self, log: &mut PartitionLog<OsDisk>) {
        let first_unstable = log.first_unstable_offset(self.high_watermark()).unwrap_or(Offset::MAX);
        self.first_unstable_offset.store(first_unstable, Ordering::Release);
    }

    /// The high watermark has risen: transactions whose markers are below it are decided.
    fn end_transactions(&self) {
        if self.first_unstable_offset.load(Ordering::Acquire) != Offset::MAX {
            self.with_log(|log| self.publish_first_unstable(log));
        }
    }

    /// Carries out what the machine says.
    fn act(&self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            match effect {
                Effect::AdvanceHighWatermark { high_watermark } => {
                    // Two appends may get here in either order; the watermark only rises.
                    self.high_watermark.fetch_max(high_watermark, Ordering::AcqRel);
                    self.end_transactions();
                    self.waiters.wake(Watched::HighWatermark, high_watermark);
                }
                // A partition with one replica has no ISR to change.
                Effect::ProposeIsr(proposal) => {
                    tracing::debug!(partition = %self.topic_partition, ?proposal, "no other replica can join");
                }
            }
        }
    }
}

fn wants_flush(log: &PartitionLog<OsDisk>, config: &ReplicaConfig) -> bool {
    let unflushed = log.log_end_offset() - log.recovery_point();
    log.dirty_bytes() >= DIRTY_BYTES_MAX || unflushed >= config.flush_messages
}
