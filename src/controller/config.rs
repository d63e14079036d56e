//! What a controller is told at its start.

use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;

use super::leader_balance::LeaderBalanceConfig;
use super::liveness::LivenessLimits;
use crate::cluster::VoterAddress;
use crate::metadata::ClusterDefaults;
use crate::model::DirectoryId;

/// Everything a controller needs.
pub struct ControllerConfig {
    /// `metadata.log.dir`; `__cluster_metadata-0` lies in it. Locked by this process.
    pub data_dir: PathBuf,
    /// `directory.id` of `data_dir`.
    pub directory_id: DirectoryId,
    /// `cluster.id` when it was configured or kept from an earlier life; the node that forms the quorum draws one
    /// otherwise.
    pub cluster_id: Option<String>,
    /// `node.id` and where the other controllers reach this one, unless `voters` says otherwise.
    pub own: VoterAddress,
    /// The bound controller listener.
    pub listener: TcpListener,
    /// `controller.quorum.voters`, or the addresses of `controller.quorum.bootstrap.servers`.
    pub voters: Vec<VoterAddress>,
    /// When silent brokers are fenced.
    pub liveness: LivenessLimits,
    /// How leaders move back to their preferred replicas; `None` when they do not.
    pub leader_balance: Option<LeaderBalanceConfig>,
    /// Raft's clock.
    pub raft_times: RaftTimes,
    /// A snapshot is taken when so many log entries have followed the last one.
    pub entries_between_snapshots: u64,
    /// What new topics get unless they ask for something else.
    pub defaults: ClusterDefaults,
}

impl fmt::Debug for ControllerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerConfig")
            .field("own", &self.own)
            .field("directory_id", &self.directory_id)
            .field("data_dir", &self.data_dir)
            .field("cluster_id", &self.cluster_id)
            .field("voters", &self.voters)
            .finish_non_exhaustive()
    }
}

/// Raft's clock. The defaults gave a new leader in less than a second after the old one was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTimes {
    /// How often a leader shows that it lives.
    pub heartbeat_interval_ms: u64,
    /// Shortest silence after which a follower stands for election.
    pub election_timeout_min_ms: u64,
    /// Longest such silence; each follower draws its own between the two.
    pub election_timeout_max_ms: u64,
}

impl Default for RaftTimes {
    fn default() -> Self {
        Self { heartbeat_interval_ms: 100, election_timeout_min_ms: 300, election_timeout_max_ms: 500 }
    }
}
