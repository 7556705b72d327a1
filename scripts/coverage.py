#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lines reached by the tests, file by file and by layer, from a build with --coverage:

    scripts/coverage.py build/coverage

Ends with 1 where a layer that LINES_MIN names stays below it.
"""
import collections
import glob
import json
import os
import subprocess
import sys

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
LINES_MIN = {"engine": 90, "protocol": 90}  # percent


def percent(hit, count):
    return f"{100 * hit / count:6.1f} %  {hit:5} of {count:5}"


def lines_reached(build):
    """{path: {line: whether it was run}} of our own sources."""
    reached = collections.defaultdict(dict)
    for notes in sorted(glob.glob(os.path.join(build, "obj", "**", "*.gcno"), recursive=True)):  # what never ran too
        done = subprocess.run(["gcov", "--json-format", "--stdout", os.path.abspath(notes)], cwd=REPOSITORY,
                              capture_output=True, check=True, text=True)
        for line in done.stdout.splitlines():
            for file in json.loads(line)["files"]:
                path = os.path.relpath(os.path.join(REPOSITORY, file["file"]), REPOSITORY)
                if path.startswith(("..", "tests", "/")):
                    continue
                for row in file["lines"]:
                    number = row["line_number"]
                    reached[path][number] = reached[path].get(number, False) or row["count"] > 0
    return reached


def main(build):
    reached = lines_reached(build)
    if not reached:
        sys.exit(f"no coverage data below {build}")
    layers = collections.defaultdict(lambda: [0, 0])
    for path, lines in sorted(reached.items()):
        hit = sum(lines.values())
        print(percent(hit, len(lines)), "", path)
        for name in (os.path.dirname(path), "in all"):
            layers[name][0] += hit
            layers[name][1] += len(lines)
    print()
    for name, (hit, count) in layers.items():
        print(percent(hit, count), "", name)
    low = [name for name, least in LINES_MIN.items() if 100 * layers[name][0] < least * layers[name][1] or not layers[name][1]]
    if low:
        sys.exit(f"below {LINES_MIN[low[0]]} %: {', '.join(low)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
