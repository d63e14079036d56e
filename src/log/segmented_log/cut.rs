//! What takes batches away, at the end of the log or at its start.
//!
//! What is cut off at the end is durably gone when the call returns: it must not come back after a power cut to mix with
//! what is appended in its place. What goes at the start is renamed, and removed once nobody reads it any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::LogError;
use super::super::disk::{Disk, DiskFile};
use super::super::reader::segments_from;
use super::super::recovery::{self, Damage};
use super::super::segment::Segment;
use super::SegmentedLog;
use crate::model::{Monotonic, Offset};
use crate::record::Batch;

impl<D: Disk> SegmentedLog<D> {
    /// Drops all batches from the one that holds `offset` on; true when there was any. Durable when it returns.
    pub fn truncate_from(&mut self, offset: Offset) -> Result<bool, LogError> {
        if offset >= self.log_end_offset() {
            return Ok(false);
        }
        let segments = self.segments();
        let kept = segments.partition_point(|segment| segment.base_offset() <= offset);
        if kept == 0 {
            self.reset_to(offset)?;
            return Ok(true);
        }
        let (kept, dropped) = segments.split_at_checked(kept).unwrap_or((&segments, &[]));
        let active = kept.last().cloned().expect("at least one segment is kept");
        let (next_offset, size) = active.next_offset_and_size();
        let cut = active.find(offset, size)?;
        let position = cut.map_or(size, |batch| batch.position);
        let end_offset = cut.map_or(next_offset.min(offset), |batch| batch.header.base_offset);
        self.truncations += 1;
        self.recovery_point = self.recovery_point.min(end_offset);
        // Readers first: they must not open what is about to go.
        self.shared.log_end_offset.store(end_offset, Ordering::Release);
        let start = self.log_start_offset().min(end_offset);
        self.shared.log_start_offset.store(start, Ordering::Release);
        self.shared.segments.store(Arc::new(kept.to_vec()));
        let cut = self.cut_files(&active, end_offset, position, dropped);
        // What was to go may still be there: appending after it would be wrong.
        self.failed |= cut.is_err();
        cut?;
        self.resume(active, position)?;
        Ok(true)
    }

    /// Cuts `active` at `position` and renames `dropped`, newest first, so that what a crash leaves is still one
    /// piece. Then makes it durable.
    fn cut_files(
        &mut self,
        active: &Arc<Segment<D>>,
        end_offset: Offset,
        position: u64,
        dropped: &[Arc<Segment<D>>],
    ) -> Result<(), LogError> {
        for segment in dropped.iter().rev() {
            segment.mark_deleted()?;
            self.deleted.push_back((segment.clone(), None));
        }
        let path = active.log().path();
        let file = active.log().open()?;
        file.set_len(position).map_err(LogError::io("truncate", &path))?;
        active.forget_from(end_offset, position)?;
        file.sync_data().map_err(LogError::io("sync", &path))?;
        // An entry that came back would point into the middle of a new batch.
        active.offset_index().sync_existing()?;
        active.time_index().sync_existing()?;
        active.transaction_index().sync_existing()?;
        self.sync_directory()
    }

    /// Goes on appending to `active`, which ends at `position`.
    fn resume(&mut self, active: Arc<Segment<D>>, position: u64) -> Result<(), LogError> {
        let indexed = active.offset_index().last()?.map_or(0, |entry| entry.position);
        self.active = active;
        self.since_index_entry = position.saturating_sub(indexed);
        self.first_timestamp = None;
        self.allocated = position;
        self.synced_bytes = self.synced_bytes.min(self.appended_bytes);
        Ok(())
    }

    /// Cuts the log where [`OpenedLog::damage`] begins. The caller has decided that nothing acknowledged is lost, or
    /// that others have it.
    pub fn cut_damage(&mut self) -> Result<(), LogError> {
        let Some(damage) = self.damage.take() else { return Ok(()) };
        let active = self.active.clone();
        let end_offset = self.log_end_offset();
        let position = active.size();
        let later = recovery::later_segments(&self.pool, &self.directory, damage.segment_base_offset)?;
        self.cut_files(&active, end_offset, position, &later)?;
        self.resume(active, position)
    }

    /// Passes the good batches that lie beyond a damage to `visit`, as far as they can be found: whoever keeps a
    /// durable mark in its batches can tell rot from a torn tail.
    pub fn visit_beyond(
        &self,
        damage: &Damage,
        mut visit: impl FnMut(&Batch<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        recovery::visit_beyond(&self.pool, &self.directory, damage, &mut visit)
    }

    /// Records below `offset` can no longer be read; segments wholly below go. True when the start moved.
    pub fn advance_start(&mut self, offset: Offset) -> Result<bool, LogError> {
        let (log_start_offset, log_end_offset) = (self.log_start_offset(), self.log_end_offset());
        if offset > log_end_offset {
            return Err(LogError::OffsetOutOfRange { offset, log_start_offset, log_end_offset });
        }
        if offset <= log_start_offset {
            return Ok(false);
        }
        self.shared.log_start_offset.store(offset, Ordering::Release);
        self.delete_segments_below_start()?;
        Ok(true)
    }

    /// Deletes the segments that lie wholly below the log start offset, but not the active one; the bytes they had.
    pub(in crate::log) fn delete_segments_below_start(&mut self) -> Result<(usize, u64), LogError> {
        let segments = self.segments();
        let keep = segments_from(&segments, self.log_start_offset());
        let gone = segments.get(..segments.len() - keep.len()).unwrap_or_default();
        if gone.is_empty() {
            return Ok((0, 0));
        }
        self.shared.segments.store(Arc::new(keep.to_vec()));
        self.directory_dirty = true;
        for segment in gone {
            segment.mark_deleted()?;
            self.deleted.push_back((segment.clone(), None));
        }
        Ok((gone.len(), gone.iter().map(|segment| segment.size()).sum()))
    }

    /// Drops everything and begins anew at `offset`. Durable when it returns.
    pub fn reset_to(&mut self, offset: Offset) -> Result<(), LogError> {
        let segments = self.segments();
        self.truncations += 1;
        self.recovery_point = offset;
        for segment in segments.iter().rev() {
            segment.mark_deleted()?;
            self.deleted.push_back((segment.clone(), None));
        }
        let segment = self.create_segment(offset)?;
        self.shared.segments.store(Arc::new(vec![segment.clone()]));
        self.shared.log_start_offset.store(offset, Ordering::Release);
        self.shared.log_end_offset.store(offset, Ordering::Release);
        let since = self.active_since;
        self.begin(segment, since);
        self.damage = None;
        self.synced_bytes = self.appended_bytes;
        self.sync_directory()
    }

    /// Removes the files of segments that were deleted at least `delay_ms` before `now`, counted from the first look;
    /// the number of segments.
    pub fn remove_deleted_files(&mut self, now: Monotonic, delay_ms: u64) -> Result<usize, LogError> {
        let mut removed = 0;
        for (_, since) in &mut self.deleted {
            since.get_or_insert(now);
        }
        while let Some((segment, Some(since))) = self.deleted.front() {
            if now.since_ms(*since) < delay_ms {
                break;
            }
            segment.remove()?;
            self.deleted.pop_front();
            removed += 1;
        }
        Ok(removed)
    }
}
