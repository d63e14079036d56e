//! `ottla transactions find-hanging`.

use clap::Args;
use serde::Serialize;

use super::spoken;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table};
use crate::client::ClusterClient;
use crate::client::admin::transactions;
use crate::clock;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The topics to look through; all if none is named.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Looks through the replicas of this broker instead of the leaders.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
    /// Only transactions whose last record is older. Choose more than the longest time-out of any producer.
    #[arg(long, default_value = "15m", value_name = "TIME", value_parser = super::length)]
    older_than: i64,
}

#[derive(Serialize)]
struct Hanging {
    topic: String,
    partition: i32,
    start_offset: Option<i64>,
    producer_id: i64,
    producer_epoch: i32,
    last_timestamp_ms: i64,
    silent_for_ms: i64,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let topics = (!arguments.topics.is_empty()).then_some(arguments.topics.as_slice());
    let partitions = transactions::partitions(client, topics, arguments.broker).await?;
    let now = clock::wall().0;
    let found = transactions::find_hanging(client, &partitions, arguments.older_than, arguments.broker, now).await?;
    let hanging: Vec<Hanging> = found
        .into_iter()
        .map(|found| Hanging {
            topic: found.partition.topic.to_string(),
            partition: found.partition.partition,
            start_offset: found.producer.transaction_start,
            producer_id: found.producer.producer_id,
            producer_epoch: found.producer.producer_epoch,
            last_timestamp_ms: found.producer.last_timestamp_ms,
            silent_for_ms: now - found.producer.last_timestamp_ms,
        })
        .collect();
    Ok(output.print(&hanging, |output| match hanging.is_empty() {
        true => format!("No transaction hangs in the {} partitions.\n", partitions.len()),
        false => {
            output.table(&table(&hanging)) + "End one with: ottla transactions abort TOPIC -p N --start-offset OFFSET\n"
        }
    })?)
}

fn table(hanging: &[Hanging]) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITION", "START OFFSET", "PRODUCER", "EPOCH", "SILENT FOR"]);
    for transaction in hanging {
        table.row(vec![
            transaction.topic.as_str().into(),
            transaction.partition.into(),
            transaction.start_offset.into(),
            transaction.producer_id.into(),
            transaction.producer_epoch.into(),
            spoken(transaction.silent_for_ms).into(),
        ]);
    }
    table
}
