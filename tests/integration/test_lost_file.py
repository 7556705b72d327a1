# SPDX-License-Identifier: MIT
"""A store's file that others cut under the running daemon: requests end with io_error, the daemon lives, other stores
go on, and nothing is written behind the new end."""
import os
import platform
import socket
import threading

import pytest

from harness.curl import Curl
from harness.daemon import wait_until
from harness.faults import Fault
from harness.wire import Wire, WireError


@pytest.fixture
def cut(launch):
    """A daemon whose store `victim` has lost all but its first value."""
    daemon = launch()
    victim = Curl(daemon.http, "victim")
    assert victim.create().status == 201
    kept = victim.put("kept", b"value").json()["tail"]
    for i in range(20):
        assert victim.put(f"lost-{i}", os.urandom(50000)).status == 201
    assert victim.put("long", os.urandom(5 << 20)).status == 201
    assert Curl(daemon.http).put("other", b"store").status == 201
    path = daemon.store_path("victim")
    os.truncate(path, kept)
    yield daemon, victim
    daemon.assert_alive()
    assert Curl(daemon.http).get("other").body == b"store"
    assert Curl(daemon.http).put("further", b"write").status == 201
    assert os.path.getsize(path) == kept


def expect_io_error(answer):
    assert answer.status == 500 and answer.error == "io_error", answer


def test_reads_over_http(cut):
    _, victim = cut
    assert victim.get("kept").body == b"value"
    for i in range(20):
        expect_io_error(victim.get(f"lost-{i}"))
    expect_io_error(victim.get("missing"))
    expect_io_error(victim.request("GET", "keys/lost-1", options=("-r", "100-200")))
    expect_io_error(victim.post("batch/read", {"keys": ["kept", "lost-1"]}))
    expect_io_error(victim.request("GET", "last"))
    assert victim.get("kept").body == b"value"
    info = victim.info()
    assert info["state"] == "read_only" and info["reason"]


def test_a_download_under_way_is_cut_off(launch):
    """A body that cannot be read whole must not look whole."""
    daemon = launch()
    length = 64 << 20
    assert Curl(daemon.http).put("long", os.urandom(length)).status == 201
    host, port = daemon.http.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /v1/stores/default/keys/long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = len(connection.recv(65536))
        os.truncate(daemon.store_path("default"), 4096)
        while chunk := connection.recv(1 << 20):
            got += len(chunk)
    assert got < length
    daemon.assert_alive()
    expect_io_error(Curl(daemon.http).get("long"))


def test_reads_over_the_binary_protocol(cut):
    daemon, _ = cut
    with Wire(daemon.binary_address, "victim") as wire:
        assert wire.read(b"kept") == b"value"
        for name in (b"lost-1", b"missing", b"long"):
            with pytest.raises(WireError, match="io_error|cannot be read"):
                wire.read(name)


@pytest.mark.parametrize("query", ["", "?durability=none"])
def test_writes(cut, query):
    _, victim = cut
    if query:
        expect_io_error(victim.get("lost-3"))  # without a sync only a read, or a judgement, finds it
    expect_io_error(victim.request("PUT", "keys/new" + query, body=b"value"))
    expect_io_error(victim.request("DELETE", "keys/kept" + query))
    assert victim.info()["state"] == "read_only"


def test_what_could_not_be_deleted_is_not_transferred(cut):
    daemon, victim = cut
    expect_io_error(victim.get("lost-3"))
    assert victim.info()["state"] == "read_only"
    expect_io_error(victim.post("transfer", {"key": "kept", "target": "default"}))
    assert Curl(daemon.http).get("kept").status == 404


@pytest.mark.parametrize("move", ["copy", "transfer"])
def test_a_source_that_is_cut_while_it_is_copied(launch, move):
    """The second of its slices cannot be read any more: it is the source's fault, and the target goes on. (Its writer
    writes a pad, the first slice, the second.)"""
    daemon = launch()
    source, target = Curl(daemon.http, "victim"), Curl(daemon.http)
    assert source.create().status == 201
    assert source.put("long", os.urandom(12 << 20)).status == 201
    assert target.put("k", b"before").status == 201
    path = daemon.store_path("default")
    answers = []
    mover = threading.Thread(target=lambda: answers.append(source.post(move, {"key": "long", "target": "default"})))
    with Fault(daemon.process.pid, "pwritev", path=path, what="delay_enter=20000000:when=3"):
        mover.start()
        wait_until(lambda: os.path.getsize(path) >= 8 << 20, "the first slice")
        os.truncate(daemon.store_path("victim"), 4096)
    mover.join()
    expect_io_error(answers[0])
    assert "'victim'" in answers[0].json()["error"]["message"]
    assert target.put("k", b"after").status == 200 and target.get("k").body == b"after"
    assert target.get("long").status == 404 and target.info()["state"] == "open"
    daemon.assert_alive()


STATX = {"x86_64": "332", "aarch64": "291"}[platform.machine()]


def is_in_statx(pid):
    """Whether one of its threads is, and stays there."""
    def calls():
        folder = f"/proc/{pid}/task"
        for thread in os.listdir(folder):
            with open(os.path.join(folder, thread, "syscall"), encoding="ascii") as file:
                yield file.read().split()[0]
    return all(STATX in calls() for _ in range(50))


@pytest.mark.parametrize("left", [0, 500])
@pytest.mark.parametrize("move", ["copy", "transfer"])
def test_a_source_that_is_cut_while_a_short_value_is_copied(launch, move, left):
    """What was verified is what is written: the target's writer, which looks at its file before it puts the group
    together, finds none of the source's bytes any more, or the first of them. Nothing is deleted in a file that is cut."""
    daemon = launch()
    source, target = Curl(daemon.http, "victim"), Curl(daemon.http)
    value = os.urandom(1000)
    assert source.create().status == 201
    assert source.put("k", value).status == 201
    tail = target.put("k", b"before").json()["tail"]
    path = daemon.store_path("default")
    wait_until(lambda: os.path.getsize(path) == tail, "the writer to have nothing left to do")
    answers = []
    mover = threading.Thread(target=lambda: answers.append(source.post(move, {"key": "k", "target": "default"})))
    with Fault(daemon.process.pid, "statx", path=path, what="delay_enter=60000000:when=1"):
        mover.start()
        wait_until(lambda: is_in_statx(daemon.process.pid), "the writer to be held up")
        os.truncate(daemon.store_path("victim"), left)
    mover.join()
    assert target.get("k").body == value
    assert target.info()["state"] == "open" and target.put("other", b"after").status == 201
    if move == "copy":
        assert answers[0].status == 200
    else:
        expect_io_error(answers[0])
        assert "'victim'" in answers[0].json()["error"]["message"]
    daemon.assert_alive()
