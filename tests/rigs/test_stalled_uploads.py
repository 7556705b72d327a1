# SPDX-License-Identifier: MIT
"""50 uploads of 100 MiB that stall halfway: nobody else notices, the deadline ends them, nothing of them stays."""
import os
import socket
import time

from harness import wire as w
from harness.daemon import wait_until

COUNT = 50
SIZE = 100 << 20
TIMEOUT_MS = 20000


def spools(daemon):
    """Descriptors of the daemon that lead to unlinked files in its data folder."""
    folder = f"/proc/{daemon.process.pid}/fd"
    found = 0
    for name in os.listdir(folder):
        try:
            target = os.readlink(os.path.join(folder, name))
        except FileNotFoundError:
            continue
        found += target.startswith(daemon.data_dir) and target.endswith("(deleted)")
    return found


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def start_upload(daemon, number):
    upload = socket.create_connection(daemon.http_address)
    upload.sendall(b"PUT /v1/stores/default/keys/stalled-%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                   % (number, SIZE))
    return upload


def probe(wire, count):
    waits = []
    for number in range(count):
        began = time.perf_counter()
        wire.write(b"probe", b"p" * 100)
        waits.append(time.perf_counter() - began)
    waits.sort()
    return waits[count // 2] * 1e3, waits[count * 99 // 100] * 1e3, waits[-1] * 1e3


def test_stalled_uploads(launch):
    daemon = launch("--stall-timeout-ms", str(TIMEOUT_MS))
    with w.Wire(daemon.binary_address) as wire:
        before = descriptors(daemon)
        alone = probe(wire, 2000)
        uploads = [start_upload(daemon, number) for number in range(COUNT)]
        half = b"u" * (SIZE // 2)
        for upload in uploads:
            upload.sendall(half)
        wait_until(lambda: spools(daemon) == COUNT - 1, "a spool for each upload but the one that lands in the store")
        assert os.path.getsize(daemon.store_path("default")) > SIZE // 4
        beside = probe(wire, 2000)
        print(f"\n  100-byte writes alone: p50 {alone[0]:.2f} ms, p99 {alone[1]:.2f} ms, worst {alone[2]:.1f} ms; "
              f"beside {COUNT} stalled uploads: p50 {beside[0]:.2f} ms, p99 {beside[1]:.2f} ms, worst {beside[2]:.1f} ms")
        began = time.monotonic()
        for upload in uploads:
            upload.settimeout(60)
            assert upload.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 2 * TIMEOUT_MS / 1000 + 2
        for upload in uploads:
            upload.close()
        wait_until(lambda: spools(daemon) == 0, "no spool is left")
        wait_until(lambda: descriptors(daemon) <= before, "no descriptor is left")
        wait_until(lambda: os.path.getsize(daemon.store_path("default")) < SIZE // 4, "nothing is left in the store")
        for number in range(COUNT):
            assert not wire.exists(b"stalled-%d" % number)
    assert sorted(os.listdir(daemon.data_dir)) == ["default.rdr", "default.rdr.meta"]
    daemon.stop()
