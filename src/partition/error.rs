//! Why a partition cannot do what it is asked.

use crate::log::{LogError, ProducerRefusal};
use crate::model::{ErrorCode, LeaderEpoch, Offset, TopicPartition};
use crate::record::InvalidBatch;

/// An answer, or a fault on the way to one.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// Nobody knows the topic or the partition.
    #[error("this server does not host this topic-partition")]
    UnknownTopicOrPartition,
    /// No topic has this id.
    #[error("this server does not host this topic id")]
    UnknownTopicId,
    /// The name and the id that were given belong to two topics.
    #[error("the topic id does not belong to the topic of that name")]
    InconsistentTopicId,
    /// The replica here does not lead.
    #[error("this broker does not lead {0}")]
    NotLeader(TopicPartition),
    /// The log could not be opened; the reason was logged then.
    #[error("the log of {0} is offline")]
    Offline(TopicPartition),
    /// The client knows an older leader epoch.
    #[error("leader epoch {asked} is older than the current {current}")]
    FencedLeaderEpoch {
        /// The client's.
        asked: LeaderEpoch,
        /// Ours.
        current: LeaderEpoch,
    },
    /// The client knows a newer leader epoch than this broker.
    #[error("leader epoch {asked} is newer than the current {current}")]
    UnknownLeaderEpoch {
        /// The client's.
        asked: LeaderEpoch,
        /// Ours.
        current: LeaderEpoch,
    },
    /// acks=all below `min.insync.replicas`; nothing was appended.
    #[error("{in_sync} replicas in sync are fewer than min.insync.replicas")]
    NotEnoughReplicas {
        /// How many there are.
        in_sync: usize,
    },
    /// The ISR fell below the minimum between append and commit; the outcome is unknown.
    #[error("the records were appended, but the replicas in sync are fewer than min.insync.replicas")]
    NotEnoughReplicasAfterAppend,
    /// The replicas took longer than the producer's timeout.
    #[error("the replicas did not confirm in time")]
    TimedOut,
    /// A new leader does not know yet how far its predecessor let consumers read (KIP-207).
    #[error("the leader has not caught up with its epoch's start yet")]
    OffsetNotAvailable,
    /// Outside of the log, or above the high watermark.
    #[error("offset {offset} is outside {log_start_offset}..={high_watermark}")]
    OffsetOutOfRange {
        /// As asked.
        offset: Offset,
        /// First offset that can be read.
        log_start_offset: Offset,
        /// First offset that cannot.
        high_watermark: Offset,
    },
    /// The disk has less free space than is kept for other things than produced records; nothing was appended.
    #[error("the disk of this partition's leader is nearly full; it takes records again once there is room")]
    NoRoom,
    /// DeleteRecords on a compacted topic.
    #[error("records of a topic without cleanup.policy=delete cannot be deleted")]
    NotDeletable,
    /// The batch is not one that this topic takes.
    #[error(transparent)]
    InvalidBatch(#[from] InvalidBatch),
    /// The producer may not append this batch.
    #[error(transparent)]
    ProducerRefused(#[from] ProducerRefusal),
    /// The disk, or damage on it.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl PartitionError {
    /// What a client is answered.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownTopicId => ErrorCode::UnknownTopicId,
            Self::InconsistentTopicId => ErrorCode::InconsistentTopicId,
            Self::NotLeader(_) => ErrorCode::NotLeaderOrFollower,
            Self::Offline(_) | Self::NoRoom => ErrorCode::KafkaStorageError,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::UnknownLeaderEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            Self::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            Self::NotEnoughReplicasAfterAppend => ErrorCode::NotEnoughReplicasAfterAppend,
            Self::TimedOut => ErrorCode::RequestTimedOut,
            Self::OffsetNotAvailable => ErrorCode::OffsetNotAvailable,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::NotDeletable => ErrorCode::PolicyViolation,
            Self::InvalidBatch(invalid) => invalid.error_code(),
            Self::ProducerRefused(refusal) => refusal.error_code(),
            Self::Log(error) => error.error_code(),
        }
    }
}
