//! What becomes of the replicas here when their topic is deleted: their logs go, or are set aside for as long as the
//! topic can be restored.
//!
//! The metadata alone says what is kept; a broker never looks at a clock for it. Whatever was interrupted is done by the
//! first image of the next life: a log of a deleted topic that still has its name is set aside, one that is set aside
//! while its topic exists gets its name back, and one whose topic is gone is removed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::clock;
use crate::log::{LogError, PartitionLog};
use crate::metadata::{ClusterImage, ImageDelta, TopicImage};
use crate::model::{TopicId, TopicPartition};

use super::directory::{Directory, random_id};
use super::replica::Replica;
use super::replicas::{HostedPartition, Replicas};

impl Replicas {
    /// Ends the replicas of deleted topics, and gives up what was kept of those that are gone for good.
    pub(super) fn end_topics(&self, delta: &ImageDelta) {
        for topic in delta.removed_topics() {
            let hosted = self.take_topic(topic);
            let is_kept = delta.new.deleted_topic(topic.id).is_some();
            let keeps = |partition: &HostedPartition| is_kept && partition.online().is_some();
            let (kept, deleted): (Vec<_>, Vec<_>) = hosted.into_iter().partition(|(_, partition)| keeps(partition));
            let kept: Vec<Arc<Replica>> =
                kept.iter().filter_map(|(_, partition)| partition.online()).cloned().collect();
            self.in_parallel(&kept, |replica| self.keep_replica(replica));
            deleted.iter().for_each(|(index, partition)| self.delete_hosted(topic, *index, partition));
        }
        for deleted in delta.expired_topics() {
            tracing::info!(topic = %deleted.topic.name, "the time to restore a deleted topic is over; removing its logs");
            self.give_up_kept(|id, _| id != deleted.topic.id);
        }
    }

    fn take_topic(&self, topic: &TopicImage) -> BTreeMap<i32, HostedPartition> {
        let mut hosted = self.hosted.write().unwrap_or_else(PoisonError::into_inner);
        let removed = match hosted.topics.get(&topic.name) {
            Some(here) if here.id == topic.id => hosted.topics.remove(&topic.name),
            _ => None,
        };
        removed.map(|here| here.partitions).unwrap_or_default()
    }

    fn keep_replica(&self, replica: &Arc<Replica>) {
        self.take_leave(replica);
        let partition = replica.topic_partition();
        match replica.set_aside() {
            Ok(()) => self.places().remove(partition),
            Err(error) => {
                if let Some(directory) = self.places().find(partition).and_then(|at| self.directories.get(at)) {
                    directory.signal.note_fault(&error);
                }
                tracing::error!(%partition, "cannot set the log of a deleted topic aside: {error}");
            }
        }
    }

    /// Brings the log of a topic back that was deleted when this broker looked last, or in an earlier life.
    ///
    /// Where this broker counts as in sync it held the log when the topic was deleted. If it is not there any more,
    /// nothing here may pass for it: an empty log would cut those of the others.
    pub(super) fn restore_kept(
        &self,
        image: &ClusterImage,
        topic: &TopicImage,
        partition: &TopicPartition,
    ) -> Result<(), LogError> {
        let before = self.image();
        let was_kept = before.deleted_topic(topic.id).is_some();
        if !was_kept && before.applied_index() > 0 {
            return Ok(());
        }
        let keeping = |directory: &Directory| directory.log.keeps(partition, topic.id);
        if let Some((at, directory)) = self.directories.iter().enumerate().find(|(_, directory)| keeping(directory)) {
            self.make_way(partition)?;
            directory.log.restore(partition, topic.id)?;
            self.places().put(partition, at);
            tracing::info!(%partition, "restored the log of a deleted topic");
            return Ok(());
        }
        let state = image.partition(topic.id, partition.partition);
        match was_kept && state.is_some_and(|state| state.isr.contains(&self.config.broker_id)) {
            true => Err(LogError::KeptLogIsGone { partition: partition.to_string() }),
            false => Ok(()),
        }
    }

    /// A later topic had the name, and was deleted while this broker was away.
    fn make_way(&self, partition: &TopicPartition) -> Result<(), LogError> {
        let mut places = self.places();
        if let Some(directory) = places.find(partition).and_then(|at| self.directories.get(at)) {
            tracing::info!(%partition, "deleting the log of a later topic of the same name");
            directory.log.give_up(partition, random_id())?;
            places.remove(partition);
        }
        Ok(())
    }

    /// With the first image: what an earlier life had not done with the logs of deleted topics.
    pub(super) fn keep_found(&self, image: &ClusterImage) {
        let found: Vec<(TopicPartition, usize)> =
            self.places().all().map(|(partition, at)| (partition.clone(), at)).collect();
        for (partition, at) in found {
            let Some(directory) = self.directories.get(at) else { continue };
            match directory.log.topic_id_of(&partition) {
                Ok(Some(id)) if image.deleted_topic(id).is_some() => self.keep_log(image, directory, &partition, id),
                // What is wrong with a log is told when it is opened.
                _ => {}
            }
        }
        self.give_up_kept(|id, index| {
            let state = image.partition(id, index);
            image.deleted_topic(id).is_some() || state.is_some_and(|p| p.replicas.contains(&self.config.broker_id))
        });
    }

    fn give_up_kept(&self, is_wanted: impl Fn(TopicId, i32) -> bool) {
        for directory in &self.directories {
            if let Err(error) = directory.log.give_up_kept(&is_wanted, random_id()) {
                tracing::error!("cannot remove the logs of deleted topics: {error}");
            }
        }
    }

    fn keep_log(&self, image: &ClusterImage, directory: &Directory, partition: &TopicPartition, topic_id: TopicId) {
        let config = Arc::clone(&self.replica_config(image, &partition.topic).log);
        let (place, now) = (&directory.log, clock::wall());
        let high_watermark = place.high_watermark(partition).unwrap_or_default();
        let kept = PartitionLog::open(place, partition.clone(), Some(topic_id), config, directory.clean, now)
            .and_then(|(log, _)| log.set_aside(topic_id, high_watermark));
        match kept {
            Ok(()) => {
                self.places().remove(partition);
                tracing::info!(%partition, "keeping the log of a topic that was deleted while this broker was away");
            }
            Err(error) => tracing::error!(%partition, "cannot set the log of a deleted topic aside: {error}"),
        }
    }
}
