//! The transaction index: which aborted transactions end in a segment.
//!
//! Kafka's format, persisted, keep stable. One entry of 34 bytes for each aborted transaction, in the segment that
//! holds its marker; a segment without one has no such file:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | version, 0 |
//! | 8 | producer id |
//! | 8 | first offset of the transaction |
//! | 8 | offset of the marker that aborted it |
//! | 8 | last stable offset once it was aborted |

use crate::model::{Offset, ProducerId};

use super::index_file::{IndexEntry, IndexFile};

const VERSION: i16 = 0;

/// The transaction index of a segment.
pub type TransactionIndex<D> = IndexFile<D, AbortedTransaction>;

/// A transaction whose records must not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Offset of its first record in this partition.
    pub first_offset: Offset,
    /// Offset of the marker that aborted it.
    pub last_offset: Offset,
    /// Everything below was decided when the marker was written: whoever reads no further needs no later entry.
    pub last_stable_offset: Offset,
}

impl IndexEntry for AbortedTransaction {
    const SIZE: usize = 34;

    fn key(&self) -> i64 {
        self.last_offset
    }

    fn follows(&self, earlier: &Self) -> bool {
        self.last_offset > earlier.last_offset
    }

    fn encode(&self, _base_offset: Offset, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        for field in [self.producer_id.0, self.first_offset, self.last_offset, self.last_stable_offset] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
    }

    fn decode(_base_offset: Offset, bytes: &[u8]) -> Option<Self> {
        let (version, mut rest) = bytes.split_first_chunk()?;
        let mut next = || {
            let (field, left) = rest.split_first_chunk()?;
            rest = left;
            Some(i64::from_be_bytes(*field))
        };
        let producer_id = ProducerId(next()?);
        let (first_offset, last_offset, last_stable_offset) = (next()?, next()?, next()?);
        // A marker never is the first record of a log, so no real entry is all zeros.
        let is_one = i16::from_be_bytes(*version) == VERSION && last_offset > 0;
        is_one.then_some(Self { producer_id, first_offset, last_offset, last_stable_offset })
    }
}
