//! Where replicas go, and what a topic gets that asks for nothing.

use std::collections::BTreeSet;

use ottla::model::ErrorCode;
use ottla::protocol::{
    CreatableTopic, CreatePartitionsRequest, CreatePartitionsTopic, CreateTopicsRequest, FindCoordinatorRequest,
    MetadataRequest, MetadataRequestTopic, MetadataResponsePartition,
};

use super::harness::{Cluster, Connection, Plan, eventually};

fn create(connection: &mut Connection, name: &str, num_partitions: i32) -> ErrorCode {
    let topic =
        CreatableTopic { name: name.to_owned(), num_partitions, replication_factor: -1, ..CreatableTopic::default() };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..CreateTopicsRequest::default() };
    connection.send(7, &request).topics[0].error_code
}

fn partitions(connection: &mut Connection, topic: &str) -> Vec<MetadataResponsePartition> {
    let mut partitions = connection.describe_topic(topic).partitions;
    partitions.sort_by_key(|partition| partition.partition_index);
    partitions
}

fn auto_create(connection: &mut Connection, name: &str) -> ErrorCode {
    let topic = MetadataRequestTopic { name: Some(name.to_owned()), ..MetadataRequestTopic::default() };
    let request =
        MetadataRequest { topics: Some(vec![topic]), allow_auto_topic_creation: true, ..MetadataRequest::default() };
    connection.send(9, &request).topics[0].error_code
}

#[test]
fn three_nodes_keep_three_replicas_of_everything() {
    let cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let mut connection = cluster.connect(1);
    assert_eq!(create(&mut connection, "t", 6), ErrorCode::None);
    connection.await_leaders("t", 6);
    let placed = partitions(&mut connection, "t");
    assert!(placed.iter().all(|partition| partition.replica_nodes.len() == 3), "{placed:?}");
    for broker in 1..=3 {
        assert_eq!(placed.iter().filter(|partition| partition.leader_id == broker).count(), 2, "{placed:?}");
    }
    let grown = CreatePartitionsTopic { name: "t".to_owned(), count: 9, ..CreatePartitionsTopic::default() };
    let request = CreatePartitionsRequest { topics: vec![grown], timeout_ms: 10_000, ..Default::default() };
    assert_eq!(connection.send(3, &request).results[0].error_code, ErrorCode::None);
    let new: BTreeSet<i32> =
        partitions(&mut connection, "t")[6..].iter().map(|partition| partition.replica_nodes[0]).collect();
    assert_eq!(new.len(), 3, "the new partitions are led by all brokers");

    eventually("the groups' topic is there", || {
        let request = FindCoordinatorRequest { key: "g".to_owned(), ..FindCoordinatorRequest::default() };
        (!connection.send(3, &request).error_code.is_error()).then_some(())
    });
    let offsets = partitions(&mut connection, "__consumer_offsets");
    assert!(offsets.iter().all(|partition| partition.replica_nodes.len() == 3), "{offsets:?}");
}

/// One broker of three up at first use never makes a topic of one replica.
#[test]
fn topics_wait_for_the_brokers_that_are_expected() {
    let mut cluster = Plan::isolated(3, 3).build();
    cluster.start_nodes(&[1, 2, 3, 4]);
    let mut connection = cluster.connect(4);
    assert_eq!(create(&mut connection, "asked", 1), ErrorCode::InvalidReplicationFactor);
    assert_eq!(auto_create(&mut connection, "used"), ErrorCode::LeaderNotAvailable, "the client asks again");
    let request = FindCoordinatorRequest { key: "g".to_owned(), ..FindCoordinatorRequest::default() };
    assert_eq!(connection.send(3, &request).error_code, ErrorCode::CoordinatorNotAvailable);
    cluster.start_nodes(&[5, 6]);
    eventually("the topic is created on first use", || {
        (auto_create(&mut connection, "used") == ErrorCode::None).then_some(())
    });
    eventually("the groups' topic is created", || {
        (connection.send(3, &request).error_code == ErrorCode::None).then_some(())
    });
    for topic in ["used", "__consumer_offsets"] {
        let placed = partitions(&mut connection, topic);
        assert!(placed.iter().all(|partition| partition.replica_nodes.len() == 3), "{topic}: {placed:?}");
    }
    assert!(cluster.log(4).contains("topics wait for more brokers to register"));
}

#[test]
fn replicas_spread_over_racks() {
    let mut cluster = Plan::combined(4).set("default.replication.factor", "2").build();
    for (node, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "b")] {
        cluster.reconfigure(node, "broker.rack", rack);
    }
    cluster.start_nodes(&[1, 2, 3, 4]);
    cluster.await_brokers(1, &[1, 2, 3, 4]);
    let mut connection = cluster.connect(1);
    assert_eq!(create(&mut connection, "t", 8), ErrorCode::None);
    let in_a = |broker: &i32| *broker <= 2;
    for partition in partitions(&mut connection, "t") {
        assert_eq!(partition.replica_nodes.iter().filter(|id| in_a(id)).count(), 1, "{partition:?}");
    }
}

#[test]
fn a_topic_that_one_failure_would_harm_is_named_once() {
    let cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let mut connection = cluster.connect(1);
    connection.create_topic_with("precious", 1, 1, &[]);
    assert_eq!(create(&mut connection, "safe", 1), ErrorCode::None);
    let log = || cluster.nodes().map(|node| cluster.log(node)).collect::<String>();
    let warning = "one failure would harm precious: one replica";
    eventually("the controller warns", || log().contains(warning).then_some(()));
    assert_eq!(log().matches(warning).count(), 1);
    assert!(!log().contains("harm safe"));
}

#[test]
fn leaders_go_back_to_a_broker_that_was_away() {
    let mut cluster = Plan::combined(3).set("leader.imbalance.check.interval.seconds", "1").start();
    cluster.await_brokers(1, &[1, 2, 3]);
    let mut connection = cluster.connect(1);
    assert_eq!(create(&mut connection, "t", 3), ErrorCode::None);
    connection.await_leaders("t", 3);
    cluster.kill(3);
    cluster.await_brokers(1, &[1, 2]);
    let led = |connection: &mut Connection, broker: i32| {
        partitions(connection, "t").iter().filter(|partition| partition.leader_id == broker).count()
    };
    eventually("others lead", || (led(&mut connection, 3) == 0).then_some(()));
    cluster.start_nodes(&[3]);
    eventually("it leads again", || (led(&mut connection, 3) == 1).then_some(()));
}
