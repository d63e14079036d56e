//! Ends transactions in their partitions: here where this broker leads them, by WriteTxnMarkers elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::group_coordinator::GroupCoordinator;
use super::peers::Peers;
use crate::clock;
use crate::model::{BrokerId, CONSUMER_OFFSETS_TOPIC, ErrorCode, TopicPartition};
use crate::partition::{MarkerRequest, PartitionError, Replicas};
use crate::protocol::messages::{
    WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use crate::record::{EndTransactionMarker, TransactionResult};
use crate::transaction::Markers;

/// Writes the end of a transaction into partitions that this broker leads.
pub struct LocalMarkers {
    replicas: Arc<Replicas>,
    groups: Arc<GroupCoordinator>,
    timeout: Duration,
}

impl LocalMarkers {
    /// `timeout` is how long an answer waits for the marker to be committed.
    pub fn new(replicas: Arc<Replicas>, groups: Arc<GroupCoordinator>, timeout: Duration) -> Self {
        Self { replicas, groups, timeout }
    }

    /// Writes the marker into each partition and waits until it is committed; an outcome for each, in order.
    pub async fn write(&self, marker: MarkerRequest, partitions: &[TopicPartition]) -> Vec<ErrorCode> {
        // All are appended before any is waited for.
        let appended: Vec<_> = partitions.iter().map(|partition| self.append(marker, partition)).collect();
        let mut outcomes = Vec::with_capacity(appended.len());
        for (appended, partition) in appended.into_iter().zip(partitions) {
            outcomes.push(match appended {
                Ok(appended) => appended.committed(self.timeout).await.err().unwrap_or(ErrorCode::None),
                Err(error) => error,
            });
            if let Some(error @ (ErrorCode::UnknownServerError | ErrorCode::KafkaStorageError)) = outcomes.last() {
                tracing::error!(%partition, error = error.name(), "cannot write the end of a transaction");
            }
        }
        outcomes
    }

    fn append(&self, marker: MarkerRequest, partition: &TopicPartition) -> Result<Committing, ErrorCode> {
        if *partition.topic == *CONSUMER_OFFSETS_TOPIC {
            return self.groups.end_transaction(partition.partition, marker).map(Committing::Offsets);
        }
        let append = || {
            let replica = self.replicas.find(&partition.topic, partition.partition)?;
            let appended = replica.append_marker(marker, clock::wall())?;
            Ok((replica, appended))
        };
        match append() {
            Ok((replica, appended)) => Ok(Committing::Records(replica, appended)),
            Err(error) => Err(PartitionError::error_code(&error)),
        }
    }
}

/// A marker that was appended.
enum Committing {
    Records(Arc<crate::partition::Replica>, crate::partition::Appended),
    Offsets(super::host::Written),
}

impl Committing {
    async fn committed(self, timeout: Duration) -> Result<(), ErrorCode> {
        let committed = match self {
            Self::Offsets(written) => written.committed(timeout).await,
            Self::Records(_, appended) if appended.committed => Ok(()),
            Self::Records(replica, appended) => {
                let committed = replica.committed(appended.next_offset, appended.leader_epoch);
                tokio::time::timeout(timeout, committed).await.unwrap_or(Err(PartitionError::TimedOut))
            }
        };
        committed.map_err(|error| error.error_code())
    }
}

/// Writes the end of a transaction into partitions wherever they are led.
pub(super) struct MarkerWriter {
    broker_id: BrokerId,
    replicas: Arc<Replicas>,
    here: Arc<LocalMarkers>,
    peers: Peers,
}

impl MarkerWriter {
    pub fn new(broker_id: BrokerId, replicas: Arc<Replicas>, here: Arc<LocalMarkers>, peers: Peers) -> Self {
        Self { broker_id, replicas, here, peers }
    }

    /// Writes the markers as far as it can now; the partitions that need none any more.
    pub async fn write(&self, markers: &Markers, coordinator_epoch: i32) -> Vec<TopicPartition> {
        let mut done = Vec::new();
        for (leader, partitions) in self.by_leader(markers, &mut done) {
            let outcomes = if leader == self.broker_id {
                self.here.write(request(markers, coordinator_epoch), &partitions).await
            } else {
                self.write_elsewhere(leader, markers, coordinator_epoch, &partitions).await
            };
            let ended = partitions.into_iter().zip(outcomes).filter(|(_, error)| is_final(*error));
            done.extend(ended.map(|(partition, _)| partition));
        }
        done
    }

    /// Partitions by the broker that leads them. Those of topics that exist no more are done.
    fn by_leader(&self, markers: &Markers, done: &mut Vec<TopicPartition>) -> BTreeMap<BrokerId, Vec<TopicPartition>> {
        let image = self.replicas.image();
        let mut by_leader: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for partition in &markers.partitions {
            let Some(topic) = image.topic_by_name(&partition.topic) else {
                done.push(partition.clone());
                continue;
            };
            if let Some(leader) = topic.partition(partition.partition).and_then(|partition| partition.leader()) {
                by_leader.entry(leader).or_default().push(partition.clone());
            }
        }
        by_leader
    }

    async fn write_elsewhere(
        &self,
        leader: BrokerId,
        markers: &Markers,
        coordinator_epoch: i32,
        partitions: &[TopicPartition],
    ) -> Vec<ErrorCode> {
        let request = WriteTxnMarkersRequest { markers: vec![to_wire(markers, coordinator_epoch, partitions)] };
        match self.peers.send(leader, &request).await {
            Ok(response) => partitions.iter().map(|partition| outcome(&response, partition)).collect(),
            Err(error) => {
                tracing::debug!("cannot write the end of a transaction: {error}; trying again");
                vec![ErrorCode::NetworkException; partitions.len()]
            }
        }
    }
}

fn request(markers: &Markers, coordinator_epoch: i32) -> MarkerRequest {
    MarkerRequest {
        producer_id: markers.producer.id,
        producer_epoch: markers.producer.epoch,
        marker: EndTransactionMarker { result: markers.result, coordinator_epoch },
        transaction_version: markers.version.level(),
        leader_epoch: None,
    }
}

fn to_wire(markers: &Markers, coordinator_epoch: i32, partitions: &[TopicPartition]) -> WritableTxnMarker {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topic =
        |(name, partition_indexes): (&str, _)| WritableTxnMarkerTopic { name: name.to_owned(), partition_indexes };
    WritableTxnMarker {
        producer_id: markers.producer.id.0,
        producer_epoch: markers.producer.epoch.0,
        transaction_result: markers.result == TransactionResult::Commit,
        topics: topics.into_iter().map(topic).collect(),
        coordinator_epoch,
        transaction_version: markers.version.level(),
    }
}

fn outcome(response: &WriteTxnMarkersResponse, partition: &TopicPartition) -> ErrorCode {
    let topics = response.markers.iter().flat_map(|marker| &marker.topics);
    let mut partitions = topics.filter(|topic| *topic.name == *partition.topic).flat_map(|topic| &topic.partitions);
    let found = partitions.find(|found| found.partition_index == partition.partition);
    found.map_or(ErrorCode::UnknownServerError, |found| found.error_code)
}

/// True when the partition needs no marker of this transaction any more. A newer epoch of the producer has its
/// transaction behind it; a newer coordinator sees to the rest.
fn is_final(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::None | ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced)
}
