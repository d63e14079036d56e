"""Faults, drawn from a seed. Each is a generator: it does harm, yields the nodes it struck, and makes good again.

What cannot be done (nobody leads, no links to cut) ends without a yield and counts as not done. Several faults may be
under way at the same time, so each must bear that another one has ended or started its node meanwhile.
"""

import random
import threading
import time

FAULTS = {}


def fault(kind, seconds=(0.5, 6), needs="nothing"):
    """Registers a fault: how long its harm lasts, and whether it needs links that can be cut, or the rig."""
    def register(function):
        FAULTS[kind] = (function, seconds, needs)
        return function
    return register


class World:
    """What faults see: the cluster, and clients' knowledge of it."""

    def __init__(self, cluster, admin, topics, seed, rebirth):
        self.cluster, self.admin, self.topics = cluster, admin, topics
        self.rebirth = rebirth  # Lets a topic die and live again, see workload.rebirth.
        self.random = random.Random(seed)
        self.power = threading.Lock()  # Held by the one who looks whether power may be cut, until it is.
        self.guest = threading.Lock()  # Held by the one who looks after the guest.

    def partitions(self):
        """(topic, partition, leader, replicas) as metadata tells."""
        try:
            metadata = self.admin.list_topics(timeout=3)
        except Exception:
            return []
        return [(topic, partition.id, partition.leader, partition.replicas) for topic in self.topics
                if topic in metadata.topics for partition in metadata.topics[topic].partitions.values()]

    def leader(self):
        """A node that leads some partition, more often one that leads many."""
        up = self.cluster.up()
        return self.choose([leader for _, _, leader, _ in self.partitions() if leader in up])

    def follower(self):
        up = self.cluster.up()
        return self.choose([replica for _, _, leader, replicas in self.partitions() for replica in replicas
                            if replica != leader and replica in up])

    def controller(self):
        leader = self.cluster.controller()
        return leader if leader in self.cluster.up() else None

    def any_node(self):
        return self.choose(self.cluster.up())

    def choose(self, among):
        return self.random.choice(among) if among else None

    def minority(self):
        nodes = self.cluster.nodes
        return self.random.sample(nodes, self.random.randint(1, (len(nodes) - 1) // 2))


def kill(world, *nodes):
    if None in nodes or not nodes:
        return
    for node in nodes:
        world.cluster.kill(node)
    yield nodes
    for node in nodes:
        world.cluster.start(node)


@fault("kill a leader")
def kill_leader(world):
    yield from kill(world, world.leader())


@fault("kill a follower")
def kill_follower(world):
    yield from kill(world, world.follower())


@fault("kill the active controller")
def kill_controller(world):
    yield from kill(world, world.controller())


@fault("kill a majority", (0.5, 3))
def kill_majority(world):
    nodes = world.cluster.nodes
    yield from kill(world, *world.random.sample(nodes, len(nodes) // 2 + 1))


@fault("kill all", (0.2, 2))
def kill_all(world):
    yield from kill(world, *world.cluster.nodes)


@fault("kill twice in a row", (0.2, 1.5))
def kill_twice(world):
    node = world.leader()
    if node is not None:
        world.cluster.kill(node)
        world.cluster.start(node)
        yield (node,)
        world.cluster.kill(node)
        world.cluster.start(node)


@fault("stop in order", (0.2, 4))
def stop(world):
    node = world.any_node()
    if node is not None:
        world.cluster.stop(node)
        yield (node,)
        world.cluster.start(node)


@fault("rolling restart", (0, 1))
def rolling_restart(world):
    yield tuple(world.cluster.nodes)
    for node in world.cluster.nodes:
        world.cluster.stop(node)
        world.cluster.start(node)
        time.sleep(2)


def pause(world, node):
    if node is not None and world.cluster.pause(node):
        yield (node,)
        world.cluster.resume(node)


@fault("pause a leader", (1, 12))
def pause_leader(world):
    yield from pause(world, world.leader())


@fault("pause the active controller", (1, 12))
def pause_controller(world):
    yield from pause(world, world.controller())


@fault("cut one node off", (1, 10), needs="links")
def isolate(world):
    alone = world.choose(world.cluster.nodes)
    for other in set(world.cluster.nodes) - {alone}:
        world.cluster.network.cut(alone, other)
        world.cluster.network.cut(other, alone)
    yield (alone,)
    world.cluster.network.heal()


@fault("partition", (1, 10), needs="links")
def partition(world):
    side = world.minority()
    for here in side:
        for there in set(world.cluster.nodes) - set(side):
            world.cluster.network.cut(here, there)
            world.cluster.network.cut(there, here)
    yield tuple(side)
    world.cluster.network.heal()


@fault("partition one way", (1, 10), needs="links")
def one_way(world):
    source = world.choose(world.cluster.nodes)
    outward = world.random.random() < 0.5
    for other in set(world.cluster.nodes) - {source}:
        world.cluster.network.cut(*((source, other) if outward else (other, source)))
    yield (source,)
    world.cluster.network.heal()


@fault("cut one link", (1, 10), needs="links")
def cut_link(world):
    source, target = world.random.sample(world.cluster.nodes, 2)
    world.cluster.network.cut(source, target)
    world.cluster.network.cut(target, source)
    yield (source, target)
    world.cluster.network.heal()


@fault("lossy link", (2, 8), needs="links")
def lossy(world):
    node = world.choose(world.cluster.nodes)
    world.cluster.network.lose(node, world.random.choice((0.05, 0.2, 0.5)))
    yield (node,)
    world.cluster.network.heal()


@fault("slow link", (2, 8), needs="links")
def slow(world):
    node = world.choose(world.cluster.nodes)
    world.cluster.network.slow_down(node, world.random.choice(("256kbit", "1mbit", "4mbit")))
    yield (node,)
    world.cluster.network.heal()


@fault("disk full", (1, 6), needs="links")
def disk_full(world):
    node = world.cluster.small_disk
    world.cluster.fill_disk()
    yield (node,)
    world.cluster.free_disk()
    world.cluster.start(node)


@fault("power cut", (0.2, 5), needs="rig")
def power_cut(world):
    """One node at a time, and only when every replica is in sync: more is not promised without flush.before.ack."""
    with world.power:
        if not world.cluster.await_whole(20):
            return
        node = world.choose([node for node in world.cluster.up() if world.cluster.can_lose_power(node)])
        if node is None or not world.cluster.cut_power(node):
            return
    yield (node,)
    world.cluster.start(node)


@fault("failed syncs", (1, 5), needs="rig")
def failed_syncs(world):
    node = world.any_node()
    if node is not None:
        world.cluster.injection(node).fail_syncs(world.random.choice((1, 1, 3, 10)))
        yield (node,)
        world.cluster.injection(node).heal()


@fault("clock jump", (1, 8), needs="rig")
def clock_jump(world):
    node = world.any_node()
    if node is not None:
        jump = world.random.choice((1, 60, 3600, 86400)) * world.random.choice((-1, 1))
        world.cluster.injection(node).set_clock(jump)
        yield (node,)
        world.cluster.injection(node).heal()


@fault("broker joins and leaves", (2, 8), needs="rig")
def guest(world):
    cluster = world.cluster
    some = world.random.sample(known := world.partitions(), min(2, len(known)))
    moves = [{"topic": topic, "partition": partition_,
              "replicas": [cluster.guest, *world.random.sample(cluster.nodes, len(replicas) - 1)]}
             for topic, partition_, _, replicas in some]
    if moves and world.guest.acquire(blocking=False):
        try:
            if cluster.admit_guest(moves):
                yield (cluster.guest,)
            dismiss_guest(world, 30)
        finally:
            world.guest.release()


def dismiss_guest(world, seconds):
    """Takes the guest's replicas away and strikes it off. Otherwise it stays and False is told. A move to it may have been
    decided after the last look, so there is another one when it is gone."""
    cluster, deadline = world.cluster, time.monotonic() + seconds
    while time.monotonic() < deadline:
        known = world.partitions()
        moves = [{"topic": topic, "partition": partition_,
                  "replicas": world.random.sample(cluster.nodes, min(3, len(replicas)))}
                 for topic, partition_, _, replicas in known if cluster.guest in replicas]
        if moves:
            cluster.reassign(moves)
        elif known and not cluster.has_guest():
            return True
        elif known:
            cluster.dismiss_guest()
            continue
        time.sleep(1)
    return False


@fault("topic deleted and created again", (0.2, 2))
def rebirth(world):
    second_life = world.rebirth()
    if next(second_life, None):
        yield ()
        next(second_life, None)


@fault("reassignment", (0.2, 2))
def reassign(world):
    moves = []
    for topic, partition_, _, replicas in world.random.sample(known := world.partitions(), min(3, len(known))):
        wanted = world.random.sample(world.cluster.nodes, len(replicas))
        moves.append({"topic": topic, "partition": partition_, "replicas": wanted})
    if moves and world.cluster.reassign(moves):
        yield ()


@fault("preferred election", (0.2, 1))
def elect(world):
    if world.cluster.elect_preferred():
        yield ()


class Nemesis:
    """Rounds of up to three faults at a time until the time is over."""

    def __init__(self, world, history, only=None):
        self.world, self.history = world, history
        can = {"nothing": True, "links": world.cluster.network.can_cut, "rig": world.cluster.injection(1) is not None}
        self.kinds = [kind for kind, (_, _, needs) in FAULTS.items() if can[needs] and (only is None or kind in only)]
        self.count = 0
        self.errors = []

    def run(self, until):
        queue = []
        while time.monotonic() < until:
            strikes = self.world.random.choices((0, 1, 2, 3), (1, 3, 4, 2))[0]
            while len(queue) < strikes:
                # Each kind comes once before any comes again.
                queue += self.world.random.sample(self.kinds, len(self.kinds))
            struck = [threading.Thread(target=self._strike, args=(queue.pop(0),)) for _ in range(strikes)]
            for thread in struck:
                thread.start()
            for thread in struck:
                thread.join()
            self.world.cluster.heal()
            time.sleep(self.world.random.uniform(0.3, 2))

    def _strike(self, kind):
        function, seconds, _ = FAULTS[kind]
        self.count += 1
        id_, harm = self.count, function(self.world)
        try:
            nodes = next(harm, None)
            if nodes is None:
                self.history.note("fail", "fault", id=id_, kind=kind, nodes=[])
                return
            self.history.note("invoke", "fault", id=id_, kind=kind, nodes=nodes)
            time.sleep(self.world.random.uniform(*seconds))
            next(harm, None)
            self.history.note("ok", "fault", id=id_, kind=kind, nodes=nodes)
        except Exception as error:  # Two faults got into each other's way: told, and the next round goes on.
            self.errors.append(f"{kind}: {error!r}")
            self.history.note("fail", "fault", id=id_, kind=kind, nodes=[], error=repr(error))


class Saboteur:
    """Makes a badly configured cluster lose records: the last replica in sync loses its disk."""

    def __init__(self, world, history):
        self.world, self.history, self.count, self.errors = world, history, 0, []

    def run(self, until):
        cluster = self.world.cluster
        while time.monotonic() < until:
            first, second = self.world.random.sample(cluster.nodes, 2)
            self.count += 1
            cluster.kill(first)
            self.history.note("invoke", "fault", id=self.count, kind="lose the last replica", nodes=[first, second])
            time.sleep(5)
            cluster.kill(second)
            cluster.wipe(second)
            cluster.start(first)
            time.sleep(1)
            cluster.start(second)
            self.history.note("ok", "fault", id=self.count, kind="lose the last replica", nodes=[first, second])
            time.sleep(8)
