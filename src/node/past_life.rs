//! What the last run on a data directory left behind, and so how far its logs can be trusted (invariant A12).
//!
//! ```text
//!  clean stop marker   run marker, same boot   logs
//!  yes                 -                       complete: not scanned, and nothing was lost
//!  no                  yes                     the page cache survived: scanned, and nothing was lost
//!  no                  no                      scanned, and the unsynced tail may be gone
//! ```

use std::env;
use std::fs;
use std::path::Path;

use crate::log::{CleanShutdown, LogError, OsDisk, RunMarker};
use crate::model::BrokerEpoch;

/// What the last run left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PastLife {
    /// It stopped cleanly, so that no log has to be scanned.
    pub(super) clean: bool,
    /// Its broker epoch, when its logs certainly lost nothing since.
    pub(super) broker_epoch: Option<BrokerEpoch>,
}

impl PastLife {
    /// Reads the markers, and removes the one of the clean stop: from now on the logs change.
    pub(super) fn take(directory: &Path) -> Result<Self, LogError> {
        let clean = CleanShutdown::read(&OsDisk, directory)?;
        let run = RunMarker::read(&OsDisk, directory)?;
        let same_boot = run.filter(|run| Some(&run.boot_id) == boot_id().as_ref());
        if clean.is_some() {
            CleanShutdown::remove(&OsDisk, directory)?;
        }
        let broker_epoch = clean.map(|clean| clean.broker_epoch).or(same_boot.map(|run| run.broker_epoch));
        Ok(Self { clean: clean.is_some(), broker_epoch })
    }
}

/// Notes that the broker lives under this epoch now.
pub(super) fn note_run(directory: &Path, broker_epoch: BrokerEpoch) -> Result<(), LogError> {
    match boot_id() {
        Some(boot_id) => RunMarker { broker_epoch, boot_id }.write(&OsDisk, directory),
        None => RunMarker::remove(&OsDisk, directory),
    }
}

/// Notes that everything has been flushed and nothing will change any more.
pub(super) fn note_clean_stop(directory: &Path, broker_epoch: BrokerEpoch) -> Result<(), LogError> {
    CleanShutdown { broker_epoch }.write(&OsDisk, directory)
}

/// Names the kernel's present life. `OTTLA_BOOT_ID` replaces it where a power cut is played with processes.
fn boot_id() -> Option<String> {
    let kernels = || fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = env::var("OTTLA_BOOT_ID").ok().or_else(kernels)?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}
