"""One run from the start of the nodes to the verdict; see scripts/chaos for how to call it."""

import argparse
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import time

import checker
import history as histories
import report

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOWN = 10  # of each kind of violation
TOPICS = {"orders": 6, "ledger": 4}
SETTINGS = {
    "min.insync.replicas": 2,
    "default.replication.factor": 3,
    "replica.lag.time.max.ms": 5000,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
}
SABOTAGED = {
    "min.insync.replicas": 1,
    "default.replication.factor": 2,
    "unclean.leader.election.enable": "true",
}


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/chaos", description="Runs a cluster under faults and checks what clients saw.")
    parser.add_argument("--minutes", type=float, default=2, help="how long faults strike (2)")
    parser.add_argument("--seed", type=int, help="what faults are drawn from (a random one, which is told)")
    parser.add_argument("--nodes", type=int, choices=(3, 5), default=3)
    parser.add_argument("--rate", type=int, default=300, help="records a second of each of four producers (300)")
    parser.add_argument("--faults", help="only these kinds, separated by commas")
    parser.add_argument("--peer", choices=("kafka",), help="Apache Kafka instead of Ottla, see scripts/kafka-peer")
    parser.add_argument("--sabotage", action="store_true", help="a cluster that must lose: 0 when loss is found")
    parser.add_argument("--check", metavar="FILE", help="only checks a history")
    parser.add_argument("--unchecked", action="store_true", help="with --keep: leaves the check to a later --check")
    parser.add_argument("--keep", metavar="DIR", help="keeps history, logs and data there in any case")
    parser.add_argument("--figures", metavar="FILE", help="adds the run's figures to this file, a picture beside it")
    parser.add_argument("--write", metavar="FILE", help="only writes the runs in --figures into this document")
    return parser.parse_args()


def main():
    options = arguments()
    if options.write:
        sys.exit(report.write(pathlib.Path(options.write), pathlib.Path(options.figures)))
    if options.check:
        sys.exit(conclude(options, options.check))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    home = pathlib.Path(options.keep or ROOT / "target" / f"chaos-{options.seed}").resolve()
    if home.exists():
        sys.exit(f"chaos: {home} exists; remove it or name another folder with --keep")
    home.mkdir(parents=True)
    print(f"seed {options.seed}, {options.nodes} nodes, {options.minutes:g} minutes, in {home}", flush=True)
    path = run(options, home)
    if options.unchecked:
        print(f"check it with: scripts/chaos --check {path}")
        sys.exit(0)
    wrong = conclude(options, path)
    if wrong == 0 and not options.keep:
        shutil.rmtree(home, ignore_errors=True)
    else:
        print(f"kept in {home}; check again with: scripts/chaos --check {home}/history.jsonl")
    sys.exit(wrong)


def conclude(options, path):
    """Checks a history and tells, and writes if asked, what it shows; the exit code."""
    index = checker.Index(histories.read(path))
    violations = checker.check(index)
    figures = report.figures(index, violations)
    if options.figures:
        report.add(pathlib.Path(options.figures), figures, index)
    for line in report.summary(figures):
        print(line)
    for kind in dict.fromkeys(violation.kind for violation in violations):
        alike = [violation for violation in violations if violation.kind == kind]
        print(f"VIOLATION {kind}, {len(alike)} times:")
        for violation in alike[:SHOWN]:
            print(f"  {violation.where}: {violation.what}")
    if not violations:
        print("no violation")
    if not index.run.get("sabotage"):
        return 1 if violations else 0
    found = any(violation.kind == "lost" for violation in violations)
    print("sabotage: the loss was found" if found else "sabotage: THE LOSS WAS NOT FOUND")
    return 0 if found else 1


def run(options, home):
    """Plays a run; the path of its history."""
    import cluster as clusters
    import kafka
    history = histories.History(home / "history.jsonl")
    told = {name: getattr(options, name) for name in ("seed", "minutes", "nodes", "rate", "peer", "sabotage")}
    history.note("ok", "run", **told)
    settings = SETTINGS | (SABOTAGED if options.sabotage else {})
    private = os.environ.get("CHAOS_PRIVATE") == "1"
    if not private:
        print("links cannot be cut and disks not be filled: that needs root, unshare, ip and iptables", flush=True)
    shape = (home, options.nodes, private, settings)
    cluster = kafka.KafkaCluster(*shape) if options.peer else clusters.Cluster(os.environ["OTTLA_BIN"], *shape)
    try:
        play(options, cluster, history, settings)
    finally:
        cluster.stop_all()
    # The nodes have stopped: what their disks hold is final.
    for node, tp, size, digest in cluster.replicas(partitions()):
        history.note("ok", "replica", node=node, tp=tp, bytes=size, digest=digest)
    cluster.unmount()
    history.close()
    return history.path


def partitions():
    return [f"{topic}-{partition}" for topic, count in TOPICS.items() for partition in range(count)]


def play(options, cluster, history, settings):
    import nemesis
    import workload
    from confluent_kafka.admin import AdminClient
    for node in cluster.nodes:
        cluster.start(node)
    if not cluster.await_whole(60, reviving=True):
        sys.exit(f"chaos: the cluster did not come up: {cluster.status()}")
    bootstrap = cluster.bootstrap()
    admin = AdminClient({"bootstrap.servers": bootstrap, **workload.IMPATIENT})
    create_topics(admin, settings)
    clients = start_clients(options, history, bootstrap)
    time.sleep(3)
    rebirth = functools.partial(workload.rebirth, history, admin, bootstrap)
    world = nemesis.World(cluster, admin, list(TOPICS), options.seed, rebirth)
    only = options.faults and [kind.strip() for kind in options.faults.split(",")]
    enemy = nemesis.Saboteur(world, history) if options.sabotage else nemesis.Nemesis(world, history, only)
    watch = watch_deaths(cluster, history)
    enemy.run(time.monotonic() + options.minutes * 60)
    watch.set()
    heal(world, clients)
    for error in [*enemy.errors, *(f"{client.name}: {client.error}" for client in clients if client.error)]:
        print(f"harness: {error}", flush=True)
    if missing := workload.read_everything(history, bootstrap, partitions(), 180):
        print(f"not read to the end: {sorted(missing)}", flush=True)
    if not cluster.await_whole(60, reviving=True):
        print(f"not whole: {json.dumps(cluster.status())}", flush=True)


def create_topics(admin, settings):
    from confluent_kafka.admin import NewTopic
    config = {"segment.bytes": str(1 << 20), "min.insync.replicas": str(settings["min.insync.replicas"])}
    wanted = [NewTopic(topic, count, settings["default.replication.factor"], config=config)
              for topic, count in TOPICS.items()]
    for future in admin.create_topics(wanted).values():
        future.result(30)


def start_clients(options, history, bootstrap):
    from workload import Administrator, Member, Observer, Reader, Sender, TransactionSender
    tps = partitions()
    orders = [tp for tp in tps if tp.startswith("orders")]
    clients = [
        *(Sender(f"idempotent{i}", history, bootstrap, tps, options.rate, True, compression)
          for i, compression in enumerate(("none", "lz4", "zstd"))),
        Sender("plain0", history, bootstrap, orders, options.rate, False),
        TransactionSender("transactional0", history, bootstrap, tps, options.seed),
        Reader("reader0", history, bootstrap, tps, True),
        Reader("reader1", history, bootstrap, tps, False),
        *(Member(f"member{i}", history, bootstrap, list(TOPICS)) for i in range(2)),
        Observer("observer", history, bootstrap, tps),
        Administrator("administrator", history, bootstrap),
    ]
    for client in clients:
        client.start()
    return clients


def watch_deaths(cluster, history):
    """Tells when a node ends by itself, and starts it again as a supervisor would."""
    import threading
    done = threading.Event()

    def watch():
        while not done.wait(0.5):
            for node, code in cluster.died():
                history.note("info", "died", node=node, code=code)
                print(f"node {node} ended by itself with {code}", flush=True)
                time.sleep(1)
                cluster.start(node)

    threading.Thread(target=watch, daemon=True).start()
    return done


def heal(world, clients):
    """Ends the faults, sends the guest away, lets clients go on for a while, and waits until they have ended."""
    import nemesis
    cluster = world.cluster
    cluster.heal()
    if cluster.has_rig and not nemesis.dismiss_guest(world, 60):
        print("harness: the guest does not leave", flush=True)
    if not cluster.await_whole(90, reviving=True):
        print("the cluster was not whole 90 seconds after the last fault", flush=True)
    time.sleep(3)
    senders = [client for client in clients if hasattr(client, "kind") or "transactional" in client.name]
    for client in senders:
        client.ending.set()
    for client in senders:
        client.join(90)
    time.sleep(12)  # An open transaction ends by its time-out of ten seconds; readers come to the end.
    for client in clients:
        client.ending.set()
    for client in clients:
        client.join(30)
        if client.is_alive():
            print(f"harness: {client.name} does not end", flush=True)


if __name__ == "__main__":
    main()
