//! Nodes die, restart and move while records are written: what was acknowledged stays, and writes go on.

use ottla::model::ErrorCode;
use ottla::protocol::messages::*;

use super::harness::{Cluster, Connection, Load, Plan, Proxy, eventually, ottla};

const TOPIC: &str = "written";

/// Creates the topic on these brokers, the first of which leads.
fn create_on(connection: &mut Connection, topic: &str, replicas: &[i32], min_insync_replicas: &str) {
    let assignment = CreatableReplicaAssignment { partition_index: 0, broker_ids: replicas.to_vec() };
    let minimum =
        CreatableTopicConfig { name: "min.insync.replicas".to_owned(), value: Some(min_insync_replicas.to_owned()) };
    let topic = CreatableTopic {
        name: topic.to_owned(),
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![assignment],
        configs: vec![minimum],
    };
    let name = topic.name.clone();
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..CreateTopicsRequest::default() };
    let created = connection.send(7, &request);
    assert_eq!(created.topics[0].error_code, ErrorCode::None, "{created:?}");
    connection.await_leaders(&name, 1);
}

/// Produces one record; a leader that does not know of its leadership or its followers yet has written nothing.
fn produce(connection: &mut Connection, value: &[u8]) {
    eventually("an acknowledgement", || match connection.try_produce(TOPIC, value) {
        Ok(_) => Some(()),
        Err(ErrorCode::NotEnoughReplicas | ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition) => None,
        Err(error) => panic!("{error}"),
    });
}

fn three() -> Cluster {
    let cluster = Plan::combined(3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster
}

fn others(cluster: &Cluster, without: i32) -> Vec<i32> {
    cluster.nodes().filter(|node| *node != without).collect()
}

/// A1, A6, D1: one process takes the leaders of the partition and of the quorum along.
#[test]
fn the_leader_of_partition_and_quorum_is_killed_under_load() {
    let mut cluster = three();
    let (both, _) = cluster.quorum_leader(1);
    let rest = others(&cluster, both);
    create_on(&mut cluster.connect(rest[0]), TOPIC, &[both, rest[0], rest[1]], "2");
    cluster.await_isr(rest[0], TOPIC, &[1, 2, 3]);
    let load = Load::start(&cluster, TOPIC);
    cluster.kill(both);
    cluster.await_isr(rest[0], TOPIC, &rest);
    load.await_progress();
    cluster.start_nodes(&[both]);
    cluster.await_isr(rest[0], TOPIC, &[1, 2, 3]);
    load.await_progress();
    load.stop_and_check(&cluster, both);
    cluster.await_equal_logs(TOPIC, &[1, 2, 3]);
}

/// D9: every node in turn, in order or killed, and all at once at last.
#[test]
fn restarts_of_every_kind_lose_nothing_under_load() {
    let mut cluster = three();
    create_on(&mut cluster.connect(1), TOPIC, &[1, 2, 3], "2");
    cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    let load = Load::start(&cluster, TOPIC);
    for node in [1, 2, 3] {
        cluster.restart(node);
        cluster.await_isr(node, TOPIC, &[1, 2, 3]);
        load.await_progress();
    }
    for node in cluster.nodes() {
        cluster.kill(node);
    }
    cluster.start_nodes(&[1, 2, 3]);
    cluster.await_isr(2, TOPIC, &[1, 2, 3]);
    load.await_progress();
    load.stop_and_check(&cluster, 2);
    cluster.await_equal_logs(TOPIC, &[1, 2, 3]);
}

/// A20: a broker joins, takes over what another one had, and that one is taken out for good; all of it under load.
#[test]
fn a_broker_is_added_and_another_one_drained_under_load() {
    let mut cluster = Plan::isolated(1, 3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(2, &[2, 3, 4]);
    create_on(&mut cluster.connect(2), TOPIC, &[2, 3, 4], "2");
    cluster.await_isr(3, TOPIC, &[2, 3, 4]);
    let load = Load::start(&cluster, TOPIC);
    let added = cluster.add_broker();
    cluster.start_nodes(&[added]);
    load.know_all_of(&cluster);
    let target = ReassignablePartition { partition_index: 0, replicas: Some(vec![3, 4, added]) };
    let topic = ReassignableTopic { name: TOPIC.to_owned(), partitions: vec![target] };
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 30_000, topics: vec![topic], ..Default::default() };
    let moved = cluster.connect(3).send(0, &request);
    assert_eq!(moved.responses[0].partitions[0].error_code, ErrorCode::None);
    cluster.await_isr(3, TOPIC, &[3, 4, added]);
    load.await_progress();
    eventually("nothing of it is left on the first broker", || {
        (!cluster.data(2).join(format!("{TOPIC}-0")).exists()).then_some(())
    });
    assert!(cluster.stop(2).success());
    let gone = cluster.connect(3).send(0, &UnregisterBrokerRequest { broker_id: 2 });
    assert_eq!(gone.error_code, ErrorCode::None);
    cluster.await_brokers(added, &[3, 4, added]);
    load.await_progress();
    load.stop_and_check(&cluster, added);
    cluster.await_equal_logs(TOPIC, &[3, 4, added]);
}

/// The tutorial's walk where the nodes are controllers, too: with two of three dead there is no quorum either, and
/// acks=all fails by its time-out instead of waiting for ever (A5). One back: writes resume.
#[test]
fn writes_of_combined_nodes_fail_cleanly_without_a_majority_and_resume_with_it() {
    let mut cluster = three();
    create_on(&mut cluster.connect(1), TOPIC, &[1, 2, 3], "2");
    cluster.await_isr(1, TOPIC, &[1, 2, 3]);
    let mut connection = cluster.connect(1);
    assert_eq!(connection.try_produce(TOPIC, b"three alive"), Ok(0));
    cluster.kill(2);
    cluster.await_isr(1, TOPIC, &[1, 3]);
    assert_eq!(connection.try_produce(TOPIC, b"two alive"), Ok(1));
    cluster.kill(3);
    let refused = connection.produce_within(TOPIC, b"one alive", 1_500).expect("an answer");
    assert_eq!(refused, Err(ErrorCode::RequestTimedOut));
    assert_eq!(connection.fetch_all(TOPIC), [&b"three alive"[..], b"two alive"], "nobody sees what is not committed");
    cluster.start_nodes(&[2]);
    let load = Load::start(&cluster, TOPIC);
    load.stop_and_check(&cluster, 2);
    let values = cluster.connect(cluster.leader_of(1, TOPIC)).fetch_all(TOPIC);
    assert_eq!(values[..2], [b"three alive".to_vec(), b"two alive".to_vec()]);
}

/// D1: three of five voters die and come back; what was decided before is known, and what is asked meanwhile is not
/// half done.
#[test]
fn a_lost_majority_of_five_returns() {
    let mut cluster = Plan::combined(5).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(1, &[1, 2, 3, 4, 5]);
    create_on(&mut cluster.connect(1), TOPIC, &[1, 2, 3], "2");
    let load = Load::start(&cluster, TOPIC);
    let (leader, _) = cluster.quorum_leader(1);
    let mut lost = vec![leader];
    lost.extend(others(&cluster, leader).into_iter().take(2));
    for node in &lost {
        cluster.kill(*node);
    }
    let left = cluster.nodes().find(|node| !lost.contains(node)).expect("two are left");
    let topic =
        CreatableTopic { name: "meanwhile".to_owned(), num_partitions: 1, replication_factor: 1, ..Default::default() };
    let create = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1_000, ..Default::default() };
    assert!(cluster.connect(left).send(7, &create).topics[0].error_code.is_error());
    cluster.start_nodes(&lost);
    cluster.await_brokers(left, &[1, 2, 3, 4, 5]);
    load.await_progress();
    let mut connection = cluster.connect(left);
    eventually("topics are created again", || {
        let code = connection.send(7, &create).topics[0].error_code;
        matches!(code, ErrorCode::None | ErrorCode::TopicAlreadyExists).then_some(())
    });
    load.stop_and_check(&cluster, left);
}

/// A14, A16: the leader is cut off from its followers alone. They leave the ISR, so nothing more is acknowledged; when
/// the network is whole again they come back, and writes resume.
#[test]
fn a_leader_that_its_followers_cannot_reach_acknowledges_nothing() {
    let plan = Plan::isolated(1, 3).set("replica.lag.time.max.ms", "1500").set("broker.session.timeout.ms", "6000");
    let protocols = "PLAINTEXT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT";
    let plan = plan.set("listener.security.protocol.map", protocols);
    let mut cluster = plan.build();
    let mut networks = Vec::new();
    for node in [2, 3, 4] {
        let host = cluster.host(node).to_owned();
        let network = Proxy::to(&format!("{host}:9095"));
        let listen = format!("PLAINTEXT://{host}:9092,REPLICATION://{host}:9095");
        let advertise = format!("PLAINTEXT://{host}:9092,REPLICATION://{}", network.address());
        cluster.reconfigure(node, "listeners", &listen);
        cluster.reconfigure(node, "advertised.listeners", &advertise);
        cluster.reconfigure(node, "inter.broker.listener.name", "REPLICATION");
        networks.push(network);
    }
    cluster.start_nodes(&[1, 2, 3, 4]);
    cluster.await_brokers(2, &[2, 3, 4]);
    create_on(&mut cluster.connect(2), TOPIC, &[2, 3, 4], "2");
    cluster.await_isr(2, TOPIC, &[2, 3, 4]);
    let mut connection = cluster.connect(2);
    assert_eq!(connection.try_produce(TOPIC, b"before"), Ok(0));
    networks[0].cut();
    let during = connection.produce_within(TOPIC, b"during", 500).expect("an answer");
    assert_eq!(during, Err(ErrorCode::RequestTimedOut));
    cluster.await_isr(2, TOPIC, &[2]);
    assert_eq!(connection.try_produce(TOPIC, b"refused"), Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(connection.fetch_all(TOPIC), [b"before"]);
    networks[0].heal();
    cluster.await_isr(2, TOPIC, &[2, 3, 4]);
    produce(&mut connection, b"after");
    let values = connection.fetch_all(TOPIC);
    assert!(values.contains(&b"after".to_vec()) && !values.contains(&b"refused".to_vec()), "{values:?}");
    cluster.await_equal_logs(TOPIC, &[2, 3, 4]);
}

/// Two brokers with the topic and a controller; the follower misses the last record, and its leader is dead.
fn only_an_outdated_replica_is_left(min_insync_replicas: &str) -> Cluster {
    let mut cluster = Plan::isolated(1, 3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(2, &[2, 3, 4]);
    create_on(&mut cluster.connect(4), TOPIC, &[2, 3], min_insync_replicas);
    cluster.await_isr(4, TOPIC, &[2, 3]);
    produce(&mut cluster.connect(2), b"on both");
    cluster.kill(3);
    cluster.await_isr(4, TOPIC, &[2]);
    produce(&mut cluster.connect(2), b"on one");
    cluster.kill(2);
    cluster.await_brokers(4, &[4]);
    cluster.start_nodes(&[3]);
    cluster.await_brokers(4, &[3, 4]);
    let offline = cluster.connect(4).describe_topic(TOPIC).partitions.remove(0);
    assert_eq!(offline.leader_id, -1, "a replica that lacks records leads nothing by itself (A7): {offline:?}");
    cluster
}

/// A18: somebody who knows what is lost asks for it.
#[test]
fn an_unclean_election_by_command_brings_the_partition_back_without_the_lost_records() {
    let mut cluster = only_an_outdated_replica_is_left("1");
    let servers = cluster.address(4).to_owned();
    let arguments = ["tools", "run", "kafka-leader-election", "--election-type", "unclean"];
    let chosen = ["--topic", TOPIC, "--partition", "0", "--bootstrap-server", &servers];
    let elected = ottla(&[&arguments[..], &chosen].concat());
    assert!(elected.status.success(), "{elected:?}");
    assert_eq!(cluster.await_isr(3, TOPIC, &[3]), 3);
    let mut connection = cluster.connect(3);
    assert_eq!(connection.fetch_all(TOPIC), [b"on both"]);
    produce(&mut connection, b"afterwards");
    cluster.await_log(1, "an unclean election: records that others acknowledged may be lost");
    cluster.start_nodes(&[2]);
    cluster.await_isr(4, TOPIC, &[2, 3]);
    cluster.await_equal_logs(TOPIC, &[2, 3]);
    assert_eq!(connection.fetch_all(TOPIC), [&b"on both"[..], b"afterwards"]);
}

/// A18: the same by `unclean.leader.election.enable` for all brokers, set while the partition has no leader.
#[test]
fn unclean_elections_can_be_enabled_for_the_whole_cluster() {
    let cluster = only_an_outdated_replica_is_left("1");
    cluster.connect(4).alter_config(4, "", "unclean.leader.election.enable", Some("true"));
    assert_eq!(cluster.await_isr(3, TOPIC, &[3]), 3);
    assert_eq!(cluster.connect(3).fetch_all(TOPIC), [b"on both"]);
}

/// A12, A15: with the ISR below the minimum, whoever left it last may still lead, unless its last stop may have cost it
/// what was not on disk yet.
#[test]
fn a_replica_leads_after_a_crash_of_its_process_but_not_after_one_of_its_machine() {
    for machine_died in [false, true] {
        let mut cluster = Plan::isolated(1, 3).set("broker.session.timeout.ms", "2000").start();
        cluster.await_brokers(2, &[2, 3, 4]);
        create_on(&mut cluster.connect(2), TOPIC, &[2, 3, 4], "2");
        cluster.await_isr(2, TOPIC, &[2, 3, 4]);
        produce(&mut cluster.connect(2), b"kept");
        cluster.kill(4);
        cluster.await_isr(2, TOPIC, &[2, 3]);
        // From here on nothing can be committed: 3 goes to the ELR, and so does 2.
        cluster.kill(3);
        cluster.await_isr(2, TOPIC, &[2]);
        cluster.kill(2);
        if machine_died {
            cluster.set_environment(3, "OTTLA_BOOT_ID", "another life of the machine");
        }
        cluster.start_nodes(&[3]);
        cluster.await_brokers(3, &[3]);
        if machine_died {
            let partition = cluster.connect(3).describe_topic(TOPIC).partitions.remove(0);
            assert_eq!(partition.leader_id, -1, "{partition:?}");
            // The last leader is whole: it leads, and the other one follows.
            cluster.start_nodes(&[2]);
            cluster.await_isr(3, TOPIC, &[2, 3]);
        } else {
            assert_eq!(cluster.await_isr(3, TOPIC, &[3]), 3);
        }
        let leader = cluster.leader_of(3, TOPIC);
        let mut connection = cluster.connect(leader);
        if !machine_died {
            // Below the minimum the high watermark stands still, and a new leader cannot know what was committed.
            cluster.start_nodes(&[2]);
            cluster.await_isr(3, TOPIC, &[2, 3]);
        }
        produce(&mut connection, b"more");
        assert_eq!(connection.fetch_all(TOPIC), [b"kept", b"more"]);
    }
}
