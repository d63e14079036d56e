//! What a replica does while it leads, besides appending: it follows the metadata, feeds its followers, and changes
//! its ISR with the controller's consent.

use std::collections::BTreeSet;

use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, Monotonic, Offset, PartitionEpoch};
use crate::replication::{FollowerFetch, IsrMember, IsrProposal, Leader, LeaderStart};

use super::error::PartitionError;
use super::read::ReadRecords;
use super::replica::{Replica, Role, State};
use super::throttle::ReplicationThrottle;

/// A follower's Fetch of this partition.
#[derive(Clone, Copy)]
pub struct FollowerRead<'a> {
    /// Who fetches, and the broker epoch the request names.
    pub follower: IsrMember,
    /// The follower's log end offset.
    pub fetch_offset: Offset,
    /// How far its log is on disk, if it tells (`flush.before.ack`).
    pub flushed_offset: Option<Offset>,
    /// Whether the metadata of now lets this life of the follower join the in-sync replicas (A14). Asked under the
    /// partition's lock, so that a later [`Replica::on_broker`] has the last word.
    pub is_eligible: &'a dyn Fn() -> bool,
    /// The limit of what is sent to those who are not in sync, where the topic says so.
    pub throttle: &'a ReplicationThrottle,
    /// The leader epoch the follower knows, −1 for none.
    pub current_leader_epoch: i32,
    /// The newest epoch of the follower's log, by which a divergence is seen.
    pub last_fetched_epoch: LeaderEpoch,
}

/// The controller's answer to a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum IsrDecision {
    /// This is the partition's state now.
    Decided { leader_epoch: LeaderEpoch, partition_epoch: PartitionEpoch, isr: BTreeSet<BrokerId> },
    /// It is certain that nothing changed.
    Refused { request_id: u64, leader_epoch: LeaderEpoch },
}

impl Replica {
    /// Begins to lead, or takes in a newer state of the partition it leads.
    pub fn lead(&self, start: LeaderStart, now: Monotonic) -> Result<(), PartitionError> {
        let mut state = self.state();
        let State { log: Some(log), role } = &mut *state else { return Err(self.not_leader()) };
        let flushed_offset = self.flushes_before_ack().then(|| log.recovery_point());
        if let Role::Leader(leader) = role
            && leader.leader_epoch() == start.leader_epoch
        {
            leader.on_replicas(start.partition_epoch, &start.replicas, now);
            let flushed = leader.on_flush_before_ack(flushed_offset);
            let decided = leader.on_isr_decided(start.partition_epoch, start.isr, start.min_isr);
            let may_commit = leader.has_min_isr();
            self.act(state, flushed.into_iter().chain(decided));
            self.tell_when_nothing_commits(may_commit);
            if flushed_offset.is_some() {
                self.want_commit();
            }
            return Ok(());
        }
        log.assign_leader_epoch_start(start.leader_epoch)?;
        self.publish_first_unstable(log);
        let (log_end_offset, high_watermark) = (log.log_end_offset(), self.high_watermark());
        let start = LeaderStart { log_end_offset, high_watermark, flushed_offset, ..start };
        let epoch = start.leader_epoch;
        let (machine, effects) = Leader::new(start, now);
        *role = Role::Leader(machine);
        self.publish_role(epoch);
        self.act(state, effects);
        if flushed_offset.is_some() {
            self.want_commit();
        }
        // Those who waited under an earlier epoch are told.
        self.waiters.wake_all();
        Ok(())
    }

    /// Neither leads nor follows any longer. Whoever waits is told.
    pub fn resign(&self) {
        let mut state = self.state();
        state.role = Role::Idle;
        self.publish_role(LeaderEpoch::NONE);
        drop(state);
        self.waiters.wake_all();
    }

    /// Produces that wait for an ISR below the minimum wait in vain.
    fn tell_when_nothing_commits(&self, may_commit: bool) {
        if !may_commit {
            self.waiters.wake_all();
        }
    }

    /// Reads for a follower up to the log's end. With `acknowledge`, the fetch offset tells that the follower has
    /// everything below; a request says so once.
    pub fn read_for_follower(
        &self,
        asked: &FollowerRead<'_>,
        max_bytes: usize,
        min_one: bool,
        acknowledge: bool,
        now: Monotonic,
    ) -> Result<ReadRecords, PartitionError> {
        let FollowerRead { follower, fetch_offset: offset, .. } = *asked;
        let mut state = self.state();
        self.check_leader_epoch(asked.current_leader_epoch)?;
        let State { log: Some(log), role: Role::Leader(leader) } = &mut *state else { return Err(self.not_leader()) };
        if !leader.has_replica(follower.broker_id) {
            return Err(self.not_leader());
        }
        let (log_start_offset, end) = (log.log_start_offset(), log.log_end_offset());
        let diverging = log.divergence(asked.last_fetched_epoch, offset);
        let in_range = (log_start_offset..=end).contains(&offset);
        let in_sync = leader.isr().contains(&follower.broker_id);
        if acknowledge && in_range && diverging.is_none() {
            let (flushed_offset, eligible) = (asked.flushed_offset, (asked.is_eligible)());
            let fetch = FollowerFetch { follower, fetch_offset: offset, flushed_offset, eligible };
            let effects = leader.on_follower_fetch(fetch, now);
            self.act(state, effects);
        } else {
            drop(state);
        }
        let high_watermark = self.high_watermark();
        if diverging.is_none() && !in_range {
            return Err(PartitionError::OffsetOutOfRange { offset, log_start_offset, high_watermark });
        }
        let held_back = || !in_sync && offset < end && self.is_held_back(asked.throttle, now);
        let slice = match diverging {
            None if held_back() => None,
            None if offset < end => self.read_log(offset, max_bytes, end, min_one, high_watermark)?,
            _ => None,
        };
        let last_stable_offset = self.last_stable_offset();
        Ok(ReadRecords {
            high_watermark,
            last_stable_offset,
            log_start_offset,
            aborted: Vec::new(),
            slice,
            readable_end: end,
            diverging,
            preferred: None,
        })
    }

    fn is_held_back(&self, throttle: &ReplicationThrottle, now: Monotonic) -> bool {
        let partition = self.topic_partition().partition;
        let held_back = self.config.load().throttled_as_leader.contains(partition) && throttle.wait_ms(now).is_some();
        if held_back {
            throttle.on_held_back();
        }
        held_back
    }

    /// Notes that a follower was sent so many bytes of records.
    pub fn on_fetched_by_follower(&self, bytes: usize, throttle: &ReplicationThrottle, now: Monotonic) {
        if self.config.load().throttled_as_leader.contains(self.topic_partition().partition) {
            throttle.record(bytes, now);
        }
    }

    /// The in-sync followers whose logs reach to `offset`, the one that is furthest first (KIP-392); none when this
    /// replica does not lead.
    pub fn followers_with(&self, offset: Offset) -> Vec<BrokerId> {
        let state = self.state();
        let Role::Leader(leader) = &state.role else { return Vec::new() };
        let mut followers: Vec<_> = leader.in_sync_followers().filter(|&(_, end)| end >= offset).collect();
        followers.sort_by_key(|&(_, end)| std::cmp::Reverse(end));
        followers.into_iter().map(|(id, _)| id).collect()
    }

    /// A broker is active under this epoch, or not any more.
    pub(super) fn on_broker(&self, id: BrokerId, active: Option<BrokerEpoch>) {
        let mut state = self.state();
        if let Role::Leader(leader) = &mut state.role {
            let effects = leader.on_broker(id, active);
            self.act(state, effects);
        }
    }

    /// Time passes: followers that lag leave the ISR.
    pub(super) fn tick(&self, now: Monotonic) {
        let mut state = self.state();
        if let Role::Leader(leader) = &mut state.role {
            let effect = leader.tick(now);
            self.act(state, effect);
        }
    }

    /// True while this is the proposal to send.
    pub(super) fn is_pending(&self, proposal: &IsrProposal) -> bool {
        matches!(&self.state().role, Role::Leader(leader) if leader.pending_proposal() == Some(proposal))
    }

    /// The controller has answered a proposal. An answer to an earlier leadership changes nothing.
    pub(super) fn take_isr_decision(&self, decision: IsrDecision) {
        let mut state = self.state();
        let Role::Leader(leader) = &mut state.role else { return };
        let effect = match decision {
            IsrDecision::Decided { leader_epoch, partition_epoch, isr } if leader_epoch == leader.leader_epoch() => {
                leader.on_isr_decided(partition_epoch, isr, leader.min_isr())
            }
            IsrDecision::Refused { request_id, leader_epoch } if leader_epoch == leader.leader_epoch() => {
                leader.on_isr_refused(request_id)
            }
            _ => return,
        };
        let may_commit = leader.has_min_isr();
        self.act(state, effect);
        self.tell_when_nothing_commits(may_commit);
    }

    /// DeleteRecords up to `offset`; −1 stands for the high watermark. Answers the new log start offset.
    pub fn delete_records(&self, offset: Offset) -> Result<Offset, PartitionError> {
        let high_watermark = self.high_watermark();
        let mut state = self.state();
        let State { log: Some(log), role: Role::Leader(_) } = &mut *state else { return Err(self.not_leader()) };
        if !log.config().cleanup_policy.delete {
            return Err(PartitionError::NotDeletable);
        }
        let target = if offset == -1 { high_watermark } else { offset };
        if target < 0 || target > high_watermark {
            let log_start_offset = log.log_start_offset();
            return Err(PartitionError::OffsetOutOfRange { offset: target, log_start_offset, high_watermark });
        }
        log.advance_log_start_offset(target)?;
        Ok(log.log_start_offset())
    }
}
