# SPDX-License-Identifier: MIT
"""Connections that have more to be sent than their share of a turn, and get in line for more turns."""
import contextlib
import selectors
import socket

from harness.curl import Curl
from harness.daemon import DEADLINE_S
from harness.faults import Fault
from harness.rawhttp import request
from harness.syscalls import recorded

MIB = 1 << 20


def test_whoever_waits_in_line_is_not_blamed(launch):
    """A hundred take long values, of which one is served in each turn, and a turn is made to take long."""
    daemon = launch("--stall-timeout-ms", "500")
    Curl(daemon.http).put("long", bytes(2 * MIB))
    left = {}
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        with Fault(daemon.process.pid, "write,writev", what="delay_enter=6000"):
            for _ in range(100):
                client = stack.enter_context(socket.create_connection(daemon.http_address, DEADLINE_S))
                client.sendall(request("GET", "/v1/stores/default/keys/long", headers=["Connection: close"]))
                selector.register(client, selectors.EVENT_READ)
                left[client] = 2 * MIB
            while selector.get_map():
                for key, _ in selector.select(DEADLINE_S):
                    count = len(key.fileobj.recv(MIB))
                    left[key.fileobj] -= count
                    if count == 0:
                        selector.unregister(key.fileobj)
    assert max(left.values()) < 0, daemon.log()  # the heads came, too


def test_downloads_have_as_much_of_a_turn_as_uploads(launch):
    """Sixteen of each; the daemon is what is slow."""
    daemon = launch("--durability", "none")
    Curl(daemon.http).put("long", bytes(32 * MIB))
    sent = taken = 0
    with recorded(daemon), selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for i in range(32):
            client = stack.enter_context(socket.create_connection(daemon.http_address, DEADLINE_S))
            if i % 2 == 0:
                client.sendall(request("PUT", f"/v1/stores/default/keys/{i}", headers=["Content-Length: 1000000000"]))
            else:
                client.sendall(request("GET", "/v1/stores/default/keys/long") * 4)
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ if i % 2 else selectors.EVENT_WRITE)
        while sent < 512 * MIB:
            for key, _ in selector.select(DEADLINE_S):
                if key.events == selectors.EVENT_READ:
                    taken += len(key.fileobj.recv(MIB))
                else:
                    sent += key.fileobj.send(bytes(4 * MIB))
    assert taken > sent / 2, (taken, sent)
