"""Judges exactly-once consume-transform-produce by what is in the logs in the end. Pure: no client, no clock.

Each output record names the input record it comes from, its transaction, its place in it, and whether the transaction
was to be aborted. What counts as consumed is what the group committed: of the input before those offsets each record
must be in the committed output once, of the input from there on none.
"""

import collections
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Output:
    """One record of the output, as `parse` reads it; clients write it as words with a space between."""

    partition: int  # of the input record, and of this one
    source: int  # offset of the input record
    transaction: str
    index: int  # of the record within its transaction
    size: int  # how many records the transaction has
    doomed: bool  # the client was going to abort it

    @staticmethod
    def parse(value):
        partition, source, transaction, index, size, mark = value.decode().split(" ")
        return Output(int(partition), int(source), transaction, int(index), int(size), mark == "doomed")


@dataclass
class Verdict:
    records: int = 0  # of the input, before the committed offsets
    transactions: int = 0  # committed ones that the reader saw
    lost: list = field(default_factory=list)
    duplicated: list = field(default_factory=list)
    aborted_read: list = field(default_factory=list)
    half: list = field(default_factory=list)  # transactions that are not there whole
    early: list = field(default_factory=list)  # written, but its offset was not committed
    reordered: list = field(default_factory=list)

    def wrong(self):
        """(what, where) of each thing that is wrong."""
        kinds = ("lost", "duplicated", "aborted_read", "half", "early", "reordered")
        return [(kind, place) for kind in kinds for place in getattr(self, kind)]


def judge(committed_offsets, outputs):
    """`committed_offsets`: of the group, by input partition. `outputs`: the committed ones, in order in each partition."""
    verdict = Verdict(records=sum(committed_offsets.values()))
    seen = {partition: bytearray(offset) for partition, offset in committed_offsets.items()}
    transactions = collections.defaultdict(collections.Counter)
    sizes, last = {}, {}
    for output in outputs:
        place = (output.partition, output.source)
        transactions[output.transaction][output.index] += 1
        sizes[output.transaction] = output.size
        if output.doomed:
            verdict.aborted_read.append(place)
            continue
        if output.source >= committed_offsets.get(output.partition, 0):
            verdict.early.append(place)
            continue
        if seen[output.partition][output.source]:
            verdict.duplicated.append(place)
        elif output.source < last.get(output.partition, -1):
            verdict.reordered.append(place)
        seen[output.partition][output.source] = 1
        last[output.partition] = max(output.source, last.get(output.partition, -1))
    for partition, marks in seen.items():
        verdict.lost.extend((partition, offset) for offset, mark in enumerate(marks) if not mark)
    verdict.half = [name for name, indexes in transactions.items() if sorted(indexes) != list(range(sizes[name]))]
    verdict.transactions = len(transactions)
    return verdict
