"""Sends JSON events: python examples/python/producer.py [host:port]   (pip install kafka-python)"""
import json
import sys
from datetime import datetime, timezone

from kafka import KafkaProducer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
producer = KafkaProducer(bootstrap_servers=bootstrap, value_serializer=lambda v: json.dumps(v).encode("utf-8"))
for user_id in range(1, 11):
    event = {"user_id": user_id, "action": "page_view", "timestamp": datetime.now(timezone.utc).isoformat()}
    sent = producer.send("user-events", value=event).get(timeout=10)
    print(f"user {user_id} -> {sent.topic}-{sent.partition} at offset {sent.offset}")
producer.close()
