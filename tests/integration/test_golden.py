# SPDX-License-Identifier: MIT
"""Files that another implementation of the format wrote, whole and damaged, through the daemon and the CLI.

Each tests/golden/NAME.bin has a twin NAME.json that tells what must be readable in it. Damaged ones state what an
ideal recovery keeps.
"""
import glob
import hashlib
import json
import os
import shutil
import tempfile

import pytest

from harness import wire as w
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import REPOSITORY, Daemon
from harness.doors import json_keys, json_values
from harness.wire import Hash, Wire, WireError

FOLDER = os.path.join(REPOSITORY, "tests", "golden")


def load(name):
    with open(os.path.join(FOLDER, name + ".json"), encoding="utf-8") as file:
        return json.load(file)


TWINS = {name: load(name) for name in
         sorted(os.path.basename(path)[:-len(".json")] for path in glob.glob(os.path.join(FOLDER, "*.json")))}


def corrupt_keys(twin):
    return set(twin.get("corrupt_keys_hex", ()))


def readable_rows(twin):
    return [row for row in twin["entries"] if row["key_hex"] not in corrupt_keys(twin)]


def absent_keys(twin):
    return {bytes.fromhex(key) for key in (*twin["deleted_keys_hex"], *twin.get("absent_keys_hex", ()))}


def live_count(twin):
    return twin["live_count"] if "live_count" in twin else twin["ideal_live_count"]


def recovered_length(twin):
    return twin.get("ideal_recovered_length", twin["file_length"])


def copies_of_all(data_dir):
    os.makedirs(data_dir, 0o700)
    for name in TWINS:
        shutil.copy(os.path.join(FOLDER, name + ".bin"), os.path.join(data_dir, name + ".rdr"))


@pytest.fixture(scope="module")
def served():
    """One daemon with all of them."""
    folder = tempfile.mkdtemp(prefix="rdrive-")
    copies_of_all(os.path.join(folder, "data"))
    daemon = Daemon(folder)
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def left_behind():
    """The data folder after a daemon has opened all of them and stopped, with nothing done in between."""
    folder = tempfile.mkdtemp(prefix="rdrive-")
    copies_of_all(os.path.join(folder, "data"))
    daemon = Daemon(folder)
    try:
        daemon.stop()
        yield daemon.data_dir
    finally:
        daemon.kill()
        shutil.rmtree(folder)


def test_there_are_files():
    assert len(TWINS) >= 70


@pytest.mark.parametrize("name", TWINS)
def test_entries_read_back(served, name):
    twin = TWINS[name]
    with Wire(served.binary_address, name) as wire:
        for row in readable_rows(twin):
            key = bytes.fromhex(row["key_hex"])
            fields, value = wire.read_all(key)
            assert (len(value), hashlib.sha256(value).hexdigest()) == (row["len"], row["sha256"])
            assert (f"{fields['key_hash']:016x}", f"{fields['crc32']:08x}") == (row["key_hash"], row["crc32"])
            assert wire.read(Hash(int(row["key_hash"], 16))) == value
            assert wire.metadata(key)["length"] == row["len"]
        for key in corrupt_keys(twin):
            with pytest.raises(WireError) as caught:
                wire.read(bytes.fromhex(key))
            assert caught.value.status == w.CORRUPT
            assert wire.batch_read([bytes.fromhex(key)]) == [w.CORRUPT]
            assert wire.exists(bytes.fromhex(key))
        for key in absent_keys(twin):
            assert not wire.exists(key)
        assert len(wire.iterate(limit=10000)) == live_count(twin)
        assert wire.info()["state"] == "open"


@pytest.mark.parametrize("name", TWINS)
def test_over_http(served, name):
    twin = TWINS[name]
    curl = Curl(served.http, name)
    info = curl.info()
    assert (info["entries"], info["state"], info["tail"]) == (live_count(twin), "open", recovered_length(twin))
    rows = readable_rows(twin)
    answer = curl.post("batch/read", json_keys([bytes.fromhex(row["key_hex"]) for row in rows]))
    assert [hashlib.sha256(value).hexdigest() for value in json_values(answer.json())] == [row["sha256"] for row in rows]
    for row in rows[:1]:
        answer = curl.get(bytes.fromhex(row["key_hex"]))
        assert hashlib.sha256(answer.body).hexdigest() == row["sha256"]
        assert answer.headers["rdrive-crc32"] == row["crc32"]
        assert answer.headers["rdrive-key-hash"] == row["key_hash"]
    for key in corrupt_keys(twin):
        answer = curl.get(bytes.fromhex(key))
        assert (answer.status, answer.error) == (500, "corrupt")
    for key in sorted(absent_keys(twin))[:1]:
        answer = curl.get(key)
        assert (answer.status, answer.error) == (404, "key_not_found")


@pytest.mark.parametrize("name", TWINS)
def test_offline(folder, name):
    """Commands that read leave the file alone, damaged or not."""
    twin = TWINS[name]
    path = os.path.join(folder, name + ".rdr")
    shutil.copy(os.path.join(FOLDER, name + ".bin"), path)
    cli = Cli(("--file", path))
    rows = readable_rows(twin)
    body = json.dumps(json_keys([bytes.fromhex(row["key_hex"]) for row in rows])).encode()
    values = json_values(json.loads(cli.ok("--json", "batch-read", stdin=body)))
    assert [hashlib.sha256(value).hexdigest() for value in values] == [row["sha256"] for row in rows]
    assert int(cli.ok("len")) == live_count(twin)
    for key in corrupt_keys(twin):
        done = cli.run("read", "--key-hex", key)
        assert done.code == 1 and "corrupt" in done.err
    with open(path, "rb") as file:
        assert hashlib.sha256(file.read()).hexdigest() == twin["file_sha256"]
    assert os.listdir(folder) == [name + ".rdr"]


@pytest.mark.parametrize("name", TWINS)
def test_what_an_open_and_a_stop_leave(left_behind, name):
    """Whole files stay as they are; what a repair cuts off is kept beside the file."""
    twin = TWINS[name]
    length = recovered_length(twin)
    with open(os.path.join(FOLDER, name + ".bin"), "rb") as file:
        original = file.read()
    with open(os.path.join(left_behind, name + ".rdr"), "rb") as file:
        assert file.read() == original[:length]
    torn = [path for path in os.listdir(left_behind) if path.startswith(name + ".rdr.torn-")]
    if length == len(original):
        assert torn == []
        return
    assert torn == [f"{name}.rdr.torn-{length}"]
    with open(os.path.join(left_behind, torn[0]), "rb") as file:
        assert file.read() == original[length:]
