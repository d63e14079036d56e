//! Starting again after a clean stop and after a crash.

use std::fs;

use ottla::model::ErrorCode;

use super::harness::Setup;

#[test]
fn a_clean_stop_leaves_its_marker_and_the_next_start_takes_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let marker = directory.path().join("data/.kafka_cleanshutdown");
    let node = Setup::new(directory.path()).start();
    assert!(!marker.exists(), "not while it runs");
    assert_eq!(node.stop().code(), Some(0));
    assert!(marker.exists());
    let node = Setup::new(directory.path()).start();
    assert!(!marker.exists(), "taken by the next start");
    node.kill();
    assert!(!marker.exists(), "a crash leaves none");
}

#[test]
fn sigint_stops_as_cleanly_as_sigterm() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut process = Setup::new(directory.path()).spawn();
    process.banner();
    process.signal("INT");
    assert_eq!(process.wait().code(), Some(0));
    assert!(directory.path().join("data/.kafka_cleanshutdown").exists());
}

#[test]
fn records_outlive_a_clean_stop_and_a_crash() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    connection.create_topic("kept");
    assert_eq!(connection.produce("kept", b"one"), 0);
    assert!(node.stop().success());

    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    assert_eq!(connection.fetch_all("kept"), [b"one"]);
    assert_eq!(connection.produce("kept", b"two"), 1);
    node.kill();

    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    assert_eq!(connection.fetch_all("kept"), [b"one", b"two"]);
    assert_eq!(connection.produce("kept", b"three"), 2);
}

#[test]
fn the_cluster_id_stays_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let line = |node: &super::harness::Node| {
        node.banner.iter().find(|line| line.contains("of cluster")).cloned().expect("a line with the cluster")
    };
    let node = Setup::new(directory.path()).start();
    let first = line(&node);
    node.kill();
    let node = Setup::new(directory.path()).start();
    assert_eq!(line(&node), first);
    let properties = fs::read_to_string(directory.path().join("data/meta.properties")).expect("written");
    let id = first.rsplit(' ').next().expect("an id");
    assert!(properties.contains(&format!("cluster.id={id}")), "{properties}");
}

#[test]
fn dynamic_configs_act_without_a_restart_and_outlive_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    connection.create_topic("limited");
    let value = vec![b'x'; 2_000];
    assert_eq!(connection.produce("limited", &value), 0);

    // For the topic alone.
    connection.alter_config(2, "limited", "max.message.bytes", Some("1000"));
    assert_eq!(connection.try_produce("limited", &value), Err(ErrorCode::MessageTooLarge));
    connection.alter_config(2, "limited", "max.message.bytes", None);
    assert_eq!(connection.produce("limited", &value), 1);

    // For all topics that do not say otherwise, by the default of all brokers.
    connection.alter_config(4, "", "message.max.bytes", Some("1000"));
    assert_eq!(connection.try_produce("limited", &value), Err(ErrorCode::MessageTooLarge));
    assert!(node.stop().success());

    let node = Setup::new(directory.path()).start();
    assert_eq!(node.connect().try_produce("limited", &value), Err(ErrorCode::MessageTooLarge));
}

#[test]
fn keys_that_act_only_at_the_start_cannot_be_altered() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).start();
    let mut connection = node.connect();
    let answer = connection.try_alter_config(4, "1", "listeners", Some("PLAINTEXT://:1"));
    assert_eq!(answer, Err(ErrorCode::InvalidRequest));
    let answer = connection.try_alter_config(4, "1", "log.retention.mss", Some("1"));
    assert_eq!(answer, Err(ErrorCode::InvalidConfig));
}
