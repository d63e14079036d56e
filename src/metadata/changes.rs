//! What lies between two versions of the image, for those who act on changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::ordmap::DiffItem;

use super::config_image::ConfigResource;
use super::deleted_topic_image::DeletedTopic;
use super::image::ClusterImage;
use super::topic_image::{PartitionImage, TopicImage};
use crate::model::{BrokerId, TopicId};

/// The way from an older image to a newer one.
///
/// It is found by comparing the two, which share what did not change; so it costs what changed, and it is
/// exact after a snapshot too.
#[derive(Clone, Debug)]
pub struct ImageDelta {
    /// The image before.
    pub old: ClusterImage,
    /// The image after.
    pub new: ClusterImage,
    /// Topics that came, went or changed in some partition, by id.
    pub changed_topics: BTreeSet<TopicId>,
    /// Brokers that came, went or changed.
    pub changed_brokers: BTreeSet<BrokerId>,
    /// Resources whose configuration changed.
    pub changed_configs: BTreeSet<ConfigResource>,
}

impl ImageDelta {
    /// Compares two images.
    pub fn between(old: ClusterImage, new: ClusterImage) -> Self {
        let changed_topics = old.topics.diff(&new.topics).map(|item| *changed_key(&item)).collect();
        let changed_brokers = old.brokers.diff(&new.brokers).map(|item| *changed_key(&item)).collect();
        let changed_configs = old.configs.diff(&new.configs).map(|item| changed_key(&item).clone()).collect();
        Self { old, new, changed_topics, changed_brokers, changed_configs }
    }

    /// True when nothing that is listed here changed.
    pub fn is_empty(&self) -> bool {
        self.changed_topics.is_empty() && self.changed_brokers.is_empty() && self.changed_configs.is_empty()
    }

    /// Topics that are gone, as they were.
    pub fn removed_topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.changed_topics.iter().filter(|id| self.new.topic(**id).is_none()).filter_map(|id| self.old.topic(*id))
    }

    /// Deleted topics that could be restored before and now are gone for good, as they were.
    pub fn expired_topics(&self) -> impl Iterator<Item = &Arc<DeletedTopic>> {
        let unchanged = self.old.has_same_deleted_topics(&self.new);
        let is_gone = |id| self.new.deleted_topic(id).is_none() && self.new.topic(id).is_none();
        self.old.deleted_topics().filter(move |deleted| !unchanged && is_gone(deleted.topic.id))
    }

    /// Partitions that came or changed: the topic as it is, the index, the state before and now.
    pub fn changed_partitions(
        &self,
    ) -> impl Iterator<Item = (&Arc<TopicImage>, i32, Option<&Arc<PartitionImage>>, &Arc<PartitionImage>)> {
        self.changed_topics.iter().filter_map(|id| self.new.topic(*id)).flat_map(move |topic| {
            let before = self.old.topic(topic.id);
            topic
                .partitions()
                .map(move |(index, now)| (topic, index, before.and_then(|topic| topic.partition(index)), now))
                .filter(|(_, _, before, now)| *before != Some(*now))
        })
    }
}

fn changed_key<'a, K, V>(item: &DiffItem<'a, 'a, K, V>) -> &'a K {
    match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) => key,
        DiffItem::Update { new: (key, _), .. } => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::metadata::{
        MetadataRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    };

    fn topic(id: u8) -> [MetadataRecord; 3] {
        let topic_id = || vec![id; 16].into();
        let partition = |partition| PartitionRecord { topic_id: topic_id(), partition, ..Default::default() }.into();
        [TopicRecord { name: format!("topic{id}"), topic_id: topic_id() }.into(), partition(0), partition(1)]
    }

    #[test]
    fn only_what_changed_is_named() {
        let mut old = ClusterImage::default();
        old.replay_all([topic(1), topic(2), topic(3)].as_flattened()).expect("they fit");
        let mut new = old.clone();
        let change = PartitionChangeRecord {
            topic_id: vec![2; 16].into(),
            partition: 1,
            partition_epoch: 1,
            ..Default::default()
        };
        let removal = RemoveTopicRecord { topic_id: vec![3; 16].into() };
        new.replay_all(&[change.into(), removal.into()]).expect("they fit");
        new.replay_all(&topic(4)).expect("they fit");

        let delta = ImageDelta::between(old.clone(), new);
        let removed: Vec<_> = delta.removed_topics().map(|topic| topic.name.to_string()).collect();
        assert_eq!(removed, ["topic3"]);
        let changed: Vec<_> = delta
            .changed_partitions()
            .map(|(topic, partition, before, _)| (topic.name.to_string(), partition, before.is_some()))
            .collect();
        let expected = [("topic2", 1, true), ("topic4", 0, false), ("topic4", 1, false)];
        assert_eq!(changed, expected.map(|(topic, partition, existed)| (topic.to_owned(), partition, existed)));
        assert!(ImageDelta::between(old.clone(), old).is_empty());
    }
}
