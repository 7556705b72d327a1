# SPDX-License-Identifier: MIT
"""The asyncio face: the same operations as rdrive's, as coroutines.

    async with rdrive.aio.open("photos", "127.0.0.1:7401") as store:
        await store.write("a", b"one")
        values = await asyncio.gather(*(store.read(key) for key in keys))

Requests are pipelined: any number may be under way on the one connection, and ids pair the answers with them. A
connection that is lost ends each request under way with ConnectionLost, once; the next call connects anew. A request
that times out or is cancelled is given up alone, the connection stays. Nothing is retried. Where a write ended so, it
may or may not have taken effect.

A client belongs to the event loop that it is first used on; it is not for use from other threads. Errors and units are
those of rdrive.blocking.
"""
from __future__ import annotations

import asyncio
import inspect
from typing import (Any, AsyncIterable, AsyncIterator, Callable, Generic, Iterable, List, Mapping, Optional, Tuple,
                    TypeVar, Union, cast)

from . import address, codec, tls as terms
from .errors import ConnectFailed, ConnectionLost, KeyNotFound, ProtocolError, RdriveError, Timeout
from .session import Download, Exchange, Session
from .types import (BackupHead, BatchDeleted, BatchWritten, BinaryReader, BinaryWriter, Bytes, Compaction, Copied, Deleted,
                    Durability, Entry, Head, Key, Limits, Metadata, Progress, StoreInfo, StreamHead, Transferred, Value,
                    Verification, Version, Written)

T = TypeVar("T")
D = TypeVar("D")

RECEIVE_LEN = 1 << 18
WRITE_NOW_LEN = 1 << 16
"""Bytes of output above which they are not kept until the end of the loop's turn."""


Source = Union[BinaryReader, asyncio.StreamReader, Iterable[Bytes], AsyncIterable[Bytes]]
"""What write_stream takes a value from. The read of a file object is called in a thread."""


class Link:
    """One connection: a session, its streams, and the task that receives. Not for use outside this package."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer_len_max: int,
                 token: Optional[str]) -> None:
        self.session = Session(answer_len_max, token)
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._writer = writer
        self._flushing = False
        self._drain_lock = asyncio.Lock()  # drain is not for several at once before Python 3.12
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(self._receive())

    async def greet(self) -> None:
        """Says hello, shows the token, and waits for the answers."""
        self.flush_now()
        await self._greeted

    async def _receive(self) -> None:
        error: RdriveError = ConnectionLost("the server closed the connection")
        try:
            while True:
                data = await self._reader.read(RECEIVE_LEN)
                if not data:
                    break
                self.session.receive(data)
                if self.session.has_output:
                    self.flush()
                if not self._greeted.done() and self.session.greeted:
                    self.session.check_token()
                    self._greeted.set_result(None)
        except RdriveError as problem:
            error = problem
        except OSError as problem:
            error = ConnectionLost(f"the connection ended: {problem}")
        except asyncio.CancelledError:
            error = ConnectionLost("the client was closed")
        except Exception as problem:  # a defect here: nobody must wait for ever because of it
            error = ProtocolError(f"cannot make sense of what came: {problem!r}")
        self._close(error)

    def _close(self, error: RdriveError) -> None:
        if self.closed:
            return
        self.closed = True
        self._writer.transport.abort()  # close() would wait for a peer that may never take what is left
        self.session.fail(lambda: type(error)(*error.args))
        if not self._greeted.done():
            self._greeted.set_exception(error)
            self._greeted.exception()  # seen: nobody needs to wait for it

    async def close(self) -> None:
        """Ends every exchange that is under way."""
        self._close(ConnectionLost("the client was closed"))
        self._task.cancel()
        await asyncio.wait([self._task])
        try:
            await self._writer.wait_closed()
        except OSError:
            pass

    def flush(self) -> None:
        """Sends what is queued at the end of the loop's turn, so that many small requests leave together."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush_now)

    def flush_now(self) -> None:
        self._flushing = False
        output = self.session.take_output()
        if output and not self.closed:
            if sum(len(part) for part in output) <= WRITE_NOW_LEN:
                self._writer.write(b"".join(output))
            else:
                self._writer.writelines(output)

    def give_up(self, download: Download[Any]) -> None:
        """Tells the server that no more of it is wanted."""
        if not self.closed:
            download.cancel()
            self.flush()

    def give_up_soon(self, download: Download[Any]) -> None:
        """The same for a stream that nobody closed and nobody can reach any more; from any thread."""
        if not (self.closed or download.over or self._loop.is_closed()):
            self._loop.call_soon_threadsafe(self.give_up, download)

    async def drain(self, timeout_s: float) -> None:
        """Sends what is queued, and waits where the other side does not take it. Timeout."""
        self.flush_now()
        if not self.closed:
            try:
                await asyncio.wait_for(self._drain(), timeout_s)
            except asyncio.TimeoutError:
                raise Timeout("the server does not take the request") from None

    async def _drain(self) -> None:
        async with self._drain_lock:
            try:
                await self._writer.drain()
            except OSError:
                pass  # the receiving task sees it too, and says so

    async def wait(self, exchange: Exchange[Any], timeout_s: float,
                   until: Callable[[], bool] = lambda: False) -> None:
        """Until the exchange is done or until() holds. Timeout."""
        await self.wait_for(exchange, timeout_s, lambda: exchange.done or until())

    async def wait_ready(self, download: Download[Any], timeout_s: float) -> None:
        """Until take has something to say. Timeout."""
        await self.wait_for(download, timeout_s, lambda: download.ready)

    async def wait_for(self, exchange: Exchange[Any], timeout_s: float, holds: Callable[[], bool]) -> None:
        """Until holds(), which is asked whenever the exchange changed. Timeout."""
        if holds():
            return
        ready: asyncio.Future[None] = self._loop.create_future()

        def look() -> None:
            if not ready.done() and holds():
                ready.set_result(None)

        def expire() -> None:
            if not ready.done():
                ready.set_exception(Timeout("no answer in time"))

        exchange.changed = look
        timer = self._loop.call_later(timeout_s, expire)
        try:
            await ready
        finally:
            timer.cancel()
            exchange.changed = None


class Client:
    """A connection to a server, made when it is first needed and again after it was lost. The arguments are those of
    rdrive.Client."""

    def __init__(self, server: address.Server = address.DEFAULT_SERVER, *, timeout: float = address.DEFAULT_TIMEOUT_S,
                 connect_timeout: float = address.DEFAULT_CONNECT_TIMEOUT_S,
                 answer_len_max: int = address.DEFAULT_ANSWER_LEN_MAX, tls: terms.Tls = False,
                 tls_ca: Optional[str] = None, token: Optional[str] = None) -> None:
        self._address = address.parse(server)
        self._context = terms.context(self._address, tls, tls_ca)
        self._token = codec.checked_token(token)
        self.timeout_s = timeout
        self._connect_timeout_s = connect_timeout
        self._answer_len_max = answer_len_max
        self._link: Optional[Link] = None
        self._connecting: Optional[asyncio.Lock] = None

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<rdrive.aio.Client of {self._address}>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known here."""
        return self._link is not None and not self._link.closed

    async def connect(self) -> Limits:
        """Connects now, where there is no connection, and answers with what the server allows."""
        limits = (await self.link()).session.limits
        assert limits is not None
        return limits

    async def close(self) -> None:
        """Ends the connection; what is under way ends with ConnectionLost. A later call would connect anew."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def store(self, name: str = "default") -> Store:
        """The operations on one store. Asks nobody whether it exists."""
        return Store(self, name)

    async def ping(self, data: bytes = b"") -> None:
        """Asks for nothing but an answer. data: up to 64 bytes of anything."""
        await self.call(codec.ping(data))

    async def metrics(self) -> str:
        """What the server counts and holds, of all stores: text in Prometheus' format."""
        return await self.call(codec.metrics())

    async def stores(self) -> List[StoreInfo]:
        """Every store that the server hosts."""
        return await self.call(codec.stores())

    async def create(self, name: str, settings: Optional[Mapping[str, object]] = None) -> StoreInfo:
        """A new store; settings such as {"durability": "interval:500", "batch_marker": False}. Conflict: it exists."""
        return await self.call(codec.create(name, settings))

    async def info(self, name: str = "default") -> StoreInfo:
        """About one store."""
        return await self.call(codec.info(name))

    async def drop(self, name: str) -> None:
        """Deletes a store and all that is in it. "default" cannot be dropped: Forbidden."""
        await self.call(codec.drop(name))

    async def reopen(self, name: str = "default") -> StoreInfo:
        """Has the server close a store and open it again, with all the recovery of a start: for one that has become
        READ_ONLY or is FAILED, once the cause is gone. Meanwhile it is Unavailable to everybody. Any error but
        StoreNotFound, Conflict and Unavailable says why it does not serve now."""
        return await self.call(codec.reopen(name))

    async def call(self, request: codec.Request[T]) -> T:
        """Sends any request of rdrive.codec and waits for its answer."""
        link = await self.link()
        exchange = link.session.start(request)
        if sum(len(part) for part in request.body) > WRITE_NOW_LEN:
            await link.drain(self.timeout_s)
        else:
            link.flush()
        await link.wait(exchange, self.timeout_s)
        return exchange.result()

    async def upload(self, request: codec.Request[Written], source: Source) -> Written:
        """Sends a write_stream of rdrive.codec and its value."""
        codec.check_source(source)
        link = await self.link()
        upload = link.session.start_upload(request)
        try:
            async for piece in _pieces(source):
                view = memoryview(codec.value_bytes(piece))
                while len(view) and not upload.done:
                    if upload.room == 0:
                        await link.wait(upload, self.timeout_s, lambda: upload.room > 0)
                        continue
                    length = min(upload.room, len(view))
                    upload.send(bytes(view[:length]))  # a copy: the source may use its buffer again
                    view = view[length:]
                    await link.drain(self.timeout_s)
                if upload.done:
                    return upload.result()
            if not upload.done:
                upload.end()
                link.flush()
            await link.wait(upload, self.timeout_s)
            return upload.result()
        finally:
            upload.cancel()
            link.flush()

    async def link(self) -> Link:
        """The connection, made where there is none. Not for use outside this package."""
        if self._link is not None and not self._link.closed:
            return self._link
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._link is None or self._link.closed:
                try:
                    self._link = await asyncio.wait_for(self._connect(), self._connect_timeout_s)
                except asyncio.TimeoutError:
                    raise Timeout(f"no connection to {self._address} within {self._connect_timeout_s} s") from None
            return self._link

    async def _connect(self) -> Link:
        where = self._address
        try:
            if where.path:
                reader, writer = await asyncio.open_unix_connection(where.path)
            else:
                reader, writer = await asyncio.open_connection(where.host, where.port, ssl=self._context)
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"no connection to {where}: {error}") from error
        link = Link(reader, writer, self._answer_len_max, self._token)
        try:
            await link.greet()
        except BaseException:
            await link.close()
            raise
        return link


async def _pieces(source: Source) -> AsyncIterator[Bytes]:
    read = getattr(source, "read", None)
    if read is not None:
        while True:
            if inspect.iscoroutinefunction(read):
                piece = await read(codec.STEP_LEN)
            else:
                piece = await asyncio.to_thread(read, codec.STEP_LEN)
            if not piece:
                return
            yield piece
    elif hasattr(source, "__aiter__"):
        async for piece in cast(AsyncIterable[Bytes], source):
            yield piece
    else:
        for piece in cast(Iterable[Bytes], source):
            yield piece


class ReadStream(Generic[Head]):
    """A value that comes in chunks: an asynchronous iterator of bytes. The request is sent when it is entered, or asked
    for its first chunk. The server sends ahead only as much as its window allows, and keeps the value, even where it
    is overwritten or deleted meanwhile, until the last chunk or close(). Use it in an `async with`, or read it to its
    end; a stream that is merely dropped is given up when Python collects it.

    The iteration raises Corrupt where the value does not match its checksum: what was taken until then is no good.
    """

    def __init__(self, client: Client, request: codec.Request[Head], window: int) -> None:
        self._client = client
        self._request = request
        self._window = window
        self._link: Optional[Link] = None
        self._download: Optional[Download[Head]] = None
        self._closed = False

    async def __aenter__(self) -> ReadStream[Head]:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def head(self) -> Head:
        """Of a stream that is open."""
        if self._download is None:
            raise ValueError("the stream is not open yet")
        return self._download.result()

    async def open(self) -> Head:
        """Asks for the value, where that is not done yet. KeyNotFound, RangeNotSatisfiable."""
        if self._download is None or self._link is None:
            self._link = await self._client.link()
            self._download = self._link.session.start_download(self._request, self._window)
            self._link.flush()
        await self._link.wait(self._download, self._client.timeout_s)
        return self._download.result()

    def __aiter__(self) -> ReadStream[Head]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None if self._closed else await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> Optional[bytes]:
        try:
            await self.open()
            link, download = self._link, self._download
            assert link is not None and download is not None
            await link.wait_ready(download, self._client.timeout_s)
        except BaseException:
            await self.close()
            raise
        chunk = download.take()
        link.flush()
        return chunk

    async def write_to(self, file: BinaryWriter) -> int:
        """Writes the rest to a file object, in a thread; answers how many bytes that was."""
        length = 0
        async for chunk in self:
            await asyncio.to_thread(codec.write_all, file.write, chunk)
            length += len(chunk)
        return length

    async def close(self) -> None:
        """No more is wanted. Safe to call twice."""
        self._closed = True
        if self._download is not None and self._link is not None:
            self._link.give_up(self._download)

    def __del__(self) -> None:
        if not self._closed and self._download is not None and self._link is not None:
            self._link.give_up_soon(self._download)


class Store:
    """The operations on one store. Iteration (`async for entry in store`) is over entries, which have hashes: the keys
    themselves are not stored."""

    def __init__(self, client: Client, name: str = "default", owns_client: bool = False) -> None:
        """owns_client: closing the store closes the client."""
        self.client = client
        self.name = name
        self._owns_client = owns_client

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<rdrive.aio.Store {self.name!r} of {self.client!r}>"

    async def close(self) -> None:
        """Closes the connection where rdrive.aio.open made this store; Client.store leaves it to its client."""
        if self._owns_client:
            await self.client.close()

    # ---- writing

    async def write(self, key: Key, value: Bytes, *, durability: Durability = Durability.DEFAULT,
                    if_absent: bool = False, if_present: bool = False,
                    if_version: Optional[Version] = None) -> Written:
        """Stores a value. InvalidArgument: it is empty, or exactly one zero byte; NoSpace. PreconditionFailed: the
        condition, of which there may be one, did not hold."""
        only = codec.condition(if_absent, if_present, if_version)
        return await self.client.call(codec.write(self.name, key, value, durability, only))

    async def write_stream(self, key: Key, source: Source, *, length: Optional[int] = None,
                           durability: Durability = Durability.DEFAULT, if_absent: bool = False,
                           if_present: bool = False, if_version: Optional[Version] = None) -> Written:
        """Stores a value of any size from a file object (anything with read, a coroutine or not) or an iterable of
        bytes, asynchronous or not. It takes effect at its end, all at once; where the source raises, nothing is
        written. length: bytes, where known beforehand; InvalidArgument where the source then has another number.
        Errors as of write."""
        only = codec.condition(if_absent, if_present, if_version)
        return await self.client.upload(codec.write_stream(self.name, key, length, durability, only), source)

    async def batch_write(self, entries: Union[Mapping[Key, Bytes], Iterable[Tuple[Key, Bytes]]], *,
                          allow_null_bytes: bool = False,
                          durability: Durability = Durability.DEFAULT) -> BatchWritten:
        """All or nothing, visible at once; the last of several items with one key wins. allow_null_bytes: a value of
        one zero byte deletes its key instead of being refused."""
        return await self.client.call(codec.batch_write(self.name, entries, allow_null_bytes, durability))

    async def rename(self, key: Key, new_key: Key, *, durability: Durability = Durability.DEFAULT,
                     if_absent: bool = False, if_version: Optional[Version] = None) -> Written:
        """Moves a value to another key, atomically. if_version: the old key's value is still that one; if_absent:
        nothing lives under the new key. KeyNotFound, Conflict (the same key), PreconditionFailed, Corrupt, NoSpace."""
        only = codec.condition(if_version=if_version)
        target = codec.condition(if_absent=if_absent)
        return await self.client.call(codec.rename(self.name, key, new_key, durability, only, target))

    async def copy(self, key: Key, target: Union[str, Store]) -> Copied:
        """Copies a value to another store of the same server. KeyNotFound, StoreNotFound, Conflict (the same store),
        Corrupt, NoSpace."""
        return await self.client.call(codec.copy(self.name, key, _name(target)))

    async def transfer(self, key: Key, target: Union[str, Store]) -> Transferred:
        """Moves a value to another store of the same server: at every moment it is in at least one of the two. Errors
        as of copy; Conflict also where the source changed meanwhile: the copy stays, and so does the newer value."""
        return await self.client.call(codec.transfer(self.name, key, _name(target)))

    async def delete(self, key: Key, *, durability: Durability = Durability.DEFAULT, if_present: bool = False,
                     if_version: Optional[Version] = None) -> Deleted:
        """A key that is not there is no error: `found` is then False. PreconditionFailed: the condition did not
        hold."""
        only = codec.condition(if_present=if_present, if_version=if_version)
        return await self.client.call(codec.delete(self.name, key, durability, only))

    async def batch_delete(self, keys: Iterable[Key], *, durability: Durability = Durability.DEFAULT) -> BatchDeleted:
        """All or nothing; `deleted` says how many were there."""
        return await self.client.call(codec.batch_delete(self.name, keys, durability))

    # ---- reading

    async def read(self, key: Key) -> Value:
        """KeyNotFound, Corrupt; ProtocolError where it is longer than answer_len_max."""
        return await self.client.call(codec.read(self.name, key))

    def read_stream(self, key: Key, *, first: int = 0, length: Optional[int] = None, suffix: Optional[int] = None,
                    window: int = codec.WINDOW_LEN) -> ReadStream[StreamHead]:
        """A value of any size, or `length` bytes of it (None: up to its end) from byte `first`, or its last `suffix`
        bytes. window: bytes that may wait here, from 1. What open raises: KeyNotFound, RangeNotSatisfiable."""
        return ReadStream(self.client, codec.read_stream(self.name, key, window, first, length, suffix), window)

    async def read_to(self, key: Key, file: BinaryWriter, *, first: int = 0, length: Optional[int] = None,
                suffix: Optional[int] = None) -> StreamHead:
        """read_stream into a file object; the errors too, Corrupt possibly after bytes were written."""
        async with self.read_stream(key, first=first, length=length, suffix=suffix) as stream:
            await stream.write_to(file)
            return stream.head

    async def batch_read(self, keys: Iterable[Key]) -> List[Optional[Value]]:
        """One consistent look: a value or None for each key, in the order asked. Corrupt, with the others in it."""
        return await self.client.call(codec.batch_read(self.name, keys))

    async def exists(self, key: Key) -> bool:
        return await self.client.call(codec.exists(self.name, key))

    async def metadata(self, key: Key) -> Metadata:
        """What read would tell, without the value. KeyNotFound."""
        return await self.client.call(codec.metadata(self.name, key))

    async def last(self) -> Metadata:
        """The live entry with the highest offset. KeyNotFound where nothing lives."""
        return await self.client.call(codec.last(self.name))

    async def iterate(self, after: int = 0, *, page: int = 0) -> AsyncIterator[Entry]:
        """Live entries, newest first, asked for page by page. after: only those with lower offsets (0: all); page:
        entries asked for at once (0: as many as the server likes; more than it ever gives, 10,000, is InvalidArgument).
        Each page is a consistent look, all together are not: an entry that is rewritten meanwhile may be missed."""
        while True:
            entries = await self.client.call(codec.iterate(self.name, after, page))
            for entry in entries:
                yield entry
            after = codec.next_page(entries)
            if after == 0:
                return

    async def get(self, key: Key, default: Optional[D] = None) -> Union[Value, D, None]:
        """read, with a default in place of KeyNotFound."""
        try:
            return await self.read(key)
        except KeyNotFound:
            return default

    # ---- the store itself

    async def ping(self, data: bytes = b"") -> None:
        await self.client.ping(data)

    async def create(self, settings: Optional[Mapping[str, object]] = None) -> StoreInfo:
        return await self.client.create(self.name, settings)

    async def reopen(self) -> StoreInfo:
        """As Client.reopen."""
        return await self.client.reopen(self.name)

    async def compact(self) -> Compaction:
        """Has the store's file hold what lives alone, while it serves: it is copied to a new one. Takes as long as that
        does; offsets and versions change."""
        return await self.client.call(codec.compact(self.name))

    async def verify(self, progress: Optional[Progress] = None, *, step: int = 0) -> Verification:
        """Looks at every entry of the store, newest first, for damage, while it serves. progress: called behind each
        step with the bytes done and those there are; what it raises ends the look. step: bytes of one (0: as many as
        the server likes). Conflict: the store has been compacted meanwhile, begin anew."""
        found = Verification()
        start, total = 0, None
        while True:
            one = await self.client.call(codec.verify(self.name, start, step))
            total = one.start if total is None else total
            found.add(one)
            if progress is not None:
                progress(found.bytes, total)
            start = one.next
            if start == 0:
                return found

    def backup(self, start: int = 0, generation: Optional[int] = None, *,
               window: int = codec.WINDOW_LEN) -> ReadStream[BackupHead]:
        """The store's file from `start` on, as it is at this moment: it holds all that was acknowledged before, opens
        like any store's file, and later ones of the same generation begin with the same bytes. So the `tail` and
        `generation` of one backup's head are where the next may go on. What open raises: PreconditionFailed, the file
        is of another generation, take all of it anew; RangeNotSatisfiable, start is behind its end."""
        return ReadStream(self.client, codec.backup(self.name, window, start, generation), window)

    async def backup_to(self, file: BinaryWriter, start: int = 0, generation: Optional[int] = None) -> BackupHead:
        """backup into a file object, which stands where `start` belongs."""
        async with self.backup(start, generation) as stream:
            await stream.write_to(file)
            return stream.head

    async def info(self) -> StoreInfo:
        return await self.client.info(self.name)

    async def drop(self) -> None:
        await self.client.drop(self.name)

    async def len(self) -> int:
        """Live entries."""
        return (await self.info()).entries

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self.iterate()


def _name(store: Union[str, Store]) -> str:
    return store if isinstance(store, str) else store.name


def open(name: str = "default", server: address.Server = address.DEFAULT_SERVER, *,
         timeout: float = address.DEFAULT_TIMEOUT_S, connect_timeout: float = address.DEFAULT_CONNECT_TIMEOUT_S,
         answer_len_max: int = address.DEFAULT_ANSWER_LEN_MAX, tls: terms.Tls = False,
         tls_ca: Optional[str] = None, token: Optional[str] = None) -> Store:
    """A store on a connection of its own, which goes with it: `async with rdrive.aio.open("photos") as store:`."""
    client = Client(server, timeout=timeout, connect_timeout=connect_timeout, answer_len_max=answer_len_max, tls=tls,
                    tls_ca=tls_ca, token=token)
    return Store(client, name, owns_client=True)
