# SPDX-License-Identifier: MIT
"""The loads and their judges (load/storm.c, load/contest.c) as child processes, and the stores they work in."""
import os
import subprocess

from harness import wire as w
from harness.daemon import BUILD, assert_no_sanitizer_report, clean_environment

# One store for each durability, in the order of storm.c and contest.c.
INTERVAL_MS = 50
STORES = {"synced": "sync", "timed": f"interval:{INTERVAL_MS}", "unsynced": "none"}


def create_stores(daemon):
    with w.Wire(daemon.binary_address) as wire:
        for name, durability in STORES.items():
            wire.create(name, b'{"durability":"%s"}' % durability.encode())


class Load:
    """with Load(name) as load: load.tell(line), load.hear(first word); in the end load.end()."""

    def __init__(self, name, *arguments):
        self.command = [os.path.join(BUILD, "tests", "rigs", name), *map(str, arguments)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=clean_environment(), text=True)
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self, first):
        """The numbers behind the first word of the next line."""
        line = self.process.stdout.readline()
        assert line.startswith(first), line or (self.process.wait(60), self.process.stderr.read())
        return [int(word) for word in line.split()[1:]]

    def end(self):
        """It has nothing more to say, and no memory is left behind."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        assert_no_sanitizer_report(errors.encode())


class Storm(Load):
    """Sums up what its lines tell."""

    def __init__(self):
        super().__init__("storm")
        self.sent = self.answered = self.made = 0
        self.kept = self.gone = self.answered_gone = 0

    def begin(self, seed):
        """The stores are new and empty."""
        self.tell(f"new {seed}")
        self.hear("ok")

    def load(self, daemon, large=False, compacted=False):
        """Returns as the load begins. The daemon has to be killed before lost() is called. compacted: offsets may change
        meanwhile."""
        self.tell(f"load {daemon.binary} {daemon.http} {'large' if large else 'compacted' if compacted else ''}")
        self.hear("loading")

    def lost(self):
        """Every connection is gone."""
        sent, answered, made = self.hear("lost")
        self.sent += sent
        self.answered += answered
        self.made += made

    def check(self, daemon, how):
        """Asserts that all that is promised holds in a daemon that has been started again."""
        self.tell(f"check {daemon.binary} {how}")
        kept, gone, answered_gone, _entries = self.hear("ok")
        self.kept += kept
        self.gone += gone
        self.answered_gone += answered_gone

    def check_after_kill(self, daemon):
        self.check(daemon, "kill")

    def check_after_power_cut(self, daemon, at_ns, slack_ms):
        self.check(daemon, f"power {at_ns} {INTERVAL_MS} {slack_ms}")


class Compactions:
    """One store after the other is compacted, until the daemon is killed. To be run on a thread of its own."""

    def __init__(self, stores):
        self.stores = list(stores)
        self.count = 0
        self.failure = None

    def work(self, address):
        try:
            with w.Wire(address) as wire:
                while True:
                    for wire.store in self.stores:
                        wire.compact()
                        self.count += 1
        except (OSError, AssertionError):
            pass  # killed
        except w.WireError as error:
            self.failure = error
