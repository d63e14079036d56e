//! What a change of the metadata does to the replicas here: logs opened, leaderships begun and ended, followers pointed
//! to their leaders, directories deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::clock;
use crate::config::ReplicationQuotaConfig;
use crate::log::{Disk, LogError, PartitionLog};
use crate::metadata::{ClusterImage, ConfigResource, ConfigResourceType, ImageDelta, PartitionImage, TopicImage};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, TopicId, TopicPartition};
use crate::replication::{IsrMember, LeaderStart};
use crate::rpc::metadata::LeaderRecoveryState;

use super::config::{ReplicaConfig, broker_layers};
use super::directory::random_id;
use super::replica::{Place, Replica};
use super::replicas::{HostedPartition, HostedTopic, LeadershipChange, Replicas};

impl Replicas {
    /// Follows a change of the metadata; then answers are given from it. Blocks on the disk.
    pub fn apply(&self, delta: &ImageDelta) {
        self.end_topics(delta);
        for (topic, index, _, now) in delta.changed_partitions() {
            if !now.replicas.contains(&self.config.broker_id) {
                self.delete_partition(topic, index);
            }
        }
        self.isr_changes.on_change(delta, self.config.broker_id);
        let first = delta.old.applied_index() == 0;
        if first {
            self.keep_found(&delta.new);
        }
        let mut followers = Vec::new();
        let hosted_here: Vec<_> = delta
            .changed_partitions()
            .filter(|(_, _, _, now)| now.replicas.contains(&self.config.broker_id))
            .map(|(topic, index, _, now)| (topic, index, now))
            .collect();
        self.open_missing(delta, &hosted_here);
        for (topic, index, partition) in hosted_here {
            self.follow(&delta.new, topic, index, partition, &mut followers);
        }
        self.follow_configs(delta, &mut followers);
        if first {
            self.set_strays_aside(&delta.new);
            self.drop_stray_moves();
        }
        self.image.store(Arc::new(delta.new.clone()));
        // Fetchers find the leaders' addresses in the image, and leaders find there which followers may join.
        self.fetchers.point(followers);
        self.tell_of_brokers(delta);
        self.applied_index.send_replace(delta.new.applied_index());
    }

    fn tell_of_brokers(&self, delta: &ImageDelta) {
        if delta.changed_brokers.is_empty() {
            return;
        }
        for replica in self.all().filter(|replica| replica.leader_epoch().is_some()) {
            for &id in &delta.changed_brokers {
                let partition = replica.topic_partition().partition;
                let broker = delta.new.broker(id);
                let active = broker.filter(|broker| broker.is_active_for(replica.topic_id(), partition));
                replica.on_broker(id, active.map(|broker| broker.epoch));
            }
        }
    }

    /// Opens the logs of partitions that are new here, several at a time.
    fn open_missing(&self, delta: &ImageDelta, partitions: &[(&Arc<TopicImage>, i32, &Arc<PartitionImage>)]) {
        let image = &delta.new;
        let missing: Vec<(&Arc<TopicImage>, i32)> = {
            let hosted = self.hosted.read().unwrap_or_else(PoisonError::into_inner);
            let is_here = |topic: &TopicImage, index: i32| {
                hosted.topics.get(&topic.name).is_some_and(|here| here.partitions.contains_key(&index))
            };
            partitions.iter().filter(|(t, i, _)| !is_here(t, *i)).map(|(t, i, _)| (*t, *i)).collect()
        };
        let missing: Vec<(&Arc<TopicImage>, i32, Option<usize>)> =
            missing.into_iter().map(|(topic, index)| (topic, index, self.choose_place(delta, topic, index))).collect();
        let opened = self.in_parallel(&missing, |(topic, index, place)| self.open_one(image, topic, *index, *place));
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let mut offline = Vec::new();
        for ((topic, index, _), mut partition) in missing.into_iter().zip(opened) {
            // Its directory may have failed meanwhile.
            if let HostedPartition::Online(replica) = &partition
                && self.places().has_failed(replica.directory())
            {
                replica.fail();
                partition = HostedPartition::Offline;
            }
            if partition.online().is_none() {
                offline.push((topic.id, index));
            }
            let entry = hosted.topics.entry(Arc::clone(&topic.name));
            let here = entry.or_insert_with(|| HostedTopic { id: topic.id, partitions: BTreeMap::new() });
            here.id = topic.id;
            here.partitions.insert(index, partition);
        }
        drop(hosted);
        self.note_offline(offline);
    }

    /// Works on several logs at a time.
    pub(super) fn in_parallel<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let threads = (self.config.recovery_threads * self.directories.len()).clamp(1, items.len().max(1));
        if threads == 1 {
            return items.iter().map(work).collect();
        }
        let work = &work;
        std::thread::scope(|scope| {
            let chunks = items.chunks(items.len().div_ceil(threads));
            let handles: Vec<_> =
                chunks.map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<R>>())).collect();
            handles.into_iter().flat_map(|handle| handle.join().expect("work on a log does not panic")).collect()
        })
    }

    /// The directory a partition is in or shall be in; `None` when it may be in one that could not be used at the start:
    /// a second log of it, empty, would be taken for the whole one.
    fn choose_place(&self, delta: &ImageDelta, topic: &TopicImage, index: i32) -> Option<usize> {
        let name = TopicPartition::new(Arc::clone(&topic.name), index);
        let before = delta.old.partition(topic.id, index);
        if let Err(error) = self.restore_kept(&delta.new, topic, &name) {
            tracing::error!(partition = %name, "stays offline: {error}");
            return None;
        }
        let was_here = before.is_some_and(|before| before.replicas.contains(&self.config.broker_id));
        let mut places = self.places();
        let may_be_lost = !self.config.lost_log_dirs.is_empty() && !places.knows(&name);
        if may_be_lost && (was_here || delta.old.applied_index() == 0) {
            let directories: Vec<_> = self.config.lost_log_dirs.iter().map(|path| path.display().to_string()).collect();
            tracing::error!(partition = %name, "stays offline: it is perhaps in {}", directories.join(", "));
            return None;
        }
        Some(places.place(&name))
    }

    fn open_one(&self, image: &ClusterImage, topic: &TopicImage, index: i32, place: Option<usize>) -> HostedPartition {
        let topic_partition = TopicPartition::new(Arc::clone(&topic.name), index);
        let Some(directory) = place else { return HostedPartition::Offline };
        match self.try_open(image, topic, topic_partition.clone(), directory) {
            Ok(partition) => partition,
            Err(error) => {
                if let Some(directory) = self.directories.get(directory) {
                    directory.signal.note_fault(&error);
                }
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
        directory: usize,
    ) -> Result<HostedPartition, LogError> {
        let Some(place) = self.directories.get(directory) else { return Ok(HostedPartition::Offline) };
        let config = Arc::new(self.replica_config(image, &topic.name));
        let now = clock::wall();
        let open = |topic_id: Option<TopicId>| {
            let (log, clean) = (Arc::clone(&config.log), place.clean);
            PartitionLog::open(&place.log, topic_partition.clone(), topic_id, log, clean, now)
        };
        let (log, report) = match open(Some(topic.id)) {
            // The topic was deleted and created anew while this broker was away: the old records must not come back.
            Err(LogError::InconsistentTopicId { found, .. }) if image.topic(found).is_none() => {
                let (log, _) = open(None)?;
                match image.deleted_topic(found) {
                    Some(_) => {
                        tracing::info!(partition = %topic_partition, %found, "keeping the log of a deleted topic");
                        let high_watermark = place.log.high_watermark(&topic_partition).unwrap_or_default();
                        log.set_aside(found, high_watermark)?;
                    }
                    None => {
                        tracing::info!(partition = %topic_partition, %found, "deleting the log of a topic that is gone");
                        log.delete(random_id())?;
                    }
                }
                open(Some(topic.id))?
            }
            other => other?,
        };
        if let Some(damage) = &report.cut {
            tracing::warn!(partition = %topic_partition, ?damage, "cut the log behind its last whole batch");
        }
        let high_watermark = place.log.high_watermark(&topic_partition).unwrap_or_default();
        let proposals = self.isr_proposals.clone();
        let place = Place::new(directory, place);
        let replica = Replica::new(topic_partition, topic.id, log, high_watermark, config, place, proposals);
        Ok(HostedPartition::Online(replica))
    }

    pub(super) fn replica_config(&self, image: &ClusterImage, topic: &str) -> ReplicaConfig {
        broker_layers(image, self.config.broker_id, &self.config.settings).replica_config(image, topic)
    }

    /// Leads, follows or rests as the partition's state says; `followers` gets whom it fetches from when that changes.
    fn follow(
        &self,
        image: &ClusterImage,
        topic: &TopicImage,
        index: i32,
        partition: &PartitionImage,
        followers: &mut Vec<(Arc<Replica>, Option<BrokerId>)>,
    ) {
        let Ok(replica) = self.find(&topic.name, index) else { return };
        let before = replica.leader_epoch();
        match partition.leader() {
            Some(leader) if leader == self.config.broker_id => {
                followers.push((Arc::clone(&replica), None));
                let start = self.leader_start(image, partition, &replica);
                if let Err(error) = replica.lead(start, clock::monotonic()) {
                    tracing::error!(partition = %replica.topic_partition(), "cannot lead: {error}");
                }
            }
            Some(leader) => {
                if replica.follow(leader, partition.leader_epoch) {
                    followers.push((Arc::clone(&replica), Some(leader)));
                }
            }
            None => {
                replica.resign();
                followers.push((Arc::clone(&replica), None));
            }
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
            flushed_offset: replica.flushes_before_ack().then(|| replica.flushed_offset()),
            recovering: partition.leader_recovery_state == LeaderRecoveryState::Recovering,
        }
    }

    pub(super) fn tell(&self, replica: &Replica, leader_epoch: Option<LeaderEpoch>) {
        let topic_partition = replica.topic_partition();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|(topic, sender)| {
            *topic != topic_partition.topic
                || sender.send(LeadershipChange { topic_partition: topic_partition.clone(), leader_epoch }).is_ok()
        });
    }

    fn follow_configs(&self, delta: &ImageDelta, followers: &mut Vec<(Arc<Replica>, Option<BrokerId>)>) {
        let is_broker = |resource: &ConfigResource| resource.resource_type == ConfigResourceType::Broker;
        let all = delta.changed_configs.iter().any(is_broker);
        if all {
            let layers = broker_layers(&delta.new, self.config.broker_id, &self.config.settings);
            self.throttles.set_limits(&ReplicationQuotaConfig::resolve(layers.layers()));
        }
        for replica in self.all() {
            let topic = &replica.topic_partition().topic;
            if all || delta.changed_configs.contains(&ConfigResource::topic(topic)) {
                replica.set_config(Arc::new(self.replica_config(&delta.new, topic)));
                if let Some(image) = delta.new.topic(replica.topic_id())
                    && let Some(partition) = image.partition(replica.topic_partition().partition)
                {
                    self.follow(&delta.new, image, replica.topic_partition().partition, partition, followers);
                }
            }
        }
    }

    /// The partition has moved to other brokers. Should it come back one day, it begins with nothing (A20).
    fn delete_partition(&self, topic: &TopicImage, index: i32) {
        let removed = {
            let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
            let here = hosted.topics.get_mut(&topic.name).filter(|here| here.id == topic.id);
            here.and_then(|here| here.partitions.remove(&index))
        };
        if let Some(partition) = removed {
            tracing::info!(partition = %TopicPartition::new(Arc::clone(&topic.name), index), "moved to other brokers");
            self.delete_hosted(topic, index, &partition);
        }
    }

    pub(super) fn delete_hosted(&self, topic: &TopicImage, index: i32, partition: &HostedPartition) {
        match partition {
            HostedPartition::Online(replica) => self.delete_replica(replica),
            HostedPartition::Offline => {
                self.forget_offline(topic.id, index);
                let partition = TopicPartition::new(Arc::clone(&topic.name), index);
                self.end_move(&partition);
                self.places().remove_offline(&partition);
            }
        }
    }

    /// Before a replica goes: nobody reads or writes it any more.
    pub(super) fn take_leave(&self, replica: &Arc<Replica>) {
        if replica.leader_epoch().is_some() {
            self.tell(replica, None);
        }
        self.fetchers.point([(Arc::clone(replica), None)]);
        self.end_move(replica.topic_partition());
    }

    pub(super) fn delete_replica(&self, replica: &Arc<Replica>) {
        self.take_leave(replica);
        match replica.delete(random_id()) {
            Ok(()) => self.places().remove(replica.topic_partition()),
            Err(error) => {
                replica.note_log_fault(&error);
                tracing::error!(partition = %replica.topic_partition(), "cannot delete: {error}");
            }
        }
    }

    /// Directories of partitions that the metadata does not place here are renamed, never deleted: whoever put them
    /// there may want them back.
    fn set_strays_aside(&self, image: &ClusterImage) {
        let mut places = self.places();
        let strays = places.all().filter(|(found, _)| !self.is_placed_here(image, found));
        let strays: Vec<_> = strays.map(|(stray, at)| (stray.clone(), at)).collect();
        for (stray, at) in strays {
            let Some(directory) = self.directories.get(at) else { continue };
            let from = directory.log.path().join(stray.to_string());
            let to = directory.log.path().join(format!("{stray}.{}-stray", random_id()));
            match directory.log.disk().rename(&from, &to) {
                Ok(()) => {
                    places.remove(&stray);
                    tracing::warn!(
                        "{stray} is not placed on this broker any more: its log is kept as {}; remove it when it is \
                         not needed",
                        to.display()
                    );
                }
                Err(error) => tracing::error!("cannot set {} aside: {error}", from.display()),
            }
        }
    }

    fn is_placed_here(&self, image: &ClusterImage, found: &TopicPartition) -> bool {
        image
            .topic_by_name(&found.topic)
            .and_then(|topic| topic.partition(found.partition))
            .is_some_and(|partition| partition.replicas.contains(&self.config.broker_id))
    }
}
