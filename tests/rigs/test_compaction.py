# SPDX-License-Identifier: MIT
"""Compaction under load, over the network: kill -9 at any moment of it loses nothing that was answered (rules 1 to 3 of
docs/ARCHITECTURE.md), and for how long writes are held up.

RDRIVE_RIG_COMPACTION_KILLS is how many kills (60), RDRIVE_RIG_PAUSE_S for how long each load is written beside
compactions (6). RD_TEST_SEED repeats the load and the moments, as far as clocks allow.
"""
import json
import os
import random
import statistics
import subprocess
import threading
import time

from harness import wire as w
from harness.bench import RDRIVE_BENCH
from harness.daemon import Daemon, clean_environment, wait_until
from host import Host
from loads import Compactions

KILLS = int(os.environ.get("RDRIVE_RIG_COMPACTION_KILLS", 60))
PAUSE_S = float(os.environ.get("RDRIVE_RIG_PAUSE_S", 6))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
PAUSE_MARK_MS = 20
STORES = {"synced": b'{"durability":"sync"}', "unsynced": b'{"durability":"none"}'}
HANDS = 4
KEYS = 40
LOAD_S_MAX = 0.25


class Hand:
    """Writes, deletes, batches and renames on keys of its own. What it was answered must hold; what it was not answered
    may hold, whole."""

    def __init__(self, number, seed):
        self.dice = random.Random(seed)
        self.store = list(STORES)[number % len(STORES)]
        self.keys = [b"%d %d" % (number, i) for i in range(KEYS)]
        self.live = {}
        self.maybe = {}  # what the operation under way makes of its keys; None: it deletes
        self.answered = 0
        self.failure = None

    def work(self, address):
        try:
            with w.Wire(address, self.store) as wire:
                while True:
                    self.turn(wire)
        except (OSError, AssertionError):
            pass  # killed; whether anything was wrong is seen afterwards
        except BaseException as error:
            self.failure = error

    def value(self):
        return b"%d " % self.answered + self.dice.randbytes(self.dice.choice([20, 300, 6000, 70000]))

    def turn(self, wire):
        kind = self.dice.randrange(10)
        key = self.dice.choice(self.keys)
        if kind < 2:
            self.maybe = {key: None}
            wire.delete(key)
        elif kind < 4:
            self.maybe = {other: self.value() for other in self.dice.sample(self.keys, 4)}
            wire.batch_write(list(self.maybe.items()))
        elif kind < 5 and key in self.live:
            target = self.dice.choice([other for other in self.keys if other != key])
            self.maybe = {key: None, target: self.live[key]}
            wire.rename(key, target)
        else:
            self.maybe = {key: self.value()}
            wire.write(key, self.maybe[key])
        self.settle(True)
        self.answered += 1

    def settle(self, happened):
        for key, value in self.maybe.items() if happened else ():
            self.live.pop(key, None)
            if value is not None:
                self.live[key] = value
        self.maybe = {}

    def check(self, address):
        assert self.failure is None, self.failure
        with w.Wire(address, self.store) as wire:
            found = dict(zip(self.keys, wire.batch_read(self.keys)))
        if found != {key: self.live.get(key) for key in self.keys}:
            self.settle(True)
        assert found == {key: self.live.get(key) for key in self.keys}
        self.maybe = {}


def companions(daemon):
    return {name for name in os.listdir(daemon.data_dir) if name.endswith(".compact")}


def test_kills_while_compacting(folder):
    print(f"\n  RD_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    hands = [Hand(number, SEED + number) for number in range(HANDS)]
    compactions = Compactions(STORES)
    left = 0
    began = time.monotonic()
    with Host(folder, "--compact-rate", "0", "--log-level", "warn") as host:
        host.start()
        with w.Wire(host.daemon.binary_address) as wire:
            for name, settings in STORES.items():
                wire.create(name, settings)
        for _ in range(KILLS):
            workers = [threading.Thread(target=one.work, args=(host.daemon.binary_address,)) for one in [*hands, compactions]]
            for worker in workers:
                worker.start()
            time.sleep(dice.uniform(0, LOAD_S_MAX))
            host.kill()
            for worker in workers:
                worker.join(60)
            left += len(companions(host.daemon))
            assert compactions.failure is None, compactions.failure
            host.start()
            assert not companions(host.daemon)
            for hand in hands:
                hand.check(host.daemon.binary_address)
    print(f"  {KILLS} kills in {time.monotonic() - began:.0f} s, {left} of them in the middle of a compaction, beside "
          f"{compactions.count} whole ones; {sum(hand.answered for hand in hands)} operations answered, all of which hold")
    assert left > 0 and compactions.count > KILLS


def write_beside(daemon, durability):
    """Loads for PAUSE_S seconds; meanwhile compacts again and again. Returns the pauses, ms, and the load's own figures."""
    command = [RDRIVE_BENCH, "--server", daemon.binary, "--op", "put", "--clients", "16", "--depth", "4", "--keys", "200000",
               "--value-size", "200", "--durability", durability, "--seconds", str(PAUSE_S), "--json"]
    load = subprocess.Popen(command, stdout=subprocess.PIPE, env=clean_environment())
    pauses = []
    with w.Wire(daemon.binary_address) as wire:
        wait_until(lambda: wire.info()["entries"] > 10000 or load.poll() is not None, "the load")
        while load.poll() is None:
            pauses.append(wire.compact()[4] / 1000)
    return pauses, json.loads(load.stdout.read())


def test_pause(folder):
    """The mark is the median's: on a disk that others write to, a sync may take any time."""
    daemon = Daemon(folder)
    try:
        for durability in ("none", "sync"):
            pauses, load = write_beside(daemon, durability)
            print(f"\n  {durability}: {len(pauses)} compactions, pause ms: median {statistics.median(pauses):.1f}, "
                  f"worst {max(pauses):.1f} of {[round(pause, 1) for pause in pauses]}; "
                  f"{load['ops_per_sec']:.0f} writes/s, p99 {load['latency_us']['p99'] / 1000:.1f} ms, "
                  f"worst {load['latency_us']['max'] / 1000:.0f} ms")
            assert load["errors"] == 0 and len(pauses) > 0
            assert statistics.median(pauses) < PAUSE_MARK_MS
        daemon.stop()
    finally:
        daemon.kill()
