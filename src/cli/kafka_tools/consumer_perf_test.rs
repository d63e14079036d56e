//! `kafka-consumer-perf-test`: how fast records can be consumed.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;
use super::options::{BOOTSTRAP_SERVER, Given, HELP, Opt, Style, Tool, VERSION, pairs};
use super::session::{connect_to, properties_file, run_async, say};
use super::topic_filter::{TopicFilter, is_internal};
use crate::cli::time::iso;
use crate::client::admin::offsets::OffsetSpec;
use crate::client::{ConsumerOptions, Subscription};
use crate::clock;

const DEFAULT_TIMEOUT_MS: u64 = 10_000;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-consumer-perf-test",
    about: "This tool is used to verify the consumer performance.",
    style: Style::JoptSimple,
    options: &[
        BOOTSTRAP_SERVER,
        Opt::value("command-config", "file", "A properties file for the consumer."),
        Opt::value("command-property", "key=value", "A property of the consumer."),
        Opt::value("consumer.config", "file", "The same as --command-config."),
        Opt::value("date-format", "format", "How times are printed.")
            .not_served("times are printed as Kafka does by default"),
        Opt::value("fetch-size", "bytes", "How much to ask for of a partition at once."),
        Opt::flag("from-latest", "Starts at the ends."),
        Opt::value("group", "id", "The consumer group; a random one if none is named."),
        HELP,
        Opt::flag("hide-header", "Leaves out the line with the names of the columns."),
        Opt::value("include", "regex", "The topics."),
        Opt::value("messages", "number", "The same as --num-records."),
        Opt::value("num-records", "number", "How many records."),
        Opt::flag("print-metrics", "Prints the consumer's metrics.").not_served("there are none"),
        Opt::value("reporting-interval", "ms", "How often to tell.").without_effect("only the end is told"),
        Opt::flag("show-detailed-stats", "Tells as it goes.").not_served("only the end is told"),
        Opt::value("socket-buffer-size", "bytes", "How large the socket's buffer is.")
            .without_effect("the system's own size is used"),
        Opt::maybe("timeout", "ms", "How long to wait for records."),
        Opt::value("topic", "topic", "The topic."),
        VERSION,
    ],
    commands: &[],
    run,
};

/// What was consumed.
#[derive(Default)]
struct Total {
    records: u64,
    bytes: usize,
}

fn run(given: &Given) -> Result<(), Failure> {
    for (old, new) in [("messages", "num-records"), ("consumer.config", "command-config")] {
        if given.has(old) {
            say!("Warning: --{old} is deprecated. Use --{new} instead.");
        }
    }
    if given.only_one(&["messages", "num-records"]).is_none() {
        return Err(given.usage("Exactly one of the following arguments is required: [messages], [num-records]"));
    }
    if given.only_one(&["topic", "include"]).is_none() {
        return Err(given.usage("Exactly one of the following arguments is required: [topic], [include]"));
    }
    given.require(&["bootstrap-server"])?;
    let mut settings = properties_file(given.value("command-config").or(given.value("consumer.config")))?;
    settings.extend(pairs(given.values("command-property")));
    let wanted: u64 = given.parsed("num-records")?.or(given.parsed("messages")?).unwrap_or_default();
    let timeout = Duration::from_millis(given.parsed("timeout")?.unwrap_or(DEFAULT_TIMEOUT_MS));
    let group =
        given.value("group").map_or_else(|| format!("perf-consumer-{}", rand::random_range(0..100_000)), str::to_owned);
    let options =
        ConsumerOptions { partition_max_bytes: given.parsed("fetch-size")?.unwrap_or(1 << 20), ..Default::default() };
    let start = if given.has("from-latest") { OffsetSpec::Latest } else { OffsetSpec::Earliest };
    if !given.has("hide-header") {
        say!(
            "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, \
             fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec"
        );
    }
    run_async(async {
        let (begun, begun_at) = (Instant::now(), clock::wall().0);
        let client = &mut connect_to(given.value("bootstrap-server").unwrap_or_default(), &settings).await?;
        let topics = match given.value("topic") {
            Some(topic) => {
                client.await_topic(topic, true).await?;
                vec![topic.to_owned()]
            }
            None => {
                let filter = TopicFilter::new(given.value("include").unwrap_or_default())?;
                client.learn_topics(None).await?;
                let names = client.metadata().topics.keys();
                names.filter(|name| filter.matches(name) && !is_internal(name)).cloned().collect()
            }
        };
        let mut subscription = Subscription::to_topics(client, &group, &topics, start, options).await?;
        let joined = begun.elapsed();
        let (mut total, mut last) = (Total::default(), Instant::now());
        while total.records < wanted && last.elapsed() < timeout {
            let before = total.records;
            subscription
                .poll(client, |consumed| {
                    let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
                    total.records += 1;
                    total.bytes += size(consumed.record.key) + size(consumed.record.value);
                    total.records < wanted
                })
                .await?;
            if total.records > before {
                last = Instant::now();
            }
        }
        let elapsed = begun.elapsed();
        subscription.close().await;
        if total.records < wanted {
            say!(
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can \
                 use the --timeout option to increase the timeout.",
                timeout.as_millis()
            );
        }
        tell(&total, begun_at, elapsed, joined);
        Ok(())
    })
}

fn tell(total: &Total, begun_at: i64, elapsed: Duration, joined: Duration) {
    let megabytes = total.bytes as f64 / f64::from(1 << 20);
    let (seconds, fetching) = (elapsed.as_secs_f64(), elapsed.saturating_sub(joined));
    let records = total.records as f64;
    let end = begun_at + i64::try_from(elapsed.as_millis()).unwrap_or_default();
    say!(
        "{}, {}, {megabytes:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
        date_time(begun_at),
        date_time(end),
        megabytes / seconds,
        total.records,
        records / seconds,
        joined.as_millis(),
        fetching.as_millis(),
        megabytes / fetching.as_secs_f64().max(0.001),
        records / fetching.as_secs_f64().max(0.001),
    );
}

/// `2026-01-31 12:00:00:000`, in UTC.
fn date_time(milliseconds: i64) -> String {
    iso(milliseconds).replace('T', " ").replace('.', ":").trim_end_matches('Z').to_owned()
}
