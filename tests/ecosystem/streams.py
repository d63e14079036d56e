"""Kafka Streams counts words exactly once while brokers are killed and the program loses its state."""

import collections
import random
import shutil
import threading
import time

import jvm
import logs

WORDS = [f"word-{number:03}" for number in range(200)]
PARTITIONS = 6
SETTLE_SECONDS = 300


class Feeder(threading.Thread):
    """Writes lines of random words at a rate until told to stop."""

    def __init__(self, bootstrap, seed, rate):
        super().__init__(daemon=True)
        self._producer = logs.producer(bootstrap)
        self._random, self._rate, self._over = random.Random(seed), rate, threading.Event()

    def run(self):
        while not self._over.wait(0.1):
            for _ in range(self._rate // 10):
                line = " ".join(self._random.choices(WORDS, k=5))
                self._producer.produce("lines", line, key=str(self._random.randrange(1000)))
            self._producer.poll(0)

    def stop(self):
        self._over.set()
        self.join()
        left = self._producer.flush(60)
        assert left == 0, f"{left} lines were never acknowledged"


def words_of(bootstrap):
    """How often each word was written."""
    return collections.Counter(word for line in logs.read_all(bootstrap, "lines")
                               for word in line.value().decode().split())


def counts_of(bootstrap):
    """The counts told for each word, in order."""
    told = collections.defaultdict(list)
    for record in logs.read_all(bootstrap, "counts"):
        told[record.key().decode()].append(int.from_bytes(record.value(), "big"))
    return told


def strike(cluster, program, state, options):
    """Kills a broker every few seconds; in the middle kills the program too and takes its state away."""
    draw = random.Random(options.seed)
    begin, kills, lost_state = time.monotonic(), 0, 0
    while time.monotonic() < begin + options.seconds:
        node = draw.choice(cluster.nodes)
        cluster.kill(node)
        kills += 1
        time.sleep(draw.uniform(0.2, 2))
        cluster.start(node)
        assert cluster.await_whole(120), "the cluster did not become whole"
        if not lost_state and time.monotonic() > begin + options.seconds / 2:
            program.kill()
            shutil.rmtree(state)
            program.start()
            lost_state = 1
        assert program.is_up(), "the Streams program ended"
        time.sleep(draw.uniform(1, 4))
    return kills


def wrong(expected, told):
    """What is wrong with the counts, in words."""
    found = []
    for word in sorted(expected.keys() | told.keys()):
        counts = told.get(word, [])
        if counts != list(range(1, expected[word] + 1)):
            found.append(f"{word}: written {expected[word]} times, counted {len(counts)} times up to {max(counts, default=0)}"
                         f", {len(counts) - len(set(counts))} counts twice")
    return found


def run(cluster, home, options):
    """Plays it on a running cluster; a list of what is wrong."""
    bootstrap, state = cluster.bootstrap(), home / "state"
    logs.make_topics(bootstrap, {"lines": PARTITIONS, "counts": PARTITIONS})
    program = jvm.Program(home / "streams.log", "WordCount", bootstrap, state,
                          classes=jvm.compiled(jvm.HERE / "WordCount.java"))
    program.start()
    feeder = Feeder(bootstrap, options.seed, options.rate)
    feeder.start()
    try:
        kills = strike(cluster, program, state, options)
        feeder.stop()
        expected = words_of(bootstrap)
        deadline = time.monotonic() + SETTLE_SECONDS
        told = counts_of(bootstrap)
        while sum(map(len, told.values())) < expected.total() and time.monotonic() < deadline:
            assert program.is_up(), "the Streams program ended"
            time.sleep(2)
            told = counts_of(bootstrap)
    finally:
        program.stop()
    restored = [int(number) for number in program.told("RESTORED")]
    print(f"{expected.total():,} words counted, {kills} brokers killed, 1 kill of the program with loss of its state, "
          f"{sum(restored):,} records of the changelog restored, {len(program.told('REPLACED'))} threads replaced")
    if sum(restored) == 0:
        return ["no state was restored"]
    return wrong(expected, told)
