//! Compaction of a partition: what is to be done, and putting the result in place.

use super::super::LogError;
use super::super::compaction::{Compacted, CompactionJob, cleanable};
use super::super::disk::Disk;
use super::PartitionLog;
use crate::model::{Offset, Wall};

impl<D: Disk> PartitionLog<D> {
    /// The cleaning that is due, if `cleanup.policy` has `compact` and one is. Take it under the lock, run it outside
    /// of it, and hand the result to [`PartitionLog::put_compacted`]. Everything below `decided_offset` is committed
    /// and belongs to no open transaction.
    pub fn compaction_job(&self, decided_offset: Offset, now: Wall) -> Result<Option<CompactionJob<D>>, LogError> {
        if !self.log.config().cleanup_policy.compact {
            return Ok(None);
        }
        let segments = self.log.segments();
        let mut facts = Vec::with_capacity(segments.len());
        for segment in segments.iter() {
            facts.push(segment.facts()?);
        }
        let first_uncleanable_offset = decided_offset.min(self.recovery_point()).min(self.log.active_base_offset());
        let first_dirty_offset = self.first_dirty_offset();
        let found = cleanable(&facts, first_dirty_offset, first_uncleanable_offset, self.log.config(), now);
        if !found.is_due {
            return Ok(None);
        }
        let sources = segments.get(..found.segments).unwrap_or_default().to_vec();
        Ok(Some(CompactionJob {
            pool: self.directory.pool().clone(),
            directory: self.log.directory().clone(),
            config: self.log.config().clone(),
            now,
            first_dirty_offset,
            aborted: self.reader().aborted_transactions(0, first_uncleanable_offset)?,
            producers: self.producers.last_offsets(),
            dirty_ratio: found.dirty_ratio,
            sources,
        }))
    }

    /// Everything below was cleaned before. Forgotten when the log does not reach there, or no longer.
    /// Below this offset the log holds one record of a key; what is above is to be cleaned.
    pub fn first_dirty_offset(&self) -> Offset {
        let log_start_offset = self.log_start_offset();
        let known = self.directory.first_dirty_offset(&self.partition).unwrap_or(log_start_offset);
        if known > self.log_end_offset() { log_start_offset } else { known.max(log_start_offset) }
    }

    /// Puts the copies in the place of what they were made from; false when that is there no longer, cut off or
    /// deleted meanwhile: then the copies are dropped.
    pub fn put_compacted(&mut self, compacted: Compacted<D>) -> Result<bool, LogError> {
        if !self.log.replace_segments(&compacted.replacements)? {
            compacted.discard()?;
            return Ok(false);
        }
        self.directory.set_first_dirty_offset(&self.partition, compacted.first_dirty_offset);
        Ok(true)
    }
}
