//! `kafka-leader-election`: elects leaders of partitions.

use super::failure::{Failure, exception};
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION};
use super::partition_lists::{json_file, partitions_of};
use super::session::{connect, run_async, say};
use crate::client::{ClusterError, Target};
use crate::model::{ErrorCode, TopicPartition};
use crate::protocol::{ElectLeadersRequest, ElectLeadersTopic};

const SCOPES: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];

pub(super) static TOOL: Tool = Tool {
    name: "kafka-leader-election",
    about: "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are preferred replicas and unclean replicas.",
    style: Style::JoptSimple,
    options: &[
        Opt::value("admin.config", "file", "The same as --command-config."),
        Opt::flag("all-topic-partitions", "All partitions."),
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        Opt::value("election-type", "type", "preferred or unclean."),
        HELP,
        Opt::value("partition", "id", "The partition of --topic."),
        Opt::value("path-to-json-file", "file", "A JSON file with the partitions."),
        Opt::value("topic", "topic", "The topic."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    let missing: Vec<_> = ["bootstrap-server", "election-type"].into_iter().filter(|name| !given.has(name)).collect();
    if !missing.is_empty() {
        return Err(Failure::said(format!("Missing required option(s): {}", missing.join(", "))));
    }
    let kind = given.value("election-type").unwrap_or_default().to_uppercase();
    let election_type = match kind.as_str() {
        "PREFERRED" => 0,
        "UNCLEAN" => 1,
        _ => {
            let value = given.value("election-type").unwrap_or_default();
            return Err(Failure::said(format!("Cannot parse argument '{value}' of option election-type")));
        }
    };
    let wanted = partitions(given)?;
    let mut topics: Vec<ElectLeadersTopic> = Vec::new();
    for partition in wanted.iter().flatten() {
        match topics.iter_mut().find(|topic| *topic.topic == *partition.topic) {
            Some(topic) => topic.partitions.push(partition.partition),
            None => topics
                .push(ElectLeadersTopic { topic: partition.topic.to_string(), partitions: vec![partition.partition] }),
        }
    }
    let topic_partitions = wanted.map(|_| topics);
    let request = ElectLeadersRequest { election_type, topic_partitions, timeout_ms: 30_000 };
    let answer = run_async(async {
        let client = &mut connect(given).await?;
        let answer = client.ask(&Target::Controller, &request, |response| response.error_code).await?;
        match answer.error_code.is_error() {
            true => Err(ClusterError::refused("the election", answer.error_code, None).into()),
            false => Ok(answer),
        }
    })?;
    let (mut elected, mut valid, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for topic in answer.replica_election_results {
        for result in topic.partition_result {
            let name = format!("{}-{}", topic.topic, result.partition_id);
            match result.error_code {
                ErrorCode::None => elected.push(name),
                ErrorCode::ElectionNotNeeded => valid.push(name),
                code => {
                    let error = ClusterError::refused(name.clone(), code, result.error_message);
                    failed.push(format!("{name}: {}", exception(&error)));
                }
            }
        }
    }
    if !elected.is_empty() {
        say!("Successfully completed leader election ({kind}) for partitions {}", elected.join(", "));
    }
    if !valid.is_empty() {
        say!("Valid replica already elected for partitions {}", valid.join(", "));
    }
    failed.iter().for_each(|line| say!("Error completing leader election ({kind}) for partition: {line}"));
    match failed.len() {
        0 => Ok(()),
        count => Err(Failure::said(format!("{count} replica(s) could not be elected"))),
    }
}

/// The partitions that are meant; `None` for all of them.
fn partitions(given: &Given) -> Result<Option<Vec<TopicPartition>>, Failure> {
    let Some(scope) = given.only_one(&SCOPES) else {
        let scopes = SCOPES.join(", ");
        return Err(Failure::said(format!("One and only one of the following options is required: {scopes}")));
    };
    if given.has("partition") && !given.has("topic") {
        return Err(Failure::said("Option partition is only allowed if topic is used"));
    }
    match scope {
        "topic" => {
            let partition = given.parsed("partition")?;
            let partition = partition.ok_or_else(|| Failure::said("Missing required option(s): partition"))?;
            Ok(Some(vec![TopicPartition::new(given.value("topic").unwrap_or_default(), partition)]))
        }
        "all-topic-partitions" => Ok(None),
        _ => {
            let document = json_file(given.value("path-to-json-file").unwrap_or_default())?;
            let partitions: Vec<_> = partitions_of(&document)?.into_iter().map(|(partition, _)| partition).collect();
            let twice = (1..partitions.len()).find(|at| partitions[..*at].contains(&partitions[*at]));
            match twice {
                Some(at) => Err(Failure::said(format!(
                    "Replica election data contains duplicate partitions: {}",
                    partitions[at]
                ))),
                None => Ok(Some(partitions)),
            }
        }
    }
}
