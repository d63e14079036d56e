//! Brokers and partitions as the clients of one listener see them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::metadata::{BrokerImage, ClusterImage, PartitionImage};
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::rpc::metadata::Endpoint;

/// The cluster, seen from one listener.
pub struct ClusterView {
    /// The metadata.
    pub image: Arc<ClusterImage>,
    listener: Arc<str>,
    /// Leaders that seem to be dead.
    suspected: BTreeSet<BrokerId>,
}

/// The state of a partition, as Metadata and DescribeTopicPartitions tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionView {
    /// LEADER_NOT_AVAILABLE or LISTENER_NOT_FOUND while no client can reach a leader.
    pub error_code: ErrorCode,
    /// −1 for none.
    pub leader_id: i32,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The assigned replicas.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
    /// Those that may lead although they are not in sync (KIP-966).
    pub eligible_leader_replicas: Vec<i32>,
    /// Those whose broker is fenced, has no such listener, or has lost the use of its replica.
    pub offline: Vec<i32>,
}

impl ClusterView {
    /// As seen by clients of `listener`.
    pub fn new(image: Arc<ClusterImage>, listener: Arc<str>) -> Self {
        Self { image, listener, suspected: BTreeSet::new() }
    }

    /// The same without leaders that seem to be dead: their partitions have none for the time being.
    pub fn doubting(self, suspected: BTreeSet<BrokerId>) -> Self {
        Self { suspected, ..self }
    }

    /// The brokers that have this listener, with its address; fenced ones only when asked for.
    pub fn brokers(&self, include_fenced: bool) -> impl Iterator<Item = (&BrokerImage, &Endpoint)> {
        self.image
            .brokers()
            .filter(move |broker| include_fenced || !broker.fenced)
            .filter_map(|broker| Some((&**broker, broker.endpoint(&self.listener)?)))
    }

    fn is_reachable(&self, id: BrokerId) -> bool {
        self.image.broker(id).is_some_and(|broker| !broker.fenced && broker.endpoint(&self.listener).is_some())
    }

    fn is_offline(&self, id: BrokerId, replica: (TopicId, i32)) -> bool {
        !self.is_reachable(id) || self.image.broker(id).is_some_and(|broker| broker.offline_replicas.contains(&replica))
    }

    /// A partition's state.
    pub fn partition(&self, topic_id: TopicId, index: i32, partition: &PartitionImage) -> PartitionView {
        let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        let leader = partition.leader().filter(|leader| !self.suspected.contains(leader));
        PartitionView {
            error_code: match leader {
                Some(leader) if self.is_reachable(leader) => ErrorCode::None,
                Some(_) => ErrorCode::ListenerNotFound,
                None => ErrorCode::LeaderNotAvailable,
            },
            leader_id: leader.unwrap_or(BrokerId::NONE).0,
            leader_epoch: partition.leader_epoch.0,
            replicas: ids(&partition.replicas),
            isr: ids(&partition.isr),
            eligible_leader_replicas: ids(&partition.elr),
            offline: ids(&partition
                .replicas
                .iter()
                .copied()
                .filter(|&id| self.is_offline(id, (topic_id, index)))
                .collect::<Vec<_>>()),
        }
    }
}

/// The port of an endpoint, as the wire has it.
pub fn port(endpoint: &Endpoint) -> i32 {
    i32::try_from(endpoint.port).unwrap_or_default()
}

/// A small cluster for tests of what answers are made of.
#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::metadata::uuid_bytes;
    use crate::model::Uuid;
    use crate::rpc::metadata::{MetadataRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord};

    /// Brokers 1 and 2, the second one fenced, and topics with so many partitions each, all of them on both brokers.
    /// Partition 1 of a topic is led by the fenced broker, partition 2 by nobody.
    pub fn view(topics: &[(&str, i32)]) -> ClusterView {
        let mut records: Vec<MetadataRecord> = Vec::new();
        for broker_id in 1..=2 {
            let endpoint = Endpoint {
                name: "PLAINTEXT".to_owned(),
                host: format!("host-{broker_id}"),
                port: 9092,
                security_protocol: 0,
            };
            records.push(
                RegisterBrokerRecord {
                    broker_id,
                    broker_epoch: broker_id.into(),
                    incarnation_id: uuid_bytes(Uuid([9; 16])),
                    endpoints: vec![endpoint],
                    fenced: broker_id == 2,
                    ..RegisterBrokerRecord::default()
                }
                .into(),
            );
        }
        for (number, (name, partitions)) in (1..).zip(topics) {
            let topic_id = uuid_bytes(Uuid([number; 16]));
            records.push(TopicRecord { name: (*name).to_owned(), topic_id: topic_id.clone() }.into());
            for partition in 0..*partitions {
                let leader = [1, 2, -1].into_iter().nth(partition as usize).unwrap_or(1);
                let record = PartitionRecord {
                    topic_id: topic_id.clone(),
                    partition,
                    replicas: vec![1, 2],
                    isr: vec![1],
                    elr: vec![2],
                    leader,
                    leader_epoch: 7,
                    ..PartitionRecord::default()
                };
                records.push(record.into());
            }
        }
        let mut image = ClusterImage::default();
        image.replay_all(&records).unwrap();
        ClusterView::new(Arc::new(image), "PLAINTEXT".into())
    }

    #[test]
    fn clients_see_what_they_can_reach() {
        let view = view(&[("t", 3)]);
        let ids = |fenced| view.brokers(fenced).map(|(broker, _)| broker.id.0).collect::<Vec<_>>();
        assert_eq!((ids(false), ids(true)), (vec![1], vec![1, 2]));
        let topic = view.image.topic_by_name("t").unwrap();
        let partitions: Vec<_> =
            topic.partitions().map(|(index, partition)| view.partition(topic.id, index, partition)).collect();
        let errors: Vec<_> = partitions.iter().map(|partition| partition.error_code).collect();
        assert_eq!(errors, [ErrorCode::None, ErrorCode::ListenerNotFound, ErrorCode::LeaderNotAvailable]);
        let first = PartitionView {
            error_code: ErrorCode::None,
            leader_id: 1,
            leader_epoch: 7,
            replicas: vec![1, 2],
            isr: vec![1],
            eligible_leader_replicas: vec![2],
            offline: vec![2],
        };
        assert_eq!(partitions[0], first);
        let doubting = ClusterView::new(Arc::clone(&view.image), "PLAINTEXT".into()).doubting([BrokerId(1)].into());
        let doubted = doubting.partition(topic.id, 0, topic.partition(0).unwrap());
        let leaderless = PartitionView { error_code: ErrorCode::LeaderNotAvailable, leader_id: -1, ..first };
        assert_eq!(doubted, leaderless);
        let other = ClusterView::new(Arc::clone(&view.image), "OTHER".into());
        assert_eq!(other.brokers(true).count(), 0);
    }
}
