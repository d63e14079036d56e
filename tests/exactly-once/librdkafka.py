"""Transforms with librdkafka; see fleet.py for what a transformer is told and does."""

import random
import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BOOTSTRAP, GROUP, SOURCE, TARGET, ID, SIZE, ABORT_PERCENT, LIFE = sys.argv[1:9]
SECONDS = 60


def retried(call, *arguments):
    """A call of the transactional interface, again while the client says that it may be."""
    while True:
        try:
            return call(*arguments)
        except KafkaException as error:
            if not error.args[0].retriable() or error.args[0].txn_requires_abort():
                raise


def transform(consumer, producer, batch, name, doomed):
    producer.begin_transaction()
    for index, record in enumerate(batch):
        mark = "doomed" if doomed else "kept"
        value = f"{record.partition()} {record.offset()} {name} {index} {len(batch)} {mark}"
        producer.produce(TARGET, value, partition=record.partition())
    after = {record.partition(): record.offset() + 1 for record in batch}
    offsets = [TopicPartition(SOURCE, partition, offset) for partition, offset in after.items()]
    retried(producer.send_offsets_to_transaction, offsets, consumer.consumer_group_metadata(), SECONDS)
    if doomed:
        producer.flush(SECONDS)
        retried(producer.abort_transaction, SECONDS)
    else:
        retried(producer.commit_transaction, SECONDS)


def rewind(consumer):
    """Back to what is committed, as if nothing had been read since."""
    for partition in consumer.committed(consumer.assignment(), SECONDS):
        consumer.seek(TopicPartition(partition.topic, partition.partition, max(partition.offset, 0)))


def main():
    draw, number = random.Random(f"{ID} {LIFE}"), 0
    producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": ID, "transaction.timeout.ms": 20_000,
                         "linger.ms": 1, "log_level": 3})
    retried(producer.init_transactions, SECONDS)
    consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": GROUP, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "session.timeout.ms": 6000, "log_level": 3,
                         "isolation.level": "read_committed"})
    consumer.subscribe([SOURCE])
    while True:
        batch = [record for record in consumer.consume(int(SIZE), 0.5) if record.error() is None]
        if not batch:
            continue
        number += 1
        doomed = draw.random() * 100 < float(ABORT_PERCENT)
        try:
            transform(consumer, producer, batch, f"{ID}/{LIFE}/{number}", doomed)
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            print(f"aborts: {error}", flush=True)
            retried(producer.abort_transaction, SECONDS)
            doomed = True
        if doomed:
            rewind(consumer)


main()
