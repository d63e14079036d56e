//! Going on in the copy of a log that lies in another data directory.

use std::sync::Arc;

use super::super::disk::Disk;
use super::super::file_pool::LogDirectory;
use super::super::future_log::Extent;
use super::super::segment::Segment;
use super::SegmentedLog;
use crate::model::Offset;

impl<D: Disk> SegmentedLog<D> {
    /// What it holds now; `None` for a log that has failed.
    pub(in crate::log) fn extent(&self) -> Option<Extent<D>> {
        if self.failed || self.damage.is_some() {
            return None;
        }
        let segments = self.segments().iter().map(|segment| (segment.clone(), segment.size())).collect();
        Some(Extent {
            segments,
            end_offset: self.log_end_offset(),
            truncations: self.truncations,
            index_interval_bytes: self.config().index_interval_bytes,
        })
    }

    /// Goes on in `segments`, which hold the same batches and lie in `directory`; below `recovery_point` they are
    /// durable there. Readers find them from now on. Cannot fail.
    pub(in crate::log) fn relocate(
        &mut self,
        directory: Arc<LogDirectory>,
        segments: Vec<Arc<Segment<D>>>,
        since_index_entry: u64,
        recovery_point: Offset,
    ) {
        let active = segments.last().cloned().expect("the copy of a log has a segment");
        self.directory = directory;
        self.allocated = active.size();
        self.active = active;
        self.since_index_entry = since_index_entry;
        self.recovery_point = recovery_point;
        // No sync of what was left behind says anything of the copy.
        self.truncations += 1;
        self.directory_dirty = true;
        // What was to be removed goes with the directory it is in.
        self.deleted.clear();
        self.shared.segments.store(Arc::new(segments));
    }
}
