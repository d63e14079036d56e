//! Who gets a seat in the quorum, and who must wait: lost disks, strangers, lists that differ (invariant D6).

use ottla::model::ErrorCode;
use ottla::protocol::{CreatableTopic, CreateTopicsRequest, DescribeClusterRequest, UnregisterBrokerRequest};

use super::harness::{Cluster, Plan, eventually, ottla};

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
    // A command on its way to node 3 when it died may come back without an answer.
    let mut connection = cluster.connect(1);
    eventually("the quorum of two creates a topic", || {
        let topic =
            CreatableTopic { name: "after".to_owned(), num_partitions: 1, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() };
        let created = connection.send(5, &request).topics.remove(0).error_code;
        matches!(created, ErrorCode::None | ErrorCode::TopicAlreadyExists).then_some(())
    });
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

fn ottla_cluster(cluster: &Cluster, arguments: &[&str]) -> String {
    let servers = cluster.bootstrap_servers();
    let output = ottla(&[&["cluster"], arguments, &["--bootstrap-server", &servers]].concat());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn controllers_are_added_and_removed_by_command() {
    let mut cluster = Cluster::start(3);
    cluster.connect(1).create_topic("kept");
    let fourth = cluster.add_node("broker,controller");
    cluster.start_nodes(&[fourth]);
    cluster.await_log(fourth, "`ottla cluster add-controller 4` gives it one");
    cluster.await_voters(1, &[1, 2, 3]);
    ottla_cluster(&cluster, &["add-controller", "4"]);
    cluster.await_voters(fourth, &[1, 2, 3, 4]);
    let (leader, _) = cluster.quorum_leader(1);
    ottla_cluster(&cluster, &["remove-controller", &leader.to_string()]);
    let rest: Vec<i32> = cluster.nodes().filter(|node| *node != leader).collect();
    cluster.await_voters(fourth, &rest);
    // The one that was removed goes on as a broker, and the new voter counts.
    let mut killed = rest.iter().copied().filter(|node| *node != fourth);
    let killed = killed.next().expect("three are left");
    cluster.kill(killed);
    let alive: Vec<i32> = cluster.nodes().filter(|node| *node != killed).collect();
    cluster.await_brokers(leader, &alive);
    cluster.connect(fourth).create_topic("after");
    let again = ottla(&["cluster", "remove-controller", "9", "--bootstrap-server", cluster.address(fourth)]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("node 9 is no voter"), "{again:?}");
}

#[test]
fn the_only_survivor_goes_on_after_it_was_told_to() {
    let mut cluster = Cluster::start(3);
    cluster.connect(1).create_topic("kept");
    cluster.await_brokers(2, &[1, 2, 3]);
    let id = cluster_id(&cluster, 2);
    // Whichever survives in truth may lack the last entries; here all have them.
    eventually("node 2 knows the topic", || {
        (!cluster.connect(2).describe_topic("kept").error_code.is_error()).then_some(())
    });
    for node in cluster.nodes() {
        cluster.kill(node);
    }
    cluster.wipe(1);
    cluster.wipe(3);
    let data = cluster.data(2);
    let data = data.to_str().expect("UTF-8");
    let asked = ottla(&["cluster", "recover-quorum", "--data-dir", data]);
    assert_eq!(asked.status.code(), Some(2), "nobody can be asked: {asked:?}");
    let told = String::from_utf8_lossy(&asked.stderr);
    assert!(told.contains("Whatever they committed after that entry is lost"), "{told}");
    let recovered = ottla(&["cluster", "recover-quorum", "--data-dir", data, "--yes"]);
    assert!(recovered.status.success(), "{recovered:?}");
    cluster.start_nodes(&[2]);
    cluster.start_nodes(&[1, 3]);
    for node in ["1", "3"] {
        ottla_cluster(&cluster, &["add-controller", node]);
    }
    cluster.await_voters(1, &[1, 2, 3]);
    assert_eq!(cluster_id(&cluster, 1), id);
    assert!(!cluster.connect(3).describe_topic("kept").error_code.is_error());
    let blank = tempfile::tempdir().expect("a directory");
    let refused = ottla(&["cluster", "recover-quorum", "--yes", "--data-dir", blank.path().to_str().expect("UTF-8")]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds no metadata log"), "{refused:?}");
}

#[test]
fn a_broker_that_will_not_come_back_is_forgotten() {
    let mut cluster = Plan::isolated(1, 2).start();
    cluster.kill(3);
    cluster.await_brokers(2, &[2]);
    let mut connection = cluster.connect(2);
    let fenced = |connection: &mut super::harness::Connection| {
        let request = DescribeClusterRequest { include_fenced_brokers: true, ..DescribeClusterRequest::default() };
        connection.send(2, &request).brokers.iter().map(|broker| broker.broker_id).collect::<Vec<_>>()
    };
    assert!(fenced(&mut connection).contains(&3));
    assert_eq!(connection.send(0, &UnregisterBrokerRequest { broker_id: 3 }).error_code, ErrorCode::None);
    assert_eq!(fenced(&mut connection), [2]);
    let unknown = connection.send(0, &UnregisterBrokerRequest { broker_id: 3 });
    assert_eq!(unknown.error_code, ErrorCode::BrokerIdNotRegistered);
}
