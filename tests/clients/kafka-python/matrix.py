"""kafka-python in the client matrix; 2.x and 3.x run the same cells where their admin clients agree."""
import time

import kafka
from cells import BOOTSTRAP, Cells, NotApplicable, equal, unique, wait_until
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import (
    IncompatibleBrokerVersion,
    InvalidProducerEpochError,
    NonEmptyGroupError,
    ProducerFencedError,
    TopicAlreadyExistsError,
)
from kafka.structs import OffsetAndMetadata

V3 = kafka.__version__.startswith("3.")
cells = Cells()
admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP)
VALUES = [f"value {i} ".encode() * 20 for i in range(50)]


def make_topic(kind, partitions=1):
    name = unique(kind)
    admin.create_topics([NewTopic(name, partitions, 1)])
    wait_until(lambda: name in admin.list_topics(), f"metadata of {name}")
    return name


def produce(topic, values, timestamps=None, **config):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=5, **config)
    stamps = timestamps or [None] * len(values)
    sent = [producer.send(topic, value, partition=0, timestamp_ms=at) for value, at in zip(values, stamps)]
    offsets = [future.get(20).offset for future in sent]
    producer.close()
    return offsets


def consumer(*topics, group=None, **config):
    return KafkaConsumer(
        *topics,
        bootstrap_servers=BOOTSTRAP,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **config,
    )


def take(source, count, seconds=40):
    taken, deadline = [], time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < deadline:
        # Not in short polls: one that ends within a rebalance makes kafka-python 3.0.12 forget what it was assigned.
        left_ms = int(1000 * (deadline - time.monotonic())) + 1
        for records in source.poll(timeout_ms=left_ms, max_records=count - len(taken)).values():
            taken.extend(records)
    equal(len(taken), count)
    return taken


def read(topic, count, offset=0, **config):
    source = consumer(**config)
    partition = TopicPartition(topic, 0)
    source.assign([partition])
    source.seek(partition, offset)
    taken = take(source, count)
    source.close()
    return taken


def values_of(records):
    return [record.value for record in records]


@cells("metadata")
def metadata():
    cluster = admin.describe_cluster()
    assert cluster["cluster_id"] and cluster["brokers"], cluster


def acks(level):
    topic = make_topic("acks")
    produce(topic, VALUES, acks=level, **({"enable_idempotence": False} if V3 else {}))
    equal(values_of(read(topic, len(VALUES))), VALUES)


@cells("acks-0")
def acks_0():
    topic = make_topic("acks")
    # kafka-python 2.3.3 leaves an acks=0 request in its buffer until a request with an answer follows on the same
    # connection; frequent metadata requests are such.
    settings = {"acks": 0, "metadata_max_age_ms": 200, **({"enable_idempotence": False} if V3 else {})}
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, **settings)
    for value in VALUES:
        producer.send(topic, value, partition=0)
    equal(values_of(read(topic, len(VALUES))), VALUES)
    producer.close()


cells("acks-1")(lambda: acks(1))
cells("acks-all")(lambda: acks("all"))


@cells.codecs("gzip", "snappy", "lz4", "zstd")
def codec(name):
    topic = make_topic(name)
    produce(topic, VALUES, compression_type=name)
    equal(values_of(read(topic, len(VALUES))), VALUES)
    return f"topic={topic}"


@cells("keys-headers")
def keys_headers():
    topic = make_topic("headers")
    headers = [("first", b"1"), ("empty", b""), ("first", b"again")]
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP)
    producer.send(topic, b"value", key="ключ".encode(), headers=headers)
    producer.send(topic, None, key=b"tombstone")
    producer.close()
    first, second = read(topic, 2)
    equal((first.key, first.value, list(first.headers)), ("ключ".encode(), b"value", headers))
    equal((second.key, second.value, list(second.headers)), (b"tombstone", None, []))


@cells("from-beginning")
def from_beginning():
    topic = make_topic("beginning")
    equal(produce(topic, VALUES), list(range(len(VALUES))))
    taken = read(topic, len(VALUES))
    equal([record.offset for record in taken], list(range(len(VALUES))))
    equal(values_of(taken), VALUES)


@cells("by-time")
def by_time():
    topic, start = make_topic("time"), int(time.time() * 1000) - 60_000
    produce(topic, [str(i).encode() for i in range(20)], timestamps=[start + i * 1000 for i in range(20)])
    source, partition = consumer(), TopicPartition(topic, 0)
    found = source.offsets_for_times({partition: start + 7_500})[partition]
    equal((found.offset, found.timestamp), (8, start + 8_000))
    equal(source.offsets_for_times({partition: start + 3_600_000})[partition], None)
    source.assign([partition])
    source.seek(partition, found.offset)
    equal(values_of(take(source, 12)), [str(i).encode() for i in range(8, 20)])
    source.close()


def commit(source, topic, offset):
    source.commit({TopicPartition(topic, 0): OffsetAndMetadata(offset, "a note", -1)})


@cells("commit-resume")
def commit_resume():
    topic, group = make_topic("commit"), unique("group")
    produce(topic, VALUES)
    first = consumer(topic, group=group)
    take(first, 20)
    commit(first, topic, 20)
    kept = first.committed(TopicPartition(topic, 0), metadata=True)
    equal((kept.offset, kept.metadata), (20, "a note"))
    first.close()
    second = consumer(topic, group=group)
    equal(values_of(take(second, 30)), VALUES[20:])
    second.close()


@cells("rebalance")
def rebalance():
    topic, group = make_topic("rebalance", partitions=4), unique("group")
    settings = {"group": group, "session_timeout_ms": 10_000, "heartbeat_interval_ms": 500}
    first = consumer(topic, **settings)

    def owned(*members):
        for member in members:
            member.poll(timeout_ms=200)
        return sorted(len(member.assignment()) for member in members)

    wait_until(lambda: owned(first) == [4], "the first member owns all partitions")
    second = consumer(topic, **settings)
    wait_until(lambda: owned(first, second) == [2, 2], "two partitions each")
    first.close()
    wait_until(lambda: owned(second) == [4], "the member that stays owns all partitions")
    second.close()


@cells("create-topic")
def create_topic():
    topic = make_topic("create", partitions=3)
    equal(consumer().partitions_for_topic(topic), {0, 1, 2})
    try:
        admin.create_topics([NewTopic(topic, 1, 1)])
    except TopicAlreadyExistsError:
        return
    raise AssertionError("the same topic was created twice")


@cells("describe-topic")
def describe_topic():
    topic = make_topic("describe", partitions=2)
    described = admin.describe_topics([topic])[0]
    name = described.get("name", described.get("topic"))
    equal((name, len(described["partitions"])), (topic, 2))
    for partition in described["partitions"]:
        replicas = partition.get("replicas", partition.get("replica_nodes"))
        equal(replicas, [partition.get("leader", partition.get("leader_id"))])


@cells("delete-topic")
def delete_topic():
    topic = make_topic("delete")
    admin.delete_topics([topic])
    wait_until(lambda: topic not in admin.list_topics(), "the topic is gone")


def config_of(kind, name, key):
    resource = ConfigResource(kind, name, configs=[key] if V3 else {key: None})
    if V3:
        described = admin.describe_configs([resource], config_filter="all")
        return described[kind.name.lower()][name][key]["value"]
    (response,) = admin.describe_configs([resource])
    (_error, _message, _kind, _name, entries) = response.resources[0]
    return {entry[0]: entry[1] for entry in entries}[key]


@cells("describe-config")
def describe_config():
    topic = make_topic("config")
    equal(config_of(ConfigResourceType.TOPIC, topic, "cleanup.policy"), "delete")
    broker = str(admin.describe_cluster()["brokers"][0]["node_id" if not V3 else "broker_id"])
    assert int(config_of(ConfigResourceType.BROKER, broker, "log.segment.bytes")) > 0


@cells("alter-config")
def alter_config():
    topic = make_topic("alter")
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "123456"})])
    changed = lambda: config_of(ConfigResourceType.TOPIC, topic, "retention.ms") == "123456"  # noqa: E731
    wait_until(changed, "retention.ms is set")


@cells("create-partitions")
def create_partitions():
    topic = make_topic("partitions")
    admin.create_partitions({topic: NewPartitions(total_count=3)})
    wait_until(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 3, "three partitions")


def group_with_member():
    topic, group = make_topic("groups"), unique("group")
    produce(topic, VALUES[:5])
    member = consumer(topic, group=group)
    take(member, 5)
    commit(member, topic, 5)
    return topic, group, member


def groups():
    listed = admin.list_groups() if V3 else admin.list_consumer_groups()
    return {entry["group_id"] if isinstance(entry, dict) else entry[0] for entry in listed}


def delete(group):
    if V3:
        results = admin.delete_groups([group])
        (outcome,) = results.values() if isinstance(results, dict) else (entry[1] for entry in results)
    else:
        outcome = admin.delete_consumer_groups([group])[0][1]
    return outcome


@cells("list-groups")
def list_groups():
    _, group, member = group_with_member()
    assert group in groups(), "the group is not listed"
    member.close()


@cells("describe-group")
def describe_group():
    topic, group, member = group_with_member()
    if V3:
        description = admin.describe_groups([group])[group]
        state, members = description["group_state"], description["members"]
        offsets = admin.list_group_offsets([group])[group]
    else:
        description = admin.describe_consumer_groups([group])[0]
        state, members = description.state, description.members
        offsets = admin.list_consumer_group_offsets(group)
    equal((state, len(members)), ("Stable", 1))
    equal(offsets[TopicPartition(topic, 0)].offset, 5)
    member.close()


@cells("delete-group")
def delete_group():
    _, group, member = group_with_member()
    refused = delete(group)
    assert refused is NonEmptyGroupError or "NonEmpty" in str(refused), refused
    member.close()
    delete(group)
    assert group not in groups(), "the group is still listed"


@cells("idempotent")
def idempotent():
    topic = make_topic("idempotent")
    equal(produce(topic, VALUES, enable_idempotence=True, acks="all"), list(range(len(VALUES))))
    equal(values_of(read(topic, len(VALUES))), VALUES)


def transactional(identity):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=identity)
    producer.init_transactions()
    return producer


def begin(producer, topic, values):
    producer.begin_transaction()
    sent = [producer.send(topic, value, partition=0) for value in values]
    producer.flush()
    for future in sent:
        future.get(20)


@cells("transaction-commit")
def transaction_commit():
    topic, producer = make_topic("commit"), transactional(unique("transaction"))
    for values in [VALUES[:5], VALUES[5:10]]:
        begin(producer, topic, values)
        producer.commit_transaction()
    equal(values_of(read(topic, 10, isolation_level="read_committed")), VALUES[:10])
    producer.close()


@cells("transaction-abort")
def transaction_abort():
    topic, producer = make_topic("abort"), transactional(unique("transaction"))
    begin(producer, topic, VALUES[:5])
    producer.abort_transaction()
    begin(producer, topic, VALUES[5:10])
    producer.commit_transaction()
    equal(values_of(read(topic, 5, isolation_level="read_committed")), VALUES[5:10])
    equal(values_of(read(topic, 10, isolation_level="read_uncommitted")), VALUES[:10])
    producer.close()


@cells("transaction-offsets")
def transaction_offsets():
    topic, group, producer = make_topic("offsets"), unique("group"), transactional(unique("transaction"))
    produce(topic, VALUES[:10])
    member, partition = consumer(topic, group=group), TopicPartition(topic, 0)
    take(member, 5)
    # kafka-python 2.x knows a group by its name alone.
    metadata = member.group_metadata() if V3 else group
    for end, committed in [(producer.abort_transaction, None), (producer.commit_transaction, 5)]:
        begin(producer, topic, [b"made of five"])
        producer.send_offsets_to_transaction({partition: OffsetAndMetadata(5, "", -1)}, metadata)
        end()
        # The coordinator has the end first, the offsets' partition a moment later.
        wait_until(lambda: member.committed(partition) == committed, f"{committed} is committed")
    member.close()
    producer.close()


@cells("transaction-fencing")
def transaction_fencing():
    topic, identity = make_topic("fencing"), unique("transaction")
    zombie = transactional(identity)
    begin(zombie, topic, VALUES[:5])
    successor = transactional(identity)
    try:
        zombie.commit_transaction()
        raise AssertionError("the fenced producer committed")
    except (ProducerFencedError, InvalidProducerEpochError):
        pass
    begin(successor, topic, VALUES[5:10])
    successor.commit_transaction()
    equal(values_of(read(topic, 5, isolation_level="read_committed")), VALUES[5:10])
    successor.close()


@cells("delete-records")
def delete_records():
    topic = make_topic("records")
    produce(topic, VALUES)
    partition = TopicPartition(topic, 0)
    equal(admin.delete_records({partition: 10})[partition]["low_watermark"], 10)
    equal(consumer().beginning_offsets([partition])[partition], 10)
    equal(read(topic, 40, offset=10)[0].offset, 10)


@cells("list-offsets")
def list_offsets():
    topic = make_topic("offsets")
    produce(topic, VALUES)
    source, partition = consumer(), TopicPartition(topic, 0)
    equal(source.beginning_offsets([partition])[partition], 0)
    equal(source.end_offsets([partition])[partition], len(VALUES))
    source.close()


@cells("log-dirs")
def log_dirs():
    topic = make_topic("dirs")
    produce(topic, VALUES)
    try:
        described = admin.describe_log_dirs()
    except IncompatibleBrokerVersion:
        raise NotApplicable("this client knows only DescribeLogDirs v0, which the broker does not offer")
    assert topic in str(described), "the topic lies in no log directory"


def by_admin_of_3(operation, call):
    if V3:
        cells(operation)(call)
    else:
        cells.not_applicable("the client has no such call", operation)


by_admin_of_3("quorum", lambda: equal("leader_id" in str(admin.describe_metadata_quorum()), True))
by_admin_of_3("api-versions", lambda: equal("Produce" in str(admin.api_versions()), True))
cells.not_applicable("the client has no such tool", "perf")
cells.run()
