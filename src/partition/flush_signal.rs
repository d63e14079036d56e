//! How replicas, and whoever reads or writes in their directory, reach the threads that sync its logs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use crate::log::LogError;

use super::commit_queue::CommitQueue;

/// Wakes the flusher of one directory, and its committer, and tells them of faults.
#[derive(Debug, Default)]
pub struct FlushSignal {
    flusher: OnceLock<Thread>,
    /// What the disk has refused, in words.
    fault: OnceLock<String>,
    pub(super) commits: CommitQueue,
}

impl FlushSignal {
    /// Marks a partition and wakes the flusher, once until it has looked.
    pub fn want(&self, partition: &AtomicBool) {
        let first = !partition.swap(true, Ordering::AcqRel);
        if first && let Some(flusher) = self.flusher.get() {
            flusher.unpark();
        }
    }

    /// Which thread is the flusher. Said once.
    pub fn set_flusher(&self, flusher: Thread) {
        // A signal belongs to one flusher, so the cell is empty here.
        let _ = self.flusher.set(flusher);
    }

    /// The first fault that was noted, in words.
    pub fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Notes a fault of the disk, if it is one, that somebody else than the flusher has met.
    pub fn note_fault(&self, error: &LogError) {
        if error.is_disk_fault() {
            // The first one will do.
            let _ = self.fault.set(error.to_string());
            if let Some(flusher) = self.flusher.get() {
                flusher.unpark();
            }
        }
    }
}
