//! The producer state's files: snapshots, and what the batches after them say.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::model::Offset;
use crate::record::{Batch, BatchHeader, EndTransactionMarker, Records, TransactionResult};

use super::super::LogError;
use super::super::batch_walk::Located;
use super::super::disk::{Disk, DiskFile, read_full};
use super::super::file_names::{FileKind, file_name, parse_file_name};
use super::super::producer_snapshot;
use super::super::reader::segments_from;
use super::super::segment::Segment;
use super::PartitionLog;

/// Snapshots that belong to no segment's start and are kept nevertheless.
const LOOSE_SNAPSHOTS: usize = 2;
/// Markers are small; a control batch that is not has none.
const CONTROL_RECORDS_BYTES_MAX: usize = 4096;

/// Offsets of the snapshot files there are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Snapshots {
    offsets: BTreeSet<Offset>,
    /// Offset of the snapshot taken last.
    last_taken: Option<Offset>,
}

/// The marker in a control batch whose bytes begin `bytes`.
pub(super) fn marker_of(header: &BatchHeader, bytes: &[u8]) -> Option<EndTransactionMarker> {
    let batch = Batch { header: *header, position: 0, bytes: bytes.get(..header.size())? };
    let records = batch.plain_records(CONTROL_RECORDS_BYTES_MAX).ok()?;
    let record = Records::new(header, &records).next()?.ok()?;
    EndTransactionMarker::from_record(&record)
}

impl<D: Disk> PartitionLog<D> {
    fn snapshot_path(&self, offset: Offset) -> PathBuf {
        self.log.path().join(file_name(offset, FileKind::ProducerSnapshot))
    }

    /// Writes the producers as they are now, before `offset`. Not durable, and need not be: one that is not whole is
    /// not read.
    pub(super) fn write_snapshot(&mut self, offset: Offset) -> Result<PathBuf, LogError> {
        let path = self.snapshot_path(offset);
        let bytes = producer_snapshot::encode(&self.producers);
        let file = self.log.disk().create(&path).map_err(LogError::io("create", &path))?;
        let written = file.set_len(bytes.len() as u64).and_then(|()| file.write_at(&bytes, &[], 0));
        written.map_err(LogError::io("write", &path))?;
        self.snapshots.offsets.insert(offset);
        self.snapshots.last_taken = Some(offset);
        self.log.directory_changed();
        Ok(path)
    }

    /// A snapshot at the log end offset; the one taken there already if there is one.
    pub(super) fn take_snapshot(&mut self) -> Result<PathBuf, LogError> {
        let offset = self.log_end_offset();
        if self.snapshots.last_taken == Some(offset) {
            return Ok(self.snapshot_path(offset));
        }
        self.write_snapshot(offset)
    }

    fn remove_snapshot(&mut self, offset: Offset) -> Result<(), LogError> {
        let path = self.snapshot_path(offset);
        self.snapshots.offsets.remove(&offset);
        if self.snapshots.last_taken == Some(offset) {
            self.snapshots.last_taken = None;
        }
        match self.log.disk().remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LogError::io("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Removes snapshots of a history that is cut off.
    pub(super) fn remove_snapshots_above(&mut self, offset: Offset) -> Result<(), LogError> {
        let above: Vec<Offset> = self.snapshots.offsets.range(offset.saturating_add(1)..).copied().collect();
        if !above.is_empty() {
            self.log.directory_changed();
        }
        above.into_iter().try_for_each(|offset| self.remove_snapshot(offset))
    }

    /// Removes snapshots that are of no use: below the log, or neither at a segment's start nor among the newest.
    pub(super) fn prune_snapshots(&mut self) -> Result<(), LogError> {
        let segments = self.log.segments();
        let first = segments.first().map_or(0, |segment| segment.base_offset());
        let at_segment =
            |offset: &Offset| segments.binary_search_by_key(offset, |segment| segment.base_offset()).is_ok();
        let newest = self.snapshots.offsets.iter().rev().take(LOOSE_SNAPSHOTS).next_back().copied().unwrap_or(0);
        // Recovery begins at the last one that the recovery point covers.
        let newest =
            newest.min(self.snapshots.offsets.range(..=self.recovery_point()).next_back().copied().unwrap_or(0));
        let useless = |offset: &&Offset| **offset < first || (**offset < newest && !at_segment(offset));
        let useless: Vec<Offset> = self.snapshots.offsets.iter().filter(useless).copied().collect();
        useless.into_iter().try_for_each(|offset| self.remove_snapshot(offset))
    }

    /// Offsets of the snapshot files there are.
    pub(super) fn snapshot_offsets(&self) -> Vec<Offset> {
        self.snapshots.offsets.iter().copied().collect()
    }

    /// These are the snapshot files where the log is now.
    pub(super) fn set_snapshots(&mut self, offsets: &[Offset]) {
        self.snapshots.offsets = offsets.iter().copied().collect();
        self.snapshots.last_taken = self.snapshots.last_taken.filter(|last| offsets.contains(last));
    }

    /// Finds the snapshot files of the directory.
    pub(super) fn list_snapshots(&mut self) -> Result<(), LogError> {
        let path = self.log.path();
        let entries = self.log.disk().list(&path).map_err(LogError::io("list", &path))?;
        let snapshots = entries.iter().filter_map(|entry| match parse_file_name(&entry.name) {
            Some((offset, FileKind::ProducerSnapshot)) => Some(offset),
            _ => None,
        });
        self.snapshots.offsets = snapshots.collect();
        Ok(())
    }

    /// Makes the producer state anew: from the newest snapshot at or below `snapshot_max` that can be read, and the
    /// batches after it. Transaction indexes get back what they miss from there on.
    pub(super) fn rebuild_producers(&mut self, snapshot_max: Offset) -> Result<(), LogError> {
        if mutant!("producers-not-rebuilt") {
            self.producers.clear();
            return Ok(());
        }
        self.remove_snapshots_above(self.log_end_offset())?;
        let high_watermark = self.directory.high_watermark(&self.partition).unwrap_or_default();
        let newest = self.snapshots.offsets.range(..=snapshot_max).next_back();
        let is_ahead = newest.is_some_and(|offset| *offset > high_watermark);
        let snapshot_max =
            if is_ahead && self.has_marker_since(high_watermark)? { high_watermark } else { snapshot_max };
        let from = self.load_newest_snapshot(snapshot_max)?.max(self.log_start_offset());
        self.ended_transactions.clear();
        let segments = self.log.segments();
        for segment in segments_from(&segments, from) {
            let size = segment.size();
            if let Some(first) = segment.find(from, size)? {
                segment.walk(first.position, size, |batch| {
                    let marker = if batch.header.is_control() { read_marker(segment, batch)? } else { None };
                    if let Some(ended) = self.producers.update(&batch.header, marker) {
                        self.ended_transactions.insert(ended.extent.first_offset, ended.extent.last_offset);
                        if ended.result == TransactionResult::Abort {
                            segment.transaction_index().append(ended.extent)?;
                        }
                    }
                    Ok(true)
                })?;
                // Only the active segment's entries are written out later: those of others would end with the process,
                // and nobody looks for them again once the recovery point has passed them.
                segment.transaction_index().write_out_existing()?;
            }
        }
        Ok(())
    }

    /// True when a marker lies at or above `high_watermark`: its transaction is not decided yet, and a snapshot behind it
    /// no longer knows where that began.
    fn has_marker_since(&self, high_watermark: Offset) -> Result<bool, LogError> {
        let mut found = false;
        let from = high_watermark.max(self.log_start_offset());
        for segment in segments_from(&self.log.segments(), from) {
            let size = segment.size();
            let Some(first) = segment.find(from, size)? else { continue };
            segment.walk(first.position, size, |batch| {
                found |= batch.header.is_control() && !mutant!("snapshot-decides-transactions");
                Ok(!found)
            })?;
        }
        Ok(found)
    }

    /// The offset of the snapshot that was loaded; 0 without one.
    fn load_newest_snapshot(&mut self, snapshot_max: Offset) -> Result<Offset, LogError> {
        while let Some(offset) = self.snapshots.offsets.range(..=snapshot_max).next_back().copied() {
            let path = self.snapshot_path(offset);
            let bytes = self.log.disk().read(&path).map_err(LogError::io("read", &path))?;
            if let Some(producers) = producer_snapshot::decode(&bytes) {
                self.producers = producers;
                self.snapshots.last_taken = Some(offset);
                return Ok(offset);
            }
            tracing::info!(path = %path.display(), "removed a producer snapshot that was not whole");
            self.remove_snapshot(offset)?;
        }
        self.producers.clear();
        Ok(0)
    }
}

fn read_marker<D: Disk>(segment: &Segment<D>, batch: &Located) -> Result<Option<EndTransactionMarker>, LogError> {
    let mut bytes = vec![0; batch.header.size()];
    let file = segment.log().open()?;
    read_full(&*file, &mut bytes, batch.position).map_err(segment.log().fault("read"))?;
    Ok(marker_of(&batch.header, &bytes))
}
