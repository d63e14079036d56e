//! Records on several brokers: that what was acknowledged outlives whoever held it, and that nothing is acknowledged
//! which could not.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ottla::model::ErrorCode;

use super::harness::{Cluster, Connection, Plan, eventually};

const TOPIC: &str = "replicated";

/// Three nodes with a topic on all of them, of which two must be in sync.
fn three_with_topic() -> Cluster {
    let cluster = Plan::combined(3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.connect(1).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2")]);
    await_isr(&cluster, 1, &[1, 2, 3]);
    cluster
}

/// Waits until `asked` knows exactly these in-sync replicas; the leader.
fn await_isr(cluster: &Cluster, asked: i32, expected: &[i32]) -> i32 {
    let expected: BTreeSet<i32> = expected.iter().copied().collect();
    let mut connection = cluster.connect(asked);
    eventually(&format!("the in-sync replicas are {expected:?}"), || {
        let partition = connection.describe_topic(TOPIC).partitions.remove(0);
        let isr: BTreeSet<i32> = partition.isr_nodes.iter().copied().collect();
        (isr == expected && partition.leader_id >= 0).then_some(partition.leader_id)
    })
}

/// Waits until `asked` knows a leader other than `not`, and connects to it.
fn connect_to_leader(cluster: &Cluster, asked: i32, not: i32) -> (i32, Connection) {
    let mut connection = cluster.connect(asked);
    let leader = eventually("there is a leader", || {
        let partition = connection.describe_topic(TOPIC).partitions.remove(0);
        (partition.leader_id >= 0 && partition.leader_id != not).then_some(partition.leader_id)
    });
    (leader, cluster.connect(leader))
}

fn values(range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    range.map(|number| format!("value {number}").into_bytes()).collect()
}

/// Produces values one by one, all of them acknowledged, those refused for the time being again.
fn produce_all(connection: &mut Connection, range: std::ops::Range<usize>) {
    for value in values(range) {
        eventually("an acknowledgement", || match connection.try_produce(TOPIC, &value) {
            Ok(_) => Some(()),
            Err(ErrorCode::NotEnoughReplicas | ErrorCode::NotLeaderOrFollower) => None,
            Err(error) => panic!("{error}"),
        });
    }
}

/// A11: the replicas' files are equal once nothing is written any more.
fn assert_equal_logs(cluster: &Cluster) {
    let log = |node| -> Vec<u8> {
        let directory: PathBuf = cluster.data(node).join(format!("{TOPIC}-0"));
        std::fs::read(directory.join("00000000000000000000.log")).unwrap_or_default()
    };
    eventually("the replicas hold the same bytes", || {
        let logs: Vec<Vec<u8>> = cluster.nodes().map(log).collect();
        (!logs[0].is_empty() && logs.windows(2).all(|pair| pair[0] == pair[1])).then_some(())
    });
}

fn others(cluster: &Cluster, without: i32) -> Vec<i32> {
    cluster.nodes().filter(|node| *node != without).collect()
}

#[test]
fn what_is_acknowledged_is_on_every_replica() {
    let cluster = three_with_topic();
    let (leader, mut connection) = connect_to_leader(&cluster, 1, -1);
    produce_all(&mut connection, 0..50);
    assert_equal_logs(&cluster);
    assert_eq!(connection.fetch_all(TOPIC), values(0..50));
    let mut follower = cluster.connect(others(&cluster, leader)[0]);
    assert_eq!(follower.try_produce(TOPIC, b"x"), Err(ErrorCode::NotLeaderOrFollower));
}

/// The walk of every tutorial: one dead, writes go on; two dead, they are refused; one back, they resume (A16).
#[test]
fn writes_need_the_minimum_of_replicas_and_resume_with_it() {
    let mut cluster = Plan::isolated(1, 3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(2, &[2, 3, 4]);
    cluster.connect(2).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2")]);
    let leader = await_isr(&cluster, 2, &[2, 3, 4]);
    let mut connection = cluster.connect(leader);
    produce_all(&mut connection, 0..10);
    let followers: Vec<i32> = [2, 3, 4].into_iter().filter(|node| *node != leader).collect();
    cluster.kill(followers[0]);
    await_isr(&cluster, leader, &[leader, followers[1]]);
    produce_all(&mut connection, 10..20);
    cluster.kill(followers[1]);
    await_isr(&cluster, leader, &[leader]);
    assert_eq!(connection.try_produce(TOPIC, b"refused"), Err(ErrorCode::NotEnoughReplicas));
    cluster.start_nodes(&[followers[0]]);
    await_isr(&cluster, leader, &[leader, followers[0]]);
    produce_all(&mut connection, 20..30);
    assert_eq!(connection.fetch_all(TOPIC), values(0..30), "and nothing of what was refused");
}

/// A1, A6, A17: the leader dies; the next one has everything, and the old one comes back as its follower.
#[test]
fn a_killed_leader_is_replaced_without_loss_and_rejoins() {
    let mut cluster = three_with_topic();
    let (leader, mut connection) = connect_to_leader(&cluster, 1, -1);
    produce_all(&mut connection, 0..20);
    cluster.kill(leader);
    let asked = others(&cluster, leader)[0];
    let (_, mut connection) = connect_to_leader(&cluster, asked, leader);
    produce_all(&mut connection, 20..40);
    cluster.start_nodes(&[leader]);
    await_isr(&cluster, asked, &[1, 2, 3]);
    produce_all(&mut connection, 40..50);
    assert_eq!(connection.fetch_all(TOPIC), values(0..50));
    assert_equal_logs(&cluster);
}
