# SPDX-License-Identifier: MIT
"""What is the command line tool's own: forms of arguments and output, exit codes, offline work, trouble."""
import hashlib
import json
import os
import random
import re
import resource
import socket
import subprocess
import zlib

import pytest

from harness.cli import Cli, Done
from harness.curl import Curl
from harness.daemon import DEADLINE_S, RDRIVE, clean_environment
from harness.storefile import live_entries, physical_entries, read_chain

DONE, FAILED, USAGE, NOT_FOUND = 0, 1, 2, 3
COMMANDS = ("read", "write", "delete", "exists", "metadata", "info", "len", "last", "iterate", "batch-write", "batch-read",
            "batch-delete", "rename", "copy", "transfer", "import", "compact", "verify", "backup", "restore", "reopen",
            "ping", "stores", "create", "drop", "metrics", "top")
OPTIONS = ("--server", "--unix", "--token-file", "--store", "--file", "--key-hex", "--hash", "-f", "--target", "--range", "--if-absent",
           "--if-present", "--if-version", "--durability", "--after", "--limit", "--settings", "--no-batch-marker",
           "--confirm", "--full", "--force", "--interval", "--once", "--json", "--help", "--version")


def test_help_and_version():
    cli = Cli(())
    help_text = cli.ok("--help").decode()
    listed = re.findall(r"^  ([a-z][a-z-]*) ", help_text, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    for word in OPTIONS:
        assert word in help_text
    assert all(len(line) <= 120 for line in help_text.splitlines())
    assert re.fullmatch(rb"rdrive \d+\.\d+\.\d+\n", cli.ok("--version"))


@pytest.mark.parametrize("arguments", [
    [], ["no-such-command"], ["read"], ["read", "a", "b"], ["write"], ["write", "a", "b", "c"], ["len", "extra"],
    ["--no-such-option", "len"], ["--key-hex", "read", "xyz"], ["--key-hex", "read", "abc"], ["--hash", "read", "12"],
    ["--hash", "--key-hex", "read", "00"], ["--server", "a:1", "--file", "b", "len"], ["--file", "x", "--store", "y", "len"],
    ["--durability", "perhaps", "write", "a", "b"], ["--limit", "x", "iterate"], ["write", "a", "b", "-f", "c"],
    ["drop", "some"], ["--file", "x", "stores"], ["--server", "nowhere", "len"], ["--server", "127.0.0.1:73017", "len"],
    ["--server", "127.0.0.1:+73017", "len"], ["--server", "127.0.0.1: 73017", "len"], ["--store"],
    ["--file", "x", "reopen"], ["--file", "x", "drop", "--confirm", "x"], ["verify", "extra"], ["reopen", "a", "b"],
    ["--store", "a", "reopen", "b"], ["write", "a", "b", "--no-batch-marker"], ["batch-write", "--no-batch-marker"],
    ["create", "--no-batch-marker", "--settings", "{}"], ["--file", "x", "create", "--settings", "{}"],
    ["--store", "", "write", "a", "b"], ["create", ""], ["drop", "", "--confirm", ""], ["copy", "a", ""],
    ["transfer", "a", "--target", ""], ["backup", ""], ["import", ""], ["--file", "x", "restore", ""],
    ["--unix", "", "len"], ["--unix=", "len"], ["--unix", "/" + "u" * 107, "len"], ["--server", "", "len"], ["--server=", "len"],
    ["--server", "127.0.0.1:0", "len"], ["--file", "", "len"], ["--file", "", "create"], ["--tls-ca", "", "len"],
    ["--token-file", "", "len"], ["write", "a", "-f", ""], ["drop", "a", "--confirm", ""], ["create", "a", "--settings", ""],
    ["--file", "x", "copy", "a", "--target", ""], ["read", "a", "--range", ""], ["write", "a", "b", "--durability", ""],
    ["write", "a", "b", "--if-version", ""], ["iterate", "--limit", ""], ["iterate", "--after", ""], ["iterate", "--limit", "0"],
    ["create", "a", "--quota-bytes", ""],
    ["create", "a", "--quota-entries", ""], ["top", "--interval", ""], ["--store", "a/b", "len"], ["--store", "s" * 65, "len"],
    ["create", ".hidden"], ["copy", "a", "b c"], ["transfer", "a", "--target", "b/c"],
], ids=lambda arguments: " ".join(arguments)[:60])
def test_wrong_usage(arguments, folder):
    done = subprocess.run([RDRIVE, *arguments], capture_output=True, stdin=subprocess.DEVNULL, cwd=folder,
                          env=clean_environment(RDRIVE_SERVER="127.0.0.1:1"))
    assert (done.returncode, done.stdout) == (USAGE, b""), done
    assert done.stderr.startswith((b"rdrive", RDRIVE.encode())) and len(done.stderr.splitlines()) <= 3
    assert os.listdir(folder) == []


# Options that go with some commands only, a value for each that takes one, and the commands.
KEYED = {"read", "write", "delete", "rename", "copy", "transfer", "exists", "metadata"}
WRITING = {"write", "delete", "rename", "batch-write", "batch-delete", "import"}
LIMITED = {
    ("--key-hex",): KEYED, ("--hash",): KEYED, ("-f", "file"): {"write", "batch-write", "batch-read", "batch-delete"},
    ("--target", "x"): {"copy", "transfer"}, ("--range", "0-1"): {"read"}, ("--if-absent",): {"write", "delete", "rename"},
    ("--if-present",): {"write", "delete", "rename"}, ("--if-version", "0-0"): {"write", "delete", "rename"},
    ("--durability", "none"): WRITING, ("--after", "1"): {"iterate"}, ("--limit", "1"): {"iterate"},
    ("--settings", "{}"): {"create"}, ("--confirm", "x"): {"drop"}, ("--no-batch-marker",): WRITING | {"create"},
}
ARGUMENTS = {"rename": ["00", "01"], "import": ["folder"], **{name: ["00"] for name in KEYED - {"rename"}}}


@pytest.mark.parametrize("option", LIMITED, ids=lambda option: option[0])
def test_options_that_do_not_go_with_a_command(option, folder):
    """They are refused and not passed over: who gives one expects something of it."""
    for command in set(COMMANDS) - LIMITED[option]:
        done = subprocess.run([RDRIVE, command, *ARGUMENTS.get(command, []), *option], capture_output=True, cwd=folder,
                              stdin=subprocess.DEVNULL, env=clean_environment(RDRIVE_SERVER="127.0.0.1:1"))
        assert (done.returncode, done.stdout) == (USAGE, b""), (command, done)
        assert b"not go with it" in done.stderr
    assert os.listdir(folder) == []


@pytest.fixture(params=["online", "offline"])
def tool(request, folder):
    if request.param == "online":
        return request.getfixturevalue("cli")
    tool = Cli(("--file", os.path.join(folder, "offline.rdr")))
    tool.ok("create")
    return tool


def test_a_value_from_an_argument_a_file_and_standard_input(tool, folder):
    path = os.path.join(folder, "value")
    with open(path, "wb") as file:
        file.write(b"of the\0file\n")
    assert tool.ok("write", "argument", "of the argument") == b"35\n"
    assert tool.ok("write", "file", "-f", path) == b"96\n"
    tool.ok("write", "input", stdin=b"of the\0input\n")
    assert tool.ok("read", "argument") == b"of the argument"
    assert tool.ok("read", "file") == b"of the\0file\n"
    assert tool.ok("read", "input") == b"of the\0input\n"
    done = tool.run("write", "file", "-f", os.path.join(folder, "no-such-file"))
    assert done.code == FAILED and "no-such-file" in done.err
    assert tool.ok("read", "file") == b"of the\0file\n"


def test_forms_of_output(tool):
    tool.ok("write", "hello", "value")
    crc32 = b"%08x" % zlib.crc32(b"value")
    assert tool.ok("metadata", "hello") == b"key_hash 9555e8555c62dcfd\noffset 0\nlength 5\ncrc32 " + crc32 + b"\n"
    assert tool.ok("last") == tool.ok("metadata", "hello")
    assert tool.ok("len") == b"1\n"
    assert re.fullmatch(rb"9555e8555c62dcfd 0 5 [0-9a-f]{8}\n", tool.ok("iterate"))
    info = tool.ok("info").decode()
    assert "entries 1\n" in info and "tail 25\n" in info and "\nstate " in info
    assert re.search("\nbatch_marker true\ngeneration (?!0{16})[0-9a-f]{16}\n", info)
    assert tool.ok("exists", "hello") == b""
    assert tool.ok("delete", "hello") == b""
    assert tool.ok("delete", "hello") == b""
    assert tool.ok("len") == b"0\n"
    assert tool.ok("iterate") == b""


def test_json_is_what_http_answers(cli, curl):
    assert json.loads(cli.ok("--json", "write", "k", "value")) == {"offset": 0, "tail": 25}
    assert json.loads(cli.ok("--json", "info")) == curl.info()
    assert json.loads(cli.ok("--json", "last")) == curl.request("GET", "last").json()
    assert json.loads(cli.ok("--json", "iterate")) == curl.request("GET", "entries").json()
    assert json.loads(cli.ok("--json", "stores")) == curl.request("GET", "/v1/stores").json()
    assert json.loads(cli.ok("--json", "delete", "k")) == {"deleted": True, "tail": 46}
    assert json.loads(cli.ok("--json", "delete", "k")) == {"deleted": False, "tail": 46}


def test_what_is_not_there_exits_3(tool):
    for command in ("read", "metadata", "exists"):
        done = tool.run(command, "missing")
        assert (done.code, done.out) == (NOT_FOUND, b"")
    assert tool.run("last").code == NOT_FOUND
    assert tool.run("read", "missing").err.startswith("rdrive: ")


def test_every_command_on_a_store_that_is_not_there_exits_3(daemon, folder):
    with open(os.path.join(folder, "file"), "wb") as file:
        file.write(b"value")
    tool = Cli(("--server", daemon.binary), "no-such-store")
    stdin = {"batch-write": b'{"entries":[{"key":"k","value":"v"}]}', "batch-read": b'{"keys":["k"]}',
             "batch-delete": b'{"keys":["k"]}', "write": b"value"}
    arguments = {**dict.fromkeys(KEYED, ["k"]), "rename": ["k", "n"], "copy": ["k", "default"],
                 "transfer": ["k", "default"], "import": [folder], "drop": ["--confirm", "no-such-store"],
                 "backup": [os.path.join(folder, "copy")]}
    for command in set(COMMANDS) - {"ping", "stores", "create", "restore", "metrics", "top"}:
        done = tool.run(command, *arguments.get(command, []), stdin=stdin.get(command, b""))
        assert done.code == NOT_FOUND and "store_not_found" in done.err, (command, done)


@pytest.mark.parametrize("value", [b"", b"\0"])
def test_empty_and_one_nul_are_no_values(tool, value):
    tool.ok("write", "k", "before")
    done = tool.run("write", "k", stdin=value)
    assert done.code == FAILED and "invalid_argument" in done.err
    assert tool.ok("read", "k") == b"before"


@pytest.mark.parametrize("command", ["batch-write", "batch-read", "batch-delete"])
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"keys":1}', b'{"entries":[{"key":"k"}],"keys":[7]}'])
def test_malformed_json(tool, command, text):
    tool.ok("write", "k", "before")
    done = tool.run(command, stdin=text)
    assert done.code == FAILED and done.out == b"" and done.err.startswith("rdrive: ")
    assert tool.ok("read", "k") == b"before"


def test_iterate_pages_by_itself(tool):
    entries = [{"key": f"k{i}", "value": "v"} for i in range(2500)]
    tool.ok("batch-write", stdin=json.dumps({"entries": entries}).encode())
    offsets = [int(line.split()[1]) for line in tool.ok("iterate").splitlines()]
    assert len(offsets) == 2500 and offsets == sorted(offsets, reverse=True)
    assert [int(line.split()[1]) for line in tool.ok("iterate", "--limit", "3", "--after", str(offsets[9])).splitlines()] == offsets[10:13]


def test_64_mib(tool):
    value = random.Random(66).randbytes(64 << 20)
    tool.ok("write", "big", stdin=value)
    assert hashlib.sha256(tool.ok("read", "big")).digest() == hashlib.sha256(value).digest()


def test_stores_create_drop(daemon):
    name = "of-the-cli"
    tool = Cli(("--server", daemon.binary))
    tool.ok("create", name, "--settings", '{"durability":"none"}')
    assert name in tool.ok("stores").decode().split()
    assert json.loads(tool.ok("--json", "--store", name, "info"))["durability"] == "none"
    done = tool.run("create", name)
    assert done.code == FAILED and "conflict" in done.err
    assert tool.run("drop", name, "--confirm", "other").code in (FAILED, USAGE)
    assert name in tool.ok("stores").decode().split()
    tool.ok("drop", name, "--confirm", name)
    assert name not in tool.ok("stores").decode().split()
    assert tool.run("--store", name, "len").code == NOT_FOUND
    assert tool.run("create", "a b").code != DONE
    assert tool.run("drop", "default", "--confirm", "default").code == FAILED


def test_the_server_from_the_environment(daemon):
    tool = Cli(())
    done = tool.run("stores", environment={"RDRIVE_SERVER": daemon.binary})
    assert done.code == DONE and b"default" in done.out


def test_nobody_answers(folder):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "127.0.0.1:%d" % server.getsockname()[1]
    done = Cli(("--server", address)).run("read", "k")
    assert done.code == FAILED and address in done.err
    path = os.path.join(folder, "no-socket")
    done = Cli(("--unix", path)).run("read", "k")
    assert done.code == FAILED and path in done.err


def test_not_an_rdrive_server(daemon):
    done = Cli(("--server", daemon.http)).run("read", "k")
    assert done.code == FAILED and done.err


def test_standard_output_that_is_full(cli):
    cli.ok("write", "k", "value")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([RDRIVE, *cli.options, "read", "k"], stdout=full, stderr=subprocess.PIPE, env=clean_environment())
    assert done.returncode == FAILED and done.stderr


def run_with_closed(number, tool, *arguments):
    """Where that one of the three standard files is closed."""
    shell = 'exec "$@" %s' % ("<&-", ">&-", "2>&-")[number]
    done = subprocess.run(["sh", "-c", shell, "sh", RDRIVE, *tool.options, *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=DEADLINE_S, env=clean_environment())
    return Done(done)


def test_standard_files_that_are_closed(tool):
    """The next file to be opened would get their numbers: what is printed would go into the store, or to its server, and
    the store would be read as the value."""
    tool.ok("write", "k", "a value")
    done = run_with_closed(1, tool, "read", "k")
    assert done.code == FAILED and "standard output" in done.err
    done = run_with_closed(1, tool, "write", "l", "another")
    assert done.code == FAILED and "standard output" in done.err
    done = run_with_closed(0, tool, "write", "k")
    assert done.code == FAILED and "standard input: cannot be read" in done.err
    assert run_with_closed(2, tool, "write", "k", "a third", "--if-absent").code == FAILED
    assert (tool.ok("read", "k"), tool.ok("read", "l"), tool.ok("len")) == (b"a value", b"another", b"2\n")
    assert tool.ok("verify").endswith(b", 0 problems\n")


def test_iterate_ends_where_nobody_takes_it(cli, store):
    entries = [{"key": f"k{i}", "value": "v"} for i in range(5000)]
    cli.ok("batch-write", stdin=json.dumps({"entries": entries}).encode())
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([RDRIVE, *cli.options, "iterate"], stdout=writer, stderr=subprocess.PIPE, timeout=DEADLINE_S,
                          env=clean_environment())
    os.close(writer)
    assert done.returncode == FAILED and b"standard output" in done.stderr
    asked = [line.split()[-1] for line in cli.ok("metrics").splitlines()
             if line.startswith(b"rdrive_requests_total{") and b'"iterate"' in line and b'"%s"' % store.encode() in line]
    assert asked == [b"1"]


def test_create_without_batch_markers(daemon):
    for name, settings in (("unmarked", ["--no-batch-marker"]), ("quick", ["--settings", '{"durability":"none","batch_marker":false}'])):
        tool = Cli(("--server", daemon.binary), name)
        assert json.loads(tool.ok("--json", "create", *settings))["batch_marker"] is False
        assert b"\nbatch_marker false\n" in tool.ok("info")
        assert Curl(daemon.http, name).info()["batch_marker"] is False
        tool.ok("drop", "--confirm", name)


def test_reopen(daemon, cli, store):
    cli.ok("write", "k", "value")
    for arguments in (["reopen"], ["reopen", store]):
        assert cli.ok(*arguments) == cli.ok("info")
    assert json.loads(cli.ok("--json", "reopen")) == json.loads(cli.ok("--json", "info"))
    assert cli.ok("read", "k") == b"value"
    done = Cli(("--server", daemon.binary)).run("reopen", "no-such-store")
    assert (done.code, done.out) == (NOT_FOUND, b"") and "store_not_found" in done.err
    assert Cli(("--server", daemon.binary), "no-such-store").run("verify").code == NOT_FOUND


# ---- offline --------------------------------------------------------------------------------------------------------

def test_offline_and_daemon_take_turns(launch, folder):
    """What one writes the other reads; the file is the same either way."""
    daemon = launch()
    Curl(daemon.http).put("k", b"of the daemon")
    path = daemon.store_path("default")
    tool = Cli(("--file", path))
    daemon.stop()
    assert tool.ok("read", "k") == b"of the daemon"
    tool.ok("write", "k", "of the tool")
    assert len(live_entries(path)) == 1
    daemon = launch()
    assert Curl(daemon.http).get("k").body == b"of the tool"
    assert Curl(daemon.http).info()["state"] == "open"


@pytest.mark.parametrize("command", [["read", "k"], ["write", "k", "v"], ["len"], ["delete", "k"]], ids=" ".join)
def test_a_file_that_the_daemon_has_open(launch, command):
    daemon = launch()
    Curl(daemon.http).put("k", b"v")
    done = Cli(("--file", daemon.store_path("default"))).run(*command)
    assert done.code == FAILED and done.out == b""
    assert "process" in done.err and daemon.store_path("default") in done.err
    assert Curl(daemon.http).get("k").body == b"v"
    assert Curl(daemon.http).put("k", b"w").status == 200


def test_what_root_does_offline_leaves_the_files_to_their_owner(folder):
    """The daemon's user has to open them afterwards. What is no file of that store's own is given to nobody."""
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    data = os.path.join(folder, "theirs")
    os.mkdir(data)
    os.chown(data, 12345, 23456)
    stranger = os.path.join(folder, "stranger")
    with open(stranger, "w", encoding="ascii"):
        pass
    os.symlink(stranger, os.path.join(data, "store.rdr.index"))
    tool = Cli(("--file", os.path.join(data, "store.rdr")))
    for command in (("create", "--quota-entries", "9"), ("write", "k", "a"), ("write", "k", "b"), ("compact",), ("delete", "k"),
                    ("write", "k", "c"), ("copy", "k", "--target", os.path.join(data, "other.rdr"))):
        tool.ok(*command)
        for name in os.listdir(data):
            found = os.lstat(os.path.join(data, name))
            assert (found.st_uid, found.st_gid) == (12345, 23456) or os.path.islink(os.path.join(data, name)), (command, name)
    assert {"store.rdr", "store.rdr.meta", "store.rdr.settings.json", "other.rdr"} <= set(os.listdir(data))
    assert os.stat(stranger).st_uid == 0
    put_there = os.path.join(data, "third.rdr.settings.json")  # by whom the folder belongs to, and root's
    with open(put_there, "w", encoding="ascii") as file:
        file.write("{}")
    Cli(("--file", os.path.join(data, "third.rdr"))).ok("write", "k", "v")
    assert os.stat(os.path.join(data, "third.rdr")).st_uid == 12345
    assert os.stat(put_there).st_uid == 0
    of_a_store_that_is_gone = os.path.join(data, "fourth.rdr.settings.json")
    with open(of_a_store_that_is_gone, "w", encoding="ascii") as file:
        file.write("{}")
    os.chown(of_a_store_that_is_gone, 12345, 23456)
    Cli(("--file", os.path.join(data, "fourth.rdr"))).ok("create", "--quota-entries", "9")
    assert os.stat(of_a_store_that_is_gone).st_uid == 12345
    with open(os.path.join(data, "store.rdr"), "ab") as file:
        file.write(b"torn")
    tool.ok("write", "k", "d")
    torn = [name for name in os.listdir(data) if ".torn-" in name]
    assert [os.stat(os.path.join(data, name)).st_uid for name in torn] == [12345]
    mine = os.path.join(folder, "mine.rdr")
    Cli(("--file", mine)).ok("write", "k", "v")
    assert os.stat(mine).st_uid == os.stat(folder).st_uid


def test_offline_reading_changes_nothing(folder):
    path = os.path.join(folder, "some.rdr")
    tool = Cli(("--file", path))
    tool.ok("create")
    tool.ok("write", "k", "v")
    os.chmod(path, 0o400)
    before = sorted(os.listdir(folder)), os.stat(path).st_mtime_ns, os.path.getsize(path)
    for command in (["read", "k"], ["exists", "k"], ["metadata", "k"], ["info"], ["len"], ["last"], ["iterate"]):
        tool.ok(*command)
    assert (sorted(os.listdir(folder)), os.stat(path).st_mtime_ns, os.path.getsize(path)) == before


@pytest.mark.parametrize("command", (("read", "k"), ("backup", "-")), ids=("read", "backup"))
def test_an_offline_file_that_is_cut_while_it_is_read(folder, command):
    path = os.path.join(folder, "some.rdr")
    value = os.urandom(30 << 20)
    tool = Cli(("--file", path))
    tool.ok("write", "k", stdin=value)
    process = subprocess.Popen([RDRIVE, "--file", path, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_environment())
    first = os.read(process.stdout.fileno(), 1000)  # it has found the value, and waits for somebody to take more
    os.truncate(path, 20 << 20)
    rest, error = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == FAILED and error, process.returncode
    assert value.startswith(first + rest), "zeros stand for bytes that are gone"


@pytest.mark.parametrize("length", (300000, 2 << 20), ids=("short", "streamed"))
def test_a_limit_of_file_sizes_is_a_full_disk(folder, length):
    path = os.path.join(folder, "some.rdr")
    tool = Cli(("--file", path))
    tool.ok("write", "k", "v")
    limit = resource.RLIMIT_FSIZE, (200000, 200000)
    done = subprocess.run([RDRIVE, "--file", path, "write", "long"], input=os.urandom(length), capture_output=True,
                          timeout=DEADLINE_S, env=clean_environment(), preexec_fn=lambda: resource.setrlimit(*limit))
    assert done.returncode == FAILED and b"no_space" in done.stderr, done
    assert tool.ok("read", "k") == b"v" and tool.run("exists", "long").code == NOT_FOUND
    assert sorted(os.listdir(folder)) == ["some.rdr", "some.rdr.meta"]


def test_an_offline_copy_of_what_is_not_there_makes_no_store(folder):
    tool = Cli(("--file", os.path.join(folder, "some.rdr")))
    tool.ok("create")
    before = sorted(os.listdir(folder))
    for command in ("copy", "transfer"):
        assert tool.run(command, "missing", "--target", os.path.join(folder, "other.rdr")).code == NOT_FOUND
    assert sorted(os.listdir(folder)) == before


def test_offline_files_that_are_not_there_or_no_stores(folder):
    path = os.path.join(folder, "missing.rdr")
    for command in (["read", "k"], ["len"]):
        done = Cli(("--file", path)).run(*command)
        assert done.code == FAILED and path in done.err
    assert os.listdir(folder) == []
    content = b"a letter, not a store. " * 300
    with open(path, "wb") as file:
        file.write(content)
    for command in (["read", "k"], ["write", "k", "v"], ["len"], ["create"]):
        done = Cli(("--file", path)).run(*command)
        assert done.code == FAILED and path in done.err, done
    with open(path, "rb") as file:
        assert file.read() == content
    os.mkdir(os.path.join(folder, "folder.rdr"))
    assert Cli(("--file", os.path.join(folder, "folder.rdr"))).run("len").code == FAILED


def test_create_does_not_touch_what_is_there(folder):
    path = os.path.join(folder, "some.rdr")
    tool = Cli(("--file", path))
    tool.ok("create")
    tool.ok("write", "k", "v")
    done = tool.run("create")
    assert done.code == FAILED and "conflict" in done.err
    assert tool.ok("read", "k") == b"v"


BATCH = json.dumps({"entries": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}).encode()


def markers(path):
    """How many entries are not the user's."""
    return len(physical_entries(path)) - len(read_chain(path))


def test_offline_batches_have_their_marker_unless_told_otherwise(folder):
    path = os.path.join(folder, "some.rdr")
    tool = Cli(("--file", path))
    tool.ok("create")
    tool.ok("batch-write", stdin=BATCH)
    assert markers(path) == 1 and b"\nbatch_marker true\n" in tool.ok("info")
    tool.ok("batch-write", "--no-batch-marker", stdin=BATCH)
    tool.ok("rename", "a", "c", "--no-batch-marker")
    assert markers(path) == 1
    tool.ok("batch-write", stdin=BATCH)
    assert markers(path) == 2
    with open(path + ".settings.json", "w", encoding="utf-8") as file:
        json.dump({"batch_marker": False}, file)
    tool.ok("batch-write", stdin=BATCH)
    tool.ok("rename", "c", "d")
    assert markers(path) == 2 and b"\nbatch_marker false\n" in tool.ok("info")
    with open(path + ".settings.json", "w", encoding="utf-8") as file:
        file.write('{"batch_marker":')
    done = tool.run("batch-write", stdin=BATCH)
    assert done.code == DONE and path + ".settings.json" in done.err
    assert markers(path) == 3
    assert tool.ok("verify").endswith(b", 0 problems\n")


def test_offline_create_without_batch_markers(folder, launch):
    """The daemon that takes the file over goes on in the same way, and the other way round."""
    path = os.path.join(folder, "data", "some.rdr")
    os.mkdir(os.path.dirname(path), 0o700)
    tool = Cli(("--file", path))
    assert json.loads(tool.ok("--json", "create", "--no-batch-marker"))["batch_marker"] is False
    assert os.stat(path + ".settings.json").st_mode & 0o777 == 0o600
    tool.ok("batch-write", stdin=BATCH)
    daemon = launch()
    assert Curl(daemon.http, "some").info()["batch_marker"] is False
    assert Curl(daemon.http, "some").post("batch/write", json.loads(BATCH)).status == 200
    Curl(daemon.http, "other").create({"batch_marker": False})
    daemon.stop()
    other = Cli(("--file", daemon.store_path("other")))
    other.ok("batch-write", stdin=BATCH)
    assert markers(path) == 0 and markers(daemon.store_path("other")) == 0
    # What an earlier store has left does not rule a new one.
    os.unlink(path)
    tool.ok("create")
    assert not os.path.exists(path + ".settings.json") and b"\nbatch_marker true\n" in tool.ok("info")


@pytest.mark.parametrize("arguments, stdin", [
    (["write", "k", ""], b""), (["write", "k"], b"\0"), (["write", "k", "v", "--if-present"], b""),
    (["write", "k", "-f", "."], b""), (["batch-write"], b'{"entries":[{"key":"a","value":""}]}'),
    (["import", "no-folder"], b""),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_an_offline_command_that_fails_makes_no_store(arguments, stdin, folder):
    path = os.path.join(folder, "some.rdr")
    tool = Cli(("--file", path))
    assert tool.run(*arguments, stdin=stdin).code == FAILED
    assert os.listdir(folder) == []
    # One that was there before stays, empty as it is.
    tool.ok("create")
    before = sorted(os.listdir(folder))
    assert tool.run(*arguments, stdin=stdin).code == FAILED
    assert sorted(os.listdir(folder)) == before and tool.ok("len") == b"0\n"


@pytest.mark.parametrize("command", ["copy", "transfer"])
def test_an_offline_move_that_fails_makes_no_store(command, folder):
    path = os.path.join(folder, "some.rdr")
    other = os.path.join(folder, "other.rdr")
    tool = Cli(("--file", path))
    tool.ok("write", "k", "a value")
    with open(path, "r+b") as file:
        file.write(b"A")
    before = sorted(os.listdir(folder))
    done = tool.run(command, "k", "--target", other)
    assert done.code == FAILED and "corrupt" in done.err
    assert sorted(os.listdir(folder)) == before
    Cli(("--file", other)).ok("create")
    assert tool.run(command, "k", "--target", other).code == FAILED
    assert Cli(("--file", other)).ok("len") == b"0\n"


def test_offline_create_that_fails_leaves_nothing(folder):
    done = Cli(("--file", os.path.join(folder, "no-folder", "some.rdr"))).run("create", "--no-batch-marker")
    assert done.code == FAILED and "no-folder" in done.err
    os.mkdir(os.path.join(folder, "x"), 0o700)
    done = Cli(("--file", os.path.join(folder, "x", "n" * 252 + ".rdr"))).run("create", "--no-batch-marker")
    assert done.code == FAILED
    assert os.listdir(os.path.join(folder, "x")) == []
