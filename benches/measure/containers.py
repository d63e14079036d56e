"""The shipped compose files under load, while containers are killed; see scripts/compose-test."""

import argparse
import itertools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from confluent_kafka import Producer

import machine
import nodes
import report
import workload
from machine import say

PROJECT = "ottla-compose-test"
RATE = 1000
TOPIC, NARROW = "load", "narrow"


class Shape:
    """What a compose file consists of: the services that are brokers, with their node ids, and those that are not."""

    def __init__(self, file, brokers, controllers=()):
        self.file, self.brokers, self.controllers = machine.ROOT / "deploy" / file, dict(brokers), list(controllers)

    def kills(self):
        """All sets of nodes that may be lost at once."""
        if self.controllers:
            singles = [(one,) for one in (*self.controllers, *self.brokers)]
            return [*singles, *itertools.product(self.controllers, self.brokers)]
        tolerated = (len(self.brokers) - 1) // 2
        return [names for count in range(1, tolerated + 1) for names in itertools.combinations(self.brokers, count)]


SHAPES = {
    "3": Shape("compose.3.yaml", {f"kafka-{number}": number for number in (1, 2, 3)}),
    "5": Shape("compose.5.yaml", {f"kafka-{number}": number for number in (1, 2, 3, 4, 5)}),
    "isolated": Shape("compose.isolated.yaml", {f"broker-{number}": 10 + number for number in (1, 2, 3)},
                      [f"controller-{number}" for number in (1, 2, 3)]),
}


def docker(*arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def compose_command():
    """Version 2 where it is installed, otherwise version 1."""
    v2 = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return ["docker", "compose"] if v2 else ["docker-compose"]


class Compose:
    """The containers of one compose file, with volumes of their own; nothing is left of them at the end, unless what
    failed is to be kept."""

    def __init__(self, shape, folder, ports_from, keep):
        self.shape, self._keep = shape, keep
        self.file = folder / shape.file.name
        ports = {9092 + 100 * index: 9092 + 100 * index if ports_from is None else ports_from + index
                 for index in range(len(shape.brokers))}
        text = re.sub(r'"(\d+):9092"', lambda found: f'"{ports[int(found[1])]}:9092"', shape.file.read_text())
        self.file.write_text(re.sub(r"localhost:(\d+)$", lambda found: f"localhost:{ports[int(found[1])]}", text,
                                    flags=re.MULTILINE))
        self.addresses = [f"localhost:{port}" for port in ports.values()]
        self._command = [*compose_command(), "-p", PROJECT, "-f", str(self.file)]

    def __enter__(self):
        self._run("down", "-v", "-t", "1")
        return self

    def __exit__(self, failure, *_):
        if not (failure and self._keep):
            self._run("down", "-v", "-t", "1")

    def up(self, *services):
        self._run("up", "-d", *services)

    def bootstrap(self):
        return ",".join(self.addresses)

    def kill(self, service):
        docker("kill", "--signal", "KILL", self._container(service))

    def start(self, service):
        docker("start", self._container(service))

    def remove(self, service, volume=False):
        """Removes a container, and all that it kept when its volume goes too."""
        container = self._container(service)
        mounted = docker("inspect", "-f", "{{range .Mounts}}{{.Name}} {{end}}", container).split()
        docker("rm", "-f", container)
        if volume:
            docker("volume", "rm", *mounted)

    def unhealthy(self):
        """Services whose container is not there or not healthy."""
        services = (*self.shape.brokers, *self.shape.controllers)
        containers = self._containers()
        return [service for service in services if "(healthy)" not in containers.get(service, ("", ""))[1]]

    def await_whole(self, seconds=180):
        """Waits until all brokers take part, all replicas are in sync and all containers are healthy."""
        deadline = time.monotonic() + seconds
        while True:
            status, unhealthy = nodes.status(self.bootstrap()), self.unhealthy()
            if nodes.whole(status, len(self.shape.brokers)) and not unhealthy:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"not whole after {seconds} s: {status}, not healthy: {unhealthy}")
            time.sleep(0.2)

    def logs(self):
        return subprocess.run([*self._command, "logs", "--no-color"], capture_output=True, text=True).stdout

    def _containers(self):
        """{service: (container, what docker says of its state)}."""
        shown = docker("ps", "-a", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format",
                       '{{.Label "com.docker.compose.service"}}\t{{.ID}}\t{{.Status}}')
        return {service: (container, state) for service, container, state in
                (line.split("\t") for line in shown.splitlines())}

    def _container(self, service):
        return self._containers()[service][0]

    def _run(self, *arguments):
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(self._command + list(arguments))}\n{done.stderr}")


class Trial:
    """One compose file under load. `load` has a replica on every broker; `narrow` has three of more brokers."""

    def __init__(self, compose):
        self.compose, self.found = compose, {"kills": [], "steps": []}
        ids = list(compose.shape.brokers.values())
        self.wide = [(TOPIC, number) for number in range(len(ids))]
        rotated = [ids[index:] + ids[:index] for index in range(len(ids))]
        config = {"min.insync.replicas": str(len(ids) // 2 + 1)}
        workload.create_topic(compose.bootstrap(), TOPIC, rotated, config)
        narrow = []
        if len(ids) > 3:
            workload.create_topic(compose.bootstrap(), NARROW, [replicas[:3] for replicas in rotated])
            narrow = [(NARROW, number) for number in range(len(ids))]
        compose.await_whole()
        self.work = workload.Workload(compose.bootstrap(), self.wide + narrow, RATE)
        self.work.start()
        self.await_acks(3)

    def await_acks(self, seconds, after=0.0):
        self.work.await_acks(seconds, after=after, partitions=self.wide)

    def step(self, what, figure=""):
        self.found["steps"].append((what, figure))
        say(f"   {what} {figure}")

    def survive(self, victims):
        """Some nodes are killed; the others go on, and the killed ones come back."""
        struck = time.monotonic()
        for service in victims:
            self.compose.kill(service)
        self.await_acks(3, after=struck)
        for service in victims:
            self.compose.start(service)
        self.compose.await_whole()
        self.await_acks(1, after=struck)
        gap = self.work.longest_gap(struck - 0.5, self.wide)
        self.found["kills"].append((victims, gap))
        say(f"   killed {' and '.join(victims)}: longest gap {gap:.2f} s")

    def walk(self):
        """One broker after the other is killed until too few are left; then one comes back, and then all."""
        brokers = list(self.compose.shape.brokers)
        lost = brokers[:len(brokers) // 2 + 1]
        for service in lost[:-1]:
            struck = time.monotonic()
            self.compose.kill(service)
            self.await_acks(3, after=struck)
        self.step(f"{len(lost) - 1} of {len(brokers)} brokers killed: writes with acks=all go on")
        self.compose.kill(lost[-1])
        time.sleep(2)
        before = len(self.work.acked)
        refusal = self.refusal()
        assert len(self.work.acked) == before, "acknowledged although too few replicas are in sync"
        self.step(f"{len(lost)} of {len(brokers)} brokers killed: a write with acks=all fails with", refusal)
        self.come_back(lost)

    def come_back(self, lost):
        since = time.monotonic()
        self.compose.start(lost[-1])
        self.await_acks(1, after=since)
        self.step("one of them back: writes go on after", f"{self.first_ack(since) - since:.2f} s")
        for service in lost[:-1]:
            self.compose.start(service)
        self.compose.await_whole()
        self.step("all back: every replica in sync after", f"{time.monotonic() - since:.1f} s")

    def first_ack(self, since):
        """When every partition had acknowledged something since then."""
        return max(next(at for at in self.work.acks[partition] if at > since) for partition in self.wide)

    def refusal(self):
        """What a client that waits for five seconds is told."""
        told = []
        producer = Producer({"bootstrap.servers": self.compose.bootstrap(), "acks": "all",
                             "delivery.timeout.ms": 5000, **workload.QUIET})
        producer.produce(TOPIC, b"-1", partition=0, on_delivery=lambda error, _: told.append(error))
        producer.flush(30)
        assert told and told[0] is not None, "a write was acknowledged although too few replicas are in sync"
        return told[0].name()

    def controllers_lost(self):
        """Two of three controllers of their own are killed and come back."""
        lost = self.compose.shape.controllers[:2]
        since = time.monotonic()
        for service in lost:
            self.compose.kill(service)
        time.sleep(5)
        self.step("2 of 3 controllers killed: longest time without an acknowledgement",
                  f"{self.work.longest_gap(since, self.wide):.2f} s")
        for service in lost:
            self.compose.start(service)
        self.compose.await_whole()
        self.await_acks(1, after=since)
        self.step("both back: all is well after", f"{time.monotonic() - since - 5:.1f} s")

    def replace(self, service, volume):
        """A container is removed, perhaps with its volume, and made anew, as a pod is that was deleted."""
        since = time.monotonic()
        self.compose.remove(service, volume)
        self.await_acks(2, after=since)
        self.compose.up(service)
        self.compose.await_whole()
        self.await_acks(1, after=since)
        self.step(f"{service} deleted{' with its volume' if volume else ''} and made anew: every replica in sync after",
                  f"{time.monotonic() - since:.1f} s")

    def conclude(self):
        self.work.end()
        self.found |= self.work.verdict()


def form(compose, in_turn):
    """Starts all containers, or one after the other with the last one first; until the cluster is whole."""
    begun = time.monotonic()
    if in_turn:
        for service in reversed([*compose.shape.brokers, *compose.shape.controllers]):
            compose.up(service)
            time.sleep(3)
    else:
        compose.up()
    compose.await_whole()
    return time.monotonic() - begun


def trial(name, options, folder):
    shape = SHAPES[name]
    say(f"== {shape.file.name}")
    with Compose(shape, folder, options.ports_from, options.keep) as compose:
        try:
            formed = form(compose, options.in_turn)
            say(f"   formed and healthy after {formed:.1f} s")
            return {"formed": formed, **run(compose, options)}
        except BaseException:
            (machine.TARGET / f"compose-{name}.log").write_text(compose.logs())
            raise


def run(compose, options):
    run = Trial(compose)
    for victims in compose.shape.kills():
        run.survive(victims)
    run.walk()
    if compose.shape.controllers:
        run.controllers_lost()
    else:
        run.replace(list(compose.shape.brokers)[1], volume=False)
        run.replace(list(compose.shape.brokers)[2], volume=True)
    run.conclude()
    say(f"   {({key: value for key, value in run.found.items() if key not in ('kills', 'steps')})}")
    if options.acceptance:
        run.found["acceptance"] = acceptance(compose, options.acceptance)
    return run.found


def acceptance(compose, paths):
    """The summary that pytest ends with."""
    environment = {**os.environ, "KAFKA_BOOTSTRAP": compose.bootstrap(), "KAFKA_RF": "3",
                   "ACCEPTANCE_PATHS": " ".join(paths)}
    done = subprocess.run([machine.ROOT / "scripts/acceptance"], env=environment, capture_output=True, text=True)
    say(*done.stdout.splitlines()[-12:], sep="\n")
    return done.stdout.strip().splitlines()[-1].strip("= ")


def lines(results):
    """What the document says."""
    head = ["", "formed and healthy, s", "kills", "longest gap, s", "acknowledged", "failed", "lost", "twice"]
    yield from report.table(head, (
        (SHAPES[name].file.name, f"{found['formed']:.1f}", len(found["kills"]),
         f"{max(gap for _, gap in found['kills']):.2f}", f"{found['acknowledged']:,}", found["failed"], found["lost"],
         found["twice"]) for name, found in results.items()))
    for name, found in results.items():
        yield ""
        yield f"{SHAPES[name].file.name}, the longest gap after each kill:"
        yield ", ".join(f"{' and '.join(victims)} {gap:.2f} s" for victims, gap in found["kills"]) + "."
        yield ""
        for what, figure in found["steps"]:
            yield f"- {what} {figure}".rstrip()
        if "acceptance" in found:
            yield f"- scripts/acceptance with replication factor 3: {found['acceptance']}"


def main():
    parser = argparse.ArgumentParser(prog="scripts/compose-test", description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--in-turn", action="store_true", help="starts one container after the other, the last first")
    parser.add_argument("--ports-from", type=int, help="other ports of this machine than those of the files")
    parser.add_argument("--keep", action="store_true", help="leaves the containers of a run that failed")
    parser.add_argument("--acceptance", nargs="*", metavar="PATH", help="runs these tests as well")
    parser.add_argument("--write", type=pathlib.Path, help="writes the tables into this document")
    options = parser.parse_args()
    machine.end_in_order()
    if options.acceptance == []:
        options.acceptance = ["tests/acceptance"]
    kept = machine.TARGET / "compose-test.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name in options.shapes:
        with tempfile.TemporaryDirectory(prefix="ottla-compose-") as folder:
            results[name] = trial(name, options, pathlib.Path(folder))
        kept.write_text(json.dumps(results))
    found = list(lines({name: results[name] for name in SHAPES if name in results}))
    say(*found, sep="\n")
    if options.write:
        report.replace(options.write, "containers", found)


if __name__ == "__main__":
    main()
