"""Kafka's own command-line tools in the client matrix, and with them the Java clients.

Each call starts a virtual machine (a second or two), so the cells use few calls.
"""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from cells import BOOTSTRAP, Cells, equal, unique, wait_until

cells = Cells()
TOOL = [str(pathlib.Path(__file__).parents[3] / "scripts" / "kafka-peer"), "tool"]
VALUES = [f"value {i} ".strip() * 20 for i in range(50)]


def run(name, *arguments, text=None, expected=0):
    command = [*TOOL, name, "--bootstrap-server", BOOTSTRAP, *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=85)
    told = " ".join(done.stderr.split())[:600]
    assert done.returncode == expected, f"{name} {' '.join(arguments)}: exit {done.returncode}: {told} {done.stdout}"
    return done.stdout


def fails(name, *arguments):
    return run(name, *arguments, expected=1)


def make_topic(kind, partitions=1):
    topic = unique(kind)
    run("kafka-topics", "--create", "--topic", topic, "--partitions", str(partitions), "--replication-factor", "1")
    return topic


def produce(topic, *arguments, values=VALUES):
    """To a topic that does not exist yet, unless `make_topic` made it: the broker creates it."""
    run("kafka-console-producer", "--topic", topic, *arguments, text="".join(value + "\n" for value in values))


def consume(topic, count, *arguments):
    read = ["--topic", topic, "--max-messages", str(count), "--timeout-ms", "30000", *arguments]
    return run("kafka-console-consumer", *read).splitlines()


@cells("metadata")
def metadata():
    topic = make_topic("metadata")
    assert topic in run("kafka-topics", "--list").split()


def acks(level):
    topic = unique("acks")
    settings = [] if level == "all" else ["--command-property", "enable.idempotence=false"]
    produce(topic, "--request-required-acks", level, *settings)
    equal(consume(topic, len(VALUES), "--from-beginning"), VALUES)


cells("acks-0")(lambda: acks("0"))
cells("acks-1")(lambda: acks("1"))
cells("acks-all")(lambda: acks("all"))


@cells.codecs("gzip", "snappy", "lz4", "zstd")
def codec(name):
    topic = unique(name)
    produce(topic, "--compression-codec", name)
    equal(consume(topic, len(VALUES), "--from-beginning"), VALUES)
    return f"topic={topic}"


@cells("keys-headers")
def keys_headers():
    topic = unique("headers")
    properties = {"parse.key": "true", "parse.headers": "true", "null.marker": "NULL"}
    arguments = [part for item in properties.items() for part in ("--reader-property", "=".join(item))]
    produce(topic, *arguments, values=["first:1,first:again\tключ\tvalue", "NULL\ttombstone\tNULL"])
    shown = ["print.key", "print.headers", "print.offset", "print.partition"]
    arguments = [part for name in shown for part in ("--formatter-property", f"{name}=true")]
    equal(
        consume(topic, 2, "--from-beginning", *arguments),
        [
            "Partition:0\tOffset:0\tfirst:1,first:again\tключ\tvalue",
            "Partition:0\tOffset:1\tNO_HEADERS\ttombstone\tnull",
        ],
    )


@cells("from-beginning")
def from_beginning():
    topic = unique("beginning")
    produce(topic)
    equal(consume(topic, len(VALUES), "--from-beginning"), VALUES)
    equal(consume(topic, 10, "--partition", "0", "--offset", "40"), VALUES[40:])


@cells("by-time")
def by_time():
    """The tool that resets a group to a moment asks the broker for the first offset at or after it."""
    topic, group = unique("time"), unique("group")
    produce(topic, values=VALUES[:5])
    time.sleep(0.1)
    middle = time.time()
    time.sleep(0.1)
    produce(topic, values=VALUES[5:10])
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle)) + f".{int(middle % 1 * 1000):03}"
    reset = ["--reset-offsets", "--group", group, "--topic", topic, "--to-datetime", moment, "--execute"]
    run("kafka-consumer-groups", *reset)
    equal(consume(topic, 5, "--group", group), VALUES[5:10])
    stamped = run("kafka-get-offsets", "--topic", topic, "--time", str(int(middle * 1000)))
    equal(stamped.strip(), f"{topic}:0:5")


@cells("commit-resume")
def commit_resume():
    topic, group = unique("commit"), unique("group")
    produce(topic)
    earliest = ["--command-property", "auto.offset.reset=earliest", "--group", group]
    equal(consume(topic, 20, *earliest), VALUES[:20])
    equal(consume(topic, 30, *earliest), VALUES[20:])


class Members:
    """Console consumers that stay in their group for the length of a `with`."""

    def __init__(self, topic, group, count):
        self._commands = [[*TOOL, "kafka-console-consumer", "--bootstrap-server", BOOTSTRAP, "--topic", topic,
                           "--group", group]] * count

    def __enter__(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._running = [subprocess.Popen(command, **quiet) for command in self._commands]

    def __exit__(self, *_error):
        for process in self._running:
            process.terminate()
            process.wait(20)


def describe(group, *arguments):
    """The rows of a description as lists of words, heading excluded."""
    shown = run("kafka-consumer-groups", "--describe", "--group", group, *arguments)
    return [line.split() for line in shown.splitlines() if line.startswith(group)]


@cells("rebalance")
def rebalance():
    topic, group = make_topic("rebalance", partitions=4), unique("group")

    def owned(expected):
        return sorted(int(row[4]) for row in describe(group, "--members")) == expected

    with Members(topic, group, 1):
        wait_until(lambda: owned([4]), "the first member owns all partitions")
        with Members(topic, group, 1):
            wait_until(lambda: owned([2, 2]), "two partitions each")
        wait_until(lambda: owned([4]), "the member that stays owns all partitions")


@cells("create-topic")
def create_topic():
    topic = make_topic("create", partitions=3)
    again = fails("kafka-topics", "--create", "--topic", topic)
    assert "already exists" in again, again


@cells("describe-topic")
def describe_topic():
    topic = make_topic("describe", partitions=2)
    shown = run("kafka-topics", "--describe", "--topic", topic)
    assert re.search(rf"Topic: {topic}\s+TopicId: \S+\s+PartitionCount: 2\s+ReplicationFactor: 1", shown), shown
    leaders = re.findall(r"Partition: (\d)\s+Leader: (\d+)\s+Replicas: (\d+)\s+Isr: (\d+)", shown)
    equal([row[0] for row in leaders], ["0", "1"])
    assert all(row[1] == row[2] == row[3] for row in leaders), leaders


@cells("delete-topic")
def delete_topic():
    topic = make_topic("delete")
    run("kafka-topics", "--delete", "--topic", topic)
    wait_until(lambda: topic not in run("kafka-topics", "--list").split(), "the topic is gone")


@cells("describe-config")
def describe_config():
    topic = make_topic("config")
    shown = run("kafka-configs", "--describe", "--entity-type", "topics", "--entity-name", topic, "--all")
    assert re.search(r"^\s*cleanup.policy=delete sensitive=false synonyms=\{DEFAULT_CONFIG:log.cleanup.policy=delete\}",
                     shown, re.M), shown
    shown = run("kafka-configs", "--describe", "--entity-type", "brokers", "--entity-default")
    assert "Default configs for brokers in the cluster are" in shown, shown


@cells("alter-config")
def alter_config():
    topic = make_topic("alter")
    entity = ["--entity-type", "topics", "--entity-name", topic]
    run("kafka-configs", "--alter", *entity, "--add-config", "retention.ms=123456,cleanup.policy=[compact,delete]")
    shown = run("kafka-configs", "--describe", *entity)
    assert "retention.ms=123456" in shown and "cleanup.policy=compact,delete" in shown, shown
    run("kafka-configs", "--alter", *entity, "--delete-config", "retention.ms")
    assert "retention.ms" not in run("kafka-configs", "--describe", *entity)
    fails("kafka-configs", "--alter", *entity, "--add-config", "no.such.key=1")


@cells("create-partitions")
def create_partitions():
    topic = make_topic("partitions")
    run("kafka-topics", "--alter", "--topic", topic, "--partitions", "3")
    wait_until(lambda: "PartitionCount: 3" in run("kafka-topics", "--describe", "--topic", topic), "three partitions")


@cells("list-groups")
def list_groups():
    topic, group = unique("groups"), unique("group")
    produce(topic, values=VALUES[:5])
    consume(topic, 5, "--group", group, "--command-property", "auto.offset.reset=earliest")
    shown = run("kafka-consumer-groups", "--list", "--state")
    assert re.search(rf"^{group}\s+Empty", shown, re.M), shown


@cells("describe-group")
def describe_group():
    topic, group = unique("groups"), unique("group")
    produce(topic, values=VALUES[:5])
    consume(topic, 3, "--group", group, "--command-property", "auto.offset.reset=earliest")
    (row,) = describe(group)
    equal(row[1:6], [topic, "0", "3", "5", "2"])
    with Members(topic, group, 1):
        wait_until(lambda: re.search(r"Stable\s+1", run("kafka-consumer-groups", "--describe", "--group", group,
                                                        "--state")), "the group is stable")


@cells("delete-group")
def delete_group():
    topic, group = unique("groups"), unique("group")
    produce(topic, values=VALUES[:5])
    consume(topic, 5, "--group", group, "--command-property", "auto.offset.reset=earliest")
    shown = run("kafka-consumer-groups", "--delete", "--group", group)
    assert "was successful" in shown, shown
    assert group not in run("kafka-consumer-groups", "--list").split()


@cells("idempotent")
def idempotent():
    topic = unique("idempotent")
    produce(topic, "--command-property", "enable.idempotence=true", "--command-property", "acks=all")
    equal(consume(topic, len(VALUES), "--from-beginning"), VALUES)


@cells.codecs("transaction-commit", "transaction-abort", "transaction-offsets", "transaction-fencing")
def transaction(operation):
    """By a program of its own: the tools have no transactions."""
    cache = pathlib.Path(os.environ["OTTLA_CACHE"])
    command = ["java", "-Xmx192M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
               f"-Dlog4j2.configurationFile={cache}/kafka-4.3.1/log4j2.properties"]
    arguments = [operation, BOOTSTRAP, make_topic("transaction"), unique("transaction")]
    done = subprocess.run([*command, "-cp", f"{cache}/kafka-4.3.1/*:{cache}/java", "Transactions", *arguments],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@cells("delete-records")
def delete_records():
    topic = unique("records")
    produce(topic)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 10}]}, file)
        file.flush()
        shown = run("kafka-delete-records", "--offset-json-file", file.name)
    assert f"partition: {topic}-0\tlow_watermark: 10" in shown, shown
    equal(consume(topic, 40, "--from-beginning"), VALUES[10:])


@cells("list-offsets")
def list_offsets():
    topic = unique("offsets")
    produce(topic)
    equal(run("kafka-get-offsets", "--topic", topic).strip(), f"{topic}:0:{len(VALUES)}")
    equal(run("kafka-get-offsets", "--topic", topic, "--time", "earliest").strip(), f"{topic}:0:0")
    newest = run("kafka-get-offsets", "--topic", topic, "--time", "max-timestamp").strip()
    assert newest.startswith(f"{topic}:0:"), newest


@cells("log-dirs")
def log_dirs():
    topic = unique("dirs")
    produce(topic)
    shown = run("kafka-log-dirs", "--describe", "--topic-list", topic)
    (broker,) = json.loads(shown.splitlines()[-1])["brokers"]
    (partition,) = [entry for directory in broker["logDirs"] for entry in directory["partitions"]]
    equal((partition["partition"], partition["size"] > 1000, partition["isFuture"]), (f"{topic}-0", True, False))


@cells("api-versions")
def api_versions():
    shown = run("kafka-broker-api-versions")
    for name in ["Produce(0)", "Fetch(1)", "ApiVersions(18)"]:
        assert name in shown, shown
    assert "UNSUPPORTED" in shown or "usable" in shown, shown


@cells("quorum")
def quorum():
    shown = run("kafka-metadata-quorum", "describe", "--status")
    assert re.search(r"LeaderId:\s+\d+", shown) and re.search(r"HighWatermark:\s+\d+", shown), shown
    assert "Leader" in run("kafka-metadata-quorum", "describe", "--replication")


@cells("perf")
def perf():
    topic, records = unique("perf"), "20000"
    load = ["--topic", topic, "--num-records", records, "--record-size", "512", "--throughput", "-1"]
    shown = run("kafka-producer-perf-test", *load)
    assert f"{records} records sent" in shown, shown
    shown = run("kafka-consumer-perf-test", "--topic", topic, "--num-records", records, "--timeout", "30000")
    equal(int(shown.splitlines()[-1].split(", ")[4]) >= int(records), True)


os.environ.setdefault("TOOL_HEAP_OPTS", "-Xmx192M")
cells.run()
