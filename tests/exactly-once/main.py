"""Exactly-once consume-transform-produce under kills of brokers and clients; see scripts/exactly-once."""

import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / "tests" / "chaos"), str(ROOT / "tests" / "ecosystem")]

import cluster as clusters  # noqa: E402
import fleet as fleets  # noqa: E402
import logs  # noqa: E402
import oracle  # noqa: E402
import report  # noqa: E402

SETTINGS = {
    "min.insync.replicas": 2,
    "default.replication.factor": 3,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
}
SHOWN = 10


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/exactly-once", description="Transforms records exactly once under kills.")
    parser.add_argument("--records", type=int, default=20_000, help="input records, of all clients together (20000)")
    parser.add_argument("--transactions", type=int, default=2_000, help="in how many transactions, at least (2000)")
    parser.add_argument("--clients", default=",".join(fleets.CLIENTS), help="which, separated by commas; kafka-python:2 "
                        "gives one twice the share of the others (all, alike)")
    parser.add_argument("--instances", type=int, default=2, help="transformers of each client (2)")
    parser.add_argument("--partitions", type=int, default=4, help="of each topic (4)")
    parser.add_argument("--aborts", type=float, default=5, help="per cent of transactions aborted on purpose (5)")
    parser.add_argument("--broker-seconds", type=float, default=15, help="between kills of brokers, in the mean (15)")
    parser.add_argument("--client-seconds", type=float, default=5, help="between kills of clients, in the mean (5)")
    parser.add_argument("--minutes", type=float, default=10, help="what is not consumed by then is left out (10)")
    parser.add_argument("--seed", type=int, help="what faults are drawn from (a random one, which is told)")
    parser.add_argument("--keep", metavar="DIR", help="keeps logs and data there in any case")
    parser.add_argument("--write", metavar="FILE", help="writes the figures into this document")
    options = parser.parse_args()
    options.seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    options.size = max(1, options.records // options.transactions)
    shares = {name: float(weight or 1) for name, _, weight in (each.partition(":") for each in options.clients.split(","))}
    if unknown := shares.keys() - fleets.CLIENTS.keys():
        parser.error(f"no such client: {', '.join(unknown)}; there are {', '.join(fleets.CLIENTS)}")
    options.share = {name: int(options.records * weight / sum(shares.values())) for name, weight in shares.items()}
    return options


class Nemesis:
    """Kills brokers and clients at random moments, each broker for a while, until it is told to end."""

    def __init__(self, cluster, fleet, options):
        self._cluster, self._fleet, self._over = cluster, fleet, threading.Event()
        self.brokers, self.clients = 0, dict.fromkeys(options.share, 0)
        self._threads = [
            threading.Thread(target=self._strike, args=(strike, mean, f"{options.seed} {strike.__name__}"), daemon=True)
            for strike, mean in ((self._a_broker, options.broker_seconds), (self._a_client, options.client_seconds))]

    def start(self):
        for thread in self._threads:
            thread.start()

    def end(self):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _strike(self, strike, mean, seed):
        draw = random.Random(seed)
        while not self._over.wait(draw.expovariate(1 / mean)):
            strike(draw)

    def _a_broker(self, draw):
        """One time in eight two at once: the partitions stand still until one is back."""
        down = draw.sample(self._cluster.nodes, 2 if draw.random() < 1 / 8 else 1)
        for node in down:
            self._cluster.kill(node)
            self.brokers += 1
        time.sleep(draw.uniform(0.1, 3))
        for node in down:
            self._cluster.start(node)
        self._cluster.await_whole(30)

    def _a_client(self, draw):
        alive = [each for each in self._fleet.transformers if each.is_up()]
        if alive:
            struck = draw.choice(alive)
            struck.kill()
            self.clients[struck.client] += 1


def play(cluster, fleet, nemesis, options):
    """Lets the fleet work under faults until all is consumed or the time is up; how long it took."""
    begin, left = time.monotonic(), dict(options.share)
    told = begin
    fleet.start()
    nemesis.start()
    while left and time.monotonic() < begin + options.minutes * 60:
        time.sleep(2)
        for client in list(left):
            group, source, _ = fleets.names(client)
            consumed = logs.committed(cluster.bootstrap(), group, source, options.partitions)
            left[client] = options.share[client] - sum((consumed or {}).values()) if consumed else left[client]
            if left[client] <= 0:
                del left[client]
                fleet.retire(client)
        if time.monotonic() > told + 30:
            told = time.monotonic()
            print(f"{told - begin:4.0f} s, {nemesis.brokers} brokers and {sum(nemesis.clients.values())} clients killed, left: "
                  + ", ".join(f"{client} {count:,}" for client, count in left.items()), flush=True)
    nemesis.end()
    fleet.end()
    return time.monotonic() - begin


def verdicts(bootstrap, options):
    """What the oracle says of each client, with what the logs hold of aborted transactions."""
    for client in options.share:
        group, source, target = fleets.names(client)
        offsets = logs.await_settled(bootstrap, group, source, target, options.partitions)
        committed = [oracle.Output.parse(record.value()) for record in logs.read_all(bootstrap, target)]
        stored = sum(1 for _ in logs.read_all(bootstrap, target, **{"isolation.level": "read_uncommitted"}))
        yield client, oracle.judge(offsets, committed), stored - len(committed)


def run(options, home):
    """Plays it and judges; the figures."""
    cluster = clusters.Cluster(os.environ["OTTLA_BIN"], home, 3, False, SETTINGS)
    fleet = None
    try:
        for node in cluster.nodes:
            cluster.start(node)
        assert cluster.await_whole(120), "the cluster did not form"
        for client, count in options.share.items():
            _, source, target = fleets.names(client)
            logs.make_topics(cluster.bootstrap(), {source: options.partitions, target: options.partitions})
            logs.fill(cluster.bootstrap(), source, count, options.partitions)
        fleet = fleets.Fleet(options.share, home, cluster.bootstrap(), options)
        nemesis = Nemesis(cluster, fleet, options)
        seconds = play(cluster, fleet, nemesis, options)
        assert cluster.await_whole(120), "the cluster did not become whole"
        return report.Run(options.seed, seconds, nemesis.brokers, nemesis.clients,
                          list(verdicts(cluster.bootstrap(), options)))
    finally:
        if fleet:
            fleet.end()
        cluster.stop_all()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = pathlib.Path(options.keep or ROOT / "target" / f"exactly-once-{options.seed}").resolve()
    if home.exists():
        sys.exit(f"exactly-once: {home} exists; remove it or name another folder with --keep")
    home.mkdir(parents=True)
    print(f"seed {options.seed}, {options.size} records a transaction, in {home}", flush=True)
    done = run(options, home)
    print("\n".join(report.table(done)))
    wrong = [(client, kind, place) for client, verdict, _ in done.verdicts for kind, place in verdict.wrong()]
    for client, kind, place in wrong[:SHOWN]:
        print(f"WRONG {client}: {kind} {place}")
    if options.write:
        report.write(pathlib.Path(options.write), done)
    if wrong:
        print(f"kept in {home}")
    elif not options.keep:
        shutil.rmtree(home)
    sys.exit(1 if wrong else 0)


main()
