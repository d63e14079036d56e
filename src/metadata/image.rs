//! The image: all that a replay of the log says about the cluster.
//!
//! A clone costs a few reference counts, whatever the size of the cluster: the maps are persistent, and a
//! topic is shared between versions of the image until one of them changes it. Reading is all that is
//! offered here; `replay` is the only mutator.

use std::sync::Arc;

use imbl::OrdMap;

use super::broker_image::BrokerImage;
use super::brokers_to_isrs::BrokersToIsrs;
use super::client_quotas::{QuotaEntity, QuotaLimits};
use super::config_image::{ConfigImage, ConfigResource};
use super::deleted_topic_image::DeletedTopic;
use super::topic_image::{PartitionImage, TopicImage};
use crate::model::{BrokerId, ErrorCode, ProducerId, TopicId};

/// The state of the whole cluster after the record at [`applied_index`](Self::applied_index).
#[derive(Clone, Debug, Default)]
pub struct ClusterImage {
    pub(super) applied_index: i64,
    pub(super) cluster_id: Option<Arc<str>>,
    pub(super) features: OrdMap<Arc<str>, i32>,
    pub(super) brokers: OrdMap<BrokerId, Arc<BrokerImage>>,
    pub(super) topics: OrdMap<TopicId, Arc<TopicImage>>,
    pub(super) topic_ids: OrdMap<Arc<str>, TopicId>,
    /// Topics whose name holds a '.' or '_', by the name with '_' for '.': two topics that differ only in
    /// these would share the names of their metrics.
    pub(super) collision_names: OrdMap<String, Arc<str>>,
    /// Topics that are deleted and can be restored: nothing but a restoration looks at them.
    pub(super) deleted_topics: OrdMap<TopicId, Arc<DeletedTopic>>,
    pub(super) configs: OrdMap<ConfigResource, Arc<ConfigImage>>,
    pub(super) client_quotas: OrdMap<QuotaEntity, Arc<QuotaLimits>>,
    pub(super) next_producer_id: ProducerId,
    pub(super) brokers_to_isrs: BrokersToIsrs,
    pub(super) partition_count: usize,
}

impl ClusterImage {
    /// The metadata index of the last record replayed; 0 before the first.
    pub fn applied_index(&self) -> i64 {
        self.applied_index
    }

    /// Which cluster this is; `None` until it has been named.
    pub fn cluster_id(&self) -> Option<&Arc<str>> {
        self.cluster_id.as_ref()
    }

    /// The finalized level of a feature; 0 when it is off.
    pub fn feature_level(&self, name: &str) -> i32 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// All finalized features with their levels, by name.
    pub fn features(&self) -> impl Iterator<Item = (&str, i32)> {
        self.features.iter().map(|(name, level)| (name.as_ref(), *level))
    }

    /// A registered broker, fenced or not.
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// True when the broker is registered, unfenced and not about to stop.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active())
    }

    /// True when the broker is active and has not lost the use of its replica of the partition.
    pub fn is_active_for(&self, id: BrokerId, topic_id: TopicId, partition: i32) -> bool {
        self.broker(id).is_some_and(|broker| broker.is_active_for(topic_id, partition))
    }

    /// A topic by its id.
    pub fn topic(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// A topic by its name.
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    /// The id of the topic with this name.
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.topic_ids.get(name).copied()
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids.values().filter_map(|id| self.topics.get(id))
    }

    /// True when both have the same topics with the same numbers of partitions. Cheap: it asks whether the one was
    /// made from the other without a change of these; it may say no where a comparison would say yes.
    pub fn has_same_topics(&self, other: &Self) -> bool {
        self.topic_ids.ptr_eq(&other.topic_ids) && self.partition_count == other.partition_count
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// A partition by its topic's id and its index.
    pub fn partition(&self, topic_id: TopicId, partition: i32) -> Option<&Arc<PartitionImage>> {
        self.topic(topic_id)?.partition(partition)
    }

    /// The keys set on a resource; `None` when there are none.
    pub fn config(&self, resource: &ConfigResource) -> Option<&Arc<ConfigImage>> {
        self.configs.get(resource)
    }

    /// The value of one key as set on the resource itself.
    pub fn config_value(&self, resource: &ConfigResource, key: &str) -> Option<&str> {
        self.config(resource)?.get(key).map(String::as_str)
    }

    /// All resources that have a key set, in order.
    pub fn configs(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigImage>)> {
        self.configs.iter()
    }

    /// The first producer id that has not been handed out.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The partitions with this broker in their ISR or ELR.
    pub fn partitions_in_sync_on(&self, broker: BrokerId) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.brokers_to_isrs.partitions_of(broker)
    }

    /// The partitions that nobody leads.
    pub fn leaderless_partitions(&self) -> impl Iterator<Item = (TopicId, i32)> + '_ {
        self.brokers_to_isrs.leaderless()
    }

    /// The partitions that are moving to other brokers, with their topics, by name. Costs a look at each partition.
    pub fn reassignments(&self) -> impl Iterator<Item = (&Arc<TopicImage>, i32, &Arc<PartitionImage>)> {
        self.partitions().filter(|(_, _, partition)| partition.is_reassigned())
    }

    /// All partitions with their topics and indexes, by name.
    pub fn partitions(&self) -> impl Iterator<Item = (&Arc<TopicImage>, i32, &Arc<PartitionImage>)> {
        self.topics().flat_map(|topic| topic.partitions().map(move |(index, partition)| (topic, index, partition)))
    }

    /// `NONE` when the broker is registered with just this epoch, else the answer it gets.
    pub fn check_broker_epoch(&self, id: BrokerId, epoch: crate::model::BrokerEpoch) -> ErrorCode {
        match self.broker(id) {
            None => ErrorCode::BrokerIdNotRegistered,
            Some(broker) if broker.epoch != epoch => ErrorCode::StaleBrokerEpoch,
            Some(_) => ErrorCode::None,
        }
    }
}
