# SPDX-License-Identifier: MIT
"""The system calls of a daemon, by strace: of its first loop unless more is asked for."""
import collections
import contextlib
import os
import re
import subprocess
import time

from .daemon import wait_until

# When it began, and how long it took; of splice the descriptor that it fills.
LINE = re.compile(r"(?:\d+ +)?(\d+\.\d+) (\w+)\((?:\d+, NULL, )?(\d+).*\) += (-?\d+).*<(\d+\.\d+)>$")
WAITS = ("epoll_wait", "epoll_pwait")
READS = ("read", "readv", "recvfrom", "recvmsg")
WRITES = ("write", "writev", "sendto", "sendmsg", "splice")

Call = collections.namedtuple("Call", "name descriptor result begin end")  # the latter in seconds


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
    """Yields a list, which has each call that was made inside, as a Call, when the block has ended."""
    calls = []
    with traced(daemon, "-s", "0", "-ttt", "-T", "-e", "trace=" + ",".join(names)) as lines:
        yield calls
    for found in filter(None, map(LINE.match, lines)):
        begin = float(found[1])
        calls.append(Call(found[2], int(found[3]), int(found[4]), begin, begin + float(found[5])))


def turns(calls):
    """What was read from each descriptor, and written to it, between two waits for events: two lists of counters."""
    read, written = [collections.Counter()], [collections.Counter()]
    for call in calls:
        if call.name in WAITS:
            read.append(collections.Counter())
            written.append(collections.Counter())
        elif call.result > 0:
            (read if call.name in READS else written)[-1][call.descriptor] += call.result
    return read, written
