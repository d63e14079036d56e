"""A producer that remembers what was acknowledged and when, and a reading of what is there in the end."""

import itertools
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

QUIET = {"log_level": 0}
TICK = 0.002


def create_topic(bootstrap, topic, assignment, config=None):
    """Creates a topic whose partitions are on these brokers, the preferred leader of each first."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    new = NewTopic(topic, len(assignment), replica_assignment=assignment, config=config or {})
    admin.create_topics([new])[topic].result(60)


class Workload(threading.Thread):
    """Sends numbered records at a fixed rate to some partitions in turn, idempotent and with acks=all, and notes every
    acknowledgement. `partitions`, pairs of topic and number, may be replaced while it runs."""

    def __init__(self, bootstrap, partitions, rate, config=None):
        super().__init__(daemon=True)
        self.bootstrap, self.partitions, self.rate = bootstrap, list(partitions), rate
        self.sent = 0
        self.acks = {}  # {partition: [monotonic time, ...]}
        self.acked = {}  # {number of the record: (partition, offset)}
        self.failed = []  # What the client said of records that it gave up.
        self.written = set(self.partitions)
        self._ending = threading.Event()
        self._producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 2,
            **QUIET, **(config or {})})

    def run(self):
        due, each = time.monotonic(), max(1, round(self.rate * TICK))
        for turn in itertools.count():
            if self._ending.is_set():
                break
            for number in range(each):
                self._send((turn * each + number) % len(self.partitions))
            self._producer.poll(0)
            due += each / self.rate
            time.sleep(max(0.0, due - time.monotonic()))
        self._producer.flush(120)

    def _send(self, index):
        partition = self.partitions[index]
        self.written.add(partition)
        try:
            self._producer.produce(partition[0], str(self.sent).encode(), partition=partition[1],
                                   on_delivery=self._delivered)
        except BufferError:  # The queue is full while nothing is acknowledged.
            return
        self.sent += 1

    def _delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        else:
            partition = (message.topic(), message.partition())
            self.acks.setdefault(partition, []).append(time.monotonic())
            self.acked[int(message.value())] = (partition, message.offset())

    def end(self):
        """Stops sending, and waits for what is under way."""
        self._ending.set()
        self.join()

    def longest_gap(self, since, partitions=None, until=None):
        """The longest time between two acknowledgements of one partition, from `since` on. Without an end, the time
        since the last one counts as well."""
        longest = 0.0
        now = until or time.monotonic()
        for partition in partitions or self.partitions:
            times = self._recent(partition, since, now)
            times = [max(since, times[0]) if times else since, *times[1:], *([] if until else [now])]
            longest = max(longest, *(after - before for before, after in zip(times, times[1:])), 0.0)
        return longest

    def _recent(self, partition, since, until):
        """The acknowledgements of this time and the last one before it."""
        times, found = self.acks.get(partition, []), []
        for at in range(len(times) - 1, -1, -1):
            if times[at] <= until:
                found.append(times[at])
            if times[at] < since:
                break
        return found[::-1]

    def await_acks(self, seconds, after=0.0, patience=120, partitions=None):
        """Waits until all partitions, or these, have been acknowledging for so long without a pause of a second, and
        begins to count no earlier than at `after`."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            time.sleep(0.1)
            begin = time.monotonic() - seconds
            if begin >= after and all(self._steady(partition, begin) for partition in partitions or self.partitions):
                return
        raise RuntimeError(f"no steady acknowledgements after {patience} s; the client says {self.failed[-3:]}")

    def _steady(self, partition, begin):
        times = self._recent(partition, begin, time.monotonic())
        return bool(times) and times[0] < begin and self.longest_gap(begin, [partition]) < 1

    def verdict(self):
        """Reads all that was written: acknowledged records that are lost, or not where the broker had said, and
        records that are there twice."""
        seen, twice = {}, 0
        for partition in self.written:
            for number, offset in read(self.bootstrap, partition):
                twice += number in seen
                seen[number] = (partition, offset)
        lost = sum(seen.get(number) != place for number, place in self.acked.items())
        return {"sent": self.sent, "acknowledged": len(self.acked), "failed": len(self.failed),
                "failures": sorted(set(self.failed))[:3], "lost": lost, "twice": twice}


def read(bootstrap, partition):
    """(number, offset) of every record of a partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verdict", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", **QUIET})
    try:
        end = consumer.get_watermark_offsets(TopicPartition(*partition), timeout=60)[1]
        consumer.assign([TopicPartition(*partition, 0)])
        at, deadline = 0, time.monotonic() + 120
        while at < end:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{partition}: nothing to read at {at}, although it ends at {end}")
            for message in consumer.consume(10_000, timeout=1):
                if not message.error():
                    yield int(message.value()), message.offset()
                    at, deadline = message.offset() + 1, time.monotonic() + 120
    finally:
        consumer.close()
