//! Those who wait for a partition to move: produces for the high watermark, fetches for new records.
//!
//! A waiter holds an offset and a way to be woken, never bytes. Registering happens before the condition is
//! checked again, and offsets are published before waiters are woken, so no wake-up is lost.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::model::Offset;

/// What a waiter watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Watched {
    /// Consumers, and produces with acks=all.
    HighWatermark,
    /// Followers.
    LogEndOffset,
    /// Those who count only on what is on disk (`flush.before.ack`).
    FlushedOffset,
}

/// Wakes one request, whichever of its partitions moves first.
pub type Waker = Arc<Notify>;

#[derive(Debug)]
struct Waiter {
    id: u64,
    watched: Watched,
    /// Woken when the watched offset is above this.
    offset: Offset,
    waker: Waker,
}

/// The waiters of one partition.
#[derive(Debug, Default)]
pub struct Waiters {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    waiters: Vec<Waiter>,
    last_id: u64,
}

/// A registration; dropping it removes the waiter.
#[derive(Debug)]
pub struct Registration<'a> {
    waiters: &'a Waiters,
    id: u64,
}

impl Waiters {
    /// Registers `waker` to be woken once `watched` is above `offset`.
    pub fn register(&self, watched: Watched, offset: Offset, waker: Waker) -> Registration<'_> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last_id += 1;
        let id = inner.last_id;
        inner.waiters.push(Waiter { id, watched, offset, waker });
        Registration { waiters: self, id }
    }

    /// `watched` has been published as `now_at`.
    pub fn wake(&self, watched: Watched, now_at: Offset) {
        self.wake_where(|waiter| waiter.watched == watched && now_at > waiter.offset);
    }

    /// Something other than an offset changed (leadership, deletion): everybody looks again.
    pub fn wake_all(&self) {
        self.wake_where(|_| true);
    }

    fn wake_where(&self, due: impl Fn(&Waiter) -> bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.waiters.retain(|waiter| {
            let due = due(waiter);
            if due {
                waiter.waker.notify_one();
            }
            !due
        });
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut inner = self.waiters.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.waiters.retain(|waiter| waiter.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(waker: &Waker) -> bool {
        let mut notified = std::pin::pin!(waker.notified());
        notified.as_mut().enable()
    }

    #[test]
    fn only_those_below_the_new_offset_are_woken() {
        let waiters = Waiters::default();
        let (low, high, end) = (Waker::default(), Waker::default(), Waker::default());
        let _a = waiters.register(Watched::HighWatermark, 4, low.clone());
        let _b = waiters.register(Watched::HighWatermark, 9, high.clone());
        let _c = waiters.register(Watched::LogEndOffset, 0, end.clone());
        waiters.wake(Watched::HighWatermark, 5);
        assert_eq!((woken(&low), woken(&high), woken(&end)), (true, false, false));
    }

    #[test]
    fn a_dropped_registration_leaves_nothing_behind() {
        let waiters = Waiters::default();
        let waker = Waker::default();
        drop(waiters.register(Watched::HighWatermark, 0, waker.clone()));
        waiters.wake_all();
        assert!(!woken(&waker));
        assert!(waiters.inner.lock().unwrap().waiters.is_empty());
    }
}
