//! SyncGroup: the leader's assignment becomes everybody's.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ClassicGroup, Persisting, State, Step};
use crate::group::{AppendId, Note, Reply, SyncGroup, SyncReply};
use crate::model::ErrorCode;

impl ClassicGroup {
    pub(super) fn on_sync(&mut self, request: SyncGroup, step: &mut Step) {
        if let Err(error) = self.check_sync(&request) {
            return step.reply(request.token, Reply::Sync(SyncReply::refused(error)));
        }
        self.pending_sync.remove(&request.member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline = None;
        }
        if self.state == State::Stable {
            return step.reply(request.token, Reply::Sync(self.assignment_of(&request.member_id)));
        }
        self.park_sync(&request, step);
        if self.members.is_leader(&request.member_id) && self.persisting.is_none() {
            self.persist_assignment(request.assignments, step);
        }
    }

    fn check_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if !mutant!("sync-of-another-generation") {
            self.check_generation(request.generation)?;
        }
        let differs =
            |asked: &Option<String>, ours: &Option<String>| matches!((asked, ours), (Some(a), Some(b)) if a != b);
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::CompletingRebalance | State::Stable => Ok(()),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
        }
    }

    fn park_sync(&mut self, request: &SyncGroup, step: &mut Step) {
        let member = self.members.get_mut(&request.member_id);
        if let Some(earlier) = member.and_then(|member| member.awaiting_sync.replace(request.token)) {
            step.reply(earlier, Reply::Sync(SyncReply::refused(ErrorCode::RebalanceInProgress)));
        }
    }

    /// The group becomes stable only when the assignment is committed: another coordinator would know it.
    fn persist_assignment(&mut self, assignments: Vec<(String, Bytes)>, step: &mut Step) {
        let mut assignments: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        assignments.retain(|member_id, _| self.members.contains(member_id));
        let missing: Vec<String> =
            self.members.ids().into_iter().filter(|member_id| !assignments.contains_key(member_id)).collect();
        if !missing.is_empty() {
            step.note(Note::AssignmentMissing { members: missing });
        }
        let metadata = self.to_record(Some(&assignments));
        let append = self.append_metadata(step, metadata);
        self.persisting = Some(Persisting { append, assignments });
    }

    pub(super) fn assignment_committed(&mut self, append: AppendId, step: &mut Step) {
        let Some(persisting) = self.persisting.take_if(|persisting| persisting.append == append) else { return };
        assert!(
            self.state == State::CompletingRebalance,
            "an assignment is persisted in CompletingRebalance only, not in {}",
            self.state
        );
        self.members.assign(persisting.assignments);
        self.transition(State::Stable, step.now);
        let waited_ms = step.now.monotonic.since_ms(self.rebalance_started);
        step.note(Note::Stabilized { generation: self.generation, waited_ms });
        for member_id in self.members.ids() {
            let reply = self.assignment_of(&member_id);
            let token = self.members.get_mut(&member_id).and_then(|member| member.awaiting_sync.take());
            if let Some(token) = token {
                step.reply(token, Reply::Sync(reply));
                self.restart_session(&member_id, step);
            }
        }
    }

    pub(super) fn persisting_failed(&mut self, append: AppendId, error: ErrorCode, step: &mut Step) {
        if self.persisting.take_if(|persisting| persisting.append == append).is_some() {
            self.drop_assignments(error, step);
            self.prepare_rebalance(&format!("the assignment could not be committed: {}", error.name()), step);
        }
    }

    /// Whoever waits for an assignment of this generation gets an error instead.
    pub(super) fn drop_assignments(&mut self, error: ErrorCode, step: &mut Step) {
        for member_id in self.members.ids() {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.assignment = Bytes::new();
            if let Some(token) = member.awaiting_sync.take() {
                step.reply(token, Reply::Sync(SyncReply::refused(error)));
                self.restart_session(&member_id, step);
            }
        }
    }

    /// Members that joined but never asked for their assignment are removed, and the others rebalance.
    pub(super) fn on_sync_deadline(&mut self, step: &mut Step) {
        self.sync_deadline = None;
        let missing: Vec<String> = std::mem::take(&mut self.pending_sync).into_iter().collect();
        for member_id in &missing {
            self.drop_member(member_id, "it did not send SyncGroup in time", step);
        }
        if !missing.is_empty() && matches!(self.state, State::CompletingRebalance | State::Stable) {
            self.prepare_rebalance(&format!("no SyncGroup from {}", missing.join(", ")), step);
        }
    }

    fn assignment_of(&self, member_id: &str) -> SyncReply {
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self.members.get(member_id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }
}
