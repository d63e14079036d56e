//! The administrative APIs, in every version that is advertised.

use std::ops::RangeInclusive;

use ottla::broker::dispatch;
use ottla::model::{ErrorCode, ProducerEpoch, ProducerId, Uuid};
use ottla::protocol::Request;
use ottla::protocol::messages::*;
use ottla::record::BatchBuilder;
use tempfile::TempDir;

use super::harness::{Connection, Node, Setup};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn start() -> (TempDir, Node, Connection) {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).start();
    let connection = node.connect();
    (directory, node, connection)
}

fn versions<R: Request>() -> RangeInclusive<i16> {
    dispatch::advertised(R::API_KEY).unwrap_or_else(|| panic!("{:?} is served", R::API_KEY))
}

fn topic(name: &str, num_partitions: i32) -> CreatableTopic {
    CreatableTopic { name: name.to_owned(), num_partitions, replication_factor: 1, ..CreatableTopic::default() }
}

fn create(connection: &mut Connection, version: i16, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false };
    connection.send(version, &request).topics
}

fn codes<T>(results: &[T], code: impl Fn(&T) -> ErrorCode) -> Vec<ErrorCode> {
    results.iter().map(code).collect()
}

/// The topic's partitions as Metadata tells them, by their index.
fn partitions(connection: &mut Connection, name: &str) -> Vec<i32> {
    let topics = vec![MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() }];
    let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
    connection.send(9, &request).topics[0].partitions.iter().map(|partition| partition.partition_index).collect()
}

fn produce(connection: &mut Connection, topic: &str, producer: ProducerId, sequence: i32, value: &[u8]) -> ErrorCode {
    let mut batch = BatchBuilder::new().producer(producer, ProducerEpoch(0), sequence);
    batch.append(1_700_000_000_000, Some(b"key"), Some(value), &[]);
    let partitions = vec![ProducePartition { index: 0, records: Some(batch.build()) }];
    let topics = vec![ProduceTopic { name: topic.to_owned(), partitions, ..ProduceTopic::default() }];
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topics, ..ProduceRequest::default() };
    connection.send(8, &request).responses[0].partition_responses[0].error_code
}

fn configs(
    connection: &mut Connection,
    resource_type: i8,
    resource_name: &str,
    keys: Option<&[&str]>,
) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: resource_name.to_owned(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
    };
    let request =
        DescribeConfigsRequest { resources: vec![resource], include_synonyms: true, include_documentation: true };
    let result = connection.send(4, &request).results.remove(0);
    if result.error_code.is_error() { Err(result.error_code) } else { Ok(result.configs) }
}

/// Value and source of one config.
fn config(connection: &mut Connection, resource_type: i8, name: &str, key: &str) -> (Option<String>, i8) {
    let found = configs(connection, resource_type, name, Some(&[key])).expect("the resource exists").remove(0);
    (found.value, found.config_source)
}

fn alter(
    connection: &mut Connection,
    resource_type: i8,
    resource_name: &str,
    operations: &[(&str, i8, Option<&str>)],
) -> ErrorCode {
    let configs = operations.iter().map(|(name, config_operation, value)| IncrementalAlterableConfig {
        name: (*name).to_owned(),
        config_operation: *config_operation,
        value: value.map(str::to_owned),
    });
    let resource = IncrementalAlterConfigsResource {
        resource_type,
        resource_name: resource_name.to_owned(),
        configs: configs.collect(),
    };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    connection.send(1, &request).responses[0].error_code
}

#[test]
fn topics_are_created_and_deleted_in_every_version() {
    let (_directory, _node, mut connection) = start();
    for version in versions::<CreateTopicsRequest>() {
        let name = format!("topic-{version}");
        let results = create(&mut connection, version, vec![topic(&name, 2), topic("a/b", 1)]);
        let expected = [ErrorCode::None, ErrorCode::InvalidTopicException];
        assert_eq!(codes(&results, |result| result.error_code), expected, "version {version}");
        assert_eq!(partitions(&mut connection, &name), [0, 1]);
        if version >= 5 {
            assert_eq!((results[0].num_partitions, results[0].replication_factor), (2, 1));
            let configs = results[0].configs.as_ref().expect("configs");
            assert!(configs.iter().any(|config| config.name == "retention.ms" && config.config_source == 5));
        }
    }
    for version in versions::<DeleteTopicsRequest>() {
        let names = [format!("topic-{version}"), "nothing".to_owned()];
        let by_name = |name: &String| DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::ZERO };
        let request = match version {
            6.. => DeleteTopicsRequest { topics: names.iter().map(by_name).collect(), ..Default::default() },
            _ => DeleteTopicsRequest { topic_names: names.to_vec(), ..Default::default() },
        };
        let results = connection.send(version, &DeleteTopicsRequest { timeout_ms: 30_000, ..request }).responses;
        let expected = [ErrorCode::None, ErrorCode::UnknownTopicOrPartition];
        assert_eq!(codes(&results, |result| result.error_code), expected, "version {version}");
    }
    assert_eq!(partitions(&mut connection, "topic-7"), [0, 1], "nobody deleted this one");
}

#[test]
fn a_request_to_create_topics_may_be_tried_out_and_names_what_is_wrong() {
    let (_directory, _node, mut connection) = start();
    let request = CreateTopicsRequest { topics: vec![topic("tried", 3)], timeout_ms: 30_000, validate_only: true };
    let result = connection.send(7, &request).topics.remove(0);
    assert_eq!((result.error_code, result.num_partitions), (ErrorCode::None, 3));
    // Asking Metadata about it would create it.
    let all = connection.send(9, &MetadataRequest { topics: None, ..MetadataRequest::default() });
    assert_eq!(all.topics, []);
    let with_config = |key: &str| CreatableTopic {
        configs: vec![CreatableTopicConfig { name: key.to_owned(), value: Some("1".to_owned()) }],
        ..topic("misspelt", 1)
    };
    let result = create(&mut connection, 7, vec![with_config("retention.mss")]).remove(0);
    assert_eq!(result.error_code, ErrorCode::InvalidConfig);
    assert!(result.error_message.expect("a message").contains("retention.ms?"));
    let result = create(&mut connection, 7, vec![topic("twice", 1), topic("twice", 1), topic("once", 1)]);
    assert_eq!(codes(&result, |result| result.error_code), [ErrorCode::InvalidRequest, ErrorCode::None]);
}

#[test]
fn a_topic_created_anew_is_another_topic() {
    let (_directory, _node, mut connection) = start();
    let first = create(&mut connection, 7, vec![topic("phoenix", 1)]).remove(0).topic_id;
    connection.produce("phoenix", b"ash");
    let state = |name: Option<&str>, topic_id| DeleteTopicState { name: name.map(str::to_owned), topic_id };
    let topics = vec![state(None, first), state(Some("phoenix"), first), state(None, Uuid::ZERO)];
    let request = DeleteTopicsRequest { topics, timeout_ms: 30_000, ..DeleteTopicsRequest::default() };
    let results = connection.send(6, &request).responses;
    let expected = [ErrorCode::None, ErrorCode::InvalidRequest, ErrorCode::InvalidRequest];
    let by_id = |result: &DeletableTopicResult| (result.topic_id, result.name.clone(), result.error_code);
    assert_eq!(by_id(&results[0]), (first, Some("phoenix".to_owned()), ErrorCode::None));
    let mut found = codes(&results, |result| result.error_code);
    found.sort();
    assert_eq!(found, expected);
    let second = create(&mut connection, 7, vec![topic("phoenix", 1)]).remove(0).topic_id;
    assert_ne!(first, second);
    assert_eq!(connection.fetch_all("phoenix"), Vec::<Vec<u8>>::new());
    assert_eq!(connection.produce("phoenix", b"egg"), 0);
}

#[test]
fn nothing_is_deleted_where_deletion_is_disabled() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).set("delete.topic.enable", "false").start();
    let mut connection = node.connect();
    connection.create_topic("kept");
    let request = |topic_names| DeleteTopicsRequest { topic_names, timeout_ms: 30_000, ..Default::default() };
    for (version, code) in [(1, ErrorCode::InvalidRequest), (3, ErrorCode::TopicDeletionDisabled)] {
        let response = connection.send(version, &request(vec!["kept".to_owned()]));
        assert_eq!(response.responses[0].error_code, code);
    }
    assert_eq!(partitions(&mut connection, "kept"), [0]);
}

#[test]
fn partitions_only_increase_and_every_topic_is_answered() {
    let (_directory, _node, mut connection) = start();
    create(&mut connection, 7, vec![topic("grows", 1), topic("stays", 3)]);
    for (version, count) in versions::<CreatePartitionsRequest>().zip(2..) {
        let wanted = |name: &str, count| CreatePartitionsTopic { name: name.to_owned(), count, assignments: None };
        let topics = vec![wanted("stays", 2), wanted("nothing", 5), wanted("grows", count)];
        let request = CreatePartitionsRequest { topics, timeout_ms: 30_000, validate_only: false };
        let results = connection.send(version, &request).results;
        let found: Vec<_> = results.iter().map(|result| (result.name.as_str(), result.error_code)).collect();
        let expected = [
            ("stays", ErrorCode::InvalidPartitions),
            ("nothing", ErrorCode::UnknownTopicOrPartition),
            ("grows", ErrorCode::None),
        ];
        assert_eq!(found, expected, "version {version}");
        assert_eq!(partitions(&mut connection, "grows").len(), count as usize);
    }
    assert_eq!(partitions(&mut connection, "stays"), [0, 1, 2]);
}

#[test]
fn every_key_is_described_with_default_and_source() {
    let (_directory, _node, mut connection) = start();
    connection.create_topic("described");
    let topic = configs(&mut connection, TOPIC, "described", None).expect("it exists");
    let broker = configs(&mut connection, BROKER, "1", None).expect("it is this one");
    let group = configs(&mut connection, GROUP, "any", None).expect("it need not exist");
    assert!(
        topic.len() >= 30 && broker.len() >= 200 && group.len() >= 4,
        "{} {} {}",
        topic.len(),
        broker.len(),
        group.len()
    );
    for config in topic.iter().chain(&broker).chain(&group) {
        let complete = (1..=8).contains(&config.config_source) && config.config_type > 0;
        assert!(complete && config.documentation.as_ref().is_some_and(|text| !text.is_empty()), "{config:?}");
    }
    assert!(broker.iter().any(|config| config.name == "log.dirs" && config.config_source == 4 && config.read_only));
    for (resource_type, name, code) in [
        (TOPIC, "nothing", ErrorCode::UnknownTopicOrPartition),
        (TOPIC, "a b", ErrorCode::InvalidTopicException),
        (BROKER, "2", ErrorCode::InvalidRequest),
        (BROKER, "x", ErrorCode::InvalidRequest),
        (GROUP, "", ErrorCode::InvalidRequest),
        (99, "x", ErrorCode::InvalidRequest),
    ] {
        assert_eq!(configs(&mut connection, resource_type, name, None), Err(code), "{resource_type} {name}");
    }
    for version in versions::<DescribeConfigsRequest>() {
        let resource = DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: "described".to_owned(),
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
        let configs = connection.send(version, &request).results.remove(0).configs;
        assert_eq!(configs.len(), topic.len(), "version {version}");
        // The minimum of in-sync replicas is agreed on when the cluster begins, so it is no default.
        let mut defaults = configs.iter().filter(|config| config.name != "min.insync.replicas");
        assert_eq!(defaults.all(|config| config.is_default), version == 0, "version {version}");
    }
}

#[test]
fn configs_are_set_appended_to_subtracted_from_and_deleted() {
    let (_directory, _node, mut connection) = start();
    connection.create_topic("tuned");
    let tuned = |connection: &mut Connection, key: &str| config(connection, TOPIC, "tuned", key);
    let value = |text: &str, source| (Some(text.to_owned()), source);
    for (operation, argument, after) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SET, "delete", "delete"),
    ] {
        let code = alter(&mut connection, TOPIC, "tuned", &[("cleanup.policy", operation, Some(argument))]);
        assert_eq!(code, ErrorCode::None, "{operation} {argument}");
        assert_eq!(tuned(&mut connection, "cleanup.policy"), value(after, 1));
    }
    assert_eq!(alter(&mut connection, TOPIC, "tuned", &[("cleanup.policy", DELETE, None)]), ErrorCode::None);
    assert_eq!(tuned(&mut connection, "cleanup.policy"), value("delete", 5));
    for (key, operation, argument, code) in [
        ("retention.ms", APPEND, Some("1"), ErrorCode::InvalidConfig),
        ("retention.ms", SUBTRACT, Some("1"), ErrorCode::InvalidConfig),
        ("retention.ms", SET, Some("soon"), ErrorCode::InvalidConfig),
        ("retention.ms", SET, None, ErrorCode::InvalidRequest),
        ("retention.ms", 7, Some("1"), ErrorCode::InvalidRequest),
        ("no.such.key", SET, Some("1"), ErrorCode::InvalidConfig),
    ] {
        assert_eq!(alter(&mut connection, TOPIC, "tuned", &[(key, operation, argument)]), code, "{key} {operation}");
    }
    // One wrong key spoils all changes of its resource.
    let both = [("retention.ms", SET, Some("1000")), ("segment.ms", SET, Some("soon"))];
    assert_eq!(alter(&mut connection, TOPIC, "tuned", &both), ErrorCode::InvalidConfig);
    assert_eq!(tuned(&mut connection, "retention.ms"), value("604800000", 5));
    assert_eq!(
        alter(&mut connection, TOPIC, "nothing", &[("retention.ms", SET, Some("1"))]),
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(alter(&mut connection, BROKER, "1", &[("node.id", SET, Some("7"))]), ErrorCode::InvalidRequest);
}

#[test]
fn broker_configs_reach_topics_and_alter_configs_replaces_all() {
    let (_directory, _node, mut connection) = start();
    connection.create_topic("inherits");
    let retention = |connection: &mut Connection| config(connection, TOPIC, "inherits", "retention.ms");
    let value = |text: &str, source| (Some(text.to_owned()), source);
    assert_eq!(alter(&mut connection, BROKER, "", &[("log.retention.ms", SET, Some("7000000"))]), ErrorCode::None);
    assert_eq!(retention(&mut connection), value("7000000", 3));
    assert_eq!(alter(&mut connection, BROKER, "1", &[("log.retention.ms", SET, Some("6000000"))]), ErrorCode::None);
    assert_eq!(retention(&mut connection), value("6000000", 2));
    for version in versions::<AlterConfigsRequest>() {
        let replace = |pairs: &[(&str, Option<&str>)]| AlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: TOPIC,
                resource_name: "inherits".to_owned(),
                configs: pairs
                    .iter()
                    .map(|(name, value)| AlterableConfig { name: (*name).to_owned(), value: value.map(str::to_owned) })
                    .collect(),
            }],
            validate_only: false,
        };
        let mut send =
            |pairs: &[(&str, Option<&str>)]| connection.send(version, &replace(pairs)).responses[0].error_code;
        assert_eq!(send(&[("retention.ms", Some("5000000")), ("segment.ms", Some("4000000"))]), ErrorCode::None);
        assert_eq!(send(&[("segment.ms", None)]), ErrorCode::InvalidRequest);
        assert_eq!(send(&[("segment.ms", Some("3000000"))]), ErrorCode::None);
        assert_eq!(retention(&mut connection), value("6000000", 2), "no longer the topic's own");
        assert_eq!(config(&mut connection, TOPIC, "inherits", "segment.ms"), value("3000000", 1));
    }
    let listed = |connection: &mut Connection, types: &[i8]| {
        let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
        let response = connection.send(1, &request);
        let name = |resource: ConfigResource| (resource.resource_type, resource.resource_name);
        (response.error_code, response.config_resources.into_iter().map(name).collect::<Vec<_>>())
    };
    let named =
        |resources: &[(i8, &str)]| resources.iter().map(|(of, name)| (*of, (*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(
        alter(&mut connection, GROUP, "g", &[("consumer.session.timeout.ms", SET, Some("50000"))]),
        ErrorCode::None
    );
    let all = named(&[(TOPIC, "inherits"), (BROKER, "1"), (GROUP, "g")]);
    assert_eq!(listed(&mut connection, &[]), (ErrorCode::None, all));
    assert_eq!(listed(&mut connection, &[GROUP]), (ErrorCode::None, named(&[(GROUP, "g")])));
    assert_eq!(listed(&mut connection, &[99]), (ErrorCode::UnsupportedVersion, Vec::new()));
    assert_eq!(connection.send(0, &ListConfigResourcesRequest::default()).config_resources, []);
}

#[test]
fn a_changed_config_is_in_force_at_once() {
    let (_directory, _node, mut connection) = start();
    connection.create_topic("strict");
    let value = [7; 2_000];
    let send = |connection: &mut Connection| produce(connection, "strict", ProducerId::NONE, -1, &value);
    assert_eq!(send(&mut connection), ErrorCode::None);
    assert_eq!(alter(&mut connection, TOPIC, "strict", &[("max.message.bytes", SET, Some("1000"))]), ErrorCode::None);
    assert_eq!(send(&mut connection), ErrorCode::MessageTooLarge);
    assert_eq!(alter(&mut connection, TOPIC, "strict", &[("max.message.bytes", DELETE, None)]), ErrorCode::None);
    assert_eq!(alter(&mut connection, BROKER, "", &[("message.max.bytes", SET, Some("1000"))]), ErrorCode::None);
    assert_eq!(send(&mut connection), ErrorCode::MessageTooLarge);
    assert_eq!(alter(&mut connection, BROKER, "", &[("message.max.bytes", DELETE, None)]), ErrorCode::None);
    assert_eq!(send(&mut connection), ErrorCode::None);
}

#[test]
fn the_cluster_and_its_quorum_describe_themselves() {
    let (_directory, node, mut connection) = start();
    for version in versions::<DescribeClusterRequest>() {
        let request = DescribeClusterRequest { include_fenced_brokers: true, ..DescribeClusterRequest::default() };
        let response = connection.send(version, &request);
        let brokers: Vec<_> = response
            .brokers
            .iter()
            .map(|broker| (broker.broker_id, format!("{}:{}", broker.host, broker.port)))
            .collect();
        assert_eq!(brokers, [(1, node.address())]);
        assert!(node.banner.iter().any(|line| line.contains(&response.cluster_id)) && response.cluster_id.len() == 22);
    }
    for version in versions::<DescribeQuorumRequest>() {
        let asked = |topic: &str| DescribeQuorumTopic {
            topic_name: topic.to_owned(),
            partitions: vec![DescribeQuorumPartition { partition_index: 0 }],
        };
        let request = DescribeQuorumRequest { topics: vec![asked("__cluster_metadata"), asked("other")] };
        let response = connection.send(version, &request);
        let quorum = &response.topics[0].partitions[0];
        assert_eq!((quorum.error_code, quorum.leader_id), (ErrorCode::None, 1));
        assert_eq!(quorum.current_voters.iter().map(|voter| voter.replica_id).collect::<Vec<_>>(), [1]);
        assert!(quorum.high_watermark > 0 && quorum.current_voters[0].log_end_offset >= quorum.high_watermark);
        assert_eq!(response.topics[1].partitions[0].error_code, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(response.nodes.len(), usize::from(version >= 2));
    }
    for version in versions::<UpdateFeaturesRequest>() {
        let update =
            FeatureUpdateKey { feature: "no.such.feature".to_owned(), max_version_level: 1, ..Default::default() };
        let request = UpdateFeaturesRequest { feature_updates: vec![update], ..UpdateFeaturesRequest::default() };
        let response = connection.send(version, &request);
        assert_eq!(response.error_code, ErrorCode::InvalidUpdateVersion, "version {version}");
        assert!(response.error_message.expect("a message").contains("no.such.feature"));
    }
}

#[test]
fn partitions_are_described_page_by_page() {
    let (_directory, _node, mut connection) = start();
    create(&mut connection, 7, vec![topic("one", 1), topic("three", 3)]);
    let (mut cursor, mut pages) = (None, Vec::new());
    loop {
        let request = DescribeTopicPartitionsRequest { topics: Vec::new(), response_partition_limit: 2, cursor };
        let response = connection.send(0, &request);
        let page = response.topics.iter().flat_map(|topic| {
            let name = topic.name.clone().expect("a name");
            topic
                .partitions
                .iter()
                .map(move |at| (name.clone(), at.partition_index, at.leader_id, at.isr_nodes.clone()))
        });
        pages.push(page.collect::<Vec<_>>());
        cursor = response.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let row = |name: &str, partition| (name.to_owned(), partition, 1, vec![1]);
    assert_eq!(pages, [vec![row("one", 0), row("three", 0)], vec![row("three", 1), row("three", 2)]]);
}

#[test]
fn directories_producers_and_epochs_show_what_was_written() {
    let (directory, node, mut connection) = start();
    connection.create_topic("written");
    let size = |connection: &mut Connection, version| {
        let response = connection.send(version, &DescribeLogDirsRequest { topics: None });
        let result = &response.results[0];
        assert_eq!((response.results.len(), result.error_code), (1, ErrorCode::None));
        assert!(result.log_dir.ends_with("/data") && (version < 4 || result.total_bytes >= result.usable_bytes));
        let topic = result.topics.iter().find(|topic| topic.name == "written").expect("it is here");
        topic.partitions[0].partition_size
    };
    assert_eq!(size(&mut connection, 4), 0);
    for sequence in 0..3 {
        assert_eq!(produce(&mut connection, "written", ProducerId(7), sequence, b"value"), ErrorCode::None);
    }
    let log = directory.path().join("data/written-0/00000000000000000000.log");
    let expected = std::fs::metadata(log).expect("a segment").len() as i64;
    for version in versions::<DescribeLogDirsRequest>() {
        assert_eq!(size(&mut connection, version), expected, "version {version}");
    }
    let none = connection.send(4, &DescribeLogDirsRequest { topics: Some(Vec::new()) });
    assert_eq!(none.results[0].topics, []);

    let asked = DescribeProducersTopic { name: "written".to_owned(), partition_indexes: vec![0, 9] };
    let producers = connection.send(0, &DescribeProducersRequest { topics: vec![asked] }).topics.remove(0).partitions;
    let active: Vec<_> =
        producers[0].active_producers.iter().map(|at| (at.producer_id, at.producer_epoch, at.last_sequence)).collect();
    assert_eq!(active, [(7, 0, 2)]);
    assert_eq!(producers[1].error_code, ErrorCode::UnknownTopicOrPartition);

    let end = |connection: &mut Connection, version, current_leader_epoch, leader_epoch| {
        let partitions = vec![OffsetForLeaderPartition { partition: 0, current_leader_epoch, leader_epoch }];
        let topics = vec![OffsetForLeaderTopic { topic: "written".to_owned(), partitions }];
        let request = OffsetForLeaderEpochRequest { topics, ..OffsetForLeaderEpochRequest::default() };
        let end = &connection.send(version, &request).topics[0].partitions[0];
        (end.error_code, end.leader_epoch, end.end_offset)
    };
    for version in versions::<OffsetForLeaderEpochRequest>() {
        assert_eq!(end(&mut connection, version, -1, 0), (ErrorCode::None, 0, 3));
        assert_eq!(end(&mut connection, version, -1, 5), (ErrorCode::None, -1, -1));
        assert_eq!(end(&mut connection, version, 5, 0), (ErrorCode::UnknownLeaderEpoch, -1, -1));
    }
    // A new life of the broker is a new leadership.
    assert!(node.stop().success());
    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    connection.produce("written", b"later");
    let current = connection.send(9, &MetadataRequest { topics: None, ..MetadataRequest::default() });
    let current = current.topics.iter().find(|topic| topic.name.as_deref() == Some("written")).expect("it is here");
    let epoch = current.partitions[0].leader_epoch;
    assert!(epoch > 0);
    assert_eq!(end(&mut connection, 4, epoch, 0), (ErrorCode::None, 0, 3));
    assert_eq!(end(&mut connection, 4, epoch, epoch), (ErrorCode::None, epoch, 4));
    assert_eq!(end(&mut connection, 4, 0, 0), (ErrorCode::FencedLeaderEpoch, -1, -1));
}

#[test]
fn records_are_deleted_up_to_an_offset() {
    let (_directory, _node, mut connection) = start();
    connection.create_topic("trimmed");
    (0..6_u8).for_each(|value| assert_eq!(connection.produce("trimmed", &[value]), i64::from(value)));
    let delete = |connection: &mut Connection, version, topic: &str, offset| {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
        let topics = vec![DeleteRecordsTopic { name: topic.to_owned(), partitions }];
        let request = DeleteRecordsRequest { topics, timeout_ms: 30_000 };
        let result = &connection.send(version, &request).topics[0].partitions[0];
        (result.error_code, result.low_watermark)
    };
    for (version, offset) in versions::<DeleteRecordsRequest>().zip(1..) {
        assert_eq!(delete(&mut connection, version, "trimmed", offset), (ErrorCode::None, offset));
    }
    assert_eq!(delete(&mut connection, 2, "trimmed", 1), (ErrorCode::None, 3), "the start never goes back");
    assert_eq!(delete(&mut connection, 2, "trimmed", 7), (ErrorCode::OffsetOutOfRange, -1));
    assert_eq!(delete(&mut connection, 2, "trimmed", -2), (ErrorCode::OffsetOutOfRange, -1));
    assert_eq!(delete(&mut connection, 2, "nothing", 0), (ErrorCode::UnknownTopicOrPartition, -1));
    assert_eq!(delete(&mut connection, 2, "trimmed", -1), (ErrorCode::None, 6));
    assert_eq!(connection.produce("trimmed", b"next"), 6);
    assert_eq!(alter(&mut connection, TOPIC, "trimmed", &[("cleanup.policy", SET, Some("compact"))]), ErrorCode::None);
    assert_eq!(delete(&mut connection, 2, "trimmed", -1), (ErrorCode::PolicyViolation, -1));
}
