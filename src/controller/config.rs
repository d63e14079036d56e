//! What a controller is told at its start.

use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use super::liveness::LivenessLimits;
use crate::cluster::VoterAddress;
use crate::metadata::ClusterDefaults;
use crate::model::DirectoryId;
use crate::quota::QuotaWindows;

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
    /// `controller.quota.window.num` and `controller.quota.window.size.seconds`.
    pub mutation_quota_windows: QuotaWindows,
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

/// When, and from which imbalance on, leaders move back by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderBalanceConfig {
    /// `leader.imbalance.check.interval.seconds`.
    pub check_interval: Duration,
    /// `leader.imbalance.per.broker.percentage`.
    pub imbalance_percentage: u32,
}

/// Raft's clock. The defaults gave a new leader in less than a second after the old one was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftTimes {
    /// How often a leader shows that it lives.
    pub heartbeat_interval_ms: u64,
    /// Shortest silence after which a follower stands for election.
    pub election_timeout_min_ms: u64,
    /// The unit in which a leader waits for its followers' acknowledgements before it takes itself for cut off.
    pub election_timeout_max_ms: u64,
}

impl RaftTimes {
    /// So many neighbouring node ids have election time-outs of their own.
    const PLACES: i32 = 5;

    /// The silence after which this node stands for election.
    ///
    /// openraft draws it once, at the start, and looks at it every one and a half heartbeats. Two survivors whose
    /// time-outs end at the same look would stand at the same moment again and again, and nobody would be elected for
    /// as long as both live. So neighbours are a whole look apart, and each time-out ends between two looks.
    pub fn election_timeout_ms(&self, node_id: i32) -> u64 {
        let look_ms = self.heartbeat_interval_ms * 3 / 2;
        // Nodes are usually numbered from one: the first has the shortest.
        let place = u64::from((node_id - 1).rem_euclid(Self::PLACES).unsigned_abs());
        self.election_timeout_min_ms + look_ms / 2 + place * look_ms
    }
}

impl Default for RaftTimes {
    fn default() -> Self {
        Self { heartbeat_interval_ms: 100, election_timeout_min_ms: 300, election_timeout_max_ms: 500 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of looks after which a time-out that began at one of them is found to be over.
    fn looks(timeout_ms: u64, look_ms: u64) -> u64 {
        timeout_ms.div_ceil(look_ms)
    }

    #[test]
    fn neighbours_never_stand_for_election_at_the_same_look() {
        let times = RaftTimes::default();
        let look_ms = times.heartbeat_interval_ms * 3 / 2;
        for (first, second) in [(1, 2), (1, 3), (1, 4), (1, 5), (2, 5), (3, 4), (0, 2), (3000, 3001), (i32::MAX, 1)] {
            let [first_ms, second_ms] = [first, second].map(|node_id| times.election_timeout_ms(node_id));
            assert_ne!(looks(first_ms, look_ms), looks(second_ms, look_ms), "nodes {first} and {second}");
            // A look that comes a little early or late is still the same one.
            for timeout_ms in [first_ms, second_ms] {
                let into_the_look = timeout_ms % look_ms;
                assert!(into_the_look.abs_diff(look_ms / 2) <= 1, "{timeout_ms} ms ends beside a look");
            }
        }
    }
}
