//! Why a replay ends.

use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, TopicId};

/// Why a record cannot be replayed. None of these is survivable: the node must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ReplayError {
    #[error("a record of a kind that this version does not know: a newer version wrote it, upgrade this node")]
    UnknownRecord,
    #[error("{field} has the value {value}, which this version does not know: upgrade this node")]
    UnknownValue { field: &'static str, value: i64 },
    #[error("record {found} cannot follow record {applied}")]
    Gap { applied: i64, found: i64 },
    #[error("{field} is not an id of 16 bytes")]
    InvalidId { field: &'static str },
    #[error("the cluster is {ours} and cannot become {theirs}")]
    ClusterIdConflict { ours: String, theirs: String },
    #[error("broker {broker} is not registered with epoch {epoch}")]
    UnknownBroker { broker: BrokerId, epoch: BrokerEpoch },
    #[error("topic {topic} exists already")]
    TopicExists { topic: String },
    #[error("there is no topic with the id {topic}")]
    UnknownTopic { topic: TopicId },
    #[error("topic {topic} has {count} partitions, so partition {partition} does not fit")]
    UnknownPartition { topic: String, partition: i32, count: usize },
    #[error("{topic}-{partition} cannot go from epochs {from:?} to {to:?}")]
    EpochRegression {
        topic: String,
        partition: i32,
        from: (PartitionEpoch, LeaderEpoch),
        to: (PartitionEpoch, LeaderEpoch),
    },
}
