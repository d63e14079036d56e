"""Clients with a limit see that they are slowed down, and lose nothing by it."""
import os
import time
import uuid

import pytest
from confluent_kafka import Consumer, Producer
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
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
