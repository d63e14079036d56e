//! Syncs dirty logs to disk, one thread per data directory, never under a partition's lock.
//!
//! What lies past the recovery point is what a crash makes the next start scan, so a partition is flushed when 64
//! MiB are dirty (its append asks for it) or when they have been for [`DIRTY_MAX`]; `flush.messages` and `flush.ms`
//! make it sooner. Checkpoints follow each round. An fsync that fails is final: what it should have made durable
//! may be gone from the page cache, so the directory fails rather than acknowledge on top of it, and the process ends with
//! its only one (`directory_faults`). A disk too full for a snapshot or a checkpoint loses nothing: the flush is done
//! later.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::log::{DataDirectory, LogError, OsDisk};
use crate::model::TopicId;

use super::directory::Directory;
use super::flushing::{DIRTY_MAX, unless_full};
use super::replica::Replica;
use super::replicas::Replicas;
use super::round_thread::RoundThread;

/// How often the flusher looks for partitions that have become due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the flusher of the directory at this place among those of `replicas`.
pub fn start(replicas: Weak<Replicas>, at: usize, directory: &Directory) -> std::io::Result<RoundThread> {
    let mut rounds = Rounds { directory: directory.log.clone(), dirty_since: HashMap::new(), checkpoints_at: None };
    let signal = Arc::clone(&directory.signal);
    let thread = RoundThread::start("flusher", replicas, LOOK_INTERVAL, move |replicas, _| {
        // Where there is one directory alone, only what was acknowledged and cannot be made durable ends the process.
        if let Some(reason) = signal.fault().filter(|_| replicas.directories.len() > 1) {
            replicas.on_directory_fault(at, &reason);
        } else if let Err(error) = rounds.round(replicas) {
            replicas.on_log_fault(at, &error);
        }
        LOOK_INTERVAL
    })?;
    directory.signal.set_flusher(thread.thread().clone());
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
