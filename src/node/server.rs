//! A node's life: start, serve, stop.

use std::io::Write;
use std::time::Duration;

use crate::cluster::VoterAddress;
use crate::config::{Listener, NetworkConfig, ServerConfig};
use crate::controller::{Controller, ControllerConfig, ControllerHandle};

use super::banner::{Facts, banner};
use super::bind::{self, Bound};
use super::broker_role::{BrokerRole, Runners};
use super::data_directories::DataDirectories;
use super::data_directory::OwnedDirectory;
use super::error::NodeError;
use super::limits;
use super::runtimes::Runtimes;
use super::settings;
use super::signals::StopSignals;
use super::web::Web;

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// Everything was flushed and marked.
    Cleanly,
    /// A second signal came before that.
    CutShort,
}

/// How long work that is still running at the very end may take to notice.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(500);

/// Runs a node until a signal or a fault ends it.
pub fn run(config: ServerConfig) -> Result<Stopped, NodeError> {
    limits::raise_open_files();
    limits::refuse_huge_pages();
    let runtimes = Runtimes::start().map_err(|source| NodeError::System { doing: "start the runtimes", source })?;
    let runners = Runners { control: runtimes.control.handle().clone(), data: runtimes.data.handle().clone() };
    let ended = runtimes.control.block_on(live(config, &runners));
    runtimes.data.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    runtimes.control.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
    ended
}

async fn live(config: ServerConfig, runners: &Runners) -> Result<Stopped, NodeError> {
    let mut signals = StopSignals::catch().map_err(|source| NodeError::System { doing: "catch signals", source })?;
    let node = tokio::select! {
        node = Node::start(config, runners) => node?,
        signal = signals.next() => {
            tracing::info!("{signal} before the node was ready; stopping");
            return Ok(Stopped::Cleanly);
        }
    };
    node.announce();
    let fault = tokio::select! {
        error = node.failed() => Some(error),
        signal = signals.next() => {
            tracing::info!("{signal}: stopping; once more to stop at once");
            None
        }
    };
    let stopped = tokio::select! {
        stopped = node.stop(runners) => stopped,
        signal = signals.next() => {
            tracing::warn!("{signal} again: stopping at once, the next start will look through the logs");
            return Ok(Stopped::CutShort);
        }
    };
    match fault {
        Some(fault) => Err(fault),
        None => stopped.map(|everything_is_on_disk| {
            match everything_is_on_disk {
                true => tracing::info!("stopped; everything is on disk"),
                false => tracing::info!("stopped; the next start looks through the logs"),
            }
            Stopped::Cleanly
        }),
    }
}

/// A node that serves.
struct Node {
    config: ServerConfig,
    web: Web,
    directories: DataDirectories,
    controller: Option<ControllerRole>,
    broker: Option<BrokerRole>,
    listeners: Vec<String>,
    cluster_id: String,
}

struct ControllerRole {
    handle: ControllerHandle,
    /// As the banner shows it.
    address: String,
}

impl ControllerRole {
    /// Waits for a fault that ends the controller; without one for ever.
    async fn failed(role: Option<&Self>) -> NodeError {
        match role {
            Some(role) => NodeError::ControllerStopped(role.handle.failed().await),
            None => std::future::pending().await,
        }
    }
}

impl Node {
    async fn start(config: ServerConfig, runners: &Runners) -> Result<Self, NodeError> {
        let mut directories = DataDirectories::open(&config.node)?;
        let web = Web::start(config.http.as_ref(), runners)?;
        let options = settings::socket_options(&NetworkConfig::resolve(config.layers()));
        let bind = |listener: &Listener| bind::bind(listener, &options);
        let bound_controller = config.listeners.controller.as_ref().map(bind).transpose()?;
        let bound: Vec<Bound> = config.listeners.broker.iter().map(bind).collect::<Result<_, _>>()?;
        bound.iter().for_each(hint_at_advertised_name);
        let listeners = bound.iter().map(Bound::advertised).collect();
        let voters = settings::voters(&config, bound_controller.as_ref());

        let mut cluster_id = directories.cluster_id().map(str::to_owned);
        let controller = match bound_controller {
            Some(bound) => {
                let role = start_controller(&config, directories.metadata(), bound, &voters, runners).await?;
                web.registry.add(role.handle.metrics().clone());
                web.status.starting("waiting until the voters have formed the quorum");
                let formed = role.handle.formed().await.map_err(NodeError::ControllerStopped)?;
                directories.join_cluster(&formed)?;
                cluster_id = Some(formed);
                Some(role)
            }
            None => None,
        };
        web.status.starting("waiting until the controllers count this broker in");
        let broker = match config.node.roles.broker {
            true => tokio::select! {
                broker = BrokerRole::start(&config, &mut directories, bound, voters, runners) => Some(broker?),
                error = ControllerRole::failed(controller.as_ref()) => return Err(error),
            },
            false => None,
        };
        let told = broker.as_ref().and_then(BrokerRole::cluster_id).map(str::to_owned);
        let cluster_id = told.or(cluster_id).unwrap_or_default();
        broker.iter().for_each(|role| role.add_metrics(&web.registry));
        let lifecycle = broker.as_ref().map(|role| role.lifecycle().clone());
        web.status.serving(lifecycle, controller.as_ref().map(|role| role.handle.metrics().clone()));
        Ok(Self { config, web, directories, controller, broker, listeners, cluster_id })
    }

    /// Prints the banner.
    fn announce(&self) {
        let facts = Facts {
            listeners: self.listeners.clone(),
            controller: self.controller.as_ref().map(|role| role.address.clone()),
            http: self.web.address.clone(),
            directories: self.directories.log().iter().map(OwnedDirectory::path).collect(),
            cluster_id: &self.cluster_id,
        };
        let text = banner(&self.config, &facts);
        // Nobody may be reading; the node serves all the same.
        let _ = std::io::stdout().write_all(text.as_bytes());
        let _ = std::io::stdout().flush();
    }

    /// Waits for a fault that ends the node.
    async fn failed(&self) -> NodeError {
        let controller = ControllerRole::failed(self.controller.as_ref());
        let broker = async {
            match &self.broker {
                Some(role) => role.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = controller => error,
            error = broker => error,
        }
    }

    /// Stops in order: the broker needs its controller to hand over what it leads. True when all logs are on disk.
    async fn stop(self, runners: &Runners) -> Result<bool, NodeError> {
        self.web.status.stopping();
        let stopped = match self.broker {
            Some(broker) => broker.stop(runners).await,
            None => Ok(true),
        };
        if let Some(controller) = self.controller {
            controller.handle.shutdown().await;
        }
        stopped
    }
}

/// The most frequent reason why a client connects once and then no more.
fn hint_at_advertised_name(bound: &Bound) {
    if bound.listener.advertised_host.is_none() {
        let (name, told) = (&bound.listener.endpoint.name, bound.advertised());
        tracing::info!(
            "clients of listener {name} are told {told}, which is this machine's own name; where they do not know it, set \
             advertised.listeners"
        );
    }
}

async fn start_controller(
    config: &ServerConfig,
    directory: &OwnedDirectory,
    bound: Bound,
    voters: &[VoterAddress],
    runners: &Runners,
) -> Result<ControllerRole, NodeError> {
    let address = bound.advertised();
    let own =
        VoterAddress { node_id: config.node.node_id, host: bound.advertised_host(), port: bound.advertised_port() };
    let controller = ControllerConfig {
        data_dir: directory.path().to_owned(),
        directory_id: directory.id(),
        cluster_id: directory.cluster_id().map(str::to_owned).or_else(|| config.node.cluster_id.clone()),
        own,
        listener: bound.socket,
        voters: voters.to_vec(),
        liveness: settings::liveness(config),
        leader_balance: settings::leader_balance(config),
        raft_times: settings::raft_times(config),
        entries_between_snapshots: settings::ENTRIES_BETWEEN_SNAPSHOTS,
        mutation_quota_windows: settings::mutation_quota_windows(config),
        defaults: settings::cluster_defaults(config),
    };
    Ok(ControllerRole { handle: Controller::start(controller, &runners.control).await?, address })
}
