//! Who may commit and fetch offsets (invariant C2).

use super::{ConsumerGroup, ConsumerMember};
use crate::group::OffsetCommit;
use crate::model::ErrorCode;

impl ConsumerGroup {
    /// Accepts a commit of a member, or, while the group is empty, of a simple consumer.
    pub(in crate::group) fn check_offset_commit(&self, request: &OffsetCommit) -> Result<(), ErrorCode> {
        if request.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.member(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.is_classic() && !request.knows_member_epochs {
            return Err(ErrorCode::UnsupportedVersion);
        }
        check_epoch(member, request)
    }

    /// The same for offsets of a transaction, whose producer may name no member.
    pub(in crate::group) fn check_transactional_commit(&self, request: &OffsetCommit) -> Result<(), ErrorCode> {
        let nameless = request.member_id.is_empty() && request.group_instance_id.is_none();
        if request.generation < 0 && (nameless || self.is_empty()) {
            return Ok(());
        }
        check_epoch(self.member(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?, request)
    }

    /// Accepts a fetch of a member, or of somebody who names none.
    pub(in crate::group) fn check_offset_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if member_id.is_none_or(str::is_empty) && epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|member_id| self.member(member_id)).ok_or(ErrorCode::UnknownMemberId)?;
        if member.current.epoch == epoch { Ok(()) } else { Err(stale(member)) }
    }
}

/// A commit with the member's epoch is accepted. One with an older epoch was sent before our last answer arrived:
/// it is accepted when the member owns all of it since that epoch or longer, so that nobody else can have
/// committed meanwhile (KIP-1251).
fn check_epoch(member: &ConsumerMember, request: &OffsetCommit) -> Result<(), ErrorCode> {
    let current = &member.current;
    let owned_since = |partition: &(crate::model::TopicId, i32)| {
        current.assigned.get(partition).or_else(|| current.revoking.get(partition)).copied()
    };
    let is_owned = |topic_id, index| owned_since(&(topic_id, index)).is_some_and(|since| since <= request.generation);
    let accepted = request.generation == current.epoch
        || (request.generation < current.epoch
            && request.partitions.iter().all(|partition| is_owned(partition.topic_id, partition.partition)))
        || mutant!("stale-member-epoch-commits");
    if accepted { Ok(()) } else { Err(stale(member)) }
}

fn stale(member: &ConsumerMember) -> ErrorCode {
    if member.is_classic() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
