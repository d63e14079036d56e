//! Who may commit offsets, and when offsets expire.

use super::{ClassicGroup, State};
use crate::group::{CONSUMER_PROTOCOL_TYPE, CommittedOffset, Now};
use crate::model::{ErrorCode, Wall};

impl ClassicGroup {
    /// Accepts a commit of a current member, or, while the group is empty, of a simple consumer: somebody who
    /// only uses the group's name, with generation -1 and no member id.
    pub(in crate::group) fn check_offset_commit(
        &self,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation < 0 && member_id.is_empty() && group_instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(member_id, group_instance_id)?;
        if !mutant!("commit-of-another-generation") {
            self.check_generation(generation)?;
        }
        if self.state == State::CompletingRebalance {
            // The member's partitions may be somebody else's already; it shall sync first.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// The same for offsets of a transaction. Old clients name no member, and during a rebalance the producer's epoch
    /// keeps former members out.
    pub(in crate::group) fn check_transactional_commit(
        &self,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let nameless = member_id.is_empty() && group_instance_id.is_none();
        if generation < 0 && (nameless || self.state == State::Empty) {
            return Ok(());
        }
        self.check_member(member_id, group_instance_id)?;
        if mutant!("transaction-of-another-generation-commits") {
            return Ok(());
        }
        self.check_generation(generation)
    }

    /// A commit is a sign of life too.
    pub(in crate::group) fn on_offset_commit(&mut self, member_id: &str, now: Now) {
        if !matches!(self.state, State::Stable | State::PreparingRebalance) {
            return;
        }
        if let Some(member) = self.members.get_mut(member_id) {
            let deadline = member.restart_session(now.monotonic);
            self.wake_not_later_than(deadline);
        }
    }

    /// Offsets of consumers may be deleted while nobody consumes the topic; any other group must be empty.
    pub(in crate::group) fn check_offset_delete(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            State::Empty => Ok(()),
            _ if self.uses_consumer_protocol() => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// Only an empty group may be deleted.
    pub(in crate::group) fn check_delete(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            State::Empty => Ok(()),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }

    /// True when a member consumes the topic, or when that cannot be ruled out.
    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// From when an offset's retention counts; none while it must not expire at all.
    ///
    /// | group | counts from |
    /// |---|---|
    /// | never had members (simple consumers) | the commit |
    /// | empty | when it became empty, or the commit if that was later |
    /// | stable consumers, topics known | the commit (subscribed topics never expire) |
    /// | anything else | does not expire |
    pub(in crate::group) fn retention_starts(&self, offset: &CommittedOffset) -> Option<Wall> {
        if self.protocol_type.is_none() {
            return Some(offset.commit_timestamp);
        }
        match self.state {
            State::Empty => Some(self.state_since.unwrap_or(offset.commit_timestamp).max(offset.commit_timestamp)),
            State::Stable if self.uses_consumer_protocol() && self.subscribed_topics.is_some() => {
                Some(offset.commit_timestamp)
            }
            _ => None,
        }
    }

    fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }
}
