# SPDX-License-Identifier: MIT
"""Streams of the Python client, on both faces, against the real daemon."""
import asyncio
import glob
import hashlib
import io
import os
import random
import resource
import tempfile
import zlib

import pytest

import rdrive
import rdrive.aio
from harness.daemon import DEADLINE_S, wait_until

LONG = 64 << 20


class Pattern:
    """A file object of `length` bytes that are cheap to make and not the same everywhere."""

    def __init__(self, length, step=None):
        self.block = random.Random(7).randbytes(1 << 20)
        self.length = length
        self.at = 0
        self.step = step
        self.digest = hashlib.sha256()

    def read(self, size=-1):
        size = min(size if self.step is None else self.step, self.length - self.at, len(self.block))
        piece = self.block[:size]
        self.at += size
        self.digest.update(piece)
        return piece


class Sink:
    """A file object that takes what it is given in bites, and keeps a digest."""

    def __init__(self, bite=None):
        self.bite = bite
        self.length = 0
        self.digest = hashlib.sha256()

    def write(self, data):
        taken = bytes(data[:self.bite])
        self.digest.update(taken)
        self.length += len(taken)
        return len(taken)


def test_64_mib_through_both_streams(face):
    source = Pattern(LONG)
    written = face.write_stream("long", source, length=LONG)
    sink = Sink()
    head = face.read_to("long", sink)
    assert (head.value_length, head.first, head.length, head.crc32) == (LONG, 0, LONG, written.crc32)
    assert sink.length == LONG and sink.digest.digest() == source.digest.digest()
    assert face.metadata("long").length == LONG


@pytest.mark.parametrize("size", [1, 2, 255, 256 << 10, (256 << 10) + 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_sizes_around_chunk_and_window(face, size):
    value = random.Random(size).randbytes(size)
    if value == b"\0":
        value = b"\1"
    written = face.write_stream("key", io.BytesIO(value))
    assert written.crc32 == zlib.crc32(value) and not written.replaced
    assert face.read("key") == value
    assert face.download("key", window=1000)[1] == value


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_that_lets_nothing_through(face, window):
    """Not a wait for what will not come."""
    face.write("key", b"value")
    with pytest.raises(rdrive.InvalidArgument):
        face.download("key", window=window)
    assert face.download("key", window=1)[1] == b"value"


def test_sources(face):
    value = os.urandom(300_000)
    pieces = [value[:1], b"", bytearray(value[1:5]), memoryview(value)[5:]]
    face.write_stream("list", pieces)
    face.write_stream("generator", (piece for piece in pieces))
    face.write_stream("file", Pattern(1000, step=7))
    with tempfile.TemporaryFile() as file:
        file.write(value)
        file.seek(0)
        face.write_stream("real file", file, length=len(value))
    assert [face.read(key) == value for key in ("list", "generator", "real file")] == [True] * 3
    assert len(face.read("file")) == 1000
    for wrong in (b"bytes", "text", io.StringIO("text")):
        with pytest.raises(TypeError):
            face.write_stream("wrong", wrong)
    with pytest.raises(TypeError):
        face.write_stream("wrong", ["text"])
    assert not face.exists("wrong")


def test_asynchronous_sources(daemon, store):
    async def pieces():
        for number in range(10):
            await asyncio.sleep(0)
            yield b"%d" % number

    async def run():
        async with rdrive.aio.open(store, daemon.binary) as target:
            await target.write_stream("iterable", pieces())
            reader = asyncio.StreamReader()
            reader.feed_data(b"from a reader")
            reader.feed_eof()
            await target.write_stream("reader", reader)
            assert await target.batch_read(["iterable", "reader"]) == [b"0123456789", b"from a reader"]

    asyncio.run(run())


def test_into_a_file_that_takes_bites(face):
    face.write("key", b"abcdefghij" * 1000)
    sink = Sink(bite=7)
    face.read_to("key", sink)
    assert sink.digest.digest() == hashlib.sha256(b"abcdefghij" * 1000).digest()


def test_ranges(face):
    value = random.Random(1).randbytes(10_000)
    face.write("key", value)
    for options, expected in [({}, value), ({"first": 9_999}, value[9_999:]), ({"first": 10, "length": 5}, value[10:15]),
                              ({"length": 1}, value[:1]), ({"first": 9_990, "length": 1 << 40}, value[9_990:]),
                              ({"suffix": 3}, value[-3:]), ({"suffix": 1 << 40}, value)]:
        head, got = face.download("key", **options)
        assert got == expected and head.length == len(got) and head.value_length == len(value)
        assert value[head.first:head.first + head.length] == got
    for options in ({"first": 10_000}, {"suffix": 0}, {"first": 1, "length": 0}):
        with pytest.raises(rdrive.RangeNotSatisfiable):
            face.download("key", **options)
    with pytest.raises(rdrive.KeyNotFound):
        face.download("none")
    with pytest.raises(rdrive.InvalidArgument):
        face.download("key", first=1, suffix=1)


def test_conditions_of_a_stream(face):
    first = face.write_stream("key", [b"one"], if_absent=True)
    with pytest.raises(rdrive.PreconditionFailed):
        face.write_stream("key", [b"two"], if_absent=True)
    with pytest.raises(rdrive.PreconditionFailed):
        face.write_stream("other", Pattern(3 << 20), if_present=True)
    assert face.write_stream("key", [b"three"], if_version=first.version).replaced
    assert face.read("key") == b"three"


def test_refusals(face):
    for pieces, length in (([], None), ([b"\0"], None), ([b"12345"], 4), ([b"123"], 4)):
        with pytest.raises(rdrive.InvalidArgument):
            face.write_stream("key", pieces, length=length)
    assert not face.exists("key")
    face.ping()


def test_an_upload_to_nowhere_ends_early(open_face, daemon):
    face = open_face(daemon.binary, "nowhere")
    source = Pattern(LONG)
    with pytest.raises(rdrive.StoreNotFound):
        face.write_stream("key", source)
    assert source.at < LONG, "the answer came early, the client should have stopped"
    face.ping()


class Interrupted(Exception):
    pass


def test_a_source_that_raises_writes_nothing(face):
    def pieces():
        for _ in range(20):
            yield b"x" * 200_000
        raise Interrupted

    face.write("key", b"old")
    tail = face.info().tail
    with pytest.raises(Interrupted):
        face.write_stream("key", pieces())
    assert face.read("key") == b"old" and face.info().tail == tail


def test_a_download_is_given_up(face):
    face.write_stream("key", Pattern(LONG))
    for _ in range(20):
        assert len(face.begin_download("key", 2)) > 0
    face.write("key", b"new")
    assert face.download("key")[1] == b"new" and face.read("key") == b"new"


def test_a_stream_that_is_dropped_is_given_up(daemon, store):
    """The server must not pin the value for as long as the connection lives."""
    with rdrive.open(store, daemon.binary) as target:
        target.write_stream("key", Pattern(4 << 20))
        for _ in target.read_stream("key", window=1 << 16):
            break

        def forgotten():
            target.ping()
            return target.client._link.session.pending == 0

        wait_until(forgotten, "the server's last part")

    async def run():
        async with rdrive.aio.open(store, daemon.binary) as target:
            async for _ in target.read_stream("key", window=1 << 16):
                break
            link = await target.client.link()
            await target.ping()
            while link.session.pending:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def test_a_slow_reader_keeps_the_value_it_asked_for(face):
    source = Pattern(5 << 20)
    face.write_stream("key", source)
    if face.store.__class__ is rdrive.Store:
        with face.store.read_stream("key", window=1 << 16) as stream:
            got = next(stream)
            face.write("key", b"new")
            face.delete("key")
            digest = hashlib.sha256(got + b"".join(stream)).digest()
    else:
        async def run():
            async with face.store.read_stream("key", window=1 << 16) as stream:
                got = await stream.__anext__()
                await face.store.write("key", b"new")
                await face.store.delete("key")
                return hashlib.sha256(got + b"".join([chunk async for chunk in stream])).digest()
        digest = face.loop.run_until_complete(run())
    assert digest == source.digest.digest()


def test_from_one_stream_into_another_on_one_connection(daemon, store):
    source = Pattern(8 << 20)
    with rdrive.open(store, daemon.binary) as target:
        target.write_stream("a", source)
        with target.read_stream("a") as stream:
            target.write_stream("b", stream, if_absent=True)
        sink = Sink()
        target.read_to("b", sink)
    assert sink.digest.digest() == source.digest.digest()


def test_streams_do_not_keep_requests_waiting(daemon, store):
    """Fifty uploads and downloads under way on one connection; small requests are answered between them."""
    async def run():
        async with rdrive.aio.open(store, daemon.binary) as target:
            await target.write("value", os.urandom(4 << 20))
            gate = asyncio.Event()

            async def stalled():
                yield b"x" * 100_000
                await gate.wait()
                yield b"y"

            async def reading():
                async with target.read_stream("value", window=1 << 16) as stream:
                    await stream.__anext__()
                    await gate.wait()
                    return stream.head.length

            uploads = [asyncio.create_task(target.write_stream(f"up-{i}", stalled())) for i in range(25)]
            downloads = [asyncio.create_task(reading()) for _ in range(25)]
            await asyncio.sleep(0)
            for number in range(50):
                await target.write(f"small-{number}", b"v")
                assert await target.read(f"small-{number}") == b"v"
            assert not any(task.done() for task in uploads + downloads)
            gate.set()
            await asyncio.gather(*uploads)
            assert await asyncio.gather(*downloads) == [4 << 20] * 25
            assert all(len(value) == 100_001 for value in await target.batch_read([f"up-{i}" for i in range(25)]))

    asyncio.run(run())


def test_cancelled_in_the_middle(daemon, store):
    async def run():
        async with rdrive.aio.open(store, daemon.binary) as target:
            await target.write_stream("value", Pattern(8 << 20))
            started = asyncio.Event()

            async def endless():
                while True:
                    yield b"x" * 100_000
                    started.set()
                    await asyncio.sleep(0)

            upload = asyncio.create_task(target.write_stream("key", endless()))
            await started.wait()
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload

            async def dawdle():
                async with target.read_stream("value", window=1 << 16) as stream:
                    async for _ in stream:
                        started.set()
                        await asyncio.sleep(0.01)

            started.clear()
            download = asyncio.create_task(dawdle())
            await started.wait()
            download.cancel()
            with pytest.raises(asyncio.CancelledError):
                await download
            early = asyncio.create_task(target.read_to("value", io.BytesIO()))
            await asyncio.sleep(0)
            early.cancel()
            with pytest.raises(asyncio.CancelledError):
                await early
            plain = [asyncio.create_task(target.read("value")) for _ in range(5)]
            await asyncio.sleep(0)
            for task in plain:
                task.cancel()
            await asyncio.wait(plain)
            assert target.client.connected and await target.len() == 1 and not await target.exists("key")
            link = await target.client.link()
            await target.ping()
            while link.session.pending:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


def test_nothing_is_left_of_a_stream_that_was_broken_off(launch, folder, open_face):
    server = launch()
    face = open_face(server.binary)
    face.ping()
    face.client.close()  # the first connection makes the server open a spare descriptor
    descriptors = f"/proc/{server.process.pid}/fd"
    before = len(os.listdir(descriptors))

    def pieces():
        for _ in range(40):
            yield b"x" * 200_000
        raise Interrupted

    with pytest.raises(Interrupted):
        face.write_stream("key", pieces())
    face.client.close()
    wait_until(lambda: len(os.listdir(descriptors)) <= before, "the descriptors to be closed")
    assert sorted(os.path.basename(path) for path in glob.glob(os.path.join(server.data_dir, "*"))
                  if "spool" in path) == []


def test_memory_stays_flat(daemon, store):
    """The client holds a window of a stream, not the stream."""
    with rdrive.open(store, daemon.binary) as target:
        target.write_stream("warm", Pattern(4 << 20))
        target.read_to("warm", Sink())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        target.write_stream("key", Pattern(LONG))
        target.read_to("key", Sink())
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10, "KiB"
