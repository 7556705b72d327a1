# SPDX-License-Identifier: MIT
"""Deadlines end what the peer fails to do, and nothing that it has to wait for itself: a disk that takes long, and what is
done in the order sent before its next bytes are read."""
import os
import random
import shutil
import struct
import tempfile

from harness import wire as w
from harness.curl import Curl
from harness.daemon import BUILD, Daemon
from harness.faults import Fault
from harness.pages import evict
from harness.wire import Wire

STALL = ("--stall-timeout-ms", "1000")
MIB = 1 << 20
LONG = random.Random(23).randbytes(8 * MIB)


def test_streams_behind_a_copy_that_takes_long(launch):
    """The connection is not read before the copy is done: parts that were sent meanwhile have not been late."""
    daemon = launch(*STALL)
    with Wire(daemon.binary_address) as wire:
        wire.create("target")
        wire.write(b"short", b"value")
        wire.write_stream(b"long", LONG)
        with Fault(daemon.process.pid, "fdatasync", path=daemon.store_path("target"), what="delay_enter=3000000"):
            download = wire.start_read_stream(b"long", 0)
            upload = wire.start_write_stream(b"new")
            copy = wire.start(w.COPY, w.copy_body(wire.store, b"short", "target"))
            wire.send_chunk(upload, LONG[:1000])
            wire.send_end(upload)
            wire.send_credit(download, w.ALL_ONES)
            came = {download: b"", upload: None, copy: None}
            ended = set()
            while len(ended) < len(came):
                identifier, opcode, status, body = wire.answer()
                assert status == w.OK and opcode != w.ABORT, (opcode, status, body)
                if opcode == w.CHUNK:
                    came[identifier] += body
                elif opcode in (w.END, w.WRITE_STREAM, w.COPY):
                    ended.add(identifier)
        assert came[download] == LONG
        assert wire.read(b"new") == LONG[:1000]


def test_an_upload_that_waits_for_the_disk(launch):
    """All the credit is used up: the client waits for more, and the daemon for the disk."""
    daemon = launch(*STALL)
    with Wire(daemon.binary_address) as wire:
        chunk_len, window = wire.limits["chunk_len_max"], wire.limits["stream_window"]
        upload = wire.start_write_stream(b"k")
        credit = 0
        with Fault(daemon.process.pid, "pwritev", what="delay_enter=1500000"):
            for at in range(0, window, chunk_len):
                wire.send_chunk(upload, LONG[at:at + chunk_len])
            while credit < window:
                identifier, opcode, _, body = wire.answer()
                assert (identifier, opcode) == (upload, w.CREDIT)
                credit += struct.unpack("<Q", body)[0]
        wire.send_end(upload)
        wire.stream_answer(w.WRITE_STREAM, upload)
        assert wire.read(b"k") == LONG[:window]


def test_a_value_that_waits_for_the_disk():
    """It is what is to be sent next that takes long to come, not the client to take it."""
    place = tempfile.mkdtemp(prefix="rdrive-cold-", dir=BUILD)  # a temporary folder need not be on a disk
    try:
        daemon = Daemon(place)
        with Wire(daemon.binary_address) as wire:
            wire.write_stream(b"k", LONG)
        daemon.stop()
        evict(os.path.join(place, "data", "default.rdr"))
        daemon = Daemon(place, *STALL)
        try:
            with Fault(daemon.process.pid, "madvise", what="delay_enter=150000"):
                assert Curl(daemon.http).get("k").body == LONG
            daemon.stop()
        finally:
            daemon.kill()
    finally:
        shutil.rmtree(place)
