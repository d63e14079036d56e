//! AlterPartitionReassignments: partitions move to other brokers, or a move is cancelled (KIP-455).
//!
//! ```text
//!   replicas 1,2 ── to 3,4 ──▶ 3,4,1,2 adding 3,4 removing 1,2 ── 3,4 in sync ──▶ 3,4
//!                                        │
//!                                        └─ cancelled ──▶ 1,2
//! ```
//!
//! A reassignment asked for while another is under way replaces it, as if that had been cancelled first. What
//! goes at once thereby must not take the last complete replica with it: such a request is refused (A20).
//! The move ends in [`PartitionChange`], with the leader's proposal that makes the last new replica in sync.

use std::collections::BTreeMap;

use super::draft::{Draft, Refusal};
use super::feature_control::check_reassignments;
use super::partition_change::PartitionChange;
use super::topic_control::check_assignment;
use super::topic_image::{PartitionImage, TopicImage, broker_ids, raw_ids};
use crate::model::{BrokerId, ErrorCode};
use crate::rpc::metadata::{
    AlterPartitionReassignments, AlterPartitionReassignmentsReply, ReassignablePartition, ReassignmentResult,
    metadata_reply::Kind as Reply,
};

/// Begins and cancels reassignments, each partition by itself.
pub(super) fn reassign(draft: &mut Draft<'_>, command: &AlterPartitionReassignments) -> Reply {
    let mut counts: BTreeMap<(&str, i32), usize> = BTreeMap::new();
    command.partitions.iter().for_each(|asked| *counts.entry((&asked.topic, asked.partition)).or_default() += 1);
    let partitions = command.partitions.iter().map(|asked| {
        let refusal = match counts.get(&(asked.topic.as_str(), asked.partition)) {
            Some(1) => reassign_one(draft, asked, command.allow_replication_factor_change).err(),
            _ => Some(Refusal::new(ErrorCode::InvalidRequest, "the request names the partition twice")),
        };
        ReassignmentResult {
            topic: asked.topic.clone(),
            partition: asked.partition,
            error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code().into(),
            error_message: refusal.map(|refusal| refusal.message).unwrap_or_default(),
        }
    });
    Reply::AlterPartitionReassignments(AlterPartitionReassignmentsReply { partitions: partitions.collect() })
}

fn reassign_one(
    draft: &mut Draft<'_>,
    asked: &ReassignablePartition,
    allow_replication_factor_change: bool,
) -> Result<(), Refusal> {
    check_reassignments(draft.image())?;
    let topic = draft.existing_topic(&asked.topic)?;
    let Some(partition) = topic.partition(asked.partition) else {
        let message = format!("{}-{} does not exist", asked.topic, asked.partition);
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, message));
    };
    let target = match &asked.replicas {
        Some(replicas) => {
            let target = broker_ids(&replicas.ids);
            check_target(draft, partition, &target, allow_replication_factor_change)?;
            target
        }
        None if partition.is_reassigned() => partition.original_replicas().collect(),
        None => {
            let message = format!("{}-{} is not being reassigned", asked.topic, asked.partition);
            return Err(Refusal::new(ErrorCode::NoReassignmentInProgress, message));
        }
    };
    check_given_up(draft, &topic, partition, &target)?;
    PartitionChange::of(draft, &topic, asked.partition, partition).reassigned_to(&target).decide();
    Ok(())
}

fn check_target(
    draft: &Draft<'_>,
    partition: &PartitionImage,
    target: &[BrokerId],
    allow_replication_factor_change: bool,
) -> Result<(), Refusal> {
    check_assignment(draft.image(), target, target.len())?;
    let current = partition.target_replicas().count();
    if !allow_replication_factor_change && target.len() != current {
        let message = format!("the partition has {current} replicas, and {:?} would change that", raw_ids(target));
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    }
    Ok(())
}

/// Refuses when replicas that go at once are the only ones that may lead.
fn check_given_up(
    draft: &Draft<'_>,
    topic: &TopicImage,
    partition: &PartitionImage,
    target: &[BrokerId],
) -> Result<(), Refusal> {
    let remains = |replica: &BrokerId| target.contains(replica) || !partition.adding_replicas.contains(replica);
    let is_active = |replica: &BrokerId| draft.image().is_active(*replica);
    let mut complete = partition.isr.iter().chain(&partition.elr).filter(|replica| remains(replica));
    let has_successor = match partition.leader() {
        Some(_) => complete.any(is_active),
        None => complete.next().is_some() || remains(&partition.last_known_leader),
    };
    let mut remaining = partition.replicas.iter().filter(|replica| remains(replica));
    if has_successor
        || mutant!("giving-up-takes-the-last-replica")
        || draft.unclean_leader_election_enabled(topic) && remaining.any(is_active)
    {
        return Ok(());
    }
    let message = format!(
        "giving up the reassignment would remove the last replicas that hold every record, {:?}; let it finish, or \
         wait until one of {:?} is in sync",
        raw_ids(&partition.isr),
        raw_ids(&partition.original_replicas().collect::<Vec<_>>())
    );
    Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message))
}
