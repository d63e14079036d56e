//! What takes records away: truncation, DeleteRecords, retention.

use crate::model::{Monotonic, Offset, Wall};

use super::super::LogError;
use super::super::checkpoint::format_leader_epochs;
use super::super::disk::Disk;
use super::super::file_names::LEADER_EPOCH_CHECKPOINT;
use super::super::retention::{SegmentFacts, deletable};
use super::{PartitionLog, RetentionOutcome};

impl<D: Disk> PartitionLog<D> {
    /// Drops everything from `offset` on; true when that was anything. Lowers the recovery point, durably and
    /// first, when it is above. An epoch that begins there goes too, also one without records: it was led here, and
    /// another leader's history takes its place.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<bool, LogError> {
        if offset >= self.log_end_offset() {
            if !mutant!("epochs-outlive-a-truncation") && self.leader_epochs.truncate_from(offset) {
                self.leader_epochs_changed();
            }
            return Ok(false);
        }
        let end_offset = self.log.truncation_point(offset)?;
        if end_offset < self.recovery_point() {
            self.directory.lower_recovery_point(&self.partition, end_offset)?;
        }
        // Before the log itself: a snapshot must never tell of batches that are not there.
        self.remove_snapshots_above(end_offset)?;
        self.log.truncate_from(offset)?;
        if !mutant!("epochs-outlive-a-truncation") {
            self.leader_epochs.truncate_from(end_offset);
        }
        self.leader_epochs_changed();
        if mutant!("producers-outlive-a-truncation") {
            return Ok(true);
        }
        self.rebuild_producers(Offset::MAX)?;
        Ok(true)
    }

    /// Drops everything and goes on at `offset`, as a follower does whose leader no longer has what it asks for.
    pub fn truncate_fully_and_start_at(&mut self, offset: Offset) -> Result<(), LogError> {
        // Until the new start is on disk nothing that is there may look like a loss.
        if self.recovery_point() > 0 {
            self.directory.lower_recovery_point(&self.partition, 0)?;
        }
        self.remove_snapshots_above(-1)?;
        self.log.reset_to(offset)?;
        self.leader_epochs.clear();
        self.leader_epochs_changed();
        // Before the recovery point rises again, below which nobody looks: epochs of what is gone would count as those of
        // what the leader has deleted.
        if !mutant!("epochs-outlive-a-reset") {
            let path = self.log.path().join(LEADER_EPOCH_CHECKPOINT);
            let text = format_leader_epochs(&self.leader_epochs);
            self.log.disk().write_atomically(&path, text.as_bytes()).map_err(LogError::io("write", path))?;
        }
        self.producers.clear();
        self.ended_transactions.clear();
        self.directory.set_log_start_offset(&self.partition, offset);
        self.directory.set_recovery_point(&self.partition, offset);
        Ok(())
    }

    /// DeleteRecords: records below `offset` are gone for readers at once, their segments when they lie wholly
    /// below. An offset below the start changes nothing; one above the end is out of range.
    pub fn advance_log_start_offset(&mut self, offset: Offset) -> Result<bool, LogError> {
        let advanced = self.log.advance_start(offset)?;
        if advanced {
            self.start_advanced()?;
        }
        Ok(advanced)
    }

    fn start_advanced(&mut self) -> Result<(), LogError> {
        let log_start_offset = self.log_start_offset();
        self.directory.set_log_start_offset(&self.partition, log_start_offset);
        if self.leader_epochs.advance_start(log_start_offset) {
            self.leader_epochs_changed();
        }
        self.prune_snapshots()
    }

    /// Deletes segments by `retention.ms` and `retention.bytes` where `cleanup.policy` has `delete`; never one that
    /// reaches above `high_watermark`. When that is all of them, a new one is begun first.
    pub fn apply_retention(&mut self, high_watermark: Offset, now: Wall) -> Result<RetentionOutcome, LogError> {
        let segments = self.log.segments();
        let mut facts = Vec::with_capacity(segments.len());
        for segment in segments.iter() {
            let (next_offset, size) = segment.next_offset_and_size();
            facts.push(SegmentFacts { next_offset, size, max_timestamp: self.retention_timestamp(segment)? });
        }
        let count = deletable(&facts, self.log.config(), high_watermark, now);
        let gone = facts.get(..count).unwrap_or_default();
        let Some(last) = gone.last() else {
            return Ok(RetentionOutcome { log_start_offset: self.log_start_offset(), ..RetentionOutcome::default() });
        };
        if count == facts.len() {
            self.log.roll(now)?;
            self.write_snapshot(self.log_end_offset())?;
        }
        self.log.advance_start(last.next_offset)?;
        self.log.delete_segments_below_start()?;
        self.start_advanced()?;
        Ok(RetentionOutcome {
            segments: count,
            bytes: gone.iter().map(|segment| segment.size).sum(),
            log_start_offset: self.log_start_offset(),
        })
    }

    /// The largest timestamp, looked up only where time matters.
    fn retention_timestamp(&self, segment: &super::super::segment::Segment<D>) -> Result<Option<i64>, LogError> {
        let config = self.log.config();
        if config.retention_ms < 0 || !config.cleanup_policy.delete || segment.size() == 0 {
            return Ok(None);
        }
        Ok(segment.max_timestamp()?.map(|max| max.timestamp))
    }

    /// Removes files deleted longer than `file.delete.delay.ms` ago, counted from the first call after; the number
    /// of segments.
    pub fn remove_deleted_files(&mut self, now: Monotonic) -> Result<usize, LogError> {
        let delay_ms = self.log.config().file_delete_delay_ms;
        self.log.remove_deleted_files(now, delay_ms)
    }
}
