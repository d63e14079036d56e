"""What the Python client programs of the matrix share: running the cells and reporting them.

A program is a list of functions marked `@cells("operation")`. Each makes its own topics and groups, returns normally
when the client did what it should, and raises otherwise. One line per cell goes to stdout:

    CELL <operation> pass|fail|n/a [text]

A cell that returns a string has that string as its text; `topic=<name>` there asks the matrix to look at the stored
batches of that topic.
"""
import asyncio
import inspect
import os
import signal
import sys
import time
import traceback
import uuid

BOOTSTRAP = os.environ["BOOTSTRAP"]
CELL_SECONDS = 90


def unique(kind):
    return f"matrix-{kind}-{uuid.uuid4().hex[:8]}"


def wait_until(condition, what, seconds=40):
    """Polls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)


def equal(found, expected):
    assert found == expected, f"{str(found)[:300]} instead of {str(expected)[:300]}"


class NotApplicable(Exception):
    """The broker does not offer what this client needs for the operation, and does not have to."""


class Cells:
    def __init__(self):
        self._cells = []

    def __call__(self, operation):
        def mark(function):
            self._cells.append((operation, function))
            return function

        return mark

    def codecs(self, *names):
        """Marks a function that takes the codec's name; it becomes one cell per codec. Other families alike."""

        def mark(function):
            for name in names:
                self._cells.append((name, lambda name=name: function(name)))
            return function

        return mark

    def not_applicable(self, reason, *operations):
        for operation in operations:
            report(operation, "n/a", reason)

    def run(self):
        """Runs every cell; exits non-zero when one failed. Coroutine functions share one event loop."""
        only = sys.argv[1:]
        loop = asyncio.new_event_loop()
        signal.signal(signal.SIGALRM, _too_slow)
        failed = 0
        for operation, function in self._cells:
            if only and operation not in only:
                continue
            signal.alarm(CELL_SECONDS)
            try:
                text = function()
                if inspect.iscoroutine(text):
                    text = loop.run_until_complete(asyncio.wait_for(text, CELL_SECONDS - 5))
                report(operation, "pass", text or "")
            except NotApplicable as reason:
                report(operation, "n/a", reason)
            except Exception as error:  # Whatever a client raises is the cell's verdict.
                traceback.print_exc()
                report(operation, "fail", f"{type(error).__name__}: {error}")
                failed += 1
            finally:
                signal.alarm(0)
        sys.stdout.flush()
        # Clients leave threads behind that would keep the process alive after a failure.
        os._exit(1 if failed else 0)


def _too_slow(_signal, _frame):
    raise TimeoutError(f"the cell took more than {CELL_SECONDS} s")


def report(operation, verdict, text):
    print("CELL", operation, verdict, " ".join(str(text).split())[:400], flush=True)
