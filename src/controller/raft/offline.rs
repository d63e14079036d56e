//! Reads the metadata of a node that does not run, and changes nothing: the newest snapshot, and on top of it every
//! entry of the log up to its end or to the first one that is not whole.
//!
//! On a quorum of several voters the last entries need not be committed; the hint of how far the log was committed is
//! told beside what was read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::EntryPayload;

use super::entry_log::decode;
use super::quorum_state::QuorumStateFile;
use super::snapshot::{AppliedState, SnapshotStore};
use super::state_machine::replay;
use super::types::{Entry, StoredMembership, Voter};
use crate::controller::error::ControllerError;
use crate::log::{LogFileKind, OsDisk, log_file_kind};
use crate::metadata::ClusterImage;
use crate::model::Offset;
use crate::record::Batches;

/// What a metadata log says.
#[derive(Clone, Debug)]
pub struct OfflineMetadata {
    /// The cluster after the last entry.
    pub image: Arc<ClusterImage>,
    /// The controllers, by their `node.id`.
    pub voters: Vec<Voter>,
    /// Index and term of the last entry.
    pub last_entry: Option<(u64, u64)>,
    /// Index of the last entry that is known to have been committed; later ones may have been.
    pub committed: Option<u64>,
    /// Index of the last entry in the snapshot that was read.
    pub snapshot: Option<u64>,
    /// Why the log was not read to its end.
    pub torn: Option<String>,
}

/// Reads the metadata log in `directory`, which nobody else may be writing.
pub fn read_offline(directory: &Path) -> Result<OfflineMetadata, ControllerError> {
    let hint = QuorumStateFile::new(OsDisk, directory.to_owned());
    // Tells a log of Kafka's by its refusal.
    hint.read()?;
    let snapshots = SnapshotStore::reading(OsDisk, directory.to_owned());
    let mut state = match snapshots.newest()? {
        Some((_, file)) => snapshots.load(&file)?,
        None => AppliedState::default(),
    };
    let snapshot = state.last_log_id.map(|id| id.index);
    let mut image = ClusterImage::clone(&state.image);
    let mut torn = None;
    for segment in segments(directory)? {
        let bytes = fs::read(&segment).map_err(|source| io("read", &segment, source))?;
        torn = apply_segment(&bytes, &mut state, &mut image)?;
        if let Some(reason) = &mut torn {
            *reason = format!("{}: {reason}", segment.display());
            break;
        }
    }
    let mut voters: Vec<Voter> = state.membership.nodes().map(|(_, voter)| voter.clone()).collect();
    voters.sort_by_key(|voter| voter.node_id);
    Ok(OfflineMetadata {
        image: Arc::new(image),
        voters,
        last_entry: state.last_log_id.map(|id| (id.index, id.leader_id.term)),
        committed: hint.read_committed().map(|id| id.index),
        snapshot,
        torn,
    })
}

/// Applies the entries of one segment that come after those applied; why it ends before its end, if it does.
fn apply_segment(
    bytes: &[u8],
    state: &mut AppliedState,
    image: &mut ClusterImage,
) -> Result<Option<String>, ControllerError> {
    let mut batches = Batches::new(bytes);
    loop {
        // Zeros are written ahead of the entries.
        if batches.rest().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let position = batches.position();
        let torn = |reason: String| Ok(Some(format!("{reason} at position {position}")));
        let batch = match batches.next() {
            None => return torn("the last entry is not whole".to_owned()),
            Some(Err(error)) => return torn(error.to_string()),
            Some(Ok(batch)) => batch,
        };
        if let Err(error) = batch.verify_crc() {
            return torn(error.to_string());
        }
        let entry = match decode(&batch) {
            Ok(entry) => entry,
            Err(error) => return torn(error.to_string()),
        };
        if state.last_log_id.is_none_or(|last| entry.log_id.index > last.index) {
            apply(entry, state, image)?;
        }
    }
}

fn apply(entry: Entry, state: &mut AppliedState, image: &mut ClusterImage) -> Result<(), ControllerError> {
    state.last_log_id = Some(entry.log_id);
    match entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Membership(membership) => {
            state.membership = StoredMembership::new(Some(entry.log_id), membership);
        }
        // Decided on an image that was not current any more: it changed nothing.
        EntryPayload::Normal(batch) if batch.base_index != image.applied_index() => {}
        EntryPayload::Normal(batch) => replay(image, &batch)?,
    }
    Ok(())
}

/// The segments in the order of their entries.
fn segments(directory: &Path) -> Result<Vec<PathBuf>, ControllerError> {
    let unreadable = |source| io("list", directory, source);
    let mut segments: Vec<(Offset, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if let Some((base_offset, LogFileKind::Batches)) = log_file_kind(&path) {
            segments.push((base_offset, path));
        }
    }
    segments.sort();
    Ok(segments.into_iter().map(|(_, path)| path).collect())
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> ControllerError {
    ControllerError::Io { action, path: path.to_owned(), source }
}
