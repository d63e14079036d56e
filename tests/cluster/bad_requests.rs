//! Requests that are well-formed and ask for what cannot be: Kafka's error, and the state as before.

use ottla::model::{ErrorCode, Uuid};
use ottla::protocol::{
    CreatableTopic, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, FetchPartition, FetchRequest,
    FetchResponse, FetchTopic, FindCoordinatorRequest, JoinGroupRequest, JoinGroupRequestProtocol, MetadataRequest,
    MetadataRequestTopic, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, Records,
};

use super::harness::{Connection, PATIENCE};
use super::probe::{Broker, batch, end_offset, produce, unique};

/// A topic with three records and a connection to ask about it.
fn topic_with_records(broker: &Broker) -> (Connection, String) {
    let mut connection = broker.connect();
    let topic = unique("requests");
    connection.create_topic(&topic);
    assert_eq!(produce(&mut connection, &topic, batch(&[b"one", b"two", b"three"])).base_offset, 0);
    (connection, topic)
}

fn fetch_partition(fetch_offset: i64) -> FetchPartition {
    FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() }
}

fn fetch_request(topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = FetchTopic { topic: topic.to_owned(), partitions, ..FetchTopic::default() };
    FetchRequest { max_wait_ms: 100, max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() }
}

fn error_of(response: &FetchResponse) -> ErrorCode {
    response.responses[0].partitions[0].error_code
}

fn bytes_of(response: &FetchResponse) -> usize {
    match &response.responses[0].partitions[0].records {
        Records::Inline(bytes) => bytes.len(),
        _ => 0,
    }
}

#[test]
fn offsets_outside_the_log_are_out_of_range() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    for offset in [-1, i64::MIN, 4, i64::MAX] {
        let response = connection.send(11, &fetch_request(&topic, vec![fetch_partition(offset)]));
        assert_eq!(error_of(&response), ErrorCode::OffsetOutOfRange, "{offset}");
    }
    let response = connection.send(11, &fetch_request(&topic, vec![fetch_partition(3)]));
    assert_eq!((error_of(&response), bytes_of(&response)), (ErrorCode::None, 0));
}

#[test]
fn a_fetch_makes_progress_whatever_its_limits() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    for bytes in [0, 1, -1, i32::MIN] {
        let partition = FetchPartition { partition_max_bytes: bytes, ..fetch_partition(0) };
        let narrow = FetchRequest { max_wait_ms: 0, ..fetch_request(&topic, vec![partition]) };
        let small =
            FetchRequest { max_bytes: bytes, max_wait_ms: 0, ..fetch_request(&topic, vec![fetch_partition(0)]) };
        for request in [narrow, small] {
            let error = error_of(&connection.send(11, &request));
            // Kafka has no answer for negative limits.
            assert!(!error.is_error() || (bytes < 0 && broker.data().is_none()), "{bytes}: {error:?}");
        }
    }
    // The first batch is always whole, however small the limit.
    let partition = FetchPartition { partition_max_bytes: 1, ..fetch_partition(0) };
    assert!(bytes_of(&connection.send(11, &fetch_request(&topic, vec![partition]))) > 61);
}

#[test]
fn a_fetch_that_waits_for_ever_still_gets_its_records() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    let mut waiting = broker.connect();
    let asked = topic.clone();
    let waiter = std::thread::spawn(move || {
        let request =
            FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, ..fetch_request(&asked, vec![fetch_partition(3)]) };
        bytes_of(&waiting.send(11, &request))
    });
    produce(&mut connection, &topic, batch(&[b"four"]));
    assert!(waiter.join().expect("no panic") > 61);
}

#[test]
fn a_fetch_of_very_many_partitions_is_answered() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    const PARTITIONS: i32 = 100_000;
    broker.undisturbed_by(128 * 1024, || {
        let partitions = (0..PARTITIONS).map(|partition| FetchPartition { partition, ..fetch_partition(0) }).collect();
        let response = connection.send(11, &fetch_request(&topic, partitions));
        let answered = &response.responses[0].partitions;
        assert_eq!(answered.len(), PARTITIONS as usize);
        let unknown = answered.iter().filter(|p| p.error_code == ErrorCode::UnknownTopicOrPartition).count();
        assert_eq!(unknown, PARTITIONS as usize - 1);
    });
}

#[test]
fn fetch_sessions_that_do_not_exist_are_named_so() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    let in_session = |session_id, session_epoch| FetchRequest {
        session_id,
        session_epoch,
        ..fetch_request(&topic, vec![fetch_partition(0)])
    };
    assert_eq!(connection.send(11, &in_session(123_456, 1)).error_code, ErrorCode::FetchSessionIdNotFound);
    let made = connection.send(11, &in_session(0, 0));
    assert_eq!(made.error_code, ErrorCode::None);
    assert_ne!(made.session_id, 0);
    let skipped = connection.send(11, &in_session(made.session_id, 3));
    assert_eq!(skipped.error_code, ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(connection.send(11, &in_session(made.session_id, 1)).error_code, ErrorCode::None);
}

#[test]
fn very_many_fetch_sessions_cost_no_more_than_their_cache() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    broker.undisturbed_by(24 * 1024, || {
        for _ in 0..5_000 {
            let request =
                FetchRequest { session_epoch: 0, max_wait_ms: 0, ..fetch_request(&topic, vec![fetch_partition(0)]) };
            assert_eq!(connection.send(11, &request).error_code, ErrorCode::None);
        }
    });
}

#[test]
fn leader_epochs_are_compared() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    let with_epoch = |epoch| FetchPartition { current_leader_epoch: epoch, ..fetch_partition(0) };
    let response = connection.send(11, &fetch_request(&topic, vec![with_epoch(0)]));
    assert_eq!(error_of(&response), ErrorCode::None);
    let response = connection.send(11, &fetch_request(&topic, vec![with_epoch(7)]));
    assert_eq!(error_of(&response), ErrorCode::UnknownLeaderEpoch);
}

#[test]
fn nobody_poses_as_a_follower() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    let before = end_offset(&mut connection, &topic);
    for replica_id in [0, 7, 1_000_000] {
        // As it is the only replica itself, no broker here can have a follower.
        let request = FetchRequest { replica_id, ..fetch_request(&topic, vec![fetch_partition(3)]) };
        let response = connection.send(11, &request);
        let refused = response.error_code.is_error() || error_of(&response).is_error();
        assert!(refused, "replica {replica_id}: {response:?}");
    }
    assert_eq!(produce(&mut connection, &topic, batch(&[b"four"])).base_offset, before);
    assert_eq!(end_offset(&mut connection, &topic), before + 1);
}

fn create(connection: &mut Connection, names: &[&str], partitions: i32, replication_factor: i16) -> Vec<ErrorCode> {
    let topics = names.iter().map(|name| CreatableTopic {
        name: (*name).to_owned(),
        num_partitions: partitions,
        replication_factor,
        ..CreatableTopic::default()
    });
    let request =
        CreateTopicsRequest { topics: topics.collect(), timeout_ms: 30_000, ..CreateTopicsRequest::default() };
    connection.send(5, &request).topics.iter().map(|topic| topic.error_code).collect()
}

#[test]
fn impossible_topic_names_are_refused_everywhere() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let long = "x".repeat(250);
    for name in ["", ".", "..", &long, "nul\0", "a/b", "../x", "sp ace", "ключ", "new\nline"] {
        assert_eq!(create(&mut connection, &[name], 1, 1), [ErrorCode::InvalidTopicException], "{name:.20?}");
        let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: true,
            ..MetadataRequest::default()
        };
        let answer = connection.send(8, &request).topics[0].error_code;
        assert!(matches!(answer, ErrorCode::InvalidTopicException | ErrorCode::UnknownTopicOrPartition), "{answer:?}");
    }
    assert_eq!(create(&mut connection, &[&unique(&"x".repeat(200))], 1, 1), [ErrorCode::None]);
    // Two names that metrics could not tell apart.
    let dotted = unique("a.b");
    assert_eq!(create(&mut connection, &[&dotted], 1, 1), [ErrorCode::None]);
    assert_eq!(create(&mut connection, &[&dotted.replace('.', "_")], 1, 1), [ErrorCode::InvalidTopicException]);
}

#[test]
fn impossible_counts_are_refused() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let name = unique("counts");
    for partitions in [0, -2, i32::MIN] {
        assert_eq!(create(&mut connection, &[&name], partitions, 1), [ErrorCode::InvalidPartitions]);
    }
    for replication_factor in [0, -2, i16::MIN] {
        assert_eq!(create(&mut connection, &[&name], 1, replication_factor), [ErrorCode::InvalidReplicationFactor]);
    }
    assert_eq!(create(&mut connection, &[&name], 1, 99), [ErrorCode::InvalidReplicationFactor]);
    let twice = create(&mut connection, &[&name, &name], 1, 1);
    assert!(!twice.is_empty() && twice.iter().all(|error| *error == ErrorCode::InvalidRequest), "{twice:?}");
    assert_eq!(create(&mut connection, &[&name], -1, -1), [ErrorCode::None], "the broker's defaults");
}

#[test]
fn a_million_partitions_are_too_many() {
    let broker = Broker::start();
    broker.undisturbed_by(64 * 1024, || {
        let answer = create(&mut broker.connect(), &[&unique("million")], 1_000_000, 1);
        assert!(matches!(answer[..], [ErrorCode::InvalidPartitions | ErrorCode::PolicyViolation]), "{answer:?}");
    });
}

#[test]
fn topics_that_do_not_exist_cannot_be_deleted() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let by_id = DeleteTopicState { name: None, topic_id: Uuid::from_random_bytes([42; 16]) };
    let request = DeleteTopicsRequest { topics: vec![by_id], timeout_ms: 1000, ..DeleteTopicsRequest::default() };
    assert_eq!(connection.send(6, &request).responses[0].error_code, ErrorCode::UnknownTopicId);
    let request =
        DeleteTopicsRequest { topic_names: vec![unique("never")], timeout_ms: 1000, ..DeleteTopicsRequest::default() };
    assert_eq!(connection.send(4, &request).responses[0].error_code, ErrorCode::UnknownTopicOrPartition);
}

/// Asks for the coordinator until there is one: the first request makes `__consumer_offsets`.
fn await_coordinator(connection: &mut Connection, group: &str) {
    let request = FindCoordinatorRequest { key: group.to_owned(), ..FindCoordinatorRequest::default() };
    let deadline = std::time::Instant::now() + PATIENCE;
    while connection.send(2, &request).error_code.is_error() || joins_are_loading(connection, group) {
        assert!(std::time::Instant::now() < deadline, "no coordinator");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn joins_are_loading(connection: &mut Connection, group: &str) -> bool {
    let answer = connection.send(5, &join(group, 10_000, 1)).error_code;
    matches!(
        answer,
        ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable
    )
}

/// A join of version 5 without a member id: the answer comes at once, with an id to join with.
fn join(group: &str, session_timeout_ms: i32, metadata_bytes: usize) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol { name: "range".to_owned(), metadata: vec![0; metadata_bytes].into() };
    JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    }
}

#[test]
fn session_timeouts_and_group_names_are_checked() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let group = unique("group");
    await_coordinator(&mut connection, &group);
    for timeout in [-1, 0, 5_999, 1_800_001, i32::MAX] {
        let answer = connection.send(5, &join(&group, timeout, 1)).error_code;
        assert_eq!(answer, ErrorCode::InvalidSessionTimeout, "{timeout}");
    }
    assert_eq!(connection.send(5, &join("", 10_000, 1)).error_code, ErrorCode::InvalidGroupId);
    let nobody = JoinGroupRequest { member_id: "nobody".to_owned(), ..join(&group, 10_000, 1) };
    assert_eq!(connection.send(5, &nobody).error_code, ErrorCode::UnknownMemberId);
}

#[test]
fn very_many_joins_cost_little() {
    let broker = Broker::start();
    let mut connection = broker.connect();
    let group = unique("group");
    await_coordinator(&mut connection, &group);
    broker.undisturbed_by(32 * 1024, || {
        for _ in 0..2_000 {
            // Each is told a member id and never comes back with it.
            assert_eq!(connection.send(5, &join(&group, 10_000, 5_000)).error_code, ErrorCode::MemberIdRequired);
        }
    });
}

#[test]
fn offset_metadata_has_a_limit() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    let group = unique("group");
    await_coordinator(&mut connection, &group);
    let mut commit = |bytes: usize| {
        let partition = OffsetCommitRequestPartition {
            committed_offset: 1,
            committed_metadata: Some("x".repeat(bytes)),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.clone(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request =
            OffsetCommitRequest { group_id: group.clone(), topics: vec![topic], ..OffsetCommitRequest::default() };
        connection.send(7, &request).topics[0].partitions[0].error_code
    };
    assert_eq!(commit(4096), ErrorCode::None);
    assert_eq!(commit(4097), ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(commit(30_000), ErrorCode::OffsetMetadataTooLarge);
}

#[test]
fn commits_of_others_are_refused() {
    let broker = Broker::start();
    let (mut connection, topic) = topic_with_records(&broker);
    let group = unique("group");
    await_coordinator(&mut connection, &group);
    let partition = OffsetCommitRequestPartition { committed_offset: 1, ..OffsetCommitRequestPartition::default() };
    let topic =
        OffsetCommitRequestTopic { name: topic, partitions: vec![partition], ..OffsetCommitRequestTopic::default() };
    let request = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: 5,
        member_id: "nobody".to_owned(),
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer = connection.send(7, &request).topics[0].partitions[0].error_code;
    assert!(matches!(answer, ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration), "{answer:?}");
}
