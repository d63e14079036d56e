//! The queue of a directory's replicas whose records are waited for until they are on disk.
//!
//! Each is in it once, however many produces wait for it.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::log::LogError;

/// What queues up: a replica, which itself knows the queue that it has to go to and so stands above it.
pub(super) trait Unsynced: Debug + Send + Sync {
    /// Syncs what has been appended so far; false when that has to be done later, for want of room on the disk.
    fn sync(&self) -> Result<bool, LogError>;

    /// Queues up again, where the log is by now.
    fn queue_up(&self);
}

/// Replicas whose records are to be synced, in the order they asked.
#[derive(Debug, Default)]
pub struct CommitQueue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    replicas: VecDeque<Arc<dyn Unsynced>>,
    stopped: bool,
}

impl CommitQueue {
    pub(super) fn push(&self, replica: Arc<dyn Unsynced>) {
        self.lock().replicas.push_back(replica);
        self.arrived.notify_one();
    }

    /// Waits for the next; `None` when the queue has been stopped.
    pub(super) fn next(&self) -> Option<Arc<dyn Unsynced>> {
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

    /// Lets go of what waits, and of those who wait for it.
    pub(super) fn stop(&self) {
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
