//! A log directory whose disk has failed takes its partitions offline, and nothing else.
//!
//! What a failed write or sync has left is not known, so a failed directory stays out until the process starts again,
//! and this life's word on its logs is worth nothing from then on (A12): the run markers of all directories say so, the
//! stop will not count as a clean one, and the controllers are told which replicas are gone (`offline_reports`). The
//! process ends when the directory also holds the metadata log, and when no other is left.

use std::fmt::Display;
use std::sync::{Arc, PoisonError};

use crate::log::{LogError, RunMarker};
use crate::model::TopicId;

use super::directory::{Directory, give_up};
use super::replica::Replica;
use super::replicas::{HostedPartition, Replicas};

impl Replicas {
    /// The disk of a directory has refused something that it must not refuse. Returns once its partitions are offline;
    /// the process ends when it cannot go on without them.
    pub(super) fn on_directory_fault(&self, at: usize, reason: &dyn Display) {
        let Some(directory) = self.directories.get(at) else { return };
        let goes_on = {
            let mut places = self.places();
            if !places.fail(at) {
                return;
            }
            places.has_usable() && !directory.vital
        };
        if self.directories.len() > 1 {
            self.distrust(directory);
        }
        if !goes_on {
            give_up(&directory.log, reason);
        }
        self.moves().end_all_to(at);
        let ended = self.end_all_in(at);
        tracing::error!(
            "the log directory {} has failed: {reason}. Its {} partitions are offline here until the next start, and \
             others lead them where there are replicas in sync; check the disk, or take the directory out of log.dirs, \
             then start this node again",
            directory.log.path().display(),
            ended
        );
    }

    /// Ends the replicas in a directory if it has failed: one may have moved there just now.
    pub(super) fn end_in_failed(&self, at: usize) {
        if self.places().has_failed(at) {
            self.end_all_in(at);
        }
    }

    /// What a disk has refused to a log that may have moved meanwhile: a fault of the directory that the error names, or
    /// else of the one at `supposed`.
    pub(super) fn on_log_fault(&self, supposed: usize, error: &LogError) {
        let named = self.directories.iter().position(|directory| error.is_below(directory.log.path()));
        self.on_directory_fault(named.unwrap_or(supposed), error);
    }

    /// Takes the replicas in a directory offline; how many.
    fn end_all_in(&self, at: usize) -> usize {
        let replicas = self.take_offline(at);
        let count = replicas.len();
        for replica in &replicas {
            let led = replica.leader_epoch().is_some();
            replica.fail();
            if led {
                self.tell(replica, None);
            }
        }
        self.fetchers.point(replicas.into_iter().map(|replica| (replica, None)));
        count
    }

    /// Notes that a directory could not be marked as in use: without the mark it may look like one that never was.
    pub fn on_marker_fault(&self, error: &LogError) {
        let several = self.directories.len() > 1;
        let at = self.directories.iter().position(|directory| error.is_below(directory.log.path()));
        match at.filter(|_| several) {
            Some(at) => self.on_directory_fault(at, error),
            None => tracing::error!("after a crash the logs will not be trusted: {error}"),
        }
    }

    /// Has `note` write down that this life vouches for its logs, unless that is over.
    pub fn vouch(&self, note: impl FnOnce() -> Result<(), LogError>) -> Result<(), LogError> {
        let trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        if *trusted { note() } else { Ok(()) }
    }

    /// Takes this life's word back, in the directories that can still be written first: one of them is enough.
    fn distrust(&self, failed: &Directory) {
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        *trusted = false;
        if let Some(lifecycle) = self.lifecycle.get() {
            lifecycle.on_logs_incomplete();
        }
        let others = self.directories.iter().filter(|directory| directory.log.path() != failed.log.path());
        for directory in others.chain([failed]) {
            if let Err(error) = RunMarker::invalidate(directory.log.disk(), directory.log.path()) {
                tracing::error!("cannot take back the run marker: {error}");
            }
        }
    }

    /// The replicas in a directory, which are offline from now on.
    fn take_offline(&self, at: usize) -> Vec<Arc<Replica>> {
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for partition in hosted.topics.values_mut().flat_map(|topic| topic.partitions.values_mut()) {
            if let HostedPartition::Online(replica) = partition
                && replica.directory() == at
            {
                taken.push(Arc::clone(replica));
                *partition = HostedPartition::Offline;
            }
        }
        drop(hosted);
        self.note_offline(taken.iter().map(|replica| (replica.topic_id(), replica.topic_partition().partition)));
        taken
    }

    /// These are offline from now on.
    pub(super) fn note_offline(&self, replicas: impl IntoIterator<Item = (TopicId, i32)>) {
        let replicas: Vec<_> = replicas.into_iter().collect();
        if !replicas.is_empty() {
            self.offline.send_modify(|offline| offline.extend(replicas));
        }
    }

    /// This one is not here any more.
    pub(super) fn forget_offline(&self, topic_id: TopicId, partition: i32) {
        self.offline.send_if_modified(|offline| offline.remove(&(topic_id, partition)));
    }
}
