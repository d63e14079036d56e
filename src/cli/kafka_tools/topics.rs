//! `kafka-topics`: creates, lists, describes, enlarges and deletes topics.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::failure::Failure;
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION};
use super::session::{connect, run_async, say};
use super::topic_filter::{TopicFilter, is_internal};
use crate::client::admin::configs::{self, ConfigDetail, ConfigResource};
use crate::client::admin::topics::{self, NewTopic};
use crate::client::{ClusterClient, ClusterError, Target};
use crate::config::{ConfigType, topic_key};
use crate::model::{ErrorCode, Uuid};
use crate::protocol::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
    DescribeTopicPartitionsTopic, ListPartitionReassignmentsRequest, OngoingPartitionReassignment,
};

const REPORTS: [&str; 4] =
    ["under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"];

pub(super) static TOOL: Tool = Tool {
    name: "kafka-topics",
    about: "This tool helps to create, delete, describe, or change a topic.",
    style: Style::JoptSimple,
    options: &[
        Opt::flag("alter", "Gives a topic more partitions."),
        Opt::flag("at-min-isr-partitions", "Describes only partitions with no in-sync replica to spare."),
        BOOTSTRAP_SERVER,
        COMMAND_CONFIG,
        Opt::value("config", "name=value", "A configuration of the new topic; may be repeated."),
        Opt::flag("create", "Creates a topic."),
        Opt::flag("delete", "Deletes topics."),
        Opt::value("delete-config", "name", "Nothing any more, in Kafka either.")
            .without_effect("Kafka 4 ignores it too"),
        Opt::flag("describe", "Describes topics."),
        Opt::flag("exclude-internal", "Leaves out the brokers' own topics."),
        HELP,
        Opt::flag("if-exists", "A topic that is missing is no error."),
        Opt::flag("if-not-exists", "A topic that is there is no error."),
        Opt::flag("list", "Lists the names of topics."),
        Opt::value("partition-size-limit-per-response", "number", "How many partitions to ask for at once."),
        Opt::value("partitions", "number", "How many partitions the topic is to have."),
        Opt::value("replica-assignment", "broker:broker,…", "The brokers of each partition."),
        Opt::value("replication-factor", "number", "How many replicas each partition is to have."),
        Opt::value("topic", "regex", "The topic; a regular expression, except to create."),
        Opt::value("topic-id", "id", "The topic to describe, by its id."),
        Opt::flag("topics-with-overrides", "Describes only topics with configurations of their own."),
        Opt::flag("unavailable-partitions", "Describes only partitions without a leader."),
        Opt::flag("under-min-isr-partitions", "Describes only partitions below min.insync.replicas."),
        Opt::flag("under-replicated-partitions", "Describes only partitions with replicas out of sync."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    let Some(action) = given.only_one(&["create", "list", "alter", "describe", "delete"]) else {
        let what = "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(given.usage(what));
    };
    check(given)?;
    let outcome = run_async(async {
        let client = &mut connect(given).await?;
        match action {
            "create" => create(given, client).await,
            "alter" => alter(given, client).await,
            "list" => list_topics(given, client).await,
            "describe" => describe(given, client).await,
            _ => delete(given, client).await,
        }
    });
    outcome.inspect_err(|failure| say!("Error while executing topic command : {}", failure.message()))?;
    Ok(())
}

fn check(given: &Given) -> Result<(), Failure> {
    if !given.has("bootstrap-server") {
        return Err(Failure::said("--bootstrap-server must be specified"));
    }
    if given.has("describe") && given.has("if-exists") && !given.has("topic") && !given.has("topic-id") {
        return Err(given.usage("--topic or --topic-id is required to describe a topic"));
    }
    if !given.has("list") && !given.has("describe") {
        given.require(&["topic"])?;
    }
    if given.has("alter") {
        given.forbid_with("alter", &["config"])?;
        given.require(&["partitions"])?;
    }
    for (option, not_with) in [
        ("config", &["list", "describe", "delete"][..]),
        ("partitions", &["list", "describe", "delete"]),
        ("replication-factor", &["list", "describe", "delete", "alter"]),
        ("replica-assignment", &["list", "describe", "delete"]),
        ("if-exists", &["create", "list"]),
        ("if-not-exists", &["alter", "describe", "delete", "list"]),
        ("exclude-internal", &["alter", "create", "delete"]),
        ("topics-with-overrides", &REPORTS),
    ] {
        given.forbid_with(option, not_with)?;
    }
    if given.has("create") {
        given.forbid_with("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        let others: Vec<_> = REPORTS.iter().copied().filter(|other| *other != report).collect();
        given.forbid_with(report, &others)?;
        given.forbid_with(report, &["list", "create", "alter", "delete", "topics-with-overrides"])?;
    }
    Ok(())
}

async fn create(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let name = given.value("topic").unwrap_or_default().to_owned();
    if name.contains(['.', '_']) {
        say!(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both."
        );
    }
    let partitions: Option<i32> = given.parsed("partitions")?;
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Failure::said("The partitions must be greater than 0"));
    }
    let replication_factor: Option<i16> = match given.parsed::<i32>("replication-factor")? {
        None => None,
        Some(factor) if factor < 1 => None.ok_or_else(bad_factor)?,
        Some(factor) => Some(i16::try_from(factor).map_err(|_| bad_factor())?),
    };
    let assignment = assignment(given)?;
    let topic =
        NewTopic { name: name.clone(), partitions, replication_factor, assignment, configs: new_configs(given)? };
    match topics::create(client, &topic, false).await {
        Ok(_) => say!("Created topic {name}."),
        Err(error) if has_code(&error, ErrorCode::TopicAlreadyExists) && given.has("if-not-exists") => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn bad_factor() -> Failure {
    Failure::said("The replication factor must be between 1 and 32767 inclusive")
}

fn has_code(error: &ClusterError, expected: ErrorCode) -> bool {
    matches!(error, ClusterError::Refused { code, .. } if *code == expected)
}

/// The configurations of a new topic; Kafka's tool checks them before it asks a broker.
fn new_configs(given: &Given) -> Result<Vec<(String, String)>, Failure> {
    let mut configs = Vec::new();
    for config in given.values("config") {
        let Some((name, value)) = config.split_once('=').filter(|(_, value)| !value.is_empty()) else {
            let what =
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".";
            return Err(Failure::said(what));
        };
        let (name, value) = (name.trim(), value.trim());
        let Some(key) = topic_key(name) else {
            return Err(Failure::said(format!("Unknown topic config name: {name}")));
        };
        let number = matches!(key.config_type, ConfigType::Int | ConfigType::Long | ConfigType::Short);
        if number && value.parse::<i64>().is_err() {
            let kind = key.config_type.name().to_uppercase();
            let what = format!("Invalid value {value} for configuration {name}: Not a number of type {kind}");
            return Err(Failure::said(what));
        }
        configs.push((name.to_owned(), value.to_owned()));
    }
    Ok(configs)
}

/// The brokers of each partition, in the order of the partitions.
fn assignment(given: &Given) -> Result<Vec<Vec<i32>>, Failure> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    let Some(text) = given.value("replica-assignment").filter(|text| !text.is_empty()) else { return Ok(partitions) };
    for (index, partition) in text.split(',').enumerate() {
        let broker =
            |id: &str| id.trim().parse().map_err(|_| Failure::said(format!("For input string: \"{}\"", id.trim())));
        let brokers = partition.split(':').map(broker).collect::<Result<Vec<i32>, _>>()?;
        let twice = (1..brokers.len()).find(|at| brokers[..*at].contains(&brokers[*at]));
        if let Some(at) = twice {
            let what = format!("Partition replica lists may not contain duplicate entries: {}", brokers[at]);
            return Err(Failure::said(what));
        }
        if partitions.first().is_some_and(|first| first.len() != brokers.len()) {
            return Err(Failure::said(format!("Partition {index} has different replication factor: {brokers:?}")));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

/// The names of the topics that are meant, in alphabetical order.
async fn matching(given: &Given, client: &mut ClusterClient) -> Result<Vec<String>, Failure> {
    let filter = given.value("topic").map(TopicFilter::new).transpose()?;
    client.learn_topics(None).await?;
    let names = client.metadata().topics.keys();
    let names = names.filter(|name| filter.as_ref().is_none_or(|filter| filter.matches(name)));
    Ok(names.filter(|name| !(given.has("exclude-internal") && is_internal(name))).cloned().collect())
}

/// The same; nothing is an error, unless that was foreseen.
async fn existing(given: &Given, client: &mut ClusterClient) -> Result<Vec<String>, Failure> {
    let names = matching(given, client).await?;
    match given.value("topic") {
        Some(topic) if names.is_empty() && !topic.is_empty() && !given.has("if-exists") => {
            Err(Failure::said(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(names),
    }
}

async fn list_topics(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    matching(given, client).await?.iter().for_each(|name| say!("{name}"));
    Ok(())
}

async fn alter(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let count = given.parsed::<i32>("partitions")?.unwrap_or_default();
    let assignment = assignment(given)?;
    for name in existing(given, client).await? {
        let present = client.metadata().topic(&name)?.partitions.len();
        // The list names all partitions; those that exist stay where they are.
        let added = assignment.get(present..).unwrap_or_default();
        topics::enlarge(client, &name, count, added, false).await?;
    }
    Ok(())
}

async fn delete(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    for name in existing(given, client).await? {
        topics::delete(client, &name).await?;
    }
    Ok(())
}

type Reassignments = BTreeMap<(String, i32), OngoingPartitionReassignment>;

async fn describe(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let mut names = match given.value("topic-id") {
        Some(id) => vec![name_of(given, client, id).await?],
        None => existing(given, client).await?.into_iter().map(Some).collect(),
    };
    if given.has("topic") && given.has("topic-id") {
        say!(
            "Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID"
        );
    }
    let limit = given.parsed("partition-size-limit-per-response")?.unwrap_or(2000);
    let reassignments = reassignments(client).await?;
    for topic in describe_partitions(client, names.drain(..).flatten().collect(), limit).await? {
        let name = topic.name.clone().unwrap_or_default();
        let resource = ConfigResource::Topic(name.clone());
        let configs = configs::describe(client, &resource, None, ConfigDetail::default()).await?;
        let own: Vec<_> = configs.iter().filter(|config| config.config_source != 5).collect();
        let reports = REPORTS.iter().any(|report| given.has(report));
        if !(reports || given.has("topics-with-overrides") && own.is_empty()) {
            let own = own.iter().map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap_or("null")));
            describe_topic(&topic, &name, &reassignments, &own.collect::<Vec<_>>().join(","));
        }
        let min_isr = configs.iter().find(|config| config.name == "min.insync.replicas");
        let min_isr = min_isr.and_then(|config| config.value.as_deref()?.parse().ok()).unwrap_or(1);
        for partition in &topic.partitions {
            let moving = reassignments.get(&(name.clone(), partition.partition_index));
            let shown = match given.only_one(&REPORTS) {
                Some(report) => reported(report, partition, moving, min_isr, client),
                None => !given.has("topics-with-overrides"),
            };
            if shown {
                describe_partition(&name, partition, moving);
            }
        }
    }
    Ok(())
}

async fn name_of(given: &Given, client: &mut ClusterClient, id: &str) -> Result<Option<String>, Failure> {
    let wanted: Uuid = id.parse().map_err(|_| not_an_id(id))?;
    client.learn_topics(None).await?;
    let found = client.metadata().topics.iter().find(|(_, topic)| topic.topic_id == wanted);
    match found {
        Some((name, _)) => Ok(Some(name.clone())),
        None if given.has("if-exists") => Ok(None),
        None => Err(Failure::said(format!("TopicId '{id}' does not exist as expected"))),
    }
}

fn not_an_id(id: &str) -> Failure {
    let bytes = id.trim_end_matches('=').len() * 3 / 4;
    Failure::said(format!(
        "Input string `{id}` decoded as {bytes} bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID"
    ))
}

/// Asks page by page.
async fn describe_partitions(
    client: &mut ClusterClient,
    names: Vec<String>,
    limit: i32,
) -> Result<Vec<DescribeTopicPartitionsResponseTopic>, ClusterError> {
    let mut topics: Vec<DescribeTopicPartitionsResponseTopic> = Vec::new();
    if names.is_empty() {
        return Ok(topics);
    }
    let mut request = DescribeTopicPartitionsRequest {
        topics: names.into_iter().map(|name| DescribeTopicPartitionsTopic { name }).collect(),
        response_partition_limit: limit,
        cursor: None,
    };
    loop {
        let page = client.ask(&Target::Any, &request, |_| ErrorCode::None).await?;
        for topic in page.topics {
            if topic.error_code.is_error() {
                let subject = format!("topic {:?}", topic.name.unwrap_or_default());
                return Err(ClusterError::refused(subject, topic.error_code, None));
            }
            match topics.last_mut() {
                Some(last) if last.name == topic.name => last.partitions.extend(topic.partitions),
                _ => topics.push(topic),
            }
        }
        let Some(cursor) = page.next_cursor else { return Ok(topics) };
        request.topics.retain(|topic| topic.name >= cursor.topic_name);
        request.cursor = Some(cursor);
    }
}

/// The reassignments under way; none from a broker that does not know them.
async fn reassignments(client: &mut ClusterClient) -> Result<Reassignments, ClusterError> {
    let served = client.connection_to(&Target::Any).await?.version_of::<ListPartitionReassignmentsRequest>(i16::MAX);
    if served.is_none() {
        return Ok(Reassignments::new());
    }
    let request = ListPartitionReassignmentsRequest { timeout_ms: 30_000, ..Default::default() };
    let response = client.ask(&Target::Controller, &request, |response| response.error_code).await?;
    let of_topic = |topic: crate::protocol::OngoingTopicReassignment| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |moving| ((name.clone(), moving.partition_index), moving))
    };
    Ok(response.topics.into_iter().flat_map(of_topic).collect())
}

/// How many replicas a partition has when no move is under way, or had before it.
fn replication_factor(
    partition: &DescribeTopicPartitionsResponsePartition,
    moving: Option<&OngoingPartitionReassignment>,
) -> usize {
    let added = moving.map_or(0, |moving| moving.adding_replicas.len());
    partition.replica_nodes.len() - added.min(partition.replica_nodes.len())
}

fn reported(
    report: &str,
    partition: &DescribeTopicPartitionsResponsePartition,
    moving: Option<&OngoingPartitionReassignment>,
    min_isr: usize,
    client: &ClusterClient,
) -> bool {
    let isr = partition.isr_nodes.len();
    match report {
        "under-replicated-partitions" => replication_factor(partition, moving) > isr,
        "under-min-isr-partitions" => partition.leader_id < 0 || isr < min_isr,
        "at-min-isr-partitions" => isr == min_isr,
        _ => !client.metadata().brokers.contains_key(&partition.leader_id),
    }
}

fn describe_topic(
    topic: &DescribeTopicPartitionsResponseTopic,
    name: &str,
    reassignments: &Reassignments,
    configs: &str,
) {
    let first = topic.partitions.first();
    let moving = first.and_then(|first| reassignments.get(&(name.to_owned(), first.partition_index)));
    let replicas = first.map_or(0, |first| replication_factor(first, moving));
    let (id, partitions) = (topic.topic_id, topic.partitions.len());
    say!(
        "Topic: {name}\tTopicId: {id}\tPartitionCount: {partitions}\tReplicationFactor: {replicas}\tConfigs: {configs}"
    );
}

fn describe_partition(
    topic: &str,
    partition: &DescribeTopicPartitionsResponsePartition,
    moving: Option<&OngoingPartitionReassignment>,
) {
    let leader: &dyn Display = if partition.leader_id < 0 { &"none" } else { &partition.leader_id };
    let moving = moving.map(|moving| {
        let (adding, removing) = (ids(&moving.adding_replicas), ids(&moving.removing_replicas));
        format!("\tAdding Replicas: {adding}\tRemoving Replicas: {removing}")
    });
    let known = |replicas: &Option<Vec<i32>>| replicas.as_deref().map_or("N/A".to_owned(), ids);
    say!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}{}\tElr: {}\tLastKnownElr: {}",
        partition.partition_index,
        ids(&partition.replica_nodes),
        ids(&partition.isr_nodes),
        moving.unwrap_or_default(),
        known(&partition.eligible_leader_replicas),
        known(&partition.last_known_elr),
    );
}

fn ids(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
