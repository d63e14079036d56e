//! One segment: a file of batches and its indexes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::Offset;
use crate::record::BatchHeader;

use super::batch_walk::{HeaderWalk, Located, Stop};
use super::disk::{Disk, DiskFile};
use super::file_names::{FileKind, Standing};
use super::file_pool::{FilePool, LogDirectory, PooledFile};
use super::index_file::IndexFile;
use super::offset_index::{OffsetEntry, OffsetIndex};
use super::retention::SegmentFacts;
use super::time_index::{TimeEntry, TimeIndex};
use super::transaction_index::TransactionIndex;
use super::{LogConfig, LogError};

/// A segment. The one who appends holds the log's lock; readers need none.
#[derive(Debug)]
pub struct Segment<D: Disk> {
    base_offset: Offset,
    log: PooledFile<D>,
    offset_index: OffsetIndex<D>,
    time_index: TimeIndex<D>,
    transaction_index: TransactionIndex<D>,
    end: Mutex<End>,
}

/// Where a segment ends, as readers see it. Held only to be copied, never across an operation on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    next_offset: Offset,
    size: u64,
    /// The largest timestamp, `None` without one.
    max_timestamp: Option<TimeEntry>,
    /// `max_timestamp` has been looked up since the segment was opened.
    max_timestamp_known: bool,
}

impl<D: Disk> Segment<D> {
    /// A segment that holds nothing yet; no file is touched. `standing` says whether it is part of the log.
    pub fn new_empty(
        pool: &Arc<FilePool<D>>,
        directory: &Arc<LogDirectory>,
        base_offset: Offset,
        standing: Standing,
    ) -> Self {
        let file = |kind| PooledFile::standing(pool, directory, base_offset, kind, standing);
        Self {
            base_offset,
            log: file(FileKind::Log),
            offset_index: IndexFile::new_empty(file(FileKind::OffsetIndex), base_offset),
            time_index: IndexFile::new_empty(file(FileKind::TimeIndex), base_offset),
            transaction_index: IndexFile::new_empty(file(FileKind::TransactionIndex), base_offset),
            end: Mutex::new(End { next_offset: base_offset, size: 0, max_timestamp: None, max_timestamp_known: true }),
        }
    }

    /// A segment that is on disk: `size` bytes that end at `next_offset`.
    pub fn new_existing(
        pool: &Arc<FilePool<D>>,
        directory: &Arc<LogDirectory>,
        base_offset: Offset,
        next_offset: Offset,
        size: u64,
    ) -> Self {
        let file = |kind| PooledFile::new(pool, directory, base_offset, kind);
        Self {
            base_offset,
            log: file(FileKind::Log),
            offset_index: IndexFile::new(file(FileKind::OffsetIndex), base_offset),
            time_index: IndexFile::new(file(FileKind::TimeIndex), base_offset),
            transaction_index: IndexFile::new(file(FileKind::TransactionIndex), base_offset),
            end: Mutex::new(End { next_offset, size, max_timestamp: None, max_timestamp_known: false }),
        }
    }

    /// The offset in its name.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The file of batches.
    pub fn log(&self) -> &PooledFile<D> {
        &self.log
    }

    /// Its offset index.
    pub fn offset_index(&self) -> &OffsetIndex<D> {
        &self.offset_index
    }

    /// Its time index.
    pub fn time_index(&self) -> &TimeIndex<D> {
        &self.time_index
    }

    /// The aborted transactions whose markers it holds.
    pub fn transaction_index(&self) -> &TransactionIndex<D> {
        &self.transaction_index
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One past its last offset, and its bytes up to there.
    pub fn next_offset_and_size(&self) -> (Offset, u64) {
        let end = self.end();
        (end.next_offset, end.size)
    }

    /// Bytes of its batches.
    pub fn size(&self) -> u64 {
        self.end().size
    }

    /// Shows readers a new end. Only the one who writes does.
    pub fn set_end(&self, next_offset: Offset, size: u64) {
        let mut end = self.end();
        end.next_offset = next_offset;
        end.size = size;
    }

    /// Notes a batch that was written at the end, and shows it to readers. The caller sees to the indexes.
    pub fn extend(&self, header: &BatchHeader) {
        let mut end = self.end();
        end.next_offset = header.next_offset();
        end.size += header.size() as u64;
        end.note_timestamp(header);
    }

    /// Adds index entries for the batch at `position`, which [`Segment::extend`] has noted.
    pub fn index(&self, header: &BatchHeader, position: u64) -> Result<(), LogError> {
        // Looking for a timestamp begins at the last entry of the offset index: the order matters.
        self.index_max_timestamp()?;
        self.offset_index.append(OffsetEntry { offset: header.last_offset(), position })
    }

    /// Adds the largest timestamp to the time index.
    pub fn index_max_timestamp(&self) -> Result<(), LogError> {
        match self.max_timestamp()? {
            Some(entry) => self.time_index.append(entry),
            None => Ok(()),
        }
    }

    /// The largest timestamp, and the last offset of the batch that has it.
    pub fn max_timestamp(&self) -> Result<Option<TimeEntry>, LogError> {
        let end = *self.end();
        if end.max_timestamp_known {
            return Ok(end.max_timestamp);
        }
        let found = self.find_max_timestamp(end.size)?;
        self.set_max_timestamp(found, end.size);
        Ok(found)
    }

    /// What retention and compaction go by.
    pub fn facts(&self) -> Result<SegmentFacts, LogError> {
        let (next_offset, size) = self.next_offset_and_size();
        let max_timestamp = if size == 0 { None } else { self.max_timestamp()? };
        Ok(SegmentFacts { next_offset, size, max_timestamp: max_timestamp.map(|max| max.timestamp) })
    }

    /// Remembers what was found below `size`, unless the segment has changed meanwhile.
    fn set_max_timestamp(&self, found: Option<TimeEntry>, size: u64) {
        let mut end = self.end();
        if end.size == size {
            end.max_timestamp = found;
            end.max_timestamp_known = true;
        }
    }

    /// From the last entry of the time index, and the batches past the last entry of the offset index, for they may
    /// not be in the time index yet.
    fn find_max_timestamp(&self, size: u64) -> Result<Option<TimeEntry>, LogError> {
        let mut found = self.time_index.last()?;
        let start = match self.offset_index.last()? {
            // A rolled segment ends its time index with the largest timestamp.
            Some(entry) if entry.position < size => entry.position,
            _ => 0,
        };
        self.walk(start, size, |batch| {
            note_timestamp(&mut found, &batch.header);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Passes the headers of the batches between two positions to `visit` until it says `false`.
    pub fn walk(
        &self,
        from: u64,
        to: u64,
        mut visit: impl FnMut(&Located) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        if from >= to {
            return Ok(());
        }
        let mut walk = HeaderWalk::new(self.log.open()?, from, to);
        loop {
            match walk.step() {
                Ok(batch) => {
                    if !visit(&batch)? {
                        return Ok(());
                    }
                }
                Err(Stop::End) => return Ok(()),
                Err(stop) => return Err(self.corrupt(walk.position(), stop)),
            }
        }
    }

    /// The fault of a segment that cannot be read at `position`.
    pub fn corrupt(&self, position: u64, stop: Stop) -> LogError {
        let path = self.log.path();
        let reason = match stop {
            Stop::Io(source) => return LogError::Io { action: "read", path, source },
            Stop::Invalid(error) => error.to_string(),
            Stop::Incomplete | Stop::End => "the file ends inside the batch".to_owned(),
        };
        LogError::Corrupt { path, position, offset: self.base_offset, reason }
    }

    /// The first batch below `size` whose last offset is at or above `offset`.
    pub fn find(&self, offset: Offset, size: u64) -> Result<Option<Located>, LogError> {
        let start = self.offset_index.lookup(offset)?.map_or(0, |entry| entry.position);
        // An entry beyond the end belongs to what was truncated meanwhile.
        let start = if start < size { start } else { 0 };
        let mut found = None;
        self.walk(start, size, |batch| {
            if batch.header.last_offset() >= offset {
                found = Some(*batch);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// No record below `position` is at or above the returned offset, which is above all of them as seldom as the
    /// offset index is sparse.
    pub fn upper_offset(&self, position: u64) -> Result<Offset, LogError> {
        let (next_offset, size) = self.next_offset_and_size();
        if position >= size {
            return Ok(next_offset);
        }
        // The entry names the last offset of a batch that begins at or after the position.
        Ok(self.offset_index.first_not(|entry| entry.position < position)?.map_or(next_offset, |entry| entry.offset))
    }

    /// Rebuilds both indexes from the headers, for a segment whose index files are missing.
    pub fn rebuild_indexes(&self, index_interval_bytes: u64) -> Result<(), LogError> {
        self.offset_index.clear()?;
        self.time_index.clear()?;
        let size = self.size();
        let mut max_timestamp = None;
        let mut since_entry = 0;
        self.walk(0, size, |batch| {
            note_timestamp(&mut max_timestamp, &batch.header);
            if since_entry > index_interval_bytes {
                let entry = OffsetEntry { offset: batch.header.last_offset(), position: batch.position };
                self.offset_index.append(entry)?;
                if let Some(entry) = max_timestamp {
                    self.time_index.append(entry)?;
                }
                since_entry = 0;
            }
            since_entry += batch.header.size() as u64;
            Ok(true)
        })?;
        self.set_max_timestamp(max_timestamp, size);
        self.finish_indexes()
    }

    /// Writes its indexes out in full: the segment takes no more batches.
    pub fn finish_indexes(&self) -> Result<(), LogError> {
        self.index_max_timestamp()?;
        self.write_out_indexes()?;
        self.offset_index.forget_recent();
        self.time_index.forget_recent();
        self.transaction_index.forget_recent();
        Ok(())
    }

    /// Writes the gathered index entries.
    pub fn write_out_indexes(&self) -> Result<(), LogError> {
        self.offset_index.write_out()?;
        self.time_index.write_out()?;
        self.transaction_index.write_out_existing()
    }

    /// Drops what follows `size` and `next_offset` from memory and from the indexes. The file is cut by the caller.
    pub fn forget_from(&self, next_offset: Offset, size: u64) -> Result<(), LogError> {
        {
            let mut end = self.end();
            end.next_offset = next_offset;
            end.size = size;
            end.max_timestamp = None;
            end.max_timestamp_known = false;
        }
        self.offset_index.truncate(|entry| entry.offset < next_offset)?;
        self.time_index.truncate(|entry| entry.offset < next_offset)?;
        self.transaction_index.truncate(|entry| entry.last_offset < next_offset)
    }

    /// Renames its files so that the next start removes them. The batches go first: indexes without them are litter
    /// that the next start removes too.
    pub fn mark_deleted(&self) -> Result<(), LogError> {
        self.log.mark_deleted()?;
        self.offset_index.file().mark_deleted()?;
        self.time_index.file().mark_deleted()?;
        self.transaction_index.file().mark_deleted()
    }

    /// Renames its files. The batches go last: where they have the new name, all of them have.
    pub fn rename_to(&self, standing: Standing) -> Result<(), LogError> {
        self.offset_index.file().rename_to(standing)?;
        self.time_index.file().rename_to(standing)?;
        self.transaction_index.file().rename_to(standing)?;
        self.log.rename_to(standing)
    }

    /// Syncs its batches, and its indexes when nothing more comes (`finished`).
    pub fn sync(&self, finished: bool) -> Result<(), LogError> {
        self.log.open()?.sync_data().map_err(self.log.fault("sync"))?;
        if finished {
            self.offset_index.sync()?;
            self.time_index.sync()?;
        }
        // Recovery makes entries again only for what lies past the recovery point.
        self.transaction_index.sync_existing()
    }

    /// With `preallocate`, takes the room that the new segment may need.
    pub fn allocate_ahead(&self, config: &LogConfig) -> Result<(), LogError> {
        if config.preallocate
            && let Err(error) = self.log.open()?.allocate(config.segment_bytes)
        {
            // A file system that cannot, or has no room for all of it: what is written takes its room then.
            tracing::debug!(path = %self.log.path().display(), "not allocated ahead: {error}");
        }
        Ok(())
    }

    /// Removes its files.
    pub fn remove(&self) -> Result<(), LogError> {
        self.log.remove()?;
        self.offset_index.file().remove()?;
        self.time_index.file().remove()?;
        self.transaction_index.file().remove()
    }
}

impl End {
    fn note_timestamp(&mut self, header: &BatchHeader) {
        if self.max_timestamp_known {
            note_timestamp(&mut self.max_timestamp, header);
        }
    }
}

fn note_timestamp(max: &mut Option<TimeEntry>, header: &BatchHeader) {
    if header.max_timestamp >= 0 && max.is_none_or(|max| header.max_timestamp > max.timestamp) {
        *max = Some(TimeEntry { timestamp: header.max_timestamp, offset: header.last_offset() });
    }
}
