# SPDX-License-Identifier: MIT
"""What each operation does, through every door: HTTP, binary frames made by hand, the CLI online and offline."""
import os
import random
import zlib

import pytest

from harness.cli import Cli
from harness.curl import Curl
from harness.doors import CliDoor, HttpDoor, WireDoor
from harness.wire import Hash, Wire

# XXH3-64 of keys, from the format's document.
HASHES = {b"": 0x2d06800538d394c2, b"a": 0xe6c632b61e964e1f, b"hello": 0x9555e8555c62dcfd,
          bytes(i & 0xff for i in range(300)): 0xd44052f5a3485425, b"a" * 300: 0xc1d17581d8eb7e21}

KEYS = {
    "empty": b"", "nul": b"\0", "nul-inside": b"a\0b", "slash": b"a/b//c/", "slashes": b"//", "dots": b"../../etc/passwd",
    "dot": b".", "percent": b"100%", "percent-escape": b"%2F%00", "space": b" two  words ", "plus": b"1+1",
    "question": b"a?b=c&d", "hash": b"a#b", "quote": b"\"'\\", "newline": b"a\r\nb", "not-utf8": b"\xff\xfe\x80",
    "utf8": "schlüssel-鍵".encode(), "every-byte": bytes(range(256)), "dash": b"--help", "long": b"k" * 1100,
}

LENGTHS = [1, 2, 43, 44, 45, 63, 64, 65, 4096, 1 << 20]


def value_of(length, seed=1):
    return random.Random(seed * 1000003 + length).randbytes(length) if length > 1 else b"x"


@pytest.fixture(params=["http", "http-unix", "binary", "binary-unix", "cli", "cli-unix", "offline"])
def door(request):
    if request.param == "offline":
        path = os.path.join(request.getfixturevalue("folder"), "offline.rdr")
        offline = Cli(("--file", path))
        offline.ok("create")
        yield CliDoor(offline)
        return
    daemon = request.getfixturevalue("daemon")
    store = request.getfixturevalue("store")
    unix = daemon.unix_path
    if request.param.startswith("http"):
        yield HttpDoor(Curl(daemon.http, store, unix if "unix" in request.param else None))
    elif request.param.startswith("binary"):
        with Wire(unix if "unix" in request.param else daemon.binary_address, store) as connection:
            yield WireDoor(connection)
    else:
        yield CliDoor(Cli(("--unix", unix) if "unix" in request.param else ("--server", daemon.binary), store))


def test_write_then_read(door):
    door.write(b"alpha", b"Hello, store!")
    assert door.read(b"alpha") == b"Hello, store!"
    assert door.exists(b"alpha")
    assert door.length() == 1


def test_the_newest_of_several_writes_is_read(door):
    for i in range(3):
        door.write(b"alpha", b"value %d" % i)
    assert door.read(b"alpha") == b"value 2"
    assert door.length() == 1


def test_a_missing_key_is_not_found(door):
    door.write(b"alpha", b"1")
    assert door.read(b"beta") is None
    assert not door.exists(b"beta")
    assert door.metadata(b"beta") is None


def test_delete(door):
    door.write(b"alpha", b"1")
    door.write(b"beta", b"2")
    assert door.delete(b"alpha") is True
    assert door.read(b"alpha") is None
    assert not door.exists(b"alpha")
    assert door.read(b"beta") == b"2"
    assert door.length() == 1


def test_delete_of_a_missing_key_succeeds_and_writes_nothing(door):
    door.write(b"alpha", b"1")
    last = door.last()
    assert door.delete(b"beta") is False
    assert door.delete(b"beta") is False
    assert door.last() == last
    assert door.length() == 1


def test_write_after_delete(door):
    door.write(b"alpha", b"1")
    door.delete(b"alpha")
    door.write(b"alpha", b"2")
    assert door.read(b"alpha") == b"2"
    assert door.length() == 1


@pytest.mark.parametrize("name", KEYS)
def test_every_key_is_a_key(door, name):
    key = KEYS[name]
    door.write(key, b"value of " + name.encode())
    door.write(b"neighbour", b"of another key")
    assert door.read(key) == b"value of " + name.encode()
    assert door.exists(key)
    assert door.length() == 2
    assert door.delete(key) is True
    assert door.read(key) is None
    assert door.read(b"neighbour") == b"of another key"


@pytest.mark.parametrize("length", LENGTHS)
def test_a_value_of_any_length(door, length):
    value = value_of(length)
    door.write(b"k", value)
    assert door.read(b"k") == value
    metadata = door.metadata(b"k")
    assert metadata["length"] == length
    assert metadata["crc32"] == zlib.crc32(value)


def test_metadata(door):
    for i, (key, key_hash) in enumerate(HASHES.items()):
        value = b"v" * (i + 1)
        door.write(key, value)
        metadata = door.metadata(key)
        assert metadata["key_hash"] == key_hash
        assert metadata["length"] == len(value)
        assert metadata["crc32"] == zlib.crc32(value)
        assert metadata["offset"] % 64 == 0


def test_by_hash(door):
    door.write(b"hello", b"by key")
    by_hash = Hash(HASHES[b"hello"])
    assert door.read(by_hash) == b"by key"
    assert door.exists(by_hash)
    assert door.metadata(by_hash) == door.metadata(b"hello")
    door.write(by_hash, b"by hash")
    assert door.read(b"hello") == b"by hash"
    assert door.read(Hash(HASHES[b"a"])) is None
    assert door.batch_read([by_hash, b"hello", Hash(1)]) == [b"by hash", b"by hash", None]
    assert door.delete(by_hash) is True
    assert door.read(b"hello") is None


def test_batch_write_and_read(door):
    entries = [(b"key %d" % i, value_of(i + 1)) for i in range(100)]
    assert door.batch_write(entries) == 100
    assert door.length() == 100
    keys = [key for key, _ in entries]
    random.Random(7).shuffle(keys)
    expected = dict(entries)
    asked = [*keys, b"missing", b"key 3", b"key 3"]
    assert door.batch_read(asked) == [expected.get(key) for key in asked]


def test_batch_write_by_hash(door):
    assert door.batch_write([(Hash(HASHES[b"a"]), b"1"), (b"hello", b"2"), (Hash(5), b"3")]) == 3
    assert door.batch_read([b"a", Hash(HASHES[b"hello"]), Hash(5)]) == [b"1", b"2", b"3"]


def test_batch_with_one_key_twice_keeps_the_last(door):
    door.batch_write([(b"k", b"first"), (b"other", b"o"), (b"k", b"second")])
    assert door.read(b"k") == b"second"
    assert door.length() == 2


def test_empty_batches_succeed_and_write_nothing(door):
    door.write(b"k", b"v")
    last = door.last()
    assert door.batch_write([]) == 0
    assert door.batch_read([]) == []
    assert door.batch_delete([]) == 0
    assert door.last() == last


def test_batch_delete(door):
    door.batch_write([(b"key %d" % i, b"v") for i in range(10)])
    assert door.batch_delete([b"key 1", b"missing", b"key 3", b"key 1"]) == 2
    assert door.length() == 8
    assert door.batch_read([b"key 0", b"key 1", b"key 2", b"key 3"]) == [b"v", None, b"v", None]


def test_batch_with_allowed_null_bytes_deletes(door):
    door.write(b"k", b"v")
    door.write(b"other", b"v")
    door.batch_write([(b"k", b"\0")], allow_null_bytes=True)
    assert door.read(b"k") is None
    assert door.length() == 1


def test_a_key_deleted_and_written_in_one_batch_is_present(door):
    door.batch_write([(b"k", b"\0"), (b"k", b"v")], allow_null_bytes=True)
    assert door.read(b"k") == b"v"
    assert door.length() == 1


@pytest.mark.parametrize("length", [2, 64, 4096, 70000])
def test_zero_bytes_are_a_value_from_two_on(door, length):
    door.write(b"zeros", bytes(length))
    assert door.read(b"zeros") == bytes(length)
    door.batch_write([(b"more", bytes(length))])
    assert door.read(b"more") == bytes(length)


def test_last_is_the_live_entry_with_the_highest_offset(door):
    assert door.last() is None
    door.write(b"a", b"1")
    door.write(b"hello", b"22")
    assert door.last() == door.metadata(b"hello")
    door.write(b"a", b"333")
    assert door.last() == door.metadata(b"a")
    door.delete(b"a")
    assert door.last() == door.metadata(b"hello")
    door.delete(b"hello")
    assert door.last() is None


def test_entries_are_the_live_ones_newest_first(door):
    assert door.entries() == []
    for i in range(7):
        door.write(b"key %d" % i, value_of(i + 1))
    door.write(b"key 2", b"newer")
    door.delete(b"key 4")
    order = [2, 6, 5, 3, 1, 0]
    assert door.entries() == [door.metadata(b"key %d" % i) for i in order]
