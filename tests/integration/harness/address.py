# SPDX-License-Identifier: MIT
"""Addresses of ports that speak TLS: whoever connects to one is told by its type, and believes `ca`."""


class TlsAddress(tuple):
    """(host, port)"""

    ca = None


class TlsText(str):
    """HOST:PORT"""

    ca = None


def marked(address, certificate):
    """A (host, port) or HOST:PORT as it is, or where there is a certificate as one that speaks TLS."""
    if certificate is None:
        return address
    secure = TlsText(address) if isinstance(address, str) else TlsAddress(address)
    secure.ca = certificate.ca
    return secure
