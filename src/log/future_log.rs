//! The copy of a log that is about to move to another data directory (KIP-113): Kafka's future log.
//!
//! Segment for segment, each batch with its CRC checked, in rounds that take no lock: a round copies what the log had
//! when it began. A segment's copy counts as long as that very segment is in the log. What retention or compaction have
//! taken since is dropped from the copy, and a truncation, after which other bytes may stand at the same place, drops
//! all of it.
//!
//! Nothing here touches the log that is copied. What takes its place is in `relocation`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::model::{Offset, TopicPartition, Uuid};

use super::batch_walk::{Stop, scan_batches};
use super::disk::Disk;
use super::file_names::{Standing, deleted_directory_name, future_directory_name, parse_future_directory_name};
use super::file_pool::LogDirectory;
use super::segment::Segment;
use super::segment_writer::SegmentWriter;
use super::{DataDirectory, LogError};

/// How far a copy is. Read by others while it grows.
#[derive(Debug, Default)]
pub struct CopyProgress {
    bytes: AtomicU64,
    end_offset: AtomicI64,
}

impl CopyProgress {
    /// Bytes copied.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// One past the last record copied.
    pub fn end_offset(&self) -> Offset {
        self.end_offset.load(Ordering::Relaxed)
    }

    fn set(&self, bytes: u64, end_offset: Offset) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.end_offset.store(end_offset, Ordering::Relaxed);
    }
}

/// What a log holds at a moment, as seen under its lock.
#[derive(Debug)]
pub(super) struct Extent<D: Disk> {
    /// Oldest first, each with its bytes; at least one.
    pub(super) segments: Vec<(Arc<Segment<D>>, u64)>,
    pub(super) end_offset: Offset,
    /// The log was truncated so often.
    pub(super) truncations: u64,
    /// `index.interval.bytes`.
    pub(super) index_interval_bytes: u64,
}

impl<D: Disk> Extent<D> {
    /// True when that very segment is part of it.
    pub(super) fn has(&self, segment: &Arc<Segment<D>>) -> bool {
        self.segments.iter().any(|(present, _)| Arc::ptr_eq(present, segment))
    }
}

/// A copy that grows in its own directory, `<topic>-<partition>.<id>-future`.
#[derive(Debug)]
pub struct FutureLog<D: Disk> {
    pub(super) target: DataDirectory<D>,
    pub(super) partition: TopicPartition,
    pub(super) directory: Arc<LogDirectory>,
    copies: Vec<SegmentCopy<D>>,
    /// Of the log when the copy was begun.
    truncations: u64,
    /// Everything below is durable in the copy.
    pub(super) durable_offset: Offset,
    /// Offsets of the producer snapshots in the copy.
    pub(super) snapshots: Vec<Offset>,
    progress: Arc<CopyProgress>,
}

#[derive(Debug)]
struct SegmentCopy<D: Disk> {
    source: Arc<Segment<D>>,
    writer: SegmentWriter<D>,
    /// The source takes no more batches, and the copy has all of them and whole indexes.
    finished: bool,
    /// As it is now it is on disk.
    synced: bool,
}

/// Why a scan ends early.
enum Halt {
    Stopped,
    Fault(LogError),
}

impl<D: Disk> DataDirectory<D> {
    /// The partitions that are being copied into this directory, or were when the process ended.
    pub fn futures(&self) -> Result<Vec<TopicPartition>, LogError> {
        Ok(self.directories_named(parse_future_directory_name)?.into_iter().map(|(partition, _)| partition).collect())
    }

    /// True when the partition's name leaves room for what is appended to it while it moves.
    pub fn can_name_future(partition: &TopicPartition) -> bool {
        future_directory_name(partition, Uuid::ZERO).is_some()
    }

    /// Makes the directory that a partition is to be copied into, durably: a copy that a crash ends is begun anew by the
    /// next start. One that is there already will do. `id` must be unique.
    pub fn create_future(&self, partition: &TopicPartition, id: Uuid) -> Result<(), LogError> {
        if self.future_paths(partition)?.is_empty()
            && let Some(name) = future_directory_name(partition, id)
        {
            let path = self.path().join(name);
            self.disk().create_dir(&path).map_err(LogError::io("create", &path))?;
            self.disk().sync_dir(self.path()).map_err(LogError::io("sync", self.path()))?;
        }
        Ok(())
    }

    /// Gives up what there is of a copy of the partition, to be removed by [`DataDirectory::remove_deleted`]. `id` must
    /// be unique.
    pub fn give_up_future(&self, partition: &TopicPartition, id: Uuid) -> Result<(), LogError> {
        let to = self.path().join(deleted_directory_name(partition, id));
        for from in self.future_paths(partition)? {
            self.disk().rename(&from, &to).map_err(LogError::io("rename", &from))?;
        }
        Ok(())
    }

    fn future_paths(&self, partition: &TopicPartition) -> Result<Vec<PathBuf>, LogError> {
        let futures = self.directories_named(parse_future_directory_name)?.into_iter();
        Ok(futures.filter(|(future, _)| future == partition).map(|(_, path)| path).collect())
    }
}

impl<D: Disk> FutureLog<D> {
    /// Begins a copy in `target`, in the directory that [`DataDirectory::create_future`] has made; what is in it from an
    /// earlier attempt goes. `id` must be unique.
    pub fn begin(target: &DataDirectory<D>, partition: &TopicPartition, id: Uuid) -> Result<Self, LogError> {
        target.create_future(partition, id)?;
        let path = target.future_paths(partition)?.into_iter().next().unwrap_or_else(|| target.path().to_owned());
        let disk = target.disk();
        for entry in disk.list(&path).map_err(LogError::io("list", &path))? {
            let file = path.join(entry.name);
            disk.remove_file(&file).map_err(LogError::io("remove", file))?;
        }
        Ok(Self {
            target: target.clone(),
            partition: partition.clone(),
            directory: Arc::new(LogDirectory::new(path)),
            copies: Vec::new(),
            truncations: 0,
            durable_offset: 0,
            snapshots: Vec::new(),
            progress: Arc::default(),
        })
    }

    /// How far the copy is is told here.
    pub fn report_to(&mut self, progress: &Arc<CopyProgress>) {
        self.progress = Arc::clone(progress);
    }

    /// The segments of the copy, and the bytes since the last entry of the last one's index.
    pub(super) fn segments(&self) -> (Vec<Arc<Segment<D>>>, u64) {
        let since_index_entry = self.copies.last().map_or(0, |copy| copy.writer.since_index_entry());
        (self.copies.iter().map(|copy| copy.writer.segment().clone()).collect(), since_index_entry)
    }

    /// True when nothing of what is durable in the copy has been truncated or cleaned since, so that the copy still
    /// vouches for everything below its durable offset.
    pub(super) fn covers(&self, extent: &Extent<D>) -> bool {
        let mut below = extent.segments.iter().filter(|(source, _)| source.base_offset() < self.durable_offset);
        self.truncations == extent.truncations && below.all(|(source, _)| self.copy_of(source).is_some())
    }

    /// Bytes of the log that are not in the copy.
    pub(super) fn missing_bytes(&self, extent: &Extent<D>) -> u64 {
        let all: u64 = extent.segments.iter().map(|(_, size)| size).sum();
        let copies = extent.segments.iter().filter_map(|(source, _)| self.copy_of(source));
        all.saturating_sub(copies.map(|copy| copy.writer.segment().size()).sum())
    }

    fn copy_of(&self, source: &Arc<Segment<D>>) -> Option<&SegmentCopy<D>> {
        self.copies.iter().find(|copy| Arc::ptr_eq(&copy.source, source))
    }

    /// Copies what is missing of `extent`; the number of bytes, or `None` when `pace`, which is told of each batch's
    /// bytes and may take its time, says `false`. An error may come of a change of the log meanwhile.
    pub(super) fn copy(
        &mut self,
        extent: &Extent<D>,
        pace: &mut impl FnMut(u64) -> bool,
    ) -> Result<Option<u64>, LogError> {
        self.drop_stale(extent)?;
        let mut copied = 0;
        for (at, (source, size)) in extent.segments.iter().enumerate() {
            if self.copies.get(at).is_none_or(|copy| !Arc::ptr_eq(&copy.source, source)) {
                let copy = self.new_copy(source, extent.index_interval_bytes)?;
                self.copies.insert(at, copy);
            }
            let (bytes_before, progress) = (self.bytes(), Arc::clone(&self.progress));
            let Some(copy) = self.copies.get_mut(at) else { continue };
            if copy.finished {
                continue;
            }
            let mut bytes = 0;
            let outcome = copy.fill(*size, &mut |batch_bytes, next_offset| {
                bytes += batch_bytes;
                progress.set(bytes_before + bytes, next_offset);
                pace(batch_bytes)
            })?;
            if outcome.is_none() {
                return Ok(None);
            }
            copied += bytes;
            if at + 1 < extent.segments.len() {
                copy.writer.segment().finish_indexes()?;
                copy.finished = true;
                copy.synced = false;
            }
        }
        Ok(Some(copied))
    }

    fn new_copy(&self, source: &Arc<Segment<D>>, index_interval_bytes: u64) -> Result<SegmentCopy<D>, LogError> {
        let (pool, directory) = (self.target.pool(), &self.directory);
        let segment = Arc::new(Segment::new_empty(pool, directory, source.base_offset(), Standing::Present));
        let writer = SegmentWriter::new(segment, index_interval_bytes)?;
        Ok(SegmentCopy { source: Arc::clone(source), writer, finished: false, synced: false })
    }

    fn bytes(&self) -> u64 {
        self.copies.iter().map(|copy| copy.writer.segment().size()).sum()
    }

    /// Drops the copies of what is not in the log any more.
    fn drop_stale(&mut self, extent: &Extent<D>) -> Result<(), LogError> {
        let truncated = self.truncations != extent.truncations;
        self.truncations = extent.truncations;
        let copies = std::mem::take(&mut self.copies).into_iter();
        let (kept, stale): (Vec<_>, Vec<_>) = copies.partition(|copy| !truncated && extent.has(&copy.source));
        self.copies = kept;
        let end_offset = self.copies.last().map_or(0, |copy| copy.writer.segment().next_offset_and_size().0);
        self.progress.set(self.bytes(), end_offset);
        stale.iter().try_for_each(|copy| copy.writer.segment().remove())
    }

    /// Makes the segments durable, but not their names.
    pub(super) fn sync_segments(&mut self) -> Result<(), LogError> {
        for copy in self.copies.iter_mut().filter(|copy| !copy.synced) {
            copy.writer.segment().write_out_indexes()?;
            copy.writer.segment().sync(copy.finished)?;
            copy.synced = true;
        }
        Ok(())
    }
}

impl<D: Disk> SegmentCopy<D> {
    /// Copies the batches below `size`, and the aborted transactions that are known by now; `None` when it was stopped.
    fn fill(&mut self, size: u64, on_batch: &mut impl FnMut(u64, Offset) -> bool) -> Result<Option<()>, LogError> {
        let from = self.writer.segment().size();
        if from < size {
            self.synced = false;
            let file = self.source.log().open()?;
            let writer = &mut self.writer;
            let scanned = scan_batches(&*file, from, size, |_, batch| {
                let bytes = writer.write(batch.bytes).map_err(Halt::Fault)?;
                if on_batch(bytes, batch.header.next_offset()) { Ok(()) } else { Err(Halt::Stopped) }
            });
            match scanned {
                Ok((_, Stop::End)) => {}
                Ok((position, stop)) => return Err(self.source.corrupt(position, stop)),
                Err(Halt::Fault(fault)) => return Err(fault),
                Err(Halt::Stopped) => return Ok(None),
            }
            self.writer.write_out()?;
        }
        self.copy_aborted()?;
        Ok(Some(()))
    }

    fn copy_aborted(&mut self) -> Result<(), LogError> {
        let (from, to) = (self.source.transaction_index(), self.writer.segment().transaction_index());
        let since = to.last()?.map_or(0, |last| last.last_offset + 1);
        for aborted in from.since(since)? {
            to.append(aborted)?;
            self.synced = false;
        }
        Ok(())
    }
}
