//! Ids and epochs, one type each.

use std::fmt;
use std::sync::Arc;

use super::Uuid;

/// A position in a partition's log: the offset of a record, or one past the last (`log_end_offset`,
/// `high_watermark`). Real offsets are never negative; −1 is Kafka's "none".
pub type Offset = i64;

macro_rules! number_type {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$repr> for $name {
            fn from(value: $repr) -> Self {
                Self(value)
            }
        }
    };
}

number_type!(
    /// A broker's `node.id`, the name people use for it. Not negative.
    BrokerId(i32)
);
number_type!(
    /// One life of a broker: the metadata log index of its registration record (invariant D5).
    BrokerEpoch(i64)
);
number_type!(
    /// Counts the processes that were started on a broker's data directories: of two registrations of one broker, the one
    /// with the higher number is the later process's. 0 when it is not known.
    StartNumber(i64)
);
number_type!(
    /// Counts the leaders of a partition; a batch is stamped with the epoch it was appended in.
    LeaderEpoch(i32)
);
number_type!(
    /// Counts every change of a partition's state; AlterPartition is a compare-and-set on it.
    PartitionEpoch(i32)
);
number_type!(
    /// An idempotent producer's id, handed out in blocks by the controller.
    ProducerId(i64)
);
number_type!(
    /// Fences earlier incarnations of one producer id.
    ProducerEpoch(i16)
);
number_type!(
    /// A topic's identity for its whole life; a topic deleted and created anew has another one.
    TopicId(Uuid)
);
number_type!(
    /// Identity of a data directory, written in its `meta.properties` (`directory.id`).
    DirectoryId(Uuid)
);

impl LeaderEpoch {
    /// Kafka's "no epoch".
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);

    /// The epoch of the next leader.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl PartitionEpoch {
    /// The epoch after one more change.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl BrokerId {
    /// Kafka's "no broker", as in a partition without a leader.
    pub const NONE: BrokerId = BrokerId(-1);
}

impl ProducerId {
    /// What a batch of a producer that is not idempotent carries.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl ProducerEpoch {
    /// What a batch of a producer that is not idempotent carries.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}

/// A partition by name. Cheap to clone: the name is shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Index of the partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
