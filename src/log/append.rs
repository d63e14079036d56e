//! What comes of an append.

use crate::model::{ErrorCode, Offset, ProducerEpoch, ProducerId};

/// Where a batch lies in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendInfo {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The largest timestamp of the batch, which is the append time for `LogAppendTime`; milliseconds.
    pub max_timestamp: i64,
    /// Where the log starts.
    pub log_start_offset: Offset,
}

/// The outcome of a leader's append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendOutcome {
    /// The batch is in the log.
    Appended(AppendInfo),
    /// The batch was in the log already: here is where. Nothing was written.
    Duplicate(AppendInfo),
    /// The producer may not append this batch. Nothing was written.
    Refused(ProducerRefusal),
}

/// Why a producer's batch is refused. Answers, not faults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProducerRefusal {
    /// The sequence number does not continue the producer's last.
    #[error(
        "out of order sequence number for producer {producer_id}: {base_sequence} (incoming), {last_sequence} (current end)"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// First sequence number of the batch.
        base_sequence: i32,
        /// The last one in the log; −1 for none.
        last_sequence: i32,
    },
    /// An earlier batch of the producer was refused, or may be on its way to the previous leader: it has to come first.
    #[error("producer {producer_id} has to send again what comes before sequence number {base_sequence}")]
    TooEarly {
        /// The producer.
        producer_id: ProducerId,
        /// First sequence number of the batch.
        base_sequence: i32,
    },
    /// The batch was appended once, but so long ago that its offset is not remembered.
    #[error("duplicate of sequence numbers {base_sequence} to {last_sequence} of producer {producer_id}")]
    DuplicateSequence {
        /// The producer.
        producer_id: ProducerId,
        /// First sequence number of the batch.
        base_sequence: i32,
        /// Its last.
        last_sequence: i32,
    },
    /// Another incarnation of the producer has written since.
    #[error("epoch {producer_epoch} of producer {producer_id} is smaller than the last seen epoch {current_epoch}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// The batch's epoch.
        producer_epoch: ProducerEpoch,
        /// The newest epoch in the log.
        current_epoch: ProducerEpoch,
    },
    /// A marker of a transaction coordinator that has a successor.
    #[error(
        "coordinator epoch {coordinator_epoch} of producer {producer_id} is smaller than the last seen {current_epoch}"
    )]
    CoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// The marker's epoch.
        coordinator_epoch: i32,
        /// The newest epoch in the log.
        current_epoch: i32,
    },
    /// A transactional batch that nobody has verified to belong to an ongoing transaction.
    #[error("producer {producer_id} wrote outside of an ongoing transaction")]
    NotVerified {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A batch outside of the transaction that the producer has open.
    #[error("producer {producer_id} has a transaction open since offset {first_offset} and wrote outside of it")]
    InvalidTxnState {
        /// The producer.
        producer_id: ProducerId,
        /// Where its transaction began.
        first_offset: Offset,
    },
}

impl ProducerRefusal {
    /// What the producer is answered.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            ProducerRefusal::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            ProducerRefusal::TooEarly { .. } => ErrorCode::NotEnoughReplicas,
            ProducerRefusal::DuplicateSequence { .. } => ErrorCode::DuplicateSequenceNumber,
            ProducerRefusal::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerRefusal::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            ProducerRefusal::NotVerified { .. } | ProducerRefusal::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        }
    }
}
