//! An index of a segment: entries of one size, in rising order.
//!
//! The newest entries are held in memory and written many at once; the older ones are read from the
//! file when someone looks for them. Nothing is mapped and nothing preallocated, but a file that
//! Kafka preallocated, whose tail is zeros, is read as it is meant. Losing the entries that were not
//! written costs nothing: recovery makes them again from the batches.

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Offset;

use super::LogError;
use super::disk::{Disk, DiskFile, read_full};
use super::file_pool::PooledFile;

/// This many entries are gathered before they are written, and this many are kept to answer from.
const ENTRIES_IN_MEMORY: usize = 512;

/// An entry of an index.
pub trait IndexEntry: Copy + Debug + PartialEq + Send + Sync {
    /// Bytes in the file.
    const SIZE: usize;

    /// What entries are looked up by; strictly rising.
    fn key(&self) -> i64;

    /// True when `self` can follow `earlier` in an index.
    fn follows(&self, earlier: &Self) -> bool;

    /// Appends the bytes.
    fn encode(&self, base_offset: Offset, bytes: &mut Vec<u8>);

    /// Reads the bytes, which are `SIZE` long; `None` for the zeros of a preallocated file.
    fn decode(base_offset: Offset, bytes: &[u8]) -> Option<Self>;
}

/// The index of one segment.
#[derive(Debug)]
pub struct IndexFile<D: Disk, E> {
    file: PooledFile<D>,
    base_offset: Offset,
    entries: Mutex<Entries<E>>,
}

#[derive(Clone, Debug)]
struct Entries<E> {
    /// Entries in the file; `None` until someone looks.
    on_disk: Option<usize>,
    /// The newest entries; the last `unwritten` of them are not in the file yet.
    recent: Vec<E>,
    unwritten: usize,
}

impl<E: IndexEntry> Entries<E> {
    /// Number of entries that are only in the file.
    fn older(&self) -> usize {
        (self.on_disk.unwrap_or(0) + self.unwritten).saturating_sub(self.recent.len())
    }

    fn unwritten(&self) -> &[E] {
        self.recent.get(self.recent.len() - self.unwritten..).unwrap_or_default()
    }
}

impl<D: Disk, E: IndexEntry> IndexFile<D, E> {
    /// The index in a file that may or may not exist.
    pub fn new(file: PooledFile<D>, base_offset: Offset) -> Self {
        Self { file, base_offset, entries: Mutex::new(Entries { on_disk: None, recent: Vec::new(), unwritten: 0 }) }
    }

    /// The index of a segment that is new: nothing is looked for on disk.
    pub fn new_empty(file: PooledFile<D>, base_offset: Offset) -> Self {
        Self { file, base_offset, entries: Mutex::new(Entries { on_disk: Some(0), recent: Vec::new(), unwritten: 0 }) }
    }

    /// The file.
    pub fn file(&self) -> &PooledFile<D> {
        &self.file
    }

    fn lock(&self) -> MutexGuard<'_, Entries<E>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks with the number of entries on disk known.
    fn loaded(&self) -> Result<MutexGuard<'_, Entries<E>>, LogError> {
        let mut entries = self.lock();
        if entries.on_disk.is_none() {
            entries.on_disk = Some(self.count_on_disk()?);
        }
        Ok(entries)
    }

    fn count_on_disk(&self) -> Result<usize, LogError> {
        if !self.file.exists() {
            return Ok(0);
        }
        let length = self.file.open()?.len().map_err(self.file.fault("measure"))?;
        let count = usize::try_from(length).unwrap_or(usize::MAX) / E::SIZE;
        if count == 0 || self.read_entry(count - 1)?.is_some() {
            return Ok(count);
        }
        // A tail of zeros: the entries end where the zeros begin.
        self.partition_point(count, |entry| entry.is_some())
    }

    fn read_entry(&self, at: usize) -> Result<Option<E>, LogError> {
        // Enough for entries of every kind.
        let mut buffer = [0; 40];
        let bytes = buffer.get_mut(..E::SIZE).unwrap_or_default();
        let file = self.file.open()?;
        let read = read_full(&*file, bytes, (at * E::SIZE) as u64).map_err(self.file.fault("read"))?;
        // Fewer bytes: the index was cut while we looked.
        Ok(if read < E::SIZE { None } else { E::decode(self.base_offset, bytes) })
    }

    /// The first of `count` entries on disk for which `holds` is false.
    fn partition_point(&self, count: usize, holds: impl Fn(Option<E>) -> bool) -> Result<usize, LogError> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.read_entry(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Number of entries.
    pub fn len(&self) -> Result<usize, LogError> {
        let entries = self.loaded()?;
        Ok(entries.on_disk.unwrap_or(0) + entries.unwritten)
    }

    /// The last entry.
    pub fn last(&self) -> Result<Option<E>, LogError> {
        let entries = self.loaded()?;
        match (entries.recent.last(), entries.on_disk) {
            (Some(last), _) => Ok(Some(*last)),
            (None, Some(count @ 1..)) => self.read_entry(count - 1),
            _ => Ok(None),
        }
    }

    /// The last entry whose key is at or below `key`.
    pub fn lookup(&self, key: i64) -> Result<Option<E>, LogError> {
        let older = {
            let entries = self.loaded()?;
            let before = entries.recent.partition_point(|entry| entry.key() <= key);
            if let Some(entry) = before.checked_sub(1).and_then(|at| entries.recent.get(at)) {
                return Ok(Some(*entry));
            }
            entries.older()
        };
        // The file is read without the lock, so that an append does not wait.
        match self.partition_point(older, |entry| entry.is_some_and(|entry| entry.key() <= key))? {
            0 => Ok(None),
            at => self.read_entry(at - 1),
        }
    }

    /// All entries whose key is at or above `key`.
    pub fn since(&self, key: i64) -> Result<Vec<E>, LogError> {
        let (older, recent) = {
            let entries = self.loaded()?;
            let first = entries.recent.partition_point(|entry| entry.key() < key);
            (entries.older(), entries.recent.get(first..).unwrap_or_default().to_vec())
        };
        let first = self.partition_point(older, |entry| entry.is_some_and(|entry| entry.key() < key))?;
        let mut found = self.read_entries(first, older)?;
        found.extend(recent);
        Ok(found)
    }

    /// The entries between two places in the file.
    fn read_entries(&self, from: usize, to: usize) -> Result<Vec<E>, LogError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; (to - from) * E::SIZE];
        let file = self.file.open()?;
        let read = read_full(&*file, &mut bytes, (from * E::SIZE) as u64).map_err(self.file.fault("read"))?;
        bytes.truncate(read);
        Ok(bytes.chunks_exact(E::SIZE).map_while(|bytes| E::decode(self.base_offset, bytes)).collect())
    }

    /// The first entry that does not satisfy `before`, which holds for a first part of them.
    pub fn first_not(&self, before: impl Fn(&E) -> bool) -> Result<Option<E>, LogError> {
        let (older, recent) = {
            let entries = self.loaded()?;
            let first = entries.recent.partition_point(&before);
            (entries.older(), entries.recent.get(first).copied())
        };
        let first = self.partition_point(older, |entry| entry.is_some_and(|entry| before(&entry)))?;
        if first < older { self.read_entry(first) } else { Ok(recent) }
    }

    /// Appends an entry, if it can follow the last one. Now and then this writes what has gathered.
    pub fn append(&self, entry: E) -> Result<(), LogError> {
        if self.last()?.is_some_and(|last| !entry.follows(&last)) {
            return Ok(());
        }
        let mut entries = self.loaded()?;
        entries.recent.push(entry);
        entries.unwritten += 1;
        if entries.unwritten >= ENTRIES_IN_MEMORY {
            self.write(&mut entries)?;
        }
        Ok(())
    }

    /// Appends an entry that is known to follow the last one, without looking at the disk. The index has it, in memory
    /// at least, also when an error says that what has gathered cannot be written now.
    pub fn append_next(&self, entry: E) -> Result<(), LogError> {
        let gathered = {
            let mut entries = self.lock();
            entries.recent.push(entry);
            entries.unwritten += 1;
            entries.unwritten
        };
        if gathered >= ENTRIES_IN_MEMORY { self.write_out() } else { Ok(()) }
    }

    fn write(&self, entries: &mut Entries<E>) -> Result<(), LogError> {
        let mut bytes = Vec::with_capacity(entries.unwritten * E::SIZE);
        for entry in entries.unwritten() {
            entry.encode(self.base_offset, &mut bytes);
        }
        let on_disk = entries.on_disk.unwrap_or(0);
        let file = self.file.create()?;
        file.write_at(&bytes, &[], (on_disk * E::SIZE) as u64).map_err(self.file.fault("write"))?;
        entries.on_disk = Some(on_disk + entries.unwritten);
        entries.unwritten = 0;
        let surplus = entries.recent.len().saturating_sub(ENTRIES_IN_MEMORY);
        entries.recent.drain(..surplus);
        Ok(())
    }

    /// Writes what is not in the file yet, and creates the file if there is none.
    pub fn write_out(&self) -> Result<(), LogError> {
        let mut entries = self.loaded()?;
        if entries.unwritten > 0 || !self.file.exists() { self.write(&mut entries) } else { Ok(()) }
    }

    /// The same for an index that has no file while it has no entry.
    pub fn write_out_existing(&self) -> Result<(), LogError> {
        if self.lock().unwritten > 0 { self.write_out() } else { Ok(()) }
    }

    /// Drops the memory of entries that are in the file: the segment is no longer appended to.
    pub fn forget_recent(&self) {
        let mut entries = self.lock();
        if entries.unwritten == 0 {
            entries.recent = Vec::new();
        }
    }

    /// Drops the entries that do not satisfy `keep`, which holds for a first part of them.
    pub fn truncate(&self, keep: impl Fn(&E) -> bool) -> Result<(), LogError> {
        let mut entries = self.loaded()?;
        let older = entries.older();
        let kept_recent = entries.recent.partition_point(&keep);
        if kept_recent > 0 || older == 0 {
            return self.cut(&mut entries, older + kept_recent);
        }
        let kept = self.partition_point(older, |entry| entry.is_some_and(|entry| keep(&entry)))?;
        self.cut(&mut entries, kept)
    }

    /// Keeps the first `kept` entries.
    fn cut(&self, entries: &mut Entries<E>, kept: usize) -> Result<(), LogError> {
        let older = entries.older();
        let on_disk = entries.on_disk.unwrap_or(0);
        if kept < on_disk || (kept == on_disk && self.file.exists()) {
            let file = self.file.open()?;
            let path = self.file.path();
            let wanted = (kept * E::SIZE) as u64;
            if file.len().map_err(LogError::io("measure", &path))? != wanted {
                file.set_len(wanted).map_err(LogError::io("truncate", &path))?;
            }
            entries.on_disk = Some(kept);
        }
        entries.recent.truncate(kept.saturating_sub(older));
        entries.unwritten = kept.saturating_sub(entries.on_disk.unwrap_or(0));
        Ok(())
    }

    /// Reads the whole index and cuts it before the first entry that does not follow the one before it or for which
    /// `valid` is false. For an index that was not synced: lost pages of a file read as zeros.
    pub fn verify(&self, valid: impl Fn(&E) -> bool) -> Result<(), LogError> {
        let mut entries = self.lock();
        if !self.file.exists() {
            *entries = Entries { on_disk: Some(0), recent: Vec::new(), unwritten: 0 };
            return Ok(());
        }
        let path = self.file.path();
        let content = self.file.disk().read(&path).map_err(LogError::io("read", &path))?;
        let mut last = None;
        let mut count = 0;
        for bytes in content.chunks_exact(E::SIZE) {
            let Some(entry) = E::decode(self.base_offset, bytes) else { break };
            if !valid(&entry) || last.is_some_and(|last| !entry.follows(&last)) {
                break;
            }
            last = Some(entry);
            count += 1;
        }
        *entries = Entries { on_disk: Some(content.len() / E::SIZE), recent: Vec::new(), unwritten: 0 };
        self.cut(&mut entries, count)
    }

    /// Drops all entries.
    pub fn clear(&self) -> Result<(), LogError> {
        self.verify(|_| false)
    }

    /// Makes the file durable, if there is one.
    pub fn sync_existing(&self) -> Result<(), LogError> {
        if self.file.exists() { self.sync() } else { Ok(()) }
    }

    /// Makes the file durable, and creates it if there is none.
    pub fn sync(&self) -> Result<(), LogError> {
        self.file.create()?.sync_data().map_err(self.file.fault("sync"))
    }
}
