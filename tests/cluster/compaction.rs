//! Compacted topics, as a consumer sees them.

use std::collections::BTreeMap;

use ottla::protocol::{
    FetchPartition, FetchRequest, FetchTopic, ProducePartition, ProduceRequest, ProduceTopic, Records,
};
use ottla::record::{BatchBuilder, Batches, Records as BatchRecords};

use super::harness::{Connection, Setup, eventually};

const TOPIC: &str = "newest";
/// A segment is rolled when its records span more than this, and each batch is that much later.
const SEGMENT_MS: i64 = 1_000;

fn produce(connection: &mut Connection, number: i64, key: &str, value: Option<&str>) {
    let mut batch = BatchBuilder::new();
    let timestamp = 1_700_000_000_000 + number * (SEGMENT_MS + 1);
    batch.append(timestamp, Some(key.as_bytes()), value.map(str::as_bytes), &[]);
    let partition = ProducePartition { index: 0, records: Some(batch.build()) };
    let topic = ProduceTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..ProduceTopic::default() };
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topics: vec![topic], ..ProduceRequest::default() };
    let response = connection.send(8, &request);
    assert!(!response.responses[0].partition_responses[0].error_code.is_error(), "{response:?}");
}

/// Everything from the start of partition 0: offset, key, value.
fn consume(connection: &mut Connection) -> Vec<(i64, String, Option<String>)> {
    let (mut fetch_offset, mut found) = (0, Vec::new());
    loop {
        let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
        let response = connection.send(11, &request);
        let partition = &response.responses[0].partitions[0];
        assert!(!partition.error_code.is_error(), "{response:?}");
        let Records::Inline(bytes) = &partition.records else { panic!("{response:?}") };
        if bytes.is_empty() {
            assert_eq!(fetch_offset, partition.high_watermark, "no gap keeps a consumer from the end");
            return found;
        }
        for batch in Batches::new(bytes) {
            let batch = batch.expect("a whole batch");
            fetch_offset = batch.header.next_offset();
            for record in BatchRecords::new(&batch.header, &batch.plain_records(1 << 20).expect("plain")) {
                let record = record.expect("a record");
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                found.push((record.offset, text(record.key.expect("a key")), record.value.map(text)));
            }
        }
    }
}

#[test]
fn a_consumer_sees_the_newest_record_of_each_key_also_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let setup = Setup::new(directory.path()).set("log.cleaner.backoff.ms", "100");
    let node = setup.start();
    let mut connection = node.connect();
    let segment_ms = SEGMENT_MS.to_string();
    connection.create_topic_with(
        TOPIC,
        1,
        1,
        &[
            ("cleanup.policy", "compact"),
            ("segment.ms", &segment_ms),
            ("flush.messages", "1"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("file.delete.delay.ms", "0"),
        ],
    );
    let mut newest = BTreeMap::new();
    for number in 0..60 {
        let (key, value) = (format!("key-{}", number % 5), format!("value-{number}"));
        produce(&mut connection, number, &key, Some(&value));
        newest.insert(key, (number, value));
    }
    // What the active segment supersedes is not cleaned yet.
    produce(&mut connection, 60, "last", Some("active"));
    newest.insert("last".to_owned(), (60, "active".to_owned()));
    let mut left: Vec<_> = newest.into_iter().map(|(key, (offset, value))| (offset, key, Some(value))).collect();
    left.sort();
    eventually("only the newest record of each key is left", || (consume(&mut connection) == left).then_some(()));
    node.kill();
    let node = setup.start();
    let mut connection = node.connect();
    connection.await_leaders(TOPIC, 1);
    assert_eq!(consume(&mut connection), left);
    produce(&mut connection, 61, "key-0", None);
    produce(&mut connection, 62, "key-9", Some("last"));
    let gone = |records: &[(i64, String, Option<String>)]| {
        let of_key: Vec<_> = records.iter().filter(|(_, key, _)| key == "key-0").collect();
        of_key.len() == 1 && of_key[0].0 == 61 && of_key[0].2.is_none()
    };
    eventually("a tombstone takes the record's place", || gone(&consume(&mut connection)).then_some(()));
    assert_eq!(consume(&mut connection).last().map(|record| record.0), Some(62));
}

#[test]
fn a_record_without_a_key_has_no_place_in_a_compacted_topic() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    connection.create_topic_with(TOPIC, 1, 1, &[("cleanup.policy", "compact")]);
    let refused = connection.try_produce(TOPIC, b"no key").expect_err("refused");
    assert_eq!(refused, ottla::model::ErrorCode::InvalidRecord);
}
