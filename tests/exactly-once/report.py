"""The figures of a run, for the screen and for a document."""

from dataclasses import dataclass

BEGIN, END = "<!-- exactly-once: begin -->", "<!-- exactly-once: end -->"
KINDS = ("lost", "duplicated", "aborted_read", "half", "early", "reordered")


@dataclass
class Run:
    seed: int
    seconds: float
    brokers: int  # killed
    clients: dict  # killed, by client
    verdicts: list  # (client, verdict, records of aborted transactions in the log)


def summary(run):
    records = sum(verdict.records for _, verdict, _ in run.verdicts)
    transactions = sum(verdict.transactions for _, verdict, _ in run.verdicts)
    return (f"{records:,} records in {transactions:,} committed transactions in {run.seconds / 60:.0f} minutes; "
            f"{run.brokers} brokers and {sum(run.clients.values())} clients killed; seed {run.seed}.")


def table(run):
    head = "| client | records | transactions | killed | aborted records in the log | lost | duplicated | aborted reads "
    lines = [summary(run), "", head + "| half transactions | without offset | reordered |", "|---" + "|---:" * 10 + "|"]
    for client, verdict, aborted in run.verdicts:
        found = " | ".join(f"{len(getattr(verdict, kind)):,}" for kind in KINDS)
        lines.append(f"| {client} | {verdict.records:,} | {verdict.transactions:,} | {run.clients[client]} | {aborted:,} "
                     f"| {found} |")
    return lines


def write(document, run):
    """Puts the figures between the marks in a document."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text("\n".join([before + BEGIN, *table(run), END]) + after)
