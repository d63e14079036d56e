//! `quorum-state`: whose store this is, whom this node voted for, and where its log begins.
//!
//! A small text file, replaced as a whole (temporary file, fsync, rename, fsync of the directory), so a crash leaves
//! the old or the new one. Persisted, keep stable:
//!
//! | line | content |
//! |---|---|
//! | 1 | a JSON object with the fields of [`QuorumState`]; its first field is `ottla`, the format's version |
//! | 2 | CRC-32C of line 1, eight hexadecimal digits |
//!
//! `committed-index` beside it is a hint, written in place and not synced: `term` and `index` (u64) and their CRC-32C
//! (u32), all big-endian. One that cannot be read counts as missing. It is never ahead of what is durable in the log.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::types::{LogId, RaftId, Vote, log_id};
use crate::controller::error::ControllerError;
use crate::log::{Disk, DiskFile};
use crate::record::crc32c;

const FILE_NAME: &str = "quorum-state";
const HINT_FILE_NAME: &str = "committed-index";
const HINT_LENGTH: usize = 20;
const FORMAT_VERSION: u32 = 1;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumState {
    ottla: u32,
    /// 64 bits of the directory's id: a store that was copied elsewhere is recognised.
    pub raft_id: RaftId,
    /// Empty until this node knows it.
    pub cluster_id: String,
    vote: Option<StoredVote>,
    purged: Option<StoredLogId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredVote {
    term: u64,
    voted_for: Option<RaftId>,
    committed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredLogId {
    term: u64,
    index: u64,
}

impl QuorumState {
    /// The state of a node that has never voted.
    pub fn blank(raft_id: RaftId) -> Self {
        Self { ottla: FORMAT_VERSION, raft_id, cluster_id: String::new(), vote: None, purged: None }
    }

    /// The last vote.
    pub fn vote(&self) -> Option<Vote> {
        let vote = self.vote?;
        let leader_id = openraft::LeaderId { term: vote.term, voted_for: vote.voted_for };
        Some(Vote { leader_id, committed: vote.committed })
    }

    /// Replaces the vote.
    pub fn set_vote(&mut self, vote: &Vote) {
        let (term, voted_for) = (vote.leader_id.term, vote.leader_id.voted_for);
        self.vote = Some(StoredVote { term, voted_for, committed: vote.committed });
    }

    /// The last entry that was purged: the log begins after it.
    pub fn purged(&self) -> Option<LogId> {
        self.purged.map(|id| log_id(id.term, id.index))
    }

    /// Moves the beginning of the log.
    pub fn set_purged(&mut self, purged: &LogId) {
        self.purged = Some(StoredLogId { term: purged.leader_id.term, index: purged.index });
    }
}

/// The two files in a metadata log's directory.
#[derive(Debug)]
pub struct QuorumStateFile<D: Disk> {
    disk: D,
    directory: PathBuf,
    hint: Option<D::File>,
}

impl<D: Disk> QuorumStateFile<D> {
    /// The files of `directory`; none is read yet.
    pub fn new(disk: D, directory: PathBuf) -> Self {
        Self { disk, directory, hint: None }
    }

    /// Reads the state; None when the file has never been written.
    pub fn read(&self) -> Result<Option<QuorumState>, ControllerError> {
        let path = self.directory.join(FILE_NAME);
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let content = self.disk.read(&path).map_err(|source| self.io("read", FILE_NAME, source))?;
        if !content.starts_with(b"{\"ottla\":") {
            return Err(ControllerError::WrittenByKafka { path: self.directory.clone() });
        }
        parse(&content).map(Some).map_err(|reason| self.damaged(path, reason))
    }

    /// Replaces the state, durably.
    pub fn write(&self, state: &QuorumState) -> Result<(), ControllerError> {
        let path = self.directory.join(FILE_NAME);
        self.disk.write_atomically(&path, &encode(state)).map_err(|source| self.io("write", FILE_NAME, source))
    }

    /// Reads the hint of how far the log was committed.
    pub fn read_committed(&self) -> Option<LogId> {
        let content = self.disk.read(&self.directory.join(HINT_FILE_NAME)).ok()?;
        let (numbers, crc) = content.get(..HINT_LENGTH)?.split_last_chunk::<4>()?;
        if crc32c(numbers) != u32::from_be_bytes(*crc) {
            return None;
        }
        let (term, index) = numbers.split_first_chunk::<8>()?;
        Some(log_id(u64::from_be_bytes(*term), u64::from_be_bytes(index.try_into().ok()?)))
    }

    /// Overwrites the hint, without a sync.
    pub fn write_committed(&mut self, committed: &LogId) -> Result<(), ControllerError> {
        let mut content = Vec::with_capacity(HINT_LENGTH);
        content.extend(committed.leader_id.term.to_be_bytes());
        content.extend(committed.index.to_be_bytes());
        content.extend(crc32c(&content).to_be_bytes());
        let file = match self.hint.take() {
            Some(file) => file,
            None => {
                let path = self.directory.join(HINT_FILE_NAME);
                self.disk.create(&path).map_err(|source| self.io("create", HINT_FILE_NAME, source))?
            }
        };
        file.write_at(&content, &[], 0).map_err(|source| self.io("write", HINT_FILE_NAME, source))?;
        self.hint = Some(file);
        Ok(())
    }

    fn io(&self, action: &'static str, name: &str, source: io::Error) -> ControllerError {
        ControllerError::Io { action, path: self.directory.join(name), source }
    }

    fn damaged(&self, path: PathBuf, reason: String) -> ControllerError {
        ControllerError::Damaged { path, directory: self.directory.clone(), reason }
    }
}

/// True when `directory` holds files of a metadata log but no state of ours.
pub fn is_foreign<D: Disk>(disk: &D, directory: &Path) -> io::Result<bool> {
    if disk.exists(&directory.join(FILE_NAME)) {
        return Ok(false);
    }
    let foreign = [".log", ".checkpoint", ".index", "partition.metadata"];
    Ok(disk.list(directory)?.iter().any(|entry| foreign.iter().any(|suffix| entry.name.ends_with(suffix))))
}

fn encode(state: &QuorumState) -> Vec<u8> {
    let json = serde_json::to_string(state).expect("numbers and a text always have a JSON form");
    format!("{json}\n{:08x}\n", crc32c(json.as_bytes())).into_bytes()
}

fn parse(content: &[u8]) -> Result<QuorumState, String> {
    let text = std::str::from_utf8(content).map_err(|error| error.to_string())?;
    let (json, crc) = text.split_once('\n').ok_or("its second line is missing")?;
    if u32::from_str_radix(crc.trim_end(), 16) != Ok(crc32c(json.as_bytes())) {
        return Err("its checksum does not match".to_owned());
    }
    let state: QuorumState = serde_json::from_str(json).map_err(|error| error.to_string())?;
    match state.ottla {
        FORMAT_VERSION => Ok(state),
        newer => Err(format!("it has format {newer}, which a newer version of Ottla wrote")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::OsDisk;

    fn file(directory: &tempfile::TempDir) -> QuorumStateFile<OsDisk> {
        QuorumStateFile::new(OsDisk, directory.path().to_owned())
    }

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = QuorumState::blank(7);
        assert_eq!(file(&directory).read().unwrap(), None);
        state.set_vote(&Vote::new_committed(3, u64::MAX));
        state.set_purged(&log_id(2, 100));
        state.cluster_id = "5L6g3nShT-eMCtK--X86sw".to_owned();
        file(&directory).write(&state).unwrap();
        assert_eq!(file(&directory).read().unwrap(), Some(state));
    }

    #[test]
    fn a_flipped_bit_is_refused_with_advice() {
        let directory = tempfile::tempdir().unwrap();
        file(&directory).write(&QuorumState::blank(7)).unwrap();
        let path = directory.path().join(FILE_NAME);
        let mut content = std::fs::read(&path).unwrap();
        content[20] ^= 1;
        std::fs::write(&path, content).unwrap();
        let error = file(&directory).read().unwrap_err();
        assert!(matches!(error, ControllerError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("restore"), "{error}");
    }

    #[test]
    fn kafkas_file_is_refused_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let kafkas = r#"{"leaderId":1,"leaderEpoch":2,"votedId":-1,"data_version":1}"#;
        std::fs::write(&path, kafkas).unwrap();
        assert!(matches!(file(&directory).read(), Err(ControllerError::WrittenByKafka { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kafkas);
    }

    #[test]
    fn the_hint_is_missing_rather_than_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = file(&directory);
        assert_eq!(files.read_committed(), None);
        files.write_committed(&log_id(3, 9)).unwrap();
        files.write_committed(&log_id(3, 10)).unwrap();
        assert_eq!(file(&directory).read_committed(), Some(log_id(3, 10)));
        std::fs::write(directory.path().join(HINT_FILE_NAME), [1; HINT_LENGTH]).unwrap();
        assert_eq!(file(&directory).read_committed(), None);
    }
}
