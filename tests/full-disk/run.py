"""Fills a broker's disk with acknowledged records, and checks what happens before, while and after it is full.

    run.py OTTLA FOLDER     FOLDER lies on a small file system of its own

Prints figures. Ends with an error when an acknowledged record is missing, when the disk becomes really full, when nothing
can be read or committed meanwhile, or when producers are not served again once there is room, without a restart.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

RECORD = 10_000
PATIENCE = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.1)
    return found


class Node:
    def __init__(self, ottla, folder):
        self.folder, self.port, self.http = folder, free_port(), free_port()
        self.log = open(folder.rstrip("/") + ".out", "wb")
        settings = {
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:0",
            "log.dirs": os.path.join(folder, "data"),
            "ottla.http.listener": f"127.0.0.1:{self.http}",
            "log.retention.check.interval.ms": "1000",
            "log.segment.delete.delay.ms": "0",
        }
        overrides = [word for key, value in settings.items() for word in ("--override", f"{key}={value}")]
        self.process = subprocess.Popen([ottla, "server", *overrides], stdout=self.log, stderr=self.log)
        until("the node serves", self.is_ready)

    def is_ready(self):
        assert self.process.poll() is None, "the node has ended"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=5).status == 200
        except OSError:
            return False

    def metric(self, name):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=5).read().decode()
        return float(re.search(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M).group(1))

    def client(self, **settings):
        return {"bootstrap.servers": f"127.0.0.1:{self.port}"} | {k.replace("_", "."): v for k, v in settings.items()}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


class Writer:
    """Produces numbered records and remembers which were acknowledged."""

    def __init__(self, node, topic):
        self.topic, self.next, self.acknowledged = topic, 0, set()
        self.producer = Producer(node.client(acks="all", enable_idempotence=True, linger_ms=5,
                                             queue_buffering_max_messages=200, message_timeout_ms=600_000))

    def write(self):
        number = self.next

        def done(error, _message):
            assert error is None, error
            self.acknowledged.add(number)

        try:
            # Does not compress, so that bytes on disk are bytes sent.
            self.producer.produce(self.topic, key=str(number), value=os.urandom(RECORD), on_delivery=done)
            self.next += 1
        except BufferError:
            pass
        self.producer.poll(0.005)


def read_all(node, topic, group):
    """The keys of all records, read by a group that commits."""
    consumer = Consumer(node.client(group_id=group, auto_offset_reset="earliest", enable_auto_commit=False))
    partition = TopicPartition(topic, 0)
    low, high = consumer.get_watermark_offsets(partition, timeout=30)
    consumer.assign([TopicPartition(topic, 0, low)])
    keys, position = set(), low
    deadline = time.monotonic() + PATIENCE
    while position < high:
        assert time.monotonic() < deadline, f"read up to {position} of {high}"
        message = consumer.poll(1)
        if message is None or (message.error() and message.error().code() == KafkaError._PARTITION_EOF):
            continue
        assert not message.error(), message.error()
        keys.add(int(message.key()))
        position = message.offset() + 1
    consumer.commit(offsets=[TopicPartition(topic, 0, position)], asynchronous=False)
    consumer.close()
    return keys


def main(ottla, folder):
    total = shutil.disk_usage(folder).total
    node = Node(ottla, folder)
    admin = AdminClient(node.client())
    for name in ("kept", "filler"):
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    kept, filler = Writer(node, "kept"), Writer(node, "filler")
    started = time.monotonic()
    while node.metric("ottla_log_dir_low") == 0:
        for _ in range(50):
            kept.write()
            filler.write()
    stopped_after = time.monotonic() - started
    # Some produces are under way; none of them may take the rest.
    before = len(kept.acknowledged)
    for _ in range(400):
        kept.write()
    free = shutil.disk_usage(folder).free
    assert free > 0, "the disk is full"
    print(f"{total >> 20} MiB of disk: producers stopped after {stopped_after:.1f} s with {free / 2**20:.1f} MiB free, "
          f"{len(kept.acknowledged) + len(filler.acknowledged)} records acknowledged")
    read = read_all(node, "kept", "while-low")
    assert kept.acknowledged <= read, "acknowledged and not there"
    print(f"while stopped: {len(read)} records read and an offset committed; "
          f"{len(kept.acknowledged) - before} more acknowledged")

    admin.delete_topics(["filler"])["filler"].result(30)
    freed = time.monotonic()
    until("there is room again", lambda: node.metric("ottla_log_dir_low") == 0)
    noticed = time.monotonic() - freed
    goal = len(kept.acknowledged) + 100

    def served():
        kept.write()
        return len(kept.acknowledged) >= goal

    until("producers are served again", served)
    print(f"room made by deleting a topic: noticed after {noticed:.1f} s, producers served after "
          f"{time.monotonic() - freed:.1f} s, without a restart")
    assert kept.producer.flush(PATIENCE) == 0
    missing = kept.acknowledged - read_all(node, "kept", "afterwards")
    assert not missing, f"{len(missing)} acknowledged records are missing"
    print(f"{len(kept.acknowledged)} acknowledged records of the topic that was kept, none missing")

    # A disk that something else fills to the last byte does not keep the node from stopping in order.
    with open(os.path.join(folder, "somebody-elses"), "wb") as other:
        try:
            while True:
                other.write(bytes(1 << 20))
                other.flush()
        except OSError:
            pass
    until("the shortage is seen", lambda: node.metric("ottla_log_dir_low") == 1)
    code = node.stop()
    assert code == 0, f"the node ended with {code} on a full disk"
    os.remove(os.path.join(folder, "somebody-elses"))
    again = Node(ottla, folder)
    missing = kept.acknowledged - read_all(again, "kept", "after-restart")
    assert not missing, f"{len(missing)} acknowledged records are missing after the restart"
    assert again.stop() == 0
    print("stopped in order on a disk filled to the last byte, started again, none missing")


if __name__ == "__main__":
    main(*sys.argv[1:])
