//! `ottla topics describe`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{self, Cell, Output, Table, Tone};
use crate::client::admin::configs::{self, ConfigDetail, ConfigResource};
use crate::client::admin::log_dirs;
use crate::client::{ClusterClient, ClusterError, TopicMetadata};
use crate::model::TopicPartition;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Names of the topics; all but the broker's own if none is given.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
}

#[derive(Serialize)]
struct Described {
    topic: String,
    id: Option<String>,
    internal: bool,
    /// Of all leaders' logs, in bytes; null where the brokers do not tell it.
    bytes: Option<i64>,
    configs: BTreeMap<String, Option<String>>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    offline: Vec<i32>,
    bytes: Option<i64>,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let named = (!arguments.topics.is_empty()).then_some(arguments.topics.as_slice());
    let metadata = client.learn_topics(named).await?;
    let shown = metadata.topics.iter().filter(|(name, topic)| match named {
        Some(names) => names.contains(name),
        None => !topic.is_internal,
    });
    let topics: Vec<(String, TopicMetadata)> = shown.map(|(name, topic)| (name.clone(), topic.clone())).collect();
    let sizes = sizes(client, &topics).await?;
    let mut described = Vec::new();
    for (name, topic) in &topics {
        described.push(describe(client, name, topic, &sizes).await?);
    }
    Ok(output.print(&described, |output| {
        let blocks: Vec<String> = described.iter().map(|topic| text(topic, output)).collect();
        blocks.join("\n")
    })?)
}

/// What the live replicas take on disk. A broker that does not tell it is no reason to tell nothing.
async fn sizes(
    client: &mut ClusterClient,
    topics: &[(String, TopicMetadata)],
) -> Result<BTreeMap<TopicPartition, i64>, ClusterError> {
    let of = |(name, topic): &(String, TopicMetadata)| {
        (name.clone(), topic.partitions.iter().map(|partition| partition.partition_index).collect())
    };
    let asked: Vec<(String, Vec<i32>)> = topics.iter().map(of).collect();
    let replicas =
        topics.iter().flat_map(|(_, topic)| &topic.partitions).flat_map(|partition| &partition.replica_nodes);
    let hosting: BTreeSet<i32> = replicas.copied().collect();
    let live: Vec<i32> = hosting.into_iter().filter(|id| client.metadata().brokers.contains_key(id)).collect();
    match log_dirs::describe(client, &live, Some(&asked)).await {
        Ok(found) => Ok(log_dirs::partition_sizes(&found)),
        Err(ClusterError::Refused { .. }) => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

async fn describe(
    client: &mut ClusterClient,
    name: &str,
    topic: &TopicMetadata,
    sizes: &BTreeMap<TopicPartition, i64>,
) -> Result<Described, ClusterError> {
    let resource = ConfigResource::Topic(name.to_owned());
    let configs = configs::describe(client, &resource, None, ConfigDetail::default()).await?;
    let own = configs.into_iter().filter(|config| config.config_source == 1);
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|partition| Partition {
            partition: partition.partition_index,
            leader: Some(partition.leader_id).filter(|id| *id >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            offline: partition.offline_replicas.clone(),
            bytes: sizes.get(&TopicPartition::new(name, partition.partition_index)).copied(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.partition);
    let total = partitions.iter().filter_map(|partition| partition.bytes).sum();
    Ok(Described {
        topic: name.to_owned(),
        id: (!topic.topic_id.is_zero()).then(|| topic.topic_id.to_string()),
        internal: topic.is_internal,
        bytes: partitions.iter().any(|partition| partition.bytes.is_some()).then_some(total),
        configs: own.map(|config| (config.name, config.value)).collect(),
        partitions,
    })
}

fn text(topic: &Described, output: &Output) -> String {
    let size = topic.bytes.map_or_else(|| "size not known".to_owned(), output::bytes);
    let id = topic.id.as_deref().map_or_else(String::new, |id| format!(", id {id}"));
    let mut text = format!("{}: {size}{id}\n", output.paint(&topic.topic, Tone::Title));
    for (key, value) in &topic.configs {
        text.push_str(&format!("  {key}={}\n", value.as_deref().unwrap_or("(hidden)")));
    }
    text + &output.table(&table(topic))
}

fn table(topic: &Described) -> Table {
    let mut table = Table::new(&["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "SIZE"]);
    for partition in &topic.partitions {
        let leader = match partition.leader {
            Some(leader) => leader.into(),
            None => Cell::from("none").tone(Tone::Bad),
        };
        let whole = partition.isr.len() >= partition.replicas.len();
        let isr = Cell::from(ids(&partition.isr)).tone(if whole { Tone::Plain } else { Tone::Warning });
        let size = partition.bytes.map(output::bytes);
        let epoch = partition.leader_epoch;
        table.row(vec![
            partition.partition.into(),
            leader,
            epoch.into(),
            ids(&partition.replicas).into(),
            isr,
            size.into(),
        ]);
    }
    table
}

fn ids(ids: &[i32]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
