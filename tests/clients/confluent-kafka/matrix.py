"""confluent-kafka (librdkafka) in the client matrix."""
import time

from cells import BOOTSTRAP, Cells, equal, unique, wait_until
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

cells = Cells()
admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
VALUES = [f"value {i} ".encode() * 20 for i in range(50)]


def make_topic(kind, partitions=1):
    name = unique(kind)
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)
    wait_until(lambda: name in admin.list_topics(timeout=10).topics, f"metadata of {name}")
    return name


def produce(topic, values, partition=0, **config):
    """Returns the delivery reports' offsets, in order."""
    offsets = []

    def delivered(error, message):
        assert error is None, error
        offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": BOOTSTRAP, "linger.ms": 5, **config})
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=delivered)
    equal(producer.flush(30), 0)
    equal(len(offsets), len(values))
    return offsets


def consumer(group=None, **config):
    return Consumer(
        {
            "bootstrap.servers": BOOTSTRAP,
            "group.id": group or unique("none"),
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            **config,
        }
    )


def take(source, count, seconds=40):
    taken, deadline = [], time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < deadline:
        message = source.poll(0.5)
        if message is not None:
            assert message.error() is None, message.error()
            taken.append(message)
    equal(len(taken), count)
    return taken


def read(topic, count, offset=0, **config):
    source = consumer(**config)
    source.assign([TopicPartition(topic, 0, offset)])
    taken = take(source, count)
    source.close()
    return taken


def values_of(messages):
    return [message.value() for message in messages]


@cells("metadata")
def metadata():
    listed = admin.list_topics(timeout=10)
    assert listed.brokers and listed.cluster_id
    cluster = admin.describe_cluster().result(10)
    equal({node.id for node in cluster.nodes}, set(listed.brokers))


def acks(level):
    topic = make_topic("acks")
    produce(topic, VALUES, acks=level)
    equal(values_of(read(topic, len(VALUES))), VALUES)


cells("acks-0")(lambda: acks("0"))
cells("acks-1")(lambda: acks("1"))
cells("acks-all")(lambda: acks("all"))


@cells.codecs("gzip", "snappy", "lz4", "zstd")
def codec(name):
    topic = make_topic(name)
    produce(topic, VALUES, **{"compression.type": name})
    equal(values_of(read(topic, len(VALUES))), VALUES)
    return f"topic={topic}"


@cells("keys-headers")
def keys_headers():
    topic = make_topic("headers")
    headers = [("first", b"1"), ("empty", b""), ("null", None), ("first", b"again")]
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    producer.produce(topic, b"value", key="ключ".encode(), headers=headers)
    producer.produce(topic, None, key=b"tombstone")
    equal(producer.flush(20), 0)
    first, second = read(topic, 2)
    equal((first.key(), first.value(), first.headers()), ("ключ".encode(), b"value", headers))
    equal((second.key(), second.value(), second.headers()), (b"tombstone", None, None))


@cells("from-beginning")
def from_beginning():
    topic = make_topic("beginning")
    equal(produce(topic, VALUES), list(range(len(VALUES))))
    taken = read(topic, len(VALUES))
    equal([message.offset() for message in taken], list(range(len(VALUES))))
    equal(values_of(taken), VALUES)


@cells("by-time")
def by_time():
    topic, start = make_topic("time"), int(time.time() * 1000) - 60_000
    producer = Producer({"bootstrap.servers": BOOTSTRAP})
    for i in range(20):
        producer.produce(topic, str(i), timestamp=start + i * 1000)
    equal(producer.flush(20), 0)
    source = consumer()
    asked = [TopicPartition(topic, 0, start + 7_500)]
    found = source.offsets_for_times(asked, timeout=10)
    equal(found[0].offset, 8)
    late = source.offsets_for_times([TopicPartition(topic, 0, start + 3_600_000)], timeout=10)
    equal(late[0].offset, -1)  # Beyond the last record: the end.
    source.assign(found)
    equal(values_of(take(source, 12)), [str(i).encode() for i in range(8, 20)])
    source.close()


@cells("commit-resume")
def commit_resume():
    topic, group = make_topic("commit"), unique("group")
    produce(topic, VALUES)
    first = consumer(group)
    first.subscribe([topic])
    taken = take(first, 20)
    first.commit(message=taken[-1], asynchronous=False)
    equal(first.committed([TopicPartition(topic, 0)], timeout=10)[0].offset, 20)
    first.close()
    second = consumer(group)
    second.subscribe([topic])
    equal(values_of(take(second, 30)), VALUES[20:])
    second.close()


@cells("rebalance")
def rebalance():
    for strategy in ["range", "cooperative-sticky"]:
        topic, group = make_topic("rebalance", partitions=4), unique("group")
        members = [consumer(group, **{"partition.assignment.strategy": strategy}) for _ in range(2)]

        def owned(active):
            for member in active:
                member.poll(0.2)
            return sorted(len(member.assignment()) for member in active)

        members[0].subscribe([topic])
        wait_until(lambda: owned(members[:1]) == [4], "the first member owns all partitions")
        members[1].subscribe([topic])
        wait_until(lambda: owned(members) == [2, 2], "two partitions each")
        members[0].close()
        wait_until(lambda: owned(members[1:]) == [4], "the member that stays owns all partitions")
        members[1].close()


@cells("create-topic")
def create_topic():
    topic = make_topic("create", partitions=3)
    equal(len(admin.list_topics(topic, timeout=10).topics[topic].partitions), 3)
    error = admin.create_topics([NewTopic(topic, 1, 1)])[topic].exception(10)
    equal(error.args[0].name(), "TOPIC_ALREADY_EXISTS")


@cells("describe-topic")
def describe_topic():
    from confluent_kafka import TopicCollection

    topic = make_topic("describe", partitions=2)
    description = admin.describe_topics(TopicCollection([topic]))[topic].result(10)
    equal((description.name, len(description.partitions)), (topic, 2))
    assert all(p.leader.id == p.replicas[0].id == p.isr[0].id for p in description.partitions)


@cells("delete-topic")
def delete_topic():
    topic = make_topic("delete")
    admin.delete_topics([topic])[topic].result(20)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic is gone")


@cells("describe-config")
def describe_config():
    topic = make_topic("config")
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(10)
    equal(entries["cleanup.policy"].value, "delete")
    assert entries["cleanup.policy"].is_default
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(admin.list_topics(timeout=10).brokers))))
    assert "log.retention.hours" in admin.describe_configs([broker])[broker].result(10)


@cells("alter-config")
def alter_config():
    topic = make_topic("alter")

    def alter(operation, value):
        change = ConfigEntry("retention.ms", value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        admin.incremental_alter_configs([resource])[resource].result(10)

    def retention():
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return admin.describe_configs([resource])[resource].result(10)["retention.ms"].value

    default = retention()
    alter(AlterConfigOpType.SET, "123456")
    wait_until(lambda: retention() == "123456", "retention.ms is set")
    alter(AlterConfigOpType.DELETE, None)
    wait_until(lambda: retention() == default, "retention.ms is back at its default")


@cells("create-partitions")
def create_partitions():
    topic = make_topic("partitions")
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    wait_until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3, "three partitions")


def group_with_member():
    topic, group = make_topic("groups"), unique("group")
    produce(topic, VALUES[:5])
    member = consumer(group)
    member.subscribe([topic])
    member.commit(message=take(member, 5)[-1], asynchronous=False)
    return topic, group, member


@cells("list-groups")
def list_groups():
    _, group, member = group_with_member()
    listed = admin.list_consumer_groups().result(10)
    assert group in {entry.group_id for entry in listed.valid}, "the group is not listed"
    equal(listed.errors, [])
    member.close()


@cells("describe-group")
def describe_group():
    topic, group, member = group_with_member()
    description = admin.describe_consumer_groups([group])[group].result(10)
    equal((description.state.name, len(description.members)), ("STABLE", 1))
    assigned = description.members[0].assignment.topic_partitions
    equal([(p.topic, p.partition) for p in assigned], [(topic, 0)])
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
    equal([(p.topic, p.offset) for p in offsets.topic_partitions], [(topic, 5)])
    member.close()


@cells("delete-group")
def delete_group():
    _, group, member = group_with_member()
    refused = admin.delete_consumer_groups([group])[group].exception(10)
    equal(refused.args[0].name(), "NON_EMPTY_GROUP")
    member.close()
    admin.delete_consumer_groups([group])[group].result(10)
    assert group not in {entry.group_id for entry in admin.list_consumer_groups().result(10).valid}


@cells("idempotent")
def idempotent():
    topic = make_topic("idempotent")
    equal(produce(topic, VALUES, **{"enable.idempotence": True}), list(range(len(VALUES))))
    equal(values_of(read(topic, len(VALUES))), VALUES)


def transactional(identity):
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": identity})
    producer.init_transactions(20)
    return producer


def begin(producer, topic, values):
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=0)
    equal(producer.flush(20), 0)


@cells("transaction-commit")
def transaction_commit():
    topic, producer = make_topic("commit"), transactional(unique("transaction"))
    for values in [VALUES[:5], VALUES[5:10]]:
        begin(producer, topic, values)
        producer.commit_transaction(20)
    equal(values_of(read(topic, 10, **{"isolation.level": "read_committed"})), VALUES[:10])


@cells("transaction-abort")
def transaction_abort():
    topic, producer = make_topic("abort"), transactional(unique("transaction"))
    begin(producer, topic, VALUES[:5])
    producer.abort_transaction(20)
    begin(producer, topic, VALUES[5:10])
    producer.commit_transaction(20)
    equal(values_of(read(topic, 5, **{"isolation.level": "read_committed"})), VALUES[5:10])
    equal(values_of(read(topic, 10, **{"isolation.level": "read_uncommitted"})), VALUES[:10])


@cells("transaction-offsets")
def transaction_offsets():
    topic, producer = make_topic("offsets"), transactional(unique("transaction"))
    produce(topic, VALUES[:10])
    member, partition = consumer(unique("group")), TopicPartition(topic, 0)
    member.subscribe([topic])
    take(member, 5)
    for end, committed in [(producer.abort_transaction, -1001), (producer.commit_transaction, 5)]:
        begin(producer, topic, [b"made of five"])
        producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5)], member.consumer_group_metadata(), 20)
        end(20)
        equal(member.committed([partition], timeout=20)[0].offset, committed)
    member.close()


@cells("transaction-fencing")
def transaction_fencing():
    topic, identity = make_topic("fencing"), unique("transaction")
    zombie = transactional(identity)
    begin(zombie, topic, VALUES[:5])
    successor = transactional(identity)
    try:
        zombie.commit_transaction(20)
        raise AssertionError("the fenced producer committed")
    except KafkaException as error:
        assert error.args[0].fatal(), error
    begin(successor, topic, VALUES[5:10])
    successor.commit_transaction(20)
    equal(values_of(read(topic, 5, **{"isolation.level": "read_committed"})), VALUES[5:10])


@cells("delete-records")
def delete_records():
    topic = make_topic("records")
    produce(topic, VALUES)
    partition = TopicPartition(topic, 0, 10)
    equal(admin.delete_records([partition])[partition].result(10).low_watermark, 10)
    equal(read(topic, 40, offset=10)[0].offset(), 10)


@cells("list-offsets")
def list_offsets():
    topic = make_topic("offsets")
    produce(topic, VALUES)
    partition = TopicPartition(topic, 0)
    for spec, expected in [(OffsetSpec.earliest(), 0), (OffsetSpec.latest(), len(VALUES))]:
        equal(admin.list_offsets({partition: spec})[partition].result(10).offset, expected)
    newest = admin.list_offsets({partition: OffsetSpec.max_timestamp()})[partition].result(10)
    assert 0 <= newest.offset < len(VALUES), newest.offset


cells.not_applicable("the client has no such call", "log-dirs", "quorum", "api-versions", "perf")
cells.run()
