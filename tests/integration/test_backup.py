# SPDX-License-Identifier: MIT
"""backup: the file as it is at one moment, taken while writes go on, resumed where it broke off, and grown by what is
new."""
import json
import os
import random
import signal
import subprocess
import threading

import pytest

from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import clean_environment, wait_until
from harness.faults import Fault
from harness.rawhttp import RawHttp, request
from harness.storefile import live_entries
from harness.wire import ABORT, CHUNK, END, NONE, PRECONDITION_FAILED, RANGE_NOT_SATISFIABLE, UNAVAILABLE, Wire, WireError

LONG = random.Random(7).randbytes((3 << 20) + 77)


def file_bytes(daemon, store, length):
    with open(daemon.store_path(store), "rb") as file:
        return file.read(length)


def take(curl, query="", headers=(), options=()):
    return curl.request("GET", f"backup{query}", headers=headers, options=options)


@pytest.fixture
def filled(daemon, curl, wire):
    """A store with entries of all kinds; its tail."""
    for i in range(20):
        wire.write(b"key %d" % (i % 15), os.urandom(1 + i * 50).replace(b"\0", b"0"))
    wire.batch_write([(b"batch %d" % i, os.urandom(70)) for i in range(10)])
    wire.delete(b"key 7")
    wire.write(b"long", LONG)
    return curl.info()["tail"]


# ---- over HTTP -------------------------------------------------------------------------------------------------------

def test_all_of_it(daemon, curl, store, filled):
    answer = take(curl)
    generation = curl.info()["generation"]
    assert answer.status == 200
    assert answer.body == file_bytes(daemon, store, filled)
    assert answer.headers["rdrive-generation"] == generation
    assert answer.headers["rdrive-tail"] == answer.headers["content-length"] == str(filled)
    assert answer.headers["rdrive-offset"] == "0"
    assert answer.headers["etag"] == f'"{generation}-{filled:x}"'
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{store}.rdr"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    head = curl.request("HEAD", "backup", headers=["Range: bytes=5-"])
    assert (head.status, head.headers) == (200, answer.headers)


def test_an_empty_store(curl):
    answer = take(curl)
    assert (answer.status, answer.body, answer.headers["rdrive-tail"]) == (200, b"", "0")
    assert take(curl, "?from=1").status == 416


def test_a_short_one(daemon, curl, store):
    tail = curl.put("k", b"value").json()["tail"]
    assert take(curl).body == file_bytes(daemon, store, tail)


@pytest.mark.parametrize("part", [0, 1, 63, 64, 5000, -1, None])
def test_from_an_offset(daemon, curl, store, filled, part):
    offset = filled if part is None else part % filled
    answer = take(curl, f"?from={offset}&generation={curl.info()['generation']}")
    assert answer.status == 200
    assert answer.body == file_bytes(daemon, store, filled)[offset:]
    assert (answer.headers["rdrive-offset"], answer.headers["rdrive-tail"]) == (str(offset), str(filled))


def test_from_behind_the_end(curl, filled):
    answer = take(curl, f"?from={filled + 1}")
    assert (answer.status, answer.error) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{filled}"
    assert answer.headers["rdrive-generation"] == curl.info()["generation"]


@pytest.mark.parametrize("text, first, end", [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=70-", 70, None),
                                              ("bytes=-33", -33, None)])
def test_ranges(daemon, curl, store, filled, text, first, end):
    answer = take(curl, headers=[f"Range: {text}"])
    whole = file_bytes(daemon, store, filled)
    assert (answer.status, answer.body) == (206, whole[first:end])
    first %= filled
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.body) - 1}/{filled}"
    assert answer.headers["rdrive-offset"] == str(first)


def test_if_range_knows_the_file_though_it_has_grown(curl, filled):
    tag = take(curl, f"?from={filled}").headers["etag"]
    tail = curl.put("more", b"value").json()["tail"]
    grown = take(curl, headers=[f"Range: bytes={filled}-", f"If-Range: {tag}"])
    assert (grown.status, len(grown.body)) == (206, tail - filled)
    assert grown.headers["etag"] != tag
    for other in ('"0123456789abcdef-1"', f"W/{tag}", '"x"', "Thu, 01 Jan 2026 00:00:00 GMT", f"{tag}, {tag}"):
        whole = take(curl, headers=[f"Range: bytes={filled}-", f"If-Range: {other}"])
        assert (whole.status, len(whole.body)) == (200, tail), other


def test_if_match(curl, filled):
    tag = take(curl, f"?from={filled}").headers["etag"]
    curl.put("more", b"value")
    for good in (tag, "*"):
        assert take(curl, headers=[f"If-Match: {good}"]).status == 200
    for bad in ('"0123456789abcdef-1"', f"W/{tag}", '"x"', "junk"):
        answer = take(curl, headers=[f"If-Match: {bad}"])
        assert (answer.status, answer.error) == (412, "precondition_failed"), bad
    assert take(curl, "?generation=0123456789abcdef", headers=[f"If-Match: {tag}"]).status == 412


@pytest.mark.parametrize("query", ["?from=", "?from=-1", "?from=x", "?from=1&from=1", "?generation=12", "?generation=",
                                   "?generation=0000000000000000", "?generation=0123456789abcdeg", "?after=1", "?x=1"])
def test_what_is_refused(curl, query):
    answer = take(curl, query)
    assert (answer.status, answer.error) == (400, "invalid_argument")


def test_from_and_range_exclude_each_other(curl, filled):
    assert take(curl, "?from=1", ["Range: bytes=2-"]).status == 400
    assert take(curl, "?from=0", ["Range: bytes=2-"]).status == 206


def test_other_methods_and_stores(daemon, curl):
    answer = curl.request("POST", "backup")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert take(Curl(daemon.http, "absent")).status == 404


def test_another_generation(daemon, curl, store, filled):
    first = take(curl)
    generation = first.headers["rdrive-generation"]
    assert curl.drop().status == 200 and curl.create().status == 201
    curl.put("k", b"anew")
    answer = take(curl, f"?from={filled}&generation={generation}")
    assert (answer.status, answer.error) == (412, "precondition_failed")
    assert answer.headers["rdrive-generation"] == curl.info()["generation"] != generation
    anew = take(curl, headers=["Range: bytes=5-", f"If-Range: {first.headers['etag']}"])
    assert (anew.status, anew.body) == (200, file_bytes(daemon, store, curl.info()["tail"]))


def test_a_chain_of_increments_is_the_file(daemon, curl, wire, store, filled):
    first = take(curl)
    generation = first.headers["rdrive-generation"]
    kept = first.body
    for round_number in range(5):
        for i in range(30):
            wire.write(b"%d-%d" % (round_number, i), os.urandom(10 + 37 * i))
        more = take(curl, f"?from={len(kept)}&generation={generation}")
        assert more.status == 200 and more.body
        kept += more.body
    assert kept == file_bytes(daemon, store, curl.info()["tail"])
    assert take(curl, f"?from={len(kept)}&generation={generation}").body == b""


def test_it_outlives_a_restart(launch):
    daemon = launch()
    curl = Curl(daemon.http)
    curl.put("a", b"value")
    first = take(curl)
    daemon.kill()
    curl = Curl(launch().http)
    curl.put("b", b"more")
    more = take(curl, f"?from={len(first.body)}&generation={first.headers['rdrive-generation']}")
    assert more.status == 200
    assert more.headers["rdrive-tail"] == str(len(first.body) + len(more.body))


def test_writes_that_were_not_synced_are_synced_for_it(launch):
    """Durability none: the backup holds them, and so the disk does."""
    daemon = launch("--durability", "none")
    trace = os.path.join(daemon.folder, "trace")
    with Wire(daemon.binary_address) as wire:
        wire.write(b"k", b"value", NONE)
        with open(os.path.join(daemon.folder, "strace.log"), "wb") as log:
            strace = subprocess.Popen(["strace", "-f", "-o", trace, "-e", "trace=fdatasync", "-p", str(daemon.process.pid)],
                                      stdout=log, stderr=log)
        try:
            wait_until(lambda: b"attached" in open(log.name, "rb").read(), "strace to attach")
            answer = take(Curl(daemon.http))
        finally:
            strace.terminate()
            strace.wait()
    assert b"value" in answer.body
    with open(trace, "rb") as file:
        assert b"fdatasync(" in file.read()


def test_a_store_that_takes_no_more_writes_is_synced_all_the_same(launch, folder):
    """By a setting, behind writes that asked for no sync."""
    path = os.path.join(folder, "rdrived.conf")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"stores": {}}, file)
    daemon = launch("--config", path)
    curl = Curl(daemon.http)
    tail = curl.put("k", b"value", "?durability=none").json()["tail"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"stores": {"default": {"read_only": True}}}, file)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reloaded:" in daemon.log(), "the reload")
    assert curl.info()["state"] == "read_only"
    answer = take(curl)
    assert (answer.status, answer.headers["rdrive-tail"], b"value" in answer.body) == (200, str(tail), True)


def test_a_store_that_has_failed_shows_what_was_synced(launch):
    """Its sync fails: what was acknowledged without one is lost to a reopening, so it is not in the backup."""
    daemon = launch()
    curl = Curl(daemon.http)
    synced = curl.put("a", b"synced").json()["tail"]
    curl.put("b", b"not synced", "?durability=none")
    with Fault(daemon.process.pid, "fdatasync"):
        first = take(curl)
    assert curl.info()["state"] == "read_only"
    for answer in (first, take(curl)):
        assert (answer.status, answer.headers["rdrive-tail"]) == (200, str(synced))
        assert answer.body == file_bytes(daemon, "default", synced)


def test_curl_goes_on_where_it_broke_off(daemon, curl, store, filled, folder):
    """curl -C - on a copy that was cut short; the generation guards it."""
    generation = curl.info()["generation"]
    path = os.path.join(folder, "copy.rdr")
    whole = file_bytes(daemon, store, filled)
    with RawHttp(daemon.http_address) as raw:
        raw.send(request("GET", f"/v1/stores/{store}/backup"))
        while len(raw.buffer) < 1 << 20:
            assert raw._more()
    with open(path, "wb") as file:
        file.write(raw.buffer.split(b"\r\n\r\n", 1)[1])
    command = ["curl", "-sS", "-f", "-C", "-", "-o", path, "-w", "%{http_code} %{size_download}",
               f"http://{daemon.http}/v1/stores/{store}/backup?generation={generation}"]
    left = filled - os.path.getsize(path)
    done = subprocess.run(command, capture_output=True, env=clean_environment(), check=True)
    assert done.stdout.decode() == f"206 {left}"
    with open(path, "rb") as file:
        assert file.read() == whole
    tail = curl.put("more", b"value").json()["tail"]
    subprocess.run(command, capture_output=True, env=clean_environment(), check=True)
    with open(path, "rb") as file:
        assert file.read() == file_bytes(daemon, store, tail)
    curl.drop()
    curl.create()
    done = subprocess.run(command, capture_output=True, env=clean_environment())
    assert done.returncode == 22 and b"412" in done.stderr
    with open(path, "rb") as file:
        assert len(file.read()) == tail


def test_beside_fifty_writers(daemon, curl, store, folder):
    """What was acknowledged before the backup was asked for is in it, and all of it is whole."""
    path = os.path.join(folder, "copy.rdr")
    stop = threading.Event()
    acknowledged = {}
    failures = []

    def write_on(number):
        try:
            with Wire(daemon.binary_address, store) as wire:
                count = 0
                while not stop.is_set():
                    key = b"%d-%d" % (number, count)
                    if count % 10 == 9:
                        wire.batch_write([(key + b"-%d" % i, b"batch") for i in range(4)])
                    else:
                        wire.write(key, b"v" * (1 + count % 300))
                    count += 1
                    acknowledged[number] = count
        except Exception as error:  # to be told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=write_on, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(acknowledged) == 50 and min(acknowledged.values()) > 20 or failures, "writes")
        for _ in range(3):
            before = dict(acknowledged)
            answer = take(curl)
            assert answer.status == 200
            with open(path, "wb") as file:
                file.write(answer.body)
            copy = Cli(("--file", path))
            assert copy.run("verify").code == 0
            assert json.loads(copy.ok("info", "--json"))["tail"] == len(answer.body)
            keys = [f"{number}-{count - 1}" + ("" if count % 10 else "-3") for number, count in before.items()]
            found = json.loads(copy.ok("batch-read", stdin=json.dumps({"keys": keys}).encode()))
            assert all(value["found"] for value in found["values"])
            assert len(live_entries(path)) >= sum(before.values())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_slow_reader_holds_nobody_up(daemon, curl, store):
    """Its bytes are the file's of the moment it asked, whatever is written meanwhile."""
    value = os.urandom(24 << 20)
    tail = curl.put("long", value).json()["tail"]
    with RawHttp(daemon.http_address) as raw:
        raw.send(request("GET", f"/v1/stores/{store}/backup"))
        assert raw._more()
        with Wire(daemon.binary_address, store) as wire:
            for i in range(50):
                wire.write(b"k%d" % i, b"value")
        answer = raw.answer()
    assert answer.headers["rdrive-tail"] == str(tail)
    assert answer.body == file_bytes(daemon, store, tail)


def test_a_compaction_does_not_disturb_it(daemon, curl, store):
    """A reader of the old file has it to its end."""
    curl.put("long", os.urandom(24 << 20))
    tail = curl.put("long", os.urandom(1 << 20)).json()["tail"]
    whole = file_bytes(daemon, store, tail)
    with RawHttp(daemon.http_address) as raw:
        raw.send(request("GET", f"/v1/stores/{store}/backup"))
        assert raw._more()
        assert curl.request("POST", "compact").status == 200
        assert curl.info()["tail"] < 2 << 20
        answer = raw.answer()
    assert answer.body == whole
    refused = take(curl, f"?from={tail}&generation={answer.headers['rdrive-generation']}")
    assert refused.status == 412 and refused.headers["rdrive-generation"] == curl.info()["generation"]


def test_requests_behind_it_are_answered_in_turn(daemon, curl, store, filled):
    with RawHttp(daemon.http_address) as raw:
        raw.send(request("GET", f"/v1/stores/{store}/backup") + request("PUT", f"/v1/stores/{store}/keys/k", b"v")
                 + request("GET", f"/v1/stores/{store}/backup?from={filled}"))
        assert len(raw.answer().body) >= filled
        tail = json.loads(raw.answer().body)["tail"]
        assert len(raw.answer().body) == tail - filled


def test_a_file_that_others_cut_is_not_passed_on(launch):
    daemon = launch()
    curl = Curl(daemon.http)
    assert curl.put("long", os.urandom(24 << 20)).status == 201
    length = curl.info()["tail"]
    with RawHttp(daemon.http_address) as raw:
        raw.send(request("GET", "/v1/stores/default/backup"))
        assert raw._more()
        os.truncate(daemon.store_path("default"), 4096)
        while raw._more():
            pass
        body = raw.buffer.split(b"\r\n\r\n", 1)[1]
    assert len(body) < length
    answer = take(curl)
    assert (answer.status, answer.error) == (500, "io_error")
    daemon.assert_alive()


def test_dropping_waits_for_it(launch):
    """A backup that its reader takes goes on to its end; the drop waits."""
    daemon = launch()
    curl = Curl(daemon.http, "victim")
    curl.create()
    curl.put("long", os.urandom(24 << 20))
    whole = file_bytes(daemon, "victim", curl.info()["tail"])
    with RawHttp(daemon.http_address) as raw:
        raw.send(request("GET", "/v1/stores/victim/backup"))
        assert raw._more()
        dropped = []
        thread = threading.Thread(target=lambda: dropped.append(curl.drop().status))
        thread.start()
        wait_until(lambda: take(curl).status in (404, 503), "the drop to begin")
        assert raw.answer().body == whole
        thread.join()
    assert dropped == [200]


def test_stopping_the_daemon_ends_it(launch):
    """A reader that does not read does not keep it, over either protocol."""
    daemon = launch()
    curl = Curl(daemon.http)
    curl.put("long", os.urandom(24 << 20))
    with RawHttp(daemon.http_address) as raw, Wire(daemon.binary_address) as wire:
        raw.send(request("GET", "/v1/stores/default/backup"))
        assert raw._more()
        identifier = wire.start_backup(credit=1000)
        head = wire.backup_head(identifier)
        assert wire.answer()[1] == CHUNK
        daemon.stop()
        with pytest.raises(WireError) as raised:
            wire.read_parts(identifier, head["len"])
        assert raised.value.status == UNAVAILABLE
        while raw._more():
            pass
        assert len(raw.buffer) < 24 << 20


# ---- over the binary protocol ------------------------------------------------------------------------------------------

def test_in_parts(daemon, wire, store, filled):
    head, body = wire.backup()
    generation = wire.info()["generation"]
    assert head == {"generation": generation, "tail": filled, "first": 0, "len": filled}
    assert body == file_bytes(daemon, store, filled)
    head, body = wire.backup(1000, generation)
    assert (head["first"], body) == (1000, file_bytes(daemon, store, filled)[1000:])
    head, body = wire.backup(filled, generation)
    assert (head["first"], head["len"], body) == (filled, 0, b"")


def test_refusals_of_parts(wire, filled):
    for start, generation, status in ((0, 1, PRECONDITION_FAILED), (filled + 1, 0, RANGE_NOT_SATISFIABLE),
                                      (filled + 1, 1, PRECONDITION_FAILED)):
        with pytest.raises(WireError) as raised:
            wire.backup(start, generation)
        assert raised.value.status == status
    wire.ping()


def test_credit_rules_the_parts(wire, filled):
    """Nothing without it, as much as it says, and other requests between."""
    identifier = wire.start_backup(credit=0)
    head = wire.backup_head(identifier)
    wire.ping(b"nothing in between")
    wire.send_credit(identifier, 1000)
    got = b""
    while len(got) < 1000:
        answer = wire.answer()
        assert answer[:2] == (identifier, CHUNK)
        got += answer[3]
    assert len(got) == 1000
    wire.ping(b"nor now")
    wire.send_credit(identifier, head["len"] - 1000)
    while len(got) < head["len"]:
        got += wire.answer()[3]
    assert wire.answer()[:2] == (identifier, END)


def test_it_is_given_up(wire, filled):
    for early in (True, False):
        identifier = wire.start_backup(credit=10)
        if early:
            wire.send_abort(identifier)
        wire.backup_head(identifier)
        if not early:
            assert wire.answer()[1] == CHUNK
            wire.send_abort(identifier)
        answer = wire.answer()
        while answer[1] == CHUNK:
            answer = wire.answer()
        assert answer[:2] == (identifier, ABORT)
    wire.ping()


def test_several_at_once_on_one_connection(daemon, wire, store, filled):
    identifiers = [wire.start_backup(start * 1000) for start in range(20)]
    got = dict.fromkeys(identifiers, b"")
    ended = set()
    while len(ended) < len(identifiers):
        identifier, opcode, status, body = wire.answer()
        assert status == 0 and identifier in got
        if opcode == CHUNK:
            got[identifier] += body
        elif opcode == END:
            ended.add(identifier)
    whole = file_bytes(daemon, store, filled)
    assert list(got.values()) == [whole[start * 1000:] for start in range(20)]
