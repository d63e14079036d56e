//! `ottla topics describe`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{self, Cell, Output, Table, Tone};
use crate::cli::time::iso;
use crate::client::admin::configs::{self, ConfigDetail, ConfigResource};
use crate::client::admin::log_dirs;
use crate::client::admin::offsets::{self, FoundOffset, FoundOffsets, OffsetSpec};
use crate::client::{ClusterClient, ClusterError, TopicMetadata};
use crate::clock;
use crate::model::TopicPartition;
use crate::protocol::DescribeLogDirsResult;

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
    cleanup: Cleanup,
    partitions: Vec<Partition>,
}

/// What becomes of old records, by the configuration in force.
#[derive(Serialize)]
struct Cleanup {
    /// Closed segments are deleted whose records are all older; null: time deletes nothing.
    retention_ms: Option<i64>,
    /// The moment that lies so far back.
    horizon: Option<String>,
    /// Oldest segments are deleted while a partition is larger; null: size deletes nothing.
    retention_bytes: Option<i64>,
    /// Older records of a key are removed.
    compacted: bool,
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
    start: Option<i64>,
    end: Option<i64>,
    /// When the oldest record was written, or what its producer said.
    oldest: Option<String>,
    /// Compacted up to this offset; null where it is not, or where the brokers do not tell it.
    cleaned: Option<i64>,
}

/// What is known of partitions beside the metadata.
#[derive(Default)]
struct Facts {
    sizes: BTreeMap<TopicPartition, i64>,
    cleaned: BTreeMap<TopicPartition, i64>,
    starts: FoundOffsets,
    ends: FoundOffsets,
    oldest: FoundOffsets,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let named = (!arguments.topics.is_empty()).then_some(arguments.topics.as_slice());
    let metadata = client.learn_topics(named).await?;
    let shown = metadata.topics.iter().filter(|(name, topic)| match named {
        Some(names) => names.contains(name),
        None => !topic.is_internal,
    });
    let topics: Vec<(String, TopicMetadata)> = shown.map(|(name, topic)| (name.clone(), topic.clone())).collect();
    let facts = facts(client, &topics).await?;
    let mut described = Vec::new();
    for (name, topic) in &topics {
        described.push(describe(client, name, topic, &facts).await?);
    }
    Ok(output.print(&described, |output| {
        let blocks: Vec<String> = described.iter().map(|topic| text(topic, output)).collect();
        blocks.join("\n")
    })?)
}

async fn facts(client: &mut ClusterClient, topics: &[(String, TopicMetadata)]) -> Result<Facts, ClusterError> {
    let mut facts = Facts::default();
    if let Some(directories) = directories(client, topics).await? {
        facts.sizes = log_dirs::partition_sizes(&directories);
        facts.cleaned = log_dirs::cleaned_offsets(&directories);
    }
    // Partitions that nobody leads would be waited for, and no offset of theirs can be told.
    let led = |(name, topic): &(String, TopicMetadata)| {
        let led = topic.partitions.iter().filter(|partition| partition.leader_id >= 0);
        led.map(|partition| TopicPartition::new(name.as_str(), partition.partition_index)).collect::<Vec<_>>()
    };
    let led: Vec<TopicPartition> = topics.iter().flat_map(led).collect();
    let wanted = |spec| led.iter().map(|partition| (partition.clone(), spec)).collect::<Vec<_>>();
    facts.starts = offsets::list(client, &wanted(OffsetSpec::Earliest)).await?;
    facts.ends = offsets::list(client, &wanted(OffsetSpec::Latest)).await?;
    // The first record of any time tells the time of the oldest one.
    facts.oldest = offsets::list(client, &wanted(OffsetSpec::AtTime(0))).await?;
    Ok(facts)
}

/// What the live replicas take on disk. A broker that does not tell it is no reason to tell nothing.
async fn directories(
    client: &mut ClusterClient,
    topics: &[(String, TopicMetadata)],
) -> Result<Option<BTreeMap<i32, Vec<DescribeLogDirsResult>>>, ClusterError> {
    let of = |(name, topic): &(String, TopicMetadata)| {
        (name.clone(), topic.partitions.iter().map(|partition| partition.partition_index).collect())
    };
    let asked: Vec<(String, Vec<i32>)> = topics.iter().map(of).collect();
    let replicas =
        topics.iter().flat_map(|(_, topic)| &topic.partitions).flat_map(|partition| &partition.replica_nodes);
    let hosting: BTreeSet<i32> = replicas.copied().collect();
    let live: Vec<i32> = hosting.into_iter().filter(|id| client.metadata().brokers.contains_key(id)).collect();
    match log_dirs::describe(client, &live, Some(&asked)).await {
        Ok(found) => Ok(Some(found)),
        Err(ClusterError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Cleanup {
    /// From the values in force.
    fn of(configs: &BTreeMap<&str, &str>, now: i64) -> Self {
        let policy = configs.get("cleanup.policy").copied().unwrap_or_default();
        let has = |wanted: &str| policy.split(',').any(|part| part.trim() == wanted);
        let limit = |key: &str| {
            let number = configs.get(key).and_then(|value| value.parse::<i64>().ok());
            number.filter(|limit| *limit >= 0 && has("delete"))
        };
        let retention_ms = limit("retention.ms");
        Self {
            retention_ms,
            horizon: retention_ms.map(|length| iso(now.saturating_sub(length).max(0))),
            retention_bytes: limit("retention.bytes"),
            compacted: has("compact"),
        }
    }

    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(horizon) = &self.horizon {
            parts.push(format!("deletes closed segments with nothing newer than {horizon}"));
        }
        if let Some(bytes) = self.retention_bytes {
            parts.push(format!("deletes the oldest segments of a partition beyond {}", output::bytes(bytes)));
        }
        if self.compacted {
            parts.push("compacts to the last record of each key".to_owned());
        }
        match parts.is_empty() {
            true => "keeps every record".to_owned(),
            false => parts.join("; "),
        }
    }
}

async fn describe(
    client: &mut ClusterClient,
    name: &str,
    topic: &TopicMetadata,
    facts: &Facts,
) -> Result<Described, ClusterError> {
    let resource = ConfigResource::Topic(name.to_owned());
    let configs = configs::describe(client, &resource, None, ConfigDetail::default()).await?;
    let in_force = configs.iter().filter_map(|config| Some((config.name.as_str(), config.value.as_deref()?)));
    let cleanup = Cleanup::of(&in_force.collect(), clock::wall().0);
    let own = configs.into_iter().filter(|config| config.config_source == 1);
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|partition| (partition, TopicPartition::new(name, partition.partition_index)))
        .map(|(partition, place)| Partition {
            partition: partition.partition_index,
            leader: Some(partition.leader_id).filter(|id| *id >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            offline: partition.offline_replicas.clone(),
            bytes: facts.sizes.get(&place).copied(),
            start: offset(&facts.starts, &place).map(|found| found.offset),
            end: offset(&facts.ends, &place).map(|found| found.offset),
            oldest: offset(&facts.oldest, &place).map(|found| iso(found.timestamp)),
            cleaned: facts.cleaned.get(&place).copied(),
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
        cleanup,
        partitions,
    })
}

/// What was found; `None` where there is no such record, or nobody to tell.
fn offset(found: &FoundOffsets, partition: &TopicPartition) -> Option<FoundOffset> {
    found.get(partition).and_then(|found| found.ok()).filter(|found| found.offset >= 0)
}

fn text(topic: &Described, output: &Output) -> String {
    let size = topic.bytes.map_or_else(|| "size not known".to_owned(), output::bytes);
    let id = topic.id.as_deref().map_or_else(String::new, |id| format!(", id {id}"));
    let mut text = format!("{}: {size}{id}\n", output.paint(&topic.topic, Tone::Title));
    for (key, value) in &topic.configs {
        text.push_str(&format!("  {key}={}\n", value.as_deref().unwrap_or("(hidden)")));
    }
    text.push_str(&format!("  {}\n", topic.cleanup.text()));
    text + &output.table(&table(topic))
}

fn table(topic: &Described) -> Table {
    let mut columns = vec!["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "SIZE", "START", "END", "OLDEST"];
    columns.extend(topic.cleanup.compacted.then_some("CLEANED TO"));
    let mut table = Table::new(&columns);
    for partition in &topic.partitions {
        let leader = match partition.leader {
            Some(leader) => leader.into(),
            None => Cell::from("none").tone(Tone::Bad),
        };
        let whole = partition.isr.len() >= partition.replicas.len();
        let isr = Cell::from(ids(&partition.isr)).tone(if whole { Tone::Plain } else { Tone::Warning });
        let size = partition.bytes.map(output::bytes);
        let epoch = partition.leader_epoch;
        let mut row: Vec<Cell> = vec![
            partition.partition.into(),
            leader,
            epoch.into(),
            ids(&partition.replicas).into(),
            isr,
            size.into(),
            partition.start.into(),
            partition.end.into(),
            partition.oldest.clone().into(),
        ];
        row.extend(topic.cleanup.compacted.then(|| partition.cleaned.into()));
        table.row(row);
    }
    table
}

fn ids(ids: &[i32]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
