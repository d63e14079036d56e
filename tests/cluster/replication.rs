//! Records on several brokers: that what was acknowledged outlives whoever held it, and that nothing is acknowledged
//! which could not.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ottla::model::ErrorCode;
use ottla::protocol::messages::*;

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
            // Refused before anything was written, by a broker that may not have heard of its leadership yet.
            Err(ErrorCode::NotEnoughReplicas | ErrorCode::NotLeaderOrFollower | ErrorCode::UnknownTopicOrPartition) => {
                None
            }
            Err(error) => panic!("{error}"),
        });
    }
}

/// A11: the replicas' files are equal once nothing is written any more.
fn assert_equal_logs(cluster: &Cluster, nodes: &[i32]) {
    let log = |&node: &i32| -> Vec<u8> {
        let directory: PathBuf = cluster.data(node).join(format!("{TOPIC}-0"));
        std::fs::read(directory.join("00000000000000000000.log")).unwrap_or_default()
    };
    eventually("the replicas hold the same bytes", || {
        let logs: Vec<Vec<u8>> = nodes.iter().map(log).collect();
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
    assert_equal_logs(&cluster, &[1, 2, 3]);
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
    assert_equal_logs(&cluster, &[1, 2, 3]);
}

/// A17: what only the old leader had, and nobody was promised, goes when it comes back.
#[test]
fn a_tail_that_was_never_replicated_is_cut_off() {
    // No answer to a follower brings more than one batch, however late it is made up.
    let plan = Plan::isolated(1, 3).set("broker.session.timeout.ms", "6000").set("replica.fetch.max.bytes", "1");
    let mut cluster = plan.start();
    cluster.await_brokers(2, &[2, 3, 4]);
    cluster.connect(2).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2")]);
    let leader = await_isr(&cluster, 2, &[2, 3, 4]);
    let followers: Vec<i32> = [2, 3, 4].into_iter().filter(|node| *node != leader).collect();
    let mut connection = cluster.connect(leader);
    produce_all(&mut connection, 0..10);
    followers.iter().for_each(|node| cluster.pause(*node));
    // The first of them may answer the fetch that each follower had sent before it was paused; the second cannot.
    for (offset, value) in [(10, b"perhaps"), (11, b"only me")] {
        assert_eq!(connection.try_produce_with(TOPIC, value, 1), Ok(offset), "the leader alone is asked");
    }
    assert_eq!(connection.fetch_all(TOPIC), values(0..10), "no consumer sees it");
    cluster.kill(leader);
    followers.iter().for_each(|node| cluster.resume(*node));
    let (_, mut connection) = connect_to_leader(&cluster, followers[0], leader);
    produce_all(&mut connection, 10..20);
    cluster.start_nodes(&[leader]);
    await_isr(&cluster, followers[0], &[2, 3, 4]);
    let mut fetched = connection.fetch_all(TOPIC);
    fetched.retain(|value| value != b"perhaps");
    assert_eq!(fetched, values(0..20));
    assert_equal_logs(&cluster, &[2, 3, 4]);
    assert!(cluster.log(leader).contains("truncated from 12 to 1"), "{}", cluster.log(leader));
}

/// A9: a leader that slept through its replacement acknowledges nothing when it wakes.
#[test]
fn a_paused_leader_wakes_as_a_follower() {
    let cluster = three_with_topic();
    let (leader, mut connection) = connect_to_leader(&cluster, 1, -1);
    produce_all(&mut connection, 0..10);
    cluster.pause(leader);
    let asked = others(&cluster, leader)[0];
    let (_, mut next) = connect_to_leader(&cluster, asked, leader);
    produce_all(&mut next, 10..20);
    cluster.resume(leader);
    let late = connection.try_produce(TOPIC, b"too late");
    assert!(late.is_err(), "{late:?}");
    await_isr(&cluster, asked, &[1, 2, 3]);
    assert_eq!(next.fetch_all(TOPIC), values(0..20));
    assert_equal_logs(&cluster, &[1, 2, 3]);
}

/// DeleteRecords and what it leaves reach the followers, so that the next leader starts where the last one did.
#[test]
fn deleted_records_are_deleted_on_every_replica() {
    let mut cluster = three_with_topic();
    let (leader, mut connection) = connect_to_leader(&cluster, 1, -1);
    produce_all(&mut connection, 0..10);
    let partition = DeleteRecordsPartition { partition_index: 0, offset: 6 };
    let topic = DeleteRecordsTopic { name: TOPIC.to_owned(), partitions: vec![partition] };
    let deleted = connection.send(1, &DeleteRecordsRequest { topics: vec![topic], timeout_ms: 30_000 });
    assert_eq!(deleted.topics[0].partitions[0].low_watermark, 6);
    // What is acknowledged after it has come with the new start.
    produce_all(&mut connection, 10..12);
    cluster.kill(leader);
    let asked = others(&cluster, leader)[0];
    let (_, mut connection) = connect_to_leader(&cluster, asked, leader);
    let earliest = ListOffsetsPartition { partition_index: 0, timestamp: -2, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![earliest] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    let start = eventually("the new leader knows its offsets", || {
        let partition = &connection.send(5, &request).topics[0].partitions[0];
        (!partition.error_code.is_error()).then_some(partition.offset)
    });
    assert_eq!(start, 6);
}

/// D9, C4: every node stops in order and comes back, one after the other; nothing acknowledged is lost.
#[test]
fn a_rolling_restart_loses_nothing() {
    let mut cluster = three_with_topic();
    for (round, node) in [1, 2, 3].into_iter().enumerate() {
        cluster.restart(node);
        let (_, mut connection) = connect_to_leader(&cluster, node, -1);
        produce_all(&mut connection, round * 10..round * 10 + 10);
        await_isr(&cluster, node, &[1, 2, 3]);
    }
    let (_, mut connection) = connect_to_leader(&cluster, 1, -1);
    assert_eq!(connection.fetch_all(TOPIC), values(0..30));
    assert_equal_logs(&cluster, &[1, 2, 3]);
}

/// C1, C4: what a group has committed outlives its coordinator, and the next one never answers from half a log.
#[test]
fn committed_offsets_outlive_the_coordinator() {
    let mut cluster = three_with_topic();
    let coordinator = find_coordinator(&cluster, 1, -1);
    let mut connection = cluster.connect(coordinator);
    let partition = OffsetCommitRequestPartition { partition_index: 0, committed_offset: 42, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
    let commit = OffsetCommitRequest { group_id: "g".to_owned(), topics: vec![topic], ..Default::default() };
    eventually("the commit is taken", || {
        let code = connection.send(7, &commit).topics[0].partitions[0].error_code;
        (!code.is_error()).then_some(())
    });
    cluster.kill(coordinator);
    let asked = others(&cluster, coordinator)[0];
    let next = find_coordinator(&cluster, asked, coordinator);
    let mut connection = cluster.connect(next);
    let topic = OffsetFetchRequestTopic { name: TOPIC.to_owned(), partition_indexes: vec![0] };
    let fetch = OffsetFetchRequest { group_id: "g".to_owned(), topics: Some(vec![topic]), ..Default::default() };
    let offset = eventually("the coordinator answers", || {
        let response = connection.send(5, &fetch);
        match response.error_code {
            ErrorCode::None => Some(response.topics[0].partitions[0].committed_offset),
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => None,
            other => panic!("{other}"),
        }
    });
    assert_eq!(offset, 42);
}

fn find_coordinator(cluster: &Cluster, asked: i32, not: i32) -> i32 {
    let mut connection = cluster.connect(asked);
    eventually("the group has a coordinator", || {
        let found = connection.send(2, &FindCoordinatorRequest { key: "g".to_owned(), ..Default::default() });
        (!found.error_code.is_error() && found.node_id != not).then_some(found.node_id)
    })
}

/// A14: a follower that lags for too long leaves the in-sync replicas, alive as it is, and joins again when it has
/// caught up.
#[test]
fn a_follower_that_lags_leaves_and_rejoins() {
    // A session so long that nobody misses the broker that sleeps for as long as the test takes.
    let plan = Plan::isolated(1, 3).set("broker.session.timeout.ms", "60000").set("replica.lag.time.max.ms", "1000");
    let cluster = plan.start();
    cluster.await_brokers(2, &[2, 3, 4]);
    cluster.connect(2).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2")]);
    let leader = await_isr(&cluster, 2, &[2, 3, 4]);
    let followers: Vec<i32> = [2, 3, 4].into_iter().filter(|node| *node != leader).collect();
    let mut connection = cluster.connect(leader);
    produce_all(&mut connection, 0..5);
    cluster.pause(followers[0]);
    produce_all(&mut connection, 5..10);
    await_isr(&cluster, leader, &[leader, followers[1]]);
    cluster.resume(followers[0]);
    await_isr(&cluster, leader, &[2, 3, 4]);
    assert_equal_logs(&cluster, &[2, 3, 4]);
    assert_eq!(connection.fetch_all(TOPIC), values(0..10));
}

/// A20: a partition moves to a broker that had nothing of it, and leaves the one that led it.
#[test]
fn a_moved_partition_takes_its_records_along() {
    let cluster = Plan::combined(3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.connect(1).create_topic_with(TOPIC, 1, 2, &[("min.insync.replicas", "1")]);
    let (leader, mut connection) = connect_to_leader(&cluster, 1, -1);
    produce_all(&mut connection, 0..10);
    let partition = connection.describe_topic(TOPIC).partitions.remove(0);
    let stays = *partition.replica_nodes.iter().find(|node| **node != leader).expect("two replicas");
    let joins = *others(&cluster, leader).iter().find(|node| **node != stays).expect("three nodes");
    let target = ReassignablePartition { partition_index: 0, replicas: Some(vec![joins, stays]) };
    let topic = ReassignableTopic { name: TOPIC.to_owned(), partitions: vec![target] };
    let request = AlterPartitionReassignmentsRequest { timeout_ms: 30_000, topics: vec![topic], ..Default::default() };
    let response = connection.send(0, &request);
    assert_eq!((response.error_code, response.responses[0].partitions[0].error_code), Default::default());
    await_isr(&cluster, stays, &[joins, stays]);
    let (_, mut connection) = connect_to_leader(&cluster, stays, leader);
    produce_all(&mut connection, 10..20);
    assert_eq!(connection.fetch_all(TOPIC), values(0..20));
    assert_equal_logs(&cluster, &[joins, stays]);
    eventually("its first leader has let go of it", || {
        (!cluster.data(leader).join(format!("{TOPIC}-0")).exists()).then_some(())
    });
}

/// KIP-392: a consumer that names its rack is sent to the in-sync follower there, which answers what is committed.
#[test]
fn consumers_read_from_the_replica_in_their_rack() {
    let selector = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let mut cluster = Plan::combined(3).set("replica.selector.class", selector).build();
    for node in cluster.nodes() {
        cluster.reconfigure(node, "broker.rack", &format!("rack-{node}"));
    }
    cluster.start_nodes(&[1, 2, 3]);
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.connect(1).create_topic_with(TOPIC, 1, 3, &[]);
    let leader = await_isr(&cluster, 1, &[1, 2, 3]);
    let mut at_leader = cluster.connect(leader);
    produce_all(&mut at_leader, 0..5);
    let near = others(&cluster, leader)[0];
    let sent_to = |connection: &mut Connection, rack: &str| {
        let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic { topic: TOPIC.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
        let (topics, rack_id) = (vec![topic], rack.to_owned());
        let request = FetchRequest { max_bytes: 1 << 20, topics, rack_id, ..FetchRequest::default() };
        let answer = connection.send(11, &request).responses.remove(0).partitions.remove(0);
        (answer.error_code, answer.preferred_read_replica, answer.records.is_empty())
    };
    assert_eq!(sent_to(&mut at_leader, &format!("rack-{near}")), (ErrorCode::None, near, true));
    for rack in ["", "elsewhere", &format!("rack-{leader}")] {
        assert_eq!(sent_to(&mut at_leader, rack), (ErrorCode::None, -1, false), "{rack}");
    }
    let mut at_follower = cluster.connect(near);
    eventually("the follower knows what is committed", || (at_follower.fetch_all(TOPIC) == values(0..5)).then_some(()));
}
