# SPDX-License-Identifier: MIT
"""reopen: a store whose disk failed, whose file was put right, or which is quite well, is closed and opened again
while the daemon runs, and everybody who was connected goes on."""
import fcntl
import json
import os
import shutil
import socket
import threading
import time

import pytest

from harness import wire as w
from harness.care import FACES, HttpWhole, Refused
from harness.curl import Curl
from harness.daemon import DEADLINE_S, wait_until
from harness.faults import Fault
from harness.rawhttp import RawHttp, request
from harness.wire import ALL_ONES, Wire, WireError, store_bytes

LONG = os.urandom(1 << 20) * 4
LETTER = b"this is a letter, not a store. " * 400


@pytest.fixture(params=FACES, ids=lambda face: face.name)
def face_of(request, care):
    return lambda daemon, store: request.param(daemon, store, care)


def reopen(daemon, store="default"):
    return HttpWhole(daemon, store, None).reopen()


def state_of(daemon, store):
    info = Curl(daemon.http, store).info()
    return info["state"], info.get("reason", "")


def start_reopen(daemon, store):
    """On a connection of its own, which is returned; it is under way once the store is seen to be."""
    connection = Wire(daemon.binary_address, store)
    identifier = connection.start(w.REOPEN, store_bytes(store))
    wait_until(lambda: state_of(daemon, store) == ("failed", "is being reopened"), "the reopen begins")
    return connection, identifier


def begin_download(reader):
    """Of a value, LONG, that it writes first: 1,000 bytes of it come, and no more before there is credit for them."""
    reader.write(b"k", LONG)
    stream = reader.start_read_stream(b"k", 1000)
    reader.expect(w.READ_STREAM, stream)
    assert reader.answer()[3] == LONG[:1000]
    return stream


def status_of(call, *arguments):
    with pytest.raises(WireError) as error:
        call(*arguments)
    return error.value.status


# ---- stores that are well -------------------------------------------------------------------------------------------

def test_a_store_that_is_well(daemon, store, face_of):
    """Old connections are served by the store as it is opened anew, whatever they did before."""
    curl = Curl(daemon.http, store)
    with Wire(daemon.binary_address, store) as old, RawHttp(daemon.http_address) as old_http:
        old.batch_write([(b"k%d" % i, b"value %d" % i) for i in range(50)])
        old.delete(b"k7")
        old_http.send(request("GET", f"/v1/stores/{store}/keys/k1"))
        assert old_http.answer().body == b"value 1"
        before = curl.info()
        assert face_of(daemon, store).reopen() == ("open", 49, "")
        assert curl.info() == before
        assert old.read(b"k1") == b"value 1" and not old.exists(b"k7")
        old.write(b"k1", b"anew")
        old_http.send(request("GET", f"/v1/stores/{store}/keys/k1"))
        assert old_http.answer().body == b"anew"
        old_http.send(request("PUT", f"/v1/stores/{store}/keys/k2", b"anew"))
        assert old_http.answer().status == 200
    assert curl.get("k2").body == b"anew"


def test_no_such_store(daemon, face_of):
    with pytest.raises(Refused) as error:
        face_of(daemon, "no-such-store").reopen()
    assert error.value.status == "store_not_found"


def test_the_default_store(daemon):
    Curl(daemon.http).put("k", b"v")
    assert reopen(daemon) == ("open", 1, "")
    assert Curl(daemon.http).get("k").body == b"v"
    assert Curl(daemon.http).delete("k").status == 200


def test_again_and_again_on_one_connection(wire):
    """Requests of one connection take effect in the order sent, over reopens too."""
    identifiers = {}
    for i in range(50):
        identifiers[wire.start(w.WRITE, w.write_body(wire.store, b"k", b"value %d" % i))] = None
        identifiers[wire.start(w.REOPEN, store_bytes(wire.store))] = None
        identifiers[wire.start(w.READ, w.key_body(wire.store, b"k"))] = b"value %d" % i
    for _ in range(len(identifiers)):
        identifier, _, status, body = wire.answer()
        assert status == w.OK
        expected = identifiers.pop(identifier)
        assert expected is None or body[28:] == expected


def test_settings_are_read_anew(launch):
    daemon = launch()
    curl = Curl(daemon.http, "some")
    assert curl.create({"durability": "none"}).json()["batch_marker"] is True
    companion = daemon.store_path("some") + ".settings.json"
    with open(companion, "w", encoding="utf-8") as file:
        json.dump({"durability": "interval:30", "batch_marker": False}, file)
    answer = curl.request("POST", "reopen").json()
    assert (answer["durability"], answer["batch_marker"]) == ("interval:30", False)
    assert curl.put("k", b"v").headers["rdrive-durability"] == "interval:30"
    with open(companion, "w", encoding="utf-8") as file:
        file.write("{")
    assert curl.request("POST", "reopen").json()["durability"] == "sync"
    os.unlink(companion)
    daemon.stop()
    daemon = launch("--durability", "none")
    assert Curl(daemon.http, "some").info()["durability"] == "none"


# ---- a disk that failed ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
def test_a_store_that_a_fault_made_read_only(launch, face_of, call):
    """Reads and writes are back, and everything that was acknowledged is there; the others never noticed."""
    daemon = launch()
    other = Curl(daemon.http, "other")
    assert other.create({"durability": "none" if call == "fdatasync" else "sync"}).status == 201
    with Wire(daemon.binary_address) as old:
        values = {b"k%d" % i: b"value %d" % i * (i + 1) for i in range(40)}
        for key, value in values.items():
            old.write(key, value)
        with Fault(daemon.process.pid, call):
            assert status_of(old.write, b"failed", b"value") == 16
            assert status_of(old.write, b"k1", b"after the failure") == 16
            assert old.info()["state"] == "read_only" and old.info()["reason"]
            assert old.read(b"k39") == values[b"k39"]
            if call == "fdatasync":
                assert other.put("k", b"v").status == 201
        # The log says it once, whoever asks for what afterwards.
        assert daemon.log().count("error store default: has become read-only: ") == 1
        # The cause is gone, and still the store does not write by itself.
        assert status_of(old.write, b"k1", b"still not") == 16
        assert other.put("k2", b"v").status == 201
        state, entries, reason = face_of(daemon, "default").reopen()
        assert (state, reason) == ("open", "") and entries in (40, 41)
        assert old.batch_read(list(values)) == list(values.values())
        assert old.batch_read([b"failed"])[0] in (None, b"value")
        values[b"k1"] = old.read(b"k1")
        old.write(b"new", b"value")
        values[b"new"] = b"value"
        assert old.verify()["problem_count"] == 0
    daemon.kill()
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        assert wire.batch_read(list(values)) == list(values.values())
    assert state_of(daemon, "default") == ("open", "")


def test_a_fault_that_has_not_gone(launch):
    """The opening fails as well: the store is failed, says why, and can be reopened until it works."""
    daemon = launch()
    with Wire(daemon.binary_address) as old:
        old.write(b"k", b"value")
        with Fault(daemon.process.pid, "fdatasync,fsync"):
            assert status_of(old.write, b"k", b"other") == 16
            for _ in range(2):
                with pytest.raises(Refused) as error:
                    reopen(daemon)
                assert error.value.status == "io_error" and "default.rdr" in error.value.message
                state, reason = state_of(daemon, "default")
                assert state == "failed" and "default.rdr" in reason
                assert status_of(old.read, b"k") == 18
        state, entries, _ = reopen(daemon)
        assert (state, entries) == ("open", 1) and old.read(b"k") == b"value"
        old.write(b"k", b"anew")


# ---- files that were put right --------------------------------------------------------------------------------------

def put_file(folder, name, content):
    data_dir = os.path.join(folder, "data")
    os.makedirs(data_dir, 0o700, exist_ok=True)
    path = os.path.join(data_dir, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def readyz(daemon):
    return Curl(daemon.http).request("GET", "/readyz").status


def test_a_file_that_was_no_store(launch, folder, face_of):
    path = put_file(folder, "letter.rdr", LETTER)
    daemon = launch()
    face = face_of(daemon, "letter")
    with Wire(daemon.binary_address, "letter") as old:
        assert status_of(old.read, b"k") == 18
        with pytest.raises(Refused) as error:
            face.reopen()
        assert error.value.status == "not_a_store" and path in error.value.message
        assert state_of(daemon, "letter")[0] == "failed" and readyz(daemon) == 503
        with open(path, "rb") as file:
            assert file.read() == LETTER
        with Wire(daemon.binary_address) as source:
            source.create("right")
            source.store = "right"
            source.write(b"k", b"value")
        shutil.copy(daemon.store_path("right"), path)
        assert face.reopen() == ("open", 1, "")
        assert readyz(daemon) == 200
        assert old.read(b"k") == b"value"
        old.write(b"k", b"anew")
    daemon.stop()
    daemon = launch()
    assert Curl(daemon.http, "letter").get("k").body == b"anew"


@pytest.fixture
def victim(launch):
    """A daemon with a store of one value, beside the default one."""
    daemon = launch()
    curl = Curl(daemon.http, "victim")
    assert curl.create().status == 201
    assert curl.put("k", b"value").status == 201
    return daemon, curl


def expect_failed(daemon, victim, status):
    path = daemon.store_path("victim")
    with pytest.raises(Refused) as error:
        reopen(daemon, "victim")
    assert error.value.status == status and path in error.value.message
    state, reason = state_of(daemon, "victim")
    assert state == "failed" and path in reason
    answer = victim.put("k", b"other")
    assert (answer.status, answer.error) == (503, "unavailable")
    assert (victim.drop().status, victim.create().status) == (503, 409)
    assert Curl(daemon.http).put("k", b"v").status in (200, 201)


@pytest.mark.parametrize("how", ["missing", "a link", "a folder"])
def test_a_file_that_is_gone_and_comes_back(victim, how):
    daemon, curl = victim
    path = daemon.store_path("victim")
    away = path + "-away"
    os.rename(path, away)
    if how == "a link":
        os.symlink(away, path)
    elif how == "a folder":
        os.mkdir(path)
    for _ in range(2):
        expect_failed(daemon, curl, "io_error" if how == "missing" else "not_a_store")
    if how == "a link":
        os.unlink(path)
    elif how == "a folder":
        os.rmdir(path)
    assert how != "missing" or not os.path.exists(path), "a store that is lost must not come back empty"
    os.rename(away, path)
    assert reopen(daemon, "victim") == ("open", 1, "")
    assert curl.get("k").body == b"value" and curl.put("k", b"anew").status == 200


def test_a_file_that_another_process_has(victim):
    daemon, curl = victim
    path = daemon.store_path("victim")
    os.rename(path, path + "-away")
    expect_failed(daemon, curl, "io_error")
    os.rename(path + "-away", path)
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        expect_failed(daemon, curl, "unavailable")
    assert reopen(daemon, "victim") == ("open", 1, "")
    assert curl.get("k").body == b"value"


def test_the_default_store_is_a_link_at_the_start(launch, folder):
    """As with any other store, it is not followed; and reopen finds the file that is put in its place."""
    target = os.path.join(folder, "target")
    with open(target, "wb"):
        pass
    os.makedirs(os.path.join(folder, "data"), 0o700)
    path = os.path.join(folder, "data", "default.rdr")
    os.symlink(target, path)
    daemon = launch()
    assert state_of(daemon, "default")[0] == "failed"
    assert Curl(daemon.http).put("k", b"v").status == 503
    assert os.path.getsize(target) == 0
    os.unlink(path)
    os.rename(target, path)
    assert reopen(daemon) == ("open", 0, "")
    assert Curl(daemon.http).put("k", b"v").status == 201


def test_less_than_there_was(victim):
    """Bytes that the disk has lost are told of in the log, whatever the engine makes of the file that is left."""
    daemon, curl = victim
    tails = [curl.put(f"k{i}", os.urandom(500)).json()["tail"] for i in range(10)]
    os.truncate(daemon.store_path("victim"), tails[4])
    _, entries, _ = reopen(daemon, "victim")
    assert entries == 6 and curl.get("k").body == b"value"
    assert f"store victim: has {tails[4]} bytes and had {tails[9]} before" in daemon.log()


# ---- what is under way ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("loops", ["1", "2"])
def test_twenty_clients_over_twenty_reopens(launch, loops):
    """Nothing that was acknowledged is lost, reads see the last write, and what is refused may be tried again."""
    daemon = launch("--loops", loops, "--durability", "none")
    over = threading.Event()
    lock = threading.Lock()
    faults = []
    counts = {"done": 0, "refused": 0}
    held = {}

    def count(outcome):
        with lock:
            counts[outcome] += 1

    def over_binary(wire, key, value):
        try:
            wire.write(key, value)
        except WireError as error:
            assert error.status == w.UNAVAILABLE and "reopened" in error.message, error
            return False
        return True

    def read_binary(wire, key):
        try:
            return wire.read(key)
        except WireError as error:
            assert error.status == w.UNAVAILABLE and "reopened" in error.message, error
            return None

    def ask_http(connection, method, key, body=None):
        connection.send(request(method, f"/v1/stores/default/keys/{key.decode()}", body))
        answer = connection.answer()
        if answer.status == 503:
            assert (answer.error, answer.headers["retry-after"]) == ("unavailable", "1"), answer
            return None
        assert answer.status in (200, 201), answer
        return answer.body

    def run(number):
        binary = number % 2 == 0
        connection = Wire(daemon.binary_address) if binary else RawHttp(daemon.http_address)
        write = over_binary if binary else lambda c, k, v: ask_http(c, "PUT", k, v) is not None
        read = read_binary if binary else lambda c, k: ask_http(c, "GET", k)
        step = 0
        try:
            with connection:
                while not over.is_set():
                    key = b"key-%d-%d" % (number, step % 7)
                    value = b"value %d " % step * (1 + step % 50)
                    if not write(connection, key, value):
                        count("refused")
                        continue
                    held[key] = value
                    count("done")
                    got = read(connection, key)
                    assert got in (None, value), (key, got)
                    step += 1
        except Exception as error:  # told by the test's own thread
            faults.append((number, repr(error)))
            over.set()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            before = counts["done"]
            wait_until(lambda: faults or counts["done"] > before + 20, "the clients to go on")
            state, _, reason = reopen(daemon)
            assert (state, reason) == ("open", "")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert faults == []
    with Wire(daemon.binary_address) as wire:
        keys = list(held)
        assert wire.batch_read(keys) == [held[key] for key in keys]
        assert wire.verify()["problem_count"] == 0
    daemon.kill()
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        assert wire.batch_read(keys) == [held[key] for key in keys]


def test_while_it_waits(launch):
    """A download that was begun goes on to its end, and until then the store is told of as what it is."""
    daemon = launch()
    curl = Curl(daemon.http, "some")
    curl.create()
    assert Curl(daemon.http).put("k", b"to be copied").status == 201
    with Wire(daemon.binary_address, "some") as reader, Wire(daemon.binary_address, "some") as old:
        stream = begin_download(reader)
        connection, identifier = start_reopen(daemon, "some")
        with connection:
            for answer in (curl.get("k"), curl.put("k", b"v"), curl.delete("k"), curl.request("POST", "reopen"),
                           curl.request("POST", "verify"), curl.drop(), curl.request("GET", "entries"),
                           curl.post("rename", {"from": "k", "to": "n"}),
                           curl.post("copy", {"key": "k", "target": "default"}),
                           Curl(daemon.http).post("copy", {"key": "k", "target": "some"}),
                           curl.request("PUT", "keys/k", LONG)):
                assert (answer.status, answer.error, answer.headers["retry-after"]) == (503, "unavailable", "1"), answer
                assert "reopened" in answer.json()["error"]["message"]
            assert curl.create().status == 409
            assert (status_of(old.read, b"k"), status_of(old.write, b"k", b"v"), status_of(old.reopen),
                    status_of(old.verify), status_of(old.drop, "some")) == (18, 18, 18, 18, 18)
            row, = [row for row in old.stores() if row["name"] == "some"]
            assert (row["state"], row["reason"], row["generation"]) == ("failed", "is being reopened", 0)
            assert readyz(daemon) == 503
            assert Curl(daemon.http).put("other", b"store").status == 201
            reader.send_credit(stream, ALL_ONES)
            assert reader.read_parts(stream, len(LONG) - 1000) == LONG[1000:]
            row, = w.store_rows(connection.expect(w.REOPEN, identifier))
            assert (row["state"], row["entries"]) == ("open", 1)
        assert readyz(daemon) == 200
        assert old.read(b"k") == LONG


def test_two_at_once(launch):
    """Of many that ask at once at least one reopens it, the others are told to try again, and all of them can."""
    daemon = launch("--loops", "2")
    with Wire(daemon.binary_address) as wire:
        wire.write(b"k", b"value")
    connections = [Wire(daemon.binary_address) for _ in range(10)]
    identifiers = [connection.start(w.REOPEN, store_bytes("")) for connection in connections]
    answers = [connection.answer() for connection in connections]
    assert [answer[0] for answer in answers] == identifiers
    statuses = [answer[2] for answer in answers]
    assert set(statuses) <= {0, 18} and 0 in statuses
    for connection in connections:
        connection.reopen()
        assert connection.read(b"k") == b"value"
        connection.socket.close()


def test_reopen_of_a_store_that_is_being_dropped(launch):
    daemon = launch()
    Curl(daemon.http, "some").create()
    with Wire(daemon.binary_address, "some") as reader, Wire(daemon.binary_address, "some") as dropper:
        stream = begin_download(reader)
        drop = dropper.start(w.DROP, store_bytes("some") * 2)
        wait_until(lambda: Curl(daemon.http, "some").request("GET", "/v1/stores/some").status == 404, "the drop begins")
        with pytest.raises(Refused) as error:
            reopen(daemon, "some")
        assert error.value.status == "conflict"
        reader.send_abort(stream)
        assert dropper.expect(w.DROP, drop) == b""
    with pytest.raises(Refused) as error:
        reopen(daemon, "some")
    assert error.value.status == "store_not_found"


def test_whoever_asked_goes_away(launch):
    """It is done nevertheless."""
    daemon = launch()
    with Wire(daemon.binary_address) as reader:
        stream = begin_download(reader)
        connection, _ = start_reopen(daemon, "default")
        connection.socket.close()
        reader.send_abort(stream)
        wait_until(lambda: state_of(daemon, "default") == ("open", ""), "the store serves again")
        assert "reopened" in daemon.log()


@pytest.mark.parametrize("signal_to", ["waiting", "reader gone"])
def test_a_stop_of_the_daemon_meanwhile(launch, signal_to):
    daemon = launch()
    with Wire(daemon.binary_address) as reader:
        stream = begin_download(reader)
        connection, _ = start_reopen(daemon, "default")
        with connection:
            if signal_to == "reader gone":
                reader.socket.close()
            daemon.stop()
    daemon = launch()
    assert Curl(daemon.http).get("k").body == LONG


# ---- who takes too long ---------------------------------------------------------------------------------------------

def test_a_slow_download_is_ended(launch):
    """Slow is not stalled, but it does not keep the store from everybody else."""
    daemon = launch("--stall-timeout-ms", "1000")
    with Wire(daemon.binary_address) as reader:
        reader.write(b"k", LONG)
        stream = reader.start_read_stream(b"k", 10)
        reader.expect(w.READ_STREAM, stream)
        assert reader.answer()[3] == LONG[:10]
        connection, identifier = start_reopen(daemon, "default")
        with connection:
            begun = time.monotonic()
            at = 10
            while True:
                reader.send_credit(stream, 1)
                answer = reader.answer()
                if answer[1] != w.CHUNK:
                    break
                assert answer[3] == LONG[at:at + 1]
                at += 1
                assert time.monotonic() - begun < DEADLINE_S
                time.sleep(0.05)
            assert answer[1] == w.ABORT
            with pytest.raises(WireError) as error:
                w.raise_abort(answer[3])
            assert error.value.status == 18 and "reopened" in error.value.message
            connection.expect(w.REOPEN, identifier)
        assert at > 11, "it was under way for a while"
        assert reader.read(b"k") == LONG


def test_a_slow_reader_over_http_is_cut_off(launch):
    """There is no other way to end a body that was begun."""
    daemon = launch("--stall-timeout-ms", "1000")
    length = 64 << 20
    with Wire(daemon.binary_address) as wire:
        wire.write(b"k", b"x" * length)
    with socket.create_connection(daemon.http_address, timeout=DEADLINE_S) as reader:
        reader.sendall(request("GET", "/v1/stores/default/keys/k"))
        got = len(reader.recv(1 << 14))
        connection, identifier = start_reopen(daemon, "default")
        with connection:
            while True:
                try:
                    part = reader.recv(1 << 14)
                except ConnectionResetError:
                    break
                if not part:
                    break
                got += len(part)
                time.sleep(0.01)
            assert got < length
            connection.expect(w.REOPEN, identifier)
    assert len(Curl(daemon.http).get("k").body) == length


def test_answers_that_nobody_takes(launch):
    """They hold the store as well, and that has an end too."""
    daemon = launch("--stall-timeout-ms", "60000", "--durability", "none")
    with Wire(daemon.binary_address) as silent:
        silent.write(b"k", b"v" * 4000)
        silent.send(b"".join(w.frame(w.READ, i, w.key_body("", b"k")) for i in range(5000)))
        with Wire(daemon.binary_address) as other:
            other.write(b"other", b"value")
            begun = time.monotonic()
            other.reopen()
            assert time.monotonic() - begun < DEADLINE_S * 0.75
            assert other.read(b"other") == b"value"


@pytest.mark.parametrize("length", [10, 1 << 20], ids=["short", "long"])
def test_a_slow_upload_is_ended(launch, length):
    daemon = launch("--stall-timeout-ms", "1000")
    with Wire(daemon.binary_address) as writer, RawHttp(daemon.http_address) as http:
        http.send(b"PUT /v1/stores/default/keys/http HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        stream = writer.start_write_stream(b"k")
        for at in range(0, length, 1 << 18):
            part = b"v" * min(1 << 18, length - at)
            writer.send_chunk(stream, part)
            http.send(b"%x\r\n" % len(part) + part + b"\r\n")
        connection, identifier = start_reopen(daemon, "default")
        with connection:
            stopped = threading.Event()

            def trickle():
                end = time.monotonic() + DEADLINE_S
                while not stopped.wait(0.05) and time.monotonic() < end:
                    try:
                        writer.send_chunk(stream, b"v")
                        http.send(b"1\r\nv\r\n")
                    except OSError:  # the connection of the one over HTTP ends
                        return

            thread = threading.Thread(target=trickle)
            thread.start()
            try:
                with pytest.raises(WireError) as error:
                    writer.stream_answer(w.WRITE_STREAM, stream)
                assert error.value.status == 18
                answer = http.answer()
                assert (answer.status, answer.error) == (503, "unavailable")
                connection.expect(w.REOPEN, identifier)
            finally:
                stopped.set()
                thread.join()
        assert not writer.exists(b"k") and not writer.exists(b"http")
    assert [name for name in os.listdir(daemon.data_dir) if "spool" in name] == []


@pytest.mark.parametrize("length", [10, 1 << 20], ids=["short", "long"])
@pytest.mark.parametrize("operation", ["reopen", "drop"])
def test_an_upload_that_ends_behind_it_on_the_same_connection(launch, operation, length):
    """The one waits for its turn behind the other, which waits for the store to be let go."""
    daemon = launch("--stall-timeout-ms", "1000")
    with Wire(daemon.binary_address) as wire:
        wire.create("some")
        wire.store = "some"
        stream = wire.start_write_stream(b"k")
        sent = 0
        while sent < length:
            part = min(length - sent, 1 << 18)
            wire.send_chunk(stream, b"v" * part)
            sent += part
        if operation == "reopen":
            opcode, identifier = w.REOPEN, wire.start(w.REOPEN, store_bytes("some"))
        else:
            opcode, identifier = w.DROP, wire.start(w.DROP, store_bytes("some") * 2)
        wire.send_end(stream)
        outcomes = {}
        while len(outcomes) < 2:
            answer = wire.answer()
            if answer[1] != w.CREDIT:
                outcomes[answer[0]] = answer[1], answer[2]
        assert outcomes == {stream: (w.WRITE_STREAM, 18), identifier: (opcode, 0)}
        if operation == "reopen":
            assert not wire.exists(b"k")
            wire.write(b"k", b"value")
        else:
            wire.create("some")


def test_an_upload_that_is_quick_enough(launch):
    """It goes on, and is in the store that is opened anew."""
    daemon = launch()
    with Wire(daemon.binary_address) as writer:
        stream = writer.start_write_stream(b"k", 10)
        writer.send_chunk(stream, b"value")
        connection, identifier = start_reopen(daemon, "default")
        with connection:
            writer.send_chunk(stream, b"value")
            writer.send_end(stream)
            writer.stream_answer(w.WRITE_STREAM, stream)
            connection.expect(w.REOPEN, identifier)
        assert writer.read(b"k") == b"valuevalue"
