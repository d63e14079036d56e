"""Clients with a limit see that they are slowed down, and lose nothing by it."""
import os
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import NewTopic as LibrdkafkaTopic
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.protocol.admin.client_quotas import AlterClientQuotasRequest

BOOTSTRAP = os.environ["KAFKA_BOOTSTRAP"]


def alter(admin, client_id, **limits):
    """Sets limits of a client id; None removes one."""
    entry = AlterClientQuotasRequest.EntryData
    request = AlterClientQuotasRequest(
        entries=[
            entry(
                entity=[entry.EntityData(entity_type="client-id", entity_name=client_id)],
                ops=[entry.OpData(key=k, value=v or 0.0, remove=v is None) for k, v in limits.items()],
            )
        ],
        validate_only=False,
    )

    async def send():
        return await admin._manager.send(request)

    response = admin._manager.run(send)
    assert [entry.error_code for entry in response.entries] == [0], response


@pytest.fixture
def limited():
    """A client id with a limit of 20 kB/s each way."""
    admin, client_id = KafkaAdminClient(bootstrap_servers=BOOTSTRAP), f"limited-{uuid.uuid4().hex[:8]}"
    alter(admin, client_id, producer_byte_rate=20_000.0, consumer_byte_rate=20_000.0)
    yield client_id
    alter(admin, client_id, producer_byte_rate=None, consumer_byte_rate=None)
    admin.close()


def test_librdkafka_is_told_to_wait(limited):
    topic, throttled = f"quota-{uuid.uuid4().hex[:8]}", []
    common = {"bootstrap.servers": BOOTSTRAP, "client.id": limited, "throttle_cb": throttled.append}
    producer = Producer(common | {"enable.idempotence": True})
    for _ in range(12):
        producer.produce(topic, os.urandom(20_000))
        producer.poll(0)
    assert producer.flush(60) == 0
    producer.poll(1)
    assert any(event.throttle_time > 0 for event in throttled)

    consumer = Consumer(common | {"group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    read, end = 0, time.monotonic() + 90
    while read < 12 and time.monotonic() < end:
        message = consumer.poll(1)
        read += message is not None and not message.error()
    consumer.close()
    assert read == 12


def test_kafka_python_is_told_to_wait(limited):
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP, client_id=limited, acks="all")
    topic = f"quota-{uuid.uuid4().hex[:8]}"
    for _ in range(15):
        producer.send(topic, os.urandom(20_000)).get(60)
    seen = [value for group in producer.metrics().values() for name, value in group.items() if "throttle" in name]
    assert any(value > 0 for value in seen), producer.metrics()
    producer.close()


def test_who_creates_too_many_partitions_is_refused_or_waits():
    admin, client_id = KafkaAdminClient(bootstrap_servers=BOOTSTRAP), f"creator-{uuid.uuid4().hex[:8]}"
    # A partition in twenty seconds: what comes after these twenty is minutes too early.
    alter(admin, client_id, controller_mutation_rate=0.05)
    creator = KafkaAdminClient(bootstrap_servers=BOOTSTRAP, client_id=client_id)
    creator.create_topics([NewTopic(f"{client_id}-1", 20, 1)])
    with pytest.raises(Exception, match="(?i)throttl"):
        creator.create_topics([NewTopic(f"{client_id}-2", 1, 1)])
    creator.close()

    # librdkafka asks by a version that knows of no refusal.
    librdkafka = AdminClient({"bootstrap.servers": BOOTSTRAP, "client.id": client_id})
    for future in librdkafka.create_topics([LibrdkafkaTopic(f"{client_id}-3", 1, 1)]).values():
        future.result(30)
    end = time.monotonic() + 30
    while f"{client_id}-3" not in (topics := admin.list_topics()):
        assert time.monotonic() < end, topics
        time.sleep(0.1)
    assert f"{client_id}-2" not in topics
    alter(admin, client_id, controller_mutation_rate=None)
    admin.delete_topics([f"{client_id}-1", f"{client_id}-3"])
    admin.close()
