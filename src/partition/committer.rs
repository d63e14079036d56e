//! Syncs records that are waited for, for topics with `flush.before.ack`.
//!
//! Replicas queue up, each once however many produces wait for it; the sync that comes then reaches all that was
//! appended before it began. A few threads per data directory, so that one partition's sync does not wait for that of
//! another; the flusher's large rounds go on beside them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::log::LogError;

use super::flusher::{FlushSignal, give_up};
use super::replica::Replica;
use super::replicas::{Directory, Replicas};

/// Syncs of one directory that are under way at a time.
const THREADS: usize = 4;
const STACK_BYTES: usize = 256 * 1024;
/// How long a full disk is left alone before a sync that found no room is tried again.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// Replicas whose records are to be synced, in the order they asked.
#[derive(Debug, Default)]
pub struct CommitQueue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    replicas: VecDeque<Arc<Replica>>,
    stopped: bool,
}

impl CommitQueue {
    pub(super) fn push(&self, replica: Arc<Replica>) {
        self.lock().replicas.push_back(replica);
        self.arrived.notify_one();
    }

    /// Waits for the next; `None` when the queue has been stopped.
    fn next(&self) -> Option<Arc<Replica>> {
        let mut inner = self.lock();
        loop {
            if inner.stopped {
                return None;
            }
            if let Some(replica) = inner.replicas.pop_front() {
                return Some(replica);
            }
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        let left = std::mem::take(&mut inner.replicas);
        drop(inner);
        drop(left);
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads of one directory.
#[derive(Debug)]
pub struct Committer {
    signal: Arc<FlushSignal>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts them, for the directory at this place among those of `replicas`. A sync that fails is final for it.
    pub fn start(replicas: &Weak<Replicas>, at: usize, directory: &Directory) -> std::io::Result<Self> {
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let (log, signal) = (directory.log.clone(), Arc::clone(&directory.signal));
            let replicas = Weak::clone(replicas);
            let failed = move |error: &LogError| match replicas.upgrade() {
                Some(replicas) => replicas.on_log_fault(at, error),
                None => give_up(&log, error),
            };
            let thread = std::thread::Builder::new().name("committer".into()).stack_size(STACK_BYTES);
            threads.push(thread.spawn(move || run(&signal.commits, failed))?);
        }
        Ok(Self { signal: Arc::clone(&directory.signal), threads })
    }

    /// Ends the threads. What is still queued is flushed when its log is closed.
    pub fn stop(self) {
        self.signal.commits.stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a committer ended with a panic");
            }
        }
    }
}

fn run(queue: &CommitQueue, failed: impl Fn(&LogError)) {
    while let Some(replica) = queue.next() {
        match replica.commit() {
            Ok(true) => {}
            Ok(false) if replica.is_ended() || replica.is_on_disk(replica.log_end_offset()) => {}
            Ok(false) => {
                std::thread::sleep(FULL_DISK_PAUSE);
                replica.want_commit();
            }
            Err(error) => failed(&error),
        }
    }
}
