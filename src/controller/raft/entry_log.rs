//! The Raft log on disk: a segmented log of record batches, one entry each.
//!
//! Persisted, keep stable. The batch that holds an entry:
//!
//! | field of the batch | content |
//! |---|---|
//! | base offset | the entry's index |
//! | partition leader epoch | the entry's term |
//! | timestamp | when it was written; nothing reads it |
//! | records | one, without a key; its value is an `ottla.raft.Entry` |
//!
//! The first two lie outside the batch's CRC, so the entry repeats them. Each entry also says up to where the log was
//! durable when it was written (`durable_end`). At start that tells a torn tail, which is cut, from rot, which is
//! refused: a bad entry that a later one, or the commit hint, calls durable was acknowledged once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::EntryPayload;
use prost::Message;

use super::types::{Entry, InvalidMessage, LogId, entry_from_wire, entry_to_wire};
use crate::clock;
use crate::controller::error::ControllerError;
use crate::log::{Disk, FilePool, LogConfig, LogError, LogReader, OpenLog, SegmentedLog};
use crate::model::{LeaderEpoch, Monotonic, Offset, Wall};
use crate::record::{Batch, BatchBuilder, BatchHeader, Batches, Records};
use crate::rpc::raft as wire;

/// Purged entries leave the disk a segment at a time.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Zeros written ahead, so that most syncs need not write a new file length.
const ZERO_FILL_AHEAD_BYTES: u64 = 256 << 10;
const OPEN_FILES_MAX: usize = 16;
/// Bytes written, and read, at once.
const CHUNK_BYTES: usize = 1 << 20;

/// The log's writing end.
#[derive(Debug)]
pub struct EntryLog<D: Disk> {
    log: SegmentedLog<D>,
    directory: PathBuf,
}

/// The log's reading end.
#[derive(Clone, Debug)]
pub struct EntryReader<D: Disk> {
    reader: LogReader<D>,
    directory: PathBuf,
}

impl<D: Disk> EntryLog<D> {
    /// Opens the log, reads all of it, and cuts a torn tail. Returns the last entry after `purged`.
    pub fn open(
        disk: D,
        directory: &Path,
        purged: Option<LogId>,
        committed: Option<LogId>,
    ) -> Result<(Self, Option<LogId>), ControllerError> {
        let start = purged.map_or(0, |purged| purged.index + 1);
        let open = OpenLog {
            config: Arc::new(LogConfig {
                segment_bytes: SEGMENT_BYTES,
                segment_ms: i64::MAX,
                zero_fill_ahead_bytes: ZERO_FILL_AHEAD_BYTES,
                ..LogConfig::default()
            }),
            recovery_point: 0,
            start_offset: offset(start),
            clean: false,
            now: clock::wall(),
        };
        let mut scan = Scan { directory, start, last: None, durable_end: 0, fault: None };
        let pool = Arc::new(FilePool::new(disk, OPEN_FILES_MAX));
        let opened = SegmentedLog::open(&pool, directory.to_owned(), open, |batch| {
            scan.visit(batch);
            Ok(())
        })?;
        if let Some(fault) = scan.fault {
            return Err(fault);
        }
        let mut log = Self { log: opened.log, directory: directory.to_owned() };
        if let Some(damage) = opened.damage {
            let committed_end = committed.map_or(0, |committed| committed.index + 1);
            log.cut_torn_tail(&damage, committed_end)?;
        }
        let (last, durable_end) = (scan.last, scan.durable_end);
        log.check_reaches(last.or(purged), committed)?;
        if log.log.log_end_offset() < offset(start) {
            log.log.reset_to(offset(start))?;
        }
        log.log.advance_start(offset(start))?;
        // What a killed process wrote but did not sync counts as durable from here on. Its last sync may have failed.
        log.log.write_again(offset(durable_end))?;
        log.log.sync()?;
        Ok((log, last))
    }

    /// A handle for readers.
    pub fn reader(&self) -> EntryReader<D> {
        EntryReader { reader: self.log.reader(), directory: self.directory.clone() }
    }

    /// Writes entries that continue the log. Durable after [`EntryLog::sync`].
    pub fn append(&mut self, entries: &[Entry], durable_end: u64) -> Result<(), ControllerError> {
        let now = clock::wall();
        let mut bytes = Vec::new();
        let mut headers = Vec::new();
        for entry in entries {
            let batch = encode(entry, durable_end, now);
            if !headers.is_empty() && bytes.len() + batch.len() > CHUNK_BYTES {
                self.log.append(&bytes, &[], &headers, now)?;
                bytes.clear();
                headers.clear();
            }
            headers.push(BatchHeader::parse(&batch).map_err(LogError::from)?);
            bytes.extend(batch);
        }
        Ok(self.log.append(&bytes, &[], &headers, now)?)
    }

    /// Makes durable what was appended.
    pub fn sync(&mut self) -> Result<(), ControllerError> {
        Ok(self.log.sync()?)
    }

    /// Removes the entries from `index` on, durably.
    pub fn truncate(&mut self, index: u64) -> Result<(), ControllerError> {
        self.log.truncate_from(offset(index))?;
        Ok(())
    }

    /// Removes the entries up to `index`; the log begins after it, also when it did not reach so far.
    pub fn purge(&mut self, index: u64) -> Result<(), ControllerError> {
        let start = offset(index + 1);
        if start > self.log.log_end_offset() {
            self.log.reset_to(start)?;
        } else {
            self.log.advance_start(start)?;
        }
        self.log.remove_deleted_files(Monotonic(0), 0)?;
        Ok(())
    }

    /// Syncs everything and leaves no zeros behind the last entry.
    pub fn close(&mut self) -> Result<(), ControllerError> {
        Ok(self.log.close()?)
    }

    /// A damaged entry that was durable once is rot; any other is a write that never completed.
    fn cut_torn_tail(&mut self, damage: &crate::log::Damage, committed_end: u64) -> Result<(), ControllerError> {
        let mut durable_end = offset(committed_end);
        self.log.visit_beyond(damage, |batch| {
            if let Ok(entry) = decode_stored(batch) {
                durable_end = durable_end.max(offset(entry.durable_end));
            }
            Ok(())
        })?;
        if durable_end > damage.offset {
            let reason = format!("{damage}; entries up to {} were durable once", durable_end - 1);
            return Err(damaged(&self.directory, reason));
        }
        tracing::warn!(%damage, "cut a write that was never completed off the metadata log");
        Ok(self.log.cut_damage()?)
    }

    fn check_reaches(&self, last: Option<LogId>, committed: Option<LogId>) -> Result<(), ControllerError> {
        match committed {
            Some(committed) if last.is_none_or(|last| last.index < committed.index) => {
                let end = last.map_or(0, |last| last.index + 1);
                let reason = format!("its log ends before index {end}, but was committed up to {}", committed.index);
                Err(damaged(&self.directory, reason))
            }
            _ => Ok(()),
        }
    }
}

impl<D: Disk> EntryReader<D> {
    /// Entries from `from` to before `to`: about `bytes_max` of them, but at least one. True when it is all of them.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<(Vec<Entry>, bool), ControllerError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut next = from;
        let mut bytes = Vec::new();
        let mut total = 0;
        while next < to {
            let read = self.reader.read(offset(next), CHUNK_BYTES, offset(to), true)?;
            let Some(slice) = read.slice else { break };
            bytes.clear();
            slice.read_into(&mut bytes).map_err(|source| self.io(source))?;
            for batch in Batches::new(&bytes) {
                let batch = batch.map_err(LogError::from)?;
                total += batch.header.size();
                if total > bytes_max && !entries.is_empty() {
                    return Ok((entries, false));
                }
                entries.push(self.decode(&batch)?);
                next = u64::try_from(batch.header.next_offset()).unwrap_or(to);
            }
        }
        Ok((entries, true))
    }

    fn decode(&self, batch: &Batch<'_>) -> Result<Entry, ControllerError> {
        batch.verify_crc().map_err(LogError::from)?;
        decode(batch).map_err(|error| damaged(&self.directory, format!("at {}: {error}", batch.header.base_offset)))
    }

    fn io(&self, source: std::io::Error) -> ControllerError {
        ControllerError::Io { action: "read", path: self.directory.clone(), source }
    }
}

/// Checks the entries as the log is opened.
struct Scan<'a> {
    directory: &'a Path,
    /// Entries before it were purged and do not count.
    start: u64,
    last: Option<LogId>,
    /// Entries before it were durable once.
    durable_end: u64,
    fault: Option<ControllerError>,
}

impl Scan<'_> {
    fn visit(&mut self, batch: &Batch<'_>) {
        if batch.header.base_offset < offset(self.start) || self.fault.is_some() {
            return;
        }
        if let Err(reason) = self.check(batch) {
            let reason = format!("entry {}: {reason}", batch.header.base_offset);
            self.fault = Some(damaged(self.directory, reason));
        }
    }

    fn check(&mut self, batch: &Batch<'_>) -> Result<(), String> {
        let stored = decode_stored(batch).map_err(|error| error.to_string())?;
        let durable_end = stored.durable_end;
        let log_id = decode_at(stored, batch).map_err(|error| error.to_string())?.log_id;
        let expected = self.last.map_or(self.start, |last| last.index + 1);
        if log_id.index != expected {
            return Err(format!("the entries from {expected} on are missing"));
        }
        if self.last.is_some_and(|last| last.leader_id.term > log_id.leader_id.term) {
            return Err(format!("its term {} is older than the one before", log_id.leader_id.term));
        }
        self.last = Some(log_id);
        self.durable_end = self.durable_end.max(durable_end);
        Ok(())
    }
}

/// About how many bytes an entry takes in memory.
pub fn entry_bytes(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Normal(batch) => batch.records.iter().map(|record| record.len() + 32).sum(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    payload + size_of::<Entry>()
}

fn encode(entry: &Entry, durable_end: u64, now: Wall) -> bytes::Bytes {
    let term = i32::try_from(entry.log_id.leader_id.term).expect("two thousand million elections do not happen");
    let mut batch = BatchBuilder::new().base_offset(offset(entry.log_id.index)).leader_epoch(LeaderEpoch(term));
    batch.append(now.0, None, Some(&entry_to_wire(entry, durable_end).encode_to_vec()), &[]);
    batch.build()
}

fn decode_stored(batch: &Batch<'_>) -> Result<wire::Entry, InvalidMessage> {
    let record = Records::new(&batch.header, batch.records_bytes()).next();
    let value = record.and_then(Result::ok).and_then(|record| record.value).ok_or(InvalidMessage("record"))?;
    wire::Entry::decode(value).map_err(|_| InvalidMessage("entry"))
}

/// The entry that a batch holds.
pub(super) fn decode(batch: &Batch<'_>) -> Result<Entry, InvalidMessage> {
    decode_at(decode_stored(batch)?, batch)
}

/// The entry, whose position must be that of its batch.
fn decode_at(stored: wire::Entry, batch: &Batch<'_>) -> Result<Entry, InvalidMessage> {
    let entry = entry_from_wire(stored)?;
    let term = i64::from(batch.header.partition_leader_epoch.0);
    let same = offset(entry.log_id.index) == batch.header.base_offset && offset(entry.log_id.leader_id.term) == term;
    if same { Ok(entry) } else { Err(InvalidMessage("position")) }
}

fn offset(index: u64) -> Offset {
    Offset::try_from(index).expect("an index fits an offset")
}

fn damaged(directory: &Path, reason: String) -> ControllerError {
    ControllerError::Damaged { path: directory.to_owned(), directory: directory.to_owned(), reason }
}
