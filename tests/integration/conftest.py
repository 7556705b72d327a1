# SPDX-License-Identifier: MIT
"""Fixtures: a daemon for each module, a store for each test in it, and a launcher for tests that need their own."""
import itertools
import os
import shutil
import tempfile

import pytest

from harness.bench import RDRIVE_BENCH
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import RDRIVE, RDRIVED, Daemon, launcher
from harness.resp import Resp
from harness.wire import Wire

store_numbers = itertools.count(1)


def pytest_sessionstart(session):
    for program in (RDRIVED, RDRIVE, RDRIVE_BENCH):
        if not os.path.exists(program) and not session.config.option.collectonly:
            pytest.exit(f"{program} is not built; RDRIVE_BUILD names the build folder", returncode=1)


@pytest.fixture
def folder():
    """An empty folder with a short path, as Unix sockets need it."""
    path = tempfile.mkdtemp(prefix="rdrive-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def care():
    """The program that does verify and reopen through the C client, for harness.care."""
    from harness.care import Program  # here, since other suites that use these fixtures have no such program
    program = Program()
    yield program
    program.remove()


@pytest.fixture
def launch(folder):
    """Starts daemons on the test's folder."""
    with launcher(folder) as start:
        yield start


@pytest.fixture(scope="module")
def module_daemon():
    path = tempfile.mkdtemp(prefix="rdrive-")
    daemon = Daemon(path, "--redis", "127.0.0.1:0", unix=True)
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(path)


@pytest.fixture
def daemon(module_daemon):
    """The module's daemon, which has to be alive before and after each test."""
    module_daemon.assert_alive()
    yield module_daemon
    module_daemon.assert_alive()


@pytest.fixture
def store(daemon):
    """A fresh store's name; the store goes away after the test."""
    name = f"store-{next(store_numbers)}"
    curl = Curl(daemon.http, name)
    answer = curl.create()
    assert answer.status == 201, answer
    yield name
    answer = curl.drop()
    assert answer.status in (200, 404), answer


@pytest.fixture
def resp(daemon, store):
    """A connection over the Redis protocol on which the test's store is selected."""
    with Resp(daemon.redis_address) as connection:
        assert connection.call("SELECT", store) == b"+OK\r\n"
        yield connection


@pytest.fixture
def curl(daemon, store):
    return Curl(daemon.http, store)


@pytest.fixture
def wire(daemon, store):
    with Wire(daemon.binary_address, store) as connection:
        yield connection


@pytest.fixture
def cli(daemon, store):
    return Cli(("--server", daemon.binary), store)
