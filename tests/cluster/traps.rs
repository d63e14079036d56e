//! What brokers that speak Kafka's protocol have got wrong before, and real clients stumbled over.

use std::collections::BTreeMap;

use ottla::model::ErrorCode;
use ottla::protocol::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsTopic, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeConfigsResource, FetchPartition, FetchRequest, FetchTopic, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResource, IncrementalAlterableConfig, InitProducerIdRequest,
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, MetadataRequest, OffsetCommitRequest,
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetFetchRequest, OffsetFetchRequestTopic,
    OffsetFetchResponsePartition, Records,
};
use ottla::record::{BatchBuilder, Codec};

use super::harness::{Connection, PATIENCE};
use super::probe::{Broker, batch, end_offset, header, now_ms, offset_at, payload, produce, produce_request, unique};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
// Operations of IncrementalAlterConfigs.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn advertised(connection: &mut Connection) -> BTreeMap<i16, (i16, i16)> {
    let response = connection.send(0, &ApiVersionsRequest::default());
    response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect()
}

/// librdkafka before 2.11.1 compresses only for brokers that list Produce from version 0.
#[test]
fn produce_is_listed_from_version_0() {
    let broker = Broker::start();
    assert_eq!(advertised(&mut broker.connect())[&0].0, 0);
}

/// Old librdkafka and segmentio's kafka-go join groups in versions 0 and 1.
#[test]
fn join_group_is_listed_from_version_0_and_old_versions_join_at_once() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    assert_eq!(advertised(&mut connection)[&11].0, 0);
    for version in [0, 1, 3] {
        let joined = join(&mut connection, version, &unique("old"));
        assert_eq!(joined.error_code, ErrorCode::None, "version {version}");
        assert_eq!(joined.leader, joined.member_id);
    }
    // From version 4 on a member is told its id first (KIP-394).
    let told = join(&mut connection, 4, &unique("new"));
    assert_eq!(told.error_code, ErrorCode::MemberIdRequired);
    assert!(!told.member_id.is_empty());
}

fn join(connection: &mut Connection, version: i16, group: &str) -> JoinGroupResponse {
    await_coordinator(connection, group);
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: vec![0; 6].into() };
    let request = JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    };
    connection.send(version, &request)
}

/// Until the group's coordinator answers; the first question of all makes `__consumer_offsets`.
fn await_coordinator(connection: &mut Connection, group: &str) {
    let find = FindCoordinatorRequest { key: group.to_owned(), ..FindCoordinatorRequest::default() };
    let fetch = OffsetFetchRequest { group_id: group.to_owned(), topics: Some(Vec::new()), ..Default::default() };
    let deadline = std::time::Instant::now() + PATIENCE;
    while connection.send(2, &find).error_code.is_error() || connection.send(5, &fetch).error_code.is_error() {
        assert!(std::time::Instant::now() < deadline, "no coordinator");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Clients read the response to ApiVersions before they know which versions the broker speaks.
#[test]
fn api_versions_is_served_natively_in_every_version_with_a_plain_header() {
    let broker = Broker::start();
    for version in 0..=4 {
        let mut connection = broker.raw();
        let request =
            ApiVersionsRequest { client_software_name: "client".to_owned(), client_software_version: "1".to_owned() };
        let answer = connection.send_frame(&payload(version, &request)).expect_answer(1);
        // After the correlation id comes the body, never the tagged fields of a flexible header.
        let body = answer[4..].to_vec().into();
        let mut reader = ottla::protocol::Reader::new(&body);
        let response =
            <ApiVersionsResponse as ottla::protocol::Message>::decode(&mut reader, version).expect("decodes");
        assert_eq!(response.error_code, ErrorCode::None);
        assert!(response.api_keys.len() > 20, "version {version}");
    }
}

#[test]
fn every_listed_version_is_a_range_and_listed_once() {
    let broker = Broker::start();
    let response = broker.connect().send(
        4,
        &ApiVersionsRequest { client_software_name: "client".to_owned(), client_software_version: "1".to_owned() },
    );
    let mut keys: Vec<i16> = response.api_keys.iter().map(|api| api.api_key).collect();
    assert!(response.api_keys.iter().all(|api| 0 <= api.min_version && api.min_version <= api.max_version));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), response.api_keys.len());
}

#[test]
fn acks_0_is_not_answered() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let topic = unique("silent");
    connection.create_topic(&topic);
    let mut raw = broker.raw();
    raw.send_frame(&payload(8, &produce_request(&topic, 0, batch(&[b"value"]))));
    let mut metadata = header(3, 4, 99);
    metadata.extend([0, 0, 0, 0, 0]);
    raw.send_frame(&metadata).expect_answer(99);
    assert_eq!(end_offset(&mut connection, &topic), 1);
}

#[test]
fn a_fetch_from_inside_a_batch_returns_the_whole_batch() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let topic = unique("inside");
    connection.create_topic(&topic);
    for _ in 0..3 {
        produce(&mut connection, &topic, batch(&[b"one", b"two", b"three"]));
    }
    for (from, first) in [(0, 0), (2, 0), (3, 3), (4, 3), (8, 6)] {
        let partition =
            FetchPartition { fetch_offset: from, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let asked = FetchTopic { topic: topic.clone(), partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest { max_bytes: 1 << 20, topics: vec![asked], ..FetchRequest::default() };
        let response = connection.send(11, &request);
        let Records::Inline(bytes) = &response.responses[0].partitions[0].records else { panic!("no records") };
        assert_eq!(bytes[..8], i64::to_be_bytes(first), "the first batch of a fetch from {from}");
    }
}

fn commit(connection: &mut Connection, group: &str, topic: &str, offset: i64, metadata: Option<&str>) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        committed_metadata: metadata.map(str::to_owned),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.to_owned(),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest { group_id: group.to_owned(), topics: vec![topic], ..Default::default() };
    connection.send(7, &request).topics[0].partitions[0].error_code
}

fn committed(connection: &mut Connection, group: &str, topic: &str) -> OffsetFetchResponsePartition {
    let topic = OffsetFetchRequestTopic { name: topic.to_owned(), partition_indexes: vec![0] };
    let request = OffsetFetchRequest { group_id: group.to_owned(), topics: Some(vec![topic]), ..Default::default() };
    connection.send(5, &request).topics[0].partitions[0].clone()
}

#[test]
fn the_metadata_of_a_commit_comes_back() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let (topic, group) = (unique("commits"), unique("group"));
    connection.create_topic(&topic);
    await_coordinator(&mut connection, &group);
    assert_eq!(committed(&mut connection, &group, &topic).committed_offset, -1);
    for (offset, metadata) in [(3, Some("a note with ключ")), (0, Some("")), (7, None)] {
        assert_eq!(commit(&mut connection, &group, &topic, offset, metadata), ErrorCode::None);
        let kept = committed(&mut connection, &group, &topic);
        // Nothing and an empty text are the same to Kafka.
        assert_eq!(
            (kept.committed_offset, kept.metadata.unwrap_or_default()),
            (offset, metadata.unwrap_or("").to_owned())
        );
    }
}

#[test]
fn create_partitions_answers_for_every_topic() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let names: Vec<String> = ["good", "shrinks", "missing", "same"].iter().map(|kind| unique(kind)).collect();
    for name in [&names[0], &names[1], &names[3]] {
        connection.create_topic(name);
    }
    let counts = [3, 0, 3, 1];
    let topics = names.iter().zip(counts).map(|(name, count)| CreatePartitionsTopic {
        name: name.clone(),
        count,
        assignments: None,
    });
    let request = CreatePartitionsRequest { topics: topics.collect(), timeout_ms: 30_000, validate_only: false };
    let response = connection.send(1, &request);
    let answers: BTreeMap<&str, ErrorCode> =
        response.results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
    let expected = [
        ErrorCode::None,
        ErrorCode::InvalidPartitions,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidPartitions,
    ];
    assert_eq!(answers, names.iter().map(String::as_str).zip(expected).collect());
}

/// A longer time-out than the broker's maximum would let a dead producer hold up readers for as long.
#[test]
fn a_transaction_time_out_above_the_maximum_is_refused() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let transactional_id = unique("transfers");
    connection.find_transaction_coordinator(&transactional_id);
    let mut init = |transaction_timeout_ms| {
        let request = InitProducerIdRequest {
            transactional_id: Some(transactional_id.clone()),
            transaction_timeout_ms,
            ..InitProducerIdRequest::default()
        };
        connection.send(4, &request)
    };
    for refused in [i32::MAX, 900_001, 0, -1] {
        assert_eq!(init(refused).error_code, ErrorCode::InvalidTransactionTimeout, "{refused}");
    }
    let accepted = init(900_000);
    assert_eq!((accepted.error_code, accepted.producer_epoch), (ErrorCode::None, 0));
}

#[test]
fn compacted_topics_take_no_record_without_a_key() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let topic = unique("compacted");
    connection.create_topic_with(&topic, 1, 1, &[("cleanup.policy", "compact")]);
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let mut records = BatchBuilder::new().codec(codec, None);
        records.append(now_ms(), Some(b"key"), Some(b"value"), &[]);
        records.append(now_ms(), None, Some(b"no key"), &[]);
        let answer = produce(&mut connection, &topic, records.build().to_vec());
        assert_eq!(answer.error_code, ErrorCode::InvalidRecord, "{codec:?}");
        assert_eq!(answer.record_errors.first().map(|error| error.batch_index), Some(1), "{codec:?}");
    }
    assert_eq!(end_offset(&mut connection, &topic), 0);
    let mut records = BatchBuilder::new();
    records.append(now_ms(), Some(b""), None, &[]);
    assert_eq!(produce(&mut connection, &topic, records.build().to_vec()).error_code, ErrorCode::None);
}

#[test]
fn offsets_by_time_are_exact_to_the_record() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let start = now_ms() - 1_000_000;
    for codec in [Codec::None, Codec::Gzip, Codec::Lz4] {
        let topic = unique("times");
        connection.create_topic(&topic);
        // Three batches whose records are not in order of time.
        for base in [0, 100, 200] {
            let mut records = BatchBuilder::new().codec(codec, None);
            for delta in [10, 40, 20, 30] {
                records.append(start + base + delta, None, Some(b"value"), &[]);
            }
            assert_eq!(produce(&mut connection, &topic, records.build().to_vec()).error_code, ErrorCode::None);
        }
        for (time, offset, at) in [
            (0, 0, 10),
            (10, 0, 10),
            (11, 1, 40),
            (40, 1, 40),
            (41, 4, 110),
            (110, 4, 110),
            (115, 5, 140),
            (231, 9, 240),
        ] {
            assert_eq!(offset_at(&mut connection, &topic, start + time), (offset, start + at), "{codec:?} {time}");
        }
        assert_eq!(offset_at(&mut connection, &topic, start + 241), (-1, -1), "after the last record");
        assert_eq!(offset_at(&mut connection, &topic, -2).0, 0);
        assert_eq!(offset_at(&mut connection, &topic, -1).0, 12);
        assert_eq!(offset_at(&mut connection, &topic, -3), (9, start + 240), "the largest time");
    }
}

type Described = BTreeMap<String, (Option<String>, i8)>;

fn describe(connection: &mut Connection, resource_type: i8, name: &str) -> Described {
    let resource = DescribeConfigsResource { resource_type, resource_name: name.to_owned(), configuration_keys: None };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
    let response = connection.send(3, &request);
    assert_eq!(response.results[0].error_code, ErrorCode::None, "{response:?}");
    let configs = response.results[0].configs.iter();
    configs.map(|config| (config.name.clone(), (config.value.clone(), config.config_source))).collect()
}

#[test]
fn describe_configs_tells_every_key_with_value_and_source() {
    const DYNAMIC_TOPIC_CONFIG: i8 = 1;
    const DEFAULT_CONFIG: i8 = 5;
    let broker = Broker::start();
    let mut connection = broker.connect();
    let topic = unique("configs");
    connection.create_topic_with(&topic, 1, 1, &[("retention.ms", "123456")]);
    let described = describe(&mut connection, TOPIC, &topic);
    assert!(described.len() >= 25, "{described:?}");
    assert_eq!(described["retention.ms"], (Some("123456".to_owned()), DYNAMIC_TOPIC_CONFIG));
    assert_eq!(described["cleanup.policy"], (Some("delete".to_owned()), DEFAULT_CONFIG));
    assert_eq!(described["max.message.bytes"], (Some("1048588".to_owned()), DEFAULT_CONFIG));
    assert!(described.values().all(|(_, source)| *source > 0), "every key has a source");
    let metadata = connection.send(4, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() });
    let broker_id = metadata.brokers[0].node_id.to_string();
    assert!(describe(&mut connection, BROKER, &broker_id).len() > 150);
}

fn alter(connection: &mut Connection, topic: &str, changes: &[(&str, i8, Option<&str>)]) -> ErrorCode {
    let configs = changes.iter().map(|(name, config_operation, value)| IncrementalAlterableConfig {
        name: (*name).to_owned(),
        config_operation: *config_operation,
        value: value.map(str::to_owned),
    });
    let resource = IncrementalAlterConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.to_owned(),
        configs: configs.collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    connection.send(0, &request).responses[0].error_code
}

#[test]
fn config_changes_that_make_no_sense_are_refused_and_harm_nothing() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let topic = unique("alter");
    connection.create_topic(&topic);
    let nonsense: &[&[(&str, i8, Option<&str>)]] = &[
        &[("retention.ms", APPEND, Some("1"))],
        &[("retention.ms", SUBTRACT, Some("1"))],
        &[("retention.ms", SET, None)],
        &[("retention.ms", SET, Some("soon"))],
        &[("cleanup.policy", APPEND, Some("shred"))],
        &[("cleanup.policy", APPEND, None)],
        &[("cleanup.policy", 9, Some("compact"))],
        &[("no.such.key", SET, Some("1"))],
        &[("retention.ms", SET, Some("1000")), ("retention.ms", DELETE, None)],
        &[("", SET, Some("1"))],
    ];
    for changes in nonsense {
        assert!(alter(&mut connection, &topic, changes).is_error(), "{changes:?}");
    }
    assert_eq!(describe(&mut connection, TOPIC, &topic)["cleanup.policy"].0.as_deref(), Some("delete"));
    assert_eq!(alter(&mut connection, &topic, &[("cleanup.policy", APPEND, Some("compact"))]), ErrorCode::None);
    assert_eq!(described_policy(&mut connection, &topic, "delete,compact"), "delete,compact");
    assert_eq!(alter(&mut connection, &topic, &[("cleanup.policy", SUBTRACT, Some("delete"))]), ErrorCode::None);
    assert_eq!(described_policy(&mut connection, &topic, "compact"), "compact");
    assert_eq!(alter(&mut connection, &topic, &[("cleanup.policy", DELETE, None)]), ErrorCode::None);
    assert_eq!(described_policy(&mut connection, &topic, "delete"), "delete");
    assert_eq!(alter(&mut connection, &topic, &[("retention.ms", DELETE, None)]), ErrorCode::None, "deleted twice");
}

/// The policy once it is as expected: a change reaches the broker a moment after it is decided.
fn described_policy(connection: &mut Connection, topic: &str, expected: &str) -> String {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let policy = describe(connection, TOPIC, topic)["cleanup.policy"].0.clone().unwrap_or_default();
        if policy == expected || std::time::Instant::now() > deadline {
            return policy;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_topic_made_again_has_neither_records_nor_offsets_of_the_old_one() {
    let Some(broker) = Broker::start_with(&[]) else { return };
    let mut connection = broker.connect();
    let (topic, group) = (unique("again"), unique("group"));
    connection.create_topic(&topic);
    produce(&mut connection, &topic, batch(&[b"old", b"older"]));
    await_coordinator(&mut connection, &group);
    assert_eq!(commit(&mut connection, &group, &topic, 2, Some("old")), ErrorCode::None);
    let delete = DeleteTopicsRequest { topic_names: vec![topic.clone()], timeout_ms: 30_000, ..Default::default() };
    assert_eq!(connection.send(4, &delete).responses[0].error_code, ErrorCode::None);
    let deadline = std::time::Instant::now() + PATIENCE;
    while connection.send(4, &delete).responses[0].error_code != ErrorCode::UnknownTopicOrPartition {
        assert!(std::time::Instant::now() < deadline, "the topic stays");
    }
    connection.create_topic(&topic);
    connection.await_leaders(&topic, 1);
    assert_eq!(end_offset(&mut connection, &topic), 0);
    assert_eq!(committed(&mut connection, &group, &topic).committed_offset, -1);
    assert_eq!(produce(&mut connection, &topic, batch(&[b"new"])).base_offset, 0);
    assert_eq!(connection.fetch_all(&topic), [b"new"]);
}
