//! Syncs dirty logs to disk, one thread per data directory, never under a partition's lock.
//!
//! What lies past the recovery point is what a crash makes the next start scan, so a partition is flushed when 64
//! MiB are dirty (its append asks for it) or when they have been for [`DIRTY_MAX`]; `flush.messages` and `flush.ms`
//! make it sooner. Checkpoints follow each round. An fsync that fails is final: what it should have made durable
//! may be gone from the page cache, so the directory fails rather than acknowledge on top of it, and the process ends with
//! its only one (`directory_faults`). A disk too full for a snapshot or a checkpoint loses nothing: the flush is done
//! later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::log::{DataDirectory, LogError, OsDisk, RunMarker};
use crate::model::TopicId;

use super::committer::CommitQueue;
use super::replica::Replica;
use super::replicas::{Directory, Replicas};
use super::round_thread::RoundThread;

/// How long records stay dirty at most when nothing else asks for a flush.
const DIRTY_MAX: Duration = Duration::from_secs(30);
/// How often the flusher looks for partitions that have become due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Wakes the flusher of one directory, and its committer, and tells them of faults.
#[derive(Debug, Default)]
pub struct FlushSignal {
    thread: OnceLock<Thread>,
    /// What the disk has refused, in words.
    fault: OnceLock<String>,
    pub(super) commits: CommitQueue,
}

impl FlushSignal {
    /// Marks a partition and wakes the flusher, once until it has looked.
    pub fn want(&self, partition: &AtomicBool) {
        let first = !partition.swap(true, Ordering::AcqRel);
        if first && let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Notes a fault of the disk, if it is one, that somebody else than the flusher has met.
    pub fn note_fault(&self, error: &LogError) {
        if error.is_disk_fault() {
            // The first one will do.
            let _ = self.fault.set(error.to_string());
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }
}

/// Starts the flusher of the directory at this place among those of `replicas`.
pub fn start(replicas: Weak<Replicas>, at: usize, directory: &Directory) -> std::io::Result<RoundThread> {
    let mut rounds = Rounds { directory: directory.log.clone(), dirty_since: HashMap::new(), checkpoints_at: None };
    let signal = Arc::clone(&directory.signal);
    let thread = RoundThread::start("flusher", replicas, LOOK_INTERVAL, move |replicas, _| {
        // Where there is one directory alone, only what was acknowledged and cannot be made durable ends the process.
        if let Some(reason) = signal.fault.get().filter(|_| replicas.directories.len() > 1) {
            replicas.on_directory_fault(at, reason);
        } else if let Err(error) = rounds.round(replicas) {
            replicas.on_log_fault(at, &error);
        }
        LOOK_INTERVAL
    })?;
    // The signal belongs to one flusher, so the cell is empty here.
    let _ = directory.signal.thread.set(thread.thread().clone());
    Ok(thread)
}

struct Rounds {
    directory: DataDirectory<OsDisk>,
    /// When the flusher first saw a partition dirty.
    dirty_since: HashMap<(TopicId, i32), Instant>,
    /// When the checkpoints are to be written again because the disk was full.
    checkpoints_at: Option<Instant>,
}

impl Rounds {
    fn round(&mut self, replicas: &Replicas) -> Result<(), LogError> {
        let mut flushed_any = false;
        let now = Instant::now();
        for replica in replicas.in_directory(self.directory.path()) {
            if self.is_due(&replica, now) {
                flushed_any |= replica.flush()?;
            }
        }
        if flushed_any || self.checkpoints_at.is_some_and(|at| at <= now) {
            replicas.note_high_watermarks(&self.directory);
            let written = unless_full(self.directory.write_checkpoints(), "the checkpoints")?;
            self.checkpoints_at = written.is_none().then(|| now + DIRTY_MAX);
        }
        Ok(())
    }

    fn is_due(&mut self, replica: &Replica, now: Instant) -> bool {
        let key = (replica.topic_id(), replica.topic_partition().partition);
        let asked = replica.take_flush_wanted();
        if replica.is_flushed() {
            self.dirty_since.remove(&key);
            return false;
        }
        let since = *self.dirty_since.entry(key).or_insert(now);
        let dirty_max = DIRTY_MAX.min(Duration::from_millis(replica.config().flush_ms));
        let due = asked || now.duration_since(since) >= dirty_max;
        if due {
            self.dirty_since.remove(&key);
        }
        due
    }
}

/// Ends the process. The run marker goes first: the next start must not trust the page cache (invariant A12).
pub(super) fn give_up(directory: &DataDirectory<OsDisk>, reason: &dyn std::fmt::Display) -> ! {
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

/// `None`, and a word to the operator, when the disk is too full for something that can be written later as well.
pub(super) fn unless_full<T>(
    outcome: Result<T, LogError>,
    what: impl std::fmt::Display,
) -> Result<Option<T>, LogError> {
    match outcome {
        Err(error) if error.lets_flush_wait() => {
            tracing::warn!(
                "{what} not flushed: {error}. It is tried again within {} seconds; make room on the disk",
                DIRTY_MAX.as_secs()
            );
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    #[test]
    fn only_a_full_disk_lets_a_flush_wait_and_a_failed_sync_never_does() {
        let fault = |action, kind: ErrorKind| Err::<(), _>(LogError::io(action, "/d/x")(Error::from(kind)));
        assert!(matches!(unless_full(fault("write", ErrorKind::StorageFull), "t-0"), Ok(None)));
        assert!(matches!(unless_full(fault("create", ErrorKind::StorageFull), "t-0"), Ok(None)));
        assert!(unless_full(fault("sync", ErrorKind::StorageFull), "t-0").is_err());
        assert!(unless_full(fault("sync", ErrorKind::Other), "t-0").is_err());
        assert!(unless_full(fault("write", ErrorKind::Other), "t-0").is_err());
        assert!(matches!(unless_full(Ok(1), "t-0"), Ok(Some(1))));
    }
}
