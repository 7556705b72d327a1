# SPDX-License-Identifier: MIT
"""The binary protocol, bytes to messages and back (docs/PROTOCOL.md). No I/O, no clock, no state but the decoder's.

A function for each operation makes a Request: its bytes, and how its answer is to be read. A Decoder is fed with what
comes from a socket, cut anywhere, and hands out the hello and then frames.
"""
from __future__ import annotations

import io
import json
import struct
from typing import (Any, Callable, Generic, Iterable, List, Mapping, NamedTuple, NoReturn, Optional, Sequence, Tuple,
                    TypeVar, Union)

from .errors import (Corrupt, InvalidArgument, ProtocolError, RdriveError, Status, TooLarge, Unsupported,
                     error_of)
from .types import (BackupHead, BatchDeleted, BatchWritten, Bytes, Compaction, Copied, Deleted, Durability, Entry, Key, KeyHash,
                    Limits, Metadata, Problem, ProblemKind, StoreInfo, StoreState, StreamHead, Transferred, Value,
                    VerifyStep, Version, Written)

T = TypeVar("T")

MAGIC = b"\xd2RDRIVE\n"
VERSION = 1
HELLO = MAGIC + struct.pack("<HHI", VERSION, 0, 0)
"""What a client opens a connection with."""

HEADER = struct.Struct("<IBBHQ")
U64_MAX = (1 << 64) - 1

STEP_LEN = 1 << 18
"""Bytes asked of a file at once."""
WINDOW_LEN = 1 << 20
"""Bytes of a read_stream that may be on their way, where the caller does not say."""

TOKEN_LEN_MAX = 4096

PING, AUTH, METRICS = 0x02, 0x03, 0x04
WRITE, WRITE_STREAM, BATCH_WRITE, RENAME, COPY, TRANSFER, DELETE, BATCH_DELETE = range(0x10, 0x18)
READ, BATCH_READ, EXISTS, METADATA, LAST, ITERATE, READ_STREAM = range(0x20, 0x27)
STORES, CREATE, INFO, DROP, VERIFY, REOPEN, COMPACT, BACKUP = range(0x30, 0x38)

CHUNK, END, ABORT, CREDIT = range(0x40, 0x44)
"""The opcodes of a stream's parts."""

FLAG_CONDITION = 0x01
FLAG_TARGET_CONDITION = 0x02


# ---- frames ---------------------------------------------------------------------------------------------------------

class Hello(NamedTuple):
    """The server's answer to the preamble, where it is accepted."""

    limits: Limits


class Frame(NamedTuple):
    opcode: int
    flags: int
    status: int
    id: int
    body: bytes


def frame(opcode: int, identifier: int, body: bytes = b"", flags: int = 0) -> bytes:
    """One frame as a client sends it."""
    return HEADER.pack(len(body), opcode, flags, 0, identifier) + body


class Decoder:
    """What a server sends, whole or in pieces of any size. Once feed has raised, the connection is good for nothing."""

    def __init__(self, body_len_max: int) -> None:
        """body_len_max: bytes of one answer; a longer one is refused before it is taken into memory."""
        self._body_len_max = body_len_max
        self._buffer = bytearray()
        self._greeted = False

    def feed(self, data: Bytes) -> List[Union[Hello, Frame]]:
        """What data completes, in order. ProtocolError, or what the server refuses the hello with."""
        self._buffer += data
        complete: List[Union[Hello, Frame]] = []
        while True:
            message = self._frame() if self._greeted else self._hello()
            if message is None:
                return complete
            complete.append(message)

    def _hello(self) -> Optional[Hello]:
        if len(self._buffer) < 16:
            return None
        magic, version, status, length = struct.unpack_from("<8sHHI", self._buffer)
        if magic != MAGIC:
            raise ProtocolError("the server does not speak the rdrive protocol")
        body = self._body(length)
        if body is None:
            return None
        if status != Status.OK:
            raise error_of(status, error_message(body))
        if version != VERSION:
            raise Unsupported(f"the server speaks version {version} of the protocol, this client {VERSION}")
        self._greeted = True
        return Hello(limits_of(body))

    def _frame(self) -> Optional[Frame]:
        if len(self._buffer) < HEADER.size:
            return None
        length, opcode, flags, status, identifier = HEADER.unpack_from(self._buffer)
        if flags != 0:
            raise ProtocolError(f"an answer with flags 0x{flags:02x}")
        body = self._body(length)
        return None if body is None else Frame(opcode, flags, status, identifier, body)

    def _body(self, length: int) -> Optional[bytes]:
        """Takes a head and its body off the buffer, once they are there."""
        if length > self._body_len_max:
            raise ProtocolError(f"an answer of {length} bytes, where {self._body_len_max} are allowed")
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            body = bytes(view[HEADER.size:end])
        del self._buffer[:end]
        return body


def limits_of(body: bytes) -> Limits:
    """The last two came with streams; a server that states only the first four has none."""
    return Limits(*Reader(body).take("<IIIIII" if len(body) >= 24 else "<IIII"))


def error_message(body: bytes) -> str:
    """The text of an error body."""
    reader = Reader(body)
    return reader.take_bytes(reader.take("<H")[0]).decode("utf-8", "replace")


class Reader:
    """A body, field by field. Whatever lies behind the last field that is asked for is a newer server's: skipped."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, layout: str) -> Tuple[Any, ...]:
        try:
            values = struct.unpack_from(layout, self._body, self._at)
        except struct.error:
            self._cut()
        self._at += struct.calcsize(layout)
        return values

    def take_bytes(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._body):
            self._cut()
        taken = self._body[self._at:end]
        self._at = end
        return taken

    def rest(self) -> memoryview:
        return memoryview(self._body)[self._at:]

    @staticmethod
    def _cut() -> NoReturn:
        raise ProtocolError("an answer ends in the middle of a field")


# ---- requests -------------------------------------------------------------------------------------------------------

class Request(Generic[T]):
    """One request, not yet sent, and how the body of its answer is read."""

    __slots__ = ("opcode", "flags", "body", "decode")

    def __init__(self, opcode: int, body: Sequence[Bytes], decode: Callable[[bytes], T], flags: int = 0) -> None:
        self.opcode = opcode
        self.flags = flags
        self.body = body
        self.decode = decode

    def encode(self, identifier: int) -> List[Bytes]:
        """The frame, in pieces, so that a large value is not copied."""
        length = sum(len(part) for part in self.body)
        if length >= 1 << 32:
            raise TooLarge("a request ends below 4 GiB; write_stream takes more")
        return [HEADER.pack(length, self.opcode, self.flags, 0, identifier), *self.body]


class Condition(NamedTuple):
    """What must hold for a write to take effect."""

    kind: int
    version: Version = Version(0, 0)


IF_ABSENT, IF_PRESENT, IF_VERSION = 1, 2, 3


def condition(if_absent: bool = False, if_present: bool = False,
              if_version: Optional[Version] = None) -> Optional[Condition]:
    """From the arguments that the faces share. InvalidArgument where they exclude each other."""
    if bool(if_absent) + bool(if_present) + (if_version is not None) > 1:
        raise InvalidArgument("if_absent, if_present and if_version exclude each other")
    if if_absent:
        return Condition(IF_ABSENT)
    if if_present:
        return Condition(IF_PRESENT)
    return None if if_version is None else Condition(IF_VERSION, Version(*if_version))


def condition_bytes(condition: Optional[Condition]) -> bytes:
    return b"" if condition is None else struct.pack("<BQI", condition.kind, *condition.version)


def name_bytes(store: str) -> bytes:
    """A store's name; whether it is one that may exist is for the server to say."""
    name = store.encode("utf-8", "surrogateescape")
    if len(name) > 255:
        raise InvalidArgument("a store's name is too long")
    return bytes([len(name)]) + name


def key_bytes(key: Key) -> bytes:
    if isinstance(key, KeyHash):
        return struct.pack("<BQ", 1, key)
    if isinstance(key, str):
        key = key.encode()
    elif not isinstance(key, (bytes, bytearray, memoryview)):
        raise TypeError(f"a key is bytes, str or KeyHash, not {type(key).__name__}")
    key = bytes(key)
    return struct.pack("<BI", 0, len(key)) + key


def value_bytes(value: Bytes) -> Bytes:
    """The value as something whose len is its bytes."""
    if isinstance(value, memoryview):
        return value.cast("B") if value.c_contiguous else value.tobytes()
    if not isinstance(value, (bytes, bytearray)):
        raise TypeError(f"a value is bytes, not {type(value).__name__}")
    return value


def keys_bytes(keys: Iterable[Key]) -> bytes:
    encoded = [key_bytes(key) for key in keys]
    return struct.pack("<I", len(encoded)) + b"".join(encoded)


def ping(data: bytes = b"") -> Request[None]:
    return Request(PING, [data], nothing)


def auth(token: str) -> Request[None]:
    """Shows a token, which goes for the connection from then on."""
    return Request(AUTH, [token.encode()], nothing)


def checked_token(token: Optional[str]) -> Optional[str]:
    """One that can be shown, or None."""
    if token is not None and not 0 < len(token.encode()) <= TOKEN_LEN_MAX:
        raise ValueError(f"a token has 1 to {TOKEN_LEN_MAX} bytes")
    return token


def write(store: str, key: Key, value: Bytes, durability: Durability = Durability.DEFAULT,
          only: Optional[Condition] = None) -> Request[Written]:
    return Request(WRITE, [_change(store, key, durability, only), value_bytes(value)], written, _flag(only))


def write_stream(store: str, key: Key, length: Optional[int], durability: Durability = Durability.DEFAULT,
                 only: Optional[Condition] = None) -> Request[Written]:
    """The parts of the value follow; length: bytes, None where it is not known."""
    if length is None:
        length = U64_MAX
    unsigned("length", length, 64)
    head = _change(store, key, durability, only) + struct.pack("<Q", length)
    return Request(WRITE_STREAM, [head], written, _flag(only))


def _change(store: str, key: Key, durability: Durability, only: Optional[Condition]) -> bytes:
    return name_bytes(store) + condition_bytes(only) + bytes([durability]) + key_bytes(key)


def _flag(only: Optional[Condition]) -> int:
    return 0 if only is None else FLAG_CONDITION


def batch_write(store: str, entries: Union[Mapping[Key, Bytes], Iterable[Tuple[Key, Bytes]]],
                allow_null_bytes: bool = False, durability: Durability = Durability.DEFAULT) -> Request[BatchWritten]:
    pairs = list(entries.items() if isinstance(entries, Mapping) else entries)
    body: List[Bytes] = [name_bytes(store) + struct.pack("<BBI", durability, bool(allow_null_bytes), len(pairs))]
    for key, value in pairs:
        value = value_bytes(value)
        if len(value) >= 1 << 32:
            raise TooLarge("a value in a batch ends below 4 GiB")
        body += (key_bytes(key), struct.pack("<I", len(value)), value)
    return Request(BATCH_WRITE, [b"".join(body)], batch_written)


def rename(store: str, key: Key, new_key: Key, durability: Durability = Durability.DEFAULT,
           only: Optional[Condition] = None, target: Optional[Condition] = None) -> Request[Written]:
    """only: what must hold for the old key; target: for the new one."""
    head = name_bytes(store) + condition_bytes(only) + condition_bytes(target) + bytes([durability])
    flags = _flag(only) | (0 if target is None else FLAG_TARGET_CONDITION)
    return Request(RENAME, [head, key_bytes(key), key_bytes(new_key)], written, flags)


def copy(store: str, key: Key, target: str) -> Request[Copied]:
    return Request(COPY, [name_bytes(store) + key_bytes(key) + name_bytes(target)], copied)


def transfer(store: str, key: Key, target: str) -> Request[Transferred]:
    return Request(TRANSFER, [name_bytes(store) + key_bytes(key) + name_bytes(target)], transferred)


def delete(store: str, key: Key, durability: Durability = Durability.DEFAULT,
           only: Optional[Condition] = None) -> Request[Deleted]:
    return Request(DELETE, [_change(store, key, durability, only)], deleted, _flag(only))


def batch_delete(store: str, keys: Iterable[Key],
                 durability: Durability = Durability.DEFAULT) -> Request[BatchDeleted]:
    return Request(BATCH_DELETE, [name_bytes(store) + bytes([durability]) + keys_bytes(keys)], batch_deleted)


def read(store: str, key: Key) -> Request[Value]:
    return Request(READ, [name_bytes(store) + key_bytes(key)], value_of)


def read_stream(store: str, key: Key, credit: int, first: int = 0, length: Optional[int] = None,
                suffix: Optional[int] = None) -> Request[StreamHead]:
    """The answer is a head, the value comes in parts: at most `credit` bytes before more is granted. All of it, or
    `length` bytes (None: up to its end) from byte `first`, or its last `suffix` bytes."""
    if suffix is not None:
        if first or length is not None:
            raise InvalidArgument("a suffix goes with neither first nor length")
        kind, length = 2, suffix
    else:
        kind = 1 if first or length is not None else 0
    length = U64_MAX if length is None else length
    for name, number in (("first", first), ("length", length), ("credit", credit)):
        unsigned(name, number, 64)
    body = name_bytes(store) + key_bytes(key) + struct.pack("<BQQQ", kind, first, length, credit)
    return Request(READ_STREAM, [body], stream_head)


def batch_read(store: str, keys: Iterable[Key]) -> Request[List[Optional[Value]]]:
    return Request(BATCH_READ, [name_bytes(store) + keys_bytes(keys)], values)


def exists(store: str, key: Key) -> Request[bool]:
    return Request(EXISTS, [name_bytes(store) + key_bytes(key)], found)


def metadata(store: str, key: Key) -> Request[Metadata]:
    return Request(METADATA, [name_bytes(store) + key_bytes(key)], metadata_of)


def last(store: str) -> Request[Metadata]:
    return Request(LAST, [name_bytes(store)], metadata_of)


def iterate(store: str, after: int = 0, limit: int = 0) -> Request[List[Entry]]:
    """One page: live entries with offsets below `after` (0: from the newest), newest first, at most `limit` (0: as
    many as the server likes)."""
    unsigned("after", after, 64)
    unsigned("limit", limit, 32)
    return Request(ITERATE, [name_bytes(store) + struct.pack("<QI", after, limit)], entries_of)


def next_page(page: List[Entry]) -> int:
    """Where to go on after a page of iterate; 0: nothing is left."""
    return page[-1].offset if page else 0


def metrics() -> Request[str]:
    return Request(METRICS, [], text_of)


def stores() -> Request[List[StoreInfo]]:
    return Request(STORES, [], store_rows)


def create(store: str, settings: Optional[Mapping[str, object]] = None) -> Request[StoreInfo]:
    text = json.dumps(dict(settings), separators=(",", ":")).encode() if settings else b""
    return Request(CREATE, [name_bytes(store) + struct.pack("<I", len(text)) + text], store_row)


def info(store: str) -> Request[StoreInfo]:
    return Request(INFO, [name_bytes(store)], store_row)


def drop(store: str, confirm: Optional[str] = None) -> Request[None]:
    return Request(DROP, [name_bytes(store) + name_bytes(store if confirm is None else confirm)], nothing)


def reopen(store: str) -> Request[StoreInfo]:
    return Request(REOPEN, [name_bytes(store)], store_row)


def compact(store: str) -> Request[Compaction]:
    return Request(COMPACT, [name_bytes(store)], compaction)


def verify(store: str, start: int = 0, bytes_max: int = 0) -> Request[VerifyStep]:
    """One step of a look at the entries that end at `start` and below it, which is 0 (from the newest) or the `next` of
    the step before; it ends with the entry that makes it `bytes_max` (0: as many as the server likes) or more."""
    unsigned("start", start, 64)
    unsigned("bytes_max", bytes_max, 64)
    return Request(VERIFY, [name_bytes(store) + struct.pack("<QQ", start, bytes_max)], verify_step)


def backup(store: str, credit: int, start: int = 0, generation: Optional[int] = None) -> Request[BackupHead]:
    """The answer is a head, the store's file from `start` on comes in parts: at most `credit` bytes before more is
    granted. generation: only where the file has it; None: whichever there is."""
    generation = 0 if generation is None else generation
    for name, number in (("start", start), ("generation", generation), ("credit", credit)):
        unsigned(name, number, 64)
    return Request(BACKUP, [name_bytes(store) + struct.pack("<QQQ", start, generation, credit)], backup_head)


def unsigned(name: str, value: int, bits: int) -> None:
    if not 0 <= value < 1 << bits:
        raise InvalidArgument(f"{name} is a number from 0 to 2^{bits} - 1")


# ---- the parts of a stream -------------------------------------------------------------------------------------------

def chunk(identifier: int, data: Bytes) -> List[Bytes]:
    return [HEADER.pack(len(data), CHUNK, 0, 0, identifier), data]


def credit(identifier: int, length: int) -> bytes:
    """So many more bytes may be sent."""
    return frame(CREDIT, identifier, struct.pack("<Q", length))


def check_source(source: object) -> None:
    """TypeError where a value's source could only be a mistake: bytes, say, iterate as numbers."""
    if isinstance(source, (str, bytes, bytearray, memoryview, io.TextIOBase)):
        raise TypeError(f"a stream comes from a binary file or an iterable of bytes, not {type(source).__name__}")


def write_all(write: Callable[[Bytes], Optional[int]], data: bytes) -> None:
    """write to an unbuffered file may take less than it is given, and says so."""
    view = memoryview(data)
    while len(view):
        taken = write(view)
        view = view[len(view) if taken is None else taken:]


def credit_of(body: bytes) -> int:
    length, = Reader(body).take("<Q")
    return int(length)


def abort_of(body: bytes) -> RdriveError:
    """Why the server ended a stream that it sent."""
    status, = Reader(body).take("<H")
    return error_of(status, error_message(body[2:]))


# ---- the bodies of answers ------------------------------------------------------------------------------------------

def durability_of(value: int) -> Durability:
    try:
        return Durability(value)
    except ValueError:
        raise ProtocolError(f"an answer with durability {value}") from None


def nothing(_: bytes) -> None:
    return None


def text_of(body: bytes) -> str:
    return bytes(body).decode("utf-8", "replace")


def written(body: bytes) -> Written:
    offset, tail, crc32, key_hash, replaced, durability, interval_ms = Reader(body).take("<QQIQBBI")
    return Written(offset, tail, crc32, KeyHash(key_hash), bool(replaced), durability_of(durability), interval_ms)


def copied(body: bytes) -> Copied:
    return Copied(*Reader(body).take("<QQ"))


def transferred(body: bytes) -> Transferred:
    return Transferred(*Reader(body).take("<QQQ"))


def stream_head(body: bytes) -> StreamHead:
    offset, crc32, key_hash, prev_tail, value_length, first, length = Reader(body).take("<QIQQQQQ")
    return StreamHead(offset, crc32, KeyHash(key_hash), prev_tail, value_length, first, length)


def backup_head(body: bytes) -> BackupHead:
    return BackupHead(*Reader(body).take("<QQQQ"))


def batch_written(body: bytes) -> BatchWritten:
    offset, tail, count, durability, interval_ms = Reader(body).take("<QQQBI")
    return BatchWritten(offset, tail, count, durability_of(durability), interval_ms)


def deleted(body: bytes) -> Deleted:
    tail, was_there, durability, interval_ms = Reader(body).take("<QBBI")
    return Deleted(tail, bool(was_there), durability_of(durability), interval_ms)


def batch_deleted(body: bytes) -> BatchDeleted:
    tail, count, durability, interval_ms = Reader(body).take("<QQBI")
    return BatchDeleted(tail, count, durability_of(durability), interval_ms)


def value_of(body: bytes) -> Value:
    reader = Reader(body)
    offset, crc32, key_hash, prev_tail = reader.take("<QIQQ")
    return Value(reader.rest(), offset, crc32, KeyHash(key_hash), prev_tail)


def values(body: bytes) -> List[Optional[Value]]:
    """Corrupt where one of them is; its `values` then holds the others and its `indexes` says which it is."""
    reader = Reader(body)
    items: List[Optional[Value]] = []
    corrupt: List[int] = []
    for index in range(reader.take("<I")[0]):
        status, = reader.take("<H")
        if status == Status.OK:
            offset, crc32, length = reader.take("<QII")
            items.append(Value(reader.take_bytes(length), offset, crc32))
            continue
        if status == Status.CORRUPT:
            corrupt.append(index)
        elif status != Status.KEY_NOT_FOUND:
            raise error_of(status, f"item {index} has status {status}")
        items.append(None)
    if corrupt:
        raise Corrupt(f"values that do not match their checksums: {corrupt}").with_items(items, corrupt)
    return items


def found(body: bytes) -> bool:
    return bool(Reader(body).take("<B")[0])


def metadata_of(body: bytes) -> Metadata:
    key_hash, offset, length, prev_tail, crc32 = Reader(body).take("<QQQQI")
    return Metadata(KeyHash(key_hash), offset, length, prev_tail, crc32)


def entries_of(body: bytes) -> List[Entry]:
    reader = Reader(body)
    entries = []
    for _ in range(reader.take("<I")[0]):
        key_hash, offset, length, crc32 = reader.take("<QQQI")
        entries.append(Entry(KeyHash(key_hash), offset, length, crc32))
    return entries


def problem_kind_of(value: int) -> Union[ProblemKind, int]:
    try:
        return ProblemKind(value)
    except ValueError:
        return value


def verify_step(body: bytes) -> VerifyStep:
    reader = Reader(body)
    start, following, entries, length, problem_count, listed = reader.take("<QQQQQI")
    if following > start or listed > problem_count:
        raise ProtocolError("an answer about a step of a look that makes no sense")
    problems = []
    for _ in range(listed):
        kind, live, offset, damaged, key_hash = reader.take("<BBQQQ")
        problems.append(Problem(problem_kind_of(kind), bool(live), offset, damaged, KeyHash(key_hash)))
    return VerifyStep(start, following, entries, length, problem_count, problems)


def compaction(body: bytes) -> Compaction:
    tail_before, tail, entries, generation, pause_us = Reader(body).take("<QQQQQ")
    return Compaction(tail_before, tail, entries, max(tail_before - tail, 0), generation, pause_us)


def store_rows(body: bytes) -> List[StoreInfo]:
    reader = Reader(body)
    return [_row(reader.take_bytes(reader.take("<H")[0])) for _ in range(reader.take("<I")[0])]


def store_row(body: bytes) -> StoreInfo:
    rows = store_rows(body)
    if len(rows) != 1:
        raise ProtocolError(f"an answer about one store with {len(rows)} rows")
    return rows[0]


def _row(row: bytes) -> StoreInfo:
    reader = Reader(row)
    state, durability, interval_ms, entries, tail, file_size, dead_bytes = reader.take("<BBIQQQQ")
    name = reader.take_bytes(reader.take("<B")[0]).decode("utf-8", "replace")
    reason = reader.take_bytes(reader.take("<H")[0]).decode("utf-8", "replace")
    if state > StoreState.FAILED:
        raise ProtocolError(f"a store whose state is {state}")
    # The rows of older servers end before one of these groups.
    more: List[int] = []
    for layout in ("<QB", "<QQB", "<B"):
        if len(reader.rest()) < struct.calcsize(layout):
            break
        more += reader.take(layout)
    generation, batch_marker, quota_bytes, quota_entries, read_only, compacting = more + [0] * (6 - len(more))
    return StoreInfo(name, StoreState(state), reason, entries, tail, file_size, dead_bytes, durability_of(durability),
                     interval_ms, generation, bool(batch_marker), quota_bytes, quota_entries, bool(read_only), bool(compacting))
