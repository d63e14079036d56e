//! What a replica does while it follows: it asks its leader for what lies behind its log's end, and does to the log
//! what the `replication` machine makes of the answer.

use bytes::Bytes;

use crate::log::{LogError, OsDisk, PartitionLog};
use crate::model::{BrokerId, LeaderEpoch, Wall};
use crate::replication::{Follower, FollowerEffect, FollowerLog, FollowerStart, LeaderAnswer, NextFetch};

use super::replica::{Replica, Role, State};
use super::waiters::Watched;

impl Replica {
    /// Begins to follow; true unless it does so already. Whoever waits for this replica as leader is told.
    pub fn follow(&self, leader: BrokerId, leader_epoch: LeaderEpoch) -> bool {
        let mut state = self.state();
        if let Role::Follower(follower) = &state.role
            && follower.leader_epoch() == leader_epoch
        {
            return false;
        }
        let high_watermark = self.high_watermark();
        state.role = Role::Follower(Follower::new(FollowerStart { leader, leader_epoch, high_watermark }));
        self.publish_role(LeaderEpoch::NONE);
        drop(state);
        self.waiters.wake_all();
        true
    }

    /// What to ask the leader for; `None` when this replica does not follow.
    pub(super) fn next_fetch(&self) -> Option<NextFetch> {
        match &*self.state() {
            State { log: Some(log), role: Role::Follower(follower) } => Some(follower.next_fetch(&seen(log))),
            _ => None,
        }
    }

    /// The leader has answered `asked`, with `records` if there were any.
    pub(super) fn take_answer(
        &self,
        asked: &NextFetch,
        answer: LeaderAnswer,
        records: &Bytes,
        now: Wall,
    ) -> Result<(), LogError> {
        let mut state = self.state();
        let State { log: Some(log), role: Role::Follower(follower) } = &mut *state else { return Ok(()) };
        let effects = follower.on_answer(asked, answer, &seen(log));
        if effects.is_empty() {
            return Ok(());
        }
        let before = self.high_watermark();
        for effect in effects {
            let done = self.carry_out(log, follower, effect, records, now);
            done.inspect_err(|error| self.note_log_fault(error))?;
        }
        drop(state);
        let high_watermark = self.high_watermark();
        if high_watermark != before {
            self.waiters.wake(Watched::HighWatermark, high_watermark);
        }
        Ok(())
    }

    fn carry_out(
        &self,
        log: &mut PartitionLog<OsDisk>,
        follower: &mut Follower,
        effect: FollowerEffect,
        records: &Bytes,
        now: Wall,
    ) -> Result<(), LogError> {
        match effect {
            FollowerEffect::Append { leader_log_start_offset } => {
                log.append_as_follower(records, leader_log_start_offset, now)?;
                self.publish_log(log);
                for effect in follower.on_append(log.log_start_offset(), log.log_end_offset()) {
                    self.carry_out(log, follower, effect, records, now)?;
                }
            }
            FollowerEffect::TruncateTo { offset } => {
                let (partition, end) = (self.topic_partition(), log.log_end_offset());
                if log.truncate_to(offset)? {
                    let end_now = log.log_end_offset();
                    tracing::info!(%partition, "truncated from {end} to {end_now}, where the leader's log goes on");
                }
                self.publish_log(log);
            }
            FollowerEffect::ResetTo { offset } => {
                let (start, end) = (log.log_start_offset(), log.log_end_offset());
                let partition = self.topic_partition();
                tracing::warn!(%partition, "begins anew at {offset}: the leader has nothing of {start} to {end}");
                log.truncate_fully_and_start_at(offset)?;
                self.publish_log(log);
            }
            FollowerEffect::AdvanceLogStart { offset } => {
                log.advance_log_start_offset(offset)?;
            }
            FollowerEffect::SetHighWatermark { high_watermark } => self.publish_high_watermark(log, high_watermark),
        }
        Ok(())
    }
}

fn seen(log: &PartitionLog<OsDisk>) -> FollowerLog<'_> {
    FollowerLog {
        log_start_offset: log.log_start_offset(),
        log_end_offset: log.log_end_offset(),
        leader_epochs: log.leader_epochs(),
    }
}
