//! `ottla topics list`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table};
use crate::client::{ClusterClient, TopicMetadata};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Lists the broker's own topics too.
    #[arg(short = 'a', long)]
    internal: bool,
    /// Prints only the names.
    #[arg(short, long)]
    quiet: bool,
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
    let metadata = client.learn_topics(None).await?;
    let shown = metadata.topics.iter().filter(|(_, topic)| arguments.internal || !topic.is_internal);
    let topics: Vec<Listed> = shown.map(|(name, topic)| Listed::of(name, topic)).collect();
    Ok(output.print(&topics, |output| match arguments.quiet {
        true => topics.iter().map(|topic| format!("{}\n", topic.topic)).collect(),
        false if topics.is_empty() => "There are no topics. Create one with: ottla topics create NAME\n".to_owned(),
        false => output.table(&table(&topics)),
    })?)
}

fn table(topics: &[Listed]) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS"]);
    for topic in topics {
        table.row(vec![topic.topic.as_str().into(), topic.partitions.into(), topic.replication_factor.into()]);
    }
    table
}
