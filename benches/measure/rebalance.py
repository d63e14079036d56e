"""How long partitions of a group are on their way when a member joins or dies; see scripts/rebalance."""

import argparse
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka.admin import AdminClient, NewTopic

import machine
import nodes
import report
from machine import say

TOPIC, PARTITIONS = "shared", 8
HEARTBEAT_MS, SESSION_MS = 100, 6000
BUDGET = 150  # milliseconds, of each row
SETTINGS = {
    "group.initial.rebalance.delay.ms": 0,
    "group.consumer.min.heartbeat.interval.ms": HEARTBEAT_MS,
    "group.consumer.heartbeat.interval.ms": HEARTBEAT_MS,
    "group.consumer.min.session.timeout.ms": SESSION_MS,
    "group.consumer.session.timeout.ms": SESSION_MS,
}
LIBRDKAFKA = {"group.protocol": "classic", "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": HEARTBEAT_MS}
# Protocol: (client, what it is told)
PROTOCOLS = {
    "classic, aiokafka": ("aiokafka", {"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": HEARTBEAT_MS}),
    "classic, librdkafka, eager": ("librdkafka", {**LIBRDKAFKA, "partition.assignment.strategy": "range"}),
    "classic, librdkafka, cooperative":
        ("librdkafka", {**LIBRDKAFKA, "partition.assignment.strategy": "cooperative-sticky"}),
    "KIP-848, librdkafka": ("librdkafka", {"group.protocol": "consumer"}),
}
EVENTS = {"join": "A second member joins, until both own partitions",
          "kill": "A member is killed, until the other owns all, beyond its session"}


class Member:
    """A process of group_member.py, and what it has told last."""

    def __init__(self, bootstrap, group, protocol, told):
        client, config = PROTOCOLS[protocol]
        program = pathlib.Path(__file__).with_name("group_member.py")
        self.owned, self.joined, self._told = [], None, told  # Owned and joined as of what was last taken from `told`.
        self._process = subprocess.Popen([sys.executable, program, client, bootstrap, group, TOPIC, json.dumps(config)],
                                         text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._process.stdout:
            self._told.put((self, json.loads(line)))

    def take_in(self, event):
        self.joined = self.joined or event["t"]
        self.owned = event["owned"]

    def join(self):
        self._process.stdin.write("join\n")
        self._process.stdin.flush()

    def kill(self):
        """Ends the process; the time just before."""
        now = time.monotonic()
        self._process.kill()
        self._process.wait()
        return now


class Group:
    """Two members, of which the second comes and goes."""

    def __init__(self, bootstrap, name, protocol):
        self._told = queue.Queue()
        self.first, self.second = (Member(bootstrap, name, protocol, self._told) for _ in range(2))

    def _when(self, reached, seconds=60):
        """The time at which the members told what brought them there."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                member, event = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"members own {self.first.owned} and {self.second.owned} after {seconds} s") from None
            member.take_in(event)
            if reached():
                return event["t"]

    def measure(self):
        """(milliseconds of the join, milliseconds of the kill beyond the session)"""
        self.first.join()
        self._when(lambda: len(self.first.owned) == PARTITIONS)
        time.sleep(0.5)
        self.second.join()
        both = self._when(lambda: self.second.owned and len(self.first.owned) + len(self.second.owned) == PARTITIONS)
        join = both - self.second.joined
        time.sleep(1)
        killed = self.second.kill()
        alone = self._when(lambda: len(self.first.owned) == PARTITIONS)
        return join * 1000, (alone - killed) * 1000 - SESSION_MS

    def end(self):
        self.first.kill()
        self.second.kill()


def measure(peer, rounds, folder, results):
    say(f"== {peer}")
    with nodes.PEERS[peer](folder, 1, SETTINGS) as cluster:
        cluster.start()
        cluster.await_whole()
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap(), "log_level": 0})
        for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
            future.result(30)
        for number in range(rounds + 1):
            for at, protocol in enumerate(PROTOCOLS):
                group = Group(cluster.bootstrap(), f"group-{at}-{number}", protocol)
                try:
                    join, kill = group.measure()
                finally:
                    group.end()
                say(f"   {protocol}: join {join:.0f} ms, kill {kill:+.0f} ms{' (not counted)' if number == 0 else ''}")
                if number:  # The first round makes the offsets topic and warms everything.
                    results.setdefault(f"join, {protocol}", {}).setdefault(peer, []).append(join)
                    results.setdefault(f"kill, {protocol}", {}).setdefault(peer, []).append(kill)


def table(results):
    """Milliseconds, a table for each event."""
    for event, what in EVENTS.items():
        yield f"**{what}** (ms, budget {BUDGET})"
        yield ""
        yield from report.table(["", *(peer.title for peer in nodes.PEERS.values())], (
            (protocol, *(report.spread(results.get(f"{event}, {protocol}", {}).get(peer, []), 0) for peer in nodes.PEERS))
            for protocol in PROTOCOLS))
        yield ""


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/rebalance", description=__doc__)
    parser.add_argument("--peers", nargs="+", choices=nodes.PEERS, default=["ottla"], help="in this order (ottla)")
    parser.add_argument("--rounds", type=int, default=5, help="of each protocol, each time (5)")
    parser.add_argument("--folder", help="where the nodes keep their data")
    parser.add_argument("--write", type=pathlib.Path, help="writes the table into this document")
    return parser.parse_args()


def main():
    options = arguments()
    machine.end_in_order()
    machine.build()
    if "kafka" in options.peers:
        subprocess.run([machine.ROOT / "scripts/kafka-peer", "get"], check=True)
    results = {}
    with tempfile.TemporaryDirectory(prefix="ottla-rebalance-", dir=options.folder) as folder:
        for peer in options.peers:
            measure(peer, options.rounds, pathlib.Path(folder), results)
    lines = list(table(results))
    say(*lines, sep="\n")
    if options.write:
        report.replace(options.write, "rebalance", lines)


if __name__ == "__main__":
    main()
