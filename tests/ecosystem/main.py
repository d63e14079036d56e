"""Runs one program of Kafka's ecosystem against Ottla; see scripts/ecosystem for how to call it."""

import argparse
import os
import pathlib
import random
import shutil
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "tests" / "chaos"))

import cluster as clusters  # noqa: E402
import compaction  # noqa: E402
import connect  # noqa: E402
import groups  # noqa: E402
import jvm  # noqa: E402
import mirror  # noqa: E402
import streams  # noqa: E402

PROGRAMS = {"streams": streams, "connect": connect, "mirror": mirror, "compaction": compaction, "groups": groups}
SETTINGS = {
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
    # Killed members are missed after six seconds.
    "group.consumer.min.session.timeout.ms": 6000,
    "group.consumer.session.timeout.ms": 6000,
    "group.consumer.min.heartbeat.interval.ms": 1000,
    "group.consumer.heartbeat.interval.ms": 1000,
    **compaction.CLEANER,
}


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/ecosystem", description="Runs programs of Kafka's ecosystem against Ottla.")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--seconds", type=float, default=60, help="how long faults strike (60)")
    parser.add_argument("--seed", type=int, help="what faults and records are drawn from (a random one, which is told)")
    parser.add_argument("--rate", type=int, default=200, help="lines a second, where lines are written (200)")
    parser.add_argument("--keep", metavar="DIR", help="keeps logs and data there in any case")
    return parser.parse_args()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    home = pathlib.Path(options.keep or ROOT / "target" / f"ecosystem-{options.program}-{options.seed}").resolve()
    if home.exists():
        sys.exit(f"ecosystem: {home} exists; remove it or name another folder with --keep")
    home.mkdir(parents=True)
    print(f"{options.program}, seed {options.seed}, in {home}", flush=True)
    jvm.prepare()
    cluster = clusters.Cluster(os.environ["OTTLA_BIN"], home, 3, False, SETTINGS)
    try:
        for node in cluster.nodes:
            cluster.start(node)
        assert cluster.await_whole(60), "the cluster did not form"
        wrong = PROGRAMS[options.program].run(cluster, home, options)
    finally:
        cluster.stop_all()
    for line in wrong[:20]:
        print(f"WRONG {line}")
    print(f"{len(wrong)} wrong" if wrong else "exact")
    if not wrong and not options.keep:
        shutil.rmtree(home)
    sys.exit(1 if wrong else 0)


main()
