//! Deleted topics: out of everybody's sight at once, on the disks until their time is over, and back as they were.

use std::path::Path;

use ottla::model::ErrorCode;
use ottla::protocol::messages::*;
use serde_json::Value;

use super::harness::{Cluster, Connection, Plan, Setup, eventually, ottla};

const TOPIC: &str = "orders";
const RETENTION: &str = "ottla.topic.delete.retention.ms";
const AUTO_CREATE: &str = "auto.create.topics.enable";
const BROKER: i8 = 4;

fn delete(connection: &mut Connection, name: &str) -> ErrorCode {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.to_owned()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    connection.send(3, &request).responses[0].error_code
}

/// Runs a command that must succeed; what it prints.
fn ok(servers: &str, arguments: &[&str]) -> String {
    let output = ottla(&[arguments, &["--bootstrap-server", servers]].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn json(servers: &str, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(servers, &[arguments, &["--json"]].concat())).expect("JSON")
}

/// Runs a command that must fail; what it says.
fn refused(servers: &str, arguments: &[&str]) -> String {
    let output = ottla(&[arguments, &["--bootstrap-server", servers]].concat());
    assert!(!output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The directories of partitions that are kept below `data`.
fn kept(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with("-kept")).collect()
}

/// Waits until this broker has the topic deleted, and takes no more records for it.
fn await_gone(connection: &mut Connection, topic: &str) {
    eventually("the topic is gone", || {
        (connection.describe_topic(topic).error_code == ErrorCode::UnknownTopicOrPartition).then_some(())
    });
}

/// What is true of a topic that must come back as it was.
struct Before {
    id: String,
    values: Vec<Vec<u8>>,
    leader_epoch: i32,
}

fn fill(cluster: &Cluster, servers: &str) -> Before {
    cluster.connect(1).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2"), ("retention.ms", "987654321")]);
    let leader = cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    let mut connection = cluster.connect(leader);
    let values: Vec<Vec<u8>> = (0..40).map(|number| format!("record {number}").into_bytes()).collect();
    for (offset, value) in (0..).zip(&values) {
        assert_eq!(connection.produce(TOPIC, value), offset);
    }
    let read = ok(servers, &["consume", TOPIC, "--group", "readers", "--from-beginning", "-n", "15"]);
    assert_eq!(read.lines().count(), 15);
    let topic = &json(servers, &["topics", "describe", TOPIC])[0];
    let leader_epoch = topic["partitions"][0]["leader_epoch"].as_i64().expect("an epoch") as i32;
    Before { id: topic["id"].as_str().expect("an id").to_owned(), values, leader_epoch }
}

/// One node is away when the topic is deleted and its name used by another, and each is killed or stopped before the
/// topic is restored (A6, A7, A10).
#[test]
fn a_deleted_topic_comes_back_as_it_was_though_every_node_was_restarted() {
    // A client that asks for the topic must not create it anew.
    let mut cluster = Plan::combined(3).set(AUTO_CREATE, "false").start();
    cluster.await_brokers(1, &[1, 2, 3]);
    let servers = cluster.bootstrap_servers();
    cluster.connect(1).alter_config(BROKER, "", RETENTION, Some("3600000"));
    let before = fill(&cluster, &servers);

    cluster.stop(3);
    cluster.await_isr(1, TOPIC, &[1, 2]);
    assert_eq!(delete(&mut cluster.connect(1), TOPIC), ErrorCode::None);
    for node in [1, 2] {
        await_gone(&mut cluster.connect(node), TOPIC);
        assert!(cluster.connect(node).try_produce(TOPIC, b"too late").is_err());
        eventually("its log is set aside", || (kept(&cluster.data(node)).len() == 1).then_some(()));
    }
    let listed = &json(&servers, &["topics", "list", "--deleted"])[0];
    assert_eq!((&listed["topic"], &listed["id"]), (&TOPIC.into(), &before.id.as_str().into()), "{listed}");
    let group = json(&servers, &["groups", "describe", "readers"]);
    assert_eq!(group[0]["partitions"], Value::Array(Vec::new()), "its offsets are out of sight too: {group}");

    // The name goes to another topic, which in its turn is deleted.
    cluster.connect(1).create_topic_with(TOPIC, 1, 2, &[]);
    let undelete = ["topics", "undelete", TOPIC, "--id", &before.id];
    let words = refused(&servers, &undelete);
    assert!(words.contains("the name is in use again"), "{words}");
    assert_eq!(delete(&mut cluster.connect(1), TOPIC), ErrorCode::None);

    cluster.start_nodes(&[3]);
    eventually("node 3 sets its log aside too", || (!kept(&cluster.data(3)).is_empty()).then_some(()));
    cluster.restart(1);
    cluster.await_brokers(2, &[1, 2, 3]);
    cluster.stop(2);
    cluster.start_nodes(&[2]);
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.await_brokers(2, &[1, 2, 3]);

    assert!(ok(&servers, &undelete).starts_with("Restored orders"));
    let leader = cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    let mut connection = cluster.connect(leader);
    eventually("the leader serves", || {
        connection.try_produce(TOPIC, b"after").ok().map(|offset| assert_eq!(offset, 40))
    });
    let expected: Vec<Vec<u8>> = before.values.iter().cloned().chain([b"after".to_vec()]).collect();
    assert_eq!(connection.fetch_all(TOPIC), expected);
    cluster.await_equal_logs(TOPIC, &[1, 2, 3]);
    let topic = &json(&servers, &["topics", "describe", TOPIC])[0];
    assert_eq!(topic["id"], before.id.as_str());
    assert_eq!(topic["configs"]["retention.ms"], "987654321", "{topic}");
    assert!(topic["partitions"][0]["leader_epoch"].as_i64() > Some(before.leader_epoch.into()), "{topic}");
    let read = ok(&servers, &["consume", TOPIC, "--group", "readers", "--exit-at-end"]);
    assert_eq!(read.lines().next(), Some("record 15"), "the group goes on where it was");

    // What is left is the second topic of the name.
    assert_eq!(json(&servers, &["topics", "list", "--deleted"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_not_restored_in_time_is_gone_for_good() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let node = Setup::new(directory.path()).set(RETENTION, "3600000").set(AUTO_CREATE, "false").start();
    let (servers, mut connection) = (node.address(), node.connect());
    connection.create_topic(TOPIC);
    connection.produce(TOPIC, b"one");
    assert_eq!(delete(&mut connection, TOPIC), ErrorCode::None);
    assert_eq!(ok(&servers, &["topics", "list", "--deleted", "--quiet"]), "orders\n");
    assert_eq!(kept(&data).len(), 1);

    // The time is that of the configuration at the moment: lowering it makes room.
    connection.alter_config(BROKER, "", RETENTION, Some("1"));
    eventually("the topic is removed", || {
        json(&servers, &["topics", "list", "--deleted"]).as_array()?.is_empty().then_some(())
    });
    eventually("its log is removed", || kept(&data).is_empty().then_some(()));
    let words = refused(&servers, &["topics", "undelete", TOPIC]);
    assert!(words.contains("no deleted topic orders is kept"), "{words}");

    // With nothing to keep, a deletion is final.
    connection.alter_config(BROKER, "", RETENTION, Some("0"));
    connection.create_topic("gone");
    assert_eq!(delete(&mut connection, "gone"), ErrorCode::None);
    assert!(refused(&servers, &["topics", "undelete", "gone"]).contains("no deleted topic gone is kept"));
    assert!(kept(&data).is_empty());
}

/// A kept log is whole and synced: the way back needs no recovery, and deleted records stay deleted.
#[test]
fn a_log_comes_back_with_its_beginning_and_its_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).set(RETENTION, "3600000").set(AUTO_CREATE, "false").start();
    let (servers, mut connection) = (node.address(), node.connect());
    connection.create_topic_with(TOPIC, 1, 1, &[("max.message.bytes", "200")]);
    for value in [b"one", b"two", b"six"] {
        connection.produce(TOPIC, value);
    }
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 2 };
    let topics = vec![DeleteRecordsTopic { name: TOPIC.to_owned(), partitions: vec![partition] }];
    let response = connection.send(1, &DeleteRecordsRequest { topics, timeout_ms: 30_000 });
    assert_eq!(response.topics[0].partitions[0].low_watermark, 2);
    assert_eq!(delete(&mut connection, TOPIC), ErrorCode::None);
    node.kill();

    let node = Setup::new(directory.path()).set(RETENTION, "3600000").set(AUTO_CREATE, "false").start();
    let (_, mut connection) = (servers, node.connect());
    let dry = ok(&node.address(), &["topics", "undelete", TOPIC, "--dry-run"]);
    assert!(dry.starts_with("Could restore orders"), "{dry}");
    await_gone(&mut connection, TOPIC);
    ok(&node.address(), &["topics", "undelete", TOPIC]);
    connection.await_leaders(TOPIC, 1);
    assert_eq!(ok(&node.address(), &["consume", TOPIC, "--from-beginning", "--exit-at-end"]), "six\n");
    assert_eq!(connection.try_produce(TOPIC, &[b'x'; 400]), Err(ErrorCode::MessageTooLarge));
    assert_eq!(connection.produce(TOPIC, b"more"), 3);
}
