//! Writes a segment that is a copy of others, batch by batch, with its indexes.

use std::sync::Arc;

use crate::record::BatchHeader;

use super::LogError;
use super::disk::{Disk, DiskFile};
use super::segment::Segment;

/// Batches are gathered up to this before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// The one who writes a copy. Readers do not know of the copy yet.
#[derive(Debug)]
pub struct SegmentWriter<D: Disk> {
    segment: Arc<Segment<D>>,
    pending: Vec<u8>,
    since_index_entry: u64,
    index_interval_bytes: u64,
}

impl<D: Disk> SegmentWriter<D> {
    /// Begins a segment that holds nothing yet; its file is created.
    pub fn new(segment: Arc<Segment<D>>, index_interval_bytes: u64) -> Result<Self, LogError> {
        segment.log().create()?;
        Ok(Self { segment, pending: Vec::new(), since_index_entry: 0, index_interval_bytes })
    }

    /// The segment.
    pub fn segment(&self) -> &Arc<Segment<D>> {
        &self.segment
    }

    /// Bytes since the last entry of the offset index.
    pub fn since_index_entry(&self) -> u64 {
        self.since_index_entry
    }

    /// Appends a batch; its size. It is in the file after the next [`SegmentWriter::write_out`] at the latest.
    pub fn write(&mut self, batch: &[u8]) -> Result<u64, LogError> {
        let header = BatchHeader::parse(batch)?;
        let position = self.segment.size();
        self.segment.extend(&header);
        if self.since_index_entry > self.index_interval_bytes {
            self.segment.index(&header, position)?;
            self.since_index_entry = 0;
        }
        self.since_index_entry += batch.len() as u64;
        self.pending.extend_from_slice(batch);
        if self.pending.len() >= WRITE_BYTES {
            self.write_out()?;
        }
        Ok(batch.len() as u64)
    }

    /// Writes what has been gathered.
    pub fn write_out(&mut self) -> Result<(), LogError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let position = self.segment.size() - self.pending.len() as u64;
        let file = self.segment.log().create()?;
        file.write_at(&self.pending, &[], position).map_err(self.segment.log().fault("write"))?;
        self.pending.clear();
        Ok(())
    }

    /// Makes the segment whole and durable, but for its names.
    pub fn finish(mut self) -> Result<(), LogError> {
        self.write_out()?;
        self.segment.finish_indexes()?;
        self.segment.sync(true)
    }
}
