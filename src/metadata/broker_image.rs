//! What the cluster knows about one registered broker.

use std::sync::Arc;

use imbl::OrdSet;

use super::record::{named_partition, partition_name, uuid_bytes, uuid_from_bytes};
use super::replay_error::ReplayError;
use crate::model::{BrokerEpoch, BrokerId, DirectoryId, StartNumber, TopicId, Uuid};
use crate::rpc::metadata::{Endpoint, RegisterBrokerRecord, SupportedFeature, TopicIdPartition};

/// One life of a broker, from its registration record on.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerImage {
    /// Its `node.id`.
    pub id: BrokerId,
    /// The metadata index of its registration record.
    pub epoch: BrokerEpoch,
    /// Drawn by the broker at its start.
    pub incarnation_id: Uuid,
    /// The identities of its data directories.
    pub directory_ids: Vec<DirectoryId>,
    /// One per listener.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// The levels of each feature that it can run at.
    pub features: Vec<SupportedFeature>,
    /// A fenced broker leads nothing and is in no ISR (invariant D8).
    pub fenced: bool,
    /// It wants to stop, and gets no new leadership.
    pub in_controlled_shutdown: bool,
    /// The epoch since which its logs have lost nothing. While a life has never been unfenced this may be an earlier
    /// life's: a broker that ends before it has written down its new epoch comes back with that one.
    pub log_whole_since: BrokerEpoch,
    /// Its replicas that have failed in this life: they lead nothing and are in no ISR.
    pub offline_replicas: OrdSet<(TopicId, i32)>,
    /// The epoch since which its logs have lost nothing, through all lives that continued each other.
    pub logs_intact_since: BrokerEpoch,
    /// Which start on its data directories registered.
    pub start_number: StartNumber,
}

impl BrokerImage {
    /// True when the broker may lead and be in an ISR.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// True when its replica of that partition may lead and be in the ISR.
    pub fn is_active_for(&self, topic_id: TopicId, partition: i32) -> bool {
        self.is_active() && !self.offline_replicas.contains(&(topic_id, partition))
    }

    /// True when a life that continues the logs of `earlier` lacks nothing that this one has. Once unfenced, this one
    /// may have been relied on, so no earlier state of the logs will do.
    pub fn is_continued_by(&self, earlier: BrokerEpoch) -> bool {
        earlier == self.epoch || (earlier == self.log_whole_since && !mutant!("only-the-last-life-vouches"))
    }

    /// The endpoint of the listener with this name.
    pub fn endpoint(&self, listener_name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name.eq_ignore_ascii_case(listener_name))
    }

    pub(super) fn from_record(record: &RegisterBrokerRecord) -> Result<Self, ReplayError> {
        let directory_ids = record
            .directory_ids
            .iter()
            .map(|id| Ok(DirectoryId(uuid_from_bytes(id).ok_or(ReplayError::InvalidId { field: "directory_ids" })?)))
            .collect::<Result<_, ReplayError>>()?;
        Ok(Self {
            id: BrokerId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation_id: uuid_from_bytes(&record.incarnation_id)
                .ok_or(ReplayError::InvalidId { field: "incarnation_id" })?,
            directory_ids,
            endpoints: record.endpoints.clone(),
            rack: record.rack.as_deref().map(Arc::from),
            features: record.features.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_whole_since: BrokerEpoch(record.log_whole_since),
            offline_replicas: replica_names(&record.offline_replicas)?,
            logs_intact_since: BrokerEpoch(record.logs_intact_since.unwrap_or(record.broker_epoch)),
            start_number: StartNumber(record.start_number),
        })
    }

    /// The record that makes it as it is.
    pub fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id.0,
            broker_epoch: self.epoch.0,
            incarnation_id: uuid_bytes(self.incarnation_id),
            directory_ids: self.directory_ids.iter().map(|id| uuid_bytes(id.0)).collect(),
            endpoints: self.endpoints.clone(),
            rack: self.rack.as_deref().map(str::to_owned),
            features: self.features.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_whole_since: self.log_whole_since.0,
            offline_replicas: self.offline_replicas.iter().copied().map(partition_name).collect(),
            logs_intact_since: (self.logs_intact_since != self.epoch).then_some(self.logs_intact_since.0),
            start_number: self.start_number.0,
        }
    }
}

/// Replicas as records name them.
pub(super) fn replica_names(named: &[TopicIdPartition]) -> Result<OrdSet<(TopicId, i32)>, ReplayError> {
    named.iter().map(|name| named_partition(name).ok_or(ReplayError::InvalidId { field: "topic_id" })).collect()
}
