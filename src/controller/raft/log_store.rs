//! The log store as openraft sees it: entries, vote, commit hint.
//!
//! openraft's contract (invariant D2): a vote is on disk before `save_vote` returns, an append is reported only after
//! fdatasync, reports come in order, and writes of vote and log keep their order. One thread does all writing, so
//! that order is the order of its queue; what is in the queue at once shares a sync. Entries are readable as soon as
//! they are queued: the newest are kept in memory, older ones are read from the segments.
//!
//! After a fault the writer takes nothing any more, and the fault is reported once: the process ends.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, OptionalSend, RaftLogReader, StorageIOError};
use tokio::sync::oneshot;

use super::entry_log::{EntryLog, EntryReader, entry_bytes};
use super::log_writer::{LogWriter, Request};
use super::quorum_state::{QuorumState, QuorumStateFile, is_foreign};
use super::types::{Entry, LogId, MetadataRaft, RaftId, StorageError, Vote};
use crate::controller::error::{ControllerError, FaultReport};
use crate::log::Disk;

/// Bytes of entries kept in memory. Followers that lag further are served from the segments.
const TAIL_BYTES_MAX: usize = 256 << 10;
/// Most bytes of entries handed out by one read for replication.
const READ_BYTES_MAX: usize = 1 << 20;

/// The log store. Cheap to clone; clones are the same store.
pub struct LogStore<D: Disk> {
    shared: Arc<Shared<D>>,
}

struct Shared<D: Disk> {
    view: Mutex<View>,
    reader: EntryReader<D>,
    requests: mpsc::Sender<Request>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// The log as everything queued so far will leave it.
struct View {
    state: QuorumState,
    committed: Option<LogId>,
    last: Option<LogId>,
    tail: Tail,
}

/// The newest entries by index.
#[derive(Default)]
struct Tail {
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
}

impl<D: Disk> Clone for LogStore<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<D: Disk> LogStore<D> {
    /// Opens the store in `directory`, creating it for a node that never voted, and starts its writer.
    pub fn open(disk: D, directory: &Path, raft_id: RaftId, faults: FaultReport) -> Result<Self, ControllerError> {
        let io = |action| move |source| ControllerError::Io { action, path: directory.to_owned(), source };
        disk.create_dir(directory).map_err(io("create"))?;
        let files = QuorumStateFile::new(disk.clone(), directory.to_owned());
        let state = match files.read()? {
            Some(state) => state,
            None if is_foreign(&disk, directory).map_err(io("list"))? => {
                return Err(ControllerError::WrittenByKafka { path: directory.to_owned() });
            }
            None => {
                let state = QuorumState::blank(raft_id);
                files.write(&state)?;
                sync_parent(&disk, directory)?;
                state
            }
        };
        check_owner(directory, &state, raft_id)?;
        let committed = files.read_committed();
        let (log, last) = EntryLog::open(disk, directory, state.purged(), committed)?;
        let reader = log.reader();
        let (requests, queue) = mpsc::channel();
        let durable_end = last.map_or(0, |last| last.index + 1);
        let writer = LogWriter::new(log, files, state.clone(), durable_end, queue, faults).spawn()?;
        let view = View { state, committed, last, tail: Tail::default() };
        let writer = Mutex::new(Some(writer));
        Ok(Self { shared: Arc::new(Shared { view: Mutex::new(view), reader, requests, writer }) })
    }

    /// True when this node has never voted and holds no entries.
    pub fn is_blank(&self) -> bool {
        let view = self.shared.view();
        view.state.vote().is_none() && view.last.is_none() && view.state.purged().is_none()
    }

    /// The cluster this store belongs to; None until it was told.
    pub fn cluster_id(&self) -> Option<String> {
        Some(self.shared.view().state.cluster_id.clone()).filter(|id| !id.is_empty())
    }

    /// Binds the store to a cluster, durably.
    pub async fn set_cluster_id(&self, cluster_id: String) -> Result<(), ControllerError> {
        self.shared.view().state.cluster_id.clone_from(&cluster_id);
        self.request(|done| Request::SetClusterId { cluster_id, done }).await
    }

    /// The last entry.
    pub fn last_log_id(&self) -> Option<LogId> {
        self.shared.view().last
    }

    /// Queues entries; `done` is called once they are durable, in the order of the calls.
    pub fn append_entries(&self, mut entries: Vec<Entry>, done: impl FnOnce(io::Result<()>) + Send + 'static) {
        {
            let mut view = self.shared.view();
            // What was purged is committed and part of a snapshot: there is nothing to keep.
            let purged = view.state.purged();
            entries.retain(|entry| purged.is_none_or(|purged| entry.log_id.index > purged.index));
            view.append(&entries);
        }
        self.shared.send(Request::Append { entries, done: Box::new(done) });
    }

    /// Writes what is queued and ends the writer.
    pub fn close(&self) {
        self.shared.send(Request::Stop);
        let writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }

    /// Queues a write and waits until it is durable.
    async fn request(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<(), Arc<ControllerError>>>) -> Request,
    ) -> Result<(), ControllerError> {
        let (done, outcome) = oneshot::channel();
        self.shared.send(request(done));
        match outcome.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(ControllerError::StoreFailed(fault.to_string())),
            Err(_) => Err(ControllerError::StoreFailed("the store is closed".to_owned())),
        }
    }

    /// Entries of `range` that exist, at most about `bytes_max` of them but always the first.
    async fn read(&self, range: impl RangeBounds<u64>, bytes_max: usize) -> Result<Vec<Entry>, ControllerError> {
        let (start, in_memory_from, in_memory) = {
            let view = self.shared.view();
            let (start, end) = view.clamp(range);
            let from = view.tail.first_index().unwrap_or(end).clamp(start, end.max(start));
            (start, from, view.tail.entries.range(from..end.max(from)).map(|(_, entry)| entry.clone()).collect())
        };
        let mut entries: Vec<Entry> = Vec::new();
        if start < in_memory_from {
            let reader = self.shared.reader.clone();
            let read = tokio::task::spawn_blocking(move || reader.read(start, in_memory_from, bytes_max)).await;
            let (read, complete) = read.map_err(|error| ControllerError::StoreFailed(error.to_string()))??;
            entries = read;
            if !complete {
                return Ok(entries);
            }
        }
        entries.extend::<Vec<Entry>>(in_memory);
        truncate_to_bytes(&mut entries, bytes_max);
        Ok(entries)
    }
}

impl<D: Disk> Shared<D> {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A writer that is gone has reported why; callers find their reply channel closed.
    fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

impl View {
    fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.tail.push(entry.clone());
        }
        self.last = entries.last().map(|entry| entry.log_id).or(self.last);
    }

    /// Bounds of `range` within the log.
    fn clamp(&self, range: impl RangeBounds<u64>) -> (u64, u64) {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX,
        };
        let first = self.state.purged().map_or(0, |purged| purged.index + 1);
        (start.max(first), end.min(self.last.map_or(0, |last| last.index + 1)))
    }
}

impl Tail {
    fn push(&mut self, entry: Entry) {
        self.bytes += entry_bytes(&entry);
        self.entries.insert(entry.log_id.index, entry);
    }

    fn first_index(&self) -> Option<u64> {
        self.entries.first_key_value().map(|(index, _)| *index)
    }

    /// Drops the oldest entries below `durable_end` until the rest fits.
    fn shrink(&mut self, durable_end: u64) {
        while self.bytes > TAIL_BYTES_MAX
            && let Some(oldest) = self.entries.first_entry()
            && *oldest.key() < durable_end
        {
            self.bytes -= entry_bytes(&oldest.remove());
        }
    }

    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        self.entries.retain(|index, _| keep(*index));
        self.bytes = self.entries.values().map(entry_bytes).sum();
    }
}

fn truncate_to_bytes(entries: &mut Vec<Entry>, bytes_max: usize) {
    let mut bytes = 0;
    let fitting = entries.iter().take_while(|entry| {
        bytes += entry_bytes(entry);
        bytes <= bytes_max
    });
    let fitting = fitting.count().max(1);
    entries.truncate(fitting);
}

fn check_owner(directory: &Path, state: &QuorumState, raft_id: RaftId) -> Result<(), ControllerError> {
    if state.raft_id == raft_id {
        return Ok(());
    }
    Err(ControllerError::WrongIdentity {
        path: directory.to_owned(),
        found: format!("the data directory with the Raft id {:016x}", state.raft_id),
        expected: format!("{raft_id:016x} by its directory.id"),
    })
}

/// The directory's own name must outlive a power cut as well.
fn sync_parent<D: Disk>(disk: &D, directory: &Path) -> Result<(), ControllerError> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    let failed = |source| ControllerError::Io { action: "sync", path: parent.to_owned(), source };
    disk.sync_dir(parent).map_err(failed)
}

impl<D: Disk> RaftLogReader<MetadataRaft> for LogStore<D> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        Ok(self.read(range, usize::MAX).await.map_err(|error| StorageIOError::read_logs(&error))?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        Ok(self.read(start..end, READ_BYTES_MAX).await.map_err(|error| StorageIOError::read_logs(&error))?)
    }
}

impl<D: Disk> RaftLogStorage<MetadataRaft> for LogStore<D> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<MetadataRaft>, StorageError> {
        let view = self.shared.view();
        let purged = view.state.purged();
        Ok(LogState { last_purged_log_id: purged, last_log_id: view.last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        self.shared.view().state.set_vote(&vote);
        let saved = self.request(|done| Request::SaveVote { vote, done }).await;
        Ok(saved.map_err(|error| StorageIOError::write_vote(&error))?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.shared.view().state.vote())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        if let Some(committed) = committed {
            self.shared.view().committed = Some(committed);
            self.shared.send(Request::NoteCommitted(committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.shared.view().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<MetadataRaft>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let view = Arc::downgrade(&self.shared);
        let durable_end = entries.last().map_or(0, |entry| entry.log_id.index + 1);
        self.append_entries(entries, move |outcome| {
            if outcome.is_ok()
                && let Some(shared) = view.upgrade()
            {
                shared.view().tail.shrink(durable_end);
            }
            callback.log_io_completed(outcome);
        });
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let index = log_id.index;
        let failed = |error: ControllerError| StorageIOError::write_logs(AnyError::new(&error));
        let before = match index {
            0 => None,
            index => self.read(index - 1..index, usize::MAX).await.map_err(failed)?.pop(),
        };
        {
            let mut view = self.shared.view();
            view.tail.retain(|at| at < index);
            if view.last.is_some_and(|last| last.index >= index) {
                view.last = before.map(|entry| entry.log_id);
            }
        }
        self.request(|done| Request::Truncate { index, done }).await.map_err(failed)?;
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        {
            let mut view = self.shared.view();
            view.state.set_purged(&log_id);
            view.tail.retain(|at| at > log_id.index);
            if view.last.is_none_or(|last| last.index <= log_id.index) {
                view.last = None;
            }
        }
        let purged = self.request(|done| Request::Purge { log_id, done }).await;
        Ok(purged.map_err(|error| StorageIOError::write_logs(&error))?)
    }
}
