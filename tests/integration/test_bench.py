# SPDX-License-Identifier: MIT
"""rdrive-bench against the real daemon: what it says it did is what the store holds, whatever the door."""
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from harness.bench import RDRIVE_BENCH, Bench
from harness.daemon import DEADLINE_S, clean_environment, wait_until
from harness.wire import DEFAULT_DURABILITY, HELLO, MAGIC, NONE, SYNC, VERSION, Wire

DOORS = ("server", "unix", "http")
OPS = ("put", "get", "mixed", "batch-put", "batch-get")
FIELDS = {"op": str, "ops": int, "errors": int, "misses": int, "seconds": float, "ops_per_sec": float,
          "mib_per_sec": float, "latency_us": dict}


def address(daemon, door):
    return (f"--{door}", {"server": daemon.binary, "unix": daemon.unix_path, "http": daemon.http}[door])


@pytest.fixture(params=DOORS)
def bench(daemon, store, request):
    return Bench(address(daemon, request.param), store)


def key(number):
    return b"key:%012d" % number


def hashes(wire):
    """Of all keys of the wire's store."""
    found, after = set(), 0
    while entries := wire.iterate(after):
        found |= {entry["key_hash"] for entry in entries}
        after = entries[-1]["offset"]
        if after == 0:
            break
    return found


def check_report(report, op):
    assert {name: type(value) for name, value in report.items()} == FIELDS
    assert report["op"] == op
    latency = report["latency_us"]
    assert set(latency) == {"p50", "p99", "p999", "max"}
    assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert report["seconds"] > 0
    assert report["ops_per_sec"] == pytest.approx(report["ops"] / report["seconds"], rel=0.01)


@pytest.mark.parametrize("depth", (1, 7))
@pytest.mark.parametrize("op", OPS)
def test_each_operation(bench, op, depth):
    """Exactly so many requests, each answered; batches count their entries."""
    batch = ("--batch", 13) if "batch" in op else ()
    bench.json("--op", "put", "--requests", 400, "--keys", 50, "--value-size", 77)
    report = bench.json("--op", op, "--requests", 500, "--clients", 9, "--depth", depth, "--keys", 50,
                        "--value-size", 77, *batch)
    check_report(report, op)
    assert report["ops"] == 500 * (13 if batch else 1)
    assert report["errors"] == 0
    assert report["misses"] == 0
    assert report["mib_per_sec"] == pytest.approx(report["ops_per_sec"] * 77 / 2 ** 20, rel=0.01)


def test_what_is_written_is_there(bench, wire):
    """Every key below --keys, no other one, and values of the size asked for."""
    bench.json("--op", "put", "--requests", 1000, "--keys", 20, "--value-size", 1000)
    values = [wire.read(key(number)) for number in range(20)]
    assert {len(value) for value in values} == {1000}
    assert len(set(values)) == 20
    assert wire.info()["entries"] == 20


@pytest.mark.parametrize("size", (1, 8, 16384, 16385, 1 << 20, (2 << 20) + 1))
def test_sizes(bench, wire, size):
    for op in ("put", "get"):
        report = bench.json("--op", op, "--requests", 8, "--clients", 2, "--depth", 2, "--keys", 1, "--value-size", size)
        assert (report["ops"], report["errors"], report["misses"]) == (8, 0, 0)
    assert len(wire.read(key(0))) == size


def test_what_a_batch_would_need_is_not_counted_for_single_values(bench):
    """A depth that a thousand entries at a time would not fit is one for single ones."""
    for op in ("put", "get", "mixed"):
        report = bench.json("--op", op, "--requests", 3000, "--depth", 2000, "--keys", 100)
        assert (report["ops"], report["errors"]) == (3000, 0)


@pytest.mark.parametrize("op", ("put", "get", "mixed"))
def test_a_batch_has_no_meaning_for_single_values(bench, op):
    """It is in the synopsis beside every op, and those who measure one op after the other give it with each."""
    assert bench.json("--op", op, "--requests", 20, "--batch", 1000, "--keys", 10)["ops"] == 20


def test_batches_are_written(bench, wire):
    bench.json("--op", "batch-put", "--requests", 40, "--clients", 2, "--batch", 25, "--keys", 10, "--value-size", 5)
    assert {len(wire.read(key(number))) for number in range(10)} == {5}


def test_misses_are_counted_and_no_error(bench):
    for op, entries in (("get", 1), ("batch-get", 10)):
        batch = ("--batch", 10) if op == "batch-get" else ()
        report = bench.json("--op", op, "--requests", 60, "--clients", 3, *batch)
        assert (report["ops"], report["misses"], report["errors"]) == (60 * entries, 60 * entries, 0)
        assert report["mib_per_sec"] == 0


def test_some_miss_and_some_do_not(bench, wire):
    wire.write(key(3), b"value")
    report = bench.json("--op", "get", "--requests", 1000, "--keys", 10)
    assert report["ops"] == 1000
    assert 800 < report["misses"] < 980


def test_mixed_reads_and_writes(bench, wire):
    bench.json("--op", "mixed", "--requests", 300, "--keys", 5, "--read-ratio", 1)
    assert wire.info()["entries"] == 0
    bench.json("--op", "mixed", "--requests", 300, "--keys", 5, "--read-ratio", "0.5")
    assert wire.info()["entries"] == 5


def test_another_length_is_an_error(bench, wire):
    """Only where a length was asked for."""
    wire.write(key(0), b"value")
    assert bench.json("--op", "get", "--requests", 20, "--keys", 1)["errors"] == 0
    report = bench.json("--op", "get", "--requests", 20, "--keys", 1, "--value-size", 6, code=1)
    assert (report["errors"], report["ops"]) == (20, 0)


def test_a_seed_repeats_the_keys(bench, wire):
    """Whatever the operation, the connections and the depth; another seed draws others."""
    run = ("--requests", 100, "--keys", 10 ** 12)
    bench.json("--op", "put", *run, "--seed", 7)
    drawn = hashes(wire)
    assert len(drawn) == 100
    assert bench.json("--op", "get", *run, "--seed", 7, "--clients", 3, "--depth", 5)["misses"] == 0
    assert bench.json("--op", "mixed", *run, "--seed", 7, "--read-ratio", "0.5")["misses"] == 0
    assert bench.json("--op", "put", *run, "--seed", 7, "--clients", 1)["ops"] == 100
    assert hashes(wire) == drawn
    assert bench.json("--op", "batch-get", "--requests", 10, "--batch", 10, "--keys", 10 ** 12, "--seed", 7)["misses"] == 0
    assert bench.json("--op", "get", *run, "--seed", 8)["misses"] == 100


def first_request(*options):
    """What rdrive-bench sends to a server that says hello, reads once and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = "127.0.0.1:%d" % listener.getsockname()[1]
        run = subprocess.Popen([RDRIVE_BENCH, options[0], where, "--clients", "1", *options[1:]], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=clean_environment())
        listener.settimeout(DEADLINE_S)
        with listener.accept()[0] as connection:
            if options[0] == "--server":
                assert connection.recv(16, socket.MSG_WAITALL) == HELLO
                limits = struct.pack("<IIIIII", 80 << 20, 32 << 10, 100000, 1024, 1 << 20, 256 << 10)
                connection.sendall(MAGIC + struct.pack("<HHI", VERSION, 0, len(limits)) + limits)
            sent = connection.recv(65536)
        run.communicate(timeout=DEADLINE_S)
        assert run.returncode == 1
    return sent


@pytest.mark.parametrize("op", ("put", "batch-put"))
@pytest.mark.parametrize("durability, number", (("none", NONE), ("sync", SYNC)))
def test_durability_is_asked_for(op, durability, number):
    options = ("--op", op, "--store", "s")
    frame = first_request("--server", *options, "--durability", durability)
    assert frame[16:19] == b"\x01s" + bytes([number])
    assert first_request("--server", *options)[16:19] == b"\x01s" + bytes([DEFAULT_DURABILITY])
    line = first_request("--http", *options, "--durability", durability).split(b"\r\n")[0]
    assert b"?durability=" + durability.encode() + b" HTTP/1.1" in line
    assert b"?" not in first_request("--http", *options).split(b"\r\n")[0]


def test_a_rate_is_honoured(bench):
    """Requests come when they are due: neither sooner, where the server is quick, nor all at once."""
    report = bench.json("--op", "put", "--rate", 400, "--requests", 400, "--durability", "none", "--keys", 10)
    assert report["ops"] == 400
    assert 0.99 < report["seconds"] < 20
    report = bench.json("--op", "put", "--rate", 500, "--seconds", 1, "--durability", "none", "--keys", 10)
    assert report["ops"] <= 500
    assert report["seconds"] >= 1


def test_a_stall_is_not_hidden(daemon, store):
    """The daemon stands still for half a second: at a fixed rate all that was due meanwhile has waited for it."""
    bench = Bench(("--server", daemon.binary), store)
    reports = []
    load = threading.Thread(target=lambda: reports.append(bench.json(
        "--op", "put", "--rate", 500, "--seconds", 4, "--clients", 1, "--durability", "none")))
    load.start()
    try:
        with Wire(daemon.binary_address, store) as wire:
            wait_until(lambda: wire.info()["entries"] > 0, "the load to begin")
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
        load.join()
    report = reports[0]
    # 250 of 2,000 requests fall into the pause; a closed loop would have had one slow request, p99 untouched.
    assert report["latency_us"]["max"] > 400_000
    assert report["latency_us"]["p99"] > 200_000


def test_what_was_never_sent_is_told(daemon, store):
    """A rate far beyond the server's: the run ends in time, and the latencies say what the queue would have been."""
    done = Bench(("--server", daemon.binary), store).run(
        "--op", "put", "--rate", 5_000_000, "--seconds", 1, "--clients", 1, "--json")
    assert done.returncode == 0, done
    assert "never sent" in done.stderr


def test_seconds(bench):
    report = bench.json("--op", "get", "--seconds", "0.5")
    assert 0.4 < report["seconds"] < 20
    assert report["ops"] > 100


def test_text_report(bench):
    done = bench.run("--op", "put", "--requests", 10)
    assert done.returncode == 0
    for word in ("ops", "per second", "p50", "p99.9", "misses", "errors"):
        assert word in done.stdout
    assert done.stderr == ""


def test_progress_on_a_terminal(daemon, store):
    """Standard error is a terminal here; standard output stays the report alone."""
    leader, follower = pty.openpty()
    try:
        done = subprocess.run([RDRIVE_BENCH, "--server", daemon.binary, "--store", store, "--op", "put", "--seconds", "1",
                               "--json"], stdout=subprocess.PIPE, stderr=follower, timeout=DEADLINE_S,
                              env=clean_environment())
        shown = os.read(leader, 65536)
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 0
    assert done.stdout.startswith(b"{") and done.stdout.count(b"\n") == 1
    assert b"ops/s" in shown


def test_the_server_from_the_environment(daemon, store):
    done = Bench(store=store).run("--op", "put", "--requests", 10, environment={"RDRIVE_SERVER": daemon.binary})
    assert done.returncode == 0, done


@pytest.mark.parametrize("server", ("nowhere", "h:", ":1", "[::1]7401", "h:1:2"))
def test_a_malformed_server_in_the_environment_is_wrong_usage(server):
    done = Bench().run("--op", "put", "--requests", 1, environment={"RDRIVE_SERVER": server})
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "RDRIVE_SERVER" in done.stderr and f'"{server}"' in done.stderr


def test_a_malformed_server_in_the_environment_is_not_asked_where_it_is_not_used(daemon, store):
    for arguments in (("--help",), ("--op", "put", "--requests", 1, "--server", daemon.binary, "--store", store)):
        assert Bench().run(*arguments, environment={"RDRIVE_SERVER": "nowhere"}).returncode == 0, arguments


# ---- failures ----------------------------------------------------------------------------------------------------------

def test_a_wrong_address(folder):
    for options in (("--server", "127.0.0.1:1"), ("--http", "127.0.0.1:1"), ("--unix", folder + "/none"),
                    ("--server", "no-such-host.invalid:1")):
        done = Bench(options).run("--op", "put", "--requests", 1, "--json")
        assert (done.returncode, done.stdout) == (1, ""), done
        assert "cannot" in done.stderr


def test_a_server_of_another_protocol(daemon):
    done = Bench(("--server", daemon.http)).run("--op", "put", "--requests", 1)
    assert done.returncode == 1
    assert "hello" in done.stderr or "speak" in done.stderr


def test_a_store_that_is_not_there(daemon):
    for door in DOORS:
        report = Bench(address(daemon, door), "no-such-store").json("--op", "get", "--requests", 10, code=1)
        assert (report["ops"], report["errors"], report["misses"]) == (0, 10, 0)


def test_more_than_the_server_takes(daemon, store):
    bench = Bench(("--server", daemon.binary), store)
    for options in (("--op", "put", "--value-size", 90 << 20), ("--op", "batch-put", "--batch", 100_001),
                    ("--op", "batch-put", "--value-size", 1 << 20, "--batch", 100, "--clients", 1)):
        done = bench.run(*options, "--requests", 1)
        assert done.returncode == 1, done
        assert "at most" in done.stderr


@pytest.mark.parametrize("door", DOORS)
def test_a_server_that_dies(launch, door):
    """The run ends, what was under way is counted, and the report comes all the same."""
    daemon = launch(unix=True)
    run = subprocess.Popen([RDRIVE_BENCH, *address(daemon, door), "--op", "put", "--seconds", "30", "--json"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
    with Wire(daemon.binary_address, "default") as wire:
        while wire.info()["entries"] < 10:
            pass
    daemon.kill()
    out, err = run.communicate(timeout=DEADLINE_S)
    assert run.returncode == 1
    assert b"50 connections lost" in err
    assert b'"errors":50,' in out
    daemon_again = launch(unix=True)
    assert Bench(address(daemon_again, door)).json("--op", "get", "--requests", 10)["errors"] == 0


@pytest.mark.parametrize("arguments", (
    (),
    ("--op", "fly"),
    ("--op", "put", "--clients", "0"),
    ("--op", "put", "--clients", "x"),
    ("--op", "put", "--depth", "-1"),
    ("--op", "put", "--value-size", "0"),
    ("--op", "put", "--keys", "0"),
    ("--op", "put", "--keys", "1000000000001"),
    ("--op", "batch-put", "--batch", "0"),
    ("--op", "put", "--clients", "100000", "--depth", "65536"),
    ("--op", "put", "--requests", "0"),
    ("--op", "put", "--requests", "5", "--seconds", "5"),
    ("--op", "put", "--seconds", "0"),
    ("--op", "put", "--seconds", "nan"),
    ("--op", "put", "--seconds", "1.2.3"),
    ("--op", "put", "--rate", "0"),
    ("--op", "put", "--durability", "maybe"),
    ("--op", "mixed", "--read-ratio", "1.5"),
    ("--op", "put", "--store", "../x"),
    ("--op", "put", "--seed", "x"),
    ("--op", "put", "--server", "nowhere"),
    ("--op", "put", "--server", "127.0.0.1:73017"),
    ("--op", "put", "--http", "127.0.0.1:184467440737095516167017"),
    ("--op", "put", "--server", "h:1", "--http", "h:1"),
    ("--op", "put", "--server", "h:1", "--unix", "/x"),
    ("--op", "batch-put", "--value-size", "1000000", "--batch", "1000"),
    ("--op", "put", "more"),
    ("--op",),
    ("--no-such-option",),
))
def test_wrong_usage(arguments):
    done = Bench().run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("rdrive-bench: ") or "rdrive-bench: " in done.stderr


@pytest.mark.parametrize("option", ("clients", "depth", "value-size", "keys", "batch", "requests", "seconds", "rate", "seed"))
def test_bounds_are_told_and_true(option):
    done = Bench().run("--op", "put", "--" + option, "x")
    least, most = re.search(r"--%s takes \w+, ([\d.]+|above 0) to (\d+), not \"x\"$" % option, done.stderr.strip()).groups()
    for value, code in ((least, 0), (most, 0), (int(most) + 1, 2)):
        if value != "above 0":
            assert Bench().run("--op", "put", "--" + option, value, "--help").returncode == code, value


def test_help_and_version(folder):
    assert Bench().run("--help", "--token-file", folder + "/none").returncode == 0
    done = Bench().run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--server", "--unix", "--http", "--op", "--clients", "--depth", "--value-size", "--keys", "--batch",
                   "--requests", "--seconds", "--rate", "--durability", "--read-ratio", "--store", "--seed", "--json"):
        assert option in done.stdout
    assert Bench().run("--version").stdout.startswith("rdrive-bench ")
