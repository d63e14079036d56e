//! Members that speak the classic protocol in a group of the consumer protocol.
//!
//! To such a member the coordinator is the leader: JoinGroup brings its subscription and what it still owns, and is
//! answered at once with the member's epoch as the generation; SyncGroup fetches the assignment; a Heartbeat is
//! answered REBALANCE_IN_PROGRESS whenever the member has to join again for its next step.

use std::sync::Arc;

use super::{ConsumerGroup, ConsumerMember, Draft, Refusal, Topics, by_id};
use crate::group::consumer_protocol::{ConsumerSubscription, NamedPartitions, encode_assignment, subscription};
use crate::group::{
    CONSUMER_PROTOCOL_TYPE, ClassicSubscription, Heartbeat, JoinGroup, JoinReply, LeaveGroup, LeaveReply,
    LeaveReplyMember, LeavingMember, MemberState, Protocol, Subscription, SyncGroup, SyncReply,
};
use crate::model::ErrorCode;

impl Draft<'_> {
    /// JoinGroup.
    pub(in crate::group) fn join(&mut self, request: &JoinGroup) -> Result<JoinReply, Refusal> {
        let config = self.around.config;
        if !(config.session_timeout_ms_min..=config.session_timeout_ms_max).contains(&request.session_timeout_ms) {
            return Err(Refusal::new(ErrorCode::InvalidSessionTimeout, "the session time-out is out of bounds"));
        }
        let is_unknown = request.member_id.is_empty();
        let member_id = if is_unknown { request.new_member_id() } else { request.member_id.clone() };
        self.check_room(&member_id)?;
        self.check_protocols(request)?;
        if is_unknown && request.requires_known_member_id && request.group_instance_id.is_none() {
            return Ok(JoinReply::refused(ErrorCode::MemberIdRequired, member_id));
        }
        let Some((protocol, wanted)) = read_subscription(request) else {
            let message = format!("{member_id}'s first protocol is no subscription of a consumer.");
            return Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, message));
        };
        let member_id: Arc<str> = match &request.group_instance_id {
            None => member_id.into(),
            Some(instance) if is_unknown => self.admit_static(member_id.into(), instance, false)?,
            Some(instance) => self.find_static(&member_id, instance)?,
        };
        let owned = by_id(&wanted.owned, self.around.topics);
        let changed = self.subscribe(&member_id, classic_subscription(request, wanted));
        self.follow_subscriptions(changed);
        self.assign();
        self.reconcile(&member_id, Some(&owned));
        self.after_join(&member_id, request);
        let generation = self.find(&member_id)?.current.epoch;
        Ok(JoinReply {
            error: ErrorCode::None,
            generation,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
            protocol: Some(protocol),
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_string(),
            members: Vec::new(),
        })
    }

    fn check_protocols(&self, request: &JoinGroup) -> Result<(), Refusal> {
        let fits = request.protocol_type == CONSUMER_PROTOCOL_TYPE
            && request.protocols.iter().any(|protocol| self.group.all_classic_members_know(&protocol.name));
        if fits {
            return Ok(());
        }
        let message = format!("Member {}'s protocols are not supported.", request.member_id);
        Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, message))
    }

    fn after_join(&mut self, member_id: &Arc<str>, request: &JoinGroup) {
        self.group.restart_session(member_id, self.around);
        let timeout_ms = request.rebalance_timeout_ms.max(0).unsigned_abs().into();
        let deadline = self.around.now.monotonic.plus_ms(timeout_ms);
        self.group.set_clocks(member_id, |clocks| {
            clocks.join = None;
            clocks.sync = Some(deadline);
        });
    }

    /// SyncGroup.
    pub(in crate::group) fn sync(&mut self, request: &SyncGroup) -> Result<SyncReply, Refusal> {
        let member_id = self.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        let member = self.find(&member_id)?.clone();
        check_generation(&member, request.generation)?;
        check_protocol(&member, request)?;
        if self.group.has_to_join_again(&member) && member.current.state != MemberState::UnrevokedPartitions {
            self.start_join_clock(&member_id);
            return Err(Refusal::new(ErrorCode::RebalanceInProgress, "a new rebalance has begun"));
        }
        self.group.set_clocks(&member_id, |clocks| clocks.sync = None);
        self.group.restart_session(&member_id, self.around);
        Ok(SyncReply {
            error: ErrorCode::None,
            protocol_type: request.protocol_type.clone(),
            protocol: request.protocol.clone(),
            assignment: member.encode_assignment(self.around.topics),
        })
    }

    /// Heartbeat.
    pub(in crate::group) fn classic_heartbeat(&mut self, request: &Heartbeat) -> Result<ErrorCode, Refusal> {
        let member_id = self.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        let member = self.find(&member_id)?.clone();
        check_generation(&member, request.generation)?;
        self.group.restart_session(&member_id, self.around);
        if !self.group.has_to_join_again(&member) {
            return Ok(ErrorCode::None);
        }
        self.start_join_clock(&member_id);
        Ok(ErrorCode::RebalanceInProgress)
    }

    /// LeaveGroup.
    pub(in crate::group) fn classic_leave(&mut self, request: &LeaveGroup) -> LeaveReply {
        let mut gone = Vec::new();
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in &request.members {
            let found = self.leaving_member(leaving);
            let error = found.as_ref().err().map_or(ErrorCode::None, |refusal| refusal.error);
            if let Ok(member_id) = found {
                self.expel(&member_id, leaving.reason.as_deref().unwrap_or("it left"));
                gone.push(member_id.to_string());
            }
            let LeavingMember { member_id, group_instance_id, .. } = leaving.clone();
            members.push(LeaveReplyMember { member_id, group_instance_id, error });
        }
        if !gone.is_empty() {
            self.bump(format!("{} left", gone.join(", ")));
        }
        LeaveReply { error: ErrorCode::None, members }
    }

    /// An administrator names a static member by its instance alone, whatever it speaks.
    fn leaving_member(&self, leaving: &LeavingMember) -> Result<Arc<str>, Refusal> {
        match &leaving.group_instance_id {
            Some(instance) if leaving.member_id.is_empty() => {
                let found = self.group.static_member(instance).cloned();
                found.ok_or_else(|| {
                    Refusal::new(ErrorCode::UnknownMemberId, format!("Instance id {instance} is unknown."))
                })
            }
            instance => self.classic_member(&leaving.member_id, instance.as_deref()),
        }
    }

    fn classic_member(&self, member_id: &str, instance: Option<&str>) -> Result<Arc<str>, Refusal> {
        let member_id = match instance {
            Some(instance) => self.find_static(member_id, instance)?,
            None => member_id.into(),
        };
        if !self.find(&member_id)?.is_classic() {
            let message = format!("Member {member_id} does not use the classic protocol.");
            return Err(Refusal::new(ErrorCode::UnknownMemberId, message));
        }
        Ok(member_id)
    }

    fn start_join_clock(&mut self, member_id: &str) {
        let Some(member) = self.group.member(member_id) else { return };
        let timeout_ms = member.subscription.rebalance_timeout_ms.max(0).unsigned_abs().into();
        let deadline = self.around.now.monotonic.plus_ms(timeout_ms);
        self.group.set_clocks(member_id, |clocks| clocks.join = Some(clocks.join.unwrap_or(deadline)));
    }
}

impl ConsumerGroup {
    fn all_classic_members_know(&self, protocol: &str) -> bool {
        let mut classic = self.members.values().filter_map(|member| member.subscription.classic.as_ref());
        classic.all(|classic| classic.protocols.iter().any(|known| known.name == protocol))
    }

    /// For its next step: the group has a new epoch, it has to give something up, or what it waited for is free.
    fn has_to_join_again(&self, member: &ConsumerMember) -> bool {
        let mut missing = member.target.iter().filter(|partition| !member.current.assigned.contains_key(partition));
        member.current.epoch < self.epoch.epoch
            || member.current.state == MemberState::UnrevokedPartitions
            || (member.current.state == MemberState::UnreleasedPartitions
                && missing.all(|partition| !self.owners.contains_key(partition)))
    }
}

impl ConsumerMember {
    /// What it owns, as its leader would have written it.
    pub(super) fn encode_assignment(&self, topics: &dyn Topics) -> bytes::Bytes {
        let mut named = NamedPartitions::new();
        for (id, index) in self.current.assigned.keys() {
            if let Some(name) = topics.name(*id) {
                named.entry(name.to_string()).or_default().insert(*index);
            }
        }
        let protocols = self.subscription.classic.iter().flat_map(|classic| &classic.protocols);
        let version = protocols.filter_map(|protocol| subscription(&protocol.metadata)).map(|s| s.version).next();
        encode_assignment(version.unwrap_or_default(), &named)
    }
}

/// The name of the first protocol, and what the member wants by it.
fn read_subscription(request: &JoinGroup) -> Option<(String, ConsumerSubscription)> {
    let Protocol { name, metadata } = request.protocols.first()?;
    Some((name.clone(), subscription(metadata)?))
}

fn classic_subscription(request: &JoinGroup, wanted: ConsumerSubscription) -> Subscription {
    Subscription {
        instance_id: request.group_instance_id.clone(),
        rack_id: wanted.rack_id,
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topics: wanted.topics,
        regex: None,
        rebalance_timeout_ms: request.rebalance_timeout_ms.max(0),
        assignor: None,
        classic: Some(ClassicSubscription {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }),
    }
}

fn check_generation(member: &ConsumerMember, generation: i32) -> Result<(), Refusal> {
    if member.current.epoch == generation {
        return Ok(());
    }
    let message = format!("generation {generation} is not the member's epoch {}", member.current.epoch);
    Err(Refusal::new(ErrorCode::IllegalGeneration, message))
}

fn check_protocol(member: &ConsumerMember, request: &SyncGroup) -> Result<(), Refusal> {
    let protocols = member.subscription.classic.iter().flat_map(|classic| &classic.protocols);
    let chosen = protocols.map(|protocol| protocol.name.as_str()).next().unwrap_or_default();
    let is = |asked: &Option<String>, ours: &str| asked.as_deref().is_none_or(|asked| asked == ours);
    if is(&request.protocol_type, CONSUMER_PROTOCOL_TYPE) && is(&request.protocol, chosen) {
        return Ok(());
    }
    let message = format!("the member was told protocol {chosen} of type {CONSUMER_PROTOCOL_TYPE}");
    Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, message))
}
