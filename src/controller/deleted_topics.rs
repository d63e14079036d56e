//! Deleted topics go for good when their time is over: the timer of `ottla.topic.delete.retention.ms`.
//!
//! Which those are is decided by the metadata, by this controller's clock while it leads the quorum; brokers follow.

use std::time::Duration;

use tokio::sync::watch;

use super::feed::AppliedMetadata;
use super::handle::CommandQueue;
use super::raft::Leadership;
use crate::clock;
use crate::metadata::ClusterDefaults;
use crate::rpc::metadata::{MetadataCommand, RemoveExpiredTopics, metadata_command::Kind};

/// Between two looks. A retention is counted in hours, so nobody misses the second.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Looks for deleted topics whose time is over while this node leads the quorum.
pub struct DeletedTopics {
    /// What is known of the topics.
    pub applied: AppliedMetadata,
    /// Whether it is for this node to act.
    pub leadership: watch::Receiver<Leadership>,
    /// How long they are kept where nothing else is set.
    pub defaults: ClusterDefaults,
    /// Where their removal is asked for.
    pub commands: CommandQueue,
}

impl DeletedTopics {
    /// Runs until the quorum is gone.
    pub async fn run(mut self) {
        while self.leadership.wait_for(|leadership| leadership.leads).await.is_ok() {
            tokio::time::sleep(LOOK_PAUSE).await;
            let image = self.applied.image();
            if image.expired_topics(&self.defaults, clock::wall()).next().is_some() {
                let remove = RemoveExpiredTopics::default();
                self.commands.submit(MetadataCommand { kind: Some(Kind::RemoveExpiredTopics(remove)) }).await;
            }
        }
    }
}
