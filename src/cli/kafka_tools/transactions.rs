//! `kafka-transactions`: lists and describes transactions and the producers of a partition.

use super::failure::{Failure, message};
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, Opt, Served, Style, SubCommand, Tool};
use super::session::{connect, run_async};
use super::table::print_table;
use crate::client::{ClusterClient, ClusterError, Coordinates, Target};
use crate::clock;
use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::{
    DescribeProducersRequest, DescribeProducersTopic, DescribeTransactionsRequest, ListTransactionsRequest,
};

const NO_ABORT: &str = "a transaction ends by itself after its producer's transaction.timeout.ms";
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
            served: Served::No(NO_ABORT),
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
            served: Served::No("ask for the producers of a partition with describe-producers"),
        },
        SubCommand {
            name: "forceTerminateTransaction",
            about: "Ends a transaction.",
            options: &[Opt::value("transactionalId", "id", "The transactional id.")],
            served: Served::No(NO_ABORT),
        },
    ],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server"])?;
    match given.command.map(|command| command.name) {
        Some("describe") => given.require(&["transactional-id"])?,
        Some("describe-producers") => given.require(&["topic", "partition"])?,
        _ => {}
    }
    run_async(async {
        let client = &mut connect(given).await?;
        match given.command.map(|command| command.name) {
            Some("describe") => describe(given, client).await,
            Some("describe-producers") => describe_producers(given, client).await,
            _ => list(given, client).await,
        }
    })
}

async fn list(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let request = ListTransactionsRequest {
        duration_filter: given.parsed("duration-filter")?.unwrap_or(-1),
        transactional_id_pattern: given.value("transactional-id-pattern").map(str::to_owned),
        ..ListTransactionsRequest::default()
    };
    let brokers: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let mut rows = Vec::new();
    for broker in brokers {
        let answer = client.ask(&Target::Broker(broker), &request, |response| response.error_code).await?;
        if answer.error_code.is_error() {
            let error = ClusterError::refused(format!("the transactions of broker {broker}"), answer.error_code, None);
            return Err(Failure::said(format!("Failed to list transactions: {}.", message(&error))));
        }
        rows.extend(answer.transaction_states.into_iter().map(|found| {
            [found.transactional_id, broker.to_string(), found.producer_id.to_string(), found.transaction_state]
        }));
    }
    print_table(["TransactionalId", "Coordinator", "ProducerId", "TransactionState"], &rows);
    Ok(())
}

async fn describe(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let id = given.value("transactional-id").unwrap_or_default();
    let target = Target::Coordinator(Coordinates::Transaction, id.to_owned());
    let request = DescribeTransactionsRequest { transactional_ids: vec![id.to_owned()] };
    let code = |answer: &crate::protocol::DescribeTransactionsResponse| {
        answer.transaction_states.first().map_or(ErrorCode::TransactionalIdNotFound, |found| found.error_code)
    };
    let failed = |why: String| {
        Failure::said(format!(
            "Failed to describe transaction state of transactional-id `{id}`: {why}. Enable debug logging for additional detail."
        ))
    };
    let answer = client.ask(&target, &request, code).await?;
    let coordinator = client.broker_of(&target).await?.unwrap_or(-1);
    let refused = code(&answer);
    let Some(found) = answer.transaction_states.into_iter().next().filter(|_| !refused.is_error()) else {
        return Err(failed(super::exceptions::message(refused).trim_end_matches('.').to_owned()));
    };
    let begun = Some(found.transaction_start_time_ms).filter(|begun| *begun >= 0);
    let or_none = |number: Option<i64>| number.map_or("None".to_owned(), |number| number.to_string());
    let partitions = found.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition::new(topic.topic.as_str(), *partition).to_string())
    });
    let row = [
        coordinator.to_string(),
        found.transactional_id.clone(),
        found.producer_id.to_string(),
        found.producer_epoch.to_string(),
        found.transaction_state.clone(),
        found.transaction_timeout_ms.to_string(),
        or_none(begun),
        or_none(begun.map(|begun| clock::wall().0 - begun)),
        partitions.collect::<Vec<_>>().join(","),
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
    let topic = given.value("topic").unwrap_or_default();
    let partition = TopicPartition::new(topic, given.parsed("partition")?.unwrap_or_default());
    let target = match given.parsed("broker-id")? {
        Some(broker) => Target::Broker(broker),
        None => Target::Leader(partition.clone()),
    };
    let asked = DescribeProducersTopic { name: topic.to_owned(), partition_indexes: vec![partition.partition] };
    let request = DescribeProducersRequest { topics: vec![asked] };
    let first = |answer: &crate::protocol::DescribeProducersResponse| {
        answer.topics.first().and_then(|topic| topic.partitions.first()).cloned()
    };
    let code = |answer: &_| first(answer).map_or(ErrorCode::UnknownTopicOrPartition, |found| found.error_code);
    let failed = |error: &ClusterError| {
        let whom = if given.has("broker-id") { "the broker" } else { "leader" };
        Failure::said(format!("Failed to describe producers for partition {partition} on {whom}: {}.", message(error)))
    };
    let answer = client.ask(&target, &request, code).await.map_err(|error| failed(&error))?;
    let found = match first(&answer) {
        Some(found) if !found.error_code.is_error() => found,
        other => {
            let text = other.and_then(|found| found.error_message);
            return Err(failed(&ClusterError::refused(partition.to_string(), code(&answer), text)));
        }
    };
    let rows: Vec<_> = found
        .active_producers
        .iter()
        .map(|producer| {
            let begun = producer.current_txn_start_offset;
            [
                producer.producer_id.to_string(),
                producer.producer_epoch.to_string(),
                producer.coordinator_epoch.to_string(),
                producer.last_sequence.to_string(),
                producer.last_timestamp.to_string(),
                if begun < 0 { "None".to_owned() } else { begun.to_string() },
            ]
        })
        .collect();
    let titles = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    print_table(titles, &rows);
    Ok(())
}
