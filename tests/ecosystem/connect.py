"""Kafka Connect, two distributed workers: a file goes through a topic into another file, the source exactly once."""

import json
import random
import socket
import time
import urllib.error
import urllib.request

import jvm
import logs

TOPIC = "lines"
WORKER = """\
bootstrap.servers={bootstrap}
group.id=connect
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
offset.storage.partitions=4
status.storage.partitions=2
exactly.once.source.support=enabled
offset.flush.interval.ms=1000
scheduled.rebalance.max.delay.ms=2000
session.timeout.ms=6000
heartbeat.interval.ms=1000
consumer.auto.offset.reset=earliest
listeners=HTTP://127.0.0.1:{port}
"""
CONNECTORS = {
    # A batch larger than the file: what a batch leaves in its buffer the connector reads only when the file grows again.
    "source": {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "topic": TOPIC,
               "batch.size": "1000000", "transaction.boundary": "poll", "exactly.once.support": "required"},
    "sink": {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": TOPIC},
}
SETTLE_SECONDS = 240


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    """One worker and its REST interface."""

    def __init__(self, home, bootstrap, number):
        self.port = free_port()
        settings = home / f"worker-{number}.properties"
        settings.write_text(WORKER.format(bootstrap=bootstrap, port=self.port))
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        self.process = jvm.Program(home / f"worker-{number}.log", main, settings)

    def ask(self, method, path, body=None):
        """The answer, or None while there is none to be had."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=json.dumps(body).encode() if body else None,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return None

    def runs(self, connector):
        status = self.ask("GET", f"/connectors/{connector}/status")
        return bool(status) and [task["state"] for task in status["tasks"]] == ["RUNNING"]


def wait_until(condition, what, seconds=SETTLE_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(1)


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def strike(cluster, workers, source, options):
    """Writes lines while brokers are killed; in the middle a worker is killed too. The number of brokers killed."""
    draw, begin, kills, written, struck = random.Random(options.seed), time.monotonic(), 0, 0, False
    while time.monotonic() < begin + options.seconds:
        with open(source, "a") as file:
            for _ in range(options.rate * 4):
                file.write(f"line {written}\n")
                written += 1
        node = draw.choice(cluster.nodes)
        cluster.kill(node)
        kills += 1
        time.sleep(draw.uniform(0.2, 2))
        cluster.start(node)
        assert cluster.await_whole(120), "the cluster did not become whole"
        if not struck and time.monotonic() > begin + options.seconds / 2:
            workers[0].process.kill()
            workers[0].process.start()
            struck = True
        time.sleep(draw.uniform(1, 4))
    return kills


def run(cluster, home, options):
    """Plays it on a running cluster; a list of what is wrong."""
    bootstrap, source, sink = cluster.bootstrap(), home / "source.txt", home / "sink.txt"
    logs.make_topics(bootstrap, {TOPIC: 1})
    source.touch()
    workers = [Worker(home, bootstrap, number) for number in (1, 2)]
    try:
        for worker in workers:
            worker.process.start()
        for name, file in (("source", source), ("sink", sink)):
            config = {**CONNECTORS[name], "file": str(file), "tasks.max": "1"}
            wait_until(lambda: workers[0].ask("PUT", f"/connectors/{name}/config", config), f"connector {name} is made")
            wait_until(lambda: workers[1].runs(name), f"connector {name} runs")
        kills = strike(cluster, workers, source, options)
        written = lines_of(source)
        wait_until(lambda: set(lines_of(sink)) >= set(written), "all lines are in the sink")
    finally:
        for worker in workers:
            worker.process.stop()
    stored = [record.value().decode() for record in logs.read_all(bootstrap, TOPIC)]
    again = len(lines_of(sink)) - len(written)
    print(f"{len(written):,} lines, {kills} brokers and 1 worker killed, {again} lines a second time in the sink, which "
          "Connect does not promise to avoid")
    return compare(written, stored, lines_of(sink))


def compare(written, stored, sunk):
    """What is wrong: the topic must hold the source as it is, the sink every line and no other."""
    wrong = []
    if stored != written:
        at = next((at for at, pair in enumerate(zip(written, stored)) if pair[0] != pair[1]), min(len(written), len(stored)))
        wrong.append(f"the topic has {len(stored)} lines instead of {len(written)}, and differs from line {at} on")
    if set(sunk) != set(written):
        wrong.append(f"the sink lacks {len(set(written) - set(sunk))} lines and has {len(set(sunk) - set(written))} others")
    return wrong
