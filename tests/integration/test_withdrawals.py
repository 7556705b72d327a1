# SPDX-License-Identifier: MIT
"""A store that is to be reopened or dropped waits for its uses to end, and answers of one HTTP connection leave in the
order asked: whatever waits for both must not wait for ever, nor keep the daemon from stopping."""
import time

import pytest

from harness.curl import Curl
from harness.daemon import DEADLINE_S, wait_until
from harness.faults import Fault
from harness.rawhttp import RawHttp, request

SOME = "/v1/stores/some"
WITHDRAWALS = {"reopen": request("POST", SOME + "/reopen", b""), "drop": request("DELETE", SOME + "?confirm=some")}
UPLOAD = (b"PUT /v1/stores/some/keys/long HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
          b"5\r\nvalue\r\n")


@pytest.fixture(params=WITHDRAWALS)
def withdrawal(request):
    return request.param


def serves_again(daemon, withdrawal):
    """What is left of the store `some`: it is open, or may be created."""
    store = Curl(daemon.http, "some")
    if withdrawal == "drop":
        assert store.create().status == 201
    assert store.put("again", b"value").status in (200, 201)


def pipeline(http, withdrawal, upload):
    """The write keeps the withdrawal waiting in its lane, so that the upload begins before it, and is answered after
    it."""
    http.send(request("PUT", SOME + "/keys/short", b"value") + WITHDRAWALS[withdrawal] + upload)


def test_an_upload_that_fails_behind_it(launch, withdrawal):
    daemon = launch()
    Curl(daemon.http, "some").create()
    with RawHttp(daemon.http_address) as http:
        pipeline(http, withdrawal, UPLOAD + b"no chunk\r\n")
        assert [http.answer().status for _ in range(3)] == [201, 200, 400]
    serves_again(daemon, withdrawal)


def test_an_upload_that_is_barred_behind_it(launch, withdrawal):
    daemon = launch()
    Curl(daemon.http, "some").create({"quota_bytes": 1000})
    with RawHttp(daemon.http_address) as http:
        pipeline(http, withdrawal, request("PUT", SOME + "/keys/long", b"v" * (2 << 20)))
        assert [http.answer().status for _ in range(3)] == [201, 200, 507]
    serves_again(daemon, withdrawal)


def test_an_upload_that_does_not_end_behind_it(launch, withdrawal):
    daemon = launch("--stall-timeout-ms", "1000")
    Curl(daemon.http, "some").create()
    with RawHttp(daemon.http_address) as http:
        pipeline(http, withdrawal, UPLOAD)
        statuses = [http.answer().status for _ in range(3)]
    assert statuses[:2] == [201, 200]
    assert statuses[2] in (408, 503)  # it stalls as long as it is waited for
    serves_again(daemon, withdrawal)


def test_an_upload_that_fails_and_whose_client_is_gone(launch, withdrawal):
    daemon = launch()
    Curl(daemon.http, "some").create()
    with RawHttp(daemon.http_address) as http:
        pipeline(http, withdrawal, UPLOAD)
    daemon.stop()


READ = ("GET", "/keys/value")


def cross(daemon, connections, asked=READ, headers=()):
    """Each drops one store, behind a write to it that takes long, and asks the other one for something, which so is
    done before the drops begin, and whose answer can leave only behind them: by default it is a value."""
    for store in "ab":
        Curl(daemon.http, store).create()
        assert Curl(daemon.http, store).put("value", b"v" * 100000).status == 201
    with Fault(daemon.process.pid, "fdatasync", what="delay_enter=500000"):
        for connection, own, other in zip(connections, "ab", "ba"):
            connection.send(request("PUT", f"/v1/stores/{own}/keys/k", b"value") +
                            request("DELETE", f"/v1/stores/{own}?confirm={own}") +
                            request(asked[0], f"/v1/stores/{other}{asked[1]}", *asked[2:], headers=headers))
        for connection in connections:
            assert connection.answer().status == 201


def test_two_connections_that_drop_what_the_other_one_reads(launch):
    daemon = launch("--stall-timeout-ms", "1000")
    with RawHttp(daemon.http_address) as one, RawHttp(daemon.http_address) as other:
        cross(daemon, [one, other])
        begun = time.monotonic()
        outcomes = [[answer and answer.status for answer in (connection.answer(), connection.answer())]
                    for connection in (one, other)]
        assert time.monotonic() - begun < DEADLINE_S * 0.75
        assert all(outcome in ([200, 200], [None, None]) for outcome in outcomes), outcomes
    for store in "ab":  # the drop of a connection that was closed goes on without it
        wait_until(lambda store=store: Curl(daemon.http, store).create().status == 201, "the store to be gone")


@pytest.mark.parametrize("asked, headers, wanted", [
    (("PUT", "/keys/new", b"value"), (), 201), (("PUT", "/keys/new", b"v" * (2 << 20)), (), 201),
    (("DELETE", "/keys/value"), (), 200), (("HEAD", "/keys/value"), (), 200),
    (("GET", "/keys/value"), ["Range: bytes=100000-"], 416), (("GET", "/keys/none"), (), 404)],
    ids=["write", "upload", "delete", "head", "out of range", "not found"])
def test_what_has_no_value_in_its_answer_is_not_waited_for(launch, asked, headers, wanted):
    daemon = launch()
    with RawHttp(daemon.http_address) as one, RawHttp(daemon.http_address) as other:
        cross(daemon, [one, other], asked, headers)
        begun = time.monotonic()
        for connection in (one, other):
            assert [connection.answer().status, connection.answer(asked[0] == "HEAD").status] == [200, wanted]
        assert time.monotonic() - begun < 9  # the grace is 10 s


def test_a_stop_while_two_connections_wait_for_each_other(launch):
    daemon = launch()
    with RawHttp(daemon.http_address) as one, RawHttp(daemon.http_address) as other:
        cross(daemon, [one, other])
        begun = time.monotonic()
        daemon.stop()
        assert time.monotonic() - begun < DEADLINE_S * 0.75
