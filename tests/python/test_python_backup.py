# SPDX-License-Identifier: MIT
"""Backups through both faces of the Python client, against the real daemon."""
import asyncio
import io
import os

import pytest

import rdrive


def file_of(daemon, store):
    with open(daemon.store_path(store), "rb") as file:
        return file.read()


def test_all_of_it_then_what_is_new(daemon, store, face):
    face.write("a", os.urandom(3 << 20))
    copy = io.BytesIO()
    head = face.backup_to(copy)
    info = face.info()
    assert head == rdrive.BackupHead(info.generation, info.tail, 0, info.tail)
    for i in range(5):
        face.write(f"b{i}", os.urandom(2 + 1000 * i))
        more = face.backup_to(copy, head.tail, head.generation)
        assert (more.first, more.length) == (head.tail, more.tail - head.tail)
        head = more
    assert copy.getvalue() == file_of(daemon, store)[:head.tail]
    assert face.backup_to(copy, head.tail, head.generation).length == 0


def test_an_empty_store(face):
    assert face.backup_to(io.BytesIO()) == rdrive.BackupHead(face.info().generation, 0, 0, 0)


def test_what_is_refused(face):
    face.write("a", b"value")
    head = face.backup_to(io.BytesIO())
    with pytest.raises(rdrive.PreconditionFailed):
        face.backup_to(io.BytesIO(), 0, head.generation ^ 1)
    with pytest.raises(rdrive.RangeNotSatisfiable):
        face.backup_to(io.BytesIO(), head.tail + 1)
    with pytest.raises(rdrive.InvalidArgument):
        face.backup_to(io.BytesIO(), -1)
    assert face.backup_to(io.BytesIO(), head.tail).length == 0


def test_other_requests_between_its_chunks(daemon, store, face):
    """And it stays what it was when it was asked for."""
    face.write("a", os.urandom(4 << 20))
    whole = file_of(daemon, store)[:face.info().tail]
    if face.name == "blocking":
        with face.backup(window=1 << 16) as stream:
            got = [next(stream)]
            face.write("b", b"value")
            got += list(stream)
    else:
        async def run():
            async with face.store.backup(window=1 << 16) as stream:
                got = [await stream.__anext__()]
                await asyncio.gather(face.store.write("b", b"value"), face.store.ping())
                return got + [chunk async for chunk in stream]
        got = face.loop.run_until_complete(run())
    assert b"".join(got) == whole


def test_it_is_given_up(face):
    face.write("a", os.urandom(4 << 20))
    if face.name == "blocking":
        with face.backup(window=1 << 16) as stream:
            next(stream)
    else:
        async def run():
            async with face.store.backup(window=1 << 16) as stream:
                await stream.__anext__()
        face.loop.run_until_complete(run())
    assert face.exists("a")
