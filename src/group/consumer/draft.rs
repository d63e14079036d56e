//! One decision about a group of the consumer protocol: a copy of the group that records are tried on.

use std::sync::Arc;

use super::{Circumstances, ConsumerGroup};
use crate::group::{ConsumerRecord, Note, Rebalance};

/// The group as it will be, and the records that make it so.
pub(in crate::group) struct Draft<'a> {
    pub group: ConsumerGroup,
    pub records: Vec<ConsumerRecord>,
    pub notes: Vec<Note>,
    /// Set when the decision raises the group epoch.
    pub rebalance: Option<Rebalance>,
    /// True when a member spoke the consumer protocol before the decision.
    pub had_consumers: bool,
    /// The group epoch before the decision.
    pub epoch_before: i32,
    pub around: &'a Circumstances<'a>,
}

impl<'a> Draft<'a> {
    /// A decision about `group`.
    pub fn of(group: &ConsumerGroup, around: &'a Circumstances<'a>) -> Self {
        let had_consumers = group.has_consumer_member();
        Self {
            group: group.clone(),
            records: Vec::new(),
            notes: Vec::new(),
            rebalance: None,
            had_consumers,
            epoch_before: group.epoch(),
            around,
        }
    }

    /// Adds a record; what follows in the decision sees it.
    pub fn emit(&mut self, record: ConsumerRecord) {
        self.group.replay(&record);
        self.records.push(record);
    }

    /// Raises the group epoch: the next target assignment is for that.
    pub fn bump(&mut self, reason: String) {
        let mut epoch = self.group.epoch;
        epoch.epoch = epoch.epoch.saturating_add(1);
        epoch.metadata_hash = self.metadata_hash();
        self.group.topics_version = Some(self.around.topics.version());
        self.emit(ConsumerRecord::Epoch(Some(epoch)));
        self.notes.push(Note::EpochBumped { epoch: epoch.epoch, reason: reason.clone() });
        self.rebalance = Some(Rebalance { at: self.around.now.wall, reason });
    }

    /// Takes a member out of the group.
    pub fn remove(&mut self, member_id: &Arc<str>) {
        self.emit(ConsumerRecord::Current { member_id: member_id.clone(), value: None });
        self.emit(ConsumerRecord::Target { member_id: member_id.clone(), value: None });
        self.emit(ConsumerRecord::Subscription { member_id: member_id.clone(), value: None });
    }
}
