# SPDX-License-Identifier: MIT
"""The state of one connection, without its socket: which requests are under way, and what is still to be sent.

Both faces drive it alike: they send what take_output gives, hand what they receive to receive, and look at the
exchanges, each of which is one request with its answer. Used by one thread at a time.
"""
from __future__ import annotations

import collections
from typing import Any, Callable, Deque, Dict, Generic, List, Optional, TypeVar

from . import codec
from .codec import Frame, Hello, Request
from .errors import ConnectionLost, InvalidArgument, ProtocolError, RdriveError, Status, TooLarge, Unsupported, error_of
from .types import Bytes, Head, Limits, Written

T = TypeVar("T")
E = TypeVar("E", bound="Exchange[Any]")


class Exchange(Generic[T]):
    """A request and, once `done`, its result or its error. It is done exactly once."""

    def __init__(self, session: Session, request: Request[T], identifier: int) -> None:
        self.session = session
        self.id = identifier
        self.opcode = request.opcode
        self.done = False
        self.error: Optional[RdriveError] = None
        self.changed: Optional[Callable[[], None]] = None
        """called whenever there is something new to look at; must not raise"""
        self._decode = request.decode
        self._result: List[T] = []

    def result(self) -> T:
        """Of an exchange that is done: what it was answered with, or its error raised."""
        if self.error is not None:
            raise self.error
        return self._result[0]

    def answered(self, answer: Frame) -> None:
        if answer.opcode != self.opcode:
            raise ProtocolError(f"operation 0x{self.opcode:02x} was answered as 0x{answer.opcode:02x}")
        if answer.status != Status.OK:
            self.fail(error_of(answer.status, codec.error_message(answer.body)))
            return
        try:
            result = self._decode(answer.body)
        except ProtocolError:
            raise
        except RdriveError as error:  # a batch_read with a corrupt value
            self.fail(error)
            return
        self.succeed(result)

    def succeed(self, result: T) -> None:
        self._result.append(result)
        self.done = True
        self.session.forget(self)
        self.notify()

    def fail(self, error: RdriveError) -> None:
        self.error = error
        self.done = True
        self.session.forget(self)
        self.notify()

    def part(self, part: Frame) -> None:
        """A part of this exchange's stream came in."""
        raise ProtocolError(f"a part of a stream for operation 0x{self.opcode:02x}, which is none")

    def notify(self) -> None:
        if self.changed is not None:
            self.changed()


class Upload(Exchange[Written]):
    """A write_stream. Chunks may be sent while `room` is not 0 and it is not done: the server may answer early."""

    def __init__(self, session: Session, request: Request[Written], identifier: int) -> None:
        super().__init__(session, request, identifier)
        assert session.limits is not None
        self._chunk_len_max = session.limits.chunk_len_max
        self._credit = session.limits.stream_window
        self._ended = False

    @property
    def room(self) -> int:
        """bytes that the next chunk may have"""
        return min(self._credit, self._chunk_len_max)

    def send(self, data: Bytes) -> None:
        """Queues one chunk of at most `room` bytes."""
        assert 0 < len(data) <= self.room and not self._ended
        self._credit -= len(data)
        self.session.send(codec.chunk(self.id, data))

    def end(self) -> None:
        """The value is complete; the answer follows."""
        self._ended = True
        self.session.send([codec.frame(codec.END, self.id)])

    def cancel(self) -> None:
        """The value will never be complete: nothing is to be written. The answer, whatever it is, interests nobody."""
        if not self.done and not self._ended:
            self._ended = True
            self.session.send([codec.frame(codec.ABORT, self.id)])

    def part(self, part: Frame) -> None:
        if part.opcode != codec.CREDIT:
            raise ProtocolError(f"a part 0x{part.opcode:02x} of a value that is being sent")
        self._credit += codec.credit_of(part.body)
        self.notify()


class Download(Exchange[Head]):
    """A read_stream or a backup: done with its head, over when `over`. Its chunks wait here until they are taken, at most as many
    bytes as the credit that is out."""

    def __init__(self, session: Session, request: Request[Head], identifier: int, window: int) -> None:
        super().__init__(session, request, identifier)
        self.over = False
        self._left = 0
        self._chunks: Deque[bytes] = collections.deque()
        self._window = window
        self._taken = 0
        self._cancelled = False
        self._failure: Optional[RdriveError] = None

    @property
    def ready(self) -> bool:
        """Whether take would have something to say."""
        return bool(self._chunks) or self.over

    def take(self) -> Optional[bytes]:
        """The next chunk, None behind the last; what ended the stream early is raised once the chunks are taken."""
        if not self._chunks:
            if self._failure is not None:
                raise self._failure
            return None
        chunk = self._chunks.popleft()
        self._taken += len(chunk)
        if not self.over and self._taken >= self._window // 2:
            self.session.send([codec.credit(self.id, self._taken)])
            self._taken = 0
        return chunk

    def cancel(self) -> None:
        """No more of it is wanted: what still comes is thrown away, up to the server's last part."""
        if not self.over:
            self._cancelled = True
            self.over = True
            self._failure = ConnectionLost("the stream was closed")
            if self.done:  # else once the head is there: before it there is no stream to abort
                self._abort()
        self._chunks.clear()

    def _abort(self) -> None:
        self.session.send([codec.frame(codec.ABORT, self.id)])

    def succeed(self, result: Head) -> None:
        self._left = result.length
        self._result.append(result)
        self.done = True
        if self._cancelled:
            self._abort()
        self.notify()

    def fail(self, error: RdriveError) -> None:
        if self.done:
            self._end(error)
        else:
            super().fail(error)
            self._end(error)

    def part(self, part: Frame) -> None:
        if not self.done or part.opcode == codec.CREDIT:
            raise ProtocolError(f"a part 0x{part.opcode:02x} of a value that was asked for, out of turn")
        if part.opcode == codec.CHUNK:
            self._chunk(part.body)
        elif part.opcode == codec.ABORT or self._cancelled:
            self._end(None if self._cancelled else codec.abort_of(part.body))
        elif self._left:
            raise ProtocolError("a value ended before its last byte")
        else:
            self._end(None)

    def _chunk(self, data: bytes) -> None:
        if len(data) > self._left:
            raise ProtocolError("more of a value than was announced")
        self._left -= len(data)
        if data and not self._cancelled:
            self._chunks.append(data)
            self.notify()

    def _end(self, failure: Optional[RdriveError]) -> None:
        self._failure = failure
        self.over = True
        self.session.forget(self)
        self.notify()


class Session:
    """answer_len_max: bytes of one answer; a longer one is a ProtocolError. token: shown right behind the hello."""

    def __init__(self, answer_len_max: int, token: Optional[str] = None) -> None:
        self.limits: Optional[Limits] = None
        """None until the hello is answered"""
        self._decoder = codec.Decoder(answer_len_max)
        self._output: List[Bytes] = [codec.HELLO]
        self._pending: Dict[int, Exchange[Any]] = {}
        self._next_id = 1
        self._auth: Optional[Exchange[None]] = None
        if token is not None:
            request = codec.auth(token)
            self._auth = Exchange(self, request, self._next_id)
            self._add(self._auth, request)

    @property
    def greeted(self) -> bool:
        """Whether the server has answered the hello, and the token where one was shown."""
        return self.limits is not None and (self._auth is None or self._auth.done)

    def check_token(self) -> None:
        """Once that is so. Unauthorized: the server does not know the token."""
        if self._auth is not None:
            self._auth.result()

    @property
    def pending(self) -> int:
        """requests that have no answer yet"""
        return len(self._pending)

    def start(self, request: Request[T]) -> Exchange[T]:
        """Queues a request for sending, behind an accepted hello. TooLarge: the server would not take it."""
        return self._started(Exchange(self, request, self._next_id), request)

    def start_upload(self, request: Request[Written]) -> Upload:
        """The same for a write_stream. Unsupported: the server has no streams."""
        self._check_streams()
        return self._started(Upload(self, request, self._next_id), request)

    def start_download(self, request: Request[Head], window: int) -> Download[Head]:
        """The same for a read_stream or a backup; window: the credit that the request grants. With none nothing would
        ever come: InvalidArgument."""
        if window < 1:
            raise InvalidArgument("window is a number of bytes from 1")
        self._check_streams()
        return self._started(Download(self, request, self._next_id, window), request)

    def _started(self, exchange: E, request: Request[T]) -> E:
        assert self.limits is not None
        if sum(len(part) for part in request.body) > self.limits.body_len_max:
            raise TooLarge(f"a request is longer than the {self.limits.body_len_max} bytes that the server takes")
        self._add(exchange, request)
        return exchange

    def _add(self, exchange: Exchange[T], request: Request[T]) -> None:
        self._output += request.encode(exchange.id)
        self._next_id += 1
        self._pending[exchange.id] = exchange

    def _check_streams(self) -> None:
        assert self.limits is not None
        if not (self.limits.stream_window and self.limits.chunk_len_max):
            raise Unsupported("the server is of a version that has no streams")

    def send(self, parts: List[Bytes]) -> None:
        """Queues bytes that are whole frames."""
        self._output += parts

    @property
    def has_output(self) -> bool:
        return bool(self._output)

    def take_output(self) -> List[Bytes]:
        """What is to be sent now, in this order."""
        output, self._output = self._output, []
        return output

    def receive(self, data: Bytes) -> None:
        """Takes what came in. Raises what makes the connection useless; every exchange is then still to be failed."""
        for message in self._decoder.feed(data):
            if isinstance(message, Hello):
                self.limits = message.limits
                continue
            exchange = self._pending.get(message.id)
            if message.opcode in (codec.CHUNK, codec.END, codec.ABORT, codec.CREDIT):
                if message.status != Status.OK:  # a part of ours that it calls malformed; it closes behind that
                    raise error_of(message.status, codec.error_message(message.body))
                if exchange is not None:
                    exchange.part(message)
                elif message.id >= self._next_id:
                    raise ProtocolError(f"a part of stream {message.id}, which never was")
                # else a credit that was on its way when the upload was answered
            elif exchange is None:
                raise ProtocolError(f"an answer to request {message.id}, which is not under way")
            else:
                exchange.answered(message)

    def forget(self, exchange: Exchange[Any]) -> None:
        self._pending.pop(exchange.id, None)

    def fail(self, error: Callable[[], RdriveError]) -> None:
        """The connection is gone: each exchange that is not done gets an error of its own, once."""
        for exchange in list(self._pending.values()):
            exchange.fail(error())
