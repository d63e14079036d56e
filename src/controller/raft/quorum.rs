//! The metadata quorum as the rest of the controller sees it: propose, follow, describe.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use openraft::error::{ClientWriteError, InitializeError, RaftError};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
use openraft::{Config, Raft, ServerState, SnapshotPolicy};
use tokio::sync::watch;

use super::log_store::LogStore;
use super::materialised::MaterialisedMetadata;
use super::network::{Network, PeerActivity};
use super::snapshot::{AppliedState, IncomingSnapshot, SnapshotStore, load, read_header};
use super::snapshot_file::SnapshotFile;
use super::state_machine::StateMachine;
use super::types::{
    Applied, InvalidMessage, MetadataBatch, MetadataRaft, RaftId, Voter, entry_from_wire, log_id_from_wire,
    log_id_to_wire, vote_from_wire, vote_to_wire,
};
use crate::controller::config::RaftTimes;
use crate::controller::error::{ControllerError, FaultReport};
use crate::controller::feed::AppliedMetadata;
use crate::controller::identity::Identity;
use crate::log::{Disk, OsDisk};
use crate::rpc::raft as wire;

pub(super) const DIRECTORY: &str = "__cluster_metadata-0";
/// Entries kept behind a snapshot for followers that lag a little; never more than lie between two snapshots.
const ENTRIES_KEPT: u64 = 1_000;
/// So many election timeouts a leader goes on without an answer from a majority. openraft's leaders never step down by
/// themselves; others may have elected a new one long before.
const ELECTIONS_WITHOUT_ACK: u64 = 4;
const INSTALL_SNAPSHOT_TIMEOUT_MS: u64 = 30_000;

/// What became of a proposed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// Committed, and its records are in the image.
    Replayed,
    /// Committed, but it changed nothing: the image it was decided on was not current any more.
    Superseded,
    /// This node does not lead, or lost the lead on the way. Whether the batch is ever applied is open, but only as a
    /// whole and only on the image it was decided on.
    NotLeader,
}

/// Who leads, as this node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The Raft term.
    pub term: u64,
    /// `node.id` of the leader, when there is one.
    pub leader_node_id: Option<i32>,
    /// True when it is this node.
    pub leads: bool,
}

/// One member as the leader sees it.
#[derive(Clone, Debug)]
pub struct MemberState {
    /// Who it is.
    pub voter: Voter,
    /// One past the last entry it holds.
    pub log_end_offset: u64,
    /// When it last took an append, in milliseconds since the Unix epoch, if it ever did.
    pub last_fetch_ms: Option<i64>,
    /// True for this node itself.
    pub is_self: bool,
    /// True for a voter, false for a learner.
    pub votes: bool,
}

/// The quorum's machine on this node.
pub struct Quorum {
    pub(super) raft: Raft<MetadataRaft>,
    log: LogStore<OsDisk>,
    snapshots: Arc<SnapshotStore<OsDisk>>,
    /// Fed by the state machine, closed here.
    materialised: Arc<MaterialisedMetadata>,
    applied: AppliedMetadata,
    activity: Arc<PeerActivity>,
    identity: Arc<Identity>,
    /// A leader that no majority has answered for so long does not act as one.
    ack_patience_ms: u64,
}

impl Quorum {
    /// Opens the stores in `data_dir` and starts the Raft machine. A node that led a quorum of one leads again at
    /// once.
    pub async fn open(
        data_dir: &Path,
        identity: Arc<Identity>,
        times: RaftTimes,
        entries_between_snapshots: u64,
        faults: &FaultReport,
    ) -> Result<Self, ControllerError> {
        let directory = data_dir.join(DIRECTORY);
        let log = LogStore::open(OsDisk, &directory, identity.raft_id(), faults.clone())?;
        adopt_cluster_id(&log, &identity, &directory)?;
        let snapshots = Arc::new(SnapshotStore::open(OsDisk, directory.clone())?);
        let (materialised, restored) = MaterialisedMetadata::open(data_dir)?;
        let materialised = Arc::new(materialised);
        let state = newest_state(restored, &snapshots, &log)?;
        let machine = StateMachine::new(state, snapshots.clone(), Some(materialised.clone()));
        let applied = machine.applied();
        let activity = Arc::new(PeerActivity::default());
        let network = Network { identity: identity.clone(), activity: activity.clone() };
        let config = Arc::new(raft_config(times, identity.node_id, entries_between_snapshots)?);
        let raft = Raft::new(identity.raft_id(), config, network, log.clone(), machine)
            .await
            .map_err(|fatal| ControllerError::Raft(fatal.to_string()))?;
        let ack_patience_ms = times.election_timeout_max_ms * ELECTIONS_WITHOUT_ACK;
        Ok(Self { raft, log, snapshots, materialised, applied, activity, identity, ack_patience_ms })
    }

    /// The applied metadata.
    pub fn applied(&self) -> &AppliedMetadata {
        &self.applied
    }

    /// True when this node has never voted and holds no log.
    pub fn is_blank(&self) -> bool {
        self.log.is_blank()
    }

    /// Binds the store to the cluster, durably; nothing is voted on before.
    pub async fn set_cluster_id(&self, cluster_id: &str) -> Result<(), ControllerError> {
        self.log.set_cluster_id(cluster_id.to_owned()).await
    }

    /// Forms the quorum of these voters. Does nothing when it has been formed already.
    pub async fn form(&self, voters: BTreeMap<RaftId, Voter>) -> Result<(), ControllerError> {
        match self.raft.initialize(voters).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(ControllerError::Raft(error.to_string())),
        }
    }

    /// Who leads, as it changes.
    pub fn leadership(&self) -> Leadership {
        self.judge_leadership(&self.raft.metrics().borrow())
    }

    fn judge_leadership(&self, metrics: &openraft::RaftMetrics<RaftId, Voter>) -> Leadership {
        let leader =
            metrics.current_leader.and_then(|id| metrics.membership_config.membership().get_node(&id).cloned());
        let is_alone = metrics.membership_config.voter_ids().count() <= 1;
        let cut_off =
            !is_alone && metrics.millis_since_quorum_ack.is_some_and(|silence| silence > self.ack_patience_ms);
        Leadership {
            term: metrics.current_term,
            leader_node_id: leader.map(|voter| voter.node_id).filter(|_| !cut_off),
            leads: metrics.state == ServerState::Leader && !cut_off,
        }
    }

    /// Follows leadership into `changes` until the machine stops; the reason it gives.
    pub async fn follow_leadership(&self, changes: watch::Sender<Leadership>) -> ControllerError {
        let mut metrics = self.raft.metrics();
        loop {
            {
                let metrics = metrics.borrow_and_update();
                if let Err(fatal) = &metrics.running_state {
                    return ControllerError::Raft(fatal.to_string());
                }
                let now = self.judge_leadership(&metrics);
                changes.send_if_modified(|before| std::mem::replace(before, now) != now);
            }
            if metrics.changed().await.is_err() {
                return ControllerError::Raft("it was shut down".to_owned());
            }
        }
    }

    /// True when everything in this node's log is applied: what a leader must reach before it decides.
    pub fn has_applied_all(&self) -> bool {
        let applied = self.raft.metrics().borrow().last_applied;
        applied == self.log.last_log_id().max(applied)
    }

    /// Proposes a batch and waits until it is applied here.
    pub async fn propose(&self, base_index: i64, records: Vec<Bytes>) -> Result<Proposed, ControllerError> {
        match self.raft.client_write(MetadataBatch { base_index, records }).await {
            Ok(response) if response.data == Applied::Replayed => Ok(Proposed::Replayed),
            Ok(_) => Ok(Proposed::Superseded),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Ok(Proposed::NotLeader),
            Err(error) => Err(ControllerError::Raft(error.to_string())),
        }
    }

    /// Makes sure that this node still leads, so that what it says of the image is not outdated.
    pub async fn confirm_leadership(&self) -> bool {
        self.raft.ensure_linearizable().await.is_ok()
    }

    /// All members, when this node leads.
    pub fn members(&self) -> Option<(u64, u64, Vec<MemberState>)> {
        let metrics = self.raft.metrics().borrow().clone();
        let replication = metrics.replication.as_ref()?;
        let membership = metrics.membership_config.membership();
        let voter_ids: Vec<RaftId> = membership.voter_ids().collect();
        let members = membership
            .nodes()
            .map(|(id, voter)| {
                let own = *id == self.identity.raft_id();
                let matched = replication.get(id).copied().flatten().map_or(0, |log_id| log_id.index + 1);
                let log_end_offset = if own { metrics.last_log_index.map_or(0, |index| index + 1) } else { matched };
                let last_fetch_ms = self.activity.last_fetch_ms(*id);
                MemberState {
                    voter: voter.clone(),
                    log_end_offset,
                    last_fetch_ms,
                    is_self: own,
                    votes: voter_ids.contains(id),
                }
            })
            .collect();
        let high_watermark = metrics.last_applied.map_or(0, |log_id| log_id.index + 1);
        Some((metrics.current_term, high_watermark, members))
    }

    /// A peer's AppendEntries.
    pub async fn append_entries(
        &self,
        request: wire::AppendEntriesRequest,
    ) -> Result<wire::AppendEntriesResponse, PeerError> {
        let entries = request.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?;
        let request = AppendEntriesRequest {
            vote: request.vote.as_ref().map(vote_from_wire).ok_or(InvalidMessage("vote"))?,
            prev_log_id: request.previous_log_id.map(log_id_from_wire),
            entries,
            leader_commit: request.leader_commit.map(log_id_from_wire),
        };
        use wire::append_entries_response::Result as Wire;
        let result = match self.raft.append_entries(request).await.map_err(stopped)? {
            AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(None) => {
                Wire::Success(wire::Blank {})
            }
            AppendEntriesResponse::PartialSuccess(Some(log_id)) => Wire::PartialSuccess(log_id_to_wire(&log_id)),
            AppendEntriesResponse::Conflict => Wire::Conflict(wire::Blank {}),
            AppendEntriesResponse::HigherVote(vote) => Wire::HigherVote(vote_to_wire(&vote)),
        };
        Ok(wire::AppendEntriesResponse { result: Some(result) })
    }

    /// A candidate's request for this node's vote.
    pub async fn vote(&self, request: wire::VoteRequest) -> Result<wire::VoteResponse, PeerError> {
        let vote = request.vote.as_ref().map(vote_from_wire).ok_or(InvalidMessage("vote"))?;
        let request = VoteRequest { vote, last_log_id: request.last_log_id.map(log_id_from_wire) };
        let response = self.raft.vote(request).await.map_err(stopped)?;
        Ok(wire::VoteResponse {
            vote: Some(vote_to_wire(&response.vote)),
            granted: response.vote_granted,
            last_log_id: response.last_log_id.as_ref().map(log_id_to_wire),
        })
    }

    /// A file for a snapshot that a leader sends.
    pub fn begin_receiving(&self) -> Result<IncomingSnapshot, ControllerError> {
        self.snapshots.begin_receiving()
    }

    /// Installs a snapshot that arrived whole, after checking all of it.
    pub async fn install_snapshot(
        &self,
        vote: &wire::Vote,
        incoming: IncomingSnapshot,
    ) -> Result<wire::SnapshotResponse, PeerError> {
        let file = incoming.finish();
        let (meta, file) = tokio::task::spawn_blocking(move || check(file)).await.map_err(|_| PeerError::Stopped)??;
        let snapshot = openraft::Snapshot { meta, snapshot: Box::new(file) };
        let response = self.raft.install_full_snapshot(vote_from_wire(vote), snapshot).await;
        let response = response.map_err(|_| PeerError::Stopped)?;
        Ok(wire::SnapshotResponse { vote: Some(vote_to_wire(&response.vote)) })
    }

    /// Stops the machine, writes what is outstanding, and marks the store as cleanly stopped.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the Raft machine did not stop in order");
        }
        let (log, materialised) = (self.log.clone(), self.materialised.clone());
        let closed = tokio::task::spawn_blocking(move || {
            log.close();
            materialised.close();
        });
        if closed.await.is_err() {
            tracing::warn!("the metadata log was not closed in order");
        }
    }
}

/// Why a peer gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The message makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// The snapshot is not what was sent.
    #[error("the snapshot arrived damaged: {0}")]
    Damaged(String),
    /// The machine on this node has stopped.
    #[error("this controller is stopping")]
    Stopped,
}

fn stopped(error: RaftError<RaftId>) -> PeerError {
    tracing::debug!(%error, "a message came while the Raft machine stops");
    PeerError::Stopped
}

fn check(file: SnapshotFile) -> Result<(super::snapshot::SnapshotMeta, SnapshotFile), PeerError> {
    load(&file).map_err(PeerError::Damaged)?;
    let meta = read_header(&file).map_err(PeerError::Damaged)?;
    Ok((meta, file))
}

/// The store and the configuration must agree on the cluster; whichever knows it tells the other.
fn adopt_cluster_id<D: Disk>(log: &LogStore<D>, identity: &Identity, directory: &Path) -> Result<(), ControllerError> {
    let Some(stored) = log.cluster_id() else { return Ok(()) };
    if identity.learn_cluster_id(&stored) {
        return Ok(());
    }
    Err(ControllerError::WrongIdentity {
        path: directory.to_owned(),
        found: format!("cluster {stored}"),
        expected: format!("of cluster {}", identity.cluster_id().unwrap_or_default()),
    })
}

/// The newer of what the materialised metadata and the newest snapshot hold, as long as the log continues it.
pub(super) fn newest_state<D: Disk>(
    restored: Option<AppliedState>,
    snapshots: &SnapshotStore<D>,
    log: &LogStore<D>,
) -> Result<AppliedState, ControllerError> {
    let newest = snapshots.newest()?;
    let snapshot_id = newest.as_ref().and_then(|(meta, _)| meta.last_log_id);
    if let Some(restored) = restored
        && restored.last_log_id >= snapshot_id
        && restored.last_log_id <= log.last_log_id().max(snapshot_id)
    {
        return Ok(restored);
    }
    match newest {
        Some((_, file)) => snapshots.load(&file),
        None => Ok(AppliedState::default()),
    }
}

fn raft_config(times: RaftTimes, node_id: i32, entries_between_snapshots: u64) -> Result<Config, ControllerError> {
    let election_timeout_ms = times.election_timeout_ms(node_id);
    let entries_kept = ENTRIES_KEPT.min(entries_between_snapshots);
    let config = Config {
        cluster_name: "ottla".to_owned(),
        heartbeat_interval: times.heartbeat_interval_ms,
        // The upper bound is not among the values that may be drawn.
        election_timeout_min: election_timeout_ms,
        election_timeout_max: election_timeout_ms + 1,
        install_snapshot_timeout: INSTALL_SNAPSHOT_TIMEOUT_MS,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(entries_between_snapshots),
        replication_lag_threshold: entries_between_snapshots + entries_kept,
        max_in_snapshot_log_to_keep: entries_kept,
        ..Config::default()
    };
    config.validate().map_err(|error| ControllerError::Raft(error.to_string()))
}
