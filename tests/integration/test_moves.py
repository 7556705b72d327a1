# SPDX-License-Identifier: MIT
"""rename, copy and transfer, over HTTP and in binary: what they answer, what they leave, and what they refuse."""
import contextlib
import itertools
import json
import os
import random
import resource
import struct
import threading
import time
import zlib

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.daemon import wait_until
from harness.doors import HttpDoor, WireDoor, json_key
from harness.faults import Fault
from harness.rawhttp import RawHttp, request
from harness.storefile import live_entries, read_chain
from harness.wire import Hash, Wire, WireError, frame

MIB = 1 << 20
LONG = random.Random(17).randbytes(64 * MIB)
LENGTHS = [1, 64 << 10, (256 << 10) + 1, 5 * MIB, 64 * MIB]
ALPHA = Hash(0xbe6903b5f625ab5a)

numbers = itertools.count(1)


class Refused(Exception):
    """An error by the status that both protocols share: its number in binary, its code over HTTP."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


CODES = {w.INVALID_ARGUMENT: "invalid_argument", w.KEY_NOT_FOUND: "key_not_found", w.CONFLICT: "conflict",
         w.STORE_NOT_FOUND: "store_not_found", w.CORRUPT: "corrupt", w.NO_SPACE: "no_space",
         w.UNAVAILABLE: "unavailable", w.PRECONDITION_FAILED: "precondition_failed", 22: "not_a_store"}
HTTP_STATUS = {"invalid_argument": 400, "key_not_found": 404, "store_not_found": 404, "conflict": 409, "corrupt": 500,
               "no_space": 507, "unavailable": 503, "precondition_failed": 412, "not_a_store": 503}


class HttpMover(HttpDoor):
    def post(self, path, body):
        answer = self.curl.post(path, body)
        if answer.status != 200:
            assert answer.status == HTTP_STATUS[answer.error], answer
            raise Refused(answer.error)
        return answer

    @staticmethod
    def named(name, key):
        form, text = next(iter(json_key(key).items()))
        return {name + form[len("key"):]: text}

    def rename(self, source, target):
        answer = self.post("rename", {**self.named("from", source), **self.named("to", target)})
        body = answer.json()
        headers = answer.headers
        assert int(headers["rdrive-offset"]) == body["offset"]
        assert headers["etag"] == f'"{body["offset"]:x}-{headers["rdrive-crc32"]}"'
        assert headers["rdrive-durability"] == "sync"
        return {**body, "crc32": int(headers["rdrive-crc32"], 16), "key_hash": int(headers["rdrive-key-hash"], 16)}

    def copy(self, key, target):
        return self.post("copy", {**json_key(key), "target": target}).json()

    def transfer(self, key, target):
        return self.post("transfer", {**json_key(key), "target": target}).json()

    def write_stream(self, key, parts):
        path = f"/v1/stores/{self.curl.store}/{self.path(key)}"
        host, port = self.curl.base[len("http://"):].rsplit(":", 1)
        with RawHttp((host, int(port))) as http:
            http.send(request("PUT", path, headers=["Transfer-Encoding: chunked"])
                      + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n")
            answer = http.answer()
        if answer.status not in (200, 201):
            assert answer.status == HTTP_STATUS[answer.error]
            raise Refused(answer.error)
        return answer.json()

    def tail(self):
        return self.curl.info()["tail"]


class WireMover(WireDoor):
    @staticmethod
    def checked(call, *arguments):
        try:
            return call(*arguments)
        except WireError as error:
            raise Refused(CODES[error.status]) from error

    def rename(self, source, target):
        return self.checked(self.wire.rename, source, target)

    def copy(self, key, target):
        return self.checked(self.wire.copy, key, target)

    def transfer(self, key, target):
        return self.checked(self.wire.transfer, key, target)

    def write_stream(self, key, parts):
        return self.checked(self.wire.write_stream, key, b"".join(parts))

    def tail(self):
        return self.wire.info()["tail"]


@pytest.fixture(params=["http", "binary"])
def mover_of(request):
    """Makes a mover for a store of a daemon."""
    with contextlib.ExitStack() as stack:
        def make(daemon, store):
            if request.param == "http":
                return HttpMover(Curl(daemon.http, store))
            return WireMover(stack.enter_context(Wire(daemon.binary_address, store)))
        yield make


@pytest.fixture
def source(mover_of, daemon, store):
    return mover_of(daemon, store)


@pytest.fixture
def target_name(daemon):
    name = f"target-{next(numbers)}"
    curl = Curl(daemon.http, name)
    assert curl.create().status == 201
    yield name
    assert curl.drop().status in (200, 404)


@pytest.fixture
def target(mover_of, daemon, target_name):
    return mover_of(daemon, target_name)


def refused(code, call, *arguments):
    with pytest.raises(Refused) as error:
        call(*arguments)
    assert error.value.code == code


@contextlib.contextmanager
def untouched(*movers):
    before = [(mover.tail(), mover.length(), mover.last()) for mover in movers]
    yield
    assert [(mover.tail(), mover.length(), mover.last()) for mover in movers] == before


def store_value(daemon, name, key, value):
    with Wire(daemon.binary_address, name) as wire:
        return wire.write_stream(key, value, len(value))


def flip(daemon, store, offset):
    with open(daemon.store_path(store), "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


# ---- rename ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("length", LENGTHS)
def test_rename(daemon, store, source, length):
    value = LONG[:length]
    old = store_value(daemon, store, b"alpha", value)
    answer = source.rename(b"alpha", b"beta")
    assert answer["offset"] > old["offset"]
    assert answer["crc32"] == zlib.crc32(value)
    assert answer["tail"] == source.tail() == answer["offset"] + length + 20 + 21
    found = source.metadata(b"beta")
    assert found == {"key_hash": answer["key_hash"], "offset": answer["offset"], "length": length,
                     "crc32": answer["crc32"]}
    assert source.read(b"beta") == value
    assert source.read(b"alpha") is None and not source.exists(b"alpha")
    assert source.length() == 1
    assert source.last() == found


@pytest.mark.parametrize("length", [1, 400 << 10])
def test_rename_onto_an_existing_key(daemon, store, source, length):
    store_value(daemon, store, b"a", LONG[:length])
    source.write(b"b", b"there before")
    source.write(b"c", b"neighbour")
    answer = source.rename(b"a", b"b")
    assert answer.get("replaced", 1) == 1
    assert (source.read(b"a"), source.read(b"b"), source.read(b"c")) == (None, LONG[:length], b"neighbour")
    assert source.length() == 2


def test_rename_to_itself_and_of_a_missing_key(source):
    source.write(b"alpha", b"v")
    source.write(b"there", b"t")
    with untouched(source):
        refused("conflict", source.rename, b"alpha", b"alpha")
        refused("conflict", source.rename, b"alpha", ALPHA)
        refused("conflict", source.rename, b"missing", b"missing")
        refused("key_not_found", source.rename, b"missing", b"new")
        refused("key_not_found", source.rename, b"missing", b"there")
    source.delete(b"there")
    refused("key_not_found", source.rename, b"there", b"new")


def test_rename_by_hash_and_of_keys_of_any_bytes(source):
    source.write(b"alpha", b"1")
    source.rename(ALPHA, Hash(7))
    assert source.read(Hash(7)) == b"1" and source.read(b"alpha") is None
    source.rename(Hash(7), b"alpha")
    assert source.read(ALPHA) == b"1"
    chain = [b"alpha", b"", b"\0", b"a/b", b"\xff\xfe", b"k" * 5000, b"\"'\\\n"]
    for old, new in itertools.pairwise(chain):
        assert source.rename(old, new)["crc32"] == zlib.crc32(b"1")
    assert source.read(chain[-1]) == b"1" and source.length() == 1


@pytest.mark.parametrize("length", [1, 40, 256 << 10, 5 * MIB])
def test_a_corrupt_value_is_neither_renamed_nor_copied(daemon, store, source, target, target_name, length):
    offset = store_value(daemon, store, b"k", LONG[:length])["offset"]
    target.write(b"k", b"in the target")
    flip(daemon, store, offset + length // 2)
    with untouched(source, target):
        refused("corrupt", source.rename, b"k", b"new")
        refused("corrupt", source.copy, b"k", target_name)
        refused("corrupt", source.transfer, b"k", target_name)
    assert target.read(b"k") == b"in the target"
    assert source.exists(b"k") and not source.exists(b"new")
    source.write(b"other", b"the store stays writable")
    source.write(b"k", b"and the key too")
    assert source.rename(b"k", b"new") and source.read(b"new") == b"and the key too"


def test_a_long_value_that_is_replaced_while_it_is_renamed(daemon, store, wire):
    """Whatever wins, no value is lost: the old one or the newer is under the new key, and what came later is there."""
    for attempt in range(6):
        value = LONG[:16 * MIB + attempt]
        store_value(daemon, store, b"a", value)
        with Wire(daemon.binary_address, store) as renamer:
            renaming = renamer.start(w.RENAME, w.rename_body(store, b"a", b"b"))
            time.sleep(0.002 * attempt)
            newer = wire.write(b"a", b"newer %d" % attempt, w.NONE)
            answer = w.write_answer(renamer.expect(w.RENAME, renaming))
        if answer["offset"] > newer["offset"]:
            assert wire.read(b"b") == b"newer %d" % attempt and not wire.exists(b"a")
        else:
            assert wire.read(b"b") == value and wire.read(b"a") == b"newer %d" % attempt


# ---- copy and transfer ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("length", LENGTHS)
def test_copy(daemon, store, source, target, target_name, length):
    value = LONG[:length]
    store_value(daemon, store, b"alpha", value)
    target.write(b"first", b"so that offsets differ")
    before = source.metadata(b"alpha")
    with untouched(source):
        answer = source.copy(b"alpha", target_name)
    found = target.metadata(b"alpha")
    assert answer == {"target_offset": found["offset"], "target_tail": target.tail()}
    assert found == {**before, "offset": answer["target_offset"]}
    assert target.read(b"alpha") == source.read(b"alpha") == value
    assert target.last() == found


@pytest.mark.parametrize("length", LENGTHS)
def test_transfer(daemon, store, source, target, target_name, length):
    value = LONG[:length]
    store_value(daemon, store, b"alpha", value)
    target.write(b"alpha", b"to be replaced")
    before, tail = source.metadata(b"alpha"), source.tail()
    answer = source.transfer(b"alpha", target_name)
    found = target.metadata(b"alpha")
    assert answer == {"target_offset": found["offset"], "target_tail": target.tail(), "source_tail": source.tail()}
    assert answer["source_tail"] == tail + 21
    assert found == {**before, "offset": answer["target_offset"]}
    assert target.read(b"alpha") == value and target.length() == 1
    assert source.read(b"alpha") is None and source.length() == 0


def test_by_hash(source, target, target_name):
    source.write(b"alpha", b"1")
    source.copy(ALPHA, target_name)
    assert target.read(b"alpha") == b"1"
    source.write(b"alpha", b"2")
    source.transfer(ALPHA, target_name)
    assert target.read(b"alpha") == b"2" and source.length() == 0


def test_there_and_back(source, target, store, target_name):
    for number in range(5):
        source.write(b"k", b"%d" % number)
        source.transfer(b"k", target_name)
        assert target.transfer(b"k", store)["target_offset"] == source.metadata(b"k")["offset"]
        assert source.read(b"k") == b"%d" % number and target.read(b"k") is None


@pytest.mark.parametrize("operation", ["copy", "transfer"])
def test_what_is_refused(daemon, store, source, target, target_name, operation):
    move = getattr(source, operation)
    source.write(b"k", b"v")
    target.write(b"k", b"in the target")
    with untouched(source, target):
        refused("conflict", move, b"k", store)
        refused("conflict", move, b"missing", store)
        refused("key_not_found", move, b"missing", target_name)
        refused("store_not_found", move, b"k", "no-such-store")
        refused("invalid_argument", move, b"k", "../" + target_name)
        refused("invalid_argument", move, b"k", ".hidden")
    assert target.read(b"k") == b"in the target"


@pytest.mark.parametrize("operation", ["copy", "transfer"])
def test_out_of_a_store_that_is_not_there(mover_of, daemon, target, target_name, operation):
    missing = mover_of(daemon, "no-such-store")
    with untouched(target):
        refused("store_not_found", getattr(missing, operation), b"k", target_name)
        refused("store_not_found", missing.rename, b"k", b"l")


@pytest.mark.parametrize("operation", ["copy", "transfer"])
def test_the_same_store_under_another_name(launch, mover_of, operation):
    daemon = launch()
    for name in ("one", "away"):
        assert Curl(daemon.http, name).create().status == 201
    with Wire(daemon.binary_address, "one") as wire:
        wire.write(b"k", b"v")
    daemon.stop()
    os.link(daemon.store_path("one"), daemon.store_path("hard-link"))
    os.symlink("one.rdr", daemon.store_path("symlink"))
    daemon = launch()
    states = {row["name"]: row["state"] for row in Curl(daemon.http).request("GET", "/v1/stores").json()["stores"]}
    assert sorted([states.get("one"), states.get("hard-link")]) == ["failed", "open"], states
    assert states.get("symlink", "failed") == "failed"
    name, other = ("one", "hard-link") if states["one"] == "open" else ("hard-link", "one")
    mover = mover_of(daemon, name)
    with untouched(mover):
        for alias in (other, "symlink"):
            with pytest.raises(Refused) as error:
                getattr(mover, operation)(b"k", alias)
            assert error.value.code in ("conflict", "unavailable", "store_not_found"), alias
    assert mover.read(b"k") == b"v"


@pytest.mark.parametrize("operation", ["copy", "transfer"])
def test_a_failed_target_changes_nothing(launch, mover_of, operation):
    daemon = launch()
    daemon.stop()
    with open(daemon.store_path("failed"), "wb") as file:
        file.write(b"x" * 5000)
    daemon = launch()
    source = mover_of(daemon, "default")
    source.write(b"k", b"v")
    with untouched(source):
        with pytest.raises(Refused) as error:
            getattr(source, operation)(b"k", "failed")
        assert HTTP_STATUS[error.value.code] == 503
    assert source.read(b"k") == b"v"
    with open(daemon.store_path("failed"), "rb") as file:
        assert file.read() == b"x" * 5000


@pytest.mark.parametrize("operation", ["copy", "transfer"])
@pytest.mark.parametrize("length", [1000, 400 << 10, 3 * MIB])
def test_a_full_target_changes_nothing(launch, mover_of, operation, length):
    """Files may not grow beyond a limit, which the target, but not the source, has come close to."""
    daemon = launch()
    assert Curl(daemon.http, "target").create().status == 201
    source, target = mover_of(daemon, "default"), mover_of(daemon, "target")
    store_value(daemon, "target", b"filler", LONG[:8 * MIB])
    store_value(daemon, "default", b"k", LONG[:length])
    source.write(b"small", b"s")
    limit = target.tail() + 300
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    with untouched(source, target):
        for _ in range(2):
            refused("no_space", getattr(source, operation), b"k", "target")
    assert source.read(b"k") == LONG[:length] and target.read(b"k") is None
    assert os.path.getsize(daemon.store_path("target")) == target.tail()
    assert getattr(source, operation)(b"small", "target"), "what fits is taken"
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    getattr(source, operation)(b"k", "target")
    assert target.read(b"k") == LONG[:length]
    daemon.stop()
    assert len(live_entries(daemon.store_path("target"))) == 3


def test_transfer_of_a_value_that_is_overwritten_meanwhile(daemon, store, wire, target_name):
    """The copy stays, and so does the newer value; once in a while the overwriting comes too late or too early."""
    conflicts = 0
    with Wire(daemon.binary_address, store) as mover, Wire(daemon.binary_address, target_name) as target:
        for attempt in range(40):
            value = LONG[attempt:16 * MIB]
            mover.write_stream(b"k", value)
            size = os.path.getsize(daemon.store_path(target_name))
            moving = mover.start(w.TRANSFER, w.copy_body(store, b"k", target_name))
            wait_until(lambda: os.path.getsize(daemon.store_path(target_name)) > size, "the copy begins")
            wire.write(b"k", b"newer %d" % attempt, w.NONE)
            answer = mover.answer()
            assert answer[:2] == (moving, w.TRANSFER)
            assert wire.read(b"k") == b"newer %d" % attempt
            assert target.read(b"k") == value
            if answer[2] == w.CONFLICT:
                conflicts += 1
                if conflicts == 2:
                    break
            else:
                assert answer[2] == w.OK
    assert conflicts, "the race was never won"


def test_values_are_never_lost_between_two_stores_and_many_movers(daemon, store, target_name):
    """Movers push one key to and fro, renaming it on the way: at every end there is exactly what was put in."""
    stores = (store, target_name)
    keys = [b"k%d" % i for i in range(6)]
    with Wire(daemon.binary_address, store) as wire:
        for key in keys:
            wire.write_stream(key, key * 100000)
    faults = []

    def push(seed):
        source = random.Random(seed)
        try:
            with Wire(daemon.binary_address, stores[seed % 2]) as wire:
                for _ in range(40):
                    try:
                        wire.transfer(source.choice(keys), stores[1 - seed % 2])
                    except WireError as error:
                        assert error.status in (w.KEY_NOT_FOUND, w.CONFLICT), error
        except BaseException as fault:  # noqa: B902 - it is raised again below
            faults.append(fault)

    threads = [threading.Thread(target=push, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    with Wire(daemon.binary_address, store) as one, Wire(daemon.binary_address, target_name) as two:
        for key in keys:
            found = [wire.read(key) for wire in (one, two) if wire.exists(key)]
            assert found and set(found) == {key * 100000}


# ---- order on one connection ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("length", [10, 3 * MIB])
def test_order_in_binary(daemon, store, wire, target_name, length):
    value = LONG[:length]

    def ask(opcode, body):
        return frame(opcode, next(identifiers), body)

    for _ in range(3):
        identifiers = itertools.count(1)
        wire.send(ask(w.WRITE, w.write_body(store, b"k", value))
                  + ask(w.COPY, w.copy_body(store, b"k", target_name))
                  + ask(w.METADATA, w.key_body(target_name, b"k"))
                  + ask(w.WRITE, w.write_body(target_name, b"k", b"over"))
                  + ask(w.TRANSFER, w.copy_body(store, b"k", target_name))
                  + ask(w.EXISTS, w.key_body(store, b"k"))
                  + ask(w.METADATA, w.key_body(target_name, b"k"))
                  + ask(w.RENAME, w.rename_body(target_name, b"k", b"l"))
                  + ask(w.EXISTS, w.key_body(target_name, b"k"))
                  + ask(w.TRANSFER, w.copy_body(target_name, b"l", store))
                  + ask(w.METADATA, w.key_body(store, b"l"))
                  + ask(w.DELETE, w.delete_body(store, b"l")))
        answers = {}
        for _ in range(12):
            identifier, _, status, body = wire.answer()
            assert status == w.OK, (identifier, status, body)
            answers[identifier] = body
        copied = struct.unpack("<QQ", answers[2])
        assert w.metadata_answer(answers[3])["offset"] == copied[0]
        moved = struct.unpack("<QQQ", answers[5])
        assert answers[6] == b"\0"
        assert w.metadata_answer(answers[7])["offset"] == moved[0] > copied[0]
        assert w.metadata_answer(answers[7])["crc32"] == zlib.crc32(value)
        assert answers[9] == b"\0"
        assert w.metadata_answer(answers[11])["length"] == length
        assert wire.info()["entries"] == 0


@pytest.mark.parametrize("length", [10, 3 * MIB])
def test_order_over_http(daemon, store, target_name, length):
    value = LONG[:length]

    def post(name, operation, body):
        return request("POST", f"/v1/stores/{name}/{operation}", json.dumps(body).encode(),
                       ["Content-Type: application/json"])

    def on(method, name, body=None):
        return request(method, f"/v1/stores/{name}/keys/k", body)

    with RawHttp(daemon.http_address) as http:
        for _ in range(3):
            http.send(on("PUT", store, value) + post(store, "copy", {"key": "k", "target": target_name})
                      + on("GET", target_name) + on("PUT", target_name, b"over")
                      + post(store, "transfer", {"key": "k", "target": target_name}) + on("HEAD", store)
                      + on("GET", target_name) + post(target_name, "rename", {"from": "k", "to": "l"})
                      + on("GET", target_name))
            assert http.answer().status == 201
            copied = http.answer().json()
            read = http.answer()
            assert read.body == value and int(read.headers["rdrive-offset"]) == copied["target_offset"]
            assert http.answer().status == 200
            moved = http.answer().json()
            assert http.answer(to_head=True).status == 404
            read = http.answer()
            assert read.body == value and int(read.headers["rdrive-offset"]) == moved["target_offset"]
            assert http.answer().status == 200
            assert http.answer().status == 404


def test_a_move_does_not_hold_up_other_clients(daemon, store, wire, target_name):
    store_value(daemon, store, b"big", LONG)
    waits = []
    with Wire(daemon.binary_address, store) as mover:
        moving = mover.start(w.COPY, w.copy_body(store, b"big", target_name))
        began = time.monotonic()
        for number in range(50):
            asked = time.monotonic()
            wire.write(b"small", b"%d" % number, w.NONE)
            waits.append(time.monotonic() - asked)
        mover.expect(w.COPY, moving)
        took = time.monotonic() - began
    assert sorted(waits)[25] < max(0.05, took / 4), (sorted(waits)[25], took)


def test_malformed_bodies_change_nothing(curl, source):
    source.write(b"a", b"v")
    with untouched(source):
        for operation, bodies in {
                "rename": [{}, {"from": "a"}, {"to": "b"}, {"from": "a", "to": "b", "x": 1}, {"from": 1, "to": "b"},
                           {"from": "a", "from_base64": "YQ==", "to": "b"}, {"from_hash": "12", "to": "b"}, []],
                "copy": [{}, {"key": "a"}, {"target": "default"}, {"key": "a", "target": 1}, {"key": "a", "target": ""},
                         {"key": "a", "key_hash": "0" * 16, "target": "default"}, "a"]}.items():
            for body in bodies:
                for name in {"rename": ["rename"], "copy": ["copy", "transfer"]}[operation]:
                    answer = curl.post(name, body)
                    assert answer.status in (400, 409), (name, body, answer)
        assert curl.request("POST", "rename", b'{"from":"a","to":"b"}').status == 415
        assert curl.request("POST", "rename?durability=never", b'{"from":"a","to":"b"}',
                            ["Content-Type: application/json"]).status == 400
    assert source.read(b"a") == b"v"


# ---- docs/FORMAT.md, "What the operations do" -----------------------------------------------------------------------

def test_row_write_two_or_more_zero_bytes(source, target, target_name):
    """Accepted everywhere: copy, transfer and rename of it too."""
    for value in (b"\0\0", bytes(300 << 10)):
        source.write(b"k", value)
        source.copy(b"k", target_name)
        source.rename(b"k", b"l")
        source.transfer(b"l", target_name)
        assert target.read(b"k") == target.read(b"l") == value and source.length() == 0


def test_row_stream_empty(source):
    source.write(b"k", b"old")
    with untouched(source):
        refused("invalid_argument", source.write_stream, b"k", [])
        refused("invalid_argument", source.write_stream, b"k", [b"\0"])
    assert source.read(b"k") == b"old"


def test_row_stream_all_zero_bytes(daemon, store, source):
    for length in (2, 100, 2 * MIB):
        source.write_stream(b"k", [bytes(length // 2), bytes(length - length // 2)])
        assert source.read(b"k") == bytes(length)


def test_row_stream_whose_source_fails_midway(daemon, store, source):
    source.write(b"k", b"old")
    with untouched(source):
        with Wire(daemon.binary_address, store) as wire:
            for announced in (None, 5 * MIB):
                stream = wire.start_write_stream(b"k", announced)
                for at in range(0, 600 << 10, 200 << 10):
                    wire.send_chunk(stream, LONG[at:at + (200 << 10)])
                wire.send_abort(stream)
                with pytest.raises(WireError):
                    wire.stream_answer(w.WRITE_STREAM, stream)
        with RawHttp(daemon.http_address) as http:
            http.send(request("PUT", f"/v1/stores/{store}/keys/k", headers=["Content-Length: 5000000"]) + LONG[:3 * MIB])
        time.sleep(0.05)
    assert source.read(b"k") == b"old"


def test_rows_as_the_file_shows_them(launch, mover_of):
    """What rename, copy, transfer and streams append, entry by entry, and that a restart finds the same."""
    daemon = launch()
    assert Curl(daemon.http, "target").create().status == 201
    source = mover_of(daemon, "default")
    source.write_stream(b"alpha", [LONG[:MIB], LONG[MIB:2 * MIB]])
    renamed = source.rename(b"alpha", b"beta")
    copied = source.copy(b"beta", "target")
    moved = source.transfer(b"beta", "target")
    daemon.stop()
    chain = read_chain(daemon.store_path("default"))
    value = LONG[:2 * MIB]
    beta = renamed["key_hash"]
    assert [(entry.key_hash, entry.payload == value, entry.is_tombstone) for entry in chain] == [
        (ALPHA, True, False), (beta, True, False), (ALPHA, False, True), (beta, False, True)]
    assert chain[1].offset == renamed["offset"] and chain[2].end == renamed["tail"]
    assert chain[3].end == moved["source_tail"]
    chain = read_chain(daemon.store_path("target"))
    assert [(entry.key_hash, entry.offset, entry.end) for entry in chain] == [
        (beta, copied["target_offset"], copied["target_tail"]), (beta, moved["target_offset"], moved["target_tail"])]
    assert all(entry.payload == value for entry in chain)
    daemon = launch()
    with Wire(daemon.binary_address, "target") as target:
        assert target.read(b"beta") == value
        assert target.info()["entries"] == 1
    with Wire(daemon.binary_address) as wire:
        assert wire.info()["entries"] == 0


def test_a_connection_that_is_closed_while_its_copy_waits(launch):
    """The copy goes with it, and what it waited for comes to its end. So many calls are under way meanwhile that the loop
    keeps none of those that end: a sanitizer sees whoever still looks at it."""
    daemon = launch("--stall-timeout-ms", "1000")
    Curl(daemon.http, "slow").create()
    with Wire(daemon.binary_address) as silent, Wire(daemon.binary_address) as one, Wire(daemon.binary_address) as other:
        one.write_stream(b"long", LONG)
        with Fault(daemon.process.pid, "fdatasync", path=daemon.store_path("slow"), what="delay_enter=4000000"):
            silent.start(w.READ_STREAM, w.read_stream_body("", b"long", w.ALL_ONES))
            silent.start(w.WRITE, w.write_body("slow", b"k", b"value"))
            silent.start(w.COPY, w.copy_body("slow", b"k", "default"))
            for wire in (one, other):
                wire.send(b"".join(frame(w.WRITE, i, w.write_body("", b"k", b"value")) for i in range(1000)))
            for wire in (one, other):
                for _ in range(1000):
                    assert wire.answer()[2] == 0
            wait_until(lambda: "it does not take its answers" in daemon.log(), "the connection is closed")
            with Wire(daemon.binary_address, "slow") as wire:
                wire.write(b"behind", b"it")
                assert wire.read(b"k") == b"value"
    with Wire(daemon.binary_address) as wire:
        assert wire.read(b"k") == b"value"
