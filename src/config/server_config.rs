//! The whole configuration of a node at its start, resolved and checked for contradictions.

use std::sync::Arc;

use super::controller_config::ControllerConfig;
use super::http_config::HttpConfig;
use super::initial_topics::{self, InitialTopic};
use super::layers::Layers;
use super::listeners::{self, ListenersConfig};
use super::load::{ConfigError, Loaded};
use super::node_config::{self, NodeConfig};
use super::static_config::StaticConfig;

/// The whole configuration of a node at its start. What may change later is resolved anew from [`Layers`].
#[derive(Clone, PartialEq, Debug)]
pub struct ServerConfig {
    /// Who this node is and where its data lies.
    pub node: NodeConfig,
    /// Its listeners.
    pub listeners: ListenersConfig,
    /// The controller quorum and its timers.
    pub controller: ControllerConfig,
    /// Where health and metrics are served; `None` for nowhere.
    pub http: Option<HttpConfig>,
    /// `ottla.create.topics`: what the node creates when it starts.
    pub initial_topics: Vec<InitialTopic>,
    /// The values it was resolved from.
    pub start: Arc<StaticConfig>,
    /// What the operator should know, one sentence each.
    pub warnings: Vec<String>,
}

impl ServerConfig {
    /// Resolves what was loaded; every contradiction is named with both places.
    pub fn resolve(loaded: Loaded) -> Result<Self, ConfigError> {
        let Loaded { config: start, mut warnings } = loaded;
        let layers = Layers::at_start(&start);
        let mut problems = Vec::new();
        let node = node_config::resolve(layers, &mut problems);
        let listeners = listeners::resolve(layers, node.roles, &mut problems);
        let controller = ControllerConfig::resolve(layers, &node, &mut problems);
        let initial_topics = initial_topics::resolve(layers, &mut problems);
        let http = HttpConfig::resolve(layers, &mut problems);
        check_order(layers, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError::wrong(problems, &warnings));
        }
        warnings.extend(doubts(&start, &controller));
        Ok(Self { node, listeners, controller, http, initial_topics, start: Arc::new(start), warnings })
    }

    /// The layers before any metadata is known.
    pub fn layers(&self) -> Layers<'_> {
        Layers::at_start(&self.start)
    }

    /// How many brokers the cluster is meant to have: as many as configured voters, or this one alone.
    pub fn expected_brokers(&self) -> usize {
        self.controller.voters.len().max(self.controller.bootstrap_servers.len()).max(1)
    }
}

/// Pairs of which the first must not exceed the second.
const ORDERED: &[(&str, &str)] = &[
    ("group.min.session.timeout.ms", "group.max.session.timeout.ms"),
    ("broker.heartbeat.interval.ms", "broker.session.timeout.ms"),
];

fn check_order(layers: Layers<'_>, problems: &mut Vec<String>) {
    for (smaller, larger) in ORDERED {
        if layers.long(smaller) > layers.long(larger) {
            problems.push(format!("{} exceeds {}", layers.start.named(smaller), layers.start.named(larger)));
        }
    }
}

/// What works, but perhaps not as meant.
fn doubts(start: &StaticConfig, controller: &ControllerConfig) -> Vec<String> {
    let mut doubts = Vec::new();
    let number = |name: &str| start.value(name).and_then(|value| value.parse::<i64>().ok());
    let voters = controller.voters.len();
    if voters > 0 && voters.is_multiple_of(2) {
        doubts.push(format!(
            "{} has {voters} voters; an even number survives no more failures than one voter fewer",
            start.named("controller.quorum.voters")
        ));
    }
    if start.value("process.roles").is_none() && start.value("broker.id").is_some() && controller.voters.is_empty() {
        doubts.push(format!(
            "{} without controller.quorum.voters: this node forms a cluster of its own; name the voters to join others",
            start.named("broker.id")
        ));
    }
    if let (Some(minimum), Some(replicas)) = (number("min.insync.replicas"), number("default.replication.factor"))
        && minimum > replicas
    {
        doubts.push(format!(
            "{} exceeds {}: no produce with acks=all can succeed on a topic that is created without either",
            start.named("min.insync.replicas"),
            start.named("default.replication.factor")
        ));
    }
    doubts
}
