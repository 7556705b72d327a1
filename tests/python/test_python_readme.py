# SPDX-License-Identifier: MIT
"""The examples in clients/python/README.md, run as they are but for the server's address; and what ships."""
import os
import re
import subprocess
import sys
import textwrap

import pytest

import rdrive
from harness.daemon import REPOSITORY

README = open(os.path.join(REPOSITORY, "clients", "python", "README.md"), encoding="utf-8").read()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[0][:30])
def test_example(block, launch, folder, monkeypatch):
    server = launch().binary
    monkeypatch.chdir(folder)
    with open("film.mkv", "wb") as film:
        film.write(bytes(range(256)) * 10_000)
    code = textwrap.dedent(block).replace("127.0.0.1:7401", server).replace('open("default")', f'open("default", "{server}")')
    with rdrive.open("default", server) as store:
        store["counter"] = b"1"
        exec(compile(code, "README.md", "exec"), {"store": store, "rdrive": rdrive})


def test_nothing_but_the_standard_library(folder):
    """Importing it in an isolated interpreter, without any installed package, works from the source tree."""
    code = f"import sys; sys.path.insert(0, {os.path.join(REPOSITORY, 'clients', 'python')!r}); import rdrive.aio"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_marked_as_typed():
    assert os.path.exists(os.path.join(REPOSITORY, "clients", "python", "rdrive", "py.typed"))
    assert "py.typed" in open(os.path.join(REPOSITORY, "clients", "python", "pyproject.toml"), encoding="utf-8").read()


def test_types():
    """mypy is the tests' tool; the package needs nothing but the standard library."""
    done = subprocess.run(["mypy", "--strict", "--cache-dir", os.devnull, "clients/python/rdrive"], cwd=REPOSITORY,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
