//! Record batches in segments: the storage below a partition and below the Raft log.
//!
//! Knows offsets, positions and files, and nothing of leader epochs, producers or retention. A sync
//! happens only where it is asked for, and where bytes are cut off: what was cut must not come back
//! after a power cut to mix with what is appended in its place.

mod cut;
mod relocate;
mod replace;
mod rewrite;

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use crate::model::{LeaderEpochs, Monotonic, Offset, Wall};
use crate::record::{Batch, BatchHeader};

use super::disk::{Disk, DiskFile};
use super::file_names::Standing;
use super::file_pool::{FilePool, LogDirectory};
use super::open_log::OpenLog;
use super::reader::{LogReader, Shared, segments_from};
use super::recovery::{self, Damage, Recovered};
use super::segment::Segment;
use super::transaction_index::AbortedTransaction;
use super::{LogConfig, LogError};

/// Zeros are written ahead in pieces of this size.
const ZERO_FILL_BYTES: usize = 64 * 1024;
static ZEROS: [u8; ZERO_FILL_BYTES] = [0; ZERO_FILL_BYTES];

/// What [`SegmentedLog::open`] found.
#[derive(Debug)]
pub struct OpenedLog<D: Disk> {
    /// The log, up to the first bad batch.
    pub log: SegmentedLog<D>,
    /// The first bad batch past the recovery point. While there is one the log takes no appends: decide, and then
    /// [`SegmentedLog::cut_damage`] or drop the log.
    pub damage: Option<Damage>,
    /// Bytes that were read and checked.
    pub scanned_bytes: u64,
}

/// A log of record batches in segments. Belongs to one writer; others read through [`SegmentedLog::reader`].
#[derive(Debug)]
pub struct SegmentedLog<D: Disk> {
    pool: Arc<FilePool<D>>,
    config: Arc<LogConfig>,
    directory: Arc<LogDirectory>,
    shared: Arc<Shared<D>>,
    active: Arc<Segment<D>>,
    /// Bytes since the last entry of the active segment's offset index.
    since_index_entry: u64,
    /// The largest timestamp of the active segment's first batch, once known.
    first_timestamp: Option<i64>,
    /// When the active segment began, for batches without a timestamp.
    active_since: Wall,
    /// Length of the active segment's file, with its batches and the zeros after them, or the room that was taken for
    /// it. What is not used of it is given back when the segment is closed.
    allocated: u64,
    recovery_point: Offset,
    /// Bytes appended since the log was opened, and how many of them are synced.
    appended_bytes: u64,
    synced_bytes: u64,
    /// Counts truncations, so that a sync that began before one is not taken for one after it.
    truncations: u64,
    /// Names in the directory have changed since it was synced.
    directory_dirty: bool,
    /// Renamed, to be removed later; the time is that of the first look.
    deleted: VecDeque<(Arc<Segment<D>>, Option<Monotonic>)>,
    damage: Option<Damage>,
    failed: bool,
}

/// The files that a sync has to reach.
#[derive(Debug)]
pub(super) struct Unsynced<D: Disk> {
    pub(super) offset: Offset,
    pub(super) appended_bytes: u64,
    pub(super) truncations: u64,
    /// Each with whether its indexes are finished.
    pub(super) segments: Vec<(Arc<Segment<D>>, bool)>,
    pub(super) sync_directory: bool,
    pub(super) directory: Arc<LogDirectory>,
    pub(super) pool: Arc<FilePool<D>>,
}

impl<D: Disk> Unsynced<D> {
    pub(super) fn sync_files(&self) -> Result<(), LogError> {
        for (segment, finished) in &self.segments {
            match segment.sync(*finished) {
                // Retention or a truncation has taken the files away meanwhile.
                Err(_) if segment.log().is_doomed() => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    pub(super) fn sync_directory(&self) -> Result<(), LogError> {
        let path = self.directory.path();
        if self.sync_directory { self.pool.disk().sync_dir(&path).map_err(LogError::io("sync", path)) } else { Ok(()) }
    }
}

impl<D: Disk> SegmentedLog<D> {
    /// Opens the log in `directory`, which exists, and creates its first segment when it has none. Batches from the
    /// recovery point on are passed to `visit` as they are found good.
    pub fn open(
        pool: &Arc<FilePool<D>>,
        directory: PathBuf,
        open: OpenLog,
        mut visit: impl FnMut(&Batch<'_>) -> Result<(), LogError>,
    ) -> Result<OpenedLog<D>, LogError> {
        let directory = Arc::new(LogDirectory::new(directory));
        let recovered = recovery::recover(pool, &directory, &open, &mut visit)?;
        let (damage, scanned_bytes, created) = (recovered.damage.clone(), recovered.scanned_bytes, recovered.created);
        let mut log = Self::from_recovered(pool, directory, open, recovered)?;
        if damage.is_none() && !created {
            log.trim_zeros()?;
        }
        Ok(OpenedLog { log, damage, scanned_bytes })
    }

    fn from_recovered(
        pool: &Arc<FilePool<D>>,
        directory: Arc<LogDirectory>,
        open: OpenLog,
        recovered: Recovered<D>,
    ) -> Result<Self, LogError> {
        let Recovered { segments, since_index_entry, file_length, damage, removed_files, created, .. } = recovered;
        let active = segments.last().cloned().expect("recovery leaves at least one segment");
        let log_start_offset = segments.first().map_or(0, |segment| segment.base_offset()).max(open.start_offset);
        let (log_end_offset, _) = active.next_offset_and_size();
        let (open_preallocates, segment_bytes) = (open.config.preallocate, open.config.segment_bytes);
        let shared = Shared {
            segments: ArcSwap::from_pointee(segments),
            log_start_offset: AtomicI64::new(log_start_offset.min(log_end_offset)),
            log_end_offset: AtomicI64::new(log_end_offset),
            leader_epochs: ArcSwap::from_pointee(LeaderEpochs::default()),
        };
        Ok(Self {
            pool: pool.clone(),
            config: open.config,
            directory,
            shared: Arc::new(shared),
            active,
            since_index_entry,
            first_timestamp: None,
            active_since: open.now,
            // What was taken for it in an earlier life is given back; the next segment takes its own.
            allocated: if open_preallocates { file_length.max(segment_bytes) } else { file_length },
            recovery_point: open.recovery_point.min(log_end_offset),
            appended_bytes: recovered.scanned_bytes,
            synced_bytes: 0,
            truncations: 0,
            directory_dirty: removed_files || created || !open.clean,
            deleted: VecDeque::new(),
            damage,
            failed: false,
        })
    }

    /// Cuts zeros that were written ahead before the last stop.
    fn trim_zeros(&mut self) -> Result<(), LogError> {
        let size = self.active.size();
        if self.allocated > size {
            let path = self.active.log().path();
            self.active.log().open()?.set_len(size).map_err(LogError::io("truncate", path))?;
            self.allocated = size;
        }
        Ok(())
    }

    /// A handle for readers.
    pub fn reader(&self) -> LogReader<D> {
        LogReader { shared: self.shared.clone() }
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        self.pool.disk()
    }

    /// The directory.
    pub fn path(&self) -> PathBuf {
        self.directory.path()
    }

    /// The directory, for its renaming.
    pub(super) fn directory(&self) -> &Arc<LogDirectory> {
        &self.directory
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Puts new settings in force.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// Offset of the first record that can be read.
    pub fn log_start_offset(&self) -> Offset {
        self.shared.log_start_offset.load(Ordering::Acquire)
    }

    /// One past the last record.
    pub fn log_end_offset(&self) -> Offset {
        self.shared.log_end_offset.load(Ordering::Acquire)
    }

    /// Bytes appended since the log was opened, those included that had to be scanned then.
    pub(super) fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// Everything below is synced.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Bytes appended and not synced.
    pub fn dirty_bytes(&self) -> u64 {
        self.appended_bytes - self.synced_bytes
    }

    /// Tells readers about leader epochs.
    pub(super) fn publish_leader_epochs(&self, epochs: LeaderEpochs) {
        self.shared.leader_epochs.store(Arc::new(epochs));
    }

    /// The segments, oldest first.
    pub(super) fn segments(&self) -> Arc<Vec<Arc<Segment<D>>>> {
        self.shared.segments.load_full()
    }

    pub(super) fn directory_changed(&mut self) {
        self.directory_dirty = true;
    }

    /// Notes an aborted transaction whose marker was appended last. The marker is in the log whether or not the index
    /// can be written now: entries wait in memory, and a flush fails if they still cannot be written.
    pub(super) fn note_aborted(&mut self, aborted: AbortedTransaction) {
        self.directory_dirty = true;
        if let Err(error) = self.active.transaction_index().append_next(aborted) {
            tracing::warn!("the transaction index is behind its log: {error}");
        }
    }

    /// Base offset of the segment that is appended to.
    pub(super) fn active_base_offset(&self) -> Offset {
        self.active.base_offset()
    }

    /// Where the log would end if it were truncated at `offset`: a batch goes as a whole.
    pub(super) fn truncation_point(&self, offset: Offset) -> Result<Offset, LogError> {
        let segments = self.shared.segments.load();
        let Some(segment) = segments_from(&segments, offset).first() else { return Ok(offset) };
        let found = segment.find(offset, segment.size())?;
        Ok(found.map_or(offset, |batch| batch.header.base_offset.min(offset)))
    }

    /// Appends whole batches: their bytes are `first` and then `second`, and `headers` says what they are, offsets
    /// assigned. Nothing is synced. Rolls the segment before when it is time. After an error nothing was appended.
    pub fn append(&mut self, first: &[u8], second: &[u8], headers: &[BatchHeader], now: Wall) -> Result<(), LogError> {
        let (Some(leading), Some(trailing)) = (headers.first(), headers.last()) else { return Ok(()) };
        let log_end_offset = self.log_end_offset();
        if leading.base_offset < log_end_offset {
            let (base_offset, last_offset) = (leading.base_offset, leading.last_offset());
            return Err(LogError::OffsetsNotContinuous { base_offset, last_offset, log_end_offset });
        }
        let length = first.len() + second.len();
        let max_timestamp = headers.iter().map(|header| header.max_timestamp).max().unwrap_or(-1);
        if self.must_roll(length, trailing.last_offset(), max_timestamp, now)? {
            self.roll(now)?;
        }
        self.check_writable(length)?;
        self.write(first, second)?;
        if self.first_timestamp.is_none() && self.active.size() == 0 {
            self.first_timestamp = Some(leading.max_timestamp);
        }
        for header in headers {
            self.note_batch(header);
        }
        self.appended_bytes += length as u64;
        self.shared.log_end_offset.store(trailing.next_offset(), Ordering::Release);
        Ok(())
    }

    /// Bytes that may still be appended to the active segment before it is rolled.
    pub(super) fn room(&self) -> u64 {
        self.config.segment_bytes.saturating_sub(self.active.size())
    }

    fn check_writable(&self, length: usize) -> Result<(), LogError> {
        if self.failed || self.damage.is_some() {
            return Err(LogError::Failed { path: self.path() });
        }
        if length as u64 > self.config.segment_bytes {
            return Err(LogError::BatchTooLarge { size: length, segment_bytes: self.config.segment_bytes });
        }
        Ok(())
    }

    fn write(&mut self, first: &[u8], second: &[u8]) -> Result<(), LogError> {
        let position = self.active.size();
        let end = position + (first.len() + second.len()) as u64;
        let file = self.active.log().open()?;
        let written = self.fill_zeros(&*file, end).and_then(|()| file.write_at(first, second, position));
        let Err(source) = written else {
            self.allocated = self.allocated.max(end);
            return Ok(());
        };
        // Half a batch must not stay behind: a shorter one written over it would be followed by its rest.
        if mutant!("half-a-batch-stays") {
            return Err(self.active.log().fault("write")(source));
        }
        let undone = file.set_len(position).and_then(|()| file.sync_data());
        self.allocated = position;
        self.failed = undone.is_err();
        Err(self.active.log().fault("write")(source))
    }

    fn fill_zeros(&mut self, file: &D::File, end: u64) -> std::io::Result<()> {
        if self.config.zero_fill_ahead_bytes == 0 || end <= self.allocated {
            return Ok(());
        }
        let target = (end + self.config.zero_fill_ahead_bytes).min(self.config.segment_bytes.max(end));
        while self.allocated < target {
            let length = usize::try_from(target - self.allocated).unwrap_or(usize::MAX).min(ZERO_FILL_BYTES);
            file.write_at(ZEROS.get(..length).unwrap_or(&ZEROS), &[], self.allocated)?;
            self.allocated += length as u64;
        }
        Ok(())
    }

    /// Shows a batch that was written to readers, and indexes it when it is time. The batch is in the log whether or
    /// not the index can be written now: entries wait in memory, and a flush fails if they still cannot be written.
    fn note_batch(&mut self, header: &BatchHeader) {
        let position = self.active.size();
        self.active.extend(header);
        if self.since_index_entry > self.config.index_interval_bytes {
            match self.active.index(header, position) {
                Ok(()) => self.since_index_entry = 0,
                Err(error) => tracing::warn!("the index is behind its log: {error}"),
            }
        }
        self.since_index_entry += header.size() as u64;
    }

    fn must_roll(
        &mut self,
        length: usize,
        last_offset: Offset,
        max_timestamp: i64,
        now: Wall,
    ) -> Result<bool, LogError> {
        let size = self.active.size();
        if size == 0 {
            // An empty segment takes any batch, unless its offsets are out of reach of the index.
            return Ok(last_offset - self.active.base_offset() > Offset::from(i32::MAX));
        }
        let full = size + length as u64 > self.config.segment_bytes;
        let far = last_offset - self.active.base_offset() > Offset::from(i32::MAX);
        Ok(full || far || self.index_is_full()? || self.is_old(max_timestamp, now)?)
    }

    fn index_is_full(&self) -> Result<bool, LogError> {
        // The time index keeps an entry free for the segment's largest timestamp.
        let offset_bytes = 8 * (self.active.offset_index().len()? as u64 + 1);
        let time_bytes = 12 * (self.active.time_index().len()? as u64 + 2);
        Ok(offset_bytes > self.config.segment_index_bytes || time_bytes > self.config.segment_index_bytes)
    }

    /// `segment.ms` less the jitter has passed, by the batches' own time where they have one.
    fn is_old(&mut self, max_timestamp: i64, now: Wall) -> Result<bool, LogError> {
        let first_timestamp = match self.first_timestamp {
            Some(timestamp) => timestamp,
            None => {
                let mut found = -1;
                self.active.walk(0, self.active.size(), |batch| {
                    found = batch.header.max_timestamp;
                    Ok(false)
                })?;
                *self.first_timestamp.insert(found)
            }
        };
        let age_ms = if first_timestamp >= 0 && max_timestamp >= 0 {
            max_timestamp.saturating_sub(first_timestamp)
        } else {
            now.0.saturating_sub(self.active_since.0)
        };
        Ok(age_ms > self.config.roll_ms().saturating_sub(self.jitter_ms()))
    }

    /// The same for one segment at each look, and unlike that of other logs.
    fn jitter_ms(&self) -> i64 {
        if self.config.segment_jitter_ms <= 0 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        (self.path(), self.active.base_offset()).hash(&mut hasher);
        (hasher.finish() % self.config.segment_jitter_ms as u64) as i64
    }

    /// Begins a new segment at the log end offset, unless the active one is empty.
    pub fn roll(&mut self, now: Wall) -> Result<(), LogError> {
        let base_offset = self.log_end_offset();
        if base_offset == self.active.base_offset() {
            return Ok(());
        }
        self.trim_zeros()?;
        self.active.finish_indexes()?;
        let segment = self.create_segment(base_offset)?;
        let mut segments = Vec::clone(&self.shared.segments.load());
        segments.push(segment.clone());
        self.shared.segments.store(Arc::new(segments));
        self.begin(segment, now);
        Ok(())
    }

    fn create_segment(&mut self, base_offset: Offset) -> Result<Arc<Segment<D>>, LogError> {
        let segment = Arc::new(Segment::new_empty(&self.pool, &self.directory, base_offset, Standing::Present));
        segment.log().create()?;
        self.directory_dirty = true;
        segment.allocate_ahead(&self.config)?;
        Ok(segment)
    }

    fn begin(&mut self, segment: Arc<Segment<D>>, now: Wall) {
        self.active = segment;
        self.since_index_entry = 0;
        self.first_timestamp = None;
        self.active_since = now;
        self.allocated = if self.config.preallocate { self.config.segment_bytes } else { 0 };
    }

    fn sync_directory(&mut self) -> Result<(), LogError> {
        let path = self.path();
        self.pool.disk().sync_dir(&path).map_err(LogError::io("sync", path))?;
        self.directory_dirty = false;
        Ok(())
    }

    /// Syncs everything up to the log end offset, here and now.
    pub fn sync(&mut self) -> Result<(), LogError> {
        let unsynced = self.unsynced()?;
        unsynced.sync_files()?;
        unsynced.sync_directory()?;
        self.mark_synced(unsynced.offset, unsynced.appended_bytes, unsynced.truncations);
        Ok(())
    }

    /// What a sync has to reach. Index entries of the active segment are written out on the way.
    pub(super) fn unsynced(&mut self) -> Result<Unsynced<D>, LogError> {
        self.active.write_out_indexes()?;
        let segments = self.shared.segments.load();
        let dirty = segments_from(&segments, self.recovery_point);
        let segments = dirty.iter().map(|segment| (segment.clone(), !Arc::ptr_eq(segment, &self.active))).collect();
        let sync_directory = std::mem::take(&mut self.directory_dirty);
        Ok(Unsynced {
            offset: self.log_end_offset(),
            appended_bytes: self.appended_bytes,
            truncations: self.truncations,
            segments,
            sync_directory,
            directory: self.directory.clone(),
            pool: self.pool.clone(),
        })
    }

    /// True when there are batches to sync.
    pub(super) fn needs_sync(&self) -> bool {
        self.recovery_point < self.log_end_offset()
    }

    /// A sync is done. One that began before a truncation says nothing.
    pub(super) fn mark_synced(&mut self, offset: Offset, appended_bytes: u64, truncations: u64) -> bool {
        if truncations != self.truncations {
            return false;
        }
        self.recovery_point = self.recovery_point.max(offset);
        self.synced_bytes = self.synced_bytes.max(appended_bytes);
        true
    }

    /// Finishes the indexes and syncs everything, so that the next start has nothing to look at.
    pub fn close(&mut self) -> Result<(), LogError> {
        self.trim_zeros()?;
        self.active.index_max_timestamp()?;
        self.sync()?;
        self.active.offset_index().sync()?;
        self.active.time_index().sync()?;
        let deleted = std::mem::take(&mut self.deleted);
        deleted.iter().try_for_each(|(segment, _)| segment.remove())?;
        // Index files may have been created just now.
        self.sync_directory()
    }
}
