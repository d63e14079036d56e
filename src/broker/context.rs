//! The few handles that handlers work with. Not a broker: a handler that needs a ninth is missing a module.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::cluster::{BrokerLifecycle, ClusterError, ControllerCalls};
use crate::config::StaticConfig;
use crate::coordinator::{GroupCoordinator, LocalMarkers, TransactionCoordinator};
use crate::metadata::ClusterImage;
use crate::model::BrokerId;
use crate::partition::Replicas;
use crate::rpc::metadata::{MetadataReply, metadata_command};

use super::auto_create::AutoCreate;
use super::fetch_session::FetchSessions;
use super::metrics::RequestMetrics;
use super::quotas::{ClientQuotas, Limited};
use super::served::Served;
use super::submit::submit;

/// What handlers share.
pub struct Context {
    /// `node.id`.
    pub broker_id: BrokerId,
    /// What ApiVersions answers: the table of `dispatch`.
    pub served: Vec<Served>,
    /// The configuration this process was started with; the image has what was changed since.
    pub settings: Arc<StaticConfig>,
    /// The replicas here, and the metadata as far as they follow it.
    pub replicas: Arc<Replicas>,
    /// Commands to the controllers.
    pub controller: ControllerCalls,
    /// Where this broker stands in its life.
    pub lifecycle: BrokerLifecycle,
    /// Consumer groups whose coordinator is here.
    pub groups: Arc<GroupCoordinator>,
    /// `fetch.max.bytes`: the most that one Fetch is answered with, beyond its first batch.
    pub fetch_max_bytes: usize,
    /// Consumers are sent to a replica in their rack (KIP-392).
    pub rack_aware_reads: bool,
    /// Incremental fetch sessions.
    pub fetch_sessions: FetchSessions,
    /// Creates topics on first use.
    pub auto_create: AutoCreate,
    /// Transactional ids whose coordinator is here.
    pub transactions: Arc<TransactionCoordinator>,
    /// Ends transactions in partitions that are led here.
    pub markers: Arc<LocalMarkers>,
    /// How fast clients go that are limited.
    pub quotas: ClientQuotas,
    /// Counts what handlers are asked.
    pub requests: Arc<RequestMetrics>,
}

impl Context {
    /// The metadata as this broker has applied it to its replicas.
    pub fn image(&self) -> Arc<ClusterImage> {
        self.replicas.image()
    }

    /// Counts bytes of a client against its limit; for how many milliseconds it has to wait.
    pub fn limit(&self, limited: Limited, client_id: Option<&str>, bytes: usize) -> u64 {
        let image = self.image();
        if image.has_no_client_quotas() {
            return 0;
        }
        self.quotas.record(&image, limited, client_id, bytes as f64, clock::monotonic())
    }

    /// See [`submit`].
    pub async fn submit(
        &self,
        command: metadata_command::Kind,
        timeout: Duration,
    ) -> Result<MetadataReply, ClusterError> {
        submit(&self.controller, &self.replicas, command, timeout).await
    }
}
