# SPDX-License-Identifier: MIT
"""SIGTERM under mixed load: the daemon exits 0 within five seconds, and everything that it answered is there. The load
does not leave by itself: its connections are closed by the daemon, and uploads are under way.

RDRIVE_RIG_STOPS is how many (50). RD_TEST_SEED repeats the load and the moments, as far as clocks allow.
"""
import os
import random
import time

from host import Host
from loads import Storm, create_stores

STOPS = int(os.environ.get("RDRIVE_RIG_STOPS", 50))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
STOP_S_MAX = 5
LOAD_S_MAX = 0.3


def test_stops_under_load(folder):
    print(f"\n  RD_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    took = []
    with Storm() as storm, Host(folder, "--loops", "2", "--log-level", "warn") as host:
        host.start()
        create_stores(host.daemon)
        storm.begin(dice.getrandbits(63))
        for _ in range(STOPS):
            storm.load(host.daemon, large=dice.random() < 0.2)
            time.sleep(dice.uniform(0, LOAD_S_MAX))
            began = time.monotonic()
            host.daemon.stop()  # asserts that it exits with 0
            took.append(time.monotonic() - began)
            storm.lost()
            host.start()
            storm.check_after_kill(host.daemon)
        storm.end()
    print(f"  {STOPS} stops, the longest {max(took) * 1000:.0f} ms; {storm.sent} operations sent, {storm.answered} answered, "
          f"of which none is lost")
    assert max(took) < STOP_S_MAX and storm.answered > 20 * STOPS
