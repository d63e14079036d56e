//! What the coordinator of a group of the consumer protocol answers, byte for byte as Apache Kafka 4.3.1 does.
//!
//! `tests/golden/kafka-4.3.1/consumer-group.txt` was written by Kafka: with OTTLA_TEST_BOOTSTRAP=host:port and
//! UPDATE_GOLDENFILES=1 this test asks that broker and writes the file anew. Left out of the bytes is what differs from run
//! to run or is told otherwise here (docs/differences-from-kafka.md): topic ids, where epochs begin, the heartbeat interval,
//! the words of errors.

use std::fmt::Write;

use ottla::model::{ErrorCode, Uuid};
use ottla::protocol::messages::*;
use ottla::protocol::{Message, Request, Writer};

use super::harness::{Connection, eventually};
use super::probe::{Broker, unique};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/kafka-4.3.1/consumer-group.txt");
/// Stands in the bytes for names that are new in each run; as long as they are.
const GROUP: &str = "group";
const TOPIC: &str = "topic";

struct Play {
    connection: Connection,
    group: String,
    topic: String,
    topic_id: Uuid,
    told: String,
    /// Before the group's first epoch, which is 2 in Kafka and 1 here; epochs are told from here on.
    before_the_first: i32,
}

impl Play {
    fn new(broker: &Broker) -> Self {
        let (group, topic) = (unique(GROUP), unique(TOPIC));
        let mut connection = broker.connect();
        connection.create_topic_with(&topic, 3, 1, &[]);
        let asked = MetadataRequestTopic { name: Some(topic.clone()), ..Default::default() };
        let metadata = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
        let topic_id = connection.send(12, &metadata).topics.remove(0).topic_id;
        let mut play = Self { connection, group, topic, topic_id, told: String::new(), before_the_first: 0 };
        eventually("the coordinator serves groups", || {
            let request = FindCoordinatorRequest { key: play.group.clone(), ..Default::default() };
            play.connection.send(0, &request);
            let code = play.describe(1).groups.remove(0).error_code;
            (!matches!(
                code,
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable
            ))
            .then_some(())
        });
        play
    }

    fn heartbeat(&self, member: &str, epoch: i32, owned: Option<&[i32]>) -> ConsumerGroupHeartbeatRequest {
        let joins = epoch == 0;
        let owned = owned.map(|partitions| match partitions.is_empty() {
            true => Vec::new(),
            false => {
                vec![ConsumerGroupHeartbeatTopicPartitions { topic_id: self.topic_id, partitions: partitions.to_vec() }]
            }
        });
        ConsumerGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: member.to_owned(),
            member_epoch: epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec![self.topic.clone()]),
            topic_partitions: owned,
            ..Default::default()
        }
    }

    fn describe(&mut self, version: i16) -> ConsumerGroupDescribeResponse {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![self.group.clone()], ..Default::default() };
        self.connection.send(version, &request)
    }

    /// Sends a heartbeat and notes the answer.
    fn beat(&mut self, what: &str, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let answer = self.connection.send(1, &request);
        self.note_heartbeat(what, &answer);
        answer
    }

    /// An epoch as it is told; −1 and 0 say something else.
    fn epoch(&self, epoch: i32) -> i32 {
        if epoch > 0 { epoch - self.before_the_first } else { epoch }
    }

    fn note_heartbeat(&mut self, what: &str, answer: &ConsumerGroupHeartbeatResponse) {
        let mut shown = answer.clone();
        shown.member_epoch = self.epoch(shown.member_epoch);
        shown.heartbeat_interval_ms = 0;
        shown.error_message = shown.error_message.map(|_| String::new());
        for topic in shown.assignment.iter_mut().flat_map(|assignment| &mut assignment.topic_partitions) {
            assert_eq!(std::mem::take(&mut topic.topic_id), self.topic_id);
            topic.partitions.sort_unstable();
        }
        self.note::<ConsumerGroupHeartbeatRequest>(what, 1, shown);
    }

    fn note_description(&mut self, what: &str, version: i16) {
        let mut shown = self.describe(version);
        for group in &mut shown.groups {
            GROUP.clone_into(&mut group.group_id);
            group.group_epoch = self.epoch(group.group_epoch);
            group.assignment_epoch = self.epoch(group.assignment_epoch);
            group.error_message = group.error_message.take().map(|_| String::new());
            group.members.sort_by(|a, b| a.member_id.cmp(&b.member_id));
            for member in &mut group.members {
                member.member_epoch = self.epoch(member.member_epoch);
                member.subscribed_topic_names.iter_mut().for_each(|name| TOPIC.clone_into(name));
                let assignments = [&mut member.assignment, &mut member.target_assignment];
                for topic in assignments.into_iter().flat_map(|assignment| &mut assignment.topic_partitions) {
                    assert_eq!(std::mem::take(&mut topic.topic_id), self.topic_id);
                    TOPIC.clone_into(&mut topic.topic_name);
                    topic.partitions.sort_unstable();
                }
            }
        }
        self.note::<ConsumerGroupDescribeRequest>(what, version, shown);
    }

    fn note<R: Request>(&mut self, what: &str, version: i16, answer: R::Response)
    where
        R::Response: std::fmt::Debug,
    {
        let mut writer = Writer::new(bytes::BytesMut::new());
        answer.encode(&mut writer, version);
        let hex: String = writer.finish().0.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(self.told, "# {what}\n{answer:?}\n{hex}\n").expect("a String takes it");
    }

    /// The first member of the group: joins until it is given so many partitions; only that answer is noted. Its epoch and
    /// its partitions.
    fn settle(&mut self, what: &str, member: &str, count: usize) -> (i32, Vec<i32>) {
        let answer = eventually(what, || {
            let request = self.heartbeat(member, 0, Some(&[]));
            let answer = self.connection.send(1, &request);
            let topics = answer.assignment.iter().flat_map(|assignment| &assignment.topic_partitions);
            (topics.map(|topic| topic.partitions.len()).sum::<usize>() == count).then_some(answer)
        });
        self.before_the_first = answer.member_epoch - 1;
        self.note_heartbeat(what, &answer);
        let topics = answer.assignment.iter().flat_map(|assignment| &assignment.topic_partitions);
        let mut partitions: Vec<i32> = topics.flat_map(|topic| topic.partitions.clone()).collect();
        partitions.sort_unstable();
        (answer.member_epoch, partitions)
    }
}

#[test]
fn answers_to_members_and_administrators_are_kafkas() {
    let broker = Broker::start();
    let mut play = Play::new(&broker);
    play.note_description("a group that does not exist", 1);
    let (epoch, owned) = play.settle("the first member has all", "member-a", 3);
    let request = play.heartbeat("member-a", epoch, Some(&owned));
    play.beat("it owns them", request);
    let request = play.heartbeat("member-a", epoch, None);
    play.beat("nothing has changed", request);
    play.note_description("one member, version 0", 0);
    play.note_description("one member, version 1", 1);

    let request = play.heartbeat("member-x", 1, None);
    play.beat("nobody knows this member", request);
    let request = play.heartbeat("member-a", epoch + 7, None);
    play.beat("an epoch from the future", request);
    let mut request = play.heartbeat("member-b", 0, Some(&[]));
    request.subscribed_topic_names = None;
    play.beat("a member joins without a subscription", request);
    let mut request = play.heartbeat("member-b", 0, None);
    request.topic_partitions = None;
    play.beat("a member joins without saying that it owns nothing", request);
    let mut request = play.heartbeat("member-b", 0, Some(&[]));
    request.rebalance_timeout_ms = -1;
    play.beat("a member joins without a time-out", request);
    let mut request = play.heartbeat("member-b", 0, Some(&[]));
    request.server_assignor = Some("nonsense".to_owned());
    play.beat("a member wants an assignor that does not exist", request);
    let request = play.heartbeat("", 0, Some(&[]));
    play.beat("a member without a name", request);
    let mut request = play.heartbeat("member-b", 0, Some(&[]));
    request.group_id = String::new();
    play.beat("a group without a name", request);

    let request = play.heartbeat("member-a", -1, None);
    play.beat("it leaves", request);
    play.note_description("nobody is left", 1);
    check(&play.told);
}

fn check(told: &str) {
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        assert!(std::env::var_os("OTTLA_TEST_BOOTSTRAP").is_some(), "Kafka writes this file");
        std::fs::write(GOLDEN, told).expect("it can be written");
        return;
    }
    let golden = std::fs::read_to_string(GOLDEN).expect(GOLDEN);
    let answers = told.split("\n\n").zip(golden.split("\n\n"));
    let wrong: Vec<String> = answers
        .filter(|(ours, kafkas)| ours != kafkas)
        .map(|(ours, kafkas)| format!("{ours}\nKafka: {kafkas}\n"))
        .collect();
    assert!(wrong.is_empty() && told.len() == golden.len(), "{}", wrong.join("\n"));
}
