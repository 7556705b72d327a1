# SPDX-License-Identifier: MIT
"""Stores as files in a folder: creating, dropping, and what is done with files that are no stores."""
import os
import re
import stat

import pytest

from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import Daemon, run_to_end
from harness.storefile import physical_entries, read_chain
from harness.wire import Wire, WireError


def listed(daemon):
    """The stores, by name."""
    answer = Curl(daemon.http).request("GET", "/v1/stores")
    assert answer.status == 200
    return {row["name"]: row for row in answer.json()["stores"]}


def test_default_exists_from_the_start_and_stays(daemon):
    curl = Curl(daemon.http)
    assert listed(daemon)["default"]["state"] == "open"
    answer = curl.drop()
    assert 400 <= answer.status < 500 and answer.error
    assert curl.create().status == 409
    with Wire(daemon.binary_address) as wire, pytest.raises(WireError):
        wire.drop("default")
    assert listed(daemon)["default"]["state"] == "open"
    assert os.path.exists(daemon.store_path("default"))


def test_create_and_drop(daemon):
    curl = Curl(daemon.http, "A.store_of-mine")
    answer = curl.create()
    assert answer.status == 201
    assert answer.json()["name"] == "A.store_of-mine"
    assert os.path.exists(daemon.store_path("A.store_of-mine"))
    answer = curl.create()
    assert (answer.status, answer.error) == (409, "conflict")
    curl.put("k", b"v")
    row = listed(daemon)["A.store_of-mine"]
    assert (row["entries"], row["state"]) == (1, "open")
    assert curl.drop().status == 200
    assert "A.store_of-mine" not in listed(daemon)
    assert [name for name in os.listdir(daemon.data_dir) if name.startswith("A.store_of-mine")] == []
    assert (curl.get("k").status, curl.get("k").error) == (404, "store_not_found")
    # A new store of that name starts empty.
    assert curl.create().status == 201
    assert curl.get("k").status == 404
    assert curl.drop().status == 200


def test_drop_has_to_be_confirmed(curl):
    curl.put("k", b"v")
    for query in ("", "?confirm=", "?confirm=default", "?confirm=yes"):
        answer = curl.request("DELETE", f"/v1/stores/{curl.store}{query}")
        assert (answer.status, answer.error) == (400, "invalid_argument")
    assert curl.get("k").body == b"v"
    other = curl.at("no-such-store").drop()
    assert (other.status, other.error) == (404, "store_not_found")


@pytest.mark.parametrize("name", [".hidden", "a b", "a/b", "..", ".", "x" * 65, "\0", "ü", "a\nb", "a:b"])
def test_bad_names(daemon, name):
    before = sorted(os.listdir(daemon.data_dir))
    answer = Curl(daemon.http, name).create()
    assert (answer.status, answer.error) == (400, "invalid_argument")
    assert Curl(daemon.http, name).put("k", b"v").status in (400, 404)
    assert sorted(os.listdir(daemon.data_dir)) == before


def test_the_longest_name(daemon):
    curl = Curl(daemon.http, "x" * 64)
    assert curl.create().status == 201
    assert curl.put("k", b"v").status == 201
    assert curl.drop().status == 200


def test_settings(daemon):
    for number, (durability, header) in enumerate((("none", "none"), ("sync", "sync"), ("interval:50", "interval:50"))):
        curl = Curl(daemon.http, f"settings-{number}")
        answer = curl.create({"durability": durability})
        assert (answer.status, answer.json()["durability"]) == (201, durability)
        assert curl.put("k", b"v").headers["rdrive-durability"] == header
        assert curl.info()["durability"] == durability
        curl.drop()
    for settings in ({"durability": "perhaps"}, {"durability": 1}, {"no-such": 1}, []):
        answer = Curl(daemon.http, "settings-bad").create(settings)
        assert (answer.status, answer.error) == (400, "invalid_argument")
    assert "settings-bad" not in listed(daemon)


def test_settings_outlive_a_restart(launch):
    daemon = launch()
    assert Curl(daemon.http, "quick").create({"durability": "none"}).status == 201
    daemon.stop()
    daemon = launch("--durability", "interval:20")
    assert Curl(daemon.http, "quick").info()["durability"] == "none"
    assert Curl(daemon.http).info()["durability"] == "interval:20"


def batch(curl, *keys):
    answer = curl.post("batch/write", {"entries": [{"key": key, "value": "value of " + key} for key in keys]})
    assert answer.status == 200, answer


def test_a_store_without_batch_markers(launch):
    """Its file is what the reference would have written, byte for byte, also after a restart and a reopen."""
    daemon = launch()
    plain, marked = Curl(daemon.http, "plain"), Curl(daemon.http, "marked")
    answer = plain.create({"batch_marker": False})
    assert (answer.status, answer.json()["batch_marker"], answer.json()["durability"]) == (201, False, "sync")
    assert marked.create({"batch_marker": True}).json()["batch_marker"] is True
    assert not os.path.exists(daemon.store_path("marked") + ".settings.json"), "defaults need no companion"
    for curl in (plain, marked):
        batch(curl, "a", "b")
    daemon.stop()
    daemon = launch()
    plain, marked = Curl(daemon.http, "plain"), Curl(daemon.http, "marked")
    for curl in (plain, marked):
        batch(curl, "c", "d")
        assert curl.request("POST", "reopen").status == 200
        assert curl.post("rename", {"from": "a", "to": "e"}).status == 200
    assert plain.info()["batch_marker"] is False and marked.info()["batch_marker"] is True
    with Wire(daemon.binary_address) as wire:
        rows = {row["name"]: row["batch_marker"] for row in wire.stores()}
        assert rows == {"default": True, "plain": False, "marked": True}
    daemon.stop()
    paths = [daemon.store_path(name) for name in ("plain", "marked")]
    counts = [len(read_chain(path)) for path in paths]
    with_markers = [len(physical_entries(path)) for path in paths]
    assert (counts, with_markers) == ([6, 6], [6, 9])


@pytest.mark.parametrize("settings", [{"batch_marker": 0}, {"batch_marker": "false"}, {"batch_marker": None},
                                      {"batch_markers": False}, {"durability": "none", "batch_marker": []}], ids=str)
def test_settings_that_make_no_sense(daemon, settings):
    answer = Curl(daemon.http, "senseless").create(settings)
    assert (answer.status, answer.error) == (400, "invalid_argument")
    assert "batch_marker" in answer.json()["error"]["message"]
    assert not os.path.exists(daemon.store_path("senseless") + ".settings.json")


def generations(daemon):
    """Of the default store and of "other"; HTTP and the binary protocol tell the same."""
    told = {name: Curl(daemon.http, name).info()["generation"] for name in ("default", "other")}
    assert all(re.fullmatch("[0-9a-f]{16}", generation) for generation in told.values())
    with Wire(daemon.binary_address) as wire:
        assert {row["name"]: f"{row['generation']:016x}" for row in wire.stores()} == told
    return told


def test_a_generation_is_a_files_own_and_outlives_a_restart(launch):
    daemon = launch()
    other = Curl(daemon.http, "other")
    other.create()
    before = generations(daemon)
    assert before["default"] != before["other"]
    assert "0" * 16 not in before.values()
    daemon.stop()
    daemon = launch()
    assert generations(daemon) == before
    daemon.kill()
    daemon = launch()
    assert generations(daemon) == before
    other = Curl(daemon.http, "other")
    other.drop()
    other.create()
    after = generations(daemon)
    assert after["default"] == before["default"] and after["other"] != before["other"]


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_modes_of_files(launch, folder):
    mask = os.umask(0)  # as careless as can be
    try:
        daemon = launch(unix=True)
    finally:
        os.umask(mask)
    Curl(daemon.http).put("k", b"v")
    Curl(daemon.http, "other").create({"durability": "none"})
    assert mode_of(daemon.data_dir) == 0o700
    for name in os.listdir(daemon.data_dir):
        assert mode_of(os.path.join(daemon.data_dir, name)) == 0o600, name
    assert mode_of(daemon.unix_path) == 0o660
    offline = os.path.join(folder, "offline.rdr")
    Cli(("--file", offline)).ok("create")
    assert mode_of(offline) == 0o600


def put_file(daemon_folder, name, content):
    data_dir = os.path.join(daemon_folder, "data")
    os.makedirs(data_dir, 0o700, exist_ok=True)
    path = os.path.join(data_dir, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_a_file_that_is_not_a_store_fails_and_the_others_serve(launch, folder):
    content = b"this is a letter, not a store. " * 200
    path = put_file(folder, "letter.rdr", content)
    daemon = launch()
    row = listed(daemon)["letter"]
    assert row["state"] == "failed"
    info = Curl(daemon.http, "letter").info()
    assert info["state"] == "failed" and info["reason"]
    letter = Curl(daemon.http, "letter")
    for answer in (letter.get("k"), letter.put("k", b"v"), letter.delete("k"), letter.request("GET", "entries"),
                   letter.request("GET", "last"), letter.post("batch/read", {"keys": ["k"]})):
        assert (answer.status, answer.error) == (503, "unavailable")
    with Wire(daemon.binary_address, "letter") as wire:
        with pytest.raises(WireError) as caught:
            wire.read(b"k")
        assert caught.value.status == 18
        assert {row["name"]: row["state"] for row in wire.stores()} == {"default": "open", "letter": "failed"}
        assert [row["reason"] for row in wire.stores() if row["name"] == "letter"] != [""]
    assert letter.create().status == 409
    assert Curl(daemon.http).put("k", b"v").status == 201
    assert Curl(daemon.http).get("k").body == b"v"
    assert "letter" in daemon.log()
    assert Curl(daemon.http).request("GET", "/healthz").status == 200
    daemon.stop()
    with open(path, "rb") as file:
        assert file.read() == content


def test_symlinks_are_refused(launch, folder):
    target = os.path.join(folder, "target")
    with open(target, "wb"):
        pass
    os.makedirs(os.path.join(folder, "data"), 0o700)
    os.symlink(target, os.path.join(folder, "data", "link.rdr"))
    os.symlink(os.path.join(folder, "nowhere"), os.path.join(folder, "data", "dangling.rdr"))
    daemon = launch()
    for name in ("link", "dangling"):
        curl = Curl(daemon.http, name)
        assert listed(daemon).get(name, {"state": "failed"})["state"] == "failed"
        assert curl.put("k", b"v").status in (404, 503)
        assert curl.create().status >= 400
        assert curl.put("k", b"v").status in (404, 503)
    assert os.path.getsize(target) == 0
    assert not os.path.exists(os.path.join(folder, "nowhere"))
    assert Curl(daemon.http).put("k", b"v").status == 201


def test_what_is_no_regular_file_is_left_alone(launch, folder):
    os.makedirs(os.path.join(folder, "data", "folder.rdr"), 0o700)
    os.mkfifo(os.path.join(folder, "data", "pipe.rdr"))
    put_file(folder, "notes.txt", b"notes")
    put_file(folder, ".hidden.rdr", b"")
    daemon = launch()
    stores = listed(daemon)
    for name in ("folder", "pipe"):
        assert stores.get(name, {"state": "failed"})["state"] == "failed"
    assert not {"notes", "notes.txt", ".hidden"} & set(stores)
    daemon.stop()
    assert os.path.isdir(os.path.join(folder, "data", "folder.rdr"))
    assert stat.S_ISFIFO(os.stat(os.path.join(folder, "data", "pipe.rdr")).st_mode)


def test_settings_in_what_is_no_regular_file_hold_nobody_up(launch, folder):
    """A pipe in the companion's place: no start, reopening or creation waits for who is at its other end."""
    data_dir = os.path.join(folder, "data")
    os.mkdir(data_dir)
    open(os.path.join(data_dir, "there.rdr"), "wb").close()
    for companion in ("there.rdr.settings.json", "fresh.rdr.settings.json.tmp"):
        os.mkfifo(os.path.join(data_dir, companion))
    daemon = launch()
    assert daemon.log().count("there.rdr.settings.json: cannot be read; the store runs with durability sync") == 1
    curl = Curl(daemon.http, "there")
    assert curl.put(b"k", b"v").status == 201
    assert curl.request("POST", "/v1/stores/there/reopen").status == 200
    assert Curl(daemon.http, "fresh").create({"durability": "none"}).status == 201
    assert stat.S_ISREG(os.stat(os.path.join(data_dir, "fresh.rdr.settings.json")).st_mode)


def test_a_second_daemon_on_the_folder_gets_none_of_the_stores(launch, folder):
    first = launch()
    Curl(first.http).put("k", b"v")
    second_folder = os.path.join(folder, "second")
    os.mkdir(second_folder)
    try:
        second = Daemon(second_folder, data_dir=first.data_dir)
    except AssertionError as error:
        # It gave up, with a word on why.
        assert "ended with 1" in str(error) and first.data_dir in str(error)
    else:
        try:
            assert {row["state"] for row in listed(second).values()} == {"failed"}
            answer = Curl(second.http).put("k", b"w")
            assert (answer.status, answer.error) == (503, "unavailable")
            assert "process" in Curl(second.http).info()["reason"]
            second.stop()
        finally:
            second.kill()
    assert Curl(first.http).get("k").body == b"v"
    assert Curl(first.http).put("k", b"again").status == 200


def test_a_data_folder_that_cannot_be_made(folder):
    path = os.path.join(folder, "file")
    with open(path, "wb"):
        pass
    code, _, err = run_to_end("--data-dir", os.path.join(path, "data"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert code in (1, 2)
    assert path in err


def test_100_stores(launch):
    daemon = launch("--durability", "none")
    with Wire(daemon.binary_address) as wire:
        for i in range(100):
            wire.create(f"s{i}")
            wire.store = f"s{i}"
            wire.write(b"k", b"of store %d" % i)
    daemon.stop()
    daemon = launch()
    assert len(listed(daemon)) == 101
    with Wire(daemon.binary_address) as wire:
        for i in range(100):
            wire.store = f"s{i}"
            assert wire.read(b"k") == b"of store %d" % i
