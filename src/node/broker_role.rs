//! The broker role: replicas that follow the metadata, and listeners for clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::dispatch;
use crate::broker::metrics::{BrokerMetrics, RequestMetrics};
use crate::broker::{AutoCreate, ClientQuotas, ConnectionCounts, Context, FetchSessions, Serving, accept};
use crate::cluster::{
    BrokerIdentity, BrokerLifecycle, Cluster, ClusterConfig, ImageSubscription, VoterAddress, spawn_or_abort,
};
use crate::config::{self, GroupConfig, NetworkConfig, ServerConfig, TransactionConfig};
use crate::coordinator::metrics::GroupMetrics;
use crate::coordinator::{
    GroupCoordinator, GroupCoordinatorConfig, LocalMarkers, ProducerIds, TransactionCoordinator,
    TransactionCoordinatorConfig,
};
use crate::log::LogError;
use crate::metadata::supported_features;
use crate::model::{BrokerEpoch, BrokerId, StartNumber, Uuid};
use crate::observability::metrics::Registry;
use crate::partition::metrics::PartitionMetrics;
use crate::partition::{Replicas, ReplicationConfig};
use crate::quota::QuotaWindows;

use super::bind::Bound;
use super::data_directories::DataDirectories;
use super::error::NodeError;
use super::initial_topics;
use super::past_life;
use super::settings;

/// How long a stopping broker waits for its leaderships to move.
const CONTROLLED_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a stopping broker waits for its connections to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A broker that serves.
pub(super) struct BrokerRole {
    cluster: Cluster,
    replicas: Arc<Replicas>,
    serving: Serving,
    follower: AbortHandle,
    /// The paths of `log.dirs`.
    directories: Arc<[PathBuf]>,
}

/// The runtimes' handles.
#[derive(Clone)]
pub(super) struct Runners {
    pub(super) control: Handle,
    pub(super) data: Handle,
}

impl BrokerRole {
    /// Registers with the controllers, opens what is hosted here, and serves. Returns once the broker is a full
    /// member of its cluster.
    pub(super) async fn start(
        config: &ServerConfig,
        directories: &mut DataDirectories,
        listeners: Vec<Bound>,
        voters: Vec<VoterAddress>,
        runners: &Runners,
    ) -> Result<Self, NodeError> {
        let past = past_life::take(directories, config.node.roles.controller)?;
        let paths: Arc<[PathBuf]> = past.log_dirs.iter().map(|directory| directory.path.clone()).collect();
        let replicas = Replicas::open(settings::replicas(config, past.log_dirs, directories.lost().to_vec()))?;
        let life = (past.broker_epoch, past.start_number);
        let cluster_config = cluster_config(config, directories, &listeners, voters, life);
        let cluster = Cluster::start(cluster_config, &runners.control);
        replicas.start_replication(ReplicationConfig {
            fetcher: settings::fetcher(config),
            calls: cluster.calls().clone(),
            lifecycle: cluster.lifecycle().clone(),
            directory_failure_timeout: config::LogConfig::resolve(config.layers()).directory_failure_timeout,
            runtime: runners.data.clone(),
        });
        let (first, mut applied) = watch::channel(false);
        let follower = Follower {
            image: cluster.image().subscribe(),
            lifecycle: cluster.lifecycle().clone(),
            replicas: Arc::clone(&replicas),
            directories: Arc::clone(&paths),
            noted: None,
            first,
            data: runners.data.clone(),
        };
        let follower = spawn_or_abort(&runners.control, "metadata follower", follower.run());
        let serving = serving(config, &cluster, &replicas, &runners.data);
        let role = Self { cluster, replicas, serving, follower, directories: paths };
        tokio::select! {
            // No error can come while the follower lives; without it the node has failed.
            _ = applied.wait_for(|applied| *applied) => {}
            error = role.cluster.failed() => return Err(NodeError::ClusterLeft(error)),
        }
        if let Some(cluster_id) = role.cluster.calls().cluster_id() {
            directories.join_cluster(cluster_id)?;
        }
        role.accept(listeners, &runners.data)?;
        tokio::select! {
            () = role.ready() => {}
            error = role.cluster.failed() => return Err(NodeError::ClusterLeft(error)),
        }
        let topics = config.initial_topics.clone();
        drop(runners.control.spawn(initial_topics::create(topics, role.cluster.calls().clone())));
        Ok(role)
    }

    /// Waits until the quorum counts this broker in and its replicas have followed: what it leads can be used.
    async fn ready(&self) {
        self.cluster.lifecycle().running().await;
        let counted_in = self.cluster.image().current().applied_index();
        self.replicas.wait_for_index(counted_in).await;
    }

    /// The cluster's id, once the controllers have told it.
    pub(super) fn cluster_id(&self) -> Option<&str> {
        self.cluster.calls().cluster_id()
    }

    /// Where the broker stands.
    pub(super) fn lifecycle(&self) -> &BrokerLifecycle {
        self.cluster.lifecycle()
    }

    /// Adds what the broker shows to operators.
    pub(super) fn add_metrics(&self, registry: &Registry) {
        let context = &self.serving.context;
        registry.add(PartitionMetrics(Arc::clone(&self.replicas)));
        registry.add(BrokerMetrics(Arc::clone(&context.requests)));
        registry.add(GroupMetrics { groups: Arc::clone(&context.groups), replicas: Arc::clone(&self.replicas) });
    }

    /// Waits for a fault that ends the broker.
    pub(super) async fn failed(&self) -> NodeError {
        NodeError::ClusterLeft(self.cluster.failed().await)
    }

    /// Hands leaderships over, ends connections, flushes and closes the logs, and marks the stop as clean
    /// (invariant D9). True when that could be said of all of them.
    pub(super) async fn stop(self, runners: &Runners) -> Result<bool, NodeError> {
        let broker_epoch = self.cluster.lifecycle().broker_epoch();
        if !self.cluster.controlled_shutdown(CONTROLLED_SHUTDOWN_TIMEOUT).await {
            tracing::warn!("stopping although the cluster has not confirmed that leaderships have moved");
        }
        self.serving.stop.cancel();
        self.serving.tasks.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.serving.tasks.wait()).await.is_err() {
            tracing::warn!("some connections have not ended in time");
        }
        self.follower.abort();
        let Self { cluster, replicas, directories, .. } = self;
        let close = move || -> Result<bool, LogError> {
            let all_were_open = replicas.close()?;
            if let Some(broker_epoch) = broker_epoch.filter(|_| all_were_open) {
                past_life::note_clean_stop(&directories, broker_epoch)?;
            }
            Ok(all_were_open)
        };
        let closed = runners.data.spawn_blocking(close).await.expect("closing the logs does not panic");
        cluster.stop();
        match closed {
            // Nothing is lost: the next start reads what could not be noted down.
            Err(error) if error.lets_flush_wait() => {
                tracing::warn!("the disk is too full to stop in order: {error}; the next start takes longer");
                Ok(false)
            }
            closed => Ok(closed?),
        }
    }

    fn accept(&self, listeners: Vec<Bound>, data: &Handle) -> Result<(), NodeError> {
        let _entered = data.enter();
        for bound in listeners {
            let socket = TcpListener::from_std(bound.socket)
                .map_err(|source| NodeError::System { doing: "serve on a listener", source })?;
            let name: Arc<str> = bound.listener.endpoint.name.into();
            let serving = self.serving.clone();
            spawn_or_abort(data, "listener", accept(socket, name, serving));
        }
        Ok(())
    }
}

fn cluster_config(
    config: &ServerConfig,
    directories: &DataDirectories,
    listeners: &[Bound],
    voters: Vec<VoterAddress>,
    (previous_broker_epoch, start_number): (Option<BrokerEpoch>, StartNumber),
) -> ClusterConfig {
    let times = config::ClusterConfig::resolve(config.layers());
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    ClusterConfig {
        cluster_id: directories.cluster_id().map(str::to_owned).or_else(|| config.node.cluster_id.clone()),
        identity: BrokerIdentity {
            broker_id: BrokerId(config.node.node_id),
            incarnation_id: Uuid::from_random_bytes(rand::random()),
            directory_ids: directories.ids(),
            endpoints: settings::endpoints(listeners),
            rack: config.node.rack.clone(),
            features: supported_features(),
            previous_broker_epoch,
            start_number,
        },
        voters,
        heartbeat_interval_ms: milliseconds(times.heartbeat_interval),
        session_timeout_ms: milliseconds(times.session_timeout),
        registration_timeout_ms: milliseconds(times.registration_timeout),
    }
}

fn serving(config: &ServerConfig, cluster: &Cluster, replicas: &Arc<Replicas>, data: &Handle) -> Serving {
    let _entered = data.enter();
    let network = NetworkConfig::resolve(config.layers());
    let groups = GroupCoordinatorConfig::new(&GroupConfig::resolve(config.layers()), config.expected_brokers());
    let transactions = TransactionCoordinatorConfig::new(
        &TransactionConfig::resolve(config.layers()),
        config.listeners.inter_broker_listener_name.clone(),
        config.expected_brokers(),
    );
    let groups = GroupCoordinator::start(groups, Arc::clone(replicas), cluster.calls().clone(), cluster.image());
    let markers = Arc::new(LocalMarkers::new(Arc::clone(replicas), Arc::clone(&groups), transactions.request_timeout));
    let broker_id = BrokerId(config.node.node_id);
    let context = Context {
        broker_id,
        settings: config.start.clone(),
        replicas: Arc::clone(replicas),
        controller: cluster.calls().clone(),
        lifecycle: cluster.lifecycle().clone(),
        groups,
        transactions: TransactionCoordinator::start(
            transactions,
            broker_id,
            Arc::clone(replicas),
            cluster.calls().clone(),
            ProducerIds::new(broker_id, cluster.lifecycle().clone(), cluster.calls().clone()),
            Arc::clone(&markers),
        ),
        markers,
        fetch_max_bytes: network.fetch_max_bytes,
        rack_aware_reads: network.rack_aware_reads,
        served: dispatch::table(),
        fetch_sessions: FetchSessions::new(network.fetch_session_slots),
        auto_create: AutoCreate::start(cluster.calls().clone(), Arc::clone(replicas)),
        quotas: ClientQuotas::new(QuotaWindows {
            num: network.quota_window_num,
            size_ms: u64::try_from(network.quota_window_size.as_millis()).unwrap_or(u64::MAX),
        }),
        requests: Arc::new(RequestMetrics::default()),
    };
    Serving {
        context: Arc::new(context),
        memory: Arc::new(settings::receive_memory(&network)),
        limits: settings::connection_limits(&network),
        counts: Arc::new(ConnectionCounts::default()),
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    }
}

/// Has the replicas follow the metadata, one change after the other.
struct Follower {
    image: ImageSubscription,
    lifecycle: BrokerLifecycle,
    replicas: Arc<Replicas>,
    directories: Arc<[PathBuf]>,
    /// The epoch in the run markers.
    noted: Option<BrokerEpoch>,
    /// Told once the first image has been applied.
    first: watch::Sender<bool>,
    data: Handle,
}

impl Follower {
    /// Applies nothing before the image holds this broker's own registration: until then it may say that this
    /// broker leads what it has lost in the meantime (invariant D7).
    async fn run(mut self) {
        loop {
            let broker_epoch = self.lifecycle.caught_up().await;
            let delta = self.image.next().await;
            let (replicas, directories) = (Arc::clone(&self.replicas), Arc::clone(&self.directories));
            let is_new = self.noted != Some(broker_epoch);
            let apply = move || {
                let note = || past_life::note_run(&directories, broker_epoch);
                if is_new && let Err(error) = replicas.vouch(note) {
                    replicas.on_marker_fault(&error);
                }
                replicas.apply(&delta);
            };
            match self.data.spawn_blocking(apply).await {
                Ok(()) => {}
                // The node is ending, and says why elsewhere.
                Err(error) if error.is_cancelled() => std::future::pending().await,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
            self.noted = Some(broker_epoch);
            self.first.send_replace(true);
        }
    }
}
