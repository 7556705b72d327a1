# SPDX-License-Identifier: MIT
"""The command line tool's rename, copy, transfer, conditions, ranges, streams and import, online and offline."""
import hashlib
import json
import os
import pty
import random
import re
import resource
import select
import socket
import struct
import subprocess
import zlib

import pytest

from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import DEADLINE_S, RDRIVE, clean_environment, wait_until

DONE, FAILED, USAGE, NOT_FOUND = 0, 1, 2, 3
MIB = 1 << 20


class Place:
    """A store to work on and another one to copy to, both either a server's or files."""

    def __init__(self, tool, other, target):
        self.tool = tool
        self.other = other
        self.target = target  # the arguments that name the other one


@pytest.fixture(params=["online", "offline"])
def place(request, folder):
    if request.param == "online":
        daemon = request.getfixturevalue("daemon")
        tool = request.getfixturevalue("cli")
        other = Curl(daemon.http, "other-store")
        assert other.create().status == 201
        yield Place(tool, Cli(("--server", daemon.binary), "other-store"), ("--target", "other-store"))
        assert other.drop().status == 200
    else:
        path = os.path.join(folder, "other.rdr")
        tool = Cli(("--file", os.path.join(folder, "some.rdr")))
        tool.ok("create")
        yield Place(tool, Cli(("--file", path)), ("--target", path))


def version_of(tool, key):
    metadata = json.loads(tool.ok("--json", "metadata", key))
    return f"{metadata['offset']:x}-{metadata['crc32']}"


def test_rename(place):
    place.tool.ok("write", "a", "value")
    tail = int(place.tool.ok("rename", "a", "b"))
    assert tail == json.loads(place.tool.ok("--json", "info"))["tail"]
    assert place.tool.ok("read", "b") == b"value"
    assert place.tool.run("read", "a").code == NOT_FOUND
    assert place.tool.run("rename", "a", "c").code == NOT_FOUND
    done = place.tool.run("rename", "b", "b")
    assert done.code == FAILED and "conflict" in done.err
    assert set(json.loads(place.tool.ok("--json", "rename", "b", "c"))) >= {"offset", "tail"}
    assert place.tool.ok("--key-hex", "rename", "63", "00ff") and place.tool.ok("--key-hex", "read", "00ff") == b"value"


def test_rename_by_hash(place):
    place.tool.ok("write", "a", "value")
    key_hash = json.loads(place.tool.ok("--json", "metadata", "a"))["key_hash"]
    place.tool.ok("--hash", "rename", key_hash, "00000000000000ab")
    assert place.tool.ok("--hash", "read", "00000000000000ab") == b"value"


def test_copy_and_transfer(place):
    place.tool.ok("write", "a", "value")
    place.other.ok("write", "first", "one")
    answer = json.loads(place.tool.ok("--json", "copy", "a", *place.target))
    assert answer["target_tail"] == json.loads(place.other.ok("--json", "info"))["tail"]
    assert "source_tail" not in answer
    assert place.tool.ok("read", "a") == place.other.ok("read", "a") == b"value"
    place.tool.ok("write", "a", "newer")
    answer = json.loads(place.tool.ok("--json", "transfer", "a", *place.target))
    assert answer["source_tail"] == json.loads(place.tool.ok("--json", "info"))["tail"]
    assert place.tool.run("exists", "a").code == NOT_FOUND
    assert place.other.ok("read", "a") == b"newer"
    assert place.tool.run("copy", "missing", *place.target).code == NOT_FOUND
    assert place.tool.run("transfer", "missing", *place.target).code == NOT_FOUND
    assert place.other.ok("len") == b"2\n"


def test_copy_to_the_same_store(place, folder):
    place.tool.ok("write", "a", "value")
    options = place.tool.options
    own = options[options.index("--file") + 1] if "--file" in options else None
    if own is not None:
        link = os.path.join(folder, "link.rdr")
        os.link(own, link)
        pointer = os.path.join(folder, "pointer.rdr")
        os.symlink(own, pointer)
    for target in ([own, link, pointer] if own is not None else [json.loads(place.tool.ok("--json", "info"))["name"]]):
        for command in ("copy", "transfer"):
            for key in ("a", "missing"):
                done = place.tool.run(command, key, "--target", target)
                assert done.code == FAILED and f"{command}: conflict: source and target are the same store" in done.err
    assert place.tool.ok("read", "a") == b"value"


def test_conditions(place):
    tool = place.tool
    tool.ok("write", "a", "one", "--if-absent")
    done = tool.run("write", "a", "two", "--if-absent")
    assert done.code == FAILED and "precondition_failed" in done.err
    tool.ok("write", "a", "two", "--if-present")
    assert tool.run("write", "b", "x", "--if-present").code == FAILED
    version = version_of(tool, "a")
    tool.ok("write", "a", "three", "--if-version", version)
    assert tool.run("write", "a", "four", "--if-version", version).code == FAILED
    assert tool.run("delete", "a", "--if-version", version).code == FAILED
    assert tool.run("rename", "a", "c", "--if-version", version).code == FAILED
    tool.ok("write", "taken", "x")
    assert tool.run("rename", "a", "taken", "--if-absent").code == FAILED
    tool.ok("rename", "a", "free", "--if-absent", "--if-version", version_of(tool, "a"))
    assert tool.ok("read", "free") == b"three"
    tool.ok("delete", "free", "--if-version", version_of(tool, "free"))
    assert tool.run("exists", "free").code == NOT_FOUND
    big = random.Random(1).randbytes(3 * MIB)
    assert tool.run("write", "taken", "--if-absent", stdin=big).code == FAILED
    tool.ok("write", "new", "--if-absent", stdin=big)
    assert tool.ok("read", "new") == big and tool.ok("read", "taken") == b"x"


def test_ranges(place):
    tool = place.tool
    for value in (b"0123456789", random.Random(2).randbytes(2 * MIB + 17)):
        tool.ok("write", "v", stdin=value)
        assert tool.ok("read", "v", "--range", "2-4") == value[2:5]
        assert tool.ok("read", "v", "--range", "7-") == value[7:]
        assert tool.ok("read", "v", "--range", "-3") == value[-3:]
        assert tool.ok("read", "v", "--range", f"5-{1 << 50}") == value[5:]
        assert tool.ok("read", "v", "--range", f"-{1 << 50}") == value
        done = tool.run("read", "v", "--range", f"{len(value)}-")
        assert done.code == FAILED and done.out == b"" and "range" in done.err


@pytest.mark.parametrize("length", [1, MIB - 1, MIB, MIB + 1, 5 * MIB + 3])
def test_streams_from_a_file_and_from_standard_input(place, folder, length):
    value = random.Random(length).randbytes(length - 1) + b"x"
    path = os.path.join(folder, "value")
    with open(path, "wb") as file:
        file.write(value)
    place.tool.ok("write", "of the file", "-f", path)
    place.tool.ok("write", "of standard input", stdin=value)
    assert place.tool.ok("read", "of the file") == place.tool.ok("read", "of standard input") == value
    metadata = json.loads(place.tool.ok("--json", "metadata", "of the file"))
    assert (metadata["length"], metadata["crc32"]) == (length, f"{zlib.crc32(value):08x}")


def waits(folder, arguments, content):
    """The milliseconds that `rdrive write` is ready to wait, each time that it does, for a server that takes what is sent
    and gives no more credit, and no answer."""
    log = os.path.join(folder, "calls")
    window = 1 << 20
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        command = ["strace", "-qq", "-e", "trace=poll,ppoll", "-o", log, RDRIVE, "--server", address, "write", *arguments]
        options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # leaks are not looked for under a tracer
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=clean_environment(ASAN_OPTIONS=options)) as process:
            process.stdin.write(content)
            process.stdin.close()
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(DEADLINE_S)
                connection.sendall(b"\xd2RDRIVE\n" + struct.pack("<HHI6I", 1, 0, 24, 80 << 20, 32 << 10, 1000, 64, window, 1 << 18))
                seen = 0
                while seen < min(window, len(content)):
                    seen += len(connection.recv(1 << 16))
                with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                    pid, = file.read().split()

                def sleeps():
                    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                        return file.read().rpartition(")")[2].split()[0] == "S"

                wait_until(sleeps, "it to wait")
            assert process.wait(timeout=DEADLINE_S) == FAILED
    with open(log, encoding="ascii") as file:
        found = re.findall(r"poll\(.*\], 1, (\{tv_sec=)?(\d+)", file.read())
    return [int(number) * (1000 if in_seconds else 1) for in_seconds, number in found]


def test_how_long_is_waited(folder):
    """The answer to a long value comes once the server has copied all of it."""
    assert max(waits(folder, ["k"], bytes(MIB + 1))) > 600000
    assert max(waits(folder, ["k", "v"], b"")) <= 60000


def test_flat_memory(place, folder):
    """A value of 300 MiB through a program that may not have 100 MiB of address space. There is no such limit where
    more of it is needed to begin with, by a sanitizer or for the map of a store's file: the value must pass all the
    same."""
    program = open(RDRIVE, "rb").read()
    needs_more = b"__asan" in program or b"__tsan" in program or "--file" in place.tool.options
    block = random.Random(3).randbytes(MIB)
    wanted = hashlib.sha256()
    limit = resource.RLIM_INFINITY if needs_more else 100 * MIB

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [RDRIVE, *place.tool.options]
    with subprocess.Popen([*command, "write", "big"], stdin=subprocess.PIPE, preexec_fn=limited,
                          stdout=subprocess.DEVNULL, env=clean_environment()) as writer:
        for _ in range(300):
            writer.stdin.write(block)
            wanted.update(block)
        writer.stdin.close()
    assert writer.returncode == DONE
    got = hashlib.sha256()
    with subprocess.Popen([*command, "read", "big"], stdout=subprocess.PIPE, preexec_fn=limited,
                          env=clean_environment()) as reader:
        while block := reader.stdout.read(MIB):
            got.update(block)
    assert reader.returncode == DONE
    assert got.digest() == wanted.digest()


def run_on_terminal(command, stdin_blocks):
    """Standard error is a terminal's: what was written there."""
    terminal, other_end = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=other_end,
                          env=clean_environment()) as process:
        os.close(other_end)
        for block in stdin_blocks:
            process.stdin.write(block)
            process.stdin.flush()
        process.stdin.close()
        assert process.wait(timeout=60) == DONE
        seen = b""
        while select.select([terminal], [], [], 0.2)[0]:
            try:
                block = os.read(terminal, 4096)
            except OSError:
                break
            if not block:
                break
            seen += block
    os.close(terminal)
    return seen


def slowly(blocks):
    """Longer than the half second after which a progress line appears."""
    for block in blocks:
        select.select([], [], [], 0.1)
        yield block


def test_a_progress_line_on_a_terminal(cli):
    command = [RDRIVE, *cli.options, "write", "k"]
    block = random.Random(4).randbytes(MIB)
    seen = run_on_terminal(command, slowly([block] * 12))
    assert b"MiB/s" in seen and seen.endswith(b"\r\x1b[K")
    assert run_on_terminal(command, [b"short"]) == b""


@pytest.mark.parametrize("arguments", [
    ["rename", "a"], ["copy", "a"], ["copy", "a", "b", "--target", "c"], ["copy"], ["transfer", "a", "b", "c"], ["import"],
    ["read", "a", "--range", "5-2"], ["read", "a", "--range", "-"], ["read", "a", "--range", "x-y"], ["len", "--range", "1-2"],
    ["write", "a", "b", "--if-version", "zz-00"], ["write", "a", "b", "--if-version", "10"], ["read", "a", "--if-present"],
    ["write", "a", "b", "--if-absent", "--if-present"], ["write", "a", "b", "--target", "c"],
    ["--file", "x", "copy", "a"], ["batch-delete", "--if-present"],
], ids=" ".join)
def test_wrong_usage(arguments, folder):
    done = subprocess.run([RDRIVE, *arguments], capture_output=True, stdin=subprocess.DEVNULL, cwd=folder,
                          env=clean_environment(RDRIVE_SERVER="127.0.0.1:1"))
    assert (done.returncode, done.stdout) == (USAGE, b""), done
    assert os.listdir(folder) == []


# ---- import ---------------------------------------------------------------------------------------------------------

def make_tree(folder):
    """Paths and contents of what import is to store."""
    root = os.path.join(folder, "tree")
    source = random.Random(5)
    files = {"a": b"first", "b/c": b"second", "b/d/e f": source.randbytes(70000), "b/\xfc.txt": b"umlaut",
             "long": source.randbytes(3 * MIB + 5), "z/" + "x" * 200: b"\0\0"}
    for i in range(1200):
        files[f"many/{i:04}"] = b"value %d" % i
    for name, content in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    return root, files


def test_import(place, folder):
    root, files = make_tree(folder)
    os.symlink("a", os.path.join(root, "link"))
    os.symlink("b", os.path.join(root, "linked-folder"))
    os.mkfifo(os.path.join(root, "pipe"))
    open(os.path.join(root, "empty"), "wb").close()
    with open(os.path.join(root, "nul"), "wb") as file:
        file.write(b"\0")
    done = place.tool.run("--json", "import", root)
    assert done.code == DONE, done
    summary = done.json()
    assert summary == {"stored": len(files), "bytes": sum(map(len, files.values())), "unchanged": 0, "left_out": 5, "failed": 0}
    for name in ("link", "linked-folder", "pipe", "empty", "nul"):
        assert os.path.join(root, name) in done.err
    assert int(place.tool.ok("len")) == len(files)
    for name in ("a", "b/c", "b/d/e f", "b/\xfc.txt", "long", "many/0007", "z/" + "x" * 200):
        assert place.tool.ok("read", name) == files[name]

    tail = json.loads(place.tool.ok("--json", "info"))["tail"]
    again = json.loads(place.tool.ok("--json", "import", root + "/"))
    assert (again["stored"], again["unchanged"]) == (0, len(files))
    assert json.loads(place.tool.ok("--json", "info"))["tail"] == tail

    with open(os.path.join(root, "a"), "wb") as file:
        file.write(b"FIRST")  # of the same length
    place.tool.ok("delete", "long")
    text = place.tool.ok("import", root).decode()
    assert text.startswith("stored 2 files,") and f"unchanged {len(files) - 2}\n" in text
    assert place.tool.ok("read", "a") == b"FIRST" and place.tool.ok("read", "long") == files["long"]


def test_import_of_a_file_that_cannot_be_read(place, folder):
    root, _ = make_tree(folder)
    os.chmod(os.path.join(root, "a"), 0)
    # Root reads everything but for what it gives up.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, RDRIVE, *place.tool.options, "--json", "import", root], capture_output=True,
                          env=clean_environment(), timeout=DEADLINE_S)
    answer = json.loads(done.stdout)
    assert done.returncode == FAILED and answer["failed"] == 1 and answer["stored"] > 1000


def test_import_of_what_is_no_folder(place, folder):
    done = place.tool.run("import", os.path.join(folder, "nowhere"))
    assert done.code == FAILED and "nowhere" in done.err


def test_where_the_server_takes_short_requests_alone(launch, folder):
    """What does not fit one goes in parts, or in smaller batches."""
    daemon = launch("--frame-len-max", "64k", "--batch-count-max", "100")
    tool = Cli(("--server", daemon.binary))
    value = random.Random(8).randbytes(300000)
    path = os.path.join(folder, "value")
    with open(path, "wb") as file:
        file.write(value)
    tool.ok("write", "file", "-f", path)
    tool.ok("write", "input", stdin=value)
    tool.ok("write", "argument", "x" * 100000)
    assert tool.ok("read", "file") == tool.ok("read", "input") == value
    assert tool.ok("read", "argument") == b"x" * 100000
    done = tool.run("write", "argument", "y" * 100000, "--if-absent")
    assert done.code == FAILED and "precondition_failed" in done.err
    root, files = make_tree(folder)
    summary = json.loads(tool.ok("--json", "import", root))
    assert summary == {"stored": len(files), "bytes": sum(map(len, files.values())), "unchanged": 0, "left_out": 0, "failed": 0}
    for name in ("a", "b/d/e f", "long", "many/0007", "many/1199"):
        assert tool.ok("read", name) == files[name]
