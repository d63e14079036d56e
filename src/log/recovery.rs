//! Opening the segments of a log, and finding out where it ends.
//!
//! Below the recovery point everything was synced: it is trusted, not read. From there on every batch
//! is read and its CRC checked, and both indexes are made anew. What is wrong there is reported as
//! [`Damage`], not cut: whether it is a torn tail or rot is for the caller to know. What is found wrong
//! below the recovery point is a fault (invariant A19).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Offset;
use crate::record::{BATCH_HEADER_LENGTH, Batch, BatchHeader, verify_crc};

use super::LogError;
use super::batch_walk::{HeaderWalk, Stop, is_zero, scan_batches};
use super::compaction::finish_interrupted;
use super::disk::{Disk, DiskFile, read_full};
use super::file_names::{FileKind, Standing, file_name, parse_file_name};
use super::file_pool::{FilePool, LogDirectory};
use super::offset_index::OffsetEntry;
use super::open_log::OpenLog;
use super::segment::Segment;

/// Where the first bad batch of a log lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The segment file.
    pub path: PathBuf,
    /// Base offset of the last segment that is good up to the damage.
    pub segment_base_offset: Offset,
    /// Where in the file the batch should begin.
    pub position: u64,
    /// The offset it should have.
    pub offset: Offset,
    /// Bytes from there to the end of the file.
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
    /// A valid batch whose offset runs backwards, or a segment that does not follow the one before.
    OffsetOutOfOrder(Offset),
}

impl Damage {
    /// True when the file merely ends inside a batch. When nothing follows, that is a write that was never completed, so
    /// never acknowledged.
    pub fn is_incomplete_tail(&self) -> bool {
        self.reason == DamageReason::Incomplete
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { path, position, offset, reason, .. } = self;
        write!(f, "{} at byte {position}, where offset {offset} should begin: {reason}", path.display())
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

/// What was found in a log's directory.
#[derive(Debug)]
pub(super) struct Recovered<D: Disk> {
    /// The segments up to the damage; at least one.
    pub(super) segments: Vec<Arc<Segment<D>>>,
    pub(super) damage: Option<Damage>,
    pub(super) scanned_bytes: u64,
    /// Bytes past the last index entry of the last segment.
    pub(super) since_index_entry: u64,
    /// Length of the last segment's file, zeros at its end included.
    pub(super) file_length: u64,
    pub(super) removed_files: bool,
    pub(super) created: bool,
}

/// The files of a log's directory that matter here.
struct Listing {
    /// Base offsets of segments, rising.
    bases: Vec<Offset>,
    indexes: Vec<(Offset, FileKind)>,
    removed_files: bool,
}

fn list<D: Disk>(disk: &D, directory: &LogDirectory) -> Result<Listing, LogError> {
    let path = directory.path();
    let mut listing = Listing { bases: Vec::new(), indexes: Vec::new(), removed_files: false };
    for entry in disk.list(&path).map_err(LogError::io("list", &path))? {
        match parse_file_name(&entry.name) {
            Some((offset, FileKind::Log)) => listing.bases.push(offset),
            Some((_, FileKind::ProducerSnapshot)) => {}
            Some(index) => listing.indexes.push(index),
            None if entry.name.ends_with(Standing::Deleted.suffix()) => {
                let path = path.join(&entry.name);
                disk.remove_file(&path).map_err(LogError::io("remove", path))?;
                listing.removed_files = true;
            }
            None => {}
        }
    }
    listing.bases.sort_unstable();
    remove_orphans(disk, directory, &mut listing)?;
    Ok(listing)
}

/// Indexes whose batches were deleted just before a crash.
fn remove_orphans<D: Disk>(disk: &D, directory: &LogDirectory, listing: &mut Listing) -> Result<(), LogError> {
    for (offset, kind) in &listing.indexes {
        if listing.bases.binary_search(offset).is_err() {
            let path = directory.path().join(file_name(*offset, *kind));
            disk.remove_file(&path).map_err(LogError::io("remove", path))?;
            listing.removed_files = true;
        }
    }
    Ok(())
}

pub(super) fn recover<D: Disk>(
    pool: &Arc<FilePool<D>>,
    directory: &Arc<LogDirectory>,
    open: &OpenLog,
    visit: &mut impl FnMut(&Batch<'_>) -> Result<(), LogError>,
) -> Result<Recovered<D>, LogError> {
    let swapped = finish_interrupted(pool.disk(), &directory.path())?;
    let listing = list(pool.disk(), directory)?;
    let mut recovery = Recovery {
        pool,
        directory,
        open,
        visit,
        recovered: Recovered {
            segments: Vec::with_capacity(listing.bases.len().max(1)),
            damage: None,
            scanned_bytes: 0,
            since_index_entry: 0,
            file_length: 0,
            removed_files: listing.removed_files || swapped,
            created: false,
        },
    };
    recovery.run(&listing)?;
    Ok(recovery.recovered)
}

struct Recovery<'a, D: Disk, V> {
    pool: &'a Arc<FilePool<D>>,
    directory: &'a Arc<LogDirectory>,
    open: &'a OpenLog,
    visit: &'a mut V,
    recovered: Recovered<D>,
}

impl<D: Disk, V: FnMut(&Batch<'_>) -> Result<(), LogError>> Recovery<'_, D, V> {
    fn run(&mut self, listing: &Listing) -> Result<(), LogError> {
        let trusted = listing.bases.partition_point(|base| *base <= self.open.recovery_point).saturating_sub(1);
        for (at, base_offset) in listing.bases.iter().enumerate() {
            if at < trusted {
                let next = listing.bases.get(at + 1).copied().unwrap_or(*base_offset);
                self.trust(*base_offset, next, &listing.indexes)?;
            } else if !self.check(*base_offset)? {
                return Ok(());
            }
        }
        if self.recovered.segments.is_empty() {
            self.create()?;
        }
        self.check_recovery_point()
    }

    fn create(&mut self) -> Result<(), LogError> {
        let base_offset = self.open.start_offset;
        let segment = Arc::new(Segment::new_empty(self.pool, self.directory, base_offset, Standing::Present));
        segment.log().create()?;
        segment.allocate_ahead(&self.open.config)?;
        self.recovered.segments.push(segment);
        self.recovered.created = true;
        Ok(())
    }

    fn check_recovery_point(&self) -> Result<(), LogError> {
        let log_end_offset = self.log_end_offset();
        let recovery_point = self.open.recovery_point;
        // A log that was never flushed may be gone altogether; then its recovery point is where it starts.
        if log_end_offset < recovery_point {
            return Err(LogError::EndsBeforeRecoveryPoint {
                path: self.directory.path(),
                log_end_offset,
                recovery_point,
            });
        }
        Ok(())
    }

    fn log_end_offset(&self) -> Offset {
        self.recovered.segments.last().map_or(self.open.start_offset, |segment| segment.next_offset_and_size().0)
    }

    fn existing(&self, base_offset: Offset, next_offset: Offset, size: u64) -> Segment<D> {
        Segment::new_existing(self.pool, self.directory, base_offset, next_offset, size)
    }

    fn length(&self, segment: &Segment<D>) -> Result<u64, LogError> {
        segment.log().open()?.len().map_err(segment.log().fault("measure"))
    }

    /// A segment wholly below the recovery point.
    fn trust(
        &mut self,
        base_offset: Offset,
        next_offset: Offset,
        indexes: &[(Offset, FileKind)],
    ) -> Result<(), LogError> {
        let size = self.length(&self.existing(base_offset, next_offset, 0))?;
        let segment = self.existing(base_offset, next_offset, size);
        let has = |kind| indexes.contains(&(base_offset, kind));
        if size > 0 && !(has(FileKind::OffsetIndex) && has(FileKind::TimeIndex)) {
            segment.rebuild_indexes(self.open.config.index_interval_bytes)?;
        }
        self.recovered.segments.push(Arc::new(segment));
        Ok(())
    }

    /// A segment that reaches beyond the recovery point; false when the log ends here by damage.
    fn check(&mut self, base_offset: Offset) -> Result<bool, LogError> {
        let expected = self.log_end_offset();
        let segment = self.existing(base_offset, base_offset, 0);
        let length = self.length(&segment)?;
        // Compaction leaves gaps between segments, but only in what was synced.
        let misplaced = base_offset < expected || (base_offset > expected && base_offset > self.open.recovery_point);
        if !self.recovered.segments.is_empty() && misplaced {
            self.damage(&segment, 0, length, expected, DamageReason::OffsetOutOfOrder(base_offset));
            return Ok(false);
        }
        let trusted = self.position_of_recovery_point(&segment, length)?;
        let segment = Arc::new(segment);
        self.recovered.segments.push(segment.clone());
        self.recovered.file_length = length;
        self.scan(&segment, trusted, length)
    }

    /// Walks to the recovery point by headers, and cuts the indexes there.
    fn position_of_recovery_point(&mut self, segment: &Segment<D>, length: u64) -> Result<u64, LogError> {
        let recovery_point = self.open.recovery_point;
        if segment.base_offset() >= recovery_point {
            segment.offset_index().clear()?;
            segment.time_index().clear()?;
            segment.transaction_index().clear()?;
            self.recovered.since_index_entry = 0;
            return Ok(0);
        }
        let in_front = |entry: &OffsetEntry| entry.offset < recovery_point && entry.position < length;
        if self.open.clean {
            segment.offset_index().truncate(in_front)?;
            segment.time_index().truncate(|entry| entry.offset < recovery_point)?;
        } else {
            segment.offset_index().verify(in_front)?;
            segment.time_index().verify(|entry| entry.offset < recovery_point)?;
        }
        segment.transaction_index().verify(|entry| entry.last_offset < recovery_point)?;
        let start = segment.offset_index().last()?.map_or(0, |entry| entry.position);
        self.walk_to_recovery_point(segment, start, length)
    }

    /// From the last index entry in front of it. What that finds is indexed too, in case index files are missing.
    fn walk_to_recovery_point(&mut self, segment: &Segment<D>, start: u64, length: u64) -> Result<u64, LogError> {
        let interval = self.open.config.index_interval_bytes;
        let mut walk = HeaderWalk::new(segment.log().open()?, start, length);
        let mut since_entry = 0;
        segment.set_end(segment.base_offset(), start);
        while segment.next_offset_and_size().0 < self.open.recovery_point {
            match walk.step() {
                Ok(batch) => {
                    segment.extend(&batch.header);
                    if since_entry > interval {
                        segment.index(&batch.header, batch.position)?;
                        since_entry = 0;
                    }
                    since_entry += batch.header.size() as u64;
                }
                Err(Stop::End) => break,
                Err(stop) => return Err(segment.corrupt(walk.position(), stop)),
            }
        }
        self.recovered.since_index_entry = since_entry;
        Ok(walk.position())
    }

    /// Reads and checks everything from `from` on, and indexes it.
    fn scan(&mut self, segment: &Arc<Segment<D>>, from: u64, length: u64) -> Result<bool, LogError> {
        let file = segment.log().open()?;
        let interval = self.open.config.index_interval_bytes;
        let mut since_entry = self.recovered.since_index_entry;
        let mut misplaced = None;
        let (visit, recovered) = (&mut *self.visit, &mut self.recovered);
        let scanned = scan_batches(&*file, from, length, |position, batch| {
            let (expected, _) = segment.next_offset_and_size();
            let header = &batch.header;
            if header.base_offset < expected {
                misplaced = Some((position, header.base_offset));
                return Err(Halt::Misplaced);
            }
            segment.extend(header);
            if since_entry > interval {
                segment.index(header, position).map_err(Halt::Fault)?;
                since_entry = 0;
            }
            since_entry += header.size() as u64;
            recovered.scanned_bytes += header.size() as u64;
            visit(batch).map_err(Halt::Fault)
        });
        self.recovered.since_index_entry = since_entry;
        match scanned {
            Ok((_, Stop::End)) => Ok(true),
            Ok((_, Stop::Io(source))) => Err(segment.log().fault("read")(source)),
            Ok((position, stop)) => self.bad_batch(segment, &*file, position, length, stop),
            Err(Halt::Fault(error)) => Err(error),
            Err(Halt::Misplaced) => {
                let (position, offset) = misplaced.unwrap_or_default();
                let (expected, _) = segment.next_offset_and_size();
                self.damage(segment, position, length, expected, DamageReason::OffsetOutOfOrder(offset));
                Ok(false)
            }
        }
    }

    fn bad_batch(
        &mut self,
        segment: &Arc<Segment<D>>,
        file: &D::File,
        position: u64,
        length: u64,
        stop: Stop,
    ) -> Result<bool, LogError> {
        let zeros_allowed = self.open.config.zero_fill_ahead_bytes > 0;
        if zeros_allowed && is_zero(file, position, length).map_err(segment.log().fault("read"))? {
            return Ok(true);
        }
        let reason = match stop {
            Stop::Invalid(error) => DamageReason::Invalid(error.to_string()),
            Stop::End | Stop::Incomplete | Stop::Io(_) => DamageReason::Incomplete,
        };
        let (offset, _) = segment.next_offset_and_size();
        self.damage(segment, position, length, offset, reason);
        Ok(false)
    }

    fn damage(&mut self, segment: &Segment<D>, position: u64, length: u64, offset: Offset, reason: DamageReason) {
        let good = self.recovered.segments.last().map_or(segment.base_offset(), |segment| segment.base_offset());
        self.recovered.damage = Some(Damage {
            path: segment.log().path(),
            segment_base_offset: good,
            position,
            offset,
            bytes: length - position,
            reason,
        });
    }
}

/// Why a scan was halted by its visitor.
enum Halt {
    Misplaced,
    Fault(LogError),
}

/// The segments on disk after the one with this base offset.
pub(super) fn later_segments<D: Disk>(
    pool: &Arc<FilePool<D>>,
    directory: &Arc<LogDirectory>,
    base_offset: Offset,
) -> Result<Vec<Arc<Segment<D>>>, LogError> {
    let listing = list(pool.disk(), directory)?;
    let later = listing.bases.into_iter().filter(|base| *base > base_offset);
    Ok(later.map(|base| Arc::new(Segment::new_existing(pool, directory, base, base, 0))).collect())
}

pub(super) fn visit_beyond<D: Disk>(
    pool: &Arc<FilePool<D>>,
    directory: &Arc<LogDirectory>,
    damage: &Damage,
    visit: &mut impl FnMut(&Batch<'_>) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let path = directory.path().join(file_name(damage.segment_base_offset, FileKind::Log));
    let file = pool.disk().open(&path).map_err(LogError::io("open", &path))?;
    let position = if damage.path == path { damage.position } else { 0 };
    visit_any(&file, position, damage.offset, visit).map_err(|error| error.or_io(&path))?;
    for segment in later_segments(pool, directory, damage.segment_base_offset)? {
        let path = segment.log().path();
        visit_any(&*segment.log().open()?, 0, damage.offset, visit).map_err(|error| error.or_io(&path))?;
    }
    Ok(())
}

/// An error that may not know its path yet.
enum Unlocated {
    Io(std::io::Error),
    Fault(LogError),
}

impl Unlocated {
    fn or_io(self, path: &std::path::Path) -> LogError {
        match self {
            Unlocated::Io(source) => LogError::io("read", path)(source),
            Unlocated::Fault(error) => error,
        }
    }
}

/// Passes every good batch at or above `offset` to `visit`, wherever it begins: byte by byte until something looks
/// like a header and its CRC is right.
fn visit_any(
    file: &impl DiskFile,
    position: u64,
    offset: Offset,
    visit: &mut impl FnMut(&Batch<'_>) -> Result<(), LogError>,
) -> Result<(), Unlocated> {
    let length = file.len().map_err(Unlocated::Io)?;
    let mut content = vec![0; usize::try_from(length.saturating_sub(position)).unwrap_or(0)];
    let read = read_full(file, &mut content, position).map_err(Unlocated::Io)?;
    content.truncate(read);
    let mut rest = content.as_slice();
    while rest.len() >= BATCH_HEADER_LENGTH {
        let batch = BatchHeader::parse(rest)
            .ok()
            .filter(|header| header.base_offset >= offset)
            .and_then(|header| Some((header, rest.get(..header.size())?)))
            .filter(|(_, bytes)| verify_crc(bytes).is_ok());
        let step = match batch {
            Some((header, bytes)) => {
                visit(&Batch { header, position: 0, bytes }).map_err(Unlocated::Fault)?;
                bytes.len()
            }
            None => 1,
        };
        rest = rest.get(step..).unwrap_or_default();
    }
    Ok(())
}
