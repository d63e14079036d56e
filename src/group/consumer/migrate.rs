//! A group changes its protocol while its members live.
//!
//! - Up: the first member of the consumer protocol comes to a classic group of consumers. Its members stay, each
//!   with what the leader gave it last; they take part as classic members, and join again when they are told to.
//! - Down: the last member of the consumer protocol goes, and classic members are left. They rebalance by
//!   themselves from then on.

use std::sync::Arc;

use super::{Circumstances, ConsumerGroup, Draft, Refusal, by_id};
use crate::group::consumer_protocol::{assignment, subscription};
use crate::group::{
    AssignedPartitions, CONSUMER_PROTOCOL_TYPE, ClassicGroup, ClassicSubscription, ConsumerRecord, CurrentAssignment,
    Effect, GroupEpoch, MemberMetadata, MemberState, Partitions, Protocol, Subscription, TargetEpoch,
};
use crate::model::{ErrorCode, Wall};

impl<'a> Draft<'a> {
    /// What becomes of a classic group with members, before the one who comes is let in.
    pub(in crate::group) fn upgrade(classic: &ClassicGroup, around: &'a Circumstances<'a>) -> Result<Self, Refusal> {
        check_upgrade(classic, around)?;
        let empty = ConsumerGroup { next_append: classic.next_append(), ..ConsumerGroup::default() };
        let mut draft = Self::of(&empty, around);
        let generation = classic.generation();
        let mut given = Partitions::new();
        let mut owners = Vec::new();
        for member in classic.members().iter() {
            let (subscription, mut owned) = read_member(classic, member, around)?;
            // Two owners would be the former leader's mistake; the first one keeps it.
            owned.retain(|partition| given.insert(*partition));
            let member_id: Arc<str> = member.member_id.as_str().into();
            let value = Some(Arc::new(subscription));
            draft.emit(ConsumerRecord::Subscription { member_id: member_id.clone(), value });
            owners.push((member_id, owned));
        }
        draft.emit(ConsumerRecord::Epoch(Some(GroupEpoch { epoch: generation, metadata_hash: 0 })));
        for (member_id, owned) in &owners {
            let value = Some(Arc::new(owned.clone()));
            draft.emit(ConsumerRecord::Target { member_id: member_id.clone(), value });
        }
        let made_at = Wall::default();
        draft.emit(ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch: generation, made_at })));
        for (member_id, owned) in owners {
            let current = CurrentAssignment {
                epoch: generation,
                previous_epoch: generation,
                state: MemberState::Stable,
                assigned: owned.into_iter().map(|partition| (partition, generation)).collect(),
                revoking: AssignedPartitions::new(),
            };
            draft.emit(ConsumerRecord::Current { member_id: member_id.clone(), value: Some(Arc::new(current)) });
            draft.group.restart_session(&member_id, around);
        }
        Ok(draft)
    }

    /// The classic group that is left when nobody speaks the consumer protocol any more, and what follows at once.
    pub(in crate::group) fn downgrade(&self) -> Option<(ClassicGroup, Vec<Effect>)> {
        let group = &self.group;
        let config = self.around.config;
        let all_classic = !group.is_empty() && group.members.values().all(super::ConsumerMember::is_classic);
        if !all_classic || !config.consumer.migration.downgrade || group.len() > config.size_max {
            return None;
        }
        let members = group.members.iter().map(|(member_id, member)| {
            let Subscription { instance_id, client_id, client_host, .. } = (*member.subscription).clone();
            let classic = member.subscription.classic.clone()?;
            let record = MemberMetadata {
                member_id: member_id.to_string(),
                group_instance_id: instance_id,
                client_id,
                client_host,
                rebalance_timeout_ms: member.subscription.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                subscription: bytes::Bytes::new(),
                assignment: member.encode_assignment(self.around.topics),
            };
            Some((record, classic.protocols))
        });
        let members: Vec<(MemberMetadata, Vec<Protocol>)> = members.collect::<Option<_>>()?;
        let next_append = group.next_append;
        // The generation is the epoch that the members know, not the one that this departure would have brought: they
        // are told of a rebalance, and may commit before they join it.
        Some(ClassicGroup::downgraded(members, self.epoch_before, next_append, config, self.around.now))
    }
}

impl ConsumerGroup {
    /// A group in the place of a classic one without members.
    pub(in crate::group) fn after(classic: &ClassicGroup) -> Self {
        Self { next_append: classic.next_append(), ..Self::default() }
    }

    /// The classic group in the place of this one, which has no members.
    pub(in crate::group) fn classic_after(&self) -> ClassicGroup {
        ClassicGroup::with_next_append(self.next_append)
    }

    /// True when a member speaks the consumer protocol.
    pub(in crate::group) fn has_consumer_member(&self) -> bool {
        self.members.values().any(|member| !member.is_classic())
    }
}

fn check_upgrade(classic: &ClassicGroup, around: &Circumstances<'_>) -> Result<(), Refusal> {
    let config = &around.config.consumer;
    let obstacle = if !config.migration.upgrade {
        "group.consumer.migration.policy does not allow it"
    } else if classic.protocol_type() != Some(CONSUMER_PROTOCOL_TYPE) {
        "its members are no consumers"
    } else if classic.members().len() > config.size_max {
        "it has more members than group.consumer.max.size"
    } else {
        return Ok(());
    };
    let message = format!("The classic group cannot become a group of the consumer protocol: {obstacle}.");
    Err(Refusal::new(ErrorCode::GroupIdNotFound, message))
}

/// What a classic member wants and owns.
fn read_member(
    classic: &ClassicGroup,
    member: &crate::group::classic::Member,
    around: &Circumstances<'_>,
) -> Result<(Subscription, Partitions), Refusal> {
    let unreadable = |what: &str| {
        let message = format!(
            "The classic group cannot become a group of the consumer protocol: the {what} of member {} cannot be read.",
            member.member_id
        );
        Refusal::new(ErrorCode::GroupIdNotFound, message)
    };
    let protocol = classic.protocol().map(str::to_owned).or_else(|| classic.members().select_protocol());
    let metadata = member.metadata(protocol.as_deref().unwrap_or_default());
    let wanted = subscription(&metadata).ok_or_else(|| unreadable("subscription"))?;
    let owned = assignment(&member.assignment).ok_or_else(|| unreadable("assignment"))?;
    if owned.has_user_data {
        let message =
            "The classic group cannot become a group of the consumer protocol: its assignor is one of its own.";
        return Err(Refusal::new(ErrorCode::GroupIdNotFound, message));
    }
    let subscription = Subscription {
        instance_id: member.group_instance_id.clone(),
        rack_id: wanted.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: wanted.topics,
        regex: None,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicSubscription {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    };
    Ok((subscription, by_id(&owned.partitions, around.topics)))
}
