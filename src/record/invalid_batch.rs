//! Why a produced batch is refused, and what the producer is answered.

use crate::model::ErrorCode;

use super::RecordError;

/// Why a produced batch is refused. The texts are for the producer's user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// The bytes are no batch, or its records are broken.
    #[error(transparent)]
    Malformed(#[from] RecordError),
    /// No bytes for a partition.
    #[error("a partition's data must hold exactly one record batch, but it is empty")]
    NoBatch,
    /// More than one batch, or bytes after it.
    #[error("a partition's data must hold exactly one record batch, but {count} bytes follow the first one")]
    MoreThanOneBatch {
        /// Bytes after the first batch.
        count: usize,
    },
    /// Larger than the topic allows.
    #[error("the batch takes {size} bytes, which is more than the {size_max} that max.message.bytes allows")]
    TooLarge {
        /// Bytes of the batch, as sent or as it would be stored.
        size: usize,
        /// The topic's limit.
        size_max: usize,
    },
    /// A header field says what a producer cannot say.
    #[error("{reason}")]
    Header {
        /// The rule that is broken.
        reason: &'static str,
    },
    /// A producer id with an epoch below 0.
    #[error("producer id {producer_id} comes with producer epoch {producer_epoch}")]
    ProducerEpoch {
        /// The producer id field.
        producer_id: i64,
        /// The producer epoch field.
        producer_epoch: i16,
    },
    /// A transactional batch in a request without transactional id.
    #[error("the batch is transactional, but the request names no transactional id")]
    NoTransactionalId,
    /// Zstandard in a version of the request that does not know it.
    #[error("zstd needs version 7 or later of the Produce request")]
    ZstdUnknown,
    /// A record without key in a compacted topic.
    #[error("record {index} has no key, which a compacted topic needs")]
    MissingKey {
        /// Position in the batch, from 0.
        index: i32,
    },
    /// Offset deltas that do not count up from 0.
    #[error("record {index} has offset delta {offset_delta}")]
    OffsetDelta {
        /// Position in the batch, from 0.
        index: i32,
        /// What stands there instead of the position.
        offset_delta: i64,
    },
    /// A create time outside the topic's limits.
    #[error(
        "timestamp {timestamp} of record {index} is not within [{lowest}, {highest}], which the topic's message.timestamp.before.max.ms and message.timestamp.after.max.ms allow"
    )]
    Timestamp {
        /// Position in the batch, from 0; of a compressed batch 0.
        index: i32,
        /// The create time, milliseconds.
        timestamp: i64,
        /// The earliest that is accepted now.
        lowest: i64,
        /// The latest that is accepted now.
        highest: i64,
    },
    /// The producer claims that the broker set the timestamps.
    #[error("a producer cannot send a batch with log append time")]
    LogAppendTime,
}

impl InvalidBatch {
    /// The answer to the producer.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            Self::Malformed(error) => malformed_code(error),
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::ProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            Self::NoTransactionalId => ErrorCode::TransactionalIdAuthorizationFailed,
            Self::ZstdUnknown => ErrorCode::UnsupportedCompressionType,
            Self::Timestamp { .. } | Self::LogAppendTime => ErrorCode::InvalidTimestamp,
            Self::NoBatch
            | Self::MoreThanOneBatch { .. }
            | Self::Header { .. }
            | Self::MissingKey { .. }
            | Self::OffsetDelta { .. } => ErrorCode::InvalidRecord,
        }
    }

    /// Position of the record at fault, for the record errors of Produce 8 and later (KIP-467).
    pub fn record_index(&self) -> Option<i32> {
        match self {
            Self::MissingKey { index }
            | Self::OffsetDelta { index, .. }
            | Self::Timestamp { index, .. }
            | Self::Malformed(RecordError::Record { index, .. }) => Some(*index),
            _ => None,
        }
    }
}

/// As Kafka 4.3 answers: message sets of the formats before v2 are INVALID_RECORD, an unknown magic is corruption.
fn malformed_code(error: &RecordError) -> ErrorCode {
    match error {
        RecordError::Crc { .. } | RecordError::BatchLength { .. } => ErrorCode::CorruptMessage,
        RecordError::Magic { magic } if !matches!(magic, 0 | 1) => ErrorCode::CorruptMessage,
        RecordError::UnknownCodec { .. } => ErrorCode::UnsupportedCompressionType,
        RecordError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        RecordError::Magic { .. }
        | RecordError::Truncated { .. }
        | RecordError::OffsetRange { .. }
        | RecordError::RecordCount { .. }
        | RecordError::Record { .. }
        | RecordError::Corrupt { .. } => ErrorCode::InvalidRecord,
    }
}
