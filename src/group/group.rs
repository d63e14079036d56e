//! A group: its members under the protocol it speaks, and what it has committed.

use std::sync::Arc;

use super::offsets::{commit, tombstone};
use super::{
    ClassicGroup, CommittedOffset, CommittedOffsets, Effect, Event, GroupConfig, GroupRecord, Now, OffsetCommit,
    OffsetCommitDecision, PendingOffsets,
};
use crate::model::{ErrorCode, Monotonic, ProducerId, TopicId, Wall};
use crate::record::TransactionResult;

/// One group. Offsets change only by [`Group::replay`], after their records were appended; membership changes
/// when it is decided, and is replayed only while a coordinator loads.
#[derive(Clone, Debug, Default)]
pub struct Group {
    classic: ClassicGroup,
    offsets: CommittedOffsets,
    pending: PendingOffsets,
}

impl Group {
    /// Takes over the fact that a record states. After a tombstone for the group itself, or of the last offset
    /// of a group without members, it is [vacant](Self::is_vacant).
    pub fn replay(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::Metadata(Some(metadata)) => self.classic = ClassicGroup::from_record(metadata),
            GroupRecord::Metadata(None) => self.classic = ClassicGroup::default(),
            GroupRecord::Offset { topic, partition, value } => {
                if value.is_some() {
                    self.pending.overtake(&topic, partition);
                }
                self.offsets.replay(topic, partition, value);
            }
        }
    }

    /// Takes over a record that counts only once the transaction of `producer_id` is committed.
    pub fn replay_pending(&mut self, producer_id: ProducerId, record: GroupRecord) {
        if let GroupRecord::Offset { topic, partition, value: Some(value) } = record {
            self.pending.add(producer_id, topic, partition, value);
        }
    }

    /// The transaction of `producer_id` has ended: its offsets count, or never will.
    pub fn end_transaction(&mut self, producer_id: ProducerId, result: TransactionResult) {
        for ((topic, partition), value) in self.pending.take(producer_id) {
            if result == TransactionResult::Commit {
                self.offsets.replay(topic, partition, Some(value));
            }
        }
    }

    /// Offsets of open transactions.
    pub fn pending(&self) -> &PendingOffsets {
        &self.pending
    }

    /// To be called once after the last record was replayed: sessions begin now.
    pub fn on_loaded(&mut self, config: &GroupConfig, now: Now) -> Vec<Effect> {
        self.classic.on_loaded(config, now)
    }

    /// Takes in one event and says what is to be done.
    pub fn on_event(&mut self, event: Event, config: &GroupConfig, now: Now) -> Vec<Effect> {
        self.classic.on_event(event, config, now)
    }

    /// When [`Event::TimersDue`] shall be sent; may be early, never late.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.classic.next_deadline()
    }

    /// Its membership.
    pub fn classic(&self) -> &ClassicGroup {
        &self.classic
    }

    /// Its committed offsets.
    pub fn offsets(&self) -> &CommittedOffsets {
        &self.offsets
    }

    /// True when nothing would be lost by forgetting the group.
    pub fn is_vacant(&self) -> bool {
        self.classic.is_vacant() && self.offsets.is_empty() && self.pending.is_empty()
    }

    /// Decides a commit: who may, and which partitions are refused. Errors are for the whole request.
    pub fn commit_offsets(
        &mut self,
        request: &OffsetCommit,
        config: &GroupConfig,
        now: Now,
    ) -> Result<OffsetCommitDecision, ErrorCode> {
        let instance = request.group_instance_id.as_deref();
        self.classic.check_offset_commit(&request.member_id, instance, request.generation)?;
        self.classic.on_offset_commit(&request.member_id, now);
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
        self.classic.check_transactional_commit(&request.member_id, instance, request.generation)?;
        self.classic.on_offset_commit(&request.member_id, now);
        Ok(commit(request, config, now))
    }

    /// Decides an OffsetDelete: tombstones for what is there, unless a member consumes the topic.
    pub fn delete_offsets(&self, partitions: &[(Arc<str>, i32)]) -> Result<OffsetCommitDecision, ErrorCode> {
        self.classic.check_offset_delete()?;
        let mut decision = OffsetCommitDecision::default();
        for (topic, partition) in partitions {
            if self.classic.is_subscribed_to(topic) {
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
        self.classic.check_delete()?;
        let mut records = self.offsets.tombstones(|_, _| true);
        records.push(GroupRecord::Metadata(None));
        Ok(records)
    }

    /// Tombstones for offsets whose retention is over; when that leaves an empty group without offsets, for
    /// the group too.
    pub fn expire_offsets(&self, config: &GroupConfig, now: Wall) -> Vec<GroupRecord> {
        let expired = |topic: &str, offset: &CommittedOffset| {
            !self.classic.is_subscribed_to(topic) && self.is_expired(offset, config, now)
        };
        let mut records = self.offsets.tombstones(expired);
        let nothing_left = records.len() == self.offsets.len() && self.pending.is_empty();
        if nothing_left && self.classic.check_delete().is_ok() && !self.classic.has_pending_members() {
            records.push(GroupRecord::Metadata(None));
        }
        records
    }

    /// Tombstones for offsets of topics that exist no more. `is_gone` is asked for a name and the id the offset
    /// was committed for, which is [`crate::model::Uuid::ZERO`] when it is not known.
    pub fn forget_deleted_topics(&self, is_gone: impl Fn(&str, TopicId) -> bool) -> Vec<GroupRecord> {
        self.offsets.tombstones(|topic, offset| is_gone(topic, offset.topic_id))
    }

    fn is_expired(&self, offset: &CommittedOffset, config: &GroupConfig, now: Wall) -> bool {
        let Some(start) = self.classic.retention_starts(offset) else { return false };
        match offset.expire_timestamp {
            Some(expire_timestamp) => now >= expire_timestamp,
            None => now.0.saturating_sub(start.0) >= config.offsets_retention_ms,
        }
    }
}
