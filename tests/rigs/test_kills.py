# SPDX-License-Identifier: MIT
"""kill -9 under mixed load, over the network: what was answered is there, the rest whole or not at all, in the order
sent (rules 1, 2 and 3 of docs/ARCHITECTURE.md). Some of the kills come while the daemon recovers from the one before.

RDRIVE_RIG_KILLS is how many (300). RD_TEST_SEED repeats the load and the moments, as far as clocks allow.
"""
import os
import random
import shutil
import time

from harness.daemon import Daemon, assert_no_sanitizer_report

from storm import Storm, create_stores

KILLS = int(os.environ.get("RDRIVE_RIG_KILLS", 300))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
KILLS_PER_FOLDER = 25  # then all begins anew, so that files stay small and first writes are met too
LOAD_S_MAX = 0.12
LARGE_S_MAX = 0.4


class Killer:
    """Starts, loads, kills and checks one daemon after another on one folder."""

    def __init__(self, folder, storm, dice):
        self.folder = folder
        self.storm = storm
        self.dice = dice
        self.flags = ("--loops", str(dice.choice([1, 2])), "--log-level", "warn")
        self.ready_s = 0.02
        self.kills = self.early_kills = 0

    def start(self):
        began = time.monotonic()
        daemon = Daemon(self.folder, *self.flags)
        self.ready_s = time.monotonic() - began
        return daemon

    def kill(self, daemon):
        daemon.assert_alive()
        daemon.kill()
        assert_no_sanitizer_report(daemon.log().encode())
        self.kills += 1

    def kill_while_it_starts(self):
        """Within what starting takes; often before it serves."""
        daemon = Daemon(self.folder, *self.flags, wait=False)
        time.sleep(self.dice.uniform(0, self.ready_s))
        self.early_kills += not daemon.is_ready()
        self.kill(daemon)

    def cycle(self, daemon):
        large = self.dice.random() < 0.1
        self.storm.load(daemon, large)
        time.sleep(self.dice.uniform(0, LARGE_S_MAX if large else LOAD_S_MAX))
        self.kill(daemon)
        self.storm.lost()
        while self.dice.random() < 0.25:
            self.kill_while_it_starts()
        daemon = self.start()
        self.storm.check_after_kill(daemon)
        return daemon


def test_kills_under_load(folder):
    print(f"\n  RD_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    began = time.monotonic()
    kills = early = 0
    with Storm() as storm:
        while kills < KILLS:
            here = os.path.join(folder, "here")
            os.mkdir(here)
            killer = Killer(here, storm, dice)
            daemon = killer.start()
            try:
                create_stores(daemon)
                storm.begin(dice.getrandbits(63))
                while killer.kills < min(KILLS_PER_FOLDER, KILLS - kills):
                    daemon = killer.cycle(daemon)
            finally:
                daemon.kill()
            kills += killer.kills
            early += killer.early_kills
            shutil.rmtree(here)
        storm.end()
    print(f"  {kills} kills in {time.monotonic() - began:.0f} s, {early} of them before the daemon served; "
          f"{storm.sent} operations sent, {storm.answered} answered, all of which hold; "
          f"of the others {storm.kept} took effect, whole, and {storm.gone} did not")
    assert storm.answered > 100 * kills and storm.kept > 0 and storm.gone > 0 and early > 0
