# SPDX-License-Identifier: MIT
"""Every limit at its border: what is just within it is served, what is one above it is told so, and nothing grows."""
import concurrent.futures
import contextlib
import os
import re
import resource
import select
import signal
import socket
import time

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.daemon import DEADLINE_S, memory_factor, wait_until
from harness.rawhttp import RawHttp, request
from harness.resp import Resp, encode
from harness.wire import Wire, WireError, frame

KEYS = "/v1/stores/default/keys/"
BUSY = b"-ERR the server holds as many bytes of requests as it may; try again later\r\n"


def rss(daemon):
    """Bytes of memory of the daemon's own."""
    with open(f"/proc/{daemon.process.pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no Anonymous: line")


def status_of(call, *arguments):
    """What the binary protocol answers."""
    try:
        call(*arguments)
    except WireError as error:
        return error.status
    return w.OK


# ---- sizes ----------------------------------------------------------------------------------------------------------

def test_key_length(launch):
    daemon = launch("--key-len-max", "16", "--redis", "127.0.0.1:0")
    curl = Curl(daemon.http)
    assert (curl.put("k" * 16, b"v").status, curl.put("k" * 17, b"v").status) == (201, 413)
    with Wire(daemon.binary_address) as wire, Resp(daemon.redis_address) as redis:
        assert wire.limits["key_len_max"] == 16
        assert [status_of(wire.write, b"w" * length, b"v") for length in (16, 17)] == [w.OK, w.TOO_LARGE]
        assert [status_of(wire.batch_write, [(b"b" * length, b"v")]) for length in (16, 17)] == [w.OK, w.TOO_LARGE]
        assert redis.call("set", "r" * 16, "v") == b"+OK\r\n"
        assert redis.call("set", "r" * 17, "v") == b"-ERR a key is longer than the 16 bytes that this server takes\r\n"


def test_value_length(launch):
    daemon = launch("--value-len-max", "2m", "--redis", "127.0.0.1:0")
    limit = 2 << 20
    curl = Curl(daemon.http)
    for name, headers in (("announced", ()), ("chunked", ["Transfer-Encoding: chunked"])):
        assert curl.put(name, b"x" * limit, headers=headers).status == 201
        assert curl.put(name + "-above", b"x" * (limit + 1), headers=headers).status == 413
        assert curl.get(name + "-above").status == 404
    with Wire(daemon.binary_address) as wire, Resp(daemon.redis_address) as redis:
        for length, status in ((limit, w.OK), (limit + 1, w.TOO_LARGE)):
            assert status_of(wire.write, b"w%d" % length, b"x" * length) == status
            assert status_of(wire.batch_write, [(b"a", b"v"), (b"b%d" % length, b"x" * length)]) == status
            identifier = wire.start_write_stream(b"s%d" % length, length)
            if status != w.OK:
                with pytest.raises(WireError) as refused:
                    wire.stream_answer(w.WRITE_STREAM, identifier)
                assert refused.value.status == status
        assert redis.call("set", "r", b"x" * limit) == b"+OK\r\n"
        assert b"longer than this server takes" in redis.call("set", "r2", b"x" * (limit + 1))
        assert redis.call("exists", "r2") == b":0\r\n"


def test_frame_length(launch):
    daemon = launch("--frame-len-max", "4k", "--redis", "127.0.0.1:0")
    with Wire(daemon.binary_address) as wire:
        assert wire.limits["body_len_max"] == 4096
        room = 4096 - len(w.write_body("default", b"k", b""))
        assert status_of(wire.write, b"k", b"x" * room) == w.OK
        assert status_of(wire.write, b"k", b"x" * (room + 1)) == w.TOO_LARGE
        assert wire.read(b"k") == b"x" * room
    curl = Curl(daemon.http)
    body = b'{"keys":["%s"]}'
    room = 4096 - len(body % b"")
    answers = [curl.request("POST", "batch/read", body % (b"k" * length), ["Content-Type: application/json"])
               for length in (room, room + 1)]
    assert [answer.status for answer in answers] == [200, 413]
    assert curl.put("long", b"x" * 100000).status == 201, "a value is streamed, whatever the frames' length"
    with Resp(daemon.redis_address) as redis:
        assert redis.call("mget", *["k" * 30] * 100).startswith(b"*100")
        assert b"longer than this server takes" in redis.call("mget", *["k" * 30] * 140)


def test_header_length(launch):
    daemon = launch("--header-len-max", "1k")
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n"
    room = 1024 - len(head % b"")
    for length, status in ((room, 200), (room + 1, 431)):
        with RawHttp(daemon.http_address) as http:
            http.send(head % (b"x" * length))
            assert http.answer().status == status


def test_batch_count(launch):
    daemon = launch("--batch-count-max", "3")
    with Wire(daemon.binary_address) as wire:
        assert wire.limits["batch_count_max"] == 3
        entries = [(b"%d" % i, b"v") for i in range(4)]
        assert [status_of(wire.batch_write, entries[:count]) for count in (3, 4)] == [w.OK, w.TOO_LARGE]
    curl = Curl(daemon.http)
    assert [curl.post("batch/read", {"keys": ["k"] * count}).status for count in (3, 4)] == [200, 413]


# ---- how many at a time ---------------------------------------------------------------------------------------------

def refused_everywhere(daemon):
    with RawHttp(daemon.http_address) as http:
        answer = http.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert "as many connections as it takes" in answer.json()["error"]["message"]
        assert http.closed()
    with Wire(daemon.binary_address, greet=False) as wire:
        status, body = wire.hello()
        assert status == w.OVERLOADED and b"as many connections as it takes" in body
        assert wire.closed()
    with Resp(daemon.redis_address) as redis:
        assert redis.answer() == b"-ERR max number of clients reached\r\n"
        assert redis.closed()
    with Wire(daemon.unix_path, greet=False) as wire:  # whose first bytes tell which protocol it speaks
        wire.send(w.HELLO)
        assert wire.hello()[0] == w.OVERLOADED
        assert wire.closed()


def test_connections(launch):
    daemon = launch("--connections-max", "3", "--redis", "127.0.0.1:0", unix=True)
    with Wire(daemon.binary_address) as first, Wire(daemon.binary_address) as second:
        with Resp(daemon.redis_address) as third:
            assert third.call("ping") == b"+PONG\r\n"
            refused_everywhere(daemon)
            first.ping()
            second.ping()
        wait_until(lambda: Curl(daemon.http).request("GET", "/healthz").status == 200, "a place to become free")
    assert "connections refused: the limit of connections is reached" in daemon.log()


def test_refused_connections_are_limited_too(launch):
    """Those who do not go away once they are told."""
    daemon = launch("--connections-max", "1")
    with Wire(daemon.binary_address) as wire:
        sockets = [socket.create_connection(daemon.http_address, timeout=60) for _ in range(200)]
        for one in sockets:
            assert one.recv(12) == b"HTTP/1.1 503"
        wire.ping()
        assert len(os.listdir(f"/proc/{daemon.process.pid}/fd")) < 120
        for one in sockets:
            one.close()


def fill_gaps(daemon):
    """Connections for the descriptors below the limit that are free."""
    sockets = []
    while True:
        sockets.append(socket.create_connection(daemon.binary_address, timeout=60))
        sockets[-1].sendall(w.HELLO)
        if sockets[-1].recv(16)[10:12] != b"\0\0":
            sockets.pop().close()
            return sockets


def test_no_descriptors(launch):
    daemon = launch("--redis", "127.0.0.1:0")
    with Wire(daemon.binary_address) as first, Wire(daemon.binary_address) as second:
        highest = max(int(name) for name in os.listdir(f"/proc/{daemon.process.pid}/fd"))
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (highest + 1, highest + 1))
        gaps = fill_gaps(daemon)
        with RawHttp(daemon.http_address) as http:
            assert http.answer().status == 503
            assert http.closed()
        with Wire(daemon.binary_address, greet=False) as wire:
            assert wire.hello()[0] == w.OVERLOADED
        with Resp(daemon.redis_address) as redis:
            assert redis.answer() == b"-ERR max number of clients reached\r\n"
        first.ping()
        second.socket.close()
        wait_until(lambda: Curl(daemon.http).request("GET", "/healthz").status == 200, "a descriptor to become free")
        for one in gaps:
            one.close()
    assert "connections refused: Too many open files" in daemon.log()


def test_requests_of_a_connection(launch):
    """Beyond them the connection is not read; all are answered."""
    daemon = launch("--requests-max", "4", "--redis", "127.0.0.1:0")
    value = b"v" * (1 << 20)
    with Wire(daemon.binary_address) as wire, Resp(daemon.redis_address) as redis:
        assert wire.limits["in_flight_max"] == 4
        wire.write(b"k", value)
        for count in (4, 5, 64):
            wire.send(b"".join(frame(w.READ, i, w.key_body("default", b"k")) for i in range(count)))
            assert sorted(wire.answer()[0] for _ in range(count)) == list(range(count))
            redis.send(encode("get", "k") * count)
            for _ in range(count):
                assert redis.answer() == b"$%d\r\n%s\r\n" % (len(value), value)


def test_a_connection_that_does_not_read_is_not_read(launch):
    daemon = launch("--connection-bytes-max", "256k", "--requests-max", "64")
    with Wire(daemon.binary_address) as wire:
        wire.write(b"k", b"v" * (1 << 20))
        before = rss(daemon)
        wire.socket.settimeout(1)
        one = frame(w.READ, 1, w.key_body("default", b"k")) * 1000
        with pytest.raises(TimeoutError):
            for _ in range(2000):
                wire.socket.sendall(one)
        assert rss(daemon) - before < memory_factor() * (4 << 20)
    with Wire(daemon.binary_address) as other:
        other.ping()


@pytest.mark.parametrize("flags, value", [(("--store-requests-max", "4"), b"v"), (("--store-bytes-max", "4k"), b"v" * 1024)])
def test_writes_of_a_store(launch, flags, value):
    daemon = launch(*flags, "--redis", "127.0.0.1:0")
    with Wire(daemon.binary_address) as wire, RawHttp(daemon.http_address) as http:
        for count in (4, 5):  # one write of each pipeline, so that none is done before all are there
            wire.send(b"".join(frame(w.WRITE, i, w.write_body("default", b"%d" % i, value)) for i in range(count)))
            statuses = dict(wire.answer()[0:3:2] for _ in range(count))
            assert statuses == {i: w.OK if i < 4 else w.OVERLOADED for i in range(count)}
            http.send(b"".join(request("PUT", f"{KEYS}h{i}", value) for i in range(count)))
            answers = [http.answer() for _ in range(count)]
            assert [answer.status for answer in answers[4:]] == [429] * (count - 4)
            assert all(answer.status in (200, 201) for answer in answers[:4])
        assert answers[4].headers["retry-after"] == "1"
        wire.write(b"again", value)


def processor_s(daemon):
    """Seconds of a processor that the daemon has had."""
    with open(f"/proc/{daemon.process.pid}/stat", encoding="ascii") as file:
        user, system = file.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_an_answer_that_is_far_too_long(launch):
    """What it would be made of is not even looked at: 64 GiB, on the loop that serves others."""
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        wire.write_stream(b"k", bytes(64 << 20))
        assert wire.batch_read([b"k"]) == [bytes(64 << 20)]
        before = processor_s(daemon)
        assert status_of(wire.batch_read, [b"k"] * 1000) == w.TOO_LARGE
        assert processor_s(daemon) - before < 1
        assert wire.batch_read([b"k"]) == [bytes(64 << 20)]


# ---- memory and space -----------------------------------------------------------------------------------------------

def half_a_frame(address, length):
    """A connection with a request of so many bytes under way, of which few have come."""
    wire = Wire(address)
    wire.send(frame(w.WRITE, 1, b"x" * 100, body_len=length))
    return wire


def test_bytes_of_all_requests(launch):
    daemon = launch("--request-bytes-max", "1m", "--redis", "127.0.0.1:0")
    with half_a_frame(daemon.binary_address, 1 << 19) as first, Wire(daemon.binary_address) as wire:
        room = (1 << 19) - len(w.write_body("default", b"k", b"")) - 4096
        assert status_of(wire.write, b"k", b"x" * room) == w.OK
        with half_a_frame(daemon.binary_address, 1 << 19), RawHttp(daemon.http_address) as http:
            def is_full():
                return status_of(wire.write, b"small", b"x") == w.OVERLOADED
            wait_until(is_full, "the second half to be admitted")
            assert status_of(wire.write, b"k", b"x" * 5000) == w.OVERLOADED
            http.send(request("PUT", KEYS + "h", b"x" * 5000))
            answer = http.answer()
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            http.send(request("PUT", KEYS + "h", b"x"))
            assert http.answer().status == 429
            http.send(request("PUT", KEYS + "h", headers=["Transfer-Encoding: chunked"]) + b"1\r\nx\r\n0\r\n\r\n")
            assert http.answer().status == 429
            with Resp(daemon.redis_address) as redis:
                assert redis.call("set", "r", "x") == BUSY
                assert redis.call("set", "r", b"x" * 20000) == BUSY
                assert redis.call("mset", *[b"x" * 100] * 2000) == BUSY
                assert redis.call("ping") == b"+PONG\r\n"
            wire.ping()
            assert Curl(daemon.http).request("GET", "/healthz").status == 200
        wait_until(lambda: not is_full(), "the second half to go")
    assert Curl(daemon.http).put("after", b"x" * 900000).status == 201


def test_requests_in_small_pieces_count_from_their_first_byte_on(launch):
    """Chunks of a batch, and words of a command, each of which is next to nothing."""
    daemon = launch("--request-bytes-max", "1m", "--redis", "127.0.0.1:0")
    with RawHttp(daemon.http_address) as http:
        http.send(request("POST", "/v1/stores/default/batch/write",
                          headers=["Content-Type: application/json", "Transfer-Encoding: chunked"]))
        http.send(b"400\r\n%s\r\n" % (b" " * 1024) * 1100)
        answer = http.answer()
        assert (answer.status, answer.error, answer.headers["connection"]) == (429, "overloaded", "close")
    with Resp(daemon.redis_address) as redis:
        redis.send(b"*100001\r\n$3\r\nDEL\r\n" + b"$0\r\n\r\n" * 99999)  # 16 bytes for each word's place
        assert redis.answer() == BUSY
        redis.send(b"$0\r\n\r\n" + encode("PING"))
        assert redis.answer() == b"+PONG\r\n"
    assert Curl(daemon.http).put("after", b"x" * 900000).status == 201


def test_a_body_that_is_asked_for_counts(launch):
    """By a 100 Continue, which is no end of its request."""
    daemon = launch("--request-bytes-max", "1m")
    head = request("PUT", KEYS + "k", headers=["Content-Length: 900000", "Expect: 100-continue"])
    with RawHttp(daemon.http_address) as first, RawHttp(daemon.http_address) as second:
        first.send(head)
        assert first.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        second.send(head)
        assert second.answer().status == 429
        first.send(b"x" * 900000)
        assert first.answer().status == 201


@pytest.mark.parametrize("sent", [b"", b"x" * 1000], ids=len)
def test_the_room_of_a_body_that_never_comes_is_given_back_once(launch, sent):
    daemon = launch("--request-bytes-max", "1m")
    head = request("PUT", KEYS + "k", headers=["Content-Length: 900000", "Expect: 100-continue"])
    with RawHttp(daemon.http_address) as watching:
        def held():  # by this request too, or not yet any more by the one before
            watching.send(request("GET", "/metrics"))
            return int(re.search(rb"^rdrive_request_bytes (\d+)$", watching.answer().body, re.MULTILINE)[1])

        before = held()
        for _ in range(3):
            with RawHttp(daemon.http_address) as http:
                http.send(head)
                assert http.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                http.send(sent)
                assert abs(held() - before - 900000) < 10000
            wait_until(lambda: abs(held() - before) < 10000, "as much to be held as before")


def test_memory_stays_within_it(launch):
    daemon = launch("--request-bytes-max", "4m")
    before = rss(daemon)
    connections = []
    overloaded = 0
    for _ in range(40):
        wire = Wire(daemon.binary_address)
        wire.send(frame(w.WRITE, 1, b"x" * ((1 << 20) - 1000), body_len=1 << 20))
        connections.append(wire)
    for wire in connections:
        wire.socket.settimeout(0.01)
        try:
            overloaded += wire.answer()[2] == w.OVERLOADED
        except TimeoutError:
            pass  # it waits for the rest
    assert overloaded >= 35
    assert rss(daemon) - before < memory_factor() * (8 << 20)
    for wire in connections:
        wire.socket.close()


def ask_for_ten(connections):
    """Batches whose values are copied into their answers: 10 MiB each."""
    for wire in connections:
        wire.send(frame(w.BATCH_READ, 1, w.store_bytes("default") + w.keys_body([b"k%d" % i for i in range(10)])))


def write_ten(daemon):
    curl = Curl(daemon.http)
    for i in range(10):
        assert curl.put(f"k{i}", b"%d" % i * (1 << 20)).status == 201


def test_an_answer_that_was_taken_costs_no_memory(launch):
    daemon = launch()
    write_ten(daemon)
    before = rss(daemon)
    connections = [Wire(daemon.binary_address) for _ in range(10)]
    for wire in connections:
        ask_for_ten([wire])
        assert len(wire.answer()[3]) > 10 << 20
    assert rss(daemon) - before < memory_factor() * (32 << 20)
    for wire in connections:
        wire.ping()  # they were open all the while
        wire.socket.close()


def test_answers_that_nobody_takes_stay_within_it(launch):
    daemon = launch("--request-bytes-max", "16m")
    write_ten(daemon)
    before = rss(daemon)
    connections = [Wire(daemon.binary_address) for _ in range(10)]
    ask_for_ten(connections)
    with Wire(daemon.binary_address) as wire:
        wire.ping()
        assert rss(daemon) - before < memory_factor() * (64 << 20)
        wire.write(b"k1", b"x" * 100000)  # what others do not take holds up nobody
        answers = [connection.answer() for connection in connections]
        assert {answer[2] for answer in answers} == {w.OK, w.OVERLOADED}
        counted = b'rdrive_requests_total{store="default",operation="batch_read",code="overloaded"} %d\n'
        assert counted % sum(answer[2] == w.OVERLOADED for answer in answers) in Curl(daemon.http).request("GET", "/metrics").body
        assert wire.batch_read([b"k2"] * 10) == [b"2" * (1 << 20)] * 10  # there is room again
    for connection in connections:
        connection.socket.close()


def peak(daemon):
    """The most bytes of memory that the daemon has had."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", file.read(), re.MULTILINE)[1]) * 1024


def flood(daemon, address, data, count=200):
    """Connections each of which sends as much of the data as is taken, and all at once where that is little."""
    connections = [socket.create_connection(address, timeout=DEADLINE_S) for _ in range(count)]
    wait_until(lambda: metric(daemon, "rdrive_connections") >= count, "all connections")
    daemon.process.send_signal(signal.SIGSTOP)
    for connection in connections:
        connection.setblocking(False)
        connection.send(data)
    daemon.process.send_signal(signal.SIGCONT)
    return connections


def metric(daemon, name):
    answer = Curl(daemon.http).request("GET", "/metrics")
    return int(re.search(rb"^%s (\d+)$" % name.encode(), answer.body, re.MULTILINE)[1])


FLOODS = {
    "ping": ("redis", b"PING\r\n", 5000, b"+PONG\r\n"),
    "set": ("redis", b"SET k v\r\n", 1000, (b"+OK\r\n", BUSY)),  # under way until the turn is over
    "healthz": ("http", request("GET", "/healthz"), 1000, b"HTTP/1.1 200"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_short_requests_of_many_connections_stay_within_it(launch, kind):
    """They come in one turn of the loop, and each stands for more memory than its bytes."""
    daemon = launch("--request-bytes-max", "8m", "--redis", "127.0.0.1:0", "--durability", "none")
    before = peak(daemon)
    protocol, asked, count, answered = FLOODS[kind]
    connections = flood(daemon, getattr(daemon, protocol + "_address"), asked * count)
    for connection in connections:  # and all are answered
        connection.settimeout(DEADLINE_S)
        left = count
        with connection, connection.makefile("rb") as answers:
            while left != 0:
                left -= answers.readline().startswith(answered)
    assert peak(daemon) - before < memory_factor() * (80 << 20)


def test_what_was_read_and_not_looked_at_counts(launch):
    """It waits for the requests before it."""
    daemon = launch("--redis", "127.0.0.1:0", "--requests-max", "16")
    with Resp(daemon.redis_address) as redis:
        redis.call("SET", "long", b"v" * (32 << 20))
        before = metric(daemon, "rdrive_request_bytes")
        daemon.process.send_signal(signal.SIGSTOP)  # so that all of it is read at once
        redis.send(encode("GET", "long") + b"PING\r\n" * 20000)
        daemon.process.send_signal(signal.SIGCONT)
        wait_until(lambda: metric(daemon, "rdrive_request_bytes") - before > 90000, "what was read to count")
        assert len(redis.answer()) > 32 << 20
        for _ in range(20000):
            assert redis.answer() == b"+PONG\r\n"
    wait_until(lambda: metric(daemon, "rdrive_request_bytes") <= before, "the memory to be given back")


def test_what_is_left_of_it_counts_as_what_it_lies_in(launch):
    """Of 120 KB that were read at once nine tenths have been answered: the memory is still there."""
    daemon = launch("--redis", "127.0.0.1:0", "--requests-max", "16")

    def left(redis):
        """What counts then. Where the kernel gave it to the daemon in two pieces, the first of them is gone by then."""
        daemon.process.send_signal(signal.SIGSTOP)
        redis.send(encode("GET", "long") + b"PING\r\n" * 18000 + encode("GET", "long") + b"PING\r\n" * 2000)
        daemon.process.send_signal(signal.SIGCONT)
        wait_until(lambda: metric(daemon, "rdrive_request_bytes") - before > 90000, "what was read to count")
        assert len(redis.answer()) > 32 << 20
        for _ in range(18000):
            assert redis.answer() == b"+PONG\r\n"
        bytes_left = metric(daemon, "rdrive_request_bytes") - before
        assert len(redis.answer()) > 32 << 20
        for _ in range(2000):
            assert redis.answer() == b"+PONG\r\n"
        return bytes_left

    with Resp(daemon.redis_address) as redis:
        redis.call("SET", "long", b"v" * (32 << 20))
        before = metric(daemon, "rdrive_request_bytes")
        wait_until(lambda: left(redis) > 90000, "what is left to count")
    wait_until(lambda: metric(daemon, "rdrive_request_bytes") <= before, "the memory to be given back")


@pytest.mark.parametrize("line", [b"PING\r\n", b"x" * 100 + b"\r\n", b"GET k\r\n"], ids=["ping", "unknown", "get"])
def test_short_answers_that_nobody_takes_stay_within_it(launch, line):
    """Nobody needs a token to be answered so."""
    daemon = launch("--request-bytes-max", "40m", "--redis", "127.0.0.1:0")
    with Resp(daemon.redis_address) as redis:
        redis.call("SET", "k", "v" * 1000)
    before = peak(daemon)
    connections = flood(daemon, daemon.redis_address, b"PING\r\n", 50)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        for connection in connections:
            try:
                connection.send(line * (65536 // len(line)))
            except BlockingIOError:
                pass
    assert peak(daemon) - before < memory_factor() * (96 << 20)
    with Resp(daemon.redis_address) as redis:  # what others do not take holds up nobody
        assert redis.call("SET", "after", "v") == b"+OK\r\n"
    for connection in connections:
        connection.close()
    wait_until(lambda: metric(daemon, "rdrive_request_bytes") < 100000, "the memory to be given back")


def test_who_takes_answers_goes_on_where_memory_is_short(launch):
    """What has left is no answer that was not taken: nothing would wake the connection, since there is nothing to take."""
    daemon = launch("--request-bytes-max", "4m", "--redis", "127.0.0.1:0")
    keys = [b"k%d" % i for i in range(20)]
    with Wire(daemon.binary_address) as wire, Wire(daemon.binary_address) as held, Resp(daemon.redis_address) as redis:
        wire.batch_write([(key, b"v" * 1000) for key in keys])
        held.send(frame(w.WRITE, 1, b"x", body_len=3500000))
        wait_until(lambda: metric(daemon, "rdrive_request_bytes") > 3 << 20, "memory to be short")
        for _ in range(4):
            assert redis.call("MGET", *keys).count(b"v" * 1000) == len(keys)
            assert wire.batch_read(keys) == [b"v" * 1000] * len(keys)
        assert metric(daemon, "rdrive_request_bytes") > 3 << 20  # it was so all the while


def test_heads_that_do_not_end_stay_within_it(launch):
    daemon = launch("--request-bytes-max", "4m")
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 60000
    connections = []
    for _ in range(100):
        connections.append(RawHttp(daemon.http_address))
        connections[-1].send(head)
    with RawHttp(daemon.http_address) as http:
        http.send(request("PUT", KEYS + "k", b"v" * 100000))
        assert http.answer().status == 201
    assert 2 << 20 < metric(daemon, "rdrive_request_bytes") < 4 << 20
    answer = connections[-1].answer()
    assert (answer.status, answer.error, answer.headers["connection"]) == (429, "overloaded", "close")
    connections[0].send(b"\r\n\r\n")
    assert connections[0].answer().status == 200
    for http in connections:
        http.socket.close()


def test_transactions_that_are_not_executed_stay_within_it(launch):
    """What is queued has been answered, and is held for all that."""
    daemon = launch("--request-bytes-max", "4m", "--redis", "127.0.0.1:0")
    before = rss(daemon)
    connections = [Resp(daemon.redis_address) for _ in range(20)]
    refused = 0
    for resp in connections:
        assert resp.call("MULTI") == b"+OK\r\n"
        for i in range(1000):
            refused += resp.call("SET", f"k{i}", b"x" * 1000) != b"+QUEUED\r\n"
    assert refused > 10000
    assert rss(daemon) - before < memory_factor() * (16 << 20)
    assert connections[-1].call("EXEC").startswith(b"-EXECABORT")
    for resp in connections:
        resp.socket.close()
    curl = Curl(daemon.http)
    wait_until(lambda: curl.put("after", b"x" * 100000).status == 201, "room again")


def test_spool_space(launch):
    daemon = launch("--spool-bytes-max", "1m")
    curl = Curl(daemon.http)
    chunked = ["Transfer-Encoding: chunked"]
    assert curl.put("fits", b"x" * (1 << 20), headers=chunked).status == 201
    answer = curl.put("above", b"x" * ((1 << 20) + 1), headers=chunked)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert curl.get("above").status == 404
    with Wire(daemon.binary_address) as wire:
        held = wire.start_write_stream(b"held", 1 << 20)
        for _ in range(4):
            wire.send_chunk(held, b"x" * (200 << 10))
        wait_until(lambda: curl.put("other", b"x" * (600 << 10), headers=chunked).status == 429, "the spool to fill")
        wire.send_abort(held)
        wait_until(lambda: curl.put("other", b"x" * (600 << 10), headers=chunked).status == 201, "the spool to empty")


# ---- time -----------------------------------------------------------------------------------------------------------

def test_a_head_that_does_not_come(launch):
    daemon = launch("--header-timeout-ms", "200", "--redis", "127.0.0.1:0")
    with RawHttp(daemon.http_address) as http:
        http.send(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert http.answer().status == 408
        assert http.closed()
    with RawHttp(daemon.http_address) as http:  # one that comes late, behind one that came
        http.send(request("GET", "/healthz") + b"GET")
        assert [http.answer().status, http.answer().status] == [200, 408]
    with Wire(daemon.binary_address, greet=False) as wire:
        wire.send(w.HELLO[:5])
        assert wire.hello()[0] == w.TIMEOUT
    with Wire(daemon.binary_address) as wire:
        wire.send(b"\0\0")
        assert wire.answer()[2] == w.TIMEOUT
        assert wire.closed()
    with Resp(daemon.redis_address) as redis:
        redis.send(b"*3\r\n")
        assert redis.answer().startswith(b"-ERR the head of a request did not come in time")
    with Resp(daemon.redis_address) as silent, Wire(daemon.binary_address) as greeted:
        assert silent.answer().startswith(b"-ERR")
        greeted.ping()  # who has asked something may be silent


def test_a_request_that_comes_slowly(launch):
    daemon = launch("--rate-min", "1000", "--rate-window-ms", "300")
    with RawHttp(daemon.http_address) as slow, RawHttp(daemon.http_address) as quick:
        for http in (slow, quick):
            http.send(request("PUT", KEYS + "k", headers=["Content-Length: 3000000"]))
        end = time.monotonic() + 30
        slow.socket.setblocking(False)
        sent = 0
        while time.monotonic() < end:
            slow.send(b"x")
            quick.send(b"x" * 1000)
            sent += 1000
            time.sleep(0.02)
            try:
                slow.buffer += slow.socket.recv(1000)
                break
            except BlockingIOError:
                pass
        slow.socket.settimeout(60)
        assert slow.answer().status == 408
        quick.send(b"x" * (3000000 - sent))
        assert quick.answer().status == 201


# What has been refused before its body was there is read on for, so that a client that sends all of it before it reads
# does not lose the answer to a reset.

def refused(daemon, length):
    """A connection that has been answered at its head, and has so many bytes still to send."""
    http = RawHttp(daemon.http_address)
    http.send(request("POST", "/v1/stores/default/batch/write", headers=["Content-Type: application/json", f"Content-Length: {length}"]))
    select.select([http.socket], [], [], DEADLINE_S)  # it is there, and not read
    return http


def send_slowly(http, pieces, pause_s):
    """False: it was cut off on the way."""
    for piece in pieces:
        time.sleep(pause_s)
        try:
            http.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            return False
    return True


def lasts_for(http, piece=b"x", pause_s=0.05):
    """Seconds until it is cut off."""
    begin = time.monotonic()
    assert not send_slowly(http, iter(lambda: piece if time.monotonic() - begin < DEADLINE_S else None, None), pause_s)
    return time.monotonic() - begin


@pytest.mark.parametrize("pause_s, pieces", [(0.1, 40), (2.5, 3)], ids=["a slow link", "one that stands still for a while"])
def test_a_client_that_sends_all_before_it_reads_has_its_answer(launch, pause_s, pieces):
    daemon = launch()
    with refused(daemon, 1 << 40) as http:
        http.send(b"x" * 1000)
        assert send_slowly(http, [b"x" * 1000] * pieces, pause_s), "it was cut off"
        assert (http.answer().status, http.closed()) == (413, True)


def connections(daemon):
    return next(int(line.split()[1]) for line in Curl(daemon.http).request("GET", "/metrics").body.decode().splitlines()
                if line.startswith("rdrive_connections "))


def test_who_sends_nothing_more_is_not_waited_for(launch):
    """A second or two where nothing came, some more where something did; who looks is a connection too."""
    daemon = launch()
    begin = time.monotonic()
    with refused(daemon, 1 << 40) as silent, refused(daemon, 1 << 40) as fallen_silent:
        fallen_silent.send(b"x")
        wait_until(lambda: connections(daemon) == 2, "the one that says nothing to be gone")
        assert 1 <= time.monotonic() - begin < 5
        wait_until(lambda: connections(daemon) == 1, "the other one to be gone")
        assert 5 <= time.monotonic() - begin < 15
        assert (silent.answer().status, fallen_silent.answer().status) == (413, 413)


def test_it_lasts_no_longer_than_a_head_may_take(launch):
    daemon = launch("--header-timeout-ms", "3000")
    with refused(daemon, 1 << 40) as http:
        assert 3 <= lasts_for(http) < 15


def test_it_lasts_no_longer_where_others_want_the_place(launch):
    daemon = launch("--connections-max", "2")
    with Wire(daemon.binary_address) as other, refused(daemon, 1 << 40) as http:
        assert lasts_for(http) < 10
        other.ping()


def test_it_does_not_go_on_for_as_many_bytes_as_one_likes(launch):
    """Those of the first second are not counted: a client on the same machine sends a gigabyte in it."""
    daemon = launch()
    with refused(daemon, 1 << 40) as http:
        assert lasts_for(http, b"x" * (1 << 20), 0) < 10


def test_it_does_not_hold_up_a_stop(launch):
    daemon = launch()
    with refused(daemon, 1 << 40) as http:
        assert send_slowly(http, [b"x"] * 30, 0.1), "it was cut off"
        daemon.process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        assert lasts_for(http) < 2
        assert daemon.wait() == 0
        assert time.monotonic() - begin < 3


def test_an_idle_connection(launch):
    daemon = launch("--idle-timeout-ms", "100")
    with Wire(daemon.binary_address) as wire, RawHttp(daemon.http_address) as http, Wire(daemon.binary_address) as busy:
        wire.ping()
        http.send(request("GET", "/healthz"))
        assert http.answer().status == 200
        # A stream that has begun is not idle, whatever its peer does.
        busy.start_write_stream(b"k", 10)
        assert wire.closed() and http.closed()
        busy.ping()


def test_who_waits_for_others_is_not_idle(launch):
    """Those whose requests have come and have to wait for their turn are answered all the same, however long that is."""
    daemon = launch("--idle-timeout-ms", "20")
    count, depth = 100, 20_000
    asked = request("HEAD", "/v1/stores/default/keys/absent")

    def ask(http):
        with contextlib.suppress(OSError):
            http.send(asked * depth)

    def take(http):
        taken, left = 0, b""
        while taken < depth:
            piece = http.socket.recv(1 << 18)
            if not piece:
                break
            taken += (left + piece).count(b"\r\n\r\n")
            left = piece[-3:]
        return taken

    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(RawHttp(daemon.http_address)) for _ in range(count)]
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(2 * count))
        for http in many:
            pool.submit(ask, http)
        taken = list(pool.map(take, many))
    assert taken == [depth] * count


def try_to_connect(daemon):
    """A connection, or None where it is one too many."""
    try:
        return Wire(daemon.binary_address)
    except (AssertionError, ConnectionError):
        return None


def test_a_reload_changes_limits(launch, folder):
    path = os.path.join(folder, "rdrived.conf")

    def configure(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    configure('{"key_len_max": 16, "connections_max": 2}')
    daemon = launch("--config", path)
    with Wire(daemon.binary_address) as old:
        configure('{"key_len_max": "20", "connections_max": 1, "store_requests_max": 1}')
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded: 3 settings changed, 0 need a restart" in daemon.log(), "the reload")
        assert status_of(old.write, b"k" * 17, b"v") == w.TOO_LARGE, "it was told so at its beginning"
        old.send(b"".join(frame(w.WRITE, i, w.write_body("default", b"%d" % i, b"v")) for i in range(2)))
        assert sorted(old.answer()[2] for _ in range(2)) == [w.OK, w.OVERLOADED]
        with RawHttp(daemon.http_address) as http:
            assert http.answer().status == 503
    # The one place there is: who was there before may still be going.
    with wait_until(lambda: try_to_connect(daemon), "the place to become free") as new:
        assert new.limits["key_len_max"] == 20
        assert [status_of(new.write, b"k" * length, b"v") for length in (20, 21)] == [w.OK, w.TOO_LARGE]
