# SPDX-License-Identifier: MIT
"""What the daemon writes down: text and JSON, priorities for the journal, request ids, requests that took long."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.daemon import RDRIVED, clean_environment, wait_until
from harness.faults import Fault
from harness.rawhttp import RawHttp, request
from harness.wire import Wire, frame

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
KEYS = "/v1/stores/default/keys/"


def json_lines(daemon):
    return [json.loads(line) for line in daemon.log().splitlines()]


def reset(address):
    """A connection that ends badly."""
    with socket.create_connection(address) as client:
        client.sendall(request("GET", "/healthz"))
        client.recv(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return "%s:%d" % client.getsockname()


def test_json_lines(launch):
    daemon = launch("--log-format", "json", "--log-level", "debug")
    Curl(daemon.http).at("a").create()
    peer = reset(daemon.http_address)
    wait_until(lambda: "connection lost" in daemon.log(), "the line")
    daemon.stop()
    lines = json_lines(daemon)
    assert all(re.fullmatch(TIME, line["time"]) and line["level"] in ("error", "warn", "info", "debug") and line["message"]
               for line in lines)
    assert {"store": "a", "level": "info", "message": "created"}.items() <= next(line for line in lines if line.get("store") == "a").items()
    lost = next(line for line in lines if line["message"].startswith("connection lost"))
    assert lost["peer"] == peer and lost["connection"] > 0


def test_text_lines(launch):
    daemon = launch("--log-level", "debug")
    Curl(daemon.http).at("a").create()
    peer = reset(daemon.http_address)
    wait_until(lambda: f"peer={peer}" in daemon.log(), "the line")
    daemon.stop()
    assert all(re.match(TIME + r" (error|warn |info |debug) \S", line) for line in daemon.log().splitlines())
    assert " info  store a: created\n" in daemon.log()
    assert re.search(rf" debug connection lost: .* connection=\d+ peer={re.escape(peer)}\n", daemon.log())


def test_priorities_are_for_the_journal(folder):
    """Which is told by the device and inode of what standard error is."""
    def lines(path, stream):
        with open(path, "wb") as log:
            now = os.fstat(log.fileno())
            told = "%d:%d" % (now.st_dev, now.st_ino) if stream else "1:1"
            subprocess.run([RDRIVED, "--data-dir", os.path.join(folder, "data"), "--listen", "256.0.0.1:0", "--http", "127.0.0.1:0"],
                           stderr=log, stdin=subprocess.DEVNULL, timeout=60, check=False, env=clean_environment(JOURNAL_STREAM=told))
        with open(path, encoding="utf-8") as log:
            return log.read().splitlines()

    assert all(line.startswith("<3>") for line in lines(os.path.join(folder, "one"), True))
    assert all(re.match(TIME, line) for line in lines(os.path.join(folder, "two"), False))


# ---- request ids ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("given, told", [("a-B_c.9", "a-B_c.9"), ("x" * 64, "x" * 64), ("x" * 65, None), ("a b", None), ("", None),
                                         ('"quoted"', None), ("\xe9", None)])
def test_request_ids(daemon, given, told):
    with RawHttp(daemon.http_address) as http:
        for path in ("/healthz", KEYS + "no-such-key", "/no-such-path"):
            http.send(request("GET", path).replace(b"\r\n\r\n", b"\r\nX-Request-Id: " + given.encode("latin-1") + b"\r\n\r\n"))
            answer = http.answer().headers["x-request-id"]
            assert answer == told if told is not None else re.fullmatch(r"\d+-\d+", answer)
        http.send(request("GET", "/healthz"))
        assert "x-request-id" not in http.answer().headers


def test_ids_of_streamed_values(daemon):
    curl = Curl(daemon.http)
    answer = curl.put("k", b"x" * (3 << 20), headers=["X-Request-Id: up", "Expect: 100-continue"])
    assert (answer.status, answer.headers["x-request-id"]) == (201, "up")
    answer = curl.get("k", headers=["X-Request-Id: down"])
    assert (answer.status, answer.headers["x-request-id"], len(answer.body)) == (200, "down", 3 << 20)


# ---- the slow log ---------------------------------------------------------------------------------------------------

def slow(daemon):
    return [line for line in json_lines(daemon) if line["message"] == "slow request"]


def test_slow_requests_are_logged(launch):
    """A copy into a `sync` store from one that is verified on the way takes more than a millisecond; a ping does not."""
    daemon = launch("--log-format", "json", "--slow-log-ms", "1", "--durability", "sync")
    curl = Curl(daemon.http)
    secret = b"secret-key"
    value = b"secret-value " * (1 << 19)
    with RawHttp(daemon.http_address) as http, Wire(daemon.binary_address) as wire:
        head = request("PUT", KEYS + secret.decode(), headers=[f"Content-Length: {len(value)}", "X-Request-Id: upload-7"])
        http.send(head + value)
        assert http.answer().status == 201
        wire.ping()
        assert wire.read(secret) == value
        wire.batch_write([(b"%d" % i, value[:100000]) for i in range(50)])
    lines = {line["operation"]: line for line in slow(daemon)}
    upload = lines["write_stream"]
    info = curl.head(secret)
    assert (upload["store"], upload["status"], upload["request"]) == ("default", "ok", "upload-7")
    assert upload["key_hash"] == info.headers["rdrive-key-hash"]
    assert upload["duration_us"] >= 1000
    assert upload["duration_us"] >= upload["queue_us"] >= 0 and upload["sync_us"] >= 0
    assert re.fullmatch(r"127\.0\.0\.1:\d+", upload["peer"])
    batch = lines["batch_write"]
    assert batch["items"] == 50 and batch["request_bytes"] > 5000000 and "key_hash" not in batch
    assert re.fullmatch(r"\d+-\d+", batch["request"])
    assert batch["sync_us"] > 0
    assert "ping" not in lines
    assert "secret" not in daemon.log()


def test_a_store_that_cannot_be_forges_no_field(launch):
    daemon = launch("--slow-log-ms", "1")
    Curl(daemon.http).put("k", b"v")
    with RawHttp(daemon.http_address) as http:
        # The second answer waits for the first, which waits for some syncs.
        http.send(request("POST", "/v1/stores/default/compact", b"") + request("GET", "/v1/stores/a%20status=ok%20peer=you/keys/k"))
        assert [http.answer().status, http.answer().status] == [200, 400]
    wait_until(lambda: "operation=read" in daemon.log(), "the line")
    line = next(line for line in daemon.log().splitlines() if "operation=read" in line)
    assert " store=? status=invalid_argument " in line and "you" not in line


def test_a_full_disk_is_logged_once_in_a_while(launch):
    """Each client is told by its answer; the log, for whoever can make room, once a minute."""
    daemon = launch()
    curl = Curl(daemon.http)
    with Fault(daemon.process.pid, "pwritev", error="ENOSPC"):
        for _ in range(3):
            assert curl.put("k", b"v").status == 507
    assert curl.put("k", b"v").status == 201
    assert daemon.log().count("warn  store default: a write was refused, for there is no room: No space left on device\n") == 1


def test_the_slow_log_is_bounded(launch):
    daemon = launch("--log-format", "json", "--slow-log-ms", "1", "--durability", "sync")
    value = b"v" * 500000
    with Wire(daemon.binary_address) as wire:
        for start in range(0, 120, 60):
            wire.send(b"".join(frame(w.WRITE, start + i, w.write_body("default", b"%d" % i, value)) for i in range(60)))
            for _ in range(60):
                assert wire.answer()[2] == w.OK
        wire.write(b"k", value * 20)
    lines = slow(daemon)
    by_second = {}
    for line in lines:
        by_second.setdefault(line["time"][:19], []).append(line)
    # A second of the monotonic clock may begin in the middle of one of these.
    assert all(len(of_second) <= 20 for of_second in by_second.values())


def test_the_slow_log_is_off_unless_asked_for(launch, folder):
    path = os.path.join(folder, "rdrived.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("{}")
    daemon = launch("--config", path)
    with Wire(daemon.binary_address) as wire:
        wire.batch_write([(b"%d" % i, b"v" * 100000) for i in range(50)])
        assert "slow request" not in daemon.log()
        with open(path, "w", encoding="utf-8") as file:
            file.write('{"slow_log_ms": 1}')
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload: slow_log_ms has changed" in daemon.log(), "the reload")
        wire.batch_write([(b"%d" % i, b"v" * 100000) for i in range(50)])
        assert re.search(r" warn  slow request operation=batch_write store=default status=ok duration_us=\d+ queue_us=\d+ sync_us=\d+ items=50 ",
                         daemon.log())
