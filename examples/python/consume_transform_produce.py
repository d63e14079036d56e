"""Reads from one topic, changes what it reads, and writes to another: consume_transform_produce.py [host:port]

Each batch goes read, transform, produce, flush, commit: after a crash a batch may be written twice, never not at all.
"""
import sys

from kafka import KafkaConsumer, KafkaProducer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
for line in ["the quick brown fox", "jumps over", "the lazy dog"]:
    producer.send("sentences", line.encode())
producer.flush()

consumer = KafkaConsumer(
    "sentences",
    bootstrap_servers=bootstrap,
    group_id="splitter",
    auto_offset_reset="earliest",
    enable_auto_commit=False,
)
quiet_polls, sentences, words = 0, 0, 0
while quiet_polls < 10:
    batch = consumer.poll(timeout_ms=1_000)
    quiet_polls = 0 if batch else quiet_polls + 1
    for record in (record for records in batch.values() for record in records):
        sentences += 1
        for word in record.value.decode().split():
            producer.send("words", key=word.encode(), value=str(len(word)).encode())
            words += 1
    if batch:
        producer.flush()
        consumer.commit()
consumer.close()
producer.close()
print(f"{sentences} sentences became {words} words")
