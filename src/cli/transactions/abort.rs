//! `ottla transactions abort`.

use clap::Args;
use serde_json::json;

use crate::cli::common::confirm;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use crate::client::ClusterClient;
use crate::client::admin::transactions::{self, TransactionFilter};
use crate::clock;
use crate::model::TopicPartition;

/// Open for any time at all.
const OF_ANY_AGE: i64 = i64::MIN;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Its partition.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// Where the transaction begins, as find-hanging tells it.
    #[arg(long, value_name = "OFFSET")]
    start_offset: i64,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let partition = TopicPartition::new(arguments.topic.as_str(), arguments.partition);
    let start = arguments.start_offset;
    let producers = transactions::producers(client, &partition, None).await?;
    let producer = producers.into_iter().find(|producer| producer.transaction_start == Some(start));
    let nowhere = || {
        Failure::new(Exit::NotFound, format!("no open transaction begins at offset {start} of {partition}"))
            .next("See where they begin with: ottla transactions describe-producers.")
    };
    let (producer, epoch) = producer.and_then(|found| found.epoch().map(|epoch| (found, epoch))).ok_or_else(nowhere)?;
    refuse_coordinated(client, &partition, producer.producer_id).await?;
    if !arguments.yes {
        let whose = producer.producer_id;
        confirm(&format!("Abort the transaction of producer {whose} in {partition}, and hide its records?")).await?;
    }
    transactions::abort(client, &partition, producer.producer_id, epoch, producer.coordinator_epoch).await?;
    let done =
        json!({ "topic": arguments.topic, "partition": arguments.partition, "start_offset": start, "aborted": true });
    Ok(output.print(&done, |_| format!("Aborted the transaction at offset {start} of {partition}.\n"))?)
}

/// A marker that a coordinator knows nothing of would tear the transaction of a producer that is alive.
async fn refuse_coordinated(
    client: &mut ClusterClient,
    partition: &TopicPartition,
    producer_id: i64,
) -> Result<(), Failure> {
    let partitions = std::slice::from_ref(partition);
    let hanging = transactions::find_hanging(client, partitions, OF_ANY_AGE, None, clock::wall().0).await?;
    if hanging.iter().any(|found| found.producer.producer_id == producer_id) {
        return Ok(());
    }
    let filter = TransactionFilter { producer_ids: vec![producer_id], ..TransactionFilter::default() };
    let owner = transactions::list(client, &filter).await?.into_iter().next();
    let (whose, id) = match owner {
        Some(owner) => (format!(" of {:?}", owner.transactional_id), owner.transactional_id),
        None => (String::new(), "ID".to_owned()),
    };
    let what = format!("the transaction{whose} does not hang: its coordinator is going to end it");
    Err(Failure::new(Exit::Failed, what).next(format!("End it now with: ottla transactions force-terminate {id}.")))
}
