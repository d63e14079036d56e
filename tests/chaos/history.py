"""The history of a run: one JSON object a line, in the order in which things were noted.

Every line has `t` (monotonic nanoseconds), `type` and `f`. `type` is `invoke` when something is asked, `ok` when it is
known to have happened, `fail` when it is known not to have happened, and `info` when nobody knows, or for the record.

    run        ok      seed, minutes, nodes, rate, peer, sabotage
    client     ok      client, kind (idempotent, plain, transactional)
    send       invoke  client, records [[tp, number]...]
    send       ok      client, acks [[tp, number, offset or null]...]      info: records, outcome unknown
    confession info    client, what     librdkafka tells of an epoch that it gives up, and why
    txn        ok|fail|info  client, first, last     committed, aborted, outcome unknown; numbers are inclusive
    poll       ok      client, tp, isolation, assigned, records [[offset, client, number]...]
    final      ok      as poll: the last reading of everything, after all faults
    end        ok      tp, offset     the last reading has come to the partition's end
    reset      info    client, tp, offset     a position that was reached is no longer there
    commit     invoke|ok|fail|info  client, group, id, offsets {tp: offset}
    committed  invoke|ok|info       client, group, id, offsets {tp: offset or null}
    replica    ok      node, tp, bytes, digest     a replica's log after the nodes have stopped
    fault      invoke|ok|fail  id, kind, nodes      begins, is healed, could not be done
    died       info    node, code     a node ended that nobody ended
    admin      invoke|ok|info  what
    reborn     ok      topic, acknowledged, lives {life: records}     what a topic that was created again holds

A record whose payload does not match its hash, or that is none of ours, stands as [offset, null, what it was].
"""

import json
import threading
import time


class History:
    """Writes a history; may be shared by threads."""

    def __init__(self, path):
        self.path = path
        self._file = open(path, "w", buffering=1 << 16)
        self._lock = threading.Lock()

    def note(self, type_, f, **fields):
        with self._lock:
            # The time is taken under the lock: lines are in the order of their times.
            event = {"t": time.monotonic_ns(), "type": type_, "f": f, **fields}
            self._file.write(json.dumps(event, separators=(",", ":")) + "\n")

    def close(self):
        with self._lock:
            self._file.close()


def read(path):
    """The events of a history file, one by one."""
    with open(path) as lines:
        for line in lines:
            yield json.loads(line)
