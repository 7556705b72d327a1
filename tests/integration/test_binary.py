# SPDX-License-Identifier: MIT
"""What is the binary protocol's own, with bytes made by hand. docs/PROTOCOL.md is what it holds to."""
import hashlib
import random
import struct
import zlib

import pytest

from harness import wire as w
from harness.wire import Hash, Wire, WireError, frame

MIB = 1 << 20

HASH_OF_HELLO = 0x9555e8555c62dcfd


def status_of(call, *arguments):
    with pytest.raises(WireError) as caught:
        call(*arguments)
    return caught.value.status


def test_hello_states_the_limits(wire):
    assert wire.limits["body_len_max"] >= 64 * MIB
    assert wire.limits["key_len_max"] >= 1024
    assert wire.limits["batch_count_max"] >= 1024
    assert wire.limits["in_flight_max"] >= 100


def test_ping(wire):
    wire.ping()
    wire.ping(b"x" * 64)
    assert status_of(wire.ping, b"x" * 65) == 1
    wire.ping()


def test_write_answers_with_everything(wire):
    first = wire.write(b"hello", b"v" * 10)
    assert first == {"offset": 0, "tail": 30, "crc32": zlib.crc32(b"v" * 10), "key_hash": HASH_OF_HELLO, "replaced": 0,
                     "durability": 1, "interval_ms": 0}
    second = wire.write(Hash(HASH_OF_HELLO), b"w", durability=3)
    assert second == {"offset": 64, "tail": 85, "crc32": zlib.crc32(b"w"), "key_hash": HASH_OF_HELLO, "replaced": 1,
                      "durability": 3, "interval_ms": 0}


def test_read_and_metadata_tell_where_the_entry_lies(wire):
    wire.write(b"a", b"1")
    wire.write(b"hello", b"value")
    fields, value = wire.read_all(b"hello")
    assert value == b"value"
    assert fields == {"offset": 64, "crc32": zlib.crc32(b"value"), "key_hash": HASH_OF_HELLO, "prev_tail": 21}
    assert wire.metadata(b"hello") == {**fields, "length": 5}
    assert wire.last() == wire.metadata(b"hello")


def test_delete_and_batches_tell_the_tail(wire):
    assert wire.batch_write([(b"a", b"1"), (b"b", b"2")]) == {"offset": 128, "tail": 149, "count": 2, "durability": 1, "interval_ms": 0}
    assert wire.delete(b"a") == {"tail": 170, "found": 1, "durability": 1, "interval_ms": 0}
    assert wire.delete(b"a")["found"] == 0
    assert wire.batch_delete([b"a", b"b"]) == {"tail": 191, "count": 1, "durability": 1, "interval_ms": 0}
    assert wire.info()["tail"] == 191


@pytest.mark.parametrize("value", [b"", b"\0"])
def test_empty_and_one_nul_are_no_values(wire, value):
    wire.write(b"k", b"before")
    assert status_of(wire.write, b"k", value) == 1
    assert status_of(wire.batch_write, [(b"k", b"after"), (b"x", value)]) == 1
    assert wire.read(b"k") == b"before"
    assert wire.info()["entries"] == 1
    if value == b"":
        assert status_of(wire.batch_write, [(b"k", value)], 1) == 1


def test_unknown_store(daemon):
    with Wire(daemon.binary_address, "no-such-store") as connection:
        for call in (lambda: connection.write(b"k", b"v"), lambda: connection.read(b"k"), lambda: connection.delete(b"k"),
                     lambda: connection.batch_write([(b"k", b"v")]), lambda: connection.batch_read([b"k"]),
                     lambda: connection.batch_delete([b"k"]), lambda: connection.exists(b"k"), lambda: connection.metadata(b"k"),
                     connection.last, connection.iterate, connection.info, lambda: connection.drop("no-such-store")):
            assert status_of(call) == 5
        connection.ping()


def test_an_empty_name_is_the_default_store(daemon):
    with Wire(daemon.binary_address, "") as nameless, Wire(daemon.binary_address, "default") as named:
        nameless.write(b"of the default store", b"v")
        assert named.read(b"of the default store") == b"v"
        named.delete(b"of the default store")
        assert not nameless.exists(b"of the default store")


def test_stores_create_info_drop(wire):
    row = wire.create("made-by-hand", b'{"durability":"none"}')
    assert (row["name"], row["state"], row["durability"], row["entries"]) == ("made-by-hand", "open", 3, 0)
    assert status_of(wire.create, "made-by-hand") == 8
    assert "made-by-hand" in [row["name"] for row in wire.stores()]
    with_settings = Wire(wire.socket.getpeername(), "made-by-hand")
    assert with_settings.write(b"k", b"v")["durability"] == 3
    assert with_settings.info()["entries"] == 1
    with_settings.socket.close()
    assert status_of(wire.drop, "made-by-hand", "") == 1
    assert status_of(wire.drop, "made-by-hand", "other") == 1
    wire.drop("made-by-hand")
    assert "made-by-hand" not in [row["name"] for row in wire.stores()]


def test_64_mib(wire):
    value = random.Random(65).randbytes(64 * MIB)
    assert wire.write(b"big", value)["crc32"] == zlib.crc32(value)
    fields, read = wire.read_all(b"big")
    assert hashlib.sha256(read).digest() == hashlib.sha256(value).digest()
    assert fields["crc32"] == zlib.crc32(value)


def test_ids_are_given_back_as_they_are(wire):
    for identifier in (0, 1, 1 << 63, (1 << 64) - 1):
        wire.send(frame(0x02, identifier))
        assert wire.expect(0x02, identifier) == b""


def test_iterate_goes_on_below_an_offset(wire):
    wire.batch_write([(b"%d" % i, b"v") for i in range(10)])
    everything = wire.iterate()
    assert len(everything) == 10
    assert wire.iterate(limit=3) == everything[:3]
    assert wire.iterate(after=everything[2]["offset"], limit=3) == everything[3:6]
    assert wire.iterate(after=everything[8]["offset"]) == everything[9:]
    assert wire.iterate(after=1 << 63) == everything
    assert wire.iterate(after=everything[9]["offset"] + 1, limit=10000) == everything[9:]
    assert wire.iterate(after=1, limit=10000) == [], "a batch's marker lies before its first entry"
    assert status_of(wire.iterate, 0, 10001) == 1


# ---- what is wrong is answered, and the connection lives on ---------------------------------------------------------

def test_wrong_magic(daemon):
    for magic in (b"\0" * 16, b"\xd2RDRIVE\r" + bytes(8), b"GET / HTTP/1.1\r\n"):
        with Wire(daemon.binary_address, greet=False) as connection:
            connection.send(magic)
            status, body = connection.hello()
            assert status == w.INVALID_ARGUMENT and b"magic" in body
            assert connection.closed()
    with Wire(daemon.binary_address) as connection:
        connection.ping()


def test_wrong_version_can_be_followed_by_a_right_one(daemon):
    with Wire(daemon.binary_address, greet=False) as connection:
        for version in (0, 2, 0xffff):
            connection.send(w.MAGIC + struct.pack("<HHI", version, 0, 0))
            assert connection.hello()[0] == w.UNSUPPORTED
        connection.send(w.HELLO)
        assert connection.hello()[0] == w.OK
        connection.ping()


def test_unknown_operations(wire):
    known = {*range(0x02, 0x05), *range(0x10, 0x18), *range(0x20, 0x27), *range(0x30, 0x38), *range(0x40, 0x44)}
    for opcode in range(256):
        if opcode in known:
            continue
        wire.send(frame(opcode, opcode, b"whatever it says"))
        assert status_of(wire.expect, opcode, opcode) == 20
    wire.ping()


def test_flags_and_status_of_a_request_are_zero(wire):
    for flags, status in ((1, 0), (0x80, 0), (0, 1)):
        wire.send(frame(0x02, 5, flags=flags, status=status))
        assert status_of(wire.expect, 0x02, 5) == 1
    wire.ping()


def test_a_body_just_above_the_limit_is_skipped(wire):
    length = wire.limits["body_len_max"] + 1
    wire.send(frame(0x10, 7, body_len=length))
    assert status_of(wire.expect, 0x10, 7) == 11
    for _ in range(length // MIB):
        wire.send(bytes(MIB))
    wire.send(bytes(length % MIB))
    wire.ping()


def test_a_body_far_above_the_limit_ends_the_connection(daemon):
    with Wire(daemon.binary_address) as connection:
        connection.send(frame(0x10, 7, body_len=0xffffffff))
        assert status_of(connection.expect, 0x10, 7) == 11
        assert connection.closed()
    with Wire(daemon.binary_address) as connection:
        connection.ping()


def test_a_key_longer_than_the_limit(wire):
    limit = wire.limits["key_len_max"]
    wire.write(b"k" * limit, b"v")
    assert wire.read(b"k" * limit) == b"v"
    assert status_of(wire.write, b"k" * (limit + 1), b"v") == 11
    wire.ping()


def test_more_items_than_the_limit(wire):
    count = wire.limits["batch_count_max"] + 1
    assert status_of(wire.batch_read, [Hash(i) for i in range(count)]) == 11
    assert wire.batch_read([Hash(i) for i in range(count - 1)]) == [None] * (count - 1)


def complete_bodies(store):
    """One valid body an operation, with whether a shorter one is invalid (a write's value may be any shorter)."""
    key = store + b"\0\3\0\0\0key"
    return {
        0x12: store + b"\0\0" + struct.pack("<I", 2) + b"\0\1\0\0\0a\1\0\0\0x" + b"\1" + bytes(8) + b"\2\0\0\0yz",
        0x16: store + b"\0" + b"\0\3\0\0\0key",
        0x17: store + b"\0" + struct.pack("<I", 1) + b"\0\3\0\0\0key",
        0x20: key, 0x22: key, 0x23: key,
        0x21: store + struct.pack("<I", 2) + b"\0\1\0\0\0a" + b"\1" + bytes(8),
        0x24: store, 0x32: store,
        0x25: store + struct.pack("<QI", 0, 10),
        0x31: b"\5fresh" + struct.pack("<I", 2) + b"{}",
        0x33: store + b"\5other",
    }


@pytest.mark.parametrize("opcode", complete_bodies(b""), ids=hex)
def test_a_body_cut_at_every_byte(wire, opcode):
    store = bytes([len(wire.store)]) + wire.store.encode()
    body = complete_bodies(store)[opcode]
    for length in range(len(body)):
        wire.send(frame(opcode, length, body[:length]))
    wire.send(frame(opcode, 1 << 32, body + b"more"))
    for length in [*range(len(body)), 1 << 32]:
        assert status_of(wire.expect, opcode, length) == 1, length
    wire.ping()


@pytest.mark.parametrize("field, body", [
    ("key form", b"\0\2" + bytes(12)), ("key form", b"\0\xff" + bytes(12)),
    ("key length", b"\0\0\xff\xff\xff\xff"), ("store name", b"\xff"),
])
def test_fields_out_of_range_in_a_read(wire, field, body):
    wire.send(frame(0x20, 1, body))
    assert status_of(wire.expect, 0x20, 1) in (1, 11), field
    wire.ping()


def test_counts_are_not_believed(wire):
    store = bytes([len(wire.store)]) + wire.store.encode()
    for opcode, head in ((0x12, b"\0\0"), (0x17, b"\0"), (0x21, b"")):
        for count in (1, 1000, 0x7fffffff, 0xffffffff):
            wire.send(frame(opcode, count, store + head + struct.pack("<I", count)))
            assert status_of(wire.expect, opcode, count) in (1, 11)
    wire.ping()


@pytest.mark.parametrize("name", [b".hidden", b"a b", b"a/b", b"..", b"x" * 65, b"\0", b"\xff", b"a\nb"])
def test_bad_store_names(wire, name):
    assert status_of(wire.create, name) == 1
    other = bytes([len(name)]) + name
    wire.send(frame(0x24, 9, other))
    assert status_of(wire.expect, 0x24, 9) in (1, 5)


def test_malformed_settings(wire):
    for settings in (b"{", b"[]", b'"x"', b'{"durability":"perhaps"}', b'{"durability":7}', b'{"no-such":"field"}', b"\xff"):
        assert status_of(wire.create, "never-made", settings) == 1
    assert "never-made" not in [row["name"] for row in wire.stores()]
