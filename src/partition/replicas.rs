//! All replicas that this broker hosts, and how they follow the metadata.
//!
//! [`Replicas::apply`] turns a change of the image into logs opened, leaderships begun and ended, directories
//! deleted. Handlers answer from [`Replicas::image`], the image as far as it has been applied *here*: what it says
//! this broker leads can be written to at once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use crate::clock;
use crate::config::StaticConfig;
use crate::log::{DataDirectory, Disk, FilePool, LogError, OsDisk, PartitionLog};
use crate::metadata::{ClusterImage, ConfigResource, ConfigResourceType, ImageDelta, PartitionImage, TopicImage};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, TopicId, TopicPartition, Uuid};
use crate::replication::{IsrMember, LeaderStart};

use super::config::{ReplicaConfig, broker_layers};
use super::error::PartitionError;
use super::flusher::{FlushSignal, Flusher};
use super::housekeeping::Housekeeping;
use super::replica::Replica;

/// What the replicas of a broker need to know of it.
pub struct ReplicasConfig {
    /// `node.id`.
    pub broker_id: BrokerId,
    /// `log.dirs`, locked by this process.
    pub log_dirs: Vec<PathBuf>,
    /// The last stop was a clean one, so that no log has to be scanned.
    pub clean: bool,
    /// Files kept open at a time.
    pub open_files_max: usize,
    /// `num.recovery.threads.per.data.dir`.
    pub recovery_threads: usize,
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

/// The replicas of one broker.
pub struct Replicas {
    config: ReplicasConfig,
    directories: Vec<Directory>,
    hosted: RwLock<Hosted>,
    image: ArcSwap<ClusterImage>,
    applied_index: watch::Sender<i64>,
    listeners: Mutex<Vec<(Arc<str>, mpsc::UnboundedSender<LeadershipChange>)>>,
    threads: Mutex<Vec<Thread>>,
}

enum Thread {
    Flusher(Flusher),
    Housekeeping(Housekeeping),
}

struct Directory {
    log: DataDirectory<OsDisk>,
    signal: Arc<FlushSignal>,
    /// Partitions that had a directory here at the start.
    found: HashSet<TopicPartition>,
}

#[derive(Default)]
struct Hosted {
    topics: HashMap<Arc<str>, HostedTopic>,
}

struct HostedTopic {
    id: TopicId,
    partitions: BTreeMap<i32, HostedPartition>,
}

#[derive(Clone)]
enum HostedPartition {
    Online {
        replica: Arc<Replica>,
        directory: usize,
    },
    /// Its log cannot be opened.
    Offline,
}

impl HostedPartition {
    fn online(&self) -> Option<&Arc<Replica>> {
        match self {
            Self::Online { replica, .. } => Some(replica),
            Self::Offline => None,
        }
    }
}

impl Replicas {
    /// Opens the data directories; logs are opened when the metadata says what is hosted here. Starts the flushers
    /// and the housekeeping thread.
    pub fn open(config: ReplicasConfig) -> Result<Arc<Self>, LogError> {
        let pool = Arc::new(FilePool::new(OsDisk, config.open_files_max));
        let mut directories = Vec::new();
        for path in &config.log_dirs {
            let log = DataDirectory::open(Arc::clone(&pool), path)?;
            log.remove_deleted()?;
            let found = log.partitions()?.into_iter().collect();
            directories.push(Directory { log, signal: Arc::default(), found });
        }
        let replicas = Arc::new(Self {
            config,
            directories,
            hosted: RwLock::default(),
            image: ArcSwap::default(),
            applied_index: watch::channel(0).0,
            listeners: Mutex::default(),
            threads: Mutex::default(),
        });
        replicas.start_threads().map_err(LogError::io("start a thread for", PathBuf::new()))?;
        Ok(replicas)
    }

    fn start_threads(self: &Arc<Self>) -> std::io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for directory in &self.directories {
            let flusher = Flusher::start(Arc::downgrade(self), directory.log.clone(), &directory.signal)?;
            threads.push(Thread::Flusher(flusher));
        }
        let housekeeping = Housekeeping::start(Arc::downgrade(self), self.config.retention_interval)?;
        threads.push(Thread::Housekeeping(housekeeping));
        Ok(())
    }

    /// The metadata as far as it has been applied to the replicas here.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.image.load_full()
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
            Some(HostedPartition::Online { replica, .. }) => Ok(Arc::clone(replica)),
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

    /// The data directories with the replicas in each.
    pub fn by_directory(&self) -> Vec<(PathBuf, Vec<Arc<Replica>>)> {
        let path = |directory: &Directory| directory.log.path().to_owned();
        self.directories.iter().enumerate().map(|(at, d)| (path(d), self.snapshot(|in_dir| in_dir == at))).collect()
    }

    pub(super) fn in_directory(&self, path: &Path) -> Vec<Arc<Replica>> {
        let at = self.directories.iter().position(|directory| directory.log.path() == path);
        self.snapshot(|directory| Some(directory) == at)
    }

    fn snapshot(&self, wanted: impl Fn(usize) -> bool) -> Vec<Arc<Replica>> {
        let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
        let partitions = hosted.topics.values().flat_map(|topic| topic.partitions.values());
        partitions
            .filter_map(|partition| match partition {
                HostedPartition::Online { replica, directory } if wanted(*directory) => Some(Arc::clone(replica)),
                _ => None,
            })
            .collect()
    }

    pub(super) fn note_high_watermarks(&self, directory: &DataDirectory<OsDisk>) {
        for replica in self.in_directory(directory.path()) {
            directory.set_high_watermark(replica.topic_partition(), replica.high_watermark());
        }
    }

    pub(super) fn remove_deleted_directories(&self) {
        for directory in &self.directories {
            if let Err(error) = directory.log.remove_deleted() {
                tracing::error!("cannot remove deleted partitions: {error}");
            }
        }
    }

    /// Follows a change of the metadata; then answers are given from it. Blocks on the disk.
    pub fn apply(&self, delta: &ImageDelta) {
        for topic in delta.removed_topics() {
            self.delete(topic);
        }
        let first = delta.old.applied_index() == 0;
        let hosted_here: Vec<_> = delta
            .changed_partitions()
            .filter(|(_, _, _, now)| now.replicas.contains(&self.config.broker_id))
            .map(|(topic, index, _, now)| (topic, index, now))
            .collect();
        self.open_missing(&delta.new, &hosted_here);
        for (topic, index, partition) in hosted_here {
            self.follow(&delta.new, topic, index, partition);
        }
        self.follow_configs(delta);
        if first {
            self.set_strays_aside(&delta.new);
        }
        self.image.store(Arc::new(delta.new.clone()));
        self.applied_index.send_replace(delta.new.applied_index());
    }

    /// Opens the logs of partitions that are new here, several at a time.
    fn open_missing(&self, image: &ClusterImage, partitions: &[(&Arc<TopicImage>, i32, &Arc<PartitionImage>)]) {
        let missing: Vec<(&Arc<TopicImage>, i32)> = {
            let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
            let is_here = |topic: &TopicImage, index: i32| {
                hosted.topics.get(&topic.name).is_some_and(|here| here.partitions.contains_key(&index))
            };
            partitions.iter().filter(|(t, i, _)| !is_here(t, *i)).map(|(t, i, _)| (*t, *i)).collect()
        };
        let threads = (self.config.recovery_threads * self.directories.len()).clamp(1, missing.len().max(1));
        let share = missing.len().div_ceil(threads).max(1);
        let opened: Vec<_> = if threads == 1 {
            missing.iter().map(|(topic, index)| self.open_one(image, topic, *index)).collect()
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = missing
                    .chunks(share)
                    .map(|chunk| {
                        let open = || chunk.iter().map(|(t, i)| self.open_one(image, t, *i)).collect::<Vec<_>>();
                        scope.spawn(open)
                    })
                    .collect();
                handles.into_iter().flat_map(|handle| handle.join().expect("opening a log does not panic")).collect()
            })
        };
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        for ((topic, index), partition) in missing.into_iter().zip(opened) {
            let entry = hosted.topics.entry(Arc::clone(&topic.name));
            let here = entry.or_insert_with(|| HostedTopic { id: topic.id, partitions: BTreeMap::new() });
            here.id = topic.id;
            here.partitions.insert(index, partition);
        }
    }

    fn open_one(&self, image: &ClusterImage, topic: &TopicImage, index: i32) -> HostedPartition {
        let topic_partition = TopicPartition::new(Arc::clone(&topic.name), index);
        match self.try_open(image, topic, topic_partition.clone()) {
            Ok(partition) => partition,
            Err(error) => {
                tracing::error!(partition = %topic_partition, "the partition stays offline: {error}");
                HostedPartition::Offline
            }
        }
    }

    fn try_open(
        &self,
        image: &ClusterImage,
        topic: &TopicImage,
        topic_partition: TopicPartition,
    ) -> Result<HostedPartition, LogError> {
        let found = self.directories.iter().position(|directory| directory.found.contains(&topic_partition));
        let directory = found.unwrap_or_else(|| self.emptiest_directory());
        let Some(place) = self.directories.get(directory) else { return Ok(HostedPartition::Offline) };
        let config = Arc::new(self.replica_config(image, &topic.name));
        let now = clock::wall();
        let open = |topic_id: Option<TopicId>| {
            let (log, clean) = (Arc::clone(&config.log), self.config.clean);
            PartitionLog::open(&place.log, topic_partition.clone(), topic_id, log, clean, now)
        };
        let (log, report) = match open(Some(topic.id)) {
            // The topic was deleted and created anew while this broker was away: the old records must not come back.
            Err(LogError::InconsistentTopicId { found, .. }) if image.topic(found).is_none() => {
                tracing::info!(partition = %topic_partition, %found, "deleting the log of a topic that is gone");
                open(None)?.0.delete(random_id())?;
                open(Some(topic.id))?
            }
            other => other?,
        };
        if let Some(damage) = &report.cut {
            tracing::warn!(partition = %topic_partition, ?damage, "cut the log behind its last whole batch");
        }
        let high_watermark = place.log.high_watermark(&topic_partition).unwrap_or_default();
        let signal = Arc::clone(&place.signal);
        let replica = Replica::new(topic_partition, topic.id, log, high_watermark, config, signal);
        Ok(HostedPartition::Online { replica: Arc::new(replica), directory })
    }

    fn replica_config(&self, image: &ClusterImage, topic: &str) -> ReplicaConfig {
        broker_layers(image, self.config.broker_id, &self.config.settings).replica_config(image, topic)
    }

    fn emptiest_directory(&self) -> usize {
        let partitions = |at: &usize| self.snapshot(|directory| directory == *at).len();
        if self.directories.len() == 1 { 0 } else { (0..self.directories.len()).min_by_key(partitions).unwrap_or(0) }
    }

    /// Leads or resigns as the partition's state says.
    fn follow(&self, image: &ClusterImage, topic: &TopicImage, index: i32, partition: &PartitionImage) {
        let Ok(replica) = self.find(&topic.name, index) else { return };
        let before = replica.leader_epoch();
        if partition.leader == self.config.broker_id {
            let start = self.leader_start(image, partition, &replica);
            if let Err(error) = replica.lead(start, clock::monotonic()) {
                tracing::error!(partition = %replica.topic_partition(), "cannot lead: {error}");
            }
        } else if before.is_some() {
            replica.resign();
        }
        let after = replica.leader_epoch();
        if after != before {
            self.tell(&replica, after);
        }
    }

    fn leader_start(&self, image: &ClusterImage, partition: &PartitionImage, replica: &Replica) -> LeaderStart {
        let broker_id = self.config.broker_id;
        let broker_epoch = image.broker(broker_id).map_or(BrokerEpoch(-1), |broker| broker.epoch);
        LeaderStart {
            broker: IsrMember { broker_id, broker_epoch },
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.iter().copied().collect(),
            min_isr: replica.config().min_insync_replicas.min(partition.replication_factor()),
            replica_lag_time_max_ms: self.config.replica_lag_time_max_ms,
            log_end_offset: replica.log_end_offset(),
            high_watermark: replica.high_watermark(),
        }
    }

    fn tell(&self, replica: &Replica, leader_epoch: Option<LeaderEpoch>) {
        let topic_partition = replica.topic_partition();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|(topic, sender)| {
            *topic != topic_partition.topic
                || sender.send(LeadershipChange { topic_partition: topic_partition.clone(), leader_epoch }).is_ok()
        });
    }

    fn follow_configs(&self, delta: &ImageDelta) {
        let is_broker = |resource: &ConfigResource| resource.resource_type == ConfigResourceType::Broker;
        let all = delta.changed_configs.iter().any(is_broker);
        for replica in self.all() {
            let topic = &replica.topic_partition().topic;
            if all || delta.changed_configs.contains(&ConfigResource::topic(topic)) {
                replica.set_config(Arc::new(self.replica_config(&delta.new, topic)));
                if let Some(image) = delta.new.topic(replica.topic_id())
                    && let Some(partition) = image.partition(replica.topic_partition().partition)
                {
                    self.follow(&delta.new, image, replica.topic_partition().partition, partition);
                }
            }
        }
    }

    fn delete(&self, topic: &TopicImage) {
        let removed = {
            let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
            match hosted.topics.get(&topic.name) {
                Some(here) if here.id == topic.id => hosted.topics.remove(&topic.name),
                _ => None,
            }
        };
        for replica in removed.iter().flat_map(|here| here.partitions.values()).filter_map(HostedPartition::online) {
            if replica.leader_epoch().is_some() {
                self.tell(replica, None);
            }
            if let Err(error) = replica.delete(random_id()) {
                tracing::error!(partition = %replica.topic_partition(), "cannot delete: {error}");
            }
        }
    }

    /// Directories of partitions that the metadata does not place here are renamed, never deleted: whoever put them
    /// there may want them back.
    fn set_strays_aside(&self, image: &ClusterImage) {
        for directory in &self.directories {
            for stray in directory.found.iter().filter(|found| !self.is_placed_here(image, found)) {
                let from = directory.log.path().join(stray.to_string());
                let to = directory.log.path().join(format!("{stray}.{}-stray", random_id()));
                match directory.log.disk().rename(&from, &to) {
                    Ok(()) => tracing::warn!(
                        "{stray} is not placed on this broker any more: its log is kept as {}; remove it when it is \
                         not needed",
                        to.display()
                    ),
                    Err(error) => tracing::error!("cannot set {} aside: {error}", from.display()),
                }
            }
        }
    }

    fn is_placed_here(&self, image: &ClusterImage, found: &TopicPartition) -> bool {
        image
            .topic_by_name(&found.topic)
            .and_then(|topic| topic.partition(found.partition))
            .is_some_and(|partition| partition.replicas.contains(&self.config.broker_id))
    }

    /// Ends the threads, flushes and closes every log, and writes the checkpoints. Blocks on the disk.
    pub fn close(&self) -> Result<(), LogError> {
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            match thread {
                Thread::Flusher(flusher) => flusher.stop(),
                Thread::Housekeeping(housekeeping) => housekeeping.stop(),
            }
        }
        for directory in &self.directories {
            self.note_high_watermarks(&directory.log);
            for replica in self.in_directory(directory.log.path()) {
                replica.close()?;
            }
            directory.log.write_checkpoints()?;
        }
        Ok(())
    }
}

fn random_id() -> Uuid {
    Uuid::from_random_bytes(rand::random())
}
