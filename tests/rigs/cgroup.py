# SPDX-License-Identifier: MIT
"""A memory limit for a process, through cgroup v1 or v2; needs root."""
import contextlib
import itertools
import os

SERIAL = itertools.count()
V1 = "/sys/fs/cgroup/memory"
V2 = "/sys/fs/cgroup"


class MemoryLimit:
    """with MemoryLimit(pid, limit_bytes) as limit: ... limit.peak_bytes()

    Without a pid: for what is started inside `with limit.around_children()`, and so knows its limit from the start.
    """

    def __init__(self, pid, limit_bytes):
        self.v1 = os.path.isdir(V1)
        self.top = V1 if self.v1 else V2
        self.path = os.path.join(self.top, f"rdrive-rig-{pid or f'{os.getpid()}-{next(SERIAL)}'}")
        self.pid = pid
        self.limit_bytes = limit_bytes

    def _write(self, name, value):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(str(value))

    def __enter__(self):
        os.mkdir(self.path)
        self._write("memory.limit_in_bytes" if self.v1 else "memory.max", self.limit_bytes)
        if self.pid is not None:
            self._write("cgroup.procs", self.pid)
        return self

    @contextlib.contextmanager
    def around_children(self):
        """Has this process in the group meanwhile."""
        with open("/proc/self/cgroup", encoding="ascii") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
        home = next(path for _, names, path in groups if ("memory" in names.split(",") if self.v1 else names == ""))
        self._write("cgroup.procs", os.getpid())
        try:
            yield
        finally:
            with open(os.path.join(self.top, home.lstrip("/"), "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))

    def _number(self, name):
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return int(file.read())

    def peak_bytes(self):
        return self._number("memory.max_usage_in_bytes" if self.v1 else "memory.peak")

    def refusals(self):
        """How often an allocation met the limit, and had to have something given up first."""
        if self.v1:
            return self._number("memory.failcnt")
        with open(os.path.join(self.path, "memory.events"), encoding="ascii") as file:
            return int(dict(line.split() for line in file)["max"])

    def anonymous_bytes(self):
        """What the process itself takes, without the page cache."""
        with open(os.path.join(self.path, "memory.stat"), encoding="ascii") as file:
            fields = dict(line.split() for line in file)
        return int(fields["rss" if self.v1 else "anon"])

    def __exit__(self, *_):
        try:
            os.rmdir(self.path)
        except OSError:
            pass  # the process has not quite ended; an empty group goes with the machine
