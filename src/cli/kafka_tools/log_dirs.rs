//! `kafka-log-dirs`: what lies in the brokers' data directories, as JSON.

use std::collections::BTreeSet;

use serde_json::json;

use super::failure::Failure;
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION, list};
use super::session::{connect, run_async, say};
use crate::client::admin::log_dirs;
use crate::protocol::DescribeLogDirsResult;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-log-dirs",
    about: "This tool helps to query log directory usage on the specified brokers.",
    style: Style::JoptSimple,
    options: &[
        BOOTSTRAP_SERVER,
        Opt::value("broker-list", "id,…", "The brokers; all of them if none is named."),
        COMMAND_CONFIG,
        Opt::flag("describe", "Describes the directories."),
        HELP,
        Opt::value("topic-list", "topic,…", "The topics; all of them if none is named."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server", "describe"])?;
    let wanted: Result<BTreeSet<i32>, _> =
        list(given.value("broker-list").unwrap_or_default()).into_iter().map(str::parse).collect();
    let wanted = wanted.map_err(|_| Failure::said("--broker-list expects a list of broker ids"))?;
    let topics = list(given.value("topic-list").unwrap_or_default());
    run_async(async {
        let client = &mut connect(given).await?;
        let existing: BTreeSet<i32> = client.metadata().brokers.keys().copied().collect();
        if !wanted.is_subset(&existing) {
            let missing = join(wanted.difference(&existing));
            return Err(Failure::said(format!(
                "ERROR: The given brokers do not exist from --broker-list: {missing}. Current existent brokers: {}",
                join(existing.iter())
            )));
        }
        let brokers: Vec<i32> = if wanted.is_empty() { existing } else { wanted }.into_iter().collect();
        say!("Querying brokers for log directories information");
        let found = log_dirs::describe(client, &brokers, None).await?;
        say!("Received log directory information from brokers {}", join(brokers.iter()));
        let described = found.iter().map(|(broker, directories)| {
            let directories: Vec<_> = directories.iter().map(|directory| describe(directory, &topics)).collect();
            format!("{{\"broker\":{broker},\"logDirs\":[{}]}}", directories.join(","))
        });
        // By hand, because Kafka's order of the fields is not the alphabet's.
        say!("{{\"brokers\":[{}],\"version\":1}}", described.collect::<Vec<_>>().join(","));
        Ok(())
    })
}

fn join<'a>(ids: impl Iterator<Item = &'a i32>) -> String {
    ids.map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn describe(directory: &DescribeLogDirsResult, topics: &BTreeSet<&str>) -> String {
    let wanted = directory.topics.iter().filter(|topic| topics.is_empty() || topics.contains(topic.name.as_str()));
    let mut partitions: Vec<_> =
        wanted.flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.as_str(), partition))).collect();
    partitions.sort_by_key(|(topic, partition)| (*topic, partition.partition_index));
    let partitions = partitions.iter().map(|(topic, partition)| {
        let name = json!(format!("{topic}-{}", partition.partition_index));
        let (size, lag, future) = (partition.partition_size, partition.offset_lag, partition.is_future_key);
        format!("{{\"partition\":{name},\"size\":{size},\"offsetLag\":{lag},\"isFuture\":{future}}}")
    });
    let partitions = partitions.collect::<Vec<_>>().join(",");
    let error = directory.error_code.is_error().then(|| super::exceptions::class(directory.error_code));
    let (error, path) = (json!(error), json!(directory.log_dir));
    format!("{{\"partitions\":[{partitions}],\"error\":{error},\"logDir\":{path}}}")
}
