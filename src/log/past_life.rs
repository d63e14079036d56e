//! What the last run on a data directory left behind, and so how far its logs can be trusted (invariant A12).
//!
//! ```text
//!  clean stop marker   run marker, same boot   logs
//!  yes                 -                       complete: not scanned, and nothing was lost
//!  no                  yes                     the page cache survived: scanned, and nothing was lost
//!  no                  no                      scanned, and the unsynced tail may be gone
//! ```

use std::path::Path;

use crate::model::BrokerEpoch;

use super::disk::Disk;
use super::{CleanShutdown, LogError, RunMarker};

/// What the last run left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastLife {
    /// It stopped cleanly, so that no log has to be scanned.
    pub clean: bool,
    /// Its broker epoch, when its logs certainly lost nothing since.
    pub broker_epoch: Option<BrokerEpoch>,
}

impl PastLife {
    /// Reads the markers, and removes the one of the clean stop: from now on the logs change. `boot_id` names the
    /// kernel's present life, when that is known.
    pub fn take(disk: &impl Disk, directory: &Path, boot_id: Option<&str>) -> Result<Self, LogError> {
        let clean = CleanShutdown::read(disk, directory)?;
        let run = RunMarker::read(disk, directory)?;
        let same_boot =
            run.filter(|run| Some(run.boot_id.as_str()) == boot_id || mutant!("run-marker-of-another-boot-trusted"));
        if clean.is_some() && !mutant!("clean-stop-marker-kept") {
            CleanShutdown::remove(disk, directory)?;
        }
        let broker_epoch = clean.map(|clean| clean.broker_epoch).or(same_boot.map(|run| run.broker_epoch));
        Ok(Self { clean: clean.is_some(), broker_epoch })
    }
}
