# SPDX-License-Identifier: MIT
"""What rdrived is told: checked beforehand, read again while it runs, and the same wherever it is written down."""
import json
import os
import resource
import signal
import socket

import pytest

from harness import settings, tokens
from harness.certificates import Authority
from harness.curl import Curl
from harness.daemon import REPOSITORY, run_to_end, wait_until

FREE = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")


class ConfigFile:
    def __init__(self, folder):
        self.path = os.path.join(folder, "rdrived.conf")

    def write(self, text=None, **members):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text if text is not None else json.dumps(members, indent=1))


@pytest.fixture
def config(folder):
    return ConfigFile(folder)


def reload(daemon):
    """Has the daemon read its configuration again, and returns what it logged about it."""
    seen = len(daemon.log())
    daemon.process.send_signal(signal.SIGHUP)
    marks = ("reloaded:", "nothing has changed")
    wait_until(lambda: any(mark in daemon.log()[seen:] for mark in marks), "the reload")
    return daemon.log()[seen:]


# ---- written down ---------------------------------------------------------------------------------------------------

def test_operations_tells_of_every_setting_and_of_no_other():
    assert settings.of_operations() == settings.of_help()


def test_the_manual_tells_of_every_setting_and_of_no_other():
    assert settings.of_manual() == {name: default for name, (default, _) in settings.of_help().items()}


# ---- checking -------------------------------------------------------------------------------------------------------

def test_check_config_says_what_would_be_used(folder, config):
    config.write('{\n"log_level": "warn",\n"stores": {"a": {"durability": "none"}}}')
    data_dir = os.path.join(folder, "data")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        code, out, err = run_to_end("--check-config", "--config", config.path, "--data-dir", data_dir, "--http", address,
                                    environment={"RDRIVE_LOOPS": "2"})
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert f"data_dir: {data_dir} (--data-dir)" in lines
    assert "loops: 2 (RDRIVE_LOOPS)" in lines
    assert f"log_level: warn ({config.path}:2)" in lines
    assert "durability: sync (default)" in lines
    assert 'stores.a: {"durability":"none"}' in lines
    assert {line.split(":")[0] for line in lines} == set(settings.of_help()) | {"stores.a"}
    assert not os.path.exists(data_dir)


def test_the_packaged_file_is_fit_for_use(folder):
    path = os.path.join(REPOSITORY, "packaging", "rdrived.conf")
    code, out, err = run_to_end("--check-config", "--config", path, "--data-dir", os.path.join(folder, "data"))
    assert (code, err) == (0, "")
    assert f"slow_log_ms: 1000 ({path}:7)" in out.splitlines()


def test_check_config_opens_no_store(folder, launch):
    daemon = launch()
    code, _, err = run_to_end("--check-config", "--data-dir", daemon.data_dir, "--listen", daemon.binary)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("flags, hint", [
    (("--data-dir", "/proc/nowhere/data"), "data_dir"),
    (("--data-dir", "/dev/null"), "data_dir"),
    (("--unix", "/nowhere/socket"), "unix"),
    (("--port-file", "/nowhere/ports"), "port_file"),
    (("--loops", "257"), "--loops: '257' is not of the form N, from 1 to 256"),
    (("--cpu-affinity", "on"), "--cpu-affinity: 'on' is not of the form auto|off"),
    (("--durability", "interval:3600001"), "MS from 1 to 3600000"),
    (("--unix", "/" + "u" * 107), "of at most 107 bytes"),
    (("--data-dir", "d" * 4096), "of 1 to 4095 bytes"),
    (("--tokens", "t" * 4096), "of at most 4095 bytes"),
    (("--http", "127.0.0.1:65536"), "PORT from 0 to 65535"),
    (("--listen", "0.0.0.0:0"), "0.0.0.0:0 is reached from beyond this machine"),
    (("--http", "[::]:0"), "[::]:0 is reached from beyond this machine"),
    (("--redis", "0.0.0.0:0"), "--insecure"),
])
def test_check_config_finds_what_would_fail(folder, flags, hint):
    code, _, err = run_to_end("--check-config", "--data-dir", os.path.join(folder, "data"), *flags)
    assert code == 2
    assert hint in err


@pytest.mark.parametrize("flags", [
    ("--listen", "0.0.0.0:0", "--insecure"),
    ("--listen", "localhost:0", "--http", "[::1]:0", "--redis", "127.8.8.8:0"),
    ("--durability", "interval:3600000"),
    ("--unix", "/" + "u" * 106),
])
def test_check_config_lets_pass_what_would_start(folder, flags):
    code, _, err = run_to_end("--check-config", "--data-dir", os.path.join(folder, "data"), *flags)
    assert (code, err) == (0, "")


# ---- stores ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("settings_of_it", [{}, {"durability": "none"}])
@pytest.mark.parametrize("name", ["a/b", ".a", "", "a" * 65])
def test_a_name_that_no_store_can_have(config, name, settings_of_it):
    config.write(stores={name: settings_of_it})
    code, _, err = run_to_end("--check-config", "--config", config.path)
    assert code == 2
    assert f"{config.path}:3: stores.{name[:40]}" in err and "a store's name is [A-Za-z0-9._-]{1,64}" in err


def test_the_file_goes_over_what_a_store_was_given(launch, config):
    daemon = launch()
    curl = Curl(daemon.http)
    assert curl.at("a").create({"durability": "none", "batch_marker": False}).status == 201
    daemon.stop()
    config.write(stores={"a": {"durability": "interval:9"}, "missing": {"durability": "none"}})
    daemon = launch("--config", config.path)
    curl = Curl(daemon.http)
    assert (curl.at("a").info()["durability"], curl.at("a").info()["batch_marker"]) == ("interval:9", False)
    assert curl.info()["durability"] == "sync"
    assert "settings for 'missing', and there is no such store" in daemon.log()
    assert not os.path.exists(daemon.store_path("missing"))
    daemon.stop()
    assert Curl(launch().http).at("a").info()["durability"] == "none"


# ---- reloading ------------------------------------------------------------------------------------------------------

def test_a_reload_changes_the_log_level(launch, config):
    config.write(log_level="info")
    daemon = launch("--config", config.path)
    Curl(daemon.http).at("quiet").create()
    config.write(log_level="debug")
    assert "reload: log_level has changed" in reload(daemon)
    with socket.create_connection(daemon.http_address) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # its close is a reset
    wait_until(lambda: "debug connection lost" in daemon.log(), "a line of the new level")
    config.write(log_level="info")
    reload(daemon)
    Curl(daemon.http).at("seen").create()
    wait_until(lambda: "store seen: created" in daemon.log(), "a line of the old level")
    assert "debug" not in daemon.log().split("reloaded:")[-1]


def test_a_reload_changes_durability(launch, config):
    config.write(durability="sync")
    daemon = launch("--config", config.path)
    curl = Curl(daemon.http)
    assert curl.at("a").create().status == 201
    assert curl.at("own").create({"durability": "interval:5"}).status == 201
    config.write(durability="interval:70", stores={"a": {"durability": "none"}})
    said = reload(daemon)
    assert "durability has changed" in said and "stores has changed" in said and "0 need a restart" in said
    assert [curl.at(name).info()["durability"] for name in ("default", "a", "own")] == ["interval:70", "none", "interval:5"]
    answer = curl.at("a").put("k", b"v")
    assert answer.headers["rdrive-durability"] == "none"
    assert curl.put("k", b"v").headers["rdrive-durability"] == "interval:70"
    assert curl.at("later").create().status == 201
    assert curl.at("later").info()["durability"] == "interval:70"
    config.write()
    reload(daemon)
    assert [curl.at(name).info()["durability"] for name in ("default", "a", "own")] == ["sync", "sync", "interval:5"]


def test_a_reload_says_what_needs_a_restart(launch, config):
    config.write(loops=1)
    daemon = launch("--config", config.path)
    config.write(loops=2, redis="127.0.0.1:0", cpu_affinity="off", stores={"default": {"batch_marker": False}})
    for _ in range(2):  # as long as it is so
        said = reload(daemon)
        assert "loops has changed and needs a restart" in said
        assert "redis has changed and needs a restart" in said
        assert "cpu_affinity has changed and needs a restart" in said
        assert "store default: batch_marker needs the store to be reopened" in said
    assert Curl(daemon.http).request("POST", "/v1/stores/default/reopen").status == 200
    assert Curl(daemon.http).info()["batch_marker"] is False


@pytest.mark.parametrize("text, hint", [
    ('{"log_level": "debug",\n"loops": 0}', ":2: loops"),
    ('{"log_level": "debug"', ":1: "),
    ('{"log_level": "debug",\n\n"colour": 1}', ":3: colour: no such setting"),
])
def test_a_reload_of_a_bad_file_changes_nothing(launch, config, text, hint):
    config.write(durability="none")
    daemon = launch("--config", config.path)
    config.write(text)
    said = reload(daemon)
    assert "error reload: nothing has changed" in said and hint in said
    assert Curl(daemon.http).info()["durability"] == "none"
    os.unlink(config.path)
    assert "nothing has changed" in reload(daemon)
    config.write(durability="sync")
    reload(daemon)
    assert Curl(daemon.http).info()["durability"] == "sync"


OTHERS = {"pipe": lambda path: os.mkfifo(path), "folder": lambda path: os.mkdir(path), "device": lambda path: os.symlink("/dev/zero", path)}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("setting", ["config", "tokens", "tls_cert", "tls_key"])
def test_what_is_read_again_is_a_regular_file(launch, folder, setting, what):
    """At a start and at a reload: a pipe that nobody writes to would hold the daemon up, a device never end."""
    issued = Authority(folder).issue("used")
    paths = {"config": os.path.join(folder, "rdrived.conf"), "tokens": os.path.join(folder, "tokens.json"),
             "tls_cert": issued.cert, "tls_key": issued.key}
    tokens.write(paths["tokens"], [tokens.row(tokens.ROOT, ["*"], tokens.VERBS)])
    with open(paths["config"], "w", encoding="utf-8") as file:
        json.dump({name: path for name, path in paths.items() if name != "config"}, file)
    daemon = launch("--config", paths["config"])
    kept = paths[setting] + ".kept"
    os.rename(paths[setting], kept)
    OTHERS[what](paths[setting])
    said = reload(daemon)
    assert "nothing has changed" in said and paths[setting] in said and "no regular file" in said
    code, _, error = run_to_end("--config", paths["config"], "--data-dir", os.path.join(folder, "other"))
    assert code == 2 and paths[setting] in error and "no regular file" in error
    (os.rmdir if what == "folder" else os.unlink)(paths[setting])
    os.symlink(kept, paths[setting])  # which is one, as secrets often are
    assert "reloaded: " in reload(daemon)


@pytest.mark.parametrize("names", [("tokens",), ("tls_cert", "tls_key")], ids=["tokens", "TLS"])
@pytest.mark.parametrize("begins", [True, False], ids=["begin", "end"])
def test_a_reload_counts_what_can_be_begun_and_ended_by_a_restart_alone(launch, folder, config, names, begins):
    """Who goes by the count must not take it for done."""
    issued = Authority(folder).issue("used")
    paths = {"tls_cert": issued.cert, "tls_key": issued.key,
             "tokens": tokens.write(os.path.join(folder, "tokens.json"), [tokens.row(tokens.ROOT, ["*"], tokens.VERBS)])}
    there = {name: paths[name] for name in names}
    config.write(**({} if begins else there))
    daemon = launch("--config", config.path)
    for slow_log_ms in (1000, 2000):  # the second time as well
        config.write(slow_log_ms=slow_log_ms, **(there if begins else {}))
        said = reload(daemon)
        assert "needs a restart" in said and not any(f"{name} has changed" in said for name in names), said
        assert "reloaded: 1 settings changed, 1 need a restart" in said, said


def test_settings_of_many_stores_are_soon_read(folder, config):
    """A reload reads them on a loop, which serves nobody meanwhile."""
    config.write(stores={f"store-{i:05}": {"quota_bytes": 1 << 30, "quota_entries": 5} for i in range(8000)})
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    code, out, err = run_to_end("--check-config", "--config", config.path, "--data-dir", os.path.join(folder, "data"))
    took_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert (code, err) == (0, "") and out.count("stores.store-") == 8000
    assert took_s < 4
    config.write(stores={f"store-{i:05}": {"quota_entries": -(i == 7999)} for i in range(8000)})
    code, _, err = run_to_end("--check-config", "--config", config.path)
    assert code == 2 and f"{config.path}:24001: stores.store-07999.quota_entries: settings: " in err


def test_flags_and_environment_stay_above_the_file(launch, config):
    config.write(durability="none")
    daemon = launch("--config", config.path, environment={"RDRIVE_DURABILITY": "interval:3"})
    config.write(durability="sync")
    assert "reloaded: 0 settings changed" in reload(daemon)
    assert Curl(daemon.http).info()["durability"] == "interval:3"


def test_the_service_manager_is_told(launch, folder, config):
    path = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(60)
        config.write()
        daemon = launch("--config", config.path, environment={"NOTIFY_SOCKET": path})
        assert manager.recv(4096) == b"READY=1"
        daemon.process.send_signal(signal.SIGHUP)
        begin = manager.recv(4096).split(b"\n")
        assert begin[0] == b"RELOADING=1"
        assert int(begin[1].removeprefix(b"MONOTONIC_USEC=")) > 0
        assert manager.recv(4096) == b"READY=1"
