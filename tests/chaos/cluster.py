"""Nodes as real processes, and the network between them. Does what it is told; decides nothing.

Run as root, the whole harness lives in name spaces of its own (scripts/chaos sees to that) and each node in one more,
with a link of its own to a bridge: links can be cut and slowed down one by one, and all of it goes away with the
harness. Otherwise nodes have addresses of 127.0.0.0/8 and no link can be cut.
"""

import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import rig
from rig import run

CLIENT_PORT, CONTROLLER_PORT = 9092, 9093
SMALL_DISK_BYTES = 3 << 29


class Loopback:
    """Addresses of 127.0.0.0/8 where nobody listens."""

    can_cut = False

    def __init__(self, nodes):
        while True:
            high, low = random.randint(1, 254), random.randint(0, 255)
            self._hosts = [f"127.{high}.{low}.{node}" for node in nodes]
            if all(self._is_free(host) for host in self._hosts):
                return

    def host(self, node):
        return self._hosts[node - 1]

    def command(self, node):
        return []

    def heal(self):
        pass

    @staticmethod
    def _is_free(host):
        try:
            for port in (CLIENT_PORT, CONTROLLER_PORT):
                with socket.socket() as probe:
                    probe.bind((host, port))
        except OSError:
            return False
        return True


class Links:
    """A name space for each node, a link from each to a bridge, clients on the bridge."""

    can_cut = True

    def __init__(self, nodes):
        self._nodes = nodes
        # What is mounted and unmounted here is so in the nodes' name spaces too: none keeps a disk without power alive.
        run("mount", "--make-rshared", "/")
        os.makedirs("/run/netns", exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "bridge", "type", "bridge")
        run("ip", "addr", "add", "10.77.0.254/24", "dev", "bridge")
        run("ip", "link", "set", "bridge", "up")
        for node in nodes:
            run("ip", "netns", "add", f"node{node}")
            run("ip", "link", "add", f"link{node}", "type", "veth", "peer", "name", "eth0", "netns", f"node{node}")
            run("ip", "link", "set", f"link{node}", "master", "bridge", "up")
            for command in (f"addr add {self.host(node)}/24 dev eth0", "link set eth0 up", "link set lo up"):
                self._inside(node, "ip", *command.split())

    def host(self, node):
        return f"10.77.0.{node}"

    def command(self, node):
        return ["ip", "netns", "exec", f"node{node}"]

    def cut(self, source, target):
        """Nothing that `source` sends arrives at `target`."""
        self._inside(target, "iptables", "-w", "-A", "INPUT", "-s", self.host(source), "-j", "DROP")

    def lose(self, node, share):
        """A share of all packets to a node gets lost."""
        self._inside(node, "iptables", "-w", "-A", "INPUT", "-i", "eth0", "-m", "statistic", "--mode", "random",
                     "--probability", str(share), "-j", "DROP")

    def slow_down(self, node, rate):
        """A node sends no faster than this."""
        self._inside(node, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "16kb",
                     "latency", "400ms")

    def heal(self):
        for node in self._nodes:
            self._inside(node, "iptables", "-w", "-F", "INPUT")
            subprocess.run([*self.command(node), "tc", "qdisc", "del", "dev", "eth0", "root"], capture_output=True)

    def _inside(self, node, *command):
        run(*self.command(node), *command)


class Cluster:
    """Combined nodes, numbered from 1 on, and a guest: a broker that joins them and leaves again."""

    patience = 1  # Times as long as usual for the cluster to be whole.
    hidden = ("KAFKA_", "OTTLA_")  # What nodes are not to see of the environment.
    has_rig = True  # Whether disks lose power, syncs fail, clocks jump, and a guest comes.

    def __init__(self, binary, home, nodes, private, settings):
        self.binary, self.home = str(binary), pathlib.Path(home)
        self.nodes = list(range(1, nodes + 1))
        self.guest = nodes + 1
        self.network = (Links if private else Loopback)([*self.nodes, self.guest])
        self.settings = settings
        self._processes = {}
        self._stopped = set()
        self._ending = set()  # Told to end and not gone yet: nobody starts them meanwhile.
        self._lock = threading.RLock()  # Over which process is a node's: several threads start and end them.
        self._dead = []  # (node, exit code) of those that ended by themselves and were not told yet
        self.small_disk = nodes if private else None
        self._disks, self._injections, self._boots = {}, {}, {}
        for node in [*self.nodes, self.guest]:
            self.data(node).mkdir(parents=True)
        if self.small_disk:
            run("mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES}", "tmpfs", str(self.data(self.small_disk)))
        if private and self.has_rig:
            self._build_rig()

    def _build_rig(self):
        try:
            library = rig.build_library(self.home)
            for node in self.nodes:
                if node != self.small_disk:
                    self._disks[node] = rig.Disk(self.home / f"node-{node}" / "disk.img", self.data(node))
        except (OSError, subprocess.CalledProcessError) as failure:
            print(f"no power is cut, no sync fails, no clock jumps: that needs cc, mkfs.ext4 and loop devices: {failure}",
                  flush=True)
        else:
            self._injections = {node: rig.Injection(library, self.home / f"node-{node}" / "faults")
                                for node in self.nodes}

    def data(self, node):
        return self.home / f"node-{node}" / "data"

    def log(self, node):
        return self.home / f"node-{node}" / "stderr.log"

    def bootstrap(self):
        return ",".join(f"{self.network.host(node)}:{CLIENT_PORT}" for node in self.nodes)

    def start(self, node):
        """Starts a node unless it runs; does not wait for it."""
        with self._lock:
            if not self.is_up(node) and node not in self._ending:
                self._bury(node)
                self._processes[node] = self._spawn(node)

    def _spawn(self, node):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(self.hidden)}
        if node in self._injections:
            clean |= self._injections[node].environment
        if node in self._boots:
            clean["OTTLA_BOOT_ID"] = f"boot-{self._boots[node]}"
        with open(self.log(node), "a") as log:
            return subprocess.Popen(
                [*self.network.command(node), *self._command(node)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean, cwd=self.home / f"node-{node}")

    def _command(self, node):
        host = self.network.host(node)
        voters = ",".join(f"{each}@{self.network.host(each)}:{CONTROLLER_PORT}" for each in self.nodes)
        client, controller = f"PLAINTEXT://{host}:{CLIENT_PORT}", f"CONTROLLER://{host}:{CONTROLLER_PORT}"
        is_guest = node == self.guest
        settings = {
            "node.id": node,
            "process.roles": "broker" if is_guest else "broker,controller",
            "listeners": client if is_guest else f"{client},{controller}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": voters,
            "log.dirs": self.data(node),
            "ottla.http.listener": "",
            **self.settings,
        }
        overrides = [part for key, value in settings.items() for part in ("--override", f"{key}={value}")]
        return [self.binary, "server", *overrides]

    def is_up(self, node):
        process = self._processes.get(node)
        return process is not None and process.poll() is None

    def up(self):
        """The nodes that run and are not paused."""
        return [node for node in self.nodes if self.is_up(node) and node not in self._stopped]

    def kill(self, node):
        self._end(node, signal.SIGKILL, 10)

    def stop(self, node):
        """Ends a node in order; kills it when it does not end within a minute. True when it ended in order."""
        return self._end(node, signal.SIGTERM, 60) == 0

    def pause(self, node):
        """Stops a node in its tracks. False when it does not run."""
        if not self.is_up(node):
            return False
        self._processes[node].send_signal(signal.SIGSTOP)
        self._stopped.add(node)
        return True

    def resume(self, node):
        self._stopped.discard(node)
        if self.is_up(node):
            self._processes[node].send_signal(signal.SIGCONT)

    def can_lose_power(self, node):
        return node in self._disks

    def cut_power(self, node):
        """Ends a node, and what it had not synced is gone. False when it does not run."""
        with self._lock:
            if not self.is_up(node) or node in self._ending or node in self._stopped:
                return False
            self._ending.add(node)
            process = self._processes[node]
        self._disks[node].cut_power(process)
        with self._lock:
            self._boots[node] = self._boots.get(node, 0) + 1  # The machine's next life has another name.
            self._ending.discard(node)
            del self._processes[node]
        return True

    def injection(self, node):
        """What can be done to a node from within; None where nothing can."""
        return self._injections.get(node)

    def admit_guest(self, moves):
        """Starts the guest and gives it replicas. True when it has been asked to take them."""
        self.start(self.guest)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.reassign(moves):
                return True
            time.sleep(0.5)
        return False

    def dismiss_guest(self):
        """Ends the guest, whose replicas have been taken away, and strikes it off. True when that was done."""
        self.stop(self.guest)
        if not self._tool("kafka-cluster", "unregister", "--id", str(self.guest)):
            return False
        shutil.rmtree(self.data(self.guest))
        self.data(self.guest).mkdir()
        return True

    def has_guest(self):
        """Whether the guest is registered, as far as anybody tells."""
        status = self.status()
        return not status or any(broker["broker"] == self.guest for broker in status["brokers"])

    def wipe(self, node):
        """Removes all that a node which is down has on disk."""
        run("find", str(self.data(node)), "-mindepth", "1", "-delete")

    def fill_disk(self):
        """Leaves the small disk without a free block, as far as nobody frees one."""
        size, piece = 0, SMALL_DISK_BYTES
        with open(self.data(self.small_disk) / "filling", "wb") as filling:
            while piece >= 4096:
                try:
                    os.posix_fallocate(filling.fileno(), size, piece)
                    size += piece
                except OSError:  # No room for that much: the node takes its share meanwhile.
                    piece //= 2

    def free_disk(self):
        (self.data(self.small_disk) / "filling").unlink(missing_ok=True)

    def died(self):
        """The nodes that ended without having been ended, with their exit codes; each is told once."""
        with self._lock:
            for node in self.nodes:
                if not self.is_up(node) and node not in self._ending:
                    self._bury(node)
            dead, self._dead = self._dead, []
            return dead

    def status(self):
        """The cluster as it sees itself, or None when nobody answers."""
        try:
            return json.loads(run(self.binary, "cluster", "status", "--json", "--timeout", "3",
                                  "-b", self.bootstrap(), timeout=8))
        except (subprocess.SubprocessError, ValueError):
            return None

    def controller(self):
        """The active controller as far as anybody tells."""
        status = self.status()
        return status and status["quorum"] and status["quorum"]["leader"]

    def is_whole(self):
        """Every broker is there and every replica in sync."""
        status = self.status()
        return bool(status) and len(status["brokers"]) >= len(self.nodes) and not any(status["problems"].values())

    def reassign(self, moves):
        """Moves partitions with the tool that administrators use. True when the move was begun."""
        plan = self.home / f"moves-{threading.get_ident()}.json"
        plan.write_text(json.dumps({"version": 1, "partitions": moves}))
        options = ("--execute", "--additional", "--reassignment-json-file", str(plan))
        return self._tool("kafka-reassign-partitions", *options)

    def elect_preferred(self):
        return self._tool("kafka-leader-election", "--election-type", "preferred", "--all-topic-partitions")

    def heal(self):
        """Ends all faults: links, pauses, the full disk, failing syncs, wrong clocks; starts every node."""
        self.network.heal()
        for injection in self._injections.values():
            injection.heal()
        if self.small_disk:
            self.free_disk()
        for node in self.nodes:
            self.resume(node)
            self.start(node)

    def await_whole(self, seconds, reviving=False):
        """Waits until the cluster is whole; may start nodes that end meanwhile. False when it takes longer than that."""
        deadline = time.monotonic() + seconds * self.patience
        while time.monotonic() < deadline:
            if reviving:
                for node in self.nodes:
                    self.start(node)
            if self.is_whole():
                return True
            time.sleep(0.5)
        return False

    def stop_all(self):
        """Ends all nodes in order, all at the same time."""
        for node in [*self.nodes, self.guest]:
            self.resume(node)
        running = [process for process in self._processes.values() if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def unmount(self):
        """Takes the nodes' file systems away once all nodes have ended; `disk.img` keeps what they hold."""
        for disk in self._disks.values():
            disk.unmount()
        if self.small_disk:
            run("umount", "--lazy", str(self.data(self.small_disk)))

    def replicas(self, tps):
        """(node, tp, bytes, digest) of each replica's log, whatever its division into segments."""
        for node in self.nodes:
            for tp in tps:
                directory = self.data(node) / tp
                if directory.is_dir():
                    content = hashlib.blake2b(digest_size=16)
                    size = 0
                    for segment in sorted(directory.glob("*.log")):
                        piece = segment.read_bytes()
                        content.update(piece)
                        size += len(piece)
                    yield node, tp, size, content.hexdigest()

    def _bury(self, node):
        process = self._processes.pop(node, None)
        if process is not None:
            self._dead.append((node, process.returncode))

    def _tool(self, name, *arguments):
        command = [self.binary, "tools", "run", name, *arguments, "--bootstrap-server", self.bootstrap()]
        try:
            return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _end(self, node, signal_, seconds):
        with self._lock:
            if not self.is_up(node) or node in self._ending:
                return None
            self._ending.add(node)
            self._stopped.discard(node)
            process = self._processes[node]
        process.send_signal(signal_)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with self._lock:
            self._ending.discard(node)
            del self._processes[node]
        return process.returncode
