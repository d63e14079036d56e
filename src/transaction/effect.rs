//! What the machine wants done.

use std::collections::BTreeSet;

use super::{Producer, TransactionRecord, TransactionVersion};
use crate::model::{ErrorCode, TopicPartition};
use crate::record::TransactionResult;

/// One thing to be done, in the order given. When an append fails, the rest is left out and whoever asked is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The event is to come again with a producer id that nobody has had. Nothing else was decided.
    NeedProducerId,
    /// To be appended, then replayed; `None` forgets the transactional id.
    Append(Option<TransactionRecord>),
    /// To be written once everything appended is committed (invariant B7).
    WriteMarkers(Markers),
    /// The answer, given once everything appended is committed.
    Reply(Result<Producer, ErrorCode>),
}

/// The end of a transaction, to be written into all of its partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Markers {
    /// The producer, in the epoch that it has from now on.
    pub producer: Producer,
    /// Commit or abort.
    pub result: TransactionResult,
    /// What the client speaks.
    pub version: TransactionVersion,
    /// Partitions that have no marker yet.
    pub partitions: BTreeSet<TopicPartition>,
}
