# SPDX-License-Identifier: MIT
"""Values that come and go in parts: HTTP uploads of every form, binary streams with credit, and what cuts them off."""
import base64
import contextlib
import os
import random
import signal
import socket
import struct
import threading
import time
import zlib

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.daemon import wait_until
from harness.faults import Fault
from harness.rawhttp import RawHttp, request
from harness.wire import Wire, WireError, frame

THRESHOLD = 1 << 20
LONG_WORKERS = 4  # threads of libuv's
MIB = 1 << 20
LONG = random.Random(11).randbytes(5 * MIB)


def path_of(store, key="k"):
    return f"/v1/stores/{store}/keys/{key}"


def spools(daemon):
    """Descriptors of the daemon that lead to unlinked files in its data folder."""
    folder = f"/proc/{daemon.process.pid}/fd"
    found = 0
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(os.path.join(folder, name))
            found += target.startswith(daemon.data_dir) and target.endswith("(deleted)")
    return found


def head(store, *headers, key="k", version="1.1"):
    return "\r\n".join([f"PUT {path_of(store, key)} HTTP/{version}", "Host: localhost", *headers, "", ""]).encode()


def chunked(store, *chunks, trailers=b"", key="k"):
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head(store, "Transfer-Encoding: chunked", key=key) + body + b"0\r\n" + trailers + b"\r\n"


def assert_stored(curl, value, key="k"):
    answer = curl.get(key)
    assert answer.status == 200 and answer.body == value
    assert answer.headers["rdrive-crc32"] == f"{zlib.crc32(value):08x}"


@pytest.fixture
def http(daemon):
    with RawHttp(daemon.http_address) as connection:
        yield connection


# ---- HTTP uploads ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("length", [1, 64, 256 << 10, (256 << 10) + 1, THRESHOLD - 1, THRESHOLD, THRESHOLD + 1, 5 * MIB])
def test_put_of_any_length(http, store, curl, form, length):
    value = LONG[:length]
    http.send(request("PUT", path_of(store), value) if form == "length" else chunked(store, value))
    answer = http.answer()
    assert answer.status == 201, answer
    assert answer.headers["rdrive-crc32"] == f"{zlib.crc32(value):08x}"
    assert answer.json()["offset"] == int(answer.headers["rdrive-offset"])
    assert answer.json()["tail"] == curl.info()["tail"] == answer.json()["offset"] + length + 20
    assert_stored(curl, value)
    assert curl.get("k").headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_what_cannot_be_stored_is_told_why(http, store, form):
    http.send(request("PUT", path_of(store), b"\0") if form == "length" else chunked(store, b"\0"))
    answer = http.answer()
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith("Payload cannot be a single zero byte")


KIB = 1 << 10


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("pieces", [
    [200 * KIB, 100 * KIB, 10 * KIB, 1, 200 * KIB, 300 * KIB, 5, 700 * KIB],  # what fits into memory behind what did not
    [256 * KIB, 1, 255 * KIB, 1, MIB, 1], [300 * KIB, MIB, 255 * KIB], [2 * MIB, 100 * KIB, 600 * KIB]], ids=str)
def test_a_put_whose_bytes_come_piece_by_piece(http, wire, store, curl, form, pieces):
    """They keep their order, whether they wait for more to be spooled with or go at once."""
    value = random.Random(sum(pieces)).randbytes(sum(pieces))
    how = f"Content-Length: {len(value)}" if form == "length" else "Transfer-Encoding: chunked"
    http.send(head(store, how))
    at = 0
    for length in pieces:
        piece = value[at:at + length]
        http.send(piece if form == "length" else b"%x\r\n%s\r\n" % (length, piece))
        wire.ping()  # so that it has been read
        at += length
    if form == "chunked":
        http.send(b"0\r\n\r\n")
    assert http.answer().status == 201
    assert_stored(curl, value)


@pytest.mark.parametrize("value", [b"", b"\0"], ids=["empty", "one-zero-byte"])
@pytest.mark.parametrize("form", ["length", "chunked", "chunked-in-binary"])
def test_what_cannot_be_stored(http, store, curl, wire, form, value):
    curl.put("k", b"old")
    tail = curl.info()["tail"]
    if form == "chunked-in-binary":
        for announced in (None, len(value)):
            with pytest.raises(WireError) as error:
                wire.write_stream(b"k", value, announced)
            assert error.value.status == w.INVALID_ARGUMENT
    else:
        http.send(request("PUT", path_of(store), value) if form == "length"
                  else chunked(store, *([value] if value else [])))
        http.send(request("GET", path_of(store)))
        answer = http.answer()
        assert (answer.status, answer.error) == (400, "invalid_argument")
        assert http.answer().body == b"old", "the connection goes on: all of the request has come"
    assert curl.info()["tail"] == tail


@pytest.mark.parametrize("length", [2, 3, THRESHOLD + 1, 2 * MIB])
def test_zeros(http, store, curl, wire, length):
    http.send(chunked(store, bytes(length)))
    assert http.answer().status == 201
    assert_stored(curl, bytes(length))
    wire.write_stream(b"k", bytes(length), length)
    assert_stored(curl, bytes(length))


@pytest.mark.parametrize("chunks", [[b"%d" % (i % 10) for i in range(20000)], [LONG], [LONG[:i] for i in range(1, 700)],
                                    [LONG[:65536]] * 40 + [b"x"]], ids=["tiny", "huge", "growing", "even"])
@pytest.mark.parametrize("trailers", [b"", b"X-One: 1\r\nX-Two:  \r\n"], ids=["", "trailers"])
def test_chunked(http, store, curl, chunks, trailers):
    http.send(chunked(store, *chunks, trailers=trailers) + request("GET", path_of(store)))
    assert http.answer().status == 201
    assert http.answer().body == b"".join(chunks), "a request behind the upload sees it"
    assert_stored(curl, b"".join(chunks))


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 61])
def test_chunked_in_pieces_that_heed_no_frame(http, store, curl, cut):
    data = chunked(store, b"a", b"bc" * 20, b"def", trailers=b"T: 1\r\n").replace(b"0\r\nT", b"000;ext=\"1\"\r\nT")
    for at in range(0, len(data), cut):
        http.send(data[at:at + cut])
    assert http.answer().status == 201
    assert_stored(curl, b"a" + b"bc" * 20 + b"def")


def test_expect_continue(http, store, curl):
    for length, form in ((3, "length"), (THRESHOLD + 1, "length"), (THRESHOLD + 1, "chunked")):
        value = LONG[:length]
        how = f"Content-Length: {length}" if form == "length" else "Transfer-Encoding: chunked"
        http.send(head(store, "Expect: 100-continue", how))
        assert http._take(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        http.send(value if form == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (length, value))
        assert http.answer().status in (200, 201)
        assert_stored(curl, value)


@pytest.mark.parametrize("form", ["Content-Length: 3", f"Content-Length: {5 * MIB}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("fault", ["malformed condition", "bad durability", "hopeless condition", "foreign origin"])
def test_expect_refused_by_the_head(daemon, store, form, fault):
    data = head(store, "Expect: 100-continue", form)
    if fault == "bad durability":
        data = data.replace(b" HTTP/1.1", b"?durability=never HTTP/1.1")
    else:
        header = {"malformed condition": b"If-Match: x", "hopeless condition": b'If-Match: "x"',
                  "foreign origin": b"Origin: http://other"}[fault]
        data = data[:-2] + header + b"\r\n\r\n"
    with RawHttp(daemon.http_address) as http:
        http.send(data)
        wait_until(lambda: http._more() and b"\r\n\r\n" in http.buffer, "an answer")
        assert not http.buffer.startswith(b"HTTP/1.1 100"), "nobody wants that body"
        answer = http.answer()
        assert answer.status == {"hopeless condition": 412, "foreign origin": 403}.get(fault, 400)
        assert answer.headers["connection"] == "close"
        assert http.closed()


@pytest.mark.parametrize("form", ["Content-Length: 3", f"Content-Length: {5 * MIB}", "Transfer-Encoding: chunked"])
def test_expect_for_an_unknown_store(daemon, form):
    with RawHttp(daemon.http_address) as http:
        http.send(head("none", "Expect: 100-continue", form))
        if form.endswith(" 3"):
            http.send(b"abc")
        answer = http.answer()
        assert (answer.status, answer.error) == (404, "store_not_found")


def test_a_streamed_put_into_an_unknown_store_ends_early(daemon):
    with RawHttp(daemon.http_address) as http:
        http.send(head("none", f"Content-Length: {1 << 40}"))
        answer = http.answer()
        assert (answer.status, answer.error) == (404, "store_not_found")
        assert answer.headers["connection"] == "close"
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                http.send(bytes(MIB))
        assert http.closed()


@pytest.mark.parametrize("headers, version", [(["Connection: close"], "1.1"), ([], "1.0"),
                                              (["Expect: 100-continue"], "1.0")])
@pytest.mark.parametrize("length", [3, 2 * MIB])
def test_uploads_that_end_the_connection(daemon, store, curl, headers, version, length):
    value = LONG[:length]
    with RawHttp(daemon.http_address) as http:
        http.send(head(store, *headers, f"Content-Length: {length}", version=version) + value)
        assert http.answer().status == 201
        assert http.closed()
    assert_stored(curl, value)


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("length", [3, THRESHOLD + 1, 5 * MIB])
def test_a_client_that_closes_its_side_behind_the_last_byte(daemon, store, curl, form, length):
    value = LONG[:length]
    with RawHttp(daemon.http_address) as http:
        http.send(request("PUT", path_of(store), value) if form == "length" else chunked(store, value))
        http.socket.shutdown(socket.SHUT_WR)
        answer = http.answer()
        assert answer is not None and answer.status == 201, answer
        assert http.closed()
    assert_stored(curl, value)


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_requests_right_behind_uploads(http, store, curl, form):
    """Answers come in order, and a read sees what was written before it on its connection."""
    values = [LONG[i:i + length] for i, length in enumerate((3 * MIB, 10, THRESHOLD + 1, 1, 2 * MIB))]
    burst = b""
    for i, value in enumerate(values):
        burst += request("PUT", path_of(store), value) if form == "length" else chunked(store, value)
        burst += request("HEAD", path_of(store)) + request("GET", path_of(store), headers=["Range: bytes=0-9"])
    http.send(burst + request("DELETE", path_of(store)) + request("GET", path_of(store)))
    for i, value in enumerate(values):
        put = http.answer()
        assert put.status == (200 if i else 201)
        seen = http.answer(to_head=True)
        assert (seen.headers["etag"], seen.headers["content-length"]) == (put.headers["etag"], str(len(value))), i
        assert http.answer().body == value[:10]
    assert http.answer().json()["deleted"] is True
    assert http.answer().status == 404


@pytest.mark.parametrize("form", ["Content-Length: 9000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("end", ["reset", "close", "half-close"])
def test_a_client_that_vanishes_midway(daemon, store, curl, form, end):
    curl.put("k", b"old")
    tail = curl.info()["tail"]
    http = RawHttp(daemon.http_address)
    body = LONG[:4 * MIB]
    http.send(head(store, form) + (body if "Length" in form else b"%x\r\n%s" % (len(body) + 1, body)))
    wait_until(lambda: spools(daemon) == 1, "a spool")
    if end == "half-close":
        http.socket.shutdown(socket.SHUT_WR)
        answer = http.answer()
        assert answer is None or answer.status == 400
    elif end == "reset":
        http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.socket.close()
    wait_until(lambda: spools(daemon) == 0, "no spool is left")
    assert curl.get("k").body == b"old" and curl.info()["tail"] == tail
    assert not [name for name in os.listdir(daemon.data_dir) if "spool" in name or "tmp" in name]


MALFORMED = [b"xyz\r\n", b"5\nhello\r\n", b"-1\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"\r\n", b"0x5\r\nhello\r\n",
             b"5\r\nhelloX\r\n", b"5\r\nhello\n", b"5\r\nhello\r5\r\n", b"1000000000000000\r\n", b"5;a\x01\r\nhello\r\n",
             b"0\r\nno colon\r\n\r\n", b"0\r\n: x\r\n\r\n", b"0\r\nA: 1\n\r\n", b"0\r\n folded\r\n\r\n", b"0\r\n\n", b"0\n\r\n"]


@pytest.mark.parametrize("before", [0, 1, 3 * MIB], ids=["first", "short", "midway"])
def test_malformed_chunks(daemon, store, curl, before):
    curl.put("k", b"old")
    start = b"%x\r\n%s\r\n" % (before, LONG[:before]) if before else b""
    for framing in MALFORMED:
        with RawHttp(daemon.http_address) as http:
            http.send(head(store, "Transfer-Encoding: chunked") + start + framing)
            answer = http.answer()
            assert (answer.status, answer.error) == (400, "invalid_argument"), framing
            assert answer.json()["error"]["message"] == "malformed chunked body"
            assert answer.headers["connection"] == "close"
            assert http.closed(), framing
    assert curl.get("k").body == b"old"
    wait_until(lambda: spools(daemon) == 0, "no spool is left")


def test_a_malformed_chunk_behind_pipelined_requests(daemon, store):
    """What came before is answered first."""
    with RawHttp(daemon.http_address) as http:
        http.send(request("PUT", path_of(store, "a"), LONG[:2 * MIB]) + request("GET", path_of(store, "none"))
                  + head(store, "Transfer-Encoding: chunked") + b"5\r\nhello\r\nbad" + request("GET", path_of(store, "a")))
        assert http.answer().status == 201
        assert http.answer().status == 404
        assert http.answer().status == 400
        assert http.closed()


def test_too_much_around_the_chunks(daemon, store):
    for tail in (b"0\r\n" + b"T: %s\r\n" % (b"x" * 70000), b"1;" + b"e" * 70000 + b"\r\n",
                 b"".join(b"1;eeeeeeee\r\nx\r\n" for _ in range(9000))):
        with RawHttp(daemon.http_address) as http:
            with contextlib.suppress(ConnectionError):
                http.send(head(store, "Transfer-Encoding: chunked") + tail)
            answer = http.answer()
            assert (answer.status, answer.error) == (431, "header_too_large")
            assert http.closed()


# ---- stalls ---------------------------------------------------------------------------------------------------------

def test_stalled_uploads_end_with_408(launch):
    daemon = launch("--stall-timeout-ms", "400")
    curl = Curl(daemon.http)
    with RawHttp(daemon.http_address) as long, RawHttp(daemon.http_address) as chunks, Wire(daemon.binary_address) as wire:
        long.send(head("default", "Content-Length: 9000000", key="a") + LONG[:3 * MIB])
        chunks.send(head("default", "Transfer-Encoding: chunked", key="b") + b"1\r\nx\r\n")
        wire.write(b"c", b"before")
        stream = wire.start_write_stream(b"c")
        wire.send_chunk(stream, b"part")
        for connection in (long, chunks):
            answer = connection.answer()
            assert answer is not None, "closed without an answer"
            assert (answer.status, answer.error) == (408, "timeout")
            assert answer.headers["connection"] == "close"
            assert connection.closed()
        with pytest.raises(WireError) as error:
            wire.stream_answer(w.WRITE_STREAM, stream)
        assert error.value.status == w.TIMEOUT
        wire.send_chunk(stream, b"late")
        wire.send_end(stream)
        assert wire.read(b"c") == b"before", "the connection goes on"
        assert not wire.exists(b"a") and not wire.exists(b"b")
        wait_until(lambda: spools(daemon) == 0, "no spool is left")
        assert curl.get("c").body == b"before"


def test_a_slow_upload_is_not_a_stalled_one(launch):
    daemon = launch("--stall-timeout-ms", "400")
    with RawHttp(daemon.http_address) as http, Wire(daemon.binary_address) as wire:
        http.send(head("default", "Transfer-Encoding: chunked"))
        stream = wire.start_write_stream(b"b")
        for _ in range(6):
            http.send(b"1\r\nx\r\n")
            wire.send_chunk(stream, b"y")
            time.sleep(0.15)
        http.send(b"0\r\n\r\n")
        wire.send_end(stream)
        assert http.answer().status == 201
        assert wire.stream_answer(w.WRITE_STREAM, stream)
        assert (wire.read(b"k"), wire.read(b"b")) == (b"x" * 6, b"y" * 6)


# ---- binary uploads -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("announced", [False, True])
@pytest.mark.parametrize("length, chunk_len", [(1, None), (5000, 1), (256 << 10, None), ((256 << 10) + 1, None),
                                               (MIB, None), (9 * MIB + 1, None), (3 * MIB, 1000), (3 * MIB, 65537)])
def test_write_stream(wire, length, chunk_len, announced):
    value = (LONG * 2)[:length]
    answer = wire.write_stream(b"k", value, length if announced else None, chunk_len=chunk_len)
    assert (answer["crc32"], answer["replaced"], answer["durability"]) == (zlib.crc32(value), 0, w.SYNC)
    metadata = wire.metadata(b"k")
    assert (metadata["offset"], metadata["length"], metadata["key_hash"]) == (answer["offset"], length, answer["key_hash"])
    assert wire.read(b"k") == value
    assert wire.write_stream(b"k", b"second")["replaced"] == 1


@pytest.mark.parametrize("length", [5, 200_000, 900_000])
def test_what_is_sent_behind_the_end_of_a_stream_sees_it(wire, length):
    """Requests of one connection to one store take effect in the order sent, a stream's at its end."""
    for number in range(20):
        value = random.Random(number).randbytes(length)
        wire.write(b"k", b"before")
        stream = wire.start_write_stream(b"k")
        for at in range(0, length, 100_000):
            wire.send_chunk(stream, value[at:at + 100_000])
        early = wire.start(w.READ, w.key_body(wire.store, b"k"))
        wire.send_end(stream)
        read = wire.start(w.READ, w.key_body(wire.store, b"k"))
        write = wire.start(w.WRITE, w.write_body(wire.store, b"k", b"after"))
        last = wire.start(w.READ, w.key_body(wire.store, b"k"))
        answers = {}
        while len(answers) < 5:
            identifier, opcode, status, body = wire.answer()
            if opcode != w.CREDIT:
                assert status == w.OK, body
                answers[identifier] = body
        assert answers.keys() == {stream, early, read, write, last}
        assert answers[early][28:] == b"before"
        assert answers[read][28:] == value
        assert answers[last][28:] == b"after"


def test_connections_that_are_gone_right_behind_the_end(daemon, store):
    for number in range(60):
        with Wire(daemon.binary_address, store) as wire:
            for key in (b"gone-1", b"gone-2"):
                stream = wire.start_write_stream(key)
                for _ in range(3):
                    wire.send_chunk(stream, LONG[:250_000])
                wire.send_end(stream)
            if number % 2 == 0:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: spools(daemon) == 0, "no spool is left")
    daemon.assert_alive()


def test_streams_interleaved_with_each_other_and_with_requests(wire):
    source = random.Random(3)
    values = {}
    at = {}
    credit = {}
    for number in range(12):
        identifier = wire.start_write_stream(b"stream %d" % number)
        values[identifier] = source.randbytes(source.choice([1, 3000, 300000, 2500000]))
        at[identifier], credit[identifier] = 0, wire.limits["stream_window"]
    results, small = {}, {}

    def take():
        identifier, opcode, status, body = wire.answer()
        assert status == w.OK
        if opcode == w.CREDIT:
            credit[identifier] += struct.unpack("<Q", body)[0]
        elif opcode == w.WRITE_STREAM:
            results[identifier] = w.write_answer(body)
        else:
            small[identifier] = body

    open_ids = set(values)
    expected = 0
    while open_ids:
        identifier = source.choice(sorted(open_ids))
        value, done = values[identifier], at[identifier]
        chunk = value[done:done + min(source.randrange(1, 200000), credit[identifier])]
        if done == len(value):
            wire.send_end(identifier)
            open_ids.remove(identifier)
        elif chunk:
            wire.send_chunk(identifier, chunk)
            at[identifier] += len(chunk)
            credit[identifier] -= len(chunk)
        else:
            take()
        if source.randrange(4) == 0:
            wire.start(w.WRITE, w.write_body(wire.store, b"small", b"%d" % expected))
            wire.start(w.READ, w.key_body(wire.store, b"small"))
            expected += 1
            while len(small) < 2 * expected:
                take()
            assert small[wire.identifier][28:] == b"%d" % (expected - 1)
    while len(results) < len(values):
        take()
    for number, identifier in enumerate(sorted(values)):
        assert results[identifier]["crc32"] == zlib.crc32(values[identifier])
    for number, identifier in enumerate(sorted(values)):
        assert wire.read(b"stream %d" % number) == values[identifier]


def write_stream_fails(wire, identifier, status):
    with pytest.raises(WireError) as error:
        wire.stream_answer(w.WRITE_STREAM, identifier)
    assert error.value.status == status, error.value


@pytest.mark.parametrize("length", [0, 10, 700 << 10])
def test_abort_by_the_client(daemon, wire, length):
    wire.write(b"k", b"old")
    stream = wire.start_write_stream(b"k", 5 * MIB)
    for at in range(0, length, 200 << 10):
        wire.send_chunk(stream, LONG[at:min(at + (200 << 10), length)])
    wire.send_abort(stream)
    write_stream_fails(wire, stream, w.INVALID_ARGUMENT)
    assert wire.read(b"k") == b"old"
    wait_until(lambda: spools(daemon) == 0, "no spool is left")


@pytest.mark.parametrize("announced, sent", [(5, b"1234"), (5, b""), (5, b"123456"), (0, b"1"), (MIB, LONG[:MIB - 1]),
                                             (w.ALL_ONES - 1, b"12")],
                         ids=["fewer", "nothing", "more", "none-announced", "a-byte-less", "huge"])
def test_another_length_than_announced(daemon, wire, announced, sent):
    wire.write(b"k", b"old")
    stream = wire.start_write_stream(b"k", announced)
    for at in range(0, len(sent), 200 << 10):
        wire.send_chunk(stream, sent[at:at + (200 << 10)])
    wire.send_end(stream)
    write_stream_fails(wire, stream, w.INVALID_ARGUMENT if announced < 1 << 48 else w.TOO_LARGE)
    assert wire.read(b"k") == b"old"
    wait_until(lambda: spools(daemon) == 0, "no spool is left")


def test_more_than_the_credit_is_refused_in_the_end(daemon, wire):
    """The server need not notice at the first byte, but memory is not to be had for the asking."""
    stream = wire.start_write_stream(b"k")
    chunk = frame(w.CHUNK, stream, LONG[:200 << 10])
    with contextlib.suppress(ConnectionError):
        for _ in range(20):
            wire.send(chunk * 10)
    wire.send_end(stream)
    try:
        w.write_answer(wire.stream_answer(w.WRITE_STREAM, stream))
        kept_up = True
    except WireError as error:
        assert error.status == w.TOO_LARGE
        kept_up = False
    assert wire.exists(b"k") == kept_up
    wait_until(lambda: spools(daemon) == 0, "no spool is left")


def test_parts_of_no_stream_are_ignored(wire):
    for identifier in (0, 99, w.ALL_ONES):
        wire.send_chunk(identifier, b"part")
        wire.send_credit(identifier, 5)
        wire.send_end(identifier)
        wire.send_abort(identifier)
    stream = wire.start_write_stream(b"k")
    wire.send_chunk(stream + 1, b"of nobody")
    wire.send_credit(stream, 5)
    wire.send_chunk(stream, b"")
    wire.send_chunk(stream, b"value")
    wire.send_end(stream)
    wire.send_chunk(stream, b"behind the end")
    wire.send_end(stream)
    wire.send_abort(stream)
    wire.stream_answer(w.WRITE_STREAM, stream)
    assert wire.read(b"k") == b"value"
    wire.send_chunk(stream, b"late")
    wire.ping(b"alive")


@pytest.mark.parametrize("part, status", [(lambda i, n: frame(w.CHUNK, i, bytes(n + 1)), w.TOO_LARGE),
                                          (lambda i, n: frame(w.END, i, b"x"), w.INVALID_ARGUMENT),
                                          (lambda i, n: frame(w.ABORT, i, b"x"), w.INVALID_ARGUMENT),
                                          (lambda i, n: frame(w.CREDIT, i, bytes(7)), w.INVALID_ARGUMENT),
                                          (lambda i, n: frame(w.CREDIT, i, b""), w.INVALID_ARGUMENT),
                                          (lambda i, n: frame(w.CHUNK, i, b"x", flags=1), w.INVALID_ARGUMENT),
                                          (lambda i, n: frame(w.CHUNK, i, b"x", status=1), w.INVALID_ARGUMENT)])
def test_a_malformed_part_ends_the_connection(daemon, store, wire, part, status):
    with Wire(daemon.binary_address, store) as other:
        stream = other.start_write_stream(b"k")
        other.send_chunk(stream, b"begun")
        data = part(stream, other.limits["chunk_len_max"])
        other.send(data)
        statuses = {}
        while (answer := other.answer()) is not None:
            if answer[1] != w.CREDIT or answer[2] != w.OK:
                statuses[answer[1]] = answer[2]
        assert statuses.pop(data[4]) == status
        assert set(statuses) <= {w.WRITE_STREAM} and w.OK not in statuses.values()
    assert not wire.exists(b"k")
    wait_until(lambda: spools(daemon) == 0, "no spool is left")


def test_streams_into_an_unknown_store(daemon):
    with Wire(daemon.binary_address, "none") as wire:
        stream = wire.start_write_stream(b"k")
        wire.send_chunk(stream, LONG[:100000])
        write_stream_fails(wire, stream, w.STORE_NOT_FOUND)
        wire.send_end(stream)
        with pytest.raises(WireError) as error:
            wire.read_stream(b"k")
        assert error.value.status == w.STORE_NOT_FOUND
        wire.ping()


def test_an_upload_vanishes_with_its_connection(daemon, store, wire):
    with Wire(daemon.binary_address, store) as other:
        for number in range(5):
            stream = other.start_write_stream(b"k%d" % number)
            for at in range(0, 800 << 10, 200 << 10):
                other.send_chunk(stream, LONG[at:at + (200 << 10)])
        wait_until(lambda: spools(daemon) == 5, "spools")
    wait_until(lambda: spools(daemon) == 0, "no spool is left")
    assert wire.info()["entries"] == 0


def test_a_batch_waits_for_no_upload(launch):
    """Uploads whose disk takes long have all threads that there are for what takes long; a batch's values, which are long
    enough that their checksums are taken on a thread, have others."""
    daemon = launch()
    curl = Curl(daemon.http)
    assert curl.put("long", LONG).status == 201
    ended = []
    uploads = [threading.Thread(target=lambda key=f"upload{i}": ended.append(Curl(daemon.http).put(key, LONG).status))
               for i in range(8)]
    with Fault(daemon.process.pid, "pwritev", what="delay_enter=20000000"):
        for upload in uploads:
            upload.start()
        wait_until(lambda: spools(daemon) == LONG_WORKERS, "all of them to be busy")
        answer = curl.request("POST", "batch/read", b'{"keys":["long"]}', headers=("Content-Type: application/json",))
        assert base64.b64decode(answer.json()["values"][0]["value_base64"]) == LONG
        assert not ended and spools(daemon) == LONG_WORKERS, "the disk did not take long enough"
    for upload in uploads:
        upload.join()
    assert ended == [201] * len(uploads)


# ---- binary downloads -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("length", [1, 4096, 4097, 256 << 10, (256 << 10) + 1, 5 * MIB])
def test_read_stream(wire, length):
    answer = wire.write(b"k", LONG[:length])
    read, value = wire.read_stream(b"k")
    assert value == LONG[:length]
    assert (read["offset"], read["crc32"], read["key_hash"]) == (answer["offset"], answer["crc32"], answer["key_hash"])
    assert (read["value_len"], read["first"], read["len"]) == (length, 0, length)


@pytest.mark.parametrize("credits", [[1] * 40, [7, 1, 12, 20], [0, 0, 40], [39, 1], [10, 2 ** 64 - 1, 2 ** 64 - 1]])
def test_credit_is_kept_to_the_byte(wire, credits):
    wire.write(b"k", LONG[:40])
    stream = wire.start_read_stream(b"k", credits[0])
    assert w.read_stream_answer(wire.expect(w.READ_STREAM, stream))["len"] == 40
    value = b""
    allowed = 0
    for number, credit in enumerate(credits):
        if number:
            wire.send_credit(stream, credit)
        allowed += credit
        while len(value) < min(allowed, 40):
            identifier, opcode, status, chunk = wire.answer()
            assert (identifier, opcode, status) == (stream, w.CHUNK, w.OK)
            value += chunk
            assert len(value) <= allowed
        if len(value) < 40:
            wire.ping()  # its answer is the next frame: nothing was sent beyond the credit
    assert wire.answer()[1] == w.END
    assert value == LONG[:40]
    wire.ping()


def test_what_is_read_is_what_was_there(wire):
    """Overwritten, renamed and deleted while it is on its way."""
    wire.write(b"k", LONG)
    stream = wire.start_read_stream(b"k", 1000)
    answer = w.read_stream_answer(wire.expect(w.READ_STREAM, stream))
    assert wire.answer()[3] == LONG[:1000]
    wire.write(b"k", b"new")
    wire.rename(b"k", b"l")
    wire.delete(b"l")
    wire.send_credit(stream, w.ALL_ONES)
    assert LONG[:1000] + wire.read_parts(stream, answer["len"] - 1000) == LONG


def test_the_store_is_dropped_under_a_download(daemon, wire):
    """What was begun goes on; the drop waits for it."""
    wire.create("dropped")
    with Wire(daemon.binary_address, "dropped") as other:
        other.write(b"k", LONG)
        stream = other.start_read_stream(b"k", 1000)
        other.expect(w.READ_STREAM, stream)
        assert other.answer()[3] == LONG[:1000]
        drop = wire.start(w.DROP, w.store_bytes("dropped") * 2)
        with Wire(daemon.binary_address) as third:
            wait_until(lambda: [row["state"] for row in third.stores() if row["name"] == "dropped"] != ["open"],
                       "the drop begins")
        other.send_credit(stream, w.ALL_ONES)
        assert other.read_parts(stream, len(LONG) - 1000) == LONG[1000:]
        assert wire.expect(w.DROP, drop) == b""
        with pytest.raises(WireError) as error:
            other.read(b"k")
        assert error.value.status == w.STORE_NOT_FOUND
    assert not os.path.exists(daemon.store_path("dropped"))


def test_a_reader_without_credit_is_given_up(launch):
    """What it has pinned would otherwise be kept for ever, and so would whoever drops the store."""
    daemon = launch("--stall-timeout-ms", "400")
    with Wire(daemon.binary_address) as wire, Wire(daemon.binary_address, "other") as other:
        wire.create("other")
        other.write(b"k", LONG)
        slow = other.start_read_stream(b"k", 10)
        other.expect(w.READ_STREAM, slow)
        assert other.answer()[3] == LONG[:10]
        for at in range(10, 16):
            time.sleep(0.1)
            other.send_credit(slow, 1)
            assert other.answer()[3] == LONG[at:at + 1], "slow is not stalled"
        drop = wire.start(w.DROP, w.store_bytes("other") * 2)
        with pytest.raises(WireError) as error:
            other.read_parts(slow, None)
        assert error.value.status == w.TIMEOUT
        assert wire.expect(w.DROP, drop) == b""
        other.send_credit(slow, 1)
        other.ping()


def test_a_reader_that_can_give_no_more_credit(wire):
    wire.write(b"k", LONG)
    short = wire.start_read_stream(b"k", 10)
    wire.expect(w.READ_STREAM, short)
    assert wire.answer()[3] == LONG[:10]
    wire.send_credit(short, 5)
    assert wire.answer()[3] == LONG[10:15]
    enough = wire.start_read_stream(b"k", 100000, w.part_from(0, 100000))
    wire.socket.shutdown(socket.SHUT_WR)
    frames = []
    while (answer := wire.answer()) is not None:
        frames.append(answer)
    assert [answer[3][:2] for answer in frames if answer[:2] == (short, w.ABORT)] == [struct.pack("<H", w.INVALID_ARGUMENT)]
    assert b"".join(answer[3] for answer in frames if answer[:2] == (enough, w.CHUNK)) == LONG[:100000]
    assert [answer[1] for answer in frames if answer[0] == enough][-1] == w.END


def test_abort_of_a_download(wire):
    wire.write(b"k", LONG)
    stream = wire.start_read_stream(b"k", 10)
    wire.expect(w.READ_STREAM, stream)
    assert wire.answer()[:2] == (stream, w.CHUNK)
    wire.send_abort(stream)
    identifier, opcode, _, body = wire.answer()
    assert (identifier, opcode) == (stream, w.ABORT) and struct.unpack_from("<H", body) == (w.OK,)
    wire.send_abort(stream)
    wire.send_credit(stream, 10)
    wire.ping()


def test_a_download_without_an_answer_to_read(wire):
    for call in (lambda: wire.read_stream(b"none"), lambda: wire.read_stream(b"none", 0)):
        with pytest.raises(WireError) as error:
            call()
        assert error.value.status == w.KEY_NOT_FOUND
    wire.ping()


def flip(daemon, store, offset):
    with open(daemon.store_path(store), "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("length", [1, 40, 100 << 10, MIB, MIB + 1, 5 * MIB])
def test_a_corrupt_value_never_comes_whole(daemon, store, wire, length):
    offset = wire.write(b"k", LONG[:length])["offset"]
    flip(daemon, store, offset + length - 1)
    got = 0
    with pytest.raises(WireError) as error:
        stream = wire.start_read_stream(b"k")
        answer = w.read_stream_answer(wire.expect(w.READ_STREAM, stream))
        while True:
            _, opcode, _, body = wire.answer()
            if opcode == w.ABORT:
                w.raise_abort(body)
            assert opcode == w.CHUNK and answer["len"] == length
            got += len(body)
    assert error.value.status == w.CORRUPT
    assert got < length
    if length > 1:
        _, part = wire.read_stream(b"k", part=w.part_from(0, length - 1))
        assert part == LONG[:length - 1], "a part is not verified"
    with RawHttp(daemon.http_address) as http:
        http.send(request("GET", path_of(store)))
        received = b""
        with contextlib.suppress(ConnectionError):
            while len(received) < length and (piece := http.socket.recv(MIB)):
                received += piece
                if b'"corrupt"' in received:
                    break
        assert received.startswith(b"HTTP/1.1 500 ") or len(received.split(b"\r\n\r\n", 1)[1]) < length
    wire.write(b"other", b"the store stays writable")


def test_many_downloads_with_small_requests_between(daemon, store, wire):
    """Chunks take turns, and a small request never waits for a whole value. By Unix socket: its buffers are small."""
    values = [LONG[i:] + LONG[:i] for i in range(8)]
    for number, value in enumerate(values):
        wire.write_stream(b"k%d" % number, value)
    with Wire(daemon.unix_path, store) as reader:
        streams = [reader.start_read_stream(b"k%d" % number) for number in range(8)]
        received = {stream: bytearray() for stream in streams}
        ended = []
        asked = set()
        for _ in range(5):
            time.sleep(0.02)  # so that the server has filled what it fills, and reads them one by one
            asked.add(reader.start(w.PING))
        waited = pings = 0
        while len(ended) < 8:
            identifier, opcode, status, body = reader.answer()
            assert status == w.OK
            if opcode == w.PING:
                asked.remove(identifier)
                asked.add(reader.start(w.PING))
                pings += 1
                waited = 0
            elif opcode == w.CHUNK:
                received[identifier] += body
                waited += len(body)
                assert waited < 3 * MIB, f"{pings} requests were answered, and then nothing but chunks came"
            elif opcode == w.END:
                ended.append(identifier)
                assert min(len(got) for got in received.values()) > len(LONG) // 2, "they take turns"
        assert [received[stream] for stream in streams] == values
        assert pings > 10


def test_a_reader_that_takes_nothing(daemon, store, wire):
    """It costs no memory to speak of, and nobody else their time."""
    with Wire(daemon.binary_address, store) as lazy, RawHttp(daemon.http_address) as lazy_http:
        big = LONG * 8
        wire.write_stream(b"k", big)
        before = resident(daemon)
        for _ in range(4):
            lazy.start_read_stream(b"k")
            lazy_http.send(request("GET", path_of(store)))
        for number in range(50):
            wire.write(b"small", b"%d" % number)
            assert wire.read(b"small") == b"%d" % number
        assert resident(daemon) - before < 24 * MIB
        assert lazy_http.answer().body == big
        assert wire.read_stream(b"k")[1] == big


def resident(daemon):
    """Anonymous memory, bytes: pages of mapped files do not count."""
    with open(f"/proc/{daemon.process.pid}/status") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
    raise AssertionError("no RssAnon")


def test_memory_stays_flat_in_an_upload(daemon, store, wire):
    wire.write_stream(b"warm", LONG)
    before = resident(daemon)
    with RawHttp(daemon.http_address) as http:
        http.send(head(store, f"Content-Length: {96 * MIB}"))
        highest = 0
        for _ in range(96):
            http.send(LONG[:MIB])
            highest = max(highest, resident(daemon))
        assert http.answer().status == 201
    assert highest - before < 24 * MIB


# ---- too many of them ------------------------------------------------------------------------------------------------

def test_more_uploads_than_a_connection_may_have(wire):
    """They must not fill the places of requests that wait for nothing but their turn."""
    limit = wire.limits["in_flight_max"] // 4
    streams = [wire.start_write_stream(b"k%d" % number) for number in range(limit * 2)]
    for stream in streams[limit:]:
        write_stream_fails(wire, stream, w.OVERLOADED)
    wire.send(b"".join(frame(w.PING, w.ALL_ONES - number) for number in range(wire.limits["in_flight_max"] + 200)))
    for number in range(wire.limits["in_flight_max"] + 200):
        assert wire.answer()[:3] == (w.ALL_ONES - number, w.PING, w.OK)
    for stream in streams:
        wire.send_chunk(stream, b"value")
        wire.send_end(stream)
    stored = {identifier for identifier, opcode, status, _ in (wire.answer() for _ in range(limit * 2))
              if opcode == w.WRITE_STREAM and status == w.OK}
    assert stored == set(streams[:limit])
    wire.write_stream(b"one more", b"v")


def test_more_downloads_than_a_connection_may_have(wire):
    wire.write(b"k", b"value")
    limit = wire.limits["in_flight_max"] // 4
    streams = [wire.start_read_stream(b"k", 0) for _ in range(limit * 12)]
    begun = [identifier for identifier, _, status, _ in (wire.answer() for _ in streams) if status == w.OK]
    assert begun[:limit] == streams[:limit]
    assert len(begun) <= limit + wire.limits["in_flight_max"], "there is an end to it"
    for stream in begun:
        wire.send_credit(stream, 5)
    ends = [wire.answer()[1] for _ in range(2 * len(begun))]
    assert ends.count(w.CHUNK) == ends.count(w.END) == len(begun)
    assert wire.read_stream(b"k")[1] == b"value"


# ---- SIGTERM --------------------------------------------------------------------------------------------------------

def test_sigterm_with_streams_under_way(launch):
    daemon = launch()
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(Wire(daemon.binary_address))
        up = stack.enter_context(Wire(daemon.binary_address))
        down = stack.enter_context(Wire(daemon.binary_address))
        http_up, http_down = (stack.enter_context(RawHttp(daemon.http_address)) for _ in range(2))
        finishing = stack.enter_context(RawHttp(daemon.http_address))
        wire.write(b"big", LONG * 2)
        wire.start_write_stream(b"a")
        wire.send_chunk(wire.identifier, b"never ended")
        stream = up.start_write_stream(b"b")
        up.send_chunk(stream, LONG[:1000])
        http_up.send(head("default", "Content-Length: 9000000", key="c") + LONG[:2 * MIB])
        finishing.send(head("default", "Transfer-Encoding: chunked", key="d") + b"5\r\nhello\r\n")
        download = down.start_read_stream(b"big", 1000)
        down.expect(w.READ_STREAM, download)
        assert down.answer()[3] == LONG[:1000]
        idle = stack.enter_context(Wire(daemon.binary_address))
        forgotten = idle.start_read_stream(b"big", 10)
        idle.expect(w.READ_STREAM, forgotten)
        assert idle.answer()[3] == LONG[:10]
        http_down.send(request("GET", path_of("default", "big")))
        http_down._more()
        wait_until(lambda: spools(daemon) == 1, "a spool")
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        finishing.send(b"0\r\n\r\n")
        assert finishing.answer().status == 201, "what ends in time is written"
        up.send_chunk(stream, b"tail")
        up.send_end(stream)
        assert up.stream_answer(w.WRITE_STREAM, stream)
        assert http_down.answer().body == LONG * 2, "a download goes on to its end"
        down.send_credit(download, w.ALL_ONES)
        assert LONG[:1000] + down.read_parts(download, 10 * MIB - 1000) == LONG * 2
        with pytest.raises(WireError) as error:
            idle.read_parts(forgotten, None)
        assert error.value.status == w.UNAVAILABLE
        code = daemon.wait()
        took = time.monotonic() - began
        answer = http_up.answer()
        assert answer is None or answer.status in (400, 408, 503)
    assert code == 0
    assert 3 < took < 10, took
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        assert wire.read(b"d") == b"hello"
        assert wire.read(b"b") == LONG[:1000] + b"tail"
        assert not wire.exists(b"a") and not wire.exists(b"c")
    assert sorted(os.listdir(daemon.data_dir)) == ["default.rdr", "default.rdr.meta"]
