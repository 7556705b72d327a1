# SPDX-License-Identifier: MIT
"""What the operations take and answer. Offsets and tails are positions in the store's file, lengths are bytes."""
from __future__ import annotations

import dataclasses
import enum
from typing import Any, Callable, List, NamedTuple, Optional, Protocol, TypeVar, Union


class KeyHash(int):
    """A key given by its XXH3-64 hash (seed 0) alone; the caller answers for the hash."""

    def __new__(cls, value: int) -> "KeyHash":
        if not 0 <= value < 1 << 64:
            raise ValueError("a key's hash has 64 bits")
        return super().__new__(cls, value)

    @classmethod
    def from_hex(cls, text: str) -> "KeyHash":
        """From the 16 hex digits that the command line and HTTP show."""
        return cls(int(text, 16))

    def __repr__(self) -> str:
        return f"KeyHash(0x{int(self):016x})"

    def __str__(self) -> str:
        return f"{int(self):016x}"


Bytes = Union[bytes, bytearray, memoryview]


class BinaryReader(Protocol):
    """A file object to read from, opened in binary mode."""

    def read(self, size: int = ..., /) -> bytes: ...


class BinaryWriter(Protocol):
    """A file object to write to, opened in binary mode."""

    def write(self, data: Any, /) -> Any: ...


Key = Union[str, bytes, bytearray, memoryview, KeyHash]
"""A str is taken as its UTF-8 bytes. The empty key is a key like any other."""


class Version(NamedTuple):
    """Tells one value of a key from the next. After a compaction an old version no longer matches."""

    offset: int
    crc32: int


class Durability(enum.IntEnum):
    """When a write is answered."""

    DEFAULT = 0
    """as the store is set"""
    SYNC = 1
    """once it is on the disk"""
    INTERVAL = 2
    """never older than so many ms on the disk; occurs in answers and settings, not to be asked for"""
    NONE = 3
    """once the server's kernel has it"""


class StoreState(enum.IntEnum):
    OPEN = 0
    READ_ONLY = 1
    FAILED = 2


class Limits(NamedTuple):
    """What the server holds a connection to."""

    body_len_max: int
    """bytes of a request"""
    key_len_max: int
    """bytes of a key"""
    batch_count_max: int
    """items of a batch"""
    in_flight_max: int
    """requests without an answer"""
    stream_window: int = 0
    """bytes of a write_stream that may be on their way; 0: a server without streams"""
    chunk_len_max: int = 0
    """bytes of one chunk of a write_stream"""


class Written(NamedTuple):
    """Of write, write_stream and rename; `replaced`: the (new) key had a value before."""

    offset: int
    tail: int
    crc32: int
    key_hash: KeyHash
    replaced: bool
    durability: Durability
    interval_ms: int

    @property
    def version(self) -> Version:
        return Version(self.offset, self.crc32)


class BatchWritten(NamedTuple):
    offset: int
    """of the last value"""
    tail: int
    written: int
    durability: Durability
    interval_ms: int


class Deleted(NamedTuple):
    tail: int
    found: bool
    durability: Durability
    interval_ms: int


class BatchDeleted(NamedTuple):
    tail: int
    deleted: int
    """keys that were there"""
    durability: Durability
    interval_ms: int


class Copied(NamedTuple):
    target_offset: int
    target_tail: int


class Transferred(NamedTuple):
    target_offset: int
    target_tail: int
    source_tail: int


class StreamHead(NamedTuple):
    """What a read_stream tells before its chunks."""

    offset: int
    """of the whole value in the store's file"""
    crc32: int
    """of the whole value"""
    key_hash: KeyHash
    prev_tail: int
    value_length: int
    """of the whole value"""
    first: int
    """where in the value the bytes that come begin"""
    length: int
    """how many come"""

    @property
    def version(self) -> Version:
        return Version(self.offset, self.crc32)


class BackupHead(NamedTuple):
    """What a backup tells before its chunks."""

    generation: int
    """of the store's file; below `tail` the file stays what it is as long as this does"""
    tail: int
    """bytes that the file had at that moment"""
    first: int
    """where in the file the bytes that come begin"""
    length: int
    """how many come"""


Head = TypeVar("Head", bound=Union[StreamHead, BackupHead])
"""What a stream tells before its chunks."""


class Entry(NamedTuple):
    """One live entry, as iterate gives it."""

    key_hash: KeyHash
    offset: int
    length: int
    crc32: int

    @property
    def version(self) -> Version:
        return Version(self.offset, self.crc32)


class Metadata(NamedTuple):
    """Of metadata and last."""

    key_hash: KeyHash
    offset: int
    length: int
    prev_tail: int
    """where the entry before this one, of any key, ends"""
    crc32: int

    @property
    def version(self) -> Version:
        return Version(self.offset, self.crc32)


class StoreInfo(NamedTuple):
    name: str
    state: StoreState
    reason: str
    """why the state is not OPEN; "" otherwise"""
    entries: int
    """live keys"""
    tail: int
    file_size: int
    dead_bytes: int
    durability: Durability
    interval_ms: int
    generation: int = 0
    """random, new with the store's file; 0: it failed, or the server does not tell"""
    batch_marker: bool = False
    """a batch takes effect as a whole or not at all, over a crash too"""
    quota_bytes: int = 0
    """what the tail may come to; 0: no quota"""
    quota_entries: int = 0
    """live keys; 0: no quota"""
    read_only: bool = False
    """its settings take no writes"""
    compacting: bool = False
    """a compaction of it is under way"""


class ProblemKind(enum.IntEnum):
    PAYLOAD = 1
    """a value's bytes do not match their checksum"""
    PAD = 2
    """bytes between entries are not zeros; no value is lost by it"""
    BATCH = 3
    """a batch's marker counts entries that are not there"""
    CHAIN = 4
    """these bytes cannot be told apart into entries"""


class Problem(NamedTuple):
    """Damage that verify has found in a store's file."""

    kind: Union[ProblemKind, int]
    """a plain int where a newer server tells of one that is not known here"""
    live: bool
    """a key's value"""
    offset: int
    """where the damaged bytes begin"""
    length: int
    key_hash: KeyHash
    """0 with CHAIN"""


class Compaction(NamedTuple):
    """What a compaction has done."""

    tail_before: int
    """the store's end in the file that was left"""
    tail: int
    """and in the one that took its place"""
    entries: int
    """live keys"""
    reclaimed_bytes: int
    """that the file is shorter by"""
    generation: int
    """of the new file"""
    pause_us: int
    """the longest time for which writes were held up, microseconds"""


class VerifyStep(NamedTuple):
    """One step of a look at a store's entries, newest first."""

    start: int
    """the end of the newest entry that was looked at"""
    next: int
    """where the next step goes on; 0: the file's beginning was reached"""
    entries: int
    bytes: int
    problem_count: int
    problems: List[Problem]
    """the first of them"""


Progress = Callable[[int, int], Any]
"""Called with how many bytes are done, and of how many."""

PROBLEMS_MAX = 1000
"""How many a Verification lists."""


@dataclasses.dataclass
class Verification:
    """What a look at all entries of a store has found."""

    entries: int = 0
    """looked at, those of deleted and replaced values included"""
    bytes: int = 0
    """of the file that was looked at"""
    problem_count: int = 0
    problems: List[Problem] = dataclasses.field(default_factory=list)
    """the first 1,000, newest first"""

    @property
    def ok(self) -> bool:
        return self.problem_count == 0

    def add(self, step: VerifyStep) -> None:
        self.entries += step.entries
        self.bytes += step.bytes
        self.problem_count += step.problem_count
        self.problems += step.problems[:PROBLEMS_MAX - len(self.problems)]


class Value(bytes):
    """The bytes of a value, and where they lie."""

    offset: int
    crc32: int
    key_hash: Optional[KeyHash]
    """None from batch_read"""
    prev_tail: Optional[int]
    """None from batch_read"""

    def __new__(cls, data: Bytes, offset: int, crc32: int, key_hash: Optional[KeyHash] = None,
                prev_tail: Optional[int] = None) -> "Value":
        value = super().__new__(cls, data)
        value.offset = offset
        value.crc32 = crc32
        value.key_hash = key_hash
        value.prev_tail = prev_tail
        return value

    @property
    def version(self) -> Version:
        return Version(self.offset, self.crc32)
