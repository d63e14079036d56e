//! `kafka-producer-perf-test`: how fast records can be produced.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, sleep_until};

use super::failure::Failure;
use super::options::{BOOTSTRAP_SERVER, Given, Opt, Style, Tool, pairs};
use super::session::{connect_to, print, properties_file, run_async, say};
use crate::client::{ClusterClient, NewRecord, Producer, ProducerOptions};
use crate::clock;
use crate::record::Codec;

const NO_TRANSACTIONS: &str = "records are produced without transactions";

pub(super) static TOOL: Tool = Tool {
    name: "kafka-producer-perf-test",
    about: "This tool is used to verify the producer performance.",
    style: Style::Argparse,
    options: &[
        Opt::flag("help", "Prints this help.").short('h'),
        BOOTSTRAP_SERVER,
        Opt::value("topic", "topic", "The topic."),
        Opt::value("num-records", "number", "How many records."),
        Opt::value("payload-delimiter", "text", "What stands between the values in --payload-file."),
        Opt::value("throughput", "records/s", "How many records a second at most; -1 for as many as can be."),
        Opt::many("producer-props", "key=value", "The same as --command-property."),
        Opt::many(
            "command-property",
            "key=value",
            "Properties: bootstrap.servers, acks, compression.type, batch.size.",
        ),
        Opt::value("producer.config", "file", "The same as --command-config."),
        Opt::value("command-config", "file", "A properties file for the producer."),
        Opt::flag("print-metrics", "Prints the producer's metrics.").not_served("there are none"),
        Opt::value("transactional-id", "id", "The transactional id.").not_served(NO_TRANSACTIONS),
        Opt::value("transaction-duration-ms", "ms", "How long transactions last.").not_served(NO_TRANSACTIONS),
        Opt::value("warmup-records", "number", "How many records to leave out of a second summary."),
        Opt::value("reporting-interval", "ms", "How often to tell."),
        Opt::value("record-size", "bytes", "How large values are."),
        Opt::value("payload-file", "file", "A file with values to choose from."),
        Opt::flag("payload-monotonic", "Values are numbers that count up."),
    ],
    commands: &[],
    run,
};

/// Where values come from.
enum Payload {
    Random(Vec<u8>),
    OneOf(Vec<Vec<u8>>),
    Counting,
}

impl Payload {
    fn of(given: &Given) -> Result<Self, Failure> {
        match given.only_one(&["record-size", "payload-file", "payload-monotonic"]) {
            Some("record-size") => {
                let size: usize = given
                    .parsed("record-size")?
                    .filter(|size| *size > 0)
                    .ok_or_else(|| Failure::said("--record-size should be greater than zero."))?;
                let mut random = rand::rng();
                Ok(Self::Random((0..size).map(|_| random.random_range(b'A'..=b'Z')).collect()))
            }
            Some("payload-file") => {
                let path = given.value("payload-file").unwrap_or_default();
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| Failure::said(format!("cannot read {path}: {error}")))?;
                let delimiter = given.value("payload-delimiter").unwrap_or("\\n").replace("\\n", "\n");
                let values: Vec<Vec<u8>> = text.split(&delimiter).map(|value| value.as_bytes().to_vec()).collect();
                match text.is_empty() {
                    true => Err(Failure::said(format!("{path} is empty"))),
                    false => Ok(Self::OneOf(values)),
                }
            }
            Some(_) => Ok(Self::Counting),
            None => Err(given
                .error("one of the arguments --record-size --payload-file --payload-monotonic is required".to_owned())),
        }
    }

    fn next(&self, number: u64) -> Vec<u8> {
        match self {
            Self::Random(value) => value.clone(),
            Self::OneOf(values) => values[rand::random_range(0..values.len())].clone(),
            Self::Counting => number.to_string().into_bytes(),
        }
    }
}

fn run(given: &Given) -> Result<(), Failure> {
    given.require(&["topic", "num-records", "throughput"])?;
    let payload = Payload::of(given)?;
    for (old, new) in [("producer-props", "command-property"), ("producer.config", "command-config")] {
        if given.has(old) {
            say!("Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead.");
        }
    }
    let mut settings = properties_file(given.value("command-config").or(given.value("producer.config")))?;
    settings.extend(pairs(given.values("producer-props").chain(given.values("command-property"))));
    let setting = |key: &str| settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let server = given.value("bootstrap-server").or(setting("bootstrap.servers"));
    let server = server.ok_or_else(|| given.error("argument --bootstrap-server is required".to_owned()))?;
    let options = ProducerOptions {
        acks: setting("acks")
            .map_or(Ok(-1), |acks| if acks == "all" { Ok(-1) } else { acks.parse() })
            .map_err(|_| Failure::said("acks is all, -1, 0 or 1"))?,
        codec: match setting("compression.type").unwrap_or("none") {
            "none" => Codec::None,
            "gzip" => Codec::Gzip,
            "snappy" => Codec::Snappy,
            "lz4" => Codec::Lz4,
            "zstd" => Codec::Zstd,
            other => return Err(Failure::said(format!("compression.type={other} is none, gzip, snappy, lz4 or zstd"))),
        },
        batch_bytes: setting("batch.size").and_then(|size| size.parse().ok()).unwrap_or(16 << 10),
        ..ProducerOptions::default()
    };
    let count: u64 = given.parsed("num-records")?.unwrap_or_default();
    let throughput: f64 = given.parsed("throughput")?.unwrap_or(-1.0);
    let warmup: u64 = given.parsed("warmup-records")?.unwrap_or(0);
    if warmup > 0 {
        say!("Warmup first {warmup} records. Steady state results will print after the complete test summary.");
    }
    let interval = Duration::from_millis(given.parsed("reporting-interval")?.unwrap_or(5000));
    let topic = given.value("topic").unwrap_or_default();
    run_async(async {
        let client = &mut connect_to(server, &settings).await?;
        client.await_topic(topic, true).await?;
        let mut producer = Producer::open(client, topic, options).await?;
        let mut run =
            Run { pending: VecDeque::new(), whole: Stats::new(), steady: None, window: Stats::new(), interval };
        let begun = Instant::now();
        for number in 0..count {
            if warmup > 0 && number == warmup {
                run.steady = Some(Stats::new());
            }
            run.send(client, &mut producer, &payload.next(number)).await?;
            if throughput > 0.0 {
                let due = begun + Duration::from_secs_f64((number + 1) as f64 / throughput);
                if due > Instant::now() {
                    producer.flush(client).await?;
                    run.settle(&producer);
                    sleep_until(due).await;
                }
            }
        }
        producer.flush(client).await?;
        run.settle(&producer);
        run.whole.summary("");
        if let Some(steady) = &mut run.steady {
            steady.summary(" steady state");
        }
        Ok(())
    })
}

/// A test that runs.
struct Run {
    /// When each record that has no answer yet was sent, and how large it is.
    pending: VecDeque<(Instant, usize)>,
    whole: Stats,
    /// From the end of the warm-up on.
    steady: Option<Stats>,
    window: Stats,
    interval: Duration,
}

impl Run {
    async fn send(&mut self, client: &mut ClusterClient, producer: &mut Producer, value: &[u8]) -> Result<(), Failure> {
        self.pending.push_back((Instant::now(), value.len()));
        let record = NewRecord { value: Some(value), timestamp: clock::wall().0, ..NewRecord::default() };
        producer.send(client, &record).await?;
        self.settle(producer);
        Ok(())
    }

    /// Notes the records that were answered.
    fn settle(&mut self, producer: &Producer) {
        while self.whole.latencies.len() < usize::try_from(producer.done().records).unwrap_or(usize::MAX) {
            let Some((sent, bytes)) = self.pending.pop_front() else { return };
            let latency = sent.elapsed();
            self.whole.note(latency, bytes);
            self.window.note(latency, bytes);
            self.steady.iter_mut().for_each(|steady| steady.note(latency, bytes));
        }
        if self.window.begun.elapsed() >= self.interval {
            self.window.tell();
            self.window = Stats::new();
        }
    }
}

/// What was measured since a moment.
struct Stats {
    begun: Instant,
    bytes: usize,
    /// In milliseconds.
    latencies: Vec<u64>,
}

impl Stats {
    fn new() -> Self {
        Self { begun: Instant::now(), bytes: 0, latencies: Vec::new() }
    }

    fn note(&mut self, latency: Duration, bytes: usize) {
        self.bytes += bytes;
        self.latencies.push(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
    }

    fn average(&self) -> f64 {
        self.latencies.iter().sum::<u64>() as f64 / self.latencies.len() as f64
    }

    fn rates(&self) -> (f64, f64) {
        let seconds = self.begun.elapsed().as_secs_f64();
        (self.latencies.len() as f64 / seconds, self.bytes as f64 / seconds / f64::from(1 << 20))
    }

    /// The line of an interval.
    fn tell(&self) {
        let ((records, megabytes), max) = (self.rates(), self.latencies.iter().max().copied().unwrap_or(0));
        say!(
            "{} records sent, {records:.1} records/sec ({megabytes:.2} MB/sec), {:.1} ms avg latency, {max:.1} ms max latency.",
            self.latencies.len(),
            self.average(),
        );
    }

    /// The line at the end.
    fn summary(&mut self, of_what: &str) {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        let at = |share: f64| self.latencies.get((share * count as f64) as usize).copied().unwrap_or(0);
        let (records, megabytes) = self.rates();
        print(format_args!(
            "{count}{of_what} records sent, {records:.6} records/sec ({megabytes:.2} MB/sec), {:.2} ms avg latency, \
             {:.2} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.\n",
            self.average(),
            self.latencies.last().copied().unwrap_or(0) as f64,
            at(0.5),
            at(0.95),
            at(0.99),
            at(0.999),
        ));
    }
}
