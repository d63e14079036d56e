//! Finding offsets by timestamp, for ListOffsets.
//!
//! Exact: the time index only says where to begin; batches are then looked into, inflated when need be, for the first
//! record that qualifies.

use crate::model::{LeaderEpoch, Offset};
use crate::record::{Batch, BatchHeader, Records};

use super::LogError;
use super::batch_walk::Located;
use super::disk::{Disk, read_full};
use super::reader::{LogReader, segments_from};
use super::segment::Segment;

/// A batch inflates to no more than this when it is searched; a larger one answers with its first offset.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// What ListOffsets asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampTarget {
    /// −2: the log start offset.
    Earliest,
    /// −1: the log end offset.
    Latest,
    /// −3: the record with the largest timestamp.
    MaxTimestamp,
    /// The first record whose timestamp is this or later; milliseconds.
    At(i64),
}

/// An answer to ListOffsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampedOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp, −1 for earliest and latest; milliseconds.
    pub timestamp: i64,
    /// The leader epoch of the offset; `NONE` in an empty log.
    pub leader_epoch: LeaderEpoch,
}

impl<D: Disk> LogReader<D> {
    /// Finds an offset by timestamp, exactly: batches are looked into, inflated when need be. `upper_offset` bounds
    /// the answer (high watermark or last stable offset): it is what `Latest` answers, and records at or above it
    /// are not found. `None` when no record qualifies.
    pub fn offset_for_timestamp(
        &self,
        target: TimestampTarget,
        upper_offset: Offset,
    ) -> Result<Option<TimestampedOffset>, LogError> {
        match target {
            TimestampTarget::Earliest => Ok(Some(self.without_timestamp(self.log_start_offset()))),
            TimestampTarget::Latest => Ok(Some(self.without_timestamp(upper_offset.min(self.log_end_offset())))),
            TimestampTarget::MaxTimestamp => self.max_timestamp(upper_offset),
            TimestampTarget::At(timestamp) => self.first_at(timestamp, upper_offset),
        }
    }

    fn without_timestamp(&self, offset: Offset) -> TimestampedOffset {
        let epochs = self.leader_epochs();
        let leader_epoch = epochs.epoch_for_offset(offset).unwrap_or(LeaderEpoch::NONE);
        TimestampedOffset { offset, timestamp: -1, leader_epoch }
    }

    fn first_at(&self, timestamp: i64, upper_offset: Offset) -> Result<Option<TimestampedOffset>, LogError> {
        let log_start_offset = self.log_start_offset();
        let segments = self.shared.segments.load();
        for segment in segments_from(&segments, log_start_offset) {
            if segment.max_timestamp()?.is_none_or(|max| max.timestamp < timestamp) {
                continue;
            }
            let qualifies = |record: &TimestampedOffset| {
                record.timestamp >= timestamp && record.offset >= log_start_offset && record.offset < upper_offset
            };
            if let Some(found) = first_in_segment(segment, timestamp, upper_offset, &qualifies)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn max_timestamp(&self, upper_offset: Offset) -> Result<Option<TimestampedOffset>, LogError> {
        let log_start_offset = self.log_start_offset();
        let segments = self.shared.segments.load();
        let mut best: Option<(i64, &Segment<D>)> = None;
        for segment in segments_from(&segments, log_start_offset) {
            if let Some(max) = segment.max_timestamp()?
                && best.is_none_or(|(timestamp, _)| max.timestamp > timestamp)
            {
                best = Some((max.timestamp, segment));
            }
        }
        let Some((timestamp, segment)) = best else { return Ok(None) };
        let qualifies = |record: &TimestampedOffset| {
            record.timestamp >= timestamp && record.offset >= log_start_offset && record.offset < upper_offset
        };
        if let Some(found) = first_in_segment(segment, timestamp, upper_offset, &qualifies)? {
            return Ok(Some(found));
        }
        // The newest records are not visible yet, or the oldest not any more: take the largest of those that are.
        self.max_timestamp_between(log_start_offset, upper_offset)
    }

    /// By looking at every header. Rare.
    fn max_timestamp_between(&self, from: Offset, to: Offset) -> Result<Option<TimestampedOffset>, LogError> {
        let segments = self.shared.segments.load();
        let mut best: Option<TimestampedOffset> = None;
        for segment in segments_from(&segments, from) {
            let size = segment.size();
            let mut candidates = Vec::new();
            segment.walk(0, size, |batch| {
                if batch.header.last_offset() >= from && batch.header.base_offset < to {
                    candidates.push(*batch);
                }
                Ok(batch.header.base_offset < to)
            })?;
            for batch in candidates {
                let better = |record: &TimestampedOffset| {
                    (from..to).contains(&record.offset) && best.is_none_or(|best| record.timestamp > best.timestamp)
                };
                // A batch may hold several that are better: take the best of them.
                if best.is_none_or(|best| batch.header.max_timestamp > best.timestamp) {
                    let mut inside = None;
                    for_each_record(segment, &batch, |record| {
                        if better(&record)
                            && inside.is_none_or(|inside: TimestampedOffset| record.timestamp > inside.timestamp)
                        {
                            inside = Some(record);
                        }
                        true
                    })?;
                    best = inside.or(best);
                }
            }
        }
        Ok(best)
    }
}

/// The first record of the segment that qualifies; only batches that reach `timestamp` are looked into.
fn first_in_segment<D: Disk>(
    segment: &Segment<D>,
    timestamp: i64,
    upper_offset: Offset,
    qualifies: &impl Fn(&TimestampedOffset) -> bool,
) -> Result<Option<TimestampedOffset>, LogError> {
    // No record up to the entry's offset is later than its timestamp, so none before its batch can qualify.
    let start = segment.time_index().lookup(timestamp)?.map_or(segment.base_offset(), |entry| entry.offset);
    let size = segment.size();
    let Some(first) = segment.find(start, size)? else { return Ok(None) };
    let mut found = None;
    segment.walk(first.position, size, |batch| {
        if batch.header.base_offset >= upper_offset {
            return Ok(false);
        }
        if batch.header.max_timestamp >= timestamp {
            for_each_record(segment, batch, |record| {
                if qualifies(&record) {
                    found = Some(record);
                }
                found.is_none()
            })?;
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// Passes the records of a batch to `visit` until it says `false`.
fn for_each_record<D: Disk>(
    segment: &Segment<D>,
    located: &Located,
    mut visit: impl FnMut(TimestampedOffset) -> bool,
) -> Result<(), LogError> {
    let header: &BatchHeader = &located.header;
    let mut bytes = vec![0; header.size()];
    let file = segment.log().open()?;
    read_full(&*file, &mut bytes, located.position).map_err(segment.log().fault("read"))?;
    let batch = Batch { header: *header, position: 0, bytes: &bytes };
    let plain = batch.plain_records(INFLATED_BYTES_MAX)?;
    for record in Records::new(header, &plain) {
        let record = record?;
        let leader_epoch = header.partition_leader_epoch;
        if !visit(TimestampedOffset { offset: record.offset, timestamp: record.timestamp, leader_epoch }) {
            break;
        }
    }
    Ok(())
}
