# SPDX-License-Identifier: MIT
"""A store of 2 GiB in a daemon that may use 64 MiB of memory: backups of it beside small writes, one cut off and resumed,
one by a reader that hardly reads, and a restore.

Run as root (cgroups) with some 10 GiB of disk: make rigs. RDRIVE_RIG_BYTES changes the size.
"""
import hashlib
import json
import os
import signal
import subprocess
import threading
import time

import pytest

from cgroup import MemoryLimit
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import RDRIVE, clean_environment, wait_until
from harness.rawhttp import RawHttp, request
from test_large_value import Prober, python_client, run

SIZE = int(os.environ.get("RDRIVE_RIG_BYTES", 2 << 30))
MEMORY = 64 << 20
VALUE = 64 << 20
BLOCK = 1 << 20


def fill(store):
    """Values that neither repeat nor compress."""
    block = bytearray(os.urandom(BLOCK))
    for number in range(SIZE // VALUE):
        def pieces():
            for i in range(VALUE // BLOCK):
                block[:16] = number.to_bytes(8, "little") + i.to_bytes(8, "little")
                yield bytes(block)
        store.write_stream(f"value {number}", pieces())


def sha256_of(path, length):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while length:
            piece = file.read(min(BLOCK, length))
            assert piece
            digest.update(piece)
            length -= len(piece)
    return digest.hexdigest()


@pytest.fixture
def limited(launch):
    daemon = launch()
    with MemoryLimit(daemon.process.pid, MEMORY) as limit:
        yield daemon, limit
        daemon.stop()


def test_backups_of_a_large_store(limited, folder):
    daemon, limit = limited
    source = daemon.store_path("default")
    copy = os.path.join(folder, "copy.rdr")
    fill(python_client(daemon, "default"))
    curl = Curl(daemon.http)
    anonymous = []
    stop = threading.Event()

    def watch():
        while not stop.wait(0.05):
            anonymous.append(limit.anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    print(f"\n  a store of {curl.info()['tail']} bytes in a daemon limited to {MEMORY >> 20} MiB")
    try:
        with Prober(daemon, folder, "default", "HTTP, curl, to nowhere", SIZE):
            run("curl", "-sS", "--fail-with-body", f"http://{daemon.http}/v1/stores/default/backup")
        with Prober(daemon, folder, "default", "rdrive backup", SIZE):
            began = subprocess.Popen([RDRIVE, "--server", daemon.binary, "backup", copy], stdout=subprocess.DEVNULL,
                                     env=clean_environment())
            wait_until(lambda: os.path.exists(copy + ".part.backup")
                       and os.path.getsize(copy + ".part") > SIZE // 2, "half of a backup")
            began.send_signal(signal.SIGKILL)
            began.wait()
            done = Cli(("--server", daemon.binary)).run("backup", copy, "--json").json()
        assert done["full"] and done["new_bytes"] < SIZE * 2 // 3
        assert sha256_of(copy, done["tail"]) == sha256_of(source, done["tail"])

        with RawHttp(daemon.http_address) as slow:
            slow.send(request("GET", "/v1/stores/default/backup"))
            assert slow._more()
            with Prober(daemon, folder, "default", "an increment, beside a slow reader", 0):
                more = Cli(("--server", daemon.binary)).run("backup", copy, "--json").json()
        assert not more["full"] and sha256_of(copy, more["tail"]) == sha256_of(source, more["tail"])
    finally:
        stop.set()
        watcher.join()
    print(f"  the daemon's own memory, without page cache: at most {max(anonymous) / 2**20:.0f} MiB")
    assert max(anonymous) < 32 << 20

    began = time.monotonic()
    target = os.path.join(folder, "restored.rdr")
    told = json.loads(Cli(("--file", target)).ok("restore", copy, "--json"))
    print(f"  restore, verified: {time.monotonic() - began:.1f} s")
    assert told["tail"] == more["tail"]
    assert sha256_of(target, told["tail"]) == sha256_of(copy, told["tail"])
