# SPDX-License-Identifier: MIT
"""Values that memory cannot hold go past the page cache, in and out: what others read stays there.

As root (cgroups). The daemon may use 64 MiB, so that of a value of 40 MiB nothing but a few MiB is to be found in
memory afterwards, through whichever door it came or went. Not with ThreadSanitizer, which takes more than the limit for
its notes of what was read.
"""
import concurrent.futures
import contextlib
import functools
import http.client
import os
import random
import shutil
import socket
import tempfile
import threading
import time
import urllib.request

import pytest

from cgroup import MemoryLimit
from harness import wire as w
from harness.certificates import Authority
from harness.curl import Curl
from harness.daemon import BUILD, Daemon, memory_factor
from harness.pages import PAGE, evict, major_faults, pages_in_memory
from harness.resp import Resp, bulk, encode
from harness.syscalls import traced
from harness.wire import Wire, WireError

FACTOR = memory_factor()
MEMORY = FACTOR * (64 << 20)
LONG = FACTOR * (40 << 20) + 12345
ENVIRONMENT = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16"}
KEPT = max(8 << 20, MEMORY // 16) * 3 // 4  # of an upload, in memory alone
SLICE = 8 << 20  # at either end of what is placed
SOME = 2 << 20  # what is read around trailers, and by the kernel on its own account
READERS = 24  # more than there is memory for


@functools.cache
def long(number):
    source = random.Random(number)
    return b"".join(source.randbytes(min(1 << 20, LONG - at)) for at in range(0, LONG, 1 << 20))


def in_memory(path):
    return pages_in_memory(path)[0] * PAGE


@pytest.fixture(scope="module")
def place():
    """A data folder on a real disk, which a temporary folder need not be on."""
    path = tempfile.mkdtemp(prefix="rdrive-cold-", dir=os.environ.get("RDRIVE_RIG_DIR", BUILD))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def certificate(place):
    return Authority(place).issue()


class Place:
    def __init__(self, path, limit):
        self.path = path
        self.limit = limit
        self.daemon = None

    def start(self, **options):
        with self.limit.around_children():
            self.daemon = Daemon(self.path, "--redis", "127.0.0.1:0", environment=ENVIRONMENT, **options)
        return self.daemon

    def store(self):
        return self.daemon.store_path("default")

    def start_cold(self, **options):
        """On a store of which next to nothing is in memory."""
        daemon = self.start(**options)
        time.sleep(0.3)  # what opening has asked for may still be on its way
        evict(self.store())  # but what opening has looked at
        assert in_memory(self.store()) < SOME
        return daemon


@pytest.fixture
def limited(place):
    with MemoryLimit(None, MEMORY) as limit:
        limited = Place(place, limit)
        try:
            yield limited
            limited.daemon.stop()
        finally:
            limited.daemon.kill()
            shutil.rmtree(os.path.join(place, "data"))


@pytest.fixture
def written(limited):
    daemon = limited.start()
    curl = Curl(daemon.http)
    for number in range(2):
        assert curl.put(f"long {number}", long(number)).status in (200, 201)
    for number in range(100):  # opening looks at the newest ones
        assert curl.put(f"short {number}", b"value" * 100).status in (200, 201)
    daemon.stop()
    return limited


def test_uploads(limited):
    """From where they were gathered, and from there to the store."""
    daemon = limited.start()
    assert Curl(daemon.http).put("long 0", long(0)).status in (200, 201)
    assert in_memory(limited.store()) < KEPT + 2 * SLICE
    with Wire(daemon.binary_address) as wire:
        wire.write_stream(b"long 1", long(1))
        assert in_memory(limited.store()) < 2 * (KEPT + 2 * SLICE)
        for number in range(2):
            assert wire.read_stream(b"long %d" % number)[1] == long(number)


CHUNKED = ["Transfer-Encoding: chunked"]  # nobody knows how long it will be


def calls_of_upload(daemon, named, beside=contextlib.nullcontext(), headers=()):
    """How often a call that holds such a name was made while long 0 was taken."""
    with traced(daemon, "-f", "-e", "trace=clock_nanosleep,nanosleep,openat") as calls, beside:
        assert Curl(daemon.http).put("long 0", long(0), headers=headers).status in (200, 201)
    return sum(named in call for call in calls)


@contextlib.contextmanager
def brief_answers(daemon):
    over = threading.Event()

    def ask():
        with Wire(daemon.binary_address) as wire:
            while not over.wait(0.005):
                wire.exists(b"short 0")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
        finally:
            over.set()
        asking.result()


def test_an_upload_rests_for_others(limited):
    """While it is copied to its place: the disk is not kept busy all the time, where others get brief answers."""
    daemon = limited.start()
    time.sleep(0.3)
    assert calls_of_upload(daemon, "nanosleep(", headers=CHUNKED) == 0
    assert calls_of_upload(daemon, "nanosleep(", brief_answers(daemon), CHUNKED) > 10
    assert Curl(daemon.http).get("long 0").body == long(0)


def test_an_upload_that_says_its_length_is_written_once(limited):
    """Where it will lie: with no file beside the store, and nothing that is copied, and rested from, at its end."""
    daemon = limited.start()
    time.sleep(0.3)
    assert calls_of_upload(daemon, "O_TMPFILE", headers=CHUNKED) == 1
    assert calls_of_upload(daemon, "O_TMPFILE") == 0
    assert calls_of_upload(daemon, "nanosleep(", brief_answers(daemon)) == 0
    assert Curl(daemon.http).get("long 0").body == long(0)


def over_http(daemon):
    return Curl(daemon.http).get("long 1").body


def a_range(daemon):
    answer = Curl(daemon.http).get("long 1", ["Range: bytes=77-"])
    assert answer.status == 206
    return long(1)[:77] + answer.body


def in_parts(daemon):
    with Wire(daemon.binary_address) as wire:
        return wire.read_stream(b"long 1")[1]


def over_redis(daemon):
    with Resp(daemon.redis_address) as redis:
        answer = redis.call(b"GET", b"long 1")
    assert answer == bulk(long(1))
    return long(1)


@pytest.mark.parametrize("read", [over_http, a_range, in_parts, over_redis])
def test_reads(written, read):
    daemon = written.start_cold()
    faults = major_faults(daemon.process.pid, daemon.process.pid)
    assert read(daemon) == long(1)
    assert in_memory(written.store()) < SOME
    assert major_faults(daemon.process.pid, daemon.process.pid) == faults


def test_reads_over_tls(written, certificate):
    daemon = written.start_cold(certificate=certificate)
    assert over_http(daemon) == long(1)
    assert in_memory(written.store()) < SOME


def test_streams_of_one_connection(written):
    """Each has its own place in its value; one is given up on the way, and another begins."""
    daemon = written.start_cold()
    with Wire(daemon.binary_address) as wire:
        values = {wire.start_read_stream(b"long %d" % number): long(number) for number in (0, 1, 0)}
        aborted = next(iter(values))
        received = {identifier: bytearray() for identifier in values}
        left = len(values)
        while left:
            identifier, opcode, status, body = wire.answer()
            assert status == w.OK
            if opcode == w.CHUNK:
                received[identifier] += body
            left -= opcode in (w.END, w.ABORT)
            if identifier == aborted and len(received[aborted]) > 3 << 20:
                wire.send_abort(aborted)
                more = wire.start_read_stream(b"long 1")
                values[more], received[more] = long(1), bytearray()
                left += 1
                aborted = None
        complete = [identifier for identifier in values if received[identifier] == values[identifier]]
        assert len(complete) >= len(values) - 1
        assert all(values[identifier].startswith(received[identifier]) for identifier in values)
    assert in_memory(written.store()) < LONG // 2  # there are not as many portions as they would like


def test_pipelined_requests(written):
    """Answers follow each other, long and short, each from its beginning."""
    daemon = written.start_cold()
    with Resp(daemon.redis_address) as redis:
        redis.send(encode(b"GET", b"long 0") + encode(b"GET", b"short 7") + encode(b"GET", b"long 1") + encode(b"PING"))
        assert redis.answer() == bulk(long(0))
        assert redis.answer() == bulk(b"value" * 100)
        assert redis.answer() == bulk(long(1))
        assert redis.answer() == b"+PONG\r\n"


def test_what_is_in_memory_is_taken_from_there(written):
    """As far as it is; and memory has no more of it afterwards."""
    daemon = written.start_cold()
    path = written.store()
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # the kernel reads nothing ahead
        file.seek(LONG * 3 // 2)  # within the value
        assert len(file.read(LONG // 4)) == LONG // 4
    held = in_memory(path)
    assert held >= LONG // 4
    for number in range(2):
        assert over_http(daemon) == long(1)
    assert in_memory(path) < held + SOME


def test_what_is_damaged_is_found(written):
    with open(os.path.join(written.path, "data", "default.rdr"), "r+b") as file:
        at = LONG * 3 // 2
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    daemon = written.start_cold()
    with urllib.request.urlopen(f"http://{daemon.http}/v1/stores/default/keys/long%201") as answer, \
            pytest.raises(http.client.IncompleteRead):
        answer.read()
    with Wire(daemon.binary_address) as wire, pytest.raises(WireError):
        wire.read_stream(b"long 1")
    assert Curl(daemon.http).get("long 0").body == long(0)


def test_more_readers_than_there_is_memory_for(written):
    """Those that have paused keep what was read for them; the others get theirs by the page cache."""
    daemon = written.start_cold()
    paused = []
    try:
        for _ in range(READERS):
            connection = socket.create_connection(daemon.http_address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /v1/stores/default/keys/long%200 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            paused.append(connection)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert all(body == long(1) for body in pool.map(lambda _: over_http(daemon), range(8)))
    finally:
        for connection in paused:
            connection.close()
    assert over_http(daemon) == long(1)


def test_a_read_goes_on_while_the_store_is_compacted(written):
    daemon = written.start_cold()
    curl = Curl(daemon.http)
    with Wire(daemon.binary_address) as wire:
        stream = wire.start_read_stream(b"long 1", 3 << 20)
        wire.expect(w.READ_STREAM, stream)
        first = b""
        while len(first) < 3 << 20:
            answer = wire.answer()
            assert answer[1] == w.CHUNK
            first += answer[3]
        assert curl.put("long 0", b"short").status in (200, 201)
        assert curl.request("POST", "compact").status == 200
        wire.send_credit(stream, LONG)
        assert first + wire.read_parts(stream, LONG - len(first)) == long(1)
    assert over_http(daemon) == long(1)
