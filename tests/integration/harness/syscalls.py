# SPDX-License-Identifier: MIT
"""The system calls of a daemon, by strace: of its first loop unless more is asked for."""
import collections
import contextlib
import os
import re
import subprocess
import time

from .daemon import wait_until

LINE = re.compile(r"(?:\d+ +)?(\w+)\((?:\d+, NULL, )?(\d+).*\) += (-?\d+)")  # splice: the descriptor that it fills
WAITS = ("epoll_wait", "epoll_pwait")
READS = ("read", "readv", "recvfrom", "recvmsg")
WRITES = ("write", "writev", "sendto", "sendmsg", "splice")


def _let_it_wait(pid):
    """A peer may have what a call has sent before strace has written the call down; it has once the thread waits again."""
    until = time.monotonic() + 1
    with contextlib.suppress(FileNotFoundError):  # it has ended
        while time.monotonic() < until:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rsplit(")", 1)[1].split()[0] in "SZ":
                    return
            time.sleep(0.001)


@contextlib.contextmanager
def traced(daemon, *options):
    """Yields a list, which has the lines that strace with these options wrote when the block has ended."""
    lines = []
    trace, log = (os.path.join(daemon.folder, name) for name in ("trace", "strace.log"))
    with open(log, "wb") as output:
        strace = subprocess.Popen(["strace", *options, "-o", trace, "-p", str(daemon.process.pid)],
                                  stdout=output, stderr=output)
    try:
        wait_until(lambda: b"attached" in open(log, "rb").read(), "strace to attach")
        yield lines
        _let_it_wait(daemon.process.pid)
    finally:
        strace.terminate()
        strace.wait()
    with open(trace, encoding="ascii") as file:
        lines += file


@contextlib.contextmanager
def recorded(daemon, names=WAITS + READS + WRITES):
    """Yields a list, which has a (name, descriptor, result) of each call that was made inside when the block has ended."""
    calls = []
    with traced(daemon, "-s", "0", "-e", "trace=" + ",".join(names)) as lines:
        yield calls
    for found in filter(None, map(LINE.match, lines)):
        calls.append((found[1], int(found[2]), int(found[3])))


def turns(calls):
    """What was read from each descriptor, and written to it, between two waits for events: two lists of counters."""
    read, written = [collections.Counter()], [collections.Counter()]
    for name, descriptor, result in calls:
        if name in WAITS:
            read.append(collections.Counter())
            written.append(collections.Counter())
        elif result > 0:
            (read if name in READS else written)[-1][descriptor] += result
    return read, written
