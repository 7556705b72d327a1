# SPDX-License-Identifier: MIT
"""Clients of HTTP that move so many bytes a second and need next to no processor for it: of two processors a client such
as curl takes from the others what no server can give back. Each yields while its requests go on, one after another, and
raises at the end where one failed."""
import contextlib
import os
import socket
import threading
import time

STEP = 256 << 10  # moved at a time, once it is due
TICK_S = 0.001
PATTERN_LEN = 64 << 20


class Pace:
    """How many bytes are due, STEP at least or all that is left."""

    def __init__(self, rate, length):
        self.rate = rate
        self.length = length
        self.begun = time.monotonic()
        self.moved = 0

    def due(self):
        due = min(int((time.monotonic() - self.begun) * self.rate), self.length) - self.moved
        return due if due >= STEP or self.moved + due == self.length else 0


def connect(address, head, *fields):
    host, port = address
    connection = socket.create_connection((host, port))
    lines = (head + " HTTP/1.1", f"Host: {host}", "Connection: close", *fields)
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    return connection


def take_head(connection):
    """The answer's body so far; it must be a good one."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        received = connection.recv(STEP)
        assert received, f"the answer ended early: {answer!r}"
        answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 20"), head
    return body


def read_once(address, path, length, rate, over):
    """The bytes are thrown away by the kernel (MSG_TRUNC), so that nobody copies them."""
    buffer = bytearray(1 << 20)
    with connect(address, f"GET {path}") as connection:
        pace = Pace(rate, length)
        pace.moved = len(take_head(connection))
        while pace.moved < length and not over.is_set():
            due = pace.due()
            if due == 0:
                time.sleep(TICK_S)
                continue
            taken = connection.recv_into(buffer, min(due, len(buffer)), socket.MSG_TRUNC)
            assert taken, f"{pace.moved} bytes of {length} came"
            pace.moved += taken


def write_once(address, path, length, rate, over, pattern):
    with connect(address, f"PUT {path}", f"Content-Length: {length}") as connection:
        pace = Pace(rate, length)
        while pace.moved < length and not over.is_set():
            due = pace.due()
            if due == 0:
                time.sleep(TICK_S)
                continue
            at = pace.moved % PATTERN_LEN
            pace.moved += os.sendfile(connection.fileno(), pattern, at, min(due, PATTERN_LEN - at))
        if pace.moved == length:
            take_head(connection)


@contextlib.contextmanager
def over_and_over(work):
    """work(over): `over` is set when the block ends."""
    over = threading.Event()
    failures = []

    def run():
        try:
            while not over.is_set():
                work(over)
        except (AssertionError, OSError) as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failures, failures


def reading(address, path, length, rate):
    return over_and_over(lambda over: read_once(address, path, length, rate, over))


@contextlib.contextmanager
def writing(address, path, length, rate):
    """Of bytes that are in memory, again and again the same PATTERN_LEN of them."""
    pattern = os.memfd_create("pattern")
    try:
        os.write(pattern, os.urandom(1 << 20) * (PATTERN_LEN >> 20))
        with over_and_over(lambda over: write_once(address, path, length, rate, over, pattern)):
            yield
    finally:
        os.close(pattern)
