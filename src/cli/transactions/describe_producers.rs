//! `ottla transactions describe-producers`.

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Output, Table};
use crate::cli::time::iso;
use crate::client::ClusterClient;
use crate::client::admin::transactions;
use crate::model::TopicPartition;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Its partition.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// Asks the replica of this broker instead of the leader.
    #[arg(long, value_name = "ID")]
    broker: Option<i32>,
}

#[derive(Serialize)]
struct Producer {
    producer_id: i64,
    producer_epoch: i32,
    coordinator_epoch: Option<i32>,
    last_sequence: i32,
    last_timestamp_ms: i64,
    transaction_start: Option<i64>,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let partition = TopicPartition::new(arguments.topic.as_str(), arguments.partition);
    let found = transactions::producers(client, &partition, arguments.broker).await?.into_iter();
    let producers: Vec<Producer> = found
        .map(|found| Producer {
            producer_id: found.producer_id,
            producer_epoch: found.producer_epoch,
            coordinator_epoch: Some(found.coordinator_epoch).filter(|epoch| *epoch >= 0),
            last_sequence: found.last_sequence,
            last_timestamp_ms: found.last_timestamp_ms,
            transaction_start: found.transaction_start,
        })
        .collect();
    Ok(output.print(&producers, |output| match producers.is_empty() {
        true => format!("{partition} remembers no producers.\n"),
        false => output.table(&table(&producers)),
    })?)
}

fn table(producers: &[Producer]) -> Table {
    let headings = ["PRODUCER", "EPOCH", "COORDINATOR EPOCH", "LAST SEQUENCE", "LAST RECORD", "TRANSACTION FROM"];
    let mut table = Table::new(&headings);
    for producer in producers {
        table.row(vec![
            producer.producer_id.into(),
            producer.producer_epoch.into(),
            producer.coordinator_epoch.into(),
            producer.last_sequence.into(),
            iso(producer.last_timestamp_ms).into(),
            producer.transaction_start.into(),
        ]);
    }
    table
}
