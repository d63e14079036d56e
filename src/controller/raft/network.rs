//! openraft's outgoing messages, over gRPC.
//!
//! One connection per peer, dialled when first needed and dropped when a call on it fails, so that the peer's host
//! name is resolved anew. Each successful append is noted for DescribeQuorum.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{OptionalSend, StorageIOError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use super::snapshot::Snapshot;
use super::types::{
    InvalidMessage, MetadataRaft, RaftId, Vote, Voter, entry_to_wire, log_id_from_wire, log_id_to_wire, vote_from_wire,
    vote_to_wire,
};
use crate::clock;
use crate::cluster::VoterAddress;
use crate::controller::identity::Identity;
use crate::rpc::raft as wire;
use crate::rpc::raft::raft_client::RaftClient;

/// Longest message between voters.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// A connection that answers no ping for so long is dead: a peer that was cut off is dialled anew when it is back.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(1);
const SNAPSHOT_CHUNK_BYTES: usize = 256 << 10;
/// How soon an unreachable peer is tried again.
const UNREACHABLE_PAUSE: Duration = Duration::from_millis(100);

type RpcError = RPCError<RaftId, Voter, RaftError<RaftId>>;

/// When each peer last answered, in milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct PeerActivity {
    last_fetch_ms: Mutex<HashMap<RaftId, i64>>,
}

impl PeerActivity {
    /// When the peer last took an append, if it ever did.
    pub fn last_fetch_ms(&self, peer: RaftId) -> Option<i64> {
        self.last_fetch_ms.lock().unwrap_or_else(PoisonError::into_inner).get(&peer).copied()
    }

    fn note(&self, peer: RaftId) {
        self.last_fetch_ms.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, clock::wall().0);
    }
}

/// Makes connections to peers.
pub struct Network {
    pub identity: Arc<Identity>,
    pub activity: Arc<PeerActivity>,
}

/// The connection to one peer.
pub struct Peer {
    identity: Arc<Identity>,
    activity: Arc<PeerActivity>,
    target: RaftId,
    voter: Voter,
    client: Option<RaftClient<Channel>>,
    /// False from the first call that failed to the next one that did not.
    answers: bool,
}

impl RaftNetworkFactory<MetadataRaft> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: RaftId, node: &Voter) -> Peer {
        let (identity, activity) = (self.identity.clone(), self.activity.clone());
        Peer { identity, activity, target, voter: node.clone(), client: None, answers: true }
    }
}

/// Why a call to a peer gave no answer.
#[derive(Debug, thiserror::Error)]
enum CallError {
    /// Nobody there: wait a little before the next try.
    #[error("nobody listens there")]
    Unreachable(tonic::transport::Error),
    /// The call failed under way.
    #[error("{}", .0.message())]
    Failed(tonic::Status),
    /// The answer makes no sense.
    #[error("{0}")]
    Invalid(InvalidMessage),
}

impl From<tonic::Status> for CallError {
    fn from(status: tonic::Status) -> Self {
        Self::Failed(status)
    }
}

impl From<CallError> for RpcError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable(error) => Unreachable::new(&error).into(),
            CallError::Failed(status) => NetworkError::new(&status).into(),
            CallError::Invalid(error) => NetworkError::new(&error).into(),
        }
    }
}

impl Peer {
    fn envelope(&self) -> wire::Envelope {
        wire::Envelope {
            cluster_id: self.identity.cluster_id().unwrap_or_default().to_owned(),
            target_raft_id: self.target,
            source_raft_id: self.identity.raft_id(),
        }
    }

    fn address(&self) -> VoterAddress {
        let voter = &self.voter;
        let known = VoterAddress { node_id: voter.node_id, host: voter.host.clone(), port: voter.port };
        self.identity.address_of(&known)
    }

    async fn client(&mut self) -> Result<&mut RaftClient<Channel>, CallError> {
        if self.client.is_none() {
            let channel = dial(&self.address()).await.map_err(CallError::Unreachable)?;
            let client = RaftClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX);
            self.client = Some(client);
        }
        Ok(self.client.as_mut().expect("it was just dialled"))
    }

    /// Drops the connection when a call on it failed, and tells once that the peer does not answer: openraft would
    /// tell at each try.
    fn after<T>(&mut self, outcome: Result<T, CallError>) -> Result<T, CallError> {
        if matches!(outcome, Err(CallError::Failed(_))) {
            self.client = None;
        }
        let answers = outcome.is_ok();
        if answers != self.answers {
            self.answers = answers;
            let controller = self.address();
            match &outcome {
                Ok(_) => tracing::info!(%controller, "the controller answers again"),
                Err(error) => tracing::warn!(%controller, "the controller does not answer: {error}"),
            }
        }
        outcome
    }

    async fn call_append(
        &mut self,
        request: wire::AppendEntriesRequest,
    ) -> Result<AppendEntriesResponse<RaftId>, CallError> {
        let response = self.client().await?.append_entries(request).await?.into_inner();
        use wire::append_entries_response::Result as Wire;
        Ok(match response.result.ok_or(CallError::Invalid(InvalidMessage("result")))? {
            Wire::Success(_) => AppendEntriesResponse::Success,
            Wire::Conflict(_) => AppendEntriesResponse::Conflict,
            Wire::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote_from_wire(&vote)),
            Wire::PartialSuccess(log_id) => AppendEntriesResponse::PartialSuccess(Some(log_id_from_wire(log_id))),
        })
    }

    async fn call_vote(&mut self, request: wire::VoteRequest) -> Result<VoteResponse<RaftId>, CallError> {
        let response = self.client().await?.request_vote(request).await?.into_inner();
        let vote = response.vote.as_ref().map(vote_from_wire).ok_or(CallError::Invalid(InvalidMessage("vote")))?;
        Ok(VoteResponse {
            vote,
            vote_granted: response.granted,
            last_log_id: response.last_log_id.map(log_id_from_wire),
        })
    }

    async fn call_snapshot(&mut self, chunks: mpsc::Receiver<wire::SnapshotChunk>) -> Result<Vote, CallError> {
        let response = self.client().await?.install_snapshot(ReceiverStream::new(chunks)).await?.into_inner();
        response.vote.as_ref().map(vote_from_wire).ok_or(CallError::Invalid(InvalidMessage("vote")))
    }
}

impl RaftNetwork<MetadataRaft> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<MetadataRaft>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, RpcError> {
        let request = wire::AppendEntriesRequest {
            envelope: Some(self.envelope()),
            vote: Some(vote_to_wire(&request.vote)),
            previous_log_id: request.prev_log_id.as_ref().map(log_id_to_wire),
            entries: request.entries.iter().map(|entry| entry_to_wire(entry, 0)).collect(),
            leader_commit: request.leader_commit.as_ref().map(log_id_to_wire),
        };
        let outcome = self.call_append(request).await;
        let response = self.after(outcome)?;
        if matches!(response, AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)) {
            self.activity.note(self.target);
        }
        Ok(response)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<RaftId>,
        _option: RPCOption,
    ) -> Result<VoteResponse<RaftId>, RpcError> {
        let request = wire::VoteRequest {
            envelope: Some(self.envelope()),
            vote: Some(vote_to_wire(&request.vote)),
            last_log_id: request.last_log_id.as_ref().map(log_id_to_wire),
        };
        let outcome = self.call_vote(request).await;
        Ok(self.after(outcome)?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<RaftId>, StreamingError<MetadataRaft, Fatal<RaftId>>> {
        let (chunks, queue) = mpsc::channel(2);
        let head = wire::SnapshotChunk {
            envelope: Some(self.envelope()),
            vote: Some(vote_to_wire(&vote)),
            ..Default::default()
        };
        let signature = snapshot.meta.signature();
        let send = send_chunks(head, snapshot, chunks);
        let call = self.call_snapshot(queue);
        let outcome = tokio::select! {
            closed = cancel => return Err(closed.into()),
            (sent, outcome) = async { tokio::join!(send, call) } => {
                sent.map_err(|error| StreamingError::StorageError(StorageIOError::read_snapshot(Some(signature), &error).into()))?;
                outcome
            }
        };
        match self.after(outcome) {
            Ok(vote) => {
                self.activity.note(self.target);
                Ok(SnapshotResponse::new(vote))
            }
            Err(CallError::Unreachable(error)) => Err(Unreachable::new(&error).into()),
            Err(CallError::Failed(status)) => Err(NetworkError::new(&status).into()),
            Err(CallError::Invalid(error)) => Err(NetworkError::new(&error).into()),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(UNREACHABLE_PAUSE))
    }
}

/// Sends the bytes of a snapshot; ends early when the receiver went away, which its answer explains.
async fn send_chunks(
    head: wire::SnapshotChunk,
    snapshot: Snapshot,
    chunks: mpsc::Sender<wire::SnapshotChunk>,
) -> std::io::Result<()> {
    let file = Arc::new(*snapshot.snapshot);
    let total_bytes = file.len();
    let mut head = Some(wire::SnapshotChunk { total_bytes, ..head });
    for position in (0..total_bytes).step_by(SNAPSHOT_CHUNK_BYTES) {
        let file = file.clone();
        let read = tokio::task::spawn_blocking(move || file.read(position, SNAPSHOT_CHUNK_BYTES)).await;
        let data = read.map_err(std::io::Error::other)??;
        let chunk = wire::SnapshotChunk { data, ..head.take().unwrap_or_default() };
        if chunks.send(chunk).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn dial(voter: &VoterAddress) -> Result<Channel, tonic::transport::Error> {
    let host = if voter.host.contains(':') { format!("[{}]", voter.host) } else { voter.host.clone() };
    Endpoint::from_shared(format!("http://{host}:{}", voter.port))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect()
        .await
}
