"""aiokafka in the client matrix."""
import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata
from cells import BOOTSTRAP, Cells, equal, unique

cells = Cells()
VALUES = [f"value {i} ".encode() * 20 for i in range(50)]


class Admin:
    """An admin client for the length of a `async with`."""

    async def __aenter__(self):
        self._client = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
        await self._client.start()
        return self._client

    async def __aexit__(self, *_error):
        await self._client.close()


async def until(condition, what, seconds=40):
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.1)


async def make_topic(kind, partitions=1):
    name = unique(kind)
    async with Admin() as admin:
        await admin.create_topics([NewTopic(name, partitions, 1)])

        async def known():
            return name in await admin.list_topics()

        await until(known, f"metadata of {name}")
    return name


async def produce(topic, values, timestamps=None, **config):
    stamps = timestamps or [None] * len(values)
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, linger_ms=5, **config) as producer:
        sent = [
            await producer.send(topic, value, partition=0, timestamp_ms=at) for value, at in zip(values, stamps)
        ]
        delivered = await asyncio.gather(*sent)
        await producer.flush()
    return [record.offset for record in delivered if record is not None]


def consumer(*topics, group=None, **config):
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=BOOTSTRAP,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **config,
    )


async def take(source, count, seconds=40):
    taken, deadline = [], time.monotonic() + seconds
    while len(taken) < count and time.monotonic() < deadline:
        for records in (await source.getmany(timeout_ms=300, max_records=count - len(taken))).values():
            taken.extend(records)
    equal(len(taken), count)
    return taken


async def read(topic, count, offset=0, **config):
    partition = TopicPartition(topic, 0)
    async with consumer(**config) as source:
        source.assign([partition])
        source.seek(partition, offset)
        return await take(source, count)


def values_of(records):
    return [record.value for record in records]


@cells("metadata")
async def metadata():
    async with Admin() as admin:
        cluster = await admin.describe_cluster()
    assert cluster["cluster_id"] and cluster["brokers"], cluster


async def acks(level):
    topic = await make_topic("acks")
    await produce(topic, VALUES, acks=level)
    equal(values_of(await read(topic, len(VALUES))), VALUES)


cells("acks-0")(lambda: acks(0))
cells("acks-1")(lambda: acks(1))
cells("acks-all")(lambda: acks("all"))


@cells.codecs("gzip", "snappy", "lz4", "zstd")
async def codec(name):
    topic = await make_topic(name)
    await produce(topic, VALUES, compression_type=name)
    equal(values_of(await read(topic, len(VALUES))), VALUES)
    return f"topic={topic}"


@cells("keys-headers")
async def keys_headers():
    topic = await make_topic("headers")
    headers = (("first", b"1"), ("empty", b""), ("first", b"again"))
    async with AIOKafkaProducer(bootstrap_servers=BOOTSTRAP) as producer:
        await producer.send_and_wait(topic, b"value", key="ключ".encode(), headers=list(headers))
        await producer.send_and_wait(topic, None, key=b"tombstone")
    first, second = await read(topic, 2)
    equal((first.key, first.value, first.headers), ("ключ".encode(), b"value", headers))
    equal((second.key, second.value, second.headers), (b"tombstone", None, ()))


@cells("from-beginning")
async def from_beginning():
    topic = await make_topic("beginning")
    equal(await produce(topic, VALUES), list(range(len(VALUES))))
    taken = await read(topic, len(VALUES))
    equal([record.offset for record in taken], list(range(len(VALUES))))
    equal(values_of(taken), VALUES)


@cells("by-time")
async def by_time():
    topic, start = await make_topic("time"), int(time.time() * 1000) - 60_000
    stamps = [start + i * 1000 for i in range(20)]
    await produce(topic, [str(i).encode() for i in range(20)], timestamps=stamps)
    partition = TopicPartition(topic, 0)
    async with consumer() as source:
        source.assign([partition])
        found = (await source.offsets_for_times({partition: start + 7_500}))[partition]
        equal((found.offset, found.timestamp), (8, start + 8_000))
        equal((await source.offsets_for_times({partition: start + 3_600_000}))[partition], None)
        source.seek(partition, found.offset)
        equal(values_of(await take(source, 12)), [str(i).encode() for i in range(8, 20)])


@cells("commit-resume")
async def commit_resume():
    topic, group = await make_topic("commit"), unique("group")
    await produce(topic, VALUES)
    async with consumer(topic, group=group) as first:
        await take(first, 20)
        await first.commit({TopicPartition(topic, 0): OffsetAndMetadata(20, "a note")})
        equal(await first.committed(TopicPartition(topic, 0)), 20)
    async with consumer(topic, group=group) as second:
        equal(values_of(await take(second, 30)), VALUES[20:])


@cells("rebalance")
async def rebalance():
    topic, group = await make_topic("rebalance", partitions=4), unique("group")
    settings = {"group": group, "session_timeout_ms": 10_000, "heartbeat_interval_ms": 500}
    first, second = consumer(topic, **settings), consumer(topic, **settings)

    def owns(expected, *members):
        async def check():
            return [len(member.assignment()) for member in members] == expected

        return check

    await first.start()
    await until(owns([4], first), "the first member owns all partitions")
    await second.start()
    await until(owns([2, 2], first, second), "two partitions each")
    await first.stop()
    await until(owns([4], second), "the member that stays owns all partitions")
    await second.stop()


@cells("create-topic")
async def create_topic():
    topic = await make_topic("create", partitions=3)
    async with Admin() as admin:
        answer = await admin.create_topics([NewTopic(topic, 1, 1)])
    equal(answer.topic_errors[0][:2], (topic, 36))


@cells("describe-topic")
async def describe_topic():
    topic = await make_topic("describe", partitions=2)
    async with Admin() as admin:
        described = (await admin.describe_topics([topic]))[0]
    equal((described["topic"], len(described["partitions"])), (topic, 2))
    assert all(partition["isr"] == [partition["leader"]] for partition in described["partitions"])


@cells("delete-topic")
async def delete_topic():
    topic = await make_topic("delete")
    async with Admin() as admin:
        await admin.delete_topics([topic])

        async def gone():
            return topic not in await admin.list_topics()

        await until(gone, "the topic is gone")


async def config_of(admin, kind, name, key):
    answers = await admin.describe_configs([ConfigResource(kind, name, configs={key: None})])
    entries = answers[0].resources[0][4]
    return {entry[0]: entry[1] for entry in entries}[key]


@cells("describe-config")
async def describe_config():
    topic = await make_topic("config")
    async with Admin() as admin:
        equal(await config_of(admin, ConfigResourceType.TOPIC, topic, "cleanup.policy"), "delete")
        broker = str((await admin.describe_cluster())["brokers"][0]["node_id"])
        assert int(await config_of(admin, ConfigResourceType.BROKER, broker, "log.segment.bytes")) > 0


@cells("alter-config")
async def alter_config():
    topic = await make_topic("alter")
    async with Admin() as admin:
        change = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "123456"})
        await admin.alter_configs([change])

        async def changed():
            return await config_of(admin, ConfigResourceType.TOPIC, topic, "retention.ms") == "123456"

        await until(changed, "retention.ms is set")


@cells("create-partitions")
async def create_partitions():
    topic = await make_topic("partitions")
    async with Admin() as admin:
        await admin.create_partitions({topic: NewPartitions(total_count=3)})

        async def grown():
            return len((await admin.describe_topics([topic]))[0]["partitions"]) == 3

        await until(grown, "three partitions")


async def group_with_member():
    topic, group = await make_topic("groups"), unique("group")
    await produce(topic, VALUES[:5])
    member = consumer(topic, group=group)
    await member.start()
    await take(member, 5)
    await member.commit({TopicPartition(topic, 0): 5})
    return topic, group, member


@cells("list-groups")
async def list_groups():
    _, group, member = await group_with_member()
    async with Admin() as admin:
        assert group in {entry[0] for entry in await admin.list_consumer_groups()}, "the group is not listed"
    await member.stop()


@cells("describe-group")
async def describe_group():
    topic, group, member = await group_with_member()
    async with Admin() as admin:
        (_error, _group, state, *_rest), *_ = (await admin.describe_consumer_groups([group]))[0].groups
        offsets = await admin.list_consumer_group_offsets(group)
    equal(state, "Stable")
    equal(offsets[TopicPartition(topic, 0)].offset, 5)
    await member.stop()


@cells("idempotent")
async def idempotent():
    topic = await make_topic("idempotent")
    equal(await produce(topic, VALUES, enable_idempotence=True), list(range(len(VALUES))))
    equal(values_of(await read(topic, len(VALUES))), VALUES)


def transactional(identity=None):
    return AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, transactional_id=identity or unique("transaction"))


async def begin(producer, topic, values):
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(topic, value, partition=0)


@cells("transaction-commit")
async def transaction_commit():
    topic = await make_topic("commit")
    async with transactional() as producer:
        for values in [VALUES[:5], VALUES[5:10]]:
            await begin(producer, topic, values)
            await producer.commit_transaction()
    equal(values_of(await read(topic, 10, isolation_level="read_committed")), VALUES[:10])


@cells("transaction-abort")
async def transaction_abort():
    topic = await make_topic("abort")
    async with transactional() as producer:
        await begin(producer, topic, VALUES[:5])
        await producer.abort_transaction()
        await begin(producer, topic, VALUES[5:10])
        await producer.commit_transaction()
    equal(values_of(await read(topic, 5, isolation_level="read_committed")), VALUES[5:10])
    equal(values_of(await read(topic, 10, isolation_level="read_uncommitted")), VALUES[:10])


@cells("transaction-offsets")
async def transaction_offsets():
    topic, group = await make_topic("offsets"), unique("group")
    await produce(topic, VALUES[:10])
    partition = TopicPartition(topic, 0)
    async with transactional() as producer, consumer(topic, group=group) as member:
        await take(member, 5)
        for end, expected in [(producer.abort_transaction, None), (producer.commit_transaction, 5)]:
            await begin(producer, topic, [b"made of five"])
            await producer.send_offsets_to_transaction({partition: 5}, group)
            await end()

            # The coordinator has the end first, the offsets' partition a moment later.
            async def committed():
                return await member.committed(partition) == expected

            await until(committed, f"{expected} is committed")


@cells("transaction-fencing")
async def transaction_fencing():
    topic, identity = await make_topic("fencing"), unique("transaction")
    zombie = transactional(identity)
    await zombie.start()
    await begin(zombie, topic, VALUES[:5])
    async with transactional(identity) as successor:
        try:
            await zombie.commit_transaction()
            raise AssertionError("the fenced producer committed")
        except ProducerFenced:
            await zombie.stop()
        await begin(successor, topic, VALUES[5:10])
        await successor.commit_transaction()
    equal(values_of(await read(topic, 5, isolation_level="read_committed")), VALUES[5:10])


@cells("delete-records")
async def delete_records():
    topic = await make_topic("records")
    await produce(topic, VALUES)
    partition = TopicPartition(topic, 0)
    async with Admin() as admin:
        equal(await admin.delete_records({partition: RecordsToDelete(10)}), {partition: 10})
    equal((await read(topic, 40, offset=10))[0].offset, 10)


@cells("list-offsets")
async def list_offsets():
    topic = await make_topic("offsets")
    await produce(topic, VALUES)
    partition = TopicPartition(topic, 0)
    async with consumer() as source:
        equal(await source.beginning_offsets([partition]), {partition: 0})
        equal(await source.end_offsets([partition]), {partition: len(VALUES)})


NONE = "the client has no such call"
cells.not_applicable(NONE, "delete-group", "log-dirs", "quorum", "api-versions", "perf")
cells.run()
