//! All replicas that this broker hosts: what there is to know of them, and how to find one.
//!
//! [`Replicas::open`] begins their life and [`Replicas::close`] ends it (`lifetime`). [`Replicas::apply`] turns a change
//! of the image into logs opened, leaderships begun and ended, directories deleted (`image_applier`). Handlers answer from [`Replicas::image`], the image as far as it has been applied *here*: what it says
//! this broker leads can be written to at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use crate::clock;
use crate::cluster::BrokerLifecycle;
use crate::config::{Layers, ReplicationQuotaConfig, StaticConfig};
use crate::log::{DataDirectory, OsDisk};
use crate::metadata::ClusterImage;
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicPartition};

use super::committer::Committer;
use super::directory::{Directory, LogDirectory};
use super::error::PartitionError;
use super::fetchers::Fetchers;
use super::moves::Moves;
use super::places::Places;
use super::proposed_isr::{IsrProposalSender, ProposedIsr};
use super::replica::Replica;
use super::round_thread::RoundThread;
use super::suspicions::Suspicions;
use super::throttle::ReplicationThrottles;
use super::traffic::IsrChanges;

/// What the replicas of a broker need to know of it.
pub struct ReplicasConfig {
    /// `node.id`.
    pub broker_id: BrokerId,
    /// Those of `log.dirs` that can be used, at least one.
    pub log_dirs: Vec<LogDirectory>,
    /// Those that could not be used at the start: what is in them is offline.
    pub lost_log_dirs: Vec<PathBuf>,
    /// Files kept open at a time.
    pub open_files_max: usize,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
    /// `num.replica.alter.log.dirs.threads`; one for each directory when it is not set.
    pub mover_threads: Option<usize>,
    /// `log.retention.check.interval.ms`.
    pub retention_interval: std::time::Duration,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max_ms: u64,
    /// The configuration this process was started with.
    pub settings: Arc<StaticConfig>,
}

/// A leadership of a partition that begins (`Some`) or ends (`None`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeadershipChange {
    /// Which partition.
    pub topic_partition: TopicPartition,
    /// In which epoch this broker leads now.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Replicas as the metadata names them.
pub(super) type ReplicaNames = BTreeSet<(TopicId, i32)>;

/// The replicas of one broker.
pub struct Replicas {
    pub(super) config: ReplicasConfig,
    pub(super) directories: Vec<Directory>,
    places: Mutex<Places>,
    pub(super) hosted: RwLock<Hosted>,
    pub(super) image: ArcSwap<ClusterImage>,
    pub(super) applied_index: watch::Sender<i64>,
    pub(super) listeners: Mutex<Vec<(Arc<str>, mpsc::UnboundedSender<LeadershipChange>)>>,
    pub(super) fetchers: Fetchers,
    pub(super) isr_proposals: IsrProposalSender,
    /// Taken by the task that sends them.
    pub(super) proposed: Mutex<Option<mpsc::UnboundedReceiver<ProposedIsr>>>,
    pub(super) threads: Mutex<Vec<Thread>>,
    pub(super) isr_changes: IsrChanges,
    pub(super) throttles: ReplicationThrottles,
    pub(super) moves: Mutex<Moves>,
    pub(super) suspicions: Suspicions,
    /// Replicas here that cannot be used.
    pub(super) offline: watch::Sender<ReplicaNames>,
    /// This life vouches for its logs: no directory has failed in it.
    pub(super) trusted: Mutex<bool>,
    /// Known once replication has been started.
    pub(super) lifecycle: OnceLock<BrokerLifecycle>,
}

/// What works on the replicas until they are closed.
pub(super) enum Thread {
    Round(RoundThread),
    Mover(RoundThread),
    Committer(Committer),
}

#[derive(Default)]
pub(super) struct Hosted {
    pub(super) topics: HashMap<Arc<str>, HostedTopic>,
}

pub(super) struct HostedTopic {
    pub(super) id: TopicId,
    pub(super) partitions: BTreeMap<i32, HostedPartition>,
}

#[derive(Clone)]
pub(super) enum HostedPartition {
    Online(Arc<Replica>),
    /// Its log cannot be opened.
    Offline,
}

impl HostedPartition {
    pub(super) fn online(&self) -> Option<&Arc<Replica>> {
        match self {
            Self::Online(replica) => Some(replica),
            Self::Offline => None,
        }
    }
}

impl Replicas {
    /// Knows of no metadata yet, and nothing works on them. `places` is what lies in each of the directories.
    pub(super) fn new(config: ReplicasConfig, directories: Vec<Directory>, places: Places) -> Self {
        let (isr_proposals, proposed) = IsrProposalSender::channel();
        let quota = ReplicationQuotaConfig::resolve(Layers::at_start(&config.settings));
        Self {
            config,
            directories,
            places: Mutex::new(places),
            hosted: RwLock::default(),
            image: ArcSwap::default(),
            applied_index: watch::channel(0).0,
            listeners: Mutex::default(),
            fetchers: Fetchers::default(),
            isr_proposals,
            proposed: Mutex::new(Some(proposed)),
            threads: Mutex::default(),
            isr_changes: IsrChanges::default(),
            throttles: ReplicationThrottles::new(&quota),
            moves: Mutex::default(),
            suspicions: Suspicions::default(),
            offline: watch::channel(ReplicaNames::new()).0,
            trusted: Mutex::new(true),
            lifecycle: OnceLock::new(),
        }
    }

    /// The metadata as far as it has been applied to the replicas here.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.image.load_full()
    }

    /// False while this broker, which was suspended, cannot tell yet what it still leads: see
    /// [`BrokerLifecycle::is_awake`]. What a leader alone knows is then not to be told.
    pub fn know_their_roles(&self) -> bool {
        let applied_index = self.image.load().applied_index();
        self.lifecycle.get().is_none_or(|lifecycle| lifecycle.is_awake(applied_index))
    }

    /// How fast throttled partitions may be replicated.
    pub fn throttles(&self) -> &ReplicationThrottles {
        &self.throttles
    }

    /// Leaders that seem to be dead to those who follow them here. Clients are not to be sent to them.
    pub fn suspected_leaders(&self) -> BTreeSet<BrokerId> {
        self.suspicions.suspected(clock::monotonic())
    }

    /// The threads that move replicas to other directories.
    pub(super) fn movers(&self) -> Vec<std::thread::Thread> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let mover = |thread: &Thread| match thread {
            Thread::Mover(thread) => Some(thread.thread().clone()),
            Thread::Round(_) | Thread::Committer(_) => None,
        };
        threads.iter().filter_map(mover).collect()
    }

    /// `node.id`.
    pub(super) fn broker_id(&self) -> BrokerId {
        self.config.broker_id
    }

    /// How often replicas in sync have come and gone.
    pub(super) fn isr_changes(&self) -> &IsrChanges {
        &self.isr_changes
    }

    /// Waits until the metadata has been applied here up to `index`.
    pub async fn wait_for_index(&self, index: i64) {
        let mut applied = self.applied_index.subscribe();
        // No error can come: the sender lives in `self`.
        let _ = applied.wait_for(|&applied| applied >= index).await;
    }

    /// Tells of every leadership of `topic` from now on, those that exist included.
    pub fn leaderships(&self, topic: &str) -> mpsc::UnboundedReceiver<LeadershipChange> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for replica in self.all().filter(|replica| &*replica.topic_partition().topic == topic) {
            let leader_epoch = replica.leader_epoch();
            if leader_epoch.is_some() {
                let topic_partition = replica.topic_partition().clone();
                // The receiver is still here.
                let _ = sender.send(LeadershipChange { topic_partition, leader_epoch });
            }
        }
        listeners.push((topic.into(), sender));
        receiver
    }

    /// The replica of a partition by its topic's name.
    pub fn find(&self, topic: &str, partition: i32) -> Result<Arc<Replica>, PartitionError> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        match hosted.topics.get(topic).and_then(|topic| topic.partitions.get(&partition)) {
            Some(HostedPartition::Online(replica)) => Ok(Arc::clone(replica)),
            Some(HostedPartition::Offline) => Err(PartitionError::Offline(TopicPartition::new(topic, partition))),
            None => {
                drop(hosted);
                let image = self.image.load();
                let exists = image.topic_by_name(topic).is_some_and(|topic| topic.partition(partition).is_some());
                Err(if exists {
                    PartitionError::NotLeader(TopicPartition::new(topic, partition))
                } else {
                    PartitionError::UnknownTopicOrPartition
                })
            }
        }
    }

    /// The replica of a partition by its topic's id.
    pub fn find_by_id(&self, topic_id: TopicId, partition: i32) -> Result<Arc<Replica>, PartitionError> {
        let image = self.image.load();
        let topic = image.topic(topic_id).ok_or(PartitionError::UnknownTopicId)?;
        let replica = self.find(&topic.name, partition)?;
        if replica.topic_id() == topic_id { Ok(replica) } else { Err(PartitionError::InconsistentTopicId) }
    }

    /// All replicas here, in no order.
    pub fn all(&self) -> impl Iterator<Item = Arc<Replica>> {
        self.snapshot(|_| true).into_iter()
    }

    /// How many data directories have failed.
    pub(super) fn failed_directories(&self) -> usize {
        let places = self.places();
        let failed = (0..self.directories.len()).filter(|&at| places.has_failed(at)).count();
        failed + self.config.lost_log_dirs.len()
    }

    /// True when a data directory has failed in this life.
    pub(super) fn has_failed_directory(&self) -> bool {
        self.places().any_failed()
    }

    /// The data directories that have not failed.
    pub(super) fn usable(&self) -> impl Iterator<Item = (usize, &Directory)> {
        self.directories.iter().enumerate().filter(|(at, _)| !self.places().has_failed(*at))
    }

    pub(super) fn in_directory(&self, path: &Path) -> Vec<Arc<Replica>> {
        let at = self.directories.iter().position(|directory| directory.log.path() == path);
        self.snapshot(|directory| Some(directory) == at)
    }

    pub(super) fn snapshot(&self, wanted: impl Fn(usize) -> bool) -> Vec<Arc<Replica>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        let partitions = hosted.topics.values().flat_map(|topic| topic.partitions.values());
        partitions
            .filter_map(|partition| match partition {
                HostedPartition::Online(replica) if wanted(replica.directory()) => Some(Arc::clone(replica)),
                _ => None,
            })
            .collect()
    }

    /// Which directory each partition is in. Not to be held when `hosted` is locked: that comes first.
    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_high_watermarks(&self, directory: &DataDirectory<OsDisk>) {
        for replica in self.in_directory(directory.path()) {
            directory.set_high_watermark(replica.topic_partition(), replica.high_watermark());
        }
    }

    pub(super) fn remove_deleted_directories(&self) {
        for (_, directory) in self.usable() {
            if let Err(error) = directory.log.remove_deleted() {
                tracing::error!("cannot remove deleted partitions: {error}");
            }
        }
    }
}
