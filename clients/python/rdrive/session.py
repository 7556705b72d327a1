# SPDX-License-Identifier: MIT
"""The state of one connection, without its socket: which requests are under way, and what is still to be sent.

Both faces drive it alike: they send what take_output gives, hand what they receive to receive, and look at the
exchanges, each of which is one request with its answer. Used by one thread at a time.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, Generic, List, Optional, TypeVar

from . import codec
from .codec import Frame, Hello, Request
from .errors import ProtocolError, RdriveError, Status, TooLarge, error_of
from .types import Bytes, Limits

T = TypeVar("T")


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
        self._finish()

    def fail(self, error: RdriveError) -> None:
        self.error = error
        self._finish()

    def _finish(self) -> None:
        self.done = True
        self.session.forget(self)
        self.notify()

    def notify(self) -> None:
        if self.changed is not None:
            self.changed()


class Session:
    """answer_len_max: bytes of one answer; a longer one is a ProtocolError."""

    def __init__(self, answer_len_max: int) -> None:
        self.limits: Optional[Limits] = None
        """None until the hello is answered"""
        self._decoder = codec.Decoder(answer_len_max)
        self._output: List[Bytes] = [codec.HELLO]
        self._pending: Dict[int, Exchange[Any]] = {}
        self._next_id = 1

    @property
    def pending(self) -> int:
        """requests that have no answer yet"""
        return len(self._pending)

    def start(self, request: Request[T]) -> Exchange[T]:
        """Queues a request for sending, behind an accepted hello. TooLarge: the server would not take it."""
        assert self.limits is not None
        if sum(len(part) for part in request.body) > self.limits.body_len_max:
            raise TooLarge(f"a request is longer than the {self.limits.body_len_max} bytes that the server takes")
        exchange = Exchange(self, request, self._next_id)
        self._output += request.encode(exchange.id)
        self._next_id += 1
        self._pending[exchange.id] = exchange
        return exchange

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
            if exchange is None:
                raise ProtocolError(f"an answer to request {message.id}, which is not under way")
            exchange.answered(message)

    def forget(self, exchange: Exchange[Any]) -> None:
        self._pending.pop(exchange.id, None)

    def fail(self, error: Callable[[], RdriveError]) -> None:
        """The connection is gone: each exchange that is not done gets an error of its own, once."""
        for exchange in list(self._pending.values()):
            exchange.fail(error())
