//! One data directory of this broker, and what its replicas, its threads and its neighbours share of it.

use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::{DataDirectory, FilePool, LogError, OsDisk, RunMarker};
use crate::model::Uuid;

use super::flush_signal::FlushSignal;
use super::room::Room;

/// One of `log.dirs`, locked by this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// The last stop was a clean one, so that no log in it has to be scanned.
    pub clean: bool,
    /// It also holds the metadata log: the process ends when it fails.
    pub vital: bool,
}

/// One that is in use. What has failed of it `Places` knows.
pub(super) struct Directory {
    pub(super) log: DataDirectory<OsDisk>,
    /// Which directory its path led to at the start.
    identity: Identity,
    pub(super) signal: Arc<FlushSignal>,
    pub(super) room: Arc<Room>,
    /// See [`LogDirectory::clean`].
    pub(super) clean: bool,
    /// See [`LogDirectory::vital`].
    pub(super) vital: bool,
}

/// Which directory of which file system.
type Identity = (u64, u64);

impl Directory {
    /// Opens it, and removes what was deleted in an earlier life.
    pub(super) fn open(
        pool: &Arc<FilePool<OsDisk>>,
        LogDirectory { path, clean, vital }: &LogDirectory,
    ) -> Result<Self, LogError> {
        let log = DataDirectory::open(Arc::clone(pool), path)?;
        log.remove_deleted()?;
        let identity = identity(path).map_err(LogError::io("look at", path))?;
        Ok(Self { log, identity, signal: Arc::default(), room: Arc::default(), clean: *clean, vital: *vital })
    }

    /// Says why what its path leads to is not this directory. A disk that was pulled, or a file system that is not
    /// mounted any more, may leave an empty one in its place.
    pub(super) fn check_identity(&self) -> Result<(), String> {
        check_identity(self.log.path(), self.identity)
    }
}

fn identity(path: &Path) -> std::io::Result<Identity> {
    let found = std::fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn check_identity(path: &Path, opened: Identity) -> Result<(), String> {
    match identity(path) {
        Ok(found) if found == opened => Ok(()),
        Ok(_) => Err("another directory has taken its place".to_owned()),
        Err(error) => Err(format!("it cannot be looked at: {error}")),
    }
}

/// Ends the process. The run marker goes first: the next start must not trust the page cache (invariant A12).
pub(super) fn give_up(directory: &DataDirectory<OsDisk>, reason: &dyn Display) -> ! {
    if let Err(error) = RunMarker::remove(directory.disk(), directory.path()) {
        tracing::error!("cannot remove the run marker: {error}");
    }
    tracing::error!(
        "the log directory {} has failed: {reason}. What was acknowledged may not be on disk, so this process ends; \
         check the disk, then start it again",
        directory.path().display()
    );
    std::process::exit(1);
}

/// What makes a name in a directory one that nothing else there has.
pub(super) fn random_id() -> Uuid {
    Uuid::from_random_bytes(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_the_place_of_another_is_not_that_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("d");
        std::fs::create_dir(&path).unwrap();
        let opened = identity(&path).unwrap();
        assert_eq!(check_identity(&path, opened), Ok(()));
        std::fs::rename(&path, home.path().join("gone")).unwrap();
        assert!(check_identity(&path, opened).is_err());
        std::fs::create_dir(&path).unwrap();
        assert!(check_identity(&path, opened).is_err());
    }
}
