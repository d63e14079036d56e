//! Limits of clients: whoever goes too fast is told, and served later.

use ottla::model::ErrorCode;
use ottla::protocol::{
    AlterClientQuotasRequest, AlterQuotaEntry, DescribeClientQuotasRequest, FetchPartition, FetchRequest, FetchTopic,
    ProducePartition, ProduceRequest, ProduceTopic, QuotaEntityData, QuotaFilter, QuotaOperation,
};
use ottla::record::BatchBuilder;

use super::harness::{Connection, Setup, eventually};

const TOPIC: &str = "limited";
/// The client id of the harness.
const CLIENT: &str = "test";

fn entity() -> Vec<QuotaEntityData> {
    vec![QuotaEntityData { entity_type: "client-id".to_owned(), entity_name: Some(CLIENT.to_owned()) }]
}

fn alter(connection: &mut Connection, key: &str, value: Option<f64>) -> ErrorCode {
    let operation = QuotaOperation { key: key.to_owned(), value: value.unwrap_or(0.0), remove: value.is_none() };
    let entry = AlterQuotaEntry { entity: entity(), ops: vec![operation] };
    let response = connection.send(1, &AlterClientQuotasRequest { entries: vec![entry], validate_only: false });
    response.entries[0].error_code
}

fn limits(connection: &mut Connection) -> Vec<(String, f64)> {
    let component = QuotaFilter { entity_type: "client-id".to_owned(), match_type: 2, r#match: None };
    let request = DescribeClientQuotasRequest { components: vec![component], strict: true };
    let response = connection.send(1, &request);
    assert!(!response.error_code.is_error(), "{response:?}");
    let entries = response.entries.expect("entries");
    entries.into_iter().flat_map(|entry| entry.values).map(|value| (value.key, value.value)).collect()
}

/// Produces so many bytes; how long the client is told to wait, in milliseconds.
fn produce(connection: &mut Connection, bytes: usize, acks: i16) -> i32 {
    let mut batch = BatchBuilder::new();
    batch.append(0, None, Some(&vec![b'v'; bytes]), &[]);
    let partition = ProducePartition { index: 0, records: Some(batch.build()) };
    let topic = ProduceTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..ProduceTopic::default() };
    let request = ProduceRequest { acks, timeout_ms: 30_000, topics: vec![topic], ..ProduceRequest::default() };
    let response = connection.send(9, &request);
    assert!(!response.responses[0].partition_responses[0].error_code.is_error(), "{response:?}");
    response.throttle_time_ms
}

fn fetch(connection: &mut Connection) -> (i32, usize) {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
    let response = connection.send(11, &request);
    let ottla::protocol::Records::Inline(records) = &response.responses[0].partitions[0].records else { panic!() };
    (response.throttle_time_ms, records.len())
}

#[test]
fn a_client_over_its_limit_is_told_to_wait_and_is_served_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let setup = Setup::new(directory.path());
    let node = setup.start();
    let mut connection = node.connect();
    connection.create_topic(TOPIC);
    assert_eq!(produce(&mut connection, 50_000, -1), 0, "nobody is limited");

    assert_eq!(alter(&mut connection, "producer_byte_rate", Some(10_000.0)), ErrorCode::None);
    assert_eq!(limits(&mut connection), [("producer_byte_rate".to_owned(), 10_000.0)]);
    assert_eq!(produce(&mut connection, 50_000, 1), 0, "a burst is let through");
    let told = produce(&mut connection, 70_000, 1);
    assert!(told > 0);
    // The next request on this connection is read only when the time is over; it is answered all the same.
    let waited = std::time::Instant::now();
    assert_eq!(limits(&mut connection).len(), 1);
    assert!(i32::try_from(waited.elapsed().as_millis()).unwrap_or(i32::MAX) >= told / 2);

    assert_eq!(alter(&mut connection, "producer_byte_rate", None), ErrorCode::None);
    assert_eq!(alter(&mut connection, "consumer_byte_rate", Some(10_000.0)), ErrorCode::None);
    eventually("a fetch has to wait", || {
        let (told, bytes) = fetch(&mut connection);
        assert!(bytes > 0, "the records come all the same");
        (told > 0).then_some(())
    });
    assert_eq!(alter(&mut connection, "consumer_byte_rate", None), ErrorCode::None);
    assert_eq!(limits(&mut connection), []);
    assert_eq!(fetch(&mut connection).0, 0);
    assert_eq!(alter(&mut connection, "producer_byte_rat", Some(1.0)), ErrorCode::InvalidRequest);
}

#[test]
fn limits_outlive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let setup = Setup::new(directory.path());
    let node = setup.start();
    assert_eq!(alter(&mut node.connect(), "request_percentage", Some(12.5)), ErrorCode::None);
    drop(node);
    let node = setup.start();
    assert_eq!(limits(&mut node.connect()), [("request_percentage".to_owned(), 12.5)]);
}
