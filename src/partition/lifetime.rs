//! A life of this broker's replicas: from the opening of the data directories, through the start of all that goes over
//! them, to the close.
//!
//! It stands above the threads and tasks, none of which knows it; `replicas` keeps no more of them than it takes to end
//! and to wake them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::clock;
use crate::cluster::{BrokerLifecycle, ControllerCalls, spawn_or_abort};
use crate::log::{FilePool, LogError, OsDisk};

use super::committer::Committer;
use super::directory::{Directory, give_up};
use super::fetcher::{Fetcher, FetcherConfig, FetcherContext};
use super::isr_proposals::IsrProposals;
use super::offline_reports::OfflineReports;
use super::places::Places;
use super::replicas::{Replicas, ReplicasConfig, Thread};
use super::{cleaner, disk_space, flusher, housekeeping, mover};

/// Followers are judged no more often than this.
const LAG_CHECK_MIN: Duration = Duration::from_millis(50);
/// More threads than this move no replica any sooner.
const MOVERS_MAX: usize = 64;

/// What replication needs to know of the node it runs in.
pub struct ReplicationConfig {
    /// How followers fetch.
    pub fetcher: FetcherConfig,
    /// Whom to ask for changes of the ISR.
    pub calls: ControllerCalls,
    /// This broker's epoch.
    pub lifecycle: BrokerLifecycle,
    /// `log.dir.failure.timeout.ms`.
    pub directory_failure_timeout: Duration,
    /// Where the tasks run.
    pub runtime: Handle,
}

impl Replicas {
    /// Opens the data directories; logs are opened when the metadata says what is hosted here. Starts the flushers
    /// and the housekeeping thread.
    pub fn open(config: ReplicasConfig) -> Result<Arc<Self>, LogError> {
        let pool = Arc::new(FilePool::new(OsDisk, config.open_files_max));
        let (mut directories, mut found) = (Vec::new(), Vec::new());
        for log_dir in &config.log_dirs {
            let directory = Directory::open(&pool, log_dir)?;
            found.push(directory.log.partitions()?);
            directories.push(directory);
        }
        let replicas = Arc::new(Self::new(config, directories, Places::new(found)));
        replicas.find_moves()?;
        replicas.start_threads().map_err(LogError::io("start a thread for", PathBuf::new()))?;
        Ok(replicas)
    }

    fn start_threads(self: &Arc<Self>) -> std::io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, directory) in self.directories.iter().enumerate() {
            threads.push(Thread::Round(flusher::start(Arc::downgrade(self), at, directory)?));
            let (replicas, log) = (Arc::downgrade(self), directory.log.clone());
            let failed = move |error: &LogError| match replicas.upgrade() {
                Some(replicas) => replicas.on_log_fault(at, error),
                None => give_up(&log, error),
            };
            threads.push(Thread::Committer(Committer::start(&directory.signal, failed)?));
        }
        threads.push(Thread::Round(housekeeping::start(Arc::downgrade(self), self.config.retention_interval)?));
        threads.push(Thread::Round(cleaner::start(Arc::downgrade(self))?));
        threads.push(Thread::Round(disk_space::start(self)?));
        for _ in 0..self.config.mover_threads.unwrap_or(self.directories.len()).clamp(1, MOVERS_MAX) {
            // With one directory there is nowhere to move to.
            if self.directories.len() > 1 {
                threads.push(Thread::Mover(mover::start(Arc::downgrade(self))?));
            }
        }
        Ok(())
    }

    /// From now on followers fetch, leaders change their ISRs and lagging followers leave them. Once in a life.
    pub fn start_replication(self: &Arc<Self>, config: ReplicationConfig) {
        let ReplicationConfig { fetcher, calls, lifecycle, directory_failure_timeout, runtime } = config;
        let broker_id = self.config.broker_id;
        let lifecycle = self.lifecycle.get_or_init(|| lifecycle);
        if self.has_failed_directory() {
            lifecycle.on_logs_incomplete();
        }
        let lifecycle = lifecycle.clone();
        let reports = OfflineReports {
            broker_id,
            replicas: Arc::downgrade(self),
            calls: calls.clone(),
            lifecycle: lifecycle.clone(),
            offline: self.offline.subscribe(),
            applied: self.applied_index.subscribe(),
            failure_timeout: directory_failure_timeout,
        };
        spawn_or_abort(&runtime, "offline replicas", reports.run());
        let proposed = self.proposed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let proposed = proposed.expect("replication is started once");
        let (replicas, followed) = (Arc::downgrade(self), lifecycle.clone());
        let proposals = IsrProposals { broker_id, replicas: replicas.clone(), calls, lifecycle: followed, proposed };
        spawn_or_abort(&runtime, "ISR proposals", proposals.run());
        let lag_check = Duration::from_millis(self.config.replica_lag_time_max_ms / 2).max(LAG_CHECK_MIN);
        spawn_or_abort(&runtime, "replica lag", watch_lag(replicas.clone(), lag_check));
        let context = Arc::new(FetcherContext { broker_id, config: fetcher, lifecycle, replicas });
        self.fetchers.start(move |leader, assignment| {
            let fetcher = Fetcher::new(leader, assignment, Arc::clone(&context));
            spawn_or_abort(&runtime, "replica fetcher", fetcher.run())
        });
    }

    /// Ends the threads, flushes and closes every open log, and writes the checkpoints. True when that was all there are:
    /// one that was not opened in this life may have a tail that no sync has confirmed. Blocks on the disk.
    pub fn close(&self) -> Result<bool, LogError> {
        self.fetchers.stop();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            match thread {
                Thread::Round(thread) | Thread::Mover(thread) => thread.stop(),
                Thread::Committer(committer) => committer.stop(),
            }
        }
        let mut all_were_open = !self.has_failed_directory();
        for (_, directory) in self.usable() {
            self.note_high_watermarks(&directory.log);
            let open = self.in_directory(directory.log.path());
            open.iter().try_for_each(|replica| replica.close())?;
            let open: HashSet<_> = open.iter().map(|replica| replica.topic_partition()).collect();
            all_were_open &= directory.log.partitions()?.iter().all(|partition| open.contains(partition));
            all_were_open &= directory.log.moved()?.is_empty();
            directory.log.write_checkpoints()?;
        }
        Ok(all_were_open)
    }
}

/// Lets time pass for those that lead, every `interval`.
async fn watch_lag(replicas: Weak<Replicas>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(replicas) = replicas.upgrade() else { return };
        let now = clock::monotonic();
        replicas.all().filter(|replica| replica.leader_epoch().is_some()).for_each(|replica| replica.tick(now));
    }
}
