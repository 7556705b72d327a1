# SPDX-License-Identifier: MIT
"""A program that is killed as it enters one of its system calls: strace counts them."""
import os
import subprocess

from .daemon import DEADLINE_S, assert_no_sanitizer_report, clean_environment

# What changes something that others can see.
CALLS = "openat,pwrite64,pwritev,write,ftruncate,fdatasync,fsync,rename,renameat2,unlink,unlinkat,chown"


def run_killed(number, *command):
    """The command, killed as it enters the call of that number, counted from 1; its exit code, 0 where it has not so
    many."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # leaks are not looked for under a tracer
    done = subprocess.run(["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={CALLS}",
                           "-e", f"inject={CALLS}:signal=KILL:when={number}", *command],
                          capture_output=True, timeout=DEADLINE_S, env=clean_environment(ASAN_OPTIONS=options))
    assert_no_sanitizer_report(done.stderr)
    return done.returncode
