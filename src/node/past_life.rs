//! The markers of this process in its data directory, and the name of the kernel's present life.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::log::{CleanShutdown, DataDirectory, FilePool, LogError, OsDisk, PastLife, RunMarker};
use crate::model::BrokerEpoch;

/// Files kept open while the logs are looked at.
const OPEN_FILES_MAX: usize = 64;

/// What the last run left behind, as far as its logs bear it out; its mark of a clean stop is gone afterwards.
pub(super) fn take(directory: &Path) -> Result<PastLife, LogError> {
    let past = PastLife::take(&OsDisk, directory, boot_id().as_deref())?;
    past.examined(&DataDirectory::open(Arc::new(FilePool::new(OsDisk, OPEN_FILES_MAX)), directory)?)
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
