# SPDX-License-Identifier: MIT
"""Where a server is: "HOST:PORT", "[IPV6]:PORT", or the path of a Unix socket ("unix:PATH", or anything with a /)."""
from __future__ import annotations

from typing import NamedTuple, Tuple, Union

from .errors import InvalidArgument

DEFAULT_SERVER = "127.0.0.1:7401"
DEFAULT_CONNECT_TIMEOUT_S = 5.0
DEFAULT_TIMEOUT_S = 60.0
DEFAULT_ANSWER_LEN_MAX = 1 << 30

Server = Union[str, Tuple[str, int]]


class Address(NamedTuple):
    host: str
    """"" where it is a Unix socket"""
    port: int
    path: str

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def parse(server: Server) -> Address:
    """InvalidArgument where it is none of the forms above."""
    if isinstance(server, tuple):
        return Address(server[0], server[1], "")
    if server.startswith("unix:"):
        return Address("", 0, server[len("unix:"):])
    if "/" in server:
        return Address("", 0, server)
    host, colon, port = server.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InvalidArgument(f"an IPv6 address wants brackets: {server!r}")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidArgument(f"a server is HOST:PORT or a path, not {server!r}")
    return Address(host, int(port), "")
