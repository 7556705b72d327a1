# SPDX-License-Identifier: MIT
"""A process that forks with a blocking client connected, as servers and multiprocessing do: both sides go on, each on a
connection of its own, and neither is answered with what the other has asked for."""
import os
import re
import select
import signal
import threading

import pytest

import rdrive
from harness.certificates import Authority
from harness.daemon import DEADLINE_S, wait_until

LENGTH = 8 << 20


@pytest.fixture(params=["plain", "tls"])
def authority(request, folder):
    return Authority(folder) if request.param == "tls" else None


@pytest.fixture
def served(launch, authority):
    return launch(certificate=authority and authority.issue(), environment={"RDRIVE_DURABILITY": "none"})


@pytest.fixture
def opened(served, authority):
    with rdrive.open("default", served.binary, timeout=DEADLINE_S, tls_ca=authority and authority.cert) as store:
        yield store


def connections(store):
    return int(re.search(r"^rdrive_connections (\d+)$", store.client.metrics(), re.MULTILINE).group(1))


def in_child(work):
    """What work() says in a forked child, as text; the child ends without Python's own cleaning up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(work())
        except BaseException as error:  # to be told, whatever it is
            said = repr(error)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            assert select.select([pipe], [], [], DEADLINE_S)[0], "the child says nothing"
            return pipe.read().decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_the_child_connects_anew(opened):
    """The child's close says good-bye for itself alone: a stream of the parent's goes on over it."""
    value = os.urandom(LENGTH)
    opened.write("k", value)
    before = connections(opened)
    with opened.read_stream("k", window=64 << 10) as stream:
        first = next(stream)

        def ask_and_close():
            count = connections(opened)
            right = opened.read("k") == value
            opened.close()
            return count - before, right

        assert in_child(ask_and_close) == "(1, True)"
        assert first + b"".join(stream) == value


def test_a_stream_stays_with_the_parent(opened):
    value = os.urandom(LENGTH)
    opened.write("k", value)
    with opened.read_stream("k", window=64 << 10) as stream:
        first = next(stream)
        assert in_child(lambda: next(stream)).startswith("ConnectionLost(")
        assert in_child(stream.close) == "None"
        assert first + b"".join(stream) == value


def test_a_fork_while_another_thread_waits(opened, served):
    """The lock that this thread holds has nobody in the child to give it back."""
    opened.write("k", b"value")
    os.kill(served.process.pid, signal.SIGSTOP)
    waiting = threading.Thread(target=opened.read, args=("k",))
    waiting.start()
    wait_until(lambda: is_held(opened.client), "the thread waits for its answer")

    def read():
        os.kill(served.process.pid, signal.SIGCONT)
        return opened.read("k") == b"value"

    try:
        assert in_child(read) == "True"
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
        waiting.join()


def is_held(client):
    free = client._lock.acquire(blocking=False)
    if free:
        client._lock.release()
    return not free
