"""The quick start of kafka-python, against any broker: produces to a topic that does not exist yet, and consumes it.

    quick_start.py BOOTSTRAP [TOPIC [ALREADY]]

ALREADY is how many records an earlier run has left in TOPIC; they must be there still. Prints what was read; when that is
not all, also what the client had to tell.
"""
import io
import json
import logging
import sys
import time
import uuid

from kafka import KafkaConsumer, KafkaProducer

RECORDS = 3
SECONDS = 60
# The characters of the client's log that are shown of a run that failed.
TOLD_MAX = 40_000


def quick_start(bootstrap, topic, already):
    producer = KafkaProducer(bootstrap_servers=bootstrap, value_serializer=lambda v: json.dumps(v).encode())
    numbers = range(already, already + RECORDS)
    sent = [producer.send(topic, {"user_id": number, "action": "page_view"}) for number in numbers]
    producer.flush()
    for future in sent:
        future.get(timeout=SECONDS)
    producer.close()

    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=f"analytics-{uuid.uuid4().hex[:8]}",
                             auto_offset_reset="earliest", value_deserializer=lambda v: json.loads(v))
    read, end = [], time.monotonic() + SECONDS
    while len(read) < already + RECORDS and time.monotonic() < end:
        # Not in short polls: one that ends within a rebalance makes kafka-python 3.0.12 forget what it was assigned.
        for records in consumer.poll(timeout_ms=SECONDS * 1000).values():
            read.extend(record.value["user_id"] for record in records)
    consumer.close()
    # Partitions are read side by side; within one the order holds, and the topic is made with one unless told otherwise.
    if sorted(read) != list(range(already + RECORDS)):
        raise RuntimeError(f"{topic} at {bootstrap}: expected {already + RECORDS} records, read {read}")
    return read


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    name = sys.argv[2] if len(sys.argv) > 2 else f"user-events-{uuid.uuid4().hex[:8]}"
    before = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    told = io.StringIO()
    logging.basicConfig(stream=told, level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s")
    said = set()

    def is_news(line):
        is_old = (text := line.getMessage()) in said
        said.add(text)
        return not is_old

    logging.getLogger().handlers[0].addFilter(is_news)
    try:
        print(f"{name}: {len(quick_start(sys.argv[1].split(','), name, before))} records")
    except Exception as failure:
        sys.exit(f"{told.getvalue()[-TOLD_MAX:]}\n{failure!r}")
