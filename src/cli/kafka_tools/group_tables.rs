//! The tables that `kafka-consumer-groups --describe` prints, in Kafka's columns.

use std::fmt::Write;

use super::session::say;
use crate::client::admin::groups::{GroupDescription, MemberDescription};
use crate::model::TopicPartition;

/// Columns that have at least 15 characters.
const WIDTH: usize = 15;

/// One line of the table of offsets; what is not known is a dash.
pub(super) struct OffsetRow {
    pub(super) partition: Option<TopicPartition>,
    pub(super) leader_epoch: Option<i32>,
    pub(super) committed: Option<i64>,
    pub(super) log_end: Option<i64>,
    pub(super) member: Option<MemberDescription>,
}

impl OffsetRow {
    fn cells(&self, group: &str) -> [String; 10] {
        let dash = || "-".to_owned();
        let number = |value: Option<i64>| value.map_or_else(dash, |value| value.to_string());
        let lag = self.committed.zip(self.log_end).map(|(committed, end)| end - committed);
        let of_member = |text: fn(&MemberDescription) -> &str| {
            self.member.as_ref().map_or_else(dash, |member| text(member).to_owned())
        };
        [
            group.to_owned(),
            self.partition.as_ref().map_or_else(dash, |partition| partition.topic.to_string()),
            number(self.partition.as_ref().map(|partition| i64::from(partition.partition))),
            number(self.leader_epoch.map(i64::from)),
            number(self.committed),
            number(self.log_end),
            number(lag),
            of_member(|member| &member.member_id),
            of_member(|member| &member.client_host),
            of_member(|member| &member.client_id),
        ]
    }
}

/// Prints the table of offsets.
pub(super) fn offsets(group: &str, rows: &[OffsetRow], verbose: bool) {
    let titles = [
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ];
    let mut widths = [WIDTH, WIDTH, 10, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, WIDTH, 0];
    let rows: Vec<_> = rows.iter().map(|row| row.cells(group)).collect();
    for column in [0, 1, 7, 8] {
        widths[column] = rows.iter().map(|row| row[column].len()).fold(widths[column], usize::max);
    }
    for row in std::iter::once(titles.map(str::to_owned)).chain(rows) {
        let shown = row.iter().zip(widths).enumerate().filter(|(column, _)| verbose || *column != 3);
        let cells: Vec<String> = shown.map(|(_, (cell, width))| format!("{cell:<width$}")).collect();
        super::session::print(format_args!("\n{}", cells.join(" ")));
    }
    say!("");
}

/// Prints the table of members.
pub(super) fn members(group: &GroupDescription, verbose: bool) {
    let members = &group.members;
    let instance = |member: &MemberDescription| member.group_instance_id.clone().unwrap_or_default();
    let with_instances = members.iter().any(|member| member.group_instance_id.is_some());
    let mut rows =
        vec![["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS"].map(str::to_owned)];
    rows.extend(members.iter().map(|member| {
        let (host, count) = (member.client_host.clone(), member.assignment.len().to_string());
        [group.group_id.clone(), member.member_id.clone(), instance(member), host, member.client_id.clone(), count]
    }));
    let mut widths = [WIDTH, WIDTH, 17, WIDTH, WIDTH, WIDTH];
    for (column, width) in widths.iter_mut().enumerate().take(5) {
        *width = rows.iter().map(|row| row[column].len()).fold(*width, usize::max);
    }
    say!("");
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if column != 2 || with_instances {
                let _ = write!(line, "{cell:<width$} ");
            }
        }
        if verbose {
            let of_epochs = match at.checked_sub(1).and_then(|at| members.get(at)) {
                None => ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT"].map(str::to_owned),
                Some(member) => epoch_cells(member, group.epochs),
            };
            for (cell, width) in of_epochs.iter().zip([WIDTH, 20, WIDTH, 20]) {
                let _ = write!(line, "{cell:<width$} ");
            }
        }
        say!("{line}");
    }
}

/// Only groups of the newer protocol have epochs and targets.
fn epoch_cells(member: &MemberDescription, epochs: Option<(i32, i32)>) -> [String; 4] {
    let dash = || "-".to_owned();
    let current = member.target.as_ref().map_or_else(dash, |(epoch, _)| epoch.to_string());
    let target_epoch = epochs.filter(|_| member.target.is_some()).map_or_else(dash, |(_, epoch)| epoch.to_string());
    let target = member.target.as_ref().map_or_else(dash, |(_, target)| assignment(target));
    [current, assignment(&member.assignment), target_epoch, target]
}

/// `topic:0,1;other:2`.
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut partitions = partitions.to_vec();
    partitions.sort();
    if partitions.is_empty() {
        return "-".to_owned();
    }
    let topics = partitions.chunk_by(|a, b| a.topic == b.topic).map(|chunk| {
        let ids: Vec<String> = chunk.iter().map(|partition| partition.partition.to_string()).collect();
        format!("{}:{}", chunk[0].topic, ids.join(","))
    });
    topics.collect::<Vec<_>>().join(";")
}

/// Prints the table of states, of one group.
pub(super) fn state(group: &GroupDescription, coordinator: &str, verbose: bool) {
    let id = group.group_id.as_str();
    let (group_width, coordinator_width) = (WIDTH.max(id.len()), coordinator.len().max(25));
    let line = |cells: [&str; 7]| {
        let [group, coordinator, strategy, state, epoch, target, members] = cells;
        let start = format!("{group:<group_width$} {coordinator:<coordinator_width$} {strategy:<20} {state:<20}");
        match verbose {
            true => say!("{start} {epoch:<15} {target:<25} {members}"),
            false => say!("{start} {members}"),
        }
    };
    say!("");
    let titles = ["GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"];
    line([titles[0], titles[1], titles[2], titles[3], "GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH", "#MEMBERS"]);
    let strategy = if group.assignor.is_empty() { "-" } else { &group.assignor };
    let epoch = |epoch: Option<i32>| epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
    let (group_epoch, target) = (epoch(group.epochs.map(|e| e.0)), epoch(group.epochs.map(|e| e.1)));
    line([id, coordinator, strategy, &group.state, &group_epoch, &target, &group.members.len().to_string()]);
    say!("");
}
