//! Tells the controllers which replicas here cannot be used, so that others lead and nobody waits for them.
//!
//! What is to be told is the difference between what is offline here and what the metadata says is offline: so it is
//! told again after a registration that was made anew, and never twice.

use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::cluster::{BrokerLifecycle, ControllerCalls};
use crate::metadata::{knows_offline_replicas, partition_name};
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::rpc::metadata::{MetadataCommand, ReportOfflineReplicas, metadata_command};

use super::replicas::{ReplicaNames, Replicas};

/// How long one command may take before it is made up anew.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before what was not taken is told again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The task that tells.
pub(super) struct OfflineReports {
    pub broker_id: BrokerId,
    pub replicas: Weak<Replicas>,
    pub calls: ControllerCalls,
    pub lifecycle: BrokerLifecycle,
    pub offline: watch::Receiver<ReplicaNames>,
    pub applied: watch::Receiver<i64>,
    pub failure_timeout: Duration,
}

impl OfflineReports {
    /// Runs until the broker stops.
    pub async fn run(mut self) {
        let mut untold_since = None;
        loop {
            // As a rule everything is online, and then nothing is compared.
            if self.offline.wait_for(|offline| !offline.is_empty()).await.is_err() {
                return;
            }
            self.applied.mark_unchanged();
            let Some(replicas) = self.replicas.upgrade() else { return };
            let news = self.news(&replicas);
            if news.is_empty() {
                untold_since = None;
            } else if untold_since.get_or_insert_with(Instant::now).elapsed() >= self.failure_timeout {
                end_with_the_directory(
                    &replicas,
                    "the controllers could not be told of it within log.dir.failure.timeout.ms",
                );
            }
            drop(replicas);
            if news.is_empty() {
                tokio::select! {
                    _ = self.offline.changed() => {}
                    _ = self.applied.changed() => {}
                }
                continue;
            }
            match self.tell(&news).await {
                // The metadata that says so is on its way, if it is not here yet.
                Ok(index) => _ = tokio::time::timeout(COMMAND_TIMEOUT, self.applied.wait_for(|&at| at >= index)).await,
                Err(reason) => {
                    tracing::warn!("the controllers do not know yet that replicas here are offline: {reason}");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// What is offline here and not in the metadata.
    fn news(&self, replicas: &Replicas) -> Vec<(TopicId, i32)> {
        let image = replicas.image();
        let Some(broker) = image.broker(self.broker_id) else { return Vec::new() };
        if !knows_offline_replicas(&image) {
            end_with_the_directory(replicas, "a cluster whose ottla.version is below 4 cannot be told of it");
            return Vec::new();
        }
        let is_news = |&&(topic_id, partition): &&(TopicId, i32)| {
            let hosted = image.partition(topic_id, partition).is_some_and(|at| at.replicas.contains(&self.broker_id));
            hosted && !broker.offline_replicas.contains(&(topic_id, partition))
        };
        self.offline.borrow().iter().filter(is_news).copied().collect()
    }

    /// The metadata index from which on they are known.
    async fn tell(&self, replicas: &[(TopicId, i32)]) -> Result<i64, String> {
        let broker_epoch = self.lifecycle.broker_epoch().ok_or("this broker is not registered")?;
        let command = ReportOfflineReplicas {
            broker_id: self.broker_id.0,
            broker_epoch: broker_epoch.0,
            replicas: replicas.iter().copied().map(partition_name).collect(),
        };
        let command = MetadataCommand { kind: Some(metadata_command::Kind::ReportOfflineReplicas(command)) };
        let reply = self.calls.submit(command, COMMAND_TIMEOUT).await.map_err(|error| error.to_string())?;
        let error_code = i16::try_from(reply.error_code).ok().and_then(ErrorCode::from_code);
        match error_code {
            Some(ErrorCode::None) => Ok(reply.metadata_index),
            _ => Err(format!("{}: {}", reply.error_code, reply.error_message)),
        }
    }
}

/// While the controllers do not know of it nobody else leads what is offline here: the broker goes with its directory, as
/// one with a single directory does.
fn end_with_the_directory(replicas: &Replicas, why: &str) {
    if replicas.has_failed_directory() {
        tracing::error!(
            "a log directory has failed, and this process ends: {why}, so others cannot lead its partitions while this \
             broker lives; check the disk, or take the directory out of log.dirs, then start it again"
        );
        std::process::exit(1);
    }
}
