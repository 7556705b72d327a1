# SPDX-License-Identifier: MIT
"""tests/support/minimal_client.py, which knows what docs/PROTOCOL.md says and no more, against the real daemon."""
import hashlib
import inspect
import random
import zlib

import pytest

import minimal_client
from minimal_client import MinimalClient, Refused


@pytest.fixture
def client(daemon, store):
    client = MinimalClient(daemon.binary_address, store)
    yield client
    client.close()


def test_it_is_minimal_and_independent():
    source = inspect.getsource(minimal_client)
    assert len(source.splitlines()) < 150
    imports = [line for line in source.splitlines() if line.startswith(("import", "from"))]
    assert imports == ["import socket", "import struct"]


def test_write_read_delete(client):
    client.ping()
    written = client.write(b"alpha", b"Hello, store!")
    assert written[2] == zlib.crc32(b"Hello, store!") and written[4] == 0
    assert client.read(b"alpha") == b"Hello, store!"
    assert client.delete(b"alpha")[1] == 1 and client.delete(b"alpha")[1] == 0
    with pytest.raises(Refused) as refused:
        client.read(b"alpha")
    assert refused.value.status == 4


def test_batches(client):
    assert client.batch_write({b"a": b"one", b"": b"two"})[2] == 2
    assert client.batch_read([b"a", b"none", b""]) == [b"one", None, b"two"]


def test_streams_with_credit(client):
    block = random.Random(3).randbytes(777_777)
    digest = hashlib.sha256(block * 12).digest()
    client.upload(b"long", (block for _ in range(12)))
    got = hashlib.sha256()
    for piece in client.download(b"long"):
        got.update(piece)
    assert got.digest() == digest
    client.write(b"short", b"0123456789")
    assert list(client.download(b"short", credit=1)) == [b"%d" % digit for digit in range(10)]
    client.ping()


def test_errors_of_streams(client):
    with pytest.raises(Refused) as refused:
        client.upload(b"key", [])
    assert refused.value.status == 1
    with pytest.raises(Refused) as refused:
        list(client.download(b"none"))
    assert refused.value.status == 4
    client.ping()
