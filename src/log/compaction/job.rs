//! One cleaning of one log: reads the keys of what is dirty, then copies the segments without what they supersede.

use std::collections::HashMap;
use std::sync::Arc;

use super::filter::{Filter, Kept};
use super::offset_map::OffsetMap;
use super::transactions::CleanedTransactions;
use crate::log::batch_walk::{Stop, scan_batches};
use crate::log::disk::Disk;
use crate::log::file_names::Standing;
use crate::log::file_pool::{FilePool, LogDirectory};
use crate::log::segment::Segment;
use crate::log::segment_writer::SegmentWriter;
use crate::log::{AbortedTransaction, LogConfig, LogError};
use crate::model::{Offset, ProducerId, Wall};
use crate::record::{Batch, Records};

/// What a cleaning may use.
#[derive(Clone, Copy, Debug)]
pub struct CompactionLimits {
    /// `log.cleaner.dedupe.buffer.size` of one thread: bytes for the table of keys.
    pub keys_bytes_max: usize,
    /// The largest batch, inflated, in bytes; one that is larger is a fault.
    pub inflated_bytes_max: usize,
}

/// A cleaning that is to be done, without the partition's lock.
#[derive(Debug)]
pub struct CompactionJob<D: Disk> {
    pub(in crate::log) pool: Arc<FilePool<D>>,
    pub(in crate::log) directory: Arc<LogDirectory>,
    pub(in crate::log) config: Arc<LogConfig>,
    pub(in crate::log) now: Wall,
    /// What may be cleaned, from the start of the log.
    pub(in crate::log) sources: Vec<Arc<Segment<D>>>,
    pub(in crate::log) first_dirty_offset: Offset,
    /// The aborted transactions with records in the sources.
    pub(in crate::log) aborted: Vec<AbortedTransaction>,
    /// Last offset of each producer's last batch.
    pub(in crate::log) producers: HashMap<ProducerId, Offset>,
    /// Share of the sources' bytes that is dirty, 0 to 1.
    pub(in crate::log) dirty_ratio: f64,
}

/// Copies that are ready to take the place of what they were made from.
#[derive(Debug)]
pub struct Compacted<D: Disk> {
    pub(in crate::log) replacements: Vec<Replacement<D>>,
    pub(in crate::log) first_dirty_offset: Offset,
}

/// One copy.
#[derive(Debug)]
pub(in crate::log) struct Replacement<D: Disk> {
    pub(in crate::log) sources: Vec<Arc<Segment<D>>>,
    /// Its files are whole, durable and named `….cleaned`.
    pub(in crate::log) copy: Arc<Segment<D>>,
}

/// Why a run ends early.
enum Halt {
    Stopped,
    Fault(LogError),
}

impl From<LogError> for Halt {
    fn from(fault: LogError) -> Self {
        Halt::Fault(fault)
    }
}

impl<D: Disk> Compacted<D> {
    /// Bytes of the segments, before and after.
    pub fn bytes(&self) -> (u64, u64) {
        let size = |segment: &Arc<Segment<D>>| segment.size();
        let before = self.replacements.iter().flat_map(|replacement| &replacement.sources).map(size).sum();
        (before, self.replacements.iter().map(|replacement| size(&replacement.copy)).sum())
    }

    /// Drops the copies.
    pub(in crate::log) fn discard(&self) -> Result<(), LogError> {
        self.replacements.iter().try_for_each(|replacement| replacement.copy.remove())
    }
}

impl<D: Disk> CompactionJob<D> {
    /// Share of the bytes to clean that no cleaning has seen, 0 to 1. The dirtiest log is cleaned first.
    pub fn dirty_ratio(&self) -> f64 {
        self.dirty_ratio
    }

    /// True when the log has been deleted or has moved to another data directory since: then nothing comes of a
    /// cleaning, and it may fail.
    pub fn is_moot(&self) -> bool {
        self.directory.is_deleted()
    }

    /// Makes the copies. `pace` is told of bytes read and written, may take its time, and ends the run by `false`:
    /// then nothing has happened.
    pub fn run(
        &self,
        limits: CompactionLimits,
        mut pace: impl FnMut(u64) -> bool,
    ) -> Result<Option<Compacted<D>>, LogError> {
        let mut compacted = Compacted { replacements: Vec::new(), first_dirty_offset: self.first_dirty_offset };
        match self.make_copies(limits, &mut pace, &mut compacted) {
            Ok(()) => Ok(Some(compacted)),
            Err(halt) => {
                compacted.discard()?;
                match halt {
                    Halt::Stopped => Ok(None),
                    Halt::Fault(fault) => Err(fault),
                }
            }
        }
    }

    fn make_copies(
        &self,
        limits: CompactionLimits,
        pace: &mut impl FnMut(u64) -> bool,
        compacted: &mut Compacted<D>,
    ) -> Result<(), Halt> {
        let map = self.map_keys(limits, pace)?;
        let transactions = CleanedTransactions::new(self.aborted.clone());
        let settings = (&*self.config, self.now);
        let mut filter = Filter::new(&map, transactions, &self.producers, settings, limits.inflated_bytes_max);
        let reached = self.sources.partition_point(|segment| segment.base_offset() < map.end_offset());
        for sources in groups(self.sources.get(..reached).unwrap_or_default(), &self.config)? {
            let standing = Standing::Cleaned;
            let base_offset = sources.first().map_or(0, |first| first.base_offset());
            let copy = Arc::new(Segment::new_empty(&self.pool, &self.directory, base_offset, standing));
            compacted.replacements.push(Replacement { sources: sources.to_vec(), copy: copy.clone() });
            self.copy(sources, &copy, &mut filter, pace)?;
        }
        compacted.first_dirty_offset = map.end_offset();
        Ok(())
    }

    /// The newest offset of each key in the dirty segments, as many as there is room for.
    fn map_keys(&self, limits: CompactionLimits, pace: &mut impl FnMut(u64) -> bool) -> Result<OffsetMap, Halt> {
        let mut map = OffsetMap::new(limits.keys_bytes_max);
        let mut transactions = CleanedTransactions::new(self.aborted.clone());
        let clean = self.sources.partition_point(|segment| segment.next_offset_and_size().0 <= self.first_dirty_offset);
        for segment in self.sources.get(clean..).unwrap_or_default() {
            scan(segment, |batch| {
                if map.is_full() {
                    return Ok(());
                }
                if !pace(batch.bytes.len() as u64) {
                    return Err(Halt::Stopped);
                }
                // What lies below the first dirty offset is clean: its keys would only take room.
                if batch.header.is_control() {
                    transactions.is_superfluous(batch);
                } else if !transactions.is_aborted(batch) && batch.header.last_offset() >= self.first_dirty_offset {
                    note_keys(&mut map, batch, limits.inflated_bytes_max)?;
                }
                map.noted_below(batch.header.next_offset());
                Ok(())
            })?;
            if map.is_full() {
                break;
            }
        }
        Ok(map)
    }

    fn copy(
        &self,
        sources: &[Arc<Segment<D>>],
        copy: &Arc<Segment<D>>,
        filter: &mut Filter<'_>,
        pace: &mut impl FnMut(u64) -> bool,
    ) -> Result<(), Halt> {
        let end_offset = sources.last().map_or(0, |last| last.next_offset_and_size().0);
        let mut writer = SegmentWriter::new(copy.clone(), self.config.index_interval_bytes)?;
        for source in sources {
            scan(source, |batch| {
                let must_stay = batch.header.next_offset() == end_offset;
                let written = match filter.look(batch, must_stay).map_err(LogError::from)? {
                    Kept::Whole => writer.write(batch.bytes)?,
                    Kept::Rewritten(bytes) => writer.write(&bytes)?,
                    Kept::Nothing => 0,
                };
                if pace(batch.bytes.len() as u64 + written) { Ok(()) } else { Err(Halt::Stopped) }
            })?;
        }
        writer.finish()?;
        Ok(())
    }
}

/// Passes the batches of a segment, each with its CRC checked, to `visit`.
fn scan<D: Disk>(segment: &Segment<D>, mut visit: impl FnMut(&Batch<'_>) -> Result<(), Halt>) -> Result<(), Halt> {
    let (_, size) = segment.next_offset_and_size();
    let file = segment.log().open()?;
    match scan_batches(&*file, 0, size, |_, batch| visit(batch))? {
        (_, Stop::End) => Ok(()),
        (position, stop) => Err(segment.corrupt(position, stop).into()),
    }
}

fn note_keys(map: &mut OffsetMap, batch: &Batch<'_>, inflated_bytes_max: usize) -> Result<(), LogError> {
    let plain = batch.plain_records(inflated_bytes_max)?;
    for record in Records::new(&batch.header, &plain) {
        let record = record?;
        if let Some(key) = record.key {
            map.note(key, record.offset);
        }
    }
    Ok(())
}

/// Neighbours whose copy is sure to be no larger than a segment may be.
fn groups<'a, D: Disk>(
    mut sources: &'a [Arc<Segment<D>>],
    config: &LogConfig,
) -> Result<Vec<&'a [Arc<Segment<D>>]>, LogError> {
    let mut groups = Vec::new();
    while let Some(first) = sources.first() {
        let (mut bytes, mut index_bytes, mut count) = (0, 0, 0);
        for segment in sources {
            let (next_offset, size) = segment.next_offset_and_size();
            bytes += size;
            index_bytes += 8 * segment.offset_index().len()? as u64;
            let fits = bytes <= config.segment_bytes
                && index_bytes <= config.segment_index_bytes
                && next_offset - first.base_offset() <= Offset::from(i32::MAX);
            if count > 0 && !fits {
                break;
            }
            count += 1;
        }
        let (group, rest) = sources.split_at_checked(count).unwrap_or((sources, &[]));
        groups.push(group);
        sources = rest;
    }
    Ok(groups)
}
