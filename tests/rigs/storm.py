# SPDX-License-Identifier: MIT
"""The load and its judge (load/storm.c) as a child process, and the stores it works in."""
import os
import subprocess

from harness import wire as w
from harness.daemon import BUILD, assert_no_sanitizer_report, clean_environment

PROGRAM = os.path.join(BUILD, "tests", "rigs", "storm")

# One store for each durability, in the order of storm.c.
INTERVAL_MS = 50
STORES = {"synced": "sync", "timed": f"interval:{INTERVAL_MS}", "unsynced": "none"}


def create_stores(daemon):
    with w.Wire(daemon.binary_address) as wire:
        for name, durability in STORES.items():
            wire.create(name, b'{"durability":"%s"}' % durability.encode())


class Storm:
    """with Storm() as storm: one line to it, one line from it. Sums up what its lines tell."""

    def __init__(self):
        self.sent = self.answered = 0
        self.kept = self.gone = self.answered_gone = 0

    def __enter__(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=clean_environment(), text=True)
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()

    def _tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _hear(self, first):
        line = self.process.stdout.readline()
        assert line.startswith(first), line or (self.process.wait(60), self.process.stderr.read())
        return line.split()[1:]

    def begin(self, seed):
        """The stores are new and empty."""
        self._tell(f"new {seed}")
        self._hear("ok")

    def load(self, daemon, large=False):
        """Returns as the load begins. The daemon has to be killed before lost() is called."""
        self._tell(f"load {daemon.binary} {daemon.http} {'large' if large else ''}")
        self._hear("loading")

    def lost(self):
        """Every connection is gone."""
        sent, answered = map(int, self._hear("lost"))
        self.sent += sent
        self.answered += answered

    def check(self, daemon, how):
        """Asserts that all that is promised holds in a daemon that has been started again."""
        self._tell(f"check {daemon.binary} {how}")
        kept, gone, answered_gone, _entries = map(int, self._hear("ok"))
        self.kept += kept
        self.gone += gone
        self.answered_gone += answered_gone

    def check_after_kill(self, daemon):
        self.check(daemon, "kill")

    def check_after_power_cut(self, daemon, at_ns, slack_ms):
        self.check(daemon, f"power {at_ns} {INTERVAL_MS} {slack_ms}")

    def end(self):
        """It has nothing more to say, and no memory is left behind."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        assert_no_sanitizer_report(errors.encode())
