//! The records of control batches: the markers that end a transaction.
//!
//! | | field | bytes | note |
//! |---|---|---|---|
//! | key | version | 2 | 0 |
//! | key | type | 2 | 0 abort, 1 commit; others (2 to 6) belong to Raft logs |
//! | value | version | 2 | 0; later ones append tagged fields |
//! | value | coordinator epoch | 4 | |

use bytes::Bytes;

use crate::model::{ProducerEpoch, ProducerId};

use super::layout::field;
use super::{BatchBuilder, NO_SEQUENCE, Record};

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionResult {
    /// Its records must not be seen.
    Abort,
    /// Its records count.
    Commit,
}

/// The marker that a transaction coordinator writes into every partition of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTransactionMarker {
    /// Commit or abort.
    pub result: TransactionResult,
    /// Epoch of the coordinator that decided; an older one is fenced.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads the record of a control batch; `None` when it is another kind of control record or malformed.
    pub fn from_record(record: &Record<'_>) -> Option<Self> {
        let result = match i16::from_be_bytes(field(record.key?, 2)?) {
            0 => TransactionResult::Abort,
            1 => TransactionResult::Commit,
            _ => return None,
        };
        Some(Self { result, coordinator_epoch: i32::from_be_bytes(field(record.value?, 2)?) })
    }

    /// A control batch with this marker for one producer.
    pub fn batch(&self, timestamp: i64, producer_id: ProducerId, producer_epoch: ProducerEpoch) -> Bytes {
        let kind: i16 = match self.result {
            TransactionResult::Abort => 0,
            TransactionResult::Commit => 1,
        };
        let key = [[0; 2], kind.to_be_bytes()].concat();
        let value = [&[0; 2][..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut batch =
            BatchBuilder::new().producer(producer_id, producer_epoch, NO_SEQUENCE).transactional().control();
        batch.append(timestamp, Some(&key), Some(&value), &[]);
        batch.build()
    }
}
