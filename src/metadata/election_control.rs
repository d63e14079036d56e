//! ElectLeaders: an operator, or the balancer, asks for other leaders.
//!
//! A preferred election never elects a replica that is not in sync (A21); an unclean one is the operator's
//! word that records may be lost rather than the partition stay without a leader (A18).

use super::draft::{Draft, Refusal};
use super::partition_change::{Election, PartitionChange};
use crate::model::ErrorCode;
use crate::rpc::metadata::{
    ElectLeaders, ElectLeadersReply, ElectionResult, NamedPartition, elect_leaders::Kind, metadata_reply::Kind as Reply,
};

/// Holds the elections asked for. When all partitions are meant, those that need none are not mentioned.
pub(super) fn elect_leaders(draft: &mut Draft<'_>, command: &ElectLeaders) -> Result<Reply, Refusal> {
    let kind = Kind::try_from(command.kind)
        .map_err(|_| Refusal::new(ErrorCode::InvalidRequest, format!("there is no election type {}", command.kind)))?;
    let partitions = match &command.partitions {
        Some(named) => named.partitions.iter().map(|named| elect(draft, named, kind)).collect(),
        None => elect_everywhere(draft, kind),
    };
    Ok(Reply::ElectLeaders(ElectLeadersReply { partitions }))
}

fn elect_everywhere(draft: &mut Draft<'_>, kind: Kind) -> Vec<ElectionResult> {
    let all = draft.image().clone();
    let partitions = all.topics().flat_map(|topic| {
        topic.partitions().map(|(partition, _)| NamedPartition { topic: topic.name.to_string(), partition })
    });
    let needed = |result: &ElectionResult| result.error_code != i32::from(ErrorCode::ElectionNotNeeded.code());
    partitions.map(|named| elect(draft, &named, kind)).filter(needed).collect()
}

fn elect(draft: &mut Draft<'_>, named: &NamedPartition, kind: Kind) -> ElectionResult {
    let refusal = try_elect(draft, named, kind).err();
    ElectionResult {
        topic: named.topic.clone(),
        partition: named.partition,
        error_code: refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code).code().into(),
        error_message: refusal.map(|refusal| refusal.message).unwrap_or_default(),
    }
}

fn try_elect(draft: &mut Draft<'_>, named: &NamedPartition, kind: Kind) -> Result<(), Refusal> {
    let refuse = |code, why: &str| Err(Refusal::new(code, format!("{}-{} {why}", named.topic, named.partition)));
    let topic = draft.existing_topic(&named.topic)?;
    let Some(partition) = topic.partition(named.partition) else {
        return refuse(ErrorCode::UnknownTopicOrPartition, "does not exist");
    };
    let election = match kind {
        Kind::Preferred if partition.leader() == partition.preferred_leader() => {
            return refuse(ErrorCode::ElectionNotNeeded, "is led by its preferred replica already");
        }
        Kind::Unclean if partition.leader().is_some() => {
            return refuse(ErrorCode::ElectionNotNeeded, "has a leader");
        }
        Kind::Preferred => Election::Preferred,
        Kind::Unclean => Election::Unclean,
    };
    PartitionChange::of(draft, &topic, named.partition, partition).elect(election).decide();
    let leader = draft.image().partition(topic.id, named.partition).and_then(|partition| partition.leader());
    match kind {
        Kind::Preferred if leader != partition.preferred_leader() => {
            refuse(ErrorCode::PreferredLeaderNotAvailable, "has a preferred replica that is not in sync")
        }
        Kind::Unclean if leader.is_none() => {
            refuse(ErrorCode::EligibleLeadersNotAvailable, "has no replica that is alive")
        }
        _ => Ok(()),
    }
}
