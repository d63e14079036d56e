//! What `__transaction_state` keeps of a transactional id.
//!
//! This module knows what it says; how it looks as bytes is the coordinator's business.

use std::collections::BTreeSet;
use std::fmt;

use super::TransactionVersion;
use crate::model::{ProducerEpoch, ProducerId, TopicPartition, Wall};

/// Where a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TransactionState {
    /// A producer has the id and has not begun.
    #[default]
    Empty,
    /// Partitions are being written to.
    Ongoing,
    /// It will be committed, whatever happens.
    PrepareCommit,
    /// It will be aborted, whatever happens.
    PrepareAbort,
    /// All partitions know that it was committed.
    CompleteCommit,
    /// All partitions know that it was aborted.
    CompleteAbort,
}

impl TransactionState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// Kafka's name, as DescribeTransactions has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// True between the decision about an end and its completion.
    pub fn is_ending(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything that is known of a transactional id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionRecord {
    /// The producer that may write.
    pub producer_id: ProducerId,
    /// In this epoch.
    pub producer_epoch: ProducerEpoch,
    /// The producer id before the last rotation, or [`ProducerId::NONE`].
    pub previous_producer_id: ProducerId,
    /// The producer id from the end of the transaction on, or [`ProducerId::NONE`] when it stays.
    pub next_producer_id: ProducerId,
    /// The epoch that the producer had before its last one, as far as it is a retry that may name it. Not in the log:
    /// a new coordinator does not know it.
    pub last_producer_epoch: ProducerEpoch,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: TransactionState,
    /// The partitions it has written to.
    pub partitions: BTreeSet<TopicPartition>,
    /// When the transaction began.
    pub started: Option<Wall>,
    /// When this record was decided on.
    pub last_update: Wall,
    /// What the client speaks.
    pub client_version: TransactionVersion,
}
