# SPDX-License-Identifier: MIT
"""Many requests on one connection, and many connections at once."""
import contextlib
import socket
import threading

from harness import wire as w
from harness.rawhttp import RawHttp, request
from harness.resp import Resp, encode
from harness.wire import Wire, frame


def test_100_http_requests_are_answered_in_order(daemon, store):
    keys = f"/v1/stores/{store}/keys"
    burst = b""
    for i in range(25):
        burst += request("PUT", f"{keys}/k{i}", b"value %d" % i)
        burst += request("GET", f"{keys}/k{i}")
        burst += request("DELETE", f"{keys}/k{i}")
        burst += request("GET", f"{keys}/k{i}")
    with RawHttp(daemon.http_address) as connection:
        connection.send(burst)
        for i in range(25):
            assert connection.answer().status == 201
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b"value %d" % i)
            assert connection.answer().json()["deleted"] is True
            assert connection.answer().status == 404


def test_100_binary_requests_are_answered_each_once(wire):
    burst = b""
    for i in range(25):
        key = b"k%d" % i
        burst += frame(w.WRITE, 4 * i, w.write_body(wire.store, key, b"value %d" % i))
        burst += frame(w.READ, 4 * i + 1, w.key_body(wire.store, key))
        burst += frame(w.DELETE, 4 * i + 2, w.delete_body(wire.store, key))
        burst += frame(w.READ, 4 * i + 3, w.key_body(wire.store, key))
    wire.send(burst)
    answers = {}
    for _ in range(100):
        identifier, opcode, status, body = wire.answer()
        assert identifier not in answers
        answers[identifier] = (opcode, status, body)
    for i in range(25):
        # A read sees the write before it on its connection, and the delete before it.
        assert answers[4 * i][:2] == (w.WRITE, w.OK)
        assert answers[4 * i + 1][:2] == (w.READ, w.OK)
        assert answers[4 * i + 1][2][28:] == b"value %d" % i
        assert answers[4 * i + 2][:2] == (w.DELETE, w.OK)
        assert answers[4 * i + 3][:2] == (w.READ, w.KEY_NOT_FOUND)


def test_writes_of_one_connection_take_effect_in_the_order_sent(wire):
    wire.send(b"".join(frame(w.WRITE, i, w.write_body(wire.store, b"one key", b"%d" % i, [w.SYNC, w.NONE][i % 2]))
                       for i in range(100)))
    offsets = {}
    for _ in range(100):
        identifier, _, status, body = wire.answer()
        assert status == w.OK
        offsets[identifier] = w.write_answer(body)["offset"]
    assert [identifier for identifier, _ in sorted(offsets.items(), key=lambda item: item[1])] == list(range(100))
    assert wire.read(b"one key") == b"99"


def test_reads_that_are_looked_at_together_keep_their_place(wire):
    """More than are gathered at a time, of two stores in turn: those before a write see the old value, those behind it the new
    one. Long values among them are sent while others are still to be looked at."""
    count = 150
    other = wire.store + "-2"
    wire.create(other)
    long_value = bytes(range(256)) * 2048
    wire.write(b"key", b"old")
    wire.write(b"long", long_value)

    def read(i):
        if i % 10 == 9:
            return w.key_body(wire.store, b"long"), (w.OK, long_value)
        if i % 3 == 2:
            return w.key_body(other, b"key"), (w.KEY_NOT_FOUND, None)
        return w.key_body(wire.store, b"key"), (w.OK, b"old")

    burst = b"".join(frame(w.READ, i, read(i)[0]) for i in range(count))
    burst += frame(w.WRITE, count, w.write_body(wire.store, b"key", b"new", w.NONE))
    burst += b"".join(frame(w.READ, count + 1 + i, w.key_body(wire.store, b"key")) for i in range(count))
    wire.send(burst)
    answers = {}
    for _ in range(2 * count + 1):
        identifier, _, status, body = wire.answer()
        assert identifier not in answers
        answers[identifier] = (status, body[28:] if status == w.OK else None)
    assert [answers[i] for i in range(count)] == [read(i)[1] for i in range(count)]
    assert answers[count][0] == w.OK
    assert {answers[count + 1 + i] for i in range(count)} == {(w.OK, b"new")}


def test_whether_and_what_is_there_is_told_in_place(launch):
    """EXISTS, TYPE and STRLEN are looked at together with reads, and between the writes that were sent before and behind them."""
    daemon = launch("--redis", "127.0.0.1:0", "--durability", "none")
    looks = [("EXISTS", "key"), ("STRLEN", "key"), ("TYPE", "key"), ("GET", "key"), ("EXISTS", "key", "key")]
    absent = [b":0\r\n", b":0\r\n", b"+none\r\n", b"$-1\r\n", b":0\r\n"]
    commands, expected = [], []
    for i in range(200):
        value = "x" * (i % 7 + 1)
        there = [b":1\r\n", b":%d\r\n" % len(value), b"+string\r\n", b"$%d\r\n%s\r\n" % (len(value), value.encode()), b":2\r\n"]
        commands += [*looks, ("SET", "key", value), *looks, ("DEL", "key"), *looks[:i % 5]]
        expected += [*absent, b"+OK\r\n", *there, b":1\r\n", *absent[:i % 5]]
    with Resp(daemon.redis_address) as resp:
        resp.send(b"".join(encode(*words) for words in commands))
        assert [resp.answer() for _ in commands] == expected


def test_more_requests_than_may_be_in_flight(wire):
    """The server stops reading instead of giving up, so the sender needs a thread of its own."""
    count = wire.limits["in_flight_max"] * 3
    burst = b"".join(frame(w.WRITE, i, w.write_body(wire.store, b"k%d" % i, b"v")) for i in range(count))
    sender = threading.Thread(target=wire.send, args=(burst,))
    sender.start()
    seen = set()
    for _ in range(count):
        identifier, _, status, _ = wire.answer()
        assert status == w.OK
        seen.add(identifier)
    sender.join()
    assert seen == set(range(count))
    assert wire.info()["entries"] == count


def test_a_reader_that_does_not_read_holds_up_nobody(daemon, store, wire):
    value = b"x" * (1 << 20)
    wire.write(b"big", value)
    with Wire(daemon.binary_address, store) as slow:
        # 200 MiB of answers that nobody fetches yet.
        slow.send(b"".join(frame(w.READ, i, w.key_body(store, b"big")) for i in range(200)))
        for i in range(20):
            wire.write(b"k%d" % i, b"v")
            assert wire.read(b"k%d" % i) == b"v"
        for _ in range(200):
            _, _, status, body = slow.answer()
            assert status == w.OK and len(body) == 28 + len(value)


def test_200_connections_at_once(daemon, store):
    with contextlib.ExitStack() as stack:
        binary = [stack.enter_context(Wire(daemon.binary_address, store)) for _ in range(100)]
        http = [stack.enter_context(RawHttp(daemon.http_address)) for _ in range(100)]
        for i, connection in enumerate(binary):
            connection.send(frame(w.WRITE, 1, w.write_body(store, b"binary %d" % i, b"of binary %d" % i)) +
                            frame(w.READ, 2, w.key_body(store, b"binary %d" % i)))
        for i, connection in enumerate(http):
            path = f"/v1/stores/{store}/keys/http%20{i}"
            connection.send(request("PUT", path, b"of http %d" % i) + request("GET", path))
        for i, connection in enumerate(binary):
            answers = {identifier: (status, body) for identifier, _, status, body in (connection.answer(), connection.answer())}
            assert answers[1][0] == w.OK
            assert answers[2][0] == w.OK and answers[2][1][28:] == b"of binary %d" % i
        for i, connection in enumerate(http):
            assert connection.answer().status == 201
            assert connection.answer().body == b"of http %d" % i
        # Each sees what the others wrote.
        assert binary[0].read(b"http 99") == b"of http 99"
        http[0].send(request("GET", f"/v1/stores/{store}/keys/binary%2099"))
        assert http[0].answer().body == b"of binary 99"
        assert binary[7].info()["entries"] == 200


def test_a_slow_sender_is_served(daemon, store):
    message = request("PUT", f"/v1/stores/{store}/keys/slow", b"value") + request("GET", f"/v1/stores/{store}/keys/slow")
    with RawHttp(daemon.http_address) as connection:
        for i in range(len(message)):
            connection.send(message[i:i + 1])
        assert connection.answer().status == 201
        assert connection.answer().body == b"value"
    with Wire(daemon.binary_address, store, greet=False) as connection:
        message = w.HELLO + frame(w.READ, 1, w.key_body(store, b"slow"))
        for i in range(len(message)):
            connection.send(message[i:i + 1])
        assert connection.hello()[0] == w.OK
        assert connection.expect(w.READ, 1)[28:] == b"value"


def test_a_half_closed_connection_gets_its_answers(daemon, store):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("PUT", f"/v1/stores/{store}/keys/k", b"v") + request("GET", f"/v1/stores/{store}/keys/k"))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.answer().status == 201
        assert connection.answer().body == b"v"
        assert connection.closed()
