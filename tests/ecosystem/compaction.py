"""The same records written to a compacted topic of Ottla and of Apache Kafka: the same must survive, here and there.

Then Kafka's DumpLogSegments reads all of Ottla's files, and Kafka's broker serves a partition that Ottla wrote.
"""

import pathlib
import random
import re
import shutil
import time

import logs
import peer
from confluent_kafka import Producer

# delete.retention.ms of each topic: tombstones stay, tombstones go.
TOPICS = {"tombstones-stay": "86400000", "tombstones-go": "1000"}
CONFIG = {"cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "2000", "min.cleanable.dirty.ratio": "0.0"}
CLEANER = {"log.cleaner.backoff.ms": 500}
ROUNDS, RECORDS, KEYS = 120, 40, 500
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
SENTINEL = b"sentinel"
SETTLE_SECONDS = 240
COMPLAINTS = ("isvalid: false", "Mismatches", "not monotonically", "Found timestamp mismatch", "out of order", "not found",
              "is not a valid", "Could not")


class Writer:
    """Writes what a seed says, and keeps what must survive of it."""

    def __init__(self, bootstrap, topic, seed):
        self._topic, self._random = topic, random.Random(seed)
        common = {"bootstrap.servers": bootstrap, "linger.ms": 1000, "log_level": 2}
        self._plain = {codec: Producer({**common, "compression.type": codec}) for codec in CODECS}
        self._transactional = Producer({**common, "transactional.id": f"writer-{topic}"})
        self._transactional.init_transactions(60)
        self._time = 1_700_000_000_000
        self.survivors = {}  # by key: offset, value, timestamp
        self.written = 0

    def write(self):
        for number in range(ROUNDS):
            kind = self._random.choice(("plain", "plain", "commit", "abort"))
            producer = self._plain[CODECS[number % len(CODECS)]] if kind == "plain" else self._transactional
            if kind != "plain":
                producer.begin_transaction()
            placed = self._batch(producer)
            if kind == "commit":
                producer.commit_transaction(60)
            elif kind == "abort":
                producer.abort_transaction(60)
            if kind != "abort":
                self.survivors.update(placed)
            self.written += len(placed)

    def _batch(self, producer):
        """Writes one batch of records; by key, the last of each."""
        placed = {}

        def delivered(error, message):
            assert error is None, error
            placed[message.key()] = (message.offset(), message.value(), message.timestamp()[1])

        for _ in range(RECORDS):
            key = f"key-{self._random.randrange(KEYS)}"
            value = None if self._random.random() < 0.2 else self._random.randbytes(900)
            self._time += 1
            producer.produce(self._topic, value, key=key, timestamp=self._time, on_delivery=delivered)
        assert producer.flush(60) == 0
        return placed

    def touch(self):
        """A record that ends the segment before it, for only that much is cleaned."""
        self._plain["none"].produce(self._topic, b"", key=SENTINEL)
        assert self._plain["none"].flush(60) == 0

    def expected(self):
        """(offset, key, value, timestamp) of what survives, in order."""
        stays = TOPICS[self._topic] != "1000"
        return sorted((offset, key, value, at) for key, (offset, value, at) in self.survivors.items()
                      if value is not None or stays)


def without_offsets(records):
    return [rest for _, *rest in records]


def found(bootstrap, topic):
    """What consumers see of a topic, but for the sentinels."""
    return [(record.offset(), record.key(), record.value(), record.timestamp()[1])
            for record in logs.read_all(bootstrap, topic) if record.key() != SENTINEL]


def await_clean(writer, bootstrap, topic, where):
    """Lets the cleaner work until what must go is gone; what is wrong, if that does not come."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (records := found(bootstrap, topic)) != writer.expected():
        if time.monotonic() > deadline:
            return [f"{where}, {topic}: {len(records)} records instead of {len(writer.expected())}, the first that differ: "
                    + str(next((pair for pair in zip(records, writer.expected()) if pair[0] != pair[1]), None))[:300]]
        writer.touch()
        time.sleep(3)
    return []


def files(data, *suffixes):
    """The partitions' files of these kinds in a data directory; the quorum's log has no Kafka records."""
    return sorted(path for path in data.glob("*-[0-9]*/*") if path.suffix in suffixes
                  and not path.parent.name.startswith("__cluster_metadata"))


def dump(kafka, paths, *options):
    """What DumpLogSegments prints of each file."""
    text = kafka.tool("kafka-dump-log", "--files", ",".join(map(str, paths)), *options)
    pieces = re.split(r"^Dumping (\S+)$", text, flags=re.M)
    return {pathlib.Path(path): piece for path, piece in zip(pieces[1::2], pieces[2::2])}


def check_files(kafka, cluster, expected):
    """Lets DumpLogSegments read every file of every replica."""
    wrong, read = [], 0
    for node in cluster.nodes:
        paths = files(cluster.data(node), ".log", ".index", ".timeindex", ".txnindex", ".snapshot")
        dumped = dump(kafka, paths, "--deep-iteration", "--print-data-log")
        wrong += [f"node {node}: {path} was not read" for path in set(paths) - set(dumped)]
        wrong += [f"node {node}, {path}: {line}" for path, text in dumped.items() for line in text.splitlines()
                  if any(complaint in line for complaint in COMPLAINTS)]
        read += len(dumped)
        for topic, survivors in expected.items():
            text = "".join(dumped[path] for path in paths if path.suffix == ".log" and path.parent.name == f"{topic}-0")
            offsets = [int(offset) for offset in re.findall(r"^\| offset: (\d+) .* key: key-", text, re.M)]
            if offsets != [offset for offset, *_ in survivors]:
                wrong.append(f"node {node}, {topic}: {len(offsets)} records instead of {len(survivors)}")
    return wrong, read


def check_internal(kafka, cluster):
    """The records of transactions in Kafka's own words."""
    segments = [path for path in files(cluster.data(cluster.nodes[0]), ".log") if "__transaction_state" in str(path)]
    text = "".join(dump(kafka, segments, "--transaction-log-decoder").values())
    return [f"__transaction_state does not tell of writer-{topic}" for topic in TOPICS if f"writer-{topic}" not in text]


def adopt(kafka, cluster, expected):
    """Puts Ottla's files in the place of Kafka's own, and lets Kafka's broker serve them."""
    wrong = []
    kafka.stop()
    for topic in TOPICS:
        own = kafka.data() / f"{topic}-0"
        for path in own.iterdir():
            if path.name != "partition.metadata":
                path.unlink()
        for path in (cluster.data(cluster.nodes[0]) / f"{topic}-0").iterdir():
            if path.name != "partition.metadata":
                shutil.copy(path, own)
    kafka.start()
    for topic in TOPICS:
        records = found(kafka.bootstrap, topic)
        if records != expected[topic]:
            wrong.append(f"Kafka serves {len(records)} records of Ottla's {topic} instead of {len(expected[topic])}")
    return wrong


def run(cluster, home, options):
    """Writes, cleans and compares; a list of what is wrong."""
    wrong, expected = [], {}
    with peer.Peer(home / "kafka", **{key.replace(".", "_"): value for key, value in CLEANER.items()}) as kafka:
        for topic, retention in TOPICS.items():
            written = {}
            for where, bootstrap in (("Ottla", cluster.bootstrap()), ("Kafka", kafka.bootstrap)):
                logs.make_topics(bootstrap, {topic: 1}, **CONFIG, **{"delete.retention.ms": retention})
                writer = Writer(bootstrap, topic, options.seed)
                writer.write()
                written[where] = writer
                wrong += await_clean(writer, bootstrap, topic, where)
            expected[topic] = written["Ottla"].expected()
            # A transaction's marker may come behind the batch after it, so offsets are those of each broker.
            others = written["Kafka"].expected()
            if without_offsets(expected[topic]) != without_offsets(others):
                wrong.append(f"{topic}: the two were not given the same")
            print(f"{topic}: {written['Ottla'].written:,} records written, {len(expected[topic])} survive in both", flush=True)
        cluster.stop_all()
        complaints, read = check_files(kafka, cluster, expected)
        wrong += complaints + check_internal(kafka, cluster) + adopt(kafka, cluster, expected)
        print(f"DumpLogSegments read {read} files of {len(cluster.nodes)} nodes; Kafka's broker served Ottla's files")
    return wrong
