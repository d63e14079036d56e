//! One member of a group of the consumer protocol.

use std::sync::Arc;

use crate::group::{CurrentAssignment, Partitions, Subscription};
use crate::model::TopicId;

/// What the log says about a member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsumerMember {
    /// What it is and wants.
    pub subscription: Arc<Subscription>,
    /// What it shall own in the end.
    pub target: Arc<Partitions>,
    /// What it owns.
    pub current: Arc<CurrentAssignment>,
}

/// How far a member has come on its way to its target. The numbers are Kafka's, in records: keep stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(i8)]
pub enum MemberState {
    /// It owns what it shall.
    #[default]
    Stable = 0,
    /// It has to give up partitions, and has not said that it has.
    UnrevokedPartitions = 1,
    /// It waits for partitions that others have to give up.
    UnreleasedPartitions = 2,
    /// Written by a newer broker.
    Unknown = 127,
}

impl MemberState {
    /// The state that a record's number stands for.
    pub fn from_number(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

impl ConsumerMember {
    /// True when it speaks the classic protocol.
    pub fn is_classic(&self) -> bool {
        self.subscription.classic.is_some()
    }

    /// True when it owns what it shall as of this epoch.
    pub fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.epoch == epoch
    }
}

impl CurrentAssignment {
    /// All that it owns, with what it has to give up.
    pub fn partitions(&self) -> impl Iterator<Item = &(TopicId, i32)> {
        self.assigned.keys().chain(self.revoking.keys())
    }
}
