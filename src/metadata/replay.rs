//! Replay: the only code that changes an image, and the only code that all versions in a cluster must
//! agree on. It states facts and decides nothing; a record that does not fit the image is a fault that
//! stops the node, because its image would no longer be a function of the log (invariant D3).

use std::sync::Arc;

use super::broker_image::{BrokerImage, replica_names};
use super::client_quotas::QuotaEntity;
use super::config_image::{ConfigImage, ConfigResource, ConfigResourceType};
use super::deleted_topic_image::DeletedTopic;
use super::image::ClusterImage;
use super::record::uuid_from_bytes;
use super::replay_error::ReplayError;
use super::topic_image::{PartitionImage, TopicImage, broker_ids, recovery_state};
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, ProducerId, TopicId, Wall};
use crate::rpc::metadata::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ClusterIdRecord, ConfigRecord, FeatureLevelRecord,
    MetadataRecord, OfflineReplicasRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord,
    RegisterBrokerRecord, RemoveTopicRecord, RestoreTopicRecord, SetTopicAsideRecord, TopicRecord,
    UnregisterBrokerRecord, metadata_record::Kind,
};

impl ClusterImage {
    /// Replays the record with this metadata index, which must be the one after the last.
    ///
    /// An error leaves the image as it was; the node must stop.
    pub fn replay(&mut self, record: &MetadataRecord, index: i64) -> Result<(), ReplayError> {
        if index != self.applied_index + 1 {
            return Err(ReplayError::Gap { applied: self.applied_index, found: index });
        }
        self.replay_kind(record)?;
        self.applied_index = index;
        Ok(())
    }

    /// Replays records that follow each other, the first of them at `applied_index() + 1`.
    pub fn replay_all<'a>(&mut self, records: impl IntoIterator<Item = &'a MetadataRecord>) -> Result<(), ReplayError> {
        records.into_iter().try_for_each(|record| self.replay(record, self.applied_index + 1))
    }

    pub(super) fn replay_kind(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record.kind.as_ref().ok_or(ReplayError::UnknownRecord)? {
            Kind::ClusterId(record) => self.replay_cluster_id(record),
            Kind::FeatureLevel(record) => self.replay_feature_level(record),
            Kind::RegisterBroker(record) => self.replay_register_broker(record),
            Kind::BrokerRegistrationChange(record) => self.replay_broker_registration_change(record),
            Kind::UnregisterBroker(record) => self.replay_unregister_broker(record),
            Kind::Topic(record) => self.replay_topic(record),
            Kind::Partition(record) => self.replay_partition(record),
            Kind::PartitionChange(record) => self.replay_partition_change(record),
            Kind::RemoveTopic(record) => self.replay_remove_topic(record),
            Kind::Config(record) => self.replay_config(record),
            Kind::ProducerIds(record) => self.replay_producer_ids(record),
            Kind::ClientQuota(record) => self.replay_client_quota(record),
            Kind::OfflineReplicas(record) => self.replay_offline_replicas(record),
            Kind::SetTopicAside(record) => self.replay_set_topic_aside(record),
            Kind::RestoreTopic(record) => self.replay_restore_topic(record),
        }
    }

    fn replay_cluster_id(&mut self, record: &ClusterIdRecord) -> Result<(), ReplayError> {
        match &self.cluster_id {
            Some(ours) if **ours != *record.cluster_id => {
                Err(ReplayError::ClusterIdConflict { ours: ours.to_string(), theirs: record.cluster_id.clone() })
            }
            _ => {
                self.cluster_id = Some(record.cluster_id.as_str().into());
                Ok(())
            }
        }
    }

    fn replay_feature_level(&mut self, record: &FeatureLevelRecord) -> Result<(), ReplayError> {
        match record.level {
            0 => _ = self.features.remove(record.name.as_str()),
            level => _ = self.features.insert(record.name.as_str().into(), level),
        }
        Ok(())
    }

    fn replay_client_quota(&mut self, record: &ClientQuotaRecord) -> Result<(), ReplayError> {
        let unknown = || ReplayError::UnknownValue { field: "client quota entity", value: record.entity.len() as i64 };
        let entity = QuotaEntity::of(&record.entity).ok_or_else(unknown)?;
        let mut limits = self.client_quotas.get(&entity).map(|limits| (**limits).clone()).unwrap_or_default();
        match record.value {
            Some(value) => _ = limits.insert(record.key.clone(), value),
            None => _ = limits.remove(&record.key),
        }
        match limits.is_empty() {
            true => _ = self.client_quotas.remove(&entity),
            false => _ = self.client_quotas.insert(entity, Arc::new(limits)),
        }
        Ok(())
    }

    fn replay_register_broker(&mut self, record: &RegisterBrokerRecord) -> Result<(), ReplayError> {
        let broker = BrokerImage::from_record(record)?;
        self.brokers.insert(broker.id, Arc::new(broker));
        Ok(())
    }

    fn replay_broker_registration_change(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
    ) -> Result<(), ReplayError> {
        let broker = self.registered(record.broker_id, record.broker_epoch)?;
        if record.fenced == Some(false) {
            broker.log_whole_since = broker.epoch;
        }
        broker.fenced = record.fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown = record.in_controlled_shutdown.unwrap_or(broker.in_controlled_shutdown);
        Ok(())
    }

    fn replay_offline_replicas(&mut self, record: &OfflineReplicasRecord) -> Result<(), ReplayError> {
        let replicas = replica_names(&record.replicas)?;
        let broker = self.registered(record.broker_id, record.broker_epoch)?;
        broker.offline_replicas = std::mem::take(&mut broker.offline_replicas).union(replicas);
        Ok(())
    }

    /// A registered broker in just this life, to be changed.
    fn registered(&mut self, id: i32, epoch: i64) -> Result<&mut BrokerImage, ReplayError> {
        let (id, epoch) = (BrokerId(id), BrokerEpoch(epoch));
        let broker = self.brokers.get_mut(&id).filter(|broker| broker.epoch == epoch);
        broker.map(Arc::make_mut).ok_or(ReplayError::UnknownBroker { broker: id, epoch })
    }

    /// These brokers have the partition no more: should one get it again, it begins with a new replica.
    fn forget_offline(&mut self, partition: (TopicId, i32), brokers: impl IntoIterator<Item = BrokerId>) {
        for id in brokers {
            if self.broker(id).is_some_and(|broker| broker.offline_replicas.contains(&partition))
                && let Some(broker) = self.brokers.get_mut(&id)
            {
                Arc::make_mut(broker).offline_replicas.remove(&partition);
            }
        }
    }

    fn replay_unregister_broker(&mut self, record: &UnregisterBrokerRecord) -> Result<(), ReplayError> {
        let (id, epoch) = (BrokerId(record.broker_id), BrokerEpoch(record.broker_epoch));
        if self.broker(id).is_none_or(|broker| broker.epoch != epoch) {
            return Err(ReplayError::UnknownBroker { broker: id, epoch });
        }
        self.brokers.remove(&id);
        Ok(())
    }

    fn replay_topic(&mut self, record: &TopicRecord) -> Result<(), ReplayError> {
        let id = topic_id(&record.topic_id)?;
        if self.deleted_topics.contains_key(&id) {
            return Err(ReplayError::TopicExists { topic: record.name.clone() });
        }
        self.add_topic(Arc::new(TopicImage { id, name: record.name.as_str().into(), partitions: Vec::new() }))
    }

    fn replay_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let id = topic_id(&record.topic_id)?;
        let image = PartitionImage::from_record(record)?;
        let topic = self.topics.get_mut(&id).ok_or(ReplayError::UnknownTopic { topic: id })?;
        let count = topic.partitions.len();
        if usize::try_from(record.partition) != Ok(count) {
            let (topic, partition) = (topic.name.to_string(), record.partition);
            return Err(ReplayError::UnknownPartition { topic, partition, count });
        }
        self.brokers_to_isrs.update((id, record.partition), None, Some(&image));
        Arc::make_mut(topic).partitions.push(Arc::new(image));
        self.partition_count += 1;
        Ok(())
    }

    fn replay_partition_change(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let id = topic_id(&record.topic_id)?;
        let topic = self.topics.get_mut(&id).ok_or(ReplayError::UnknownTopic { topic: id })?;
        let Some(old) = topic.partition(record.partition).cloned() else {
            let (count, partition) = (topic.partition_count(), record.partition);
            return Err(ReplayError::UnknownPartition { topic: topic.name.to_string(), partition, count });
        };
        let new = Arc::new(changed_partition(&old, record, &topic.name)?);
        self.brokers_to_isrs.update((id, record.partition), Some(&old), Some(&new));
        let at = usize::try_from(record.partition).expect("the partition was found by this index");
        let gone = old.replicas.iter().copied().filter(|replica| !new.replicas.contains(replica)).collect::<Vec<_>>();
        Arc::make_mut(topic).partitions[at] = new;
        self.forget_offline((id, record.partition), gone);
        Ok(())
    }

    fn replay_remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), ReplayError> {
        let id = topic_id(&record.topic_id)?;
        match self.deleted_topics.remove(&id) {
            Some(_) => Ok(()),
            None => self.take_topic(id).map(|_| ()),
        }
    }

    fn replay_set_topic_aside(&mut self, record: &SetTopicAsideRecord) -> Result<(), ReplayError> {
        let id = topic_id(&record.topic_id)?;
        let (topic, configs) = self.take_topic(id)?;
        let SetTopicAsideRecord { deleted_ms, metadata_index, .. } = *record;
        let deleted = DeletedTopic { topic, configs, deleted_at: Wall(deleted_ms), metadata_index };
        self.deleted_topics.insert(id, Arc::new(deleted));
        Ok(())
    }

    fn replay_restore_topic(&mut self, record: &RestoreTopicRecord) -> Result<(), ReplayError> {
        let id = topic_id(&record.topic_id)?;
        let deleted = self.deleted_topics.get(&id).cloned().ok_or(ReplayError::UnknownTopic { topic: id })?;
        self.add_topic(Arc::clone(&deleted.topic))?;
        if !deleted.configs.is_empty() {
            self.configs.insert(ConfigResource::topic(&deleted.topic.name), Arc::clone(&deleted.configs));
        }
        self.deleted_topics.remove(&id);
        Ok(())
    }

    /// Adds a topic and what the image keeps beside the topics.
    fn add_topic(&mut self, topic: Arc<TopicImage>) -> Result<(), ReplayError> {
        if self.topics.contains_key(&topic.id) || self.topic_ids.contains_key(&topic.name) {
            return Err(ReplayError::TopicExists { topic: topic.name.to_string() });
        }
        if let Some(collision_name) = collision_name(&topic.name) {
            self.collision_names.insert(collision_name, Arc::clone(&topic.name));
        }
        for (partition, image) in topic.partitions() {
            self.brokers_to_isrs.update((topic.id, partition), None, Some(image));
        }
        self.partition_count += topic.partition_count();
        self.topic_ids.insert(Arc::clone(&topic.name), topic.id);
        self.topics.insert(topic.id, topic);
        Ok(())
    }

    /// Takes a topic out, with its configs.
    fn take_topic(&mut self, id: TopicId) -> Result<(Arc<TopicImage>, Arc<ConfigImage>), ReplayError> {
        let topic = self.topics.remove(&id).ok_or(ReplayError::UnknownTopic { topic: id })?;
        for (partition, image) in topic.partitions() {
            self.brokers_to_isrs.update((id, partition), Some(image), None);
            self.forget_offline((id, partition), image.replicas.iter().copied());
        }
        self.partition_count -= topic.partition_count();
        self.topic_ids.remove(&topic.name);
        if let Some(collision_name) = collision_name(&topic.name) {
            self.collision_names.remove(&collision_name);
        }
        let configs = self.configs.remove(&ConfigResource::topic(&topic.name)).unwrap_or_default();
        Ok((topic, configs))
    }

    fn replay_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let resource_type = i8::try_from(record.resource_type)
            .ok()
            .and_then(ConfigResourceType::from_code)
            .ok_or(ReplayError::UnknownValue { field: "resource_type", value: record.resource_type.into() })?;
        let resource = ConfigResource { resource_type, name: record.resource_name.as_str().into() };
        let configs = self.configs.entry(resource.clone()).or_default();
        match &record.value {
            Some(value) => _ = Arc::make_mut(configs).insert(record.key.clone(), value.clone()),
            None => _ = Arc::make_mut(configs).remove(&record.key),
        }
        if configs.is_empty() {
            self.configs.remove(&resource);
        }
        Ok(())
    }

    fn replay_producer_ids(&mut self, record: &ProducerIdsRecord) -> Result<(), ReplayError> {
        self.next_producer_id = ProducerId(record.next_producer_id);
        Ok(())
    }
}

/// `old` with the change applied. Epochs never go down, and the partition epoch counts each change (A10).
fn changed_partition(
    old: &PartitionImage,
    record: &PartitionChangeRecord,
    topic: &str,
) -> Result<PartitionImage, ReplayError> {
    let leader_epoch = record.leader_epoch.map_or(old.leader_epoch, LeaderEpoch);
    let partition_epoch = PartitionEpoch(record.partition_epoch);
    if leader_epoch < old.leader_epoch || partition_epoch != old.partition_epoch.next() {
        return Err(ReplayError::EpochRegression {
            topic: topic.to_owned(),
            partition: record.partition,
            from: (old.partition_epoch, old.leader_epoch),
            to: (partition_epoch, leader_epoch),
        });
    }
    let mut new = PartitionImage { leader_epoch, partition_epoch, ..old.clone() };
    if let Some(leader) = record.leader {
        new.leader = BrokerId(leader);
    }
    if let Some(replicas) = &record.replicas {
        new.replicas = broker_ids(&replicas.ids);
    }
    if let Some(adding) = &record.adding_replicas {
        new.adding_replicas = broker_ids(&adding.ids);
    }
    if let Some(removing) = &record.removing_replicas {
        new.removing_replicas = broker_ids(&removing.ids);
    }
    if let Some(isr) = &record.isr {
        new.isr = broker_ids(&isr.ids);
    }
    if let Some(elr) = &record.elr {
        new.elr = broker_ids(&elr.ids);
    }
    if let Some(state) = record.leader_recovery_state {
        new.leader_recovery_state = recovery_state(state)?;
    }
    if let Some(leader) = record.last_known_leader {
        new.last_known_leader = BrokerId(leader);
    }
    Ok(new)
}

/// The name under which a topic collides with others; `None` for names that cannot.
pub(super) fn collision_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

fn topic_id(bytes: &[u8]) -> Result<TopicId, ReplayError> {
    uuid_from_bytes(bytes).map(TopicId).ok_or(ReplayError::InvalidId { field: "topic_id" })
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::rpc::metadata::BrokerIds;

    fn topic(name: &str, id: u8) -> MetadataRecord {
        TopicRecord { name: name.to_owned(), topic_id: vec![id; 16].into() }.into()
    }

    fn partition(id: u8, partition: i32) -> PartitionRecord {
        let topic_id = vec![id; 16].into();
        PartitionRecord { topic_id, partition, replicas: vec![1], isr: vec![1], leader: 1, ..Default::default() }
    }

    fn change(id: u8, partition_epoch: i32) -> PartitionChangeRecord {
        let topic_id = vec![id; 16].into();
        PartitionChangeRecord { topic_id, partition_epoch, isr: Some(BrokerIds::default()), ..Default::default() }
    }

    #[test]
    fn a_record_of_a_later_version_is_never_skipped() {
        // Field 99, length-delimited, empty: a kind of record that does not exist yet.
        let record = MetadataRecord::decode(&[0x9a, 0x06, 0x00][..]).expect("protobuf skips unknown fields");
        let mut image = ClusterImage::default();
        assert_eq!(image.replay(&record, 1), Err(ReplayError::UnknownRecord));
        assert_eq!(image, ClusterImage::default());
    }

    #[test]
    fn values_of_a_later_version_stop_the_node_too() {
        let mut image = ClusterImage::default();
        image.replay_all(&[topic("a", 1)]).expect("fits");
        let future = PartitionRecord { leader_recovery_state: 7, ..partition(1, 0) };
        let field = "leader_recovery_state";
        assert_eq!(image.replay(&future.into(), 2), Err(ReplayError::UnknownValue { field, value: 7 }));
        let future = ConfigRecord { resource_type: 99, ..Default::default() };
        let field = "resource_type";
        assert_eq!(image.replay(&future.into(), 2), Err(ReplayError::UnknownValue { field, value: 99 }));
    }

    #[test]
    fn records_follow_each_other_without_a_gap() {
        let mut image = ClusterImage::default();
        assert_eq!(image.replay(&topic("a", 1), 2), Err(ReplayError::Gap { applied: 0, found: 2 }));
        assert_eq!(image.replay(&topic("a", 1), 1), Ok(()));
        assert_eq!(image.replay(&topic("b", 2), 1), Err(ReplayError::Gap { applied: 1, found: 1 }));
    }

    #[test]
    fn a_record_that_does_not_fit_changes_nothing() {
        let mut image = ClusterImage::default();
        image.replay_all(&[topic("a", 1), partition(1, 0).into()]).expect("fits");
        let registration = BrokerRegistrationChangeRecord { broker_id: 1, ..Default::default() };
        let unfit: Vec<MetadataRecord> = vec![
            topic("a", 2),
            topic("b", 1),
            TopicRecord { name: "b".to_owned(), topic_id: vec![1; 15].into() }.into(),
            partition(1, 0).into(),
            partition(1, 2).into(),
            partition(2, 0).into(),
            change(1, 0).into(),
            change(1, 2).into(),
            PartitionChangeRecord { leader_epoch: Some(-1), ..change(1, 1) }.into(),
            PartitionChangeRecord { partition: 1, ..change(1, 1) }.into(),
            RemoveTopicRecord { topic_id: vec![9; 16].into() }.into(),
            registration.into(),
            UnregisterBrokerRecord { broker_id: 1, broker_epoch: 1 }.into(),
            SetTopicAsideRecord { topic_id: vec![9; 16].into(), ..Default::default() }.into(),
            RestoreTopicRecord { topic_id: vec![1; 16].into() }.into(),
        ];
        let before = image.clone();
        for record in unfit {
            assert!(image.replay(&record, 3).is_err(), "{record:?}");
            assert_eq!(image, before, "{record:?}");
        }
        assert_eq!(image.replay(&change(1, 1).into(), 3), Ok(()));
        assert_eq!(before.leaderless_partitions().count(), 0, "older versions of the image stay as they were");
    }
}
