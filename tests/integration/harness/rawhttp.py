# SPDX-License-Identifier: MIT
"""HTTP bytes made by hand, for what curl would not send."""
from .connect import connect
from .curl import Answer, parse_headers


class RawHttp:
    """One connection. Answers are read strictly: a body's length must be stated."""

    def __init__(self, address):
        self.socket = connect(address)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        try:
            part = self.socket.recv(1 << 18)
        except ConnectionResetError:
            part = b""
        self.buffer += part
        return part

    def _take(self, length):
        while len(self.buffer) < length:
            assert self._more(), f"closed inside a body: {self.buffer[:200]!r}"
        taken, self.buffer = self.buffer[:length], self.buffer[length:]
        return taken

    def answer(self, to_head=False):
        """The next answer that is not a 1xx, or None where the server closed instead."""
        while True:
            while b"\r\n\r\n" not in self.buffer:
                if not self._more():
                    assert self.buffer == b"", f"closed inside a head: {self.buffer!r}"
                    return None
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 "), head
            status, headers = parse_headers(head)
            if status >= 200:
                break
        if to_head or status in (204, 304):
            return Answer(status, headers, b"")
        assert "content-length" in headers, headers
        return Answer(status, headers, self._take(int(headers["content-length"])))

    def closed(self):
        """True once the server has closed, with nothing more said."""
        while self._more():
            pass
        return self.buffer == b""


def request(method, path, body=None, headers=(), host="localhost"):
    """The bytes of one well-formed request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
