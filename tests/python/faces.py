# SPDX-License-Identifier: MIT
"""Both faces of the client behind one blocking shape, so that each test runs on both."""
import asyncio
import inspect

import rdrive
import rdrive.aio


class Blocking:
    name = "blocking"

    def __init__(self, server, store, **options):
        self.store = rdrive.open(store, server, **options)

    def __getattr__(self, operation):
        return getattr(self.store, operation)

    @property
    def client(self):
        return self.store.client

    def close(self):
        self.store.close()

    def entries(self, *args, **options):
        return list(self.store.iterate(*args, **options))

    def download(self, key, **options):
        """The head and all the bytes of a read_stream."""
        with self.store.read_stream(key, **options) as stream:
            return stream.head, b"".join(stream)

    def begin_download(self, key, chunks, **options):
        """Takes so many chunks and closes the stream."""
        with self.store.read_stream(key, **options) as stream:
            return b"".join(next(stream) for _ in range(chunks))


class Aio:
    name = "aio"

    def __init__(self, server, store, **options):
        self.loop = asyncio.new_event_loop()
        self.store = rdrive.aio.open(store, server, **options)
        self.client = Waiting(self.loop, self.store.client)

    def __getattr__(self, operation):
        return getattr(Waiting(self.loop, self.store), operation)

    def close(self):
        self.loop.run_until_complete(self.store.close())
        left = asyncio.all_tasks(self.loop)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        assert left == set(), "the client left tasks behind"

    def entries(self, *args, **options):
        async def gather():
            return [entry async for entry in self.store.iterate(*args, **options)]
        return self.loop.run_until_complete(gather())

    def download(self, key, **options):
        async def gather():
            async with self.store.read_stream(key, **options) as stream:
                return stream.head, b"".join([chunk async for chunk in stream])
        return self.loop.run_until_complete(gather())

    def begin_download(self, key, chunks, **options):
        async def gather():
            async with self.store.read_stream(key, **options) as stream:
                return b"".join([await stream.__anext__() for _ in range(chunks)])
        return self.loop.run_until_complete(gather())


class Waiting:
    """An object whose coroutines are run to their end."""

    def __init__(self, loop, target):
        self._loop = loop
        self._target = target

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if not inspect.iscoroutinefunction(value):
            return value
        return lambda *args, **options: self._loop.run_until_complete(value(*args, **options))


FACES = [Blocking, Aio]
