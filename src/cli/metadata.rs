//! `ottla metadata`: the cluster's metadata in the data directory of a node that does not run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::common::OutputArguments;
use super::exit::{Exit, Failure};
use super::output::{Output, Table, Tone};
use crate::controller::OfflineMetadata;
use crate::metadata::{BrokerImage, TopicImage};
use crate::model::BrokerId;
use crate::node::{self, DirectoryError, NodeError};

const EXAMPLES: &str = "\
Examples:
  ottla metadata ottla-data
  ottla metadata /var/lib/kafka/data --json > metadata.json
      All of it: brokers, topics with each partition, configurations.

The node must be stopped; of one that runs, ask: ottla cluster status. The directory is only read.";

/// `ottla metadata`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct MetadataArguments {
    /// The data directory of a controller: metadata.log.dir, or the first of log.dirs.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Serialize)]
struct Metadata {
    cluster: Option<String>,
    last_entry: Option<u64>,
    term: Option<u64>,
    committed: Option<u64>,
    snapshot: Option<u64>,
    torn: Option<String>,
    controllers: Vec<Controller>,
    features: BTreeMap<String, i32>,
    brokers: Vec<Broker>,
    topics: Vec<Topic>,
    configs: Vec<Config>,
    next_producer_id: i64,
}

#[derive(Serialize)]
struct Controller {
    node: i32,
    address: String,
    directory: String,
}

#[derive(Serialize)]
struct Broker {
    broker: i32,
    epoch: i64,
    fenced: bool,
    in_controlled_shutdown: bool,
    rack: Option<String>,
    endpoints: Vec<String>,
}

#[derive(Serialize)]
struct Topic {
    topic: String,
    id: String,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    partition_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    elr: Vec<i32>,
}

#[derive(Serialize)]
struct Config {
    /// `topic`, `broker`, …
    kind: String,
    name: String,
    configs: BTreeMap<String, String>,
}

/// Runs it.
pub(super) fn run(arguments: &MetadataArguments, output: OutputArguments) -> Result<(), Failure> {
    let path = arguments.directory.display();
    if !arguments.directory.is_dir() {
        return Err(Failure::new(Exit::NotFound, format!("there is no directory {path}")));
    }
    let read = node::read_metadata(&arguments.directory).map_err(|error| {
        let exit = if error.is_refused_directory() { Exit::Directory } else { Exit::Failed };
        let failure = Failure::new(exit, error.to_string());
        match error {
            NodeError::Directory(DirectoryError::InUse { .. }) => {
                failure.next("A node that runs is asked with: ottla cluster status.")
            }
            _ => failure,
        }
    })?;
    let Some(read) = read else {
        let what = format!("{path} holds no metadata log");
        return Err(Failure::new(Exit::NotFound, what)
            .next("Only controllers have one; name the directory that holds __cluster_metadata-0."));
    };
    let metadata = metadata(read);
    Ok(output.output().print(&metadata, |output| text(&metadata, output))?)
}

fn metadata(read: OfflineMetadata) -> Metadata {
    let image = &read.image;
    let config = |(resource, configs): (&crate::metadata::ConfigResource, &std::sync::Arc<_>)| Config {
        kind: format!("{:?}", resource.resource_type).to_lowercase(),
        name: resource.name.to_string(),
        configs: BTreeMap::clone(configs),
    };
    let controller = |voter: &crate::controller::Voter| Controller {
        node: voter.node_id,
        address: format!("{}:{}", voter.host, voter.port),
        directory: voter.directory_id.to_string(),
    };
    Metadata {
        cluster: image.cluster_id().map(ToString::to_string),
        last_entry: read.last_entry.map(|(index, _)| index),
        term: read.last_entry.map(|(_, term)| term),
        committed: read.committed,
        snapshot: read.snapshot,
        torn: read.torn.clone(),
        controllers: read.voters.iter().map(controller).collect(),
        features: image.features().map(|(name, level)| (name.to_owned(), level)).collect(),
        brokers: image.brokers().map(|broker| broker_of(broker)).collect(),
        topics: image.topics().map(|topic| topic_of(topic)).collect(),
        configs: image.configs().map(config).collect(),
        next_producer_id: image.next_producer_id().0,
    }
}

fn broker_of(broker: &BrokerImage) -> Broker {
    let endpoints = broker.endpoints.iter();
    Broker {
        broker: broker.id.0,
        epoch: broker.epoch.0,
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        rack: broker.rack.as_ref().map(ToString::to_string),
        endpoints: endpoints.map(|at| format!("{}://{}:{}", at.name, at.host, at.port)).collect(),
    }
}

fn topic_of(topic: &TopicImage) -> Topic {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|id| id.0).collect();
    let partitions = topic.partitions().map(|(index, partition)| Partition {
        partition: index,
        leader: partition.leader().map(|id| id.0),
        leader_epoch: partition.leader_epoch.0,
        partition_epoch: partition.partition_epoch.0,
        replicas: ids(&partition.replicas),
        isr: ids(&partition.isr),
        elr: ids(&partition.elr),
    });
    Topic { topic: topic.name.to_string(), id: topic.id.0.to_string(), partitions: partitions.collect() }
}

fn text(metadata: &Metadata, output: &Output) -> String {
    let or_none = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let cluster = metadata.cluster.as_deref().unwrap_or("without an id");
    let mut text = format!("{}\n", output.paint(&format!("Cluster {cluster}"), Tone::Title));
    text.push_str(&format!(
        "  last entry {} in term {}, committed at least up to {}, snapshot up to {}\n",
        or_none(metadata.last_entry),
        or_none(metadata.term),
        or_none(metadata.committed),
        or_none(metadata.snapshot),
    ));
    if let Some(torn) = &metadata.torn {
        text.push_str(&format!("  {}\n", output.paint(&format!("the log was read up to here: {torn}"), Tone::Warning)));
    }
    for (title, table) in [("Controllers", controllers(metadata)), ("Brokers", brokers(metadata))] {
        text.push_str(&format!("\n{}\n{}", output.paint(title, Tone::Title), output.table(&table)));
    }
    if !metadata.topics.is_empty() {
        text.push_str(&format!("\n{}\n{}", output.paint("Topics", Tone::Title), output.table(&topics(metadata))));
    }
    if !metadata.configs.is_empty() {
        text.push_str(&format!(
            "\n{}\n{}",
            output.paint("Configurations", Tone::Title),
            output.table(&configs(metadata))
        ));
    }
    text
}

fn controllers(metadata: &Metadata) -> Table {
    let mut table = Table::new(&["NODE", "ADDRESS", "DIRECTORY"]);
    for controller in &metadata.controllers {
        let (address, directory) = (controller.address.as_str(), controller.directory.as_str());
        table.row(vec![controller.node.into(), address.into(), directory.into()]);
    }
    table
}

fn brokers(metadata: &Metadata) -> Table {
    let mut table = Table::new(&["BROKER", "EPOCH", "STATE", "ENDPOINTS"]);
    for broker in &metadata.brokers {
        let state = match (broker.fenced, broker.in_controlled_shutdown) {
            (true, _) => "fenced",
            (false, true) => "stopping",
            (false, false) => "live",
        };
        table.row(vec![broker.broker.into(), broker.epoch.into(), state.into(), broker.endpoints.join(" ").into()]);
    }
    table
}

fn topics(metadata: &Metadata) -> Table {
    let mut table = Table::new(&["TOPIC", "ID", "PARTITIONS", "REPLICAS", "LEADERLESS"]);
    for topic in &metadata.topics {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        let leaderless = topic.partitions.iter().filter(|partition| partition.leader.is_none()).count();
        table.row(vec![
            topic.topic.as_str().into(),
            topic.id.as_str().into(),
            topic.partitions.len().into(),
            replicas.into(),
            leaderless.into(),
        ]);
    }
    table
}

fn configs(metadata: &Metadata) -> Table {
    let mut table = Table::new(&["OF", "NAME", "KEY", "VALUE"]);
    for resource in &metadata.configs {
        for (key, value) in &resource.configs {
            let name = if resource.name.is_empty() { "(all)" } else { &resource.name };
            table.row(vec![resource.kind.as_str().into(), name.into(), key.as_str().into(), value.as_str().into()]);
        }
    }
    table
}
