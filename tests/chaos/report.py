"""Figures of runs, each from its history alone, and what a document tells of them."""

import collections
import json
import re

SECOND = 1_000_000_000
GAP_SECONDS = 0.5  # Shorter silence of a partition is taken for the pace of its producers.
BOUNDS = (1, 2, 4, 8, 16, 32)
LONGEST = 6  # silences told of each run
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"


def figures(index, violations):
    """What is told of a run, as JSON can hold it."""
    faults, silences = done(index), sorted(gaps(index), reverse=True)
    sent, acked = count_sent(index), count_acked(index)
    return {
        "run": {key: index.run.get(key) for key in ("peer", "seed", "minutes", "nodes", "rate", "sabotage")},
        "seconds": (max((end for _, end, *_ in faults), default=0) - min((t for t, *_ in faults), default=0)) // SECOND,
        "faults": collections.Counter(kind for _, _, kind, _ in faults),
        "sent": sent,
        "acknowledged": acked,
        "unknown": sent - sum(acked.values()),
        "read": sum(map(len, index.readings.values())),
        "last reading": sum(map(len, index.final.values())),
        "replicas": sum(map(len, index.replicas.values())),
        "lines": index.count,
        "transactions": collections.Counter(outcome for outcome, *_ in index.transactions),
        "commits": len(index.commits),
        "epochs given up": sum("epoch bump" in what for _, _, what in index.confessions),
        "producers ended": sum("Fatal error" in what for _, _, what in index.confessions),
        "deaths": [[event["node"], event["code"]] for event in index.deaths],
        "violations": collections.Counter(violation.kind for violation in violations),
        "silences": histogram(silences),
        "longest": [[seconds, tps, during(faults, seconds, begin)] for seconds, begin, tps in apart(silences)[:LONGEST]],
    }


def summary(told):
    """Lines that tell a run."""
    acked = told["acknowledged"]
    yield f"{sum(told['faults'].values())} faults of {len(told['faults'])} kinds in {told['seconds']} seconds"
    yield (f"{told['sent']} records sent, {sum(acked.values())} acknowledged, {told['unknown']} with an unknown outcome, "
           f"{told['read']} read while faults struck, {told['last reading']} in the last reading, {told['lines']} lines "
           "of history")
    outcomes = told["transactions"]
    yield f"transactions: {', '.join(f'{outcomes.get(key, 0)} {word}' for key, word in OUTCOMES.items())}"
    yield f"group: {told['commits']} commits; replicas compared: {told['replicas']}"
    longest = max((seconds for seconds, *_ in told["longest"]), default=0)
    yield (f"partitions without an acknowledgement for more than {GAP_SECONDS} s: {sum(told['silences'])} times, longest "
           f"{longest:.1f} s")
    yield f"producers gave up {told['epochs given up']} epochs, and {told['producers ended']} ended for good"
    for node, code in told["deaths"]:
        yield f"node {node} ended by itself with {code}"


OUTCOMES = {"ok": "committed", "fail": "aborted", "info": "unknown"}


def count_sent(index):
    return sum(sum(map(bool, client.invoked)) for client in index.sent)


def count_acked(index):
    """How many records of each kind of producer were acknowledged."""
    counts = collections.Counter()
    for client in index.sent:
        counts[client.kind] += sum(map(bool, client.acked))
    return counts


def done(index):
    """(begin, end, kind, nodes) of each fault that struck."""
    begun = {event["id"]: event for event in index.faults if event["type"] == "invoke"}
    ended = {event["id"]: event["t"] for event in index.faults if event["type"] == "ok"}
    return [(event["t"], ended.get(id_, event["t"]), event["kind"], event["nodes"]) for id_, event in begun.items()]


def gaps(index):
    """(seconds, begin, tp) of each silence of a partition between two acknowledgements."""
    for tp, acks in index.acknowledged():
        of_partition = sorted(acked for _, _, _, acked in acks)
        for before, after in zip(of_partition, of_partition[1:]):
            if after - before > GAP_SECONDS * SECOND:
                yield (after - before) / SECOND, before, tp


def histogram(silences):
    return [sum(low < seconds <= high for seconds, _, _ in silences)
            for low, high in zip((GAP_SECONDS, *BOUNDS), (*BOUNDS, float("inf")))]


def during(faults, seconds, begin):
    """The kinds of faults that were under way, or had just been healed, in a silence."""
    meant = [kind for start, end, kind, _ in faults if start < begin + seconds * SECOND and end > begin - SECOND]
    return list(dict.fromkeys(meant))


def add(path, told, index):
    """Adds a run to a file of figures, and its picture beside it."""
    run = told["run"]
    picture = path.with_name(f"{path.stem}-{run['peer'] or 'ottla'}-{run['nodes']}-{run['seed']}.svg")
    picture.write_text(timeline(index))
    with open(path, "a") as file:
        file.write(json.dumps(told | {"picture": picture.name}) + "\n")


def write(document, path):
    """Puts the runs of a file of figures between the marks of a document; the exit code."""
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    text = document.read_text()
    if BEGIN not in text:
        return f"chaos: {document} has no line {BEGIN}"
    section = "\n".join([BEGIN, *lines(runs), END])
    document.write_text(re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: section, text, flags=re.DOTALL))
    return 0


class Total:
    """Several runs of one kind of cluster."""

    def __init__(self, name, runs):
        self.name, self.runs = name, runs
        self.faults, self.violations = self._count("faults"), self._count("violations")
        self.acknowledged = self._count("acknowledged")
        self.silences = [sum(column) for column in zip(*(run["silences"] for run in runs))]
        self.longest = sorted((silence for run in runs for silence in run["longest"]), reverse=True)

    def sum(self, key):
        return sum(run[key] for run in self.runs)

    def _count(self, key):
        return sum((collections.Counter(run[key]) for run in self.runs), collections.Counter())


def lines(runs):
    totals = [Total(name, chosen) for name, peer in (("Ottla", None), ("Kafka 4.3.1", "kafka"))
              if (chosen := [run for run in runs if run["run"]["peer"] == peer])]
    yield "| run | nodes | time | faults | acknowledged | violations |"
    yield "|---|---|---|---|---|---|"
    for run in runs:
        asked = run["run"]
        command = (f"scripts/chaos{' --peer kafka' if asked['peer'] else ''} --minutes {asked['minutes']:g} "
                   f"--seed {asked['seed']} --nodes {asked['nodes']} --rate {asked['rate']}")
        yield (f"| `{command}` | {asked['nodes']} | {run['seconds'] / 60:.0f} min | {sum(run['faults'].values())} | "
               f"{sum(run['acknowledged'].values()):,} | {sum(run['violations'].values())} |")
    yield ""
    yield from table(["in all", *(total.name for total in totals)], [
        ["time", *(f"{total.sum('seconds') / 60:.0f} min" for total in totals)],
        ["faults", *(f"{sum(total.faults.values()):,} of {len(total.faults)} kinds" for total in totals)],
        ["records acknowledged", *(f"{sum(total.acknowledged.values()):,}" for total in totals)],
        *([f"of {kind} producers", *(f"{total.acknowledged[kind]:,}" for total in totals)]
          for kind in sorted(totals[0].acknowledged)),
        ["records whose outcome nobody learned", *(f"{total.sum('unknown'):,}" for total in totals)],
        ["records in the last readings", *(f"{total.sum('last reading'):,}" for total in totals)],
        ["replicas compared byte for byte", *(f"{total.sum('replicas'):,}" for total in totals)],
        ["times a producer gave up its epoch", *(f"{total.sum('epochs given up'):,}" for total in totals)],
        ["producers that ended for good", *(f"{total.sum('producers ended'):,}" for total in totals)],
    ])
    yield ""
    yield from table(["what was looked for, and found", *(total.name for total in totals)], [
        [f"{kind}: {words}", *(f"{total.violations[kind]:,}" for total in totals)] for kind, words in CLASSES.items()])
    yield ""
    yield f"![Acknowledgements a second, and faults as bands]({runs[0]['picture']})"
    yield ""
    yield from table(["fault", *(total.name for total in totals)], [
        [kind, *(f"{total.faults[kind]}" for total in totals)]
        for kind in sorted(set().union(*(total.faults for total in totals)))])
    yield ""
    yield f"How long partitions went without an acknowledgement, counted when longer than {GAP_SECONDS} s:"
    yield ""
    bounds = [f"{low:g} to {high:g}" for low, high in zip((GAP_SECONDS, *BOUNDS), BOUNDS)] + [f"more than {BOUNDS[-1]}"]
    yield from table(["seconds", *(total.name for total in totals)], [
        [words, *(f"{total.silences[at]:,}" for total in totals)] for at, words in enumerate(bounds)])
    for total in totals:
        yield ""
        yield f"The longest of {total.name}, and what was going on:"
        yield ""
        yield from table(["seconds", "partitions without acknowledgement", "faults"], [
            [f"{seconds:.1f}", f"{tps}", ", ".join(kinds) or "-"] for seconds, tps, kinds in total.longest[:LONGEST]])


def table(head, rows):
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


def apart(found):
    """The longest of gaps that overlap, and how many partitions it was for: (seconds, begin, partitions)."""
    longest = []
    for seconds, begin, tp in found:
        for other in longest:
            if begin < other[1] + other[0] * SECOND and other[1] < begin + seconds * SECOND:
                other[2].add(tp)
                break
        else:
            longest.append((seconds, begin, {tp}))
    return [(seconds, begin, len(tps)) for seconds, begin, tps in longest]


CLASSES = {
    "lost": "acknowledged or read, and not there in the end",
    "duplicated": "stored twice by a producer with idempotence",
    "reordered": "not in the order of sending, or before what had been acknowledged before it was sent",
    "inconsistent": "two values at one offset, over all acknowledgements and readings",
    "corrupt": "a payload that does not match its hash, or that nobody sent",
    "nonmonotonic": "a reader that goes back",
    "skipped": "a reader that leaves out a record",
    "truncated": "a position that was reached and is out of range",
    "aborted read": "a record of an aborted transaction, read as committed",
    "half transaction": "a part of a transaction",
    "went back": "a group's committed offset that goes back",
    "divergent": "replicas that differ in a byte",
    "resurrected": "a record of a deleted topic, in one that was created under its name",
    "unfinished": "a partition that cannot be read to its end after the faults",
}


def timeline(index, width=1000, height=240):
    """An SVG: acknowledgements a second as a line, faults as bands in rows below it."""
    faults = done(index)
    times = [time for client in index.sent for time in client.acked if time]
    start, end = min(times), max(times)
    seconds = max(1, (end - start) // SECOND + 1)
    rates = collections.Counter((time - start) // SECOND for time in times)
    top = max(rates.values())
    kinds = sorted({kind for _, _, kind, _ in faults})
    left, row = 180, 13
    plot = width - left - 10
    whole = height + row * len(kinds) + 40

    def x(second):
        return left + plot * second / seconds

    def y(rate):
        return 20 + (height - 30) * (1 - rate / top)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" font-family="sans-serif" '
             f'font-size="10"><rect width="{width}" height="{whole}" fill="#fff"/>']
    for begin, stop, kind, nodes in faults:
        x1, x2 = x((begin - start) / SECOND), x((stop - start) / SECOND)
        at = height + row * kinds.index(kind)
        told = f"{kind}{' of ' + ', '.join(map(str, nodes)) if nodes else ''}"
        wide = max(1.5, x2 - x1)
        parts.append(f'<rect x="{x1:.1f}" y="20" width="{wide:.1f}" height="{height - 30}" fill="#c33" '
                     'opacity="0.10"/>')
        parts.append(f'<rect x="{x1:.1f}" y="{at}" width="{wide:.1f}" height="{row - 3}" fill="#c33">'
                     f'<title>{told}</title></rect>')
    for i, kind in enumerate(kinds):
        parts.append(f'<text x="{left - 6}" y="{height + row * i + 9}" text-anchor="end">{kind}</text>')
    for rate in (0, top // 2, top):
        parts.append(f'<text x="{left - 6}" y="{y(rate) + 3:.1f}" text-anchor="end">{rate}</text>')
    parts.append(f'<text x="{left}" y="13">records acknowledged a second</text>')
    line = " ".join(f"{x(second + 0.5):.1f},{y(rates[second]):.1f}" for second in range(seconds))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#246" stroke-width="1.2"/>')
    for second in range(0, seconds, 60):
        parts.append(f'<text x="{x(second):.1f}" y="{whole - 12}">{second // 60} min</text>')
    return "\n".join([*parts, "</svg>", ""])
