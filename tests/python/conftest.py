# SPDX-License-Identifier: MIT
"""The integration tests' daemon, and both faces of the Python client on it."""
import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
for path in ("clients/python", "tests/integration", "tests/support", "tests/python"):
    path = os.path.join(REPOSITORY, path)
    if path not in sys.path:
        sys.path.insert(0, path)

_spec = importlib.util.spec_from_file_location("integration_fixtures",
                                               os.path.join(REPOSITORY, "tests", "integration", "conftest.py"))
_integration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_integration)

pytest_sessionstart = _integration.pytest_sessionstart
folder = _integration.folder
launch = _integration.launch
module_daemon = _integration.module_daemon
daemon = _integration.daemon
store = _integration.store

from faces import FACES  # noqa: E402 - found through the path above


@pytest.fixture(params=FACES, ids=lambda face: face.name)
def open_face(request):
    """Opens a store through one face or the other; closed at the end."""
    opened = []

    def start(server, name="default", **options):
        face = request.param(server, name, **options)
        opened.append(face)
        return face

    yield start
    for face in opened:
        face.close()


@pytest.fixture
def face(open_face, daemon, store):
    """A fresh store through either face."""
    return open_face(daemon.binary, store)
