//! Replicas that move between the log directories of their broker (KIP-113), while they are written to.

use std::fs;
use std::path::{Path, PathBuf};

use ottla::model::ErrorCode;
use ottla::protocol::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest, DeleteTopicState, DeleteTopicsRequest,
    DescribeLogDirsPartition, DescribeLogDirsRequest,
};

use super::harness::{Cluster, Connection, Load, Node, Plan, Setup, eventually};

const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const BROKER: i8 = 4;

/// A node alone with two directories.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it exists").join(name)
    }

    fn setup(&self) -> Setup {
        Setup::new(self.0.path()).set("log.dirs", "a,b").set("log.segment.bytes", "1048576")
    }

    fn start(&self) -> Node {
        self.setup().start()
    }

    /// A move takes minutes then, until [`hurry`].
    fn start_slow(&self) -> Node {
        self.setup().set(RATE, "1000").start()
    }
}

fn home_of(cluster: &Cluster, node: i32) -> PathBuf {
    let home = cluster.data(node).parent().expect("the node's home").to_owned();
    home.canonicalize().expect("it exists")
}

fn ask(connection: &mut Connection, topic: &str, directory: &str) -> ErrorCode {
    let topics = vec![AlterReplicaLogDirTopic { name: topic.to_owned(), partitions: vec![0] }];
    let dirs = vec![AlterReplicaLogDir { path: directory.to_owned(), topics }];
    let mut response = connection.send(2, &AlterReplicaLogDirsRequest { dirs });
    let mut result = response.results.remove(0);
    assert_eq!((result.topic_name.as_str(), result.partitions.len()), (topic, 1));
    result.partitions.remove(0).error_code
}

fn begin(connection: &mut Connection, topic: &str, directory: &Path) {
    assert_eq!(ask(connection, topic, &directory.to_string_lossy()), ErrorCode::None);
}

/// The directory that holds the topic's partition, by its own name, and what is told of the one it moves to.
fn described(connection: &mut Connection, topic: &str) -> (Vec<String>, Vec<(String, DescribeLogDirsPartition)>) {
    let response = connection.send(4, &DescribeLogDirsRequest { topics: None });
    let (mut current, mut futures) = (Vec::new(), Vec::new());
    for directory in response.results {
        let name = directory.log_dir.rsplit('/').next().expect("a name").to_owned();
        for found in directory.topics.into_iter().filter(|found| found.name == topic) {
            for partition in found.partitions {
                match partition.is_future_key {
                    true => futures.push((name.clone(), partition)),
                    false => current.push(name.clone()),
                }
            }
        }
    }
    (current, futures)
}

fn place(connection: &mut Connection, topic: &str) -> String {
    let (mut current, _) = described(connection, topic);
    assert_eq!(current.len(), 1, "{topic} is in one directory");
    current.remove(0)
}

fn other(name: &str) -> &'static str {
    if name == "a" { "b" } else { "a" }
}

fn await_place(connection: &mut Connection, topic: &str, name: &str) {
    eventually(&format!("{topic} is in {name}, and on its way to nowhere"), || {
        let (current, futures) = described(connection, topic);
        (current == [name] && futures.is_empty()).then_some(())
    });
}

/// Names in a directory that begin with the topic's and end so.
fn names(directory: &Path, topic: &str, end: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!("{topic}-0")) && name.ends_with(end)).collect()
}

fn hurry(connection: &mut Connection) {
    connection.alter_config(BROKER, "1", RATE, Some("1000000000"));
}

fn delete(connection: &mut Connection, topic: &str) {
    let topics = vec![DeleteTopicState { name: Some(topic.to_owned()), ..DeleteTopicState::default() }];
    let request = DeleteTopicsRequest { topics, timeout_ms: 60_000, ..DeleteTopicsRequest::default() };
    let response = connection.send(6, &request);
    assert!(!response.responses[0].error_code.is_error(), "{response:?}");
}

/// A topic with some two mebibytes of records; their values.
fn fill(connection: &mut Connection, topic: &str) -> Vec<Vec<u8>> {
    connection.create_topic(topic);
    let values: Vec<Vec<u8>> = (0..20u8).map(|number| vec![number; 100_000]).collect();
    for value in &values {
        connection.produce(topic, value);
    }
    values
}

#[test]
fn a_replica_moves_to_the_directory_it_is_asked_to_and_is_found_there_by_the_next_start() {
    let home = Home::new();
    let node = home.start();
    let mut connection = node.connect();
    let mut values = fill(&mut connection, "t");
    let (from, to) = {
        let from = place(&mut connection, "t");
        (from.clone(), other(&from))
    };
    begin(&mut connection, "t", &home.path(to));
    await_place(&mut connection, "t", to);
    assert!(home.path(to).join("t-0").is_dir() && !home.path(&from).join("t-0").exists());
    assert_eq!(connection.fetch_all("t"), values);
    assert_eq!(connection.produce("t", b"behind it"), 20);
    values.push(b"behind it".to_vec());
    node.kill();

    let node = home.start();
    let mut connection = node.connect();
    connection.await_leaders("t", 1);
    assert_eq!((place(&mut connection, "t").as_str(), connection.fetch_all("t")), (to, values.clone()));
    // And back.
    begin(&mut connection, "t", &home.path(&from));
    await_place(&mut connection, "t", &from);
    assert!(node.stop().success());
    let node = home.start();
    let mut connection = node.connect();
    connection.await_leaders("t", 1);
    assert_eq!((place(&mut connection, "t"), connection.fetch_all("t")), (from, values));
    let log = fs::read_to_string(home.path("stderr.log")).expect("a log");
    assert!(!log.contains("an unclean election"), "a move makes no log incomplete (A12): {log}");
}

/// Kafka's answers, each of which its reassignment tool knows.
#[test]
fn what_cannot_be_moved_is_answered_as_kafka_does() {
    let home = Home::new();
    let node = home.start();
    let mut connection = node.connect();
    connection.create_topic("t");
    let here = place(&mut connection, "t");
    let path = |name: &str| home.path(name).to_string_lossy().into_owned();
    assert_eq!(ask(&mut connection, "t", &path("c")), ErrorCode::LogDirNotFound);
    assert_eq!(ask(&mut connection, "t", other(&here)), ErrorCode::LogDirNotFound, "a relative path");
    assert_eq!(ask(&mut connection, "t", &path(&here)), ErrorCode::None, "it is there");
    assert_eq!(ask(&mut connection, &"x".repeat(240), &path("a")), ErrorCode::InvalidTopicException);
    // The wish is remembered: without it they would spread.
    for topic in ["u0", "u1", "u2"] {
        assert_eq!(ask(&mut connection, topic, &path(&here)), ErrorCode::ReplicaNotAvailable);
        connection.create_topic(topic);
        assert_eq!(place(&mut connection, topic), here);
    }
}

#[test]
fn a_move_under_way_is_told_of_slowed_down_changed_and_ended() {
    let home = Home::new();
    let node = home.start_slow();
    let mut connection = node.connect();
    let values = fill(&mut connection, "t");
    let here = place(&mut connection, "t");
    let to = other(&here);
    begin(&mut connection, "t", &home.path(to));
    let (current, futures) = described(&mut connection, "t");
    assert_eq!(current, [&*here]);
    let (name, future) = &futures[0];
    assert!(name == to && future.partition_index == 0 && future.offset_lag > 0, "{futures:?}");
    assert_eq!(names(&home.path(to), "t", "-future").len(), 1);
    begin(&mut connection, "t", &home.path(to));
    assert_eq!(described(&mut connection, "t").1.len(), 1, "asked for twice, it is one move");

    begin(&mut connection, "t", &home.path(&here));
    await_place(&mut connection, "t", &here);
    eventually("the copy goes", || names(&home.path(to), "t", "-future").is_empty().then_some(()));
    assert_eq!(connection.fetch_all("t"), values);

    begin(&mut connection, "t", &home.path(to));
    hurry(&mut connection);
    await_place(&mut connection, "t", to);
    assert_eq!(connection.fetch_all("t"), values);
}

/// A1, A2: what was acknowledged before, during and after the moves is there once, for consumers that read all the while,
/// though the moving brokers are killed in the middle.
#[test]
fn nothing_is_lost_or_doubled_by_moves_under_load_with_kills_in_the_middle() {
    let mut cluster = Plan::combined(3)
        .set("log.dirs", "a,b")
        .set("log.segment.bytes", "1048576")
        .set("min.insync.replicas", "2")
        .start();
    let mut connection = cluster.connect(1);
    // So no sync may be confirmed that the next directory knows nothing of.
    connection.create_topic_with("t", 1, 3, &[("flush.before.ack", "true")]);
    cluster.await_isr(1, "t", &[1, 2, 3]);
    let load = Load::start(&cluster, "t");
    load.await_progress();
    for round in 0..3 {
        for node in [1, 2, 3] {
            let mut connection = cluster.connect(node);
            let target = other(&place(&mut connection, "t"));
            begin(&mut connection, "t", &home_of(&cluster, node).join(target));
            if node == round + 1 {
                drop(connection);
                cluster.kill(node);
                cluster.spawn(node);
                cluster.await_ready(node);
                connection = cluster.connect(node);
            }
            eventually(&format!("node {node} has moved it"), || {
                let (current, futures) = described(&mut connection, "t");
                (current == [target] && futures.is_empty()).then_some(())
            });
            load.await_progress();
        }
        cluster.await_isr(1, "t", &[1, 2, 3]);
    }
    load.stop_and_check(&cluster, 1);
    cluster.await_isr(1, "t", &[1, 2, 3]);
}

#[test]
fn a_move_that_a_stop_or_a_kill_ends_is_begun_anew_by_the_next_start() {
    let home = Home::new();
    let mut node = home.start_slow();
    let mut connection = node.connect();
    let values = fill(&mut connection, "t");
    let here = place(&mut connection, "t");
    let to = other(&here);
    begin(&mut connection, "t", &home.path(to));
    for is_killed in [true, false] {
        match is_killed {
            true => node.kill(),
            false => assert!(node.stop().success()),
        }
        assert_eq!(names(&home.path(to), "t", "-future").len(), 1);
        node = home.start_slow();
        connection = node.connect();
        connection.await_leaders("t", 1);
        let (current, futures) = described(&mut connection, "t");
        assert_eq!((current, futures.len()), (vec![here.clone()], 1));
    }
    hurry(&mut connection);
    await_place(&mut connection, "t", to);
    assert_eq!(connection.fetch_all("t"), values);
}

#[test]
fn copies_of_what_is_deleted_or_has_arrived_are_dropped() {
    let home = Home::new();
    let node = home.start_slow();
    let mut connection = node.connect();
    fill(&mut connection, "t");
    fill(&mut connection, "u");
    let (t, u) = (place(&mut connection, "t"), place(&mut connection, "u"));
    begin(&mut connection, "t", &home.path(other(&t)));
    delete(&mut connection, "t");
    eventually("its copy goes with it", || names(&home.path(other(&t)), "t", "-future").is_empty().then_some(()));
    assert!(node.stop().success());
    let stray = |topic: &str| format!("{topic}-0.{}-future", "ab".repeat(16));
    fs::create_dir(home.path(&u).join(stray("u"))).expect("created");
    fs::create_dir(home.path(&t).join(stray("t"))).expect("created");
    let node = home.start_slow();
    node.connect().await_leaders("u", 1);
    for (directory, topic) in [(&u, "u"), (&t, "t")] {
        eventually("a copy of nothing is dropped", || {
            names(&home.path(directory), topic, "-future").is_empty().then_some(())
        });
    }
    assert_eq!(place(&mut node.connect(), "u"), u);
}

/// The target's disk is pulled: the replica goes on where it is.
#[test]
fn the_failure_of_the_target_ends_the_move_and_nothing_else() {
    let home = Home::new();
    let node = home.start_slow();
    let mut connection = node.connect();
    // The metadata log is in "a", without which the process ends.
    assert_eq!(ask(&mut connection, "t", &home.path("a").to_string_lossy()), ErrorCode::ReplicaNotAvailable);
    let values = fill(&mut connection, "t");
    begin(&mut connection, "t", &home.path("b"));
    fs::rename(home.path("b"), home.path("gone")).expect("renamed");
    eventually("the target has failed", || {
        let (current, futures) = described(&mut connection, "t");
        (current == ["a"] && futures.is_empty()).then_some(())
    });
    assert_eq!(ask(&mut connection, "t", &home.path("b").to_string_lossy()), ErrorCode::KafkaStorageError);
    assert_eq!(connection.produce("t", b"goes on"), 20);
    assert_eq!(connection.fetch_all("t").len(), values.len() + 1);
}

/// A19 and A1: half a copy never stands for the replica whose disk is pulled.
#[test]
fn the_failure_of_the_source_takes_the_replica_offline_and_its_copy_with_it() {
    let home = Home::new();
    let node = home.start_slow();
    let mut connection = node.connect();
    assert_eq!(ask(&mut connection, "t", &home.path("b").to_string_lossy()), ErrorCode::ReplicaNotAvailable);
    let values = fill(&mut connection, "t");
    begin(&mut connection, "t", &home.path("a"));
    fs::rename(home.path("b"), home.path("gone")).expect("renamed");
    eventually("nobody leads what is offline", || {
        (connection.describe_topic("t").partitions[0].leader_id == -1).then_some(())
    });
    eventually("the copy goes", || names(&home.path("a"), "t", "-future").is_empty().then_some(()));
    assert_eq!(connection.try_produce("t", b"x"), Err(ErrorCode::KafkaStorageError));
    assert_eq!(ask(&mut connection, "t", &home.path("a").to_string_lossy()), ErrorCode::KafkaStorageError);
    assert!(!home.path("a").join("t-0").exists());
    node.kill();
    fs::rename(home.path("gone"), home.path("b")).expect("renamed");
    let node = home.start();
    let mut connection = node.connect();
    connection.await_leaders("t", 1);
    assert_eq!((place(&mut connection, "t").as_str(), connection.fetch_all("t")), ("b", values));
}
