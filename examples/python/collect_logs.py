"""Counts levels per service in shipped logs: collect_logs.py [host:port]"""
import collections
import sys

from kafka import KafkaConsumer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
consumer = KafkaConsumer(
    "logs", bootstrap_servers=bootstrap, group_id="log-counter", auto_offset_reset="earliest",
    consumer_timeout_ms=10_000,
)
counts = collections.Counter()
for line in consumer:
    level = next((word for word in line.value.decode().split() if word in ("ERROR", "WARN", "INFO")), "other")
    counts[line.key.decode(), level] += 1
consumer.close()
for (service, level), count in sorted(counts.items()):
    print(f"{service} {level} {count}")
