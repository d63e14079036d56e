//! One member of a group of the consumer protocol.

use std::sync::Arc;

use crate::group::{CurrentAssignment, MemberState, Partitions, Subscription};
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
