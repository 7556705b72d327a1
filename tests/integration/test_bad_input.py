# SPDX-License-Identifier: MIT
"""Bytes that no decent client sends: each gets a clear error, and the daemon serves on."""
import os
import random
import socket

import pytest

from harness import wire as w
from harness.daemon import DEADLINE_S
from harness.rawhttp import RawHttp, request
from harness.wire import Wire, WireError, frame

SEED = int(os.environ.get("RDRIVE_SEED", "20240607"))

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n"
PUT = b"PUT /v1/stores/default/keys/bad-input HTTP/1.1\r\n" + HOST
BATCH = b"POST /v1/stores/default/batch/write HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST

MALFORMED = {
    "no-host": (GET + b"\r\n", 400),
    "two-hosts": (GET + HOST + HOST + b"\r\n", 400),
    "empty-line-folded": (GET + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "folded-with-tab": (GET + HOST + b"X: a\r\n\tb\r\n\r\n", 400),
    "space-before-colon": (GET + HOST + b"X : a\r\n\r\n", 400),
    "host-space-before-colon": (GET + b"Host : localhost\r\n\r\n", 400),
    "header-without-colon": (GET + HOST + b"what is this\r\n\r\n", 400),
    "empty-header-name": (GET + HOST + b": a\r\n\r\n", 400),
    "nul-in-header": (GET + HOST + b"X: a\0b\r\n\r\n", 400),
    "bare-lf-ends-the-line": (b"GET /healthz HTTP/1.1\n" + HOST + b"\r\n", 400),
    "bare-lf-ends-a-header": (GET + b"Host: localhost\nX: a\r\n\r\n", 400),
    "bare-lf-ends-the-head": (GET + HOST + b"\n", 400),
    "bare-cr": (GET + HOST + b"X: a\rb\r\n\r\n", 400),
    "two-lengths": (PUT + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
    "two-different-lengths": (PUT + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400),
    "length-list": (PUT + b"Content-Length: 1, 1\r\n\r\nx", 400),
    "length-and-chunked": (PUT + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked-and-length": (PUT + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400),
    "negative-length": (PUT + b"Content-Length: -1\r\n\r\n", 400),
    "signed-length": (PUT + b"Content-Length: +1\r\n\r\nx", 400),
    "hex-length": (PUT + b"Content-Length: 0x1\r\n\r\nx", 400),
    "no-length": (PUT + b"Content-Length: \r\n\r\n", 400),
    "overflowing-length": (PUT + b"Content-Length: 18446744073709551617\r\n\r\nx", 400),
    "chunk-size-is-no-number": (PUT + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "chunk-size-overflows": (PUT + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
    "chunk-without-its-end": (PUT + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n", 400),
    "chunk-line-ends-in-lf": (PUT + b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n", 400),
    "json-chunk-of-a-tebibyte": (BATCH + b"Transfer-Encoding: chunked\r\n\r\n10000000000\r\n", 413),
    "json-of-a-tebibyte": (BATCH + b"Content-Length: 1099511627776\r\n\r\n", 413),
    "not-http": (b"hello there\r\n\r\n", 400),
    "only-a-line": (b"\0\1\2\3\r\n\r\n", 400),
    "no-version": (b"GET /healthz\r\n" + HOST + b"\r\n", 400),
    "version-2": (b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 400),
    "version-9": (b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n", 400),
    "http-2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)) + b"\r\n\r\n", 400),
    "space-in-target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "two-spaces": (b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "nul-in-target": (b"GET /heal\0thz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "unknown-expectation": (PUT + b"Expect: miracles\r\nContent-Length: 1\r\n\r\nx", 417),
    "head-too-long": (GET + HOST + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n", 431),
    "target-too-long": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "endless-headers": (GET + HOST + b"X: a\r\n" * (1 << 17) + b"\r\n", 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http(daemon, name):
    message, status = MALFORMED[name]
    with RawHttp(daemon.http_address) as connection:
        try:
            connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server has seen enough, and its answer may still be read
        answer = connection.answer()
        assert answer is not None, "closed without an answer"
        assert answer.status == status, answer
        assert answer.error
        # What follows cannot be told from the rest of this one, so the connection has to end.
        assert answer.headers["connection"] == "close"
        assert connection.closed()
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", "/healthz") + request("GET", "/v1/stores/default/keys/bad-input"))
        assert connection.answer().status == 200
        assert connection.answer().status == 404


@pytest.mark.parametrize("message, status", [
    (request("BREW", "/healthz"), {400, 405, 501}),
    (request("PATCH", "/healthz"), {405, 501}),
    (request("OPTIONS", "*"), {405}),
    (request("TRACE", "/healthz"), {405, 501}),
    (request("GET", "/healthz", b"a body"), {400}),
    (request("GET", "/v1/stores/default/keys/k?x=1"), {400}),
    (request("GET", "/nowhere"), {404}),
], ids=lambda value: repr(value)[:30])
def test_refused_http_is_answered_and_others_are_served(daemon, message, status):
    with RawHttp(daemon.http_address) as connection:
        connection.send(message)
        answer = connection.answer()
        assert answer.status in status
        assert answer.error
        if answer.headers.get("connection") == "close":
            assert connection.closed()
            return
        connection.send(request("GET", "/healthz"))
        assert connection.answer().status == 200


def half_sent(address, data):
    """Sends, stops sending, and returns whatever comes back."""
    with socket.create_connection(address, timeout=DEADLINE_S) as connection:
        parts = []
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                parts.append(part)
        except (BrokenPipeError, ConnectionResetError, OSError) as error:
            assert not isinstance(error, TimeoutError), "neither answered nor closed"
        return b"".join(parts)


def test_a_binary_frame_cut_at_every_byte(daemon, store, wire):
    message = w.HELLO + frame(w.WRITE, 1, w.write_body(store, b"cut", b"a value"))
    hello_answer_len = len(half_sent(daemon.binary_address, w.HELLO))
    for length in range(len(message)):
        answer = half_sent(daemon.binary_address, message[:length])
        # Before the hello is whole nothing is said; behind it, its answer and nothing else.
        assert len(answer) == (0 if length < len(w.HELLO) else hello_answer_len), length
        assert not wire.exists(b"cut")
    assert len(half_sent(daemon.binary_address, message)) == hello_answer_len + 16 + 34
    assert wire.read(b"cut") == b"a value"


def test_an_http_request_cut_at_every_byte(daemon, store, wire):
    message = request("PUT", f"/v1/stores/{store}/keys/cut", b"a value")
    for length in range(len(message)):
        answer = half_sent(daemon.http_address, message[:length])
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), (length, answer)
        assert not wire.exists(b"cut")
    assert half_sent(daemon.http_address, message).startswith(b"HTTP/1.1 201 ")
    assert wire.read(b"cut") == b"a value"


def test_random_bytes(daemon, store, wire):
    print("RDRIVE_SEED =", SEED)
    source = random.Random(SEED)
    wire.write(b"witness", b"of before")
    for _ in range(100):
        noise = source.randbytes(source.randrange(1, 2000))
        half_sent(daemon.binary_address, noise)
        half_sent(daemon.binary_address, w.HELLO + noise)
        half_sent(daemon.http_address, noise)
        half_sent(daemon.http_address, PUT + noise)
    daemon.assert_alive()
    assert wire.read(b"witness") == b"of before"


def mutated(source, message):
    data = bytearray(message)
    for _ in range(source.randrange(1, 4)):
        at = source.randrange(len(data))
        kind = source.randrange(3)
        if kind == 0:
            data[at] = source.randrange(256)
        elif kind == 1:
            del data[at:at + source.randrange(1, 9)]
            data = data or bytearray(b"x")
        else:
            data[at:at] = source.randbytes(source.randrange(1, 9))
    return bytes(data)


def test_valid_messages_with_bytes_changed(daemon, store, wire):
    print("RDRIVE_SEED =", SEED)
    source = random.Random(SEED + 1)
    frames = [frame(w.WRITE, 1, w.write_body(store, b"key", b"value")),
              frame(w.BATCH_WRITE, 2, w.batch_write_body(store, [(b"a", b"1"), (b"b", b"2")])),
              frame(w.BATCH_READ, 3, w.store_bytes(store) + w.keys_body([b"a", b"b"])),
              frame(w.DELETE, 4, w.delete_body(store, b"key")), frame(w.ITERATE, 5, w.store_bytes(store) + bytes(12)),
              frame(w.STORES, 6), frame(w.INFO, 7, w.store_bytes(store))]
    requests = [request("PUT", f"/v1/stores/{store}/keys/key", b"value"), request("GET", f"/v1/stores/{store}/keys/key"),
                request("GET", f"/v1/stores/{store}/entries?limit=3"), request("GET", "/v1/stores"),
                request("POST", f"/v1/stores/{store}/batch/read", b'{"keys":["a","b"]}', ["Content-Type: application/json"])]
    for _ in range(150):
        half_sent(daemon.binary_address, w.HELLO + mutated(source, b"".join(source.sample(frames, 3))))
        half_sent(daemon.http_address, mutated(source, b"".join(source.sample(requests, 3))))
    daemon.assert_alive()
    wire.ping()
    wire.write(b"key", b"after")
    assert wire.read(b"key") == b"after"


def test_connections_that_come_and_go(daemon, wire):
    for _ in range(100):
        socket.create_connection(daemon.binary_address).close()
        socket.create_connection(daemon.http_address).close()
    wire.ping()


def test_an_error_does_not_hold_up_its_neighbours(wire):
    wire.send(frame(w.READ, 1, b"\xff") + frame(0xee, 2) + frame(w.PING, 3) +
              frame(w.WRITE, 4, w.write_body(wire.store, b"k", b"")) + frame(w.WRITE, 5, w.write_body(wire.store, b"k", b"v")))
    statuses = {}
    for _ in range(5):
        answer = wire.answer()
        try:
            wire.checked(answer)
            statuses[answer[0]] = w.OK
        except WireError as error:
            statuses[answer[0]] = error.status
    assert statuses == {1: w.INVALID_ARGUMENT, 2: w.UNSUPPORTED, 3: w.OK, 4: w.INVALID_ARGUMENT, 5: w.OK}
