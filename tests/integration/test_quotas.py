# SPDX-License-Identifier: MIT
"""Quotas and read-only stores, on every face: to the byte and the entry, told of, kept, changed by a reload."""
import json
import os
import signal

import pytest

from harness import wire as w
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import wait_until
from harness.resp import Resp
from harness.wire import Wire, WireError

TRAILER = 20
FORBIDDEN = 3
BYTES = 64 + TRAILER  # of a store with one value of 64 bytes


def refusal(call, *arguments):
    with pytest.raises(WireError) as refused:
        call(*arguments)
    return refused.value.status


@pytest.fixture
def three(launch):
    """A daemon with a store for each kind of bound, and one without."""
    daemon = launch("--redis", "127.0.0.1:0")
    curl = Curl(daemon.http)
    for name, settings in (("bytes", {"quota_bytes": BYTES}), ("entries", {"quota_entries": 1}), ("barred", {}), ("free", {})):
        assert curl.at(name).create(settings).status == 201
    return daemon


def test_what_is_told(launch):
    daemon = launch()
    settings = {"durability": "none", "quota_bytes": 5 << 40, "quota_entries": 7, "read_only": True}
    made = Curl(daemon.http).at("a").create(settings).json()
    assert {name: made[name] for name in settings} == settings
    assert (made["state"], made["reason"]) == ("read_only", "its settings take no writes")
    with open(daemon.store_path("a") + ".settings.json", encoding="utf-8") as file:
        assert json.load(file) == settings
    daemon.stop()
    daemon = launch()
    with Wire(daemon.binary_address, store="a") as wire:
        info = wire.info()
    assert (info["quota_bytes"], info["quota_entries"], info["read_only"], info["state"]) == (5 << 40, 7, True, "read_only")
    tool = Cli(["--server", daemon.binary, "--store", "a"])
    assert b"\nquota_bytes 5497558138880\nquota_entries 7\nread_only true\n" in tool.ok("info")
    free = Curl(daemon.http).info()
    assert (free["quota_bytes"], free["quota_entries"], free["read_only"]) == (0, 0, False)
    assert Curl(daemon.http).request("GET", "/readyz").status == 200


@pytest.mark.parametrize("settings", [{"quota_bytes": -1}, {"quota_bytes": "1g"}, {"quota_entries": 1.5}, {"read_only": 1},
                                      {"quota_bytes": None}], ids=str)
def test_what_is_no_setting(launch, settings):
    answer = Curl(launch().http).at("a").create(settings)
    assert answer.status == 400
    assert next(iter(settings)) in answer.json()["error"]["message"]


def test_text_that_is_no_json_is_told_where(launch):
    """A quota above what an integer may be is one: its object is an object."""
    text = b'{"read_only":true,\n "quota_bytes":9223372036854775808}'
    answer = Curl(launch().http).request("PUT", "/v1/stores/a", text, ["Content-Type: application/json"])
    assert (answer.status, answer.error) == (400, "invalid_argument")
    assert answer.json()["error"]["message"].startswith("settings: JSON, line 2, ")
    assert "too big integer" in answer.json()["error"]["message"]


def test_bytes(three):
    curl = Curl(three.http).at("bytes")
    assert curl.put("k", b"x" * 65).status == 507
    assert curl.info()["tail"] == 0
    assert curl.put("k", b"x" * 64).status == 201
    answer = curl.put("k", b"x")
    assert answer.status == 507
    assert answer.json()["error"]["message"] == f"store 'bytes': its quota of {BYTES} bytes is used up, of which it has {BYTES}"
    assert curl.put("k", b"x", headers=["Transfer-Encoding: chunked"]).status == 507
    assert curl.request("PUT", "keys/k", b"x" * (2 << 20), ["Expect: 100-continue"]).status == 507
    assert curl.post("rename", {"from": "k", "to": "l"}).status == 507
    assert curl.post("batch/write", {"entries": [{"key": "a", "value": "1"}]}).status == 507
    with Wire(three.binary_address, store="bytes") as wire, Wire(three.binary_address, store="free") as free:
        assert refusal(wire.write, b"k", b"x") == w.NO_SPACE
        assert refusal(wire.batch_write, [(b"k", b"x"), (b"l", b"x")]) == w.NO_SPACE
        stream = wire.start_write_stream(b"k", 5)
        assert refusal(wire.stream_answer, w.WRITE_STREAM, stream) == w.NO_SPACE
        free.write(b"k", b"x")
        assert refusal(free.copy, b"k", "bytes") == w.NO_SPACE
        assert refusal(free.transfer, b"k", "bytes") == w.NO_SPACE
        assert free.read(b"k") == b"x"
        assert wire.read(b"k") == b"x" * 64
    with Resp(three.redis_address) as redis:
        assert redis.call("select", "bytes") == b"+OK\r\n"
        assert redis.call("set", "k", "x") == f"-ERR store 'bytes': its quota of {BYTES} bytes is used up, of which it has {BYTES}\r\n".encode()
        assert redis.call("del", "k") == b":1\r\n"  # for which there is a reserve
        assert redis.call("set", "k", "x").startswith(b"-ERR store 'bytes'")


def test_entries(three):
    curl = Curl(three.http).at("entries")
    assert curl.post("batch/write", {"entries": [{"key": "a", "value": "1"}, {"key": "b", "value": "1"}]}).status == 507
    assert curl.put("a", b"1").status == 201
    assert curl.put("b", b"1").status == 507
    assert curl.put("a", b"2").status == 200
    assert curl.post("rename", {"from": "a", "to": "b"}).status == 200
    with Resp(three.redis_address) as redis:
        redis.call("select", "entries")
        assert redis.call("set", "c", "1") == b"-ERR store 'entries': its quota of 1 entries is used up\r\n"
        redis.call("multi")
        redis.call("del", "b")
        redis.call("set", "c", "1")
        assert redis.call("exec") == b"*2\r\n:1\r\n+OK\r\n"
    with Wire(three.binary_address, store="entries") as wire:
        assert refusal(wire.write, b"d", b"1") == w.NO_SPACE
        assert (wire.delete(b"c")["found"], wire.write(b"d", b"1")["replaced"]) == (1, 0)


def test_read_only_and_a_reload(launch, folder):
    path = os.path.join(folder, "rdrived.conf")

    def configure(stores):
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"stores": stores}, file)

    configure({})
    daemon = launch("--config", path, "--redis", "127.0.0.1:0")
    curl = Curl(daemon.http).at("s")
    curl.create({"quota_bytes": 4096})
    assert curl.put("k", b"v").status == 201

    def reload(stores):
        seen = daemon.log().count("reloaded:")
        configure(stores)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.log().count("reloaded:") > seen, "the reload")

    reload({"s": {"read_only": True, "quota_bytes": 0}})
    info = curl.info()
    assert (info["read_only"], info["quota_bytes"], info["state"]) == (True, 0, "read_only")
    for answer in (curl.put("k", b"w"), curl.delete("k"), curl.post("rename", {"from": "k", "to": "l"}),
                   curl.put("k", b"w", headers=["Transfer-Encoding: chunked"]), curl.post("batch/delete", {"keys": ["k"]})):
        assert (answer.status, answer.json()["error"]["code"]) == (403, "forbidden")
        assert answer.json()["error"]["message"] == "store 's': its settings take no writes"
    with Wire(daemon.binary_address, store="s") as wire, Resp(daemon.redis_address) as redis:
        assert refusal(wire.write, b"k", b"w") == FORBIDDEN
        assert refusal(wire.transfer, b"k", "default") == FORBIDDEN
        assert Curl(daemon.http).get("k").status == 404  # nothing is copied that could not be deleted
        wire.copy(b"k", "default")
        redis.call("select", "s")
        assert redis.call("set", "k", "w") == b"-NOPERM store 's': its settings take no writes\r\n"
        assert redis.call("get", "k") == b"$1\r\nv\r\n"
    assert curl.get("k").body == b"v"
    reload({})
    assert curl.info()["quota_bytes"] == 4096
    assert curl.put("k", b"w").status == 200


def test_the_command_line(launch, folder):
    daemon = launch()
    tool = Cli(["--server", daemon.binary, "--store", "a"])
    made = json.loads(tool.ok("--json", "create", "--quota-bytes", str(BYTES), "--quota-entries", "3", "--read-only"))
    assert (made["quota_bytes"], made["quota_entries"], made["read_only"]) == (BYTES, 3, True)
    path = os.path.join(folder, "b.rdr")
    offline = Cli(["--file", path])
    offline.ok("create", "--quota-bytes", str(BYTES), "--quota-entries", "1")
    offline.ok("write", "k", "x" * 64)
    assert offline.run("write", "k", "x").code == 1
    offline.ok("delete", "k")
    assert json.loads(offline.ok("--json", "info"))["quota_entries"] == 1
    sealed = Cli(["--file", os.path.join(folder, "c.rdr")])
    sealed.ok("create", "--read-only")
    assert sealed.run("write", "k", "x").code == 1
    assert tool.run("len", "--quota-bytes", "1").code == 2


def test_offline_refusals_say_whose_they_are(folder):
    """Not the file system's, and of a copy's target as of any other file."""
    files = {}
    for name, options in (("source", []), ("entries", ["--quota-entries", "1"]), ("bytes", ["--quota-bytes", str(BYTES)]),
                          ("sealed", ["--read-only"])):
        path = os.path.join(folder, name + ".rdr")
        files[name] = path, Cli(["--file", path])
        files[name][1].ok("create", *options)
        if name != "sealed":
            files[name][1].ok("write", "k", "x" * 64)
    refusals = {"entries": "no_space: the store's quota of entries is used up", "bytes": "no_space: the store's quota of bytes is used up",
                "sealed": "forbidden: the store's settings take no writes"}
    for name, words in refusals.items():
        done = files[name][1].run("write", "l", "y")
        assert (done.code, done.out) == (1, b"") and words in done.err, done
        done = files[name][1].run("write", "l", stdin=bytes(2 << 20))  # a stream
        assert (done.code, done.out) == (1, b"") and words in done.err, done
    _, source = files["source"]
    source.ok("write", "l", "y")
    for command in ("copy", "transfer"):
        for name, words in refusals.items():
            path, target = files[name]
            done = source.run(command, "l", "--target", path)
            assert (done.code, done.out) == (1, b"") and words.split(":")[0] in done.err, done
            assert target.run("exists", "l").code == 3
    assert source.ok("read", "l") == b"y"


def test_nothing_is_transferred_offline_out_of_what_takes_no_writes(folder):
    path, target = (os.path.join(folder, name) for name in ("source.rdr", "target.rdr"))
    source = Cli(["--file", path])
    source.ok("write", "k", "v")
    with open(path + ".settings.json", "w", encoding="utf-8") as file:
        json.dump({"read_only": True}, file)
    done = source.run("transfer", "k", "--target", target)
    assert (done.code, done.out) == (1, b"") and "forbidden: the store's settings take no writes" in done.err, done
    assert Cli(["--file", target]).run("exists", "k").code != 0
    source.ok("copy", "k", "--target", target)
    assert (source.ok("read", "k"), Cli(["--file", target]).ok("read", "k")) == (b"v", b"v")
