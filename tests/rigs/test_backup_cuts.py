# SPDX-License-Identifier: MIT
"""Increments of a backup across power cuts: what was copied before a cut is what the file begins with after it, though
its writers asked for no sync and the cut takes some of their bytes away.

RDRIVE_RIG_CUTS is how many (20). RD_TEST_SEED repeats the moments, as far as clocks allow. Needs root.
"""
import os
import random
import threading
import time

import pytest

from harness.daemon import BUILD
from harness.rawhttp import RawHttp, request
from harness.wire import NONE, Wire, WireError

from disk import Disk, leave_mount_namespace
from host import Host

CUTS = int(os.environ.get("RDRIVE_RIG_CUTS", 20))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
WRITERS = 4
LENGTHS = (40, 300)  # few, so that other entries come to end where a lost one did


@pytest.fixture(scope="module", autouse=True)
def namespace():
    leave_mount_namespace()


def write_on(address, number, stop):
    dice = random.Random(number)
    try:
        with Wire(address) as wire:
            while not stop.is_set():
                wire.write(b"%d" % dice.randrange(1000), dice.randbytes(dice.choice(LENGTHS)), NONE)
    except (OSError, AssertionError, WireError):
        pass  # the disk is gone, or the daemon was killed


class Copy:
    """What has been copied; of which generation; and what it was after each increment, with the time of its answer."""

    def __init__(self):
        self.generation = None
        self.content = b""
        self.lengths = []

    def grow(self, address):
        """One increment; whether the file is still what it was."""
        query = f"?from={len(self.content)}" + (f"&generation={self.generation}" if self.generation else "")
        with RawHttp(address) as raw:
            raw.send(request("GET", f"/v1/stores/default/backup{query}"))
            answer = raw.answer()
        if answer is None or answer.status == 503:
            return True
        if answer.status != 200:
            return False
        self.generation = answer.headers["rdrive-generation"]
        self.content += answer.body
        self.lengths.append((time.monotonic_ns(), len(self.content)))
        return True

    def forget_since(self, at_ns):
        """A sync that was under way when the power went may have told of what is not so."""
        kept = [length for ended_ns, length in self.lengths if ended_ns < at_ns]
        self.content = self.content[:kept[-1] if kept else 0]
        self.lengths = []


def copy_on(address, copy, stop):
    try:
        while not stop.is_set():
            assert copy.grow(address)
            stop.wait(0.003)
    except (OSError, AssertionError):
        pass


def cut_in_the_middle(host, disk, dice, copy):
    """Writers and a copier, and no power all of a sudden. How many bytes of the file were there, and are gone."""
    stop = threading.Event()
    threads = [threading.Thread(target=write_on, args=(host.daemon.binary_address, dice.random(), stop))
               for _ in range(WRITERS)]
    threads.append(threading.Thread(target=copy_on, args=(host.daemon.http_address, copy, stop)))
    for thread in threads:
        thread.start()
    time.sleep(dice.uniform(0.02, 0.3))
    size = os.path.getsize(host.daemon.store_path("default"))
    at_ns = disk.cut()
    host.kill()
    stop.set()
    for thread in threads:
        thread.join()
    copy.forget_since(at_ns)
    disk.replug()
    host.start()
    return max(0, size - os.path.getsize(host.daemon.store_path("default")))


def cuts(folder, kind, environment=None):
    dice = random.Random(f"{SEED} {kind}")
    copy = Copy()
    lost = 0
    with Disk(kind, folder) as disk, \
            Host(folder, "--log-level", "error", data_dir=disk.data_dir, environment=environment) as host:
        host.start()
        for _ in range(CUTS):
            lost += cut_in_the_middle(host, disk, dice, copy)
            assert copy.grow(host.daemon.http_address), "the file is another one"
            with open(host.daemon.store_path("default"), "rb") as file:
                assert file.read(len(copy.content)) == copy.content, "what was copied is not what is there"
    return lost, len(copy.content)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_increments_across_power_cuts(folder, kind):
    print(f"\n  RD_TEST_SEED={SEED}")
    lost, length = cuts(folder, kind)
    print(f"  {kind}: {CUTS} power cuts, {lost} bytes of the store gone with them; none of the {length} that were copied")
    assert lost > 0 and length > 0


def test_a_disk_that_lies_is_found(folder):
    """Were bytes shown that are not synced, these cuts would tell: with syncs that do nothing they do."""
    lying = {"LD_PRELOAD": os.path.join(BUILD, "tests", "rigs", "lying_disk.so"),
             "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    with pytest.raises(AssertionError, match="another one|not what is there"):
        cuts(folder, "ext4", lying)
