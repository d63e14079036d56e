"""Groups of the consumer protocol (KIP-848) with real clients: members come, go and die, and groups go from the classic
protocol to the new one and back while they work.

A member is a program that is told: bootstrap servers, group, topic, protocol. It tells what it owns and gives back
(`OWN`, `GIVE`, `LOST`, with the time and the partitions), what it has read (`READ partition first last`) and what it has
committed (`DONE`, the same). Each record must be done once, by one member; no partition may have two owners at a time.
"""

import collections
import itertools
import pathlib
import subprocess
import sys
import threading
import time

import jvm
import logs

PARTITIONS = 12
SETTLE_SECONDS = 120


def _java():
    return jvm.command("Member", classes=jvm.compiled(jvm.HERE / "Member.java"), heap="96M")


def _librdkafka():
    return [sys.executable, str(jvm.HERE / "member.py")]


CLIENTS = {"java": _java, "librdkafka": _librdkafka}


class Member:
    """One member in one life."""

    def __init__(self, command, log, words):
        self.log, self.killed_at, self._lines = pathlib.Path(log), None, []
        with open(self.log, "w") as output:
            self._process = subprocess.Popen([*command, *words], stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self.killed_at = int(time.time() * 1000)

    def leave(self):
        """Ends in order."""
        self._process.terminate()
        self._process.wait(60)

    def is_up(self):
        return self._process.poll() is None

    def told(self, word):
        """What follows this word in its output, line by line, in words; a line that it is still writing is left out."""
        whole = self.log.read_text(errors="replace").rpartition("\n")[0]
        return [line.split()[1:] for line in whole.splitlines() if line.startswith(word + " ")]

    def changes(self):
        """When it got partitions and gave them back: (time, word, partitions)."""
        events = [(int(at), word, {int(number) for number in numbers.split(",")})
                  for word in ("OWN", "GIVE", "LOST") for at, numbers in self.told(word)]
        order = {"GIVE": 0, "LOST": 0, "OWN": 1}
        return sorted(events, key=lambda event: (event[0], order[event[1]]))

    def owned(self):
        """What it has now."""
        owned = set()
        for _, word, partitions in self.changes():
            owned = owned | partitions if word == "OWN" else owned - partitions
        return owned if self.is_up() else set()

    def ranges(self, word):
        return [tuple(map(int, line)) for line in self.told(word)]


class Feeder(threading.Thread):
    """Writes numbered records to all partitions until told to stop."""

    def __init__(self, bootstrap, topic, rate):
        super().__init__(daemon=True)
        self._producer, self._topic, self._rate = logs.producer(bootstrap), topic, rate
        self.written, self._over = collections.Counter(), threading.Event()

    def run(self):
        turns = itertools.cycle(range(PARTITIONS))
        while not self._over.wait(0.1):
            for partition in itertools.islice(turns, self._rate // 10):
                self._producer.produce(self._topic, str(self.written[partition]), partition=partition)
                self.written[partition] += 1
            self._producer.poll(0)

    def stop(self):
        self._over.set()
        self.join()
        left = self._producer.flush(60)
        assert left == 0, f"{left} records were never acknowledged"


class Group:
    """A group that works: its members in all their lives, and what feeds them."""

    def __init__(self, client, name, home, bootstrap, rate):
        self._command, self._client, self._name = CLIENTS[client](), client, name
        self._home, self._bootstrap = home, bootstrap
        self.topic = f"{name}-{client}"
        logs.make_topics(bootstrap, {self.topic: PARTITIONS})
        self.members, self.rebalances, self.slowest = [], 0, 0.0
        self.feeder = Feeder(bootstrap, self.topic, rate)
        self.feeder.start()

    def join(self, protocol="consumer"):
        log = self._home / f"{self.topic}-{len(self.members)}-{protocol}.log"
        self.members.append(Member(self._command, log, [self._bootstrap, self.topic, self.topic, protocol]))
        return self.members[-1]

    def settle(self):
        """Waits until the members that live share all partitions, as evenly as it goes."""
        begin = time.monotonic()
        while True:
            shares = [member.owned() for member in self.members if member.is_up()]
            even = max(map(len, shares)) - min(map(len, shares)) <= 1
            if sum(map(len, shares)) == PARTITIONS and len(set().union(*shares)) == PARTITIONS and even:
                break
            assert time.monotonic() < begin + SETTLE_SECONDS, f"{self.topic} does not settle: {shares}"
            time.sleep(0.05)
        self.rebalances += 1
        self.slowest = max(self.slowest, time.monotonic() - begin)
        time.sleep(1)  # So that there is work between two changes.

    def end(self):
        """Waits until all is done; what is wrong, in words."""
        self.feeder.stop()
        begin = time.monotonic()
        while self._is_behind() and time.monotonic() < begin + SETTLE_SECONDS:
            time.sleep(0.2)
        for member in self.members:
            if member.is_up():
                member.leave()
        return self.wrong()

    def _is_behind(self):
        ends = collections.Counter()
        for member in self.members:
            for partition, _, last in member.ranges("DONE"):
                ends[partition] = max(ends[partition], last + 1)
        return ends != self.feeder.written

    def wrong(self):
        found = [f"{self.topic}-{partition}: {what}" for partition in range(PARTITIONS)
                 for what in self._wrong_records(partition) + self._wrong_owners(partition)]
        strange = [line for member in self.members for line in member.told("ERROR")]
        return found + [f"{self.topic}: a member told {' '.join(line)}" for line in strange]

    def _wrong_records(self, partition):
        """The ranges that were done follow each other from the first record to the last. Only where a member was killed
        may a range be missing that it had read: it was killed between the commit and telling of it."""
        done = sorted((first, last) for member in self.members
                      for at, first, last in member.ranges("DONE") if at == partition)
        untold = {number for member in self.members if member.killed_at
                  for at, first, last in member.ranges("READ")[-PARTITIONS:] if at == partition
                  for number in range(first, last + 1)}
        found, expected = [], 0
        for first, last in [*done, (self.feeder.written[partition], None)]:
            if first < expected:
                found.append(f"records {first} to {min(last or first, expected - 1)} were done twice")
            missing = [number for number in range(expected, first) if number not in untold]
            if missing:
                found.append(f"records {missing[0]} to {missing[-1]} were never done")
            expected = max(expected, (last or 0) + 1)
        return found

    def _wrong_owners(self, partition):
        """From when to when each member had the partition; none begins before the last one has ended (C3)."""
        spans = []
        for number, member in enumerate(self.members):
            begin = None
            for at, word, partitions in member.changes():
                if partition in partitions:
                    if word == "OWN":
                        begin = at
                    elif begin is not None:
                        spans.append((begin, at, number))
                        begin = None
            if begin is not None:
                spans.append((begin, member.killed_at or 1 << 62, number))
        spans.sort()
        return [f"members {a} and {b} had it at the same time" for (_, end, a), (begin, _, b) in
                itertools.pairwise(spans) if begin < end]


def come_and_go(group):
    """Three members come one after the other, one leaves and comes back, one is killed."""
    for _ in range(3):
        group.join()
        group.settle()
    group.members[1].leave()
    group.settle()
    group.join()
    group.settle()
    group.members[2].kill()
    group.settle()


def migrate(group):
    """Three classic members are replaced one by one by members of the new protocol, and these by classic ones."""
    for _ in range(3):
        group.join("classic")
    group.settle()
    for number, protocol in enumerate(["consumer"] * 3 + ["classic"] * 3):
        group.members[number].leave()
        group.join(protocol)
        group.settle()


def run(cluster, home, options):
    """Plays it on a running cluster; a list of what is wrong."""
    found = []
    for client in CLIENTS:
        for play in (come_and_go, migrate):
            group = Group(client, play.__name__.replace("_", "-"), home, cluster.bootstrap(), options.rate)
            play(group)
            found += group.end()
            refused = sum(len(member.told("REFUSED")) for member in group.members)
            lost = sum(len(member.told("LOST")) for member in group.members)
            print(f"{client}, {play.__name__.replace('_', ' ')}: {group.feeder.written.total():,} records, "
                  f"{len(group.members)} members, {group.rebalances} times settled, the slowest after "
                  f"{group.slowest:.1f} s; {refused} commits refused, {lost} times partitions lost", flush=True)
    return found
