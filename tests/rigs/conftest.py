# SPDX-License-Identifier: MIT
"""The rigs stand on the integration tests' harness."""
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "integration"))

import images  # noqa: E402
from harness.daemon import Daemon  # noqa: E402


@pytest.fixture(scope="session")
def podman():
    """podman(WORD, ...) runs one of its commands; the project's image is built."""
    with images.configured():
        images.build()
        yield images.podman


@pytest.fixture
def folder():
    """On the disk that RDRIVE_RIG_DIR names (default: the temporary folder's), as the rigs are about disks."""
    path = tempfile.mkdtemp(prefix="rdrive-rig-", dir=os.environ.get("RDRIVE_RIG_DIR"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def launch(folder):
    daemons = []

    def start(*flags, **options):
        daemons.append(Daemon(folder, *flags, **options))
        return daemons[-1]

    try:
        yield start
    finally:
        for daemon in daemons:
            daemon.kill()
