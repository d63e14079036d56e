//! `kafka-consumer-groups`: lists, describes and deletes consumer groups, and moves their offsets.

use std::collections::BTreeMap;

use super::failure::{Failure, exception, message};
use super::group_offsets;
use super::group_tables::{self, OffsetRow};
use super::meant_groups::meant;
use super::options::{BOOTSTRAP_SERVER, COMMAND_CONFIG, Given, HELP, Opt, Style, Tool, VERSION, list};
use super::session::{connect, run_async, say};
use crate::client::admin::groups::{self, GroupDescription};
use crate::client::{ClusterClient, ClusterError};
use crate::model::{ErrorCode, TopicPartition};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-groups",
    about: "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.",
    style: Style::JoptSimple,
    options: &[
        Opt::flag("all-groups", "All groups."),
        Opt::flag("all-topics", "All topics that the group has offsets of."),
        BOOTSTRAP_SERVER,
        Opt::value("by-duration", "PnDTnHnMnS", "Resets to the offsets of that long ago."),
        COMMAND_CONFIG,
        Opt::flag("delete", "Deletes groups."),
        Opt::flag("delete-offsets", "Deletes offsets of a group."),
        Opt::flag("describe", "Describes groups."),
        Opt::flag("dry-run", "Only shows what --reset-offsets would do."),
        Opt::flag("execute", "Does what --reset-offsets shows."),
        Opt::flag("export", "Shows the new offsets as CSV."),
        Opt::value("from-file", "file", "Resets to the offsets of a CSV file."),
        Opt::value("group", "id", "The group; may be repeated."),
        HELP,
        Opt::flag("list", "Lists the groups."),
        Opt::flag("members", "Describes the members."),
        Opt::flag("offsets", "Describes the offsets; so does --describe alone."),
        Opt::flag("reset-offsets", "Moves the offsets of a group without members."),
        Opt::value("shift-by", "number", "Resets to the present offsets and so many more; less if negative."),
        Opt::maybe(
            "state",
            "state,…",
            "Describes the state; with --list, shows states, or lists only groups in these.",
        ),
        Opt::value("timeout", "ms", "How long to try.").without_effect("30 seconds are tried"),
        Opt::flag("to-current", "Resets to the present offsets."),
        Opt::value(
            "to-datetime",
            "time",
            "Resets to the offsets at a time, as 2026-01-31T12:00:00.000 (UTC if it has no zone).",
        ),
        Opt::flag("to-earliest", "Resets to the first offsets."),
        Opt::flag("to-latest", "Resets to the ends."),
        Opt::value("to-offset", "offset", "Resets to an offset."),
        Opt::value("topic", "topic[:partition,…]", "The topic; may be repeated."),
        Opt::maybe("type", "type,…", "With --list, shows types, or lists only groups of these."),
        Opt::value("validate-regex", "regex", "Checks a regular expression for topics."),
        Opt::flag("verbose", "Shows more columns."),
        VERSION,
    ],
    commands: &[],
    run,
};

const ACTIONS: [&str; 6] = ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];
const STATES: [&str; 7] =
    ["Empty", "Dead", "PreparingRebalance", "Stable", "Assigning", "CompletingRebalance", "Reconciling"];
const TYPES: [&str; 2] = ["Classic", "Consumer"];

fn run(given: &Given) -> Result<(), Failure> {
    let Some(action) = given.only_one(&ACTIONS) else {
        let actions = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return Err(given.usage(format!("Command must include exactly one action: {actions}")));
    };
    check(given, action)?;
    let outcome = run_async(async {
        let client = &mut connect(given).await?;
        match action {
            "list" => list_groups(given, client).await,
            "describe" => describe(given, client).await,
            "delete" => delete(given, client).await,
            "reset-offsets" => group_offsets::reset(given, client).await,
            "delete-offsets" => group_offsets::delete(given, client).await,
            _ => {
                validate(given.value("validate-regex").unwrap_or_default());
                Ok(())
            }
        }
    });
    match outcome {
        // Kafka's tool tells on standard output what the cluster refused, and succeeds.
        Err(Failure::Cluster(error)) if !error.is_unreachable() => {
            // Kafka names the class of what it asks for, and not of topics that it looks up.
            let looked_up = matches!(error, ClusterError::UnknownTopic { .. });
            let why = if looked_up { message(&error) } else { exception(&error) };
            say!("\nError: Executing consumer group command failed due to {why}");
            Ok(())
        }
        Err(Failure::Said(what)) => {
            say!("\nError: Executing consumer group command failed due to {what}");
            Ok(())
        }
        outcome => outcome,
    }
}

fn check(given: &Given, action: &str) -> Result<(), Failure> {
    given.require(&["bootstrap-server"])?;
    let one_of = |options: &[&str]| {
        let names: Vec<String> = options.iter().map(|option| format!("[{option}]")).collect();
        given.usage(format!("Option [{action}] takes one of these options: {}", names.join(", ")))
    };
    let groups = given.has("group") || given.has("all-groups");
    match action {
        "describe" | "delete" if !groups => return Err(one_of(&["group", "all-groups"])),
        "describe" => {
            let parts = ["members", "offsets", "state"].iter().filter(|part| given.has(part)).count();
            if parts > 1 {
                return Err(
                    given.usage("Option [describe] takes at most one of these options: [members], [offsets], [state]")
                );
            }
        }
        "reset-offsets" => {
            if !given.has("execute") && !given.has("dry-run") {
                eprintln!("WARN: No action will be performed as the --execute option is missing.");
            }
            if given.has("execute") && given.has("dry-run") {
                return Err(given.usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]"));
            }
            if !groups {
                return Err(one_of(&["group", "all-groups"]));
            }
            if given.only_one(&group_offsets::SCENARIOS).is_none() {
                return Err(one_of(&group_offsets::SCENARIOS));
            }
            if !given.has("from-file") && !given.has("topic") && !given.has("all-topics") {
                return Err(given.usage("One of the reset scopes should be defined: --all-topics, --topic."));
            }
        }
        "delete-offsets" => given.require(&["group", "topic"])?,
        _ => {}
    }
    if given.has("list") {
        one_of_each(given, "state", &STATES)?;
        one_of_each(given, "type", &TYPES)?;
    }
    given.forbid_with("group", &["all-groups"])
}

/// Refuses a list in which something else stands.
fn one_of_each(given: &Given, option: &str, known: &[&str]) -> Result<(), Failure> {
    let text = given.value(option).unwrap_or_default();
    let unknown = list(text).into_iter().any(|item| !known.iter().any(|known| known.eq_ignore_ascii_case(item)));
    match unknown {
        true => Err(given.usage(format!("Invalid {option} list '{text}'. Valid {option}s are: {}", known.join(", ")))),
        false => Ok(()),
    }
}

async fn list_groups(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let wanted = |option: &str, value: &str| {
        let items = list(given.value(option).unwrap_or_default());
        items.is_empty() || items.iter().any(|item| item.eq_ignore_ascii_case(value))
    };
    let found = groups::list(client).await?;
    // Connect's workers form groups too, which are no consumer groups.
    let consumers = found.iter().filter(|group| matches!(group.protocol_type.as_str(), "consumer" | ""));
    let shown: Vec<_> = consumers
        .filter(|group| wanted("state", &group.group_state) && wanted("type", &group.group_type))
        .map(|group| (group.group_id.as_str(), capitalised(&group.group_type), group.group_state.as_str()))
        .collect();
    let (with_type, with_state) = (given.has("type"), given.has("state"));
    if !with_type && !with_state {
        shown.iter().for_each(|(group, _, _)| say!("{group}"));
        return Ok(());
    }
    let width = shown.iter().map(|(group, _, _)| group.len().max(15)).max().unwrap_or(15) + 10;
    let line = |group: &str, kind: &str, state: &str| {
        let kind = if with_type { format!(" {kind:<20}") } else { String::new() };
        let state = if with_state { format!(" {state:<20}") } else { String::new() };
        say!("{group:<width$}{kind}{state}");
    };
    line("GROUP", "TYPE", "STATE");
    shown.iter().for_each(|(group, kind, state)| line(group, kind, state));
    Ok(())
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

async fn describe(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let mut described = Vec::new();
    for name in meant(given, client).await? {
        described.push(groups::describe(client, &name).await.map_err(|error| not_found(&name, error))?);
    }
    for group in described {
        let told = tell_state(&group);
        if given.has("members") {
            group_tables::members(&group, given.has("verbose"));
        } else if given.has("state") {
            let address = client.metadata().address(group.coordinator).unwrap_or("-".to_owned());
            group_tables::state(&group, &format!("{address}  ({})", group.coordinator), given.has("verbose"));
        } else {
            let rows = offset_rows(client, &group).await?;
            if told && !rows.is_empty() {
                group_tables::offsets(&group.group_id, &rows, given.has("verbose"));
            }
        }
    }
    Ok(())
}

/// Kafka names the group in this one error.
fn not_found(group: &str, error: ClusterError) -> ClusterError {
    match error {
        ClusterError::Refused { subject, code: ErrorCode::GroupIdNotFound, message: None } => ClusterError::Refused {
            subject,
            code: ErrorCode::GroupIdNotFound,
            message: Some(format!("Group {group} not found.")),
        },
        other => other,
    }
}

/// Tells on standard error what is special about the state; false when there is nothing to describe.
fn tell_state(group: &GroupDescription) -> bool {
    let id = &group.group_id;
    match group.state.as_str() {
        "Dead" => say!("\nError: Consumer group '{id}' does not exist."),
        "Empty" => eprintln!("\nConsumer group '{id}' has no active members."),
        "Stable" => {}
        _ => eprintln!("\nWarning: Consumer group '{id}' is rebalancing."),
    }
    group.state != "Dead"
}

/// A row for each partition of each member, and for each other one that the group has an offset of.
async fn offset_rows(client: &mut ClusterClient, group: &GroupDescription) -> Result<Vec<OffsetRow>, Failure> {
    let committed = groups::committed(client, &group.group_id).await?;
    let ends: BTreeMap<TopicPartition, Option<i64>> =
        groups::lag(client, group).await?.into_iter().map(|lag| (lag.partition, lag.log_end)).collect();
    let row = |partition: &TopicPartition, member| OffsetRow {
        committed: committed.get(partition).map(|committed| committed.offset),
        leader_epoch: committed.get(partition).map(|committed| committed.leader_epoch).filter(|epoch| *epoch >= 0),
        log_end: ends.get(partition).copied().flatten(),
        partition: Some(partition.clone()),
        member,
    };
    let mut members: Vec<_> = group.members.iter().collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows = Vec::new();
    for member in &members {
        let mut assignment = member.assignment.clone();
        assignment.sort();
        rows.extend(assignment.iter().map(|partition| row(partition, Some((*member).clone()))));
    }
    let assigned =
        |partition: &&TopicPartition| group.members.iter().any(|member| member.assignment.contains(partition));
    rows.extend(committed.keys().filter(|partition| !assigned(partition)).map(|partition| row(partition, None)));
    let idle = members.into_iter().filter(|member| member.assignment.is_empty()).cloned();
    rows.extend(idle.map(|member| OffsetRow {
        partition: None,
        leader_epoch: None,
        committed: None,
        log_end: None,
        member: Some(member),
    }));
    Ok(rows)
}

async fn delete(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for name in meant(given, client).await? {
        match groups::delete(client, &name).await {
            Ok(()) => deleted.push(format!("'{name}'")),
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => kept.push(format!("* Group '{name}' could not be deleted due to: {}", exception(&error))),
        }
    }
    if kept.is_empty() {
        say!("Deletion of requested consumer groups ({}) was successful.", deleted.join(", "));
        return Ok(());
    }
    say!("\nError: Deletion of some consumer groups failed:");
    kept.iter().for_each(|line| say!("{line}"));
    if !deleted.is_empty() {
        say!("\nThese consumer groups were deleted successfully: {}", deleted.join(", "));
    }
    Ok(())
}

fn validate(text: &str) {
    match regex::Regex::new(text) {
        Ok(_) => say!("The regular expression `{text}` is valid."),
        Err(error) => {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            say!("The regular expression `{text}` is invalid: {why}.");
        }
    }
}
