"""How long a cluster acknowledges nothing when a node is killed, paused or restarted; see scripts/failover."""

import argparse
import json
import pathlib
import signal
import statistics
import subprocess
import tempfile
import time

from confluent_kafka.admin import AdminClient

import machine
import nodes
import report
import workload
from machine import say

TOPIC = "load"
ASSIGNMENT = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]  # Partition n prefers node n + 1.
RATE = 2000
# Before the fault, so that a gap that begins with it is seen from its beginning.
MARGIN = 0.5

# Name: (cluster, settings, how it is called in the tables)
VARIANTS = {
    "ottla": (nodes.Ottla, {}, "Ottla"),
    "kafka": (nodes.Kafka, {}, "Kafka 4.3.1"),
    "kafka-3s": (nodes.Kafka, {"broker.session.timeout.ms": 3000}, "Kafka 4.3.1, session time-out 3 s"),
}

# The client looks for a new leader at longer and longer intervals; with its default of up to a second between two looks
# a gap would tell of the client as much as of the cluster.
EAGER = {"retry.backoff.max.ms": 250}

# Name: (what happens, what the client is told, what Ottla may take in the median)
FAULTS = {
    "kill": ("SIGKILL of the node that leads the partition and the quorum", EAGER, 2.0),
    "pause": ("SIGSTOP of the node that leads the partition and the quorum, client time-outs 1.5 s",
              {"socket.timeout.ms": 1500, "request.timeout.ms": 1500, **EAGER}, 5.0),
    "rolling": ("SIGTERM and start of one node after the other", {}, 1.0),
}


class Run:
    """A cluster under load."""

    def __init__(self, cluster, config):
        self.cluster = cluster
        cluster.start()
        cluster.await_whole()
        workload.create_topic(cluster.bootstrap(), TOPIC, ASSIGNMENT)
        cluster.await_whole()
        self._admin = AdminClient({"bootstrap.servers": cluster.bootstrap(), **workload.QUIET})
        self.work = workload.Workload(cluster.bootstrap(), [(TOPIC, number) for number in range(3)], RATE, config)
        self.work.start()
        self.work.await_acks(3)

    def leads_both(self, node):
        """Whether a node leads the partition that prefers it and the controllers' quorum."""
        partition = self._admin.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions[node - 1]
        status = self.cluster.status()
        return partition.leader == node and status is not None and status["quorum"]["leader"] == node

    def elect_preferred(self):
        command = [machine.OTTLA, "tools", "run", "kafka-leader-election", "--bootstrap-server",
                   self.cluster.bootstrap(), "--election-type", "preferred", "--all-topic-partitions"]
        subprocess.run(command, capture_output=True, timeout=60)

    def aim(self):
        """Has the load go to a partition whose leader leads the quorum as well; the node that is it."""
        for _ in range(60):
            self.cluster.await_whole()
            node = self.cluster.status()["quorum"]["leader"]
            self.elect_preferred()
            if self.leads_both(node):
                self.work.partitions = [(TOPIC, node - 1)]
                self.work.await_acks(2, after=time.monotonic())
                if self.leads_both(node):
                    return node
            time.sleep(0.5)
        raise RuntimeError("no node led the partition and the quorum")

    def kill(self):
        """The gap that a killed leader makes, until it is back and in sync."""
        node, struck = self.aim(), time.monotonic()
        self.cluster.kill(node)
        self.work.await_acks(4, after=struck)
        self.cluster.start(node)
        return self.concluded(node, struck)

    def pause(self):
        """The gap that a paused leader makes, until it goes on and is in sync."""
        node, struck = self.aim(), time.monotonic()
        self.cluster.send(node, signal.SIGSTOP)
        try:
            self.work.await_acks(4, after=struck)
        finally:
            self.cluster.send(node, signal.SIGCONT)
        return self.concluded(node, struck)

    def concluded(self, node, struck):
        self.cluster.await_whole()
        self.work.await_acks(1, after=struck)
        return {"node": node, "gap": self.work.longest_gap(struck - MARGIN)}

    def restart(self, node):
        """The longest gap of any partition while one node ends in order and comes back."""
        self.elect_preferred()
        self.work.await_acks(1, after=time.monotonic())
        struck = time.monotonic()
        in_order = self.cluster.stop(node)
        self.cluster.start(node)
        return {**self.concluded(node, struck), "in order": in_order}

    def rolling(self):
        return [self.restart(node) for node in self.cluster.nodes]


def measure(variant, fault, rounds, folder):
    kind, settings, title = VARIANTS[variant]
    what, config, _ = FAULTS[fault]
    say(f"== {title}: {what}, {rounds} times")
    with kind(folder, 3, settings) as cluster:
        run, found = Run(cluster, config), []
        for number in range(rounds):
            for one in run.rolling() if fault == "rolling" else [getattr(run, fault)()]:
                say(f"   {number + 1}: node {one['node']}, longest gap {one['gap']:.2f} s")
                found.append(one)
        run.work.end()
        verdict = run.work.verdict()
    say(f"   {verdict}")
    return {"rounds": found, **verdict}


def sections(results):
    """The lines of each section of the document."""
    return {"failover": list(failover_lines(results)), "rolling restart": list(rolling_lines(results))}


def counts(result):
    return (f"{result['acknowledged']:,}", result["failed"], result["lost"], result["twice"])


def gaps(result):
    return [one["gap"] for one in result["rounds"]]


def failover_lines(results):
    head = ["", "gaps, s", "median", "acknowledged", "failed", "lost", "twice"]
    for fault in ("kill", "pause"):
        found = {name: results[name][fault] for name in VARIANTS if fault in results.get(name, {})}
        if not found:
            continue
        what, _, limit = FAULTS[fault]
        yield f"**{what}** (budget: median ≤ {limit:g} s)"
        yield ""
        yield from report.table(head, (
            (VARIANTS[name][2], " ".join(f"{gap:.2f}" for gap in gaps(result)),
             f"{statistics.median(gaps(result)):.2f}", *counts(result)) for name, result in found.items()))
        yield ""


def rolling_lines(results):
    found = {name: results[name]["rolling"] for name in VARIANTS if "rolling" in results.get(name, {})}
    head = ["", *(f"node {node}, s" for node in (1, 2, 3)), "longest", "acknowledged", "failed", "lost", "twice"]
    yield from report.table(head, (
        (VARIANTS[name][2],
         *(" ".join(f"{one['gap']:.2f}" for one in result["rounds"] if one["node"] == node) for node in (1, 2, 3)),
         f"{max(gaps(result)):.2f}", *counts(result)) for name, result in found.items()))


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/failover", description=__doc__)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["ottla"], help="what is measured (ottla)")
    parser.add_argument("--rounds", type=int, default=10, help="kills and pauses (10)")
    parser.add_argument("--peer-rounds", type=int, default=5, help="the same for Kafka (5)")
    parser.add_argument("--rolls", type=int, default=3, help="how often all nodes are restarted (3)")
    parser.add_argument("--folder", help="where the nodes keep their data")
    parser.add_argument("--write", type=pathlib.Path, help="writes the tables into this document")
    return parser.parse_args()


def rounds(options, variant, fault):
    if fault == "rolling":
        return options.rolls
    return options.rounds if variant == "ottla" else options.peer_rounds


def main():
    options = arguments()
    machine.end_in_order()
    machine.build()
    if any(name.startswith("kafka") for name in options.variants):
        subprocess.run([machine.ROOT / "scripts/kafka-peer", "get"], check=True)
    kept = machine.TARGET / "failover.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    with tempfile.TemporaryDirectory(prefix="ottla-failover-", dir=options.folder) as folder:
        for fault in options.faults:
            for variant in options.variants:
                result = measure(variant, fault, rounds(options, variant, fault), pathlib.Path(folder))
                results.setdefault(variant, {})[fault] = result
                kept.write_text(json.dumps(results))
    for name, lines in sections(results).items():
        say(*lines, sep="\n")
        if options.write:
            report.replace(options.write, name, lines)


if __name__ == "__main__":
    main()
