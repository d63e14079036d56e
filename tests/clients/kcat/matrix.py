"""kcat in the client matrix: the command-line client, with whatever librdkafka the system ships."""
import json
import os
import subprocess
import time

from cells import BOOTSTRAP, Cells, equal, unique, wait_until

cells = Cells()
VALUES = [f"value {i} ".strip() * 20 for i in range(50)]


def kcat(*arguments, text=None, seconds=60):
    done = subprocess.run(
        ["kcat", "-b", BOOTSTRAP, *arguments], input=text, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, f"kcat {' '.join(arguments)}: {done.stderr.strip()}"
    return done.stdout


def topics():
    return {topic["topic"]: topic for topic in json.loads(kcat("-L", "-J"))["topics"]}


def produce(topic, *arguments, values=VALUES):
    """kcat makes no topics: asking for one makes the broker create it."""
    wait_until(lambda: json.loads(kcat("-L", "-J", "-t", topic))["topics"][0]["partitions"], f"{topic} is created")
    kcat("-P", "-t", topic, "-p", "0", *arguments, text="\n".join(values) + "\n")


def read(topic, *arguments):
    return kcat("-C", "-q", "-e", "-t", topic, "-p", "0", *arguments).splitlines()


@cells("metadata")
def metadata():
    topic = unique("metadata")
    produce(topic)
    listed = json.loads(kcat("-L", "-J"))
    assert listed["brokers"], listed
    assert topic in {entry["topic"] for entry in listed["topics"]}


def acks(level):
    topic = unique("acks")
    produce(topic, "-X", f"acks={level}")
    wait_until(lambda: read(topic) == VALUES, "the values are there")


cells("acks-0")(lambda: acks("0"))
cells("acks-1")(lambda: acks("1"))
cells("acks-all")(lambda: acks("all"))


@cells.codecs("gzip", "snappy", "lz4", "zstd")
def codec(name):
    topic = unique(name)
    produce(topic, "-z", name)
    equal(read(topic), VALUES)
    return f"topic={topic}"


@cells("keys-headers")
def keys_headers():
    topic = unique("headers")
    produce(topic, "-K", ":", "-H", "first=1", "-H", "empty=", values=["key:value"])
    equal(read(topic, "-f", "%k|%s|%h|%o\n"), ["key|value|first=1,empty=|0"])


@cells("from-beginning")
def from_beginning():
    topic = unique("beginning")
    produce(topic)
    equal(read(topic, "-o", "beginning", "-f", "%o %s\n"), [f"{i} {value}" for i, value in enumerate(VALUES)])
    equal(read(topic, "-o", "-5"), VALUES[-5:])
    equal(read(topic, "-o", "17", "-c", "2"), VALUES[17:19])


@cells("by-time")
def by_time():
    topic = unique("time")
    produce(topic, values=VALUES[:5])
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    produce(topic, values=VALUES[5:10])
    equal(read(topic, "-o", f"s@{middle}"), VALUES[5:10])
    equal(read(topic, "-o", "s@0", "-o", f"e@{middle}"), VALUES[:5])
    equal(kcat("-Q", "-t", f"{topic}:0:{middle}").strip(), f"{topic} [0] offset 5")


@cells("commit-resume")
def commit_resume():
    topic, group = unique("commit"), unique("group")
    produce(topic)
    settings = ["-q", "-X", "auto.offset.reset=earliest", "-G", group, topic]
    equal(kcat("-c", "20", *settings).splitlines(), VALUES[:20])
    equal(kcat("-e", *settings).splitlines(), VALUES[20:])


@cells("rebalance")
def rebalance():
    topic, group = unique("rebalance"), unique("group")
    produce(topic)
    members = []

    def join():
        # A pseudo-terminal is not needed: what a member owns is told on stderr.
        log = open(f"/tmp/{group}-{len(members)}", "w+")
        process = subprocess.Popen(["kcat", "-b", BOOTSTRAP, "-G", group, topic], stdout=subprocess.DEVNULL, stderr=log)
        members.append((process, log))
        return len(members) - 1

    def told(member, words):
        return open(members[member][1].name).read().count(words)

    try:
        first = join()
        wait_until(lambda: told(first, "assigned:") == 1, "the first member is assigned its partition")
        join()
        wait_until(lambda: told(first, "revoked:") == 1, "the second member makes the first one rejoin")
        wait_until(lambda: sum(told(m, "assigned:") for m in range(2)) >= 3, "both members are told what they own")
    finally:
        for process, log in members:
            process.terminate()
            process.wait(10)
            os.unlink(log.name)


@cells("create-topic")
def create_topic():
    topic = unique("create")
    produce(topic)
    equal([partition["partition"] for partition in topics()[topic]["partitions"]], [0])


@cells("describe-topic")
def describe_topic():
    topic = unique("describe")
    produce(topic)
    (partition,) = topics()[topic]["partitions"]
    equal([replica["id"] for replica in partition["isrs"]], [partition["leader"]])


@cells("idempotent")
def idempotent():
    topic = unique("idempotent")
    produce(topic, "-X", "enable.idempotence=true")
    equal(read(topic), VALUES)


@cells("list-offsets")
def list_offsets():
    topic = unique("offsets")
    produce(topic)
    equal(kcat("-Q", "-t", f"{topic}:0:-2").strip(), f"{topic} [0] offset 0")
    equal(kcat("-Q", "-t", f"{topic}:0:-1").strip(), f"{topic} [0] offset {len(VALUES)}")


cells.not_applicable(
    "kcat has no such command",
    *"delete-topic describe-config alter-config create-partitions list-groups describe-group delete-group".split(),
    *"delete-records log-dirs quorum api-versions perf".split(),
    *"transaction-commit transaction-abort transaction-offsets transaction-fencing".split(),
)
cells.run()
