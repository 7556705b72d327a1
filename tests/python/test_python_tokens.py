# SPDX-License-Identifier: MIT
"""Tokens through both faces of the Python client: every operation with none, an unknown one, each that lacks something,
and the right one."""
import io
import os
import shutil
import tempfile

import pytest

import rdrive
from harness import tokens
from harness.daemon import Daemon

MINE, OTHER = "mine", "other"
STORES = {"mine": MINE, "other": OTHER}

OPERATIONS = {
    "write": lambda face: face.write("w", b"new"),
    "write_stream": lambda face: face.write_stream("w", [b"new"]),
    "batch_write": lambda face: face.batch_write({"w": b"v"}),
    "rename": lambda face: face.rename("k", "n"),
    "delete": lambda face: face.delete("k"),
    "batch_delete": lambda face: face.batch_delete(["k"]),
    "copy": lambda face: face.copy("k", OTHER),
    "transfer": lambda face: face.transfer("k", OTHER),
    "read": lambda face: face.read("k"),
    "read_stream": lambda face: face.download("k"),
    "batch_read": lambda face: face.batch_read(["k"]),
    "exists": lambda face: face.exists("k"),
    "metadata": lambda face: face.metadata("k"),
    "last": lambda face: face.last(),
    "iterate": lambda face: face.entries(),
    "info": lambda face: face.info(),
    "create": lambda face: face.client.create(MINE),
    "drop": lambda face: face.client.drop(MINE),
    "verify": lambda face: face.verify(),
    "reopen": lambda face: face.reopen(),
    "compact": lambda face: face.compact(),
    "backup": lambda face: face.backup_to(io.BytesIO()),
}


@pytest.fixture(scope="module")
def guarded():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), *tokens.overall_rows()]
    for operation in tokens.NEEDS:
        rows += tokens.rows_of(operation, STORES)
    daemon = Daemon(folder, "--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows), unix=True)
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder)


@pytest.fixture
def root(guarded):
    with rdrive.open(MINE, guarded.binary, token=tokens.ROOT) as store:
        for name in (MINE, OTHER):
            if name in [info.name for info in store.client.stores()]:
                store.client.drop(name)
            store.client.create(name)
        store.write("k", b"value")
        yield store


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations(guarded, root, open_face, operation):
    assert set(OPERATIONS) == set(tokens.NEEDS)
    call = OPERATIONS[operation]
    with pytest.raises(rdrive.Unauthorized, match="asks for a token"):
        call(open_face(guarded.binary, MINE))
    with pytest.raises(rdrive.Unauthorized, match="not known"):
        call(open_face(guarded.binary, MINE, token="unknown"))
    for name, may in tokens.names(tokens.NEEDS[operation]):
        if not may:
            with pytest.raises(rdrive.Forbidden, match="does not allow"):
                call(open_face(guarded.binary, MINE, token=f"{operation}-{name}"))
    assert root.read("k") == b"value"
    right = open_face(guarded.unix_path, MINE, token=f"{operation}-right")
    if operation == "create":
        with pytest.raises(rdrive.Conflict):
            call(right)
    else:
        call(right)


def test_stores(guarded, root, open_face):
    assert [info.name for info in open_face(guarded.binary, token="copy-right").client.stores()] == [MINE, OTHER]


@pytest.mark.parametrize("token", tokens.OVERALL_TOKENS)
def test_what_tells_of_all_stores(guarded, open_face, token):
    client = open_face(guarded.binary, token=token).client
    if tokens.OVERALL_TOKENS[token][2]:
        assert "rdrive_" in client.metrics()
    else:
        with pytest.raises(rdrive.Forbidden, match="in every store"):
            client.metrics()


def test_a_refused_token_leaves_no_connection(guarded, open_face):
    """The next call tries again."""
    face = open_face(guarded.binary, token="unknown")
    for _ in range(2):
        with pytest.raises(rdrive.Unauthorized):
            face.exists("k")
        assert not face.client.connected


def test_a_server_that_asks_nobody(daemon, open_face):
    face = open_face(daemon.binary, token="whatever")
    assert face.exists("nobody") is False


@pytest.mark.parametrize("token", ["", "a" * 4097, "ä" * 2049])
def test_tokens_of_no_length_that_is_taken(open_face, token):
    with pytest.raises(ValueError):
        open_face("127.0.0.1:1", token=token)
