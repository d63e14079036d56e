//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing is doubled, no index is wrong.
//!
//! `OTTLA_KILLS` says how often (3 unless set); `scripts/kill-test` runs it many times over and prints its figures.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla::protocol::{
    FetchPartition, FetchRequest, FetchTopic, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, Records,
};
use ottla::record::BatchHeader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::harness::{Connection, Node, PATIENCE, Setup};

const TOPIC: &str = "kills";
const PARTITIONS: i32 = 4;

/// What the broker acknowledged to one producer: partition, offset and value; and what it refused.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Vec<(i32, i64, String)>>>, Arc<Mutex<Vec<String>>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let value = String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap();
                self.0.lock().unwrap().push((message.partition(), message.offset(), value));
            }
            Err((error, message)) => {
                self.1.lock().unwrap().push(format!("{error} for {}@{}", message.partition(), message.offset()));
            }
        }
    }
}

struct Load {
    name: &'static str,
    address: String,
    idempotent: bool,
    producer: ThreadedProducer<Acknowledged>,
    acknowledged: Acknowledged,
    sent: usize,
}

impl Load {
    fn new(address: &str, name: &'static str, idempotent: bool) -> Self {
        let acknowledged = Acknowledged::default();
        let producer = producer(address, idempotent, &acknowledged);
        Self { name, address: address.to_owned(), idempotent, producer, acknowledged, sent: 0 }
    }

    /// Begins with a new producer. librdkafka 2.12 now and then never connects again after a refused connection; what
    /// the old one had under way is then of unknown outcome, which the checks allow.
    fn renew(&mut self) {
        println!("no connection any more: {}", self.describe());
        self.producer = producer(&self.address, self.idempotent, &self.acknowledged);
    }

    /// Sends one value to each partition, as far as the queue takes it.
    fn send(&mut self) {
        for partition in 0..PARTITIONS {
            let value = format!("{} {} {:0>100}", self.name, self.sent, partition);
            let record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&value);
            if self.producer.send(record).is_ok() {
                self.sent += 1;
            }
        }
    }

    /// Sends until more is acknowledged than `before`.
    fn get_through(&mut self, before: usize, node: &Node) {
        let mut renewals = 0;
        let mut stalled = Instant::now();
        while self.acknowledged() == before {
            if stalled.elapsed() > Duration::from_secs(10) {
                assert!(renewals < 3, "no progress: {}\n{}", self.describe(), node.process().log());
                self.renew();
                renewals += 1;
                stalled = Instant::now();
            }
            self.send();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What a person needs to know when it gets no further.
    fn describe(&self) -> String {
        let refused = self.acknowledged.1.lock().unwrap();
        let fatal = self.producer.client().fatal_error();
        format!(
            "{}: {} sent, {} acknowledged, {} refused (last {:?}), {} in flight, fatal {fatal:?}",
            self.name,
            self.sent,
            self.acknowledged(),
            refused.len(),
            refused.last(),
            self.producer.in_flight_count(),
        )
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.0.lock().unwrap().len()
    }
}

fn producer(address: &str, idempotent: bool, acknowledged: &Acknowledged) -> ThreadedProducer<Acknowledged> {
    ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("enable.idempotence", idempotent.to_string())
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("compression.type", if idempotent { "none" } else { "lz4" })
        .set("retry.backoff.ms", "20")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set("message.timeout.ms", "120000")
        .create_with_context(acknowledged.clone())
        .unwrap()
}

struct Read {
    offset: i64,
    timestamp: i64,
    value: String,
}

fn consumer(address: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "kills-check")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .create()
        .unwrap()
}

fn read_all(address: &str, partition: i32) -> Vec<Read> {
    let consumer = consumer(address);
    let (low, high) = consumer.fetch_watermarks(TOPIC, partition, PATIENCE).unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(TOPIC, partition, Offset::Offset(low)).unwrap();
    consumer.assign(&from).unwrap();
    let mut records = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while records.last().map_or(low, |read: &Read| read.offset + 1) < high {
        assert!(Instant::now() < deadline, "read {} of {high} records", records.len());
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let message = message.unwrap();
        records.push(Read {
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap(),
            value: String::from_utf8(message.payload().unwrap().to_vec()).unwrap(),
        });
    }
    records
}

/// Every acknowledged value is where the broker said; idempotent values come once and in order.
fn check_records(read: &BTreeMap<i32, Vec<Read>>, loads: &[Load]) {
    for (partition, records) in read {
        let gap = records.iter().enumerate().find(|(at, read)| read.offset != *at as i64);
        assert!(gap.is_none(), "partition {partition} has a gap at {:?}", gap.map(|(at, _)| at));
    }
    for load in loads {
        for (partition, offset, value) in load.acknowledged.0.lock().unwrap().iter() {
            let found = read[partition].get(usize::try_from(*offset).unwrap()).map(|read| &read.value);
            assert_eq!(found, Some(value), "acknowledged at {partition}@{offset}");
        }
    }
    for (partition, records) in read {
        let mut seen = HashSet::new();
        let mut last = None;
        for value in records.iter().map(|read| &read.value).filter(|value| value.starts_with("idempotent")) {
            assert!(seen.insert(value), "partition {partition} has {value} twice");
            let number: usize = value.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(last.is_none_or(|last| number > last), "partition {partition} has {number} after {last:?}");
            last = Some(number);
        }
    }
}

/// Lookups by offset and by time, which go through the indexes, agree with the whole scan.
fn check_indexes(node: &Node, read: &BTreeMap<i32, Vec<Read>>) {
    let mut connection = node.connect();
    for (&partition, records) in read {
        let step = (records.len() / 200).max(1);
        for wanted in records.iter().step_by(step) {
            let first = records.iter().find(|read| read.timestamp >= wanted.timestamp).unwrap().offset;
            let found = offset_for_time(&mut connection, partition, wanted.timestamp);
            assert_eq!(found, first, "partition {partition}, time {}", wanted.timestamp);
            let batch = batch_at(&mut connection, partition, wanted.offset);
            assert!(batch.contains(&wanted.offset), "partition {partition}: {batch:?} for offset {}", wanted.offset);
        }
    }
}

fn offset_for_time(connection: &mut Connection, partition_index: i32, timestamp: i64) -> i64 {
    let partition = ListOffsetsPartition { partition_index, timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let response = connection.send(5, &request);
    response.topics[0].partitions[0].offset
}

/// The offsets of the first batch that a fetch from `fetch_offset` answers.
fn batch_at(connection: &mut Connection, partition: i32, fetch_offset: i64) -> RangeInclusive<i64> {
    let partition = FetchPartition { partition, fetch_offset, partition_max_bytes: 1, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_bytes: 1, topics: vec![topic], ..FetchRequest::default() };
    let response = connection.send(11, &request);
    let Records::Inline(bytes) = &response.responses[0].partitions[0].records else { panic!("{response:?}") };
    let header = BatchHeader::parse(bytes).unwrap();
    header.base_offset..=header.last_offset()
}

fn start(directory: &std::path::Path, address: Option<&str>) -> Node {
    let listener = address.map_or("PLAINTEXT://127.0.0.1:0".to_owned(), |address| format!("PLAINTEXT://{address}"));
    setup(directory, &listener).start()
}

fn setup(directory: &std::path::Path, listener: &str) -> Setup {
    // Small segments, so that rolls are hit too, and nearly every batch in the indexes.
    Setup::new(directory)
        .set("listeners", listener)
        .set("log.segment.bytes", "1048576")
        .set("log.index.interval.bytes", "512")
}

/// Now and then a broker is killed while it recovers from the kill before.
fn kill_while_it_starts(directory: &std::path::Path, address: &str) {
    while rand::random_ratio(1, 8) {
        let mut process = setup(directory, &format!("PLAINTEXT://{address}")).spawn();
        std::thread::sleep(Duration::from_micros(rand::random_range(0..200_000)));
        process.signal("KILL");
        process.wait();
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_no_index_is_wrong() {
    let kills: usize =
        std::env::var("OTTLA_KILLS").ok().map_or(3, |text| text.parse().expect("OTTLA_KILLS is a number"));
    let directory = tempfile::tempdir().unwrap();
    let mut node = start(directory.path(), None);
    let address = node.address();
    node.connect().create_topic_with(TOPIC, PARTITIONS, 1, &[]);
    let mut loads = [Load::new(&address, "idempotent", true), Load::new(&address, "plain", false)];
    let mut restarts = Vec::new();
    for _ in 0..kills {
        let until = Instant::now() + Duration::from_millis(rand::random_range(20..600));
        let acknowledged_before: Vec<usize> = loads.iter().map(Load::acknowledged).collect();
        // Kills that hit an idle broker prove nothing: both producers get through first.
        for (load, before) in loads.iter_mut().zip(acknowledged_before) {
            load.get_through(before, &node);
        }
        while Instant::now() < until {
            loads.iter_mut().for_each(Load::send);
            std::thread::sleep(Duration::from_millis(2));
        }
        node.kill();
        kill_while_it_starts(directory.path(), &address);
        let started = Instant::now();
        node = start(directory.path(), Some(&address));
        restarts.push(started.elapsed());
    }
    for load in &loads {
        load.producer.flush(PATIENCE * 2).unwrap();
    }
    let read: BTreeMap<i32, Vec<Read>> = (0..PARTITIONS).map(|p| (p, read_all(&address, p))).collect();
    check_records(&read, &loads);
    check_indexes(&node, &read);
    restarts.sort();
    let acknowledged: HashMap<_, _> = loads.iter().map(|load| (load.name, load.acknowledged())).collect();
    let records: usize = read.values().map(Vec::len).sum();
    println!(
        "\n{kills} kills: acknowledged {acknowledged:?}, all found; {records} records in the log; restart to ready median {:?}, longest {:?}",
        restarts.get(kills / 2),
        restarts.last()
    );
}
