//! The quota on created and deleted partitions (KIP-599): one for the whole cluster, whichever broker is asked.

use ottla::model::ErrorCode;
use ottla::protocol::{
    AlterClientQuotasRequest, AlterQuotaEntry, CreatableTopic, CreatePartitionsRequest, CreatePartitionsTopic,
    CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, DescribeClientQuotasRequest, QuotaEntityData,
    QuotaFilter, QuotaOperation,
};

use super::harness::{Cluster, Connection, Plan, Setup, eventually, ottla};

const RATE: &str = "controller_mutation_rate";
/// So slow that nothing is paid back while a test runs.
const HARDLY_ANY: f64 = 0.000_1;
/// The client id of the harness.
const CLIENT: &str = "test";

/// What became of one topic, and for how many milliseconds the client has to wait.
type Told = (ErrorCode, i32);

fn limit(connection: &mut Connection, value: Option<f64>) {
    let operation = QuotaOperation { key: RATE.to_owned(), value: value.unwrap_or(0.0), remove: value.is_none() };
    let entity = QuotaEntityData { entity_type: "client-id".to_owned(), entity_name: Some(CLIENT.to_owned()) };
    let entry = AlterQuotaEntry { entity: vec![entity], ops: vec![operation] };
    let response = connection.send(1, &AlterClientQuotasRequest { entries: vec![entry], validate_only: false });
    assert_eq!(response.entries[0].error_code, ErrorCode::None, "{response:?}");
}

/// Waits until a node tells the limit.
fn await_limit(connection: &mut Connection, expected: f64) {
    let component =
        QuotaFilter { entity_type: "client-id".to_owned(), match_type: 0, r#match: Some(CLIENT.to_owned()) };
    let request = DescribeClientQuotasRequest { components: vec![component], strict: true };
    eventually("the limit is told", || {
        let entries = connection.send(1, &request).entries.expect("entries");
        let values: Vec<_> = entries.into_iter().flat_map(|entry| entry.values).collect();
        values.iter().any(|value| value.key == RATE && value.value == expected).then_some(())
    });
}

fn create(connection: &mut Connection, version: i16, name: &str, num_partitions: i32) -> Told {
    let topic =
        CreatableTopic { name: name.to_owned(), num_partitions, replication_factor: 1, ..CreatableTopic::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let response = connection.send(version, &request);
    (response.topics[0].error_code, response.throttle_time_ms)
}

fn widen(connection: &mut Connection, version: i16, name: &str, count: i32) -> Told {
    let topic = CreatePartitionsTopic { name: name.to_owned(), count, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let response = connection.send(version, &request);
    (response.results[0].error_code, response.throttle_time_ms)
}

fn delete(connection: &mut Connection, version: i16, name: &str) -> Told {
    let request = match version {
        6.. => {
            let topic = DeleteTopicState { name: Some(name.to_owned()), ..DeleteTopicState::default() };
            DeleteTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..DeleteTopicsRequest::default() }
        }
        _ => DeleteTopicsRequest { topic_names: vec![name.to_owned()], timeout_ms: 30_000, ..Default::default() },
    };
    let response = connection.send(version, &request);
    (response.responses[0].error_code, response.throttle_time_ms)
}

/// Waits until a node tells that the topic has `count` partitions.
fn await_partitions(cluster: &Cluster, node: i32, name: &str, count: usize) {
    let mut connection = cluster.connect(node);
    eventually("the partitions are told", || (connection.describe_topic(name).partitions.len() == count).then_some(()));
}

fn is_refused((error_code, wait_ms): Told) -> bool {
    error_code == ErrorCode::ThrottlingQuotaExceeded && wait_ms > 0
}

fn is_done_and_waits((error_code, wait_ms): Told) -> bool {
    error_code == ErrorCode::None && wait_ms > 0
}

/// A client that has to wait is not read from, so each request has a connection of its own.
#[test]
fn a_client_that_has_used_up_its_partitions_is_refused_by_every_broker_or_waits() {
    // Another controller would count anew, so there is only one.
    let cluster = Plan::isolated(1, 2).start();
    let (one, other) = (2, 3);
    limit(&mut cluster.connect(one), Some(HARDLY_ANY));
    [one, other].into_iter().for_each(|node| await_limit(&mut cluster.connect(node), HARDLY_ANY));

    assert_eq!(create(&mut cluster.connect(one), 7, "wide", 3), (ErrorCode::None, 0), "whatever it costs");
    assert!(is_refused(create(&mut cluster.connect(other), 6, "more", 1)));
    assert!(is_refused(create(&mut cluster.connect(one), 7, "more", 1)));
    await_partitions(&cluster, other, "wide", 3);
    assert!(is_refused(widen(&mut cluster.connect(other), 3, "wide", 4)));
    assert!(is_refused(delete(&mut cluster.connect(one), 6, "wide")));
    assert!(is_refused(delete(&mut cluster.connect(other), 5, "wide")));
    for node in [one, other] {
        let unheard_of = cluster.connect(node).describe_topic("unheard-of");
        assert_eq!(unheard_of.error_code, ErrorCode::UnknownTopicOrPartition, "nor is a topic created on first use");
        assert_eq!(cluster.connect(node).describe_topic("wide").partitions.len(), 3);
    }

    let (done, wait_ms) = create(&mut cluster.connect(other), 5, "old", 1);
    assert!(is_done_and_waits((done, wait_ms)));
    assert!(is_done_and_waits(widen(&mut cluster.connect(other), 2, "old", 2)));
    await_partitions(&cluster, one, "old", 2);
    let (done, longer_ms) = delete(&mut cluster.connect(one), 4, "wide");
    assert!(done == ErrorCode::None && longer_ms > wait_ms, "{longer_ms} and {wait_ms}");
    assert_eq!(
        create(&mut cluster.connect(one), 7, "old", 1),
        (ErrorCode::TopicAlreadyExists, 0),
        "which costs nothing"
    );

    limit(&mut cluster.connect(one), None);
    assert_eq!(create(&mut cluster.connect(one), 7, "more", 50), (ErrorCode::None, 0));
    assert_eq!(delete(&mut cluster.connect(one), 6, "old"), (ErrorCode::None, 0));
}

#[test]
fn a_client_over_its_partitions_is_not_read_from_until_it_has_waited() {
    let directory = tempfile::tempdir().expect("a directory");
    let setup = Setup::new(directory.path()).set("controller.quota.window.num", "1");
    let node = setup.start();
    let mut connection = node.connect();
    limit(&mut connection, Some(2.0));
    let began = std::time::Instant::now();
    let told = create(&mut connection, 5, "four", 4);
    assert_eq!(told, (ErrorCode::None, 1_000), "two at once, and two later at two a second");
    assert!(!connection.describe_topic("four").error_code.is_error());
    assert!(began.elapsed().as_millis() >= 1_000, "{:?}", began.elapsed());
}

#[test]
fn kafka_configs_sets_and_shows_the_rate() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).start();
    let address = node.address();
    let configs = |options: &[&str]| {
        let client = ["--bootstrap-server", &address, "--entity-type", "clients", "--entity-name", CLIENT];
        let output = ottla(&[&["tools", "run", "kafka-configs"], options, &client].concat());
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    assert_eq!(
        configs(&["--alter", "--add-config", "controller_mutation_rate=0.5"]),
        "Completed updating config for client test.\n"
    );
    assert_eq!(configs(&["--describe"]), "Quota configs for client-id 'test' are controller_mutation_rate=0.5\n");
    let mut connection = node.connect();
    assert_eq!(create(&mut connection, 7, "wide", 90), (ErrorCode::None, 0));
    assert!(is_refused(create(&mut connection, 7, "more", 1)));
    configs(&["--alter", "--delete-config", "controller_mutation_rate"]);
    assert_eq!(create(&mut node.connect(), 7, "more", 1), (ErrorCode::None, 0));
}
