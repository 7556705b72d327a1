# SPDX-License-Identifier: MIT
"""A server that knows nothing of rdrive and does the same work with the disk and the network: what others feel of it is
the machine's own doing.

    outside.py FILE FOLDER LENGTH

GET answers with the first LENGTH bytes of FILE, by sendfile. PUT keeps its body in an unlinked file, copies that to
another file of FOLDER when it is complete, syncs it and takes it away. The port is on the first line of standard output.
"""
import os
import socket
import sys
import tempfile

STEP = 1 << 20


def take_head(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            return None, b""
        head += received
    head, _, body = head.partition(b"\r\n\r\n")
    return head, body


def answer_get(connection, path, length):
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
    with open(path, "rb") as file:
        at = 0
        while at < length:
            at += os.sendfile(connection.fileno(), file.fileno(), at, min(STEP, length - at))


def copy(spool, target, length):
    at = 0
    while at < length:
        at += os.copy_file_range(spool.fileno(), target.fileno(), min(8 * STEP, length - at), at, at)
    os.fdatasync(target.fileno())


def answer_put(connection, head, body, folder):
    fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    length = int(fields[b"content-length"])
    if b"expect" in fields:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    with tempfile.TemporaryFile(dir=folder) as spool, tempfile.TemporaryFile(dir=folder) as target:
        spool.write(body)
        buffer = bytearray(STEP)
        left = length - len(body)
        while left:
            received = connection.recv_into(buffer, min(STEP, left))
            if not received:
                return
            spool.write(memoryview(buffer)[:received])
            left -= received
        spool.flush()
        copy(spool, target, length)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def main():
    path, folder, length = sys.argv[1], sys.argv[2], int(sys.argv[3])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                head, body = take_head(connection)
                if head is not None and head.startswith(b"GET "):
                    answer_get(connection, path, length)
                elif head is not None:
                    answer_put(connection, head, body, folder)
            except ConnectionError:
                continue


if __name__ == "__main__":
    main()
