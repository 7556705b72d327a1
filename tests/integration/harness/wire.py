# SPDX-License-Identifier: MIT
"""The binary protocol from its document, made of struct.pack: shares no code with the server."""
import socket
import struct

from .daemon import DEADLINE_S

MAGIC = b"\xd2RDRIVE\n"
VERSION = 1
HELLO = MAGIC + struct.pack("<HHI", VERSION, 0, 0)

PING, WRITE, BATCH_WRITE, DELETE, BATCH_DELETE = 0x02, 0x10, 0x12, 0x16, 0x17
READ, BATCH_READ, EXISTS, METADATA, LAST, ITERATE = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25
STORES, CREATE, INFO, DROP = 0x30, 0x31, 0x32, 0x33

OK, INVALID_ARGUMENT, KEY_NOT_FOUND, STORE_NOT_FOUND = 0, 1, 4, 5
CONFLICT, TOO_LARGE, CORRUPT, UNAVAILABLE, UNSUPPORTED = 8, 11, 17, 18, 20

DEFAULT_DURABILITY, SYNC, INTERVAL, NONE = 0, 1, 2, 3
STATES = ("open", "read_only", "failed")


class WireError(Exception):
    """An answer whose status is not 0."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


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


# ---- bodies of requests ---------------------------------------------------------------------------------------------

def write_body(store, key, value, durability=DEFAULT_DURABILITY):
    return store_bytes(store) + bytes([durability]) + key_bytes(key) + value


def delete_body(store, key, durability=DEFAULT_DURABILITY):
    return store_bytes(store) + bytes([durability]) + key_bytes(key)


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
        reason = row[41 + name_len:]
        assert len(reason) == reason_len
        rows.append({"name": name.decode(), "state": STATES[state], "durability": durability,
                     "interval_ms": interval_ms, "entries": entries, "tail": tail, "file_size": file_size,
                     "dead_bytes": dead_bytes, "reason": reason.decode()})
    assert at == len(body)
    return rows


class Wire:
    """One connection, its hello done (greet=False: not yet)."""

    def __init__(self, address, store="default", greet=True):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(DEADLINE_S)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=DEADLINE_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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

    def call(self, opcode, body=b""):
        self.identifier += 1
        self.send(frame(opcode, self.identifier, body))
        return self.expect(opcode, self.identifier)

    def closed(self):
        """True once the server has closed, with nothing more said."""
        return self.receive(1) == b""

    # One function an operation; store defaults to the connection's.

    def ping(self, data=b""):
        assert self.call(PING, data) == b""

    def write(self, key, value, durability=DEFAULT_DURABILITY):
        return write_answer(self.call(WRITE, write_body(self.store, key, value, durability)))

    def batch_write(self, entries, allow_null_bytes=0):
        body = self.call(BATCH_WRITE, batch_write_body(self.store, entries, allow_null_bytes=allow_null_bytes))
        return exactly("<QQQBI", body, "offset", "tail", "count", "durability", "interval_ms")

    def delete(self, key):
        return exactly("<QBBI", self.call(DELETE, delete_body(self.store, key)), "tail", "found", "durability",
                       "interval_ms")

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

    def drop(self, store, confirm=None):
        assert self.call(DROP, store_bytes(store) + store_bytes(store if confirm is None else confirm)) == b""
