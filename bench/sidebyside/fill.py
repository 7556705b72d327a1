# SPDX-License-Identifier: MIT
"""Every key below a number, once, into each kind of server: key:000000000000 and so on, as redis-benchmark and
rdrive-bench name them."""
import os
import socket
import struct

CHUNK_BYTES = 4 << 20
CHUNK_KEYS = 1000
DEFAULT, NONE = b"\0", b"\3"  # durabilities, on the wire


def value_of(length):
    return os.urandom(length // 2 + 1).hex().encode()[:length]


def chunks(keys, value_len):
    """Ranges of keys that are sent at once."""
    step = max(1, min(CHUNK_KEYS, CHUNK_BYTES // (value_len + 64)))
    return [range(first, min(first + step, keys)) for first in range(0, keys, step)]


def receive(connection, length):
    parts = []
    while length:
        part = connection.recv(min(length, 1 << 20))
        if not part:
            raise ConnectionError("the server closed the connection")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def fill_by_lines(port, keys, value_len, before, after, answer):
    """Protocols whose requests are text around key and value, with one fixed answer each."""
    value = value_of(value_len)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for numbers in chunks(keys, value_len):
            connection.sendall(b"".join(before + b"key:%012d" % number + after + value + b"\r\n" for number in numbers))
            if receive(connection, len(answer) * len(numbers)) != answer * len(numbers):
                raise ConnectionError("a key was not stored")


def fill_redis(port, keys, value_len):
    fill_by_lines(port, keys, value_len, b"*3\r\n$3\r\nSET\r\n$16\r\n", b"\r\n$%d\r\n" % value_len, b"+OK\r\n")


def fill_memcached(port, keys, value_len):
    fill_by_lines(port, keys, value_len, b"set ", b" 0 0 %d\r\n" % value_len, b"STORED\r\n")


def fill_rdrive(address, keys, value_len):
    """By batches over the binary protocol (docs/PROTOCOL.md), of which the last one is as durable as the store: what is read
    then was synced, as in a store that was not filled a moment ago."""
    host, port = address.rsplit(":", 1)
    value = struct.pack("<I", value_len) + value_of(value_len)
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"\xd2RDRIVE\n" + struct.pack("<HHI", 1, 0, 0))
        status, length = struct.unpack_from("<HI", receive(connection, 16), 10)
        receive(connection, length)
        batches = list(chunks(keys, value_len)) if status == 0 else []
        for numbers in batches:
            durability = DEFAULT if numbers is batches[-1] else NONE
            body = b"\0" + durability + b"\0" + struct.pack("<I", len(numbers)) + b"".join(
                b"\0\x10\0\0\0key:%012d" % number + value for number in numbers)
            connection.sendall(struct.pack("<IBBHQ", len(body), 0x12, 0, 0, 1) + body)
            length, _, _, status, _ = struct.unpack("<IBBHQ", receive(connection, 16))
            receive(connection, length)
            if status != 0:
                break
    if status != 0:
        raise ConnectionError(f"rdrived refused with status {status}")
