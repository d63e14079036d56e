//! Leaders go back to their preferred replicas: the timer of `auto.leader.rebalance.enable`.
//!
//! Which partitions those are is decided by [`misplaced_leaders`]; this looks from time to time while this node leads
//! the quorum, and asks for preferred elections.

use tokio::sync::watch;

use super::config::LeaderBalanceConfig;
use super::feed::AppliedMetadata;
use super::handle::CommandQueue;
use super::raft::Leadership;
use crate::metadata::misplaced_leaders;
use crate::rpc::metadata::{ElectLeaders, MetadataCommand, NamedPartitions, elect_leaders, metadata_command::Kind};

/// Elections in one command, as in Kafka: a large correction does not hold up other commands.
const ELECTIONS_MAX: usize = 1_000;

/// Moves leaders back.
pub struct LeaderBalance {
    /// When, and from which imbalance on.
    pub config: LeaderBalanceConfig,
    /// What is known of the partitions.
    pub applied: AppliedMetadata,
    /// Whether it is for this node to act.
    pub leadership: watch::Receiver<Leadership>,
    /// Where elections are asked for.
    pub commands: CommandQueue,
}

impl LeaderBalance {
    /// Runs until the quorum is gone.
    pub async fn run(mut self) {
        while self.leadership.wait_for(|leadership| leadership.leads).await.is_ok() {
            tokio::time::sleep(self.config.check_interval).await;
            if self.leadership.borrow().leads {
                self.correct().await;
            }
        }
    }

    async fn correct(&self) {
        let partitions = misplaced_leaders(&self.applied.image(), self.config.imbalance_percentage);
        if partitions.is_empty() {
            return;
        }
        tracing::info!(partitions = partitions.len(), "moving leaders back to their preferred replicas");
        for some in partitions.chunks(ELECTIONS_MAX) {
            let partitions = Some(NamedPartitions { partitions: some.to_vec() });
            let elect = ElectLeaders { kind: elect_leaders::Kind::Preferred.into(), partitions };
            self.commands.submit(MetadataCommand { kind: Some(Kind::ElectLeaders(elect)) }).await;
        }
    }
}
