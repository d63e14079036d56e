"""What the measuring scripts need of the machine: built programs, processor time and memory of processes, ports."""

import json
import os
import pathlib
import platform
import random
import signal
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
# Below the range that outgoing connections take their ports from, or one of them could hold the port of a node that is
# down and about to return; a client may even connect to itself there.
PORTS = range(12_000, 32_000)


def say(*words, sep=" "):
    print(*words, sep=sep, flush=True)


def end_in_order():
    """SIGTERM ends this program like an error: what it started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_ports(count):
    """Ports where nobody listens."""
    found = []
    while len(found) < count:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def target_directory():
    """Where cargo builds, which the environment or a configuration file may have moved."""
    shown = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, capture_output=True)
    return pathlib.Path(json.loads(shown.stdout)["target_directory"])


TARGET = target_directory()
OTTLA = pathlib.Path(os.environ.get("OTTLA_BIN") or TARGET / "release/ottla").resolve()
LOAD = pathlib.Path(os.environ.get("LOAD_BIN") or TARGET / "release/examples/load").resolve()


def build():
    """Makes the programs that OTTLA_BIN and LOAD_BIN do not name."""
    wanted = [] if "OTTLA_BIN" in os.environ else ["--bin", "ottla"]
    wanted += [] if "LOAD_BIN" in os.environ else ["--example", "load"]
    if wanted:
        say("building:", "cargo build --release", *wanted)
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", *wanted], cwd=ROOT, check=True)


def load(*arguments):
    """Runs the load generator and returns what it says."""
    command = [str(LOAD), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def cpu_seconds(*pids):
    """User and system time that these processes and their descendants have used."""
    all_of_them = [one for pid in pids for one in family(pid)]
    fields = [pathlib.Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in all_of_them]
    return sum(int(stat[11]) + int(stat[12]) for stat in fields) / TICKS


def resident_mib(*pids):
    """Memory that these processes and their descendants hold."""
    all_of_them = [one for pid in pids for one in family(pid)]
    return sum(int(pathlib.Path(f"/proc/{one}/statm").read_text().split()[1]) for one in all_of_them) * PAGE_KIB / 1024


def ottla_version():
    """The version, and the commit it was built from; of a binary that was not built here its name."""
    shown = subprocess.run([OTTLA, "--version"], capture_output=True, text=True).stdout.split()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return f"{shown[-1]} ({OTTLA.name if 'OTTLA_BIN' in os.environ else commit.stdout.strip()})"


def describe():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "unknown")
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB of memory, Linux {platform.release()}"
