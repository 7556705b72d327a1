# SPDX-License-Identifier: MIT
"""The rdrive program, online and offline."""
import json
import subprocess

from .daemon import DEADLINE_S, RDRIVE, assert_no_sanitizer_report, clean_environment


class Done:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr.decode(errors="replace")

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"<exit {self.code} out {self.out[:200]!r} err {self.err!r}>"


class Cli:
    """Cli(("--server", ADDRESS), "default") or Cli(("--file", PATH)): options that go in front of each command."""

    def __init__(self, options, store=None):
        self.options = tuple(options) + (("--store", store) if store else ())

    def run(self, *arguments, stdin=b"", environment=None):
        process = subprocess.run([RDRIVE, *self.options, *arguments], input=stdin, capture_output=True,
                                 timeout=DEADLINE_S, env=clean_environment(**(environment or {})))
        assert_no_sanitizer_report(process.stderr)
        return Done(process)

    def ok(self, *arguments, stdin=b""):
        """Runs a command that has to succeed, and returns its standard output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.code == 0, done
        return done.out
