"""Figures and a picture of one run, from its history alone."""

import collections
import re

SECOND = 1_000_000_000
GAP_SECONDS = 0.5  # Shorter silence of a partition is taken for the pace of its producers.
BOUNDS = (1, 2, 4, 8, 16, 32)
BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"


def summary(index):
    """Lines that tell the run."""
    faults = done(index)
    acked, unknown = len(index.acks), len(index.invoked) - len(index.acks)
    read = sum(len(reading.records) for reading in index.readings.values())
    final = sum(len(records) for records in index.final.values())
    yield f"{len(faults)} faults of {len({fault[2] for fault in faults})} kinds"
    yield (f"{len(index.invoked)} records sent, {acked} acknowledged, {unknown} with an unknown outcome, {read} read "
           f"while faults struck, {final} in the last reading, {index.count} lines of history")
    outcomes = collections.Counter(outcome for outcome, *_ in index.transactions)
    yield f"transactions: {outcomes['ok']} committed, {outcomes['fail']} aborted, {outcomes['info']} unknown"
    yield f"group: {len(index.commits)} commits, {len(index.fetches)} times asked for what is committed"
    yield f"replicas compared: {sum(map(len, index.replicas.values()))} of {len(index.replicas)} partitions"
    found = [gap[0] for gap in gaps(index)]
    yield f"partitions without an acknowledgement for more than {GAP_SECONDS} s: {len(found)} times, " \
          f"longest {max(found, default=0):.1f} s"
    for event in index.deaths:
        yield f"node {event['node']} ended by itself with {event['code']}"


def done(index):
    """(begin, end, kind, nodes) of each fault that struck."""
    begun = {event["id"]: event for event in index.faults if event["type"] == "invoke"}
    ended = {event["id"]: event["t"] for event in index.faults if event["type"] == "ok"}
    return [(event["t"], ended.get(id_, event["t"]), event["kind"], event["nodes"]) for id_, event in begun.items()]


def gaps(index):
    """(seconds, begin, tp) of each silence of a partition between two acknowledgements."""
    times = collections.defaultdict(list)
    for tp, _, time in index.acks.values():
        times[tp].append(time)
    for tp, of_partition in times.items():
        of_partition.sort()
        for before, after in zip(of_partition, of_partition[1:]):
            if after - before > GAP_SECONDS * SECOND:
                yield (after - before) / SECOND, before, tp


def write(path, index, violations):
    """Puts the section of this run between the marks in a document, and its picture beside it."""
    picture = path.parent / "chaos.svg"
    picture.write_text(timeline(index))
    section = "\n".join([BEGIN, *lines(index, violations, picture.name), END])
    text = path.read_text()
    if BEGIN not in text:
        raise SystemExit(f"chaos: {path} has no line {BEGIN}")
    path.write_text(re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: section, text, flags=re.DOTALL))


def lines(index, violations, picture):
    faults = done(index)
    kinds = collections.Counter(kind for _, _, kind, _ in faults)
    unknown = len(index.invoked) - len(index.acks)
    found = sorted(gaps(index), reverse=True)
    acked = collections.Counter(index.kinds[client] for client, _ in index.acks)
    told = ", ".join(f"{count:,} of {kind} producers" for kind, count in acked.items())
    run = index.run
    yield (f"`scripts/chaos --minutes {run['minutes']:g} --seed {run['seed']} --nodes {run['nodes']}`: "
           f"{len(faults)} faults of {len(kinds)} kinds, {len(index.acks):,} records acknowledged ({told}), "
           f"{unknown:,} whose outcome nobody learned, {sum(map(len, index.final.values())):,} in the last reading, "
           f"{sum(map(len, index.replicas.values()))} replicas compared byte for byte.")
    yield ""
    yield "| what was looked for | found |"
    yield "|---|---|"
    count = collections.Counter(violation.kind for violation in violations)
    for kind, words in CLASSES.items():
        yield f"| {kind}: {words} | {count[kind]} |"
    yield ""
    yield f"![Acknowledgements a second, and faults as bands]({picture})"
    yield ""
    yield "| fault | times | fault | times |"
    yield "|---|---|---|---|"
    pairs = sorted(kinds.items())
    half = (len(pairs) + 1) // 2
    for left, right in zip(pairs[:half], [*pairs[half:], ("", "")]):
        yield f"| {left[0]} | {left[1]} | {right[0]} | {right[1]} |"
    yield ""
    yield f"How long partitions went without an acknowledgement, counted when longer than {GAP_SECONDS} s:"
    yield ""
    yield "| seconds | times |"
    yield "|---|---|"
    for low, high in zip((GAP_SECONDS, *BOUNDS), (*BOUNDS, float("inf"))):
        times = sum(low < seconds <= high for seconds, _, _ in found)
        yield f"| {low:g} to {high:g} | {times} |" if high < float("inf") else f"| more than {low:g} | {times} |"
    yield ""
    yield "The longest, and what was going on:"
    yield ""
    yield "| seconds | partitions without acknowledgement | faults |"
    yield "|---|---|---|"
    for seconds, begin, tps in apart(found)[:6]:
        meant = [kind for start, end, kind, _ in faults if start < begin + seconds * SECOND and end > begin - SECOND]
        yield f"| {seconds:.1f} | {tps} | {', '.join(dict.fromkeys(meant)) or '-'} |"


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
    "unfinished": "a partition that cannot be read to its end after the faults",
}


def timeline(index, width=1000, height=240):
    """An SVG: acknowledgements a second as a line, faults as bands in rows below it."""
    faults = done(index)
    times = [time for _, _, time in index.acks.values()]
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
