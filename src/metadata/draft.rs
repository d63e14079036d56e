//! Where a decision is written down: an image, and the records that lead away from where it began.

use std::sync::Arc;

use super::cluster_defaults::ClusterDefaults;
use super::config_image::ConfigResource;
use super::image::ClusterImage;
use super::topic_image::TopicImage;
use crate::model::ErrorCode;
use crate::rpc::metadata::MetadataRecord;

/// Decides who may be in an ELR: one value for all controllers, see [`ClusterImage::has_agreed_minimum`].
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

impl ClusterImage {
    /// The value of a topic's key: set on the topic, else on all brokers, else nowhere.
    fn topic_config(&self, topic: &str, key: &str) -> Option<&str> {
        self.config_value(&ConfigResource::topic(topic), key)
            .or_else(|| self.config_value(&ConfigResource::default_broker(), key))
    }

    /// Whether the cluster has written down which `min.insync.replicas` holds where a topic sets none. A controller
    /// sees to it before it decides anything else: those that lead after it may have other files.
    pub fn has_agreed_minimum(&self) -> bool {
        self.config_value(&ConfigResource::default_broker(), MIN_INSYNC_REPLICAS).is_some()
    }

    /// The size below which the ISR is too small to commit: `min.insync.replicas`, but never more than there
    /// are replicas (invariants, MISR).
    pub(super) fn effective_min_isr(
        &self,
        topic: &TopicImage,
        replica_count: usize,
        defaults: &ClusterDefaults,
    ) -> usize {
        let configured = self
            .topic_config(&topic.name, MIN_INSYNC_REPLICAS)
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(defaults.min_insync_replicas);
        usize::try_from(configured).unwrap_or(1).clamp(1, replica_count.max(1))
    }
}

/// The answer to a command, or to one of its items, that cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// An image in the making. Each record is replayed as it is added, so that what is decided next sees it.
pub(super) struct Draft<'a> {
    image: ClusterImage,
    records: Vec<MetadataRecord>,
    partition_count_at_start: usize,
    defaults: &'a ClusterDefaults,
}

impl<'a> Draft<'a> {
    pub(super) fn new(image: ClusterImage, defaults: &'a ClusterDefaults) -> Self {
        Self { partition_count_at_start: image.partition_count(), image, records: Vec::new(), defaults }
    }

    /// A draft that goes on from here; what is added to it stays there until it is merged.
    pub(super) fn branch(&self) -> Self {
        Self::new(self.image.clone(), self.defaults)
    }

    /// Takes over what a branch added.
    pub(super) fn merge(&mut self, branch: Draft<'a>) {
        self.image = branch.image;
        self.records.extend(branch.records);
    }

    /// Adds a record.
    ///
    /// # Panics
    /// When it cannot be replayed: a decision that contradicts the image it was made over is a bug.
    pub(super) fn add(&mut self, record: impl Into<MetadataRecord>) {
        let record = record.into();
        if let Err(error) = self.image.replay(&record, self.next_index()) {
            panic!("decided on a record that cannot be replayed: {error}: {record:?}");
        }
        self.records.push(record);
    }

    /// The metadata index of the next record.
    pub(super) fn next_index(&self) -> i64 {
        self.image.applied_index() + 1
    }

    pub(super) fn image(&self) -> &ClusterImage {
        &self.image
    }

    pub(super) fn defaults(&self) -> &'a ClusterDefaults {
        self.defaults
    }

    /// How many partitions have been added here.
    pub(super) fn partitions_added(&self) -> usize {
        self.image.partition_count().saturating_sub(self.partition_count_at_start)
    }

    /// Refuses partitions that would be too many for the cluster.
    pub(super) fn check_cluster_room(&self, count: usize) -> Result<(), Refusal> {
        let cluster_max = self.defaults.partition_count_max;
        if self.image.partition_count().saturating_add(count) > cluster_max {
            let message = format!("the cluster would hold more than {cluster_max} partitions");
            return Err(Refusal::new(ErrorCode::PolicyViolation, message));
        }
        Ok(())
    }

    pub(super) fn into_records(self) -> Vec<MetadataRecord> {
        self.records
    }

    /// See [`ClusterImage::effective_min_isr`].
    pub(super) fn effective_min_isr(&self, topic: &TopicImage, replica_count: usize) -> usize {
        self.image.effective_min_isr(topic, replica_count, self.defaults)
    }

    /// Whether a replica that may lack committed records may lead the topic's partitions.
    pub(super) fn unclean_leader_election_enabled(&self, topic: &TopicImage) -> bool {
        self.image
            .topic_config(&topic.name, "unclean.leader.election.enable")
            .map_or(self.defaults.unclean_leader_election_enable, |value| value.trim().eq_ignore_ascii_case("true"))
    }

    /// The topic by name, or the refusal for one that does not exist.
    pub(super) fn existing_topic(&self, name: &str) -> Result<Arc<TopicImage>, Refusal> {
        self.image
            .topic_by_name(name)
            .cloned()
            .ok_or_else(|| Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("there is no topic {name}")))
    }
}
