//! The controller quorum and its timers.

use std::time::Duration;

use super::layers::Layers;
use super::node_config::NodeConfig;
use super::voters::{Voter, parse_servers, parse_voters};

/// The controller quorum and its timers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControllerConfig {
    /// `controller.quorum.voters`; empty when nothing was said, and then this node is the only voter.
    pub voters: Vec<Voter>,
    /// `controller.quorum.bootstrap.servers`, host and port: where controllers are found when `voters` is empty.
    pub bootstrap_servers: Vec<(String, u16)>,
    /// How often the leader shows that it is there.
    pub heartbeat_interval: Duration,
    /// A follower asks for votes after a silence between this and `election_timeout_max`.
    pub election_timeout_min: Duration,
    /// `controller.quorum.election.timeout.ms`.
    pub election_timeout_max: Duration,
    /// `broker.session.timeout.ms`: a broker silent for so long is fenced.
    pub broker_session_timeout: Duration,
    /// `ottla.broker.session.grace.ms`: so long a broker whose control stream broke may take to come back.
    pub broker_session_grace: Duration,
    /// `controller.quota.window.num`.
    pub mutation_quota_window_num: usize,
    /// `controller.quota.window.size.seconds`.
    pub mutation_quota_window_size: Duration,
    /// `None` when `auto.leader.rebalance.enable` is false.
    pub leader_rebalance: Option<LeaderRebalance>,
}

/// When leaders move back to their preferred replicas by themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderRebalance {
    /// `leader.imbalance.check.interval.seconds`.
    pub check_interval: Duration,
    /// `leader.imbalance.per.broker.percentage`.
    pub imbalance_percentage: u32,
}

impl ControllerConfig {
    /// Resolves the quorum, and says what is wrong with it.
    pub(super) fn resolve(layers: Layers<'_>, node: &NodeConfig, problems: &mut Vec<String>) -> Self {
        let voters = parse_voters(&layers.list("controller.quorum.voters")).unwrap_or_else(|problem| {
            problems.push(format!("{}: {problem}", layers.start.named("controller.quorum.voters")));
            Vec::new()
        });
        let bootstrap_servers = parse_servers(&layers.list("controller.quorum.bootstrap.servers"));
        let bootstrap_servers = bootstrap_servers.unwrap_or_else(|problem| {
            problems.push(format!("{}: {problem}", layers.start.named("controller.quorum.bootstrap.servers")));
            Vec::new()
        });
        check_membership(layers, node, &voters, &bootstrap_servers, problems);
        let milliseconds = |name: &str| Duration::from_millis(layers.size(name));
        let election_timeout_max = milliseconds("controller.quorum.election.timeout.ms").max(Duration::from_millis(10));
        Self {
            voters,
            bootstrap_servers,
            heartbeat_interval: election_timeout_max / 5,
            election_timeout_min: election_timeout_max * 3 / 5,
            election_timeout_max,
            broker_session_timeout: milliseconds("broker.session.timeout.ms"),
            broker_session_grace: milliseconds("ottla.broker.session.grace.ms"),
            mutation_quota_window_num: usize::try_from(layers.size("controller.quota.window.num"))
                .unwrap_or(usize::MAX),
            mutation_quota_window_size: Duration::from_secs(layers.size("controller.quota.window.size.seconds")),
            leader_rebalance: leader_rebalance(layers),
        }
    }
}

fn leader_rebalance(layers: Layers<'_>) -> Option<LeaderRebalance> {
    layers.boolean("auto.leader.rebalance.enable").then(|| LeaderRebalance {
        check_interval: Duration::from_secs(layers.size("leader.imbalance.check.interval.seconds")),
        imbalance_percentage: u32::try_from(layers.int("leader.imbalance.per.broker.percentage")).unwrap_or_default(),
    })
}

fn check_membership(
    layers: Layers<'_>,
    node: &NodeConfig,
    voters: &[Voter],
    bootstrap_servers: &[(String, u16)],
    problems: &mut Vec<String>,
) {
    let start = layers.start;
    let id_key = if start.value("node.id").is_some() { "node.id" } else { "broker.id" };
    let is_voter = voters.iter().any(|voter| voter.node_id == node.node_id);
    if node.roles.controller && !voters.is_empty() && !is_voter {
        problems.push(format!(
            "{} makes this node a controller, but {} has no voter {} ({})",
            start.named("process.roles"),
            start.named("controller.quorum.voters"),
            node.node_id,
            start.named(id_key)
        ));
    }
    if !node.roles.controller && is_voter {
        problems.push(format!(
            "{} makes this node no controller, but {} has a voter {} ({})",
            start.named("process.roles"),
            start.named("controller.quorum.voters"),
            node.node_id,
            start.named(id_key)
        ));
    }
    if !node.roles.controller && voters.is_empty() && bootstrap_servers.is_empty() {
        problems.push(format!(
            "{} makes this node a broker only, and nothing says who its controllers are: set \
             controller.quorum.voters=id@host:port,... or controller.quorum.bootstrap.servers=host:port,...",
            start.named("process.roles")
        ));
    }
}
