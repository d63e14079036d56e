//! What the other voters ask of this one.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::wrong_target;
use crate::controller::formation::Formation;
use crate::controller::identity::Identity;
use crate::controller::raft::{PeerError, Quorum};
use crate::rpc::raft::raft_server::Raft;
use crate::rpc::raft::{
    AppendEntriesRequest, AppendEntriesResponse, Envelope, SnapshotChunk, SnapshotResponse, VoteRequest, VoteResponse,
};

/// Longest snapshot taken from a peer.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// The service between voters.
pub struct RaftService {
    /// Who this node is.
    pub identity: Arc<Identity>,
    /// Where the messages go.
    pub quorum: Arc<Quorum>,
    /// Knows whom a blank node listens to.
    pub formation: Arc<Formation>,
}

impl RaftService {
    /// Refuses what is meant for another node or cluster, or comes from a stranger while this node is blank.
    async fn check(&self, envelope: Option<&Envelope>) -> Result<(), Status> {
        let envelope = envelope.ok_or_else(|| Status::invalid_argument("the envelope is missing"))?;
        let ours = self.identity.raft_id();
        if envelope.target_raft_id != ours {
            return Err(wrong_target(format!(
                "this controller (node {}) has the Raft id {ours:016x}, the message is for {:016x}: its data \
                 directory is another one than before",
                self.identity.node_id, envelope.target_raft_id
            )));
        }
        self.identity.check_cluster_id(&envelope.cluster_id).map_err(wrong_target)?;
        let admitted = self.formation.admit(envelope.source_raft_id, &envelope.cluster_id).await;
        admitted.map_err(|error| Status::unavailable(error.to_string()))
    }

    async fn receive(&self, mut chunks: Streaming<SnapshotChunk>) -> Result<SnapshotResponse, Status> {
        let first = chunks.message().await?.ok_or_else(|| Status::invalid_argument("the snapshot is empty"))?;
        self.check(first.envelope.as_ref()).await?;
        let vote = first.vote.ok_or_else(|| Status::invalid_argument("the vote is missing"))?;
        if first.total_bytes > SNAPSHOT_BYTES_MAX {
            return Err(Status::invalid_argument("the snapshot is too long"));
        }
        let disk = |error: crate::controller::ControllerError| Status::internal(error.to_string());
        let mut incoming = self.quorum.begin_receiving().map_err(disk)?;
        let mut next = Some(first.data);
        while let Some(data) = next {
            if incoming.len() + data.len() as u64 > first.total_bytes {
                return Err(Status::invalid_argument("the snapshot is longer than announced"));
            }
            incoming.append(&data).map_err(disk)?;
            next = chunks.message().await?.map(|chunk| chunk.data);
        }
        if incoming.len() != first.total_bytes {
            return Err(Status::invalid_argument("the snapshot is shorter than announced"));
        }
        self.quorum.install_snapshot(&vote, incoming).await.map_err(status)
    }
}

#[tonic::async_trait]
impl Raft for RaftService {
    async fn append_entries(
        &self,
        request: Request<AppendEntriesRequest>,
    ) -> Result<Response<AppendEntriesResponse>, Status> {
        let request = request.into_inner();
        self.check(request.envelope.as_ref()).await?;
        self.quorum.append_entries(request).await.map(Response::new).map_err(status)
    }

    async fn request_vote(&self, request: Request<VoteRequest>) -> Result<Response<VoteResponse>, Status> {
        let request = request.into_inner();
        self.check(request.envelope.as_ref()).await?;
        self.quorum.vote(request).await.map(Response::new).map_err(status)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotResponse>, Status> {
        self.receive(request.into_inner()).await.map(Response::new)
    }
}

fn status(error: PeerError) -> Status {
    match error {
        PeerError::Invalid(_) | PeerError::Damaged(_) => Status::invalid_argument(error.to_string()),
        PeerError::Stopped => Status::unavailable(error.to_string()),
    }
}
