//! A Kafka partition on disk: a segmented log, and what it says of leader epochs and producers.
//!
//! Invariants: the producer state is what its batches say, no more and no less, so that it can be had again from a
//! snapshot and the batches after it; the leader epoch table has every epoch that has a batch; the recovery point
//! never claims what is not synced.

mod append;
mod awaited;
mod compact;
mod maintain;
mod open;
mod producers;
mod relocate;
mod transactions;

#[cfg(test)]
mod awaited_tests;
#[cfg(test)]
mod compaction_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transaction_tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{LeaderEpoch, LeaderEpochs, Offset, TopicId, TopicPartition, Uuid, Wall};

use super::checkpoint::format_leader_epochs;
use super::disk::Disk;
use super::file_names::{LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, deleted_directory_name};
use super::producer_state::ProducerStates;
use super::{Damage, DataDirectory, FlushHandle, Flushed, LogConfig, LogError, LogReader, ProducerInfo, SegmentedLog};
use awaited::Awaited;
use producers::Snapshots;
pub use relocate::LeftBehind;
pub(super) use relocate::SmallFiles;
pub use transactions::VerificationGuard;
use transactions::Verifications;

/// What opening a log found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenReport {
    /// The directory was created.
    pub created: bool,
    /// Bytes scanned because they lay past the recovery point.
    pub scanned_bytes: u64,
    /// What was wrong past the recovery point, if anything: the log was cut there. Unless that was the incomplete tail
    /// of a killed process, the replica may have lost records it once acknowledged: whether the broker still counts as
    /// one that has them is asked before, with [`PastLife::examined`](super::PastLife::examined) (A12).
    pub cut: Option<Damage>,
}

/// What retention did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RetentionOutcome {
    /// Segments deleted.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The log start offset afterwards.
    pub log_start_offset: Offset,
}

/// The log of one partition. Lives behind its partition's lock; readers use [`PartitionLog::reader`].
#[derive(Debug)]
pub struct PartitionLog<D: Disk> {
    log: SegmentedLog<D>,
    directory: DataDirectory<D>,
    partition: TopicPartition,
    topic_id: Option<TopicId>,
    leader_epochs: LeaderEpochs,
    /// The table has changed since it was last written.
    leader_epochs_dirty: bool,
    producers: ProducerStates,
    snapshots: Snapshots,
    /// Transactions whose markers may not be committed yet: first offset, and offset of the marker.
    ended_transactions: BTreeMap<Offset, Offset>,
    verifications: Verifications,
    awaited: Awaited,
    /// Bytes appended up to the last flush, of those since the log was opened.
    flushed_bytes: u64,
    /// The partition's directory may not be durable in the one above, nor `partition.metadata` in it.
    new_on_disk: bool,
}

impl<D: Disk> PartitionLog<D> {
    /// The partition's name.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The topic's id in `partition.metadata`.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// A handle that reads without the partition's lock. Cheap to clone.
    pub fn reader(&self) -> LogReader<D> {
        self.log.reader()
    }

    /// Offset of the first record that can be read.
    pub fn log_start_offset(&self) -> Offset {
        self.log.log_start_offset()
    }

    /// One past the last record.
    pub fn log_end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// Everything below is on disk for sure.
    pub fn recovery_point(&self) -> Offset {
        self.log.recovery_point()
    }

    #[cfg(test)]
    pub(super) fn log_for_tests(&self) -> &SegmentedLog<D> {
        &self.log
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.log.segments().iter().map(|segment| segment.size()).sum()
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        self.log.config()
    }

    /// Puts new settings in force, for appends, rolls and retention from now on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.log.set_config(config);
    }

    /// Records that this replica leads in `leader_epoch` from the log end offset on.
    pub fn assign_leader_epoch_start(&mut self, leader_epoch: LeaderEpoch) -> Result<(), LogError> {
        self.check_leader_epoch(leader_epoch)?;
        self.note_leader_epoch(leader_epoch, self.log_end_offset());
        self.awaited.clear();
        Ok(())
    }

    fn check_leader_epoch(&self, leader_epoch: LeaderEpoch) -> Result<(), LogError> {
        match self.leader_epochs.latest() {
            Some(latest) if leader_epoch < latest.epoch => {
                Err(LogError::LeaderEpochBackwards { leader_epoch, latest_epoch: latest.epoch })
            }
            _ => Ok(()),
        }
    }

    fn note_leader_epoch(&mut self, leader_epoch: LeaderEpoch, start_offset: Offset) {
        let known = self.leader_epochs.latest().is_some_and(|latest| latest.epoch == leader_epoch);
        if !known && leader_epoch != LeaderEpoch::NONE && self.leader_epochs.assign(leader_epoch, start_offset) {
            self.leader_epochs_changed();
        }
    }

    fn leader_epochs_changed(&mut self) {
        self.leader_epochs_dirty = true;
        self.log.publish_leader_epochs(self.leader_epochs.clone());
    }

    /// Which leader epoch began where.
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        &self.leader_epochs
    }

    /// Where `requested` ends in this log (OffsetForLeaderEpoch): the largest epoch not above it, and its end.
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.leader_epochs.end_offset_for(requested, self.log_end_offset())
    }

    /// Where a follower's history parts from this one: the follower's log ends at `fetch_offset` with the epoch
    /// `last_fetched_epoch`, which ended earlier here or never was (KIP-320). `None` while it does not, or when this log
    /// does not reach back so far.
    pub fn divergence(&self, last_fetched_epoch: LeaderEpoch, fetch_offset: Offset) -> Option<(LeaderEpoch, Offset)> {
        let agrees = |epoch, end_offset| epoch == last_fetched_epoch && end_offset >= fetch_offset;
        self.end_offset_for_epoch(last_fetched_epoch).filter(|&(epoch, end_offset)| !agrees(epoch, end_offset))
    }

    /// Bytes appended since the last flush: what the start after a crash would have to read.
    pub fn dirty_bytes(&self) -> u64 {
        self.log.appended_bytes() - self.flushed_bytes
    }

    /// What has to be done to flush the log up to its end, so that a start after a crash reads nothing; `None` when it
    /// is flushed. Take it under the lock, run it outside of it, and report it with [`PartitionLog::mark_flushed`]. One
    /// at a time.
    pub fn flush_handle(&mut self) -> Result<Option<FlushHandle<D>>, LogError> {
        if !self.log.needs_sync() && self.dirty_bytes() == 0 {
            return Ok(None);
        }
        let snapshot = self.take_snapshot()?;
        self.log.directory_changed();
        self.handle(Some(snapshot)).map(Some)
    }

    /// The same for the records alone: what a power cut would have to leave. There is no snapshot of the producers with
    /// it, so that it costs one sync of the segment where nothing else has changed.
    pub fn sync_handle(&mut self) -> Result<Option<FlushHandle<D>>, LogError> {
        if self.log.needs_sync() { self.handle(None).map(Some) } else { Ok(None) }
    }

    fn handle(&mut self, snapshot: Option<PathBuf>) -> Result<FlushHandle<D>, LogError> {
        let unsynced = self.log.unsynced()?;
        let path = self.log.path();
        let leader_epochs = std::mem::take(&mut self.leader_epochs_dirty)
            .then(|| (path.join(LEADER_EPOCH_CHECKPOINT), format_leader_epochs(&self.leader_epochs)));
        let with_snapshot = snapshot.is_some();
        let mut small_files = Vec::from_iter(snapshot);
        if self.new_on_disk {
            small_files.push(path.join(PARTITION_METADATA));
        }
        let parent = std::mem::take(&mut self.new_on_disk).then(|| self.directory.path().to_owned());
        Ok(FlushHandle { unsynced, with_snapshot, small_files, leader_epochs, parent })
    }

    /// A flush is done: the recovery point advances, unless the log was truncated meanwhile.
    pub fn mark_flushed(&mut self, flushed: Flushed) -> Result<(), LogError> {
        let counts = self.log.mark_synced(flushed.offset, flushed.appended_bytes, flushed.truncations);
        if counts {
            self.directory.set_recovery_point(&self.partition, self.log.recovery_point());
        }
        if !flushed.with_snapshot {
            return Ok(());
        }
        if counts {
            self.flushed_bytes = self.flushed_bytes.max(flushed.appended_bytes);
        }
        self.prune_snapshots()
    }

    /// Makes the records durable inline, as [`PartitionLog::sync_handle`] does. For tests.
    pub fn sync(&mut self) -> Result<(), LogError> {
        match self.sync_handle()? {
            Some(handle) => self.mark_flushed(handle.run()?),
            None => Ok(()),
        }
    }

    /// A flush ended with an error that [lets it wait](LogError::lets_flush_wait): the next one does all of it.
    pub fn flush_later(&mut self) {
        self.leader_epochs_dirty = true;
        self.new_on_disk = true;
        self.log.directory_changed();
    }

    /// Flushes inline. For shutdown and tests.
    pub fn flush(&mut self) -> Result<(), LogError> {
        match self.flush_handle()? {
            Some(handle) => self.mark_flushed(handle.run()?),
            None => Ok(()),
        }
    }

    /// Flushes everything, indexes and producer state included, so that the next start scans nothing. The recovery
    /// point is durable with [`DataDirectory::write_checkpoints`].
    pub fn close(mut self) -> Result<(), LogError> {
        self.flush()?;
        self.log.close()
    }

    /// Closes the log and sets its directory aside, from where [`DataDirectory::restore`] brings it back; readers go on
    /// reading. `high_watermark` is noted with it.
    pub fn set_aside(mut self, topic_id: TopicId, high_watermark: Offset) -> Result<(), LogError> {
        self.flush()?;
        self.log.close()?;
        self.directory.set_high_watermark(&self.partition, high_watermark);
        self.log.directory().mark_deleted();
        let kept = self.directory.set_aside(&self.partition, topic_id)?;
        self.log.directory().set_path(kept);
        Ok(())
    }

    /// Renames the directory to be removed by [`DataDirectory::remove_deleted`], and forgets its checkpoints.
    /// `id` must be unique; readers go on reading.
    pub fn delete(self, id: Uuid) -> Result<(), LogError> {
        let from = self.log.path();
        let to = self.directory.path().join(deleted_directory_name(&self.partition, id));
        self.log.directory().mark_deleted();
        self.directory.disk().rename(&from, &to).map_err(LogError::io("rename", &from))?;
        self.log.directory().set_path(to);
        self.directory.forget(&self.partition);
        Ok(())
    }

    /// The idempotent producers known here, by id (DescribeProducers).
    pub fn describe_producers(&self) -> Vec<ProducerInfo> {
        self.producers.describe()
    }

    /// Forgets producers idle for `producer.id.expiration.ms`; the number forgotten.
    pub fn expire_producers(&mut self, now: Wall) -> usize {
        let expiration_ms = self.log.config().producer_id_expiration_ms;
        self.verifications.expire(now, expiration_ms);
        self.awaited.clear();
        self.producers.expire(now, expiration_ms)
    }
}
