//! Partitions move between brokers while they are written to (A20).

use std::collections::BTreeSet;
use std::path::PathBuf;

use ottla::model::ErrorCode;
use ottla::protocol::{
    AlterPartitionReassignmentsRequest, CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest,
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, ElectLeadersRequest, ElectLeadersTopic,
    ListPartitionReassignmentsRequest, MetadataResponsePartition, ReassignablePartition, ReassignableTopic,
};

use super::harness::{Cluster, Connection, Plan, eventually, ottla};
use super::probe::{batch, end_offset, offset_at, produce};

const TOPIC: &str = "moving";
/// ListOffsets' name for the start of a log.
const EARLIEST: i64 = -2;

fn create_on(connection: &mut Connection, replicas: &[i32]) {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: replicas.to_vec() };
    let topic = CreatableTopic {
        name: TOPIC.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..CreateTopicsRequest::default() };
    assert_eq!(connection.send(7, &request).topics[0].error_code, ErrorCode::None);
    connection.await_leaders(TOPIC, 1);
}

fn reassign(connection: &mut Connection, replicas: Option<&[i32]>) -> ErrorCode {
    let partition = ReassignablePartition { partition_index: 0, replicas: replicas.map(<[i32]>::to_vec) };
    let topic = ReassignableTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 10_000, topics: vec![topic], ..Default::default() };
    let response = connection.send(0, &request);
    assert_eq!(response.error_code, ErrorCode::None);
    response.responses[0].partitions[0].error_code
}

/// Adding and removing replicas of what moves.
fn moving(connection: &mut Connection) -> Vec<(Vec<i32>, Vec<i32>)> {
    let request = ListPartitionReassignmentsRequest { timeout_ms: 10_000, topics: None };
    let topics = connection.send(0, &request).topics;
    let partitions = topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|partition| (partition.adding_replicas, partition.removing_replicas)).collect()
}

fn partition(connection: &mut Connection) -> MetadataResponsePartition {
    connection.describe_topic(TOPIC).partitions.remove(0)
}

fn log_of(cluster: &Cluster, node: i32) -> PathBuf {
    cluster.data(node).join(format!("{TOPIC}-0"))
}

/// Writes through whoever leads; what is not acknowledged is tried again.
fn write(cluster: &Cluster, values: std::ops::Range<usize>) {
    for value in values {
        eventually("the record is acknowledged", || {
            let leader = partition(&mut cluster.connect(1)).leader_id;
            let mut leader = (leader > 0).then(|| cluster.connect(leader))?;
            leader.try_produce(TOPIC, format!("{value}").as_bytes()).ok()
        });
    }
}

fn read(cluster: &Cluster) -> BTreeSet<String> {
    let leader = partition(&mut cluster.connect(1)).leader_id;
    let values = cluster.connect(leader).fetch_all(TOPIC);
    values.into_iter().map(|value| String::from_utf8(value).expect("a number")).collect()
}

fn written(count: usize) -> BTreeSet<String> {
    (0..count).map(|value| value.to_string()).collect()
}

#[test]
fn a_partition_moves_with_its_records_and_leaves_nothing_behind() {
    let cluster = Cluster::start(4);
    cluster.await_brokers(1, &[1, 2, 3, 4]);
    let mut connection = cluster.connect(1);
    create_on(&mut connection, &[1, 2]);
    write(&cluster, 0..20);
    assert_eq!(reassign(&mut connection, Some(&[3, 4])), ErrorCode::None);
    write(&cluster, 20..40);
    eventually("the move is complete", || moving(&mut connection).is_empty().then_some(()));
    let moved = partition(&mut connection);
    assert_eq!(moved.replica_nodes, [3, 4]);
    assert_eq!(moved.isr_nodes.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&3, &4]));
    assert!([3, 4].contains(&moved.leader_id) && moved.leader_epoch > 0, "{moved:?}");
    write(&cluster, 40..50);
    assert_eq!(read(&cluster), written(50));
    for gone in [1, 2] {
        eventually("its log is removed", || (!log_of(&cluster, gone).exists()).then_some(()));
    }

    // Back to where it was: the replicas start as empty and get everything.
    assert_eq!(reassign(&mut connection, Some(&[1, 2])), ErrorCode::None);
    eventually("it has moved back", || {
        (moving(&mut connection).is_empty() && partition(&mut connection).replica_nodes == [1, 2]).then_some(())
    });
    assert_eq!(read(&cluster), written(50));
}

/// DeleteRecords may cut within a batch. A replica that begins there is sent the whole batch.
#[test]
fn a_partition_that_begins_within_a_batch_moves_like_any_other() {
    let cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let mut connection = cluster.connect(1);
    create_on(&mut connection, &[1]);
    assert_eq!(produce(&mut connection, TOPIC, batch(&[b"0", b"1", b"2"])).error_code, ErrorCode::None);
    let first = DeleteRecordsPartition { partition_index: 0, offset: 2 };
    let topic = DeleteRecordsTopic { name: TOPIC.to_owned(), partitions: vec![first] };
    let deleted = connection.send(1, &DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 });
    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 2);
    write(&cluster, 3..5);
    assert_eq!(reassign(&mut connection, Some(&[3])), ErrorCode::None);
    eventually("the partition has moved", || {
        (moving(&mut connection).is_empty() && partition(&mut connection).replica_nodes == [3]).then_some(())
    });
    let mut moved = cluster.connect(3);
    assert_eq!(offset_at(&mut moved, TOPIC, EARLIEST).0, 2);
    assert_eq!(end_offset(&mut moved, TOPIC), 5);
}

#[test]
fn a_move_to_a_broker_that_is_down_waits_and_can_be_cancelled() {
    let mut cluster = Cluster::start(4);
    cluster.await_brokers(1, &[1, 2, 3, 4]);
    let mut connection = cluster.connect(1);
    create_on(&mut connection, &[1, 2]);
    write(&cluster, 0..5);
    cluster.kill(4);
    cluster.await_brokers(1, &[1, 2, 3]);
    assert_eq!(reassign(&mut connection, Some(&[3, 4])), ErrorCode::None);
    eventually("3 has caught up", || partition(&mut connection).isr_nodes.contains(&3).then_some(()));
    assert_eq!(moving(&mut connection), [(vec![3, 4], vec![1, 2])]);
    assert_eq!(partition(&mut connection).replica_nodes, [3, 4, 1, 2], "no replica goes before all new ones are there");
    assert_eq!(reassign(&mut connection, None), ErrorCode::None);
    assert_eq!(moving(&mut connection), []);
    assert_eq!(reassign(&mut connection, None), ErrorCode::NoReassignmentInProgress);
    let restored = partition(&mut connection);
    assert_eq!(restored.replica_nodes, [1, 2]);
    eventually("the copy on 3 is removed", || (!log_of(&cluster, 3).exists()).then_some(()));
    write(&cluster, 5..10);
    assert_eq!(read(&cluster), written(10));
}

#[test]
fn the_preferred_replica_is_elected_by_command() {
    let cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let mut connection = cluster.connect(1);
    create_on(&mut connection, &[1, 2, 3]);
    // Another order of the same replicas makes another one preferred, and moves nothing.
    assert_eq!(reassign(&mut connection, Some(&[2, 3, 1])), ErrorCode::None);
    assert_eq!(partition(&mut connection).leader_id, 1);
    let topic = ElectLeadersTopic { topic: TOPIC.to_owned(), partitions: vec![0, 7] };
    let request = ElectLeadersRequest { election_type: 0, topic_partitions: Some(vec![topic]), timeout_ms: 10_000 };
    let mut elect = || {
        let response = connection.send(2, &request);
        let results = &response.replica_election_results[0].partition_result;
        results.iter().map(|result| result.error_code).collect::<Vec<_>>()
    };
    assert_eq!(elect(), [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
    assert_eq!(elect(), [ErrorCode::ElectionNotNeeded, ErrorCode::UnknownTopicOrPartition]);
    assert_eq!(partition(&mut connection).leader_id, 2);
}

/// KIP-73: a move at a limited rate is held back, comes to its end, and leaves no throttle behind.
#[test]
fn a_throttled_move_is_held_back_and_completes() {
    // Small answers, or all of it would be on its way before anybody could be held back.
    let mut cluster = Plan::combined(2).set("replica.fetch.max.bytes", "8192").build();
    let pages: Vec<String> = cluster.nodes().map(|node| format!("{}:9404", cluster.host(node))).collect();
    for (node, page) in cluster.nodes().zip(&pages) {
        cluster.reconfigure(node, "ottla.http.listener", page);
    }
    cluster.start_nodes(&[1, 2]);
    cluster.await_brokers(1, &[1, 2]);
    let mut connection = cluster.connect(1);
    create_on(&mut connection, &[1]);
    let value = vec![b'x'; 8_000];
    for _ in 0..2 {
        connection.produce(TOPIC, &value);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("move.json");
    let json = format!(r#"{{"version": 1, "partitions": [{{"topic": "{TOPIC}", "partition": 0, "replicas": [2]}}]}}"#);
    std::fs::write(&file, json).expect("written");
    let (file, servers) = (file.to_str().expect("UTF-8"), cluster.bootstrap_servers());
    let tool = |arguments: &[&str]| {
        let tool = ["tools", "run", "kafka-reassign-partitions", "--bootstrap-server", &servers];
        let output = ottla(&[&tool, arguments, &["--reassignment-json-file", file]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = tool(&["--execute", "--throttle", "2000"]);
    assert!(said.contains("Warning: You must run --verify periodically"), "{said}");
    assert!(said.contains("The inter-broker throttle limit was set to 2000 B/s"), "{said}");
    let throttled = |connection: &mut Connection| {
        let of_broker = connection.config(4, "2", "follower.replication.throttled.rate");
        (of_broker, connection.config(2, TOPIC, "follower.replication.throttled.replicas"))
    };
    eventually("the throttle is set", || {
        (throttled(&mut cluster.connect(2)) == (Some("2000".to_owned()), Some("0:2".to_owned()))).then_some(())
    });
    eventually("the move is complete", || moving(&mut connection).is_empty().then_some(()));
    let held_back: f64 = pages
        .iter()
        .flat_map(|page| super::http::metrics(page))
        .filter(|(name, _)| name.starts_with("ottla_replication_held_back_total"))
        .map(|(_, count)| count)
        .sum();
    assert!(held_back > 0.0, "the first batch is four seconds' worth of the rate, and nobody waited for the second");
    let said = tool(&["--verify"]);
    assert!(said.contains("Clearing broker-level throttles on brokers 1,2"), "{said}");
    eventually("the throttles are gone", || {
        let unlimited = Some(i64::MAX.to_string());
        (throttled(&mut cluster.connect(2)) == (unlimited, Some(String::new()))).then_some(())
    });
    assert_eq!(cluster.connect(2).fetch_all(TOPIC), vec![value; 2]);
}
