"""The transformers: one program per client, started, killed and started again.

A transformer is told: bootstrap servers, group, input topic, output topic, transactional id, records per transaction,
per cent of transactions to abort on purpose, and the number of its life. In each transaction it reads up to so many
records as a member of the group, writes for each a record to the same partition of the output (see oracle.Output),
and commits the offsets with them. It runs until it is killed, and ends by itself when its client cannot go on.
"""

import pathlib
import subprocess
import sys
import threading
import time

import jvm

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent


def _python(program):
    return lambda: [sys.executable, str(HERE / program)]


def _java():
    jvm.prepare()
    return jvm.command("Transform", classes=jvm.compiled(HERE / "Transform.java"), heap="96M")


def _go():
    program = jvm.CACHE / "go" / "exactly-once"
    subprocess.run(["go", "build", "-o", program, "./exactly-once"], cwd=ROOT / "tests/clients/go", check=True)
    return [str(program)]


CLIENTS = {
    "java": _java,
    "librdkafka": _python("librdkafka.py"),
    "kafka-python": _python("kafka_python.py"),
    "franz-go": _go,
}


class Transformer:
    """One transactional id of one client, in life after life."""

    def __init__(self, command, log, client, number, bootstrap, options):
        self.client, self.id = client, f"{client}-{number}"
        self._command = [*command, bootstrap, *names(client), self.id, str(options.size), str(options.aborts)]
        self._log, self._process, self.lives, self.kills = log, None, 0, 0

    def start(self):
        self.lives += 1
        with open(self._log, "a") as log:
            self._process = subprocess.Popen([*self._command, str(self.lives)], stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log)

    def is_up(self):
        return self._process is not None and self._process.poll() is None

    def kill(self):
        if self.is_up():
            self._process.kill()
            self._process.wait()
            self.kills += 1


def names(client):
    """Group, input topic and output topic of a client."""
    return f"transform-{client}", f"in-{client}", f"out-{client}"


class Fleet:
    """All transformers; whichever is down is started again until the fleet is told to end."""

    def __init__(self, clients, home, bootstrap, options):
        self._commands = {client: CLIENTS[client]() for client in clients}
        self.transformers = [
            Transformer(self._commands[client], home / f"{client}-{number}.log", client, number, bootstrap, options)
            for client in clients for number in range(options.instances)]
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self):
        self._keeper.start()

    def retire(self, client):
        """Ends the transformers of a client that has nothing left to do."""
        mine = [each for each in self.transformers if each.client == client]
        self.transformers = [each for each in self.transformers if each.client != client]
        for transformer in mine:
            transformer.kill()

    def end(self):
        self._over.set()
        self._keeper.join()
        for transformer in self.transformers:
            transformer.kill()

    def _keep(self):
        while not self._over.is_set():
            for transformer in self.transformers:
                if not transformer.is_up():
                    transformer.start()
            time.sleep(0.2)
