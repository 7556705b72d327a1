# SPDX-License-Identifier: MIT
"""What the Redis protocol promises beyond the answers' bytes: values of every length, atomic steps, stores that are made
when they are written, limits, and the other faces on the same keys. docs/REDIS.md is its page."""
import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import threading
import time

import pytest

from harness.curl import Curl
from harness.daemon import Daemon, run_to_end, wait_until
from harness.installed import instrumentation_flags
from harness.resp import Resp, bulk, encode, value
from harness.wire import Wire

KIB = 1 << 10
MIB = 1 << 20
LONG = random.Random(5).randbytes(3 * MIB)
FREE = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
OK = b"+OK\r\n"
NULL = b"$-1\r\n"

databases = itertools.count(1)


@pytest.fixture
def database(daemon):
    """The number of a database that does not exist; its store goes away after the test."""
    number = next(databases)
    yield number
    assert Curl(daemon.http, f"db{number}").drop().status in (200, 404)


def connect(daemon, database=None):
    connection = Resp(daemon.redis_address)
    if database is not None:
        assert connection.call("SELECT", database) == OK
    return connection


def run_threads(*functions):
    """Runs them side by side, and raises what one of them raised."""
    failures = []

    def guarded(function):
        try:
            function()
        except BaseException as failure:  # pylint: disable=broad-except
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# ---- values ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("length", [1, 4095, 4096, 4097, 16 * KIB - 1, 16 * KIB, 64 * KIB, 256 * KIB + 1, MIB - 1, MIB,
                                    MIB + 1, 3 * MIB])
def test_values_of_every_length(resp, wire, length, version):
    resp.call("HELLO", version)
    data = LONG[:length]
    resp.send(encode("SET", "k", data) + encode("GET", "k") + encode("STRLEN", "k") + encode("GETRANGE", "k", -3, -1) +
              encode("MGET", "k", "k") + encode("GETSET", "k", b"short") + encode("GET", "k"))
    assert resp.answer() == OK
    assert resp.answer() == bulk(data)
    assert resp.answer() == b":%d\r\n" % length
    assert resp.answer() == bulk(data[-3:])
    assert resp.answer() == b"*2\r\n" + 2 * bulk(data)
    assert resp.answer() == bulk(data)
    assert resp.answer() == bulk(b"short")
    assert wire.read(b"k") == b"short"


@pytest.mark.parametrize("cut", [1, 7, 1000, 65536])
def test_a_long_value_in_pieces_of_any_length(resp, cut):
    data = LONG[:MIB + 5] if cut > 7 else LONG[:20000]
    command = encode("SET", "k", data) + encode("GET", "k")
    for at in range(0, len(command), cut):
        resp.send(command[at:at + cut])
    assert resp.answer() == OK
    assert resp.answer() == bulk(data)


def anonymous_memory(daemon):
    """Bytes of memory that are not the stores' files."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as file:
        return int(re.search(r"RssAnon:\s+(\d+) kB", file.read()).group(1)) * KIB


def test_what_a_pause_had_left_over_costs_an_idle_connection_nothing(launch):
    """More than may be in flight, in one read: what it brought waits in memory for its answers to leave."""
    daemon = launch("--redis", "127.0.0.1:0", "--header-timeout-ms", "600000",  # most wait for their turn
                    environment={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"})
    pings = 20000

    def ping_at_once(connections):
        for connection in connections:
            connection.send(b"PING\r\n" * pings)
            left = len(b"+PONG\r\n") * pings
            while left and (data := connection.socket.recv(left)):
                left -= len(data)
            assert left == 0

    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Resp(daemon.redis_address)) for _ in range(250)]
        ping_at_once(connections[:50])  # what one such connection needs at a time, whichever it is, and a sanitizer's own
        before = anonymous_memory(daemon)
        ping_at_once(connections[50:])
        shadow = 5 if "-fsanitize=thread" in instrumentation_flags() else 1  # bytes, and one, for each
        assert anonymous_memory(daemon) - before < 9 * shadow * MIB  # some 5; 16 where each keeps what a read brings


def test_a_value_of_100_mib(launch):
    """Beyond what a request may hold. Only a window of it is in memory on its way in and out."""
    daemon = launch("--redis", "127.0.0.1:0", "--durability", "none")
    step = LONG[:MIB]
    length = 100 * MIB
    most = 0
    with connect(daemon) as resp:
        resp.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % length)
        for _ in range(length // MIB):
            resp.send(step)
            most = max(most, anonymous_memory(daemon))
        resp.send(b"\r\n" + encode("STRLEN", "k") + encode("GET", "k"))
        assert resp.answer() == OK
        assert resp.answer() == b":%d\r\n" % length
        assert resp._line() == b"$%d\r\n" % length
        for _ in range(length // MIB):
            assert resp._take(MIB) == step
            most = max(most, anonymous_memory(daemon))
        assert resp._take(2) == b"\r\n"
        assert resp.call("GETRANGE", "k", -5, -1) == bulk(step[-5:])
        assert resp.call("PING") == b"+PONG\r\n"
    # A sanitizer's own memory counts too.
    assert most < (1024 if instrumentation_flags() else 40) * MIB


def set_long(resp, *options, length=81 * MIB):
    """SET of a value that is longer than a request may be, with options behind it."""
    resp.send(b"*%d\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (3 + len(options), length))
    for _ in range(length // MIB):
        resp.send(LONG[:MIB])
    resp.send(b"\r\n" + b"".join(bulk(option) for option in options))


def test_options_behind_a_value_that_is_longer_than_a_request(launch):
    daemon = launch("--redis", "127.0.0.1:0", "--durability", "none")
    with connect(daemon) as resp:
        for options, answer, length in (((b"XX",), NULL, 0), ((b"NX",), OK, 81 * MIB), ((b"nx", b"KEEPTTL"), NULL, 81 * MIB),
                                        ((b"EX", b"10"), b"-ERR EX, PX, EXAT and PXAT are not taken: values do not "
                                                        b"expire here\r\n", 81 * MIB),
                                        ((b"GET",), b"-ERR SET with GET does not take a value that long\r\n", 81 * MIB),
                                        ((b"what",), b"-ERR syntax error\r\n", 81 * MIB)):
            set_long(resp, *options)
            assert resp.answer() == answer
            assert resp.call("STRLEN", "k") == b":%d\r\n" % length


def test_what_is_too_long_is_refused_and_the_connection_goes_on(launch):
    daemon = launch("--redis", "127.0.0.1:0")
    refusal = b"-ERR the command is longer than this server takes\r\n"
    with connect(daemon) as resp:
        resp.send(b"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$%d\r\n" % (45 * MIB))
        for _ in range(45):
            resp.send(LONG[:MIB])
        resp.send(b"\r\n$1\r\nb\r\n$%d\r\n" % (45 * MIB))
        for _ in range(45):
            resp.send(LONG[:MIB])
        resp.send(b"\r\n")
        assert resp.answer() == refusal
        assert resp.call("EXISTS", "a", "b") == b":0\r\n"
        set_long(resp, length=20 * MIB)
        assert resp.answer() == OK
        # A transaction's values are kept until it is done, so there they are counted.
        assert resp.call("MULTI") == OK
        for _ in range(3):
            set_long(resp, length=20 * MIB)
            assert resp.answer() == b"+QUEUED\r\n"
        set_long(resp, length=20 * MIB)
        assert resp.answer() == b"-ERR set would make the transaction larger than this server takes\r\n"
        assert resp.call("EXEC").startswith(b"-EXECABORT ")
        assert resp.call("PING") == b"+PONG\r\n"


def test_an_upload_that_cannot_be_kept_is_answered_early_and_skipped(launch):
    """No room beside the store: the answer comes, and what is left of the value is not taken for commands."""
    daemon = launch("--redis", "127.0.0.1:0", environment={"RDRIVE_DURABILITY": "none"})
    with connect(daemon) as resp:
        resource_limit(daemon, 2 * MIB)
        resp.send(encode("SET", "k", LONG + LONG) + encode("PING"))
        assert re.match(rb"-ERR [^\r]*space", resp.answer())
        assert resp.answer() == b"+PONG\r\n"
        assert resp.call("EXISTS", "k") == b":0\r\n"
        assert resp.call("SET", "k", "short") == OK


def resource_limit(daemon, length):
    """No file of the daemon may grow beyond it."""
    import resource
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (length, resource.RLIM_INFINITY))


# ---- half a command -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("sent", [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhal", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000000\r\nhal",
                                  b"SET k v", b"*3\r\n$3\r\nSET\r\n", b"MULTI\r\nSET k v\r\n"])
def test_half_a_command_has_no_effect(daemon, resp, store, sent):
    with connect(daemon, store) as half:
        half.send(encode("SET", "before", "v") + sent)
        assert half.answer() == OK
        half.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(EOFError):
            while True:
                assert half.answer()[:1] in b"+-"
    assert resp.call("GET", "before") == bulk(b"v")
    assert resp.call("EXISTS", "k") == b":0\r\n"


def test_half_commands_hold_nobody_up_and_are_given_up(launch):
    daemon = launch("--redis", "127.0.0.1:0", "--stall-timeout-ms", "300")
    with connect(daemon) as short, connect(daemon) as long, connect(daemon) as idle, connect(daemon) as other:
        assert idle.call("MULTI") == OK
        assert idle.call("SET", "from idle", "v") == b"+QUEUED\r\n"
        short.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nhalf")
        long.send(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$%d\r\n" % (50 * MIB) + LONG)
        for i in range(100):
            assert other.call("SET", "c", i) == OK
        assert long.answer() == b"-ERR the stream's bytes did not come in time\r\n"
        assert long.closed()
        assert short.closed()
        assert other.call("MGET", "a", "b", "c") == b"*3\r\n" + NULL + NULL + bulk(b"99")
        assert idle.call("EXEC") == b"*1\r\n" + OK, "between commands a connection may be silent for long"


# ---- order and pipelining -------------------------------------------------------------------------------------------

def test_a_pipeline_is_answered_in_order(resp):
    commands, expected = [], []
    for i in range(500):
        commands += [encode("SET", f"k{i}", i), encode("GET", f"k{i}"), b"PING %d\r\n" % i, encode("DEL", f"k{i}", "none"),
                     encode("GET", f"k{i}"), encode("EXISTS", f"k{i}", f"k{i - 1}")]
        expected += [OK, bulk(b"%d" % i), bulk(b"%d" % i), b":1\r\n", NULL, b":0\r\n"]
    resp.send(b"".join(commands))
    assert [resp.answer() for _ in expected] == expected


def test_commands_behind_a_long_value_see_it(resp):
    resp.send(encode("SET", "k", LONG) + encode("STRLEN", "k") + encode("SET", "k", "v", "NX") + encode("COPY", "k", "l") +
              encode("DEL", "k") + encode("STRLEN", "l"))
    assert [resp.answer() for _ in range(6)] == [OK, b":%d\r\n" % len(LONG), NULL, b":1\r\n", b":1\r\n",
                                                 b":%d\r\n" % len(LONG)]


def test_a_reader_that_does_not_take_its_answers(daemon, resp, store):
    """80 MB of answers are asked for before one is read: the server stops reading, and goes on later."""
    resp.call("SET", "k", LONG[:16 * KIB])
    with connect(daemon, store) as slow:
        asked = 5000
        sender = threading.Thread(target=slow.send, args=(encode("GET", "k") * asked,))
        sender.start()
        for _ in range(50):
            assert resp.call("GET", "k") == bulk(LONG[:16 * KIB]), "others are served meanwhile"
        for _ in range(asked):
            assert slow.answer() == bulk(LONG[:16 * KIB])
        sender.join()


def test_a_client_that_closes_its_side_gets_its_answers(daemon, store):
    with connect(daemon, store) as resp:
        resp.send(encode("SET", "k", "v") * 200 + encode("GET", "k"))
        resp.socket.shutdown(socket.SHUT_WR)
        assert [resp.answer() for _ in range(201)] == [OK] * 200 + [bulk(b"v")]
        assert resp.closed()


def test_what_was_accepted_is_answered_when_the_daemon_stops(launch):
    daemon = launch("--redis", "127.0.0.1:0")
    with connect(daemon) as resp, connect(daemon) as idle:
        resp.send(b"".join(encode("SET", i, "v") for i in range(300)))
        assert resp.answer() == OK
        assert idle.call("PING") == b"+PONG\r\n"
        daemon.process.send_signal(signal.SIGTERM)
        assert [resp.answer() for _ in range(299)] == [OK] * 299
        assert resp.closed() and idle.closed()
    assert daemon.wait() == 0
    daemon = launch("--redis", "127.0.0.1:0")
    with connect(daemon) as resp:
        assert resp.call("EXISTS", *range(300)) == b":300\r\n"


# ---- databases ------------------------------------------------------------------------------------------------------

def test_a_database_is_made_when_it_is_first_written(daemon, database):
    info = Curl(daemon.http, f"db{database}").info
    with connect(daemon, database) as resp:
        assert resp.call("GET", "k") == NULL
        assert resp.call("DEL", "k", "l") == b":0\r\n"
        assert resp.call("DBSIZE") == b":0\r\n"
        assert resp.call("SAVE") == OK
        with pytest.raises(AssertionError):
            info()
        assert resp.call("SET", "k", "v") == OK
        assert info()["entries"] == 1
        assert info()["durability"] == "sync"


FIRST_WRITES = {"set": encode("SET", "k", "v"), "long": encode("SET", "k", LONG), "mset": encode("MSET", "k", "v", "l", "w"),
                "setnx": encode("SETNX", "k", "v"), "getset": encode("GETSET", "k", "v"),
                "msetnx": encode("MSETNX", "k", "v"), "get": encode("SET", "k", "v", "GET"),
                "multi": encode("MULTI") + encode("SET", "k", "v") + encode("EXEC")}


@pytest.mark.parametrize("name", FIRST_WRITES)
def test_any_write_makes_it_and_what_is_behind_it_waits(daemon, database, name):
    first = FIRST_WRITES[name]
    with connect(daemon, database) as resp:
        resp.send(first + b"".join(encode("SET", "n", i) for i in range(50)) + encode("GET", "n") + encode("EXISTS", "k"))
        answers = [resp.answer() for _ in range(52 + 2 * (name == "multi") + 1)]
        assert answers[-2:] == [bulk(b"49"), b":1\r\n"], answers


def test_many_make_the_same_database_at_once(daemon, database):
    barrier = threading.Barrier(8)

    def write(number):
        with connect(daemon, database) as resp:
            barrier.wait()
            resp.send(encode("SET", f"k{number}", LONG if number == 0 else "v") + encode("EXISTS", f"k{number}"))
            assert (resp.answer(), resp.answer()) == (OK, b":1\r\n")

    run_threads(*(lambda number=number: write(number) for number in range(8)))
    with connect(daemon, database) as resp:
        assert resp.call("DBSIZE") == b":8\r\n"


def test_copies_make_their_target(daemon, database, resp):
    resp.call("SET", "k", "v")
    assert resp.call("COPY", "none", "x", "DB", database) == b":0\r\n"
    assert Curl(daemon.http, f"db{database}").request("GET", f"/v1/stores/db{database}").status == 404
    assert resp.call("COPY", "k", "x", "DB", database) == b":1\r\n"
    assert resp.call("MOVE", "k", database) == b":1\r\n"
    with connect(daemon, database) as other:
        assert other.call("MGET", "x", "k") == b"*2\r\n" + 2 * bulk(b"v")


def test_a_store_that_cannot_be_made_is_an_error_and_no_more(daemon, resp):
    """A folder of its name is in the way."""
    os.mkdir(daemon.store_path("in-the-way"))
    try:
        with connect(daemon, "in-the-way") as other:
            other.send(encode("SET", "k", "v") + encode("GET", "k") + encode("SET", "k", LONG) + encode("PING"))
            assert other.answer().startswith(b"-ERR store 'in-the-way'")
            assert other.answer() == NULL
            assert other.answer().startswith(b"-ERR store 'in-the-way'")
            assert other.answer() == b"+PONG\r\n"
        resp.call("SET", "k", "v")
        assert resp.call("COPY", "k", "k", "DB", "in-the-way").startswith(b"-ERR store 'in-the-way'")
    finally:
        os.rmdir(daemon.store_path("in-the-way"))


def test_a_database_that_is_dropped_under_its_clients(daemon, database):
    curl = Curl(daemon.http, f"db{database}")
    with connect(daemon, database) as resp:
        for _ in range(5):
            assert resp.call("SET", "k", "v") == OK
            assert curl.drop().status == 200
            assert resp.call("GET", "k") == NULL


# ---- the other faces ------------------------------------------------------------------------------------------------

def test_the_same_keys_on_every_face(resp, wire, curl, cli):
    assert resp.call("SET", "k", "redis") == OK
    assert (wire.read(b"k"), curl.get("k").body, cli.ok("read", "k")) == (b"redis",) * 3
    wire.write(b"k", b"binary")
    assert resp.call("GET", "k") == bulk(b"binary")
    assert curl.put("k", b"http").status == 200
    assert resp.call("GETSET", "k", "again") == bulk(b"http")
    cli.ok("write", "k", "cli")
    assert resp.call("GETDEL", "k") == bulk(b"cli")
    assert curl.get("k").status == 404
    assert curl.put(b"\x00\xff /%", LONG).status == 201
    assert resp.call("GET", b"\x00\xff /%") == bulk(LONG)
    assert resp.call("RENAME", b"\x00\xff /%", "") == OK
    assert wire.metadata(b"")["length"] == len(LONG)


def test_all_faces_at_once(daemon, store):
    """Each writes and deletes keys of its own and of the others; in the end all see the same."""
    keys = [f"k{i}".encode() for i in range(20)]

    def over_redis():
        chosen = random.Random(1)
        with connect(daemon, store) as resp:
            for i in range(300):
                key = chosen.choice(keys)
                resp.send(encode("SET", key, b"redis %d" % i) + encode("GET", key) + encode("MGET", *keys))
                assert resp.answer() == OK
                assert resp.answer()[:1] == b"$"
                values = value(resp.answer())
                assert all(item is None or item.split()[0] in (b"redis", b"binary", b"http") for item in values)

    def over_binary():
        chosen = random.Random(2)
        with Wire(daemon.binary_address, store) as wire:
            for i in range(300):
                wire.batch_write([(chosen.choice(keys), b"binary %d" % i), (chosen.choice(keys), b"binary %d" % i)])
                wire.delete(chosen.choice(keys))

    def over_http():
        chosen = random.Random(3)
        curl = Curl(daemon.http, store)
        for i in range(20):
            assert curl.put(chosen.choice(keys), b"http %d" % i).status in (200, 201)

    run_threads(over_redis, over_redis, over_binary, over_http)
    curl = Curl(daemon.http, store)
    with connect(daemon, store) as resp, Wire(daemon.binary_address, store) as wire:
        for key in keys:
            found = value(resp.call("GET", key))
            answer = curl.get(key)
            assert (answer.body if answer.status == 200 else None) == found
        assert value(resp.call("MGET", *keys)) == wire.batch_read(keys)
        assert value(resp.call("DBSIZE")) == curl.info()["entries"]


# ---- atomic steps ---------------------------------------------------------------------------------------------------

def test_every_exchange_sees_what_the_one_before_wrote(daemon, store):
    """GETSET, SET GET and GETDEL by many: no value is answered twice, and none is lost."""
    seen = [[] for _ in range(4)]

    def exchange(number):
        with connect(daemon, store) as resp:
            commands = [encode("GETSET", "k", b"%d-%d" % (number, i)) if i % 3 else
                        encode("SET", "k", b"%d-%d" % (number, i), "GET") for i in range(300)]
            commands[50::100] = [encode("GETDEL", "k")] * 3
            resp.send(b"".join(commands))
            seen[number] = [value(resp.answer()) for _ in commands]

    run_threads(*(lambda number=number: exchange(number) for number in range(4)))
    with connect(daemon, store) as resp:
        left = value(resp.call("GET", "k"))
    values = [item for answers in seen for item in answers + [] if item is not None] + ([left] if left else [])
    assert len(values) == len(set(values)) == 4 * 297


def test_a_counter_by_watching(daemon, store):
    """The loop that every client's documentation shows, by four at once."""
    def count():
        with connect(daemon, store) as resp:
            done = 0
            while done < 50:
                assert resp.call("WATCH", "n") == OK
                found = value(resp.call("GET", "n"))
                assert resp.call("MULTI") == OK
                assert resp.call("SET", "n", int(found or 0) + 1) == b"+QUEUED\r\n"
                answer = resp.call("EXEC")
                assert answer in (b"*-1\r\n", b"*1\r\n" + OK)
                done += answer != b"*-1\r\n"

    run_threads(count, count, count, count)
    with connect(daemon, store) as resp:
        assert resp.call("GET", "n") == bulk(b"200")


def test_a_watch_that_is_pipelined_with_its_exec(resp):
    resp.send(encode("SET", "a", 1) + encode("WATCH", "a", "none") + encode("MULTI") + encode("SET", "b", 1) +
              encode("EXEC") + encode("WATCH", "a") + encode("SET", "a", 2) + encode("MULTI") + encode("GET", "a") +
              encode("EXEC") + encode("GET", "b"))
    answers = [resp.answer() for _ in range(11)]
    assert answers[4] == b"*1\r\n" + OK
    assert answers[9:] == [b"*-1\r\n", bulk(b"1")]


@pytest.mark.parametrize("face", ["http", "binary", "redis"])
def test_what_is_watched_may_change_on_any_face(daemon, resp, curl, wire, store, face):
    resp.call("SET", "k", "v")
    resp.call("WATCH", "k")
    if face == "http":
        curl.put("k", b"w")
    elif face == "binary":
        wire.write(b"k", b"v")  # the same bytes are another version
    else:
        with connect(daemon, store) as other:
            assert other.call("RENAME", "k", "l") == OK
    resp.call("MULTI")
    resp.call("SET", "m", "v")
    assert resp.call("EXEC") == b"*-1\r\n"
    assert resp.call("EXISTS", "m") == b":0\r\n"


@pytest.mark.parametrize("command", [("GET", "k"), ("DEL", "k")])
def test_what_is_watched_may_go_with_its_store(daemon, database, command):
    with connect(daemon, database) as resp:
        resp.call("SET", "k", "v")
        assert resp.call("WATCH", "k") == OK
        assert Curl(daemon.http, f"db{database}").drop().status == 200
        resp.call("MULTI")
        resp.call(*command)
        assert resp.call("EXEC") == b"*-1\r\n"


def test_a_transaction_is_seen_whole_or_not_at_all(daemon, store):
    keys = ["a", "b", "c"]
    end = threading.Event()

    def write():
        with connect(daemon, store) as resp:
            for i in range(400):
                resp.send(encode("MULTI") + b"".join(encode("SET", key, i) for key in keys) +
                          (encode("DEL", *keys) if i % 5 == 4 else b"") + encode("EXEC"))
                count = 5 + (i % 5 == 4)
                assert [resp.answer() for _ in range(count)][-1].startswith(b"*")
        end.set()

    def read(command):
        with connect(daemon, store) as resp:
            while not end.is_set():
                resp.send(command)
                for _ in range(command.count(b"EXEC") * 3):
                    assert resp.answer() in (OK, b"+QUEUED\r\n")
                values = value(resp.answer())
                values = [values[0], *values[1]] if isinstance(values[-1], list) else values
                assert len(set(values)) == 1, values

    run_threads(write, lambda: read(encode("MGET", *keys)),
                lambda: read(encode("MULTI") + encode("GET", "a") + encode("MGET", "b", "c") + encode("EXEC")))


@pytest.mark.parametrize("writers", [1, 8])
def test_moves_of_long_values_under_writers(daemon, store, writers):
    """A value that is verified on the side while others replace it: the answer is about the target, never about that.

    With eight who write, what was verified is hardly ever there when the writer comes to the move.
    """
    end = threading.Event()

    def replace():
        try:
            with connect(daemon, store) as resp:
                while not end.is_set():
                    assert resp.call("SET", "k", LONG[:300 * KIB]) == OK
        finally:
            end.set()

    def move():
        try:
            with connect(daemon, store) as resp:
                moved = 0
                while moved < 40 and not end.is_set():
                    answer = resp.call("RENAMENX", "k", "t")
                    assert answer in (b":1\r\n", b"-ERR no such key\r\n"), answer
                    moved += answer == b":1\r\n"
                    assert resp.call("COPY", "t", "u") == (b":1\r\n" if answer == b":1\r\n" else b":0\r\n")
                    assert resp.call("DEL", "t", "u")[:1] == b":"
        finally:
            end.set()

    run_threads(*[replace] * writers, move)


def test_a_move_never_loses_the_value(daemon, store, database):
    """One moves it to and fro, another looks here, there and here again: while it is moved once at most, one look finds it."""
    end = threading.Event()
    moves = {"begun": 0, "done": 0}
    looks = {"meant": 0}
    with connect(daemon, store) as resp:
        resp.call("SET", "k", "v")

    def move():
        try:
            with connect(daemon, store) as here, connect(daemon, database) as there:
                while not end.is_set() and (moves["done"] < 200 or looks["meant"] < 20):
                    source, target = (here, database) if moves["done"] % 2 == 0 else (there, store)
                    moves["begun"] += 1
                    assert source.call("MOVE", "k", target) == b":1\r\n"
                    moves["done"] += 1
        finally:
            end.set()

    def look():
        try:
            with connect(daemon, store) as here, connect(daemon, database) as there:
                while not end.is_set():
                    done = moves["done"]
                    found = [here.call("EXISTS", "k"), there.call("EXISTS", "k"), here.call("EXISTS", "k")]
                    if moves["begun"] - done <= 1:
                        looks["meant"] += 1
                        assert b":1\r\n" in found
        finally:
            end.set()

    run_threads(move, look)


# ---- damage ---------------------------------------------------------------------------------------------------------

def damage(daemon, store, key):
    """Flips a bit in the middle of the value."""
    with Wire(daemon.binary_address, store) as wire:
        found = wire.metadata(key)
    with open(daemon.store_path(store), "r+b") as file:
        file.seek(found["offset"] + found["length"] // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def test_a_damaged_value_is_an_error(daemon, store, resp):
    resp.call("MSET", "bad", LONG[:5000], "good", "v")
    damage(daemon, store, b"bad")
    error = rb"-ERR [^\r]*(does not match its checksum|corrupt)\r\n"
    assert re.fullmatch(error, resp.call("GET", "bad"))
    assert re.fullmatch(error, resp.call("MGET", "good", "bad"))
    assert re.fullmatch(error, resp.call("COPY", "bad", "c"))
    assert re.fullmatch(error, resp.call("RENAME", "bad", "c"))
    assert resp.call("EXISTS", "bad", "good") == b":2\r\n"
    assert resp.call("STRLEN", "bad") == b":5000\r\n"
    resp.send(encode("MULTI") + encode("GET", "good") + encode("GET", "bad") + encode("SET", "x", "y") + encode("EXEC"))
    answers = [resp.answer() for _ in range(5)]
    assert answers[4] == b"*3\r\n" + bulk(b"v") + b"-ERR the value does not match its checksum\r\n" + OK
    assert re.fullmatch(error, resp.call("GETSET", "bad", "new"))
    assert resp.call("GET", "bad") == bulk(b"new"), "it was replaced all the same"


def test_a_long_damaged_value_never_comes_whole(daemon, store, resp):
    resp.call("SET", "bad", LONG)
    damage(daemon, store, b"bad")
    with connect(daemon, store) as other:
        other.send(encode("GET", "bad") + encode("PING"))
        with pytest.raises(EOFError) as end:
            other.answer()
        assert len(end.value.args[0]) < len(LONG)
    assert resp.call("PING") == b"+PONG\r\n"


# ---- about the server -----------------------------------------------------------------------------------------------

def test_connections_have_numbers_and_names(daemon):
    with connect(daemon) as one, connect(daemon) as other:
        numbers = [value(connection.call("CLIENT", "ID")) for connection in (one, other)]
        assert numbers[0] < numbers[1]
        one.call("CLIENT", "SETNAME", "me")
        one.call("CLIENT", "SETINFO", "LIB-NAME", "lib")
        line = value(one.call("CLIENT", "LIST")).decode()
        fields = dict(field.split("=", 1) for field in line.split())
        host, port = one.socket.getsockname()
        assert fields["id"] == str(numbers[0])
        assert (fields["addr"], fields["laddr"]) == (f"{host}:{port}", daemon.redis)
        assert (fields["name"], fields["lib-name"], fields["db"], fields["resp"]) == ("me", "lib", "0", "2")
        assert line.count("\n") == 1
        greeting = value(other.call("HELLO"))
        assert dict(zip(greeting[::2], greeting[1::2]))[b"id"] == numbers[1]


def fields_of(info):
    return dict(line.split(":", 1) for line in value(info).decode().splitlines() if line and line[0] != "#")


def test_info_counts(launch):
    daemon = launch("--redis", "127.0.0.1:0")
    with connect(daemon) as resp, connect(daemon, 3) as third:
        begun = time.time()
        resp.call("MSET", "a", 1, "b", 2)
        third.call("SET", "a", 1)
        info = fields_of(resp.call("INFO"))
        assert info["db0"] == "keys=2,expires=0,avg_ttl=0"
        assert info["db3"] == "keys=1,expires=0,avg_ttl=0"
        assert info["connected_clients"] == "2"
        assert info["tcp_port"] == daemon.redis.rsplit(":", 1)[1]
        assert int(info["process_id"]) == daemon.process.pid
        assert re.match(r"keys=2,tail=\d+,file_size=\d+,dead_bytes=\d+,state=open$", info["store_default"])
        assert info["redis_version"] == "7.0.0" and info["rdrive_version"]
        seconds, micros = (int(item) for item in value(resp.call("TIME")))
        assert abs(seconds + micros / 1e6 - time.time()) < 60
        saved = value(resp.call("LASTSAVE"))
        assert begun - 60 < saved <= time.time()
        wait_until(lambda: resp.call("SAVE") == OK and value(resp.call("LASTSAVE")) > saved, "a save in a later second")


# ---- how it is switched on ------------------------------------------------------------------------------------------

def test_it_is_off_unless_asked_for(launch):
    daemon = launch()
    with open(daemon.port_file, encoding="utf-8") as file:
        assert sorted(json.load(file)) == ["binary", "http", "pid"]
    wait_until(lambda: "serves" in daemon.log(), "the line that tells addresses")
    assert "redis" not in daemon.log()


@pytest.mark.parametrize("way", ["flag", "environment", "file", "off again"])
def test_ways_to_switch_it_on(launch, folder, way):
    address = "127.0.0.1:0"
    if way == "flag":
        daemon = launch("--redis", address)
    elif way == "environment":
        daemon = launch(environment={"RDRIVE_REDIS": address})
    else:
        path = os.path.join(folder, "config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"redis": address}, file)
        daemon = launch("--config", path, *(["--redis", ""] if way == "off again" else []))
    if way == "off again":
        assert daemon.redis is None
        return
    wait_until(lambda: f"redis {daemon.redis}" in daemon.log(), "the line that tells addresses")
    with connect(daemon) as resp:
        assert resp.call("PING") == b"+PONG\r\n"


def test_addresses_that_cannot_be(launch, folder):
    daemon = launch("--redis", "127.0.0.1:0")
    code, _, errors = run_to_end(*FREE, "--data-dir", os.path.join(folder, "other"), "--redis", daemon.redis)
    assert code == 1 and daemon.redis in errors
    for address in ("6379", "127.0.0.1", ":6379", "127.0.0.1:x", "127.0.0.1:70000"):
        code, _, errors = run_to_end(*FREE, "--redis", address)
        assert code == 2 and "--redis" in errors


def test_several_loops_serve_it(launch):
    daemon = launch("--redis", "127.0.0.1:0", "--loops", "3")

    def work(number):
        with connect(daemon, number % 2) as resp:
            resp.send(b"".join(encode("SET", f"{number}-{i}", i) for i in range(200)))
            assert [resp.answer() for _ in range(200)] == [OK] * 200

    run_threads(*(lambda number=number: work(number) for number in range(12)))
    with connect(daemon) as zero, connect(daemon, 1) as first:
        assert (zero.call("DBSIZE"), first.call("DBSIZE")) == (b":1200\r\n", b":1200\r\n")


def test_the_values_are_there_after_a_crash(folder):
    """What was answered under `sync`, a transaction among it, survives a kill."""
    daemon = Daemon(folder, "--redis", "127.0.0.1:0")
    try:
        with connect(daemon) as resp:
            resp.send(encode("SET", "a", LONG[:5000]) + encode("MULTI") + encode("SET", "b", 1) + encode("DEL", "a") +
                      encode("SET", "c", 2, "NX") + encode("EXEC"))
            assert [resp.answer() for _ in range(6)][-1] == b"*3\r\n" + OK + b":1\r\n" + OK
        daemon.kill()
        daemon = Daemon(folder, "--redis", "127.0.0.1:0")
        with connect(daemon) as resp:
            assert resp.call("MGET", "a", "b", "c") == b"*3\r\n" + NULL + bulk(b"1") + bulk(b"2")
        daemon.stop()
    finally:
        daemon.kill()
