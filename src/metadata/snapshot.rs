//! An image as a list of records, and back: snapshots need no format of their own.

use prost::Message;

use super::config_image::{ConfigImage, ConfigResource};
use super::image::ClusterImage;
use super::record::uuid_bytes;
use super::replay_error::ReplayError;
use super::topic_image::TopicImage;
use crate::rpc::metadata::{
    ClientQuotaRecord, ClusterIdRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord,
    TopicRecord,
};

impl ClusterImage {
    /// The records from which [`restore`](Self::restore) makes this image again, in a stable order.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records: Vec<MetadataRecord> = Vec::new();
        if let Some(cluster_id) = &self.cluster_id {
            records.push(ClusterIdRecord { cluster_id: cluster_id.to_string() }.into());
        }
        records.extend(self.features().map(|(name, level)| FeatureLevelRecord { name: name.to_owned(), level }.into()));
        records.extend(self.brokers().map(|broker| broker.to_record().into()));
        // Before the others, for their names are free again.
        records.extend(self.deleted_topic_records());
        for topic in self.topics.values() {
            topic_records(topic, &mut records);
        }
        for (resource, configs) in self.configs() {
            config_records(resource, configs, &mut records);
        }
        for (entity, limits) in self.client_quotas() {
            records.extend(limits.iter().map(|(key, value)| {
                ClientQuotaRecord { entity: entity.to_parts(), key: key.clone(), value: Some(*value) }.into()
            }));
        }
        if self.next_producer_id.0 != 0 {
            let next_producer_id = self.next_producer_id.0;
            records.push(ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id }.into());
        }
        records
    }

    /// The records of the topics that are deleted and can be restored: as they were created, and set aside.
    pub fn deleted_topic_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for deleted in self.deleted_topics() {
            topic_records(&deleted.topic, &mut records);
            config_records(&ConfigResource::topic(&deleted.topic.name), &deleted.configs, &mut records);
            records.push(deleted.to_record().into());
        }
        records
    }

    /// The image that [`to_records`](Self::to_records) described, as of the record at `applied_index`.
    pub fn restore<'a>(
        records: impl IntoIterator<Item = &'a MetadataRecord>,
        applied_index: i64,
    ) -> Result<Self, ReplayError> {
        let mut image = Self::default();
        records.into_iter().try_for_each(|record| image.replay_kind(record))?;
        image.applied_index = applied_index;
        Ok(image)
    }

    /// A digest that is equal on all nodes at the same index (invariant D3): CRC-64/NVME over the index and
    /// the records of the image. Its cost is that of a snapshot.
    pub fn digest(&self) -> u64 {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        digest.update(&self.applied_index.to_be_bytes());
        for record in self.to_records() {
            digest.update(&record.encode_length_delimited_to_vec());
        }
        digest.finalize()
    }
}

fn topic_records(topic: &TopicImage, records: &mut Vec<MetadataRecord>) {
    records.push(TopicRecord { name: topic.name.to_string(), topic_id: uuid_bytes(topic.id.0) }.into());
    records.extend(topic.partitions().map(|(partition, image)| image.to_record(topic.id, partition).into()));
}

fn config_records(resource: &ConfigResource, configs: &ConfigImage, records: &mut Vec<MetadataRecord>) {
    records.extend(configs.iter().map(|(key, value)| {
        let (resource_type, resource_name) = (resource.resource_type.code().into(), resource.name.to_string());
        ConfigRecord { resource_type, resource_name, key: key.clone(), value: Some(value.clone()) }.into()
    }));
}

/// Two images are equal when they say the same about the cluster; the indexes beside the topics follow.
impl PartialEq for ClusterImage {
    fn eq(&self, other: &Self) -> bool {
        self.applied_index == other.applied_index
            && self.cluster_id == other.cluster_id
            && self.features == other.features
            && self.brokers == other.brokers
            && self.topics == other.topics
            && self.topic_ids == other.topic_ids
            && self.collision_names == other.collision_names
            && self.deleted_topics == other.deleted_topics
            && self.configs == other.configs
            && self.client_quotas == other.client_quotas
            && self.next_producer_id == other.next_producer_id
            && self.brokers_to_isrs == other.brokers_to_isrs
            && self.partition_count == other.partition_count
    }
}
