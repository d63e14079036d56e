//! rdkafka (Rust over librdkafka) in the client matrix. See tests/clients/README.md for the lines it prints.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use tokio::runtime::Runtime;

const WAIT: Duration = Duration::from_secs(40);
const CALL: Duration = Duration::from_secs(20);
const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];

/// What a cell may use: the broker's address, an admin client and the runtime its futures need.
struct Client {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
}

/// Says when a record was not delivered; the cell then misses it.
struct AllDelivered;

impl ClientContext for AllDelivered {}

impl ProducerContext for AllDelivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("not delivered: {error}");
        }
    }
}

fn values() -> Vec<String> {
    (0..50).map(|i| format!("value {i} ").repeat(20)).collect()
}

fn unique(kind: &str) -> String {
    let bits: u32 = rand::random();
    format!("matrix-{kind}-{bits:08x}")
}

fn equal<T: PartialEq + Debug>(found: T, expected: T) {
    assert_eq!(found, expected);
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {WAIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("fits")
}

impl Client {
    fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (key, value) in settings {
            config.set(*key, *value);
        }
        config
    }

    fn make_topic(&self, kind: &str, partitions: i32) -> String {
        let topic = unique(kind);
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let created = self.runtime.block_on(self.admin.create_topics([&new], &AdminOptions::new())).expect("an answer");
        equal(created, vec![Ok(topic.clone())]);
        until("the topic is in the metadata", || self.partitions(&topic) == partitions as usize);
        topic
    }

    fn partitions(&self, topic: &str) -> usize {
        let metadata = self.admin.inner().fetch_metadata(Some(topic), CALL).expect("metadata");
        metadata.topics()[0].partitions().len()
    }

    fn has_topic(&self, topic: &str) -> bool {
        let metadata = self.admin.inner().fetch_metadata(None, CALL).expect("metadata");
        metadata.topics().iter().any(|entry| entry.name() == topic)
    }

    fn send<'a>(&self, settings: &[(&str, &str)], records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8], ()>>) {
        let producer: ThreadedProducer<_> =
            self.config(settings).create_with_context(AllDelivered).expect("a producer");
        for record in records {
            producer.send(record).map_err(|(error, _)| error).expect("queued");
        }
        producer.flush(CALL).expect("all delivered");
    }

    fn produce(&self, topic: &str, values: &[String], settings: &[(&str, &str)]) {
        self.send(settings, values.iter().map(|value| BaseRecord::to(topic).partition(0).payload(value.as_bytes())));
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.config(&[
            ("group.id", group),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "500"),
        ])
        .create()
        .expect("a consumer")
    }

    fn read(&self, topic: &str, count: usize, offset: i64) -> Vec<OwnedMessage> {
        self.read_as(topic, count, offset, "read_uncommitted")
    }

    fn read_as(&self, topic: &str, count: usize, offset: i64, isolation: &str) -> Vec<OwnedMessage> {
        let settings = [("group.id", "none"), ("enable.auto.commit", "false"), ("isolation.level", isolation)];
        let consumer: BaseConsumer = self.config(&settings).create().expect("a consumer");
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("a valid offset");
        consumer.assign(&from).expect("assigned");
        take(&consumer, count)
    }

    fn round_trip(&self, kind: &str, settings: &[(&str, &str)]) -> String {
        let topic = self.make_topic(kind, 1);
        self.produce(&topic, &values(), settings);
        equal(texts(&self.read(&topic, 50, 0)), values());
        format!("topic={topic}")
    }

    fn group_with_member(&self) -> (String, BaseConsumer) {
        let (topic, group) = (self.make_topic("groups", 1), unique("group"));
        self.produce(&topic, &values()[..5], &[]);
        let member = self.consumer(&group);
        member.subscribe(&[&topic]).expect("subscribed");
        take(&member, 5);
        (group, member)
    }

    fn topic_config(&self, topic: &str, key: &str) -> Option<String> {
        let options = AdminOptions::new();
        let asked = [ResourceSpecifier::Topic(topic)];
        let mut answer = self.runtime.block_on(self.admin.describe_configs(&asked, &options)).expect("an answer");
        let described = answer.remove(0).expect("a description");
        described.get(key).and_then(|entry| entry.value.clone())
    }
}

fn take(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut taken = Vec::new();
    let deadline = Instant::now() + WAIT;
    while taken.len() < count && Instant::now() < deadline {
        if let Some(message) = consumer.poll(Duration::from_millis(200)) {
            taken.push(message.expect("a record").detach());
        }
    }
    equal(taken.len(), count);
    taken
}

fn texts(messages: &[OwnedMessage]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()).collect()
}

fn keys_headers(client: &Client) {
    let topic = client.make_topic("headers", 1);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "first", value: Some("1") })
        .insert(Header { key: "null", value: None::<&str> })
        .insert(Header { key: "first", value: Some("again") });
    let full = BaseRecord::to(&topic).key("ключ".as_bytes()).payload(&b"value"[..]).headers(headers);
    client.send(&[], [full, BaseRecord::to(&topic).key(&b"tombstone"[..])]);
    let taken = client.read(&topic, 2, 0);
    equal((taken[0].key(), taken[0].payload()), (Some("ключ".as_bytes()), Some(&b"value"[..])));
    let found: Vec<_> = taken[0]
        .headers()
        .expect("headers")
        .iter()
        .map(|header| (header.key, header.value.map(<[u8]>::to_vec)))
        .collect();
    equal(found, vec![("first", Some(b"1".to_vec())), ("null", None), ("first", Some(b"again".to_vec()))]);
    equal((taken[1].key(), taken[1].payload()), (Some(&b"tombstone"[..]), None));
}

fn from_beginning(client: &Client) {
    let topic = client.make_topic("beginning", 1);
    client.produce(&topic, &values(), &[]);
    let taken = client.read(&topic, 50, 0);
    equal(texts(&taken), values());
    equal(taken.iter().map(Message::offset).collect::<Vec<_>>(), (0..50).collect());
}

fn by_time(client: &Client) {
    let (topic, start) = (client.make_topic("time", 1), now_ms() - 60_000);
    let numbers: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    client.send(
        &[],
        numbers
            .iter()
            .zip(0..)
            .map(|(value, i)| BaseRecord::to(&topic).payload(value.as_bytes()).timestamp(start + i * 1000)),
    );
    let consumer = client.consumer(&unique("none"));
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(&topic, 0, Offset::Offset(start + 7_500)).expect("a valid offset");
    let found = consumer.offsets_for_times(asked, CALL).expect("an answer");
    equal(found.elements()[0].offset(), Offset::Offset(8));
    consumer.assign(&found).expect("assigned");
    equal(texts(&take(&consumer, 12)), numbers[8..].to_vec());
}

fn commit_resume(client: &Client) {
    let (topic, group) = (client.make_topic("commit", 1), unique("group"));
    client.produce(&topic, &values(), &[]);
    let first = client.consumer(&group);
    first.subscribe(&[&topic]).expect("subscribed");
    take(&first, 20);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(20)).expect("a valid offset");
    first.commit(&offsets, CommitMode::Sync).expect("committed");
    drop(first);
    let second = client.consumer(&group);
    second.subscribe(&[&topic]).expect("subscribed");
    equal(texts(&take(&second, 30)), values()[20..].to_vec());
}

fn rebalance(client: &Client) {
    let (topic, group) = (client.make_topic("rebalance", 4), unique("group"));
    let owned = |member: &BaseConsumer| {
        let _ = member.poll(Duration::from_millis(100));
        member.assignment().expect("an assignment").count()
    };
    let first = client.consumer(&group);
    first.subscribe(&[&topic]).expect("subscribed");
    until("the first member owns all partitions", || owned(&first) == 4);
    let second = client.consumer(&group);
    second.subscribe(&[&topic]).expect("subscribed");
    until("two partitions each", || [owned(&first), owned(&second)] == [2, 2]);
    drop(first);
    until("the member that stays owns all partitions", || owned(&second) == 4);
}

fn create_topic(client: &Client) {
    let topic = client.make_topic("create", 3);
    let again = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let answer = client.runtime.block_on(client.admin.create_topics([&again], &AdminOptions::new()));
    equal(answer.expect("an answer"), vec![Err((topic, RDKafkaErrorCode::TopicAlreadyExists))]);
}

fn describe_topic(client: &Client) {
    let topic = client.make_topic("describe", 2);
    let metadata = client.admin.inner().fetch_metadata(Some(&topic), CALL).expect("metadata");
    for partition in metadata.topics()[0].partitions() {
        equal(partition.isr(), &[partition.leader()]);
    }
}

fn delete_topic(client: &Client) {
    let topic = client.make_topic("delete", 1);
    let answer = client.runtime.block_on(client.admin.delete_topics(&[&topic], &AdminOptions::new()));
    equal(answer.expect("an answer"), vec![Ok(topic.clone())]);
    until("the topic is gone", || !client.has_topic(&topic));
}

fn describe_config(client: &Client) {
    let topic = client.make_topic("config", 1);
    equal(client.topic_config(&topic, "cleanup.policy"), Some("delete".to_owned()));
}

fn alter_config(client: &Client) {
    let topic = client.make_topic("alter", 1);
    let entries = HashMap::from([("retention.ms", "123456")]);
    let change = AlterConfig { specifier: ResourceSpecifier::Topic(&topic), entries };
    let answer = client.runtime.block_on(client.admin.alter_configs([&change], &AdminOptions::new()));
    assert!(answer.expect("an answer")[0].is_ok());
    until("retention.ms is set", || client.topic_config(&topic, "retention.ms").as_deref() == Some("123456"));
}

fn create_partitions(client: &Client) {
    let topic = client.make_topic("partitions", 1);
    let more = NewPartitions::new(&topic, 3);
    let answer = client.runtime.block_on(client.admin.create_partitions([&more], &AdminOptions::new()));
    equal(answer.expect("an answer"), vec![Ok(topic.clone())]);
    until("three partitions", || client.partitions(&topic) == 3);
}

fn groups(client: &Client) -> Vec<(String, String, usize)> {
    let listed = client.admin.inner().fetch_group_list(None, CALL).expect("a list");
    listed.groups().iter().map(|g| (g.name().to_owned(), g.state().to_owned(), g.members().len())).collect()
}

fn list_groups(client: &Client) {
    let (group, _member) = client.group_with_member();
    assert!(groups(client).iter().any(|(name, _, _)| *name == group));
}

fn describe_group(client: &Client) {
    let (group, _member) = client.group_with_member();
    assert!(groups(client).contains(&(group, "Stable".to_owned(), 1)));
}

fn delete_group(client: &Client) {
    let (group, member) = client.group_with_member();
    let delete = || {
        let answer = client.runtime.block_on(client.admin.delete_groups(&[&group], &AdminOptions::new()));
        answer.expect("an answer").remove(0)
    };
    equal(delete(), Err((group.clone(), RDKafkaErrorCode::NonEmptyGroup)));
    drop(member);
    until("the group is deleted", || delete().is_ok());
    assert!(!groups(client).iter().any(|(name, _, _)| *name == group));
}

fn delete_records(client: &Client) {
    let topic = client.make_topic("records", 1);
    client.produce(&topic, &values(), &[]);
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(10)).expect("a valid offset");
    client.runtime.block_on(client.admin.delete_records(&before, &AdminOptions::new())).expect("an answer");
    equal(client.admin.inner().fetch_watermarks(&topic, 0, CALL).expect("watermarks"), (10, 50));
    equal(client.read(&topic, 40, 10)[0].offset(), 10);
}

/// A producer with a transactional id of which earlier holders are fenced.
fn transactional(client: &Client, id: &str) -> ThreadedProducer<AllDelivered> {
    let config = client.config(&[("transactional.id", id)]);
    let producer: ThreadedProducer<_> = config.create_with_context(AllDelivered).expect("a producer");
    producer.init_transactions(CALL).expect("a producer id");
    producer
}

fn begin(producer: &ThreadedProducer<AllDelivered>, topic: &str, values: &[String]) {
    producer.begin_transaction().expect("begun");
    for value in values {
        let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(0).payload(value.as_bytes());
        producer.send(record).map_err(|(error, _)| error).expect("queued");
    }
    producer.flush(CALL).expect("all delivered");
}

fn transaction_commit(client: &Client) {
    let (topic, producer) = (client.make_topic("commit", 1), transactional(client, &unique("transaction")));
    for part in [&values()[..5], &values()[5..10]] {
        begin(&producer, &topic, part);
        producer.commit_transaction(CALL).expect("committed");
    }
    equal(texts(&client.read_as(&topic, 10, 0, "read_committed")), values()[..10].to_vec());
}

fn transaction_abort(client: &Client) {
    let (topic, producer) = (client.make_topic("abort", 1), transactional(client, &unique("transaction")));
    begin(&producer, &topic, &values()[..5]);
    producer.abort_transaction(CALL).expect("aborted");
    begin(&producer, &topic, &values()[5..10]);
    producer.commit_transaction(CALL).expect("committed");
    equal(texts(&client.read_as(&topic, 5, 0, "read_committed")), values()[5..10].to_vec());
    equal(texts(&client.read(&topic, 10, 0)), values()[..10].to_vec());
}

fn transaction_offsets(client: &Client) {
    let (topic, producer) = (client.make_topic("offsets", 1), transactional(client, &unique("transaction")));
    client.produce(&topic, &values()[..10], &[]);
    let member = client.consumer(&unique("group"));
    member.subscribe(&[&topic]).expect("subscribed");
    take(&member, 5);
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(5)).expect("a valid offset");
    for (commits, expected) in [(false, Offset::Invalid), (true, Offset::Offset(5))] {
        begin(&producer, &topic, &["made of five".to_owned()]);
        let metadata = member.group_metadata().expect("a member");
        producer.send_offsets_to_transaction(&offsets, &metadata, CALL).expect("sent");
        let end = if commits { producer.commit_transaction(CALL) } else { producer.abort_transaction(CALL) };
        end.expect("ended");
        let committed = member.committed(CALL).expect("committed offsets");
        equal(committed.find_partition(&topic, 0).expect("its partition").offset(), expected);
    }
}

fn transaction_fencing(client: &Client) {
    let (topic, id) = (client.make_topic("fencing", 1), unique("transaction"));
    let zombie = transactional(client, &id);
    begin(&zombie, &topic, &values()[..5]);
    let successor = transactional(client, &id);
    zombie.commit_transaction(CALL).expect_err("the zombie is fenced");
    begin(&successor, &topic, &values()[5..10]);
    successor.commit_transaction(CALL).expect("committed");
    equal(texts(&client.read_as(&topic, 5, 0, "read_committed")), values()[5..10].to_vec());
}

fn list_offsets(client: &Client) {
    let topic = client.make_topic("offsets", 1);
    client.produce(&topic, &values(), &[]);
    equal(client.admin.inner().fetch_watermarks(&topic, 0, CALL).expect("watermarks"), (0, 50));
}

/// Runs a cell unless others were asked for on the command line; `true` when it did not fail.
fn run(operation: &str, cell: impl FnOnce() -> String) -> bool {
    let only: Vec<String> = std::env::args().skip(1).collect();
    if !only.is_empty() && !only.iter().any(|name| name == operation) {
        return true;
    }
    match catch_unwind(AssertUnwindSafe(cell)) {
        Ok(text) => {
            println!("CELL {operation} pass {text}");
            true
        }
        Err(reason) => {
            let text = reason.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned());
            println!("CELL {operation} fail {}", text.split_whitespace().collect::<Vec<_>>().join(" "));
            false
        }
    }
}

fn main() {
    let bootstrap = std::env::var("BOOTSTRAP").expect("BOOTSTRAP is host:port of the broker");
    let admin = ClientConfig::new().set("bootstrap.servers", &bootstrap).create().expect("an admin client");
    let client = Client { bootstrap, admin, runtime: Runtime::new().expect("a runtime") };
    for operation in ["log-dirs", "quorum", "api-versions", "perf"] {
        println!("CELL {operation} n/a the client has no such call");
    }
    let mut passed = run("metadata", || {
        let metadata = client.admin.inner().fetch_metadata(None, CALL).expect("metadata");
        assert!(!metadata.brokers().is_empty());
        String::new()
    });
    for level in ["0", "1", "all"] {
        passed &= run(&format!("acks-{level}"), || {
            client.round_trip("acks", &[("acks", level)]);
            String::new()
        });
    }
    for codec in CODECS {
        passed &= run(codec, || client.round_trip(codec, &[("compression.type", codec)]));
    }
    passed &= run("idempotent", || client.round_trip("idempotent", &[("enable.idempotence", "true")]));
    let cells: [(&str, fn(&Client)); 19] = [
        ("keys-headers", keys_headers),
        ("from-beginning", from_beginning),
        ("by-time", by_time),
        ("commit-resume", commit_resume),
        ("rebalance", rebalance),
        ("create-topic", create_topic),
        ("describe-topic", describe_topic),
        ("delete-topic", delete_topic),
        ("describe-config", describe_config),
        ("alter-config", alter_config),
        ("create-partitions", create_partitions),
        ("list-groups", list_groups),
        ("describe-group", describe_group),
        ("delete-group", delete_group),
        ("transaction-commit", transaction_commit),
        ("transaction-abort", transaction_abort),
        ("transaction-offsets", transaction_offsets),
        ("transaction-fencing", transaction_fencing),
        ("delete-records", delete_records),
    ];
    for (operation, cell) in cells {
        passed &= run(operation, || {
            cell(&client);
            String::new()
        });
    }
    passed &= run("list-offsets", || {
        list_offsets(&client);
        String::new()
    });
    std::process::exit(i32::from(!passed));
}
