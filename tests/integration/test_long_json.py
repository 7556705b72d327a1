# SPDX-License-Identifier: MIT
"""Long bodies of JSON are parsed beside the loop: nobody else waits for that, and nothing else is different."""
import json
import os
import signal
import socket
import struct
import threading
import time

import pytest

from harness import tokens
from harness.curl import Curl
from harness.daemon import memory_factor, wait_until
from harness.rawhttp import RawHttp, request

JSON = ["Content-Type: application/json"]
STORE = "/v1/stores/default/"
PAD = b" " * (100 << 10)  # longer than what is parsed by the loop
ESCAPES = b'{"entries":[{"key":"k","value":"' + b"\\u0041" * 10000000 + b'"}]}'


def batch(count, length=800):
    entries = [{"key": f"k{number}", "value": "v" * length} for number in range(count)]
    return json.dumps({"entries": entries}).encode()


def post(path, body, headers=()):
    return request("POST", path, body, [*JSON, *headers])


def gauge(daemon, name, headers=()):
    with RawHttp(daemon.http_address) as http:
        http.send(request("GET", "/metrics", headers=headers))
        lines = http.answer().body.decode().splitlines()
    return int(next(line for line in lines if line.startswith(name + " ")).split()[1])


class Sender:
    """A connection over which a thread sends a request; how long the answer then took is known."""

    def __init__(self, address, data):
        self.http = RawHttp(address)
        self.thread = threading.Thread(target=self._run, args=(data,))
        self.result = None
        self.took_s = None
        self.thread.start()

    def _run(self, data):
        self.http.send(data)
        sent = time.monotonic()
        self.result = self.http.answer()
        self.took_s = time.monotonic() - sent

    def is_over(self):
        return not self.thread.is_alive()

    def answer(self):
        self.thread.join()
        self.http.socket.close()
        return self.result


# ---- nobody waits ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("body", [ESCAPES, batch(72000)], ids=["one", "many"])
def test_others_do_not_wait(launch, body):
    daemon = launch()
    longest_s = 0
    with RawHttp(daemon.http_address) as http:
        http.send(request("PUT", STORE + "keys/short", b"x"))
        assert http.answer().status == 201
        sender = Sender(daemon.http_address, post(STORE + "batch/write", body))
        while not sender.is_over():
            for path, status in (("/healthz", 200), (STORE + "keys/short", 200)):
                begun = time.monotonic()
                http.send(request("GET", path))
                assert http.answer().status == status
                longest_s = max(longest_s, time.monotonic() - begun)
    assert sender.answer().status == 200
    assert longest_s < sender.took_s / 3


def test_many_at_once(launch):
    """More than are parsed at a time; reads go on, and all are written."""
    daemon = launch()
    body = batch(10000)
    senders = [Sender(daemon.http_address, post(STORE + "batch/write", body)) for _ in range(9)]
    with RawHttp(daemon.http_address) as http:
        while not all(sender.is_over() for sender in senders):
            http.send(request("GET", STORE + "keys/nothing"))
            assert http.answer().status == 404
    assert [sender.answer().json()["written"] for sender in senders] == [10000] * 9
    assert gauge(daemon, "rdrive_request_bytes") < 100000


# ---- order ----------------------------------------------------------------------------------------------------------

def test_order(launch):
    """What is sent before, and behind, without waiting for answers."""
    daemon = launch()
    long_write = json.dumps({"entries": [{"key": "a", "value": "two"}]}).encode() + PAD
    read = json.dumps({"keys": ["a", "b"]}).encode() + PAD
    steps = [
        (request("PUT", STORE + "keys/a", b"one"), 201, None),
        (request("GET", STORE + "keys/a"), 200, b"one"),
        (post(STORE + "batch/write", long_write), 200, None),
        (request("GET", STORE + "keys/a"), 200, b"two"),
        (request("GET", "/healthz"), 200, None),
        (post(STORE + "batch/delete", b'{"keys":["a"]}' + PAD), 200, None),
        (request("GET", STORE + "keys/a"), 404, None),
        (request("PUT", STORE + "keys/a", b"three"), 201, None),
        (post(STORE + "rename", b'{"from":"a","to":"b"}' + PAD), 200, None),
        (post(STORE + "batch/read", read), 200, None),
        (request("PUT", "/v1/stores/other"), 201, None),
        (post(STORE + "copy", b'{"key":"b","target":"other"}' + PAD), 200, None),
        (request("GET", "/v1/stores/other/keys/b"), 200, b"three"),
        (post(STORE + "transfer", b'{"key":"b","target":"other"}' + PAD), 200, None),
        (request("GET", STORE + "keys/b"), 404, None),
        (post(STORE + "batch/write", long_write, ["Connection: close"]), 200, None),
    ]
    for _ in range(5):
        with RawHttp(daemon.http_address) as http:
            sender = threading.Thread(target=http.send, args=(b"".join(data for data, _, _ in steps),))
            sender.start()
            answers = [http.answer() for _ in steps]
            sender.join()
            assert http.closed()
        for (data, status, body), answer in zip(steps, answers):
            assert answer.status == status or (status == 201 and answer.status in (200, 409)), (data[:60], answer)
            assert body is None or answer.body == body, data[:60]
        assert answers[9].json()["values"][0] == {"found": False}
        assert answers[9].json()["values"][1]["found"]


def test_chunked(launch):
    daemon = launch()
    body = batch(1000)
    pieces = [body[at:at + 50000] for at in range(0, len(body), 50000)]
    with RawHttp(daemon.http_address) as http:
        http.send(request("POST", STORE + "batch/write", headers=[*JSON, "Transfer-Encoding: chunked", "Expect: 100-continue"]))
        http.send(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
        assert http.answer().json()["written"] == 1000
        http.send(request("GET", STORE + "keys/k999"))
        assert http.answer().body == b"v" * 800


# ---- errors ---------------------------------------------------------------------------------------------------------

BODIES = [
    ("batch/write", b'{"entries":[{"key":"a","value":1}]}'),
    ("batch/write", b'{"entries":[{"key":"a","value":"1"},{"key":"b"}]}'),
    ("batch/write", b'{"entries":[{"key":"a","value":"1"}],"more":1}'),
    ("batch/write", b'{"entries":[{"key":"a","value_base64":"?"}]}'),
    ("batch/write", b'{"entries":[{"key":"a","value":""}]}'),
    ("batch/write", b'{"entries":[{"key":"a" "value":"1"}]}'),
    ("batch/write", b'{"entries":[[[[]]]]}'),
    ("batch/write", b'{"entries":[{"key":"%s","value":"1"}]}' % (b"k" * 1001)),
    ("batch/write", b'{"entries":[%s]}' % b",".join([b'{"key":"a","value":"1"}'] * 101)),
    ("batch/read", b'{"keys":[%s]}' % b",".join([b'"a"'] * 1000)),
    ("batch/read", b'{"keys":[1]}'),
    ("batch/read", b"[]"),
    ("batch/delete", b'{"keys":"a"}'),
    ("batch/delete", b'{"keys":["a"]}'),
    ("rename", b'{"from":"a"}'),
    ("rename", b'{"from":"a","to":"b"}'),
    ("copy", b'{"key":"a","target":"default"}'),
    ("copy", b'{"key":"a","target":"not/a/name"}'),
    ("transfer", b'{"key":"a","target":"nowhere"}'),
]


def test_answers_are_those_to_short_bodies(launch):
    daemon = launch("--key-len-max", "1000", "--batch-count-max", "100")
    with RawHttp(daemon.http_address) as http:
        for operation, body in BODIES:
            answers = []
            for text in (body, body + PAD):
                http.send(post(STORE + operation, text))
                answers.append(http.answer())
            assert (answers[0].status, answers[0].body) == (answers[1].status, answers[1].body), (operation, body[:60])
            assert answers[0].status != 200 or operation == "batch/delete"
        http.send(post("/v1/stores/nowhere/batch/write", b'{"entries":[{"key":"a","value":"1"}]}' + PAD))
        assert http.answer().status == 404
        http.send(post("/v1/stores/.hidden/batch/write", b"this is not parsed" + PAD))
        answer = http.answer()
        assert answer.status == 400 and "a store's name is" in answer.body.decode()


def test_tokens(launch, folder):
    """The target of a copy is in its body, and is asked for once that is known."""
    rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), tokens.row("reader", ["mine"], ["read"])]
    daemon = launch("--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows))

    def ask(token, data):
        with RawHttp(daemon.http_address) as http:
            http.send(data(["Authorization: Bearer " + token] if token else []))
            return http.answer().status

    def copy(headers):
        return post("/v1/stores/mine/copy", b'{"key":"a","target":"other"}' + PAD, headers)

    def read(headers):
        return post("/v1/stores/mine/batch/read", b'{"keys":["a"]}' + PAD, headers)

    for store in ("mine", "other"):
        assert ask(tokens.ROOT, lambda headers, store=store: request("PUT", "/v1/stores/" + store, headers=headers)) == 201
    assert ask(tokens.ROOT, lambda headers: request("PUT", "/v1/stores/mine/keys/a", b"x", headers)) == 201
    assert [ask(token, copy) for token in ("reader", None, "unknown", tokens.ROOT)] == [403, 401, 401, 200]
    assert [ask(token, read) for token in ("reader", None, "unknown", tokens.ROOT)] == [200, 401, 401, 200]


def test_memory(launch):
    """What parsing takes is counted: where there is no room for it the body is refused, and nothing stays taken."""
    daemon = launch("--request-bytes-max", "16m")
    with RawHttp(daemon.http_address) as http:
        for body, status in ((batch(12000), 429), (batch(2000), 200), (batch(12000), 429)):
            http.send(post(STORE + "batch/write", body))
            answer = http.answer()
            assert answer.status == status
            assert status == 200 or answer.error == "overloaded"
    assert gauge(daemon, "rdrive_request_bytes") < 100000


def test_memory_is_counted_while_it_is_taken(launch):
    daemon = launch()
    body = batch(72000)
    sender = Sender(daemon.http_address, post(STORE + "batch/write", body))
    most = 0
    while not sender.is_over():
        most = max(most, gauge(daemon, "rdrive_request_bytes"))
    assert sender.answer().status == 200
    assert most > 2 * len(body)
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) * 1024
    assert peak < memory_factor() * (most + (64 << 20))


# ---- ends -----------------------------------------------------------------------------------------------------------

def test_the_client_goes(launch):
    """While it is parsed, as the kernel tells of it: a part of an answer had yet to be taken, over a Unix socket, whose
    buffer does not grow."""
    daemon = launch(unix=True)
    Curl(daemon.http).put("long", b"x" * (700 << 10))
    for close in (True, False):
        client = socket.socket(socket.AF_UNIX)
        client.connect(daemon.unix_path)
        client.sendall(request("GET", STORE + "keys/long") + post(STORE + "batch/write", ESCAPES))
        if close:
            client.close()
        with RawHttp(daemon.http_address) as http:
            http.send(request("GET", "/healthz"))
            assert http.answer().status == 200
        if not close:
            client.shutdown(socket.SHUT_WR)
            answered = b""
            while part := client.recv(1 << 20):
                answered += part
            assert answered.count(b"HTTP/1.1 200") == 2 and b'"written":1' in answered
            client.close()
    wait_until(lambda: gauge(daemon, "rdrive_request_bytes") < 100000, "all memory to be given back")


def test_a_reset(launch):
    daemon = launch()
    for _ in range(3):
        with RawHttp(daemon.http_address) as http:
            http.send(post(STORE + "batch/write", ESCAPES))
            http.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: gauge(daemon, "rdrive_request_bytes") < 100000, "all memory to be given back")


def test_the_daemon_stops(launch):
    """What has come is answered, and done."""
    daemon = launch()
    sender = Sender(daemon.http_address, post(STORE + "batch/write", batch(72000)))
    wait_until(lambda: gauge(daemon, "rdrive_request_bytes") > 60000000, "the body to arrive")
    daemon.process.send_signal(signal.SIGTERM)
    assert sender.answer().json()["written"] == 72000
    assert daemon.wait() == 0
    assert Curl(launch().http).get("k71999").body == b"v" * 800


@pytest.mark.parametrize("method, path, status", [("DELETE", "?confirm=other", 404), ("POST", "/reopen", 200)])
def test_the_store_goes(launch, method, path, status):
    """It waits for nobody's body, and what has been parsed finds what there is by then."""
    daemon = launch()
    with RawHttp(daemon.http_address) as http:
        http.send(request("PUT", "/v1/stores/other"))
        assert http.answer().status == 201
        sender = Sender(daemon.http_address, post("/v1/stores/other/batch/write", ESCAPES))
        wait_until(lambda: gauge(daemon, "rdrive_request_bytes") > len(ESCAPES), "the body to arrive")
        http.send(request(method, "/v1/stores/other" + path))
        assert http.answer().status in (200, 204)
    assert sender.answer().status == status
