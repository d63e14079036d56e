"""Topics from outside, with librdkafka: creating, filling and reading back whole, and what groups committed."""

import time

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

PATIENCE_SECONDS = 180
_admins = {}
_observers = {}  # Consumers that join nothing and read what their group committed.


def admin(bootstrap):
    if bootstrap not in _admins:
        _admins[bootstrap] = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    return _admins[bootstrap]


def make_topics(bootstrap, partitions, **config):
    """Creates topics, from name to number of partitions, with as many replicas as there are brokers up to three."""
    replicas = min(3, len(admin(bootstrap).list_topics(timeout=30).brokers))
    topics = [NewTopic(name, count, replicas, config=config) for name, count in partitions.items()]
    for future in admin(bootstrap).create_topics(topics).values():
        future.result(30)


def producer(bootstrap, **config):
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 2, **config})


def fill(bootstrap, topic, count, partitions):
    """Writes so many numbered records, spread over the partitions in turn."""
    filling = producer(bootstrap)
    for number in range(count):
        filling.produce(topic, str(number), partition=number % partitions)
        if number % 10_000 == 0:
            filling.flush()
    left = filling.flush(60)
    assert left == 0, f"{left} records of {topic} were never acknowledged"


def read_all(bootstrap, topic, **config):
    """Yields every committed record of a topic up to its present end, in order within each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True, "log_level": 2,
                         "auto.offset.reset": "earliest", **config})
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        unfinished = set(partitions)
        while unfinished:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: no end of partitions {sorted(unfinished)} in {PATIENCE_SECONDS} s")
            for message in consumer.consume(10_000, 0.5):
                if message.error() is None:
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(message.partition())
    finally:
        consumer.close()


def committed(bootstrap, group, topic, partitions):
    """The offsets that a group committed, by partition, or None when nobody tells; 0 where it committed nothing.

    Where offsets belong to a transaction that is not decided, nobody tells.
    """
    if (bootstrap, group) not in _observers:
        _observers[bootstrap, group] = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 2,
                                                 "isolation.level": "read_committed", "enable.auto.commit": False})
    asked = [TopicPartition(topic, partition) for partition in range(partitions)]
    try:
        offsets = _observers[bootstrap, group].committed(asked, 10)
    except KafkaException:
        return None
    if any(each.error for each in offsets):
        return None
    return {each.partition: max(each.offset, 0) for each in offsets}


def ends(bootstrap, topic, partitions, isolation):
    asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
    found = admin(bootstrap).list_offsets(asked, isolation_level=isolation, request_timeout=10)
    return {partition.partition: future.result(15).offset for partition, future in found.items()}


def await_settled(bootstrap, group, source, target, partitions):
    """Waits until no transaction of the target is open; the group's committed offsets then.

    Raises when one stays open longer than its time-out and the abort scan take.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            stable = ends(bootstrap, target, partitions, IsolationLevel.READ_COMMITTED)
            if stable == ends(bootstrap, target, partitions, IsolationLevel.READ_UNCOMMITTED):
                if offsets := committed(bootstrap, group, source, partitions):
                    return offsets
        except (KafkaException, TimeoutError):
            pass
        time.sleep(1)
    raise TimeoutError(f"{target}: a transaction is still open after {PATIENCE_SECONDS} s")
