//! Nodes that were suspended and wake: what waited in their sockets is not answered from before.

use ottla::model::ErrorCode;
use ottla::protocol::messages::*;

use super::harness::{Cluster, Connection, Plan, eventually};

const TOPIC: &str = "t";
/// Requests that wait in the sockets of a node that is suspended.
const WAITING: usize = 8;
const OFFSETS: &str = "__consumer_offsets";

/// C1, C4: the coordinator is suspended, which is the active controller besides; another one takes the group further.
#[test]
fn a_coordinator_that_was_suspended_tells_no_outdated_offset() {
    let cluster = Plan::combined(3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(1, &[1, 2, 3]);
    cluster.connect(1).create_topic_with(TOPIC, 1, 3, &[]);
    let sleeper = cluster.quorum_leader(1).0;
    let asked = cluster.nodes().find(|node| *node != sleeper).expect("another node");
    let (group, partition) = group_coordinated_by(&mut cluster.connect(asked), sleeper);
    commit(&mut cluster.connect(sleeper), &group, 42);
    await_in_sync(&cluster, asked, OFFSETS, partition);
    let mut waiting: Vec<Connection> = (0..WAITING).map(|_| cluster.connect(sleeper)).collect();
    // Connections that the node has taken.
    waiting.iter_mut().for_each(|connection| assert_eq!(await_offset(connection, &group), 42));
    cluster.pause(sleeper);
    let successor = eventually("the group has another coordinator", || {
        coordinator(&mut cluster.connect(asked), &group).filter(|node| *node != sleeper)
    });
    commit(&mut cluster.connect(successor), &group, 43);
    waiting.iter_mut().for_each(|connection| connection.try_post(5, &offset_fetch(&group)).expect("it is sent"));
    cluster.resume(sleeper);
    for connection in &mut waiting {
        let answer = connection.try_receive::<OffsetFetchRequest>(5).expect("an answer");
        assert!(matches!(committed(&answer), Ok(43) | Err(ErrorCode::NotCoordinator)), "{answer:?}");
    }
    // And goes on to tell none until it coordinates the group again.
    eventually("it coordinates the group again", || {
        elect_preferred(&mut cluster.connect(asked), partition);
        match fetch(&mut waiting[0], &group) {
            Err(ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress) => None,
            answer => {
                assert_eq!(answer, Ok(43));
                Some(())
            }
        }
    });
    commit(&mut waiting[0], &group, 44);
    assert_eq!(await_offset(&mut waiting[1], &group), 44);
}

/// A13: the leader of a partition is suspended; another one takes the partition further.
#[test]
fn a_leader_that_was_suspended_tells_no_outdated_end() {
    let cluster = Plan::isolated(1, 3).set("broker.session.timeout.ms", "2000").start();
    cluster.await_brokers(2, &[2, 3, 4]);
    cluster.connect(2).create_topic_with(TOPIC, 1, 3, &[("min.insync.replicas", "2")]);
    let sleeper = await_in_sync(&cluster, 2, TOPIC, 0);
    let asked = [2, 3, 4].into_iter().find(|node| *node != sleeper).expect("another node");
    produce(&mut cluster.connect(sleeper));
    let mut waiting: Vec<Connection> = (0..WAITING).map(|_| cluster.connect(sleeper)).collect();
    waiting.iter_mut().for_each(|connection| assert_eq!(await_end(connection), 1));
    cluster.pause(sleeper);
    let successor = eventually("the partition has another leader", || {
        let leader = cluster.connect(asked).describe_topic(TOPIC).partitions.remove(0).leader_id;
        (leader >= 0 && leader != sleeper).then_some(leader)
    });
    produce(&mut cluster.connect(successor));
    waiting.iter_mut().for_each(|connection| connection.try_post(5, &list_end()).expect("it is sent"));
    cluster.resume(sleeper);
    for connection in &mut waiting {
        let answer = connection.try_receive::<ListOffsetsRequest>(5).expect("an answer");
        assert!(matches!(end(&answer), Ok(2) | Err(ErrorCode::NotLeaderOrFollower)), "{answer:?}");
    }
    await_in_sync(&cluster, sleeper, TOPIC, 0);
    assert_eq!(await_end(&mut cluster.connect(successor)), 2);
}

/// A group that `node` coordinates, and its partition of `__consumer_offsets`.
fn group_coordinated_by(connection: &mut Connection, node: i32) -> (String, i32) {
    eventually("a group has a coordinator", || coordinator(connection, "g"));
    let led = connection.describe_topic(OFFSETS).partitions.len();
    let partitions = i32::try_from(led).expect("few partitions");
    eventually("the node coordinates a group", || {
        let groups = (0..100).map(|number| format!("group-{number}"));
        let found = groups.into_iter().find(|group| coordinator(connection, group) == Some(node))?;
        let hash = found.bytes().fold(0i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        Some((found, (hash & i32::MAX) % partitions))
    })
}

fn coordinator(connection: &mut Connection, group: &str) -> Option<i32> {
    let found = connection.send(2, &FindCoordinatorRequest { key: group.to_owned(), ..Default::default() });
    (!found.error_code.is_error()).then_some(found.node_id)
}

fn commit(connection: &mut Connection, group: &str, committed_offset: i64) {
    let partition = OffsetCommitRequestPartition { partition_index: 0, committed_offset, ..Default::default() };
    let topic = OffsetCommitRequestTopic { name: TOPIC.to_owned(), partitions: vec![partition], ..Default::default() };
    let request = OffsetCommitRequest { group_id: group.to_owned(), topics: vec![topic], ..Default::default() };
    eventually("the commit is taken", || {
        let code = connection.send(7, &request).topics[0].partitions[0].error_code;
        (!code.is_error()).then_some(())
    });
}

fn fetch(connection: &mut Connection, group: &str) -> Result<i64, ErrorCode> {
    committed(&connection.send(5, &offset_fetch(group)))
}

fn await_offset(connection: &mut Connection, group: &str) -> i64 {
    eventually("the coordinator answers", || fetch(connection, group).ok())
}

fn offset_fetch(group: &str) -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopic { name: TOPIC.to_owned(), partition_indexes: vec![0] };
    OffsetFetchRequest { group_id: group.to_owned(), topics: Some(vec![topic]), ..Default::default() }
}

fn committed(answer: &OffsetFetchResponse) -> Result<i64, ErrorCode> {
    match answer.error_code {
        ErrorCode::None => Ok(answer.topics[0].partitions[0].committed_offset),
        error => Err(error),
    }
}

fn elect_preferred(connection: &mut Connection, partition: i32) {
    let topic = ElectLeadersTopic { topic: OFFSETS.to_owned(), partitions: vec![partition] };
    let request = ElectLeadersRequest { election_type: 0, topic_partitions: Some(vec![topic]), timeout_ms: 10_000 };
    connection.send(1, &request);
}

fn produce(connection: &mut Connection) {
    eventually("an acknowledgement", || connection.try_produce(TOPIC, b"x").ok());
}

fn await_end(connection: &mut Connection) -> i64 {
    eventually("the leader answers", || end(&connection.send(5, &list_end())).ok())
}

fn list_end() -> ListOffsetsRequest {
    let latest = ListOffsetsPartition { partition_index: 0, timestamp: -1, ..Default::default() };
    let topic = ListOffsetsTopic { name: TOPIC.to_owned(), partitions: vec![latest] };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() }
}

fn end(answer: &ListOffsetsResponse) -> Result<i64, ErrorCode> {
    let partition = &answer.topics[0].partitions[0];
    if partition.error_code.is_error() { Err(partition.error_code) } else { Ok(partition.offset) }
}

/// Waits until three replicas are in sync; the leader.
fn await_in_sync(cluster: &Cluster, asked: i32, topic: &str, partition: i32) -> i32 {
    let mut connection = cluster.connect(asked);
    eventually("three replicas are in sync", || {
        let mut partitions = connection.describe_topic(topic).partitions;
        partitions.retain(|found| found.partition_index == partition && found.isr_nodes.len() == 3);
        partitions.first().map(|found| found.leader_id).filter(|leader| *leader >= 0)
    })
}
