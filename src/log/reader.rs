//! Reading without the log's lock.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::model::{LeaderEpoch, LeaderEpochs, Offset};

use super::LogError;
use super::disk::{Disk, DiskFile, read_full};

/// A piece of a segment file. The file stays readable while the slice lives, also when it is deleted meanwhile.
#[derive(Debug)]
pub struct FileSlice<D: Disk> {
    /// The file.
    pub file: Arc<D::File>,
    /// Where the piece begins, in bytes.
    pub position: u64,
    /// Its length, in bytes.
    pub length: usize,
}

impl<D: Disk> Clone for FileSlice<D> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), position: self.position, length: self.length }
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
    /// limit. `None` when there is nothing below the upper offset.
    pub slice: Option<FileSlice<D>>,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// Where it ended when it was read.
    pub log_end_offset: Offset,
}

/// What ListOffsets asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampTarget {
    /// −2: the log start offset.
    Earliest,
    /// −1: the log end offset.
    Latest,
    /// −3: the record with the largest timestamp.
    MaxTimestamp,
    /// The first record whose timestamp is this or later; milliseconds.
    At(i64),
}

/// An answer to ListOffsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampedOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp, −1 for earliest and latest; milliseconds.
    pub timestamp: i64,
    /// The leader epoch of the offset; `NONE` in an empty log.
    pub leader_epoch: LeaderEpoch,
}

/// Reads a log while others append to it. Cheap to clone; all clones see the same log.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    shared: Arc<Shared<D>>,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

#[derive(Debug)]
struct Shared<D: Disk> {
    _disk: D,
}

impl<D: Disk> LogReader<D> {
    /// Offset of the first record that can be read.
    pub fn log_start_offset(&self) -> Offset {
        todo!("in progress")
    }

    /// One past the last record.
    pub fn log_end_offset(&self) -> Offset {
        todo!("in progress")
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        todo!("in progress")
    }

    /// Which leader epoch began where, as of now. Empty for the Raft log.
    pub fn leader_epochs(&self) -> Arc<LeaderEpochs> {
        todo!("in progress")
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
        let _ = (offset, max_bytes, upper_offset, min_one);
        todo!("in progress")
    }

    /// Finds an offset by timestamp, exactly: batches are looked into, inflated when need be. `upper_offset` bounds
    /// the answer (high watermark or last stable offset): it is what `Latest` answers, and records at or above it
    /// are not found. `None` when no record qualifies.
    pub fn offset_for_timestamp(
        &self,
        target: TimestampTarget,
        upper_offset: Offset,
    ) -> Result<Option<TimestampedOffset>, LogError> {
        let _ = (target, upper_offset);
        todo!("in progress")
    }
}
