# SPDX-License-Identifier: MIT
"""A value of 4 GiB through every door of a daemon that may use 256 MiB of memory, with small writes beside it.

Run as root (cgroups) with some 30 GiB of disk: make rigs. RDRIVE_RIG_BYTES changes the size. Prints, for each
step, how long it took and what the other connection's 100-byte writes saw meanwhile.
"""
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from cgroup import MemoryLimit
from harness.daemon import RDRIVE, clean_environment

SIZE = int(os.environ.get("RDRIVE_RIG_BYTES", 4 << 30))
MEMORY = 256 << 20
BLOCK = 1 << 20
PROBER = os.path.join(os.path.dirname(__file__), "prober.py")


def make_value(path):
    """Bytes that neither repeat nor compress, and their sha256."""
    digest = hashlib.sha256()
    block = bytearray(os.urandom(BLOCK))
    with open(path, "wb") as file:
        left = SIZE
        number = 0
        while left:
            block[:8] = number.to_bytes(8, "little")
            piece = bytes(block[:min(BLOCK, left)])
            digest.update(piece)
            file.write(piece)
            left -= len(piece)
            number += 1
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def sha256_of(stream):
    digest = hashlib.sha256()
    while piece := stream.read(BLOCK):
        digest.update(piece)
    return digest.hexdigest()


class Prober:
    """The other client, for the time of a `with`; prints what it saw."""

    def __init__(self, daemon, folder, store, what, size=SIZE):
        self.arguments = [*map(str, daemon.binary_address), store, os.path.join(folder, "probes")]
        self.what = what
        self.size = size

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, PROBER, *self.arguments])
        time.sleep(0.5)
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        took = time.monotonic() - self.began
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        with open(self.arguments[-1], encoding="ascii") as file:
            waits = sorted(int(line.split()[1]) for line in file)
        assert len(waits) > 10
        p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
        print(f"  {self.what:34} {took:6.1f} s {self.size / took / 2**20:6.0f} MiB/s | {len(waits):6} small writes: "
              f"p50 {p50 / 1000:.2f} ms, p99 {p99 / 1000:.2f} ms, worst {waits[-1] / 1000:.0f} ms", flush=True)


@pytest.fixture
def limited(launch):
    daemon = launch()
    with MemoryLimit(daemon.process.pid, MEMORY) as limit:
        yield daemon, limit
        daemon.stop()


def run(*command, **options):
    subprocess.run(command, check=True, env=clean_environment(), stdout=subprocess.DEVNULL, **options)


def cli(daemon, *arguments, **options):
    run(RDRIVE, "--server", daemon.binary, *arguments, **options)


def http_sha256(daemon, store, key):
    with urllib.request.urlopen(f"http://{daemon.http}/v1/stores/{store}/keys/{key}") as answer:
        return sha256_of(answer)


def cli_sha256(daemon, store, key):
    with subprocess.Popen([RDRIVE, "--server", daemon.binary, "--store", store, "read", key], stdout=subprocess.PIPE,
                          env=clean_environment()) as process:
        digest = sha256_of(process.stdout)
    assert process.returncode == 0
    return digest


def python_client(daemon, store):
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "clients", "python"))
    import rdrive
    return rdrive.Client(daemon.binary).store(store)


def test_a_large_value_through_every_door(limited, folder):
    daemon, limit = limited
    value = os.path.join(folder, "value")
    digest = make_value(value)
    base = f"http://{daemon.http}/v1/stores"
    for store in ("other", "third"):
        run("curl", "-sS", "--fail-with-body", "-X", "PUT", f"{base}/{store}")
    anonymous = []
    stop = threading.Event()

    def watch():
        while not stop.wait(0.05):
            anonymous.append(limit.anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    print(f"\n  {SIZE} bytes into a daemon limited to {MEMORY >> 20} MiB")
    try:
        with Prober(daemon, folder, "default", "HTTP, curl -T"):
            run("curl", "-sS", "--fail-with-body", "-T", value, f"{base}/default/keys/http")
        with Prober(daemon, folder, "default", "HTTP, GET"):
            assert http_sha256(daemon, "default", "http") == digest
        with Prober(daemon, folder, "default", "rename"):
            cli(daemon, "rename", "http", "renamed")
        assert http_sha256(daemon, "default", "renamed") == digest
        with Prober(daemon, folder, "other", "copy (small writes to the target)"):
            cli(daemon, "copy", "renamed", "other")
        assert http_sha256(daemon, "other", "renamed") == digest
        with Prober(daemon, folder, "default", "transfer (to the source)"):
            cli(daemon, "transfer", "renamed", "third")
        assert http_sha256(daemon, "third", "renamed") == digest
        run("curl", "-sS", "--fail-with-body", "-X", "DELETE", f"{base}/other?confirm=other")
        run("curl", "-sS", "--fail-with-body", "-X", "DELETE", f"{base}/third?confirm=third")
        with Prober(daemon, folder, "default", "CLI, write -f"):
            cli(daemon, "write", "cli", "-f", value)
        with Prober(daemon, folder, "default", "CLI, read"):
            assert cli_sha256(daemon, "default", "cli") == digest
        store = python_client(daemon, "default")
        with Prober(daemon, folder, "default", "binary protocol, Python, write"):
            with open(value, "rb") as file:
                store.write_stream("python", file)
        received = hashlib.sha256()
        with Prober(daemon, folder, "default", "binary protocol, Python, read"):
            for piece in store.read_stream("python"):
                received.update(piece)
        assert received.hexdigest() == digest
    finally:
        stop.set()
        watcher.join()
    print(f"  the daemon's own memory, without page cache: at most {max(anonymous) / 2**20:.0f} MiB")
    assert max(anonymous) < 128 << 20
