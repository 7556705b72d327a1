# SPDX-License-Identifier: MIT
"""The binary protocol from its document, made of struct.pack: shares no code with the server."""
import collections
import struct

from .connect import connect

MAGIC = b"\xd2RDRIVE\n"
VERSION = 1
HELLO = MAGIC + struct.pack("<HHI", VERSION, 0, 0)

PING, WRITE, BATCH_WRITE, DELETE, BATCH_DELETE = 0x02, 0x10, 0x12, 0x16, 0x17
WRITE_STREAM, RENAME, COPY, TRANSFER = 0x11, 0x13, 0x14, 0x15
READ, BATCH_READ, EXISTS, METADATA, LAST, ITERATE, READ_STREAM = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26
STORES, CREATE, INFO, DROP, VERIFY, REOPEN, COMPACT, BACKUP = 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37
CHUNK, END, ABORT, CREDIT = 0x40, 0x41, 0x42, 0x43

OK, INVALID_ARGUMENT, KEY_NOT_FOUND, STORE_NOT_FOUND = 0, 1, 4, 5
TIMEOUT, CONFLICT, PRECONDITION_FAILED, TOO_LARGE, RANGE_NOT_SATISFIABLE, OVERLOADED = 7, 8, 10, 11, 13, 14
CORRUPT, UNAVAILABLE, NO_SPACE, UNSUPPORTED = 17, 18, 19, 20

DEFAULT_DURABILITY, SYNC, INTERVAL, NONE = 0, 1, 2, 3
STATES = ("open", "read_only", "failed")
PROBLEMS = {1: "payload", 2: "pad", 3: "batch", 4: "chain"}
ALL_ONES = 2 ** 64 - 1

Condition = collections.namedtuple("Condition", "kind offset crc32")
ABSENT, PRESENT = Condition(1, 0, 0), Condition(2, 0, 0)

Range = collections.namedtuple("Range", "kind first len")
WHOLE = Range(0, 0, 0)


def version(answer):
    """The condition that a key still has the version that an answer told."""
    return Condition(3, answer["offset"], answer["crc32"])


def part_from(first, length=ALL_ONES):
    return Range(1, first, length)


def last_bytes(length):
    return Range(2, 0, length)



class WireError(Exception):
    """An answer whose status is not 0."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


def raise_abort(body):
    """An abort of the server, as the error that it is."""
    status, length = struct.unpack_from("<HH", body)
    assert length == len(body) - 4
    raise WireError(status, body[4:].decode())


class Hash(int):
    """A key given by its hash alone."""


def key_bytes(key):
    if isinstance(key, Hash):
        return struct.pack("<BQ", 1, key)
    return struct.pack("<BI", 0, len(key)) + key


def store_bytes(store):
    name = store if isinstance(store, bytes) else store.encode()
    return struct.pack("<B", len(name)) + name


def frame(opcode, identifier, body=b"", flags=0, status=0, body_len=None):
    return struct.pack("<IBBHQ", len(body) if body_len is None else body_len, opcode, flags, status, identifier) + body


def condition_bytes(condition):
    return b"" if condition is None else struct.pack("<BQI", *condition)


def condition_flags(condition, target_condition=None):
    return (condition is not None) | (target_condition is not None) << 1


# ---- bodies of requests ---------------------------------------------------------------------------------------------

def write_body(store, key, value, durability=DEFAULT_DURABILITY, condition=None):
    return store_bytes(store) + condition_bytes(condition) + bytes([durability]) + key_bytes(key) + value


def delete_body(store, key, durability=DEFAULT_DURABILITY, condition=None):
    return store_bytes(store) + condition_bytes(condition) + bytes([durability]) + key_bytes(key)


def write_stream_body(store, key, length=None, durability=DEFAULT_DURABILITY, condition=None):
    return (store_bytes(store) + condition_bytes(condition) + bytes([durability]) + key_bytes(key)
            + struct.pack("<Q", ALL_ONES if length is None else length))


def rename_body(store, source, target, durability=DEFAULT_DURABILITY, condition=None, target_condition=None):
    return (store_bytes(store) + condition_bytes(condition) + condition_bytes(target_condition)
            + bytes([durability]) + key_bytes(source) + key_bytes(target))


def copy_body(store, key, target):
    """Of a transfer too."""
    return store_bytes(store) + key_bytes(key) + store_bytes(target)


def read_stream_body(store, key, credit, part=WHOLE):
    return store_bytes(store) + key_bytes(key) + struct.pack("<BQQQ", *part, credit)


def key_body(store, key):
    return store_bytes(store) + key_bytes(key)


def keys_body(keys):
    return struct.pack("<I", len(keys)) + b"".join(key_bytes(key) for key in keys)


def batch_write_body(store, entries, durability=DEFAULT_DURABILITY, allow_null_bytes=0):
    body = store_bytes(store) + bytes([durability, allow_null_bytes]) + struct.pack("<I", len(entries))
    return body + b"".join(key_bytes(key) + struct.pack("<I", len(value)) + value for key, value in entries)


# ---- bodies of answers ----------------------------------------------------------------------------------------------

def exactly(layout, body, *names):
    assert struct.calcsize(layout) == len(body), (layout, body)
    return dict(zip(names, struct.unpack(layout, body)))


def write_answer(body):
    return exactly("<QQIQBBI", body, "offset", "tail", "crc32", "key_hash", "replaced", "durability", "interval_ms")


def read_stream_answer(body):
    return exactly("<QIQQQQQ", body, "offset", "crc32", "key_hash", "prev_tail", "value_len", "first", "len")


def metadata_answer(body):
    return exactly("<QQQQI", body, "key_hash", "offset", "length", "prev_tail", "crc32")


def store_rows(body):
    count, = struct.unpack_from("<I", body)
    at = 4
    rows = []
    for _ in range(count):
        row_len, = struct.unpack_from("<H", body, at)
        row = body[at + 2:at + 2 + row_len]
        assert len(row) == row_len
        at += 2 + row_len
        state, durability, interval_ms, entries, tail, file_size, dead_bytes, name_len = struct.unpack_from("<BBIQQQQB", row)
        name = row[39:39 + name_len]
        reason_len, = struct.unpack_from("<H", row, 39 + name_len)
        reason_end = 41 + name_len + reason_len
        reason = row[41 + name_len:reason_end]
        generation, batch_marker, quota_bytes, quota_entries, read_only, compacting = struct.unpack("<QBQQBB", row[reason_end:])
        assert {batch_marker, read_only, compacting} <= {0, 1}
        rows.append({"name": name.decode(), "state": STATES[state], "durability": durability,
                     "interval_ms": interval_ms, "entries": entries, "tail": tail, "file_size": file_size,
                     "dead_bytes": dead_bytes, "reason": reason.decode(),
                     "generation": generation, "batch_marker": bool(batch_marker), "quota_bytes": quota_bytes,
                     "quota_entries": quota_entries, "read_only": bool(read_only),
                     "compacting": bool(compacting)})
    assert at == len(body)
    return rows


def verify_answer(body):
    """One step, its problems in HTTP's words."""
    step = exactly("<QQQQQI", body[:44], "from", "next", "entries", "bytes", "problem_count", "listed")
    assert len(body) == 44 + 26 * step["listed"]
    problems = []
    for at in range(44, len(body), 26):
        kind, live, offset, length, key_hash = struct.unpack_from("<BBQQQ", body, at)
        assert live in (0, 1)
        problems.append({"kind": PROBLEMS[kind], "live": bool(live), "offset": offset, "length": length,
                         "key_hash": f"{key_hash:016x}"})
    assert step.pop("listed") == len(problems) <= step["problem_count"]
    return {**step, "problems": problems}


class Wire:
    """One connection, its hello done (greet=False: not yet)."""

    def __init__(self, address, store="default", greet=True):
        self.socket = connect(address)
        self.store = store
        self.identifier = 0
        if greet:
            self.send(HELLO)
            status, body = self.hello()
            assert status == OK
            self.limits = exactly("<IIIIII", body, "body_len_max", "key_len_max", "batch_count_max", "in_flight_max",
                                  "stream_window", "chunk_len_max")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, length):
        """Exactly so many bytes, or fewer where the server closed."""
        parts = []
        while length:
            try:
                part = self.socket.recv(min(length, 1 << 20))
            except ConnectionResetError:
                part = b""
            if not part:
                break
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def hello(self):
        """The answer to a hello: its status and body."""
        head = self.receive(16)
        assert len(head) == 16, f"closed instead of answering: {head!r}"
        magic, version, status, body_len = struct.unpack("<8sHHI", head)
        assert magic == MAGIC and version == VERSION
        return status, self.receive(body_len)

    def answer(self):
        """The next frame: (id, opcode, status, body), or None where the server closed or was killed meanwhile."""
        head = self.receive(16)
        if len(head) < 16:
            return None
        body_len, opcode, flags, status, identifier = struct.unpack("<IBBHQ", head)
        assert flags == 0
        body = self.receive(body_len)
        return (identifier, opcode, status, body) if len(body) == body_len else None

    def expect(self, opcode, identifier):
        """The answer to that one request; raises WireError where it is an error."""
        answer = self.answer()
        assert answer is not None, "closed instead of answering"
        assert answer[:2] == (identifier, opcode), answer[:3]
        return self.checked(answer)

    @staticmethod
    def checked(answer):
        _, _, status, body = answer
        if status == OK:
            return body
        length, = struct.unpack_from("<H", body)
        message = body[2:].decode()
        assert length == len(body) - 2 and message, "an error without a message"
        raise WireError(status, message)

    def start(self, opcode, body=b"", flags=0):
        """Sends a request and returns its id."""
        self.identifier += 1
        self.send(frame(opcode, self.identifier, body, flags))
        return self.identifier

    def call(self, opcode, body=b"", flags=0):
        return self.expect(opcode, self.start(opcode, body, flags))

    def closed(self):
        """True once the server has closed, with nothing more said."""
        return self.receive(1) == b""

    # One function an operation; store defaults to the connection's.

    def ping(self, data=b""):
        assert self.call(PING, data) == b""

    def write(self, key, value, durability=DEFAULT_DURABILITY, condition=None):
        body = write_body(self.store, key, value, durability, condition)
        return write_answer(self.call(WRITE, body, condition_flags(condition)))

    def batch_write(self, entries, allow_null_bytes=0):
        body = self.call(BATCH_WRITE, batch_write_body(self.store, entries, allow_null_bytes=allow_null_bytes))
        return exactly("<QQQBI", body, "offset", "tail", "count", "durability", "interval_ms")

    def delete(self, key, condition=None):
        body = self.call(DELETE, delete_body(self.store, key, condition=condition), condition_flags(condition))
        return exactly("<QBBI", body, "tail", "found", "durability", "interval_ms")

    def rename(self, source, target, condition=None, target_condition=None):
        body = rename_body(self.store, source, target, condition=condition, target_condition=target_condition)
        return write_answer(self.call(RENAME, body, condition_flags(condition, target_condition)))

    def copy(self, key, target):
        return exactly("<QQ", self.call(COPY, copy_body(self.store, key, target)), "target_offset", "target_tail")

    def transfer(self, key, target):
        return exactly("<QQQ", self.call(TRANSFER, copy_body(self.store, key, target)), "target_offset",
                       "target_tail", "source_tail")

    def batch_delete(self, keys):
        body = self.call(BATCH_DELETE, store_bytes(self.store) + bytes([DEFAULT_DURABILITY]) + keys_body(keys))
        return exactly("<QQBI", body, "tail", "count", "durability", "interval_ms")

    def read(self, key):
        return self.read_all(key)[1]

    def read_all(self, key):
        body = self.call(READ, key_body(self.store, key))
        return exactly("<QIQQ", body[:28], "offset", "crc32", "key_hash", "prev_tail"), body[28:]

    def batch_read(self, keys):
        """A value or None a key; a status where it is neither."""
        body = self.call(BATCH_READ, store_bytes(self.store) + keys_body(keys))
        count, = struct.unpack_from("<I", body)
        at = 4
        values = []
        for _ in range(count):
            status, = struct.unpack_from("<H", body, at)
            at += 2
            if status == OK:
                _offset, _crc32, length = struct.unpack_from("<QII", body, at)
                at += 16
                values.append(body[at:at + length])
                at += length
            else:
                values.append(None if status == KEY_NOT_FOUND else status)
        assert at == len(body)
        return values

    def exists(self, key):
        return {b"\0": False, b"\1": True}[self.call(EXISTS, key_body(self.store, key))]

    def metadata(self, key):
        return metadata_answer(self.call(METADATA, key_body(self.store, key)))

    def last(self):
        return metadata_answer(self.call(LAST, store_bytes(self.store)))

    def iterate(self, after=0, limit=0):
        body = self.call(ITERATE, store_bytes(self.store) + struct.pack("<QI", after, limit))
        count, = struct.unpack_from("<I", body)
        assert len(body) == 4 + 28 * count
        return [exactly("<QQQI", body[4 + 28 * i:32 + 28 * i], "key_hash", "offset", "length", "crc32")
                for i in range(count)]

    def info(self):
        row, = store_rows(self.call(INFO, store_bytes(self.store)))
        return row

    def stores(self):
        return store_rows(self.call(STORES))

    def create(self, store, settings=b""):
        row, = store_rows(self.call(CREATE, store_bytes(store) + struct.pack("<I", len(settings)) + settings))
        return row

    def reopen(self):
        row, = store_rows(self.call(REOPEN, store_bytes(self.store)))
        return row

    def compact(self):
        return struct.unpack("<QQQQQ", self.call(COMPACT, store_bytes(self.store)))

    def verify(self, start=0, bytes_max=0):
        """One step."""
        return verify_answer(self.call(VERIFY, store_bytes(self.store) + struct.pack("<QQ", start, bytes_max)))

    def start_backup(self, start=0, generation=0, credit=ALL_ONES):
        return self.start(BACKUP, store_bytes(self.store) + struct.pack("<QQQ", start, generation, credit))

    def backup_head(self, identifier):
        return exactly("<QQQQ", self.stream_answer(BACKUP, identifier), "generation", "tail", "first", "len")

    def backup(self, start=0, generation=0):
        """The answer and the bytes."""
        identifier = self.start_backup(start, generation)
        head = self.backup_head(identifier)
        return head, self.read_parts(identifier, head["len"])

    def drop(self, store, confirm=None):
        assert self.call(DROP, store_bytes(store) + store_bytes(store if confirm is None else confirm)) == b""

    # Streams. start_... return the stream's id; parts are sent one by one, or a whole stream at once.

    def start_write_stream(self, key, length=None, condition=None, durability=DEFAULT_DURABILITY):
        body = write_stream_body(self.store, key, length, durability, condition)
        return self.start(WRITE_STREAM, body, condition_flags(condition))

    def start_read_stream(self, key, credit=ALL_ONES, part=WHOLE):
        return self.start(READ_STREAM, read_stream_body(self.store, key, credit, part))

    def send_chunk(self, identifier, data):
        self.send(frame(CHUNK, identifier, data))

    def send_end(self, identifier):
        self.send(frame(END, identifier))

    def send_abort(self, identifier):
        self.send(frame(ABORT, identifier))

    def send_credit(self, identifier, length):
        self.send(frame(CREDIT, identifier, struct.pack("<Q", length)))

    def stream_answer(self, opcode, identifier):
        """What expect gives, past credit that nobody needs any more."""
        while True:
            answer = self.answer()
            assert answer is not None, "closed instead of answering"
            if answer[:2] == (identifier, CREDIT):
                continue
            assert answer[:2] == (identifier, opcode), answer[:3]
            return self.checked(answer)

    def write_stream(self, key, value, length=None, condition=None, chunk_len=None):
        """Uploads as credit allows, and no further."""
        identifier = self.start_write_stream(key, length, condition)
        credit = self.limits["stream_window"]
        sent = 0
        while sent < len(value):
            if credit == 0:
                answer = self.answer()
                assert answer is not None and answer[0] == identifier, answer and answer[:3]
                if answer[1] == WRITE_STREAM:
                    return write_answer(self.checked(answer))
                assert answer[1] == CREDIT, answer[:3]
                credit, = struct.unpack("<Q", answer[3])
                assert 0 < credit <= self.limits["stream_window"]
                continue
            chunk = value[sent:sent + min(credit, chunk_len or self.limits["chunk_len_max"])]
            self.send_chunk(identifier, chunk)
            sent += len(chunk)
            credit -= len(chunk)
        self.send_end(identifier)
        return write_answer(self.stream_answer(WRITE_STREAM, identifier))

    def read_parts(self, identifier, length):
        """The chunks of one download that is alone on its connection, to its end; raises WireError at an abort."""
        value = bytearray()
        while True:
            answer = self.answer()
            assert answer is not None and answer[0] == identifier and answer[2] == OK, answer and answer[:3]
            if answer[1] == END:
                assert len(value) == length
                return bytes(value)
            if answer[1] == ABORT:
                raise_abort(answer[3])
            assert answer[1] == CHUNK and answer[3], answer[:3]
            value += answer[3]

    def read_stream(self, key, credit=ALL_ONES, part=WHOLE):
        """Answer and bytes of a download that needs no more credit."""
        identifier = self.start_read_stream(key, credit, part)
        answer = read_stream_answer(self.expect(READ_STREAM, identifier))
        return answer, self.read_parts(identifier, answer["len"])
