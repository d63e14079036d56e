//! `kafka-transactions`: lists, describes and ends transactions, and finds those that hang.

use super::failure::{Failure, message};
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, Opt, Served, Style, SubCommand, Tool};
use super::session::{connect, run_async};
use super::table::print_table;
use crate::client::admin::transactions::{self, TransactionFilter};
use crate::client::{ClusterClient, ClusterError};
use crate::clock;
use crate::model::TopicPartition;

/// How long a transaction may be open before it is suspected, unless told otherwise.
const MAX_TRANSACTION_TIMEOUT_MINUTES: i64 = 15;
const MINUTE_MS: i64 = 60_000;
const TOPIC: Opt = Opt::value("topic", "topic", "The topic.");
const PARTITION: Opt = Opt::value("partition", "id", "The partition.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-transactions",
    about: "This tool is used to analyze the transactional state of producers in the cluster.",
    style: Style::Argparse,
    options: &[
        Opt::flag("help", "Prints this help.").short('h'),
        Opt::flag("version", "Prints the version of Kafka that the tool stands for.").short('v'),
        COMMAND_CONFIG,
        BOOTSTRAP_SERVER,
    ],
    commands: &[
        SubCommand {
            name: "list",
            about: "Lists transactions.",
            options: &[
                Opt::value("duration-filter", "ms", "Only those that have been open for so long."),
                Opt::value("transactional-id-pattern", "regex", "Only those with such an id."),
            ],
            served: Served::Yes,
        },
        SubCommand {
            name: "describe",
            about: "Describes a transaction.",
            options: &[Opt::value("transactional-id", "id", "The transactional id.")],
            served: Served::Yes,
        },
        SubCommand {
            name: "describe-producers",
            about: "Describes the producers of a partition.",
            options: &[
                Opt::value("broker-id", "id", "The replica to ask; the leader if none is named."),
                TOPIC,
                PARTITION,
            ],
            served: Served::Yes,
        },
        SubCommand {
            name: "abort",
            about: "Aborts a transaction that hangs.",
            options: &[
                TOPIC,
                PARTITION,
                Opt::value("start-offset", "offset", "Where it begins."),
                Opt::value("producer-id", "id", "Its producer."),
                Opt::value("producer-epoch", "epoch", "Its producer's epoch."),
                Opt::value("coordinator-epoch", "epoch", "Its coordinator's epoch."),
            ],
            served: Served::Yes,
        },
        SubCommand {
            name: "find-hanging",
            about: "Finds transactions that hang.",
            options: &[
                Opt::value("broker-id", "id", "Where to look."),
                Opt::value("max-transaction-timeout", "minutes", "How long transactions may last."),
                TOPIC,
                PARTITION,
            ],
            served: Served::Yes,
        },
        SubCommand {
            name: "forceTerminateTransaction",
            about: "Ends a transaction.",
            options: &[Opt::value("transactionalId", "id", "The transactional id.")],
            served: Served::Yes,
        },
    ],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server"])?;
    let command = given.command.map(|command| command.name).unwrap_or_default();
    match command {
        "describe" => given.require(&["transactional-id"])?,
        "describe-producers" | "abort" => given.require(&["topic", "partition"])?,
        "forceTerminateTransaction" => given.require(&["transactionalId"])?,
        _ => {}
    }
    run_async(async {
        let client = &mut connect(given).await?;
        match command {
            "describe" => describe(given, client).await,
            "describe-producers" => describe_producers(given, client).await,
            "abort" => abort(given, client).await,
            "find-hanging" => find_hanging(given, client).await,
            "forceTerminateTransaction" => force_terminate(given, client).await,
            _ => list(given, client).await,
        }
    })
}

/// What was tried and why it failed.
fn failed(what: &str, error: &ClusterError) -> Failure {
    let why = message(error);
    Failure::said(format!("{what}: {}. Enable debug logging for additional detail.", why.trim_end_matches('.')))
}

/// `--topic` and `--partition`.
fn named_partition(given: &Given) -> Result<TopicPartition, Failure> {
    let topic = given.value("topic").unwrap_or_default();
    Ok(TopicPartition::new(topic, given.parsed("partition")?.unwrap_or_default()))
}

fn or_none(number: Option<i64>) -> String {
    number.map_or("None".to_owned(), |number| number.to_string())
}

async fn list(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let filter = TransactionFilter {
        longer_than_ms: given.parsed("duration-filter")?.filter(|duration| *duration >= 0),
        id_pattern: given.value("transactional-id-pattern").map(str::to_owned),
        ..TransactionFilter::default()
    };
    let found = transactions::list(client, &filter).await;
    let found = found.map_err(|error| failed("Failed to list transactions", &error))?;
    let row = |found: transactions::ListedTransaction| {
        [found.transactional_id, found.coordinator.to_string(), found.producer_id.to_string(), found.state]
    };
    let rows: Vec<_> = found.into_iter().map(row).collect();
    print_table(["TransactionalId", "Coordinator", "ProducerId", "TransactionState"], &rows);
    Ok(())
}

async fn describe(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let id = given.value("transactional-id").unwrap_or_default();
    let what = format!("Failed to describe transaction state of transactional-id `{id}`");
    let found = transactions::describe(client, id).await.map_err(|error| failed(&what, &error))?;
    let row = [
        found.coordinator.to_string(),
        found.transactional_id,
        found.producer_id.to_string(),
        found.producer_epoch.to_string(),
        found.state,
        found.timeout_ms.to_string(),
        or_none(found.started_ms),
        or_none(found.started_ms.map(|started| clock::wall().0 - started)),
        found.partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    ];
    let titles = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    print_table(titles, &[row]);
    Ok(())
}

async fn describe_producers(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let partition = named_partition(given)?;
    let broker: Option<i32> = given.parsed("broker-id")?;
    let whom = broker.map_or("leader".to_owned(), |broker| format!("broker {broker}"));
    let what = format!("Failed to describe producers for partition {partition} on {whom}");
    let found = transactions::producers(client, &partition, broker).await.map_err(|error| failed(&what, &error))?;
    let row = |producer: &transactions::PartitionProducer| {
        [
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp_ms.to_string(),
            or_none(producer.transaction_start),
        ]
    };
    let titles = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    print_table(titles, &found.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn find_hanging(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    if !given.has("topic") && !given.has("broker-id") {
        let why = "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search";
        return Err(Failure::said(why));
    }
    if given.has("partition") && !given.has("topic") {
        return Err(Failure::said("The --partition argument requires --topic to be provided"));
    }
    let minutes: i64 = given.parsed("max-transaction-timeout")?.unwrap_or(MAX_TRANSACTION_TIMEOUT_MINUTES);
    let broker = given.parsed("broker-id")?;
    let topic = given.value("topic").map(|topic| vec![topic.to_owned()]);
    let mut partitions = transactions::partitions(client, topic.as_deref(), broker).await?;
    if let Some(only) = given.parsed::<i32>("partition")? {
        partitions.retain(|partition| partition.partition == only);
    }
    let now = clock::wall().0;
    let found = transactions::find_hanging(client, &partitions, minutes * MINUTE_MS, broker, now).await;
    let found = found.map_err(|error| failed("Failed to find hanging transactions", &error))?;
    let row = |found: &transactions::HangingTransaction| {
        [
            found.partition.topic.to_string(),
            found.partition.partition.to_string(),
            found.producer.producer_id.to_string(),
            found.producer.producer_epoch.to_string(),
            found.producer.coordinator_epoch.to_string(),
            found.producer.transaction_start.unwrap_or(-1).to_string(),
            found.producer.last_timestamp_ms.to_string(),
            ((now - found.producer.last_timestamp_ms) / MINUTE_MS).to_string(),
        ]
    };
    let titles = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    print_table(titles, &found.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn abort(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let partition = named_partition(given)?;
    let (id, epoch, coordinator_epoch) = match given.parsed::<i64>("start-offset")? {
        Some(start) => producer_at(client, &partition, start).await?,
        None => named_producer(given)?,
    };
    let aborted = transactions::abort(client, &partition, id, epoch, coordinator_epoch).await;
    aborted.map_err(|error| failed(&format!("Failed to abort the transaction of producer {id} in {partition}"), &error))
}

/// The producer whose open transaction begins at this offset: its id, its epoch, and its coordinator's.
async fn producer_at(
    client: &mut ClusterClient,
    partition: &TopicPartition,
    start: i64,
) -> Result<(i64, i16, i32), Failure> {
    let what = format!("Failed to validate producer state for partition {partition}");
    let producers = transactions::producers(client, partition, None).await.map_err(|error| failed(&what, &error))?;
    let found = producers.into_iter().find(|producer| producer.transaction_start == Some(start));
    let found = found.and_then(|found| Some((found.producer_id, found.epoch()?, found.coordinator_epoch)));
    found.ok_or_else(|| {
        let nowhere =
            format!("Could not find any open transactions starting at offset {start} on partition {partition}");
        Failure::said(nowhere)
    })
}

/// The same, as the command line has them.
fn named_producer(given: &Given) -> Result<(i64, i16, i32), Failure> {
    let missing = |option: &str| Failure::said(format!("Missing required argument --{option}"));
    let id = given.parsed("producer-id")?.ok_or_else(|| {
        Failure::said(
            "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or with \
             --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
        )
    })?;
    let epoch = given.parsed("producer-epoch")?.ok_or_else(|| missing("producer-epoch"))?;
    let coordinator_epoch = given.parsed("coordinator-epoch")?.ok_or_else(|| missing("coordinator-epoch"))?;
    Ok((id, epoch, coordinator_epoch))
}

async fn force_terminate(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let id = given.value("transactionalId").unwrap_or_default();
    let what = format!("Failed to force terminate transactionalId `{id}`");
    transactions::force_terminate(client, id).await.map_err(|error| failed(&what, &error))
}
