# SPDX-License-Identifier: MIT
"""The blocking face: each call sends one request and waits for its answer.

Threads may share a Client and its Stores: their calls take turns. For parallel work use a Client for each thread, or
rdrive.aio. Nothing is retried. After Timeout, ConnectionLost and ProtocolError the connection is closed, and the next
call makes a new one; a write that ended so may or may not have taken effect.

Any operation may raise, besides what it says itself: StoreNotFound, InvalidArgument, Timeout, ConnectFailed,
ConnectionLost, ProtocolError, Overloaded, IoError, Unavailable; those with a key, TooLarge. Timeouts are seconds.
"""
from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from . import address, codec
from .errors import ConnectFailed, ConnectionLost, KeyNotFound, RdriveError, Timeout
from .session import Exchange, Session
from .types import (BatchDeleted, BatchWritten, Bytes, Deleted, Durability, Entry, Key, KeyHash, Limits, Metadata,
                    StoreInfo, Value, Version, Written)

T = TypeVar("T")
D = TypeVar("D")

RECEIVE_LEN = 1 << 18


class Link:
    """One connection: a session and its socket. Not for use outside this package."""

    def __init__(self, where: address.Address, timeout_s: float, answer_len_max: int) -> None:
        """Connects and says hello. ConnectFailed, Timeout, ProtocolError, Unsupported."""
        self.session = Session(answer_len_max)
        self.closed = False
        deadline = time.monotonic() + timeout_s
        try:
            self._socket = _connect(where, timeout_s)
        except socket.timeout:
            raise Timeout(f"no connection to {where} within {timeout_s} s") from None
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"no connection to {where}: {error}") from error
        self._socket.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self.run(lambda: self.session.limits is not None, deadline)

    def run(self, done: Callable[[], bool], deadline: float) -> None:
        """Sends what the session has to send and receives, until both are done. Input is taken while output waits,
        so that two sides that both have much to say do not wait for each other."""
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
        except (BlockingIOError, InterruptedError):
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
        self._selector.modify(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0))
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not self._selector.select(left_s):
            raise Timeout("no answer in time")

    def _receive(self) -> bool:
        """Takes what is there; False where nothing is."""
        try:
            data = self._socket.recv(RECEIVE_LEN)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise ConnectionLost(f"the connection ended: {error}") from error
        if not data:
            raise ConnectionLost("the server closed the connection")
        self.session.receive(data)
        return True

    def close(self, reason: Optional[RdriveError] = None) -> None:
        """Ends every exchange that is under way. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        self._selector.close()
        self._socket.close()
        text = str(reason) if reason is not None else "the client was closed"
        self.session.fail(lambda: ConnectionLost(text))


def _connect(where: address.Address, timeout_s: float) -> socket.socket:
    if not where.path:
        connection = socket.create_connection((where.host, where.port), timeout=timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
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
    """

    def __init__(self, server: address.Server = address.DEFAULT_SERVER, *, timeout: float = address.DEFAULT_TIMEOUT_S,
                 connect_timeout: float = address.DEFAULT_CONNECT_TIMEOUT_S,
                 answer_len_max: int = address.DEFAULT_ANSWER_LEN_MAX) -> None:
        self._address = address.parse(server)
        self._timeout_s = timeout
        self._connect_timeout_s = connect_timeout
        self._answer_len_max = answer_len_max
        self._lock = threading.RLock()
        self._link: Optional[Link] = None

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

    def stores(self) -> List[StoreInfo]:
        """Every store that the server hosts."""
        return self.call(codec.stores())

    def create(self, name: str, settings: Optional[Mapping[str, object]] = None) -> StoreInfo:
        """A new store; settings such as {"durability": "interval:500"}. Conflict: it exists."""
        return self.call(codec.create(name, settings))

    def info(self, name: str = "default") -> StoreInfo:
        """About one store."""
        return self.call(codec.info(name))

    def drop(self, name: str) -> None:
        """Deletes a store and all that is in it. "default" cannot be dropped: InvalidArgument."""
        self.call(codec.drop(name))

    def call(self, request: codec.Request[T]) -> T:
        """Sends any request of rdrive.codec and waits for its answer."""
        with self._lock:
            link = self._linked()
            exchange = link.session.start(request)
            self._run(link, exchange)
            return exchange.result()

    def _linked(self) -> Link:
        if self._link is None or self._link.closed:
            self._link = Link(self._address, self._connect_timeout_s, self._answer_len_max)
        return self._link

    def _run(self, link: Link, exchange: Exchange[T], until: Callable[[], bool] = lambda: False) -> None:
        """Drives the connection until the exchange is done, or until() holds."""
        link.run(lambda: exchange.done or until(), time.monotonic() + self._timeout_s)


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
        """Closes the connection where rdrive.open made this store; a store of Client.store leaves it to its client."""
        if self._owns_client:
            self.client.close()

    # ---- writing

    def write(self, key: Key, value: Bytes, *, durability: Durability = Durability.DEFAULT) -> Written:
        """Stores a value. InvalidArgument: it is empty, or exactly one zero byte; NoSpace."""
        return self.client.call(codec.write(self.name, key, value, durability))

    def batch_write(self, entries: Union[Mapping[Key, Bytes], Iterable[Tuple[Key, Bytes]]], *,
                    allow_null_bytes: bool = False, durability: Durability = Durability.DEFAULT) -> BatchWritten:
        """All or nothing, visible at once; the last of several items with one key wins. allow_null_bytes: a value of
        one zero byte deletes its key instead of being refused."""
        return self.client.call(codec.batch_write(self.name, entries, allow_null_bytes, durability))

    def delete(self, key: Key, *, durability: Durability = Durability.DEFAULT) -> Deleted:
        """A key that is not there is no error: `found` is then False."""
        return self.client.call(codec.delete(self.name, key, durability))

    def batch_delete(self, keys: Iterable[Key], *, durability: Durability = Durability.DEFAULT) -> BatchDeleted:
        """All or nothing; `deleted` says how many were there."""
        return self.client.call(codec.batch_delete(self.name, keys, durability))

    # ---- reading

    def read(self, key: Key) -> Value:
        """KeyNotFound, Corrupt; ProtocolError where it is longer than answer_len_max."""
        return self.client.call(codec.read(self.name, key))

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
        entries asked for at once (0: as many as the server likes). Each page is a consistent look, all together are
        not: an entry that is rewritten meanwhile may be missed."""
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


def open(name: str = "default", server: address.Server = address.DEFAULT_SERVER, *,
         timeout: float = address.DEFAULT_TIMEOUT_S, connect_timeout: float = address.DEFAULT_CONNECT_TIMEOUT_S,
         answer_len_max: int = address.DEFAULT_ANSWER_LEN_MAX) -> Store:
    """A store on a connection of its own, which goes with it: `with rdrive.open("photos") as store:`."""
    client = Client(server, timeout=timeout, connect_timeout=connect_timeout, answer_len_max=answer_len_max)
    return Store(client, name, owns_client=True)
