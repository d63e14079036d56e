//! Members that leave, or go without a word.

use std::sync::Arc;

use super::{ConsumerHeartbeat, ConsumerHeartbeatReply, Draft, Refusal, STATIC_LEAVE_EPOCH};
use crate::group::effect::seconds;
use crate::group::{AssignedPartitions, CurrentAssignment, MemberState, Note};

impl Draft<'_> {
    /// A member says farewell. A static one may say that it comes back: it keeps what it owns until its session
    /// ends, so that nothing moves while its process restarts.
    pub(super) fn leave(&mut self, request: &ConsumerHeartbeat) -> Result<ConsumerHeartbeatReply, Refusal> {
        let member_id: Arc<str> = match &request.instance_id {
            Some(instance) => self.find_static(&request.member_id, instance)?,
            None => {
                self.find(&request.member_id)?;
                request.member_id.as_str().into()
            }
        };
        if request.member_epoch == STATIC_LEAVE_EPOCH {
            self.leave_for_a_while(&member_id)?;
        } else {
            self.expel(&member_id, "it left");
            self.bump(format!("{member_id} left"));
        }
        Ok(ConsumerHeartbeatReply {
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    fn leave_for_a_while(&mut self, member_id: &Arc<str>) -> Result<(), Refusal> {
        let current = self.find(member_id)?.current.clone();
        let state = match current.state {
            MemberState::UnrevokedPartitions => MemberState::Stable,
            other => other,
        };
        let assigned = current.assigned.clone();
        self.set_current(
            member_id,
            CurrentAssignment {
                epoch: STATIC_LEAVE_EPOCH,
                previous_epoch: current.epoch,
                state,
                assigned,
                revoking: AssignedPartitions::new(),
            },
        );
        Ok(())
    }

    /// Takes a member out; the group epoch is to be raised after that.
    pub(super) fn expel(&mut self, member_id: &Arc<str>, reason: &str) {
        let client_host = self.group.member(member_id).map(|member| member.subscription.client_host.clone());
        self.notes.push(Note::MemberRemoved {
            member_id: member_id.to_string(),
            client_host: client_host.unwrap_or_default(),
            reason: reason.to_owned(),
        });
        self.remove(member_id);
    }

    /// Gives up every member whose time is over, then looks for the next one.
    pub(in crate::group) fn run_due_timers(&mut self) {
        if self.group.wake_at.is_none_or(|at| at > self.around.now.monotonic) {
            return;
        }
        let mut gone = Vec::new();
        for member_id in self.group.ids() {
            if let Some(reason) = self.overdue(&member_id) {
                self.expel(&member_id, &reason);
                gone.push(format!("{member_id} left: {reason}"));
            }
        }
        if !gone.is_empty() {
            self.bump(gone.join("; "));
        }
        self.group.wake_at = self.group.clocks.values().filter_map(super::Clocks::earliest).min();
    }

    /// Why a member is given up now.
    fn overdue(&self, member_id: &str) -> Option<String> {
        let subscription = &self.group.member(member_id)?.subscription;
        let clocks = self.group.clocks_of(member_id);
        let is_due = |at: Option<crate::model::Monotonic>| at.is_some_and(|at| at <= self.around.now.monotonic);
        let classic = subscription.classic.as_ref().map(|classic| classic.session_timeout_ms);
        let session_ms = classic.unwrap_or(self.around.settings.session_timeout_ms);
        let rebalance = seconds(subscription.rebalance_timeout_ms);
        if is_due(clocks.session) {
            Some(format!("session timed out after {}", seconds(session_ms)))
        } else if is_due(clocks.revocation) {
            Some(format!("it did not give up its partitions within {rebalance}"))
        } else if is_due(clocks.join) {
            Some(format!("it did not join again within {rebalance}"))
        } else if is_due(clocks.sync) {
            Some(format!("it did not send SyncGroup within {rebalance}"))
        } else {
            None
        }
    }
}
