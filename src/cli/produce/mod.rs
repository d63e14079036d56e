//! `ottla produce`.

mod input;
mod lines;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::time::timeout;

use super::common::{ClusterArguments, OutputArguments, key_value, run_async};
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::client::{ClusterClient, ClusterError, NewRecord, Produced, Producer, ProducerOptions};
use crate::clock;
use crate::record::{Codec, Header};
use input::{InputRecord, Reading};

const EXAMPLES: &str = "\
Examples:
  echo hello | ottla produce greetings
      One record for each line of standard input.
  ottla produce orders --key-separator : < orders.txt
      Lines such as 17:{\"item\":\"tea\"}; the key chooses the partition.
  ottla produce orders orders.txt --compression zstd --header source=import
  ottla consume orders --json --exit-at-end | ottla produce copy --input json
      With keys, headers and timestamps.";

/// How long input may pause before what was read goes out.
const LINGER: Duration = Duration::from_millis(5);

/// When progress is told for the first time, and then how often.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// Compression on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// The codec.
    pub(super) fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Gzip => Codec::Gzip,
            Self::Snappy => Codec::Snappy,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd => Codec::Zstd,
        }
    }
}

/// Whose acknowledgement is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Acks {
    /// All in-sync replicas.
    #[value(alias = "-1")]
    All,
    /// The leader.
    #[value(name = "1", alias = "leader")]
    Leader,
    /// Nobody.
    #[value(name = "0", alias = "none")]
    Nobody,
}

impl Acks {
    /// The number on the wire.
    pub(super) fn code(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::Nobody => 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum InputFormat {
    /// A record for each line.
    Lines,
    /// A JSON object for each line, as `ottla consume --json` prints them.
    Json,
}

/// `ottla produce`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct ProduceArguments {
    /// The topic.
    topic: String,
    /// A file to read instead of standard input; "-" is standard input.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The key of all records.
    #[arg(short, long)]
    key: Option<String>,
    /// Each line is KEY, this separator, VALUE. \t stands for a tab.
    #[arg(short = 'K', long, value_name = "SEPARATOR", conflicts_with = "key")]
    key_separator: Option<String>,
    /// A header of all records; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = key_value)]
    headers: Vec<(String, String)>,
    /// A line, or value after the key, that stands for a null value: a tombstone in a compacted topic.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// What the input holds.
    #[arg(long, value_enum, default_value_t = InputFormat::Lines, value_name = "FORMAT")]
    input: InputFormat,
    /// The partition of all records; otherwise the key chooses it as in Kafka.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t = Compression::None, value_name = "CODEC")]
    compression: Compression,
    /// Whose acknowledgement is waited for.
    #[arg(short, long, value_enum, default_value_t = Acks::All, allow_hyphen_values = true)]
    acks: Acks,
    /// Creates the topic if there is none and the brokers allow it (auto.create.topics.enable).
    #[arg(long)]
    create: bool,
    /// Says nothing when all went well.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Runs it.
pub(super) fn run(arguments: &ProduceArguments, output: OutputArguments) -> Result<(), Failure> {
    let reading = Reading {
        json: arguments.input == InputFormat::Json,
        key: arguments.key.clone().map(String::into_bytes),
        key_separator: arguments.key_separator.as_ref().map(|text| text.replace("\\t", "\t").into_bytes()),
        null: arguments.null.clone().map(String::into_bytes),
        headers: arguments.headers.iter().map(|(key, value)| (key.clone(), Some(value.clone().into_bytes()))).collect(),
        partition: arguments.partition,
    };
    run_async(async {
        let mut client = arguments.cluster.connect().await?;
        if arguments.create {
            client.await_topic(&arguments.topic, true).await?;
        }
        let (acks, codec) = (arguments.acks.code(), arguments.compression.codec());
        let options = ProducerOptions { acks, codec, ..ProducerOptions::default() };
        let opened = Producer::open(&mut client, &arguments.topic, options).await;
        let mut producer = opened.map_err(|error| or_create(error, &arguments.topic))?;
        let outcome = produce(&mut client, &mut producer, arguments, &reading).await;
        let done = producer.done();
        if let Err(failure) = outcome {
            return Err(with_count(failure, done));
        }
        let quiet = arguments.quiet || (!output.json && !io::stdout().is_terminal());
        if quiet { Ok(()) } else { report(&output.output(), &arguments.topic, done) }
    })
}

/// A topic that is not there may be a mistyped name, so it is made only when that is asked for.
fn or_create(error: ClusterError, topic: &str) -> Failure {
    let is_unknown = matches!(error, ClusterError::UnknownTopic { .. });
    let failure = Failure::from(error);
    match is_unknown {
        true => failure.next(format!("Create it with: ottla topics create {topic}, or give --create.")),
        false => failure,
    }
}

async fn produce(
    client: &mut ClusterClient,
    producer: &mut Producer,
    arguments: &ProduceArguments,
    reading: &Reading,
) -> Result<(), Failure> {
    let mut lines = lines::open(arguments.file.as_deref())?;
    let mut number = 0u64;
    let mut progress = Progress::new(arguments.quiet);
    loop {
        let line = match timeout(LINGER, lines.recv()).await {
            Ok(Some(line)) => line?,
            Ok(None) => break,
            Err(_) if !producer.is_idle() => {
                producer.flush(client).await?;
                continue;
            }
            Err(_) => match lines.recv().await {
                Some(line) => line?,
                None => break,
            },
        };
        number += 1;
        let record = input::read(reading, &line)
            .map_err(|problem| Failure::new(Exit::Usage, format!("line {number} of the input: {problem}")))?;
        send(client, producer, &record).await?;
        progress.tell(producer.done());
    }
    producer.flush(client).await?;
    progress.end();
    Ok(())
}

async fn send(client: &mut ClusterClient, producer: &mut Producer, record: &InputRecord) -> Result<(), Failure> {
    let header = |(key, value): &(String, Option<Vec<u8>>)| -> (Vec<u8>, Option<Vec<u8>>) {
        (key.clone().into_bytes(), value.clone())
    };
    let owned: Vec<_> = record.headers.iter().map(header).collect();
    let headers: Vec<Header<'_>> = owned.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    let new = NewRecord {
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
        timestamp: record.timestamp.unwrap_or_else(|| clock::wall().0),
        partition: record.partition,
    };
    Ok(producer.send(client, &new).await?)
}

fn report(output: &Output, topic: &str, done: Produced) -> Result<(), Failure> {
    let value = json!({ "topic": topic, "records": done.records });
    let plural = if done.records == 1 { "" } else { "s" };
    Ok(output.print(&value, |_| format!("Produced {} record{plural} to {topic}.\n", done.records))?)
}

/// Says how much went out before it failed, because that much is not to be sent again.
fn with_count(failure: Failure, done: Produced) -> Failure {
    match failure {
        Failure::Told { exit, what, next_step } if done.records > 0 => {
            Failure::Told { exit, what: format!("{what} (after {} records were stored)", done.records), next_step }
        }
        failure => failure,
    }
}

/// Progress on standard error, for people who wait.
struct Progress {
    begun: Instant,
    told: Option<Instant>,
    shown: bool,
}

impl Progress {
    fn new(quiet: bool) -> Self {
        Self {
            begun: Instant::now(),
            told: None,
            shown: !quiet && io::stderr().is_terminal() && !io::stdin().is_terminal(),
        }
    }

    fn tell(&mut self, done: Produced) {
        if self.shown && self.told.unwrap_or(self.begun).elapsed() >= PROGRESS_AFTER {
            let rate = done.records as f64 / self.begun.elapsed().as_secs_f64();
            eprint!("\r{} records, {rate:.0} a second ", done.records);
            self.told = Some(Instant::now());
        }
    }

    fn end(&self) {
        if self.told.is_some() {
            eprintln!();
        }
    }
}
