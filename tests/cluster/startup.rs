//! What a node accepts, what it refuses, and what it says then.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::harness::Setup;

fn refusal(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "no banner: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_banner_says_where_to_connect_where_data_lies_and_what_was_configured() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).environment("KAFKA_NODE_ID", "7").start();
    let banner = node.banner.join("\n");
    let data = directory.path().join("data").canonicalize().expect("it exists");
    assert!(banner.starts_with("Ottla "), "{banner}");
    assert!(banner.contains("clients    PLAINTEXT://127.0.0.1:"), "{banner}");
    assert!(banner.contains(&format!("data       {}", data.display())), "{banner}");
    assert!(banner.contains("node       7 (broker and controller) of cluster "), "{banner}");
    assert!(banner.contains("configured environment: node.id; --override: "), "{banner}");
    assert!(node.stop().success());
}

#[test]
fn a_second_process_on_the_directory_is_refused_and_told_of_the_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = Setup::new(directory.path()).start();
    let second = Setup::new(directory.path()).run_to_end();
    assert_eq!(second.status.code(), Some(3));
    let refusal = refusal(&second);
    assert!(refusal.contains(&format!("is in use by process {}", first.process().id())), "{refusal}");
}

#[test]
fn a_directory_of_apache_kafka_stays_untouched() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("created");
    let properties = "node.id=1\ndirectory.id=vJkw4Dr5WHPBeKw6wJ-Hew\nversion=1\ncluster.id=Hie3ayPGSI-RNXde4ks3Rg\n";
    fs::write(data.join("meta.properties"), properties).expect("written");
    fs::write(data.join("bootstrap.checkpoint"), "x").expect("written");
    let output = Setup::new(directory.path()).run_to_end();
    assert_eq!(output.status.code(), Some(3));
    let refusal = refusal(&output);
    assert!(refusal.contains("was written by Apache Kafka (it has meta.properties) and stays untouched"), "{refusal}");
    assert_eq!(names_in(&data), ["bootstrap.checkpoint", "meta.properties"]);
    assert_eq!(fs::read_to_string(data.join("meta.properties")).expect("still there"), properties);
}

#[test]
fn the_directory_of_another_node_or_cluster_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(Setup::new(directory.path()).start().stop().success());
    let other_node = Setup::new(directory.path()).set("node.id", "2").run_to_end();
    assert_eq!(other_node.status.code(), Some(3));
    assert!(refusal(&other_node).contains("belongs to node 1, but node.id is 2"), "{other_node:?}");
    let other_cluster = Setup::new(directory.path()).environment("CLUSTER_ID", "another").run_to_end();
    assert_eq!(other_cluster.status.code(), Some(3));
    assert!(refusal(&other_cluster).contains("but cluster.id is another"), "{other_cluster:?}");
}

#[test]
fn the_cluster_gets_the_id_that_was_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).environment("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw").start();
    assert!(node.banner.iter().any(|line| line.ends_with("of cluster 4L6g3nShT-eMCtK--X86sw")), "{:?}", node.banner);
}

#[test]
fn contradictions_end_the_start_with_both_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("server.properties");
    fs::write(&file, "node.id=1\n\nbroker.id=2\nnum.partitions=none\n").expect("written");
    let output = Setup::bare(directory.path()).argument("server.properties").run_to_end();
    assert_eq!(output.status.code(), Some(2));
    let wrong_value = refusal(&output);
    assert!(wrong_value.contains("server.properties:4: invalid value \"none\" for num.partitions"), "{wrong_value}");

    fs::write(&file, "node.id=1\n\nbroker.id=2\n").expect("written");
    let output = Setup::bare(directory.path()).argument("server.properties").run_to_end();
    assert_eq!(output.status.code(), Some(2));
    let contradiction = refusal(&output);
    for place in ["node.id=1 (server.properties:1)", "broker.id=2 (server.properties:3)"] {
        assert!(contradiction.contains(place), "{contradiction}");
    }
    assert_eq!(names_in(directory.path()), ["server.properties"], "nothing was written");
}

#[test]
fn a_tls_listener_is_never_served_in_plaintext() {
    let directory = tempfile::tempdir().expect("a directory");
    let output = Setup::new(directory.path()).set("listeners", "SSL://127.0.0.1:0").run_to_end();
    assert_eq!(output.status.code(), Some(2));
    assert!(refusal(&output).contains("listener SSL speaks SSL, which this version does not serve"), "{output:?}");
    assert!(!directory.path().join("data").exists());
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Setup::new(directory.path()).set("num.partitons", "3").environment("KAFKA_HEAP_OPTS", "-Xmx1G").start();
    let log = node.process().log();
    assert!(log.contains("--override: unknown key num.partitons; did you mean num.partitions?"), "{log}");
    assert!(log.contains("not needed here and ignored: KAFKA_HEAP_OPTS"), "{log}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let output = Setup::new(directory.path()).set("listeners", &format!("PLAINTEXT://127.0.0.1:{port}")).run_to_end();
    assert_eq!(output.status.code(), Some(1));
    assert!(refusal(&output).contains(&format!("cannot listen on PLAINTEXT://127.0.0.1:{port}")), "{output:?}");
}
