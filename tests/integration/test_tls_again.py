# SPDX-License-Identifier: MIT
"""Tests of other files once more, through TLS: of what a filter between socket and protocol could get wrong."""
import os
import shutil
import tempfile

import pytest

from harness.certificates import Authority
from harness.daemon import Daemon, launcher

# The functions are collected here with the fixtures below.
from test_limits import (test_a_head_that_does_not_come, test_a_reload_changes_limits,  # noqa: F401
                         test_a_request_that_comes_slowly, test_an_idle_connection, test_connections)
from test_cold_reads import *  # noqa: F401,F403
from test_lost_file import *  # noqa: F401,F403
from test_pipeline import *  # noqa: F401,F403
from test_streams import *  # noqa: F401,F403
from test_turns import *  # noqa: F401,F403


def memory_environment():
    """Sessions give memory back all the time, and what AddressSanitizer keeps of that would count as the daemon's."""
    return {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


@pytest.fixture(scope="module")
def certificate():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    yield Authority(folder).issue()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def module_daemon(certificate):
    path = tempfile.mkdtemp(prefix="rdrive-")
    daemon = Daemon(path, "--redis", "127.0.0.1:0", unix=True, certificate=certificate, environment=memory_environment())
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(path)


@pytest.fixture
def launch(folder, certificate):
    """Starts daemons on the test's folder, which speak TLS."""
    with launcher(folder, certificate=certificate, environment=memory_environment()) as start:
        yield start
