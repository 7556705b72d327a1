# SPDX-License-Identifier: MIT
"""16 clients on 21 keys, over both protocols, with kills in between: for every key there is one order of all that was
answered that fits the answers and the times (rules 1, 2 and 3 of docs/ARCHITECTURE.md). That the judge can tell is
shown by answers altered afterwards, each of which it must find.

RDRIVE_RIG_OPERATIONS is how many (200,000), RDRIVE_RIG_LINEAR_KILLS how often the daemon is killed (10). RD_TEST_SEED
repeats the choices of clients and moments, as far as clocks allow.
"""
import os
import random
import time

from host import Host
from loads import Load, create_stores

OPERATIONS = int(os.environ.get("RDRIVE_RIG_OPERATIONS", 200_000))
KILLS = int(os.environ.get("RDRIVE_RIG_LINEAR_KILLS", 10))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
PLANTED = 100


def load_and_kill(host, contest, dice, operations):
    contest.tell(f"load {host.daemon.binary} {host.daemon.http} {operations}")
    contest.hear("loading")
    contest.hear("enough")
    time.sleep(dice.uniform(0, 0.03))
    host.kill()
    contest.hear("lost")
    host.start()


def load_to_the_end(host, contest, operations):
    contest.tell(f"finish {host.daemon.binary} {host.daemon.http} {operations}")
    for word in ("loading", "enough", "lost"):
        contest.hear(word)


def test_linearizable(folder):
    print(f"\n  RD_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    began = time.monotonic()
    with Load("contest", dice.getrandbits(63)) as contest, Host(folder, "--loops", "2", "--log-level", "warn") as host:
        host.start()
        create_stores(host.daemon)
        for _ in range(KILLS):
            load_and_kill(host, contest, dice, OPERATIONS // (KILLS + 1))
        load_to_the_end(host, contest, OPERATIONS // (KILLS + 1) + KILLS + 1)
        host.daemon.stop()
        loaded_s = time.monotonic() - began
        contest.tell("judge")
        operations, unanswered, judged_ms = contest.hear("ok")
        contest.tell(f"plant {PLANTED}")
        found, = contest.hear("found")
        contest.end()
    print(f"  {operations} operations with an answer and {unanswered} without, {KILLS} kills, in {loaded_s:.0f} s; "
          f"linearizable, as was told within {judged_ms} ms; of {PLANTED} altered answers {found} found")
    assert operations >= OPERATIONS and unanswered > 0 and found == PLANTED
