//! What takes care of bytes that a failed sync left in the page cache alone.
//!
//! After a sync that failed, the kernel takes the pages it could not write for clean: they can be read, and no later
//! sync writes them. Only writing the same bytes once more makes them such that the next sync does.

use super::super::LogError;
use super::super::disk::{Disk, DiskFile, read_full};
use super::super::reader::segments_from;
use super::super::segment::Segment;
use super::SegmentedLog;
use crate::model::Offset;

/// Read and written at a time.
const PIECE_BYTES: u64 = 1 << 20;

impl<D: Disk> SegmentedLog<D> {
    /// Writes the batches from the one that holds `offset` to the end of the log once more, each byte at its place.
    /// Durable after the next sync. For a log that was just opened, of which nobody knows whether a sync of its last
    /// life has failed.
    pub fn write_again(&self, offset: Offset) -> Result<(), LogError> {
        if offset >= self.log_end_offset() || mutant!("failed-sync-not-written-again") {
            return Ok(());
        }
        let segments = self.segments();
        segments_from(&segments, offset).iter().try_for_each(|segment| segment_again(segment, offset))
    }
}

fn segment_again<D: Disk>(segment: &Segment<D>, offset: Offset) -> Result<(), LogError> {
    let (_, size) = segment.next_offset_and_size();
    let Some(first) = segment.find(offset, size)? else { return Ok(()) };
    let file = segment.log().open()?;
    let mut position = first.position;
    let mut piece = Vec::new();
    while position < size {
        piece.resize((size - position).min(PIECE_BYTES) as usize, 0);
        let length = read_full(&*file, &mut piece, position).map_err(segment.log().fault("read"))?;
        piece.truncate(length);
        file.write_at(&piece, &[], position).map_err(segment.log().fault("write"))?;
        position += length.max(1) as u64;
    }
    Ok(())
}
