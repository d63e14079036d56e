//! Reading without the log's lock.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use crate::model::{LeaderEpochs, Offset};

use super::LogError;
use super::disk::{Disk, DiskFile, read_full};
use super::segment::Segment;
use super::transaction_index::AbortedTransaction;

/// A piece of a segment file. The file stays readable while the slice lives, also when it is deleted meanwhile.
#[derive(Debug)]
pub struct FileSlice<D: Disk> {
    /// The file.
    pub file: Arc<D::File>,
    /// Where the piece begins, in bytes.
    pub position: u64,
    /// Its length, in bytes.
    pub length: usize,
    /// No record in the piece is at or above this offset; there may be less.
    pub upper_offset: Offset,
}

impl<D: Disk> Clone for FileSlice<D> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), ..*self }
    }
}

impl<D: Disk> FileSlice<D> {
    /// Appends the piece to `buffer`. Fewer bytes than `length` (the log was truncated meanwhile) are an error.
    pub fn read_into(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let start = buffer.len();
        buffer.resize(start + self.length, 0);
        let rest = buffer.get_mut(start..).unwrap_or_default();
        let read = read_full(&*self.file, rest, self.position)?;
        buffer.truncate(start + read);
        if read < self.length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// The descriptor for `sendfile`, where there is one.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_fd()
    }
}

/// The outcome of a read.
#[derive(Debug)]
pub struct LogRead<D: Disk> {
    /// The bytes: whole batches from the one that holds the offset on, the last one possibly cut off by the size
    /// limit. `None` when there is nothing below the upper offset, or nothing that fits.
    pub slice: Option<FileSlice<D>>,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// Where it ended when it was read.
    pub log_end_offset: Offset,
}

/// What readers see of a log. The one who writes changes it under the log's lock.
pub(super) struct Shared<D: Disk> {
    pub(super) segments: ArcSwap<Vec<Arc<Segment<D>>>>,
    pub(super) log_start_offset: AtomicI64,
    /// Stored after the segment's own end, so that a reader finds at least what this promises.
    pub(super) log_end_offset: AtomicI64,
    pub(super) leader_epochs: ArcSwap<LeaderEpochs>,
}

impl<D: Disk> fmt::Debug for Shared<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("log_start_offset", &self.log_start_offset)
            .field("log_end_offset", &self.log_end_offset)
            .finish_non_exhaustive()
    }
}

/// Reads a log while others append to it. Cheap to clone; all clones see the same log.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<D: Disk> LogReader<D> {
    /// Offset of the first record that can be read.
    pub fn log_start_offset(&self) -> Offset {
        self.shared.log_start_offset.load(Ordering::Acquire)
    }

    /// One past the last record.
    pub fn log_end_offset(&self) -> Offset {
        self.shared.log_end_offset.load(Ordering::Acquire)
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.shared.segments.load().iter().map(|segment| segment.size()).sum()
    }

    /// Which leader epoch began where, as of now. Empty for the Raft log.
    pub fn leader_epochs(&self) -> Arc<LeaderEpochs> {
        self.shared.leader_epochs.load_full()
    }

    /// Reads up to `max_bytes` from the batch that holds `offset` on, but no batch that holds or follows
    /// `upper_offset`. With `min_one` the first batch comes whole even when it is larger than `max_bytes`;
    /// without, a first batch that does not fit gives nothing. The bytes are those of one segment at most. An
    /// offset outside of the log is [`LogError::OffsetOutOfRange`]; its end is not outside.
    pub fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        upper_offset: Offset,
        min_one: bool,
    ) -> Result<LogRead<D>, LogError> {
        match self.try_read(offset, max_bytes, upper_offset, min_one) {
            // The log was truncated or its oldest segment deleted while we looked: look again, once.
            Err(LogError::Corrupt { .. } | LogError::Io { .. }) => {
                self.try_read(offset, max_bytes, upper_offset, min_one)
            }
            outcome => outcome,
        }
    }

    fn try_read(
        &self,
        offset: Offset,
        max_bytes: usize,
        upper_offset: Offset,
        min_one: bool,
    ) -> Result<LogRead<D>, LogError> {
        let (log_start_offset, log_end_offset) = (self.log_start_offset(), self.log_end_offset());
        if offset < log_start_offset || offset > log_end_offset {
            return Err(LogError::OffsetOutOfRange { offset, log_start_offset, log_end_offset });
        }
        let upper_offset = upper_offset.min(log_end_offset);
        let slice = if offset < upper_offset { self.slice(offset, max_bytes, upper_offset, min_one)? } else { None };
        Ok(LogRead { slice, log_start_offset, log_end_offset })
    }

    /// The aborted transactions with records between `from` and `upper_offset`, for a reader that skips them.
    /// Everything below `upper_offset` must be decided.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        upper_offset: Offset,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let segments = self.shared.segments.load();
        let mut found = Vec::new();
        for segment in segments_from(&segments, from) {
            for aborted in segment.transaction_index().since(from)? {
                if aborted.first_offset < upper_offset {
                    found.push(aborted);
                }
                if aborted.last_stable_offset >= upper_offset {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn slice(
        &self,
        offset: Offset,
        max_bytes: usize,
        upper_offset: Offset,
        min_one: bool,
    ) -> Result<Option<FileSlice<D>>, LogError> {
        let segments = self.shared.segments.load();
        for segment in segments_from(&segments, offset) {
            let (next_offset, size) = segment.next_offset_and_size();
            // Compaction may have taken the last records of a segment: the next one goes on.
            let Some(first) = segment.find(offset, size)? else { continue };
            if first.header.last_offset() >= upper_offset {
                return Ok(None);
            }
            let end = if upper_offset >= next_offset {
                size
            } else {
                segment.find(upper_offset, size)?.map_or(size, |batch| batch.position)
            };
            let wanted = if min_one { max_bytes.max(first.header.size()) } else { max_bytes };
            if wanted < first.header.size() {
                return Ok(None);
            }
            let available = usize::try_from(end.saturating_sub(first.position)).unwrap_or(usize::MAX);
            let file = segment.log().open()?;
            let length = wanted.min(available);
            let upper_offset = upper_offset.min(segment.upper_offset(first.position + length as u64)?);
            return Ok(Some(FileSlice { file, position: first.position, length, upper_offset }));
        }
        Ok(None)
    }
}

/// The segments from the one that holds `offset` on.
pub(super) fn segments_from<D: Disk>(segments: &[Arc<Segment<D>>], offset: Offset) -> &[Arc<Segment<D>>] {
    let after = segments.partition_point(|segment| segment.base_offset() <= offset);
    segments.get(after.saturating_sub(1)..).unwrap_or_default()
}
