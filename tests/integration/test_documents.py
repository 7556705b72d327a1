# SPDX-License-Identifier: MIT
"""What the documents tell users to type does work, and what they link to is there."""
import glob
import os
import re
import subprocess

import pytest

from harness.daemon import DEADLINE_S, RDRIVE, REPOSITORY, clean_environment

PAGES = sorted(glob.glob(os.path.join(REPOSITORY, "*.md")) + glob.glob(os.path.join(REPOSITORY, "docs", "*.md")))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_every_line_of_the_tour_works(launch, folder):
    """Against a daemon on other ports: these are put in the place of the default ones."""
    daemon = launch("--redis", "127.0.0.1:0")
    lines = "".join(re.findall(r"```sh\n(.*?)```", read(os.path.join(REPOSITORY, "README.md")), re.DOTALL)).splitlines()
    assert len(lines) > 20
    for line in lines:
        command = line.replace("127.0.0.1:7480", daemon.http).replace("curl ", "curl --fail -sS ")
        command = command.replace("build/bin/rdrive ", f"{RDRIVE} --server {daemon.binary} ")
        command = command.replace("redis-cli ", f"redis-cli -p {daemon.redis_address[1]} ")
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=REPOSITORY, capture_output=True,
                              timeout=DEADLINE_S, env=clean_environment())
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    daemon.stop()
    done = subprocess.run([RDRIVE, "--file", daemon.store_path("default"), "len"], capture_output=True, check=True)
    assert done.stdout == b"4\n"


@pytest.mark.parametrize("path", PAGES, ids=os.path.basename)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", read(path)):
        if "://" not in target:
            assert os.path.exists(os.path.join(os.path.dirname(path), target)), target
