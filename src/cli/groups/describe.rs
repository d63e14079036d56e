//! `ottla groups describe`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::{Cell, Output, Table, Tone};
use crate::cli::time::iso;
use crate::client::ClusterClient;
use crate::client::admin::groups::{self, GroupDescription, PartitionLag};
use crate::model::TopicPartition;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Names of the groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Serialize)]
struct Described {
    group: String,
    #[serde(rename = "type")]
    kind: &'static str,
    state: String,
    assignor: String,
    coordinator: i32,
    /// Only of groups of the consumer protocol.
    group_epoch: Option<i32>,
    assignment_epoch: Option<i32>,
    last_rebalance: Option<Rebalance>,
    /// Records that are not read yet, in all partitions where that is known.
    lag: i64,
    partitions: Vec<Partition>,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Rebalance {
    at: String,
    reason: String,
}

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    log_start: Option<i64>,
    log_end: Option<i64>,
    lag: Option<i64>,
    member: Option<String>,
}

#[derive(Serialize)]
struct Member {
    member: String,
    instance: Option<String>,
    client: String,
    host: String,
    topics: Vec<String>,
    assignment: Vec<String>,
    /// Only of members of groups of the consumer protocol.
    epoch: Option<i32>,
    target: Option<Vec<String>>,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut described = Vec::new();
    for name in &arguments.groups {
        match groups::describe(client, name).await {
            Ok(group) => {
                let lag = groups::lag(client, &group).await?;
                described.push(describe(group, lag));
            }
            Err(error) => return Err(super::explain(client, name, error).await),
        }
    }
    Ok(output.print(&described, |output| {
        let blocks: Vec<String> = described.iter().map(|group| text(group, output)).collect();
        blocks.join("\n")
    })?)
}

fn describe(group: GroupDescription, lag: Vec<PartitionLag>) -> Described {
    let readers: BTreeMap<TopicPartition, String> = group
        .members
        .iter()
        .flat_map(|member| member.assignment.iter().map(|partition| (partition.clone(), member.member_id.clone())))
        .collect();
    let partition = |lag: PartitionLag| Partition {
        member: readers.get(&lag.partition).cloned(),
        topic: lag.partition.topic.to_string(),
        partition: lag.partition.partition,
        committed: lag.committed,
        log_start: lag.log_start,
        log_end: lag.log_end,
        lag: lag.lag,
    };
    let partitions: Vec<Partition> = lag.into_iter().map(partition).collect();
    let members = group.members.into_iter().map(|member| Member {
        member: member.member_id,
        instance: member.group_instance_id,
        client: member.client_id,
        host: member.client_host,
        topics: member.topics,
        assignment: member.assignment.iter().map(ToString::to_string).collect(),
        epoch: member.target.as_ref().map(|(epoch, _)| *epoch),
        target: member.target.map(|(_, target)| target.iter().map(ToString::to_string).collect()),
    });
    Described {
        group: group.group_id,
        kind: group.group_type,
        state: group.state,
        assignor: group.assignor,
        coordinator: group.coordinator,
        group_epoch: group.epochs.map(|(epoch, _)| epoch),
        assignment_epoch: group.epochs.map(|(_, epoch)| epoch),
        last_rebalance: group.last_rebalance.map(|(at, reason)| Rebalance { at: iso(at), reason }),
        lag: partitions.iter().filter_map(|partition| partition.lag).sum(),
        partitions,
        members: members.collect(),
    }
}

fn text(group: &Described, output: &Output) -> String {
    let Described { group: name, state, kind, coordinator, lag, .. } = group;
    let name = output.paint(name, Tone::Title);
    let mut text = format!("{name}: {state}, {kind}, coordinated by broker {coordinator}, lag {lag}\n");
    if let (Some(epoch), Some(assignment)) = (group.group_epoch, group.assignment_epoch) {
        text.push_str(&format!("group epoch {epoch}, assignment epoch {assignment}, assignor {}\n", group.assignor));
    } else if !group.assignor.is_empty() {
        text.push_str(&format!("assignor {}\n", group.assignor));
    }
    if let Some(Rebalance { at, reason }) = &group.last_rebalance {
        text.push_str(&format!("last rebalance at {at}: {reason}\n"));
    }
    text.push_str(&output.table(&partitions(group)));
    if !group.members.is_empty() {
        text.push('\n');
        text.push_str(&output.table(&members(group)));
    }
    text
}

fn partitions(group: &Described) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITION", "COMMITTED", "LOG END", "LAG", "MEMBER"]);
    for partition in &group.partitions {
        let lag = Cell::from(partition.lag);
        table.row(vec![
            partition.topic.as_str().into(),
            partition.partition.into(),
            partition.committed.into(),
            partition.log_end.into(),
            if partition.lag.is_some_and(|lag| lag > 0) { lag.tone(Tone::Warning) } else { lag },
            partition.member.as_deref().into(),
        ]);
    }
    table
}

fn members(group: &Described) -> Table {
    let mut table = Table::new(&["MEMBER", "CLIENT", "HOST", "EPOCH", "PARTITIONS", "ASSIGNMENT", "STILL TO COME"]);
    for member in &group.members {
        let target = member.target.iter().flatten();
        let to_come: Vec<&str> =
            target.filter(|to_come| !member.assignment.contains(to_come)).map(String::as_str).collect();
        table.row(vec![
            member.member.as_str().into(),
            member.client.as_str().into(),
            member.host.as_str().into(),
            member.epoch.into(),
            member.assignment.len().into(),
            member.assignment.join(",").into(),
            to_come.join(",").into(),
        ]);
    }
    table
}
