# SPDX-License-Identifier: MIT
"""Power cuts under mixed load, on real file systems: what was answered under `sync` is there, under `interval` all
but the last milliseconds, under `none` whatever was synced by chance; what is there is a prefix of what was written,
batches and renames whole, transfers in at least one store (rules 1 and 3 of docs/ARCHITECTURE.md).

RDRIVE_RIG_CUTS is how many on each file system (50). RD_TEST_SEED repeats the load and the moments, as far as clocks
allow. Needs root.
"""
import contextlib
import os
import random
import threading
import time

import pytest

from harness.daemon import BUILD

from disk import Disk, leave_mount_namespace
from host import Host
from loads import STORES, Compactions, Storm, create_stores

CUTS = int(os.environ.get("RDRIVE_RIG_CUTS", 50))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
CUTS_PER_DISK = 25
LONG_LOAD_S, SHORT_LOAD_S = 0.5, 0.05
COMPACTED_SHARE = 0.3  # of the loads: all stores are compacted beside them, again and again

IO_ERROR = 16

# On top of the interval: what a busy machine adds until the client sees the answers that left before.
SLACK_MS = 150


@pytest.fixture(scope="module", autouse=True)
def namespace():
    leave_mount_namespace()


@contextlib.contextmanager
def compactions_beside(host, dice, compactions):
    """In some loads; whether in this one. Ends with the daemon's kill, which is up to the caller."""
    if dice.random() >= COMPACTED_SHARE:
        yield False
        return
    worker = threading.Thread(target=compactions.work, args=(host.daemon.binary_address,))
    worker.start()
    yield True
    worker.join(60)
    failure, compactions.failure = compactions.failure, None
    assert failure is None or failure.status == IO_ERROR, failure  # the disk was gone before the daemon


def load(host, storm, dice, compacted):
    """Often for so short a time that nothing is synced between two cuts: what the first one left may come to light."""
    storm.load(host.daemon, compacted=compacted)
    time.sleep(dice.uniform(0, dice.choice([SHORT_LOAD_S, LONG_LOAD_S])))


def kill_and_check(host, storm, dice, compactions):
    with compactions_beside(host, dice, compactions) as compacted:
        load(host, storm, dice, compacted)
        host.kill()
    storm.lost()
    host.start()
    storm.check_after_kill(host.daemon)


def cut_and_check(host, storm, dice, compactions, disk):
    with compactions_beside(host, dice, compactions) as compacted:
        load(host, storm, dice, compacted)
        at_ns = disk.cut()
        host.kill()
    storm.lost()
    disk.replug()
    host.start()
    storm.check_after_power_cut(host.daemon, at_ns, SLACK_MS)


def use_one_disk(kind, folder, storm, dice, count, compactions, environment=None):
    """In some of the cycles the daemon is killed and started again between the last cut and the next one."""
    with Disk(kind, folder) as disk, \
            Host(folder, "--log-level", "error", "--compact-rate", "0", data_dir=disk.data_dir, environment=environment) as host:
        host.start()
        create_stores(host.daemon)
        storm.begin(dice.getrandbits(63))
        for _ in range(count):
            if dice.random() < 0.2:
                kill_and_check(host, storm, dice, compactions)
            cut_and_check(host, storm, dice, compactions, disk)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_power_cuts_under_load(folder, kind):
    print(f"\n  RD_TEST_SEED={SEED}")
    dice = random.Random(f"{SEED} {kind}")
    began = time.monotonic()
    compactions = Compactions(STORES)
    with Storm() as storm:
        for left in range(CUTS, 0, -CUTS_PER_DISK):
            use_one_disk(kind, folder, storm, dice, min(left, CUTS_PER_DISK), compactions)
        storm.end()
    print(f"  {kind}: {CUTS} power cuts in {time.monotonic() - began:.0f} s; {storm.sent} operations sent, "
          f"{storm.answered} answered, of which {storm.answered_gone} were lost as their durability allows; of those "
          f"without an answer {storm.kept} took effect, whole, and {storm.gone} did not; {compactions.count} compactions beside them")
    assert storm.answered > 20 * CUTS and storm.made > 0 and storm.answered_gone > 0 and compactions.count > CUTS // 10


def test_a_disk_that_lies_is_found(folder):
    """Were a sync left out, these cuts would tell: with one that does nothing they do."""
    lying = {"LD_PRELOAD": os.path.join(BUILD, "tests", "rigs", "lying_disk.so"),
             "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
    with Storm() as storm, pytest.raises(AssertionError, match="fail "):
        use_one_disk("ext4", folder, storm, random.Random(SEED), CUTS_PER_DISK, Compactions(STORES), lying)
