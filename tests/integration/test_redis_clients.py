# SPDX-License-Identifier: MIT
"""The programs and libraries that speak the Redis protocol, as they come with the system: redis-cli by hand and in a pipe,
redis-benchmark, python3-redis, hiredis."""
import asyncio
import hashlib
import os
import pty
import random
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
import redis
import redis.asyncio

from harness.daemon import DEADLINE_S, REPOSITORY, Daemon, clean_environment

LONG = random.Random(7).randbytes(1 << 20)


@pytest.fixture(scope="module")
def server():
    """A daemon whose writes are answered when the kernel has them, as Redis's are."""
    folder = tempfile.mkdtemp(prefix="rdrive-")
    daemon = Daemon(folder, "--redis", "127.0.0.1:0", "--durability", "none")
    try:
        yield daemon
        daemon.assert_alive()
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder)


def cli_command(server, *arguments):
    host, port = server.redis_address
    return ["redis-cli", "-h", host, "-p", str(port), *arguments]


def cli(server, *arguments, stdin=b"", env=None):
    done = subprocess.run(cli_command(server, *arguments), input=stdin, capture_output=True, timeout=DEADLINE_S,
                          env=clean_environment(**(env or {})))
    assert done.returncode == 0, done
    return done.stdout


# ---- redis-cli ------------------------------------------------------------------------------------------------------

class Terminal:
    """redis-cli on a terminal of its own, as somebody types."""

    def __init__(self, server, *arguments):
        self.master, slave = pty.openpty()
        environment = clean_environment(TERM="dumb", HOME=server.folder)
        self.process = subprocess.Popen(cli_command(server, *arguments), stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True)
        os.close(slave)
        self.seen = b""

    def expect(self, pattern):
        """Reads until the pattern has come, and returns what came up to its end."""
        end = time.monotonic() + DEADLINE_S
        while not (found := re.search(pattern, self.seen)):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, self.seen
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, self.seen
            self.seen += data
        self.seen, text = self.seen[found.end():], self.seen[:found.end()]
        return text

    def type(self, line):
        os.write(self.master, line.encode() + b"\n")

    def close(self):
        os.close(self.master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def test_redis_cli_by_hand(server):
    address = re.escape(server.redis).encode()
    terminal = Terminal(server)
    try:
        for line, answer, prompt in (
                ("set by-hand \"two words\"", rb"OK\r?\n", b"> "),
                ("get by-hand", rb"\"two words\"\r?\n", b"> "),
                ("get by-hand-none", rb"\(nil\)\r?\n", b"> "),
                ("exists by-hand by-hand", rb"\(integer\) 2\r?\n", b"> "),
                ("mget by-hand by-hand-none", rb"1\) \"two words\"\r?\n2\) \(nil\)\r?\n", b"> "),
                ("lpush by-hand x", rb"\(error\) ERR 'lpush' is not served: [^\n]*\n", b"> "),
                ("select 3", rb"OK\r?\n", rb"\[3\]> "),
                ("dbsize", rb"\(integer\) 0\r?\n", rb"\[3\]> "),
                ("bgrewriteaof", rb"Background append only file rewriting started\r?\n", rb"\[3\]> "),
                ("select 0", rb"OK\r?\n", b"> "),
                ("multi", rb"OK\r?\n", rb"\(TX\)> "),
                ("set by-hand 1", rb"QUEUED\r?\n", rb"\(TX\)> "),
                ("exec", rb"1\) OK\r?\n", b"> "),
                ("hello 3", rb"1# \"server\" => \"redis\"\r?\n", b"> "),
                ("config get save", rb"1# \"save\" => \"\"\r?\n", b"> "),
                ("help @string", rb"\n", b"> ")):
            terminal.expect(address + rb"[^\n]*> ")
            terminal.type(line)
            terminal.expect(answer)
            if line != "help @string":
                terminal.seen = terminal.expect(address + prompt) + terminal.seen
        terminal.type("quit")
        terminal.process.wait(timeout=DEADLINE_S)
        assert terminal.process.returncode == 0
    finally:
        terminal.close()


def test_redis_cli_in_a_pipe(server):
    assert cli(server, "set", "piped", "v") == b"OK\n"
    assert cli(server, "get", "piped") == b"v\n"
    lines = b"SET piped-1 a\nGET piped-1\nGET piped-none\nDEL piped-1 piped-none\nwhat\nPING\n"
    assert cli(server, stdin=lines) == b"OK\na\n\n1\nERR unknown command 'what', with args beginning with: \n\nPONG\n"
    assert cli(server, "--no-raw", "mget", "piped", "none") == b"1) \"v\"\n2) (nil)\n"
    assert cli(server, "-3", "--no-raw", "get", "none") == b"(nil)\n"
    assert cli(server, "-n", "5", "dbsize") == b"0\n"
    assert cli(server, "--csv", "mget", "piped", "none") == b"\"v\",NULL\n"
    assert cli(server, "-r", "3", "ping") == b"PONG\n" * 3
    assert cli(server, "info", "server").splitlines()[1] == b"redis_version:7.0.0"


def test_redis_cli_takes_a_file(server, folder):
    path = os.path.join(REPOSITORY, "Makefile")
    with open(path, "rb") as file:
        text = file.read()
    with open(path, "rb") as file:
        done = subprocess.run(cli_command(server, "-x", "set", "a file"), stdin=file, capture_output=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (0, b"OK\n")
    assert cli(server, "--raw", "get", "a file") == text + b"\n"
    assert cli(server, "-X", "TAG", "mset", "x", "TAG", "y", "2", stdin=b"data") == b"OK\n"
    assert cli(server, "mget", "x", "y") == b"data\n2\n"


def test_100_mib_through_redis_cli(server, folder):
    """In from a file and out into one: the same bytes."""
    path, copy = os.path.join(folder, "in"), os.path.join(folder, "out")
    with open(path, "wb") as file:
        for _ in range(100):
            file.write(LONG)
    with open(path, "rb") as file:
        done = subprocess.run(cli_command(server, "-x", "set", "100 MiB"), stdin=file, capture_output=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (0, b"OK\n")
    assert cli(server, "strlen", "100 MiB") == b"104857600\n"
    with open(copy, "wb") as file:
        subprocess.run(cli_command(server, "--raw", "get", "100 MiB"), stdout=file, check=True, timeout=DEADLINE_S)
    digests = []
    for name in (path, copy):
        with open(name, "rb") as file:
            digests.append(hashlib.sha256(file.read(100 << 20)).digest())
    assert digests[0] == digests[1]
    assert os.path.getsize(copy) == (100 << 20) + 1, "redis-cli adds a line's end"
    assert cli(server, "del", "100 MiB") == b"1\n"


def test_mass_insertion(server):
    """redis-cli --pipe: commands as bytes, answers counted at the end by an ECHO."""
    count = 20000
    commands = b"".join(b"*3\r\n$3\r\nSET\r\n$%d\r\nmass-%d\r\n$%d\r\n%d\r\n" % (5 + len(str(i)), i, len(str(i)), i)
                        for i in range(count))
    output = cli(server, "--pipe", stdin=commands)
    assert f"errors: 0, replies: {count}".encode() in output, output
    assert cli(server, "mget", "mass-0", "mass-19999") == b"0\n19999\n"


# ---- redis-benchmark ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [("-P", "1", "-c", "50", "-n", "2000"), ("-P", "16", "-c", "50", "-n", "20000"),
                                       ("-P", "64", "-c", "50", "-n", "50000"), ("-P", "16", "-c", "500", "-n", "30000"),
                                       ("-3", "-P", "16", "-c", "50", "-n", "20000"),
                                       ("-P", "4", "-c", "50", "-n", "2000", "-d", "20000", "-r", "1000"),
                                       ("--threads", "2", "-P", "16", "-c", "50", "-n", "20000")],
                         ids=" ".join)
def test_redis_benchmark(server, arguments):
    host, port = server.redis_address
    done = subprocess.run(["redis-benchmark", "-h", host, "-p", str(port), "--csv", "-t", "ping,set,get,mset", *arguments],
                          capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0 and "rror" not in done.stdout + done.stderr, done
    rows = [line.split(",")[:2] for line in done.stdout.splitlines()[1:]]
    assert [row[0].strip('"') for row in rows] == ["PING_INLINE", "PING_MBULK", "SET", "GET", "MSET (10 keys)"]
    assert all(float(row[1].strip('"')) > 0 for row in rows)


# ---- python3-redis --------------------------------------------------------------------------------------------------

@pytest.fixture
def client(server):
    host, port = server.redis_address
    with redis.Redis(host, port) as made:
        yield made


def test_python_strings(client):
    assert client.ping() is True
    assert client.set("py", b"\x00\xff") is True
    assert client.get("py") == b"\x00\xff"
    assert client.get("py-none") is None
    assert client["py"] == b"\x00\xff"
    client["py-item"] = "text"
    assert "py-item" in client
    del client["py-item"]
    assert client.set("py", "v", nx=True) is None
    assert client.set("py", "v", xx=True) is True
    assert client.set("py", "w", get=True) == b"v"
    assert client.setnx("py", "x") is False
    assert client.getset("py", "y") == b"w"
    assert client.getdel("py") == b"y"
    assert client.mset({"py-1": 1, "py-2": 2}) is True
    assert client.msetnx({"py-2": 2, "py-3": 3}) is False
    assert client.mget("py-1", "py-none", "py-2") == [b"1", None, b"2"]
    assert client.exists("py-1", "py-2", "py-none") == 2
    assert client.touch("py-1") == 1
    assert client.type("py-1") == b"string"
    assert (client.strlen("py-1"), client.getrange("py-1", 0, 5), client.substr("py-1", 0)) == (1, b"1", b"1")
    assert client.rename("py-1", "py-4") is True
    assert client.renamenx("py-4", "py-2") is False
    assert client.copy("py-4", "py-5") is True
    assert client.move("py-5", 7) is True
    assert client.delete("py-2", "py-4", "py-none") == 2
    assert client.unlink("py-2") == 0
    for command in (client.keys, client.randomkey, lambda: client.incr("py"), lambda: client.set("py", "v", ex=5),
                    lambda: client.set("py", b""), lambda: client.expire("py", 5), lambda: client.lpush("py", 1)):
        with pytest.raises(redis.ResponseError):
            command()
    assert client.ping() is True


def test_python_asks_about_the_server(client):
    assert client.info()["redis_version"] == "7.0.0"
    assert client.info("replication")["role"] == "master"
    assert client.config_get("maxmemory") == {"maxmemory": "0"}
    assert client.client_setname("me") is True
    assert client.client_getname() == "me"
    assert client.client_list()[0]["name"] == "me"
    assert client.client_id() > 0
    assert client.command_count() == len(client.command())
    assert client.command()["get"]["arity"] == 2
    assert client.dbsize() >= 0 and client.save() is True
    assert abs(client.time()[0] - time.time()) < 60 and client.lastsave() is not None
    assert client.wait(0, 0) == 0
    with pytest.raises(redis.ResponseError):
        client.config_set("maxmemory", 1)


@pytest.mark.parametrize("transaction", [False, True])
def test_python_pipelines(client, transaction):
    with client.pipeline(transaction=transaction) as pipe:
        for i in range(200):
            pipe.set(f"pp-{i}", i)
        assert pipe.execute() == [True] * 200
        pipe.mget("pp-0", "pp-199").get("pp-5").exists("pp-6", "pp-none").delete("pp-7", "pp-8").set("pp-9", 1, nx=True)
        assert pipe.execute() == [[b"0", b"199"], b"5", 1, 2, None]
        pipe.set("pp-1", "a").lpush("pp-1", "b")
        with pytest.raises(redis.ResponseError):
            pipe.execute()
    assert client.get("pp-1") == (b"1" if transaction else b"a"), "a transaction that is refused has no effect"


def test_python_pipeline_that_reads_what_it_wrote(client):
    with client.pipeline(transaction=True) as pipe:
        with pytest.raises(redis.exceptions.ExecAbortError, match="one of its own writes"):
            pipe.set("pr", 1).get("pr").execute()
    with client.pipeline(transaction=False) as pipe:
        assert pipe.set("pr", 1).get("pr").execute() == [True, b"1"]


def test_python_watch(client, server):
    host, port = server.redis_address
    client.set("pw", 1)
    with client.pipeline() as pipe:
        pipe.watch("pw")
        found = int(pipe.get("pw"))
        redis.Redis(host, port).set("pw", 10)
        pipe.multi()
        pipe.set("pw", found + 1)
        with pytest.raises(redis.WatchError):
            pipe.execute()
        pipe.watch("pw")
        found = int(pipe.get("pw"))
        pipe.multi()
        pipe.set("pw", found + 1)
        assert pipe.execute() == [True]
    assert client.get("pw") == b"11"

    def add(pipe):
        found = int(pipe.get("pw"))
        pipe.multi()
        pipe.set("pw", found + 1)

    def many():
        with redis.Redis(host, port) as own:
            for _ in range(30):
                own.transaction(add, "pw")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("pw") == b"131"


def test_python_pool_and_text(server):
    host, port = server.redis_address
    pool = redis.ConnectionPool(host=host, port=port, db=2, decode_responses=True, max_connections=8, client_name="pooled",
                                health_check_interval=1)
    clients = [redis.Redis(connection_pool=pool) for _ in range(4)]

    def work(number):
        for i in range(100):
            clients[number % 4].set(f"pool-{number}", f"ünïcode {i}")
            assert clients[number % 4].get(f"pool-{number}") == f"ünïcode {i}"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clients[0].mget([f"pool-{number}" for number in range(8)]) == ["ünïcode 99"] * 8
    assert clients[0].client_getname() == "pooled"
    pool.disconnect()
    assert clients[0].get("pool-0") == "ünïcode 99", "a new connection selects the database again"
    with redis.Redis.from_url(f"redis://default:any@{server.redis}/2") as by_url:
        assert by_url.get("pool-1") == "ünïcode 99".encode()
    with pytest.raises(redis.ResponseError), redis.Redis(host, port, password="x") as with_password:
        with_password.ping()


def test_python_long_values(client):
    data = LONG * 5
    assert client.set("pl", data) is True
    assert client.get("pl") == data
    assert client.getrange("pl", len(data) - 10, -1) == data[-10:]
    assert client.delete("pl") == 1


def test_python_asyncio(server):
    host, port = server.redis_address

    async def work():
        client = redis.asyncio.Redis(host=host, port=port)
        await asyncio.gather(*(client.set(f"pa-{i}", i) for i in range(100)))
        assert await client.mget([f"pa-{i}" for i in range(100)]) == [b"%d" % i for i in range(100)]
        async with client.pipeline(transaction=True) as pipe:
            assert await pipe.set("pa-0", "x").delete("pa-1").execute() == [True, 1]
        await client.close()

    asyncio.run(work())


# ---- hiredis --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, libraries, last", [("hiredis_sync", ["-lhiredis"], "get long"),
                                                   ("hiredis_uv", ["-lhiredis", "-luv"], "10000 answers")])
def test_hiredis(server, folder, name, libraries, last):
    program = os.path.join(folder, name)
    source = os.path.join(REPOSITORY, "tests", "integration", "programs", name + ".c")
    subprocess.run([*os.environ.get("CC", "cc").split(), "-std=gnu11", "-Wall", "-Wextra", "-Werror", source, *libraries, "-o", program],
                   check=True, timeout=DEADLINE_S)
    host, port = server.redis_address
    done = subprocess.run([program, host, str(port)], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == last
