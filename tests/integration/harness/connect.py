# SPDX-License-Identifier: MIT
"""Connections to a daemon: TCP, a Unix socket, or TLS where the address says so."""
import socket
import ssl
import threading

from .address import TlsAddress
from .daemon import DEADLINE_S


def trusting(ca):
    """What a client that believes this authority goes by, and that can tell an end from a cut."""
    context = ssl.create_default_context(cafile=ca)
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


class TlsSocket:
    """As a socket, and of use to one thread that sends and one that receives at the same time. shutdown(SHUT_WR) says so
    in TLS before it does in TCP; `truncated`: the peer's end came without that."""

    def __init__(self, raw, context, host="localhost"):
        self.raw = raw
        self.truncated = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        try:
            self._through(self._tls.do_handshake)
        except BaseException:
            self.raw.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def _flush(self):
        with self._send_lock:
            with self._lock:
                data = self._outgoing.read()
            if data:
                self.raw.sendall(data)

    def _through(self, step):
        """Does it, as often as more has to come from the peer first."""
        while True:
            try:
                with self._lock:
                    result = step()
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.raw.recv(1 << 18)
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            with self._lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def sendall(self, data):
        view = memoryview(data)
        for at in range(0, len(view), 1 << 16):
            with self._lock:
                self._tls.write(view[at:at + (1 << 16)])
            self._flush()

    def recv(self, length):
        """As much as is here already, where there is anything: records alone would be small pieces."""
        try:
            data = bytearray(self._through(lambda: self._tls.read(length)))
            with self._lock:
                while len(data) < length and (self._tls.pending() or self._incoming.pending):
                    try:
                        data += self._tls.read(length - len(data))
                    except ssl.SSLError:
                        break  # a part of a record, or the peer's good-bye, which the next call meets
            return bytes(data)
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            if not (isinstance(error, ssl.SSLEOFError) or "UNEXPECTED_EOF" in (error.reason or "")):
                raise
            self.truncated = True
            return b""

    def end(self):
        """Says that no more comes, in TLS alone."""
        with self._lock:
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                pass
        self._flush()

    def shutdown(self, how):
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            self.end()
        self.raw.shutdown(how)

    @property
    def certificate(self):
        """The peer's, in DER."""
        return self._tls.getpeercert(True)

    @property
    def protocol(self):
        return self._tls.selected_alpn_protocol()

    def __getattr__(self, name):
        return getattr(self.raw, name)


def connect(address):
    """address: (host, port), the path of a Unix socket, or a TlsAddress."""
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE_S)
        connection.connect(address)
        return connection
    connection = socket.create_connection(tuple(address), timeout=DEADLINE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if isinstance(address, TlsAddress):
        return TlsSocket(connection, trusting(address.ca), address[0])
    return connection
