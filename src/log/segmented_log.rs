//! Record batches in segments.

use std::fmt;
use std::path::PathBuf;

use crate::model::Offset;

use super::disk::Disk;

/// Where the first bad batch of a log lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The segment file.
    pub path: PathBuf,
    /// Base offset of the segment.
    pub segment_base_offset: Offset,
    /// Where in the file the batch should begin.
    pub position: u64,
    /// The offset it should have.
    pub offset: Offset,
    /// Bytes from there to the end of the log, zeros at the end not counted.
    pub bytes: u64,
    /// What is wrong.
    pub reason: DamageReason,
}

/// What is wrong with a batch on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DamageReason {
    /// The file ends inside the batch: what a killed process or a full disk leaves behind.
    Incomplete,
    /// Bytes that are no batch, or whose CRC is wrong.
    Invalid(String),
    /// A valid batch whose offset runs backwards, or lies in a segment that does not continue the one before.
    OffsetOutOfOrder(Offset),
}

impl Damage {
    /// True when the log merely ends inside its last batch: a write that was never completed, so never acknowledged.
    pub fn is_incomplete_tail(&self) -> bool {
        self.reason == DamageReason::Incomplete
    }
}

impl fmt::Display for DamageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DamageReason::Incomplete => f.write_str("the file ends inside the batch"),
            DamageReason::Invalid(reason) => f.write_str(reason),
            DamageReason::OffsetOutOfOrder(offset) => write!(f, "offset {offset} is out of order"),
        }
    }
}

/// A log of record batches in segments.
#[derive(Debug)]
pub struct SegmentedLog<D: Disk> {
    _disk: D,
}
