"""Figures of whole clusters, beside Apache Kafka where that says something; see scripts/bench-cluster."""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import machine
import nodes
import report
from machine import load, say
from report import Row

OPEN_FILES = 20_000
PARTITION_COUNTS = [1, 2, 4, 8, 16, 32, 64]

ROWS = [
    Row("produce-1k", "produce 1 KiB, 8 batches of 16 KiB a request", "CPU s/GB", 4, 0.6, 2),
    Row("produce-1k-record", "the same", "CPU µs/record", None, 0.6, 2),
    Row("produce-100b", "produce 100 B, 8 batches of 16 KiB a request", "CPU µs/record", None, 0.6),
    Row("rate-20k", "20,000 records/s of 1 KiB, 5 a request", "CPU µs/record", None, 0.6, 2),
    Row("latency", "end to end at one record per 2 ms, p50", "ms", 0.5, None),
    Row("latency-net", "the same without the client's own time", "ms", None, 0.5),
    Row("latency-p99", "end to end at one record per 2 ms, p99", "ms", digits=2),
    Row("memory-idle", "resident memory of the three, idle", "MiB", digits=1),
    Row("memory-loaded", "resident memory of the three after this load", "MiB", 200, digits=1),
]

STARTS = [
    Row("start-1", "exec to the first acknowledged produce, one node", "s", 0.25),
    Row("start-3", "exec to the first acknowledged produce, three nodes that never ran before", "s", 1.5),
]

# What a run of each row produces: partitions, bytes of a value, records in a batch, records in all, pace.
LOADS = {
    "produce-1k": (24, 1024, 15, 1_000_000),
    "produce-100b": (24, 100, 150, 10_000_000),
    "rate-20k": (3, 1024, 5, 300_000, "--rate", 20_000),
}


class Comparison:
    """Three nodes of Ottla and three of Kafka, both up; they take turns in the order A B B A."""

    def __init__(self, rounds, scale):
        self.rounds, self.scale = rounds, scale
        self.figures = {row.name: [[], []] for row in ROWS}
        self.speeds = {}

    def note(self, row, side, figure):
        self.figures[row][side].append(figure)
        say(f"   {'AB'[side]} {row:18} {figure:9.3f}")

    def run(self, folder):
        with nodes.Ottla(folder, 3) as ottla, nodes.Kafka(folder, 3) as kafka:
            clusters = [ottla, kafka]
            for cluster in clusters:
                cluster.start()
                cluster.await_whole()
            time.sleep(5)
            for side, cluster in enumerate(clusters):
                self.note("memory-idle", side, cluster.resident_mib())
                self.warm_up(cluster)
            for row in LOADS:
                say(f"== {row}")
                for side in [0, 1, 1, 0] * self.rounds:
                    self.throughput(row, side, clusters[side])
            self.latency(clusters)
            for side, cluster in enumerate(clusters):
                self.note("memory-loaded", side, cluster.resident_mib())

    def count(self, number):
        return max(1000, int(number * self.scale))

    def warm_up(self, cluster):
        """Long enough for a virtual machine to have compiled what a run uses."""
        say(f"== warming up {cluster.title}")
        create(cluster, "warm", 24)
        self.produce(cluster, "warm", 1024, 15, 600_000)
        delete(cluster, "warm")
        create(cluster, "warm-slow", 3)
        self.produce(cluster, "warm-slow", 1024, 5, 100_000)
        delete(cluster, "warm-slow")

    def produce(self, cluster, topic, record_bytes, batch_records, records, *more):
        return load("produce", "--bootstrap", cluster.bootstrap(), "--topic", topic, "--acks=-1", "--record-bytes",
                    record_bytes, "--batch-records", batch_records, "--records", self.count(records), *more)

    def throughput(self, row, side, cluster):
        partitions, record_bytes, batch_records, records, *more = LOADS[row]
        topic = f"{row}-{len(self.figures[row][side])}"
        create(cluster, topic, partitions)
        load("touch", "--bytes", 3 * self.count(records) * (record_bytes + 80))
        time.sleep(0.5)
        before = cluster.cpu_seconds()
        done = self.produce(cluster, topic, record_bytes, batch_records, records, *more)
        time.sleep(0.5)  # What followers still do for these records belongs to them.
        used = cluster.cpu_seconds() - before
        per_record = used * 1e6 / done["records"]
        if row == "produce-1k":
            self.note("produce-1k-record", side, per_record)
        self.note(row, side, used / (done["bytes"] / 1e9) if row == "produce-1k" else per_record)
        speed = {"MB/s": done["bytes"] / 1e6 / done["seconds"], "p50": done["p50_ms"], "p99": done["p99_ms"]}
        self.speeds.setdefault(row, [[], []])[side].append(speed)
        delete(cluster, topic)

    def latency(self, clusters):
        say("== latency")
        null_address = f"127.0.0.1:{machine.free_ports(1)[0]}"
        null = subprocess.Popen([machine.LOAD, "null-broker", "--listen", null_address])
        try:
            time.sleep(0.2)
            own = statistics.median(self.latencies(null_address, "null")["p50_ms"] for _ in range(3))
            say(f"     the client's own time: {own:.3f} ms")
            for side in [0, 1, 1, 0] * self.rounds:
                topic = f"latency-{len(self.figures['latency'][side])}"
                leader = create(clusters[side], topic, 1)["leaders"][0]
                taken = self.latencies(leader, topic)
                self.note("latency", side, taken["p50_ms"])
                self.note("latency-net", side, taken["p50_ms"] - own)
                self.note("latency-p99", side, taken["p99_ms"])
        finally:
            null.terminate()
            null.wait()

    def latencies(self, leader, topic):
        return load("latency", "--bootstrap", leader, "--topic", topic, "--acks=-1", "--records", self.count(4000))


def create(cluster, topic, partitions):
    replicas = min(3, len(cluster.nodes))
    return load("create", "--bootstrap", cluster.bootstrap(), "--partitions", partitions, "--replication-factor",
                replicas, "--topic", topic)


def delete(cluster, topic):
    load("delete", "--bootstrap", cluster.bootstrap(), "--topic", topic)


def throughput(options, folder):
    comparison = Comparison(options.rounds, options.scale)
    comparison.run(folder)
    return {"figures": comparison.figures, "speeds": comparison.speeds}


def throughput_lines(result):
    titles = ["Ottla", nodes.Kafka.title]
    yield from report.comparison(ROWS, result["figures"], titles)
    yield ""
    yield "How fast the runs went, and how long a request took with five of them in flight to each leader:"
    yield ""
    rows = {row.name: row.title for row in ROWS}
    yield from report.table(["what", *(f"{title}: MB/s, p50, p99 in ms" for title in titles)], (
        (rows[name], *(", ".join(f"{statistics.median(run[key] for run in side):.{digits}f}"
                                 for key, digits in (("MB/s", 0), ("p50", 1), ("p99", 1))) for side in sides))
        for name, sides in result["speeds"].items()))


def starts(options, folder):
    figures = {row.name: [[], []] for row in STARTS}
    for count, row in ((1, "start-1"), (3, "start-3")):
        for side, kind in enumerate([nodes.Ottla, nodes.Kafka]):
            say(f"== {kind.title}: starts of {count}")
            with kind(folder, count) as cluster:
                for _ in range(options.starts):
                    figures[row][side].append(start(cluster))
                    say(f"   {figures[row][side][-1]:.3f} s")
                    for node in cluster.nodes:
                        cluster.kill(node)
                    cluster.forget()
    return figures


def start(cluster):
    """Seconds from exec to the first acknowledged produce with as many replicas as there are nodes."""
    begun = time.time()
    cluster.start()
    return await_acks(cluster.bootstrap(), ["first"], 1, len(cluster.nodes)) - begun


def await_acks(bootstrap, topics, partitions, create_with_replicas=None):
    """When every partition of these topics had acknowledged a record."""
    create_them = ["--create-with-replicas", create_with_replicas] if create_with_replicas else []
    return load("await-acks", "--bootstrap", bootstrap, "--partitions", partitions, *create_them, "--topic",
                *topics)["unix_seconds"]


def starts_lines(figures):
    yield from report.comparison(STARTS, figures, ["Ottla", nodes.Kafka.title])


class ManyPartitions:
    """A cluster with so many partitions, each replicated to three nodes where there are three."""

    def __init__(self, folder, count, total, topics):
        self.cluster = nodes.Ottla(folder, count, open_files=OPEN_FILES)
        self.topics, self.each = [f"many-{number}" for number in range(topics)], total // topics
        self.figures = {"nodes": count, "partitions": total}

    def note(self, name, figure):
        self.figures[name] = figure
        say(f"   {name}: {figure:.2f}")

    def run(self):
        say(f"== {self.figures['partitions']} partitions, {self.figures['nodes']} nodes")
        with self.cluster as cluster:
            start(cluster)
            time.sleep(3)
            before = cluster.resident_mib()
            replicas = min(3, len(cluster.nodes))
            made = load("create", "--bootstrap", cluster.bootstrap(), "--partitions", self.each,
                        "--replication-factor", replicas, "--topic", *self.topics)
            self.note("created, s", made["seconds"])
            time.sleep(5)
            self.note("memory of all nodes, MiB", cluster.resident_mib())
            on_each = self.figures["partitions"] * replicas
            self.note("memory for each replica, KiB", (cluster.resident_mib() - before) * 1024 / on_each)
            self.note("a record acknowledged by each, s", self.all_acknowledged(time.time()))
            self.note("memory after that, MiB", cluster.resident_mib())
            self.note("open files of a node", cluster.open_files())
            self.restarts()
            if len(cluster.nodes) > 1:
                self.failover()
        return self.figures

    def all_acknowledged(self, since, bootstrap=None):
        return await_acks(bootstrap or self.cluster.bootstrap(), self.topics, self.each) - since

    def restarts(self):
        """All nodes end, in order or killed, and start again at once."""
        for how in ("clean stop", "SIGKILL"):
            if how == "SIGKILL":
                for node in self.cluster.nodes:
                    self.cluster.kill(node)
            else:
                since = time.time()
                self.cluster.stop()
                self.note("clean stop, s", time.time() - since)
            since = time.time()
            self.cluster.start()
            self.note(f"start after {how} to the first acknowledgement, s",
                      await_acks(self.cluster.bootstrap(), ["first"], 1) - since)
            self.note(f"start after {how} until every partition acknowledged, s", self.all_acknowledged(since))

    def failover(self):
        """The node that leads the quorum is killed, and comes back."""
        self.cluster.await_whole()
        node = self.cluster.status()["quorum"]["leader"]
        others = ",".join(self.cluster.address(other) for other in self.cluster.nodes if other != node)
        since = time.time()
        self.cluster.kill(node)
        self.note("SIGKILL of the quorum's leader until every partition acknowledged, s",
                  self.all_acknowledged(since, others))
        since = time.time()
        self.cluster.start(node)
        self.cluster.await_whole()
        self.note("its start until all replicas are in sync, s", time.time() - since)


def partitions(options, folder):
    each = [(1, 10_000, 10), (3, 3_000, 30)]
    return [ManyPartitions(folder, count, int(total * options.scale), topics).run() for count, total, topics in each]


def partitions_lines(found):
    names = list(dict.fromkeys(name for figures in found for name in figures if name not in ("nodes", "partitions")))
    head = ["", *(f"{figures['partitions']:,} partitions, {figures['nodes']} node{'s' * (figures['nodes'] > 1)}, "
                  f"RF {min(3, figures['nodes'])}" for figures in found)]
    shown = lambda figures, name: f"{figures[name]:,.{0 if 'files' in name else 2}f}" if name in figures else "–"
    yield from report.table(head, ((name, *(shown(figures, name) for figures in found)) for name in names))


def scaling(options, folder):
    found = []
    for count in (1, 3, 5):
        with nodes.Ottla(folder, count) as cluster:
            cluster.start()
            cluster.await_whole()
            for partitions in PARTITION_COUNTS:
                found.append({"nodes": count, "partitions": partitions, **scaled(cluster, partitions, options.scale)})
                say(f"   {found[-1]}")
    return found


def scaled(cluster, partitions, scale):
    topic = f"scaling-{partitions}"
    create(cluster, topic, partitions)
    load("touch", "--bytes", int(300_000 * scale) * 3300)
    done = load("produce", "--bootstrap", cluster.bootstrap(), "--topic", topic, "--acks=-1", "--records",
                max(1000, int(300_000 * scale)))
    delete(cluster, topic)
    return {"rate": done["records"] / done["seconds"], "p50": done["p50_ms"], "p99": done["p99_ms"]}


def scaling_lines(found):
    head = ["nodes", "RF", "partitions", "records/s", "records/s of a partition", "p50, ms", "p99, ms"]
    yield from report.table(head, (
        (one["nodes"], min(3, one["nodes"]), one["partitions"], f"{one['rate']:,.0f}",
         f"{one['rate'] / one['partitions']:,.0f}", f"{one['p50']:.1f}", f"{one['p99']:.1f}") for one in found))


# Name: (measures it, tells it in lines, the section of the document)
PARTS = {
    "throughput": (throughput, throughput_lines, "three nodes"),
    "starts": (starts, starts_lines, "starts"),
    "partitions": (partitions, partitions_lines, "many partitions"),
    "scaling": (scaling, scaling_lines, "scaling"),
}


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench-cluster", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=1, help="how often A B B A (1)")
    parser.add_argument("--starts", type=int, default=10, help="how often each cluster is started (10)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual work, to try the script")
    parser.add_argument("--folder", help="where the nodes keep their data")
    parser.add_argument("--write", type=pathlib.Path, help="writes the tables into this document")
    return parser.parse_args()


def main():
    options = arguments()
    machine.end_in_order()
    machine.build()
    subprocess.run([machine.ROOT / "scripts/kafka-peer", "get"], check=True)
    for part in options.parts:
        measure, tell, section = PARTS[part]
        with tempfile.TemporaryDirectory(prefix="ottla-bench-", dir=options.folder) as folder:
            result = measure(options, pathlib.Path(folder))
        (machine.TARGET / f"bench-{part}.json").write_text(json.dumps(result))
        lines = [*stamp(), "", *tell(result)]
        say(*lines, sep="\n")
        if options.write:
            report.replace(options.write, section, lines)


def stamp():
    yield f"Ottla {machine.ottla_version()} on {time.strftime('%Y-%m-%d')}: {machine.describe()}."


if __name__ == "__main__":
    main()
