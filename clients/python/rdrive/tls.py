# SPDX-License-Identifier: MIT
"""TLS as the clients speak it: 1.3, with a server that proves to be the host that was asked for."""
from __future__ import annotations

import ssl
from typing import Optional, Union

from .address import Address
from .errors import InvalidArgument

Tls = Union[bool, ssl.SSLContext]


def context(where: Address, tls: Tls, tls_ca: Optional[str]) -> Optional[ssl.SSLContext]:
    """What a connection is to go by; None: plain bytes. InvalidArgument: the file cannot be used, or it is a Unix socket."""
    if not tls and tls_ca is None:
        return None
    if where.path:
        raise InvalidArgument("TLS is spoken over TCP, not over a Unix socket")
    if isinstance(tls, ssl.SSLContext):
        if tls_ca is not None:
            raise InvalidArgument("a context says whom to believe: give it or tls_ca, not both")
        return tls
    try:
        made = ssl.create_default_context(cafile=tls_ca)
    except OSError as error:  # ssl.SSLError among them
        raise InvalidArgument(f"the certificates to believe, {tls_ca}: {error}") from error
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made
