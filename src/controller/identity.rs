//! Who this controller is, and which messages are meant for it.

use std::sync::OnceLock;

use crate::cluster::VoterAddress;
use crate::model::DirectoryId;

/// This controller's identity. The cluster's id may become known only when the quorum is formed.
#[derive(Debug)]
pub struct Identity {
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id` of the metadata log's data directory.
    pub directory_id: DirectoryId,
    /// `controller.quorum.voters`, or `controller.quorum.bootstrap.servers` without their ids.
    pub voters: Vec<VoterAddress>,
    /// Where the others reach this controller.
    pub own: VoterAddress,
    cluster_id: OnceLock<String>,
}

impl Identity {
    /// An identity; the cluster's id when it is known already.
    pub fn new(
        own: VoterAddress,
        directory_id: DirectoryId,
        voters: Vec<VoterAddress>,
        cluster_id: Option<String>,
    ) -> Self {
        let cluster_id = cluster_id.map_or_else(OnceLock::new, OnceLock::from);
        let own = voters.iter().find(|voter| voter.node_id == own.node_id).cloned().unwrap_or(own);
        Self { node_id: own.node_id, directory_id, voters, own, cluster_id }
    }

    /// The Raft id: 64 bits of the directory's id.
    pub fn raft_id(&self) -> u64 {
        self.directory_id.0.high_bits()
    }

    /// The cluster's id, once known.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }

    /// Notes the cluster's id; false when it is known as another one.
    pub fn learn_cluster_id(&self, cluster_id: &str) -> bool {
        self.cluster_id.get_or_init(|| cluster_id.to_owned()) == cluster_id
    }

    /// Where a member of the quorum is reached. The configuration is newer than what the quorum was once told.
    pub fn address_of(&self, member: &VoterAddress) -> VoterAddress {
        let configured = std::iter::once(&self.own).chain(&self.voters);
        configured.into_iter().find(|voter| voter.node_id == member.node_id).unwrap_or(member).clone()
    }

    /// Refuses a message for another cluster. A sender that does not know its cluster yet sends none.
    pub fn check_cluster_id(&self, cluster_id: &str) -> Result<(), String> {
        match self.cluster_id() {
            Some(ours) if !cluster_id.is_empty() && cluster_id != ours => Err(format!(
                "this controller (node {}) belongs to cluster {ours}, the message is for cluster {cluster_id}",
                self.node_id
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a message for another node.
    pub fn check_node_id(&self, node_id: i32) -> Result<(), String> {
        if [self.node_id, VoterAddress::UNKNOWN].contains(&node_id) {
            return Ok(());
        }
        Err(format!(
            "this controller is node {}, the message is for node {node_id}: check the addresses in \
             controller.quorum.voters",
            self.node_id
        ))
    }
}
