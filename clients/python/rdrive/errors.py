# SPDX-License-Identifier: MIT
"""What can go wrong, by name: one exception for each status of the protocol, and a few that the client itself raises.

Every one is an RdriveError and carries `status`, the protocol's number, and `message`, a text for people. Where Python
has a name for the same thing, the exception is that too: KeyNotFound is a KeyError, InvalidArgument a ValueError.
"""
from __future__ import annotations

import enum
from typing import Dict, Optional, Sequence, Type


class Status(enum.IntEnum):
    """The protocol's status numbers; a newer server may send others, which then stay plain integers."""

    OK = 0
    INVALID_ARGUMENT = 1
    UNAUTHORIZED = 2
    FORBIDDEN = 3
    KEY_NOT_FOUND = 4
    STORE_NOT_FOUND = 5
    METHOD_NOT_ALLOWED = 6
    TIMEOUT = 7
    CONFLICT = 8
    KEY_COLLISION = 9
    PRECONDITION_FAILED = 10
    TOO_LARGE = 11
    UNSUPPORTED_MEDIA_TYPE = 12
    RANGE_NOT_SATISFIABLE = 13
    OVERLOADED = 14
    HEADER_TOO_LARGE = 15
    IO_ERROR = 16
    CORRUPT = 17
    UNAVAILABLE = 18
    NO_SPACE = 19
    UNSUPPORTED = 20
    NO_MEMORY = 21
    NOT_A_STORE = 22


class RdriveError(Exception):
    """Anything that this package raises about an operation. Itself raised for a status that has no class of its own."""

    status: int = Status.IO_ERROR

    def __init__(self, message: str = "", status: Optional[int] = None) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status

    def __str__(self) -> str:  # KeyError would show the message in quotes
        return self.message


class InvalidArgument(RdriveError, ValueError):
    """The request itself can never succeed."""

    status = Status.INVALID_ARGUMENT


class Unauthorized(RdriveError):
    status = Status.UNAUTHORIZED


class Forbidden(RdriveError):
    status = Status.FORBIDDEN


class KeyNotFound(RdriveError, KeyError):
    """No entry lives under the key."""

    status = Status.KEY_NOT_FOUND


class StoreNotFound(RdriveError):
    """The server hosts no store of that name."""

    status = Status.STORE_NOT_FOUND


class Timeout(RdriveError, TimeoutError):
    """No answer in time. A write may or may not have taken effect."""

    status = Status.TIMEOUT


class Conflict(RdriveError):
    """The store exists already; a rename to itself; copy or transfer to the same store; the source changed."""

    status = Status.CONFLICT


class KeyCollision(RdriveError):
    """Another key with the same hash lives there."""

    status = Status.KEY_COLLISION


class PreconditionFailed(RdriveError):
    """if_absent, if_present or if_version did not hold; nothing was changed."""

    status = Status.PRECONDITION_FAILED


class TooLarge(RdriveError, ValueError):
    """More than the limits that the server stated in its hello."""

    status = Status.TOO_LARGE


class RangeNotSatisfiable(RdriveError, ValueError):
    """The range begins behind the value's end."""

    status = Status.RANGE_NOT_SATISFIABLE


class Overloaded(RdriveError):
    """A limit of the server is reached: try again later."""

    status = Status.OVERLOADED


class IoError(RdriveError):
    """The server's disk failed, or what it keeps of this store cannot be written any more."""

    status = Status.IO_ERROR


class Corrupt(RdriveError):
    """The stored bytes do not match their checksum. Of a batch_read, `values` holds what could be read, None in the
    other places, and `indexes` says which of these are corrupt."""

    status = Status.CORRUPT
    values: Sequence[Optional[bytes]] = ()
    indexes: Sequence[int] = ()

    def with_items(self, values: Sequence[Optional[bytes]], indexes: Sequence[int]) -> Corrupt:
        self.values = values
        self.indexes = indexes
        return self


class Unavailable(RdriveError):
    """The store or the server does not serve now."""

    status = Status.UNAVAILABLE


class NoSpace(RdriveError):
    """The server's disk, or the store, is full. Nothing was written."""

    status = Status.NO_SPACE


class Unsupported(RdriveError):
    """The server knows neither the operation nor the protocol's version."""

    status = Status.UNSUPPORTED


class NoMemory(RdriveError):
    status = Status.NO_MEMORY


class NotAStore(RdriveError):
    """The file holds something else; it is left as it is."""

    status = Status.NOT_A_STORE


class ProtocolError(RdriveError):
    """The other side sent what the protocol does not allow. The connection is closed."""

    status = Status.IO_ERROR


class ConnectionLost(RdriveError, ConnectionError):
    """The connection ended before the answer came. A write may or may not have taken effect."""

    status = Status.IO_ERROR


class ConnectFailed(Unavailable, ConnectionError):
    """No connection could be made: nothing was asked of the server."""


_BY_STATUS: Dict[int, Type[RdriveError]] = {
    int(kind.status): kind
    for kind in (InvalidArgument, Unauthorized, Forbidden, KeyNotFound, StoreNotFound, Timeout, Conflict, KeyCollision,
                 PreconditionFailed, TooLarge, RangeNotSatisfiable, Overloaded, IoError, Corrupt, Unavailable, NoSpace,
                 Unsupported, NoMemory, NotAStore)
}


def error_of(status: int, message: str) -> RdriveError:
    """The exception for a status that is not 0, ready to be raised."""
    kind = _BY_STATUS.get(status)
    return kind(message) if kind is not None else RdriveError(message or f"status {status}", status)
