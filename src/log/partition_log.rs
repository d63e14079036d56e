//! A Kafka partition on disk.

use std::sync::Arc;

use crate::model::{LeaderEpoch, LeaderEpochs, Offset, TopicId, TopicPartition, Wall};
use crate::record::BatchHeader;

use super::disk::Disk;
use super::{
    AppendInfo, AppendOutcome, Damage, DataDirectory, FlushHandle, Flushed, LogConfig, LogError, LogReader,
    ProducerInfo,
};

/// What opening a log found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpenReport {
    /// The directory was created.
    pub created: bool,
    /// Bytes scanned because they lay past the recovery point.
    pub scanned_bytes: u64,
    /// What was wrong past the recovery point, if anything: the log was cut there. Unless it
    /// [is the incomplete tail](Damage::is_incomplete_tail) of a killed process, the replica may have
    /// lost records it once acknowledged, and must not count as clean (invariant A12).
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
    reader: LogReader<D>,
}

impl<D: Disk> PartitionLog<D> {
    /// Opens the partition's log in `directory`, creating it when it is missing, and recovers what lies past the
    /// recovery point that `directory` has for it. `clean` says that the last stop was a clean one: then indexes
    /// are trusted as they are. With a `topic_id`, `partition.metadata` must name the same topic.
    pub fn open(
        directory: &DataDirectory<D>,
        partition: TopicPartition,
        topic_id: Option<TopicId>,
        config: Arc<LogConfig>,
        clean: bool,
        now: Wall,
    ) -> Result<(Self, OpenReport), LogError> {
        let _ = (directory, partition, topic_id, config, clean, now);
        todo!("in progress")
    }

    /// The partition's name.
    pub fn partition(&self) -> &TopicPartition {
        todo!("in progress")
    }

    /// The topic's id in `partition.metadata`.
    pub fn topic_id(&self) -> Option<TopicId> {
        todo!("in progress")
    }

    /// A handle that reads without the partition's lock. Cheap to clone.
    pub fn reader(&self) -> LogReader<D> {
        self.reader.clone()
    }

    /// Offset of the first record that can be read.
    pub fn log_start_offset(&self) -> Offset {
        todo!("in progress")
    }

    /// One past the last record.
    pub fn log_end_offset(&self) -> Offset {
        todo!("in progress")
    }

    /// Everything below is on disk for sure.
    pub fn recovery_point(&self) -> Offset {
        todo!("in progress")
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        todo!("in progress")
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        todo!("in progress")
    }

    /// Puts new settings in force, for appends, rolls and retention from now on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        let _ = config;
        todo!("in progress")
    }

    /// Appends one batch of a producer, which `record::validate` has accepted: `batch` is all of its bytes and
    /// `header` its header. Checks the producer's sequence, then gives the batch the next offset and
    /// `leader_epoch` and writes it. The bytes are written as they are but for their first 16.
    pub fn append_as_leader(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        leader_epoch: LeaderEpoch,
        now: Wall,
    ) -> Result<AppendOutcome, LogError> {
        let _ = (batch, header, leader_epoch, now);
        todo!("in progress")
    }

    /// Appends batches as the leader stored them, offsets and epochs included. Their CRCs are checked first
    /// (invariant A19); a batch cut off at the end of `batches` is left out. `None` when there was no whole batch.
    pub fn append_as_follower(&mut self, batches: &[u8], now: Wall) -> Result<Option<AppendInfo>, LogError> {
        let _ = (batches, now);
        todo!("in progress")
    }

    /// Records that this replica leads in `leader_epoch` from the log end offset on.
    pub fn assign_leader_epoch_start(&mut self, leader_epoch: LeaderEpoch) -> Result<(), LogError> {
        let _ = leader_epoch;
        todo!("in progress")
    }

    /// Which leader epoch began where.
    pub fn leader_epochs(&self) -> &LeaderEpochs {
        todo!("in progress")
    }

    /// Where `requested` ends in this log (OffsetForLeaderEpoch): the largest epoch not above it, and its end.
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let _ = requested;
        todo!("in progress")
    }

    /// Drops everything from `offset` on; true when that was anything. Lowers the recovery point, durably and
    /// first, when it is above.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<bool, LogError> {
        let _ = offset;
        todo!("in progress")
    }

    /// Drops everything and goes on at `offset`, as a follower does whose leader no longer has what it asks for.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<(), LogError> {
        let _ = offset;
        todo!("in progress")
    }

    /// DeleteRecords: records below `offset` are gone for readers at once, their segments when they lie wholly
    /// below. An offset below the start changes nothing; one above the end is out of range.
    pub fn advance_log_start_offset(&mut self, offset: Offset, now: Wall) -> Result<bool, LogError> {
        let _ = (offset, now);
        todo!("in progress")
    }

    /// Deletes segments by `retention.ms` and `retention.bytes` where `cleanup.policy` has `delete`, and those
    /// wholly below the log start offset always; never one that reaches above `high_watermark`.
    pub fn apply_retention(&mut self, high_watermark: Offset, now: Wall) -> Result<RetentionOutcome, LogError> {
        let _ = (high_watermark, now);
        todo!("in progress")
    }

    /// Removes files deleted longer than `file.delete.delay.ms` ago; the number removed.
    pub fn remove_deleted_files(&mut self, now: Wall) -> Result<usize, LogError> {
        let _ = now;
        todo!("in progress")
    }

    /// Bytes appended since the recovery point: what a crash would have to scan.
    pub fn dirty_bytes(&self) -> u64 {
        todo!("in progress")
    }

    /// What has to be done to flush the log up to its end; `None` when it is flushed. Take it under the lock, run it
    /// outside of it, and report it with [`PartitionLog::mark_flushed`].
    pub fn flush_handle(&mut self) -> Result<Option<FlushHandle<D>>, LogError> {
        todo!("in progress")
    }

    /// A flush is done: the recovery point advances, unless the log was truncated meanwhile.
    pub fn mark_flushed(&mut self, flushed: Flushed) -> Result<(), LogError> {
        let _ = flushed;
        todo!("in progress")
    }

    /// Flushes inline. For shutdown and tests.
    pub fn flush(&mut self) -> Result<(), LogError> {
        todo!("in progress")
    }

    /// Flushes everything, indexes and producer state included, so that the next start scans nothing.
    pub fn close(self) -> Result<(), LogError> {
        todo!("in progress")
    }

    /// Renames the directory to be removed by [`DataDirectory::remove_deleted`], and forgets its checkpoints.
    /// `id` must be unique; readers go on reading.
    pub fn delete(self, id: crate::model::Uuid) -> Result<(), LogError> {
        let _ = id;
        todo!("in progress")
    }

    /// The idempotent producers known here, by id (DescribeProducers).
    pub fn describe_producers(&self) -> Vec<ProducerInfo> {
        todo!("in progress")
    }

    /// The first offset of the oldest open transaction.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        todo!("in progress")
    }

    /// Forgets producers idle for `producer.id.expiration.ms`; the number forgotten.
    pub fn expire_producers(&mut self, now: Wall) -> usize {
        let _ = now;
        todo!("in progress")
    }
}
