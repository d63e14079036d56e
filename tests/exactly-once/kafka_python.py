"""Transforms with kafka-python; see fleet.py for what a transformer is told and does."""

import random
import signal
import sys

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, ProducerFencedError
from kafka.structs import OffsetAndMetadata

BOOTSTRAP, GROUP, SOURCE, TARGET, ID, SIZE, ABORT_PERCENT, LIFE = sys.argv[1:9]
HANGS_SECONDS = 30


def transform(consumer, producer, batch, name, doomed):
    producer.begin_transaction()
    sent = []
    for index, (partition, record) in enumerate(batch):
        mark = "doomed" if doomed else "kept"
        value = f"{record.partition} {record.offset} {name} {index} {len(batch)} {mark}"
        sent.append(producer.send(TARGET, value.encode(), partition=record.partition))
    after = {partition: OffsetAndMetadata(record.offset + 1, "", -1) for partition, record in batch}
    producer.send_offsets_to_transaction(after, consumer.group_metadata())
    if doomed:
        producer.flush()
        producer.abort_transaction()
    else:
        producer.commit_transaction()
        for future in sent:
            future.get(0)


def rewind(consumer):
    """Back to what is committed, as if nothing had been read since."""
    for partition in consumer.assignment():
        consumer.seek(partition, consumer.committed(partition) or 0)


def main():
    draw, number = random.Random(f"{ID} {LIFE}"), 0
    producer = KafkaProducer(bootstrap_servers=BOOTSTRAP.split(","), transactional_id=ID, transaction_timeout_ms=20_000)
    producer.init_transactions()
    consumer = KafkaConsumer(SOURCE, bootstrap_servers=BOOTSTRAP.split(","), group_id=GROUP, auto_offset_reset="earliest",
                             enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=1000,
                             isolation_level="read_committed")
    while True:
        # kafka-python 3.0.12 may wait without end for a transaction's offsets when their coordinator dies.
        signal.alarm(HANGS_SECONDS)
        polled = consumer.poll(timeout_ms=500, max_records=int(SIZE))
        batch = [(partition, record) for partition, records in polled.items() for record in records]
        if not batch:
            continue
        number += 1
        doomed = draw.random() * 100 < float(ABORT_PERCENT)
        try:
            transform(consumer, producer, batch, f"{ID}/{LIFE}/{number}", doomed)
        except ProducerFencedError:
            raise
        except KafkaError as error:
            print(f"aborts: {error!r}", flush=True)
            producer.abort_transaction()
            doomed = True
        if doomed:
            rewind(consumer)


main()
