"""A member of a group as a process of its own, which can be killed: joins when told to, and tells what it owns.

    group_member.py librdkafka|aiokafka BOOTSTRAP GROUP TOPIC CONFIG

Each line it writes is JSON with `t` (monotonic seconds, one clock for all processes) and `owned`, its partitions.
"""

import asyncio
import json
import sys
import time


class Owned:
    """What a member owns; told whenever it changes."""

    def __init__(self):
        self._partitions = set()
        self.tell()

    def tell(self):
        print(json.dumps({"t": time.monotonic(), "owned": sorted(self._partitions)}), flush=True)

    def take(self, partitions):
        self._partitions.update(partition.partition for partition in partitions)
        self.tell()

    def give_up(self, partitions):
        self._partitions.difference_update(partition.partition for partition in partitions)
        self.tell()


def librdkafka(bootstrap, group, topic, config):
    from confluent_kafka import Consumer
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0, **config})
    sys.stdin.readline()
    owned = Owned()

    def taken(_, partitions):
        owned.take(partitions)

    def given_up(_, partitions):
        owned.give_up(partitions)

    consumer.subscribe([topic], on_assign=taken, on_revoke=given_up, on_lost=given_up)
    while True:
        consumer.poll(0.01)


def aiokafka(*given):
    asyncio.run(aiokafka_member(*given))


async def aiokafka_member(bootstrap, group, topic, config):
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            owned.give_up(revoked)

        async def on_partitions_assigned(self, assigned):
            owned.take(assigned)

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, **config)
    sys.stdin.readline()
    owned = Owned()
    consumer.subscribe([topic], listener=Listener())
    await consumer.start()
    while True:
        await consumer.getmany(timeout_ms=10)


if __name__ == "__main__":
    {"librdkafka": librdkafka, "aiokafka": aiokafka}[sys.argv[1]](*sys.argv[2:5], json.loads(sys.argv[5]))
