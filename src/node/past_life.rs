//! The markers of this process in its data directories, and the name of the kernel's present life.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::{
    CleanShutdown, DataDirectory, FilePool, LogError, OsDisk, PastLife, RunMarker, StartMarker, settle_relocations,
};
use crate::model::{BrokerEpoch, StartNumber};
use crate::partition::LogDirectory;

use super::data_directories::DataDirectories;
use super::data_directory::DirectoryError;

/// Files kept open while the logs are looked at.
const OPEN_FILES_MAX: usize = 64;

/// What the last run left behind in all of `log.dirs`.
pub(super) struct Left {
    /// The directories, and how each was left.
    pub(super) log_dirs: Vec<LogDirectory>,
    /// Its broker epoch, when no log in any of them has lost anything since (invariant A12).
    pub(super) broker_epoch: Option<BrokerEpoch>,
    /// Which start on these directories this is.
    pub(super) start_number: StartNumber,
}

/// What the last run left behind, as far as its logs bear it out; its marks of a clean stop are gone afterwards. A
/// partition that is in two directories is refused before anything is touched.
pub(super) fn take(directories: &mut DataDirectories, is_controller: bool) -> Result<Left, DirectoryError> {
    let pool = Arc::new(FilePool::new(OsDisk, OPEN_FILES_MAX));
    let open = |path: &Path| DataDirectory::open(Arc::clone(&pool), path);
    let opened = directories.look(|directory| Ok(open(directory.path())?))?;
    check_single_copies(&opened)?;
    settle_relocations(&opened, !directories.lost().is_empty())?;
    let start_number = number_start(directories)?;
    let boot_id = boot_id();
    let lives = directories.look(|directory| {
        let past = PastLife::take(&OsDisk, directory.path(), boot_id.as_deref())?;
        Ok(past.examined(&open(directory.path())?)?)
    })?;
    let metadata = directories.metadata().path();
    let log_dirs = directories.log().iter().zip(&lives).map(|(directory, past)| LogDirectory {
        path: directory.path().to_owned(),
        clean: past.clean,
        vital: is_controller && directory.path() == metadata,
    });
    Ok(Left { log_dirs: log_dirs.collect(), broker_epoch: PastLife::whole_since(&lives), start_number })
}

/// Numbers this start, in every directory: any of them may be missing at the next one. A disk that has no room for it must
/// not keep the broker from starting: without a number of its own the next start counts as this one.
fn number_start(directories: &mut DataDirectories) -> Result<StartNumber, DirectoryError> {
    let last = directories.look(|directory| Ok(StartMarker::read(&OsDisk, directory.path())?))?;
    let marker = StartMarker::following(last);
    directories.look(|directory| match marker.write(&OsDisk, directory.path()) {
        Err(error) if error.is_out_of_space() => {
            tracing::warn!("the number of this start is not noted: {error}; make room on the disk");
            Ok(())
        }
        written => Ok(written?),
    })?;
    Ok(marker.start_number)
}

fn check_single_copies(directories: &[DataDirectory<OsDisk>]) -> Result<(), DirectoryError> {
    let mut found = BTreeMap::new();
    for directory in directories {
        for partition in directory.partitions()? {
            if let Some(first) = found.insert(partition.clone(), directory.path()) {
                let (first, second) = (first.to_owned(), directory.path().to_owned());
                return Err(DirectoryError::TwoCopies { partition, first, second });
            }
        }
    }
    Ok(())
}

/// Notes in each directory that the broker lives under this epoch now. Without a name of the kernel's life the marker
/// vouches for nothing, but says that the directory is in use.
pub(super) fn note_run(directories: &[PathBuf], broker_epoch: BrokerEpoch) -> Result<(), LogError> {
    let run = RunMarker { broker_epoch, boot_id: boot_id().unwrap_or_default() };
    directories.iter().try_for_each(|directory| run.write(&OsDisk, directory))
}

/// Notes in each directory that everything has been flushed and nothing will change any more.
pub(super) fn note_clean_stop(directories: &[PathBuf], broker_epoch: BrokerEpoch) -> Result<(), LogError> {
    let clean = CleanShutdown { broker_epoch };
    directories.iter().try_for_each(|directory| clean.write(&OsDisk, directory))
}

/// Names the kernel's present life. `OTTLA_BOOT_ID` replaces it where a power cut is played with processes.
fn boot_id() -> Option<String> {
    let kernels = || fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = env::var("OTTLA_BOOT_ID").ok().or_else(kernels)?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}
