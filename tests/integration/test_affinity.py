# SPDX-License-Identifier: MIT
"""Which processors the daemon's threads may run on, as the kernel tells it, while writes are synced and while they are not.
The main thread is the one loop's."""
import contextlib
import os
import tempfile
import threading
import time

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.daemon import BUILD, wait_until
from harness.pages import evict, threads_named
from harness.wire import Wire

OURS = sorted(os.sched_getaffinity(0))


def threads(daemon):
    """Where each may run, by number; some come and go."""
    found = {}
    for name in os.listdir(f"/proc/{daemon.process.pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            found[int(name)] = os.sched_getaffinity(int(name))
    return found


def processors(daemon):
    """Of the loop."""
    return os.sched_getaffinity(daemon.process.pid)


def is_held(daemon):
    return len(processors(daemon)) == 1


def wait_until_held(daemon):
    return wait_until(lambda: is_held(daemon) and processors(daemon), "the loop is held to a processor")


@contextlib.contextmanager
def writes(daemon, durability=w.SYNC, entries=1):
    """A client that writes as fast as it can, eight at a time; more entries are a batch."""
    done = threading.Event()

    def write():
        with Wire(daemon.binary_address) as wire:
            while not done.is_set():
                for _ in range(8):
                    if entries == 1:
                        wire.start(w.WRITE, w.write_body(wire.store, b"k", b"v", durability))
                    else:
                        batch = [(b"%d" % number, b"v") for number in range(entries)]
                        wire.start(w.BATCH_WRITE, w.batch_write_body(wire.store, batch, durability))
                for _ in range(8):
                    assert wire.answer()[2] == w.OK

    client = threading.Thread(target=write)
    client.start()
    try:
        yield
    finally:
        done.set()
        client.join()


@pytest.fixture
def folder():
    """On a real disk, which a temporary folder need not be on."""
    with tempfile.TemporaryDirectory(prefix="rdrive-affinity-", dir=BUILD) as path:
        yield path


@pytest.fixture
def launch_on(launch):
    """Starts daemons that may use so many processors."""
    def start(count, *flags):
        assert len(OURS) >= count, f"the test wants {count} processors"
        os.sched_setaffinity(0, OURS[:count])
        try:
            return launch(*flags)
        finally:
            os.sched_setaffinity(0, OURS)
    return start


def write_what_is_not_in_memory(launch_on):
    daemon = launch_on(2)
    with Wire(daemon.binary_address) as wire:
        for number in range(40):
            wire.write(b"%d" % number, os.urandom(1 << 20), w.NONE)
    daemon.stop()
    evict(daemon.store_path("default"))


def read_what_is_not_in_memory(wire):
    """Or was not, which has the daemon begin threads that read."""
    for number in range(40):
        wire.read(b"%d" % number)


def test_the_loop_is_held_and_nothing_else(launch_on):
    """Not what it begins meanwhile either: threads for stores, for work on files, for reads of what is not in memory."""
    write_what_is_not_in_memory(launch_on)
    daemon = launch_on(2)
    with writes(daemon), Wire(daemon.binary_address) as wire:
        wait_until_held(daemon)
        Curl(daemon.http, "other").create()
        read_what_is_not_in_memory(wire)
        assert threads_named(daemon.process.pid, "rdrived-read")
        others = [where for thread, where in threads(daemon).items() if thread != daemon.process.pid]
        assert len(others) > 4
        assert all(where == set(OURS[:2]) for where in others)
    wait_until(lambda: not is_held(daemon), "nothing is written any more, and the loop goes where it may")


@pytest.mark.parametrize("flags", [[], ["--cpu-affinity", "off"]])
def test_threads_begin_where_the_loop_may_run(launch_on, flags):
    """As `taskset -ap` has it for the whole process, and not where the daemon was started."""
    write_what_is_not_in_memory(launch_on)
    daemon = launch_on(2, *flags)
    one = set(OURS[1:2])
    for thread in threads(daemon):
        os.sched_setaffinity(thread, one)
    with Wire(daemon.binary_address) as wire:
        read_what_is_not_in_memory(wire)
    Curl(daemon.http, "other").create()
    assert threads_named(daemon.process.pid, "rdrived-read")
    assert all(where == one for where in threads(daemon).values()), threads(daemon)


@pytest.mark.parametrize("count, flags, durability, entries", [
    (2, ["--cpu-affinity", "off"], w.SYNC, 1), (2, ["--loops", "2"], w.SYNC, 1), (2, [], w.NONE, 1), (1, [], w.SYNC, 1),
    (2, [], w.SYNC, 100)])
def test_it_goes_where_it_may_otherwise(launch_on, count, flags, durability, entries):
    daemon = launch_on(count, *flags)
    with writes(daemon, durability, entries):
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert all(where == set(OURS[:count]) for where in threads(daemon).values())


def test_what_others_say_of_it_holds(launch_on):
    """As `taskset -p` does."""
    daemon = launch_on(2)
    with writes(daemon):
        other = set(OURS[:2]) - wait_until_held(daemon)
        os.sched_setaffinity(daemon.process.pid, other)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert processors(daemon) == other
        os.sched_setaffinity(daemon.process.pid, OURS[:2])
        wait_until_held(daemon)

