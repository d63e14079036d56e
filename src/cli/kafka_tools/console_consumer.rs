//! `kafka-console-consumer`: prints records.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::message_formatter::MessageFormatter;
use super::options::{BOOTSTRAP_SERVER, Given, HELP, Opt, Style, Tool, VERSION, pairs};
use super::session::{connect_to, properties_file, run_async, say};
use super::topic_filter::{TopicFilter, is_internal};
use crate::client::admin::offsets::OffsetSpec;
use crate::client::{ClusterClient, ConsumerOptions, Subscription};
use crate::model::TopicPartition;

const DEFAULT_FORMATTERS: [&str; 2] = ["DefaultMessageFormatter", "LoggingMessageFormatter"];

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-consumer",
    about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
    style: Style::JoptSimple,
    options: &[
        BOOTSTRAP_SERVER,
        Opt::value("command-config", "file", "A properties file for the consumer."),
        Opt::value("command-property", "key=value", "A property of the consumer: group.id, auto.offset.reset, …"),
        Opt::value("consumer-property", "key=value", "The same as --command-property."),
        Opt::value("consumer.config", "file", "The same as --command-config."),
        Opt::flag("enable-systest-events", "Logs what happens to the consumer.")
            .not_served("it is for Kafka's own system tests"),
        Opt::value(
            "formatter",
            "class",
            "What prints a record: DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter.",
        ),
        Opt::value("formatter-config", "file", "A properties file for the formatter."),
        Opt::value("formatter-property", "key=value", "A property of the formatter, such as print.key=true."),
        Opt::flag("from-beginning", "Starts at the first record where the group has no position."),
        Opt::value("group", "id", "The consumer group; without one, no group is joined."),
        HELP,
        Opt::value("include", "regex", "The topics."),
        Opt::value("isolation-level", "level", "read_committed or read_uncommitted."),
        Opt::value("key-deserializer", "class", "How keys are read: String-, Short-, Integer- or LongDeserializer."),
        Opt::value("max-messages", "number", "Ends after so many records."),
        Opt::value("offset", "offset", "The offset to start from, earliest or latest."),
        Opt::value("partition", "id", "The partition."),
        Opt::value("property", "key=value", "The same as --formatter-property."),
        Opt::flag("skip-message-on-error", "Goes on after a record that cannot be printed.")
            .without_effect("every record can be printed"),
        Opt::value("timeout-ms", "ms", "Ends when no record comes for so long."),
        Opt::value("topic", "topic", "The topic."),
        Opt::value(
            "value-deserializer",
            "class",
            "How values are read: String-, Short-, Integer- or LongDeserializer.",
        ),
        VERSION,
    ],
    commands: &[],
    run,
};

const OLD_NAMES: [(&str, &str); 3] = [
    ("property", "formatter-property"),
    ("consumer-property", "command-property"),
    ("consumer.config", "command-config"),
];

/// Where to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    At(OffsetSpec),
    Offset(i64),
}

/// Prints records, or only counts them.
struct Printer {
    formatter: Option<MessageFormatter>,
    out: BufWriter<io::Stdout>,
    printed: u64,
    max: u64,
    /// Nobody reads any more.
    closed: bool,
}

fn run(given: &Given) -> Result<(), Failure> {
    check(given)?;
    for (old, new) in OLD_NAMES.iter().filter(|(old, _)| given.has(old)) {
        say!("Option --{old} is deprecated and will be removed in a future version. Use --{new} instead.");
    }
    let mut settings = properties_file(given.value("command-config").or(given.value("consumer.config")))?;
    settings.extend(pairs(given.values("consumer-property").chain(given.values("command-property"))));
    let setting = |key: &str| settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let start = start(given, setting("auto.offset.reset"))?;
    let isolation = given.value("isolation-level").or(setting("isolation.level"));
    let options = ConsumerOptions { read_committed: isolation == Some("read_committed"), ..ConsumerOptions::default() };
    let group = given.value("group").or(setting("group.id"));
    let mut printer = Printer {
        formatter: formatter(given)?,
        out: BufWriter::new(io::stdout()),
        printed: 0,
        max: given.parsed("max-messages")?.unwrap_or(u64::MAX),
        closed: false,
    };
    let patience = given.parsed("timeout-ms")?.map(Duration::from_millis);
    let outcome = run_async(async {
        let client = &mut connect_to(given.value("bootstrap-server").unwrap_or_default(), &settings).await?;
        let mut subscription = subscribe(given, client, group, start, options).await?;
        let outcome = tokio::select! {
            outcome = consume(client, &mut subscription, &mut printer, patience) => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
        subscription.close().await;
        outcome
    });
    let _ = printer.out.flush();
    eprintln!("Processed a total of {} messages", printer.printed);
    outcome
}

fn check(given: &Given) -> Result<(), Failure> {
    if given.only_one(&["topic", "include"]).is_none() {
        return Err(given.usage("Exactly one of the following arguments is required: [topic], [include]"));
    }
    if given.has("partition") {
        if !given.has("topic") {
            return Err(given.usage("The topic is required when partition is specified."));
        }
        if given.has("from-beginning") && given.has("offset") {
            return Err(given.usage("Options from-beginning and offset cannot be specified together."));
        }
        if given.has("group") {
            return Err(given.usage("Options group and partition cannot be specified together."));
        }
    } else if given.has("offset") {
        return Err(given.usage("The partition is required when offset is specified."));
    }
    given.require(&["bootstrap-server"])
}

fn start(given: &Given, reset: Option<&str>) -> Result<Start, Failure> {
    Ok(match given.value("offset").map(str::to_lowercase).as_deref() {
        Some("earliest") => Start::At(OffsetSpec::Earliest),
        Some("latest") => Start::At(OffsetSpec::Latest),
        Some(offset) => {
            let number = offset.parse().ok().filter(|offset| *offset >= 0).ok_or_else(|| {
                given.usage(format!(
                    "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
                ))
            })?;
            Start::Offset(number)
        }
        None if given.has("from-beginning") || reset == Some("earliest") => Start::At(OffsetSpec::Earliest),
        None => Start::At(OffsetSpec::Latest),
    })
}

/// `None` prints nothing.
fn formatter(given: &Given) -> Result<Option<MessageFormatter>, Failure> {
    let class = given.value("formatter").unwrap_or(DEFAULT_FORMATTERS[0]);
    let name = class.rsplit('.').next().unwrap_or(class);
    if name == "NoOpMessageFormatter" {
        return Ok(None);
    }
    if !DEFAULT_FORMATTERS.contains(&name) {
        return Err(Failure::said(format!("kafka-console-consumer: the formatter {class} is not served.")));
    }
    let mut properties = properties_file(given.value("formatter-config"))?;
    properties.extend(pairs(given.values("property").chain(given.values("formatter-property"))));
    for option in ["key-deserializer", "value-deserializer"] {
        properties.extend(given.value(option).map(|class| (option.replace('-', "."), class.to_owned())));
    }
    MessageFormatter::new(&properties).map(Some)
}

async fn subscribe(
    given: &Given,
    client: &mut ClusterClient,
    group: Option<&str>,
    start: Start,
    options: ConsumerOptions,
) -> Result<Subscription, Failure> {
    let topics = topics(given, client).await?;
    if let (Some(partition), Some(topic)) = (given.parsed("partition")?, given.value("topic")) {
        let partition = TopicPartition::new(topic, partition);
        return Ok(match start {
            Start::Offset(offset) => Subscription::from_offset(partition, offset, options),
            Start::At(spec) => Subscription::to_partitions(client, &[partition], spec, options).await?,
        });
    }
    let Start::At(spec) = start else { return Err(given.usage("The partition is required when offset is specified.")) };
    if let Some(group) = group {
        return Ok(Subscription::to_topics(client, group, &topics, spec, options).await?);
    }
    let known = &client.metadata().topics;
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .filter_map(|name| known.get(name).map(|topic| (name, topic)))
        .flat_map(|(name, topic)| {
            topic.partitions.iter().map(|partition| TopicPartition::new(name.as_str(), partition.partition_index))
        })
        .collect();
    Ok(Subscription::to_partitions(client, &partitions, spec, options).await?)
}

/// The topics that are meant. A topic that is missing is created where the brokers allow it, as Kafka's consumer does.
async fn topics(given: &Given, client: &mut ClusterClient) -> Result<Vec<String>, Failure> {
    if let Some(topic) = given.value("topic") {
        client.await_topic(topic, true).await?;
        return Ok(vec![topic.to_owned()]);
    }
    let filter = TopicFilter::new(given.value("include").unwrap_or_default())?;
    client.learn_topics(None).await?;
    let names = client.metadata().topics.keys();
    Ok(names.filter(|name| filter.matches(name) && !is_internal(name)).cloned().collect())
}

async fn consume(
    client: &mut ClusterClient,
    subscription: &mut Subscription,
    printer: &mut Printer,
    patience: Option<Duration>,
) -> Result<(), Failure> {
    let mut silent_since = Instant::now();
    while printer.printed < printer.max && !printer.closed {
        let before = printer.printed;
        subscription.poll(client, |consumed| printer.print(&consumed)).await?;
        printer.closed |= printer.out.flush().is_err();
        if printer.printed > before {
            silent_since = Instant::now();
        } else if patience.is_some_and(|patience| silent_since.elapsed() >= patience) {
            eprintln!("No record came within {} ms.", patience.unwrap_or_default().as_millis());
            break;
        }
    }
    Ok(())
}

impl Printer {
    /// Prints one record; false when it was the last, or nobody reads any more.
    fn print(&mut self, consumed: &crate::client::Consumed<'_>) -> bool {
        if self.printed == self.max {
            return false;
        }
        if let Some(formatter) = &self.formatter {
            self.closed |= formatter.write(&mut self.out, consumed).is_err();
        }
        self.printed += 1;
        self.printed < self.max && !self.closed
    }
}
