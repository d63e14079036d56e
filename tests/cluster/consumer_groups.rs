//! Groups of the consumer protocol (KIP-848): a real client, and requests over the wire where the moment matters.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla::model::{ErrorCode, Uuid};
use ottla::protocol::messages::*;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use tempfile::TempDir;

use super::harness::{Connection, Node, Setup, eventually};

const GROUP: &str = "g";
/// First version of OffsetCommit and OffsetFetch for members of the consumer protocol.
const MEMBER_EPOCHS: i16 = 9;

/// A new node with a topic `t` of four partitions.
fn start(directory: &TempDir) -> Node {
    let node = start_again(directory);
    node.connect().create_topic_with("t", 4, 1, &[]);
    node
}

/// A node that serves groups; members are to come every tenth of a second.
fn start_again(directory: &TempDir) -> Node {
    let node = Setup::new(directory.path())
        .set("offsets.topic.num.partitions", "1")
        .set("group.consumer.min.heartbeat.interval.ms", "100")
        .set("group.consumer.heartbeat.interval.ms", "100")
        .start();
    let mut connection = node.connect();
    await_coordinator(&mut connection);
    node
}

fn await_coordinator(connection: &mut Connection) {
    eventually("the coordinator serves groups", || {
        let request = FindCoordinatorRequest { key: GROUP.to_owned(), ..Default::default() };
        connection.send(0, &request);
        let listed = connection.send(5, &ListGroupsRequest::default()).error_code;
        let describe = ConsumerGroupDescribeRequest { group_ids: vec![GROUP.to_owned()], ..Default::default() };
        let described = connection.send(0, &describe).groups.remove(0).error_code;
        let is_there = !matches!(described, ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress);
        (!listed.is_error() && is_there).then_some(())
    });
}

/// A member that says everything each time, as one does that has not had an answer.
struct Member<'a> {
    connection: &'a mut Connection,
    topic_id: Uuid,
    member_id: &'static str,
    epoch: i32,
    owned: BTreeSet<i32>,
}

impl<'a> Member<'a> {
    fn new(connection: &'a mut Connection, member_id: &'static str) -> Self {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name: Some("t".to_owned()), ..Default::default() }]),
            ..Default::default()
        };
        let topic_id = connection.send(12, &request).topics.remove(0).topic_id;
        Self { connection, topic_id, member_id, epoch: 0, owned: BTreeSet::new() }
    }

    /// Sends a heartbeat, and answers what the member may own; what it owns is its own affair.
    fn beat(&mut self) -> Result<BTreeSet<i32>, ErrorCode> {
        let partitions = self.owned.iter().copied().collect();
        let owned = ConsumerGroupHeartbeatTopicPartitions { topic_id: self.topic_id, partitions };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.to_owned(),
            member_id: self.member_id.to_owned(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: 60_000,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            topic_partitions: Some(if self.owned.is_empty() { Vec::new() } else { vec![owned] }),
            ..Default::default()
        };
        let response = self.connection.send(1, &request);
        if response.error_code.is_error() {
            return Err(response.error_code);
        }
        self.epoch = response.member_epoch;
        let assigned = response.assignment.expect("everything was said, so everything is answered");
        Ok(assigned.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect())
    }

    fn beat_until(&mut self, count: usize) {
        let member_id = self.member_id;
        self.owned = eventually(&format!("{member_id} may own {count} partitions"), || {
            self.beat().ok().filter(|assigned| assigned.len() == count)
        });
    }

    fn commit(&mut self, epoch: i32) -> ErrorCode {
        let partition = *self.owned.first().expect("something to commit");
        let partitions = vec![OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: 1,
            ..Default::default()
        }];
        let request = OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            member_id: self.member_id.to_owned(),
            generation_id_or_member_epoch: epoch,
            topics: vec![OffsetCommitRequestTopic { name: "t".to_owned(), partitions, ..Default::default() }],
            ..Default::default()
        };
        self.connection.send(MEMBER_EPOCHS, &request).topics[0].partitions[0].error_code
    }
}

fn describe(connection: &mut Connection) -> ConsumerGroupDescribeGroup {
    let group_ids = vec![GROUP.to_owned()];
    let request = ConsumerGroupDescribeRequest { group_ids, include_last_rebalance: true, ..Default::default() };
    connection.send(1, &request).groups.remove(0)
}

#[test]
fn a_coordinator_that_restarts_goes_on_with_the_reconciliation() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = start(&directory);
    let (mut first, mut second) = (node.connect(), node.connect());
    let mut a = Member::new(&mut first, "a");
    a.beat_until(4);
    let mut b = Member::new(&mut second, "b");
    assert_eq!(b.beat(), Ok(BTreeSet::new()), "a has given up nothing yet");
    let kept = eventually("a is to give up half", || a.beat().ok().filter(|assigned| assigned.len() == 2));
    let (owned, epochs) = (a.owned.clone(), (a.epoch, b.epoch));
    node.kill();

    let node = start_again(&directory);
    let (mut first, mut second) = (node.connect(), node.connect());
    let described = describe(&mut first);
    assert_eq!((described.error_code, described.group_state.as_str()), (ErrorCode::None, "Reconciling"));
    let mut a = Member { owned, epoch: epochs.0, ..Member::new(&mut first, "a") };
    let mut b = Member { epoch: epochs.1, ..Member::new(&mut second, "b") };
    assert_eq!(b.beat(), Ok(BTreeSet::new()), "a still has all of it");
    assert_eq!(a.beat(), Ok(kept.clone()), "what it was told before");
    assert_eq!(b.beat(), Ok(BTreeSet::new()), "a has not said that it gave it up");
    a.owned = kept.clone();
    assert_eq!(a.beat(), Ok(kept));
    b.beat_until(2);
    assert!(a.owned.is_disjoint(&b.owned), "{:?} {:?}", a.owned, b.owned);
    let (epoch, stale) = (b.epoch, b.epoch - 1);
    assert_eq!((b.commit(epoch), b.commit(stale)), (ErrorCode::None, ErrorCode::StaleMemberEpoch));
    assert_eq!(b.commit(epoch + 1), ErrorCode::StaleMemberEpoch);
    let described = describe(&mut first);
    assert_eq!((described.group_state.as_str(), described.assignor_name.as_str()), ("Stable", "uniform"));
    assert_eq!((described.group_epoch, described.assignment_epoch), (epoch, epoch));
    assert_eq!(described.members.iter().map(|member| member.member_epoch).collect::<Vec<_>>(), [epoch; 2]);
}

#[test]
fn a_group_is_listed_and_described_by_its_protocol() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = start(&directory);
    let mut connection = node.connect();
    let mut asking = node.connect();
    Member::new(&mut connection, "a").beat_until(4);
    let mut types = |wanted: &str| {
        let request = ListGroupsRequest { types_filter: vec![wanted.to_owned()], ..Default::default() };
        asking.send(5, &request).groups
    };
    let listed = types("Consumer");
    assert_eq!(
        (listed.len(), listed[0].group_type.as_str(), listed[0].group_state.as_str()),
        (1, "consumer", "Stable")
    );
    assert_eq!((listed[0].protocol_type.as_str(), types("classic").len()), ("consumer", 0));
    let classic = DescribeGroupsRequest { groups: vec![GROUP.to_owned()], ..Default::default() };
    assert_eq!(asking.send(6, &classic).groups[0].error_code, ErrorCode::GroupIdNotFound);
    let delete = DeleteGroupsRequest { groups_names: vec![GROUP.to_owned()] };
    assert_eq!(asking.send(2, &delete).results[0].error_code, ErrorCode::NonEmptyGroup);
    assert!(describe(&mut asking).last_rebalance_reason.contains("a joins"));
    let leave = ConsumerGroupHeartbeatRequest {
        group_id: GROUP.to_owned(),
        member_id: "a".to_owned(),
        member_epoch: -1,
        ..Default::default()
    };
    assert_eq!(asking.send(1, &leave).error_code, ErrorCode::None);
    assert_eq!(asking.send(2, &delete).results[0].error_code, ErrorCode::None);
    assert_eq!(describe(&mut asking).error_code, ErrorCode::GroupIdNotFound);
}

fn consumer(node: &Node, protocol: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", node.address())
        .set("group.id", GROUP)
        .set("group.protocol", protocol)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["t"]).expect("a subscription");
    consumer
}

fn owned(consumer: &BaseConsumer) -> BTreeSet<i32> {
    let assigned = consumer.assignment().expect("an assignment");
    assigned.elements().iter().map(|element| element.partition()).collect()
}

/// Polls all until each owns so many partitions, and none that another owns. What they own is read one after the
/// other, so it is compared only when it has come to rest.
fn poll_until(consumers: &[&BaseConsumer], counts: &[usize], read: &mut Vec<Vec<u8>>) {
    eventually(&format!("they own {counts:?} partitions"), || {
        for consumer in consumers {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
                read.push(message.payload().unwrap_or_default().to_vec());
            }
        }
        let owned: Vec<_> = consumers.iter().map(|consumer| owned(consumer)).collect();
        let all: BTreeSet<i32> = owned.iter().flatten().copied().collect();
        let sizes: Vec<usize> = owned.iter().map(BTreeSet::len).collect();
        (sizes == counts && sizes.iter().sum::<usize>() == all.len()).then_some(())
    });
}

#[test]
fn librdkafka_consumes_joins_and_leaves_by_the_consumer_protocol() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = start(&directory);
    let mut connection = node.connect();
    let wanted: Vec<Vec<u8>> = (0..10).map(|number| format!("{number}").into_bytes()).collect();
    for value in &wanted {
        connection.produce("t", value);
    }
    let mut read = Vec::new();
    let first = consumer(&node, "consumer");
    poll_until(&[&first], &[4], &mut read);
    let second = consumer(&node, "consumer");
    poll_until(&[&first, &second], &[2, 2], &mut read);
    drop(second);
    poll_until(&[&first], &[4], &mut read);
    eventually("everything is read", || {
        if let Some(Ok(message)) = first.poll(Duration::from_millis(20)) {
            read.push(message.payload().unwrap_or_default().to_vec());
        }
        wanted.iter().all(|value| read.contains(value)).then_some(())
    });
    assert_eq!(describe(&mut connection).members.len(), 1);
}

#[test]
fn librdkafka_moves_a_group_from_the_classic_protocol_and_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = start(&directory);
    let mut connection = node.connect();
    let mut read = Vec::new();
    let classic = consumer_of(&node, "cooperative-sticky");
    poll_until(&[&classic], &[4], &mut read);
    let modern = consumer(&node, "consumer");
    poll_until(&[&classic, &modern], &[2, 2], &mut read);
    assert_eq!(describe(&mut connection).error_code, ErrorCode::None);
    drop(modern);
    poll_until(&[&classic], &[4], &mut read);
    eventually("the group is a classic one again", || {
        let request = ListGroupsRequest::default();
        let listed = connection.send(5, &request).groups;
        (listed[0].group_type == "classic" && listed[0].group_state == "Stable").then_some(())
    });
}

fn consumer_of(node: &Node, strategy: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", node.address())
        .set("group.id", GROUP)
        .set("partition.assignment.strategy", strategy)
        .set("heartbeat.interval.ms", "100")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["t"]).expect("a subscription");
    consumer
}
