# SPDX-License-Identifier: MIT
"""Long answers are made beside the loop: nobody else waits for that, and nothing else is different."""
import base64
import json
import os
import signal
import socket
import struct
import threading
import time

import pytest

from harness import wire
from harness.daemon import DEADLINE_S, assert_no_sanitizer_report, wait_until
from harness.rawhttp import RawHttp, request
from harness.wire import Wire

STORE = "/v1/stores/default/"
JSON = ["Content-Type: application/json"]
COUNT = 20000
LENGTH = 1000
FLAGS = ("--redis", "127.0.0.1:0", "--durability", "none", "--loops", "1")


def key(number):
    return b"k%d" % number


def value(number):
    return (b"%d." % number) * (LENGTH // len(b"%d." % number))


KEYS = [key(number) for number in range(COUNT)]
VALUES = [value(number) for number in range(COUNT)]
WORTH = sum(len(each) for each in VALUES)


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def bulk(*values):
    return b"*%d\r\n" % len(values) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in values)


def post_read(keys):
    body = json.dumps({"keys": [each.decode() for each in keys]}).encode()
    return request("POST", STORE + "batch/read", body, JSON)


@pytest.fixture
def daemon(launch):
    return filled(launch(*FLAGS))


def filled(daemon):
    with Wire(daemon.binary_address) as client:
        for at in range(0, COUNT, 500):  # no batch of which a thread of the pool would be asked to do anything
            client.batch_write(list(zip(KEYS[at:at + 500], VALUES[at:at + 500])))
    return daemon


def redis_address(daemon):
    host, port = daemon.redis.rsplit(":", 1)
    return host, int(port)


def exchange(daemon, data, length):
    """What is answered to these commands: so many bytes, or fewer where the connection ends."""
    with socket.create_connection(redis_address(daemon)) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        answered = bytearray()
        while len(answered) < length and (piece := client.recv(1 << 20)):
            answered += piece
        sender.join()
    return bytes(answered)


def gauge(daemon, name):
    with RawHttp(daemon.http_address) as http:
        http.send(request("GET", "/metrics"))
        lines = http.answer().body.decode().splitlines()
    return int(next(line for line in lines if line.startswith(name + " ")).split()[1])


# ---- nobody waits ---------------------------------------------------------------------------------------------------

def processor_ns(daemon):
    """What the loop's thread has had, and those of the pool."""
    times = {"loop": 0, "pool": 0}
    folder = f"/proc/{daemon.process.pid}/task"
    for thread in os.listdir(folder):
        with open(f"{folder}/{thread}/comm", encoding="ascii") as file:
            name = file.read().strip()
        with open(f"{folder}/{thread}/schedstat", encoding="ascii") as file:
            used = int(file.read().split()[0])
        if name == "rdrived-read":
            times["pool"] += used
        elif int(thread) == daemon.process.pid:
            times["loop"] += used
    return times


def ask_http(daemon):
    http = RawHttp(daemon.http_address)
    return http.socket, post_read(KEYS)


def ask_binary(daemon):
    client = Wire(daemon.binary_address)
    return client.socket, wire.frame(wire.BATCH_READ, 1, wire.store_bytes("default") + wire.keys_body(KEYS))


def ask_mget(daemon):
    return socket.create_connection(redis_address(daemon)), command(b"MGET", *KEYS)


def ask_exec(daemon):
    client = socket.create_connection(redis_address(daemon))
    client.sendall(command(b"MULTI") + b"".join(command(b"MGET", *KEYS[at:at + 500]) for at in range(0, COUNT, 500)))
    answered = b""
    while answered.count(b"+QUEUED") < COUNT // 500:
        answered += client.recv(1 << 16)
    return client, command(b"EXEC")


@pytest.mark.parametrize("ask", [ask_http, ask_binary, ask_mget, ask_exec])
def test_it_is_not_the_loop_that_makes_them(daemon, ask):
    """By the threads' processor time, which is the same on a busy machine. Answers are left where they are once their
    first bytes have come, since sending them is the loop's."""
    loop = pool = 0
    for _ in range(3):
        client, data = ask(daemon)
        with client:
            before = processor_ns(daemon)
            client.sendall(data)
            assert client.recv(1)
            after = processor_ns(daemon)
        loop += after["loop"] - before["loop"]
        pool += after["pool"] - before["pool"]
    assert loop < pool


def ask_exists(daemon):
    return socket.create_connection(redis_address(daemon)), command(b"EXISTS", *KEYS)


def ask_watch(daemon):
    return socket.create_connection(redis_address(daemon)), command(b"WATCH", *KEYS)


def ask_batch_write(daemon):
    entries = list(zip(KEYS[:10], [b"x" * 2000000] * 10))
    return Wire(daemon.binary_address).socket, wire.frame(wire.BATCH_WRITE, 1, wire.batch_write_body("default", entries))


def ask_exec_of_writes(daemon):
    client = socket.create_connection(redis_address(daemon))
    client.sendall(command(b"MULTI") + b"".join(command(b"SET", each, b"x") for each in KEYS))
    answered = b""
    while answered.count(b"+QUEUED") < COUNT:
        answered += client.recv(1 << 16)
    return client, command(b"EXEC")


@pytest.mark.parametrize("ask", [ask_exists, ask_watch, ask_batch_write, ask_exec_of_writes])
def test_the_pool_looks_for_many_keys_and_frees_much(daemon, ask):
    """It had nothing to do with such requests otherwise, and its threads would not be there."""
    client, data = ask(daemon)
    with client:
        assert processor_ns(daemon)["pool"] == 0
        client.sendall(data)
        assert client.recv(1)
        wait_until(lambda: processor_ns(daemon)["pool"] > 0, "a thread of the pool")


# ---- what is answered -----------------------------------------------------------------------------------------------

def test_answers(daemon):
    with Wire(daemon.binary_address) as client:
        assert client.batch_read(KEYS + [b"nothing"]) == VALUES + [None]
    nothing = bulk(*VALUES).replace(b"*%d" % COUNT, b"*%d" % (COUNT + 1), 1) + b"$-1\r\n"
    assert exchange(daemon, command(b"MGET", *KEYS, b"nothing"), len(nothing)) == nothing
    exists = b":%d\r\n" % COUNT
    assert exchange(daemon, command(b"EXISTS", *KEYS, b"nothing"), len(exists)) == exists
    with RawHttp(daemon.http_address) as http:
        http.send(post_read(KEYS + [b"nothing"]))
        answers = http.answer().json()["values"]
    assert [base64.b64decode(each["value_base64"]) for each in answers[:COUNT]] == VALUES
    assert answers[COUNT] == {"found": False}


def test_order(daemon):
    """Without waiting for answers: what changes values behind a long read is not seen by it, what is asked behind it is
    answered behind it."""
    parts = [
        (command(b"MGET", *KEYS), bulk(*VALUES)),
        (command(b"SET", KEYS[0], b"new"), b"+OK\r\n"),
        (command(b"MGET", *KEYS), bulk(b"new", *VALUES[1:])),
        (command(b"GET", KEYS[0]), b"$3\r\nnew\r\n"),
        (command(b"WATCH", *KEYS), b"+OK\r\n"),
        (command(b"WATCH", *KEYS[:10]), b"+OK\r\n"),
        (command(b"MULTI"), b"+OK\r\n"),
        (command(b"MGET", *KEYS), b"+QUEUED\r\n"),
        (command(b"EXEC"), b"*1\r\n" + bulk(b"new", *VALUES[1:])),
        (command(b"WATCH", *KEYS), b"+OK\r\n"),
        (command(b"SET", KEYS[1], b"newer"), b"+OK\r\n"),
        (command(b"MULTI"), b"+OK\r\n"),
        (command(b"MGET", *KEYS), b"+QUEUED\r\n"),
        (command(b"EXEC"), b"*-1\r\n"),
        (command(b"PING"), b"+PONG\r\n"),
    ]
    expected = b"".join(answer for _, answer in parts)
    assert exchange(daemon, b"".join(data for data, _ in parts), len(expected)) == expected


def test_several_wait_for_one_connection(daemon):
    """It has one at a time in memory, however many it has asked for."""
    count = 12
    asked_for = count * len(KEYS) * 400  # bytes of the requests themselves
    with Wire(daemon.binary_address) as client:
        asked = {client.start(wire.BATCH_READ, wire.store_bytes("default") + wire.keys_body(KEYS)) for _ in range(count)}
        asked |= {client.start(wire.PING)}
        wait_until(lambda: gauge(daemon, "rdrive_request_bytes") > WORTH, "one of them to be made")
        for _ in range(50):  # nor are others made as time goes on
            assert gauge(daemon, "rdrive_request_bytes") < asked_for + 2 * WORTH
        for _ in range(count + 1):
            identifier, _, status, body = client.answer()
            assert status == wire.OK and (len(body) > WORTH or body == b"")
            asked.remove(identifier)
        assert not asked


# ---- limits ---------------------------------------------------------------------------------------------------------

def test_memory(launch):
    """Where there is no room for an answer it is refused, one that is longer in JSON too, and nothing stays taken."""
    daemon = filled(launch(*FLAGS, "--request-bytes-max", "48m"))
    whole = bulk(*VALUES)
    refusal = b"-ERR the server holds as many bytes of requests as it may; try again later\r\n"
    with RawHttp(daemon.http_address) as http:
        for _ in range(3):
            assert exchange(daemon, command(b"MGET", *KEYS), len(whole)) == whole
            http.send(post_read(KEYS))
            assert http.answer().status == 200
            http.send(post_read(KEYS + KEYS[:COUNT * 2 // 5]))
            assert http.answer().status == 429
            assert exchange(daemon, command(b"MGET", *KEYS, *KEYS), len(refusal)) == refusal
    wait_until(lambda: gauge(daemon, "rdrive_request_bytes") < 100000, "all memory to be given back")


def test_too_large(daemon):
    with Wire(daemon.binary_address) as client:
        client.write(b"long", b"x" * (24 << 20))
    with RawHttp(daemon.http_address) as http:
        http.send(post_read([b"long"] * 5))
        answer = http.answer()
        assert answer.status == 413 and "ask for less at a time" in answer.body.decode()
        http.send(post_read(KEYS))
        assert http.answer().status == 200


# ---- ends -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("reset", [False, True])
def test_the_client_goes(daemon, reset):
    for number, ask in enumerate((ask_http, ask_binary, ask_mget, ask_exec) * 12):
        client, data = ask(daemon)
        client.sendall(data)
        time.sleep(number / 1000)  # some of them while the answer is being made
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
    wait_until(lambda: gauge(daemon, "rdrive_connections") == 1, "all but the one that asks to be gone", 3 * DEADLINE_S)
    wait_until(lambda: gauge(daemon, "rdrive_request_bytes") < 100000, "all memory to be given back")


def test_the_daemon_stops(daemon):
    client, data = ask_mget(daemon)
    with client:
        client.sendall(data)
        wait_until(lambda: gauge(daemon, "rdrive_request_bytes") > WORTH, "the answer to be made")
        daemon.process.send_signal(signal.SIGTERM)
        answered = bytearray()
        while piece := client.recv(1 << 20):
            answered += piece
    assert answered == bulk(*VALUES)
    assert daemon.wait() == 0
    assert_no_sanitizer_report(daemon.log().encode())


def test_the_store_goes(launch):
    """What is being made keeps it until it has been made, and no longer."""
    daemon = launch(*FLAGS)
    with RawHttp(daemon.http_address) as http, Wire(daemon.binary_address, "other") as client:
        for _ in range(3):
            http.send(request("PUT", "/v1/stores/other"))
            assert http.answer().status == 201
            client.batch_write(list(zip(KEYS, VALUES)))
            identifier = client.start(wire.BATCH_READ, wire.store_bytes("other") + wire.keys_body(KEYS))
            wait_until(lambda: gauge(daemon, "rdrive_request_bytes") > WORTH, "the answer to be made")
            http.send(request("DELETE", "/v1/stores/other?confirm=other"))
            assert http.answer().status in (200, 204)
            assert len(client.expect(wire.BATCH_READ, identifier)) > WORTH
