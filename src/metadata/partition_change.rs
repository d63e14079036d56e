//! How a partition changes: ISR, ELR, leader and epochs, together and nowhere else.
//!
//! Whatever happens to a partition is first a statement about its in-sync replicas: some broker leaves, the
//! leader proposes others, nothing but the world around has changed. From it follow, in this order:
//!
//! 1. The **replicas**: a reassignment is complete once all that it adds are in sync and those that stay are
//!    enough to commit. Then the others go, and until then none does (A20).
//! 2. The **ELR** (KIP-966): who leaves the ISR while it is smaller than the effective minimum still holds
//!    every committed record, because from then on nothing is committed. An ISR of the minimum size commits
//!    without them, so it empties the ELR (A15). Who lost its unsynced tail is in neither (A12).
//! 3. The **leader**: the present one while it can, else an active member of the ISR, else of the ELR (which
//!    then becomes the ISR), else nobody. A replica that may lack committed records leads only where unclean
//!    election is enabled, or as the last known leader once ISR and ELR are both empty (A18).
//! 4. The **epochs**: the partition epoch counts every change, the leader epoch every change of leader (A10)
//!    and every loss of a replica: what it fetched or acknowledged before must not count if it comes back (A20).
//!    A partition whose topic was deleted and is restored begins anew for the same reason.

use std::sync::Arc;

use super::draft::Draft;
use super::image::ClusterImage;
use super::record::{uuid_bytes, uuid_from_bytes};
use super::topic_image::{PartitionImage, TopicImage, raw_ids};
use crate::model::{BrokerId, TopicId, TopicPartition};
use crate::rpc::metadata::{
    BrokerIds, LeaderRecoveryState, MetadataRecord, PartitionChangeRecord, metadata_record::Kind,
};

/// Which leader is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Election {
    /// The present leader while it can, else another.
    WhenNeeded,
    /// The first of the replicas if it can, else as above.
    Preferred,
    /// As when needed, and rather a replica that may lack committed records than nobody.
    Unclean,
}

/// A change of one partition in the making.
pub(super) struct PartitionChange<'a, 'd> {
    draft: &'a mut Draft<'d>,
    topic: &'a TopicImage,
    partition: i32,
    old: PartitionImage,
    new: PartitionImage,
    lost_tail: Option<BrokerId>,
    election: Election,
    anew: bool,
}

impl<'a, 'd> PartitionChange<'a, 'd> {
    /// Begins a change of the topic's partition, which must exist.
    pub(super) fn of(draft: &'a mut Draft<'d>, topic: &'a TopicImage, partition: i32, old: &PartitionImage) -> Self {
        let unclean = draft.unclean_leader_election_enabled(topic);
        Self {
            election: if unclean { Election::Unclean } else { Election::WhenNeeded },
            draft,
            topic,
            partition,
            old: old.clone(),
            new: old.clone(),
            lost_tail: None,
            anew: false,
        }
    }

    /// The broker leaves the ISR.
    pub(super) fn without(mut self, broker: BrokerId) -> Self {
        self.new.isr.retain(|member| *member != broker);
        self
    }

    /// The broker leaves the ISR and the ELR: its log may end before what it had acknowledged.
    pub(super) fn without_lost_tail(mut self, broker: BrokerId) -> Self {
        self.lost_tail = Some(broker);
        self.without(broker)
    }

    /// The leader's proposal, once it has been found valid.
    pub(super) fn proposed(mut self, isr: &[BrokerId], leader_recovery_state: LeaderRecoveryState) -> Self {
        self.new.isr = in_order_of(&self.old.replicas, |replica| isr.contains(&replica));
        self.new.leader_recovery_state = leader_recovery_state;
        self
    }

    /// The partition shall have the replicas of `target`, those that go included until the new ones are in sync.
    /// A reassignment under way is given up: what it has added and `target` does not want goes at once.
    pub(super) fn reassigned_to(mut self, target: &[BrokerId]) -> Self {
        let original: Vec<_> = self.old.original_replicas().collect();
        self.new.adding_replicas = in_order_of(target, |replica| !original.contains(&replica));
        self.new.removing_replicas = in_order_of(&original, |replica| !target.contains(&replica));
        self.new.replicas = [target, &self.new.removing_replicas].concat();
        self.new.isr = in_order_of(&self.new.replicas, |replica| self.old.isr.contains(&replica));
        self
    }

    /// A leadership begins even where the leader stays the same: what was fetched or proposed before the topic was set
    /// aside must not count.
    pub(super) fn anew(mut self) -> Self {
        self.anew = true;
        self
    }

    /// Asks for a certain kind of election.
    pub(super) fn elect(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    /// Adds a record that changes the partition epoch and nothing else: what was proposed on the present one, and is
    /// still on its way, comes too late from now on.
    pub(super) fn next_partition_epoch(self) {
        self.draft.add(PartitionChangeRecord {
            topic_id: uuid_bytes(self.topic.id.0),
            partition: self.partition,
            partition_epoch: self.old.partition_epoch.next().0,
            ..PartitionChangeRecord::default()
        });
    }

    /// Adds the record of the change, unless nothing changes.
    pub(super) fn decide(mut self) {
        self.complete_reassignment();
        self.settle_elr();
        self.settle_leader();
        self.settle_last_known_leader();
        if let Some(record) = difference(self.topic.id, self.partition, &self.old, &self.new) {
            self.draft.add(record);
        }
    }

    fn complete_reassignment(&mut self) {
        let PartitionImage { isr, adding_replicas, .. } = &self.new;
        let target: Vec<_> = self.new.target_replicas().collect();
        let staying = in_order_of(&target, |replica| isr.contains(&replica));
        let are_added = adding_replicas.iter().all(|replica| isr.contains(replica));
        let are_added = are_added || mutant!("reassigned-before-in-sync");
        let can_commit = staying.len() >= self.draft.effective_min_isr(self.topic, target.len());
        if self.new.is_reassigned() && are_added && can_commit {
            self.new.replicas = target;
            self.new.isr = staying;
            self.new.adding_replicas.clear();
            self.new.removing_replicas.clear();
        }
    }

    fn settle_elr(&mut self) {
        let (old, isr) = (&self.old, &self.new.isr);
        let complete = |replica| old.isr.contains(&replica) || old.elr.contains(&replica);
        let is_whole = |replica| self.lost_tail != Some(replica) || mutant!("elr-keeps-a-lost-tail");
        let eligible =
            |replica| complete(replica) && !isr.contains(&replica) && is_whole(replica) && !mutant!("no-elr");
        self.new.elr = in_order_of(&self.new.replicas, eligible);
        self.empty_elr_of_a_sufficient_isr();
    }

    fn empty_elr_of_a_sufficient_isr(&mut self) {
        let is_sufficient =
            self.new.isr.len() >= self.draft.effective_min_isr(self.topic, self.new.replication_factor());
        if is_sufficient && !mutant!("elr-beside-a-sufficient-isr") {
            self.new.elr.clear();
        }
    }

    fn settle_leader(&mut self) {
        if let Some(leader) = self.clean_leader() {
            self.new.leader = leader;
        } else if let Some(leader) = self.first_active(&self.new.elr) {
            self.lead_alone(leader);
        } else if let Some(leader) = self.unclean_leader() {
            self.new.leader_recovery_state = LeaderRecoveryState::Recovering;
            self.lead_alone(leader);
        } else {
            self.new.leader = BrokerId::NONE;
        }
        let loses_replica = self.old.replicas.iter().any(|replica| !self.new.replicas.contains(replica));
        let begins = self.new.leader != self.old.leader && !mutant!("leader-epoch-not-raised");
        if begins || self.anew || loses_replica && !mutant!("lost-replica-keeps-the-epoch") {
            self.new.leader_epoch = self.old.leader_epoch.next();
        }
    }

    fn clean_leader(&self) -> Option<BrokerId> {
        let can_lead = |broker: &BrokerId| self.new.isr.contains(broker) && self.is_active(*broker);
        let preferred = || self.new.preferred_leader().filter(can_lead);
        let present = || self.new.leader().filter(can_lead);
        match self.election {
            Election::Preferred => preferred().or_else(present),
            Election::WhenNeeded | Election::Unclean => present(),
        }
        .or_else(|| self.first_active(&self.new.isr))
    }

    fn unclean_leader(&self) -> Option<BrokerId> {
        if self.election == Election::Unclean {
            // What a reassignment brings may be empty still: it comes last.
            let original: Vec<_> = self.new.original_replicas().collect();
            return self.first_active(&original).or_else(|| self.first_active(&self.new.adding_replicas));
        }
        let nobody_is_complete = self.new.isr.is_empty() && self.new.elr.is_empty();
        let nobody_is_complete = nobody_is_complete || mutant!("last-known-leader-before-its-time");
        let last_known = self.old.leader().unwrap_or(self.old.last_known_leader);
        (nobody_is_complete && self.is_active(last_known)).then_some(last_known)
    }

    fn first_active(&self, brokers: &[BrokerId]) -> Option<BrokerId> {
        let may_lead = |id| self.is_active(id) || mutant!("inactive-broker-elected");
        brokers.iter().copied().find(|broker| may_lead(*broker))
    }

    fn is_active(&self, broker: BrokerId) -> bool {
        self.draft.image().is_active_for(broker, self.topic.id, self.partition)
    }

    fn lead_alone(&mut self, leader: BrokerId) {
        self.new.leader = leader;
        self.new.isr = vec![leader];
        self.new.elr.retain(|member| *member != leader);
        self.empty_elr_of_a_sufficient_isr();
    }

    fn settle_last_known_leader(&mut self) {
        let last_known = self.old.leader().unwrap_or(self.old.last_known_leader);
        self.new.last_known_leader = match self.new.isr.is_empty() {
            true if self.new.replicas.contains(&last_known) => last_known,
            // It went with a reassignment that was given up; an eligible replica holds as much as it did.
            true => self.new.elr.first().copied().unwrap_or(BrokerId::NONE),
            false => BrokerId::NONE,
        };
    }
}

/// The partitions that `records` let a replica lead that may lack acknowledged records (A18), with their new leader;
/// `image` is the one after them.
pub fn unclean_elections(image: &ClusterImage, records: &[MetadataRecord]) -> Vec<(TopicPartition, BrokerId)> {
    let elected = records.iter().filter_map(|record| match &record.kind {
        Some(Kind::PartitionChange(change)) => {
            let unclean = change.leader_recovery_state == Some(LeaderRecoveryState::Recovering.into());
            let topic = image.topic(TopicId(uuid_from_bytes(&change.topic_id)?))?;
            let name = TopicPartition::new(Arc::clone(&topic.name), change.partition);
            change.leader.filter(|_| unclean).map(|leader| (name, BrokerId(leader)))
        }
        _ => None,
    });
    elected.collect()
}

fn in_order_of(replicas: &[BrokerId], wanted: impl Fn(BrokerId) -> bool) -> Vec<BrokerId> {
    replicas.iter().copied().filter(|replica| wanted(*replica)).collect()
}

/// The record that leads from `old` to `new`, with the next partition epoch; `None` when they are equal.
fn difference(
    topic_id: TopicId,
    partition: i32,
    old: &PartitionImage,
    new: &PartitionImage,
) -> Option<PartitionChangeRecord> {
    let ids = |old: &[BrokerId], new: &[BrokerId]| (old != new).then(|| BrokerIds { ids: raw_ids(new) });
    (old != new).then(|| PartitionChangeRecord {
        topic_id: uuid_bytes(topic_id.0),
        partition,
        partition_epoch: old.partition_epoch.next().0,
        leader_epoch: (old.leader_epoch != new.leader_epoch).then_some(new.leader_epoch.0),
        leader: (old.leader != new.leader).then_some(new.leader.0),
        isr: ids(&old.isr, &new.isr),
        elr: ids(&old.elr, &new.elr),
        leader_recovery_state: (old.leader_recovery_state != new.leader_recovery_state)
            .then(|| new.leader_recovery_state.into()),
        replicas: ids(&old.replicas, &new.replicas),
        adding_replicas: ids(&old.adding_replicas, &new.adding_replicas),
        removing_replicas: ids(&old.removing_replicas, &new.removing_replicas),
        last_known_leader: (old.last_known_leader != new.last_known_leader).then_some(new.last_known_leader.0),
    })
}
