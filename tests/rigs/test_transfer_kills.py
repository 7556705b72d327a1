# SPDX-License-Identifier: MIT
"""The daemon is killed during a transfer, at 200 random moments: the value is in at least one of the stores, whole."""
import os
import random
import socket
import struct
import threading
import time

from harness import wire as w

ROUNDS = int(os.environ.get("RDRIVE_RIG_ROUNDS", 200))
SEED = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
TRANSFER = 0x15


def transfer(daemon, key):
    """Asks for it and does not wait long for the answer, which may never come."""
    try:
        with w.Wire(daemon.binary_address, "default") as wire:
            wire.send(w.frame(TRANSFER, 77, w.store_bytes("default") + w.key_bytes(key) + w.store_bytes("other")))
            wire.socket.recv(1)
    except (OSError, AssertionError):
        pass  # killed before it could answer, or even before the hello


def has(daemon, store, key, value):
    with w.Wire(daemon.binary_address, store) as wire:
        try:
            return wire.read(key) == value
        except w.WireError as error:
            assert error.status == w.KEY_NOT_FOUND
            return False


def test_kills_during_transfers(launch):
    print(f"\n  RD_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    daemon = launch()
    with w.Wire(daemon.binary_address) as wire:
        wire.call(w.CREATE, w.store_bytes("other") + struct.pack("<I", 0))
    outcomes = {"source": 0, "both": 0, "target": 0}
    for number in range(ROUNDS):
        key = b"moving-%d" % number
        value = dice.randbytes(dice.choice([1, 100, 70_000, 600_000, 3_000_000])).replace(b"\0", b"0")
        with w.Wire(daemon.binary_address) as wire:
            wire.write(key, value)
        mover = threading.Thread(target=transfer, args=(daemon, key))
        mover.start()
        time.sleep(dice.uniform(0, 0.004 + len(value) / 1e9))
        daemon.kill()
        mover.join()
        daemon = launch()
        source, target = has(daemon, "default", key, value), has(daemon, "other", key, value)
        assert source or target, f"round {number}: the value is gone"
        outcomes["both" if source and target else "source" if source else "target"] += 1
    print(f"  {ROUNDS} kills; the value was then in {outcomes}")
    assert min(outcomes["source"], outcomes["target"]) > 0, "the moments of the kills were not spread out"
    daemon.stop()
