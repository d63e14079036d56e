"""Decides from a history alone whether promises were kept. Knows no cluster, no client and no clock.

An outcome that nobody knows is never counted as absent: such a record may be there or not. docs/reliability.md lists
the kinds of violations.
"""

import collections
import dataclasses

IN_ORDER = ("idempotent", "transactional")


@dataclasses.dataclass(frozen=True)
class Violation:
    kind: str
    where: str
    what: str


@dataclasses.dataclass
class Reading:
    """What one client read of one partition, in its order."""

    client: str
    tp: str
    committed_only: bool
    assigned: bool
    records: list = dataclasses.field(default_factory=list)


class Index:
    """A history by what the checks ask for."""

    def __init__(self, events):
        self.kinds = {}
        self.invoked = {}  # (client, number) -> (tp, time)
        self.acks = {}  # (client, number) -> (tp, offset or None, time)
        self.transactions = []  # (outcome, client, first, last)
        self.readings = {}  # (client, tp) -> Reading
        self.final = collections.defaultdict(list)
        self.ends = {}
        self.resets = []
        self.commits = {}  # (client, id) -> [group, offsets, invoked, finished or None, type]
        self.fetches = []  # [group, offsets, invoked]
        self.replicas = collections.defaultdict(dict)
        self.faults = []
        self.deaths = []
        self.count = 0
        self.run = {}
        self._asked = {}
        for event in events:
            self.count += 1
            getattr(self, "_" + event["f"], self._other)(event)

    def is_aborted(self):
        aborted = set()
        for outcome, client, first, last in self.transactions:
            if outcome == "fail":
                aborted.update((client, number) for number in range(first, last + 1))
        return aborted

    def kept(self):
        """The records that must be there: acknowledged, and if in a transaction, committed."""
        committed = set()
        for outcome, client, first, last in self.transactions:
            if outcome == "ok":
                committed.update((client, number) for number in range(first, last + 1))
        for record, (tp, offset, _) in self.acks.items():
            if self.kinds.get(record[0]) != "transactional" or record in committed:
                yield record, tp, offset

    def _run(self, event):
        self.run = event

    def _client(self, event):
        self.kinds[event["client"]] = event["kind"]

    def _send(self, event):
        if event["type"] == "invoke":
            for tp, number in event["records"]:
                self.invoked[event["client"], number] = (tp, event["t"])
        elif event["type"] == "ok":
            for tp, number, offset in event["acks"]:
                self.acks[event["client"], number] = (tp, offset, event["t"])

    def _txn(self, event):
        self.transactions.append((event["type"], event["client"], event["first"], event["last"]))

    def _poll(self, event):
        key = event["client"], event["tp"]
        if key not in self.readings:
            self.readings[key] = Reading(*key, event["isolation"] == "committed", event["assigned"])
        self.readings[key].records.extend(map(tuple, event["records"]))

    def _final(self, event):
        self.final[event["tp"]].extend(map(tuple, event["records"]))

    def _end(self, event):
        self.ends[event["tp"]] = event["offset"]

    def _reset(self, event):
        self.resets.append(event)

    def _commit(self, event):
        key = event["client"], event["id"]
        if event["type"] == "invoke":
            self.commits[key] = [event["group"], event["offsets"], event["t"], None, "info"]
        else:
            self.commits[key][3:] = [event["t"], event["type"]]

    def _committed(self, event):
        key = event["client"], event["id"]
        if event["type"] == "invoke":
            self._asked[key] = event["t"]
        elif event["type"] == "ok":
            self.fetches.append((event["group"], event["offsets"], self._asked[key]))

    def _replica(self, event):
        self.replicas[event["tp"]][event["node"]] = (event["bytes"], event["digest"])

    def _fault(self, event):
        self.faults.append(event)

    def _died(self, event):
        self.deaths.append(event)

    def _other(self, event):
        pass


def check(index):
    """All violations that an indexed history shows."""
    checks = (corrupt, inconsistent, lost, duplicated, reordered, out_of_real_time, nonmonotonic, skipped, aborted_read,
              half_transaction, went_back, truncated, unfinished, divergent)
    return [violation for each in checks for violation in each(index)]


def name(record):
    return f"{record[0]}:{record[1]}"


def all_readings(index):
    yield from index.readings.values()
    for tp, records in index.final.items():
        yield Reading("the last reading", tp, True, True, records)


def corrupt(index):
    """A payload that does not match its hash, or a record that nobody sent there."""
    for reading in all_readings(index):
        for offset, client, number in reading.records:
            if client is None:
                yield Violation("corrupt", reading.tp, f"offset {offset}, read by {reading.client}: {number}")
            elif index.invoked.get((client, number), (None,))[0] != reading.tp:
                yield Violation("corrupt", reading.tp, f"offset {offset}: {client}:{number} was never sent there")


def inconsistent(index):
    """A2: an offset has one value for ever, in all acknowledgements and all readings."""
    values = {}
    found = ((tp, offset, record, "its acknowledgement") for record, (tp, offset, _) in index.acks.items()
             if offset is not None)
    read = ((reading.tp, offset, (client, number), reading.client) for reading in all_readings(index)
            for offset, client, number in reading.records)
    for source in (found, read):
        for tp, offset, record, teller in source:
            first = values.setdefault((tp, offset), (record, teller))
            if first[0] != record:
                yield Violation("inconsistent", tp, f"offset {offset} is {name(first[0])} by {first[1]} "
                                                    f"and {name(record)} by {teller}")


def lost(index):
    """A1: what was acknowledged, or read as committed, is there in the end, at its offset."""
    places = {tp: {(client, number): offset for offset, client, number in records}
              for tp, records in index.final.items()}
    held = {tp: {offset for offset, _, _ in records} for tp, records in index.final.items()}
    for record, tp, offset in index.kept():
        if record not in places.get(tp, {}):
            yield Violation("lost", tp, f"{name(record)}, acknowledged at offset {offset}, is not there")
        elif offset is not None and offset not in held[tp]:
            yield Violation("lost", tp, f"offset {offset} was acknowledged to hold {name(record)} and holds nothing")
    for reading in index.readings.values():
        if reading.committed_only:
            for offset, client, number in reading.records:
                if offset not in held.get(reading.tp, ()):
                    yield Violation("lost", reading.tp, f"{client}:{number}, read by {reading.client} at offset "
                                                        f"{offset}, is not there in the end")


def duplicated(index):
    """B1: a record of a producer with idempotence is stored once."""
    for tp, records in index.final.items():
        first = {}
        for offset, client, number in records:
            if index.kinds.get(client) in IN_ORDER and first.setdefault((client, number), offset) != offset:
                yield Violation("duplicated", tp, f"{client}:{number} at offsets {first[client, number]} and {offset}")


def reordered(index):
    """A4: a producer with idempotence finds its records in the order in which it sent them."""
    for tp, records in index.final.items():
        last = {}
        for offset, client, number in sorted(records, key=lambda record: record[0]):
            if index.kinds.get(client) in IN_ORDER:
                if number < last.get(client, -1):
                    what = f"{client}:{number} at offset {offset} after {client}:{last[client]}"
                    yield Violation("reordered", tp, what)
                last[client] = max(number, last.get(client, -1))


def out_of_real_time(index):
    """A4: what was acknowledged before another was sent lies before it."""
    by_partition = collections.defaultdict(list)
    for record, (tp, offset, acked) in index.acks.items():
        if offset is not None and record in index.invoked:
            by_partition[tp].append((offset, index.invoked[record][1], acked, record))
    for tp, acks in by_partition.items():
        earliest = None
        for offset, invoked, acked, record in sorted(acks, reverse=True):
            if earliest and earliest[0] < invoked:
                what = (f"{name(record)} at offset {offset} was sent after {name(earliest[1])} had been acknowledged "
                        f"at offset {earliest[2]}")
                yield Violation("reordered", tp, what)
            if earliest is None or acked < earliest[0]:
                earliest = (acked, record, offset)


def nonmonotonic(index):
    """A reader with an assignment of its own only goes forward."""
    for reading in all_readings(index):
        if reading.assigned:
            for before, after in zip(reading.records, reading.records[1:]):
                if after[0] <= before[0]:
                    yield Violation("nonmonotonic", reading.tp, f"{reading.client} read {after[0]} after {before[0]}")


def skipped(index):
    """A reader with an assignment of its own leaves out no record that is there in the end."""
    for reading in index.readings.values():
        if reading.assigned and reading.records:
            read = {offset for offset, _, _ in reading.records}
            last = max(read)
            for offset, client, number in index.final.get(reading.tp, ()):
                if offset <= last and offset not in read:
                    yield Violation("skipped", reading.tp, f"{reading.client} read past {client}:{number} at {offset}")


def aborted_read(index):
    """B: nobody who reads committed records reads one of an aborted transaction."""
    aborted = index.is_aborted()
    for reading in all_readings(index):
        if reading.committed_only:
            for offset, client, number in reading.records:
                if (client, number) in aborted:
                    yield Violation("aborted read", reading.tp, f"{reading.client} read {client}:{number} at {offset}")


def half_transaction(index):
    """B: a transaction whose outcome nobody knows is there as a whole or not at all."""
    there = {(client, number) for records in index.final.values() for _, client, number in records}
    for outcome, client, first, last in index.transactions:
        count = sum((client, number) in there for number in range(first, last + 1))
        if outcome == "info" and 0 < count <= last - first:
            yield Violation("half transaction", client, f"{count} of the records {first} to {last} are there")


def went_back(index):
    """C1: a group's committed offset does not go back, but for commits whose outcome was open at the time."""
    commits = collections.defaultdict(list)
    for group, offsets, invoked, finished, outcome in index.commits.values():
        for tp, offset in offsets.items():
            if outcome != "fail":
                commits[group, tp].append((finished if outcome == "ok" else None, invoked, offset))
    fetches = collections.defaultdict(list)
    for group, offsets, asked in index.fetches:
        for tp, offset in offsets.items():
            fetches[group, tp].append((asked, -1 if offset is None else offset))
    for key, asked_and_got in fetches.items():
        acked = sorted(commit for commit in commits[key] if commit[0] is not None)
        open_offsets = {offset for finished, _, offset in commits[key] if finished is None}
        best, position = None, 0
        for asked, got in sorted(asked_and_got):
            while position < len(acked) and acked[position][0] < asked:
                if best is None or acked[position][2] >= best[2]:
                    best = acked[position]
                position += 1
            if best is None or got >= best[2] or got in open_offsets:
                continue
            overlapping = any(offset == got and finished > best[1] for finished, _, offset in acked)
            if not overlapping:
                yield Violation("went back", key[1], f"group {key[0]} had {best[2]} acknowledged and was told {got}")


def truncated(index):
    """A position that a reader had reached is there for ever."""
    for event in index.resets:
        yield Violation("truncated", event["tp"], f"{event['client']} had reached {event['offset']}, "
                                                  "which is out of range now")


def unfinished(index):
    """F3: once the faults are over, every partition can be read to its end."""
    for tp in sorted({tp for tp, _ in index.invoked.values()} - index.ends.keys()):
        yield Violation("unfinished", tp, "could not be read to its end after all faults had ended")


def divergent(index):
    """A11: all replicas of a partition hold the same bytes."""
    for tp, replicas in index.replicas.items():
        if len(set(replicas.values())) > 1:
            told = ", ".join(f"node {node} {bytes_} bytes {digest[:8]}"
                             for node, (bytes_, digest) in sorted(replicas.items()))
            yield Violation("divergent", tp, told)
