# SPDX-License-Identifier: MIT
"""verify: damage of every kind is named on every face, while the store serves, and nobody is stopped by it."""
import hashlib
import json
import os
import pty
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from harness.care import FACES, Refused, look_of_lines
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import DEADLINE_S, RDRIVE, Daemon, clean_environment, wait_until
from harness.rawhttp import RawHttp, request
from harness.storefile import RESERVED_KEY_HASH, physical_entries, read_chain
from harness.wire import ALL_ONES, DROP, NONE, REOPEN, VERIFY, Wire, WireError, store_bytes, verify_answer

MANY = 1200  # more than a look over HTTP lists
LISTED_MAX = 1000


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))


def fill(wire, store, seed):
    """Writes of all kinds: values that are replaced, deleted, and come in batches."""
    source = random.Random(seed)
    wire.store = store
    for i in range(40):
        wire.write(b"key %d" % (i % 30), source.randbytes(source.choice([1, 44, 300, 5000])).replace(b"\0", b"0"))
    wire.batch_write([(b"batch %d" % i, source.randbytes(70)) for i in range(10)])
    wire.delete(b"key 7")
    wire.batch_delete([b"batch 3", b"batch 4"])
    wire.write(b"replaced", b"r" * 301)
    wire.write(b"replaced", b"anew")
    wire.write(b"last", b"x" * 100)


def problem(kind, live, offset, length, key_hash):
    return {"kind": kind, "live": live, "offset": offset, "length": length, "key_hash": f"{key_hash:016x}"}


def damage_one_of_each(path):
    """A value that lives, one that was replaced, a pad, and a batch's marker; returns what is to be found."""
    chain = read_chain(path)
    newest = {entry.key_hash: entry.offset for entry in chain}
    live = next(entry for entry in chain if newest[entry.key_hash] == entry.offset and len(entry.payload) == 100)
    dead = next(entry for entry in chain if newest[entry.key_hash] != entry.offset and len(entry.payload) == 301)
    padded = next(entry for entry in chain if entry.offset - entry.prev_tail > 8)
    first_of_batch = next(entry for entry in chain if len(entry.payload) == 70)
    marker_end = first_of_batch.prev_tail
    flip(path, live.offset + 50)
    flip(path, dead.offset)
    flip(path, padded.prev_tail + 3)
    flip(path, marker_end - 1)  # the highest byte of its count
    found = [
        problem("payload", True, live.offset, 100, live.key_hash),
        problem("payload", False, dead.offset, 301, dead.key_hash),
        problem("pad", False, padded.prev_tail, padded.offset - padded.prev_tail, padded.key_hash),
        problem("batch", False, marker_end - 21, 21, RESERVED_KEY_HASH),
    ]
    return sorted(found, key=lambda one: -one["offset"])


class Hurt:
    """A daemon that was stopped, whose files were damaged, and that serves them again."""

    def __init__(self, folder):
        self.daemon = Daemon(folder)
        with Wire(self.daemon.binary_address) as wire:
            for number, store in enumerate(("clean", "hurt", "broken")):
                wire.create(store)
                fill(wire, store, number)
            wire.create("many")
            wire.store = "many"
            wire.batch_write([(b"%d" % i, os.urandom(50)) for i in range(MANY)])
        self.daemon.stop()
        path = self.daemon.store_path
        self.entries = {store: len(physical_entries(path(store))) for store in ("clean", "hurt", "many")}
        self.sizes = {store: os.path.getsize(path(store)) for store in ("clean", "hurt", "many", "broken")}
        self.problems = damage_one_of_each(path("hurt"))
        for entry in read_chain(path("many")):
            flip(path("many"), entry.offset + 7)
        self.broken = read_chain(path("broken"))[20]
        flip(path("broken"), self.broken.end - 12)  # where the entry before it ends
        self.digests = {store: self.digest(store) for store in self.sizes}
        self.daemon = Daemon(folder)

    def digest(self, store):
        with open(self.daemon.store_path(store), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()


@pytest.fixture(scope="module")
def hurt():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    hurt = Hurt(folder)
    try:
        yield hurt
        hurt.daemon.stop()
        assert hurt.digests == {store: hurt.digest(store) for store in hurt.digests}, "looking has changed a file"
    finally:
        hurt.daemon.kill()
        shutil.rmtree(folder)


@pytest.fixture(params=FACES, ids=lambda face: face.name)
def face_of(request, hurt, care):
    hurt.daemon.assert_alive()
    yield lambda store: request.param(hurt.daemon, store, care)
    hurt.daemon.assert_alive()


@pytest.mark.parametrize("step", [0, 1, 1000])
def test_nothing_is_wrong(hurt, face_of, step):
    assert face_of("clean").verify(step) == {"entries": hurt.entries["clean"], "bytes": hurt.sizes["clean"],
                                             "problem_count": 0, "problems": []}


@pytest.mark.parametrize("step", [0, 1, 1000])
def test_damage_is_named(hurt, face_of, step):
    assert face_of("hurt").verify(step) == {"entries": hurt.entries["hurt"], "bytes": hurt.sizes["hurt"],
                                            "problem_count": 4, "problems": hurt.problems}


def test_more_problems_than_a_step_can_list(hurt, face_of):
    """Every one is told, but where a look lists a thousand at most."""
    face = face_of("many")
    look = face.verify()
    listed_max = LISTED_MAX if face.name in ("http", "cli --json", "python", "python aio") else MANY
    assert (look["entries"], look["problem_count"], len(look["problems"])) == (hurt.entries["many"], MANY, listed_max)
    offsets = [one["offset"] for one in look["problems"]]
    assert offsets == sorted(set(offsets), reverse=True)
    assert {(one["kind"], one["live"], one["length"]) for one in look["problems"]} == {("payload", True, 50)}


def test_a_link_that_leads_nowhere(hurt, face_of):
    """The store serves what can be told apart, and verify names the rest."""
    look = face_of("broken").verify()
    chains = [one for one in look["problems"] if one["kind"] == "chain"]
    assert look["problem_count"] == len(look["problems"]) >= 1 and len(chains) == 1
    assert chains[0]["offset"] <= hurt.broken.offset < chains[0]["offset"] + chains[0]["length"] <= hurt.broken.end
    assert (chains[0]["key_hash"], chains[0]["live"]) == ("0" * 16, False)
    info = Curl(hurt.daemon.http, "broken").info()
    assert info["state"] == "read_only" and info["reason"]
    assert Curl(hurt.daemon.http, "broken").get("last").body == b"x" * 100


def test_no_such_store(face_of):
    with pytest.raises(Refused) as error:
        face_of("no-such-store").verify()
    assert error.value.status == "store_not_found"


def test_offline(hurt, folder):
    """The same is found in the file alone, which stays as it is, and so does the folder."""
    for store, count in (("clean", 0), ("hurt", 4), ("many", MANY)):
        path = os.path.join(folder, store + ".rdr")
        shutil.copy(hurt.daemon.store_path(store), path)
        os.chmod(path, 0o400)
        before = sorted(os.listdir(folder)), os.stat(path).st_mtime_ns, hurt.digests[store]
        done = Cli(("--file", path)).run("verify")
        look = look_of_lines(done)
        assert (look["problem_count"], len(look["problems"])) == (count, count) and not done.err
        if store == "hurt":
            assert look["problems"] == hurt.problems
        look = Cli(("--file", path)).run("--json", "verify").json()
        assert (look["ok"], look["problem_count"], len(look["problems"])) == (count == 0, count, min(count, LISTED_MAX))
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        assert (sorted(os.listdir(folder)), os.stat(path).st_mtime_ns, digest) == before
    done = Cli(("--file", os.path.join(folder, "missing.rdr"))).run("verify")
    assert done.code == 1 and "missing.rdr" in done.err and not done.out


# ---- steps ----------------------------------------------------------------------------------------------------------

def test_an_empty_store(daemon, store, curl, wire, cli):
    assert curl.request("POST", "verify").json() == {"ok": True, "entries": 0, "bytes": 0, "from": 0, "next": 0,
                                                     "problem_count": 0, "problems": []}
    assert wire.verify() == {"from": 0, "next": 0, "entries": 0, "bytes": 0, "problem_count": 0, "problems": []}
    assert cli.ok("verify") == b"0 entries, 0 bytes, 0 problems\n"


def test_one_step_over_http(curl):
    tails = [curl.put(f"k{i}", b"value").json()["tail"] for i in range(3)]
    step = curl.request("POST", "verify?limit=1").json()
    assert (step["from"], step["next"], step["entries"], step["bytes"]) == (tails[2], tails[1], 1, tails[2] - tails[1])
    step = curl.request("POST", f"verify?from={step['next']}").json()
    assert (step["from"], step["next"], step["entries"]) == (tails[1], 0, 2)
    for query in (f"from={tails[2] + 1}", f"from={2 ** 64 - 1}&limit=5"):
        answer = curl.request("POST", "verify?" + query)
        assert (answer.status, answer.error) == (400, "invalid_argument"), query
    for query in ("limit=0", "limit=x", "from=-1", "from=", "after=5", "limit=1&limit=1"):
        assert curl.request("POST", "verify?" + query).status == 400, query
    assert curl.request("POST", "verify", b"{}", ["Content-Type: application/json"]).status == 400
    answer = curl.request("GET", "verify")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_bounds_of_a_step(wire):
    tail = wire.write(b"k", b"value")["tail"]
    for bytes_max in (0, 1, tail, 1 << 40, ALL_ONES):
        assert wire.verify(0, bytes_max)["next"] == 0
    for start in (tail + 1, 1 << 48, ALL_ONES):
        with pytest.raises(WireError) as error:
            wire.verify(start)
        assert error.value.status == 1
    assert wire.read(b"k") == b"value"


def test_steps_of_the_servers_choice_are_bounded(daemon, store, wire):
    """Also where more is asked for: a step must not keep a thread of the pool for ever."""
    for i in range(17):
        wire.write(b"%d" % i, b"%d" % i * (8 << 20), NONE)
    step = wire.verify()
    assert 64 << 20 <= step["bytes"] < 80 << 20 and step["next"] != 0
    assert wire.verify(0, 100 << 20)["bytes"] >= 100 << 20


# ---- beside everything else -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def large(module_daemon):
    """A store of 256 MiB."""
    with Wire(module_daemon.binary_address) as wire:
        wire.create("large")
        wire.store = "large"
        for i in range(64):
            wire.write(b"%d" % i, os.urandom(1 << 20) * 4, NONE)
    yield "large"
    with Wire(module_daemon.binary_address) as wire:
        wire.drop("large")


def test_it_holds_nobody_up(daemon, large):
    """Reads and writes of the same store are answered while one long step is under way."""
    with Wire(daemon.binary_address, large) as looker, Wire(daemon.binary_address, large) as wire:
        identifier = looker.start(VERIFY, store_bytes(large) + struct.pack("<QQ", 0, 256 << 20))
        answered = 0
        while not select.select([looker.socket], [], [], 0)[0]:
            wire.write(b"small", b"value %d" % answered, NONE)
            assert wire.read(b"small") == b"value %d" % answered
            answered += 1
        assert verify_answer(looker.expect(VERIFY, identifier))["problem_count"] == 0
        assert answered > 0


def test_writers_and_lookers(launch):
    """What is written while looks go on is never taken for damage."""
    daemon = launch("--loops", "2")
    over = threading.Event()
    faults = []

    def run(work, seed):
        source = random.Random(seed)
        try:
            with Wire(daemon.binary_address) as wire:
                while not over.is_set():
                    work(wire, source)
        except Exception as error:  # told by the test's own thread
            faults.append(repr(error))
            over.set()

    def write(wire, source):
        key = b"key %d" % source.randrange(50)
        kind = source.randrange(8)
        if kind == 0:
            wire.delete(key)
        elif kind == 1:
            wire.batch_write([(b"key %d" % i, source.randbytes(30)) for i in range(5)])
        else:
            wire.write(key, source.randbytes(source.choice([5, 200, 70000])) + b"x", NONE)

    looks = []

    def look(wire, source):
        step = wire.verify(0, source.choice([1, 4096, 0]))
        while True:
            looks.append(step["entries"])
            assert step["problem_count"] == 0, step
            if step["next"] == 0:
                return
            step = wire.verify(step["next"], 1 << 20)

    threads = [threading.Thread(target=run, args=(work, seed)) for seed, work in enumerate((write, write, write, look, look))]
    for thread in threads:
        thread.start()
    curl = Curl(daemon.http)
    try:
        for _ in range(10):
            answer = curl.request("POST", "verify")
            assert answer.status == 200 and answer.json()["ok"], answer
        wait_until(lambda: faults or sum(looks) > 2000, "enough entries to be looked at")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert faults == []


def test_many_looks_on_one_connection(wire):
    """They take turns, each is answered once, and what comes behind them on the connection is served."""
    for i in range(20):
        wire.write(b"%d" % i, b"value" * 100)
    identifiers = {wire.start(VERIFY, store_bytes(wire.store) + struct.pack("<QQ", 0, 1)): VERIFY for _ in range(200)}
    ping = wire.start(0x02)
    answered = set()
    while len(answered) < 201:
        identifier, opcode, status, body = wire.answer()
        assert (opcode, status) == (identifiers.get(identifier, 0x02), 0)
        assert identifier not in answered
        answered.add(identifier)
        if opcode == VERIFY:
            assert verify_answer(body)["entries"] == 1
    assert ping in answered


def test_a_look_sees_the_writes_before_it_on_the_connection(wire):
    for i in range(30):
        identifier = wire.start(0x10, store_bytes(wire.store) + b"\0" + b"\0\1\0\0\0k" + b"v" * (i + 1))
        look = wire.start(VERIFY, store_bytes(wire.store) + struct.pack("<QQ", 0, 0))
        wire.expect(0x10, identifier)
        assert verify_answer(wire.expect(VERIFY, look))["entries"] == i + 1


# ---- nobody waits for it --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("headers", [(), ("Connection: close",)], ids=["keep-alive", "close"])
def test_a_client_that_is_gone(daemon, large, headers):
    """A whole look is given up between two of its steps. The daemon is held still, so that it cannot have begun."""
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        with RawHttp(daemon.http_address) as connection:
            connection.send(request("POST", f"/v1/stores/{large}/verify", headers=headers))
            connection.socket.shutdown(1)  # its side alone, so that it can hear what is said
            os.kill(daemon.process.pid, signal.SIGCONT)
            answer = connection.answer()
            assert (answer.status, answer.error) == (503, "unavailable")
            assert "closed its side" in answer.json()["error"]["message"]
            assert connection.closed()
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert Curl(daemon.http, large).request("POST", "verify?limit=1").status == 200


@pytest.mark.parametrize("operation", [REOPEN, DROP], ids=["reopen", "drop"])
def test_a_store_that_is_withdrawn(launch, operation):
    """A whole look does not keep a store from being reopened or dropped. The daemon is held still, so that both are
    there at once, and the look first."""
    daemon = launch()
    with Wire(daemon.binary_address) as wire, RawHttp(daemon.http_address) as looker:
        wire.create("some")
        wire.store = "some"
        for i in range(40):
            wire.write(b"%d" % i, os.urandom(1 << 20) * 4, NONE)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        looker.send(request("POST", "/v1/stores/some/verify"))
        identifier = wire.start(operation, store_bytes("some") * (2 if operation == DROP else 1))
        os.kill(daemon.process.pid, signal.SIGCONT)
        answer = looker.answer()
        # Not found: the drop was taken first after all.
        assert (answer.status, answer.error) == (503, "unavailable") or (operation == DROP and answer.status == 404)
        wire.expect(operation, identifier)


def test_steps_are_answered_to_a_half_closed_connection(daemon, large):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("POST", f"/v1/stores/{large}/verify?limit=1"))
        connection.socket.shutdown(1)
        assert connection.answer().json()["entries"] == 1


def test_connections_that_are_gone(daemon, large):
    for i in range(20):
        with RawHttp(daemon.http_address) as connection:
            connection.send(request("POST", f"/v1/stores/{large}/verify"))
            if i % 2:
                connection.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: a reset
        with Wire(daemon.binary_address, large) as wire:
            wire.start(VERIFY, store_bytes(large) + struct.pack("<QQ", 0, 1 << 20))
    with Wire(daemon.binary_address, large) as wire:
        assert wire.verify(0, 1)["entries"] == 1


def test_a_stop_of_the_daemon(launch):
    """A look is no reason to wait for: it is answered, whole or not, and the daemon ends."""
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        for i in range(30):
            wire.write(b"%d" % i, os.urandom(1 << 20) * 4, NONE)
    with RawHttp(daemon.http_address) as first, RawHttp(daemon.http_address) as second:
        for connection in (first, second):
            connection.send(request("POST", "/v1/stores/default/verify"))
        begun = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert time.monotonic() - begun < 30
        for connection in (first, second):
            answer = connection.answer()
            assert answer is None or answer.status in (200, 503), answer


def test_a_store_that_failed(launch, folder):
    os.makedirs(os.path.join(folder, "data"), 0o700)
    with open(os.path.join(folder, "data", "letter.rdr"), "wb") as file:
        file.write(b"this is a letter. " * 500)
    daemon = launch()
    answer = Curl(daemon.http, "letter").request("POST", "verify")
    assert (answer.status, answer.error) == (503, "unavailable")
    with Wire(daemon.binary_address, "letter") as wire, pytest.raises(WireError) as error:
        wire.verify()
    assert error.value.status == 18


def test_a_file_that_others_cut(launch):
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        for i in range(20):
            wire.write(b"%d" % i, os.urandom(50000))
        os.truncate(daemon.store_path("default"), 4096)
        with pytest.raises(WireError) as error:
            wire.verify()
        assert error.value.status == 16
        assert wire.info()["state"] == "read_only"
    answer = Curl(daemon.http).request("POST", "verify")
    assert (answer.status, answer.error) == (500, "io_error")
    daemon.assert_alive()


# ---- the command line tool ------------------------------------------------------------------------------------------

def test_progress_on_a_terminal(launch):
    """A bar that comes only where the work takes its time: the daemon is held still until it does."""
    daemon = launch()
    with Wire(daemon.binary_address) as wire:
        for i in range(40):
            wire.write(b"%d" % i, os.urandom(1 << 20) * 4, NONE)
    terminal, other_end = pty.openpty()
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        process = subprocess.Popen([RDRIVE, "--server", daemon.binary, "verify"], stdout=subprocess.PIPE,
                                   stderr=other_end, env=clean_environment())
        time.sleep(0.7)  # longer than what shows nothing
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    os.close(other_end)
    out, _ = process.communicate(timeout=DEADLINE_S)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # the terminal's other end is closed
        pass
    os.close(terminal)
    assert process.returncode == 0 and out.startswith(b"40 entries, ")
    assert b"#" in shown and b"of 160.0 MiB" in shown and shown.endswith(b"\r\x1b[K")


def test_no_bar_where_there_is_no_terminal(hurt):
    done = Cli(("--server", hurt.daemon.binary), "many").run("verify")
    assert (done.code, done.err) == (1, "")
    assert done.out.endswith(b" bytes, %d problems\n" % MANY)


def test_json_is_what_http_answers(hurt):
    for store in ("clean", "hurt", "many"):
        told = Cli(("--server", hurt.daemon.binary), store).run("--json", "verify").out
        assert json.loads(told) == Curl(hurt.daemon.http, store).request("POST", "verify").json()


def test_a_compaction_between_two_steps(launch):
    """The places of the look are another file's by then, which is no damage: the tool begins anew."""
    daemon = launch()
    source = random.Random(9)
    with Wire(daemon.binary_address) as wire:
        for i in range(60):  # of which half are replaced: two steps, and entries that end elsewhere afterwards
            wire.write(b"key %d" % (i % 30), source.randbytes((2 << 20) + source.randrange(1 << 16)), durability=NONE)
    curl = Curl(daemon.http)
    answers = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def pass_on():
            client, _ = listener.accept()
            with client, socket.create_connection(daemon.binary_address) as server:
                while True:
                    for one in select.select([client, server], [], [])[0]:
                        data = one.recv(1 << 16)
                        if not data:
                            return
                        if one is server:
                            answers.append(data)
                        if one is server and len(answers) == 2:  # behind the hello's: the first step's
                            assert curl.request("POST", "compact").status == 200
                        (client if one is server else server).sendall(data)

        proxy = threading.Thread(target=pass_on)
        proxy.start()
        done = Cli(("--server", "127.0.0.1:%d" % listener.getsockname()[1])).run("verify", "--json")
        proxy.join()
    assert done.code == 0 and "begins anew" in done.err, done
    found = done.json()
    assert (found["ok"], found["entries"], found["bytes"]) == (True, 30, curl.info()["tail"])
