//! `kafka-get-offsets`: offsets of partitions at a time.

use super::exceptions;
use super::failure::Failure;
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION};
use super::partition_lists::Rules;
use super::session::{connect, run_async, say};
use super::topic_filter::is_internal;
use crate::client::ClusterClient;
use crate::client::admin::offsets::{self, OffsetSpec};
use crate::model::TopicPartition;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-get-offsets",
    about: "An interactive shell for getting topic-partition offsets.",
    style: Style::JoptSimple,
    options: &[
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        Opt::flag("exclude-internal-topics", "Leaves out the brokers' own topics."),
        HELP,
        Opt::value("partitions", "id,…", "The partitions; all of them if none is named."),
        Opt::value("time", "time", "A time in milliseconds, or earliest (-2), latest (-1), max-timestamp (-3), …"),
        Opt::value("topic", "regex", "The topics; all of them if none is named."),
        Opt::value("topic-partitions", "topic:from-to,…", "Topics with their partitions."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server"])?;
    let outcome = print_offsets(given);
    outcome.map_err(|failure| Failure::said(format!("Error occurred: {}", failure.message())))
}

fn print_offsets(given: &Given) -> Result<(), Failure> {
    if given.has("topic-partitions") && (given.has("topic") || given.has("partitions")) {
        return Err(Failure::said("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let spec = spec(given.value("time").unwrap_or("latest"))?;
    let rules = match given.value("topic-partitions") {
        Some(list) => Rules::of_list(list)?,
        None => Rules::of_topic(given.value("topic"), given.value("partitions"))?,
    };
    run_async(async {
        let client = &mut connect(given).await?;
        client.learn_topics(None).await?;
        let mut wanted = partitions(client, &rules, given.has("exclude-internal-topics"));
        if wanted.is_empty() {
            return Err(Failure::said("Could not match any topic-partitions with the specified filters"));
        }
        wanted.sort_by_key(ToString::to_string);
        let asked: Vec<_> = wanted.iter().map(|partition| (partition.clone(), spec)).collect();
        let found = offsets::list(client, &asked).await?;
        for partition in &wanted {
            match found.get(partition) {
                Some(Ok(found)) if found.offset >= 0 => {
                    say!("{}:{}:{}", partition.topic, partition.partition, found.offset);
                }
                Some(Err(code)) => {
                    let why = exceptions::message(*code);
                    eprintln!("Skip getting offsets for topic-partition {partition} due to error: {why}");
                }
                _ => {}
            }
        }
        Ok(())
    })
}

fn partitions(client: &ClusterClient, rules: &Rules, without_internal: bool) -> Vec<TopicPartition> {
    let topics = client.metadata().topics.iter().filter(|(name, _)| !(without_internal && is_internal(name)));
    let all = topics.flat_map(|(name, topic)| {
        topic.partitions.iter().map(|partition| TopicPartition::new(name.as_str(), partition.partition_index))
    });
    all.filter(|partition| rules.allow(&partition.topic, partition.partition)).collect()
}

fn spec(text: &str) -> Result<OffsetSpec, Failure> {
    Ok(match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        // On the wire a time below zero that stands for something (KIP-1023).
        "earliest-pending-upload" => OffsetSpec::AtTime(-6),
        number => OffsetSpec::AtTime(number.parse().map_err(|_| {
            Failure::said(format!(
                "Malformed time argument {number}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp"
            ))
        })?),
    })
}
