# SPDX-License-Identifier: MIT
"""Every operation of the Python client, on both faces, against the real daemon."""
import io
import json
import os
import re
import zlib

import pytest

import rdrive
import rdrive.aio
from harness.daemon import REPOSITORY
from rdrive import Durability, KeyHash, Version

ODD_KEYS = [b"", b"\0", b"\xff\xfe", b"a/b", b"%2F", b" ", "schl\u00fcssel", "\U0001f511", b"k" * 32768,
            bytearray(b"array"), memoryview(b"view")]


def on_the_wire():
    """The names of the protocol's one table of operations."""
    with open(os.path.join(REPOSITORY, "protocol", "message.c"), encoding="utf-8") as file:
        rows = re.findall(r'\{RD_OPCODE_\w+, RD_CLASS_\w+, (true|false), "(\w+)"\}', file.read())
    return [name for wire, name in rows if wire == "true" and name not in ("hello", "auth")]  # with these a connection begins


@pytest.mark.parametrize("module", [rdrive, rdrive.aio], ids=["blocking", "aio"])
def test_no_operation_is_missing(module):
    names = on_the_wire()
    assert len(names) >= 20
    assert [name for name in names if not (hasattr(module.Store, name) or hasattr(module.Client, name))] == []


def test_write_read_delete(face):
    written = face.write("alpha", b"Hello, store!")
    assert written.crc32 == zlib.crc32(b"Hello, store!") and not written.replaced
    assert written.durability == Durability.SYNC and written.key_hash == KeyHash(0xbe6903b5f625ab5a)
    value = face.read("alpha")
    assert value == b"Hello, store!" and isinstance(value, bytes)
    assert value.version == written.version == Version(written.offset, written.crc32)
    assert face.write("alpha", b"again").replaced
    assert face.delete("alpha").found
    assert not face.delete("alpha").found
    with pytest.raises(KeyError) as raised:
        face.read("alpha")
    assert isinstance(raised.value, rdrive.KeyNotFound) and raised.value.status == 4 and raised.value.message
    assert face.get("alpha") is None and face.get("alpha", b"-") == b"-"


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: repr(bytes(key, "utf8") if isinstance(key, str) else bytes(key))[:20])
def test_odd_keys(face, key):
    written = face.write(key, b"value")
    assert face.read(key) == b"value" and face.exists(key)
    assert face.read(written.key_hash) == b"value"
    assert face.metadata(written.key_hash).key_hash == written.key_hash
    assert face.delete(written.key_hash).found and not face.exists(key)


@pytest.mark.parametrize("value", [b"x", b"\0\0", bytearray(b"array"), memoryview(b"view"), b"\xff" * 100000,
                                   memoryview(b"abcdef")[::2], os.urandom(5 << 20)], ids=lambda value: str(len(value)))
def test_values(face, value):
    face.write("key", value)
    assert face.read("key") == bytes(value)


def test_batches(face):
    entries = {f"key-{i}": b"value-%d" % i for i in range(1000)}
    assert face.batch_write(entries).written == 1000
    assert face.batch_read([*entries, "none"]) == [*entries.values(), None]
    assert face.batch_read([]) == []
    assert face.batch_write([("key-0", b"\0"), ("key-1", b"new")], allow_null_bytes=True).written == 2
    assert face.batch_read(["key-0", b"key-1"]) == [None, b"new"]
    assert face.batch_delete(["key-0", "key-1", "key-1", "key-2"]).deleted == 2
    assert face.len() == 997


def test_metadata_last_and_len(face):
    with pytest.raises(rdrive.KeyNotFound):
        face.last()
    assert face.len() == 0
    first = face.write("a", b"one")
    second = face.write("b", b"three")
    last = face.last()
    assert last == face.metadata("b")
    assert (last.offset, last.length, last.crc32, last.version) == (second.offset, 5, second.crc32, second.version)
    assert last.prev_tail == first.tail
    assert face.len() == 2


def test_iterate_ends_at_offset_0(face):
    """An offset of 0 would begin anew."""
    face.write("first", b"value")
    face.write("second", b"value")
    assert [entry.offset for entry in face.entries(page=1)] == [64, 0]


def test_iterate_pages(face):
    assert face.entries() == []
    face.batch_write({f"key-{i}": b"value" for i in range(25)})
    whole = face.entries()
    assert len(whole) == 25 and face.entries(page=7) == whole == face.entries(page=25)
    assert [entry.offset for entry in whole] == sorted((entry.offset for entry in whole), reverse=True)
    assert face.entries(whole[9].offset, page=4) == whole[10:]
    assert face.read(whole[0].key_hash) == b"value"


def test_stores(face, daemon):
    name = face.store.name + "-more"
    info = face.client.create(name, {"durability": "interval:500"})
    assert (info.name, info.durability, info.interval_ms, info.entries) == (name, Durability.INTERVAL, 500, 0)
    try:
        assert name in [row.name for row in face.client.stores()]
        other = face.client.store(name)
        assert other.name == name and face.client.info(name).state == rdrive.StoreState.OPEN
        assert face.client.info(name) == info and info.generation not in (0, face.info().generation)
        assert info.batch_marker
        with pytest.raises(rdrive.Conflict):
            face.client.create(name)
    finally:
        face.client.drop(name)
    with pytest.raises(rdrive.StoreNotFound):
        face.client.info(name)
    with pytest.raises(rdrive.Forbidden):
        face.client.drop("default")


def test_create_and_drop_through_the_store(open_face, daemon):
    face = open_face(daemon.binary, "made-by-itself")
    assert face.create().name == "made-by-itself"
    assert face.info().entries == 0
    face.drop()
    with pytest.raises(rdrive.StoreNotFound):
        face.info()


def test_ping(face):
    face.ping()
    face.client.ping(b"x" * 64)
    with pytest.raises(rdrive.InvalidArgument):
        face.ping(b"x" * 65)


@pytest.mark.parametrize("durability", [Durability.DEFAULT, Durability.SYNC, Durability.NONE])
def test_durability_of_a_write(face, durability):
    in_force = durability or Durability.SYNC
    assert face.write("a", b"b", durability=durability).durability == in_force
    assert face.batch_write({"c": b"d"}, durability=durability).durability == in_force
    assert face.batch_delete(["c"], durability=durability).durability == in_force
    assert face.delete("a", durability=durability).durability == in_force


def test_conditions(face):
    first = face.write("key", b"one", if_absent=True)
    with pytest.raises(rdrive.PreconditionFailed):
        face.write("key", b"two", if_absent=True)
    with pytest.raises(rdrive.PreconditionFailed):
        face.write("other", b"two", if_present=True)
    second = face.write("key", b"two", if_version=first.version)
    with pytest.raises(rdrive.PreconditionFailed):
        face.write("key", b"three", if_version=first.version)
    with pytest.raises(rdrive.PreconditionFailed):
        face.delete("key", if_version=first.version)
    with pytest.raises(rdrive.PreconditionFailed):
        face.delete("other", if_present=True)
    assert face.read("key") == b"two"
    assert face.delete("key", if_version=second.version).found
    with pytest.raises(ValueError):
        face.write("key", b"x", if_absent=True, if_present=True)


def test_rename(face):
    version = face.write("old", b"value").version
    with pytest.raises(rdrive.Conflict):
        face.rename("old", "old")
    with pytest.raises(rdrive.KeyNotFound):
        face.rename("none", "new")
    face.write("taken", b"other")
    with pytest.raises(rdrive.PreconditionFailed):
        face.rename("old", "taken", if_absent=True)
    with pytest.raises(rdrive.PreconditionFailed):
        face.rename("old", "new", if_version=Version(version.offset, version.crc32 ^ 1))
    renamed = face.rename("old", "new", if_version=version, if_absent=True)
    assert renamed.crc32 == version.crc32 and not renamed.replaced
    assert face.batch_read(["old", "new"]) == [None, b"value"]
    assert face.rename("new", "taken", durability=Durability.NONE).replaced
    assert face.read("taken") == b"value" and face.len() == 1


def test_copy_and_transfer(face):
    target = face.store.name + "-target"
    face.client.create(target)
    try:
        face.write("key", b"value")
        copied = face.copy("key", target)
        assert face.client.info(target).tail == copied.target_tail and face.exists("key")
        moved = face.transfer("key", face.store.client.store(target))
        assert moved.target_tail == face.client.info(target).tail and moved.source_tail == face.info().tail
        assert not face.exists("key") and face.client.info(target).entries == 1
        face.write("key", b"value")
        for move in (face.copy, face.transfer):
            with pytest.raises(rdrive.KeyNotFound):
                move("none", target)
            with pytest.raises(rdrive.StoreNotFound):
                move("key", "nowhere")
            with pytest.raises(rdrive.Conflict):
                move("key", face.store.name)
    finally:
        face.client.drop(target)


def test_reading_into_a_file(face):
    value = os.urandom(3 << 20)
    face.write_stream("key", io.BytesIO(value))
    file = io.BytesIO()
    head = face.read_to("key", file)
    assert file.getvalue() == value and head.crc32 == zlib.crc32(value) and head.value_length == len(value)
    file = io.BytesIO()
    head = face.read_to("key", file, first=5, length=7)
    assert (file.getvalue(), head.first, head.length) == (value[5:12], 5, 7)


def test_as_a_mapping(daemon, store):
    with rdrive.open(store, daemon.binary) as mapping:
        mapping["a"] = b"one"
        mapping[b"b"] = b"two"
        assert mapping["a"] == b"one" and "a" in mapping and "c" not in mapping and len(mapping) == 2
        assert sorted(bytes(mapping[entry.key_hash]) for entry in mapping) == [b"one", b"two"]
        del mapping["a"]
        with pytest.raises(KeyError):
            del mapping["a"]
        with pytest.raises(KeyError):
            mapping["a"]
        with pytest.raises(TypeError):
            mapping["a"] = "text"
        with pytest.raises(TypeError):
            mapping[5] = b"value"
        assert mapping and mapping.get("a") is None
    assert not mapping.client.connected


def test_unix_socket(open_face, daemon, store):
    for server in (daemon.unix_path, "unix:" + daemon.unix_path):
        face = open_face(server, store)
        face.write("key", b"value")
        assert face.read("key") == b"value"


def test_a_value_shows_as_json_elsewhere(face):
    """A Value is bytes to everyone else: it can be decoded, hashed, compared and sliced."""
    face.write("key", json.dumps([1, 2]).encode())
    value = face.read("key")
    assert json.loads(value) == [1, 2] and value[1:2] == b"1" and {value: 1}[b"[1, 2]"] == 1
