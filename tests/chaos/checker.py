"""Decides from a history alone whether promises were kept. Knows no cluster, no client and no clock.

An outcome that nobody knows is never counted as absent: such a record may be there or not. docs/reliability.md lists
the kinds of violations. Millions of records are held in arrays, and looked at one partition at a time.
"""

import array
import collections
import dataclasses

IN_ORDER = ("idempotent", "transactional")
COMMITTED, ABORTED, OPEN = 1, 2, 3
OUTCOMES = {"ok": COMMITTED, "fail": ABORTED, "info": OPEN}
NUMBER_BITS = 40  # A record is one integer: its client's place above, its number below.
NUMBER = (1 << NUMBER_BITS) - 1
NOWHERE = -1


@dataclasses.dataclass(frozen=True)
class Violation:
    kind: str
    where: str
    what: str


class Sent:
    """What one client sent, by number."""

    def __init__(self, name):
        self.name, self.kind = name, None
        self.tps = array.array("h")  # Which partition, by its place; NOWHERE when it was not sent.
        self.offsets = array.array("q")  # NOWHERE when no acknowledgement told.
        self.invoked = array.array("q")
        self.acked = array.array("q")  # Zero when it was not acknowledged.
        self.outcomes = array.array("b")  # Of its transaction.

    def make_room(self, number):
        more = number + 1 - len(self.tps)
        if more > 0:
            self.tps.extend([NOWHERE] * more)
            self.offsets.extend([NOWHERE] * more)
            for column in (self.invoked, self.acked, self.outcomes):
                column.extend([0] * more)


class Reading:
    """What one client read of one partition, in its order."""

    def __init__(self, client, tp, committed_only, assigned):
        self.client, self.tp, self.committed_only, self.assigned = client, tp, committed_only, assigned
        self.offsets, self.records = array.array("q"), array.array("q")

    def __len__(self):
        return len(self.offsets)

    def __iter__(self):
        return zip(self.offsets, self.records)


class Index:
    """A history by what the checks ask for."""

    def __init__(self, events):
        self.sent = []  # by the client's place
        self.tps = []
        self.transactions = []  # (outcome, client's place, first, last)
        self.readings = {}  # (client, tp) -> Reading
        self.final = {}  # tp -> Reading
        self.ends = {}
        self.resets = []
        self.commits = {}  # (client, id) -> [group, offsets, invoked, finished or None, type]
        self.fetches = []  # [group, offsets, invoked]
        self.replicas = collections.defaultdict(dict)
        self.faults = []
        self.deaths = []
        self.reborn = []
        self.confessions = []  # (client's place, time, what)
        self.count = 0
        self.run = {}
        self._damaged = []  # What was read in place of a record: record -1 is the first.
        self._clients, self._tps, self._asked = {}, {}, {}
        for event in events:
            self.count += 1
            getattr(self, "_" + event["f"], self._other)(event)

    def name(self, record):
        return f"{self.sent[record >> NUMBER_BITS].name}:{record & NUMBER}"

    def damage(self, record):
        """What was found, when the record is none."""
        return self._damaged[-record - 1] if record < 0 else None

    def is_in_order(self, record):
        return record >= 0 and self.sent[record >> NUMBER_BITS].kind in IN_ORDER

    def outcome(self, record):
        """Of the record's transaction; None when it is in none."""
        outcomes = self.sent[record >> NUMBER_BITS].outcomes if record >= 0 else ()
        return outcomes[record & NUMBER] if record & NUMBER < len(outcomes) else None

    def place(self, record):
        """The partition that the record was sent to; None when it was not sent."""
        tps = self.sent[record >> NUMBER_BITS].tps
        number = record & NUMBER
        return self.tps[tps[number]] if number < len(tps) and tps[number] != NOWHERE else None

    def acknowledged(self):
        """(tp, [(offset or NOWHERE, record, invoked, acked)]) of all that was acknowledged, one partition at a time."""
        by_tp = [array.array("q") for _ in self.tps]
        for at, client in enumerate(self.sent):
            for number, acked in enumerate(client.acked):
                if acked:
                    by_tp[client.tps[number]].append(at << NUMBER_BITS | number)
        for tp, records in zip(self.tps, by_tp):
            yield tp, [(client.offsets[number], record, client.invoked[number], client.acked[number])
                       for record in records
                       for client, number in [(self.sent[record >> NUMBER_BITS], record & NUMBER)]]

    def must_be_there(self, record):
        """For what was acknowledged: not in a transaction, or in one that was committed."""
        return self.sent[record >> NUMBER_BITS].kind != "transactional" or self.outcome(record) == COMMITTED

    def _run(self, event):
        self.run = event

    def _client(self, event):
        self._sender(event["client"])[1].kind = event["kind"]

    def _sender(self, name):
        at = self._clients.setdefault(name, len(self.sent))
        if at == len(self.sent):
            self.sent.append(Sent(name))
        return at, self.sent[at]

    def _tp(self, name):
        at = self._tps.setdefault(name, len(self.tps))
        if at == len(self.tps):
            self.tps.append(name)
        return at

    def _send(self, event):
        client, time = self._sender(event["client"])[1], event["t"]
        if event["type"] == "invoke":
            for tp, number in event["records"]:
                client.make_room(number)
                client.tps[number], client.invoked[number] = self._tp(tp), time
        elif event["type"] == "ok":
            for tp, number, offset in event["acks"]:
                client.make_room(number)
                client.tps[number], client.acked[number] = self._tp(tp), time
                client.offsets[number] = NOWHERE if offset is None else offset

    def _txn(self, event):
        at, client = self._sender(event["client"])
        first, last = event["first"], event["last"]
        client.make_room(last)
        for number in range(first, last + 1):
            client.outcomes[number] = OUTCOMES[event["type"]]
        self.transactions.append((event["type"], at, first, last))

    def _confession(self, event):
        self.confessions.append((self._sender(event["client"])[0], event["t"], event["what"]))

    def _poll(self, event):
        key = event["client"], event["tp"]
        if key not in self.readings:
            self.readings[key] = Reading(*key, event["isolation"] == "committed", event["assigned"])
        self._read(self.readings[key], event["records"])

    def _final(self, event):
        tp = event["tp"]
        if tp not in self.final:
            self.final[tp] = Reading("the last reading", tp, True, True)
        self._read(self.final[tp], event["records"])

    def _read(self, reading, records):
        for offset, client, number in records:
            reading.offsets.append(offset)
            if client is None:
                self._damaged.append(number)
                reading.records.append(-len(self._damaged))
            else:
                reading.records.append(self._sender(client)[0] << NUMBER_BITS | number)

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

    def _reborn(self, event):
        self.reborn.append(event)

    def _died(self, event):
        self.deaths.append(event)

    def _other(self, event):
        pass


def check(index):
    """All violations that an indexed history shows."""
    checks = (corrupt, inconsistent, lost, lost_after_reading, duplicated, reordered, out_of_real_time, nonmonotonic,
              skipped, aborted_read, half_transaction, went_back, truncated, unfinished, divergent,
              resurrected)
    return [violation for each in checks for violation in each(index)]


def all_readings(index):
    yield from index.readings.values()
    yield from index.final.values()


def corrupt(index):
    """A payload that does not match its hash, or a record that nobody sent there."""
    for reading in all_readings(index):
        for offset, record in reading:
            if record < 0:
                what = f"offset {offset}, read by {reading.client}: {index.damage(record)}"
                yield Violation("corrupt", reading.tp, what)
            elif index.place(record) != reading.tp:
                yield Violation("corrupt", reading.tp, f"offset {offset}: {index.name(record)} was never sent there")


def inconsistent(index):
    """A2: an offset has one value for ever, in all acknowledgements and all readings."""
    readings = collections.defaultdict(list)
    for reading in all_readings(index):
        readings[reading.tp].append(reading)
    for tp, acks in index.acknowledged():
        values = {}
        told = ((offset, record, "its acknowledgement") for offset, record, _, _ in acks if offset != NOWHERE)
        read = ((offset, record, reading.client) for reading in readings[tp] for offset, record in reading)
        for source in (told, read):
            for offset, record, teller in source:
                first = values.setdefault(offset, record)
                if first != record and min(first, record) >= 0:
                    what = f"offset {offset} is {index.name(first)} and, by {teller}, {index.name(record)}"
                    yield Violation("inconsistent", tp, what)


def lost(index):
    """A1: what was acknowledged is there in the end, at its offset."""
    for tp, acks in index.acknowledged():
        final = index.final.get(tp, ())
        there, held = {record for _, record in final}, {offset for offset, _ in final}
        for offset, record, _, _ in acks:
            if not index.must_be_there(record):
                continue
            if record not in there:
                what = f"{index.name(record)}, acknowledged at offset {offset}, is not there"
                yield Violation("lost", tp, what)
            elif offset != NOWHERE and offset not in held:
                what = f"offset {offset} was acknowledged to hold {index.name(record)} and holds nothing"
                yield Violation("lost", tp, what)


def lost_after_reading(index):
    """A1: what was read as committed is there in the end."""
    held = {}
    for reading in index.readings.values():
        if reading.committed_only:
            if reading.tp not in held:
                held = {reading.tp: {offset for offset, _ in index.final.get(reading.tp, ())}}
            for offset, record in reading:
                if offset not in held[reading.tp]:
                    told = index.damage(record) or index.name(record)
                    what = f"{told}, read by {reading.client} at offset {offset}, is not there in the end"
                    yield Violation("lost", reading.tp, what)


def duplicated(index):
    """B1: a record of a producer with idempotence is stored once."""
    for tp, reading in index.final.items():
        first = {}
        for offset, record in reading:
            if index.is_in_order(record) and first.setdefault(record, offset) != offset:
                what = f"{index.name(record)} at offsets {first[record]} and {offset}{confessed(index, record)}"
                yield Violation("duplicated", tp, what)


def confessed(index, record):
    """Words for it when the record's producer told, before the acknowledgement, that it gives up its epoch."""
    at, number = record >> NUMBER_BITS, record & NUMBER
    sent = index.sent[at]
    for client, time, what in index.confessions:
        if client == at and sent.invoked[number] < time < (sent.acked[number] or time + 1) and "epoch bump" in what:
            return ", whose producer gave up its epoch meanwhile"
    return ""


def reordered(index):
    """A4: a producer with idempotence finds its records in the order in which it sent them."""
    for tp, reading in index.final.items():
        last = {}
        for offset, record in sorted(reading):
            if index.is_in_order(record):
                client = record >> NUMBER_BITS
                if record < last.get(client, -1):
                    what = f"{index.name(record)} at offset {offset} after {index.name(last[client])}"
                    yield Violation("reordered", tp, what)
                last[client] = max(record, last.get(client, -1))


def out_of_real_time(index):
    """A4: what was acknowledged before another was sent lies before it."""
    for tp, acks in index.acknowledged():
        earliest = None
        for offset, record, invoked, acked in sorted(acks, reverse=True):
            if offset == NOWHERE or not invoked:
                continue
            if earliest and earliest[0] < invoked:
                what = (f"{index.name(record)} at offset {offset} was sent after {index.name(earliest[1])} had been "
                        f"acknowledged at offset {earliest[2]}")
                yield Violation("reordered", tp, what)
            if earliest is None or acked < earliest[0]:
                earliest = (acked, record, offset)


def nonmonotonic(index):
    """A reader with an assignment of its own only goes forward."""
    for reading in all_readings(index):
        if reading.assigned:
            for before, after in zip(reading.offsets, reading.offsets[1:]):
                if after <= before:
                    yield Violation("nonmonotonic", reading.tp, f"{reading.client} read {after} after {before}")


def skipped(index):
    """A reader with an assignment of its own leaves out no record that is there in the end."""
    for reading in index.readings.values():
        if reading.assigned and reading.offsets:
            read = set(reading.offsets)
            last = max(read)
            for offset, record in index.final.get(reading.tp, ()):
                if offset <= last and offset not in read:
                    told = index.damage(record) or index.name(record)
                    yield Violation("skipped", reading.tp, f"{reading.client} read past {told} at {offset}")


def aborted_read(index):
    """B: nobody who reads committed records reads one of an aborted transaction."""
    for reading in all_readings(index):
        if reading.committed_only:
            for offset, record in reading:
                if index.outcome(record) == ABORTED:
                    what = f"{reading.client} read {index.name(record)} at {offset}"
                    yield Violation("aborted read", reading.tp, what)


def half_transaction(index):
    """B: a transaction whose outcome nobody knows is there as a whole or not at all."""
    there = {record for reading in index.final.values() for record in reading.records if index.outcome(record)}
    for outcome, client, first, last in index.transactions:
        count = sum(client << NUMBER_BITS | number in there for number in range(first, last + 1))
        if outcome == "info" and 0 < count <= last - first:
            what = f"{count} of the records {first} to {last} are there"
            yield Violation("half transaction", index.sent[client].name, what)


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
    for tp in sorted(set(index.tps) - index.ends.keys()):
        yield Violation("unfinished", tp, "could not be read to its end after all faults had ended")


def resurrected(index):
    """A20: a topic that is created again under its name has nothing of the one that was deleted."""
    for event in index.reborn:
        if first := event["lives"].get("first"):
            yield Violation("resurrected", event["topic"], f"{first} records are of the topic that was deleted")


def divergent(index):
    """A11: all replicas of a partition hold the same bytes."""
    for tp, replicas in index.replicas.items():
        if len(set(replicas.values())) > 1:
            told = ", ".join(f"node {node} {bytes_} bytes {digest[:8]}"
                             for node, (bytes_, digest) in sorted(replicas.items()))
            yield Violation("divergent", tp, told)
