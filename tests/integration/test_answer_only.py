# SPDX-License-Identifier: MIT
"""bench-answer_only: each request has its answer, however it comes, and one that is kept is in the file before."""
import contextlib
import os
import random
import re
import socket
import subprocess
import types

import pytest

from harness.bench import Bench
from harness.daemon import BUILD, DEADLINE_S, clean_environment, wait_until
from harness.syscalls import traced

KEY = b"key:000000000007"
SET = b"*3\r\n$3\r\nSET\r\n$16\r\n" + KEY + b"\r\n$5\r\nab\ncd\r\n"
GET = b"*2\r\n$3\r\nGET\r\n$16\r\n" + KEY + b"\r\n"
CONFIG = b"*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$4\r\nsave\r\n"
REDIS_ANSWERS = {SET: b"+OK\r\n", GET: b"$9\r\n" + b"v" * 9 + b"\r\n",
                 CONFIG: b"-ERR GET and SET alone are answered here\r\n"}
MEMCACHED_ANSWERS = {b"set " + KEY + b" 0 0 5\r\nab\ncd\r\n": b"STORED\r\n", b"flush_all\r\n": b"ERROR\r\n",
                     b"get " + KEY + b"\r\n": b"VALUE key:000000000000 0 9\r\n" + b"v" * 9 + b"\r\nEND\r\n"}
KEPT = ((), ("--file", "kept"), ("--file", "kept", "--beside"), ("--file", "kept", "--every", "20"),
        ("--file", "kept", "--beside", "--every", "20"))
KEPT_IDS = ("not kept", "kept", "kept beside", "synced in between", "kept beside, synced in between")


@pytest.fixture
def answer_only(folder):
    """Starts one with so long values and flags, and gives its address."""
    with contextlib.ExitStack() as stack:
        def start(value_len, flags=()):
            process = stack.enter_context(subprocess.Popen(
                [os.path.join(BUILD, "bin", "bench-answer_only"), *flags, str(value_len)], cwd=folder, stdout=subprocess.PIPE,
                env=clean_environment()))
            stack.callback(process.terminate)
            host, port = process.stdout.readline().decode().strip().rsplit(":", 1)
            return host, int(port)
        yield start


def read(path):
    with open(path, "rb") as file:
        return file.read()


def receive(connection, length):
    parts = b""
    while len(parts) < length and (part := connection.recv(length - len(parts))):
        parts += part
    return parts


@pytest.mark.parametrize("flags", KEPT, ids=KEPT_IDS)
@pytest.mark.parametrize("answers", (REDIS_ANSWERS, MEMCACHED_ANSWERS), ids=("redis", "memcached"))
def test_each_request_has_its_answer(answer_only, folder, answers, flags):
    """Pipelined, cut anywhere; all that came is in the file by then, and behind it nothing but 0xFF where each is synced."""
    seed = int(os.environ.get("RD_TEST_SEED", random.randrange(1 << 32)))
    print(f"RD_TEST_SEED={seed}")
    draw = random.Random(seed)
    requests = draw.choices(list(answers), k=3000)
    sent, expected = b"".join(requests), b"".join(answers[request] for request in requests)
    with socket.create_connection(answer_only(9, flags), timeout=DEADLINE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = 0
        while at < len(sent):
            length = draw.choice((1, 2, 3, 10, 100, 5000))
            connection.sendall(sent[at:at + length])
            at += length
        assert receive(connection, len(expected)) == expected
        if flags:
            kept = read(os.path.join(folder, "kept"))
            assert kept[:len(sent)] == sent
            assert kept[len(sent):] == b"\xff" * (len(kept) - len(sent))
            assert (len(kept) == len(sent)) == ("--every" in flags)


@pytest.mark.parametrize("flags", KEPT, ids=KEPT_IDS)
@pytest.mark.parametrize("op", ("put", "get"))
def test_the_load_generator(answer_only, op, flags):
    host, port = answer_only(70000, flags)
    report = Bench(("--server", f"{host}:{port}"), None).json("--op", op, "--requests", 2000, "--clients", 9, "--depth", 7,
                                                              "--value-size", 70000)
    assert (report["ops"], report["errors"], report["misses"]) == (2000, 0, 0)


def test_more_than_is_held_at_once(answer_only):
    """A client may send more than the ring holds before it reads: what it holds is synced first."""
    value = b"x" * (1 << 20)
    request = SET.replace(b"$5\r\nab\ncd", b"$%d\r\n" % len(value) + value)
    for flags in KEPT:
        with socket.create_connection(answer_only(9, flags), timeout=DEADLINE_S) as connection:
            connection.sendall(request * 40)
            assert receive(connection, 200) == b"+OK\r\n" * 40


@pytest.mark.parametrize("flags", ((), ("--beside",)), ids=("by the receiver", "beside"))
def test_it_is_synced_in_between(folder, flags):
    """Each answer waits for its append and none for a sync; of those there is one every so many milliseconds."""
    with subprocess.Popen([os.path.join(BUILD, "bin", "bench-answer_only"), "--file", "kept", "--every", "300", *flags], cwd=folder,
                          stdout=subprocess.PIPE, env=clean_environment()) as process:
        port = int(re.search(rb":(\d+)", process.stdout.readline()).group(1))
        with traced(types.SimpleNamespace(folder=folder, process=process), "-f", "-e", "trace=pwritev,fdatasync") as lines, \
                socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
            for _ in range(50):
                connection.sendall(SET)
                assert receive(connection, 5) == b"+OK\r\n"
            wait_until(lambda: read(os.path.join(folder, "trace")).count(b"fdatasync") >= 3, "three syncs")
        process.terminate()
    assert sum("pwritev(" in line for line in lines) == 50


@pytest.mark.parametrize("bad", (b"*9\r\n", b"*2\r\n$3\r\nGET\r\nkey\r\n", b"*2" + b"2" * 600, b"\xd2RDRIVE\n" + b"\x00" * 24))
def test_what_is_not_known_ends_it(folder, bad):
    process = subprocess.Popen([os.path.join(BUILD, "bin", "bench-answer_only")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_environment())
    port = int(re.search(rb":(\d+)", process.stdout.readline()).group(1))
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.sendall(bad)
        assert b"not known here" in process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == 1


@pytest.mark.parametrize("arguments", (("--beside",), ("--file",), ("--every", "1"), ("--file", "kept", "--every", "0"),
                                       ("--file", "kept", "--every", "60001"), ("many",), ("1", "2"), ("--no-such",)))
def test_its_command_line(arguments):
    done = subprocess.run([os.path.join(BUILD, "bin", "bench-answer_only"), *arguments], capture_output=True, timeout=DEADLINE_S,
                          env=clean_environment())
    assert (done.returncode, b"usage" in done.stderr) == (2, True)
