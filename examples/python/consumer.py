"""Reads JSON events as a group: python examples/python/consumer.py [host:port]   (pip install kafka-python)"""
import json
import sys

from kafka import KafkaConsumer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
consumer = KafkaConsumer(
    "user-events",
    bootstrap_servers=bootstrap,
    group_id="analytics-group",
    auto_offset_reset="earliest",
    consumer_timeout_ms=10_000,
    value_deserializer=lambda m: json.loads(m.decode("utf-8")),
)
for message in consumer:
    print(f"{message.topic}-{message.partition}@{message.offset}: {message.value}")
consumer.close()
