# SPDX-License-Identifier: MIT
"""rdrive restore: a store's file is made out of a backup that was looked at as a whole, or nothing happens at all."""
import fcntl
import json
import os
import shutil
import struct
import subprocess

import pytest

from harness.cli import Cli, Done
from harness.curl import Curl
from harness.daemon import DEADLINE_S, RDRIVE, REPOSITORY, Daemon, clean_environment
from harness.killing import run_killed
from harness.storefile import live_entries, physical_entries, read_chain
from harness.wire import Wire


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def contents(folder):
    return {name: read(os.path.join(folder, name)) for name in os.listdir(folder)}


class Place:
    """A folder with a store that holds something, closed in order, and a backup of another one beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.store = os.path.join(folder, "data", "default.rdr")
        daemon = Daemon(folder)
        with Wire(daemon.binary_address) as wire:
            for i in range(20):
                wire.write(b"old %d" % i, os.urandom(100))
            self.old_generation = wire.info()["generation"]
            wire.create("other")
            wire.store = "other"
            for i in range(50):
                wire.write(b"key %d" % (i % 40), os.urandom(2 + 37 * i))  # of one byte, a zero is refused
            wire.batch_write([(b"batch %d" % i, b"value") for i in range(10)])
            wire.delete(b"key 7")
        self.backup = os.path.join(folder, "backup")
        assert Cli(("--server", daemon.binary), "other").run("backup", self.backup).code == 0
        daemon.stop()
        self.before = contents(os.path.join(folder, "data"))
        self.content = read(self.backup)

    def restore(self, *options, target=None, source=None):
        return Cli(("--file", target or self.store)).run("restore", source or self.backup, "--json", *options)

    def assert_untouched(self):
        assert contents(os.path.join(self.folder, "data")) == self.before

    def assert_refused(self, done, *words):
        assert done.code == 1 and done.out == b"", done
        assert all(word in done.err for word in words), done.err
        self.assert_untouched()


@pytest.fixture
def place(folder):
    return Place(folder)


def test_into_a_new_file(place):
    target = os.path.join(place.folder, "new.rdr")
    done = place.restore(target=target)
    assert done.code == 0, done
    told = done.json()
    assert read(target) == place.content
    assert (told["tail"], told["entries"]) == (len(place.content), len(live_entries(target)))
    assert sorted(os.listdir(place.folder)) == ["backup", "backup.backup", "data", "log", "new.rdr", "new.rdr.meta"]
    assert os.stat(target).st_mode & 0o777 == 0o600
    info = json.loads(Cli(("--file", target)).ok("info", "--json"))
    assert (info["generation"], info["entries"], info["tail"]) == (told["generation"], told["entries"], told["tail"])
    place.assert_untouched()


def test_over_a_store(place):
    """With --force only; what a daemon then serves is the backup, under a generation that neither file had."""
    place.assert_refused(place.restore(), "--force", "default.rdr")
    write(place.store + ".torn-5", b"kept")
    write(place.store + ".settings.json", b'{"durability":"none"}')
    done = place.restore("--force")
    assert done.code == 0, done
    assert read(place.store) == place.content
    assert read(place.store + ".torn-5") == b"kept"
    assert read(place.store + ".settings.json") == b'{"durability":"none"}'
    daemon = Daemon(place.folder)
    try:
        curl = Curl(daemon.http)
        info = curl.info()
        assert info["generation"] == done.json()["generation"] not in (place.old_generation,
                                                                      curl.at("other").info()["generation"])
        assert (info["entries"], info["state"]) == (done.json()["entries"], "open")
        assert curl.get("key 39").status == 200 and curl.get("key 7").status == 404 and curl.get("old 1").status == 404
        assert curl.put("new", b"write").status == 201
        daemon.stop()
    finally:
        daemon.kill()


def test_over_an_empty_file_and_for_people(place):
    target = os.path.join(place.folder, "new.rdr")
    write(target, b"")
    text = Cli(("--file", target)).ok("restore", place.backup).decode().splitlines()
    assert [line.split()[0] for line in text] == ["generation", "tail", "entries"]
    assert read(target) == place.content


def test_an_empty_backup(place):
    write(place.backup, b"")
    os.unlink(place.backup + ".backup")
    done = place.restore("--force")
    assert done.code == 0 and done.json()["entries"] == 0
    assert read(place.store) == b""


def test_a_large_one_brings_its_index_along(place):
    """The old store's companions are gone, and the new one's are its own."""
    entries = [(b"%d" % i, b"v") for i in range(40000)]
    daemon = Daemon(place.folder)
    with Wire(daemon.binary_address, "other") as wire:
        wire.batch_write(entries)
    assert Cli(("--server", daemon.binary), "other").run("backup", place.backup).code == 0
    daemon.stop()
    write(place.store + ".index", b"of the old one")
    done = place.restore("--force")
    assert done.code == 0, done
    info = json.loads(Cli(("--file", place.store)).ok("info", "--json"))
    assert (info["generation"], info["entries"]) == (done.json()["generation"], done.json()["entries"])
    assert os.path.getsize(place.store + ".index") > 100000


def test_what_is_running_ahead_is_cut(place):
    """A plain copy of a store that is written to: bytes 0xFF behind its end."""
    write(place.backup, place.content + b"\xff" * 70000)
    os.unlink(place.backup + ".backup")
    done = place.restore("--force")
    assert done.code == 0 and done.json()["tail"] == len(place.content)
    assert read(place.store) == place.content


# ---- what is refused ---------------------------------------------------------------------------------------------------

def flipped(content, offset):
    return content[:offset] + bytes([content[offset] ^ 0x10]) + content[offset + 1:]


def test_damage_is_named(place):
    entry = next(entry for entry in read_chain(place.backup) if len(entry.payload) > 1000)
    write(place.backup, flipped(place.content, entry.offset + 900))
    place.assert_refused(place.restore("--force"), "damaged", f"bytes {entry.offset} to {entry.offset + len(entry.payload)} ",
                         "checksum")


@pytest.mark.parametrize("where", ["pad", "link", "last trailer", "marker"])
def test_damage_elsewhere(place, where):
    chain = read_chain(place.backup)
    padded = next(entry for entry in chain if entry.offset - entry.prev_tail > 8)
    batched = next(entry for entry in chain if entry.payload == b"value")
    offset = {"pad": padded.prev_tail + 3, "link": chain[20].end - 11, "last trailer": len(place.content) - 9,
              "marker": batched.prev_tail - 1}[where]
    write(place.backup, flipped(place.content, offset))
    done = place.restore("--force")
    place.assert_refused(done, "nothing was restored", "bytes ")


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "without a note"])
def test_cut_anywhere(place, noted):
    """Inside an entry it is torn; between two entries only the note can tell; inside a batch the marker does."""
    ends = set(physical_entries(place.backup))
    batch = [entry.end for entry in read_chain(place.backup) if entry.payload == b"value"]
    if not noted:
        os.unlink(place.backup + ".backup")
    for cut in [1, 20, 4000, len(place.content) // 2, len(place.content) - 1, batch[4], batch[-1] - 5, sorted(ends)[10]]:
        write(place.backup, place.content[:cut])
        done = place.restore("--force")
        if noted:
            place.assert_refused(done, "has been cut")
        elif cut not in ends or cut in batch[:-1]:
            place.assert_refused(done, "nothing was restored")
        else:
            assert done.code == 0 and done.json()["tail"] == cut
            shutil.rmtree(os.path.join(place.folder, "data"))
            os.mkdir(os.path.join(place.folder, "data"))
            for name, content in place.before.items():
                write(os.path.join(place.folder, "data", name), content)


@pytest.mark.parametrize("tail", [b"\0" * 5000, b"garbage" * 50, b"\xff" * 100 + b"x"])
def test_more_behind_its_end(place, tail):
    os.unlink(place.backup + ".backup")
    write(place.backup, place.content + tail)
    end = len(place.content)
    place.assert_refused(place.restore("--force"), "torn", f"bytes {end} to {end + len(tail)} ")


def test_what_an_ended_run_has_left_is_not_restored(place):
    with open(place.backup, "ab") as file:
        file.write(b"half of an increment")
    done = place.restore("--force")
    assert done.code == 0 and "20 bytes at its end" in done.err
    assert read(place.store) == place.content


def test_one_that_never_was_complete(place):
    write(place.backup + ".backup", b"rdrive-backup 1\ngeneration 0000000000000001\nwhole none\nsynced 5000\n")
    place.assert_refused(place.restore("--force"), "never was complete")


def test_a_file_of_something_else(place):
    os.unlink(place.backup + ".backup")
    with open(os.path.join(REPOSITORY, "README.md"), "rb") as file:
        write(place.backup, file.read())
    place.assert_refused(place.restore("--force"), "not a store")
    os.unlink(place.backup)
    place.assert_refused(place.restore("--force"), "cannot be opened")
    os.mkdir(place.backup)
    place.assert_refused(place.restore("--force"), "not a regular file")
    place.assert_refused(place.restore("--force", source=place.store), "the store's file itself")


def test_a_target_that_is_open(place, launch):
    daemon = launch()
    done = place.restore("--force")
    assert done.code == 1 and "open in another process" in done.err
    assert Curl(daemon.http).get("old 1").status == 200
    daemon.stop()
    with open(place.store, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        done = place.restore("--force")
    assert done.code == 1 and "open in another process" in done.err


def test_a_backup_that_is_being_written(place):
    with open(place.backup, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        place.assert_refused(place.restore("--force"), "open in another process")


def test_a_target_that_is_no_file(place):
    target = os.path.join(place.folder, "link.rdr")
    os.symlink(place.store, target)
    place.assert_refused(place.restore("--force", target=target))
    os.unlink(target)
    os.mkdir(target)
    place.assert_refused(place.restore("--force", target=target))
    place.assert_refused(place.restore("--force", target=os.path.join(place.folder, "absent", "x.rdr")), "absent")


def test_no_space(place):
    """A limit on file sizes stands for it."""
    write(place.backup + ".backup", b"")
    command = ["bash", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "-", RDRIVE, "--file", place.store, "restore",
               place.backup, "--force"]
    done = Done(subprocess.run(command, capture_output=True, timeout=DEADLINE_S, env=clean_environment()))
    place.assert_refused(done, "no_space", "nothing was restored")


def test_a_store_that_is_named_like_the_copy_stays(place):
    """Names of stores may hold dots; what an ended run has left goes."""
    others = {place.store + ending: b"of another store"
              for ending in (".restore.rdr", ".restore.rdr.meta", ".restore.more.rdr", ".restored.rdr")}
    for path, content in others.items():
        write(path, content)
    left = [place.store + ending for ending in (".restore", ".restore.meta", ".restore.torn-7")]
    for path in left:
        write(path, b"of an ended run")
    assert place.restore("--force").code == 0
    assert {path: read(path) for path in others} == others
    assert not any(map(os.path.exists, left))


def test_usage(place, launch):
    assert Cli(("--file", place.store)).run("restore").code == 2
    assert Cli(("--file", place.store)).run("restore", "a", "--full").code == 2
    daemon = launch()
    done = Cli(("--server", daemon.binary)).run("restore", place.backup)
    assert done.code == 2 and "--file" in done.err


def test_it_belongs_to_whom_the_old_one_did(place):
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(place.store, 12345, 23456)
    assert place.restore("--force").code == 0
    for path in (place.store, place.store + ".meta"):
        assert (os.stat(path).st_uid, os.stat(path).st_gid) == (12345, 23456)
    os.chown(os.path.join(place.folder, "data"), 111, 222)
    target = os.path.join(place.folder, "data", "new.rdr")
    assert place.restore(target=target).code == 0
    assert (os.stat(target).st_uid, os.stat(target).st_gid) == (111, 222)


def test_it_keeps_permissions_and_attributes_of_the_old_one(place):
    os.chmod(place.store, 0o640)
    os.setxattr(place.store, "user.note", b"somebody's")
    assert place.restore("--force").code == 0
    assert os.stat(place.store).st_mode & 0o777 == 0o640
    assert os.getxattr(place.store, "user.note") == b"somebody's"
    target = os.path.join(place.folder, "data", "new.rdr")
    assert place.restore(target=target).code == 0
    assert os.stat(target).st_mode & 0o777 == 0o600


# ---- killed at any moment ----------------------------------------------------------------------------------------------

def test_killed_at_every_call(place):
    """The old store or the new one, whole, whatever came of its companions; and the next run is not in its way."""
    data = os.path.join(place.folder, "data")
    seen = set()
    number, code = 0, 1
    while code != 0:
        number += 1
        assert number < 300
        for name in os.listdir(data):
            os.unlink(os.path.join(data, name))
        for name, content in place.before.items():
            write(os.path.join(data, name), content)
        code = run_killed(number, RDRIVE, "--file", place.store, "restore", place.backup, "--force")
        content = read(place.store)
        assert content in (place.before["default.rdr"], place.content)
        seen.add(content == place.content)
        cli = Cli(("--file", place.store))
        assert cli.run("verify").code == 0
        # Opened for writing, companions and all: every key is there, and it can be written to.
        assert cli.run("write", "probe", "value").code == 0
        info = json.loads(cli.ok("info", "--json"))
        assert info["entries"] == len(live_entries(place.store))
        assert (info["generation"] == f"{place.old_generation:016x}") <= (content != place.content)
        done = place.restore("--force")
        assert done.code == 0 and read(place.store) == place.content, done
        assert [name for name in os.listdir(data) if ".restore" in name] == []
    assert number > 15 and seen == {True, False}
