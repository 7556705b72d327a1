#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lines reached by the tests, file by file, from a build with --coverage: `scripts/coverage.py build/coverage`."""
import collections
import glob
import json
import os
import subprocess
import sys

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


def main(build):
    reached = collections.defaultdict(dict)
    for notes in sorted(glob.glob(os.path.join(build, "obj", "**", "*.gcda"), recursive=True)):
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
    if not reached:
        sys.exit(f"no coverage data below {build}")
    total = count = 0
    for path, lines in sorted(reached.items()):
        hit = sum(lines.values())
        print(f"{100 * hit / len(lines):6.1f} %  {hit:5} of {len(lines):5}  {path}")
        total += len(lines)
        count += hit
    print(f"{100 * count / total:6.1f} %  {count:5} of {total:5}  in all")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
