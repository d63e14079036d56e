//! Starting and stopping a controller: its parts, and who runs them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::config::{ControllerConfig, LeaderBalanceConfig};
use super::deleted_topics::DeletedTopics;
use super::error::{ControllerError, FaultReport};
use super::feed::AppliedMetadata;
use super::formation::Formation;
use super::fragile_topics::FragileTopics;
use super::handle::{CommandQueue, Decider};
use super::identity::Identity;
use super::leader_balance::LeaderBalance;
use super::metrics::{ControllerMetrics, Decided};
use super::mutation_quotas::MutationQuotas;
use super::raft::{self, Leadership, Quorum};
use super::seats::Seats;
use super::service::{ControllerService, RaftService};
use super::sessions::Sessions;
use crate::cluster::spawn_or_abort;
use crate::metadata::ClusterDefaults;
use crate::rpc::controller::controller_server::ControllerServer;
use crate::rpc::raft::raft_server::RaftServer;

/// A connection that answers no ping for so long is dead, and so is the control stream on it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Calls and streams open at once on one connection.
const CONCURRENT_STREAMS_MAX: u32 = 256;
/// Longest message from a broker.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Starts controllers.
#[derive(Debug)]
pub struct Controller;

/// A running controller. It ends when shut down or dropped.
pub struct ControllerHandle {
    listen_address: SocketAddr,
    quorum: Arc<Quorum>,
    formation: Arc<Formation>,
    leadership: watch::Receiver<Leadership>,
    faults: FaultReport,
    stopping: CancellationToken,
    tasks: Vec<AbortHandle>,
    server: Option<tokio::task::JoinHandle<()>>,
    control: Handle,
    metrics: ControllerMetrics,
}

impl Controller {
    /// Opens the store, starts the Raft machine and serves on the listener, all on the `control` runtime. Returns
    /// as soon as it serves; [`ControllerHandle::formed`] tells when there is a quorum.
    pub async fn start(config: ControllerConfig, control: &Handle) -> Result<ControllerHandle, ControllerError> {
        let runtime = control.clone();
        match control.spawn(start(config, runtime)).await {
            Ok(started) => started,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(ControllerError::Raft(error.to_string())),
        }
    }
}

async fn start(config: ControllerConfig, control: Handle) -> Result<ControllerHandle, ControllerError> {
    let faults = FaultReport::default();
    config.listener.set_nonblocking(true).map_err(ControllerError::Listener)?;
    let listener = TcpListener::from_std(config.listener).map_err(ControllerError::Listener)?;
    let listen_address = listener.local_addr().map_err(ControllerError::Listener)?;
    let identity = Identity::new(config.own, config.directory_id, config.voters, config.cluster_id);
    let identity = Arc::new(identity);
    let (times, between_snapshots) = (config.raft_times, config.entries_between_snapshots);
    let quorum = Quorum::open(&config.data_dir, identity.clone(), times, between_snapshots, &faults).await?;
    let quorum = Arc::new(quorum);

    let (changes, leadership) = watch::channel(quorum.leadership());
    let decided = Arc::new(Decided::default());
    let (commands, decider) = Decider::new(
        quorum.clone(),
        leadership.clone(),
        identity.clone(),
        config.defaults.clone(),
        MutationQuotas::new(config.mutation_quota_windows),
        faults.clone(),
        decided.clone(),
    );
    let metrics = ControllerMetrics {
        applied: quorum.applied().clone(),
        leadership: leadership.clone(),
        defaults: config.defaults.clone(),
        decided,
    };
    let sessions =
        Arc::new(Sessions::new(config.liveness, quorum.applied().clone(), leadership.clone(), commands.clone()));
    let formation = Arc::new(Formation::new(identity.clone(), quorum.clone()));
    let stopping = CancellationToken::new();

    let raft_service = RaftService { identity: identity.clone(), quorum: quorum.clone(), formation: formation.clone() };
    let duties = Duties { applied: quorum.applied(), leadership: &leadership, commands: &commands };
    let mut tasks = duties.spawn(&control, config.leader_balance, config.defaults);
    let seats = Arc::new(Seats::new(identity.clone(), quorum.clone()));
    let controller_service = ControllerService::new(
        identity,
        quorum.clone(),
        commands,
        sessions.clone(),
        seats.clone(),
        leadership.clone(),
        stopping.clone(),
    );
    let server = serve(listener, raft_service, controller_service, stopping.clone(), faults.clone());
    let server = control.spawn(server);

    tasks.extend([
        spawn_or_abort(&control, "controller leadership", {
            let (quorum, faults, stopping) = (quorum.clone(), faults.clone(), stopping.clone());
            async move {
                let error = quorum.follow_leadership(changes).await;
                if !stopping.is_cancelled() {
                    faults.report(error);
                }
            }
        }),
        spawn_or_abort(&control, "controller commands", decider.run()),
        spawn_or_abort(&control, "broker sessions", async move { sessions.run().await }),
        spawn_or_abort(&control, "quorum formation", {
            let (formation, faults) = (formation.clone(), faults.clone());
            async move {
                if let Err(error) = formation.run().await {
                    faults.report(error);
                }
            }
        }),
        spawn_or_abort(&control, "seats of the quorum", {
            let leadership = leadership.clone();
            async move { seats.run(leadership).await }
        }),
    ]);
    let server = Some(server);
    Ok(ControllerHandle {
        listen_address,
        quorum,
        formation,
        leadership,
        faults,
        stopping,
        tasks,
        server,
        control,
        metrics,
    })
}

/// What whoever leads sees to by itself, over the image it has applied and with commands of its own.
struct Duties<'a> {
    applied: &'a AppliedMetadata,
    leadership: &'a watch::Receiver<Leadership>,
    commands: &'a CommandQueue,
}

impl Duties<'_> {
    fn spawn(
        &self,
        control: &Handle,
        leader_balance: Option<LeaderBalanceConfig>,
        defaults: ClusterDefaults,
    ) -> Vec<AbortHandle> {
        let leader_balance = leader_balance.map(|config| LeaderBalance {
            config,
            applied: self.applied.clone(),
            leadership: self.leadership.clone(),
            commands: self.commands.clone(),
        });
        let deleted_topics = DeletedTopics {
            applied: self.applied.clone(),
            leadership: self.leadership.clone(),
            defaults: defaults.clone(),
            commands: self.commands.clone(),
        };
        let fragile_topics =
            FragileTopics { applied: self.applied.clone(), leadership: self.leadership.clone(), defaults };
        let mut tasks = vec![
            spawn_or_abort(control, "deleted topics", deleted_topics.run()),
            spawn_or_abort(control, "fragile topics", fragile_topics.run()),
        ];
        tasks.extend(leader_balance.map(|balance| spawn_or_abort(control, "leader balance", balance.run())));
        tasks
    }
}

/// Serves until told to stop; open streams are ended then.
async fn serve(
    listener: TcpListener,
    raft_service: RaftService,
    controller_service: ControllerService,
    stopping: CancellationToken,
    faults: FaultReport,
) {
    let raft = RaftServer::new(raft_service)
        .max_decoding_message_size(raft::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(raft::MESSAGE_BYTES_MAX);
    let controller = ControllerServer::new(controller_service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .add_service(raft)
        .add_service(controller)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopping.cancelled())
        .await;
    if let Err(error) = served {
        faults.report(ControllerError::Listener(std::io::Error::other(error)));
    }
}

impl ControllerHandle {
    /// Where it serves.
    pub fn listen_address(&self) -> SocketAddr {
        self.listen_address
    }

    /// Waits until this node has its place in a quorum that has named its cluster, and returns the cluster's id.
    pub async fn formed(&self) -> Result<String, Arc<ControllerError>> {
        let mut index = self.quorum.applied().index_changes();
        let named = async {
            self.formation.settled().await;
            loop {
                index.borrow_and_update();
                if let Some(cluster_id) = self.quorum.applied().image().cluster_id() {
                    return cluster_id.to_string();
                }
                // No error can come: the sender lives in the quorum's applied metadata.
                let _ = index.changed().await;
            }
        };
        tokio::select! {
            cluster_id = named => Ok(cluster_id),
            fault = self.faults.wait() => Err(fault),
        }
    }

    /// The Raft term and the `node.id` of the leader, as this node sees it.
    pub fn leader(&self) -> (u64, Option<i32>) {
        let leadership = *self.leadership.borrow();
        (leadership.term, leadership.leader_node_id)
    }

    /// True when this node leads the quorum.
    pub fn leads(&self) -> bool {
        self.leadership.borrow().leads
    }

    /// What it shows to operators.
    pub fn metrics(&self) -> &ControllerMetrics {
        &self.metrics
    }

    /// Waits for a fault that ends this controller, such as a disk that fails.
    pub async fn failed(&self) -> Arc<ControllerError> {
        self.faults.wait().await
    }

    /// Stops serving, stops the Raft machine, and leaves the store marked as cleanly stopped.
    pub async fn shutdown(mut self) {
        self.stop();
        if let Some(server) = self.server.take() {
            // Connections that do not end in time are cut off with the runtime.
            let _ = tokio::time::timeout(KEEP_ALIVE_TIMEOUT, server).await;
        }
        let quorum = self.quorum.clone();
        let _ = self.control.spawn(async move { quorum.shutdown().await }).await;
    }

    fn stop(&self) {
        self.stopping.cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for ControllerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}
