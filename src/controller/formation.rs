//! How the quorum comes to be, without a format step.
//!
//! A quorum is first formed only when every configured voter answers that it is blank and all agree on the list
//! (invariant D6). The voter with the lowest `node.id` then forms it; the others wait for its first message. A quorum
//! of one needs nobody else and forms at once. A voter's Raft id comes from its data directory, so a directory that
//! was lost cannot vote as the one that voted before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngCore;
use tokio::time::Instant;

use super::error::ControllerError;
use super::identity::Identity;
use super::raft::{Quorum, RaftId, Voter};
use crate::cluster::{VoterAddress, probe};
use crate::metadata::uuid_from_bytes;
use crate::model::Uuid;
use crate::rpc::controller::{Envelope, ProbeRequest, ProbeResponse};

/// Pause between two rounds of asking.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// How often this node says whom it waits for.
const REPORT_EVERY: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Forms the quorum of a node that has none, and knows whose messages such a node takes.
pub struct Formation {
    identity: Arc<Identity>,
    quorum: Arc<Quorum>,
    /// The voters that agreed on the list, by Raft id.
    agreed: Mutex<BTreeMap<RaftId, Voter>>,
}

/// Why a blank node does not listen to somebody.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// Its list of voters has not been compared with ours yet, or differs.
    #[error("this controller is blank and has not agreed with the sender on the voters yet")]
    Stranger,
    /// The cluster's id cannot be kept.
    #[error(transparent)]
    Store(#[from] ControllerError),
}

impl Formation {
    /// Knows nobody yet.
    pub fn new(identity: Arc<Identity>, quorum: Arc<Quorum>) -> Self {
        Self { identity, quorum, agreed: Mutex::default() }
    }

    /// Returns once this node belongs to a quorum or has formed one.
    pub async fn run(&self) -> Result<(), ControllerError> {
        self.check_voters()?;
        if !self.quorum.is_blank() {
            return Ok(());
        }
        let voters = &self.identity.voters;
        let lowest = voters.iter().map(|voter| voter.node_id).min();
        let mut reported = Instant::now();
        while self.quorum.is_blank() {
            let waiting_for = self.ask_everybody().await;
            if waiting_for.is_empty() && lowest == Some(self.identity.node_id) {
                return self.form().await;
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.report(&waiting_for);
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Ok(())
    }

    /// Admits a message between voters. A blank node listens only to voters it agreed with, and first binds itself
    /// to their cluster.
    pub async fn admit(&self, source: RaftId, cluster_id: &str) -> Result<(), NotAdmitted> {
        if self.identity.cluster_id().is_some() && !self.quorum.is_blank() {
            return Ok(());
        }
        if !self.agreed().contains_key(&source) || cluster_id.is_empty() {
            return Err(NotAdmitted::Stranger);
        }
        self.bind(cluster_id).await?;
        Ok(())
    }

    async fn bind(&self, cluster_id: &str) -> Result<(), ControllerError> {
        self.quorum.set_cluster_id(cluster_id).await?;
        self.identity.learn_cluster_id(cluster_id);
        Ok(())
    }

    async fn form(&self) -> Result<(), ControllerError> {
        let cluster_id = self.identity.cluster_id().map_or_else(draw_cluster_id, str::to_owned);
        self.bind(&cluster_id).await?;
        let voters = self.agreed().clone();
        tracing::info!(cluster_id, voters = voters.len(), "forming the metadata quorum");
        self.quorum.form(voters).await
    }

    /// Asks every voter that has not agreed yet; those that still have not, with the reason.
    async fn ask_everybody(&self) -> Vec<(VoterAddress, String)> {
        let mut waiting_for = Vec::new();
        for voter in &self.identity.voters {
            let known = self.agreed().values().any(|agreed| agreed.node_id == voter.node_id);
            if voter.node_id == self.identity.node_id {
                self.agree(voter, self.identity.directory_id.0);
            } else if !known && let Err(reason) = self.ask(voter).await {
                waiting_for.push((voter.clone(), reason));
            }
        }
        waiting_for
    }

    async fn ask(&self, voter: &VoterAddress) -> Result<(), String> {
        let envelope = Envelope {
            cluster_id: self.identity.cluster_id().unwrap_or_default().to_owned(),
            target_node_id: voter.node_id,
            source_node_id: self.identity.node_id,
        };
        let request = ProbeRequest { envelope: Some(envelope), voters: Vec::new() };
        let answer = tokio::time::timeout(PROBE_TIMEOUT, probe(voter, request)).await;
        let answer = answer.map_err(|_| "it does not answer".to_owned())??;
        let directory_id = self.judge(&answer)?;
        if !answer.cluster_id.is_empty() && !self.identity.learn_cluster_id(&answer.cluster_id) {
            return Err(format!("it belongs to cluster {}", answer.cluster_id));
        }
        self.agree(voter, directory_id);
        Ok(())
    }

    /// The data directory of a voter that may form the quorum with us.
    fn judge(&self, answer: &ProbeResponse) -> Result<Uuid, String> {
        let mut theirs: Vec<_> = answer.voters.iter().map(|v| (v.node_id, v.host.clone(), v.port)).collect();
        let mut ours: Vec<_> =
            self.identity.voters.iter().map(|v| (v.node_id, v.host.clone(), u32::from(v.port))).collect();
        theirs.sort();
        ours.sort();
        if theirs != ours {
            return Err("its controller.quorum.voters differs from ours".to_owned());
        }
        let is_lowest = ours.first().is_some_and(|(node_id, ..)| *node_id == self.identity.node_id);
        if !answer.blank && is_lowest {
            return Err("it belongs to a quorum already, so this node must not form another one".to_owned());
        }
        uuid_from_bytes(&answer.directory_id).ok_or_else(|| "its directory id is no id".to_owned())
    }

    fn agree(&self, voter: &VoterAddress, directory_id: Uuid) {
        let member = Voter { node_id: voter.node_id, directory_id, host: voter.host.clone(), port: voter.port };
        self.agreed().insert(directory_id.high_bits(), member);
    }

    fn check_voters(&self) -> Result<(), ControllerError> {
        let voters = &self.identity.voters;
        let text = || voters.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let invalid = |reason: String| Err(ControllerError::InvalidVoters { voters: text(), reason });
        let mut node_ids: Vec<i32> = voters.iter().map(|voter| voter.node_id).collect();
        node_ids.sort_unstable();
        if node_ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return invalid("a node.id is there twice".to_owned());
        }
        if self.identity.own_address().is_none() {
            return invalid(format!("this controller, node {}, is not in it", self.identity.node_id));
        }
        if voters.len().is_multiple_of(2) {
            let count = voters.len();
            tracing::warn!("{count} voters survive no more failures than {} would: use an odd number", count - 1);
        }
        Ok(())
    }

    fn report(&self, waiting_for: &[(VoterAddress, String)]) {
        for (voter, reason) in waiting_for {
            tracing::info!(%voter, reason, "waiting for a voter to form the metadata quorum with");
        }
    }

    fn agreed(&self) -> std::sync::MutexGuard<'_, BTreeMap<RaftId, Voter>> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn draw_cluster_id() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    Uuid::from_random_bytes(bytes).to_string()
}
