//! The record batches that a Fetch response carries, wherever they lie.

use bytes::Bytes;

/// The RECORDS type of a response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Records {
    /// No records at all. Clients expect [`Records::EMPTY`] for an empty partition.
    #[default]
    Null,
    /// Batches in memory. Decoding always gives these.
    Inline(Bytes),
    /// Batches that are not copied into the frame: its encoding leaves a gap, and a mark that names it.
    External {
        /// Their size in bytes.
        length: usize,
        /// The encoder's number for them, handed back in the mark.
        slot: usize,
    },
}

impl Records {
    /// Zero batches.
    pub const EMPTY: Records = Records::Inline(Bytes::new());

    /// Size in bytes; 0 for null.
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Inline(bytes) => bytes.len(),
            Self::External { length, .. } => *length,
        }
    }

    /// True when there is no byte of records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
