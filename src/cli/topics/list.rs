//! `ottla topics list`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table};
use crate::cli::time;
use crate::client::admin::topics::{self, DeletedTopic};
use crate::client::{ClusterClient, TopicMetadata};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Lists the broker's own topics too.
    #[arg(short = 'a', long)]
    internal: bool,
    /// Prints only the names.
    #[arg(short, long)]
    quiet: bool,
    /// Lists deleted topics that can be restored instead.
    #[arg(long, conflicts_with = "internal")]
    deleted: bool,
}

#[derive(Serialize)]
struct Deleted {
    topic: String,
    id: String,
    partitions: i32,
    replication_factor: i32,
    deleted: String,
    restorable_until: String,
}

impl Deleted {
    fn of(topic: DeletedTopic) -> Self {
        Self {
            topic: topic.name,
            id: topic.topic_id.to_string(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            deleted: time::iso(topic.deleted_at.0),
            restorable_until: time::iso(topic.kept_until.0),
        }
    }
}

#[derive(Serialize)]
struct Listed {
    topic: String,
    id: Option<String>,
    partitions: usize,
    replication_factor: usize,
    internal: bool,
}

impl Listed {
    fn of(name: &str, topic: &TopicMetadata) -> Self {
        Self {
            topic: name.to_owned(),
            id: (!topic.topic_id.is_zero()).then(|| topic.topic_id.to_string()),
            partitions: topic.partitions.len(),
            replication_factor: topic.partitions.first().map_or(0, |partition| partition.replica_nodes.len()),
            internal: topic.is_internal,
        }
    }
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    if arguments.deleted {
        return list_deleted(client, arguments, output).await;
    }
    let metadata = client.learn_topics(None).await?;
    let shown = metadata.topics.iter().filter(|(_, topic)| arguments.internal || !topic.is_internal);
    let topics: Vec<Listed> = shown.map(|(name, topic)| Listed::of(name, topic)).collect();
    Ok(output.print(&topics, |output| match arguments.quiet {
        true => topics.iter().map(|topic| format!("{}\n", topic.topic)).collect(),
        false if topics.is_empty() => "There are no topics. Create one with: ottla topics create NAME\n".to_owned(),
        false => output.table(&table(&topics)),
    })?)
}

async fn list_deleted(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let topics: Vec<Deleted> = topics::deleted(client).await?.into_iter().map(Deleted::of).collect();
    const NOTHING: &str = "There are no deleted topics that can be restored. Topics deleted while \
                           ottla.topic.delete.retention.ms is above 0 are kept for that long.\n";
    Ok(output.print(&topics, |output| match arguments.quiet {
        true => topics.iter().map(|topic| format!("{}\n", topic.topic)).collect(),
        false if topics.is_empty() => NOTHING.to_owned(),
        false => output.table(&deleted_table(&topics)),
    })?)
}

fn deleted_table(topics: &[Deleted]) -> Table {
    let mut table = Table::new(&["TOPIC", "ID", "PARTITIONS", "REPLICAS", "DELETED", "RESTORABLE UNTIL"]);
    for topic in topics {
        table.row(vec![
            topic.topic.as_str().into(),
            topic.id.as_str().into(),
            topic.partitions.into(),
            topic.replication_factor.into(),
            topic.deleted.as_str().into(),
            topic.restorable_until.as_str().into(),
        ]);
    }
    table
}

fn table(topics: &[Listed]) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS"]);
    for topic in topics {
        table.row(vec![topic.topic.as_str().into(), topic.partitions.into(), topic.replication_factor.into()]);
    }
    table
}
