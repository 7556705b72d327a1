# SPDX-License-Identifier: MIT
"""rdrive top: what it prints, and how it behaves on a terminal."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

from harness.cli import Cli
from harness.daemon import DEADLINE_S, RDRIVE, REPOSITORY, clean_environment, wait_until

sys.path.insert(0, os.path.join(REPOSITORY, "clients", "python"))
import rdrive  # noqa: E402 - found by the line above


class Load:
    """Writes and reads on a connection of its own until it is left."""

    def __init__(self, daemon, store):
        self.daemon, self.store, self.ended = daemon, store, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with rdrive.Client(self.daemon.binary) as client:
            store = client.store(self.store)
            while not self.ended.is_set():
                store.write("k", b"v" * 100)
                store.read("k")
                store.exists("nothing")

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class Screen:
    """rdrive top on a terminal."""

    def __init__(self, *arguments, rows=24, columns=200):
        self.terminal, self.inside = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.inside)
        self.output = b""
        self.process = subprocess.Popen([RDRIVE, *arguments], stdin=self.inside, stdout=self.inside, stderr=self.inside,
                                        env=clean_environment(), start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.terminal)
        os.close(self.inside)

    def resize(self, rows, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, pattern):
        """Until what comes from now on matches; returns that."""
        end = time.monotonic() + DEADLINE_S
        seen = b""
        while not re.search(pattern, seen, re.DOTALL):
            assert time.monotonic() < end, (pattern, seen[-2000:])
            if select.select([self.terminal], [], [], 0.1)[0]:
                seen += os.read(self.terminal, 65536)
        self.output += seen
        return seen

    def press(self, keys):
        os.write(self.terminal, keys)

    def wait(self):
        end = time.monotonic() + DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < end
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.output += os.read(self.terminal, 65536)
        while select.select([self.terminal], [], [], 0)[0]:
            self.output += os.read(self.terminal, 65536)
        return self.process.returncode


def test_once_prints_one_table(daemon, store, cli):
    with Load(daemon, store):
        text = cli.ok("top", "--once", "--interval", "2").decode()
    lines = text.splitlines()
    assert lines[0].startswith("rdrived ") and "memory" in lines[0]
    assert [line.split()[0] for line in lines if line.startswith("STORE")] == ["STORE", "STORE"]
    assert re.search(rf"^{store} +open +1 ", text, re.MULTILINE)
    for operation in ("write", "read", "exists"):
        assert re.search(rf"^{store} +{operation} +[1-9]", text, re.MULTILINE), text


def test_once_as_json(daemon, store, cli):
    with Load(daemon, store):
        seen = json.loads(cli.ok("--json", "top", "--once", "--interval", "2"))
    assert 1.9 < seen["seconds"] < 30
    row = next(row for row in seen["stores"] if row["name"] == store)
    assert row["entries"] == 1 and row["state"] == "open" and row["requests_per_second"] > 0
    assert row["groups_per_second"] > 0 and row["operations_per_group"] >= 1 and row["sync_p99_seconds"] > 0
    operation = next(each for each in seen["operations"] if each["store"] == store and each["operation"] == "write")
    assert operation["requests_per_second"] > 0 and 0 < operation["p50_seconds"] <= operation["p99_seconds"]


def test_a_compaction_under_way_shows(launch):
    daemon = launch("--compact-rate", "1")
    tool = Cli(("--server", daemon.binary), "default")

    def row():
        seen = json.loads(tool.ok("--json", "top", "--once", "--interval", "0.1"))
        return next(row for row in seen["stores"] if row["name"] == "default")

    assert (row()["compacting"], row()["dead_percent"]) == (False, None)  # nothing is in it
    with rdrive.Client(daemon.binary) as client:
        for _ in range(2):
            client.store("default").write("k", os.urandom(4 << 20))
        assert 49 < row()["dead_percent"] < 51
        done = threading.Thread(target=client.store("default").compact)
        done.start()
        wait_until(lambda: row()["compacting"], "a compaction under way")
        assert re.search(r"^default +compacting +1 ", tool.ok("top", "--once", "--interval", "0.1").decode(), re.MULTILINE)
        done.join()
    assert not row()["compacting"] and row()["dead_percent"] < 1


def test_a_stream_of_looks_ends_with_an_interrupt(daemon, store):
    process = subprocess.Popen([RDRIVE, "--server", daemon.binary, "--json", "top", "--interval", "0.1"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
    try:
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert all(line["stores"] for line in lines)
    assert process.returncode == 0 and errors == b""


@pytest.mark.parametrize("leave", ["q", "interrupt", "terminate"])
def test_the_terminal_is_left_as_it_was(daemon, store, leave):
    with Screen("--server", daemon.binary, "top", "--interval", "0.1") as screen:
        screen.read_until(rb"OPERATION.*metrics")
        assert termios.tcgetattr(screen.inside)[3] & termios.ECHO == 0
        if leave == "q":
            screen.press(b"xq")
        else:
            screen.process.send_signal(signal.SIGINT if leave == "interrupt" else signal.SIGTERM)
        assert screen.wait() == 0
        assert screen.output.startswith(b"\x1b[?1049h") and screen.output.endswith(b"\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(screen.inside) == screen.before


def test_it_fits_the_screen_when_that_changes(daemon, store):
    with Screen("--server", daemon.binary, "top", "--interval", "60", rows=30, columns=120) as screen:
        screen.read_until(rb"second look")
        screen.resize(12, 40)
        screen.process.send_signal(signal.SIGWINCH)
        screen.read_until(rb"second look.*\x1b\[J")
        screen.press(b"q")
        assert screen.wait() == 0
    with Screen("--server", daemon.binary, "top", "--interval", "0.1", rows=14, columns=40) as screen:
        frame = screen.read_until(rb"OPERATION.*\x1b\[J").split(b"\x1b[H")[-1]
        lines = re.sub(rb"\x1b\[[KJ]", b"", frame).replace(b"\r", b"").split(b"\n")
        assert len(lines) <= 15 and max(len(line) for line in lines) <= 40, lines
        screen.press(b"q")
        assert screen.wait() == 0


def test_a_server_that_goes_and_comes_back(launch, folder):
    daemon = launch(unix=True)
    with Screen("--unix", daemon.unix_path, "top", "--interval", "0.1") as screen:
        screen.read_until(rb"OPERATION")
        daemon.stop()
        screen.read_until(rb"does not answer")
        launch(unix=True)
        screen.read_until(rb"\x1b\[H(?:(?!does not answer|\x1b\[H).)*OPERATION(?:(?!does not answer|\x1b\[H).)*\x1b\[J")
        screen.press(b"q")
        assert screen.wait() == 0


def test_what_cannot_be_done(daemon, folder):
    tool = Cli(("--server", daemon.binary))
    for wrong in (("--interval", "0"), ("--interval", "x"), ("--interval", "1e9"), ("--interval", "nan"), ("extra",), ("--limit", "3")):
        assert tool.run("top", "--once", *wrong).code == 2, wrong
    assert Cli(()).run("--file", os.path.join(folder, "x"), "top").code == 2
    assert tool.run("len", "--once").code == 2
    done = Cli(("--unix", os.path.join(folder, "nobody"))).run("top")
    assert done.code == 1 and "top" in done.err
