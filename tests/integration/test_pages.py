# SPDX-License-Identifier: MIT
"""Long values that leave by the pages of the store's file (server/pages.c): over the binary protocol."""
import os
import random
import socket

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.faults import Fault
from harness.pages import evict, pages_in_memory
from harness.syscalls import recorded
from harness.wire import Wire

MIB = 1 << 20
PIECE_MIN = 64 << 10
SEED = int(os.environ.get("RDRIVE_SEED", "20261126"))


def value(number, length=MIB):
    return random.Random(SEED + number).randbytes(length)


def write_synced(wire, numbers, length=MIB):
    """And what is behind them in the same pages of the file, large ones among them."""
    for number in numbers:
        wire.write(b"%d" % number, value(number, length))
    wire.write(b"behind", value(999, 3 * MIB))


def start_read(wire, number):
    return wire.start(w.READ, w.key_body(wire.store, b"%d" % number))


def take(wire, started):
    """The values of reads, in the order in which these were started; answers come in any."""
    bodies = {}
    for _ in started:
        answer = wire.answer()
        bodies[answer[0]] = wire.checked(answer)[28:]
    return [bodies[identifier] for identifier in started]


def spliced(calls):
    return sum(call.result for call in calls if call.name == "splice" and call.result > 0)


@pytest.fixture(autouse=True)
def seed():
    print("RDRIVE_SEED =", SEED)


@pytest.mark.parametrize("length", [PIECE_MIN, PIECE_MIN + 1, (256 << 10) - 1, MIB, 5 * MIB + 77])
def test_they_are_what_was_written(launch, length):
    """Wherever in a page they begin and end, and of several on one connection."""
    daemon = launch("--durability", "sync")
    with Wire(daemon.binary_address) as wire:
        write_synced(wire, range(4), length)
        with recorded(daemon) as calls:
            for number in range(4):
                assert wire.read(b"%d" % number) == value(number, length)
            values = take(wire, [start_read(wire, number) for number in range(4)])
    assert values == [value(number, length) for number in range(4)]
    assert spliced(calls) >= length


def test_what_is_under_way_outlives_value_and_file(launch):
    """What the socket has, and the reader has not: the value is replaced and the store compacted, and pages of the
    file that it lay in come to be used for others."""
    daemon = launch("--durability", "sync")
    curl = Curl(daemon.http)
    with Wire(daemon.binary_address) as reader, Wire(daemon.binary_address) as writer:
        write_synced(writer, range(8))
        started = [start_read(reader, number) for number in range(8)]
        reader.socket.recv(1, socket.MSG_PEEK)  # it has begun
        for number in range(8):
            writer.write(b"%d" % number, value(100 + number))
        assert curl.request("POST", "compact").status == 200
        for number in range(8):
            writer.write(b"other %d" % number, value(200 + number, 4 * MIB))
        values = take(reader, started)
        assert values[0] == value(0)
        for number in range(8):  # the last ones may have been looked for only after they were replaced
            assert values[number] in (value(number), value(100 + number)), number
        assert reader.read(b"0") == value(100)


def test_a_socket_that_takes_little_at_a_time(launch):
    """What it does not take goes no further by its pages, and none of it twice."""
    daemon = launch("--durability", "sync")
    with Wire(daemon.binary_address, greet=False) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        wire.send(w.HELLO)
        wire.hello()
        write_synced(wire, range(6), 3 * MIB)
        with recorded(daemon) as calls:
            values = take(wire, [start_read(wire, number) for number in range(6)])
    assert values == [value(number, 3 * MIB) for number in range(6)]
    results = [call.result for call in calls if call.name == "splice"]
    assert any(result < 0 or result % 4096 for result in results), results  # it was cut short


@pytest.mark.parametrize("call, error", [("pipe2", "EMFILE"), ("fcntl", "EPERM"), ("vmsplice", "EPERM"),
                                         ("vmsplice", "EFAULT"), ("splice", "EINVAL"), ("splice", "EAGAIN")])
def test_where_it_cannot_be_done_they_are_copied(launch, call, error):
    daemon = launch("--durability", "sync")
    with Wire(daemon.binary_address) as wire:
        write_synced(wire, range(3))
        with Fault(daemon.process.pid, call, error):
            for number in range(3):
                assert wire.read(b"%d" % number) == value(number)
            wire.write(b"small", b"x")
            assert wire.read(b"small") == b"x"
        assert wire.read(b"0") == value(0)


@pytest.mark.parametrize("durability", ["none", "interval:600000", "sync"])
def test_what_was_not_synced_can_be_read_anew_from_the_disk(launch, durability):
    """Whoever opens the store after a crash sees what the disk has: pages that a reader's socket holds cannot be
    dropped, so they have to be the disk's already."""
    daemon = launch("--durability", durability)
    with Wire(daemon.binary_address) as writer, Wire(daemon.binary_address) as reader:
        writer.write(b"0", value(0))
        with recorded(daemon) as calls:
            start_read(reader, 0)
            reader.socket.recv(1, socket.MSG_PEEK)  # it has begun
        daemon.process.kill()
        daemon.process.wait()
        path = os.path.join(daemon.data_dir, "default.rdr")
        evict(path)
        assert pages_in_memory(path)[0] == 0
    assert spliced(calls) == 0
