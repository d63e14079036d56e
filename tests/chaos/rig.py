"""What a node stands on, and how that fails: a disk that loses its power, syncs that fail, a clock that runs wrong."""

import fcntl
import mmap
import os
import pathlib
import signal
import struct
import subprocess
import time

IMAGE_BYTES = 4 << 30
EXT4_IOC_SHUTDOWN = 0x8004587D
WITHOUT_WRITING = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH
SECOND = 1_000_000_000


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Disk:
    """A file system of its own inside a file: it forgets what was not synced when its power is cut."""

    def __init__(self, image, directory):
        self._image, self._directory = str(image), str(directory)
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", self._image)
        self._mount()

    def cut_power(self, process):
        """Ends a process and forgets what only the page cache held, both in the same moment.

        The process is stopped first: one that runs on could still tell others of writes that are gone."""
        process.send_signal(signal.SIGSTOP)
        while not is_stopped(process.pid):
            time.sleep(0.001)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, WITHOUT_WRITING)
        finally:
            os.close(directory)
        process.kill()
        process.wait()
        run("umount", self._directory)
        self._mount()

    def unmount(self):
        """Takes the file system away; what it holds stays in its file."""
        run("umount", "--lazy", self._directory)

    def _mount(self):
        run("mount", "-o", "loop", self._image, self._directory)


def is_stopped(pid):
    """Whether no thread of a process runs any more."""
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0]
              for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    return all(state in "TtZX" for state in states)


class Injection:
    """What faults.c, loaded into a node, shall do to it."""

    def __init__(self, library, path):
        self.environment = {"LD_PRELOAD": str(library), "CHAOS_FAULTS": str(path)}
        path.write_bytes(bytes(12))
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 12)

    def set_clock(self, seconds):
        """Lets the wall clock be ahead by so much, or behind."""
        self._memory[0:8] = struct.pack("q", int(seconds * SECOND))

    def fail_syncs(self, count):
        """Lets the next so many syncs fail."""
        self._memory[8:12] = struct.pack("i", count)

    def heal(self):
        self.set_clock(0)
        self.fail_syncs(0)


def build_library(directory):
    """Compiles faults.c; the library's path."""
    library = pathlib.Path(directory) / "faults.so"
    source = pathlib.Path(__file__).with_name("faults.c")
    run("cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl")
    return library
