# SPDX-License-Identifier: MIT
"""kill -9 under mixed load, over the network: what was answered is there, the rest whole or not at all, in the order
sent (rules 1, 2 and 3 of docs/ARCHITECTURE.md). Some of the kills come while the daemon recovers from the one before.

RDRIVE_RIG_KILLS is how many (300). RD_TEST_SEED repeats the load and the moments, as far as clocks allow.
"""
import os
import random
import shutil
import time

from host import Host
from loads import Storm, create_stores

KILLS = int(os.environ.get("RDRIVE_RIG_KILLS", 300))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
KILLS_PER_FOLDER = 25  # then all begins anew, so that files stay small and first writes are met too
LOAD_S_MAX = 0.12
LARGE_S_MAX = 0.4


class Kills:
    """Counts them."""

    def __init__(self, storm, dice):
        self.storm = storm
        self.dice = dice
        self.count = self.early = 0

    def kill_under_load(self, host):
        large = self.dice.random() < 0.1
        self.storm.load(host.daemon, large)
        time.sleep(self.dice.uniform(0, LARGE_S_MAX if large else LOAD_S_MAX))
        host.kill()
        self.count += 1
        self.storm.lost()

    def kill_while_it_starts(self, host):
        """Within what starting takes, so mostly before it serves."""
        host.start(wait=False)
        time.sleep(self.dice.uniform(0, host.ready_s))
        self.early += not host.daemon.is_ready()
        host.kill()
        self.count += 1

    def use_one_folder(self, folder):
        with Host(folder, "--loops", str(self.dice.choice([1, 2])), "--log-level", "warn") as host:
            host.start()
            create_stores(host.daemon)
            self.storm.begin(self.dice.getrandbits(63))
            end = min(self.count + KILLS_PER_FOLDER, KILLS)
            while self.count < end:
                self.kill_under_load(host)
                while self.dice.random() < 0.25:
                    self.kill_while_it_starts(host)
                host.start()
                self.storm.check_after_kill(host.daemon)


def test_kills_under_load(folder):
    print(f"\n  RD_TEST_SEED={SEED}")
    began = time.monotonic()
    with Storm() as storm:
        kills = Kills(storm, random.Random(SEED))
        while kills.count < KILLS:
            here = os.path.join(folder, "here")
            os.mkdir(here)
            kills.use_one_folder(here)
            shutil.rmtree(here)
        storm.end()
    print(f"  {kills.count} kills in {time.monotonic() - began:.0f} s, {kills.early} of them before the daemon served; "
          f"{storm.sent} operations sent, {storm.answered} answered, all of which hold, "
          f"as do {storm.made} new stores; "
          f"of the others {storm.kept} took effect, whole, and {storm.gone} did not")
    assert storm.answered > 20 * KILLS and storm.made > 0 and storm.kept > 0 and storm.gone > 0 and kills.early > 0
