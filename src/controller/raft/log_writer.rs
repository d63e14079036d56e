//! The one thread that writes the Raft log, the vote and the commit hint.
//!
//! Requests are carried out in the order in which they were queued. Appends that wait together share one fdatasync
//! (group commit); anything else first syncs the appends before it. The commit hint is overwritten without a sync,
//! at most once per round, and only with an index whose entry is durable.

use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::entry_log::EntryLog;
use super::quorum_state::{QuorumState, QuorumStateFile};
use super::types::{Entry, LogId, Vote};
use crate::controller::error::{ControllerError, FaultReport};
use crate::log::Disk;

type Done = oneshot::Sender<Result<(), Arc<ControllerError>>>;
type Appended = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Something to write.
pub enum Request {
    /// Entries that continue the log. `done` is called once they are durable.
    Append {
        /// The entries.
        entries: Vec<Entry>,
        /// Told of the outcome.
        done: Appended,
    },
    /// The vote, durable before the answer.
    SaveVote {
        /// The vote.
        vote: Vote,
        /// Told of the outcome.
        done: Done,
    },
    /// The cluster this store belongs to, durable before the answer.
    SetClusterId {
        /// Its id.
        cluster_id: String,
        /// Told of the outcome.
        done: Done,
    },
    /// Entries from `index` on are gone, durably.
    Truncate {
        /// The first that goes.
        index: u64,
        /// Told of the outcome.
        done: Done,
    },
    /// Entries up to this one are gone; the log begins after it.
    Purge {
        /// The last that goes.
        log_id: LogId,
        /// Told of the outcome.
        done: Done,
    },
    /// The log is committed up to this entry: a hint.
    NoteCommitted(LogId),
    /// Nothing follows.
    Stop,
}

/// The writer's own state.
pub struct LogWriter<D: Disk> {
    log: EntryLog<D>,
    files: QuorumStateFile<D>,
    state: QuorumState,
    /// One past the last entry that is durable.
    durable_end: u64,
    /// One past the last entry written.
    written_end: u64,
    /// Who waits for the next sync, in order.
    unsynced: Vec<Appended>,
    committed: Option<LogId>,
    queue: mpsc::Receiver<Request>,
    faults: FaultReport,
    /// After a fault nothing is written any more.
    fault: Option<Arc<ControllerError>>,
}

impl<D: Disk> LogWriter<D> {
    /// Writes what comes out of `queue`.
    pub fn new(
        log: EntryLog<D>,
        files: QuorumStateFile<D>,
        state: QuorumState,
        durable_end: u64,
        queue: mpsc::Receiver<Request>,
        faults: FaultReport,
    ) -> Self {
        let (written_end, unsynced) = (durable_end, Vec::new());
        Self { log, files, state, durable_end, written_end, unsynced, committed: None, queue, faults, fault: None }
    }

    /// Starts the thread. It ends with [`Request::Stop`], or when nobody can send any more.
    pub fn spawn(self) -> Result<JoinHandle<()>, ControllerError> {
        let thread = std::thread::Builder::new().name("raft-log".to_owned()).stack_size(256 << 10);
        thread.spawn(move || self.run()).map_err(|source| ControllerError::StoreFailed(source.to_string()))
    }

    fn run(mut self) {
        while let Ok(request) = self.queue.recv() {
            let mut next = Some(request);
            while let Some(request) = next {
                if matches!(request, Request::Stop) {
                    self.finish_round();
                    self.close();
                    return;
                }
                self.carry_out(request);
                next = self.queue.try_recv().ok();
            }
            self.finish_round();
        }
    }

    fn carry_out(&mut self, request: Request) {
        match request {
            Request::Append { entries, done } => self.append(&entries, done),
            Request::NoteCommitted(log_id) => self.committed = Some(log_id),
            Request::SaveVote { vote, done } => self.write_state(done, |state| state.set_vote(&vote)),
            Request::SetClusterId { cluster_id, done } => self.write_state(done, |state| state.cluster_id = cluster_id),
            Request::Truncate { index, done } => self.after_sync(done, |writer| {
                writer.log.truncate(index)?;
                writer.written_end = writer.written_end.min(index);
                writer.durable_end = writer.durable_end.min(index);
                Ok(())
            }),
            Request::Purge { log_id, done } => self.after_sync(done, |writer| {
                // First the mark, then the entries: a crash in between leaves too much, never a hole.
                writer.state.set_purged(&log_id);
                writer.files.write(&writer.state)?;
                writer.log.purge(log_id.index)?;
                writer.written_end = writer.written_end.max(log_id.index + 1);
                writer.durable_end = writer.durable_end.max(log_id.index + 1);
                Ok(())
            }),
            Request::Stop => {}
        }
    }

    fn append(&mut self, entries: &[Entry], done: Appended) {
        let written = match &self.fault {
            Some(_) => Ok(()),
            None => self.log.append(entries, self.durable_end),
        };
        self.unsynced.push(done);
        match written {
            Ok(()) => self.written_end = entries.last().map_or(self.written_end, |entry| entry.log_id.index + 1),
            Err(error) => self.fail(error),
        }
    }

    fn write_state(&mut self, done: Done, change: impl FnOnce(&mut QuorumState)) {
        self.after_sync(done, |writer| {
            change(&mut writer.state);
            writer.files.write(&writer.state)
        });
    }

    /// Makes the appends before durable, then does `write`, and answers.
    fn after_sync(&mut self, done: Done, write: impl FnOnce(&mut Self) -> Result<(), ControllerError>) {
        self.sync();
        if self.fault.is_none()
            && let Err(error) = write(self)
        {
            self.fail(error);
        }
        // Nobody waits any more when openraft is shutting down.
        let _ = done.send(self.fault.clone().map_or(Ok(()), Err));
    }

    fn close(&mut self) {
        if self.fault.is_none()
            && let Err(error) = self.log.close()
        {
            self.fail(error);
        }
    }

    fn finish_round(&mut self) {
        self.sync();
        if let Some(committed) = self.committed.take()
            && self.fault.is_none()
            && committed.index < self.durable_end
            && let Err(error) = self.files.write_committed(&committed)
        {
            self.fail(error);
        }
    }

    /// One sync for all appends so far, then their callers are told, in order.
    fn sync(&mut self) {
        if self.unsynced.is_empty() {
            return;
        }
        if self.fault.is_none() {
            match self.log.sync() {
                Ok(()) => self.durable_end = self.written_end,
                Err(error) => self.fail(error),
            }
        }
        for done in std::mem::take(&mut self.unsynced) {
            done(match &self.fault {
                None => Ok(()),
                Some(fault) => Err(io::Error::other(fault.to_string())),
            });
        }
    }

    fn fail(&mut self, error: ControllerError) {
        if self.fault.is_none() {
            self.fault = Some(self.faults.report(error));
        }
    }
}
