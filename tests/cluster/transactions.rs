//! Transactions over the wire, as clients before and after KIP-890 speak: what is committed is seen whole, what is not
//! is never seen, whoever is late or replaced changes nothing, and a SIGKILL at any point changes none of this.

use std::collections::{BTreeMap, BTreeSet};

use ottla::model::{ErrorCode, ProducerEpoch, ProducerId};
use ottla::protocol::messages::*;
use ottla::protocol::{self};
use ottla::record::{BatchBuilder, Batches, EndTransactionMarker, TransactionResult};

use super::harness::{Cluster, Connection, Node, Setup, eventually};

const READ_COMMITTED: i8 = 1;

/// Which requests a client sends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Speaks {
    /// Partitions are added before they are written to, and the epoch stays.
    Version1,
    /// Writing adds the partition, and each end bumps the epoch (KIP-890).
    Version2,
}

/// A transactional producer that writes to partition 0 of topics.
#[derive(Clone)]
pub(super) struct Producer {
    transactional_id: String,
    speaks: Speaks,
    pub(super) id: i64,
    epoch: i16,
    sequences: BTreeMap<String, i32>,
}

/// Asks again while the answer is to do so.
fn settled(what: &str, mut ask: impl FnMut() -> ErrorCode) -> ErrorCode {
    eventually(what, || Some(ask()).filter(|error| !error.is_retriable()))
}

impl Producer {
    pub(super) fn start(coordinator: &mut Connection, transactional_id: &str, speaks: Speaks) -> Self {
        let (transactional_id, sequences) = (transactional_id.to_owned(), BTreeMap::new());
        let mut producer = Self { transactional_id, speaks, id: -1, epoch: -1, sequences };
        assert_eq!(settled("a producer id", || producer.init(coordinator, 60_000)), ErrorCode::None);
        producer
    }

    fn init(&mut self, coordinator: &mut Connection, transaction_timeout_ms: i32) -> ErrorCode {
        let transactional_id = Some(self.transactional_id.clone());
        let request = InitProducerIdRequest { transactional_id, transaction_timeout_ms, ..Default::default() };
        let response = coordinator.send(4, &request);
        (self.id, self.epoch) = (response.producer_id, response.producer_epoch);
        self.sequences.clear();
        response.error_code
    }

    fn add(&self, coordinator: &mut Connection, topic: &str) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic { name: topic.to_owned(), partitions: vec![0] }],
            ..Default::default()
        };
        let response = coordinator.send(3, &request);
        response.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    /// Only the Produce: it is for the caller to have added the partition.
    pub(super) fn produce(&mut self, leader: &mut Connection, topic: &str, value: &str) -> ErrorCode {
        let sequence = self.sequences.get(topic).copied().unwrap_or(0);
        let batch = BatchBuilder::new().producer(ProducerId(self.id), ProducerEpoch(self.epoch), sequence);
        let mut batch = batch.transactional();
        batch.append(1_700_000_000_000, None, Some(value.as_bytes()), &[]);
        let partition = ProducePartition { index: 0, records: Some(batch.build()) };
        let request = ProduceRequest {
            transactional_id: Some(self.transactional_id.clone()),
            acks: -1,
            timeout_ms: 30_000,
            topics: vec![ProduceTopic { name: topic.to_owned(), partitions: vec![partition], ..Default::default() }],
        };
        let version = if self.speaks == Speaks::Version1 { 11 } else { 12 };
        let error = leader.send(version, &request).responses[0].partition_responses[0].error_code;
        if error == ErrorCode::None {
            self.sequences.insert(topic.to_owned(), sequence + 1);
        }
        error
    }

    fn write(&mut self, coordinator: &mut Connection, leader: &mut Connection, topic: &str, value: &str) {
        self.join(coordinator, topic);
        assert_eq!(settled("the record is taken", || self.produce(leader, topic, value)), ErrorCode::None);
    }

    /// The same where one node does everything.
    pub(super) fn write_here(&mut self, connection: &mut Connection, topic: &str, value: &str) {
        self.join(connection, topic);
        assert_eq!(settled("the record is taken", || self.produce(connection, topic, value)), ErrorCode::None);
    }

    /// The same for a transaction that may be over already.
    fn try_write_here(&mut self, connection: &mut Connection, topic: &str, value: &str) -> ErrorCode {
        let added = match self.speaks {
            Speaks::Version1 => settled("the partition is added", || self.add(connection, topic)),
            _ => ErrorCode::None,
        };
        match added {
            ErrorCode::None => settled("the record is taken", || self.produce(connection, topic, value)),
            error => error,
        }
    }

    fn join(&self, coordinator: &mut Connection, topic: &str) {
        if self.speaks == Speaks::Version1 {
            assert_eq!(settled("the partition is added", || self.add(coordinator, topic)), ErrorCode::None);
        }
    }

    fn commit_offset(&self, connection: &mut Connection, group: &str, topic: &str, offset: i64) -> ErrorCode {
        if self.speaks == Speaks::Version1 {
            let request = AddOffsetsToTxnRequest {
                transactional_id: self.transactional_id.clone(),
                producer_id: self.id,
                producer_epoch: self.epoch,
                group_id: group.to_owned(),
            };
            let added = settled("the group is added", || connection.send(3, &request).error_code);
            assert_eq!(added, ErrorCode::None);
        }
        let partition = TxnOffsetCommitRequestPartition { committed_offset: offset, ..Default::default() };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: group.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![TxnOffsetCommitRequestTopic { name: topic.to_owned(), partitions: vec![partition] }],
            ..Default::default()
        };
        let version = if self.speaks == Speaks::Version1 { 3 } else { 5 };
        settled("the offset is taken", || connection.send(version, &request).topics[0].partitions[0].error_code)
    }

    fn end(&self, coordinator: &mut Connection, committed: bool) -> EndTxnResponse {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        coordinator.send(if self.speaks == Speaks::Version1 { 4 } else { 5 }, &request)
    }

    /// Ends the transaction and goes on as the answer says.
    fn finish(&mut self, coordinator: &mut Connection, committed: bool) {
        let response = eventually("the transaction ends", || {
            Some(self.end(coordinator, committed)).filter(|response| !response.error_code.is_retriable())
        });
        assert_eq!(response.error_code, ErrorCode::None);
        self.go_on(&response);
    }

    fn go_on(&mut self, response: &EndTxnResponse) {
        if self.speaks == Speaks::Version2 {
            (self.id, self.epoch) = (response.producer_id, response.producer_epoch);
            self.sequences.clear();
        }
    }
}

struct Read {
    values: Vec<String>,
    last_stable_offset: i64,
    high_watermark: i64,
}

/// What a consumer of committed records makes of partition 0.
fn read_committed(leader: &mut Connection, topic: &str) -> Read {
    let mut read = Read { values: Vec::new(), last_stable_offset: -1, high_watermark: -1 };
    let mut offset = 0;
    loop {
        let answer = fetch(leader, topic, offset);
        (read.last_stable_offset, read.high_watermark) = (answer.last_stable_offset, answer.high_watermark);
        let protocol::Records::Inline(bytes) = &answer.records else { return read };
        let mut aborted: Vec<_> = answer.aborted_transactions.iter().flatten().collect();
        let mut skipped = BTreeSet::new();
        let before = offset;
        for batch in Batches::new(bytes) {
            let batch = batch.expect("a whole batch");
            let header = batch.header;
            offset = header.next_offset();
            assert!(header.last_offset() < answer.last_stable_offset, "beyond the last stable offset (B2)");
            aborted.retain(|transaction| {
                let begun = transaction.first_offset <= header.last_offset();
                begun.then(|| skipped.insert(transaction.producer_id));
                !begun
            });
            let plain = batch.plain_records(1 << 20).expect("plain");
            for record in ottla::record::Records::new(&header, &plain) {
                let record = record.expect("a record");
                if !header.is_control() {
                    if !(header.is_transactional() && skipped.contains(&header.producer_id.0)) {
                        read.values.push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
                    }
                } else if EndTransactionMarker::from_record(&record).expect("a marker").result
                    == TransactionResult::Abort
                {
                    skipped.remove(&header.producer_id.0);
                }
            }
        }
        if offset == before {
            return read;
        }
    }
}

fn fetch(leader: &mut Connection, topic: &str, fetch_offset: i64) -> FetchPartitionResponse {
    let partition = FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: topic.to_owned(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_bytes: 1 << 20,
        isolation_level: READ_COMMITTED,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let answer = leader.send(11, &request).responses.remove(0).partitions.remove(0);
    assert_eq!(answer.error_code, ErrorCode::None);
    answer
}

/// Waits until nothing is undecided, and tells what is seen then.
fn at_rest(leader: &mut Connection, topic: &str) -> Vec<String> {
    eventually("every transaction is decided (B5)", || {
        let read = read_committed(leader, topic);
        (read.last_stable_offset == read.high_watermark).then_some(read.values)
    })
}

/// The committed offset of partition 0 and what a reader that insists on a stable one is told.
fn committed_offset(connection: &mut Connection, group: &str, topic: &str) -> (i64, ErrorCode) {
    let topics = vec![OffsetFetchRequestTopic { name: topic.to_owned(), partition_indexes: vec![0] }];
    let mut request =
        OffsetFetchRequest { group_id: group.to_owned(), topics: Some(topics), ..OffsetFetchRequest::default() };
    eventually("the group has a coordinator", || {
        // In this order: once the offset is stable, the plain one is the decided one.
        request.require_stable = true;
        let stable = connection.send(7, &request);
        request.require_stable = false;
        let plain = connection.send(7, &request);
        let told = |response: &OffsetFetchResponse| !response.error_code.is_error();
        (told(&plain) && told(&stable))
            .then(|| (plain.topics[0].partitions[0].committed_offset, stable.topics[0].partitions[0].error_code))
    })
}

fn find_group_coordinator(connection: &mut Connection, group: &str) {
    let request = FindCoordinatorRequest { key: group.to_owned(), ..Default::default() };
    settled("the group has a coordinator", || connection.send(2, &request).error_code);
}

fn setup(directory: &std::path::Path) -> Setup {
    Setup::new(directory)
        .set("offsets.topic.num.partitions", "3")
        .set("transaction.state.log.num.partitions", "3")
        .set("transaction.abort.timed.out.transaction.cleanup.interval.ms", "50")
}

fn start(directory: &std::path::Path) -> (Node, Connection) {
    let node = setup(directory).start();
    let mut connection = node.connect();
    connection.create_topic("a");
    connection.create_topic("b");
    find_group_coordinator(&mut connection, "g");
    connection.find_transaction_coordinator("tid");
    (node, connection)
}

const BOTH: [Speaks; 2] = [Speaks::Version1, Speaks::Version2];

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_node, mut connection) = start(directory.path());
    let connection = &mut connection;
    let mut expected = Vec::new();
    for speaks in BOTH {
        let mut producer = Producer::start(connection, "tid", speaks);
        let offset = committed_offset(connection, "g", "a").0;
        producer.write_here(connection, "a", "aborted");
        producer.write_here(connection, "b", "aborted");
        assert_eq!(producer.commit_offset(connection, "g", "a", offset + 100), ErrorCode::None);
        assert_eq!(read_committed(connection, "a").values, expected, "still open");
        assert_eq!(committed_offset(connection, "g", "a"), (offset, ErrorCode::UnstableOffsetCommit));
        producer.finish(connection, false);
        assert_eq!(at_rest(connection, "a"), expected);
        let (_, stable) = eventually("the offset is stable", || {
            Some(committed_offset(connection, "g", "a")).filter(|(_, error)| *error == ErrorCode::None)
        });
        assert_eq!((committed_offset(connection, "g", "a").0, stable), (offset, ErrorCode::None));

        producer.write_here(connection, "a", "committed");
        producer.write_here(connection, "b", "committed");
        assert_eq!(producer.commit_offset(connection, "g", "a", offset + 7), ErrorCode::None);
        producer.finish(connection, true);
        expected.push("committed".to_owned());
        assert_eq!(at_rest(connection, "a"), expected);
        assert_eq!(at_rest(connection, "b"), expected);
        eventually("the offset counts (B3)", || {
            (committed_offset(connection, "g", "a") == (offset + 7, ErrorCode::None)).then_some(())
        });
    }
}

#[test]
fn a_retry_of_an_end_hears_what_the_first_one_heard() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_node, mut connection) = start(directory.path());
    let connection = &mut connection;
    for speaks in BOTH {
        for committed in [true, false] {
            let mut producer = Producer::start(connection, "tid", speaks);
            producer.write_here(connection, "a", "value");
            let first = eventually("the end is decided", || {
                Some(producer.end(connection, committed)).filter(|end| end.error_code == ErrorCode::None)
            });
            let again = eventually("the end is complete", || {
                Some(producer.end(connection, committed)).filter(|end| !end.error_code.is_retriable())
            });
            assert_eq!(again, first, "{speaks:?} (B8)");
            assert_eq!(producer.end(connection, !committed).error_code, ErrorCode::InvalidTxnState, "{speaks:?} (B7)");
        }
    }
}

#[test]
fn whoever_is_replaced_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_node, mut connection) = start(directory.path());
    let connection = &mut connection;
    for speaks in BOTH {
        let before = at_rest(connection, "a");
        let mut zombie = Producer::start(connection, "tid", speaks);
        zombie.write_here(connection, "a", "zombie");
        let mut successor = Producer::start(connection, "tid", speaks);
        // Everything that the zombie may have under way (B6).
        assert_eq!(zombie.produce(connection, "a", "late"), ErrorCode::InvalidProducerEpoch, "{speaks:?}");
        assert_eq!(zombie.produce(connection, "b", "late"), ErrorCode::InvalidProducerEpoch, "{speaks:?}");
        assert_eq!(zombie.add(connection, "b"), ErrorCode::ProducerFenced);
        assert_eq!(zombie.end(connection, true).error_code, ErrorCode::ProducerFenced);
        assert_eq!(zombie.end(connection, false).error_code, ErrorCode::ProducerFenced);
        successor.write_here(connection, "a", "successor");
        successor.finish(connection, true);
        assert_eq!(at_rest(connection, "a"), [before, vec!["successor".to_owned()]].concat(), "{speaks:?}");
        assert_eq!(at_rest(connection, "b"), Vec::<String>::new());
    }
}

#[test]
fn what_comes_after_the_end_opens_no_transaction() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_node, mut connection) = start(directory.path());
    let connection = &mut connection;
    for speaks in BOTH {
        let mut producer = Producer::start(connection, "tid", speaks);
        producer.write_here(connection, "a", "in time");
        let mut late = producer.clone();
        producer.finish(connection, true);
        at_rest(connection, "a");
        // The partition belongs to the transaction that is over (B4).
        let expected = match speaks {
            Speaks::Version1 => ErrorCode::TransactionAbortable,
            Speaks::Version2 => ErrorCode::InvalidProducerEpoch,
        };
        assert_eq!(late.produce(connection, "a", "late"), expected, "{speaks:?}");
        assert_eq!(late.produce(connection, "b", "late"), expected, "{speaks:?}");
        let read = read_committed(connection, "a");
        assert_eq!(read.last_stable_offset, read.high_watermark, "nothing hangs");
        // The producer itself goes on.
        producer.write_here(connection, "a", "next");
        producer.finish(connection, true);
        assert_eq!(at_rest(connection, "a").last().map(String::as_str), Some("next"));
    }
}

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_node, mut connection) = start(directory.path());
    let connection = &mut connection;
    for speaks in BOTH {
        let mut producer = Producer::start(connection, "tid", speaks);
        // On a busy machine even the write may come too late: then the next transaction gets more time.
        let mut timeouts_ms = (0..10).map(|doubled| 100 << doubled);
        let written = timeouts_ms.any(|timeout_ms| {
            settled("a short time-out", || producer.init(connection, timeout_ms));
            producer.try_write_here(connection, "a", "too slow") == ErrorCode::None
        });
        assert!(written, "{speaks:?}");
        assert_eq!(at_rest(connection, "a"), Vec::<String>::new(), "{speaks:?} (B5)");
        assert_eq!(producer.end(connection, true).error_code, ErrorCode::ProducerFenced, "{speaks:?}");
        assert_eq!(producer.produce(connection, "a", "later"), ErrorCode::InvalidProducerEpoch, "{speaks:?}");
    }
}

/// Where the process dies.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Death {
    BeforeTheWrite,
    AfterTheWrite,
    AfterTheOffsets,
    AfterTheDecision,
    AtRest,
}

#[test]
fn a_kill_at_any_point_leaves_all_or_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut node, mut connection) = start(directory.path());
    let mut expected = Vec::new();
    let deaths =
        [Death::BeforeTheWrite, Death::AfterTheWrite, Death::AfterTheOffsets, Death::AfterTheDecision, Death::AtRest];
    for speaks in BOTH {
        for committed in [true, false] {
            for death in deaths {
                let mut producer = Producer::start(&mut connection, "tid", speaks);
                let offset = committed_offset(&mut connection, "g", "a").0.max(0);
                let value = format!("{speaks:?} {committed} {death:?}");
                let mut decided = None;
                for step in deaths {
                    if step == death {
                        node.kill();
                        node = setup(directory.path()).start();
                        connection = node.connect();
                        connection.find_transaction_coordinator("tid");
                        find_group_coordinator(&mut connection, "g");
                    }
                    match step {
                        Death::BeforeTheWrite => producer.write_here(&mut connection, "a", &value),
                        Death::AfterTheWrite => {
                            let error = producer.commit_offset(&mut connection, "g", "a", offset + 1);
                            assert_eq!(error, ErrorCode::None, "{value}");
                        }
                        Death::AfterTheOffsets => producer.write_here(&mut connection, "b", &value),
                        Death::AfterTheDecision if decided.is_none() => {
                            decided = Some(eventually("the end is decided", || {
                                let end = producer.end(&mut connection, committed);
                                Some(end).filter(|end| !end.error_code.is_retriable())
                            }));
                        }
                        _ => {}
                    }
                }
                let decided = decided.expect("it has ended");
                assert_eq!(decided.error_code, ErrorCode::None, "{value}");
                if committed {
                    expected.push(value.clone());
                }
                assert_eq!(at_rest(&mut connection, "a"), expected, "{value} (B3)");
                assert_eq!(at_rest(&mut connection, "b"), expected, "{value} (B3)");
                let moved = if committed { offset + 1 } else { offset };
                eventually("the offset is decided", || {
                    let told = committed_offset(&mut connection, "g", "a");
                    (told.1 == ErrorCode::None).then(|| assert_eq!(told.0.max(0), moved, "{value} (B3)"))
                });
            }
        }
    }
}

/// The process dies right behind the decision: whoever loads it carries it out.
#[test]
fn a_decision_outlives_the_process_that_took_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut node, mut connection) = start(directory.path());
    for (round, speaks) in BOTH.into_iter().cycle().take(6).enumerate() {
        let mut producer = Producer::start(&mut connection, "tid", speaks);
        producer.write_here(&mut connection, "a", "value");
        producer.write_here(&mut connection, "b", "value");
        let end = producer.end(&mut connection, true);
        node.kill();
        node = setup(directory.path()).start();
        connection = node.connect();
        assert_eq!(end.error_code, ErrorCode::None);
        assert_eq!(at_rest(&mut connection, "a").len(), round + 1, "{speaks:?} (B7)");
        assert_eq!(at_rest(&mut connection, "b").len(), round + 1, "{speaks:?} (B7)");
        connection.find_transaction_coordinator("tid");
        let again = eventually("the retry is answered", || {
            Some(producer.end(&mut connection, true)).filter(|end| !end.error_code.is_retriable())
        });
        assert_eq!(again, end, "{speaks:?} (B8)");
    }
}

#[test]
fn transactions_are_listed_and_described() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_node, mut connection) = start(directory.path());
    let mut producer = Producer::start(&mut connection, "tid", Speaks::Version2);
    producer.write_here(&mut connection, "b", "value");
    producer.write_here(&mut connection, "a", "value");
    let ids = vec!["tid".to_owned(), "nobody".to_owned(), String::new()];
    let response = connection.send(0, &DescribeTransactionsRequest { transactional_ids: ids });
    let [described, nobody, nameless] = response.transaction_states.as_slice() else { panic!("{response:?}") };
    assert_eq!((described.error_code, described.transaction_state.as_str()), (ErrorCode::None, "Ongoing"));
    assert_eq!((described.producer_id, described.producer_epoch), (producer.id, producer.epoch));
    assert_eq!(described.topics.iter().map(|topic| topic.topic.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(nobody.error_code, ErrorCode::TransactionalIdNotFound);
    assert_eq!(nameless.error_code, ErrorCode::InvalidRequest);
    let mut list = |states: &[&str], duration_filter| {
        let state_filters = states.iter().map(|state| (*state).to_owned()).collect();
        connection.send(1, &ListTransactionsRequest { state_filters, duration_filter, ..Default::default() })
    };
    assert_eq!(list(&[], -1).transaction_states.len(), 1);
    assert_eq!(list(&["Ongoing", "Dead"], -1).transaction_states[0].transactional_id, "tid");
    assert_eq!(list(&[], 3_600_000).transaction_states.len(), 0);
    let unknown = list(&["Empty", "Sleeping"], -1);
    assert_eq!((unknown.transaction_states.len(), unknown.unknown_state_filters), (0, vec!["Sleeping".to_owned()]));
}

/// Three nodes: coordinator, leaders of partitions and clients' connections are in different places.
struct Places {
    cluster: Cluster,
    /// Killed, though the others may not know yet.
    dead: Option<i32>,
}

impl Places {
    fn living(&self) -> i32 {
        self.cluster.nodes().find(|node| Some(*node) != self.dead).expect("somebody lives")
    }

    /// Asks a living node where something is, until that is another living one.
    fn find(&self, what: &str, mut ask: impl FnMut(&mut Connection) -> Option<i32>) -> i32 {
        let mut connection = self.cluster.connect(self.living());
        eventually(what, || ask(&mut connection).filter(|node| *node >= 0 && Some(*node) != self.dead))
    }

    fn coordinator_node(&self) -> i32 {
        let request = FindCoordinatorRequest { key: "tid".to_owned(), key_type: 1, ..Default::default() };
        self.find("the transactional id has a coordinator", |connection| {
            let found = connection.send(2, &request);
            (found.error_code == ErrorCode::None).then_some(found.node_id)
        })
    }

    fn coordinator(&self) -> Connection {
        self.cluster.connect(self.coordinator_node())
    }

    fn leader(&self, topic: &str) -> Connection {
        let leader = self.find("the partition has a leader", |connection| {
            let described = connection.describe_topic(topic);
            described.partitions.first().filter(|partition| !partition.error_code.is_error()).map(|it| it.leader_id)
        });
        self.cluster.connect(leader)
    }

    fn write(&self, producer: &mut Producer, topics: &[&str], value: &str) {
        for topic in topics {
            producer.write(&mut self.coordinator(), &mut self.leader(topic), topic, value);
        }
    }
}

#[test]
fn a_transaction_spans_brokers_and_outlives_its_coordinator() {
    let mut places = Places { cluster: Cluster::start(3), dead: None };
    places.cluster.await_brokers(1, &[1, 2, 3]);
    let topics = ["a", "b", "c"];
    for topic in topics {
        places.cluster.connect(1).create_topic_with(topic, 1, 3, &[("min.insync.replicas", "2")]);
    }
    let mut producer = Producer::start(&mut places.coordinator(), "tid", Speaks::Version1);
    for (value, committed) in [("aborted", false), ("committed", true)] {
        places.write(&mut producer, &topics, value);
        producer.finish(&mut places.coordinator(), committed);
    }
    let mut producer = Producer::start(&mut places.coordinator(), "tid", Speaks::Version2);
    places.write(&mut producer, &topics, "aborted");
    producer.finish(&mut places.coordinator(), false);
    places.write(&mut producer, &topics[..2], "orphaned");
    let coordinator = places.coordinator_node();
    places.cluster.kill(coordinator);
    places.dead = Some(coordinator);
    places.write(&mut producer, &topics[2..], "orphaned");
    producer.finish(&mut places.coordinator(), true);
    for topic in topics {
        assert_eq!(at_rest(&mut places.leader(topic), topic), ["committed", "orphaned"], "{topic}");
    }
}
