//! JoinGroup: who gets in, and when that means a rebalance.

use super::member::{Member, metadata_bytes};
use super::{ClassicGroup, Replacement, State, Step};
use crate::group::{AppendId, JoinGroup, JoinReply, JoinReplyMember, Protocol, Reply, UNKNOWN_MEMBER_ID};
use crate::model::ErrorCode;

/// How long a new member's JoinGroup may wait. It cannot send heartbeats yet, and its connection is not read
/// while the request waits, so that nothing else would ever tell us that it is gone.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1000;

impl ClassicGroup {
    pub(super) fn on_join(&mut self, mut request: JoinGroup, step: &mut Step) {
        keep_first_of_each_name(&mut request.protocols);
        match self.refuse_join(&request, step) {
            Some(reply) => step.reply(request.token, Reply::Join(reply)),
            None if request.member_id.is_empty() => self.join_new_member(request, step),
            None => self.join_known_member(request, step),
        }
    }

    fn refuse_join(&mut self, request: &JoinGroup, step: &mut Step) -> Option<JoinReply> {
        let config = step.config;
        let refused = |error| Some(JoinReply::refused(error, request.member_id.clone()));
        if self.state == State::Dead {
            return refused(ErrorCode::CoordinatorNotAvailable);
        }
        if !(config.session_timeout_ms_min..=config.session_timeout_ms_max).contains(&request.session_timeout_ms) {
            return refused(ErrorCode::InvalidSessionTimeout);
        }
        if metadata_bytes(&request.protocols) > config.member_metadata_bytes_max {
            return refused(ErrorCode::MessageTooLarge);
        }
        if !self.has_room_for(request, step) {
            self.pending_join.remove(&request.member_id);
            self.drop_member(&request.member_id, "the group is larger than group.max.size", step);
            self.maybe_complete_join(step);
            return Some(JoinReply::refused(ErrorCode::GroupMaxSizeReached, UNKNOWN_MEMBER_ID));
        }
        if !self.supports_protocols(&request.protocol_type, &request.protocols) {
            return refused(ErrorCode::InconsistentGroupProtocol);
        }
        None
    }

    /// In a rebalance those who come first get in; this is also how a group that was loaded over a lowered
    /// limit shrinks. Between rebalances members are sure of their place.
    fn has_room_for(&self, request: &JoinGroup, step: &Step) -> bool {
        let (config, member_id) = (step.config, request.member_id.as_str());
        let pending_room = !member_id.is_empty() || self.pending_join.len() < config.pending_members_max;
        let instance = request.group_instance_id.as_deref();
        let replaced = instance.and_then(|instance| self.members.static_member(instance));
        let known = self.members.get(replaced.unwrap_or(member_id));
        let metadata_room = known.is_some()
            || self.members.metadata_bytes() + metadata_bytes(&request.protocols) <= config.group_metadata_bytes_max;
        let size_room = match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                known.is_some_and(|member| member.awaiting_join.is_some())
                    || self.members.awaiting_join() < config.size_max
            }
            State::CompletingRebalance | State::Stable => known.is_some() || self.members.len() < config.size_max,
        };
        pending_room && metadata_room && size_room
    }

    fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type) && self.members.support_any(protocols)
    }

    fn join_new_member(&mut self, request: JoinGroup, step: &mut Step) {
        let member_id = request.new_member_id();
        let replaced = request.group_instance_id.as_deref().and_then(|id| self.members.static_member(id));
        if let Some(replaced) = replaced.map(str::to_owned) {
            self.replace_static_member(&replaced, member_id, request, step);
        } else if request.requires_known_member_id && request.group_instance_id.is_none() {
            let timeout_ms = u64::try_from(request.session_timeout_ms).unwrap_or_default();
            let deadline = step.now.monotonic.plus_ms(timeout_ms);
            self.pending_join.insert(member_id.clone(), deadline);
            self.wake_not_later_than(deadline);
            let reply = JoinReply::refused(ErrorCode::MemberIdRequired, member_id);
            step.reply(request.token, Reply::Join(reply));
        } else {
            self.add_member(member_id, request, step);
        }
    }

    fn join_known_member(&mut self, request: JoinGroup, step: &mut Step) {
        if self.pending_join.contains_key(&request.member_id) && request.group_instance_id.is_none() {
            self.pending_join.remove(&request.member_id);
            return self.add_member(request.member_id.clone(), request, step);
        }
        if let Err(error) = self.check_member(&request.member_id, request.group_instance_id.as_deref()) {
            return step.reply(request.token, Reply::Join(JoinReply::refused(error, request.member_id)));
        }
        let changed = !self.members.get(&request.member_id).is_some_and(|m| m.matches(&request.protocols));
        let leads = self.members.is_leader(&request.member_id);
        match self.state {
            // It may have missed our answer: it gets the same one again.
            State::CompletingRebalance if !changed => self.answer_current_generation(&request, step),
            State::Stable if !changed && !leads => self.answer_current_generation(&request, step),
            // The leader joins again when it sees that topics have changed, which only it watches.
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => self.rejoin(request, step),
            State::Empty | State::Dead => {
                let reply = JoinReply::refused(ErrorCode::UnknownMemberId, request.member_id);
                step.reply(request.token, Reply::Join(reply));
            }
        }
    }

    fn add_member(&mut self, member_id: String, request: JoinGroup, step: &mut Step) {
        let now = step.now.monotonic;
        if let Some(initial) = self.join_deadline.as_mut().and_then(|deadline| deadline.initial.as_mut()) {
            initial.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        let reason = join_reason("joins", &member_id, request.reason.as_deref());
        let deadline = now.plus_ms(NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.members.insert(Member {
            member_id,
            group_instance_id: request.group_instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms.max(0),
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            awaiting_join: Some(request.token),
            awaiting_sync: None,
            is_new: true,
            session_deadline: Some(deadline),
            joined_at: Some(now),
        });
        self.wake_not_later_than(deadline);
        self.rebalance_or_complete_join(&reason, step);
    }

    fn rejoin(&mut self, request: JoinGroup, step: &mut Step) {
        let reason = join_reason("joins again", &request.member_id, request.reason.as_deref());
        let member_id = request.member_id.clone();
        self.update_member(&member_id, request, step);
        self.rebalance_or_complete_join(&reason, step);
    }

    fn update_member(&mut self, member_id: &str, request: JoinGroup, step: &mut Step) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.session_timeout_ms = request.session_timeout_ms;
            member.rebalance_timeout_ms = request.rebalance_timeout_ms.max(0);
            member.client_id = request.client_id;
            member.client_host = request.client_host;
            member.joined_at = Some(step.now.monotonic);
        }
        self.members.update_protocols(member_id, request.protocols);
        if let Some(earlier) = self.members.park_join(member_id, request.token) {
            let reply = JoinReply::refused(ErrorCode::RebalanceInProgress, member_id);
            step.reply(earlier, Reply::Join(reply));
        }
    }

    /// A static member came back without its member id, as after a restart of its process. The old id is fenced
    /// at once. In a stable group that would choose the same protocol nothing else changes: the new id inherits
    /// the assignment, and there is no rebalance.
    fn replace_static_member(&mut self, replaced: &str, member_id: String, request: JoinGroup, step: &mut Step) {
        let leader_before = self.members.leader().unwrap_or_default().to_owned();
        let skips = request.supports_skipping_assignment;
        if let Some((join, sync)) = self.members.rename(replaced, &member_id) {
            self.fence(replaced, join, sync, step);
        }
        if self.pending_sync.remove(replaced) {
            self.pending_sync.insert(member_id.clone());
        }
        self.update_member(&member_id, request, step);
        self.restart_session(&member_id, step);
        let keeps_protocol = self.members.select_protocol() == self.protocol;
        match self.state {
            State::Stable if keeps_protocol => {
                let metadata = self.to_record(None);
                let append = self.append_metadata(step, metadata);
                // A client that cannot be told to skip the assignment must not take itself for the leader.
                let leader = if skips { self.members.leader().unwrap_or_default().to_owned() } else { leader_before };
                self.replacing.insert(append, Replacement { member_id, leader, supports_skipping_assignment: skips });
            }
            State::Stable => self.prepare_rebalance(&format!("static member {member_id} changes the protocol"), step),
            // The leader may have assigned to the old id already.
            State::CompletingRebalance => {
                self.prepare_rebalance(&format!("static member {member_id} replaces {replaced}"), step);
            }
            State::PreparingRebalance => self.maybe_complete_join(step),
            State::Empty | State::Dead => unreachable!("a group in state {} has no static members", self.state),
        }
    }

    /// The static member's new id is in the log: it may go on with the assignment it had.
    pub(super) fn replacement_committed(&mut self, append: AppendId, step: &mut Step) {
        let Some(replacement) = self.replacing.remove(&append) else { return };
        if self.state != State::Stable {
            // A rebalance has begun; its JoinGroup takes part in it.
            return;
        }
        let member_id = replacement.member_id;
        let Some(token) = self.members.take_join(&member_id) else { return };
        let told = replacement.supports_skipping_assignment && self.members.is_leader(&member_id);
        let mut reply = self.current_generation(&member_id, told);
        reply.leader = replacement.leader;
        reply.skip_assignment = told;
        self.restart_session(&member_id, step);
        step.reply(token, Reply::Join(reply));
    }

    /// The new id is not in the log: its holder has to try again.
    pub(super) fn replacement_failed(&mut self, append: AppendId, error: ErrorCode, step: &mut Step) {
        let Some(replacement) = self.replacing.remove(&append) else { return };
        if self.state == State::Stable
            && let Some(token) = self.members.take_join(&replacement.member_id)
        {
            self.restart_session(&replacement.member_id, step);
            step.reply(token, Reply::Join(JoinReply::refused(error, UNKNOWN_MEMBER_ID)));
        }
    }

    fn answer_current_generation(&mut self, request: &JoinGroup, step: &mut Step) {
        let leads = self.members.is_leader(&request.member_id);
        let reply = self.current_generation(&request.member_id, leads);
        step.reply(request.token, Reply::Join(reply));
    }

    /// The answer to a JoinGroup that is part of the current generation.
    pub(super) fn current_generation(&self, member_id: &str, with_members: bool) -> JoinReply {
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.members.leader().unwrap_or_default().to_owned(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if with_members { self.members_for_leader() } else { Vec::new() },
        }
    }

    fn members_for_leader(&self) -> Vec<JoinReplyMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| JoinReplyMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(member).collect()
    }
}

/// A list that names a protocol twice would give its member two voices.
fn keep_first_of_each_name(protocols: &mut Vec<Protocol>) {
    let mut seen = std::collections::BTreeSet::new();
    protocols.retain(|protocol| seen.insert(protocol.name.clone()));
}

fn join_reason(what: &str, member_id: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) if !reason.is_empty() => format!("{member_id} {what}: {reason}"),
        _ => format!("{member_id} {what}"),
    }
}
