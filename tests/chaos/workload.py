"""Clients: they write what they ask and what they are told into the history, and judge nothing."""

import collections
import logging
import random
import threading
import time
import traceback

from confluent_kafka import (Consumer, KafkaError, KafkaException, Producer, TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   ResourceType)

import payload

IMPATIENT = {"socket.timeout.ms": 6000, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 500,
             "topic.metadata.refresh.interval.ms": 5000, "log_level": 0}
TICK = 0.05


def split(tp):
    topic, partition = tp.rsplit("-", 1)
    return topic, int(partition)


def joined(message):
    return f"{message.topic()}-{message.partition()}"


class Confessions(logging.Handler):
    """What a producer says of itself that bears on whether it may store a record twice."""

    TOLD = ("epoch bump", "skipped sequence numbers", "Fatal error")

    def __init__(self, history, client):
        super().__init__()
        self._history, self._client = history, client

    def emit(self, record):
        said = record.getMessage()
        if any(words in said for words in self.TOLD):
            self._history.note("info", "confession", client=self._client, what=said)

    def logger(self):
        logger = logging.Logger(self._client)
        logger.addHandler(self)
        return logger


class Client(threading.Thread):
    """Runs until it is told to end."""

    def __init__(self, name, history, bootstrap):
        super().__init__(name=name, daemon=True)
        self.history = history
        self.config = {"bootstrap.servers": bootstrap, "client.id": name, **IMPATIENT}
        self.ending = threading.Event()
        self.error = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # A client that ends early must not look like a quiet one.
            self.error = "".join(traceback.format_exception(error))


class Sender(Client):
    """Writes to all partitions in turn, at a rate; acks=all, with idempotence or without."""

    def __init__(self, name, history, bootstrap, tps, rate, idempotent, compression="none"):
        super().__init__(name, history, bootstrap)
        self.tps, self.rate, self.kind = tps, rate, "idempotent" if idempotent else "plain"
        self.config |= {"acks": "all", "enable.idempotence": idempotent, "linger.ms": 5,
                        "compression.type": compression, "request.timeout.ms": 5000,
                        "message.timeout.ms": 120000, "retry.backoff.ms": 50, "retry.backoff.max.ms": 500}
        self.acked, self.unknown, self.fatal = [], [], False

    def work(self):
        session = 0
        while not self.ending.is_set():
            # A producer that failed for good is followed by another one: to the checker another client.
            self._session(f"{self.name}.{session}")
            session += 1

    def _session(self, client):
        self.history.note("ok", "client", client=client, kind=self.kind)
        self.fatal = False
        producer = Producer(self.config | {"debug": "eos"}, logger=Confessions(self.history, client).logger())
        number = 0
        while not self.ending.is_set() and not self.fatal:
            if len(producer) < 20 * self.rate:
                records = [(self.tps[(number + i) % len(self.tps)], number + i) for i in range(int(self.rate * TICK))]
                self.history.note("invoke", "send", client=client, records=records)
                for tp, number in records:
                    self._produce(producer, client, tp, number)
                number += 1
            pause = time.monotonic() + TICK
            while (left := pause - time.monotonic()) > 0 and not self.fatal:
                self._poll(producer, left)
            self._tell(client)
        try:
            producer.flush(0 if self.fatal else 60)
        except KafkaException:
            pass  # It had failed for good: what is left has an unknown outcome.
        self._tell(client)

    def _poll(self, producer, seconds):
        try:
            producer.poll(seconds)
        except KafkaException as failure:
            if not failure.args[0].fatal():
                raise
            self.fatal = True

    def _produce(self, producer, client, tp, number):
        def delivered(error, message):
            if error is None:
                # No offset when the broker took it for one that it has had before.
                self.acked.append((tp, number, message.offset()))
            else:
                self.unknown.append((tp, number, error.name()))
                self.fatal |= error.fatal() or error.code() == KafkaError._FATAL

        topic, partition = split(tp)
        producer.produce(topic, payload.encode(client, number), payload.key(client, number), partition,
                         on_delivery=delivered)

    def _tell(self, client):
        if self.acked:
            self.history.note("ok", "send", client=client, acks=self.acked)
        if self.unknown:
            self.history.note("info", "send", client=client, records=self.unknown)
        self.acked, self.unknown = [], []


class TransactionSender(Client):
    """Writes transactions over all partitions; one of eight is aborted on purpose."""

    def __init__(self, name, history, bootstrap, tps, seed):
        super().__init__(name, history, bootstrap)
        self.tps, self.random = tps, random.Random(seed)
        self.config |= {"transactional.id": name, "transaction.timeout.ms": 10000, "linger.ms": 0,
                        "request.timeout.ms": 5000, "retry.backoff.ms": 50}
        self.number = 0

    def work(self):
        self.history.note("ok", "client", client=self.name, kind="transactional")
        while not self.ending.is_set():
            producer = Producer(self.config)
            try:
                producer.init_transactions(15)
                while not self.ending.is_set():
                    self._transaction(producer)
                    time.sleep(TICK)
            except KafkaException:
                time.sleep(0.2)  # The next producer of this id fences this one.

    def _transaction(self, producer):
        first, acks, wanted = self.number, [], self.random.random() > 0.125
        records = [(self.random.choice(self.tps), self.number + i) for i in range(self.random.randint(2, 8))]
        self.number += len(records)
        outcome = "info"
        try:
            producer.begin_transaction()
            self.history.note("invoke", "send", client=self.name, records=records)
            for tp, number in records:
                topic, partition = split(tp)
                producer.produce(topic, payload.encode(self.name, number), payload.key(self.name, number), partition,
                                 on_delivery=lambda error, message, tp=tp, number=number: error is None
                                 and acks.append((tp, number, message.offset())))
            outcome = self._finish(producer, wanted)
        finally:
            if acks:
                self.history.note("ok", "send", client=self.name, acks=acks)
            self.history.note(outcome, "txn", client=self.name, first=first, last=self.number - 1)

    def _finish(self, producer, wanted):
        while True:
            try:
                if wanted:
                    producer.commit_transaction(15)
                    return "ok"
                producer.abort_transaction(15)
                return "fail"
            except KafkaException as failure:
                error = failure.args[0]
                if error.txn_requires_abort():
                    wanted = False
                elif not error.retriable() or self.ending.is_set():
                    raise


class Reader(Client):
    """Reads partitions that it assigned to itself, from their beginning on."""

    def __init__(self, name, history, bootstrap, tps, committed_only):
        super().__init__(name, history, bootstrap)
        self.tps = tps
        self.isolation = "committed" if committed_only else "uncommitted"
        self.config |= {"group.id": name, "enable.auto.commit": False, "auto.offset.reset": "error",
                        "isolation.level": f"read_{self.isolation}", "fetch.error.backoff.ms": 50}

    def work(self):
        consumer = Consumer(self.config)
        positions = {tp: 0 for tp in self.tps}
        assign(consumer, positions)
        while not self.ending.is_set():
            read, errors = consume(consumer)
            for tp, records in read.items():
                positions[tp] = records[-1][0] + 1
                self.history.note("ok", "poll", client=self.name, tp=tp, isolation=self.isolation, assigned=True,
                                  records=records)
            for message in errors:
                if message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                    tp = joined(message)
                    self.history.note("info", "reset", client=self.name, tp=tp, offset=positions[tp])
                    time.sleep(0.5)
                    assign(consumer, positions)
        consumer.close()


class Member(Client):
    """A member of a consumer group that commits after each poll."""

    GROUP = "chaos-group"

    def __init__(self, name, history, bootstrap, topics):
        super().__init__(name, history, bootstrap)
        self.topics, self.asked = topics, 0
        self.config |= {"group.id": self.GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest",
                        "isolation.level": "read_committed", "session.timeout.ms": 6000, "heartbeat.interval.ms": 1500}

    def work(self):
        consumer = Consumer(self.config)
        consumer.subscribe(self.topics, on_assign=lambda consumer, assigned: self._ask(consumer, assigned))
        while not self.ending.is_set():
            read, _ = consume(consumer)
            for tp, records in read.items():
                self.history.note("ok", "poll", client=self.name, tp=tp, isolation="committed", assigned=False,
                                  records=records)
            if read:
                self._commit(consumer, {tp: records[-1][0] + 1 for tp, records in read.items()})
        consumer.close()

    def _commit(self, consumer, offsets):
        self.asked += 1
        fields = {"client": self.name, "group": self.GROUP, "id": self.asked, "offsets": offsets}
        self.history.note("invoke", "commit", **fields)
        try:
            told = consumer.commit(offsets=[TopicPartition(*split(tp), offset) for tp, offset in offsets.items()],
                                   asynchronous=False)
            outcome = "ok" if all(each.error is None for each in told) else "info"
        except KafkaException:
            outcome = "info"
        self.history.note(outcome, "commit", **fields)

    def _ask(self, consumer, partitions):
        self.asked += 1
        ask_committed(self.history, consumer, self.name, self.asked, partitions)


class Observer(Client):
    """Asks again and again what a group has committed, without being its member."""

    def __init__(self, name, history, bootstrap, tps):
        super().__init__(name, history, bootstrap)
        self.tps = tps
        self.config |= {"group.id": Member.GROUP, "enable.auto.commit": False}

    def work(self):
        consumer = Consumer(self.config)
        asked = 0
        while not self.ending.is_set():
            asked += 1
            ask_committed(self.history, consumer, self.name, asked, [TopicPartition(*split(tp)) for tp in self.tps])
            self.ending.wait(1)
        consumer.close()


class Administrator(Client):
    """Creates, widens, changes and deletes topics beside those that are checked."""

    def work(self):
        admin = AdminClient(self.config)
        count = 0
        while not self.ending.is_set():
            topic = f"passing-{count}"
            count += 1
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[ConfigEntry(
                "retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)])
            self._ask(f"create {topic}", lambda: admin.create_topics([NewTopic(topic, 3, 3)], request_timeout=8))
            self._ask(f"widen {topic}", lambda: admin.create_partitions([NewPartitions(topic, 5)], request_timeout=8))
            self._ask(f"alter {topic}", lambda: admin.incremental_alter_configs([resource], request_timeout=8))
            self.ending.wait(2)
            self._ask(f"delete {topic}", lambda: admin.delete_topics([topic], request_timeout=8))

    def _ask(self, what, ask):
        self.history.note("invoke", "admin", what=what)
        try:
            settle(ask())
            self.history.note("ok", "admin", what=what)
        except Exception as error:
            self.history.note("info", "admin", what=what, error=str(error))


def rebirth(history, admin, bootstrap, records=40):
    """Writes to a topic, deletes it, and yields; creates it again, writes, and notes what its second life holds.

    Ends without a yield when the cluster does not do as it is told, and without a note when an outcome is unknown."""
    topic = f"reborn-{time.monotonic_ns()}"
    try:
        settle(admin.create_topics([NewTopic(topic, 1, 3)], request_timeout=8))
        write_some(bootstrap, topic, "first", records)
        settle(admin.delete_topics([topic], request_timeout=8))
    except (KafkaException, TimeoutError):
        return
    yield topic
    try:
        settle(admin.create_topics([NewTopic(topic, 1, 3)], request_timeout=8))
        acknowledged = write_some(bootstrap, topic, "second", records)
        lives = read_lives(bootstrap, topic, acknowledged)
        history.note("ok", "reborn", topic=topic, acknowledged=acknowledged, lives=lives)
        settle(admin.delete_topics([topic], request_timeout=8))
    except (KafkaException, TimeoutError) as failure:
        history.note("info", "admin", what=f"rebirth of {topic}", error=str(failure))


def settle(futures):
    for future in futures.values():
        future.result(15)


def write_some(bootstrap, topic, life, records):
    """Writes to partition 0; how many of the records were acknowledged."""
    told = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": 15000, **IMPATIENT})
    for _ in range(records):
        producer.produce(topic, life, partition=0, on_delivery=lambda error, _: told.append(error is None))
    producer.flush(20)
    return sum(told)


def read_lives(bootstrap, topic, wanted, seconds=30):
    """{life: records} of partition 0 from its beginning on.

    A broker that was cut off may answer for the topic that it knows, so a reading with less than what is wanted of the
    second life, or with anything of the first, is made again for a while: the last one counts."""
    deadline = time.monotonic() + seconds
    while True:
        lives = read_once(bootstrap, topic, wanted)
        is_complete = lives["second"] >= wanted
        if is_complete and not lives["first"]:
            return lives
        if time.monotonic() > deadline:
            if is_complete:
                return lives
            raise TimeoutError(f"{dict(lives)} of {wanted} records of {topic} read in {seconds} seconds")


def read_once(bootstrap, topic, wanted, seconds=5):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reborn", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", **IMPATIENT})
    assign(consumer, {f"{topic}-0": 0})
    lives, deadline = collections.Counter(), time.monotonic() + seconds
    while lives["second"] < wanted and time.monotonic() < deadline:
        lives.update(message.value().decode() for message in consumer.consume(100, 0.2) if not message.error())
    consumer.close()
    return lives


def ask_committed(history, consumer, client, asked, partitions):
    fields = {"client": client, "group": Member.GROUP, "id": asked}
    history.note("invoke", "committed", **fields)
    try:
        told = consumer.committed(partitions, timeout=5)
        if any(each.error for each in told):
            raise KafkaException(next(each.error for each in told if each.error))
        offsets = {f"{each.topic}-{each.partition}": each.offset if each.offset >= 0 else None for each in told}
        history.note("ok", "committed", offsets=offsets, **fields)
    except KafkaException as failure:
        history.note("info", "committed", error=str(failure), **fields)


def assign(consumer, positions):
    consumer.assign([TopicPartition(*split(tp), offset) for tp, offset in positions.items()])


def consume(consumer):
    """({tp: [(offset, client, number)]}, messages that are errors)."""
    read, errors = collections.defaultdict(list), []
    for message in consumer.consume(500, 0.2):
        if message.error():
            errors.append(message)
        else:
            read[joined(message)].append((message.offset(), *payload.decode(message.key(), message.value())))
    return read, errors


def read_everything(history, bootstrap, tps, seconds):
    """Reads all partitions from beginning to end into the history as its last reading, until nothing comes for so long.
    What was not read to its end is returned."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "last-reading", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "enable.partition.eof": True,
                         "isolation.level": "read_committed", **IMPATIENT})
    assign(consumer, {tp: 0 for tp in tps})
    missing, deadline = set(tps), time.monotonic() + seconds
    while missing and time.monotonic() < deadline:
        read, errors = consume(consumer)
        if read:
            deadline = time.monotonic() + seconds
        for tp, records in read.items():
            history.note("ok", "final", client="last-reading", tp=tp, records=records)
        for message in errors:
            if message.error().code() == KafkaError._PARTITION_EOF and joined(message) in missing:
                missing.discard(joined(message))
                history.note("ok", "end", tp=joined(message), offset=message.offset())
    consumer.close()
    return missing
