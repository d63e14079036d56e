//! A group: its members under the protocol they speak, and what it has committed.

use std::sync::Arc;

use super::consumer::Draft;
use super::offsets::{commit, tombstone};
use super::{
    Circumstances, ClassicGroup, CommittedOffset, CommittedOffsets, ConsumerGroup, ConsumerHeartbeat,
    ConsumerHeartbeatReply, ConsumerRecord, Effect, Event, GroupConfig, GroupRecord, Heartbeat, JOIN_EPOCH, JoinGroup,
    JoinReply, LeaveGroup, LeaveReply, Note, Now, OffsetCommit, OffsetCommitDecision, PendingOffsets, Rebalance,
    Refusal, State, SyncGroup, SyncReply,
};
use crate::model::{ErrorCode, Monotonic, ProducerId, TopicId, Wall};
use crate::record::TransactionResult;

/// A group's members, under the protocol they speak.
#[derive(Clone, Debug)]
pub enum Membership {
    /// JoinGroup, SyncGroup, Heartbeat, LeaveGroup; also a group without members of any kind.
    Classic(Box<ClassicGroup>),
    /// ConsumerGroupHeartbeat.
    Consumer(Box<ConsumerGroup>),
}

impl Default for Membership {
    fn default() -> Self {
        Self::Classic(Box::default())
    }
}

/// What was decided about a group's members: `records` are to be appended as one batch, and when they are,
/// [`Group::accept`] takes the decision over. `reply` holds once they are committed. A decision that could not be
/// appended leaves no trace.
#[derive(Clone, Debug)]
pub struct Decision<R> {
    /// To be appended; none when nothing changes that has to survive.
    pub records: Vec<GroupRecord>,
    /// The answer.
    pub reply: R,
    next: Membership,
    rebalance: Option<Rebalance>,
    effects: Vec<Effect>,
}

/// One group. Offsets change only by [`Group::replay`], after their records were appended, and so do members of the
/// consumer protocol, by [`Group::accept`]. Members of the classic protocol change when it is decided, and are
/// replayed only while a coordinator loads.
#[derive(Clone, Debug, Default)]
pub struct Group {
    membership: Membership,
    offsets: CommittedOffsets,
    pending: PendingOffsets,
    /// Not in the log.
    last_rebalance: Option<Rebalance>,
}

impl Group {
    /// Takes over the fact that a record states. After a tombstone for the group itself, or of the last offset
    /// of a group without members, it is [vacant](Self::is_vacant).
    pub fn replay(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::Metadata(Some(metadata)) => {
                self.membership = Membership::Classic(Box::new(ClassicGroup::from_record(metadata)));
            }
            GroupRecord::Metadata(None) => {
                if matches!(self.membership, Membership::Classic(_)) {
                    self.membership = Membership::default();
                }
            }
            GroupRecord::Offset { topic, partition, value } => {
                if value.is_some() {
                    self.pending.overtake(&topic, partition);
                }
                self.offsets.replay(topic, partition, value);
            }
            GroupRecord::Consumer(record) => self.replay_consumer(&record),
        }
    }

    fn replay_consumer(&mut self, record: &ConsumerRecord) {
        if let Membership::Consumer(group) = &mut self.membership {
            group.replay(record);
            if group.is_vacant() {
                self.membership = Membership::default();
            }
        } else if record.is_some() {
            let mut group = ConsumerGroup::default();
            group.replay(record);
            self.membership = Membership::Consumer(Box::new(group));
        }
    }

    /// Takes over a record that counts only once the transaction of `producer_id` is committed.
    pub fn replay_pending(&mut self, producer_id: ProducerId, record: GroupRecord) {
        if let GroupRecord::Offset { topic, partition, value: Some(value) } = record {
            if mutant!("pending-offsets-count-at-once") {
                return self.offsets.replay(topic, partition, Some(value));
            }
            self.pending.add(producer_id, topic, partition, value);
        }
    }

    /// The transaction of `producer_id` has ended: its offsets count, or never will.
    pub fn end_transaction(&mut self, producer_id: ProducerId, result: TransactionResult) {
        for ((topic, partition), value) in self.pending.take(producer_id) {
            if result == TransactionResult::Commit || mutant!("aborted-offsets-count") {
                self.offsets.replay(topic, partition, Some(value));
            }
        }
    }

    /// Offsets of open transactions.
    pub fn pending(&self) -> &PendingOffsets {
        &self.pending
    }

    /// To be called once after the last record was replayed: sessions begin now.
    pub fn on_loaded(&mut self, around: &Circumstances<'_>) -> Vec<Effect> {
        if mutant!("new-coordinator-forgets-pending-offsets") {
            self.pending = PendingOffsets::default();
        }
        match &mut self.membership {
            Membership::Classic(group) => group.on_loaded(around.config, around.now),
            Membership::Consumer(group) => {
                group.on_loaded(around);
                Vec::new()
            }
        }
    }

    /// Takes in one event of a classic group and says what is to be done. In a group of the consumer protocol only
    /// the end of this coordinator is an event; what else comes was meant for the group it was before.
    pub fn on_event(&mut self, event: Event, config: &GroupConfig, now: Now) -> Vec<Effect> {
        let Membership::Classic(group) = &mut self.membership else { return Vec::new() };
        let effects = group.on_event(event, config, now);
        self.remember_rebalance(&effects, now.wall);
        effects
    }

    /// The last of the rebalances that began is the one an operator asks about.
    fn remember_rebalance(&mut self, effects: &[Effect], now: Wall) {
        for effect in effects {
            if let Effect::Note(Note::RebalanceStarted { reason, .. }) = effect {
                self.last_rebalance = Some(Rebalance { at: now, reason: reason.clone() });
            }
        }
    }

    /// When [`Event::TimersDue`] or [`Group::run_timers`] is due; may be early, never late.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        match &self.membership {
            Membership::Classic(group) => group.next_deadline(),
            Membership::Consumer(group) => group.next_deadline(),
        }
    }

    /// Its members.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Its members, if they speak the consumer protocol or some do.
    pub fn consumer(&self) -> Option<&ConsumerGroup> {
        match &self.membership {
            Membership::Consumer(group) => Some(group),
            Membership::Classic(_) => None,
        }
    }

    /// Why it last shared out its partitions anew, if that was here.
    pub fn last_rebalance(&self) -> Option<&Rebalance> {
        self.last_rebalance.as_ref()
    }

    /// Its committed offsets.
    pub fn offsets(&self) -> &CommittedOffsets {
        &self.offsets
    }

    /// True when nothing would be lost by forgetting the group.
    pub fn is_vacant(&self) -> bool {
        let nobody = match &self.membership {
            Membership::Classic(group) => group.is_vacant(),
            Membership::Consumer(group) => group.is_vacant(),
        };
        nobody && self.offsets.is_empty() && self.pending.is_empty()
    }

    /// Decides a ConsumerGroupHeartbeat. A classic group becomes one of the consumer protocol by the first that
    /// joins, if it may.
    pub fn consumer_heartbeat(
        &self,
        request: &ConsumerHeartbeat,
        around: &Circumstances<'_>,
    ) -> Result<Decision<ConsumerHeartbeatReply>, Refusal> {
        if !around.config.consumer.enabled {
            let message = "The consumer group protocol is not enabled.";
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, message));
        }
        let not_there = || Refusal::new(ErrorCode::GroupIdNotFound, "The group is not a consumer group.");
        let (mut draft, classic) = match &self.membership {
            Membership::Consumer(group) => (Draft::of(group, around), None),
            Membership::Classic(_) if request.member_epoch != JOIN_EPOCH => return Err(not_there()),
            Membership::Classic(group) if group.state() == State::Empty => {
                (Draft::of(&ConsumerGroup::after(group), around), Some(group))
            }
            Membership::Classic(group) => (Draft::upgrade(group, around)?, Some(group)),
        };
        let reply = draft.heartbeat(request)?;
        let mut decision = draft.into_decision(reply);
        if let Some(classic) = classic {
            decision.leave_classic(classic, around);
        }
        Ok(decision)
    }

    /// Decides a JoinGroup to a group of the consumer protocol.
    pub fn join(&self, request: &JoinGroup, around: &Circumstances<'_>) -> Result<Decision<JoinReply>, Refusal> {
        self.decide(around, |draft| draft.join(request))
    }

    /// Decides a SyncGroup to a group of the consumer protocol.
    pub fn sync(&self, request: &SyncGroup, around: &Circumstances<'_>) -> Result<Decision<SyncReply>, Refusal> {
        self.decide(around, |draft| match draft.sync(request) {
            // The answer is an error, and it has set a clock.
            Err(refusal) => Ok(SyncReply::refused(refusal.error)),
            synced => synced,
        })
    }

    /// Decides a Heartbeat to a group of the consumer protocol.
    pub fn heartbeat(&self, request: &Heartbeat, around: &Circumstances<'_>) -> Result<Decision<ErrorCode>, Refusal> {
        self.decide(around, |draft| draft.classic_heartbeat(request))
    }

    /// Decides a LeaveGroup to a group of the consumer protocol.
    pub fn leave(&self, request: &LeaveGroup, around: &Circumstances<'_>) -> Result<Decision<LeaveReply>, Refusal> {
        self.decide(around, |draft| Ok(draft.classic_leave(request)))
    }

    /// Gives up members of the consumer protocol whose time is over.
    pub fn run_timers(&self, around: &Circumstances<'_>) -> Option<Decision<()>> {
        let timers = |draft: &mut Draft<'_>| {
            draft.run_due_timers();
            Ok(())
        };
        self.decide(around, timers).ok()
    }

    /// Makes a group of the consumer protocol without members a classic one, for somebody who joins by that.
    pub fn make_way_for_classic(&self) -> Option<Decision<()>> {
        let group = self.consumer().filter(|group| group.is_empty())?;
        Some(Decision {
            records: group.tombstones().into_iter().map(GroupRecord::Consumer).collect(),
            reply: (),
            next: Membership::Classic(Box::new(group.classic_after())),
            rebalance: None,
            effects: Vec::new(),
        })
    }

    fn decide<R>(
        &self,
        around: &Circumstances<'_>,
        decide: impl FnOnce(&mut Draft<'_>) -> Result<R, Refusal>,
    ) -> Result<Decision<R>, Refusal> {
        let Membership::Consumer(group) = &self.membership else {
            return Err(Refusal::new(ErrorCode::GroupIdNotFound, "The group is not a consumer group."));
        };
        let mut draft = Draft::of(group, around);
        let reply = decide(&mut draft)?;
        Ok(draft.into_decision(reply))
    }

    /// Takes over a decision whose records were appended, and says what is to be done now.
    pub fn accept<R>(&mut self, decision: Decision<R>) -> (R, Vec<Effect>) {
        let Decision { reply, next, rebalance, effects, .. } = decision;
        self.membership = next;
        if rebalance.is_some() {
            self.last_rebalance = rebalance;
        }
        (reply, effects)
    }

    /// Decides a commit: who may, and which partitions are refused. Errors are for the whole request.
    pub fn commit_offsets(
        &mut self,
        request: &OffsetCommit,
        config: &GroupConfig,
        now: Now,
    ) -> Result<OffsetCommitDecision, ErrorCode> {
        let instance = request.group_instance_id.as_deref();
        match &mut self.membership {
            Membership::Classic(group) => {
                group.check_offset_commit(&request.member_id, instance, request.generation)?;
                group.on_offset_commit(&request.member_id, now);
            }
            Membership::Consumer(group) => group.check_offset_commit(request)?,
        }
        Ok(commit(request, config, now))
    }

    /// Decides a commit that is part of a transaction: the same, for records that are
    /// [pending](Self::replay_pending).
    pub fn commit_transactional_offsets(
        &mut self,
        request: &OffsetCommit,
        config: &GroupConfig,
        now: Now,
    ) -> Result<OffsetCommitDecision, ErrorCode> {
        let instance = request.group_instance_id.as_deref();
        match &mut self.membership {
            Membership::Classic(group) => {
                group.check_transactional_commit(&request.member_id, instance, request.generation)?;
                group.on_offset_commit(&request.member_id, now);
            }
            Membership::Consumer(group) => group.check_transactional_commit(request)?,
        }
        Ok(commit(request, config, now))
    }

    /// Whether this member may fetch offsets now; classic groups do not ask.
    pub fn check_offset_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        self.consumer().map_or(Ok(()), |group| group.check_offset_fetch(member_id, epoch))
    }

    /// Decides an OffsetDelete: tombstones for what is there, unless a member consumes the topic.
    pub fn delete_offsets(&self, partitions: &[(Arc<str>, i32)]) -> Result<OffsetCommitDecision, ErrorCode> {
        if let Membership::Classic(group) = &self.membership {
            group.check_offset_delete()?;
        }
        let mut decision = OffsetCommitDecision::default();
        for (topic, partition) in partitions {
            if self.is_subscribed_to(topic) {
                decision.errors.push(ErrorCode::GroupSubscribedToTopic);
                continue;
            }
            if self.offsets.contains(topic, *partition) {
                decision.records.push(tombstone(topic.clone(), *partition));
            }
            decision.errors.push(ErrorCode::None);
        }
        Ok(decision)
    }

    /// Decides a DeleteGroups: tombstones for everything, if the group is empty.
    pub fn delete(&self) -> Result<Vec<GroupRecord>, ErrorCode> {
        self.check_delete()?;
        let mut records = self.offsets.tombstones(|_, _| true);
        records.extend(self.membership_tombstones());
        Ok(records)
    }

    /// Tombstones for offsets whose retention is over; when that leaves an empty group without offsets, for
    /// the group too.
    pub fn expire_offsets(&self, config: &GroupConfig, now: Wall) -> Vec<GroupRecord> {
        let expired = |topic: &str, offset: &CommittedOffset| {
            !self.is_subscribed_to(topic) && self.is_expired(offset, config, now)
        };
        let mut records = self.offsets.tombstones(expired);
        let nothing_left = records.len() == self.offsets.len() && self.pending.is_empty();
        let awaited = matches!(&self.membership, Membership::Classic(group) if group.has_pending_members());
        if nothing_left && self.check_delete().is_ok() && !awaited {
            records.extend(self.membership_tombstones());
        }
        records
    }

    /// Tombstones for offsets of topics that exist no more. `is_gone` is asked for a name and the id the offset
    /// was committed for, which is [`crate::model::Uuid::ZERO`] when it is not known.
    pub fn forget_deleted_topics(&self, is_gone: impl Fn(&str, TopicId) -> bool) -> Vec<GroupRecord> {
        self.offsets.tombstones(|topic, offset| is_gone(topic, offset.topic_id))
    }

    fn check_delete(&self) -> Result<(), ErrorCode> {
        match &self.membership {
            Membership::Classic(group) => group.check_delete(),
            Membership::Consumer(group) if group.is_empty() => Ok(()),
            Membership::Consumer(_) => Err(ErrorCode::NonEmptyGroup),
        }
    }

    fn membership_tombstones(&self) -> Vec<GroupRecord> {
        match &self.membership {
            Membership::Classic(_) => vec![GroupRecord::Metadata(None)],
            Membership::Consumer(group) => group.tombstones().into_iter().map(GroupRecord::Consumer).collect(),
        }
    }

    fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.membership {
            Membership::Classic(group) => group.is_subscribed_to(topic),
            Membership::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    fn is_expired(&self, offset: &CommittedOffset, config: &GroupConfig, now: Wall) -> bool {
        let start = match &self.membership {
            Membership::Classic(group) => group.retention_starts(offset),
            Membership::Consumer(_) => Some(offset.commit_timestamp),
        };
        let Some(start) = start else { return false };
        match offset.expire_timestamp {
            Some(expire_timestamp) => now >= expire_timestamp,
            None => now.0.saturating_sub(start.0) >= config.offsets_retention_ms,
        }
    }
}

impl Draft<'_> {
    /// The decision that this draft has come to. A group whose last member of the consumer protocol went by it
    /// becomes a classic one.
    fn into_decision<R>(mut self, reply: R) -> Decision<R> {
        let mut effects: Vec<Effect> = std::mem::take(&mut self.notes).into_iter().map(Effect::Note).collect();
        let lost_the_last = self.had_consumers && !self.group.has_consumer_member();
        let downgraded = if lost_the_last { self.downgrade() } else { None };
        let mut records: Vec<_> = self.records.into_iter().map(GroupRecord::Consumer).collect();
        let next = match downgraded {
            None => Membership::Consumer(Box::new(self.group)),
            Some((classic, following)) => {
                records.extend(self.group.tombstones().into_iter().map(GroupRecord::Consumer));
                records.push(GroupRecord::Metadata(Some(classic.record())));
                effects.push(Effect::Note(Note::Migrated { to_consumer: false }));
                effects.extend(following);
                Membership::Classic(Box::new(classic))
            }
        };
        Decision { records, reply, next, rebalance: self.rebalance, effects }
    }
}

impl<R> Decision<R> {
    /// The group was a classic one before: its record goes, and whoever waits in it joins again.
    fn leave_classic(&mut self, classic: &ClassicGroup, around: &Circumstances<'_>) {
        if classic.is_persisted() {
            self.records.insert(0, GroupRecord::Metadata(None));
        }
        let mut classic = classic.clone();
        let resigned = classic.on_event(Event::Resign(ErrorCode::RebalanceInProgress), around.config, around.now);
        self.effects.extend(resigned);
        self.effects.push(Effect::Note(Note::Migrated { to_consumer: true }));
    }
}

impl ConsumerRecord {
    /// False for a tombstone.
    pub fn is_some(&self) -> bool {
        match self {
            Self::Epoch(value) => value.is_some(),
            Self::Subscription { value, .. } => value.is_some(),
            Self::TargetEpoch(value) => value.is_some(),
            Self::Target { value, .. } => value.is_some(),
            Self::Current { value, .. } => value.is_some(),
            Self::Regex { value, .. } => value.is_some(),
        }
    }
}

#[cfg(test)]
impl Group {
    /// Its members, which speak the classic protocol.
    pub(super) fn classic(&self) -> &ClassicGroup {
        match &self.membership {
            Membership::Classic(group) => group,
            Membership::Consumer(group) => panic!("not a classic group: {group:?}"),
        }
    }
}
