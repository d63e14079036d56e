//! `ottla groups reset-offsets`.

use std::collections::BTreeMap;

use clap::{ArgGroup, Args};
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Output, Table};
use crate::cli::time::{MOMENT_HELP, moment};
use crate::client::admin::groups::{self, CommittedOffset};
use crate::client::admin::offsets::{self, OffsetSpec};
use crate::client::{ClusterClient, ClusterError};
use crate::model::{ErrorCode, Offset, TopicPartition};

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("to").required(true)))]
pub(super) struct Arguments {
    /// The group. One that does not exist yet gets its first offsets.
    group: String,
    /// A topic, or topic:0,2 for some of its partitions; may be repeated.
    #[arg(short, long = "topic", value_name = "TOPIC[:N,...]", required_unless_present = "all_topics")]
    topics: Vec<String>,
    /// All topics that the group has offsets of.
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    /// To the first record there is.
    #[arg(long, group = "to")]
    to_earliest: bool,
    /// To the end: only new records are read.
    #[arg(long, group = "to")]
    to_latest: bool,
    /// To this offset.
    #[arg(long, value_name = "OFFSET", group = "to", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record of this time or later.
    #[arg(long, value_name = "TIME", group = "to", value_parser = moment, long_help = format!("To the first record of this time or later: {MOMENT_HELP}"))]
    to_datetime: Option<i64>,
    /// So many records on, or back with a negative number.
    #[arg(long, value_name = "N", group = "to", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// Makes the change; without it, it is only shown.
    #[arg(long)]
    execute: bool,
}

#[derive(Serialize)]
struct Reset {
    topic: String,
    partition: i32,
    from: Option<i64>,
    to: i64,
    executed: bool,
}

pub(super) async fn run(client: &mut ClusterClient, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let group = &arguments.group;
    let committed = groups::committed(client, group).await?;
    let partitions = partitions(client, arguments, &committed).await?;
    let targets = targets(client, arguments, &partitions, &committed).await?;
    if arguments.execute {
        refuse_members(client, group).await?;
        groups::commit(client, group, &targets).await?;
    }
    let reset = |(partition, to): (&TopicPartition, &Offset)| Reset {
        topic: partition.topic.to_string(),
        partition: partition.partition,
        from: committed.get(partition).map(|committed| committed.offset),
        to: *to,
        executed: arguments.execute,
    };
    let resets: Vec<Reset> = targets.iter().map(reset).collect();
    Ok(output.print(&resets, |output| {
        let hint = match arguments.execute {
            true => format!("The offsets of {group} were changed.\n"),
            false => "Nothing was changed. Add --execute to change it.\n".to_owned(),
        };
        output.table(&table(&resets)) + &hint
    })?)
}

/// The partitions whose offsets are to be moved.
async fn partitions(
    client: &mut ClusterClient,
    arguments: &Arguments,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<Vec<TopicPartition>, Failure> {
    if arguments.all_topics {
        if committed.is_empty() {
            let what = format!("group {:?} has no offsets", arguments.group);
            return Err(Failure::new(Exit::NotFound, what).next("Name the topics with --topic."));
        }
        let topics: Vec<String> = committed.keys().map(|partition| partition.topic.to_string()).collect();
        client.learn_topics(Some(&topics)).await?;
        return Ok(committed.keys().cloned().collect());
    }
    let mut partitions = Vec::new();
    for named in &arguments.topics {
        let (topic, only) = match named.split_once(':') {
            None => (named.as_str(), Vec::new()),
            Some((topic, list)) => (topic, numbers(named, list)?),
        };
        client.learn_topics(Some(&[topic.to_owned()])).await?;
        let found = client.metadata().topic(topic)?;
        let there: Vec<i32> = found.partitions.iter().map(|partition| partition.partition_index).collect();
        if let Some(missing) = only.iter().find(|index| !there.contains(index)) {
            let (topic, count) = (topic.to_owned(), there.len());
            return Err(ClusterError::UnknownPartition { topic, partition: *missing, count }.into());
        }
        let wanted = there.into_iter().filter(|index| only.is_empty() || only.contains(index));
        partitions.extend(wanted.map(|index| TopicPartition::new(topic, index)));
    }
    Ok(partitions)
}

fn numbers(named: &str, list: &str) -> Result<Vec<i32>, Failure> {
    let number = |text: &str| text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
    let numbers: Option<Vec<i32>> = list.split(',').map(number).collect();
    numbers.ok_or_else(|| Failure::usage(format!("--topic {named}: write TOPIC:0,2 to name partitions")))
}

/// Where each partition's offset goes; always within what the partition has.
async fn targets(
    client: &mut ClusterClient,
    arguments: &Arguments,
    partitions: &[TopicPartition],
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let all = || partitions.iter().cloned();
    let starts = offsets::list_all(client, all(), OffsetSpec::Earliest).await?;
    let ends = offsets::list_all(client, all(), OffsetSpec::Latest).await?;
    let at_time = match arguments.to_datetime {
        Some(time) => offsets::list_all(client, all(), OffsetSpec::AtTime(time)).await?,
        None => BTreeMap::new(),
    };
    let mut targets = BTreeMap::new();
    for (partition, end) in ends {
        let start = starts.get(&partition).copied().unwrap_or_default();
        let wanted = if arguments.to_earliest {
            start
        } else if let Some(offset) = arguments.to_offset {
            offset
        } else if let Some(found) = at_time.get(&partition) {
            // No record is that young: the end.
            if *found < 0 { end } else { *found }
        } else if let Some(shift) = arguments.shift_by {
            let Some(from) = committed.get(&partition) else {
                let what = format!("group {:?} has no offset of {partition} that could be shifted", arguments.group);
                return Err(Failure::new(Exit::NotFound, what).next("Use --to-earliest, --to-latest or --to-datetime."));
            };
            from.offset.saturating_add(shift)
        } else {
            end
        };
        targets.insert(partition, wanted.clamp(start, end.max(start)));
    }
    Ok(targets)
}

/// A group whose members run would go on from where they are.
async fn refuse_members(client: &mut ClusterClient, group: &str) -> Result<(), Failure> {
    match groups::describe(client, group).await {
        Ok(described) if !described.members.is_empty() => {
            let what = format!("group {group:?} has {} members and is {}", described.members.len(), described.state);
            Err(Failure::new(Exit::Failed, what).next("Stop its members first."))
        }
        Ok(_) | Err(ClusterError::Refused { code: ErrorCode::GroupIdNotFound, .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn table(resets: &[Reset]) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITION", "FROM", "TO"]);
    for reset in resets {
        table.row(vec![reset.topic.as_str().into(), reset.partition.into(), reset.from.into(), reset.to.into()]);
    }
    table
}
