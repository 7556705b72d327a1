# SPDX-License-Identifier: MIT
"""The rdrive-bench program."""
import json
import os
import subprocess

from .daemon import BUILD, DEADLINE_S, assert_no_sanitizer_report, clean_environment

RDRIVE_BENCH = os.path.join(BUILD, "bin", "rdrive-bench")


class Bench:
    """Bench(("--server", ADDRESS), "default"): options that go in front of each run."""

    def __init__(self, options=(), store=None):
        self.options = tuple(options) + (("--store", store) if store else ())

    def run(self, *arguments, environment=None):
        done = subprocess.run([RDRIVE_BENCH, *self.options, *map(str, arguments)], capture_output=True, text=True,
                              timeout=DEADLINE_S, env=clean_environment(**(environment or {})))
        assert_no_sanitizer_report(done.stderr.encode())
        return done

    def json(self, *arguments, code=0):
        """The report of a run that has to end with this exit code; standard output is the JSON alone."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done
        assert done.stdout.count("\n") == 1
        return json.loads(done.stdout)
