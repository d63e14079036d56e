"""One node of Apache Kafka beside Ottla's, by scripts/kafka-peer."""

import os
import pathlib
import random
import socket
import subprocess
import time

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "kafka-peer"
START_SECONDS = 600


def free_ports():
    """A port that is free, with the next one, below those that connections take."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            for each in (port, port + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
            return port
        except OSError:
            continue


class Peer:
    """A broker with a data directory of its own, for the length of a `with`."""

    def __init__(self, home, **settings):
        self._home, self._process = home, None
        self._port = free_ports()
        self.bootstrap = f"127.0.0.1:{self._port}"
        words = [f"{key.replace('_', '.')}={value}" for key, value in settings.items()]
        subprocess.run([SCRIPT, "prepare", home, str(self._port), *words], check=True)

    def data(self):
        return self._home / "data"

    def start(self):
        with open(self._home / "broker.log", "a") as log:
            self._process = subprocess.Popen([SCRIPT, "run", self._home], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env={**os.environ, "KAFKA_HEAP_OPTS": "-Xmx384M -Xms192M"})
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Apache Kafka did not start; see {self._home / 'broker.log'}")
            time.sleep(0.5)

    def stop(self):
        self._process.terminate()
        self._process.wait(60)

    def tool(self, name, *arguments):
        """What a tool of Kafka's prints."""
        done = subprocess.run([SCRIPT, "tool", name, *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        if self._process.poll() is None:
            self.stop()
