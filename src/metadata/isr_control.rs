//! AlterPartition: a partition's leader proposes its in-sync replicas.
//!
//! A compare-and-set on leader epoch and partition epoch. Of the refusals, only those that say "you are
//! behind" or "not now" may be met by a leader in good order (invariant A10):
//!
//! | the proposal | answer |
//! |---|---|
//! | knows a newer epoch than this controller | NOT_CONTROLLER: somebody else leads the quorum |
//! | has an older leader epoch | FENCED_LEADER_EPOCH |
//! | is not from the leader | INVALID_REQUEST |
//! | has an older partition epoch | INVALID_UPDATE_VERSION |
//! | lacks the leader, or names a broker that is no replica, or one twice | INVALID_REQUEST |
//! | is RECOVERING with more than the leader, or goes back to RECOVERING | INVALID_REQUEST |
//! | names a broker that is not active, whose replica is offline, or an earlier life of it (KIP-903) | INELIGIBLE_REPLICA; the partition epoch moves on |
//! | is accepted, and by completing a reassignment ends the sender's leadership or its epoch | NEW_LEADER_ELECTED |

use std::collections::BTreeSet;

use super::broker_control::check_epoch;
use super::broker_image::BrokerImage;
use super::draft::{Draft, Refusal};
use super::image::ClusterImage;
use super::partition_change::PartitionChange;
use super::record::uuid_from_bytes;
use super::topic_image::{PartitionImage, raw_ids};
use crate::model::{BrokerEpoch, BrokerId, ErrorCode, TopicId};
use crate::rpc::metadata::{
    AlterPartition, AlterPartitionReply, IsrMember, LeaderRecoveryState, PartitionProposal, PartitionProposalResult,
    metadata_reply::Kind as Reply,
};

/// Decides the proposals one by one; the sender itself must be who it says.
pub(super) fn alter_partition(draft: &mut Draft<'_>, command: &AlterPartition) -> Result<Reply, Refusal> {
    let sender = BrokerId(command.broker_id);
    check_epoch(draft.image(), sender, command.broker_epoch)?;
    let partitions = command.partitions.iter().map(|proposal| {
        let decided = propose(draft, sender, proposal);
        result(draft.image(), proposal, decided)
    });
    Ok(Reply::AlterPartition(AlterPartitionReply { partitions: partitions.collect() }))
}

fn propose(draft: &mut Draft<'_>, sender: BrokerId, proposal: &PartitionProposal) -> Result<(), ErrorCode> {
    let topic_id = TopicId(uuid_from_bytes(&proposal.topic_id).ok_or(ErrorCode::UnknownTopicId)?);
    let topic = draft.image().topic(topic_id).cloned().ok_or(ErrorCode::UnknownTopicId)?;
    let partition = topic.partition(proposal.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_epochs(partition, sender, proposal)?;
    let isr: Vec<BrokerId> = proposal.isr.iter().map(|member| BrokerId(member.broker_id)).collect();
    check_members(partition, &isr)?;
    let recovery = check_recovery(partition, proposal)?;
    let eligible = check_eligible(draft.image(), partition, (topic_id, proposal.partition), &proposal.isr);
    let change = PartitionChange::of(draft, &topic, proposal.partition, partition);
    if let Err(refused) = eligible {
        // The leader does not wait for that member any more. A copy of the proposal that it had sent before must not be
        // accepted when the member is eligible again (A8).
        if !mutant!("refused-proposal-may-come-again") {
            change.next_partition_epoch();
        }
        return Err(refused);
    }
    change.proposed(&isr, recovery).decide();
    // What the sender knows of its leadership is over: the metadata tells it the rest.
    match draft.image().partition(topic_id, proposal.partition) {
        Some(now) if now.leader_epoch == partition.leader_epoch => Ok(()),
        _ => Err(ErrorCode::NewLeaderElected),
    }
}

fn check_epochs(partition: &PartitionImage, sender: BrokerId, proposal: &PartitionProposal) -> Result<(), ErrorCode> {
    let (leader_epoch, partition_epoch) = (partition.leader_epoch.0, partition.partition_epoch.0);
    if proposal.leader_epoch > leader_epoch || proposal.partition_epoch > partition_epoch {
        return Err(ErrorCode::NotController);
    }
    if proposal.leader_epoch < leader_epoch {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if partition.leader != sender {
        return Err(ErrorCode::InvalidRequest);
    }
    if proposal.partition_epoch < partition_epoch && !mutant!("partition-epoch-not-compared") {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    Ok(())
}

fn check_members(partition: &PartitionImage, isr: &[BrokerId]) -> Result<(), ErrorCode> {
    let distinct = isr.iter().collect::<BTreeSet<_>>().len() == isr.len();
    let are_replicas = isr.iter().all(|member| partition.replicas.contains(member));
    match distinct && are_replicas && isr.contains(&partition.leader) {
        true => Ok(()),
        false => Err(ErrorCode::InvalidRequest),
    }
}

fn check_recovery(partition: &PartitionImage, proposal: &PartitionProposal) -> Result<LeaderRecoveryState, ErrorCode> {
    let proposed =
        LeaderRecoveryState::try_from(proposal.leader_recovery_state).map_err(|_| ErrorCode::InvalidRequest)?;
    let goes_back = partition.leader_recovery_state == LeaderRecoveryState::Recovered;
    match proposed == LeaderRecoveryState::Recovering && (goes_back || proposal.isr.len() > 1) {
        true => Err(ErrorCode::InvalidRequest),
        false => Ok(proposed),
    }
}

/// The epochs are those the leader saw when the member fetched, not those of now: a member that has begun a
/// new life since may have lost what it had then. A member of the present ISR that has not fetched from this leader
/// yet comes without one: had it lost anything it would have left the ISR, and the partition epoch would be another.
fn check_eligible(
    image: &ClusterImage,
    partition: &PartitionImage,
    (topic_id, index): (TopicId, i32),
    isr: &[IsrMember],
) -> Result<(), ErrorCode> {
    let eligible = |member: &IsrMember| {
        let id = BrokerId(member.broker_id);
        let unseen = member.broker_epoch == -1 && partition.isr.contains(&id);
        let unseen = unseen || mutant!("broker-epoch-not-compared");
        let in_that_life = |epoch: BrokerEpoch| unseen || epoch == BrokerEpoch(member.broker_epoch);
        let active = |broker: &BrokerImage| broker.is_active_for(topic_id, index) || mutant!("inactive-broker-joins");
        image.broker(id).is_some_and(|broker| active(broker) && in_that_life(broker.epoch))
    };
    match isr.iter().all(eligible) {
        true => Ok(()),
        false => Err(ErrorCode::IneligibleReplica),
    }
}

fn result(
    image: &ClusterImage,
    proposal: &PartitionProposal,
    decided: Result<(), ErrorCode>,
) -> PartitionProposalResult {
    let mut result = PartitionProposalResult {
        topic_id: proposal.topic_id.clone(),
        partition: proposal.partition,
        error_code: decided.err().unwrap_or(ErrorCode::None).code().into(),
        ..Default::default()
    };
    let topic_id = uuid_from_bytes(&proposal.topic_id).map(TopicId);
    let partition = topic_id.and_then(|topic_id| image.partition(topic_id, proposal.partition));
    if let (Ok(()), Some(partition)) = (decided, partition) {
        result.leader = partition.leader.0;
        result.leader_epoch = partition.leader_epoch.0;
        result.partition_epoch = partition.partition_epoch.0;
        result.isr = raw_ids(&partition.isr);
        result.leader_recovery_state = partition.leader_recovery_state.into();
    }
    result
}
