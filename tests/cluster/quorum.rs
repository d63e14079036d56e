//! Controllers of several processes: that they form a quorum, and outlive its leader.

use super::harness::{Cluster, Plan, eventually};

#[test]
fn three_nodes_form_a_cluster_without_a_format_step() {
    let cluster = Cluster::start(3);
    for node in cluster.nodes() {
        cluster.await_brokers(node, &[1, 2, 3]);
    }
    let leaders: Vec<_> = cluster.nodes().map(|node| cluster.quorum_leader(node)).collect();
    assert!(leaders.windows(2).all(|pair| pair[0] == pair[1]), "one leader: {leaders:?}");
    let mut connection = cluster.connect(1);
    connection.create_topic_with("spread", 6, 1, &[]);
    let leaders: std::collections::BTreeSet<i32> =
        connection.describe_topic("spread").partitions.iter().map(|partition| partition.leader_id).collect();
    assert_eq!(leaders.len(), 3, "every broker leads something");
}

#[test]
fn isolated_controllers_serve_brokers_of_their_own() {
    let cluster = Plan::isolated(3, 2).start();
    cluster.await_brokers(4, &[4, 5]);
    let (leader, _) = cluster.quorum_leader(5);
    assert!((1..=3).contains(&leader), "{leader}");
    cluster.connect(4).create_topic("t");
}

#[test]
fn five_voters_outlive_two() {
    let mut cluster = Cluster::start(5);
    cluster.await_brokers(1, &[1, 2, 3, 4, 5]);
    let (leader, _) = cluster.quorum_leader(1);
    let other = cluster.nodes().find(|node| *node != leader).expect("five");
    cluster.kill(leader);
    cluster.kill(other);
    let rest: Vec<i32> = cluster.nodes().filter(|node| ![leader, other].contains(node)).collect();
    cluster.await_brokers(rest[0], &rest);
    cluster.connect(rest[0]).create_topic("t");
}

#[test]
fn a_killed_leader_of_the_quorum_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let (leader, epoch) = cluster.quorum_leader(1);
    cluster.kill(leader);
    let rest: Vec<i32> = cluster.nodes().filter(|node| *node != leader).collect();
    cluster.await_brokers(rest[0], &rest);
    let (next, next_epoch) = cluster.quorum_leader(rest[1]);
    assert!(rest.contains(&next) && next_epoch > epoch, "{next} leads in epoch {next_epoch}, after {epoch}");
    cluster.connect(rest[0]).create_topic("while-one-is-away");
    cluster.start_nodes(&[leader]);
    cluster.await_brokers(leader, &[1, 2, 3]);
    let mut connection = cluster.connect(leader);
    eventually("the node that came back knows the topic", || {
        let described = connection.describe_topic("while-one-is-away");
        (!described.error_code.is_error()).then_some(())
    });
}

#[test]
fn a_cluster_killed_as_a_whole_comes_back_with_its_metadata() {
    let mut cluster = Cluster::start(3);
    cluster.connect(1).create_topic_with("kept", 3, 1, &[]);
    for node in cluster.nodes() {
        cluster.kill(node);
    }
    cluster.start_nodes(&[1, 2, 3]);
    cluster.await_brokers(2, &[1, 2, 3]);
    cluster.connect(2).await_leaders("kept", 3);
}

#[test]
fn nodes_that_know_only_addresses_form_a_cluster_too() {
    let mut cluster = Plan::combined(3).without_voter_ids().start();
    cluster.await_brokers(3, &[1, 2, 3]);
    cluster.connect(3).create_topic("t");
    let (leader, _) = cluster.quorum_leader(1);
    cluster.kill(leader);
    let rest: Vec<i32> = cluster.nodes().filter(|node| *node != leader).collect();
    cluster.await_brokers(rest[0], &rest);
    cluster.start_nodes(&[leader]);
    cluster.await_brokers(leader, &[1, 2, 3]);
}

#[test]
fn a_paused_leader_of_the_quorum_is_replaced_and_follows_when_it_wakes() {
    let cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let (leader, epoch) = cluster.quorum_leader(1);
    let rest: Vec<i32> = cluster.nodes().filter(|node| *node != leader).collect();
    cluster.pause(leader);
    // Fenced by its silence: its sockets are still open (D8).
    cluster.await_brokers(rest[0], &rest);
    let (next, next_epoch) = cluster.quorum_leader(rest[0]);
    assert!(next != leader && next_epoch > epoch);
    cluster.connect(rest[1]).create_topic("meanwhile");
    cluster.resume(leader);
    for node in cluster.nodes() {
        cluster.await_brokers(node, &[1, 2, 3]);
    }
    let mut connection = cluster.connect(leader);
    eventually("the node that slept knows the topic", || {
        let described = connection.describe_topic("meanwhile");
        (!described.error_code.is_error()).then_some(())
    });
    assert!(cluster.quorum_leader(leader).1 >= next_epoch);
}

#[test]
fn a_paused_broker_is_fenced_and_counted_in_again() {
    let cluster = Plan::isolated(1, 2).start();
    cluster.await_brokers(2, &[2, 3]);
    cluster.pause(3);
    cluster.await_brokers(2, &[2]);
    cluster.resume(3);
    cluster.await_brokers(2, &[2, 3]);
    cluster.await_brokers(3, &[2, 3]);
}

#[test]
fn a_node_stops_in_order_whether_or_not_there_is_a_quorum() {
    let mut cluster = Cluster::start(3);
    cluster.await_brokers(1, &[1, 2, 3]);
    let (leader, _) = cluster.quorum_leader(1);
    assert_eq!(cluster.stop(leader).code(), Some(0));
    assert!(cluster.data(leader).join(".kafka_cleanshutdown").exists(), "nothing was lost (D9)");
    let rest: Vec<i32> = cluster.nodes().filter(|node| *node != leader).collect();
    cluster.await_brokers(rest[0], &rest[..]);
    cluster.kill(rest[1]);
    assert_eq!(cluster.stop(rest[0]).code(), Some(0), "{}", cluster.log(rest[0]));
    assert!(cluster.data(rest[0]).join(".kafka_cleanshutdown").exists());
    let sentence = "no controller leads the quorum, so nobody can take over what this broker leads";
    assert!(cluster.log(rest[0]).contains(sentence), "{}", cluster.log(rest[0]));
}

#[test]
fn all_nodes_can_be_stopped_at_once_and_come_back() {
    let mut cluster = Cluster::start(3);
    cluster.connect(1).create_topic_with("kept", 3, 1, &[]);
    for node in cluster.nodes() {
        cluster.process(node).terminate();
    }
    for node in cluster.nodes() {
        assert_eq!(cluster.await_end(node).code(), Some(0), "{}", cluster.log(node));
    }
    cluster.start_nodes(&[1, 2, 3]);
    cluster.connect(3).await_leaders("kept", 3);
}
