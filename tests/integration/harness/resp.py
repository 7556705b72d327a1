# SPDX-License-Identifier: MIT
"""The Redis protocol over a plain socket: commands as arrays, answers as the bytes that came."""
from .connect import connect

COUNTED = b"*%~>"  # heads of several answers; of a map twice as many
LENGTHS = b"$=!"  # heads of bytes


def encode(*words):
    """One command. Words are bytes, text or numbers."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Resp:
    """One connection. `address`: (host, port), or the path of a Unix socket."""

    def __init__(self, address):
        self.socket = connect(address)
        self.pending = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError(bytes(self.pending))
        self.pending += data

    def _take(self, length):
        while len(self.pending) < length:
            self._more()
        data = bytes(self.pending[:length])
        del self.pending[:length]
        return data

    def _line(self):
        at = 0
        while True:
            end = self.pending.find(b"\n", at)
            if end >= 0:
                return self._take(end + 1)
            at = len(self.pending)
            self._more()

    def answer(self):
        """The bytes of the next answer, whatever its kind. EOFError: the connection ended."""
        parts = []
        left = 1
        while left:
            left -= 1
            line = self._line()
            assert line.endswith(b"\r\n"), line
            parts.append(line)
            kind, number = line[:1], line[1:-2]
            if kind in COUNTED:  # null arrays have -1
                left += max(int(number), 0) * (2 if kind == b"%" else 1)
            elif kind in LENGTHS and int(number) >= 0:
                data = self._take(int(number) + 2)
                assert data.endswith(b"\r\n")
                parts.append(data)
            else:
                assert kind in b"+-:_#,($*", line
        return b"".join(parts)

    def call(self, *words):
        self.send(encode(*words))
        return self.answer()

    def closed(self):
        """True once the server has closed, with nothing more said."""
        try:
            self._take(1)
        except EOFError as rest:
            return rest.args[0] == b""
        return False


def bulk(data):
    return b"$%d\r\n%s\r\n" % (len(data), data)


def value(answer):
    """What an answer of RESP2 stands for: bytes, None, a number, a list; an error's or a simple string's text."""
    decoded, rest = _value(answer)
    assert rest == b""
    return decoded


def _value(data):
    line, rest = data.split(b"\r\n", 1)
    kind, text = line[:1], line[1:]
    if kind == b"$":
        length = int(text)
        return (None, rest) if length < 0 else (rest[:length], rest[length + 2:])
    if kind == b":":
        return int(text), rest
    if kind == b"*":
        items = []
        for _ in range(int(text)):
            item, rest = _value(rest)
            items.append(item)
        return (items if int(text) >= 0 else None), rest
    assert kind in b"+-", data
    return text.decode(), rest
