"""Clusters on loopback, of Ottla and of Apache Kafka alike: nodes that are broker and controller both, as processes."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import machine


class Cluster:
    """Nodes numbered from 1 on, with their data below `folder`. Subclasses say how a node is prepared and run."""

    def __init__(self, folder, count, settings=(), open_files=None):
        self.nodes = list(range(1, count + 1))
        ports = machine.free_ports(2 * count)
        self._clients = dict(zip(self.nodes, ports))
        self._controllers = dict(zip(self.nodes, ports[count:]))
        self.folder = folder / f"{self.name}-{ports[0]}"
        self.folder.mkdir(parents=True)
        self._settings, self._open_files = dict(settings), open_files
        self._processes = {}
        for node in self.nodes:
            self.prepare(node)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in list(self._processes):
            self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def settings(self, node):
        """Of a node, under Kafka's keys."""
        voters = ",".join(f"{each}@127.0.0.1:{port}" for each, port in self._controllers.items())
        internal = min(3, len(self.nodes))
        return {
            "process.roles": "broker,controller",
            "node.id": node,
            "listeners": f"PLAINTEXT://{self.address(node)},CONTROLLER://127.0.0.1:{self._controllers[node]}",
            "advertised.listeners": f"PLAINTEXT://{self.address(node)}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "log.dirs": self.data(node),
            "offsets.topic.replication.factor": internal,
            "min.insync.replicas": 2 if internal > 2 else 1,
            **self._settings,
        }

    def prepare(self, node):
        """Makes what the node needs before its first start."""

    def data(self, node):
        return self.folder / f"node-{node}" / "data"

    def log(self, node):
        return self.folder / f"node-{node}.log"

    def address(self, node):
        return f"127.0.0.1:{self._clients[node]}"

    def bootstrap(self):
        return ",".join(map(self.address, self.nodes))

    def start(self, *nodes):
        """Starts some nodes, or all of them, at the same time and does not wait for them."""
        for node in nodes or self.nodes:
            with open(self.log(node), "a") as log:
                self._processes[node] = subprocess.Popen(
                    [str(part) for part in self.command(node)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    preexec_fn=self._limit if self._open_files else None)

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._open_files, self._open_files))

    def send(self, node, which):
        self._processes[node].send_signal(which)

    def kill(self, node):
        self.send(node, signal.SIGKILL)
        self._processes.pop(node).wait()

    def stop(self, *nodes):
        """Ends some nodes, or all of them, in order and at the same time; False when one had to be killed."""
        nodes = nodes or list(self._processes)
        for node in nodes:
            self.send(node, signal.SIGTERM)
        in_order = True
        for node in nodes:
            try:
                self._processes[node].wait(120)
            except subprocess.TimeoutExpired:
                in_order = False
                self._processes[node].kill()
                self._processes[node].wait()
            del self._processes[node]
        return in_order

    def forget(self):
        """Back to what was there before the first start."""
        for node in self.nodes:
            shutil.rmtree(self.data(node), ignore_errors=True)
            self.prepare(node)

    def running(self):
        return [process.pid for process in self._processes.values()]

    def cpu_seconds(self):
        return machine.cpu_seconds(*self.running())

    def resident_mib(self):
        return machine.resident_mib(*self.running())

    def open_files(self):
        """The most that one of the nodes has open."""
        return max(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.running())

    def status(self):
        """What `ottla cluster status` tells of this cluster, or None when nobody answers."""
        return status(self.bootstrap())

    def await_whole(self, seconds=180):
        """Waits until every node takes part and every replica is in sync."""
        deadline = time.monotonic() + seconds
        while not whole(self.status(), len(self.nodes)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.title} was not whole after {seconds} s: {self.status()}")
            time.sleep(0.1)


def status(bootstrap):
    command = [machine.OTTLA, "cluster", "status", "--json", "--timeout", "3", "-b", bootstrap]
    try:
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=10).stdout)
    except (subprocess.SubprocessError, ValueError):
        return None


def whole(status, brokers):
    """Whether a status tells of so many brokers, a leading controller, and all replicas in sync."""
    if not status or len(status["brokers"]) < brokers:
        return False
    return not any(status["problems"].values()) and status["quorum"]["leader"] >= 0


class Ottla(Cluster):
    name, title = "ottla", "Ottla"

    def command(self, node):
        settings = {"ottla.http.listener": "", **self.settings(node)}
        overrides = [part for key, value in settings.items() for part in ("--override", f"{key}={value}")]
        return [machine.OTTLA, "server", *overrides]


class Kafka(Cluster):
    name, title = "kafka", "Apache Kafka 4.3.1"
    peer = machine.ROOT / "scripts/kafka-peer"

    def prepare(self, node):
        home = self.data(node).parent
        fresh = home.with_suffix(".fresh")
        if not fresh.exists():
            settings = [f"{key}={value}" for key, value in self.settings(node).items()]
            subprocess.run([self.peer, "prepare", home, str(self._clients[node]), *settings], check=True)
            shutil.copytree(self.data(node), fresh)
        else:
            shutil.copytree(fresh, self.data(node))

    def command(self, node):
        return [self.peer, "run", self.data(node).parent]


PEERS = {"ottla": Ottla, "kafka": Kafka}
