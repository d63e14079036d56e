//! The state machine: committed entries in, the metadata image out.
//!
//! Applying only replays records; nothing is decided here. A batch that was decided on another image than the one it
//! finds is dropped, and its callers ask again. A record that cannot be replayed is a fault that stops the node
//! (invariants D3, D10). The state is in memory; what makes it durable are the log and the snapshots, and the
//! materialised metadata follows behind.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageIOError};
use prost::Message;

use super::materialised::MaterialisedMetadata;
use super::snapshot::{AppliedState, Snapshot, SnapshotMeta, SnapshotStore};
use super::snapshot_file::SnapshotFile;
use super::types::{Applied, Entry, LogId, MetadataBatch, MetadataRaft, StorageError, StoredMembership};
use crate::controller::error::ControllerError;
use crate::controller::feed::{AppliedMetadata, FeedBatch};
use crate::log::Disk;
use crate::metadata::{ClusterImage, ReplayError};
use crate::rpc::metadata::MetadataRecord;

/// What openraft applies entries to.
pub struct StateMachine<D: Disk> {
    state: Arc<Mutex<AppliedState>>,
    snapshots: Arc<SnapshotStore<D>>,
    applied: AppliedMetadata,
    materialised: Option<Arc<MaterialisedMetadata>>,
}

/// An entry that cannot be replayed: this node stops.
struct ReplayFault {
    log_id: LogId,
    error: ControllerError,
}

/// Takes a snapshot of the state at the moment it was made.
pub struct SnapshotBuilder<D: Disk> {
    state: AppliedState,
    snapshots: Arc<SnapshotStore<D>>,
}

impl<D: Disk> StateMachine<D> {
    /// Starts from `state`, restored from the materialised metadata or a snapshot; entries after it follow.
    pub fn new(
        state: AppliedState,
        snapshots: Arc<SnapshotStore<D>>,
        materialised: Option<Arc<MaterialisedMetadata>>,
    ) -> Self {
        let applied = AppliedMetadata::new(state.image.clone());
        Self { state: Arc::new(Mutex::new(state)), snapshots, applied, materialised }
    }

    /// The applied metadata, for the leader's decisions and the feed.
    pub fn applied(&self) -> AppliedMetadata {
        self.applied.clone()
    }

    fn state(&self) -> MutexGuard<'_, AppliedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply_all(&self, entries: impl IntoIterator<Item = Entry>) -> Result<Vec<Applied>, ReplayFault> {
        let mut state = self.state().clone();
        let mut image = ClusterImage::clone(&state.image);
        let mut outcomes = Vec::new();
        let mut batches = Vec::new();
        for entry in entries {
            outcomes.push(match entry.payload {
                EntryPayload::Blank => Applied::NotData,
                EntryPayload::Membership(membership) => {
                    state.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Applied::NotData
                }
                EntryPayload::Normal(batch) if batch.base_index != image.applied_index() => Applied::Superseded,
                EntryPayload::Normal(batch) => {
                    replay(&mut image, &batch).map_err(|error| ReplayFault { log_id: entry.log_id, error })?;
                    batches.push(FeedBatch { base_index: batch.base_index, records: batch.records.into() });
                    Applied::Replayed
                }
            });
            state.last_log_id = Some(entry.log_id);
        }
        if !batches.is_empty() {
            state.image = Arc::new(image);
        }
        *self.state() = state.clone();
        self.applied.advance(state.image.clone(), batches);
        self.materialise(state);
        Ok(outcomes)
    }

    fn materialise(&self, state: AppliedState) {
        if let Some(materialised) = &self.materialised {
            materialised.follow(state);
        }
    }
}

/// Replays a whole batch, or nothing of it counts.
pub(super) fn replay(image: &mut ClusterImage, batch: &MetadataBatch) -> Result<(), ControllerError> {
    for record in &batch.records {
        let index = image.applied_index() + 1;
        // Bytes that are no message at all are as unknown as a message of an unknown kind.
        let record = MetadataRecord::decode(record.as_ref())
            .map_err(|_| ControllerError::Replay { index, source: ReplayError::UnknownRecord })?;
        image.replay(&record, index).map_err(|source| ControllerError::Replay { index, source })?;
    }
    Ok(())
}

impl<D: Disk> RaftStateMachine<MetadataRaft> for StateMachine<D> {
    type SnapshotBuilder = SnapshotBuilder<D>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let state = self.state();
        Ok((state.last_log_id, state.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Applied>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(self.apply_all(entries).map_err(|fault| StorageIOError::apply(fault.log_id, &fault.error))?)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<D> {
        SnapshotBuilder { state: self.state().clone(), snapshots: self.snapshots.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<SnapshotFile>) -> Result<(), StorageError> {
        let snapshots = self.snapshots.clone();
        let signature = meta.signature();
        let meta = meta.clone();
        let state = blocking(move || {
            let loaded = snapshots.load(&snapshot)?;
            snapshots.install(&meta, &snapshot)?;
            Ok(loaded)
        })
        .await
        .map_err(|error| StorageIOError::write_snapshot(Some(signature), &error))?;
        *self.state() = state.clone();
        self.applied.replace(state.image.clone());
        self.materialise(state);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let snapshots = self.snapshots.clone();
        let newest = blocking(move || snapshots.newest()).await;
        let newest = newest.map_err(|error| StorageIOError::read_snapshot(None, &error))?;
        Ok(newest.map(|(meta, file)| Snapshot { meta, snapshot: Box::new(file) }))
    }
}

impl<D: Disk> RaftSnapshotBuilder<MetadataRaft> for SnapshotBuilder<D> {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let state = self.state.clone();
        // A node whose log was purged before anything was applied has nothing to keep.
        let Some(last_log_id) = state.last_log_id else {
            return Ok(Snapshot { meta: SnapshotMeta::default(), snapshot: Box::default() });
        };
        let snapshots = self.snapshots.clone();
        let (meta, file) = blocking(move || snapshots.write(&state))
            .await
            .map_err(|error| StorageIOError::write_snapshot(None, &error))?;
        tracing::info!(index = last_log_id.index, bytes = file.len(), "metadata snapshot written");
        Ok(Snapshot { meta, snapshot: Box::new(file) })
    }
}

/// Runs disk work off the control runtime's workers, so that a slow disk costs no lease.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ControllerError> + Send + 'static,
) -> Result<T, ControllerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ControllerError::Raft("the runtime is stopping".to_owned())),
    }
}
