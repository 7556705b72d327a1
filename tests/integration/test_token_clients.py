# SPDX-License-Identifier: MIT
"""Tokens through the command line tool, the load generator and the C library: how each is told one, and that what the
server says of it comes out."""
import json
import os
import shutil
import tempfile

import pytest

from harness import tokens
from harness.bench import Bench
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import REPOSITORY, Daemon
from harness.installed import Installed

MINE, OTHER = "mine", "other"
STORES = {"mine": MINE, "other": OTHER}


@pytest.fixture(scope="module")
def guarded():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), tokens.row("long" * 1024, ["*"], tokens.VERBS), *tokens.overall_rows()]
    for operation in tokens.NEEDS:
        rows += tokens.rows_of(operation, STORES)
    daemon = Daemon(folder, "--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows), unix=True)
    daemon.where = folder
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder)


def root(daemon, *arguments, stdin=b"", store=MINE):
    return Cli(("--server", daemon.binary), store).run(*arguments, stdin=stdin, environment={"RDRIVE_TOKEN": tokens.ROOT})


@pytest.fixture(autouse=True)
def prepared(guarded):
    for store in (MINE, OTHER):
        root(guarded, "drop", "--confirm", store, store=store)
        assert root(guarded, "create", store=store).code == 0
    assert root(guarded, "write", "k", "value").code == 0


# ---- the command line tool ------------------------------------------------------------------------------------------

KEYS = json.dumps({"keys": ["k"]}).encode()
COMMANDS = {
    "write": (["write", "w", "v"], b""),
    "write_stream": (["write", "w"], bytes(2 << 20)),
    "batch_write": (["batch-write"], json.dumps({"entries": [{"key": "w", "value": "v"}]}).encode()),
    "rename": (["rename", "k", "n"], b""),
    "delete": (["delete", "k"], b""),
    "batch_delete": (["batch-delete"], KEYS),
    "copy": (["copy", "k", OTHER], b""),
    "transfer": (["transfer", "k", OTHER], b""),
    "read": (["read", "k"], b""),
    "read_stream": (["read", "--range", "1-2", "k"], b""),
    "batch_read": (["batch-read"], KEYS),
    "exists": (["exists", "k"], b""),
    "metadata": (["metadata", "k"], b""),
    "last": (["last"], b""),
    "iterate": (["iterate"], b""),
    "info": (["info"], b""),
    "create": (["create"], b""),
    "drop": (["drop", "--confirm", MINE], b""),
    "verify": (["verify"], b""),
    "reopen": (["reopen"], b""),
    "backup": (["backup", "-"], b""),
    "compact": (["compact"], b""),
}


@pytest.mark.parametrize("operation", COMMANDS)
def test_cli(guarded, operation):
    """Each command without a token, with an unknown one, with each that lacks something, and with the right one."""
    assert set(COMMANDS) == set(tokens.NEEDS)
    words, stdin = COMMANDS[operation]
    tool = Cli(("--server", guarded.binary), MINE)
    done = tool.run(*words, stdin=stdin)
    assert done.code == 1 and "this server asks for a token" in done.err
    done = tool.run(*words, stdin=stdin, environment={"RDRIVE_TOKEN": "unknown"})
    assert done.code == 1 and "the server refused the token: the token is not known here" in done.err
    outcomes = {}
    for name, may in sorted(tokens.names(tokens.NEEDS[operation]), key=lambda row: row[1]):  # the right one last
        done = tool.run(*words, stdin=stdin, environment={"RDRIVE_TOKEN": f"{operation}-{name}"})
        outcomes[name] = done.err
        assert done.code == (0 if may and operation != "create" else 1), (name, done)
        assert ("the token does not allow " in done.err) == (not may), (name, done)
    assert len(outcomes) >= 3


def test_cli_lists_what_it_may_see(guarded):
    tool = Cli(("--server", guarded.binary))
    assert [row["name"] for row in tool.run("stores", "--json", environment={"RDRIVE_TOKEN": "read-right"}).json()["stores"]] == [MINE]
    assert tool.run("stores").code == 1


def test_cli_what_tells_of_all_stores(guarded):
    tool = Cli(("--server", guarded.binary))
    assert tool.run("metrics").code == 1
    for token, (_, _, may) in tokens.OVERALL_TOKENS.items():
        done = tool.run("metrics", environment={"RDRIVE_TOKEN": token})
        assert done.code == (0 if may else 1) and ("does not allow read in every store" in done.err) == (not may)


def test_cli_ping_takes_no_token(guarded, folder):
    tool = Cli(("--server", guarded.binary))
    assert tool.ok("ping") == b""
    assert json.loads(tool.ok("--json", "ping")) == {"status": "ok"}
    assert tool.run("ping", environment={"RDRIVE_TOKEN": "unknown"}).code == 1
    assert Cli(("--unix", os.path.join(folder, "nobody"))).run("ping").code == 1
    assert Cli(("--file", guarded.store_path(MINE))).run("ping").code == 2


@pytest.fixture
def token_file(folder):
    def write(content):
        path = os.path.join(folder, "token")
        with open(path, "wb") as file:
            file.write(content)
        return path
    return write


GOOD = [b"root-token", b"root-token\n", b"root-token\r\n", b"long" * 1024 + b"\r\n"]
BAD = {b"": "is empty", b"\n": "is empty", b"root-token\nmore\n": "more than one line", b"root-token\0": "more than one line",
       b"a" * 5000: "is longer than"}


@pytest.mark.parametrize("content", GOOD, ids=["bare", "line", "CR LF", "4,096 bytes"])
def test_token_files(guarded, token_file, content):
    path = token_file(content)
    assert Cli(("--server", guarded.binary, "--token-file", path), MINE).ok("read", "k") == b"value"
    # It goes over the environment.
    done = Cli(("--unix", guarded.unix_path, "--token-file", path), MINE).run("read", "k", environment={"RDRIVE_TOKEN": "unknown"})
    assert done.code == 0, done
    report = Bench(("--server", guarded.binary, "--token-file", path), MINE).json("--op", "get", "--requests", 20, "--clients", 2)
    assert (report["ops"], report["errors"]) == (20, 0)


@pytest.mark.parametrize("content, message", BAD.items(), ids=["empty", "a line's end", "two lines", "a zero byte", "5,000 bytes"])
def test_bad_token_files(guarded, token_file, content, message):
    path = token_file(content)
    done = Cli(("--server", guarded.binary, "--token-file", path), MINE).run("read", "k")
    assert done.code == 2 and path in done.err and message in done.err
    done = Bench(("--server", guarded.binary, "--token-file", path)).run("--op", "get")
    assert done.returncode == 2 and message in done.stderr


def test_token_files_that_are_not_there(guarded, folder):
    missing = os.path.join(folder, "missing")
    assert Cli(("--token-file", missing)).run("read", "k").code == 2
    done = Cli(("--file", guarded.store_path(MINE), "--token-file", missing)).run("read", "k")
    assert done.code == 2 and "no meaning beside --file" in done.err


def test_an_empty_variable_is_none(guarded):
    done = Cli(("--server", guarded.binary), MINE).run("read", "k", environment={"RDRIVE_TOKEN": ""})
    assert done.code == 1 and "this server asks for a token" in done.err
    done = Cli(("--server", guarded.binary), MINE).run("read", "k", environment={"RDRIVE_TOKEN": "a" * 4097})
    assert done.code == 2 and "at most 4096 bytes" in done.err


# ---- the load generator ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("door", ["binary", "http", "unix"])
@pytest.mark.parametrize("operation", ["put", "get", "mixed", "batch-put", "batch-get"])
def test_bench(guarded, door, operation):
    options = {"binary": ("--server", guarded.binary), "http": ("--http", guarded.http), "unix": ("--unix", guarded.unix_path)}[door]
    bench = Bench(options, MINE)
    arguments = ["--op", operation, "--requests", "40", "--clients", "2", "--keys", "10", *(["--batch", "5"] if "batch" in operation else [])]
    done = bench.run(*arguments, "--json", environment={"RDRIVE_TOKEN": tokens.ROOT})
    assert done.returncode == 0 and json.loads(done.stdout)["errors"] == 0, done
    refused = bench.run(*arguments, "--json", environment={"RDRIVE_TOKEN": "unknown"})
    assert refused.returncode == 1
    if door == "http":
        assert "401" in refused.stderr
    else:
        assert "the server refused the token: the token is not known here" in refused.stderr


# ---- the C library --------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def program():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    try:
        installed = Installed(folder)
        path = os.path.join(folder, "token")
        installed.compile(os.path.join(REPOSITORY, "tests", "integration", "programs", "token.c"), path)
        yield lambda *arguments: installed.run(path, *arguments)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("face", ["blocking", "async"])
@pytest.mark.parametrize("token, outcomes", [
    (tokens.ROOT, ["read ok", "write ok"]),
    ("read-right", ["read ok", "write forbidden the token does not allow write in store 'mine'"]),
    ("write-right", ["read forbidden the token does not allow read in store 'mine'", "write ok"]),
    ("unknown", ["read unauthorized the server refused the token: the token is not known here",
                 "write unauthorized the server refused the token: the token is not known here"]),
    ("-", ["read unauthorized this server asks for a token", "write unauthorized this server asks for a token"]),
    ("a" * 4097, ["create invalid_argument"]),
    ("", ["create invalid_argument"]),
], ids=["all", "read", "write", "unknown", "none", "too long", "empty"])
def test_library(guarded, program, face, token, outcomes):
    done = program(guarded.binary, MINE, face, token)
    assert done.returncode == 0, done
    assert sorted(line.rstrip() for line in done.stdout.splitlines()) == outcomes  # answers may overtake each other


def test_library_against_a_server_that_asks_nobody(launch, program):
    daemon = launch()
    for face in ("blocking", "async"):
        assert Curl(daemon.http).put("k", b"value").status in (200, 201)
        assert sorted(program(daemon.binary, "default", face, "whatever").stdout.splitlines()) == ["read ok ", "write ok "]
