"""A member of a group, with confluent-kafka (librdkafka); see groups.py for what a member is told and tells."""

import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

BATCH = 50


class Member:
    def __init__(self, bootstrap, group, topic, protocol):
        settings = {"bootstrap.servers": bootstrap, "group.id": group, "group.protocol": protocol,
                    "auto.offset.reset": "earliest", "enable.auto.commit": False}
        if protocol == "classic":
            settings |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
        self._topic, self._batch, self._over = topic, {}, False
        self._consumer = Consumer(settings)
        self._consumer.subscribe([topic], on_assign=self._owns, on_revoke=self._gives, on_lost=self._loses)
        signal.signal(signal.SIGTERM, self._end)

    def run(self):
        while not self._over:
            self._take(self._consumer.poll(0.2))
            while sum(map(len, self._batch.values())) < BATCH and self._take(self._consumer.poll(0)):
                pass
            self._finish()
        self._consumer.close()

    def _take(self, message):
        if message is None:
            return False
        if message.error():
            print("ERROR", message.error(), flush=True)
            return False
        self._batch.setdefault(message.partition(), []).append(message.offset())
        return True

    def _finish(self):
        """Records count as done once their offsets are committed."""
        batch, self._batch = self._batch, {}
        if not batch:
            return
        self._tell_records("READ", batch)
        try:
            self._consumer.commit(asynchronous=False, offsets=[
                TopicPartition(self._topic, partition, offsets[-1] + 1) for partition, offsets in batch.items()])
            self._tell_records("DONE", batch)
        except KafkaException as refused:
            # Whoever has the partitions next reads the records again, and so does this one where it still has them.
            kept = {partition.partition for partition in self._consumer.assignment()}
            for partition, offsets in batch.items():
                if partition in kept:
                    self._consumer.seek(TopicPartition(self._topic, partition, offsets[0]))
            print("REFUSED", refused.args[0].name(), flush=True)

    def _tell_records(self, word, batch):
        for partition, offsets in batch.items():
            print(word, partition, offsets[0], offsets[-1], flush=True)

    def _tell(self, word, partitions):
        if partitions:
            numbers = ",".join(str(partition.partition) for partition in partitions)
            print(word, int(time.time() * 1000), numbers, flush=True)

    def _owns(self, _, partitions):
        self._tell("OWN", partitions)

    def _gives(self, _, partitions):
        self._finish()
        self._tell("GIVE", partitions)

    def _loses(self, _, partitions):
        self._batch = {}
        self._tell("LOST", partitions)

    def _end(self, *_):
        self._over = True


Member(*sys.argv[1:]).run()
