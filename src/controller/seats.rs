//! Who sits in the quorum, as its leader sees to it: newcomers, lost disks, changes by command.
//!
//! A newcomer first follows as a learner. A blank node whose `node.id` has a voter's seat takes that seat once it has
//! caught up, because its predecessor's disk is gone; one without a seat stays an observer until a command adds it.
//! Every change goes by joint consensus, so it needs a majority of the old voters and of the new ones (invariant D6).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::identity::Identity;
use super::raft::{ChangeError, Leadership, Membership, Quorum, RaftId, Voter};
use crate::cluster::{VoterAddress, probe};
use crate::metadata::{uuid_bytes, uuid_from_bytes};
use crate::model::{ErrorCode, Uuid};
use crate::rpc::controller::{Envelope, Member, ProbeRequest, place};

/// How long the predecessor of a newcomer is given to show that it lives.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Pause before a change that could not be completed is tried again.
const COMPLETION_PAUSE: Duration = Duration::from_millis(200);

/// Changes the membership, one change at a time.
pub struct Seats {
    identity: Arc<Identity>,
    quorum: Arc<Quorum>,
    /// Held while the membership changes.
    changing: Mutex<()>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// This node does not lead the quorum.
    #[error("this controller does not lead the quorum")]
    NotLeader,
    /// It must not be, or cannot be now.
    #[error("{message}")]
    Refused {
        /// Kafka's error code.
        code: ErrorCode,
        /// The sentence for the operator.
        message: String,
    },
}

impl From<ChangeError> for SeatError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotLeader => Self::NotLeader,
            ChangeError::Failed(message) => Self::Refused { code: ErrorCode::UnknownServerError, message },
        }
    }
}

impl Seats {
    /// The seats of the quorum that this node belongs to.
    pub fn new(identity: Arc<Identity>, quorum: Arc<Quorum>) -> Self {
        Self { identity, quorum, changing: Mutex::new(()) }
    }

    /// Completes, whenever this node begins to lead, what its predecessor left half done: a change by command has nobody
    /// who would ask for it again.
    pub async fn run(&self, mut leadership: watch::Receiver<Leadership>) {
        loop {
            // No error can come as long as the controller runs.
            if leadership.wait_for(|leadership| leadership.leads).await.is_err() {
                return;
            }
            match self.complete_change().await {
                Ok(()) => _ = leadership.wait_for(|leadership| !leadership.leads).await,
                Err(error) => {
                    tracing::debug!("cannot complete the change of the voters, trying again: {error}");
                    tokio::time::sleep(COMPLETION_PAUSE).await;
                }
            }
        }
    }

    async fn complete_change(&self) -> Result<(), SeatError> {
        let _changing = self.changing.lock().await;
        let members = self.quorum.membership();
        if members.is_joint() {
            tracing::info!("completing a change of the voters that an earlier leader began");
            self.quorum.set_voters(members.latest_voters()).await?;
        }
        Ok(())
    }

    /// A controller says that it is there: its place, or `CatchingUp` when it should say so again.
    pub async fn on_announced(&self, newcomer: Voter) -> Result<place::Kind, SeatError> {
        let _changing = self.changing.lock().await;
        let id = newcomer.directory_id.high_bits();
        let members = self.quorum.membership();
        if members.is_joint() {
            self.quorum.set_voters(members.latest_voters()).await?;
            return Ok(place::Kind::CatchingUp);
        }
        let Some(known) = members.get(id) else {
            self.welcome(&members, id, newcomer).await?;
            return Ok(place::Kind::CatchingUp);
        };
        if *known != newcomer {
            self.quorum.set_member(id, newcomer.clone()).await?;
        }
        if members.votes(id) {
            return Ok(place::Kind::Voter);
        }
        let Some((predecessor, old)) = members.voter_named(newcomer.node_id) else { return Ok(place::Kind::Observer) };
        self.check_gone(old, &newcomer).await?;
        if !self.quorum.has_caught_up(id) {
            return Ok(place::Kind::CatchingUp);
        }
        tracing::warn!(node = newcomer.node_id, "a new data directory takes the seat of a lost one in the quorum");
        let mut voters = members.latest_voters();
        voters.remove(&predecessor);
        voters.insert(id);
        self.quorum.set_voters(voters).await?;
        Ok(place::Kind::Voter)
    }

    /// Makes an observer a voter.
    pub async fn add(&self, node_id: i32, directory_id: Option<Uuid>) -> Result<(), SeatError> {
        let _changing = self.changing.lock().await;
        let members = self.quorum.membership();
        if members.voter_named(node_id).is_some() {
            return refused(ErrorCode::DuplicateVoter, format!("node {node_id} votes already"));
        }
        let wanted = |voter: &Voter| directory_id.is_none_or(|directory_id| voter.directory_id == directory_id);
        let Some((id, _)) = members.learner_named(node_id).filter(|(_, voter)| wanted(voter)) else {
            let message = format!(
                "no controller {node_id} follows the quorum yet: start it with process.roles=controller and \
                 controller.quorum.bootstrap.servers set to the present controllers, and try again"
            );
            return refused(ErrorCode::VoterNotFound, message);
        };
        if !self.quorum.has_caught_up(id) {
            return refused(
                ErrorCode::RequestTimedOut,
                format!("controller {node_id} has not caught up yet; try again"),
            );
        }
        let mut voters = members.latest_voters();
        voters.insert(id);
        Ok(self.quorum.set_voters(voters).await?)
    }

    /// Takes a voter out of the quorum, or an observer off its list.
    pub async fn remove(&self, node_id: i32, directory_id: Option<Uuid>) -> Result<(), SeatError> {
        let _changing = self.changing.lock().await;
        let members = self.quorum.membership();
        let wanted = |voter: &Voter| directory_id.is_none_or(|directory_id| voter.directory_id == directory_id);
        if let Some((id, _)) = members.learner_named(node_id).filter(|(_, voter)| wanted(voter)) {
            return Ok(self.quorum.remove_learners(BTreeSet::from([id])).await?);
        }
        let Some((id, _)) = members.voter_named(node_id).filter(|(_, voter)| wanted(voter)) else {
            return refused(ErrorCode::VoterNotFound, format!("node {node_id} is no voter"));
        };
        let mut voters = members.latest_voters();
        voters.remove(&id);
        if voters.is_empty() {
            let message = format!("node {node_id} is the only voter; add another one first");
            return refused(ErrorCode::InvalidRequest, message);
        }
        Ok(self.quorum.set_voters(voters).await?)
    }

    /// Takes a newcomer in as a learner, in place of those of the same `node.id` whose directories are gone.
    async fn welcome(&self, members: &Membership, id: RaftId, newcomer: Voter) -> Result<(), SeatError> {
        let outdated: BTreeSet<RaftId> = members.learners_named(newcomer.node_id).collect();
        if !outdated.is_empty() {
            self.quorum.remove_learners(outdated).await?;
        }
        Ok(self.quorum.add_learner(id, newcomer).await?)
    }

    /// Refuses a newcomer while its predecessor still answers: two nodes were given the same `node.id`.
    async fn check_gone(&self, predecessor: &Voter, newcomer: &Voter) -> Result<(), SeatError> {
        let address =
            VoterAddress { node_id: predecessor.node_id, host: predecessor.host.clone(), port: predecessor.port };
        let envelope = Envelope {
            cluster_id: self.identity.cluster_id().unwrap_or_default().to_owned(),
            target_node_id: predecessor.node_id,
            source_node_id: self.identity.node_id,
        };
        let request = ProbeRequest { envelope: Some(envelope), voters: Vec::new() };
        let answer = tokio::time::timeout(PROBE_TIMEOUT, probe(&address, request)).await;
        let Ok(Ok(answer)) = answer else { return Ok(()) };
        if uuid_from_bytes(&answer.directory_id) != Some(predecessor.directory_id) {
            return Ok(());
        }
        let message = format!(
            "node {} lives at {address} with another data directory: give the node at {}:{} a node.id of its own",
            newcomer.node_id, newcomer.host, newcomer.port
        );
        refused(ErrorCode::DuplicateBrokerRegistration, message)
    }
}

fn refused(code: ErrorCode, message: String) -> Result<(), SeatError> {
    Err(SeatError::Refused { code, message })
}

/// A member in messages to brokers and blank nodes.
pub fn member_to_wire(voter: &Voter) -> Member {
    Member {
        node_id: voter.node_id,
        directory_id: uuid_bytes(voter.directory_id),
        host: voter.host.clone(),
        port: voter.port.into(),
    }
}

/// The member of a message, if it makes sense.
pub fn member_from_wire(member: &Member) -> Option<Voter> {
    Some(Voter {
        node_id: member.node_id,
        directory_id: uuid_from_bytes(&member.directory_id)?,
        host: member.host.clone(),
        port: member.port.try_into().ok()?,
    })
}
