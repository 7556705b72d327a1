# SPDX-License-Identifier: MIT
"""A client of the binary protocol, written from docs/PROTOCOL.md and nothing else: proof that the document suffices.
One request at a time; hello, write, read, delete, both batches, a stream up and a stream down."""
import socket
import struct

MAGIC = bytes.fromhex("D25244524956450A")
PING, WRITE, WRITE_STREAM, BATCH_WRITE, DELETE, READ, BATCH_READ, READ_STREAM = 2, 0x10, 0x11, 0x12, 0x16, 0x20, 0x21, 0x26
CHUNK, END, ABORT, CREDIT = 0x40, 0x41, 0x42, 0x43
ALL_ONES = (1 << 64) - 1


class Refused(Exception):
    def __init__(self, status, body):
        length, = struct.unpack_from("<H", body)
        super().__init__(status, body[2:2 + length].decode())
        self.status = status


def name_of(store):
    return bytes([len(store)]) + store.encode()


def key_of(key):
    return struct.pack("<BI", 0, len(key)) + key


class MinimalClient:
    def __init__(self, address, store=""):
        self.socket = socket.create_connection(address, timeout=60)
        self.store = name_of(store)
        self.id = 0
        self.socket.sendall(MAGIC + struct.pack("<HHI", 1, 0, 0))
        magic, version, status, length = struct.unpack("<8sHHI", self.take(16))
        body = self.take(length)
        assert magic == MAGIC and version == 1
        if status:
            raise Refused(status, body)
        (self.body_len_max, self.key_len_max, self.batch_count_max, self.in_flight_max,
         self.stream_window, self.chunk_len_max) = struct.unpack_from("<IIIIII", body)

    def close(self):
        self.socket.close()

    def take(self, length):
        data = bytearray()
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                raise ConnectionError("the server closed the connection")
            data += part
        return bytes(data)

    def send(self, opcode, body=b""):
        self.socket.sendall(struct.pack("<IBBHQ", len(body), opcode, 0, 0, self.id) + body)

    def receive(self):
        """The next frame of the request under way; what is left of an earlier one is skipped."""
        while True:
            length, opcode, flags, status, identifier = struct.unpack("<IBBHQ", self.take(16))
            body = self.take(length)
            assert flags == 0
            if identifier == self.id:
                if status:
                    raise Refused(status, body)
                return opcode, body

    def call(self, opcode, body=b""):
        self.id += 1
        self.send(opcode, body)
        answered, body = self.receive()
        assert answered == opcode
        return body

    def ping(self):
        self.call(PING)

    def write(self, key, value):
        """offset, tail, crc32, hash, replaced, durability, interval_ms"""
        return struct.unpack_from("<QQIQBBI", self.call(WRITE, self.store + b"\0" + key_of(key) + value))

    def read(self, key):
        return self.call(READ, self.store + key_of(key))[28:]

    def delete(self, key):
        """tail, found, durability, interval_ms"""
        return struct.unpack_from("<QBBI", self.call(DELETE, self.store + b"\0" + key_of(key)))

    def batch_write(self, entries):
        """offset, tail, count, durability, interval_ms"""
        body = self.store + b"\0\0" + struct.pack("<I", len(entries))
        for key, value in entries.items():
            body += key_of(key) + struct.pack("<I", len(value)) + value
        return struct.unpack_from("<QQQBI", self.call(BATCH_WRITE, body))

    def batch_read(self, keys):
        body = self.call(BATCH_READ, self.store + struct.pack("<I", len(keys)) + b"".join(map(key_of, keys)))
        at, values = 4, []
        for _ in range(struct.unpack_from("<I", body)[0]):
            status, = struct.unpack_from("<H", body, at)
            at += 2
            values.append(None)
            if status == 0:
                _offset, _crc32, length = struct.unpack_from("<QII", body, at)
                values[-1] = body[at + 16:at + 16 + length]
                at += 16 + length
        return values

    def upload(self, key, pieces):
        """The answer to a write_stream. An answer before the end is an error, which receive raises."""
        self.id += 1
        self.send(WRITE_STREAM, self.store + b"\0" + key_of(key) + struct.pack("<Q", ALL_ONES))
        credit = self.stream_window
        for piece in pieces:
            while piece:
                while credit == 0:
                    opcode, body = self.receive()
                    assert opcode == CREDIT
                    credit += struct.unpack("<Q", body)[0]
                length = min(credit, self.chunk_len_max, len(piece))
                self.send(CHUNK, piece[:length])
                piece = piece[length:]
                credit -= length
        self.send(END)
        opcode = CREDIT
        while opcode == CREDIT:
            opcode, body = self.receive()
        assert opcode == WRITE_STREAM
        return struct.unpack_from("<QQIQBBI", body)

    def download(self, key, credit=65536):
        """The pieces of a value; each is paid back with as much credit."""
        body = self.call(READ_STREAM, self.store + key_of(key) + struct.pack("<BQQQ", 0, 0, 0, credit))
        left = struct.unpack_from("<QIQQQQQ", body)[6]
        opcode = CHUNK
        while opcode != END:
            opcode, body = self.receive()
            if opcode == ABORT:
                raise Refused(struct.unpack_from("<H", body)[0], body[2:])
            assert opcode in (CHUNK, END) and len(body) <= left
            left -= len(body)
            if body:
                yield body
                self.send(CREDIT, struct.pack("<Q", len(body)))
        assert left == 0
