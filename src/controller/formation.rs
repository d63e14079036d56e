//! How this node comes by its place in the quorum, without a format step.
//!
//! ```text
//!   blank, every configured voter answers blank and agrees on the list ──► the lowest node.id forms the quorum
//!   blank, somebody belongs to a quorum already ──► announced to its leader: learner, then the predecessor's seat
//!   not blank ──► announced too: the quorum learns this node's address, or completes what was interrupted
//! ```
//!
//! A blank node never forms a quorum beside one that exists (invariant D6): as long as one configured voter is missing,
//! or answers that it is not blank, it waits and says for whom. A voter's Raft id comes from its data directory, so a
//! directory that was lost cannot vote as the one that voted before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rand::RngCore;
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::ControllerError;
use super::identity::Identity;
use super::raft::{Quorum, RaftId, Voter};
use super::seats::{member_from_wire, member_to_wire};
use crate::cluster::{VoterAddress, announce, probe};
use crate::metadata::uuid_from_bytes;
use crate::model::Uuid;
use crate::rpc::controller::{AnnounceRequest, Envelope, ProbeRequest, ProbeResponse, announce_response, place};

/// Pause between two rounds of asking.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two announcements of a node that has its log already.
const ANNOUNCE_PAUSE: Duration = Duration::from_millis(100);
/// How often this node says whom it waits for.
const REPORT_EVERY: Duration = Duration::from_secs(3);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// An announcement may have to wait for a change of the voters.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Brings this node to its place in the quorum, and knows whose messages a blank node takes.
pub struct Formation {
    identity: Arc<Identity>,
    quorum: Arc<Quorum>,
    /// The Raft ids that this node listens to while it is blank.
    trusted: Mutex<BTreeSet<RaftId>>,
    /// True once this node has its place.
    settled: watch::Sender<bool>,
}

/// A controller that answered.
struct Peer {
    raft_id: RaftId,
    voter: Voter,
    blank: bool,
    /// The voters of the quorum it belongs to, one of which leads; perhaps more than this node was told of.
    quorum: Vec<VoterAddress>,
}

/// Why a blank node does not listen to somebody.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// It has not answered this node's questions yet, or differently.
    #[error("this controller is blank and has not agreed with the sender on the voters yet")]
    Stranger,
    /// The cluster's id cannot be kept.
    #[error(transparent)]
    Store(#[from] ControllerError),
}

impl Formation {
    /// Knows nobody yet.
    pub fn new(identity: Arc<Identity>, quorum: Arc<Quorum>) -> Self {
        Self { identity, quorum, trusted: Mutex::default(), settled: watch::channel(false).0 }
    }

    /// Returns once this node has its place in a quorum.
    pub async fn run(&self) -> Result<(), ControllerError> {
        self.check_voters()?;
        self.until_not_blank().await?;
        while !self.announce_to_members().await {
            tokio::time::sleep(ANNOUNCE_PAUSE).await;
        }
        self.settled.send_replace(true);
        Ok(())
    }

    /// Waits until the leader of the quorum has given this node its place.
    pub async fn settled(&self) {
        // No error can come: the sender lives in `self`.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Admits a message between voters. A blank node listens only to those it has asked, and first binds itself to
    /// their cluster.
    pub async fn admit(&self, source: RaftId, cluster_id: &str) -> Result<(), NotAdmitted> {
        if self.identity.cluster_id().is_some() && !self.quorum.is_blank() {
            return Ok(());
        }
        if !self.trusted().contains(&source) || cluster_id.is_empty() {
            return Err(NotAdmitted::Stranger);
        }
        self.bind(cluster_id).await?;
        Ok(())
    }

    async fn until_not_blank(&self) -> Result<(), ControllerError> {
        let mut report_at = Instant::now() + REPORT_EVERY;
        while self.quorum.is_blank() {
            let (peers, mut waiting_for) = self.ask_everybody().await;
            let formed = peers.iter().filter(|peer| !peer.blank);
            let quorum: BTreeSet<VoterAddress> =
                formed.flat_map(|peer| peer.quorum.iter().cloned().chain([address(&peer.voter)])).collect();
            if !quorum.is_empty() {
                waiting_for = self.ask_for_a_seat(&quorum).await.err().into_iter().collect();
            } else if waiting_for.is_empty() && self.is_lowest_of(&peers) {
                return self.form(peers).await;
            }
            if Instant::now() >= report_at {
                report_at = Instant::now() + REPORT_EVERY;
                waiting_for.iter().for_each(|reason| tracing::warn!("waiting for the metadata quorum: {reason}"));
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Ok(())
    }

    async fn form(&self, peers: Vec<Peer>) -> Result<(), ControllerError> {
        let cluster_id = self.identity.cluster_id().map_or_else(draw_cluster_id, str::to_owned);
        self.bind(&cluster_id).await?;
        let voters: BTreeMap<RaftId, Voter> = peers.into_iter().map(|peer| (peer.raft_id, peer.voter)).collect();
        tracing::info!(cluster_id, voters = voters.len(), "forming the metadata quorum");
        self.quorum.form(voters).await
    }

    async fn bind(&self, cluster_id: &str) -> Result<(), ControllerError> {
        self.quorum.set_cluster_id(cluster_id).await?;
        self.identity.learn_cluster_id(cluster_id);
        Ok(())
    }

    /// Asks all configured voters: those that answered and agree, and why the others count as missing.
    async fn ask_everybody(&self) -> (Vec<Peer>, Vec<String>) {
        let answers = join_all(self.identity.voters.iter().map(|voter| self.ask(voter))).await;
        let (mut peers, mut waiting_for): (Vec<Peer>, Vec<String>) = (Vec::new(), Vec::new());
        for (voter, answer) in self.identity.voters.iter().zip(answers) {
            match answer {
                Err(reason) => waiting_for.push(format!("voter {voter}: {reason}")),
                Ok(peer) => match peers.iter().find(|other| other.voter.node_id == peer.voter.node_id) {
                    Some(other) => {
                        waiting_for.push(format!("{} and {} have the same node.id", other.voter, peer.voter))
                    }
                    None => peers.push(peer),
                },
            }
        }
        if !peers.iter().any(|peer| peer.raft_id == self.identity.raft_id()) {
            waiting_for.push(format!("node {} is not among the voters it was told of", self.identity.node_id));
        }
        self.trusted().extend(peers.iter().map(|peer| peer.raft_id));
        (peers, waiting_for)
    }

    async fn ask(&self, voter: &VoterAddress) -> Result<Peer, String> {
        if voter.node_id == self.identity.node_id {
            let directory_id = self.identity.directory_id.0;
            let own = Voter { node_id: voter.node_id, directory_id, host: voter.host.clone(), port: voter.port };
            return Ok(Peer {
                raft_id: self.identity.raft_id(),
                voter: own,
                blank: self.quorum.is_blank(),
                quorum: Vec::new(),
            });
        }
        let request = ProbeRequest { envelope: Some(self.envelope(voter)), voters: Vec::new() };
        let answer = tokio::time::timeout(PROBE_TIMEOUT, probe(voter, request)).await;
        let answer = answer.map_err(|_| "it does not answer".to_owned())??;
        let directory_id = self.judge(&answer)?;
        if !answer.cluster_id.is_empty() && !self.identity.learn_cluster_id(&answer.cluster_id) {
            let ours = self.identity.cluster_id().unwrap_or_default();
            return Err(format!("it belongs to cluster {}, this node to cluster {ours}", answer.cluster_id));
        }
        let quorum = answer.quorum.iter().filter_map(|voter| voter.try_into().ok()).collect();
        let voter = Voter { node_id: answer.node_id, directory_id, host: voter.host.clone(), port: voter.port };
        Ok(Peer { raft_id: directory_id.high_bits(), voter, blank: answer.blank, quorum })
    }

    /// The data directory of a controller that this one may form a quorum with, or follow into one.
    fn judge(&self, answer: &ProbeResponse) -> Result<Uuid, String> {
        let theirs: Vec<VoterAddress> = answer.voters.iter().filter_map(|voter| voter.try_into().ok()).collect();
        if answer.blank && !same_voters(&theirs, &self.identity.voters) {
            let (theirs, ours) = (join(&theirs), join(&self.identity.voters));
            return Err(format!("its controller.quorum.voters is {theirs}, ours is {ours}: make them the same"));
        }
        uuid_from_bytes(&answer.directory_id).ok_or_else(|| "its directory id is no id".to_owned())
    }

    fn is_lowest_of(&self, peers: &[Peer]) -> bool {
        peers.iter().map(|peer| peer.voter.node_id).min() == Some(self.identity.node_id)
    }

    /// Announces this blank node to whoever leads the `quorum`; the error says what it waits for.
    async fn ask_for_a_seat(&self, quorum: &BTreeSet<VoterAddress>) -> Result<(), String> {
        let ours = |voter: &&VoterAddress| voter.node_id != self.identity.node_id || **voter != self.identity.own;
        for voter in quorum.iter().filter(ours) {
            match self.announce_to(voter).await {
                Ok(Announced::Placed(_)) => return Ok(()),
                Ok(Announced::Refused(reason)) => return Err(format!("{voter} says: {reason}")),
                Ok(Announced::NotController) => {}
                Err(reason) => tracing::debug!(%voter, reason, "not announced"),
            }
        }
        Err(format!(
            "{} belong to cluster {}, of which no leader answers, and this node is blank: it gets its seat back as soon \
             as a majority of the voters runs. If their disks are lost for good, stop all nodes and run \
             `ottla cluster recover-quorum` on the one that kept most",
            join(&quorum.iter().cloned().collect::<Vec<_>>()),
            self.identity.cluster_id().unwrap_or_default()
        ))
    }

    /// Tells whoever leads that this node is there. True when its place is settled.
    async fn announce_to_members(&self) -> bool {
        let members = self.quorum.membership();
        // The only member needs nobody's leave, nor a name by which others would find it.
        if members.is_only(self.identity.raft_id()) {
            return true;
        }
        let known = members.voters().map(|voter| self.identity.address_of(&address(voter)));
        let asked: BTreeSet<VoterAddress> = known.chain(self.identity.voters.iter().cloned()).collect();
        for voter in &asked {
            match self.announce_to(voter).await {
                Ok(Announced::Placed(place::Kind::Voter)) => return true,
                Ok(Announced::Placed(place::Kind::Observer)) => {
                    tracing::warn!(
                        "this controller has no vote; `ottla cluster add-controller {}` gives it one",
                        self.identity.node_id
                    );
                    return true;
                }
                Ok(Announced::Placed(place::Kind::CatchingUp)) => return false,
                Ok(Announced::Refused(reason)) => tracing::warn!(reason, "the quorum has no place for this node"),
                Ok(Announced::NotController) => {}
                Err(reason) => tracing::debug!(%voter, reason, "not announced"),
            }
        }
        false
    }

    async fn announce_to(&self, voter: &VoterAddress) -> Result<Announced, String> {
        let own = &self.identity.own;
        let directory_id = self.identity.directory_id.0;
        let member = Voter { node_id: own.node_id, directory_id, host: own.host.clone(), port: own.port };
        let request = AnnounceRequest { envelope: Some(self.envelope(voter)), member: Some(member_to_wire(&member)) };
        let response = tokio::time::timeout(ANNOUNCE_TIMEOUT, announce(voter, request)).await;
        let response = response.map_err(|_| "it does not answer".to_owned())??;
        match response.result.ok_or_else(|| "an empty answer".to_owned())? {
            announce_response::Result::NotController(_) => Ok(Announced::NotController),
            announce_response::Result::Refused(reason) => Ok(Announced::Refused(reason)),
            announce_response::Result::Place(place) => {
                let members = place.members.iter().filter_map(member_from_wire);
                self.trusted().extend(members.map(|member| member.directory_id.high_bits()));
                Ok(Announced::Placed(place.kind()))
            }
        }
    }

    fn envelope(&self, voter: &VoterAddress) -> Envelope {
        Envelope {
            cluster_id: self.identity.cluster_id().unwrap_or_default().to_owned(),
            target_node_id: voter.node_id,
            source_node_id: self.identity.node_id,
        }
    }

    fn check_voters(&self) -> Result<(), ControllerError> {
        let voters = &self.identity.voters;
        let invalid = |reason: String| Err(ControllerError::InvalidVoters { voters: join(voters), reason });
        let mut node_ids: Vec<i32> =
            voters.iter().filter(|voter| voter.is_named()).map(|voter| voter.node_id).collect();
        node_ids.sort_unstable();
        if node_ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return invalid("a node.id is there twice".to_owned());
        }
        if node_ids.len() == voters.len() && !node_ids.contains(&self.identity.node_id) {
            return invalid(format!("this controller, node {}, is not in it", self.identity.node_id));
        }
        Ok(())
    }

    fn trusted(&self) -> std::sync::MutexGuard<'_, BTreeSet<RaftId>> {
        self.trusted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of an announcement.
enum Announced {
    Placed(place::Kind),
    NotController,
    Refused(String),
}

fn address(voter: &Voter) -> VoterAddress {
    VoterAddress { node_id: voter.node_id, host: voter.host.clone(), port: voter.port }
}

fn same_voters(theirs: &[VoterAddress], ours: &[VoterAddress]) -> bool {
    let set = |voters: &[VoterAddress]| voters.iter().cloned().collect::<BTreeSet<_>>();
    set(theirs) == set(ours)
}

fn join(voters: &[VoterAddress]) -> String {
    voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn draw_cluster_id() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    Uuid::from_random_bytes(bytes).to_string()
}
