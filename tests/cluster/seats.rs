//! Who gets a seat in the quorum, and who must wait: lost disks, strangers, lists that differ (invariant D6).

use super::harness::{Cluster, Plan, eventually};

fn cluster_id(cluster: &Cluster, node: i32) -> String {
    let properties = std::fs::read_to_string(cluster.data(node).join("meta.properties")).expect("its properties");
    let id = properties.lines().find_map(|line| line.strip_prefix("cluster.id="));
    id.expect("a cluster id").to_owned()
}

#[test]
fn a_lost_disk_takes_its_seat_again_while_the_others_hold_the_quorum() {
    let mut cluster = Cluster::start(3);
    cluster.connect(1).create_topic("kept");
    let (leader, _) = cluster.quorum_leader(1);
    let id = cluster_id(&cluster, leader);
    // The first node too: it would be the one to form a quorum.
    for lost in [leader, 1, 2] {
        cluster.kill(lost);
        cluster.wipe(lost);
        cluster.start_nodes(&[lost]);
        assert_eq!(cluster_id(&cluster, lost), id);
        let mut connection = cluster.connect(lost);
        eventually("it knows the topic", || (!connection.describe_topic("kept").error_code.is_error()).then_some(()));
        cluster.await_voters(lost, &[1, 2, 3]);
    }
    // Seats are votes: the quorum outlives one more.
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.kill(3);
    cluster.connect(1).create_topic("after");
}

#[test]
fn two_lost_disks_of_three_found_no_new_cluster() {
    let mut cluster = Cluster::start(3);
    let id = cluster_id(&cluster, 3);
    for node in cluster.nodes() {
        cluster.kill(node);
    }
    cluster.wipe(1);
    cluster.wipe(2);
    cluster.spawn(1);
    cluster.spawn(2);
    cluster.await_log(1, "waiting for the metadata quorum: voter 3@");
    cluster.spawn(3);
    cluster.await_log(1, "ottla cluster recover-quorum");
    cluster.await_log(2, "ottla cluster recover-quorum");
    for node in [1, 2, 3] {
        assert!(!cluster.is_ready(node), "node {node} must wait");
        assert!(!cluster.log(node).contains("forming the metadata quorum") || node != 2, "{}", cluster.log(node));
    }
    assert_eq!(cluster_id(&cluster, 3), id);
}

#[test]
fn voters_that_were_told_of_different_voters_name_both_lists() {
    let mut cluster = Plan::combined(3).build();
    cluster.reconfigure(3, "controller.quorum.voters", "1@127.0.0.1:1,3@127.0.0.1:2");
    for node in cluster.nodes() {
        cluster.spawn(node);
    }
    cluster.await_log(1, "its controller.quorum.voters is 1@127.0.0.1:1,3@127.0.0.1:2, ours is 1@");
    assert!(!cluster.is_ready(1) && !cluster.is_ready(2));
}

#[test]
fn a_stranger_with_a_taken_node_id_gets_no_seat() {
    let mut cluster = Cluster::start(3);
    let mut voters = Vec::new();
    for node in cluster.nodes() {
        let host = cluster.address(node).replace(":9092", ":9093");
        voters.push(if node == 3 { format!("3@{}", host.replace(":9093", ":9193")) } else { format!("{node}@{host}") });
    }
    let directory = tempfile::tempdir().expect("a directory");
    let host = cluster.address(3).replace(":9092", "");
    let stranger = super::harness::Setup::new(directory.path())
        .set("node.id", "3")
        .set("listeners", &format!("PLAINTEXT://{host}:9192,CONTROLLER://{host}:9193"))
        .set("controller.listener.names", "CONTROLLER")
        .set("controller.quorum.voters", &voters.join(","))
        .spawn();
    stranger.await_log("lives at");
    assert!(cluster.stop(3).success());
    cluster.start_nodes(&[3]);
    cluster.await_brokers(3, &[1, 2, 3]);
}
