"""Apache Kafka in place of Ottla's nodes: the same faults, clients and checker, to see what they make of it."""

import pathlib
import re
import subprocess

from cluster import CLIENT_PORT, CONTROLLER_PORT, Cluster, run

PEER = str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "kafka-peer")
SETTINGS = {
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
}


class KafkaCluster(Cluster):
    """Combined nodes with Kafka's own defaults but for what the caller sets."""

    patience = 10  # A virtual machine starts slowly beside others.
    hidden = ("KAFKA_OPTS",)
    has_rig = False  # The rig's parts are made for Ottla's nodes.

    def __init__(self, home, nodes, private, settings):
        super().__init__(PEER, home, nodes, private, settings | SETTINGS)
        self._admin = None
        voters = ",".join(f"{node}@{self.network.host(node)}:{CONTROLLER_PORT}" for node in self.nodes)
        for node in self.nodes:
            host = self.network.host(node)
            own = {
                "node.id": node,
                "listeners": f"PLAINTEXT://{host}:{CLIENT_PORT},CONTROLLER://{host}:{CONTROLLER_PORT}",
                "advertised.listeners": f"PLAINTEXT://{host}:{CLIENT_PORT}",
                "controller.quorum.voters": voters,
                "log.dirs": self.data(node),
            }
            run(PEER, "prepare", str(self._directory(node)), str(CLIENT_PORT),
                *(f"{key}={value}" for key, value in (own | self.settings).items()))

    def _directory(self, node):
        return self.home / f"node-{node}" / "kafka"

    def _command(self, node):
        return [PEER, "run", str(self._directory(node))]

    def status(self):
        """{partition: (replicas, in sync)}, with the brokers under None."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient
        self._admin = self._admin or AdminClient({"bootstrap.servers": self.bootstrap(), "log_level": 0})
        try:
            metadata = self._admin.list_topics(timeout=5)
        except KafkaException:
            return {}
        partitions = {f"{topic}-{number}": (len(partition.replicas), len(partition.isrs))
                      for topic, of_topic in metadata.topics.items() for number, partition in of_topic.partitions.items()}
        return {None: (len(self.nodes), len(metadata.brokers)), **partitions}

    def is_whole(self):
        status = self.status()
        return bool(status) and all(wanted == there for wanted, there in status.values())

    def controller(self):
        told = self._output("kafka-metadata-quorum", "--bootstrap-server", self.bootstrap(), "describe", "--status")
        leader = re.search(r"^LeaderId:\s+(\d+)", told, re.MULTILINE)
        return int(leader[1]) if leader else None

    def _tool(self, name, *arguments):
        return bool(self._output(name, *arguments, "--bootstrap-server", self.bootstrap()))

    def _output(self, name, *arguments):
        try:
            done = subprocess.run([PEER, "tool", name, *arguments], capture_output=True, timeout=60, text=True)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout if done.returncode == 0 else ""
