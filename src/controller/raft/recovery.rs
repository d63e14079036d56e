//! Makes one member of a quorum its only voter, offline, when the others are gone for good.
//!
//! The change is an ordinary membership entry at the end of the log, in a new term in which this node has voted for
//! itself. Whatever the log holds counts as committed afterwards; what the others committed beyond its end is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use openraft::storage::RaftLogStorage;
use openraft::{EntryPayload, LeaderId, StorageHelper};
use tokio::sync::oneshot;

use super::log_store::LogStore;
use super::quorum::{DIRECTORY, newest_state};
use super::snapshot::SnapshotStore;
use super::state_machine::StateMachine;
use super::types::{Entry, Membership, RaftId, Vote, Voter, log_id};
use crate::controller::error::{ControllerError, FaultReport};
use crate::log::OsDisk;
use crate::model::DirectoryId;

/// A quorum that one of its members can go on with alone.
pub struct RecoverableQuorum {
    log: LogStore<OsDisk>,
    own: (RaftId, Voter),
    /// The highest term this node has heard of.
    term: u64,
    /// Index of the last entry here.
    pub last_index: u64,
    /// Term of the last entry here.
    pub last_term: u64,
    /// The voters so far, as `id@host:port` with commas.
    pub voters: String,
}

/// Looks into the metadata log of a node that is stopped; None when it was never a member of a quorum.
pub async fn recoverable_quorum(
    data_dir: &Path,
    directory_id: DirectoryId,
) -> Result<Option<RecoverableQuorum>, ControllerError> {
    let directory = data_dir.join(DIRECTORY);
    if !directory.exists() {
        return Ok(None);
    }
    let raft_id = directory_id.0.high_bits();
    let mut log = LogStore::open(OsDisk, &directory, raft_id, FaultReport::default())?;
    let Some(last) = log.last_log_id() else { return Ok(None) };
    let snapshots = std::sync::Arc::new(SnapshotStore::open(OsDisk, directory)?);
    let mut machine = StateMachine::new(newest_state(None, &snapshots, &log)?, snapshots, None);
    let membership = StorageHelper::new(&mut log, &mut machine).get_membership().await.map_err(stopped)?;
    let membership = membership.effective().membership().clone();
    let vote = log.read_vote().await.map_err(stopped)?;
    let term = vote.map_or(0, |vote| vote.leader_id.term).max(last.leader_id.term);
    let Some(own) = membership.get_node(&raft_id).cloned() else { return Ok(None) };
    let voters = membership.voter_ids().filter_map(|id| membership.get_node(&id));
    let voters = voters.map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (last_index, last_term) = (last.index, last.leader_id.term);
    Ok(Some(RecoverableQuorum { log, own: (raft_id, own), term, last_index, last_term, voters }))
}

impl RecoverableQuorum {
    /// Makes this node the only voter, durably.
    pub async fn recover(mut self) -> Result<(), ControllerError> {
        let (raft_id, voter) = self.own;
        let term = self.term + 1;
        let leader_id = LeaderId { term, voted_for: Some(raft_id) };
        self.log.save_vote(&Vote { leader_id, committed: true }).await.map_err(stopped)?;
        let membership = Membership::new(vec![BTreeSet::from([raft_id])], BTreeMap::from([(raft_id, voter)]));
        let payload = EntryPayload::Membership(membership);
        let entry = Entry { log_id: log_id(term, self.last_index + 1), payload };
        let (done, written) = oneshot::channel();
        self.log.append_entries(vec![entry], move |outcome| _ = done.send(outcome));
        let written = written.await.map_err(|_| ControllerError::StoreFailed("its writer ended".to_owned()))?;
        written.map_err(|error| ControllerError::StoreFailed(error.to_string()))?;
        self.log.close();
        Ok(())
    }
}

fn stopped(error: super::types::StorageError) -> ControllerError {
    ControllerError::Raft(error.to_string())
}
