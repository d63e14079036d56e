"""MirrorMaker 2 between Ottla and Apache Kafka, in both directions: topics, records, configs, groups' offsets."""

import time

import jvm
import logs
import peer
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

PARTITIONS, RECORDS = 3, 3000
CONFIG = {"retention.ms": "7654321", "cleanup.policy": "compact,delete", "max.message.bytes": "555555"}
SETTINGS = """\
clusters=ottla,kafka
ottla.bootstrap.servers={ottla}
kafka.bootstrap.servers={kafka}
ottla->kafka.enabled=true
kafka->ottla.enabled=true
topics=from-.*
groups=readers-.*
ottla.replication.factor=3
kafka.replication.factor=1
ottla.offset.storage.replication.factor=3
ottla.config.storage.replication.factor=3
ottla.status.storage.replication.factor=3
kafka.offset.storage.replication.factor=1
kafka.config.storage.replication.factor=1
kafka.status.storage.replication.factor=1
checkpoints.topic.replication.factor=1
heartbeats.topic.replication.factor=1
offset-syncs.topic.replication.factor=1
refresh.topics.interval.seconds=2
refresh.groups.interval.seconds=2
sync.topic.configs.interval.seconds=2
emit.checkpoints.interval.seconds=1
sync.group.offsets.enabled=true
sync.group.offsets.interval.seconds=1
offset.lag.max=0
dedicated.mode.enable.internal.rest=false
"""
SETTLE_SECONDS = 240


def write(bootstrap, topic, numbers):
    filling = logs.producer(bootstrap)
    for number in numbers:
        filling.produce(topic, None if number % 10 == 9 else f"value {number}", key=f"key {number}",
                        partition=number % PARTITIONS, timestamp=int(time.time() * 1000) - number,
                        headers=[("number", str(number).encode()), ("none", None)])
    assert filling.flush(60) == 0, f"records of {topic} were not acknowledged"


def content(bootstrap, topic):
    """What must be alike on both sides, by partition and in order."""
    if topic not in logs.admin(bootstrap).list_topics(timeout=30).topics:
        return {}
    found = {partition: [] for partition in range(PARTITIONS)}
    for record in logs.read_all(bootstrap, topic):
        found[record.partition()].append((record.key(), record.value(), record.headers(), record.timestamp()))
    return found


def commit(bootstrap, group, topic, offset):
    """As a group that has read the topic's partitions up to this offset."""
    member = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 2})
    offsets = [TopicPartition(topic, partition, offset) for partition in range(PARTITIONS)]
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            member.commit(offsets=offsets, asynchronous=False)
            return member.close()
        except KafkaException as error:  # A new coordinator may have to load its groups first.
            if not error.args[0].retriable() and error.args[0].name() != "NOT_COORDINATOR" or time.monotonic() > deadline:
                raise
        time.sleep(1)


def config_of(bootstrap, topic):
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = logs.admin(bootstrap).describe_configs([resource])[resource].result(30)
    return {name: entries[name].value for name in CONFIG}


def await_equal(expected, found, what):
    """Waits until both are alike; what is wrong, if they do not become so."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := found()) != expected:
        if time.monotonic() > deadline:
            return [f"{what}: {str(left)[:300]} instead of {str(expected)[:300]}"]
        time.sleep(2)
    return []


def check(source, target, topic, offset):
    """What the target lacks of a topic of the source. Each side is a pair of name and bootstrap servers."""
    mirrored, way = f"{source[0]}.{topic}", f"{source[0]} to {target[0]}"
    original = content(source[1], topic)
    assert sum(map(len, original.values())) > 0, f"{topic} is empty"
    wrong = await_equal(original, lambda: content(target[1], mirrored), f"{way}, records")
    wrong += await_equal(config_of(source[1], topic), lambda: config_of(target[1], mirrored), f"{way}, configs")
    expected = dict.fromkeys(range(PARTITIONS), offset)
    wrong += await_equal(expected, lambda: logs.committed(target[1], f"readers-{source[0]}", mirrored, PARTITIONS),
                         f"{way}, offsets of the group")
    return wrong


def run(cluster, home, options):
    """Mirrors what is there before the start, then what comes while it runs; a list of what is wrong."""
    with peer.Peer(home / "kafka") as kafka:
        sides = {"ottla": cluster.bootstrap(), "kafka": kafka.bootstrap}
        settings = home / "mirror.properties"
        settings.write_text(SETTINGS.format(**sides))
        program = jvm.Program(home / "mirror.log", "org.apache.kafka.connect.mirror.MirrorMaker", settings, heap="384M")
        wrong = []
        for name, bootstrap in sides.items():
            logs.make_topics(bootstrap, {f"from-{name}": PARTITIONS}, **CONFIG)
            write(bootstrap, f"from-{name}", range(RECORDS))
        program.start()
        try:
            ottla, other = sides.items()
            ways = [(ottla, other), (other, ottla)]
            for step, (first, last) in enumerate(((0, RECORDS), (RECORDS, 2 * RECORDS))):
                offset = (step + 1) * RECORDS // PARTITIONS
                for source, _ in ways:
                    if step > 0:
                        write(source[1], f"from-{source[0]}", range(first, last))
                    # A group's offset is translated once the mirror has passed it.
                    commit(source[1], f"readers-{source[0]}", f"from-{source[0]}", offset)
                for source, target in ways:
                    wrong += check(source, target, f"from-{source[0]}", offset)
            assert program.is_up(), "MirrorMaker ended"
        finally:
            program.stop()
    print(f"{2 * RECORDS:,} records each way, half of them before MirrorMaker started")
    return wrong
