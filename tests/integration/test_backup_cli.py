# SPDX-License-Identifier: MIT
"""rdrive backup: a file that grows by what is new, goes on where it broke off, and starts anew beside itself where the
store's file is another one."""
import fcntl
import os
import re
import subprocess

import pytest

from harness.cli import Cli, Done
from harness.curl import Curl
from harness.daemon import DEADLINE_S, RDRIVE, REPOSITORY, clean_environment
from harness.killing import run_killed


def read(path, length=None):
    with open(path, "rb") as file:
        return file.read() if length is None else file.read(length)


def note_of(path):
    """(generation, whole, synced) of the note beside a backup."""
    generation, whole, synced = re.fullmatch(
        r"rdrive-backup 1\ngeneration ([0-9a-f]{16})\nwhole (\d+|none)\nsynced (\d+)\n",
        read(path + ".backup").decode()).groups()
    return generation, None if whole == "none" else int(whole), int(synced)


def write_note(path, generation, whole, synced):
    with open(path + ".backup", "w", encoding="ascii") as file:
        file.write(f"rdrive-backup 1\ngeneration {generation}\nwhole {whole}\nsynced {synced}\n")


class Backup:
    """A store, and a backup of it."""

    def __init__(self, daemon, curl, cli, store, folder):
        self.daemon = daemon
        self.curl = curl
        self.cli = cli
        self.source = daemon.store_path(store)
        self.path = os.path.join(folder, "copy.rdr")

    def run(self, *options):
        return self.cli.run("backup", self.path, "--json", *options)

    def take(self, *options):
        """Takes one, and looks whether it is the file; what it says."""
        done = self.run(*options)
        assert done.code == 0, done
        told = done.json()
        info = self.curl.info()
        assert (told["generation"], told["tail"]) == (info["generation"], info["tail"])
        assert read(self.path) == read(self.source, info["tail"])
        assert note_of(self.path) == (info["generation"], info["tail"], info["tail"])
        assert sorted(name for name in os.listdir(os.path.dirname(self.path)) if name.startswith("copy")) == [
            "copy.rdr", "copy.rdr.backup"]
        return told

    def write(self, key, length=100):
        assert self.curl.put(key, os.urandom(length).replace(b"\0", b"0")).status in (200, 201)


@pytest.fixture
def backup(daemon, curl, cli, store, folder):
    return Backup(daemon, curl, cli, store, folder)


def test_all_of_it_then_what_is_new(backup):
    backup.write("a", 3 << 20)
    assert backup.take()["full"] is True
    assert os.stat(backup.path).st_mode & 0o777 == 0o600
    for i in range(5):
        tail = os.path.getsize(backup.path)
        backup.write(f"b{i}", 1 + 1000 * i)
        told = backup.take()
        assert told["full"] is False and told["new_bytes"] == told["tail"] - tail
    assert backup.take()["new_bytes"] == 0
    assert Cli(("--file", backup.path)).run("verify").code == 0


def test_an_empty_store(backup):
    assert backup.take() == {"generation": backup.curl.info()["generation"], "tail": 0, "new_bytes": 0, "full": True}
    backup.write("a")
    assert backup.take()["full"] is False


def test_for_people(backup):
    backup.write("a")
    info = backup.curl.info()
    text = backup.cli.ok("backup", backup.path).decode()
    assert text == f"generation {info['generation']}\ntail {info['tail']}\nnew_bytes {info['tail']}\nfull true\n"


def test_to_standard_output(backup):
    backup.write("a", 2 << 20)
    assert backup.cli.ok("backup", "-") == read(backup.source, backup.curl.info()["tail"])
    done = backup.cli.run("backup", "-", "--json")
    assert done.code == 2 and done.out == b""


def test_full(backup):
    backup.write("a")
    backup.take()
    inode = os.stat(backup.path).st_ino
    told = backup.take("--full")
    assert told["full"] is True and told["new_bytes"] == told["tail"]
    assert os.stat(backup.path).st_ino != inode


def test_another_generation(backup):
    """The old one stays until the new one is whole."""
    backup.write("a")
    backup.take()
    backup.curl.drop()
    backup.curl.create()
    backup.write("other", 300)
    done = backup.run()
    assert done.code == 0 and done.json()["full"] is True
    assert "another one by now" in done.err and "stays until" in done.err
    backup.take()


def test_a_compacted_store_is_another_file(backup):
    """The backup becomes as short as the store has."""
    for i in range(30):
        backup.write("a", 10000)
    backup.take()
    backup.cli.ok("compact")
    done = backup.run()
    assert done.code == 0 and done.json()["full"] is True and done.json()["tail"] < 20000
    assert "another one by now" in done.err
    assert backup.take()["new_bytes"] == 0


def test_an_old_copy_of_the_store_was_put_back(launch, folder):
    """The generation is the same, the bytes are not: that is noticed, where the file is longer and where it is not."""
    path = os.path.join(folder, "copy.rdr")
    for length in (50, 300, 5000):
        daemon = launch()
        curl = Curl(daemon.http)
        curl.put("first", b"x" * 100)
        daemon.stop()
        kept = {name: read(os.path.join(daemon.data_dir, name)) for name in os.listdir(daemon.data_dir)}
        daemon = launch()
        curl = Curl(daemon.http)
        curl.put("second", b"y" * 300)
        generation = curl.info()["generation"]
        assert Cli(("--server", daemon.binary)).run("backup", path, "--full").code == 0
        daemon.stop()
        for name, content in kept.items():
            with open(os.path.join(daemon.data_dir, name), "wb") as file:
                file.write(content)
        daemon = launch()
        curl = Curl(daemon.http)
        tail = curl.put("third", b"z" * length).json()["tail"]
        assert curl.info()["generation"] == generation
        done = Cli(("--server", daemon.binary)).run("backup", path, "--json")
        assert done.code == 0 and done.json()["full"] is True, done
        assert read(path) == read(daemon.store_path("default"), tail)
        daemon.stop()


@pytest.mark.parametrize("damage", ["last byte", "beginning of the overlap"])
def test_what_is_there_is_compared(backup, damage):
    backup.write("a", 10000)
    tail = backup.take()["tail"]
    with open(backup.path, "r+b") as file:
        file.seek(tail - (1 if damage == "last byte" else 4096))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    done = backup.run()
    assert done.code == 0 and done.json()["full"] is True and "not what the store's file holds" in done.err
    backup.take()


def test_it_goes_on_where_it_broke_off(backup):
    """Of an increment what the note vouches for is kept; what lies behind it may be torn."""
    backup.write("a", 20000)
    tail = backup.take()["tail"]
    backup.write("b", 1 << 20)
    whole = read(backup.source, backup.curl.info()["tail"])
    with open(backup.path, "ab") as file:
        file.write(whole[tail:tail + 70000] + b"torn")
    generation = note_of(backup.path)[0]
    write_note(backup.path, generation, tail, tail + 70000)
    told = backup.take()
    assert told["full"] is False and told["new_bytes"] == len(whole) - tail - 70000


def test_a_first_one_goes_on_where_it_broke_off(backup):
    backup.write("a", 1 << 20)
    whole = read(backup.source, backup.curl.info()["tail"])
    part = backup.path + ".part"
    with open(part, "wb") as file:
        file.write(whole[:500000] + b"torn")
    write_note(part, backup.curl.info()["generation"], "none", 500000)
    told = backup.take()
    assert told["full"] is True and told["new_bytes"] == len(whole) - 500000


@pytest.mark.parametrize("what", ["another generation", "no note", "a note that is no note", "more than is there",
                                  "other bytes", "--full"])
def test_a_part_that_is_no_good_is_begun_anew(backup, what):
    backup.write("a", 100000)
    info = backup.curl.info()
    part = backup.path + ".part"
    whole = read(backup.source, info["tail"])
    with open(part, "wb") as file:
        file.write(whole[:50000] if what != "other bytes" else b"x" * 50000)
    if what == "a note that is no note":
        with open(part + ".backup", "wb") as file:
            file.write(b"rdrive-backup 1\ngeneration 0\nwhole 5 synced 4 and more")
    elif what != "no note":
        write_note(part, "0123456789abcdef" if what == "another generation" else info["generation"], "none",
                   60000 if what == "more than is there" else 50000)
    told = backup.take(*(["--full"] if what == "--full" else []))
    assert told["new_bytes"] == info["tail"]


def test_a_publishing_that_was_interrupted(backup):
    """Between any two of its steps."""
    backup.write("a", 1000)
    backup.take()
    old = read(backup.path)
    backup.write("b", 1000)
    info = backup.curl.info()
    whole = read(backup.source, info["tail"])
    note = (info["generation"], info["tail"], info["tail"])
    part = backup.path + ".part"

    os.unlink(backup.path + ".backup")  # step 1: the old note is gone
    with open(part, "wb") as file:
        file.write(whole)
    write_note(part, *note)
    assert read(backup.path) == old
    assert backup.take() == {"generation": info["generation"], "tail": info["tail"], "new_bytes": 0, "full": False}

    os.rename(backup.path + ".backup", part + ".backup")  # step 2: the new one is in place, its note is not
    assert backup.take()["new_bytes"] == 0


def test_what_is_no_backup_is_left_alone(backup):
    backup.write("a")
    with open(backup.path, "wb") as file:
        file.write(b"somebody's")
    done = backup.run()
    assert done.code == 1 and "--full" in done.err and read(backup.path) == b"somebody's"
    backup.take("--full")
    os.truncate(backup.path, 7)
    assert backup.run().code == 1
    backup.take("--full")


def test_what_cannot_be_written_to(backup, folder):
    backup.write("a")
    done = backup.cli.run("backup", os.path.join(folder, "absent", "copy"))
    assert done.code == 1 and "absent" in done.err
    done = backup.cli.run("backup", folder)
    assert done.code == 1 and folder in done.err
    done = backup.cli.run("backup", "/dev/full")
    assert done.code == 1


def test_a_disk_that_is_full(backup, folder):
    """A limit on file sizes stands for it; what has come is kept."""
    backup.write("a", 1 << 20)
    info = backup.curl.info()
    command = ["bash", "-c", 'ulimit -f 512; exec "$@"', "-", RDRIVE, *backup.cli.options, "backup", backup.path]
    done = Done(subprocess.run(command, capture_output=True, timeout=DEADLINE_S, env=clean_environment()))
    assert done.code != 0
    assert not os.path.exists(backup.path) and os.path.getsize(backup.path + ".part") == 512 << 10
    assert backup.take()["new_bytes"] in (info["tail"], info["tail"] - (512 << 10))


def test_two_at_once(backup):
    """The second one of the same backup is refused, and so is one of a store that is open."""
    backup.write("a")
    backup.take()
    with open(backup.path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = backup.run()
    assert done.code == 1 and "in use" in done.err
    done = backup.cli.run("backup", backup.source)
    assert done.code == 1 and "in use" in done.err


def test_a_store_that_is_not_there(backup):
    done = Cli(("--server", backup.daemon.binary), "absent").run("backup", backup.path)
    assert done.code == 3 and not os.path.exists(backup.path + ".part")


def test_offline(launch, folder):
    daemon = launch()
    curl = Curl(daemon.http)
    curl.put("a", os.urandom(100000))
    path = os.path.join(folder, "copy.rdr")
    offline = Cli(("--file", daemon.store_path("default")))
    done = offline.run("backup", path)
    assert done.code == 1 and "open in another process" in done.err
    assert Cli(("--server", daemon.binary)).run("backup", path).code == 0
    curl.put("b", b"more")
    generation = curl.info()["generation"]
    daemon.stop()
    before = {name: read(os.path.join(daemon.data_dir, name)) for name in os.listdir(daemon.data_dir)}
    told = offline.run("backup", path, "--json").json()
    assert (told["generation"], told["full"]) == (generation, False)
    assert read(path) == before["default.rdr"]
    assert {name: read(os.path.join(daemon.data_dir, name)) for name in os.listdir(daemon.data_dir)} == before
    assert offline.ok("backup", "-") == before["default.rdr"]


def test_the_script_of_the_handbook(launch, folder):
    """As docs/OPERATIONS.md has it, but for where the server and the backups are."""
    with open(os.path.join(REPOSITORY, "docs", "OPERATIONS.md"), encoding="utf-8") as file:
        script, = re.findall(r"```sh\n(#!/bin/sh\n# /usr/local/sbin/rdrive-backup.*?)```", file.read(), re.DOTALL)
    daemon = launch()
    target = os.path.join(folder, "backup")
    os.mkdir(target)
    environment = clean_environment(RDRIVE_SERVER=daemon.binary, PATH=os.path.dirname(RDRIVE) + ":" + os.environ["PATH"])
    assert Curl(daemon.http, "photos").create().status == 201

    def run():
        return subprocess.run(["sh", "-c", script.replace("/backup/", target + "/")], env=environment, timeout=DEADLINE_S,
                              capture_output=True).returncode

    for store in ("default", "photos"):
        Curl(daemon.http, store).put("a", b"value")
    assert run() == 0
    Curl(daemon.http, "photos").put("b", b"value")
    assert run() == 0
    for store in ("default", "photos"):
        assert read(os.path.join(target, store + ".rdr")) == read(daemon.store_path(store),
                                                                  Curl(daemon.http, store).info()["tail"])
    os.unlink(os.path.join(target, "default.rdr.backup"))
    assert run() == 1
    daemon.stop()
    assert run() == 1


def test_usage(cli):
    assert cli.run("backup").code == 2
    assert cli.run("backup", "a", "b").code == 2
    assert cli.run("backup", "a", "--force").code == 2
    assert cli.run("read", "a", "--full").code == 2


# ---- killed at any moment ----------------------------------------------------------------------------------------------

def test_killed_at_every_call(backup, folder):
    """A first one, an increment, and a whole new one over an old one. Whatever is at its place can be restored, to what
    had been whole, and the next run makes it the file."""
    backup.write("a", 30000)
    states = []
    for round_name, options in (("first", []), ("increment", []), ("anew", ["--full"])):
        number = 0
        code = 1
        while code != 0:
            number += 1
            if round_name != "anew":
                backup.write(f"{round_name} {number}", 200)
            code = run_killed(number, RDRIVE, *backup.cli.options, "backup", backup.path, *options)
            states.append(code)
            if os.path.exists(backup.path):
                target = os.path.join(folder, "restored.rdr")
                done = Cli(("--file", target)).run("restore", backup.path, "--force", "--json")
                assert done.code == 0, (round_name, number, done)
                assert read(target) == read(backup.source, done.json()["tail"])
            if round_name != "anew" or code == 0:
                backup.take()
            if round_name == "first" and code != 0:
                os.unlink(backup.path)
                os.unlink(backup.path + ".backup")
            assert number < 200
        assert number > 5, "it was hardly ever killed"
    backup.take()
    assert set(states) == {0, -9} or set(states) == {0, 137}, states
