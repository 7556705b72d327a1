# SPDX-License-Identifier: MIT
"""The one table of operations (protocol/message.c) against every face. What the table has and a face lacks fails here,
and so does a face's entry in this file that the table no longer has."""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import pytest

from harness import wire
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import BUILD, REPOSITORY
from harness.installed import Installed

sys.path.insert(0, os.path.join(REPOSITORY, "clients", "python"))


def read(*path):
    with open(os.path.join(REPOSITORY, *path), encoding="utf-8") as file:
        return file.read()


def table():
    """Names of the operations that are on the binary protocol's wire, and their numbers."""
    numbers = dict(re.findall(r"(RD_OPCODE_\w+) = (0x[0-9A-Fa-f]+)", read("protocol", "message.h")))
    rows = re.findall(r'\{(RD_OPCODE_\w+), RD_CLASS_\w+, (true|false), "(\w+)"\}', read("protocol", "message.c"))
    return {name: int(numbers[opcode], 16) for opcode, on_wire, name in rows
            if on_wire == "true" and name not in ("hello", "auth")}  # these two are how a connection begins


OPERATIONS = table()


def test_the_table_is_read():
    assert len(OPERATIONS) == 25 and OPERATIONS["write"] == 0x10


# ---- the client library ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def outcomes(module_daemon):
    """What parity.c says: {face: {operation: outcome}}."""
    root = tempfile.mkdtemp(prefix="rdrive-")
    try:
        installed = Installed(root)
        program = os.path.join(root, "parity")
        installed.compile(os.path.join(REPOSITORY, "tests", "integration", "programs", "parity.c"), program)
        for store in ("parity", "parity-other"):
            Curl(module_daemon.http, store).create()
        done = installed.run(program, module_daemon.binary, "parity", "parity-other")
        assert done.returncode == 0, done
        for store in ("parity", "parity-other"):
            Curl(module_daemon.http, store).drop()
    finally:
        shutil.rmtree(root)
    faces = {"blocking": {}, "async": {}}
    for line in done.stdout.splitlines():
        face, operation, outcome = line.split()
        faces[face][operation] = outcome
    return faces


@pytest.mark.parametrize("face", ["blocking", "async"])
def test_client_library(outcomes, face):
    assert outcomes[face] == {operation: "ok" for operation in OPERATIONS}


# ---- engine ---------------------------------------------------------------------------------------------------------

# ping, metrics, stores, create and drop are the server's; a read in parts is a read, since its value is a map; a reopen is a
# close and an open.
BLOCKING_ENGINE = {
    "write": "rd_store_write", "write_stream": "rd_store_write_stream", "batch_write": "rd_store_batch_write",
    "rename": "rd_store_rename", "copy": "rd_store_copy", "transfer": "rd_store_transfer", "delete": "rd_store_delete",
    "batch_delete": "rd_store_batch_delete", "read": "rd_store_read", "batch_read": "rd_store_batch_read",
    "exists": "rd_store_exists", "metadata": "rd_store_find", "last": "rd_store_read_last_entry", "iterate": "rd_cursor_open",
    "read_stream": "rd_store_read", "info": "rd_store_info", "create": "rd_store_open",
    "verify": "rd_store_verify", "reopen": "rd_store_close",
    "compact": "rd_store_compact", "backup": "rd_store_backup",
}
# Writers only, as reading never waits; copy and transfer are sequences of these.
ASYNC_ENGINE = {"write": "RD_OP_WRITE", "write_stream": "RD_OP_STREAM", "batch_write": "RD_OP_BATCH_WRITE", "rename": "RD_OP_RENAME",
                "delete": "RD_OP_DELETE", "batch_delete": "RD_OP_BATCH_DELETE"}


def test_engine():
    assert set(OPERATIONS) - set(BLOCKING_ENGINE) == {"ping", "metrics", "stores", "drop"}
    done = subprocess.run(["nm", "--defined-only", os.path.join(BUILD, "lib", "librd-engine.a")], capture_output=True, check=True, text=True)
    functions = {line.split()[2] for line in done.stdout.splitlines() if len(line.split()) == 3}
    assert {name for name in BLOCKING_ENGINE.values() if name not in functions} == set()
    kinds = re.search(r"enum rd_op_kind \{(.*?)\n\};", read("engine", "engine.h"), re.DOTALL).group(1)
    assert set(re.findall(r"\bRD_OP_\w+", kinds)) >= set(ASYNC_ENGINE.values())


# ---- protocols ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("operation", OPERATIONS)
def test_binary(daemon, operation):
    """An empty body fits hardly any of them, but only what is not there is answered with `unsupported`."""
    with wire.Wire(daemon.binary_address, "default") as connection:
        connection.socket.sendall(struct.pack("<IBBHQ", 0, OPERATIONS[operation], 0, 0, 77))
        header = connection.socket.recv(16, 0x100)  # MSG_WAITALL
        _, opcode, _, status, identifier = struct.unpack("<IBBHQ", header)
        assert (opcode, identifier) == (OPERATIONS[operation], 77)
        assert status != 20


@pytest.mark.parametrize("key", ["keys/k", "hashes/0000000000001234"])
def test_http(daemon, key):
    curl = Curl(daemon.http, "parity-http")
    other = Curl(daemon.http, "parity-http-other")
    form = {"key": "k"} if key.startswith("keys") else {"key_hash": "0000000000001234"}
    renamed = {"from": "k", "to": "n"} if key.startswith("keys") else {"from_hash": "0000000000001234", "to_hash": "0000000000000099"}
    moved = {"key": "n"} if key.startswith("keys") else {"key_hash": "0000000000000099"}
    assert other.create().status == 201
    done = {
        "create": curl.create(),
        "write": curl.request("PUT", key, b"value"),
        "write_stream": curl.request("PUT", key, b"value" * 500000),
        "batch_write": curl.post("batch/write", {"entries": [{**form, "value": "v"}]}),
        "read": curl.request("GET", key),
        "read_stream": curl.request("GET", key),
        "batch_read": curl.post("batch/read", {"keys": [form]}),
        "exists": curl.request("HEAD", key),
        "metadata": curl.request("HEAD", key),
        "last": curl.request("GET", "last"),
        "iterate": curl.request("GET", "entries"),
        "rename": curl.post("rename", renamed),
        "copy": curl.post("copy", {**moved, "target": "parity-http-other"}),
        "transfer": curl.post("transfer", {**moved, "target": "parity-http-other"}),
        "delete": curl.request("DELETE", key),
        "batch_delete": curl.post("batch/delete", {"keys": [form]}),
        "stores": curl.request("GET", "/v1/stores"),
        "info": curl.request("GET", "/v1/stores/parity-http"),
        "verify": curl.request("POST", "verify"),
        "reopen": curl.request("POST", "reopen"),
        "backup": curl.request("GET", "backup"),
        "compact": curl.request("POST", "compact"),
        "ping": curl.request("GET", "/healthz"),
        "metrics": curl.request("GET", "/metrics"),
        "drop": curl.drop(),
    }
    assert other.drop().status == 200
    assert set(done) == set(OPERATIONS)
    assert {operation: answer for operation, answer in done.items() if answer.status not in (200, 201)} == {}


# ---- the command line tool ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("by_hash", [False, True], ids=["by key", "by hash"])
def test_cli(daemon, by_hash):
    tool = Cli(("--server", daemon.binary), "parity-cli")
    other = Cli(("--server", daemon.binary), "parity-cli-other")
    form = ("--hash",) if by_hash else ()
    key, new = ("0000000000001234", "0000000000000099") if by_hash else ("k", "n")
    batch_key = {"key_hash": key} if by_hash else {"key": key}
    keys = json.dumps({"keys": [batch_key]}).encode()
    other.ok("create")
    done = {
        "create": tool.run("create"),
        "write": tool.run(*form, "write", key, "value"),
        "write_stream": tool.run(*form, "write", key, stdin=b"value" * 500000),
        "batch_write": tool.run("batch-write", stdin=json.dumps({"entries": [{**batch_key, "value": "v"}]}).encode()),
        "read": tool.run(*form, "read", key),
        "read_stream": tool.run(*form, "read", key),
        "batch_read": tool.run("batch-read", stdin=keys),
        "exists": tool.run(*form, "exists", key),
        "metadata": tool.run(*form, "metadata", key),
        "last": tool.run("last"),
        "iterate": tool.run("iterate"),
        "rename": tool.run(*form, "rename", key, new),
        "copy": tool.run(*form, "copy", new, "parity-cli-other"),
        "transfer": tool.run(*form, "transfer", new, "parity-cli-other"),
        "delete": tool.run(*form, "delete", key),
        "batch_delete": tool.run("batch-delete", stdin=keys),
        "metrics": tool.run("metrics"),
        "stores": tool.run("stores"),
        "info": tool.run("info"),
        "verify": tool.run("verify"),
        "reopen": tool.run("reopen"),
        "backup": tool.run("backup", "-"),
        "ping": tool.run("ping"),
        "compact": tool.run("compact"),
        "drop": tool.run("drop", "--confirm", "parity-cli"),
    }
    other.ok("drop", "--confirm", "parity-cli-other")
    assert set(OPERATIONS) == set(done)
    assert {operation: result for operation, result in done.items() if result.code != 0} == {}
    help_text = Cli(()).ok("--help").decode()
    for operation in set(done) - {"write_stream", "read_stream"}:
        assert re.search(rf"^  {operation.replace('_', '-')} ", help_text, re.MULTILINE), operation


# ---- the Python client ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("face", ["blocking", "aio"])
def test_python(face):
    module = __import__(f"rdrive.{face}", fromlist=["Store", "Client"])
    missing = [operation for operation in OPERATIONS
               if not callable(getattr(module.Store, operation, None)) and not callable(getattr(module.Client, operation, None))]
    assert missing == []


def test_documents():
    """Each operation has its row in the binary protocol's text."""
    text = read("docs", "PROTOCOL.md")
    assert [name for name, number in OPERATIONS.items() if not re.search(rf"\| 0x{number:02x} \| {name} \|", text)] == []
