//! What can happen to a transactional id: requests of producers, written markers, time.

use std::collections::BTreeSet;

use crate::model::{ProducerEpoch, ProducerId, TopicPartition};
use crate::record::TransactionResult;

/// A producer in one of its epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer {
    /// Its id.
    pub id: ProducerId,
    /// Fences those that had the id before.
    pub epoch: ProducerEpoch,
}

/// How a client ends its transactions: Kafka's feature `transaction.version`. What a client speaks is told by the
/// versions of its requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TransactionVersion {
    /// The epoch stays the same from one transaction to the next; partitions are added before they are written to.
    #[default]
    V1,
    /// The epoch rises at each end, and writing to a partition adds it (KIP-890).
    V2,
}

impl TransactionVersion {
    /// The feature's level.
    pub fn level(self) -> i8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The version of a feature level; levels 0 and 1 differ only in how records are written.
    pub fn from_level(level: i16) -> Self {
        if level >= 2 { Self::V2 } else { Self::V1 }
    }
}

/// What a transactional id's machine reacts to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A producer begins to use the id.
    Init(InitProducer),
    /// It will write, or writes, to partitions.
    AddPartitions(AddPartitions),
    /// It ends its transaction.
    End(EndTransaction),
    /// The markers of these partitions are committed, or their topics exist no more.
    MarkersWritten(Vec<TopicPartition>),
    /// The last record has been replayed: what was decided must be carried out.
    Loaded,
    /// Time has passed: a transaction may have taken too long.
    CheckTimeout,
    /// Time has passed: the id may not have been used for long.
    CheckExpiration,
}

/// An InitProducerId request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitProducer {
    /// How long a transaction may take.
    pub timeout_ms: i32,
    /// What the producer was before an error that it recovers from (KIP-360).
    pub known: Option<Producer>,
    /// A producer id that nobody has had, in answer to [`super::Effect::NeedProducerId`].
    pub fresh: Option<ProducerId>,
}

/// An AddPartitionsToTxn or AddOffsetsToTxn request, or the first write of a transaction of version 2.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddPartitions {
    /// Who asks.
    pub producer: Producer,
    /// Which partitions. Those of `__consumer_offsets` stand for groups.
    pub partitions: BTreeSet<TopicPartition>,
    /// What the client speaks.
    pub version: TransactionVersion,
}

/// An EndTxn request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndTransaction {
    /// Who asks.
    pub producer: Producer,
    /// Commit or abort.
    pub result: TransactionResult,
    /// What the client speaks.
    pub version: TransactionVersion,
    /// A producer id that nobody has had, in answer to [`super::Effect::NeedProducerId`].
    pub fresh: Option<ProducerId>,
}
