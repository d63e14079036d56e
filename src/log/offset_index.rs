//! The offset index: where in the segment to begin looking for an offset.
//!
//! Kafka's format, persisted, keep stable. One entry of 8 bytes for about every
//! `index.interval.bytes` of batches:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | last offset of a batch − base offset of the segment |
//! | 4 | position of that batch in the segment |

use crate::model::Offset;

use super::index_file::{IndexEntry, IndexFile};

/// The offset index of a segment.
pub type OffsetIndex<D> = IndexFile<D, OffsetEntry>;

/// A batch by its last offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetEntry {
    /// Its last offset.
    pub offset: Offset,
    /// Where it begins.
    pub position: u64,
}

impl IndexEntry for OffsetEntry {
    const SIZE: usize = 8;

    fn key(&self) -> i64 {
        self.offset
    }

    fn follows(&self, earlier: &Self) -> bool {
        self.offset > earlier.offset && self.position > earlier.position
    }

    fn encode(&self, base_offset: Offset, bytes: &mut Vec<u8>) {
        // A segment rolls before either number leaves its 31 bits.
        bytes.extend_from_slice(&((self.offset - base_offset) as u32).to_be_bytes());
        bytes.extend_from_slice(&(self.position as u32).to_be_bytes());
    }

    fn decode(base_offset: Offset, bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (offset, position) = (u32::from_be_bytes(*offset), u32::from_be_bytes(*rest.first_chunk()?));
        // The first batch of a segment never gets an entry, so no real entry is all zeros.
        let entry = Self { offset: base_offset + i64::from(offset), position: u64::from(position) };
        (offset != 0 || position != 0).then_some(entry)
    }
}
