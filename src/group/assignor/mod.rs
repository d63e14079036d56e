//! Who shall own what: Kafka's assignors for groups of the consumer protocol.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::group::Partitions;
use crate::model::TopicId;

/// A way of sharing out partitions. The names are Kafka's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Assignor {
    /// As even as can be, and as little moved as can be.
    #[default]
    Uniform,
    /// Each topic's partitions in order, cut into as many runs as it has subscribers: topics with the same number
    /// of partitions are read by the same members.
    Range,
}

impl Assignor {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of this name; Kafka's class names are names too.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("org.apache.kafka.coordinator.group.assignor.").unwrap_or(name);
        match name {
            "uniform" | "UniformAssignor" => Some(Self::Uniform),
            "range" | "RangeAssignor" => Some(Self::Range),
            _ => None,
        }
    }

    /// Gives each partition of each subscribed topic to one member that wants it.
    pub(super) fn assign(self, members: &[Assignee], partitions: &BTreeMap<TopicId, i32>) -> Assignment {
        match self {
            Self::Uniform => uniform::assign(members, partitions),
            Self::Range => range::assign(members, partitions),
        }
    }
}

/// A member, for an assignor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Assignee {
    pub member_id: Arc<str>,
    pub instance_id: Option<String>,
    /// The topics it wants, as far as they exist.
    pub topics: BTreeSet<TopicId>,
    /// What it shall own until now.
    pub target: Arc<Partitions>,
}

/// What each member shall own.
pub(super) type Assignment = BTreeMap<Arc<str>, Partitions>;

#[cfg(test)]
mod properties;
