//! Snapshots: one file `<index>-<term>.checkpoint` that holds the image as records.
//!
//! Written beside its final name, synced, renamed, and the directory synced, so a crash leaves no half of one. Only
//! the newest is kept. Persisted, keep stable; a file is a sequence of frames:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | length of the payload, big-endian |
//! | 4 | CRC-32C of the payload, big-endian |
//! | n | payload: in the first frame an `ottla.raft.SnapshotHeader`, then its `record_count` `MetadataRecord`s |
//!
//! Between voters a snapshot travels as these bytes, in chunks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use prost::Message;

use super::snapshot_file::SnapshotFile;
use super::types::{
    LogId, MetadataRaft, StoredMembership, log_id_from_wire, log_id_to_wire, membership_from_wire, membership_to_wire,
};
use crate::controller::error::ControllerError;
use crate::log::{Disk, DiskFile};
use crate::metadata::ClusterImage;
use crate::record::crc32c;
use crate::rpc::metadata::MetadataRecord;
use crate::rpc::raft::SnapshotHeader;

const SUFFIX: &str = ".checkpoint";
const PART_SUFFIX: &str = ".checkpoint.part";
const FRAME_HEAD: usize = 8;
/// Longest frame: a record is never longer than a message on the control plane.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Size of the buffer in front of a file, for writing and for reading.
const BUFFER_BYTES: usize = 64 << 10;

/// A snapshot's description as openraft wants it.
pub type SnapshotMeta = openraft::SnapshotMeta<super::types::RaftId, super::types::Voter>;

/// Where the state machine stands: what a snapshot holds.
#[derive(Clone, Debug, Default)]
pub struct AppliedState {
    /// The last entry applied, of whatever kind.
    pub last_log_id: Option<LogId>,
    /// The newest members applied.
    pub membership: StoredMembership,
    /// The metadata.
    pub image: Arc<ClusterImage>,
}

/// The snapshots in a metadata log's directory.
#[derive(Debug)]
pub struct SnapshotStore<D: Disk> {
    disk: D,
    directory: PathBuf,
    next_part: AtomicU64,
}

impl<D: Disk> SnapshotStore<D> {
    /// The snapshots of `directory`, which exists. What an interrupted write left behind is removed.
    pub fn open(disk: D, directory: PathBuf) -> Result<Self, ControllerError> {
        let store = Self::reading(disk, directory);
        for name in store.names()?.into_iter().filter(|name| name.ends_with(PART_SUFFIX)) {
            store.remove(&name)?;
        }
        Ok(store)
    }

    /// The same, and nothing is removed: for readers.
    pub fn reading(disk: D, directory: PathBuf) -> Self {
        Self { disk, directory, next_part: AtomicU64::new(0) }
    }

    /// The newest snapshot: its description and its bytes.
    pub fn newest(&self) -> Result<Option<(SnapshotMeta, SnapshotFile)>, ControllerError> {
        let Some(name) = self.names()?.into_iter().filter(|name| position(name).is_some()).max_by_key(|n| position(n))
        else {
            return Ok(None);
        };
        let path = self.directory.join(name);
        let file = self.open_file(&path)?;
        let meta = read_header(&file).map_err(|reason| self.damaged(&path, reason))?;
        Ok(Some((meta, file)))
    }

    /// Reads a whole snapshot.
    pub fn load(&self, file: &SnapshotFile) -> Result<AppliedState, ControllerError> {
        load(file).map_err(|reason| self.damaged(file.incoming.as_deref().unwrap_or(&self.directory), reason))
    }

    /// Writes a snapshot and removes older ones.
    pub fn write(&self, state: &AppliedState) -> Result<(SnapshotMeta, SnapshotFile), ControllerError> {
        let (part, file) = self.create_part()?;
        let length = write_frames(&file, state).map_err(|source| io_error("write", &part, source))?;
        let incoming = SnapshotFile { content: Some(Arc::new(file)), incoming: Some(part), length };
        let meta = meta_of(state);
        self.publish(&meta, &incoming)?;
        Ok((meta, SnapshotFile { incoming: None, ..incoming }))
    }

    /// A file for a snapshot that comes from another node.
    pub fn begin_receiving(&self) -> Result<IncomingSnapshot, ControllerError> {
        let (path, file) = self.create_part()?;
        Ok(IncomingSnapshot { file: Arc::new(file), path, length: 0 })
    }

    /// Makes a snapshot this node's own, durably, and removes older ones.
    pub fn install(&self, meta: &SnapshotMeta, file: &SnapshotFile) -> Result<SnapshotFile, ControllerError> {
        match &file.incoming {
            Some(path) if path.parent() == Some(&self.directory) => self.publish(meta, file)?,
            _ => {
                let copy = self.copy(file)?;
                self.publish(meta, &copy)?;
            }
        }
        self.open_file(&self.directory.join(file_name(meta)))
    }

    fn copy(&self, file: &SnapshotFile) -> Result<SnapshotFile, ControllerError> {
        let mut incoming = self.begin_receiving()?;
        while incoming.length < file.length {
            let chunk = file.read(incoming.length, BUFFER_BYTES);
            incoming.append(&chunk.map_err(|source| io_error("read", &self.directory, source))?)?;
        }
        Ok(incoming.finish())
    }

    /// Syncs the file, gives it its final name, and removes what it replaces.
    fn publish(&self, meta: &SnapshotMeta, file: &SnapshotFile) -> Result<(), ControllerError> {
        let name = file_name(meta);
        let path = self.directory.join(&name);
        if let (Some(content), Some(part)) = (&file.content, &file.incoming) {
            content.sync_data().map_err(|source| io_error("sync", part, source))?;
            self.disk.rename(part, &path).map_err(|source| io_error("rename", part, source))?;
        }
        self.disk.sync_dir(&self.directory).map_err(|source| io_error("sync", &self.directory, source))?;
        for older in self.names()?.into_iter().filter(|other| position(other) < position(&name)) {
            if older.ends_with(SUFFIX) {
                self.remove(&older)?;
            }
        }
        Ok(())
    }

    fn create_part(&self) -> Result<(PathBuf, D::File), ControllerError> {
        let number = self.next_part.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("{number}{PART_SUFFIX}"));
        let file = self.disk.create(&path).map_err(|source| io_error("create", &path, source))?;
        file.set_len(0).map_err(|source| io_error("truncate", &path, source))?;
        Ok((path, file))
    }

    fn open_file(&self, path: &Path) -> Result<SnapshotFile, ControllerError> {
        let file = self.disk.open(path).map_err(|source| io_error("open", path, source))?;
        let length = file.len().map_err(|source| io_error("read", path, source))?;
        Ok(SnapshotFile { content: Some(Arc::new(file)), incoming: None, length })
    }

    fn names(&self) -> Result<Vec<String>, ControllerError> {
        let entries = self.disk.list(&self.directory).map_err(|source| io_error("list", &self.directory, source))?;
        Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
    }

    fn remove(&self, name: &str) -> Result<(), ControllerError> {
        let path = self.directory.join(name);
        self.disk.remove_file(&path).map_err(|source| io_error("remove", &path, source))
    }

    fn damaged(&self, path: &Path, reason: String) -> ControllerError {
        ControllerError::Damaged { path: path.to_owned(), directory: self.directory.clone(), reason }
    }
}

/// A snapshot on its way from another node.
#[derive(Debug)]
pub struct IncomingSnapshot {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    length: u64,
}

impl IncomingSnapshot {
    /// Adds the next bytes.
    pub fn append(&mut self, chunk: &[u8]) -> Result<(), ControllerError> {
        self.file.write_at(chunk, &[], self.length).map_err(|source| io_error("write", &self.path, source))?;
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// All bytes are there; nothing is synced yet.
    pub fn finish(self) -> SnapshotFile {
        SnapshotFile { content: Some(self.file), incoming: Some(self.path), length: self.length }
    }
}

/// Reads a whole snapshot and checks every byte of it. The error says what is wrong.
pub fn load(file: &SnapshotFile) -> Result<AppliedState, String> {
    let (header, mut frames) = read_header_frames(file)?;
    let mut records = Vec::new();
    for _ in 0..header.record_count {
        records.push(MetadataRecord::decode(frames.next_frame()?).map_err(|error| error.to_string())?);
    }
    if frames.position != file.length {
        return Err(format!("{} bytes follow its last record", file.length - frames.position));
    }
    state_of_header(&header, &records)
}

/// The state that a header and the records after it describe.
pub fn state_of_header(header: &SnapshotHeader, records: &[MetadataRecord]) -> Result<AppliedState, String> {
    let meta = describe(header)?;
    let image = ClusterImage::restore(records, header.metadata_index).map_err(|error| error.to_string())?;
    Ok(AppliedState { last_log_id: meta.last_log_id, membership: meta.last_membership, image: Arc::new(image) })
}

/// Reads a snapshot's description: all but its records.
pub fn read_header(file: &SnapshotFile) -> Result<SnapshotMeta, String> {
    describe(&read_header_frames(file)?.0)
}

fn read_header_frames(file: &SnapshotFile) -> Result<(SnapshotHeader, Frames<'_>), String> {
    let mut frames = Frames { file, position: 0, buffer: Bytes::new() };
    let header = SnapshotHeader::decode(frames.next_frame()?).map_err(|error| error.to_string())?;
    Ok((header, frames))
}

fn describe(header: &SnapshotHeader) -> Result<SnapshotMeta, String> {
    let last_log_id = header.last_log_id.map(log_id_from_wire).ok_or("it names no log entry")?;
    let membership = header.membership.clone().ok_or("it names no members")?;
    let membership = membership_from_wire(membership).map_err(|error| error.to_string())?;
    let last_membership = StoredMembership::new(header.membership_log_id.map(log_id_from_wire), membership);
    let snapshot_id = snapshot_id(&last_log_id);
    Ok(SnapshotMeta { last_log_id: Some(last_log_id), last_membership, snapshot_id })
}

fn meta_of(state: &AppliedState) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: state.last_log_id,
        last_membership: state.membership.clone(),
        snapshot_id: snapshot_id(&state.last_log_id.unwrap_or_default()),
    }
}

/// Two snapshots of one index and term have the same bytes: the image's records have a stable order.
fn snapshot_id(last: &LogId) -> String {
    format!("{}-{}", last.index, last.leader_id.term)
}

fn file_name(meta: &SnapshotMeta) -> String {
    let last = meta.last_log_id.unwrap_or_default();
    format!("{:020}-{:010}{SUFFIX}", last.index, last.leader_id.term)
}

/// (index, term) of a snapshot's file name.
fn position(name: &str) -> Option<(u64, u64)> {
    let (index, term) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    Some((index.parse().ok()?, term.parse().ok()?))
}

/// The header of `state` with so many records.
pub fn snapshot_header(state: &AppliedState, record_count: usize) -> SnapshotHeader {
    SnapshotHeader {
        last_log_id: state.last_log_id.as_ref().map(log_id_to_wire),
        membership_log_id: state.membership.log_id().as_ref().map(log_id_to_wire),
        membership: Some(membership_to_wire(state.membership.membership())),
        metadata_index: state.image.applied_index(),
        record_count: record_count as u64,
    }
}

fn write_frames(file: &impl DiskFile, state: &AppliedState) -> io::Result<u64> {
    let records = state.image.to_records();
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    let mut length = 0;
    push_frame(&mut buffer, &snapshot_header(state, records.len()));
    for record in &records {
        push_frame(&mut buffer, record);
        if buffer.len() >= BUFFER_BYTES {
            file.write_at(&buffer, &[], length)?;
            length += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.write_at(&buffer, &[], length)?;
    Ok(length + buffer.len() as u64)
}

fn push_frame(buffer: &mut Vec<u8>, message: &impl Message) {
    let payload = message.encode_to_vec();
    buffer.extend(u32::try_from(payload.len()).expect("a record is shorter than 4 GiB").to_be_bytes());
    buffer.extend(crc32c(&payload).to_be_bytes());
    buffer.extend(payload);
}

/// Walks the frames of a file through a buffer.
struct Frames<'a> {
    file: &'a SnapshotFile,
    /// Where the next frame begins.
    position: u64,
    /// What is read ahead from `position` on.
    buffer: Bytes,
}

impl Frames<'_> {
    fn next_frame(&mut self) -> Result<Bytes, String> {
        let head = self.take(FRAME_HEAD)?;
        let (length, crc) = head.split_at(4);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
        let length = number(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(format!("a frame at byte {} claims {length} bytes", self.position));
        }
        let expected = number(crc);
        let payload = self.take(length)?;
        if crc32c(&payload) != expected {
            return Err(format!("the checksum of the frame that ends at byte {} does not match", self.position));
        }
        Ok(payload)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, String> {
        if self.buffer.len() < length {
            let read = self.file.read(self.position, length.max(BUFFER_BYTES)).map_err(|error| error.to_string())?;
            self.buffer = read;
        }
        if self.buffer.len() < length {
            return Err(format!("it ends at byte {} in the middle of a frame", self.file.length));
        }
        self.position += length as u64;
        Ok(self.buffer.split_to(length))
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> ControllerError {
    ControllerError::Io { action, path: path.to_owned(), source }
}

/// The state after the entry at `index` of term 1.
#[cfg(test)]
pub fn state_at(index: u64, image: Arc<ClusterImage>) -> AppliedState {
    let last_log_id = Some(super::types::log_id(1, index));
    AppliedState { last_log_id, membership: StoredMembership::default(), image }
}

/// openraft's pair of description and data.
pub type Snapshot = openraft::Snapshot<MetadataRaft>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::raft::types::log_id;
    use crate::log::OsDisk;
    use crate::rpc::metadata::FeatureLevelRecord;

    fn state(index: u64, records: usize) -> AppliedState {
        let mut image = ClusterImage::default();
        for number in 0..records {
            let record = FeatureLevelRecord { name: format!("feature-{number}"), level: 1 }.into();
            image.replay(&record, image.applied_index() + 1).unwrap();
        }
        AppliedState { last_log_id: Some(log_id(2, index)), image: Arc::new(image), ..AppliedState::default() }
    }

    fn store(directory: &tempfile::TempDir) -> SnapshotStore<OsDisk> {
        SnapshotStore::open(OsDisk, directory.path().to_owned()).unwrap()
    }

    fn names(directory: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_read_and_older_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        store(&directory).write(&state(3, 2)).unwrap();
        // More than one buffer full.
        store(&directory).write(&state(9, 9_000)).unwrap();
        assert_eq!(names(&directory), ["00000000000000000009-0000000002.checkpoint"]);
        let (meta, file) = store(&directory).newest().unwrap().unwrap();
        assert_eq!(meta.last_log_id, Some(log_id(2, 9)));
        let loaded = load(&file).unwrap();
        assert_eq!(loaded.image, state(9, 9_000).image);
    }

    #[test]
    fn a_received_snapshot_is_only_there_once_installed() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (meta, sent) = store(&theirs).write(&state(5, 100)).unwrap();
        let receiver = store(&ours);
        let mut incoming = receiver.begin_receiving().unwrap();
        while incoming.len() < sent.len() {
            incoming.append(&sent.read(incoming.len(), 100).unwrap()).unwrap();
        }
        let received = incoming.finish();
        assert!(receiver.newest().unwrap().is_none());
        receiver.install(&meta, &received).unwrap();
        assert_eq!(receiver.newest().unwrap().unwrap().0, meta);
        assert_eq!(names(&ours), names(&theirs));
    }

    #[test]
    fn what_an_interrupted_transfer_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        store(&directory).begin_receiving().unwrap().append(b"half").unwrap();
        assert_eq!(names(&directory).len(), 1);
        store(&directory);
        assert!(names(&directory).is_empty());
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let directory = tempfile::tempdir().unwrap();
        store(&directory).write(&state(1, 2)).unwrap();
        let path = directory.path().join(&names(&directory)[0]);
        let whole = std::fs::read(&path).unwrap();
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x10;
            std::fs::write(&path, damaged).unwrap();
            let newest = store(&directory).newest().map(|found| found.map(|(_, file)| load(&file)));
            assert!(!matches!(newest, Ok(Some(Ok(_)))), "byte {byte}");
        }
    }
}
