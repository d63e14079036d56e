//! From the start of a rebalance to the next generation.

use super::{ClassicGroup, State, Step};
use crate::group::{Note, Reply};
use crate::model::Monotonic;

/// When nobody has joined again, a rebalance is looked at again after this time at the earliest.
const NOBODY_REJOINED_DELAY_MS_MIN: u64 = 1000;

/// The end of PreparingRebalance.
#[derive(Clone, Debug)]
pub(super) struct JoinDeadline {
    /// Then those who have not joined are left behind.
    pub at: Monotonic,
    /// Set while the first members of an empty group wait for more.
    pub initial: Option<InitialDelay>,
}

/// The first rebalance of an empty group is put off, so that a fleet that starts together joins together
/// (KIP-134). Each new member puts it off again, up to the rebalance timeout.
#[derive(Clone, Debug)]
pub(super) struct InitialDelay {
    /// Length of the delay that runs.
    delay_ms: u64,
    /// How much longer it may be put off after that.
    remaining_ms: u64,
    /// Set when somebody has joined since the delay began.
    pub new_member_added: bool,
}

impl ClassicGroup {
    /// Starts a rebalance; in one that runs already, somebody's join or departure may complete it.
    pub(super) fn rebalance_or_complete_join(&mut self, reason: &str, step: &mut Step) {
        match self.state {
            State::Empty | State::Stable | State::CompletingRebalance => self.prepare_rebalance(reason, step),
            State::PreparingRebalance => self.maybe_complete_join(step),
            State::Dead => {}
        }
    }

    pub(super) fn prepare_rebalance(&mut self, reason: &str, step: &mut Step) {
        let from = self.state;
        if from == State::CompletingRebalance {
            self.drop_assignments(crate::model::ErrorCode::RebalanceInProgress, step);
        }
        self.persisting = None;
        self.sync_deadline = None;
        self.rebalance_started = step.now.monotonic;
        step.note(Note::RebalanceStarted { generation: self.generation, from, reason: reason.to_owned() });
        self.transition(State::PreparingRebalance, step.now);
        if from == State::Empty {
            self.start_initial_delay(step);
        } else {
            let timeout_ms = u64::try_from(self.members.rebalance_timeout_ms()).unwrap_or_default();
            self.set_join_deadline(timeout_ms, None, step);
            self.maybe_complete_join(step);
        }
    }

    fn start_initial_delay(&mut self, step: &Step) {
        let delay_ms = u64::try_from(step.config.initial_rebalance_delay_ms).unwrap_or_default();
        let timeout_ms = u64::try_from(self.members.rebalance_timeout_ms()).unwrap_or_default();
        let remaining_ms = timeout_ms.saturating_sub(delay_ms);
        self.set_join_deadline(delay_ms, Some(InitialDelay { delay_ms, remaining_ms, new_member_added: false }), step);
    }

    fn set_join_deadline(&mut self, delay_ms: u64, initial: Option<InitialDelay>, step: &Step) {
        let at = step.now.monotonic.plus_ms(delay_ms);
        self.join_deadline = Some(JoinDeadline { at, initial });
        self.wake_not_later_than(at);
    }

    /// Completes the join when all are there. An initial delay is waited for in any case.
    pub(super) fn maybe_complete_join(&mut self, step: &mut Step) {
        let initial = self.join_deadline.as_ref().is_some_and(|deadline| deadline.initial.is_some());
        if self.state == State::PreparingRebalance && !initial && self.all_members_joined() {
            self.complete_join(step);
        }
    }

    fn all_members_joined(&self) -> bool {
        self.members.awaiting_join() == self.members.len() && self.pending_join.is_empty()
    }

    pub(super) fn on_join_deadline(&mut self, step: &mut Step) {
        let initial = self.join_deadline.take().and_then(|deadline| deadline.initial);
        match initial {
            Some(initial) if initial.new_member_added && initial.remaining_ms > 0 => {
                let configured = u64::try_from(step.config.initial_rebalance_delay_ms).unwrap_or_default();
                let delay_ms = configured.min(initial.remaining_ms);
                let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms);
                let next = InitialDelay { delay_ms, remaining_ms, new_member_added: false };
                self.set_join_deadline(delay_ms, Some(next), step);
            }
            _ => self.complete_join(step),
        }
    }

    fn complete_join(&mut self, step: &mut Step) {
        self.join_deadline = None;
        let expelled = self.expel_those_who_did_not_join(step);
        if !self.members.elect_joined_leader() && !self.members.is_empty() {
            step.note(Note::NobodyRejoined { generation: self.generation });
            let timeout_ms = u64::try_from(self.members.rebalance_timeout_ms()).unwrap_or_default();
            return self.set_join_deadline(timeout_ms.max(NOBODY_REJOINED_DELAY_MS_MIN), None, step);
        }
        self.begin_generation(step);
        if self.state == State::Empty {
            step.note(Note::Emptied { generation: self.generation });
            let metadata = self.to_record(None);
            self.append_metadata(step, metadata);
        } else {
            self.note_join_completed(expelled, step);
            self.answer_joins(step);
            self.start_sync_deadline(step);
        }
    }

    /// Static members stay until their session ends: not having to join again is what they are for.
    fn expel_those_who_did_not_join(&mut self, step: &mut Step) -> Vec<String> {
        let missing = |member: &&super::Member| member.awaiting_join.is_none() && member.group_instance_id.is_none();
        let expelled: Vec<String> = self.members.iter().filter(missing).map(|m| m.member_id.clone()).collect();
        for member_id in &expelled {
            self.drop_member(member_id, "it did not join again in time", step);
        }
        expelled
    }

    fn begin_generation(&mut self, step: &Step) {
        if !mutant!("generation-not-raised") {
            self.generation = self.generation.wrapping_add(1).max(0);
        }
        self.protocol = self.members.select_protocol();
        self.pending_sync.clear();
        self.subscribed_topics = self.compute_subscribed_topics();
        let state = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.transition(state, step.now);
    }

    fn answer_joins(&mut self, step: &mut Step) {
        for member_id in self.members.ids() {
            let Some(token) = self.members.take_join(&member_id) else { continue };
            let reply = self.current_generation(&member_id, self.members.is_leader(&member_id));
            step.reply(token, Reply::Join(reply));
            self.restart_session(&member_id, step);
            self.pending_sync.insert(member_id.clone());
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
            }
        }
    }

    fn start_sync_deadline(&mut self, step: &Step) {
        let timeout_ms = u64::try_from(self.members.rebalance_timeout_ms()).unwrap_or_default();
        let deadline = step.now.monotonic.plus_ms(timeout_ms);
        self.sync_deadline = Some(deadline);
        self.wake_not_later_than(deadline);
    }

    fn note_join_completed(&self, expelled: Vec<String>, step: &mut Step) {
        let started = self.rebalance_started;
        let joined =
            |member: &super::Member| member.joined_at.map(|at| (member.member_id.clone(), at.since_ms(started)));
        let slowest = self.members.iter().filter_map(joined).max_by_key(|(_, waited_ms)| *waited_ms);
        step.note(Note::JoinCompleted {
            generation: self.generation,
            members: self.members.len(),
            waited_ms: step.now.monotonic.since_ms(started),
            slowest,
            expelled,
        });
    }
}
