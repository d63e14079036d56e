"""What the tutorials of Kafka's Python clients do must work as written.

KAFKA_BOOTSTRAP=host:port names the broker; scripts/acceptance starts one and sets it. KAFKA_RF is the replication factor
of the topics made here, 1 unless set.
"""
import json
import os
import threading
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

BOOTSTRAP = os.environ["KAFKA_BOOTSTRAP"]
REPLICAS = int(os.environ.get("KAFKA_RF", "1"))


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def admin():
    return AdminClient({"bootstrap.servers": BOOTSTRAP})


@pytest.fixture
def topic(admin):
    name = fresh("tutorial")
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=REPLICAS)])[name].result(20)
    yield name
    admin.delete_topics([name])[name].result(20)


def read(consumer, count, seconds=20):
    """Polls until `count` records came or the time is over. A poll that ends within a rebalance makes kafka-python 3.0.12
    forget what it was assigned, so polls are long."""
    records, end = [], time.monotonic() + seconds
    while len(records) < count and time.monotonic() < end:
        for batch in consumer.poll(timeout_ms=int(1000 * (end - time.monotonic())) + 1).values():
            records.extend(batch)
    return records


def test_json_producer_and_group_consumer_on_an_auto_created_topic():
    name = fresh("user-events")
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, value_serializer=lambda v: json.dumps(v).encode())
    for user in range(3):
        sent = producer.send(name, {"user": user, "action": "click"}).get(timeout=10)
        assert (sent.topic, sent.offset) == (name, user)
    producer.close()
    consumer = KafkaConsumer(name, bootstrap_servers=BOOTSTRAP, group_id=fresh("analytics"),
                             auto_offset_reset="earliest", value_deserializer=json.loads)
    assert [r.value["user"] for r in read(consumer, 3)] == [0, 1, 2]
    consumer.close()


@pytest.mark.parametrize("acks", [0, 1, "all"])
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_with_every_acks_comes_back_unchanged(topic, acks, codec):
    bodies = [b"body " * 50 + b"%d" % i for i in range(50)]
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, acks=acks, compression_type=codec, linger_ms=5,
                             enable_idempotence=False)
    for body in bodies:
        producer.send(topic, body, key=b"k", headers=[("h", b"v")], partition=0)
    producer.flush()
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, auto_offset_reset="earliest", group_id=None)
    consumer.assign([TopicPartition(topic, 0)])
    records = read(consumer, 50)
    consumer.close()
    assert [r.value for r in records] == bodies
    assert (records[0].key, list(records[0].headers)) == (b"k", [("h", b"v")])


def test_a_group_goes_on_where_it_committed(topic):
    producer, group = KafkaProducer(bootstrap_servers=BOOTSTRAP), fresh("group")
    for i in range(20):
        producer.send(topic, b"%d" % i, partition=1)
    producer.close()
    options = dict(bootstrap_servers=BOOTSTRAP, group_id=group, auto_offset_reset="earliest",
                   enable_auto_commit=False, max_poll_records=5)
    first = KafkaConsumer(topic, **options)
    assert len(read(first, 5)) == 5
    first.commit()
    first.close()
    second = KafkaConsumer(topic, **options)
    assert [r.offset for r in read(second, 15)] == list(range(5, 20))
    assert second.committed(TopicPartition(topic, 1)) == 5
    second.close()


def test_members_share_the_partitions_and_take_over(topic):
    group, stop, shares = fresh("group"), threading.Event(), {}

    def member(name, until):
        consumer = KafkaConsumer(topic, bootstrap_servers=BOOTSTRAP, group_id=group, session_timeout_ms=6000,
                                 heartbeat_interval_ms=300)
        while not until.is_set():
            consumer.poll(timeout_ms=100)
            shares[name] = len(consumer.assignment())
        consumer.close()
        shares[name] = 0

    def await_shares(wanted):
        end = time.monotonic() + 30
        while sorted(shares.values()) != wanted and time.monotonic() < end:
            time.sleep(0.05)
        assert sorted(shares.values()) == wanted

    leaving = threading.Event()
    threads = [threading.Thread(target=member, args=("a", stop)), threading.Thread(target=member, args=("b", leaving))]
    try:
        threads[0].start()
        await_shares([3])
        threads[1].start()
        await_shares([1, 2])
        leaving.set()
        await_shares([0, 3])
    finally:
        leaving.set(), stop.set()
        for thread in threads:
            thread.join() if thread.ident else None


def test_offsets_by_time_and_seek(topic):
    producer, tp = KafkaProducer(bootstrap_servers=BOOTSTRAP), TopicPartition(topic, 2)
    start = int(time.time() * 1000) - 60_000
    for i in range(10):
        producer.send(topic, b"%d" % i, partition=2, timestamp_ms=start + i * 1000)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP, group_id=None)
    consumer.assign([tp])
    assert consumer.offsets_for_times({tp: start + 3500})[tp].offset == 4
    assert (consumer.beginning_offsets([tp])[tp], consumer.end_offsets([tp])[tp]) == (0, 10)
    consumer.seek(tp, 7)
    assert [r.value for r in read(consumer, 3)] == [b"7", b"8", b"9"]
    consumer.close()


def test_librdkafka_with_idempotence_keeps_order_and_count(topic):
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "linger.ms": 1})
    for i in range(2000):
        producer.produce(topic, b"%d" % i, partition=0)
        producer.poll(0)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": fresh("group"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    values, end = [], time.monotonic() + 20
    while len(values) < 2000 and time.monotonic() < end:
        values.extend(m.value() for m in consumer.consume(500, 0.5) if m.error() is None)
    consumer.close()
    assert values == [b"%d" % i for i in range(2000)]


def test_configs_partitions_and_deletion(admin, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    resource.set_config("retention.ms", "3600000")
    admin.alter_configs([resource])[resource].result(20)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    assert admin.describe_configs([resource])[resource].result(20)["retention.ms"].value == "3600000"
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 5
