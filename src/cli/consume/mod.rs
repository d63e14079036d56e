//! `ottla consume`.

mod format;
mod start;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::common::{ClusterArguments, OutputArguments, run_until_done};
use super::exit::{Exit, Failure};
use super::time::{MOMENT_HELP, moment};
use crate::client::{ClusterClient, Consumer, ConsumerOptions, GroupMember, Moved, Position};
use crate::model::{Offset, TopicPartition};
use format::Shape;
use start::Start;

const EXAMPLES: &str = "\
Examples:
  ottla consume orders
      What is written from now on, until Ctrl-C.
  ottla consume orders --from-beginning --exit-at-end
  ottla consume orders --from-time 2h -n 10 --format '{timestamp} {key}: {value}'
  ottla consume orders --offset -5 --partition 0 --json
      The last five records of partition 0, with headers and timestamps.
  ottla consume orders payments --group billing --from-beginning
      As a member of a group, which goes on where it left off.";

/// How often a member of a group stores how far it is.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Isolation {
    /// All records.
    ReadUncommitted,
    /// No records of transactions that are open or were aborted.
    ReadCommitted,
}

/// `ottla consume`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ConsumeArguments {
    /// The topics.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Starts at the first record there is; in a group, where it has no offset yet.
    #[arg(long, group = "start")]
    from_beginning: bool,
    /// Starts at this offset; a negative one counts from the end.
    #[arg(short, long, value_name = "OFFSET", group = "start", allow_hyphen_values = true)]
    offset: Option<i64>,
    /// Starts at the first record of this time or later.
    #[arg(long, value_name = "TIME", group = "start", value_parser = moment, long_help = format!("Starts at the first record of this time or later: {MOMENT_HELP}"))]
    from_time: Option<i64>,
    /// Only these partitions; may be repeated.
    #[arg(short, long = "partition", value_name = "N", conflicts_with = "group", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Reads as a member of this group and stores how far it is.
    #[arg(short, long)]
    group: Option<String>,
    /// Ends after this many records.
    #[arg(short = 'n', long = "max-records", value_name = "N")]
    max_records: Option<u64>,
    /// Ends where the partitions ended when it began, instead of waiting for more.
    #[arg(short, long)]
    exit_at_end: bool,
    /// "value", "key-value", "json", or a template with {topic} {partition} {offset} {timestamp} {time} {key} {value}
    /// {headers}, \t and \n.
    #[arg(short, long, default_value = "value", value_name = "FORMAT")]
    format: Shape,
    /// Which records of transactions are read.
    #[arg(long, value_enum, default_value_t = Isolation::ReadUncommitted, value_name = "LEVEL")]
    isolation: Isolation,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Runs it.
pub(super) fn run(arguments: &ConsumeArguments, output: OutputArguments) -> Result<(), Failure> {
    if arguments.offset.is_some() && arguments.group.is_some() {
        return Err(Failure::usage("--offset and --group exclude each other")
            .next("Move a group's offsets with: ottla groups reset-offsets."));
    }
    let shape = if output.json { Shape::Json } else { arguments.format.clone() };
    run_until_done(async {
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        let connected = tokio::select! {
            connected = Reader::open(arguments, shape) => connected,
            _ = &mut interrupted => return Err(Failure::Silent(Exit::Interrupted)),
        };
        let mut reader = connected?;
        let outcome = loop {
            tokio::select! {
                more = reader.step() => match more {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(failure) => break Err(failure),
                },
                _ = &mut interrupted => break Err(Failure::Silent(Exit::Interrupted)),
            }
        };
        reader.close().await;
        outcome
    })
}

/// Reads and prints until it is done.
struct Reader {
    client: ClusterClient,
    consumer: Consumer,
    member: Option<GroupMember>,
    printer: Printer,
    start: Start,
    exit_at_end: bool,
    committed: BTreeMap<TopicPartition, Offset>,
    committed_at: Instant,
    /// Somebody at a terminal is to be told once why nothing comes.
    hint_wanted: bool,
}

/// Prints records, so many and no more.
struct Printer {
    shape: Shape,
    left: Option<u64>,
    any: bool,
    out: BufWriter<io::Stdout>,
    failed: Option<io::Error>,
}

impl Reader {
    async fn open(arguments: &ConsumeArguments, shape: Shape) -> Result<Self, Failure> {
        let mut client = arguments.cluster.connect().await?;
        client.learn_topics(Some(&arguments.topics)).await?;
        let read_committed = arguments.isolation == Isolation::ReadCommitted;
        let start = match (arguments.from_beginning, arguments.offset, arguments.from_time) {
            (true, ..) => Start::Beginning,
            (_, Some(offset), _) => Start::Offset(offset),
            (_, _, Some(time)) => Start::Time(time),
            // What ends at the end begins at the beginning, else there would be nothing between.
            _ if arguments.exit_at_end && arguments.group.is_none() => Start::Beginning,
            _ => Start::End,
        };
        let mut reader = Self {
            client,
            consumer: Consumer::new(ConsumerOptions { read_committed, ..ConsumerOptions::default() }),
            member: None,
            printer: Printer::new(shape, arguments.max_records),
            start,
            exit_at_end: arguments.exit_at_end,
            committed: BTreeMap::new(),
            committed_at: Instant::now(),
            hint_wanted: !arguments.exit_at_end && io::stderr().is_terminal(),
        };
        match &arguments.group {
            Some(group) => {
                reader.member = Some(GroupMember::join(&mut reader.client, group, &arguments.topics).await?);
                reader.take_assignment(group).await?;
            }
            None => {
                let partitions = start::partitions(&reader.client, &arguments.topics, &arguments.partitions)?;
                let positions = start::positions(&mut reader.client, &partitions, start, arguments.exit_at_end).await?;
                reader.consumer.assign(positions);
            }
        }
        Ok(reader)
    }

    /// Reads once and prints what came; false when there is nothing more to do.
    async fn step(&mut self) -> Result<bool, Failure> {
        if self.printer.left == Some(0) || (self.exit_at_end && self.consumer.is_finished()) {
            return Ok(false);
        }
        let Self { client, consumer, printer, .. } = self;
        let mut came = false;
        let moved = consumer
            .poll(client, |consumed| {
                came = true;
                printer.print(&consumed)
            })
            .await?;
        moved.iter().for_each(tell_moved);
        self.printer.finish()?;
        if !came && std::mem::take(&mut self.hint_wanted) {
            eprintln!("ottla: {} Ctrl-C ends this.", self.hint());
        }
        self.keep_membership().await?;
        Ok(true)
    }

    /// Why nothing comes, and what to do about it.
    fn hint(&self) -> String {
        let group = self.member.as_ref().map(GroupMember::group);
        let goes_on = self.consumer.positions().keys().any(|partition| self.committed.contains_key(partition));
        match group {
            Some(group) if self.consumer.positions().is_empty() => {
                format!("the other members of {group} have all partitions; waiting for one to leave.")
            }
            Some(group) if !self.printer.any && goes_on => {
                format!(
                    "{group} has read all there is; waiting for more. Go back with: ottla groups reset-offsets {group}."
                )
            }
            _ if !self.printer.any && self.start == Start::End => {
                "waiting for new records; --from-beginning reads those that are there.".to_owned()
            }
            _ => "that is all there is; waiting for more.".to_owned(),
        }
    }

    async fn keep_membership(&mut self) -> Result<(), Failure> {
        let Some(member) = &mut self.member else { return Ok(()) };
        if !member.heartbeat(&mut self.client).await? {
            // Whoever gets the partitions next goes on from here. If it is too late for that, they are read again.
            let _ = self.commit().await;
            let Some(member) = &mut self.member else { return Ok(()) };
            member.rejoin(&mut self.client).await?;
            let group = member.group().to_owned();
            return self.take_assignment(&group).await;
        }
        if self.committed_at.elapsed() >= COMMIT_INTERVAL {
            self.commit().await?;
        }
        Ok(())
    }

    /// Goes on in the partitions of the assignment, from what the group has committed.
    async fn take_assignment(&mut self, group: &str) -> Result<(), Failure> {
        let Some(member) = &self.member else { return Ok(()) };
        let partitions = member.assignment().to_vec();
        let committed = crate::client::admin::groups::committed(&mut self.client, group).await?;
        let fresh: Vec<TopicPartition> =
            partitions.iter().filter(|partition| !committed.contains_key(partition)).cloned().collect();
        let mut positions = start::positions(&mut self.client, &fresh, self.start, false).await?;
        for partition in &partitions {
            if let Some(committed) = committed.get(partition) {
                positions.insert(partition.clone(), Position { offset: committed.offset, until: None });
            }
        }
        if self.exit_at_end {
            start::end_at_end(&mut self.client, &mut positions).await?;
        }
        // Where a partition has no offset yet, the place to begin is stored too: records that come while nobody reads
        // are not skipped then.
        self.committed = committed.into_iter().map(|(partition, committed)| (partition, committed.offset)).collect();
        self.consumer.assign(positions);
        Ok(())
    }

    /// Stores the positions that have changed.
    async fn commit(&mut self) -> Result<(), Failure> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let positions = self.consumer.positions().iter();
        let changed = positions.filter(|(partition, at)| self.committed.get(partition) != Some(&at.offset));
        let offsets: BTreeMap<_, _> = changed.map(|(partition, at)| (partition.clone(), at.offset)).collect();
        member.commit(&offsets).await?;
        self.committed.extend(offsets);
        self.committed_at = Instant::now();
        Ok(())
    }

    /// Leaves the group in order. What fails here is made good by the coordinator.
    async fn close(&mut self) {
        let _ = self.printer.out.flush();
        if self.member.is_some() {
            let farewell = async {
                let _ = self.commit().await;
                if let Some(member) = &mut self.member {
                    let _ = member.leave().await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(5), farewell).await;
        }
    }
}

impl Printer {
    fn new(shape: Shape, left: Option<u64>) -> Self {
        Self { shape, left, any: false, out: BufWriter::new(io::stdout()), failed: None }
    }

    /// Prints one record; false when it was the last, or nobody reads any more.
    fn print(&mut self, consumed: &crate::client::Consumed<'_>) -> bool {
        if let Err(error) = self.shape.write(&mut self.out, consumed) {
            self.failed = Some(error);
            return false;
        }
        self.any = true;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        self.left != Some(0)
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

fn tell_moved(moved: &Moved) {
    let Moved { partition, from, to } = moved;
    eprintln!("ottla: {partition} has no offset {from}; reading goes on at {to}");
}
