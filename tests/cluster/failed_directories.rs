//! A log directory that fails while others go on. A directory fails here by being renamed: what is under its name is gone
//! then, as when a disk is pulled or unmounted, and it is back when it has its name again.

use std::fs;
use std::path::{Path, PathBuf};

use ottla::model::ErrorCode;
use ottla::protocol::DescribeLogDirsRequest;

use super::harness::{Cluster, Connection, Load, Plan, Setup, eventually};

/// What the controller says when it lets a replica lead that may lack acknowledged records (A18).
const UNCLEAN: &str = "an unclean election";

fn topics() -> impl Iterator<Item = String> {
    (0..4).map(|number| format!("t{number}"))
}

fn pull(directory: &Path) {
    fs::rename(directory, gone(directory)).expect("renamed");
}

/// What an unmounted file system leaves.
fn leave_empty(directory: &Path) {
    pull(directory);
    fs::create_dir(directory).expect("created");
}

fn put_back(directory: &Path) {
    if directory.exists() {
        fs::remove_dir_all(directory).expect("removed");
    }
    fs::rename(gone(directory), directory).expect("renamed");
}

fn gone(directory: &Path) -> PathBuf {
    directory.with_extension("gone")
}

/// Waits until the topic's first partition is in one of the directories of `home`; which.
fn place(home: &Path, topic: &str) -> &'static str {
    let holds = |name: &&str| home.join(name).join(format!("{topic}-0")).is_dir();
    eventually(&format!("{topic} is in one of the directories"), || ["a", "b"].into_iter().find(holds))
}

/// The topics in the second directory of `home`, and the others; both have some.
fn split(home: &Path) -> (Vec<String>, Vec<String>) {
    let (second, first): (Vec<_>, Vec<_>) = topics().partition(|topic| place(home, topic) == "b");
    assert!(!second.is_empty() && !first.is_empty(), "{second:?} {first:?}");
    (second, first)
}

/// The directories with what DescribeLogDirs says of them: their name, and whether they have failed.
fn described(connection: &mut Connection) -> Vec<(String, ErrorCode)> {
    let response = connection.send(4, &DescribeLogDirsRequest { topics: None });
    let name = |path: &str| path.rsplit('/').next().expect("a name").to_owned();
    let mut told: Vec<_> = response.results.iter().map(|result| (name(&result.log_dir), result.error_code)).collect();
    told.sort_by(|one, other| one.0.cmp(&other.0));
    told
}

fn run_marker(directory: &Path) -> String {
    fs::read_to_string(directory.join(".ottla_run")).expect("a run marker")
}

struct Alone {
    home: tempfile::TempDir,
    setup: Setup,
}

impl Alone {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let setup = Setup::new(home.path()).set("log.dirs", "a,b");
        Self { home, setup }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Creates the topics, each with its name as its only record; those in the second directory, and the others.
    fn fill(&self, connection: &mut Connection) -> (Vec<String>, Vec<String>) {
        for topic in topics() {
            connection.create_topic(&topic);
            connection.produce(&topic, topic.as_bytes());
        }
        split(self.home.path())
    }
}

/// Waits until the topic's only replica, on node 1, is told to be offline.
fn await_nobody_leads(connection: &mut Connection, topic: &str) {
    eventually("nobody leads what is offline", || {
        let partition = connection.describe_topic(topic).partitions.remove(0);
        (partition.leader_id == -1 && partition.offline_replicas == [1]).then_some(())
    });
}

fn home(cluster: &Cluster, node: i32) -> PathBuf {
    cluster.data(node).parent().expect("the node's home").to_owned()
}

/// A1 and A12: others lead what was in it and have every acknowledged record; the rest of the broker goes on, in sync.
/// Until it has started anew its word on its logs counts for nothing.
#[test]
fn the_partitions_of_a_failed_directory_move_to_other_brokers_and_the_others_stay() {
    let mut cluster = Plan::combined(3).set("log.dirs", "a,b").set("min.insync.replicas", "2").start();
    let mut connection = cluster.connect(2);
    for topic in topics() {
        connection.create_topic_with(&topic, 1, 3, &[]);
        cluster.await_isr(2, &topic, &[1, 2, 3]);
    }
    let failing = home(&cluster, 1).join("b");
    let (lost, kept) = split(&home(&cluster, 1));
    let load = Load::start(&cluster, &lost[0]);
    load.await_progress();
    pull(&failing);

    for topic in &lost {
        let leader = cluster.await_isr(2, topic, &[2, 3]);
        assert_ne!(leader, 1);
        let offline = &connection.describe_topic(topic).partitions[0].offline_replicas;
        assert_eq!(offline, &[1], "{topic}");
        assert_eq!(cluster.connect(1).try_produce(topic, b"x"), Err(ErrorCode::KafkaStorageError));
    }
    load.await_progress();
    for topic in &kept {
        cluster.await_isr(2, topic, &[1, 2, 3]);
        eventually(&format!("{topic} is not touched"), || {
            connection.describe_topic(topic).partitions[0].offline_replicas.is_empty().then_some(())
        });
    }
    let told = described(&mut cluster.connect(1));
    assert_eq!(told, [("a".to_owned(), ErrorCode::None), ("b".to_owned(), ErrorCode::KafkaStorageError)]);
    connection.create_topic_with("later", 1, 3, &[]);
    cluster.await_isr(2, "later", &[1, 2, 3]);
    let remaining = home(&cluster, 1).join("a");
    assert_eq!(place(&home(&cluster, 1), "later"), "a", "what is left takes new partitions");
    assert!(run_marker(&remaining).contains("\"bootId\":\"\""), "this life vouches for nothing any more");

    assert!(cluster.stop(1).success());
    assert!(!remaining.join(".kafka_cleanshutdown").exists(), "no clean stop either");
    let log = cluster.log(1);
    assert!(log.contains("stopped; the next start looks through the logs"), "{log}");
    put_back(&failing);
    cluster.spawn(1);
    cluster.await_ready(1);
    for topic in topics().chain(["later".to_owned()]) {
        cluster.await_isr(2, &topic, &[1, 2, 3]);
    }
    assert!(!run_marker(&remaining).contains("\"bootId\":\"\""), "the new life does");
    load.await_progress();
    load.stop_and_check(&cluster, 1);
}

/// A18: the only replica is nobody's to lead while it is away, and leads again, as one that may have lost something, in
/// the broker's next life. What is in the other directory is served all the time.
#[test]
fn the_only_replica_is_offline_with_its_directory_and_back_with_it() {
    let alone = Alone::new();
    let node = alone.setup.start();
    let mut connection = node.connect();
    let (lost, kept) = alone.fill(&mut connection);
    leave_empty(&alone.path("b"));
    for topic in &lost {
        await_nobody_leads(&mut connection, topic);
        assert_eq!(connection.try_produce(topic, b"x"), Err(ErrorCode::KafkaStorageError));
    }
    for topic in &kept {
        assert_eq!(connection.produce(topic, b"more"), 1);
    }
    assert!(!node.process().log().contains(UNCLEAN));
    node.kill();
    put_back(&alone.path("b"));
    let node = alone.setup.start();
    let mut connection = node.connect();
    for topic in topics() {
        connection.await_leaders(&topic, 1);
        let values = connection.fetch_all(&topic);
        assert_eq!(values[0], topic.as_bytes());
        assert_eq!(values.len(), if kept.contains(&topic) { 2 } else { 1 }, "{topic}");
    }
    node.process().await_log(UNCLEAN);
}

/// A1: nothing empty takes the place of what is in a directory that cannot be used at the start.
#[test]
fn a_directory_that_cannot_be_used_at_the_start_keeps_its_partitions_to_itself() {
    let alone = Alone::new();
    let node = alone.setup.start();
    let mut connection = node.connect();
    let (lost, kept) = alone.fill(&mut connection);
    assert!(node.stop().success());
    pull(&alone.path("b"));
    fs::write(alone.path("b"), "no directory: a disk that cannot be mounted").expect("written");

    let node = alone.setup.start();
    let mut connection = node.connect();
    for topic in &kept {
        connection.await_leaders(topic, 1);
        assert_eq!(connection.fetch_all(topic), [topic.as_bytes()]);
    }
    for topic in &lost {
        await_nobody_leads(&mut connection, topic);
        assert!(!alone.path("a").join(format!("{topic}-0")).exists(), "{topic} is not begun anew");
    }
    assert_eq!(described(&mut connection)[1], ("b".to_owned(), ErrorCode::KafkaStorageError));
    connection.create_topic("later");
    assert_eq!(connection.produce("later", b"one"), 0);
    assert!(node.stop().success());

    fs::remove_file(alone.path("b")).expect("removed");
    put_back(&alone.path("b"));
    let node = alone.setup.start();
    let mut connection = node.connect();
    for topic in topics() {
        connection.await_leaders(&topic, 1);
        assert_eq!(connection.fetch_all(&topic), [topic.as_bytes()]);
    }
}

#[test]
fn the_process_ends_with_the_directory_of_its_metadata_log() {
    let alone = Alone::new();
    let mut process = alone.setup.start().into_process();
    pull(&alone.path("a"));
    assert_eq!(process.wait().code(), Some(1), "{}", process.log());
    assert!(process.log().contains("this process ends"), "{}", process.log());
}

#[test]
fn a_broker_ends_with_the_last_of_its_directories() {
    let mut cluster = Plan::isolated(1, 1).set("log.dirs", "a,b").start();
    let home = home(&cluster, 2);
    pull(&home.join("a"));
    cluster.await_log(2, "has failed");
    let told = described(&mut cluster.connect(2));
    assert_eq!(told, [("a".to_owned(), ErrorCode::KafkaStorageError), ("b".to_owned(), ErrorCode::None)]);
    pull(&home.join("b"));
    assert_eq!(cluster.await_end(2).code(), Some(1));
}
