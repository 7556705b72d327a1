# SPDX-License-Identifier: MIT
"""Another client's small writes, one after another, each timed: prober.py HOST PORT STORE OUTPUT, until SIGTERM."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "integration"))

from harness import wire as w  # noqa: E402

running = True


def stop(*_):
    global running
    running = False


def main():
    host, port, store, output = sys.argv[1:]
    signal.signal(signal.SIGTERM, stop)
    connection = w.Wire((host, int(port)), store)
    number = 0
    with open(output, "w", encoding="ascii") as file:
        while running:
            began = time.perf_counter()
            connection.write(b"probe-%d" % (number % 1000), b"p" * 100)
            file.write(f"{began:.6f} {(time.perf_counter() - began) * 1e6:.0f}\n")
            number += 1


main()
