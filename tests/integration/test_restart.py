# SPDX-License-Identifier: MIT
"""What was acknowledged is there after a stop and after a crash, and the file is what the format says."""
import hashlib
import os
import random
import zlib

from harness import wire as w
from harness.curl import Curl
from harness.storefile import live_entries, read_chain
from harness.wire import Wire, frame


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def fill(daemon, seed):
    """Random work on one store; returns what must be there afterwards."""
    source = random.Random(seed)
    expected = {}
    with Wire(daemon.binary_address) as wire:
        for _ in range(300):
            key = b"key %d" % source.randrange(60)
            kind = source.randrange(10)
            if kind < 6:
                expected[key] = source.randbytes(source.choice([1, 43, 44, 45, 64, 300, 5000])).replace(b"\0", b"0")
                wire.write(key, expected[key], w.NONE)
            elif kind < 8:
                wire.delete(key)
                expected.pop(key, None)
            else:
                entries = [(b"key %d" % source.randrange(60), source.randbytes(90)) for _ in range(20)]
                wire.batch_write(entries)
                expected.update(entries)
    return expected


def assert_holds(daemon, expected):
    with Wire(daemon.binary_address) as wire:
        assert wire.info()["entries"] == len(expected)
        keys = list(expected)
        assert wire.batch_read(keys) == [expected[key] for key in keys]
        assert wire.batch_read([b"key %d" % i for i in range(60)]) == [expected.get(b"key %d" % i) for i in range(60)]


def test_a_restart_changes_nothing(launch):
    daemon = launch()
    expected = fill(daemon, 1)
    with Wire(daemon.binary_address) as wire:
        last, entries, tail = wire.last(), wire.iterate(limit=1000), wire.info()["tail"]
    daemon.stop()
    path = daemon.store_path("default")
    before = digest(path)
    assert os.path.getsize(path) == tail
    daemon = launch()
    assert_holds(daemon, expected)
    with Wire(daemon.binary_address) as wire:
        assert (wire.last(), wire.iterate(limit=1000), wire.info()["tail"]) == (last, entries, tail)
    daemon.stop()
    assert digest(path) == before
    assert sorted(name for name in os.listdir(daemon.data_dir) if ".torn" in name) == []


def test_the_file_is_what_the_format_says(launch):
    daemon = launch()
    expected = fill(daemon, 2)
    with Wire(daemon.binary_address) as wire:
        rows = {key: wire.metadata(key) for key in expected}
    daemon.stop()
    live = live_entries(daemon.store_path("default"))
    assert {key: live[rows[key]["key_hash"]].payload for key in expected} == expected
    assert len(live) == len(expected)
    for row in rows.values():
        entry = live[row["key_hash"]]
        assert (entry.offset, len(entry.payload), entry.crc32) == (row["offset"], row["length"], row["crc32"])
        assert entry.offset % 64 == 0


def test_the_example_of_the_format_document(launch):
    """write alpha, write beta, delete alpha: 145 bytes, told byte by byte in docs/FORMAT.md."""
    daemon = launch()
    curl = Curl(daemon.http)
    curl.put("alpha", b"Hello, store!")
    curl.put("beta", bytes(range(0x28)))
    curl.delete("alpha")
    daemon.stop()
    with open(daemon.store_path("default"), "rb") as file:
        data = file.read()
    assert data == (b"Hello, store!" + bytes.fromhex("5aab25f6b50369be" "0000000000000000" "1a1297ca") + bytes(31) +
                    bytes(range(0x28)) + bytes.fromhex("41f6df977ffffa28" "2100000000000000" "3c2ea60d") +
                    b"\0" + bytes.fromhex("5aab25f6b50369be" "7c00000000000000" "8def02d2"))


def test_without_its_companions_a_store_is_the_same(launch):
    daemon = launch()
    expected = fill(daemon, 3)
    daemon.stop()
    for name in os.listdir(daemon.data_dir):
        if not name.endswith(".rdr"):
            os.unlink(os.path.join(daemon.data_dir, name))
    assert_holds(launch(), expected)


def test_acknowledged_writes_outlive_kill_9(launch):
    """Killed in the middle of a stream of writes: those answered are there, the rest whole or not at all."""
    for seed in range(3):
        daemon = launch()
        source = random.Random(seed)
        values = [source.randbytes(source.choice([1, 64, 1000, 20000])).replace(b"\0", b"0") for _ in range(400)]
        with Wire(daemon.binary_address) as wire:
            half = len(values) // 2
            wire.send(b"".join(frame(w.WRITE, i, w.write_body("default", b"%d/%d" % (seed, i), value))
                               for i, value in enumerate(values[:half])))
            answered = set()
            for _ in range(half):
                identifier, _, status, _ = wire.answer()
                assert status == w.OK
                answered.add(identifier)
            # These are under way, nobody knows how far, when it ends.
            wire.send(b"".join(frame(w.WRITE, i + half, w.write_body("default", b"%d/%d" % (seed, i + half), value))
                               for i, value in enumerate(values[half:])))
            answered.add(wire.answer()[0])
            daemon.kill()
            while (answer := wire.answer()) is not None:
                answered.add(answer[0])
        daemon = launch()
        with Wire(daemon.binary_address) as wire:
            read = wire.batch_read([b"%d/%d" % (seed, i) for i in range(len(values))])
        for i, value in enumerate(values):
            assert read[i] == value or (read[i] is None and i not in answered), i
        daemon.stop()
        read_chain(daemon.store_path("default"))


def test_answered_batches_outlive_kill_9(launch):
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        wire.send(b"".join(frame(w.BATCH_WRITE, i, w.batch_write_body(
            "default", [(b"%d/%d" % (i, j), b"v" * 3000) for j in range(50)])) for i in range(40)))
        answered = {wire.answer()[0] for _ in range(3)}
        daemon.kill()
        while (answer := wire.answer()) is not None:
            answered.add(answer[0])
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        for i in answered:
            assert wire.batch_read([b"%d/%d" % (i, j) for j in range(50)]) == [b"v" * 3000] * 50


def test_64_mib_outlive_a_restart(launch):
    value = random.Random(9).randbytes(64 << 20)
    daemon = launch()
    assert Curl(daemon.http).put("big", value).status == 201
    daemon.stop()
    daemon = launch()
    answer = Curl(daemon.http).get("big")
    assert zlib.crc32(answer.body) == zlib.crc32(value) and len(answer.body) == len(value)


def write_many(wire, version):
    """Enough keys for a checkpoint of the index to be worth it."""
    for first in range(0, 40000, 1000):
        wire.batch_write([(b"many %d" % i, b"%d of %d" % (version, i)) for i in range(first, first + 1000)])


def assert_many(wire, version):
    for first in range(0, 40000, 1000):
        numbers = range(first, first + 1000)
        assert wire.batch_read([b"many %d" % i for i in numbers]) == [b"%d of %d" % (version, i) for i in numbers]


def test_a_large_index_is_kept_over_a_stop(launch):
    daemon = launch()
    index = daemon.store_path("default") + ".index"
    with Wire(daemon.binary_address) as wire:
        write_many(wire, 1)
    assert not os.path.exists(index)
    daemon.stop()
    assert os.path.exists(index)
    kept = digest(index)
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        assert_many(wire, 1)
        write_many(wire, 2)
        wire.delete(b"many 7")
        wire.write(b"many 7", b"2 of 7")
    daemon.kill()
    assert digest(index) == kept
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        assert_many(wire, 2)
        assert wire.info()["entries"] == 40000
    daemon.stop()
    assert digest(index) != kept


def test_a_dropped_store_leaves_no_index(launch):
    daemon = launch()
    Curl(daemon.http, "big").create()
    with Wire(daemon.binary_address, "big") as wire:
        write_many(wire, 1)
    daemon.stop()
    assert os.path.exists(daemon.store_path("big") + ".index")
    daemon = launch()
    assert Curl(daemon.http, "big").drop("big").status == 200
    assert [name for name in os.listdir(daemon.data_dir) if name.startswith("big")] == []
    daemon.stop()
