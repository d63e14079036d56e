//! `kafka-reassign-partitions`: moves partitions between brokers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::directory_moves;
use super::failure::{Failure, exception, message};
use super::options::{BOOTSTRAP_CONTROLLER, BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION};
use super::partition_lists::{json_file, partitions_of};
use super::reassignment_throttles;
use super::session::{connect, print, run_async, say};
use crate::client::ClusterClient;
use crate::client::admin::{log_dirs, reassignments};
use crate::model::TopicPartition;

const ACTIONS: [&str; 5] = ["generate", "execute", "verify", "cancel", "list"];
const DIRECTORY_THROTTLE: &str = "replica-alter-log-dirs-throttle";
/// How long a move between directories may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(30);
const RUN_VERIFY: &str =
    "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.";

pub(super) static TOOL: Tool = Tool {
    name: "kafka-reassign-partitions",
    about: "This tool helps to move topic partitions between replicas.",
    style: Style::JoptSimple,
    options: &[
        Opt::flag("additional", "Also while other moves are under way."),
        BOOTSTRAP_CONTROLLER,
        BOOTSTRAP_SERVER,
        Opt::value("broker-list", "id,…", "The brokers to move to."),
        Opt::flag("cancel", "Cancels moves."),
        COMMAND_CONFIG,
        Opt::flag("disable-rack-aware", "Does not look at racks.").without_effect("proposals never look at racks"),
        Opt::flag("disallow-replication-factor-change", "Refuses moves that change the number of replicas."),
        Opt::flag("execute", "Begins moves."),
        Opt::flag("generate", "Proposes moves."),
        HELP,
        Opt::flag("list", "Lists the moves under way."),
        Opt::flag("preserve-throttles", "Leaves throttles as they are."),
        Opt::value("reassignment-json-file", "file", "A JSON file with the moves."),
        Opt::value("replica-alter-log-dirs-throttle", "bytes/s", "Slows moves between directories down."),
        Opt::value("throttle", "bytes/s", "Slows moves down."),
        Opt::value("timeout", "ms", "How long to wait for a move to begin.").without_effect("30 seconds are tried"),
        Opt::value("topics-to-move-json-file", "file", "A JSON file with the topics."),
        Opt::flag("verify", "Tells whether moves are done."),
        VERSION,
    ],
    commands: &[],
    run,
};

type Replicas = BTreeMap<TopicPartition, Vec<i32>>;

fn run(given: &Given) -> Result<(), Failure> {
    let Some(action) = given.only_one(&ACTIONS) else {
        let actions = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(given.usage(format!("Command must include exactly one action: {actions}")));
    };
    if !given.has("bootstrap-server") {
        return Err(given.usage("Please specify --bootstrap-server"));
    }
    match action {
        "generate" => given.require(&["broker-list", "topics-to-move-json-file"])?,
        "list" => {}
        _ => given.require(&["reassignment-json-file"])?,
    }
    let outcome = run_async(async {
        let client = &mut connect(given).await?;
        match action {
            "generate" => generate(given, client).await,
            "execute" => execute(given, client).await,
            "verify" => verify(given, client).await,
            "cancel" => cancel(given, client).await,
            _ => list(client).await,
        }
    });
    outcome.inspect_err(|failure| say!("Error: {}", failure.message()))?;
    Ok(())
}

/// The moves that the JSON file asks for: to brokers, and to their directories.
fn asked(given: &Given) -> Result<(Replicas, directory_moves::Wanted), Failure> {
    let document = json_file(given.value("reassignment-json-file").unwrap_or_default())?;
    let (mut replicas, mut directories) = (Replicas::new(), directory_moves::Wanted::new());
    for (partition, entry) in partitions_of(&document)? {
        let list = entry.get("replicas").and_then(Value::as_array);
        let list = list.ok_or_else(|| Failure::said("No such field exists: `replicas`"))?;
        let ids: Option<Vec<i32>> = list.iter().map(|id| id.as_i64().and_then(|id| i32::try_from(id).ok())).collect();
        let ids = ids.ok_or_else(|| Failure::said(format!("the replicas of {partition} are no broker ids")))?;
        directory_moves::asked(entry, &partition, &ids, &mut directories)?;
        if ids.is_empty() {
            return Err(Failure::said(format!("Partition {partition} has an empty list of replicas")));
        }
        if replicas.insert(partition.clone(), ids).is_some() {
            return Err(Failure::said(format!(
                "Partition reassignment contains duplicate topic partitions: {partition}"
            )));
        }
    }
    match replicas.is_empty() {
        true => Err(Failure::said("Partition reassignment list cannot be empty")),
        false => Ok((replicas, directories)),
    }
}

fn names<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> String {
    partitions.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Where partitions are now; a topic that is missing is an error.
async fn current(client: &mut ClusterClient, wanted: &BTreeSet<String>) -> Result<Replicas, Failure> {
    let topics: Vec<String> = wanted.iter().cloned().collect();
    client.learn_topics(Some(&topics)).await?;
    let mut replicas = Replicas::new();
    for name in topics {
        for partition in &client.metadata().topic(&name)?.partitions {
            let place = TopicPartition::new(name.as_str(), partition.partition_index);
            replicas.insert(place, partition.replica_nodes.clone());
        }
    }
    Ok(replicas)
}

fn topics_of(replicas: &Replicas) -> BTreeSet<String> {
    replicas.keys().map(|partition| partition.topic.to_string()).collect()
}

/// The JSON of an assignment, in Kafka's order of fields.
fn document(replicas: &Replicas, directories: &BTreeMap<(TopicPartition, i32), String>) -> String {
    let entry = |(partition, ids): (&TopicPartition, &Vec<i32>)| {
        let places = ids.iter().map(|id| directories.get(&(partition.clone(), *id)).map_or("any", String::as_str));
        let (topic, places) = (json!(&*partition.topic), json!(places.collect::<Vec<_>>()));
        let (id, replicas) = (partition.partition, json!(ids));
        format!("{{\"topic\":{topic},\"partition\":{id},\"replicas\":{replicas},\"log_dirs\":{places}}}")
    };
    let entries: Vec<String> = replicas.iter().map(entry).collect();
    format!("{{\"version\":1,\"partitions\":[{}]}}", entries.join(","))
}

/// In which directory each replica lies.
async fn directories(client: &mut ClusterClient) -> Result<BTreeMap<(TopicPartition, i32), String>, Failure> {
    let brokers: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let mut found = BTreeMap::new();
    for (broker, directories) in log_dirs::describe(client, &brokers, None).await? {
        for directory in directories {
            for topic in &directory.topics {
                for partition in topic.partitions.iter().filter(|partition| !partition.is_future_key) {
                    let place = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    found.insert((place, broker), directory.log_dir.clone());
                }
            }
        }
    }
    Ok(found)
}

async fn generate(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let document_of_topics = json_file(given.value("topics-to-move-json-file").unwrap_or_default())?;
    let list = document_of_topics.get("topics").and_then(Value::as_array);
    let list = list.ok_or_else(|| Failure::said("No such field exists: `topics`"))?;
    let topics: BTreeSet<String> =
        list.iter().filter_map(|entry| entry.get("topic")?.as_str().map(str::to_owned)).collect();
    let ids = given.value("broker-list").unwrap_or_default().split(',');
    let brokers = ids.map(|id| id.trim().parse()).collect::<Result<Vec<i32>, _>>();
    let brokers = brokers.map_err(|_| Failure::said("--broker-list expects a list of broker ids"))?;
    let twice = (1..brokers.len()).find(|at| brokers[..*at].contains(&brokers[*at]));
    if let Some(at) = twice {
        return Err(Failure::said(format!("Broker list contains duplicate entries: {}", brokers[at])));
    }
    let current = current(client, &topics).await?;
    say!("Current partition replica assignment\n{}\n", document(&current, &directories(client).await?));
    let mut proposed = Replicas::new();
    let first: usize = rand::random_range(0..brokers.len());
    for (at, (partition, replicas)) in current.iter().enumerate() {
        if replicas.len() > brokers.len() {
            return Err(Failure::said(format!(
                "Replication factor: {} larger than available brokers: {}",
                replicas.len(),
                brokers.len()
            )));
        }
        let place = |replica| brokers[(first + at + replica) % brokers.len()];
        proposed.insert(partition.clone(), (0..replicas.len()).map(place).collect());
    }
    say!("Proposed partition reassignment configuration\n{}", document(&proposed, &BTreeMap::new()));
    Ok(())
}

async fn execute(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let (wanted, wanted_directories) = asked(given)?;
    let under_way = reassignments::list(client).await?;
    if !under_way.is_empty() && !given.has("additional") {
        return Err(Failure::said(
            "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment.",
        ));
    }
    let brokers = wanted.values().flatten();
    if let Some(unknown) = brokers.filter(|id| !client.metadata().brokers.contains_key(id)).min() {
        return Err(Failure::said(format!("Unknown broker id {unknown}")));
    }
    let mut before = current(client, &topics_of(&wanted)).await?;
    before.retain(|partition, _| wanted.contains_key(partition));
    say!("Current partition replica assignment\n\n{}\n", document(&before, &directories(client).await?));
    say!("Save this to use as the --reassignment-json-file option during rollback");
    let (rate, directory_rate) = (rate(given, "throttle")?, rate(given, DIRECTORY_THROTTLE)?);
    if rate.or(directory_rate).is_some() {
        say!("{RUN_VERIFY}");
    }
    if let Some(rate) = rate {
        reassignment_throttles::set(client, rate, &wanted, &before, &under_way).await?;
        say!("The inter-broker throttle limit was set to {rate} B/s");
    }
    if let Some(rate) = directory_rate {
        directory_moves::set_throttle(client, rate, &wanted_directories).await?;
    }
    // A broker remembers where a replica is to be that comes only now.
    log_dirs::alter(client, &wanted_directories).await?;
    let asked = wanted.iter().map(|(partition, replicas)| (partition.clone(), Some(replicas.clone()))).collect();
    let allow_change = !given.has("disallow-replication-factor-change");
    let outcomes = reassignments::alter(client, &asked, allow_change).await?;
    let refused: Vec<_> = outcomes.iter().filter_map(|(at, outcome)| Some((at, outcome.as_ref().err()?))).collect();
    if !refused.is_empty() {
        let lines = refused.iter().map(|(partition, error)| format!("{partition}: {}", message(error)));
        let lines = lines.collect::<Vec<_>>().join("\n");
        return Err(Failure::said(format!("Error reassigning partition(s):\n{lines}")));
    }
    let plural = if wanted.len() == 1 { "" } else { "s" };
    say!("Successfully started partition reassignment{plural} for {}", names(wanted.keys()));
    directory_moves::begin(client, &wanted_directories, BEGIN_MAX).await
}

/// The rate that was asked for. Kafka takes a negative one for none.
fn rate(given: &Given, option: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = given.value(option) else { return Ok(None) };
    let rate: i64 =
        text.trim().parse().map_err(|_| Failure::said(format!("--{option} expects a number, not {text}")))?;
    Ok(u64::try_from(rate).ok())
}

async fn verify(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let (wanted, wanted_directories) = asked(given)?;
    let under_way = reassignments::list(client).await?;
    let now = current(client, &topics_of(&wanted)).await?;
    say!("Status of partition reassignment:");
    let mut unfinished = false;
    for (partition, replicas) in &wanted {
        let there = now.get(partition).map_or(&[][..], Vec::as_slice);
        if under_way.contains_key(partition) {
            unfinished = true;
            say!("Reassignment of partition {partition} is still in progress.");
        } else if there == replicas {
            say!("Reassignment of partition {partition} is completed.");
        } else {
            let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
            say!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                list(there),
                list(replicas)
            );
        }
    }
    unfinished |= directory_moves::verify(client, &wanted_directories).await?;
    if !unfinished && !given.has("preserve-throttles") {
        reassignment_throttles::clear(client, &topics_of(&wanted)).await?;
    }
    Ok(())
}

async fn cancel(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let (wanted, wanted_directories) = asked(given)?;
    let under_way = reassignments::list(client).await?;
    let active: BTreeMap<_, _> = wanted
        .keys()
        .filter(|partition| under_way.contains_key(partition))
        .map(|partition| (partition.clone(), None))
        .collect();
    if active.is_empty() {
        say!("None of the specified partition reassignments are active.");
    } else {
        let outcomes = reassignments::alter(client, &active, true).await?;
        let refused: Vec<_> = outcomes.into_iter().filter_map(|(at, outcome)| Some((at, outcome.err()?))).collect();
        if !refused.is_empty() {
            let lines = refused.iter().map(|(partition, error)| format!("{partition}: {}", exception(error)));
            let lines = lines.collect::<Vec<_>>().join("\n");
            return Err(Failure::said(format!("Error cancelling partition reassignments:\n{lines}")));
        }
        say!("Successfully cancelled partition reassignments for: {}", names(active.keys()));
    }
    let back = directory_moves::under_way(client, &wanted_directories).await?;
    match back.is_empty() {
        // Kafka ends no line here.
        true => print(format_args!("None of the specified partition moves are active.")),
        false => directory_moves::begin(client, &back, BEGIN_MAX).await?,
    }
    if !given.has("preserve-throttles") {
        reassignment_throttles::clear(client, &topics_of(&wanted)).await?;
    }
    Ok(())
}

async fn list(client: &mut ClusterClient) -> Result<(), Failure> {
    let moves = reassignments::list(client).await?;
    if moves.is_empty() {
        say!("No partition reassignments found.");
        return Ok(());
    }
    say!("Current partition reassignments:");
    let ids = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    for (partition, moving) in moves {
        let part = |name: &str, list: &[i32]| match list.is_empty() {
            true => String::new(),
            false => format!(" {name}: {}.", ids(list)),
        };
        let (adding, removing) = (part("adding", &moving.adding_replicas), part("removing", &moving.removing_replicas));
        say!("{partition}: replicas: {}.{adding}{removing}", ids(&moving.replicas));
    }
    Ok(())
}
