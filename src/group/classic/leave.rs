//! LeaveGroup, and members that go without a word.

use super::{ClassicGroup, State, Step};
use crate::group::effect::seconds;
use crate::group::{
    JoinReply, LeaveGroup, LeaveReply, LeaveReplyMember, LeavingMember, Note, Reply, SyncReply, Token,
    UNKNOWN_MEMBER_ID,
};
use crate::model::ErrorCode;

impl ClassicGroup {
    pub(super) fn on_leave(&mut self, request: LeaveGroup, step: &mut Step) {
        if self.state == State::Dead {
            let reply = LeaveReply { error: ErrorCode::CoordinatorNotAvailable, members: Vec::new() };
            return step.reply(request.token, Reply::Leave(reply));
        }
        let mut gone = Vec::new();
        let mut members = Vec::with_capacity(request.members.len());
        for leaving in request.members {
            let error = match self.leave(&leaving, step) {
                Ok(member_id) => {
                    gone.push(member_id);
                    ErrorCode::None
                }
                Err(error) => error,
            };
            let LeavingMember { member_id, group_instance_id, .. } = leaving;
            members.push(LeaveReplyMember { member_id, group_instance_id, error });
        }
        step.reply(request.token, Reply::Leave(LeaveReply { error: ErrorCode::None, members }));
        self.go_on_without(&gone, step);
    }

    /// Takes out one member and returns its id. Somebody who was only told an id may leave as well, and an
    /// administrator names a static member by its instance alone.
    fn leave(&mut self, leaving: &LeavingMember, step: &mut Step) -> Result<String, ErrorCode> {
        let member_id = match &leaving.group_instance_id {
            Some(instance) if leaving.member_id.is_empty() => {
                self.members.static_member(instance).ok_or(ErrorCode::UnknownMemberId)?.to_owned()
            }
            _ => leaving.member_id.clone(),
        };
        if self.pending_join.remove(&member_id).is_none() {
            self.check_member(&member_id, leaving.group_instance_id.as_deref())?;
            self.drop_member(&member_id, leaving.reason.as_deref().unwrap_or("it left"), step);
        }
        Ok(member_id)
    }

    fn go_on_without(&mut self, gone: &[String], step: &mut Step) {
        // An empty group stays empty; there is nobody to rebalance.
        if !gone.is_empty() && self.state != State::Empty {
            self.rebalance_or_complete_join(&format!("{} left", gone.join(", ")), step);
        }
    }

    /// Removes a member and answers what it was waiting for. Does not start a rebalance.
    pub(super) fn drop_member(&mut self, member_id: &str, reason: &str, step: &mut Step) {
        let Some(member) = self.members.remove(member_id) else { return };
        self.pending_sync.remove(member_id);
        if let Some(token) = member.awaiting_join {
            let reply = JoinReply::refused(ErrorCode::UnknownMemberId, UNKNOWN_MEMBER_ID);
            step.reply(token, Reply::Join(reply));
        }
        if let Some(token) = member.awaiting_sync {
            step.reply(token, Reply::Sync(SyncReply::refused(ErrorCode::UnknownMemberId)));
        }
        step.note(Note::MemberRemoved {
            member_id: member.member_id,
            client_host: member.client_host,
            reason: reason.to_owned(),
        });
    }

    /// Answers what an instance's former holder was waiting for.
    pub(super) fn fence(&self, member_id: &str, join: Option<Token>, sync: Option<Token>, step: &mut Step) {
        if let Some(token) = join {
            step.reply(token, Reply::Join(JoinReply::refused(ErrorCode::FencedInstanceId, member_id)));
        }
        if let Some(token) = sync {
            step.reply(token, Reply::Sync(SyncReply::refused(ErrorCode::FencedInstanceId)));
        }
    }

    pub(super) fn expire_pending_members(&mut self, step: &mut Step) {
        let before = self.pending_join.len();
        self.pending_join.retain(|_, deadline| *deadline > step.now.monotonic);
        if self.pending_join.len() < before {
            self.maybe_complete_join(step);
        }
    }

    pub(super) fn expire_sessions(&mut self, step: &mut Step) {
        for member_id in self.members.ids() {
            self.expire_session(&member_id, step);
        }
    }

    fn expire_session(&mut self, member_id: &str, step: &mut Step) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        if member.session_deadline.is_none_or(|deadline| deadline > step.now.monotonic) {
            return;
        }
        let waits_for_us = member.awaiting_join.is_some() || member.awaiting_sync.is_some();
        if waits_for_us && !member.is_new {
            // It cannot send heartbeats while we hold its request; the clock starts again with our answer.
            member.session_deadline = None;
            return;
        }
        let reason = format!("session timed out after {}", seconds(member.session_timeout_ms));
        self.drop_member(member_id, &reason, step);
        self.rebalance_or_complete_join(&format!("{member_id} left: {reason}"), step);
    }

    pub(super) fn on_resign(&mut self, error: ErrorCode, step: &mut Step) {
        for member_id in self.members.ids() {
            if let Some(token) = self.members.take_join(&member_id) {
                step.reply(token, Reply::Join(JoinReply::refused(error, member_id.clone())));
            }
            let token = self.members.get_mut(&member_id).and_then(|member| member.awaiting_sync.take());
            if let Some(token) = token {
                step.reply(token, Reply::Sync(SyncReply::refused(error)));
            }
        }
        let next_append = self.next_append;
        *self = Self { state: State::Dead, next_append, ..Self::default() };
    }
}
