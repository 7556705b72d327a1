# SPDX-License-Identifier: MIT
"""The blocking face: each call sends one request and waits for its answer.

Threads may share a Client and its Stores: their calls take turns. For parallel work use a Client for each thread, or
rdrive.aio. In a child process (os.fork, multiprocessing) a Client connects anew, and streams of before the fork end
with ConnectionLost: they are the parent's. Nothing is retried. After Timeout, ConnectionLost and ProtocolError the
connection is closed, and the next call makes a new one; a write that ended so may or may not have taken effect.

Any operation may raise, besides what it says itself: StoreNotFound, InvalidArgument, Timeout, ConnectFailed,
ConnectionLost, ProtocolError, Overloaded, IoError, Unavailable, Unauthorized, Forbidden; those with a key, TooLarge.
Timeouts are seconds.
"""
from __future__ import annotations

import os
import selectors
import socket
import ssl
import threading
import time
import weakref
from typing import Any, Callable, Generic, Iterable, Iterator, List, Mapping, Optional, Tuple, TypeVar, Union, cast

from . import address, codec, tls as terms
from .errors import ConnectFailed, ConnectionLost, KeyNotFound, RdriveError, Timeout
from .session import Download, Exchange, Session
from .types import (BackupHead, BatchDeleted, BatchWritten, BinaryReader, BinaryWriter, Bytes, Compaction, Copied, Deleted,
                    Durability, Entry, Head, Key, Limits, Metadata, Progress, StoreInfo, StreamHead, Transferred, Value,
                    Verification, Version, Written)

T = TypeVar("T")
D = TypeVar("D")

Source = Union[BinaryReader, Iterable[Bytes]]
"""What write_stream takes a value from."""

RECEIVE_LEN = 1 << 18
WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Link:
    """One connection: a session and its socket. Not for use outside this package."""

    def __init__(self, where: address.Address, context: Optional[ssl.SSLContext], timeout_s: float,
                 answer_len_max: int, token: Optional[str]) -> None:
        """Connects, says hello and shows the token. ConnectFailed, Timeout, ProtocolError, Unsupported, Unauthorized."""
        self.session = Session(answer_len_max, token)
        self.closed = False
        deadline = time.monotonic() + timeout_s
        try:
            self._socket = _connect(where, context, timeout_s)
        except socket.timeout:
            raise Timeout(f"no connection to {where} within {timeout_s} s") from None
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"no connection to {where}: {error}") from error
        self._socket.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self.run(lambda: self.session.greeted, deadline)
        try:
            self.session.check_token()
        except RdriveError as error:
            self.close(error)
            raise

    def run(self, done: Callable[[], bool], deadline: float) -> None:
        """Sends what the session has to send and receives, until both are done. Input is taken while output waits,
        so that two sides that both have much to say do not wait for each other."""
        if self.closed:
            return  # every exchange is done
        output = [memoryview(part).cast("B") for part in _joined(self.session.take_output())]
        try:
            while True:
                while output and self._send(output):
                    pass
                if not output and done():
                    return
                self._wait(bool(output), deadline)
                self._receive()
                output += [memoryview(part).cast("B") for part in self.session.take_output()]
        except RdriveError as error:
            answered = done()  # a server may answer and then close
            self.close(error)
            if not answered:
                raise
        except BaseException as error:  # an interrupt: half a frame may have left
            self.close(ConnectionLost(f"the connection was given up: {error!r}"))
            raise

    def _send(self, output: List[memoryview]) -> bool:
        """Sends some of it; False where the socket takes no more now."""
        try:
            sent = self._socket.send(output[0])
        except WOULD_BLOCK:
            return False
        except OSError as error:
            self._receive_the_rest()
            raise ConnectionLost(f"the connection ended while a request was sent: {error}") from error
        if sent == len(output[0]):
            output.pop(0)
        else:
            output[0] = output[0][sent:]
        return True

    def _receive_the_rest(self) -> None:
        """Answers that came before the connection ended count."""
        try:
            while self._receive():
                pass
        except RdriveError:
            pass

    def _wait(self, writing: bool, deadline: float) -> None:
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return  # that has left the socket already
        self._selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0))
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not self._selector.select(left_s):
            raise Timeout("no answer in time")

    def _receive(self) -> bool:
        """Takes what is there; False where nothing is."""
        try:
            data = self._socket.recv(RECEIVE_LEN)
        except WOULD_BLOCK:
            return False
        except OSError as error:
            raise ConnectionLost(f"the connection ended: {error}") from error
        if not data:
            raise ConnectionLost("the server closed the connection")
        self.session.receive(data)
        return True

    def look(self) -> None:
        """Takes what came while nobody waited: where that is the connection's end, no request was lost with it."""
        if not self.closed:
            try:
                while self._receive():
                    pass
            except RdriveError as error:
                self.close(error)
            except BaseException as error:  # an interrupt: what was received may not have been taken
                self.close(ConnectionLost(f"the connection was given up: {error!r}"))
                raise

    def close(self, reason: Optional[RdriveError] = None) -> None:
        """Ends every exchange that is under way. Safe to call twice."""
        if self.closed:
            return
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.unwrap()  # says good-bye; does not wait for the answer
            except (OSError, ValueError):
                pass
        self.leave(str(reason) if reason is not None else "the client was closed")

    def leave(self, reason: str) -> None:
        """The same, without a word to the server: in a child process the connection is the parent's."""
        if self.closed:
            return
        self.closed = True
        self._selector.close()
        self._socket.close()
        self.session.fail(lambda: ConnectionLost(reason))


def _connect(where: address.Address, context: Optional[ssl.SSLContext], timeout_s: float) -> socket.socket:
    if not where.path:
        connection = socket.create_connection((where.host, where.port), timeout=timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            return connection
        try:
            return context.wrap_socket(connection, server_hostname=where.host)
        except BaseException:
            connection.close()
            raise
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout_s)
        connection.connect(where.path)
    except BaseException:
        connection.close()
        raise
    return connection


def _joined(parts: List[Bytes]) -> List[Bytes]:
    """Small pieces as one, so that they leave in one packet."""
    return [b"".join(parts)] if sum(len(part) for part in parts) <= RECEIVE_LEN else parts


class Client:
    """A connection to a server, made when it is first needed and again after it was lost.

    server            "HOST:PORT", ("HOST", PORT), "[IPV6]:PORT", or the path of a Unix socket
    timeout           seconds for one request and its answer; of a stream, for each step
    connect_timeout   seconds for connecting and the hello
    answer_len_max    bytes of one answer; longer ones are refused (read_stream has no limit)
    tls               True: TLS 1.3, with a server that proves to be the host that `server` names; or an ssl.SSLContext
    tls_ca            a PEM file of the authorities to believe, which implies tls; else those of the system
    token             shown to the server on every connection; None: none
    """

    def __init__(self, server: address.Server = address.DEFAULT_SERVER, *, timeout: float = address.DEFAULT_TIMEOUT_S,
                 connect_timeout: float = address.DEFAULT_CONNECT_TIMEOUT_S,
                 answer_len_max: int = address.DEFAULT_ANSWER_LEN_MAX, tls: terms.Tls = False,
                 tls_ca: Optional[str] = None, token: Optional[str] = None) -> None:
        self._address = address.parse(server)
        self._context = terms.context(self._address, tls, tls_ca)
        self._token = codec.checked_token(token)
        self._timeout_s = timeout
        self._connect_timeout_s = connect_timeout
        self._answer_len_max = answer_len_max
        self._lock = threading.RLock()
        self._link: Optional[Link] = None
        _clients.add(self)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rdrive.Client of {self._address}>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known here."""
        return self._link is not None and not self._link.closed

    def connect(self) -> Limits:
        """Connects now, where there is no connection, and answers with what the server allows."""
        with self._lock:
            limits = self._linked().session.limits
            assert limits is not None
            return limits

    def close(self) -> None:
        """Ends the connection; streams under way end with ConnectionLost. A later call would connect anew."""
        with self._lock:
            if self._link is not None:
                self._link.close()
                self._link = None

    def store(self, name: str = "default") -> Store:
        """The operations on one store. Asks nobody whether it exists."""
        return Store(self, name)

    def ping(self, data: bytes = b"") -> None:
        """Asks for nothing but an answer. data: up to 64 bytes of anything."""
        self.call(codec.ping(data))

    def metrics(self) -> str:
        """What the server counts and holds, of all stores: text in Prometheus' format."""
        return self.call(codec.metrics())

    def stores(self) -> List[StoreInfo]:
        """Every store that the server hosts."""
        return self.call(codec.stores())

    def create(self, name: str, settings: Optional[Mapping[str, object]] = None) -> StoreInfo:
        """A new store; settings such as {"durability": "interval:500", "batch_marker": False}. Conflict: it exists."""
        return self.call(codec.create(name, settings))

    def info(self, name: str = "default") -> StoreInfo:
        """About one store."""
        return self.call(codec.info(name))

    def drop(self, name: str) -> None:
        """Deletes a store and all that is in it. "default" cannot be dropped: Forbidden."""
        self.call(codec.drop(name))

    def reopen(self, name: str = "default") -> StoreInfo:
        """Has the server close a store and open it again, with all the recovery of a start: for one that has become
        READ_ONLY or is FAILED, once the cause is gone. Meanwhile it is Unavailable to everybody. Any error but
        StoreNotFound, Conflict and Unavailable says why it does not serve now."""
        return self.call(codec.reopen(name))

    def call(self, request: codec.Request[T]) -> T:
        """Sends any request of rdrive.codec and waits for its answer."""
        with self._lock:
            link = self._linked()
            exchange = link.session.start(request)
            self._run(link, exchange)
            return exchange.result()

    def _linked(self) -> Link:
        if self._link is not None:
            self._link.look()
        if self._link is None or self._link.closed:
            self._link = Link(self._address, self._context, self._connect_timeout_s, self._answer_len_max, self._token)
        return self._link

    def _forked(self) -> None:
        """In a child process. Who held the lock may be a thread of the parent's."""
        self._lock = threading.RLock()
        link, self._link = self._link, None
        if link is not None:
            link.leave("the connection is of the process that this one was forked from")

    def start_download(self, request: codec.Request[Head], window: int) -> ReadStream[Head]:
        """Sends a read_stream or backup of rdrive.codec and waits for its head."""
        with self._lock:
            link = self._linked()
            download = link.session.start_download(request, window)
            self._run(link, download)
            return ReadStream(self, link, download, download.result())

    def upload(self, request: codec.Request[Written], pieces: Iterator[Bytes]) -> Written:
        """Sends a write_stream of rdrive.codec and its value. The lock is not held while the source is asked, so that
        the source may use this client too."""
        with self._lock:
            link = self._linked()
            upload = link.session.start_upload(request)
        try:
            for piece in pieces:
                view = memoryview(codec.value_bytes(piece))
                while len(view):
                    with self._lock:
                        self._run(link, upload, lambda: upload.room > 0)
                        if upload.done:
                            return upload.result()
                        length = min(upload.room, len(view))
                        upload.send(view[:length])
                        self._run(link, upload, lambda: True)  # sent at once: the source may use its buffer again
                    view = view[length:]
            with self._lock:
                if not upload.done:
                    upload.end()
                self._run(link, upload)
                return upload.result()
        finally:
            with self._lock:
                if not (upload.done or link.closed):
                    upload.cancel()
                    self._run(link, upload, lambda: True)

    def _run(self, link: Link, exchange: Exchange[T], until: Callable[[], bool] = lambda: False) -> None:
        """Drives the connection until the exchange is done, or until() holds."""
        link.run(lambda: exchange.done or until(), time.monotonic() + self._timeout_s)

    def _next_chunk(self, link: Link, download: Download[Any]) -> Optional[bytes]:
        with self._lock:
            link.run(lambda: download.ready, time.monotonic() + self._timeout_s)
            chunk = download.take()
            if not link.closed:  # the credit, at once
                link.run(lambda: True, time.monotonic() + self._timeout_s)
            return chunk

    def _forget(self, link: Link, download: Download[Any]) -> None:
        """Gives up a stream that nobody closed and nobody can reach any more. No waiting and no I/O, since this runs
        wherever Python collects it: the server hears of it with the next request."""
        if not (link.closed or download.over) and self._lock.acquire(blocking=False):
            try:
                download.cancel()
            finally:
                self._lock.release()

    def _cancel(self, link: Link, download: Download[Any]) -> None:
        with self._lock:
            download.cancel()
            if not link.closed:
                link.run(lambda: True, time.monotonic() + self._timeout_s)


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _forked() -> None:
    """Two processes on one connection would be answered with each other's values."""
    for client in list(_clients):
        client._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class ReadStream(Generic[Head]):
    """A value that comes in chunks: an iterator of bytes. The server sends ahead only as much as its window allows,
    and keeps the value, even where it is overwritten or deleted meanwhile, until the last chunk or close(). Use it in a
    `with`, or read it to its end; one that is merely dropped is given up some time after. Other operations of the client may be used between its chunks.

    The iteration raises Corrupt where the value does not match its checksum: what was taken until then is no good.
    """

    def __init__(self, client: Client, link: Link, download: Download[Head], head: Head) -> None:
        self.head = head
        self._client = client
        self._link = link
        self._download = download
        self._closed = False

    def __enter__(self) -> ReadStream[Head]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> ReadStream[Head]:
        return self

    def __next__(self) -> bytes:
        chunk = None if self._closed else self._client._next_chunk(self._link, self._download)
        if chunk is None:
            raise StopIteration
        return chunk

    def write_to(self, file: BinaryWriter) -> int:
        """Writes the rest to a file object; answers how many bytes that was."""
        length = 0
        for chunk in self:
            codec.write_all(file.write, chunk)
            length += len(chunk)
        return length

    def close(self) -> None:
        """No more is wanted. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._client._cancel(self._link, self._download)

    def __del__(self) -> None:
        if not self._closed:
            self._client._forget(self._link, self._download)


def _pieces(source: Source) -> Iterator[Bytes]:
    codec.check_source(source)
    read = getattr(source, "read", None)
    if read is None:
        yield from cast(Iterable[Bytes], source)
        return
    while True:
        piece: Bytes = read(codec.STEP_LEN)
        if not piece:
            return
        yield piece


class Store:
    """The operations on one store, also as a mapping from keys to values, which iterates over entries (their hashes:
    the keys themselves are not stored)."""

    def __init__(self, client: Client, name: str = "default", owns_client: bool = False) -> None:
        """owns_client: closing the store closes the client."""
        self.client = client
        self.name = name
        self._owns_client = owns_client

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<rdrive.Store {self.name!r} of {self.client!r}>"

    def close(self) -> None:
        """Closes the connection where rdrive.open made this store; Client.store leaves it to its client."""
        if self._owns_client:
            self.client.close()

    # ---- writing

    def write(self, key: Key, value: Bytes, *, durability: Durability = Durability.DEFAULT, if_absent: bool = False,
              if_present: bool = False, if_version: Optional[Version] = None) -> Written:
        """Stores a value. InvalidArgument: it is empty, or exactly one zero byte; NoSpace. PreconditionFailed: the
        condition, of which there may be one, did not hold."""
        only = codec.condition(if_absent, if_present, if_version)
        return self.client.call(codec.write(self.name, key, value, durability, only))

    def write_stream(self, key: Key, source: Source, *, length: Optional[int] = None,
                     durability: Durability = Durability.DEFAULT, if_absent: bool = False, if_present: bool = False,
                     if_version: Optional[Version] = None) -> Written:
        """Stores a value of any size from a file object (anything with read) or an iterable of bytes. It takes effect
        at its end, all at once; where the source raises, nothing is written. length: bytes, where known beforehand;
        InvalidArgument where the source then has another number. Errors as of write."""
        only = codec.condition(if_absent, if_present, if_version)
        return self.client.upload(codec.write_stream(self.name, key, length, durability, only), _pieces(source))

    def batch_write(self, entries: Union[Mapping[Key, Bytes], Iterable[Tuple[Key, Bytes]]], *,
                    allow_null_bytes: bool = False, durability: Durability = Durability.DEFAULT) -> BatchWritten:
        """All or nothing, visible at once; the last of several items with one key wins. allow_null_bytes: a value of
        one zero byte deletes its key instead of being refused."""
        return self.client.call(codec.batch_write(self.name, entries, allow_null_bytes, durability))

    def rename(self, key: Key, new_key: Key, *, durability: Durability = Durability.DEFAULT, if_absent: bool = False,
               if_version: Optional[Version] = None) -> Written:
        """Moves a value to another key, atomically. if_version: the old key's value is still that one; if_absent:
        nothing lives under the new key. KeyNotFound, Conflict (the same key), PreconditionFailed, Corrupt, NoSpace."""
        only = codec.condition(if_version=if_version)
        target = codec.condition(if_absent=if_absent)
        return self.client.call(codec.rename(self.name, key, new_key, durability, only, target))

    def copy(self, key: Key, target: Union[str, Store]) -> Copied:
        """Copies a value to another store of the same server. KeyNotFound, StoreNotFound, Conflict (the same store),
        Corrupt, NoSpace."""
        return self.client.call(codec.copy(self.name, key, _name(target)))

    def transfer(self, key: Key, target: Union[str, Store]) -> Transferred:
        """Moves a value to another store of the same server: at every moment it is in at least one of the two. Errors
        as of copy; Conflict also where the source changed meanwhile: the copy stays, and so does the newer value."""
        return self.client.call(codec.transfer(self.name, key, _name(target)))

    def delete(self, key: Key, *, durability: Durability = Durability.DEFAULT, if_present: bool = False,
               if_version: Optional[Version] = None) -> Deleted:
        """A key that is not there is no error: `found` is then False. PreconditionFailed: the condition did not
        hold."""
        only = codec.condition(if_present=if_present, if_version=if_version)
        return self.client.call(codec.delete(self.name, key, durability, only))

    def batch_delete(self, keys: Iterable[Key], *, durability: Durability = Durability.DEFAULT) -> BatchDeleted:
        """All or nothing; `deleted` says how many were there."""
        return self.client.call(codec.batch_delete(self.name, keys, durability))

    # ---- reading

    def read(self, key: Key) -> Value:
        """KeyNotFound, Corrupt; ProtocolError where it is longer than answer_len_max."""
        return self.client.call(codec.read(self.name, key))

    def read_stream(self, key: Key, *, first: int = 0, length: Optional[int] = None, suffix: Optional[int] = None,
                    window: int = codec.WINDOW_LEN) -> ReadStream[StreamHead]:
        """A value of any size, or `length` bytes of it (None: up to its end) from byte `first`, or its last `suffix`
        bytes. window: bytes that may wait here, from 1. KeyNotFound, RangeNotSatisfiable."""
        request = codec.read_stream(self.name, key, window, first, length, suffix)
        return self.client.start_download(request, window)

    def read_to(self, key: Key, file: BinaryWriter, *, first: int = 0, length: Optional[int] = None,
                suffix: Optional[int] = None) -> StreamHead:
        """read_stream into a file object; the errors too, Corrupt possibly after bytes were written."""
        with self.read_stream(key, first=first, length=length, suffix=suffix) as stream:
            stream.write_to(file)
            return stream.head

    def batch_read(self, keys: Iterable[Key]) -> List[Optional[Value]]:
        """One consistent look: a value or None for each key, in the order asked. Corrupt, with the others in it."""
        return self.client.call(codec.batch_read(self.name, keys))

    def exists(self, key: Key) -> bool:
        return self.client.call(codec.exists(self.name, key))

    def metadata(self, key: Key) -> Metadata:
        """What read would tell, without the value. KeyNotFound."""
        return self.client.call(codec.metadata(self.name, key))

    def last(self) -> Metadata:
        """The live entry with the highest offset. KeyNotFound where nothing lives."""
        return self.client.call(codec.last(self.name))

    def iterate(self, after: int = 0, *, page: int = 0) -> Iterator[Entry]:
        """Live entries, newest first, asked for page by page. after: only those with lower offsets (0: all); page:
        entries asked for at once (0: as many as the server likes; more than it ever gives, 10,000, is InvalidArgument).
        Each page is a consistent look, all together are not: an entry that is rewritten meanwhile may be missed."""
        while True:
            entries = self.client.call(codec.iterate(self.name, after, page))
            yield from entries
            after = codec.next_page(entries)
            if after == 0:
                return

    def get(self, key: Key, default: Optional[D] = None) -> Union[Value, D, None]:
        """read, with a default in place of KeyNotFound."""
        try:
            return self.read(key)
        except KeyNotFound:
            return default

    # ---- the store itself

    def ping(self, data: bytes = b"") -> None:
        self.client.ping(data)

    def create(self, settings: Optional[Mapping[str, object]] = None) -> StoreInfo:
        return self.client.create(self.name, settings)

    def reopen(self) -> StoreInfo:
        """As Client.reopen."""
        return self.client.reopen(self.name)

    def compact(self) -> Compaction:
        """Has the store's file hold what lives alone, while it serves: it is copied to a new one. Takes as long as that
        does; offsets and versions change."""
        return self.client.call(codec.compact(self.name))

    def verify(self, progress: Optional[Progress] = None, *, step: int = 0) -> Verification:
        """Looks at every entry of the store, newest first, for damage, while it serves. progress: called behind each
        step with the bytes done and those there are; what it raises ends the look. step: bytes of one (0: as many as
        the server likes). Conflict: the store has been compacted meanwhile, begin anew."""
        found = Verification()
        start, total = 0, None
        while True:
            one = self.client.call(codec.verify(self.name, start, step))
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
        `generation` of one backup's head are where the next may go on. PreconditionFailed: the file is of another
        generation, take all of it anew; RangeNotSatisfiable: start is behind its end."""
        return self.client.start_download(codec.backup(self.name, window, start, generation), window)

    def backup_to(self, file: BinaryWriter, start: int = 0, generation: Optional[int] = None) -> BackupHead:
        """backup into a file object, which stands where `start` belongs."""
        with self.backup(start, generation) as stream:
            stream.write_to(file)
            return stream.head

    def info(self) -> StoreInfo:
        return self.client.info(self.name)

    def drop(self) -> None:
        self.client.drop(self.name)

    def len(self) -> int:
        """Live entries."""
        return self.info().entries

    # ---- as a mapping

    def __getitem__(self, key: Key) -> Value:
        return self.read(key)

    def __setitem__(self, key: Key, value: Bytes) -> None:
        self.write(key, value)

    def __delitem__(self, key: Key) -> None:
        """KeyNotFound, as a dict has it, where delete() has nothing to complain about."""
        if not self.delete(key).found:
            raise KeyNotFound("no such key")

    def __contains__(self, key: Key) -> bool:
        return self.exists(key)

    def __len__(self) -> int:
        return self.len()

    def __iter__(self) -> Iterator[Entry]:
        return self.iterate()

    def __bool__(self) -> bool:
        """True: a store is no list, and asking whether there is one should not ask the network."""
        return True


def _name(store: Union[str, Store]) -> str:
    return store if isinstance(store, str) else store.name


def open(name: str = "default", server: address.Server = address.DEFAULT_SERVER, *,
         timeout: float = address.DEFAULT_TIMEOUT_S, connect_timeout: float = address.DEFAULT_CONNECT_TIMEOUT_S,
         answer_len_max: int = address.DEFAULT_ANSWER_LEN_MAX, tls: terms.Tls = False,
         tls_ca: Optional[str] = None, token: Optional[str] = None) -> Store:
    """A store on a connection of its own, which goes with it: `with rdrive.open("photos") as store:`."""
    client = Client(server, timeout=timeout, connect_timeout=connect_timeout, answer_len_max=answer_len_max, tls=tls,
                    tls_ca=tls_ca, token=token)
    return Store(client, name, owns_client=True)
