//! The time index: where in the segment to begin looking for a timestamp.
//!
//! Kafka's format, persisted, keep stable. Written together with an entry of the offset index when
//! the largest timestamp has grown, and when the segment is rolled:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | the largest timestamp up to here, milliseconds |
//! | 4 | last offset of the batch that has it − base offset of the segment |

use crate::model::Offset;

use super::index_file::{IndexEntry, IndexFile};

/// The time index of a segment.
pub type TimeIndex<D> = IndexFile<D, TimeEntry>;

/// A timestamp that no earlier record of the segment exceeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeEntry {
    /// The timestamp; milliseconds.
    pub timestamp: i64,
    /// Last offset of the batch that has it.
    pub offset: Offset,
}

impl IndexEntry for TimeEntry {
    const SIZE: usize = 12;

    fn key(&self) -> i64 {
        self.timestamp
    }

    fn follows(&self, earlier: &Self) -> bool {
        self.timestamp > earlier.timestamp && self.offset >= earlier.offset
    }

    fn encode(&self, base_offset: Offset, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&((self.offset - base_offset) as u32).to_be_bytes());
    }

    fn decode(base_offset: Offset, bytes: &[u8]) -> Option<Self> {
        let (timestamp, rest) = bytes.split_first_chunk()?;
        let (timestamp, offset) = (i64::from_be_bytes(*timestamp), u32::from_be_bytes(*rest.first_chunk()?));
        (timestamp != 0 || offset != 0).then_some(Self { timestamp, offset: base_offset + i64::from(offset) })
    }
}
