//! Making a replica's records durable, and what counts from then on.
//!
//! With `flush.before.ack` a record counts only where it is on disk: the leader's own log by what its syncs have
//! reached, a follower's by what it says with its fetches. Each append asks for a sync, and one sync answers all that
//! came before it (group commit, see `committer`).

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::log::{FlushHandle, Flushed, LogError, OsDisk, PartitionLog};
use crate::model::{LeaderEpoch, Offset};

use super::commit_queue::Unsynced;
use super::error::PartitionError;
use super::replica::{Replica, Role, State};
use super::waiters::{Waker, Watched};

/// How long records stay dirty at most when nothing else asks for a flush.
pub(super) const DIRTY_MAX: Duration = Duration::from_secs(30);

type Taken = Result<Option<FlushHandle<OsDisk>>, LogError>;

impl Replica {
    /// `flush.before.ack` of the topic.
    pub fn flushes_before_ack(&self) -> bool {
        self.config.load().flush_before_ack
    }

    /// Everything below is on disk.
    pub fn flushed_offset(&self) -> Offset {
        self.flushed_offset.load(Ordering::Acquire)
    }

    /// The records up to `next_offset` are on disk here, or need not be.
    pub(super) fn is_on_disk(&self, next_offset: Offset) -> bool {
        !self.flushes_before_ack() || self.flushed_offset() >= next_offset
    }

    /// Waits until everything below `next_offset`, appended in `leader_epoch`, is on this broker's disk, where the topic
    /// asks for that: what a produce with acks=1 waits for.
    pub async fn on_disk(&self, next_offset: Offset, leader_epoch: LeaderEpoch) -> Result<(), PartitionError> {
        let waker = Waker::default();
        loop {
            let _registration = self.waiters.register(Watched::FlushedOffset, next_offset - 1, waker.clone());
            if self.leader_epoch() != Some(leader_epoch) {
                return Err(self.not_leader());
            }
            if self.is_on_disk(next_offset) {
                return Ok(());
            }
            waker.notified().await;
        }
    }

    /// Waits until this replica's whole log is on disk, where the topic asks for that: what a follower does before it
    /// acknowledges.
    pub(super) async fn all_on_disk(&self) {
        let waker = Waker::default();
        loop {
            let end = self.log_end_offset();
            let _registration = self.waiters.register(Watched::FlushedOffset, end - 1, waker.clone());
            if self.is_on_disk(end) {
                return;
            }
            self.want_commit();
            waker.notified().await;
        }
    }

    /// Asks for a sync, once until it has begun.
    pub(super) fn want_commit(&self) {
        if !self.commit_wanted.swap(true, Ordering::AcqRel)
            && let Some(replica) = self.myself.upgrade()
        {
            self.flush_signal().commits.push(replica);
        }
    }

    /// Flushes everything that a start after a crash would have to read; false when there was nothing to do, or no room
    /// to do it.
    pub(super) fn flush(&self) -> Result<bool, LogError> {
        self.run_flush(PartitionLog::flush_handle)
    }

    /// One at a time: a sync that failed must be seen by nobody as one that succeeded, and the kernel tells of it only
    /// once. After it nothing is reported as flushed any more, and the caller ends the process.
    fn run_flush(&self, take: fn(&mut PartitionLog<OsDisk>) -> Taken) -> Result<bool, LogError> {
        let mut failed = self.flush_failed.lock().unwrap_or_else(PoisonError::into_inner);
        if *failed {
            return Ok(false);
        }
        let outcome = self.try_flush(take);
        *failed = outcome.is_err();
        outcome
    }

    fn try_flush(&self, take: fn(&mut PartitionLog<OsDisk>) -> Taken) -> Result<bool, LogError> {
        let name = self.topic_partition();
        let handle = self.with_log(take).transpose();
        let Some(Some(Some(handle))) = unless_full(handle, name)? else { return Ok(false) };
        let Some(flushed) = unless_full(handle.run(), name)? else {
            self.with_log(|log| log.flush_later());
            return Ok(false);
        };
        self.on_flushed(flushed)?;
        Ok(true)
    }

    fn on_flushed(&self, flushed: Flushed) -> Result<(), LogError> {
        let mut state = self.state();
        let State { log: Some(log), role } = &mut *state else { return Ok(()) };
        log.mark_flushed(flushed)?;
        let flushed_offset = log.recovery_point();
        self.flushed_offset.store(flushed_offset, Ordering::Release);
        let effect = match role {
            Role::Leader(leader) => leader.on_flushed(flushed_offset),
            Role::Follower(_) | Role::Idle => None,
        };
        self.act(state, effect);
        self.waiters.wake(Watched::FlushedOffset, flushed_offset);
        Ok(())
    }
}

impl Unsynced for Replica {
    fn sync(&self) -> Result<bool, LogError> {
        self.commit_wanted.store(false, Ordering::Release);
        let synced = self.run_flush(PartitionLog::sync_handle)?;
        Ok(synced || self.is_ended() || self.is_on_disk(self.log_end_offset()))
    }

    fn queue_up(&self) {
        self.want_commit();
    }
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
