//! What the cluster knows about one topic and its partitions.

use std::sync::Arc;

use super::record::uuid_bytes;
use super::replay_error::ReplayError;
use crate::model::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId};
use crate::rpc::metadata::{LeaderRecoveryState, PartitionRecord};

/// A topic. Its partitions are shared with other versions of the image until they change.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicImage {
    /// Its identity; a topic deleted and created anew has another.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    pub(super) partitions: Vec<Arc<PartitionImage>>,
}

impl TopicImage {
    /// How many partitions the topic has.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The partition with this index.
    pub fn partition(&self, partition: i32) -> Option<&Arc<PartitionImage>> {
        usize::try_from(partition).ok().and_then(|at| self.partitions.get(at))
    }

    /// All partitions with their index, in order.
    pub fn partitions(&self) -> impl Iterator<Item = (i32, &Arc<PartitionImage>)> {
        (0..).zip(&self.partitions)
    }

    /// How many replicas the topic's partitions have.
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.target_replicas().count())
    }
}

/// The state of one partition. Lists of brokers are in the order of `replicas`.
///
/// Always: leader ∈ ISR ⊆ replicas, ELR ⊆ replicas, ISR ∩ ELR = ∅, and every member of the ISR is active.
/// While the partition is reassigned the replicas are those of both assignments, the coming one first (A20).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionImage {
    /// The brokers that hold a copy; the first is the preferred leader.
    pub replicas: Vec<BrokerId>,
    /// The in-sync replicas.
    pub isr: Vec<BrokerId>,
    /// The eligible leader replicas (KIP-966): not in the ISR, but known to hold every committed record.
    pub elr: Vec<BrokerId>,
    /// [`BrokerId::NONE`] when nobody may lead.
    pub leader: BrokerId,
    /// Goes up when a leadership begins or ends.
    pub leader_epoch: LeaderEpoch,
    /// Goes up with each change.
    pub partition_epoch: PartitionEpoch,
    /// RECOVERING after an unclean election, until the leader reports that it is done.
    pub leader_recovery_state: LeaderRecoveryState,
    /// Who led when the ISR became empty; [`BrokerId::NONE`] while it is not.
    pub last_known_leader: BrokerId,
    /// The replicas that a reassignment brings; empty when none is under way.
    pub adding_replicas: Vec<BrokerId>,
    /// The replicas that go when the reassignment is complete.
    pub removing_replicas: Vec<BrokerId>,
}

impl PartitionImage {
    /// The leader, when there is one.
    pub fn leader(&self) -> Option<BrokerId> {
        (self.leader != BrokerId::NONE).then_some(self.leader)
    }

    /// The replica that leads when all is well.
    pub fn preferred_leader(&self) -> Option<BrokerId> {
        self.replicas.first().copied()
    }

    /// True while the partition moves to other brokers.
    pub fn is_reassigned(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The replicas as they will be once the reassignment under way is complete.
    pub fn target_replicas(&self) -> impl Iterator<Item = BrokerId> {
        self.replicas.iter().copied().filter(|replica| !self.removing_replicas.contains(replica))
    }

    /// The replicas as they are again when the reassignment under way is cancelled.
    pub fn original_replicas(&self) -> impl Iterator<Item = BrokerId> {
        self.replicas.iter().copied().filter(|replica| !self.adding_replicas.contains(replica))
    }

    /// What `min.insync.replicas` is measured against: the smaller of both assignments during a reassignment, so
    /// that raising the replication factor refuses no producer while the new replicas catch up.
    pub fn replication_factor(&self) -> usize {
        self.target_replicas().count().min(self.original_replicas().count())
    }

    pub(super) fn from_record(record: &PartitionRecord) -> Result<Self, ReplayError> {
        Ok(Self {
            replicas: broker_ids(&record.replicas),
            isr: broker_ids(&record.isr),
            elr: broker_ids(&record.elr),
            leader: BrokerId(record.leader),
            leader_epoch: LeaderEpoch(record.leader_epoch),
            partition_epoch: PartitionEpoch(record.partition_epoch),
            leader_recovery_state: recovery_state(record.leader_recovery_state)?,
            last_known_leader: BrokerId(record.last_known_leader),
            adding_replicas: broker_ids(&record.adding_replicas),
            removing_replicas: broker_ids(&record.removing_replicas),
        })
    }

    /// The record that makes it as it is.
    pub fn to_record(&self, topic_id: TopicId, partition: i32) -> PartitionRecord {
        PartitionRecord {
            topic_id: uuid_bytes(topic_id.0),
            partition,
            replicas: raw_ids(&self.replicas),
            isr: raw_ids(&self.isr),
            elr: raw_ids(&self.elr),
            leader: self.leader.0,
            leader_epoch: self.leader_epoch.0,
            partition_epoch: self.partition_epoch.0,
            leader_recovery_state: self.leader_recovery_state.into(),
            last_known_leader: self.last_known_leader.0,
            adding_replicas: raw_ids(&self.adding_replicas),
            removing_replicas: raw_ids(&self.removing_replicas),
        }
    }
}

/// The enum's value, or an error for one that a later version added.
pub(super) fn recovery_state(value: i32) -> Result<LeaderRecoveryState, ReplayError> {
    LeaderRecoveryState::try_from(value)
        .map_err(|_| ReplayError::UnknownValue { field: "leader_recovery_state", value: value.into() })
}

pub(super) fn broker_ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

pub(super) fn raw_ids(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}
