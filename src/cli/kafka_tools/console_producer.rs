//! `kafka-console-producer`: a record for each line of standard input.

use std::io::{self, BufRead};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use super::failure::Failure;
use super::line_reader::{InputRecord, LineReader};
use super::options::{BOOTSTRAP_SERVER, Given, HELP, Opt, Style, Tool, VERSION, pairs};
use super::session::{connect_to, properties_file, run_async, say};
use crate::client::{ClusterClient, NewRecord, Producer, ProducerOptions};
use crate::clock;
use crate::record::{Codec, Header};

/// How long input may pause before what was read goes out.
const LINGER: Duration = Duration::from_millis(20);
/// Lines that wait to be produced.
const WAITING_MAX: usize = 1024;

const SIZED_ALREADY: &str = "batches and buffers have a size that suits a terminal and a pipe";
const TIMED_ALREADY: &str = "what fails for a moment is sent again for 30 seconds";

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-producer",
    about: "This tool helps to read data from standard input and publish it to Kafka.",
    style: Style::JoptSimple,
    options: &[
        Opt::value("batch-size", "bytes", "How large a batch may be.").without_effect(SIZED_ALREADY),
        BOOTSTRAP_SERVER,
        Opt::value("command-config", "file", "A properties file for the producer."),
        Opt::value("command-property", "key=value", "A property of the producer: acks, compression.type, client.id."),
        Opt::maybe("compression-codec", "codec", "none, gzip, snappy, lz4 or zstd; gzip if none is named."),
        HELP,
        Opt::value("line-reader", "class", "What reads the lines.")
            .not_served("there is one reader, which takes Kafka's properties"),
        Opt::value("max-block-ms", "ms", "How long a send may block.").without_effect(TIMED_ALREADY),
        Opt::value("max-memory-bytes", "bytes", "How much memory to use.").without_effect(SIZED_ALREADY),
        Opt::value("max-partition-memory-bytes", "bytes", "How large a batch may be.").without_effect(SIZED_ALREADY),
        Opt::value("message-send-max-retries", "number", "How often to try again.").without_effect(TIMED_ALREADY),
        Opt::value("metadata-expiry-ms", "ms", "How long to trust metadata.")
            .without_effect("metadata is asked for again when it proves wrong"),
        Opt::value("producer-property", "key=value", "The same as --command-property."),
        Opt::value("producer.config", "file", "The same as --command-config."),
        Opt::value("property", "key=value", "The same as --reader-property."),
        Opt::value("reader-config", "file", "A properties file for the reader of lines."),
        Opt::value("reader-property", "key=value", "A property of the reader of lines, such as parse.key=true."),
        Opt::value("request-required-acks", "acks", "-1 or all, 1, or 0."),
        Opt::value("request-timeout-ms", "ms", "How long to wait for an answer.").without_effect(TIMED_ALREADY),
        Opt::value("retry-backoff-ms", "ms", "How long to wait before trying again.").without_effect(TIMED_ALREADY),
        Opt::value("socket-buffer-size", "bytes", "How large the socket's buffer is.").without_effect(SIZED_ALREADY),
        Opt::flag("sync", "Waits for the answer to each line."),
        Opt::value("timeout", "ms", "How long lines may wait for others.").without_effect(SIZED_ALREADY),
        Opt::value("topic", "topic", "The topic."),
        VERSION,
    ],
    commands: &[],
    run,
};

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["bootstrap-server", "topic"])?;
    warn_of_old_names(given, &[("property", "reader-property"), ("producer-property", "command-property")]);
    warn_of_old_names(given, &[("producer.config", "command-config")]);
    let mut of_reader = properties_file(given.value("reader-config"))?;
    of_reader.extend(pairs(given.values("property").chain(given.values("reader-property"))));
    let reader = LineReader::new(&of_reader)?;
    let mut settings = properties_file(given.value("command-config").or(given.value("producer.config")))?;
    settings.extend(pairs(given.values("producer-property").chain(given.values("command-property"))));
    let options = producer_options(given, &settings)?;
    let topic = given.value("topic").unwrap_or_default();
    run_async(async {
        let client = &mut connect_to(given.value("bootstrap-server").unwrap_or_default(), &settings).await?;
        client.await_topic(topic, true).await?;
        let mut producer = Producer::open(client, topic, options).await?;
        let outcome = produce(client, &mut producer, &reader, given.has("sync")).await;
        // What was read before a wrong line goes out, as in Kafka.
        producer.flush(client).await?;
        outcome
    })
}

/// Says that an option has a new name, where Kafka does.
fn warn_of_old_names(given: &Given, names: &[(&str, &str)]) {
    for (old, new) in names.iter().filter(|(old, _)| given.has(old)) {
        say!("Warning: --{old} is deprecated and will be removed in a future version. Use --{new} instead.");
    }
}

fn producer_options(given: &Given, settings: &[(String, String)]) -> Result<ProducerOptions, Failure> {
    let setting = |key: &str| settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let codec = match given.value("compression-codec") {
        None if given.has("compression-codec") => "gzip",
        named => named.or(setting("compression.type")).unwrap_or("none"),
    };
    let acks = given.value("request-required-acks").or(setting("acks")).unwrap_or("-1");
    let wrong = |value: &str, key: &str, allowed: &str| {
        let kind = "org.apache.kafka.common.config.ConfigException";
        Failure::said(format!(
            "{kind}: Invalid value {value} for configuration {key}: String must be one of: {allowed}"
        ))
    };
    Ok(ProducerOptions {
        acks: match acks {
            "-1" | "all" => -1,
            "1" => 1,
            "0" => 0,
            other => return Err(wrong(other, "acks", "all, -1, 0, 1")),
        },
        codec: match codec {
            "none" => Codec::None,
            "gzip" => Codec::Gzip,
            "snappy" => Codec::Snappy,
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            other => return Err(wrong(other, "compression.type", "none, gzip, snappy, lz4, zstd")),
        },
        ..ProducerOptions::default()
    })
}

async fn produce(
    client: &mut ClusterClient,
    producer: &mut Producer,
    reader: &LineReader,
    sync: bool,
) -> Result<(), Failure> {
    let mut lines = read_lines();
    let mut number = 0;
    loop {
        let line = match timeout(LINGER, lines.recv()).await {
            Err(_) if !producer.is_idle() => {
                producer.flush(client).await?;
                continue;
            }
            Err(_) => lines.recv().await,
            Ok(line) => line,
        };
        let Some(line) = line else { return Ok(()) };
        number += 1;
        send(client, producer, &reader.read(&line?, number)?).await?;
        if sync {
            producer.flush(client).await?;
        }
    }
}

async fn send(client: &mut ClusterClient, producer: &mut Producer, record: &InputRecord) -> Result<(), Failure> {
    let headers: Vec<Header<'_>> =
        record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let new = NewRecord { key, value, headers: &headers, timestamp: clock::wall().0, partition: None };
    Ok(producer.send(client, &new).await?)
}

/// Reads on a thread of its own, because a terminal or pipe may keep a reader waiting for ever.
fn read_lines() -> Receiver<Result<String, Failure>> {
    let (sender, receiver) = channel(WAITING_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::said(format!("cannot read standard input: {error}")));
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
