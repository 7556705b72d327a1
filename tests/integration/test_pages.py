# SPDX-License-Identifier: MIT
"""Long values that leave by the pages of the store's file (server/pages.c): over the binary protocol."""
import os
import random
import socket

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.faults import Fault
from harness.syscalls import recorded
from harness.wire import Wire

MIB = 1 << 20
PIECE_MIN = 64 << 10
SEED = int(os.environ.get("RDRIVE_SEED", "20261126"))


def value(number, length=MIB):
    return random.Random(SEED + number).randbytes(length)


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
    return sum(result for name, _, result in calls if name == "splice" and result > 0)


@pytest.fixture(autouse=True)
def seed():
    print("RDRIVE_SEED =", SEED)


@pytest.mark.parametrize("length", [PIECE_MIN, PIECE_MIN + 1, (256 << 10) - 1, MIB, 5 * MIB + 77])
def test_they_are_what_was_written(launch, length):
    """Wherever in a page they begin and end, and of several on one connection."""
    daemon = launch("--durability", "none")
    with Wire(daemon.binary_address) as wire:
        for number in range(4):
            wire.write(b"%d" % number, value(number, length))
        with recorded(daemon) as calls:
            for number in range(4):
                assert wire.read(b"%d" % number) == value(number, length)
            values = take(wire, [start_read(wire, number) for number in range(4)])
    assert values == [value(number, length) for number in range(4)]
    assert spliced(calls) >= length


def test_what_is_under_way_outlives_value_and_file(launch):
    """What the socket has, and the reader has not: the value is replaced and the store compacted, and pages of the
    file that it lay in come to be used for others."""
    daemon = launch("--durability", "none")
    curl = Curl(daemon.http)
    with Wire(daemon.binary_address) as reader, Wire(daemon.binary_address) as writer:
        for number in range(8):
            writer.write(b"%d" % number, value(number))
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
    daemon = launch("--durability", "none")
    with Wire(daemon.binary_address, greet=False) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        wire.send(w.HELLO)
        wire.hello()
        for number in range(6):
            wire.write(b"%d" % number, value(number, 3 * MIB))
        with recorded(daemon) as calls:
            values = take(wire, [start_read(wire, number) for number in range(6)])
    assert values == [value(number, 3 * MIB) for number in range(6)]
    results = [result for name, _, result in calls if name == "splice"]
    assert any(result < 0 or result % 4096 for result in results), results  # it was cut short


@pytest.mark.parametrize("call, error", [("pipe2", "EMFILE"), ("fcntl", "EPERM"), ("vmsplice", "EPERM"),
                                         ("vmsplice", "EFAULT"), ("splice", "EINVAL"), ("splice", "EAGAIN")])
def test_where_it_cannot_be_done_they_are_copied(launch, call, error):
    daemon = launch("--durability", "none")
    with Wire(daemon.binary_address) as wire:
        for number in range(3):
            wire.write(b"%d" % number, value(number))
        with Fault(daemon.process.pid, call, error):
            for number in range(3):
                assert wire.read(b"%d" % number) == value(number)
            wire.write(b"small", b"x")
            assert wire.read(b"small") == b"x"
        assert wire.read(b"0") == value(0)
