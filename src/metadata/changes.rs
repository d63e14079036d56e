//! What lies between two versions of the image, for those who act on changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::ordmap::DiffItem;

use super::image::{ClusterImage, ConfigResource};
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
