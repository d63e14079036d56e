//! How the last run ended, and how many there were.
//!
//! The markers are JSON, persisted, keep stable:
//!
//! | file | content | written | removed |
//! |---|---|---|---|
//! | `.kafka_cleanshutdown` | `version` 0, `brokerEpoch` | last in a clean stop | first at the next start |
//! | `.ottla_run` | `version` 0, `brokerEpoch`, `bootId` | when the broker has its epoch | after an I/O fault |
//! | `.ottla_start` | `version` 0, `startNumber` | at each start, before the broker registers | never |

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{BrokerEpoch, StartNumber};

use super::LogError;
use super::disk::Disk;

const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const RUN: &str = ".ottla_run";
const START: &str = ".ottla_start";
const VERSION: i32 = 0;

/// The mark of a clean stop: all logs were flushed and their recovery points written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanShutdown {
    /// The broker epoch that stopped.
    pub broker_epoch: BrokerEpoch,
}

/// The mark of a run. Found at a start under the same boot id, it says that the page cache survived the process
/// (invariant A12).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunMarker {
    /// The broker epoch that runs.
    pub broker_epoch: BrokerEpoch,
    /// The kernel's boot id while it runs; empty when it is not known, and then the marker vouches for nothing.
    pub boot_id: String,
}

/// The number of the last start on a data directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartMarker {
    /// Which start it was.
    pub start_number: StartNumber,
}

/// A marker as it stands in its file.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: i32,
    #[serde(flatten)]
    marker: T,
}

impl CleanShutdown {
    /// Reads the marker; `None` when there is none or it cannot be understood.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        read(disk, &directory.join(CLEAN_SHUTDOWN))
    }

    /// Writes it, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        write(disk, &directory.join(CLEAN_SHUTDOWN), self)
    }

    /// Removes it, durably. No marker is no error.
    pub fn remove(disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        remove(disk, directory, CLEAN_SHUTDOWN)
    }
}

impl RunMarker {
    /// Reads the marker; `None` when there is none or it cannot be understood.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        read(disk, &directory.join(RUN))
    }

    /// Writes it, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        write(disk, &directory.join(RUN), self)
    }

    /// Has it vouch for nothing, durably: the directory stays one that was in use.
    pub fn invalidate(disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        Self { broker_epoch: BrokerEpoch(-1), boot_id: String::new() }.write(disk, directory)
    }

    /// Removes it, durably: after an I/O fault the page cache is not to be trusted. No marker is no error.
    pub fn remove(disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        remove(disk, directory, RUN)
    }
}

impl StartMarker {
    /// Reads the marker; `None` when there is none or it cannot be understood.
    pub fn read(disk: &impl Disk, directory: &Path) -> Result<Option<Self>, LogError> {
        read(disk, &directory.join(START))
    }

    /// The marker of the start behind all of these, each from another directory of one broker.
    #[must_use]
    pub fn following(last: impl IntoIterator<Item = Option<Self>>) -> Self {
        let last = last.into_iter().flatten().map(|last| last.start_number.0).max();
        Self { start_number: StartNumber(last.unwrap_or(0) + 1) }
    }

    /// Writes it, durably.
    pub fn write(&self, disk: &impl Disk, directory: &Path) -> Result<(), LogError> {
        write(disk, &directory.join(START), self)
    }
}

/// A marker that cannot be understood is no marker: the stop counts as unclean, which is always safe.
fn read<T: DeserializeOwned>(disk: &impl Disk, path: &Path) -> Result<Option<T>, LogError> {
    match disk.read(path) {
        Ok(content) => {
            let read: Option<Versioned<T>> = serde_json::from_slice(&content).ok();
            Ok(read.filter(|read| read.version == VERSION).map(|read| read.marker))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io("read", path)(error)),
    }
}

fn write(disk: &impl Disk, path: &Path, marker: &impl Serialize) -> Result<(), LogError> {
    let text = serde_json::to_vec(&Versioned { version: VERSION, marker }).expect("numbers and text always serialize");
    disk.write_atomically(path, &text).map_err(LogError::io("write", path))
}

fn remove(disk: &impl Disk, directory: &Path, name: &str) -> Result<(), LogError> {
    let path = directory.join(name);
    match disk.remove_file(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        removed => removed.map_err(LogError::io("remove", path))?,
    }
    disk.sync_dir(directory).map_err(LogError::io("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::SimDisk;

    #[test]
    fn markers_are_durable_and_so_is_their_removal() {
        let disk = SimDisk::new();
        let directory = Path::new("/d");
        disk.create_dir(directory).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let clean = CleanShutdown { broker_epoch: BrokerEpoch(42) };
        let run = RunMarker { broker_epoch: BrokerEpoch(43), boot_id: "a \"quoted\" id".to_owned() };
        let start = StartMarker { start_number: StartNumber(44) };
        assert_eq!(CleanShutdown::read(&disk, directory).unwrap(), None);
        CleanShutdown::remove(&disk, directory).unwrap();
        clean.write(&disk, directory).unwrap();
        run.write(&disk, directory).unwrap();
        start.write(&disk, directory).unwrap();
        disk.crash(None);
        assert_eq!(CleanShutdown::read(&disk, directory).unwrap(), Some(clean));
        assert_eq!(RunMarker::read(&disk, directory).unwrap(), Some(run));
        assert_eq!(StartMarker::read(&disk, directory).unwrap(), Some(start));
        assert_eq!(disk.read(&directory.join(CLEAN_SHUTDOWN)).unwrap(), br#"{"version":0,"brokerEpoch":42}"#);
        assert_eq!(disk.read(&directory.join(START)).unwrap(), br#"{"version":0,"startNumber":44}"#);
        CleanShutdown::remove(&disk, directory).unwrap();
        disk.crash(None);
        assert_eq!(CleanShutdown::read(&disk, directory).unwrap(), None);
    }

    #[test]
    fn a_start_comes_after_those_of_all_directories() {
        let last = |number| Some(StartMarker { start_number: StartNumber(number) });
        assert_eq!(Some(StartMarker::following([None, None])), last(1));
        assert_eq!(
            Some(StartMarker::following([last(3), None, last(7)])),
            last(8),
            "a new one and one that was missing"
        );
    }

    #[test]
    fn a_marker_that_makes_no_sense_is_none() {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        for text in ["", "x", "{}", r#"{"version":1,"brokerEpoch":42}"#] {
            disk.write_atomically(&Path::new("/d").join(CLEAN_SHUTDOWN), text.as_bytes()).unwrap();
            assert_eq!(CleanShutdown::read(&disk, Path::new("/d")).unwrap(), None, "{text}");
        }
    }
}
