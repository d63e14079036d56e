//! SIGKILL at random moments under load: nothing acknowledged is lost, nothing is doubled, no index is wrong.
//!
//! `OTTLA_KILLS` says how often (3 unless set); `scripts/kill-test` runs it many times over and prints its figures.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla::protocol::{CreatableTopic, CreateTopicsRequest};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::harness::{Node, PATIENCE, Setup};

const TOPIC: &str = "kills";
const PARTITIONS: i32 = 4;

/// What the broker acknowledged to one producer: partition, offset and value.
#[derive(Clone, Default)]
struct Acknowledged(Arc<Mutex<Vec<(i32, i64, String)>>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            let value = String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap();
            self.0.lock().unwrap().push((message.partition(), message.offset(), value));
        }
    }
}

struct Load {
    name: &'static str,
    producer: ThreadedProducer<Acknowledged>,
    acknowledged: Acknowledged,
    sent: usize,
}

impl Load {
    fn new(address: &str, name: &'static str, idempotent: bool) -> Self {
        let acknowledged = Acknowledged::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("enable.idempotence", idempotent.to_string())
            .set("acks", "all")
            .set("linger.ms", "1")
            .set("retry.backoff.ms", "20")
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "100")
            .set("message.timeout.ms", "120000")
            .create_with_context(acknowledged.clone())
            .unwrap();
        Self { name, producer, acknowledged, sent: 0 }
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

    fn acknowledged(&self) -> usize {
        self.acknowledged.0.lock().unwrap().len()
    }
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
fn check_indexes(address: &str, read: &BTreeMap<i32, Vec<Read>>) {
    let consumer = consumer(address);
    for (&partition, records) in read {
        let step = (records.len() / 40).max(1);
        for wanted in records.iter().step_by(step) {
            let mut at = TopicPartitionList::new();
            at.add_partition_offset(TOPIC, partition, Offset::Offset(wanted.timestamp)).unwrap();
            let found = consumer.offsets_for_times(at, PATIENCE).unwrap();
            let found = found.elements()[0].offset().to_raw().unwrap();
            let first = records.iter().find(|read| read.timestamp >= wanted.timestamp).unwrap().offset;
            assert_eq!(found, first, "partition {partition}, time {}", wanted.timestamp);
            let mut from = TopicPartitionList::new();
            from.add_partition_offset(TOPIC, partition, Offset::Offset(wanted.offset)).unwrap();
            consumer.assign(&from).unwrap();
            let deadline = Instant::now() + PATIENCE;
            let message = loop {
                assert!(Instant::now() < deadline, "nothing at {partition}@{}", wanted.offset);
                if let Some(message) = consumer.poll(Duration::from_secs(1)) {
                    break message.unwrap();
                }
            };
            assert_eq!(message.offset(), wanted.offset, "partition {partition}");
        }
    }
}

fn start(directory: &std::path::Path, address: Option<&str>) -> Node {
    let listener = address.map_or("PLAINTEXT://127.0.0.1:0".to_owned(), |address| format!("PLAINTEXT://{address}"));
    // Small segments, so that rolls are hit too.
    Setup::new(directory).set("listeners", &listener).set("log.segment.bytes", "1048576").start()
}

fn create_topic(node: &Node) {
    let topic = CreatableTopic {
        name: TOPIC.to_owned(),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
    let response = node.connect().send(5, &request);
    assert!(!response.topics[0].error_code.is_error(), "{response:?}");
}

#[test]
fn nothing_acknowledged_is_lost_and_no_index_is_wrong() {
    let kills: usize =
        std::env::var("OTTLA_KILLS").ok().map_or(3, |text| text.parse().expect("OTTLA_KILLS is a number"));
    let directory = tempfile::tempdir().unwrap();
    let mut node = start(directory.path(), None);
    let address = node.address();
    create_topic(&node);
    let mut loads = [Load::new(&address, "idempotent", true), Load::new(&address, "plain", false)];
    let mut restarts = Vec::new();
    for kill in 0..kills {
        let until = Instant::now() + Duration::from_millis(rand::random_range(20..600));
        let acknowledged_before: Vec<usize> = loads.iter().map(Load::acknowledged).collect();
        let deadline = Instant::now() + PATIENCE;
        // Kills that hit an idle broker prove nothing: both producers get through first.
        while Instant::now() < until
            || loads.iter().zip(&acknowledged_before).any(|(l, &before)| l.acknowledged() == before)
        {
            assert!(Instant::now() < deadline, "no producer progress before kill {kill}:\n{}", node.process().log());
            loads.iter_mut().for_each(Load::send);
            std::thread::sleep(Duration::from_millis(2));
        }
        node.kill();
        let started = Instant::now();
        node = start(directory.path(), Some(&address));
        restarts.push(started.elapsed());
    }
    for load in &loads {
        load.producer.flush(PATIENCE * 2).unwrap();
    }
    let read: BTreeMap<i32, Vec<Read>> = (0..PARTITIONS).map(|p| (p, read_all(&address, p))).collect();
    check_records(&read, &loads);
    check_indexes(&address, &read);
    restarts.sort();
    let acknowledged: HashMap<_, _> = loads.iter().map(|load| (load.name, load.acknowledged())).collect();
    let records: usize = read.values().map(Vec::len).sum();
    println!(
        "{kills} kills: acknowledged {acknowledged:?}, all found; {records} records in the log; restart to ready median {:?}, longest {:?}",
        restarts.get(kills / 2),
        restarts.last()
    );
}
