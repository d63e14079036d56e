"""The checker must flag what it is there for: a hand-made bad history of each kind, and any damage to a good one.

    python3 tests/chaos/test_checker.py        needs no cluster and no package
"""

import copy
import itertools
import random
import unittest

import checker
import payload

TPS = ["orders-0", "orders-1"]


def good_history(seed):
    """What a faultless cluster would have shown: two producers, transactions, two readers, a group, three replicas."""
    rng, clock, events = random.Random(seed), itertools.count(1), []

    def note(type_, f, **fields):
        events.append({"t": next(clock), "type": type_, "f": f, **fields})

    logs = {tp: [] for tp in TPS}
    numbers = dict.fromkeys(("a", "b", "x"), 0)
    note("ok", "client", client="a", kind="idempotent")
    note("ok", "client", client="b", kind="plain")
    note("ok", "client", client="x", kind="transactional")
    read, positions, asked = dict.fromkeys(TPS, 0), dict.fromkeys(TPS, 0), 0
    for _ in range(30):
        client, tp = rng.choice("abx"), rng.choice(TPS)
        first, count = numbers[client], rng.randint(1, 4)
        numbers[client] += count
        note("invoke", "send", client=client, records=[[tp, first + i] for i in range(count)])
        aborted = client == "x" and rng.random() < 0.4
        acks = []
        for i in range(count):
            acks.append([tp, first + i, len(logs[tp])])
            logs[tp].append((client, first + i, aborted))
        note("ok", "send", client=client, acks=acks)
        if client == "x":
            logs[tp].append(None)  # The marker that ends a transaction takes an offset.
            note("fail" if aborted else "ok", "txn", client=client, first=first, last=numbers[client] - 1)
        tp = rng.choice(TPS)
        if records := committed(logs[tp], read[tp]):
            note("ok", "poll", client="r", tp=tp, isolation="committed", assigned=True, records=records)
            note("ok", "poll", client="m", tp=tp, isolation="committed", assigned=False, records=records)
            read[tp] = positions[tp] = records[-1][0] + 1
            asked += 1
            for type_ in ("invoke", "ok"):
                note(type_, "commit", client="m", group="g", id=asked, offsets={tp: positions[tp]})
    note("invoke", "committed", client="o", group="g", id=1)
    note("ok", "committed", client="o", group="g", id=1, offsets=dict(positions))
    for tp in TPS:
        note("ok", "final", client="last", tp=tp, records=committed(logs[tp], 0))
        note("ok", "end", tp=tp, offset=len(logs[tp]))
        for node in (1, 2, 3):
            note("ok", "replica", node=node, tp=tp, bytes=100, digest="same")
    return events


def committed(log, begin):
    return [[offset, record[0], record[1]] for offset, record in enumerate(log)
            if record and not record[2] and offset >= begin]


def kinds(events):
    return {violation.kind for violation in checker.check(checker.Index(events))}


def events_of(events, f, type_="ok"):
    return [event for event in events if event["f"] == f and event["type"] == type_ and event.get("records", True)]


def short(*records, client="a", kind="idempotent"):
    """One client, one partition, these records acknowledged at offsets from 0 on; nothing read yet."""
    return [
        {"t": 1, "type": "ok", "f": "client", "client": client, "kind": kind},
        {"t": 2, "type": "invoke", "f": "send", "client": client, "records": [["t-0", number] for number in records]},
        {"t": 3, "type": "ok", "f": "send", "client": client,
         "acks": [["t-0", number, offset] for offset, number in enumerate(records)]},
    ]


def poll(*records, client="r", isolation="committed", assigned=True):
    return {"t": 4, "type": "ok", "f": "poll", "client": client, "tp": "t-0", "isolation": isolation,
            "assigned": assigned, "records": [list(record) for record in records]}


def final(*records):
    return [{"t": 9, "type": "ok", "f": "final", "client": "last", "tp": "t-0", "records": [list(r) for r in records]},
            {"t": 9, "type": "ok", "f": "end", "tp": "t-0", "offset": 9}]


def transaction(outcome):
    return {"t": 4, "type": outcome, "f": "txn", "client": "a", "first": 0, "last": 1}


def group(f, times, type_="ok", offset=None, id_=1):
    fields = {"client": "m", "group": "g", "id": id_}
    offsets = {"offsets": {"t-0": offset}}
    invoke = {"t": times[0], "type": "invoke", "f": f, **fields, **(offsets if f == "commit" else {})}
    return [invoke, {"t": times[1], "type": type_, "f": f, **fields, **offsets}]


A0, A1, A2 = (0, "a", 0), (1, "a", 1), (2, "a", 2)

BAD = {
    "lost": [*short(0, 1), *final(A0)],
    "duplicated": [*short(0, 1), *final(A0, A1, (2, "a", 1))],
    "reordered": [*short(1, 0), *final((0, "a", 1), (1, "a", 0))],
    "inconsistent": [*short(0, 1), poll((0, "a", 1)), *final(A0, A1)],
    "corrupt": [*short(0), *final(A0, (1, None, "what lay there"))],
    "nonmonotonic": [*short(0, 1), poll(A1, A0), *final(A0, A1)],
    "skipped": [*short(0, 1, 2), poll(A0, A2), *final(A0, A1, A2)],
    "truncated": [*short(0), *final(A0),
                  {"t": 5, "type": "info", "f": "reset", "client": "r", "tp": "t-0", "offset": 4}],
    "aborted read": [*short(0, 1, kind="transactional"), transaction("fail"), poll(A0, A1), *final()],
    "half transaction": [*short(0, 1, kind="transactional"), transaction("info"), *final(A0)],
    "went back": [*short(0), *group("commit", (4, 5), offset=7), *group("committed", (6, 7), offset=3), *final(A0)],
    "divergent": [*short(0), *({"t": 9, "type": "ok", "f": "replica", "node": node, "tp": "t-0", "bytes": 1,
                                "digest": str(node)} for node in (1, 2)), *final(A0)],
    "unfinished": [*short(0), *final(A0)[:1]],
    "resurrected": [*short(0), *final(A0), {"t": 9, "type": "ok", "f": "reborn", "topic": "reborn-1", "acknowledged": 2,
                                            "lives": {"first": 1, "second": 2}}],
}


class HandMade(unittest.TestCase):
    def test_each_kind_is_flagged(self):
        for kind, events in BAD.items():
            with self.subTest(kind):
                self.assertIn(kind, kinds(events))

    def test_order_in_real_time_is_checked_across_clients(self):
        late = [{**event, "t": event["t"] + 4} for event in short(5, client="b", kind="plain")]
        events = [*short(0), *late, *final((0, "b", 5), (1, "a", 0))]
        events[2]["acks"] = [["t-0", 0, 1]]
        self.assertEqual({"reordered"}, kinds(events))

    def test_unknown_outcomes_may_be_there_or_not(self):
        sent = short(0)[:2]
        self.assertEqual(set(), kinds([*sent, *final()]))
        self.assertEqual(set(), kinds([*sent, *final(A0)]))

    def test_a_duplicate_is_one_also_when_its_producer_gave_up_its_epoch(self):
        bump = {"t": 2.5, "type": "info", "f": "confession", "client": "a", "what": "epoch bump for 2 partitions"}
        events = [*short(0), *final(A0, (1, "a", 0))]
        events.insert(2, bump)
        found, = checker.check(checker.Index(events))
        self.assertEqual("duplicated", found.kind)
        self.assertIn("gave up its epoch", found.what)

    def test_a_plain_producer_may_store_twice(self):
        events = short(0, kind="plain")
        self.assertEqual(set(), kinds([*events, *final(A0, (1, "a", 0))]))

    def test_a_commit_of_unknown_outcome_may_take_effect_late(self):
        history = [*short(0), *group("commit", (2, 3), "info", 3, 1), *group("commit", (4, 5), "ok", 7, 2),
                   *group("committed", (6, 7), offset=3), *final(A0)]
        self.assertEqual(set(), kinds(history))

    def test_a_forgotten_commit_is_one_that_went_back(self):
        history = [*short(0), *group("commit", (4, 5), offset=7), *group("committed", (6, 7)), *final(A0)]
        self.assertEqual({"went back"}, kinds(history))

    def test_a_payload_that_changed_is_noticed(self):
        whole = payload.encode("a", 17)
        self.assertEqual(("a", 17), payload.decode(payload.key("a", 17), whole))
        for at in range(len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= 1
            self.assertIsNone(payload.decode(payload.key("a", 17), bytes(damaged))[0], f"byte {at}")
        self.assertIsNone(payload.decode(payload.key("a", 18), whole)[0])


def leave_out_a_last_record(events, rng):
    records = rng.choice(events_of(events, "final"))["records"]
    # What only a producer without acknowledgement sent might be missing; here all were acknowledged.
    del records[rng.randrange(len(records))]


def repeat_a_record(events, rng):
    event = rng.choice([event for event in events_of(events, "final") if any(r[1] in "ax" for r in event["records"])])
    record = rng.choice([record for record in event["records"] if record[1] in "ax"])
    event["records"].append([event["records"][-1][0] + 10, *record[1:]])


def swap_two_values(events, rng):
    records = rng.choice([event["records"] for event in events_of(events, "final") if len(event["records"]) > 1])
    one, other = rng.sample(range(len(records)), 2)
    records[one][1:], records[other][1:] = records[other][1:], records[one][1:]


def change_a_poll(events, rng):
    rng.choice(rng.choice(events_of(events, "poll"))["records"])[2] += 1


def change_an_acknowledgement(events, rng):
    # Nobody can tell where an aborted record lies who reads committed ones.
    rng.choice(rng.choice([event for event in events_of(events, "send") if event["client"] != "x"])["acks"])[2] += 1


def damage_a_payload(events, rng):
    rng.choice(rng.choice(events_of(events, "poll") + events_of(events, "final"))["records"])[1:] = [None, "damaged"]


def leave_out_of_a_poll(events, rng):
    polls = [event for event in events_of(events, "poll") if event["client"] == "r" and len(event["records"]) > 1]
    # The last record of all polls may be missing: the reader may have ended before it.
    del rng.choice(polls)["records"][0]


def read_again(events, rng):
    records = rng.choice([event for event in events_of(events, "poll") if event["client"] == "r"])["records"]
    records.append(records[0])


def abort_what_was_committed(events, rng):
    there = {(record[1], record[2]) for event in events_of(events, "final") for record in event["records"]}
    event = rng.choice([event for event in events_of(events, "txn") if (event["client"], event["first"]) in there])
    event["type"] = "fail"


def forget_a_commit(events, rng):
    offsets = events_of(events, "committed")[0]["offsets"]
    tp = rng.choice([tp for tp, offset in offsets.items() if offset])
    offsets[tp] = rng.choice([None, -1])


def change_a_replica(events, rng):
    rng.choice(events_of(events, "replica"))["digest"] = "other"


def do_not_finish(events, rng):
    events.remove(rng.choice(events_of(events, "end")))


DAMAGES = (leave_out_a_last_record, repeat_a_record, swap_two_values, change_a_poll, change_an_acknowledgement,
           damage_a_payload, leave_out_of_a_poll, read_again, abort_what_was_committed, forget_a_commit,
           change_a_replica, do_not_finish)


class RandomDamage(unittest.TestCase):
    def test_good_histories_are_good(self):
        for seed in range(100):
            self.assertEqual([], checker.check(checker.Index(good_history(seed))), f"seed {seed}")

    def test_every_damage_is_flagged(self):
        count, missed = 0, []
        for damage in DAMAGES:
            for seed in range(50):
                events = copy.deepcopy(good_history(seed))
                damage(events, random.Random(seed))
                count += 1
                if not kinds(events):
                    missed.append(f"{damage.__name__}, seed {seed}")
        print(f"random damage to good histories: {count - len(missed)} of {count} flagged")
        self.assertEqual([], missed)


if __name__ == "__main__":
    unittest.main()
