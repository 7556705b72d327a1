# SPDX-License-Identifier: MIT
"""compact: a store's file holds what lives alone, on every face, while reads and writes go on; and whatever comes in
between, the old file or the new one is there, whole."""
import os
import random
import socket
import threading
import time

import pytest

from harness.care import FACES, Refused, rdrive
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import DEADLINE_S, wait_until
from harness.faults import Fault
from harness.resp import Resp
from harness.storefile import physical_entries, read_chain
from harness.wire import ALL_ONES, COMPACT, KEY_NOT_FOUND, NONE, Wire, WireError, store_bytes

UNAVAILABLE = 18
SEED = int(os.environ.get("RDRIVE_TEST_SEED", time.time_ns() % 1000000))


def fill(wire, count=600, keys=100):
    """Writes, replaces and deletes; returns what lives, by key, the last written last."""
    print("RDRIVE_TEST_SEED", SEED)
    source = random.Random(SEED)
    live = {}
    for _ in range(count):
        key = b"key %d" % source.randrange(keys)
        live.pop(key, None)
        if source.randrange(5) == 0:
            wire.delete(key)
        else:
            live[key] = b"v" + source.randbytes(source.choice([1, 44, 300, 5000]))
            wire.write(key, live[key])
    return live


def companions(daemon, store):
    return sorted(name for name in os.listdir(daemon.data_dir) if name.startswith(store + ".rdr"))


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_every_face(daemon, care, face):
    store = "compact-" + "".join(c for c in face.name if c.isalnum())
    with Wire(daemon.binary_address, store) as wire:
        wire.create(store)
        live = fill(wire)
        before = Curl(daemon.http, store).info()
        done = face(daemon, store, care).compact()
        after = Curl(daemon.http, store).info()
        assert done["tail_before"] == before["tail"]
        assert done["tail"] == after["tail"] == os.path.getsize(daemon.store_path(store)) < before["tail"]
        assert done["entries"] == after["entries"] == len(live)
        assert done["reclaimed_bytes"] == before["tail"] - after["tail"]
        assert done["generation"] == after["generation"] != before["generation"]
        assert done["pause_us"] > 0
        assert after["dead_bytes"] < 64 * len(live)
        chain = read_chain(daemon.store_path(store))
        assert [entry.payload for entry in chain] == list(live.values())
        assert len(physical_entries(daemon.store_path(store))) == len(live)
        for key, value in live.items():
            assert wire.read(key) == value
        assert companions(daemon, store) == [store + ".rdr", store + ".rdr.meta"]
        with pytest.raises(Refused) as refused:
            face(daemon, "nowhere", care).compact()
        assert refused.value.status == "store_not_found"


def test_offline(launch, folder):
    daemon = launch()
    path = daemon.store_path("default")
    with Wire(daemon.binary_address) as wire:
        live = fill(wire)
    tool = Cli(("--file", path))
    assert tool.run("compact").code == 1  # the daemon has it
    daemon.stop()
    size = os.path.getsize(path)
    done = tool.run("--json", "compact").json()
    assert done["tail_before"] == size and done["tail"] == os.path.getsize(path) < size
    assert [entry.payload for entry in read_chain(path)] == list(live.values())
    assert tool.run("verify").code == 0
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        for key, value in live.items():
            assert wire.read(key) == value


# ---- beside others --------------------------------------------------------------------------------------------------

class Hand(threading.Thread):
    """Writes keys of its own, and reads them back; notes the longest wait for a write."""

    def __init__(self, daemon, name, over):
        super().__init__()
        self.daemon = daemon
        self.prefix = name.encode()
        self.over = over
        self.live = {}
        self.longest_ms = 0
        self.failure = None

    def run(self):
        try:
            source = random.Random(self.prefix)
            with Wire(self.daemon.binary_address) as wire:
                while not self.over.is_set():
                    self.turn(wire, source)
        except BaseException as error:  # for the test's thread
            self.failure = error

    def turn(self, wire, source):
        key = self.prefix + b" %d" % source.randrange(200)
        value = key + b" " + source.randbytes(source.choice([10, 200, 3000]))
        begun = time.monotonic()
        if source.randrange(6) == 0:
            wire.delete(key)
            self.live.pop(key, None)
        else:
            wire.write(key, value, durability=source.choice([NONE, 0]))
            self.live[key] = value
        self.longest_ms = max(self.longest_ms, (time.monotonic() - begun) * 1000)
        key = self.prefix + b" %d" % source.randrange(200)
        self.check(wire, key)

    def check(self, wire, key):
        try:
            value = wire.read(key)
        except WireError as error:
            assert error.status == KEY_NOT_FOUND, error
            value = None
        assert value == self.live.get(key), key


def test_reads_and_writes_go_on(launch):
    daemon = launch("--compact-rate", "0")
    over = threading.Event()
    hands = [Hand(daemon, f"hand {i}", over) for i in range(3)]
    with Wire(daemon.binary_address) as wire:
        for i in range(300):  # so that copying takes its time
            wire.write(b"still %d" % i, b"%d " % i * 20000, durability=NONE)
        for hand in hands:
            hand.start()
        try:
            for _ in range(8):
                done = wire.compact()
                print("pause_us", done[4])
                look = Curl(daemon.http).request("POST", "verify")
                assert look.status == 200 and look.json()["ok"], look
        finally:
            over.set()
            for hand in hands:
                hand.join(DEADLINE_S)
        for hand in hands:
            assert hand.failure is None, hand.failure
            print("longest wait for a write, ms:", round(hand.longest_ms, 1))
            for key in {*hand.live, hand.prefix + b" 0"}:
                hand.check(wire, key)
    daemon.stop()
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        for hand in hands:
            for key in hand.live:
                hand.check(wire, key)
        assert wire.info()["entries"] == 300 + sum(len(hand.live) for hand in hands)


def test_a_download_goes_on_in_the_old_file(launch):
    daemon = launch()
    value = os.urandom(40 << 20)
    curl = Curl(daemon.http)
    assert curl.put("dead", b"x" * 100000).status == 201
    assert curl.put("long", value).status == 201
    assert curl.request("DELETE", "keys/dead").status == 200
    with socket.create_connection(daemon.http_address, timeout=DEADLINE_S) as connection:
        connection.sendall(b"GET /v1/stores/default/keys/long HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        got = bytearray(connection.recv(65536))
        before = os.stat(daemon.store_path("default")).st_ino
        assert curl.request("POST", "compact").status == 200
        assert os.stat(daemon.store_path("default")).st_ino != before
        assert curl.put("long", b"replaced").status == 200
        while True:
            more = connection.recv(1 << 20)
            if not more:
                break
            got += more
    assert got.split(b"\r\n\r\n", 1)[1] == value
    assert curl.get("long").body == b"replaced"


def test_versions_change(launch):
    daemon = launch()
    curl = Curl(daemon.http)
    curl.put("dead", b"goes")
    curl.put("key", b"value")
    tag = curl.get("key").headers["etag"]
    curl.request("DELETE", "keys/dead")
    assert curl.request("POST", "compact").status == 200
    assert curl.request("PUT", "keys/key", b"new", headers=(f"If-Match: {tag}",)).status == 412
    tag = curl.get("key").headers["etag"]
    assert curl.request("PUT", "keys/key", b"new", headers=(f"If-Match: {tag}",)).status == 200


def test_pages_of_a_walk_leave_nothing_out(launch):
    """A compaction between two pages moves entries down: some may be shown again, none is left out."""
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        live = fill(wire, 800, 300)
        seen = set()
        after = 0
        while True:
            rows = wire.iterate(after, 20)
            if not rows:
                break
            seen |= {row["key_hash"] for row in rows}
            after = rows[-1]["offset"]
            if after == 0:
                break
            if len(seen) < 200:
                wire.compact()
    assert len(seen) == len(live)


def test_a_look_is_told_that_the_file_has_changed(launch):
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        fill(wire)
        step = wire.verify(0, 2000)
        wire.compact()
        with pytest.raises(WireError) as refused:
            for shift in range(64):  # one of these ends no entry
                wire.verify(step["next"] - shift, 2000)
        assert refused.value.status in (1, 8)
        assert wire.verify(0, ALL_ONES)["problem_count"] == 0


@pytest.mark.parametrize("value", [b"short", os.urandom(3 << 20)], ids=["short", "long"])
@pytest.mark.parametrize("change", [None, b"newer", "gone"], ids=["unchanged", "changed", "deleted"])
def test_a_transfer_over_a_compaction(launch, value, change):
    """The target's sync is held up for as long as the source is compacted, and perhaps changed."""
    daemon = launch()
    source, target = Curl(daemon.http), Curl(daemon.http, "target")
    assert target.create().status == 201
    assert source.put("dead", b"goes").status == 201
    assert source.put("k", value).status == 201
    assert source.request("DELETE", "keys/dead").status == 200
    before = source.get("k").headers["etag"]
    answers = []
    with Fault(daemon.process.pid, "fdatasync", path=daemon.store_path("target"), what="delay_enter=60000000"):
        mover = threading.Thread(target=lambda: answers.append(source.request(
            "POST", "transfer", b'{"key":"k","target":"target"}', headers=("Content-Type: application/json",))))
        mover.start()
        wait_until(lambda: os.path.getsize(daemon.store_path("target")) >= len(value), "the copy")
        assert source.request("POST", "compact").status == 200
        assert source.get("k").headers["etag"] != before
        if change == "gone":
            assert source.request("DELETE", "keys/k").status == 200
        elif change:
            assert source.put("k", change).status == 200
        assert not answers, "the sync was not held up for long enough"
    mover.join(DEADLINE_S)
    assert answers[0].status == (409 if change else 200), answers
    assert target.get("k").body == value
    assert source.get("k").status == (200 if change == b"newer" else 404)


# ---- one at a time, given up, unasked -------------------------------------------------------------------------------

def start_slow(daemon, store="default"):
    """Begins a compaction that takes long, at a MiB a second; returns the connection on which its answer will come."""
    wire = Wire(daemon.binary_address, store)
    wire.start(COMPACT, store_bytes(store))
    wait_until(lambda: os.path.exists(daemon.store_path(store) + ".compact"), "the new file")
    return wire


def status_of(wire):
    identifier, opcode, status, _ = wire.answer()
    assert (identifier, opcode) == (wire.identifier, COMPACT)
    return status


@pytest.fixture
def slow(launch):
    daemon = launch("--compact-rate", "1")
    with Wire(daemon.binary_address) as wire:
        for name in ("default", "other"):
            if name != "default":
                wire.create(name)
            wire.store = name
            for i in range(40):
                wire.write(b"%d" % i, os.urandom(500000), durability=NONE)
    return daemon


def test_one_at_a_time(slow):
    wire = start_slow(slow)
    for store in ("default", "other"):
        answer = Curl(slow.http, store).request("POST", "compact")
        assert answer.status == 429 and answer.error == "overloaded" and int(answer.headers["retry-after"]) > 0
    assert Curl(slow.http).put("goes", b"on").status == 201
    slow.stop()
    assert status_of(wire) == UNAVAILABLE
    wire.socket.close()


def told(daemon, store):
    """What each face says of the store."""
    with Wire(daemon.binary_address, store) as wire, rdrive.Client(daemon.binary) as client:
        wire_rows = {row["name"]: row["compacting"] for row in wire.stores()}
        tool = Cli(("--server", daemon.binary), store)
        return {"http": Curl(daemon.http, store).info()["compacting"], "binary": wire.info()["compacting"],
                "binary list": wire_rows[store], "python": client.store(store).info().compacting,
                "rdrive": b"\ncompacting true\n" in tool.ok("info"), "rdrive --json": tool.run("--json", "info").json()["compacting"]}


def test_descriptions_tell_of_one_under_way(slow):
    assert set(told(slow, "default").values()) == {False}
    with start_slow(slow):
        assert set(told(slow, "default").values()) == {True}
        assert set(told(slow, "other").values()) == {False}


def test_a_stop_ends_it(slow, launch):
    wire = start_slow(slow)
    begun = time.monotonic()
    slow.stop()
    assert time.monotonic() - begun < 15  # all of it would take longer
    assert status_of(wire) == UNAVAILABLE
    wire.socket.close()
    assert not os.path.exists(slow.store_path("default") + ".compact")
    daemon = launch()
    assert Curl(daemon.http).info()["entries"] == 40


@pytest.mark.parametrize("operation", ["drop", "reopen"])
def test_a_store_that_is_withdrawn_ends_it(slow, operation):
    wire = start_slow(slow, "other")
    curl = Curl(slow.http, "other")
    assert (curl.drop() if operation == "drop" else curl.request("POST", "reopen")).status == 200
    assert status_of(wire) == UNAVAILABLE
    wire.socket.close()
    left = companions(slow, "other")
    assert left == ([] if operation == "drop" else ["other.rdr", "other.rdr.meta"])


def test_who_asks_may_go(slow):
    """It goes on: another one that comes is told so."""
    start_slow(slow).socket.close()
    for _ in range(3):
        assert Curl(slow.http).request("POST", "compact").status == 429
    assert os.path.exists(slow.store_path("default") + ".compact")


@pytest.mark.parametrize("ending", ["drop", "stop", "its own"])
def test_one_that_nobody_waits_for(launch, ending):
    """Over the Redis protocol: the answer comes when it begins, and its connection may go."""
    daemon = launch("--redis", "127.0.0.1:0", "--compact-rate", "1")
    curl = Curl(daemon.http, "db3")
    with Resp(daemon.redis_address) as connection:
        connection.call("SELECT", 3)
        for _ in range(2):
            connection.call("SET", "k", os.urandom(1 << 20 if ending == "its own" else 30 << 20))
        before = curl.info()
        assert connection.call("BGREWRITEAOF") == b"+Background append only file rewriting started\r\n"
        assert curl.info()["compacting"] is True
    assert Curl(daemon.http).request("POST", "compact").status == 429
    if ending == "its own":
        wait_until(lambda: not curl.info()["compacting"], "the end of it")
        after = curl.info()
        assert after["tail"] < before["tail"] and after["generation"] != before["generation"]
        assert "store db3: is compacted: " in daemon.log()
        return
    assert ending == "stop" or curl.drop().status == 200
    daemon.stop()
    assert "store db3: cannot be compacted: " in daemon.log()
    assert os.listdir(daemon.data_dir).count("db3.rdr.compact") == 0


def test_unasked(launch):
    daemon = launch("--compact-dead-percent", "50", "--compact-rate", "0")
    curl = Curl(daemon.http)
    generation = curl.info()["generation"]
    value = os.urandom(20 << 20)
    for _ in range(6):
        assert curl.put("key", value).status in (200, 201)
    wait_until(lambda: curl.info()["generation"] != generation, "a compaction")
    # One that came before the last of them leaves less behind it than is worth another: 64 MiB.
    wait_until(lambda: curl.info()["tail"] < (20 + 64 + 1) << 20, "the smaller file")
    assert curl.get("key").body == value


# ---- crashes --------------------------------------------------------------------------------------------------------

def test_killed_at_any_moment(launch, folder):
    """Whatever was answered is there afterwards, in the old file or in the new one, and neither leaves anything behind."""
    source = random.Random(SEED)
    print("RDRIVE_TEST_SEED", SEED)
    live = {}
    generations = set()
    for round_number in range(12):
        daemon = launch("--compact-rate", "0")
        with Wire(daemon.binary_address) as wire:
            assert companions(daemon, "default") == ["default.rdr", "default.rdr.meta"]
            generations.add(wire.info()["generation"])
            assert wire.info()["entries"] == len(live)
            for key, value in live.items():
                assert wire.read(key) == value
            for i in range(150):
                key = b"key %d" % source.randrange(200)
                live[key] = b"%d " % round_number + source.randbytes(source.choice([30, 900, 30000]))
                wire.write(key, live[key])
            if round_number == 0:
                begin = time.monotonic()
                wire.compact()
                lasts = time.monotonic() - begin
            timer = threading.Timer(source.random() * 3 * lasts, daemon.kill)
            timer.start()
            try:
                while True:
                    wire.compact()
            except (OSError, AssertionError, EOFError, WireError):
                pass
            timer.join()
    assert len(generations) > 2  # so some that were to be killed came to their end
