//! How the last run ended.

use std::path::Path;

use crate::model::BrokerEpoch;

use super::LogError;
use super::disk::Disk;

/// `.kafka_cleanshutdown`: written last in a clean stop, removed first at the next start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanShutdown {
    /// The broker epoch that stopped.
    pub broker_epoch: BrokerEpoch,
}

impl CleanShutdown {
    /// Reads the marker; `None` when there is none or it cannot be understood.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }

    /// Writes it, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }

    /// Removes it, durably. No marker is no error.
    pub fn remove(disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }
}

/// `ottla.run`: written durably once the broker has its epoch. Found at a start under the same boot id, it says that
/// the page cache survived the process (invariant A12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunMarker {
    /// The broker epoch that runs.
    pub broker_epoch: BrokerEpoch,
    /// The kernel's boot id while it runs.
    pub boot_id: String,
}

impl RunMarker {
    /// Reads the marker; `None` when there is none or it cannot be understood.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }

    /// Writes it, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }

    /// Removes it, durably: after an I/O fault the page cache is not to be trusted. No marker is no error.
    pub fn remove(disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        let _ = (disk, directory);
        todo!("in progress")
    }
}
