# SPDX-License-Identifier: MIT
"""Rule 9: a read of what is not in memory waits on a thread of the pool, and never on the loop.

The store is dropped from the page cache while the daemon is down. Then the thread of the loop, which is the main
thread, must not have a single major fault while it answers; and the answers must be right.
"""
import concurrent.futures
import os
import random
import re
import shutil
import tempfile

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.daemon import BUILD, Daemon
from harness.pages import evict, major_faults, pages_in_memory, threads_named
from harness.resp import Resp, encode
from harness.syscalls import traced
from harness.wire import Wire

SMALL = 70_000  # of these there are so many that the index is kept in a checkpoint, and no trailer is in memory
SMALL_COUNT = 1200
LONG = 24 << 20
PAGE = 3900  # each of these has the page of its trailer nearly to itself
PAGE_COUNT = 30_000


def small(number):
    return random.Random(number).randbytes(SMALL)


def long(number):
    return random.Random(1000 + number).randbytes(LONG)


@pytest.fixture(scope="module")
def place():
    """A data folder on a real disk, which a temporary folder need not be on."""
    path = tempfile.mkdtemp(prefix="rdrive-cold-", dir=BUILD)
    daemon = Daemon(path)
    Curl(daemon.http, "other").create()
    Curl(daemon.http, "pages").create()
    with Wire(daemon.binary_address, "pages") as wire:
        for first in range(0, PAGE_COUNT, 1000):
            wire.batch_write([(b"page %d" % number, bytes(PAGE)) for number in range(first, first + 1000)])
    with Wire(daemon.binary_address) as wire:
        for number in range(SMALL_COUNT):
            wire.write(b"small %d" % number, small(number), w.NONE)
        for number in range(8):
            wire.write_stream(b"long %d" % number, long(number))
    daemon.stop()
    assert os.path.exists(daemon.store_path("default") + ".index")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cold(place):
    """The daemon, started on a store of which nothing is in memory but what opening looks at."""
    paths = [os.path.join(place, "data", name) for name in ("default.rdr", "pages.rdr")]
    for path in paths:
        evict(path)
    daemon = Daemon(place, "--redis", "127.0.0.1:0")
    try:
        for path in paths:
            held, count = pages_in_memory(path)
            assert held < count / 2, "opening has read the store, or the file system keeps it in memory"
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()


class Undisturbed:
    """with Undisturbed(daemon): ... - the loop has not waited for a page meanwhile, but threads of the pool were at work."""

    def __init__(self, daemon):
        self.pid = daemon.process.pid

    def __enter__(self):
        self.before = major_faults(self.pid, self.pid)

    def __exit__(self, kind, *_):
        if kind is None:
            assert major_faults(self.pid, self.pid) == self.before
            assert threads_named(self.pid, "rdrived-read")


def test_small_values(cold):
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        for number in range(0, SMALL_COUNT, 40):
            assert wire.read(b"small %d" % number) == small(number)
            assert wire.read(b"small %d" % number) == small(number)
        with pytest.raises(w.WireError) as error:
            wire.read(b"no such key")
        assert error.value.status == w.KEY_NOT_FOUND


def test_many_at_once(cold):
    numbers = random.Random(1).sample(range(SMALL_COUNT), 400)

    def read_some(part):
        with Wire(cold.binary_address) as wire:
            return all(wire.read(b"small %d" % number) == small(number) for number in part)

    with Undisturbed(cold), concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read_some, [numbers[i::8] for i in range(8)]))


def test_keys_that_meet_another_in_the_index(cold):
    """The other's trailer may be in memory, and the key's own not; of so many keys some meet one."""
    numbers = random.Random(2).sample(range(PAGE_COUNT), PAGE_COUNT)

    def look_for_some(part):
        with Wire(cold.binary_address, "pages") as wire:
            for first in range(0, len(part), 32):
                keys = [b"page %d" % number for number in part[first:first + 32]]
                for key in keys:
                    wire.start(w.EXISTS, w.key_body(wire.store, key))
                assert all(wire.answer()[3] == b"\1" for _ in keys)

    with Undisturbed(cold), concurrent.futures.ThreadPoolExecutor(4) as threads:
        list(threads.map(look_for_some, [numbers[i::4] for i in range(4)]))


def test_pipelined_reads_and_writes_keep_their_order(cold):
    """A write behind a read that waits for the disk, and a read behind that write."""
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        for number in range(3, SMALL_COUNT, 150):
            key = b"small %d" % number
            first = wire.start(w.READ, w.key_body(wire.store, key))
            wire.start(w.WRITE, w.write_body(wire.store, key, b"new", w.NONE))
            third = wire.start(w.READ, w.key_body(wire.store, key))
            answers = dict((answer[0], answer) for answer in (wire.answer() for _ in range(3)))
            assert answers[first][3][28:] == small(number)
            assert answers[third][3][28:] == b"new"
            wire.write(key, small(number), w.NONE)


def test_metadata_and_exists(cold):
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        for number in range(5, SMALL_COUNT - 40, 90):
            assert wire.metadata(b"small %d" % number)["length"] == SMALL
            assert wire.exists(b"small %d" % (number + 40))
        assert not wire.exists(b"small x")


def test_a_batch(cold):
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        numbers = range(1, SMALL_COUNT, 50)
        keys = [b"small %d" % number for number in numbers] + [b"none"]
        assert wire.batch_read(keys) == [small(number) for number in numbers] + [None]


def test_last(cold):
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        assert wire.last()["length"] in (LONG, SMALL)


def test_long_values_over_http(cold):
    curl = Curl(cold.http)
    with Undisturbed(cold):
        assert curl.get("long 0").body == long(0)
        part = curl.get("long 1", ["Range: bytes=5000000-17000000"])
        assert part.status == 206 and part.body == long(1)[5000000:17000001]
        part = curl.get("long 2", ["Range: bytes=9000000-9000099"])
        assert part.status == 206 and part.body == long(2)[9000000:9000100]
        assert curl.head("long 3").status == 200


STEP = 256 << 10
FETCH = 1 << 20
ASKED = re.compile(r"madvise\(\w+, (\d+), MADV_WILLNEED\)")
CALLS = ("-f", "-e", "trace=madvise,sched_yield")  # of all threads


def asked(lines):
    return [int(found[1]) for found in map(ASKED.search, lines) if found]


def yields(lines):
    return sum("sched_yield(" in line for line in lines)


def test_whoever_waits_for_a_processor_is_let_in_between_steps(cold):
    """Most of a long value is asked for in such steps as the kernel does in a moment."""
    with traced(cold, *CALLS) as lines:
        assert Curl(cold.http).get("long 5").body == long(5)
    assert sum(length for length in asked(lines) if length <= STEP + 4096) > LONG - 2 * FETCH
    assert yields(lines) >= LONG // (6 * FETCH)


def test_whoever_computes_is_let_in_once_in_a_fetch(cold):
    """Each time that the processor is given away it comes back after 2 ms, as strace has it."""
    with traced(cold, *CALLS, "-e", "inject=sched_yield:delay_exit=2000") as lines:
        assert Curl(cold.http).get("long 6").body == long(6)
    assert len(asked(lines)) > 3 * LONG // FETCH
    assert 0 < yields(lines) <= LONG // FETCH


def test_long_values_in_parts(cold):
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        assert wire.read_stream(b"long 4")[1] == long(4)
        assert wire.read(b"long 5") == long(5)


def test_several_streams_of_one_connection(cold):
    """Each waits for the disk on its own; a small read beside them is not held up by any."""
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        streams = {wire.start_read_stream(b"long %d" % number): (number, []) for number in (6, 7)}
        read = wire.start(w.READ, w.key_body(wire.store, b"small 600"))
        left = len(streams) + 1
        while left:
            identifier, opcode, status, body = wire.answer()
            assert status == w.OK
            if identifier == read:
                assert body[28:] == small(600)
                left -= 1
            elif opcode == w.CHUNK:
                streams[identifier][1].append(body)
            else:
                left -= opcode == w.END
        for number, chunks in streams.values():
            assert b"".join(chunks) == long(number)


def test_a_reader_that_goes_away(cold):
    """The connection closes while a thread of the pool reads for it."""
    for number in range(8):
        with Wire(cold.binary_address) as wire:
            wire.start_read_stream(b"long %d" % number)
            wire.start(w.READ, w.key_body(wire.store, b"small %d" % (13 * number + 9)))
            wire.start(w.READ, w.key_body(wire.store, b"long %d" % number))
    with Wire(cold.binary_address) as wire:
        assert wire.read(b"small 11") == small(11)


def test_moves(cold):
    with Undisturbed(cold), Wire(cold.binary_address) as wire:
        wire.copy(b"small 21", "other")
        wire.copy(b"long 0", "other")
        wire.rename(b"small 22", b"moved")
        assert wire.read(b"moved") == small(22)
        wire.rename(b"moved", b"small 22")
        with Wire(cold.binary_address, "other") as other:
            assert other.read(b"small 21") == small(21)
            assert other.read(b"long 0") == long(0)


def test_transactions(cold):
    with Undisturbed(cold), Resp(cold.redis_address) as resp:
        assert resp.call("WATCH", *(b"small %d" % number for number in range(301, 901, 100))) == b"+OK\r\n"
        assert resp.call("MULTI") == b"+OK\r\n"
        resp.call("GET", b"small 301")
        resp.call("SET", b"extra", b"1")
        assert small(301) in resp.call("EXEC")
        assert small(303) in resp.call("MGET", b"small 303", b"none")
        assert small(304) in resp.call("GETSET", b"small 304", small(304))


def test_a_watch_that_is_pipelined_with_its_exec(cold):
    """What is read is in memory, and what is watched is not: EXEC waits all the same until WATCH has looked."""
    with Undisturbed(cold), Resp(cold.redis_address) as resp:
        read = b"small 5"
        assert resp.call("GET", read) == b"$%d\r\n%s\r\n" % (SMALL, small(5))
        for number in range(20, SMALL_COUNT, 100):
            resp.send(b"".join([encode("WATCH", b"small %d" % number), encode("MULTI"), encode("STRLEN", read),
                                encode("EXEC")]))
            answers = [resp.answer() for _ in range(4)]
            assert answers[3] == b"*1\r\n:%d\r\n" % SMALL
