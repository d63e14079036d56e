//! `flush.before.ack`: what is acknowledged is on the disks of all replicas in sync. How far a replica's log is on its
//! disk is told by the metric `ottla_log_flushed_offset`; that such records survive a power cut is the simulation's to
//! prove (tests/sim).

use super::harness::{Cluster, Plan, eventually};
use super::http::metrics;

const TOPIC: &str = "durable";

/// Where each node serves its metrics.
fn start(nodes: usize) -> (Cluster, Vec<String>) {
    let mut cluster = Plan::combined(nodes).build();
    let ids: Vec<i32> = cluster.nodes().collect();
    let addresses: Vec<String> = ids.iter().map(|node| cluster.address(*node).replace(":9092", ":9404")).collect();
    for (node, address) in ids.iter().zip(&addresses) {
        cluster.reconfigure(*node, "ottla.http.listener", address);
    }
    cluster.start_nodes(&ids);
    cluster.await_brokers(1, &ids);
    (cluster, addresses)
}

fn flushed(address: &str) -> f64 {
    let name = format!("ottla_log_flushed_offset{{topic=\"{TOPIC}\",partition=\"0\"}}");
    metrics(address).get(&name).copied().unwrap_or_else(|| panic!("{name} at {address}"))
}

#[test]
fn what_is_acknowledged_by_all_is_on_the_disk_of_each_replica_in_sync() {
    let (cluster, addresses) = start(3);
    cluster.connect(1).create_topic_with(TOPIC, 1, 3, &[("flush.before.ack", "true"), ("min.insync.replicas", "3")]);
    let leader = cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    let mut connection = cluster.connect(leader);
    eventually("the leader knows the topic", || connection.try_produce(TOPIC, b"first").ok());
    for number in 0..40 {
        let offset = connection.produce(TOPIC, format!("record {number}").as_bytes());
        for address in &addresses {
            let flushed = flushed(address);
            assert!(
                flushed > offset as f64,
                "offset {offset} is acknowledged, and {address} has synced up to {flushed}"
            );
        }
    }
}

#[test]
fn what_the_leader_acknowledges_is_on_its_disk() {
    let (cluster, addresses) = start(1);
    let mut connection = cluster.connect(1);
    connection.create_topic(TOPIC);
    // Set for all topics of the broker, and while it runs.
    connection.alter_config(4, "", "ottla.flush.before.ack", Some("true"));
    eventually("the broker goes by it", || {
        let offset = connection.try_produce_with(TOPIC, b"first", 1).expect("it is stored");
        (flushed(&addresses[0]) > offset as f64).then_some(())
    });
    for number in 0..40 {
        let value = format!("record {number}");
        let offset = connection.try_produce_with(TOPIC, value.as_bytes(), 1).expect("it is stored");
        let flushed = flushed(&addresses[0]);
        assert!(flushed > offset as f64, "offset {offset} is acknowledged, and only {flushed} are synced");
    }
}
