//! Making a log durable without holding its lock.

use std::path::PathBuf;

use super::LogError;
use super::disk::{Disk, DiskFile};
use super::segmented_log::Unsynced;
use crate::model::Offset;

/// The files to sync, as they were when the log was locked. Runs on the flusher's thread.
#[derive(Debug)]
pub struct FlushHandle<D: Disk> {
    pub(super) unsynced: Unsynced<D>,
    /// A snapshot of the producers is among the small files.
    pub(super) with_snapshot: bool,
    /// Small files that were written before and only have to be synced. One may be gone again.
    pub(super) small_files: Vec<PathBuf>,
    /// The leader epoch checkpoint, when it has changed.
    pub(super) leader_epochs: Option<(PathBuf, String)>,
    /// The directory above, when the partition's own is new in it.
    pub(super) parent: Option<PathBuf>,
}

/// A flush that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "report it with mark_flushed"]
pub struct Flushed {
    /// Everything below is on disk.
    pub offset: Offset,
    pub(super) appended_bytes: u64,
    pub(super) truncations: u64,
    /// The producers are on disk, too.
    pub(super) with_snapshot: bool,
}

impl<D: Disk> FlushHandle<D> {
    /// The log end offset the flush reaches.
    pub fn offset(&self) -> Offset {
        self.unsynced.offset
    }

    /// Syncs. An error is final for the directory: a sync is never tried again on the same file.
    /// A log that is deleted meanwhile is no error.
    pub fn run(self) -> Result<Flushed, LogError> {
        match if mutant!("flushed-without-a-sync") { Ok(()) } else { self.sync() } {
            Err(_) if self.unsynced.directory.is_deleted() => {}
            synced => synced?,
        }
        let Unsynced { offset, appended_bytes, truncations, .. } = self.unsynced;
        Ok(Flushed { offset, appended_bytes, truncations, with_snapshot: self.with_snapshot })
    }

    fn sync(&self) -> Result<(), LogError> {
        let disk = self.unsynced.pool.disk();
        self.unsynced.sync_files()?;
        for path in &self.small_files {
            match disk.open(path) {
                Ok(file) => file.sync_data().map_err(LogError::io("sync", path))?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(LogError::io("open", path)(error)),
            }
        }
        if let Some((path, text)) = &self.leader_epochs {
            disk.write_atomically(path, text.as_bytes()).map_err(LogError::io("write", path))?;
        }
        self.unsynced.sync_directory()?;
        if let Some(parent) = &self.parent {
            disk.sync_dir(parent).map_err(LogError::io("sync", parent))?;
        }
        Ok(())
    }
}
