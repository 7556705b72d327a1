# SPDX-License-Identifier: MIT
"""TLS from outside: who is believed, what is refused, how it ends, and that nobody waits for anybody else's handshake.

test_tls_again.py runs tests of the protocols through it once more.
"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from harness import tokens
from harness import wire as w
from harness.bench import RDRIVE_BENCH
from harness.certificates import KEY, Authority, Certificate, openssl
from harness.cli import Cli
from harness.connect import TlsSocket, trusting
from harness.curl import Curl
from harness.daemon import DEADLINE_S, REPOSITORY, Daemon, clean_environment, run_to_end, wait_until
from harness.installed import Installed
from harness.rawhttp import RawHttp, request
from harness.wire import Wire

MIB = 1 << 20
SHARE = 256 << 10  # bytes sent to a connection in a turn
RECORD_MORE = 22   # bytes of a record that TLS 1.3 adds
PROGRAMS = os.path.join(os.path.dirname(__file__), "programs")
HEALTH = request("GET", "/healthz")
LAST = request("GET", "/healthz", headers=["Connection: close"])


@pytest.fixture(scope="module")
def authority():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue()


@pytest.fixture(scope="module")
def module_daemon(certificate):
    path = tempfile.mkdtemp(prefix="rdrive-")
    daemon = Daemon(path, "--redis", "127.0.0.1:0", "--log-level", "debug", unix=True, certificate=certificate)
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(path)


def raw(address):
    """A connection below TLS."""
    return socket.create_connection(tuple(address), timeout=DEADLINE_S)


def resident(daemon):
    """Anonymous memory, bytes."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon:"))


def assert_serves(daemon):
    with RawHttp(daemon.http_address) as http:
        http.send(HEALTH)
        assert http.answer().status == 200


def closed(connection):
    """Reads to the end; what came before it. A reset is an end."""
    came = b""
    try:
        while data := connection.recv(1 << 16):
            came += data
    except ConnectionResetError:
        pass
    return came


# ---- how it starts --------------------------------------------------------------------------------------------------

def started_with(folder, *flags, **options):
    return run_to_end("--data-dir", os.path.join(folder, "data"), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *flags,
                      **options)


@pytest.mark.parametrize("flag", ["cert", "key"])
def test_certificate_and_key_go_together(folder, certificate, flag):
    code, _, error = started_with(folder, f"--tls-{flag}", getattr(certificate, flag))
    assert code == 2 and "--tls-cert and --tls-key go together" in error


def faulty(folder, authority, certificate, fault):
    """A certificate that cannot be used, which file is to be named and why."""
    other = authority.issue("other")
    path = os.path.join(folder, "file")
    if fault == "no certificate":
        return Certificate(path, certificate.key, None), path, "No such file or directory"
    if fault == "no key":
        return Certificate(certificate.cert, path, None), path, "No such file or directory"
    if fault == "another key":
        return Certificate(certificate.cert, other.key, None), other.key, "key values mismatch"
    if fault == "a key that wants a password":
        openssl("ec", "-aes256", "-passout", "pass:secret", "-in", certificate.key, "-out", path)
        return Certificate(certificate.cert, path, None), path, ""
    with open(path, "wb") as file:
        file.write(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" if fault == "malformed" else b"text")
    return Certificate(path, certificate.key, None), path, ""


@pytest.mark.parametrize("fault", ["no certificate", "no key", "another key", "a key that wants a password", "malformed", "text"])
def test_what_cannot_be_used_is_named(folder, authority, certificate, fault):
    broken, path, reason = faulty(folder, authority, certificate, fault)
    code, _, error = started_with(folder, *broken.flags)
    assert code == 2
    assert re.search(re.escape(path) + ": .+", error) and reason in error, error
    code, _, error = started_with(folder, *broken.flags, "--check-config")
    assert code == 2 and path in error


def test_environment_and_file_say_so_too(launch, folder, certificate):
    config = os.path.join(folder, "config.json")
    with open(config, "w", encoding="utf-8") as file:
        file.write('{"tls_cert": "%s"}' % certificate.cert)
    daemon = launch("--config", config, environment={"RDRIVE_TLS_KEY": certificate.key})
    with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
        connection.sendall(HEALTH)
        assert connection.recv(8) == b"HTTP/1.1"


# ---- what is spoken -------------------------------------------------------------------------------------------------

def test_100_mib_by_curl_both_ways(daemon, store, curl, folder):
    value = os.path.join(folder, "value")
    with open(value, "wb") as file:
        file.write(random.Random(7).randbytes(100 * MIB))
    answer = curl.request("PUT", "keys/big", options=["-T", value])
    assert answer.status == 201
    back = os.path.join(folder, "back")
    assert curl.request("GET", "keys/big", options=["-o", back]).status == 200
    assert subprocess.run(["cmp", value, back], check=False).returncode == 0


def s_client(address, *options, send=b"", ca=None):
    command = ["openssl", "s_client", "-connect", "%s:%d" % tuple(address), *options]
    if ca is not None:
        command += ["-CAfile", ca, "-verify_return_error"]
    done = subprocess.run(command, input=send, capture_output=True, timeout=DEADLINE_S, check=False)
    return done.returncode, done.stdout + done.stderr


def test_long_texts_leave_whole(daemon, curl):
    """They are sealed from where they lie, and what follows on the connection is not mixed up with them."""
    with open(os.path.join(REPOSITORY, "server", "status.html"), "rb") as file:
        page = file.read()
    assert curl.request("GET", "/").body == page
    with RawHttp(daemon.http_address) as http:
        http.send(request("GET", "/") + request("GET", "/metrics") + request("GET", "/") + LAST)
        answers = [http.answer() for _ in range(4)]
        assert http.closed()
    assert [answer.status for answer in answers] == [200] * 4
    assert answers[0].body == answers[2].body == page
    assert answers[1].body.startswith(b"# HELP ") and answers[1].body.endswith(b"\n") and len(answers[1].body) > 4096


@pytest.mark.parametrize("port", ["http", "binary", "redis"])
def test_tls_1_3_and_nothing_older(daemon, certificate, port):
    address = getattr(daemon, f"{port}_address")
    code, said = s_client(address, "-tls1_3", ca=certificate.ca)
    assert code == 0 and b"Verification: OK" in said and b"TLSv1.3" in said
    code, said = s_client(address, "-tls1_2")
    assert code != 0 and b"alert protocol version" in said
    assert "unsupported protocol" in daemon.log()


def test_no_tickets_and_no_early_data(daemon, certificate):
    code, said = s_client(daemon.http_address, "-tls1_3", "-ign_eof", ca=certificate.ca, send=LAST)
    assert code == 0 and b"HTTP/1.1 200" in said
    assert b"Session Ticket" not in said and b"Early data was not sent" in said


@pytest.mark.parametrize("port,offered,chosen", [("http", ["http/1.1"], "http/1.1"), ("http", ["h2", "http/1.1"], "http/1.1"),
                                                 ("http", ["h2"], False), ("http", None, None), ("binary", None, None),
                                                 ("binary", ["http/1.1"], False), ("redis", ["http/1.1"], False)])
def test_alpn(daemon, certificate, port, offered, chosen):
    context = trusting(certificate.ca)
    if offered:
        context.set_alpn_protocols(offered)
    address = getattr(daemon, f"{port}_address")
    if chosen is False:
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            TlsSocket(raw(address), context)
    else:
        with TlsSocket(raw(address), context) as connection:
            assert connection.protocol == chosen


def test_the_unix_socket_stays_plain(daemon, store):
    with Wire(daemon.unix_path, store) as wire:
        wire.write(b"k", b"v")
    with Wire(daemon.binary_address, store) as wire:
        assert wire.read(b"k") == b"v"


def test_foreign_origins_are_refused(daemon):
    host = "localhost:%d" % daemon.http_address[1]
    with RawHttp(daemon.http_address) as http:
        for origin, status in ((f"https://{host}", 200), ("https://elsewhere.example", 403)):
            http.send(request("GET", "/v1/stores", headers=[f"Origin: {origin}"], host=host))
            assert http.answer().status == status


@pytest.mark.parametrize("target, status", [("https://{host}/healthz", 200), ("HTTPS://{host}", 200), ("https://{host}/readyz?store=default", 200),
                                            ("https://{host}?x=1", 400), ("http://{host}/healthz", 400), ("https://elsewhere/healthz", 400)])
def test_a_target_names_this_scheme(daemon, target, status):
    host = "localhost:%d" % daemon.http_address[1]
    with RawHttp(daemon.http_address) as http:
        http.send(request("GET", target.format(host=host), host=host))
        assert http.answer().status == status


def test_new_keys_in_the_middle(daemon):
    """s_client sends a KeyUpdate for a line that begins with K, and asks the server for one in turn."""
    process = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % tuple(daemon.http_address)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""
    for line in (b"K\n", HEALTH, b"K\n", b"K\n", LAST):
        process.stdin.write(line)
        process.stdin.flush()
        wanted = b'{"status":"ok"}' if line.startswith(b"GET") else b"KEYUPDATE"
        while wanted not in said:
            data = os.read(process.stdout.fileno(), 1 << 16)
            assert data, said
            said += data
        said = said.split(wanted, 1)[1]
    process.stdin.close()
    process.stdout.read()
    assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_records_in_pieces(daemon, store, certificate, cut):
    """Each record of the client's, cut wherever it may be."""
    class Cutting:
        def __init__(self, inner):
            self.inner = inner

        def sendall(self, data):
            for at in range(0, len(data), cut):
                self.inner.sendall(data[at:at + cut])

        def __getattr__(self, name):
            return getattr(self.inner, name)

    connection = raw(daemon.http_address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    http = RawHttp.__new__(RawHttp)
    http.buffer = b""
    value = random.Random(cut).randbytes(50 * cut)
    with TlsSocket(Cutting(connection), trusting(certificate.ca)) as http.socket:
        http.send(request("PUT", f"/v1/stores/{store}/keys/k", value))
        assert http.answer().status == 201
        http.send(request("GET", f"/v1/stores/{store}/keys/k"))
        assert http.answer().body == value


def test_sealed_input_that_waits_counts(launch, certificate):
    """Where requests behind a long answer are not looked at yet, their records are not opened either."""
    def held():
        with RawHttp(daemon.http_address) as http:
            http.send(request("GET", "/metrics"))
            return int(re.search(rb"^rdrive_request_bytes (\d+)$", http.answer().body, re.MULTILINE)[1])

    daemon = launch("--requests-max", "16", certificate=certificate)
    curl = Curl(daemon.http)
    assert curl.put("long", b"v" * (32 << 20)).status == 201
    before = held()
    with RawHttp(daemon.http_address) as http:
        daemon.process.send_signal(signal.SIGSTOP)  # so that all of it is read at once
        http.send(request("GET", "/v1/stores/default/keys/long") + request("GET", "/healthz") * 4000)
        daemon.process.send_signal(signal.SIGCONT)
        wait_until(lambda: held() - before > 100000, "what was received to count")
        for _ in range(4001):
            assert http.answer().status == 200
    wait_until(lambda: held() <= before, "the memory to be given back")


def test_redis_cli(daemon, store, certificate):
    host, port = daemon.redis_address
    done = subprocess.run(["redis-cli", "-h", host, "-p", str(port), "--tls", "--cacert", certificate.ca], capture_output=True,
                          input=f"SELECT {store}\nSET k v\nGET k\n".encode(), timeout=DEADLINE_S, check=False)
    assert done.stdout.split() == [b"OK", b"OK", b"v"], done


# ---- how it ends ----------------------------------------------------------------------------------------------------

def test_a_peer_that_has_said_all_gets_its_answers(daemon, store, certificate):
    """It ends its side in TLS, and not in TCP."""
    with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
        connection.sendall(request("PUT", f"/v1/stores/{store}/keys/k", b"v") * 20)
        connection.end()
        came = closed(connection)
        assert came.count(b"HTTP/1.1 20") == 20
        assert not connection.truncated, "the server says good-bye, too"


def test_a_good_bye_behind_a_turns_share(daemon, store, certificate, curl):
    """Answers whose records end where the share of a turn ends (256 KiB), or just before."""
    curl.put("k", bytes(range(256)) * 1024)
    last = SHARE - 16 * RECORD_MORE
    for length in range(last - 1000, last + 1, 20):
        with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
            connection.sendall(request("GET", f"/v1/stores/{store}/keys/k", headers=["Connection: close", f"Range: bytes=0-{length - 1}"]))
            head, body = closed(connection).split(b"\r\n\r\n", 1)
            assert len(body) == length
            assert not connection.truncated, f"{len(head) + 4 + length} bytes"


@pytest.mark.parametrize("good_bye", [True, False], ids=["close_notify", "cut"])
def test_who_has_left_is_not_worked_for(daemon, store, wire, certificate, good_bye):
    """A look at a whole store is given up between two of its steps where nobody waits for it. The daemon is held still, so
    that it cannot have begun."""
    for i in range(10):
        wire.write(b"%d" % i, random.Random(i).randbytes(4 * MIB), w.NONE)
    http = RawHttp(daemon.http_address)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        http.send(request("POST", f"/v1/stores/{store}/verify"))
        (http.socket if good_bye else http.socket.raw).shutdown(socket.SHUT_WR)
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    answer = http.answer()
    assert (answer.status, answer.error) == (503, "unavailable")
    assert http.closed() and not http.socket.truncated


@pytest.mark.parametrize("form", ["Content-Length: 9000000", "Transfer-Encoding: chunked"])
def test_an_upload_that_is_cut_is_not_stored(daemon, store, certificate, curl, form):
    curl.put("k", b"old")
    tail = curl.info()["tail"]
    log = len(daemon.log())
    with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
        body = b"%x\r\n%s" % (4 * MIB, bytes(4 * MIB - 1)) if "chunked" in form else bytes(4 * MIB)
        connection.sendall(f"PUT /v1/stores/{store}/keys/k HTTP/1.1\r\nHost: localhost\r\n{form}\r\n\r\n".encode() + body)
        connection.raw.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 400" in closed(connection)
    assert "without a close_notify" in daemon.log()[log:]
    assert (curl.get("k").body, curl.info()["tail"]) == (b"old", tail)


def test_a_value_that_is_damaged_is_cut_without_good_bye(launch, certificate):
    """Whoever reads up to the end of the connection can tell."""
    daemon = launch(certificate=certificate)
    value = random.Random(3).randbytes(5 * MIB)
    Curl(daemon.http).put("k", value)
    with open(daemon.store_path("default"), "r+b") as file:
        file.seek(4 * MIB)
        file.write(b"damage")
    with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
        connection.sendall(request("GET", "/v1/stores/default/keys/k"))
        came = closed(connection)
        assert connection.truncated and len(came) < len(value)
    assert_serves(daemon)


def test_a_stop_says_good_bye(launch, certificate):
    daemon = launch(certificate=certificate)
    with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
        connection.sendall(HEALTH)
        assert connection.recv(8) == b"HTTP/1.1"
        daemon.process.send_signal(signal.SIGTERM)
        closed(connection)
        assert not connection.truncated
    assert daemon.wait() == 0


def test_connection_close_says_good_bye(daemon, certificate):
    with TlsSocket(raw(daemon.http_address), trusting(certificate.ca)) as connection:
        connection.sendall(LAST)
        assert closed(connection).endswith(b'{"status":"ok"}\n') and not connection.truncated


def test_a_client_that_sends_all_before_it_reads_has_its_answer(daemon):
    """Over a slow link, too: what comes behind a refusal is taken and not looked at, as without TLS."""
    with RawHttp(daemon.http_address) as http:
        http.send(request("PUT", "/v1/stores/none/keys/k", headers=[f"Content-Length: {1 << 40}"]))
        for _ in range(40):
            time.sleep(0.1)
            http.send(b"x" * 1000)
        assert (http.answer().status, http.closed(), http.socket.truncated) == (404, True, False)


# ---- what comes that is none ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("port", ["http", "binary", "redis"])
@pytest.mark.parametrize("garbage", ["plain http", "plain binary", "noise", "zeros", "a cut record", "nothing"])
def test_garbage(daemon, port, garbage):
    data = {"plain http": HEALTH, "plain binary": w.HELLO, "noise": random.Random(5).randbytes(100_000), "zeros": bytes(100_000),
            "a cut record": b"\x16\x03\x01\x02\x00\x01", "nothing": b""}[garbage]
    log = len(daemon.log())
    with raw(getattr(daemon, f"{port}_address")) as connection:
        peer = "%s:%d" % connection.getsockname()
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # it is gone already
        came = closed(connection)
    if (port, garbage) == ("http", "plain http"):
        assert came.startswith(b"HTTP/1.1 400 ")
    else:
        assert b"HTTP" not in came
    if data:
        wait_until(lambda: f"info  TLS with {peer} ended: " in daemon.log()[log:], "a line about it")
    assert_serves(daemon)


def test_strangers_do_not_fill_the_log(launch, certificate):
    """A hundred lines at once and five a second; of the others it is said how many they were."""
    daemon = launch(certificate=certificate)
    for _ in range(300):
        with raw(daemon.http_address) as connection:
            connection.sendall(bytes(100))
            closed(connection)

    def told():
        left_out = re.findall(r"info  (\d+) more lines about connections that ended were left out\n", daemon.log())
        return daemon.log().count(" ended: ") + sum(map(int, left_out)) == 300 and left_out
    wait_until(told, "what was left out to be told")
    assert 100 <= daemon.log().count(" ended: ") < 300


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "byte by byte"])
def test_plain_http_is_told_so(daemon, method, cut):
    with raw(daemon.http_address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = request(method, "/v1/stores/default/keys/plain", b"v" if method == "PUT" else None)
        for piece in [data[i:i + 1] for i in range(len(data))] if cut else [data]:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break  # it has its answer
        head, body = closed(connection).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"\r\nConnection: close" in head
    assert json.loads(body)["error"] == {"code": "invalid_argument", "message": "this port speaks TLS: https:// and not http://"}


def test_plain_curl_is_told_so(launch, folder, certificate):
    """And learns nothing else, token or none; nothing is written."""
    path = tokens.write(os.path.join(folder, "tokens.json"), [tokens.row(tokens.ROOT, ["*"], tokens.VERBS)])
    daemon = launch("--tokens", path, certificate=certificate)
    for headers in ([], ["-H", f"Authorization: Bearer {tokens.ROOT}"]):
        done = subprocess.run(["curl", "-sS", "-w", "%{http_code}", *headers, "-T", path,
                               f"http://{daemon.http}/v1/stores/default/keys/plain"], capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == 0 and "https://" in done.stdout and done.stdout.endswith("400"), done
    with RawHttp(daemon.http_address) as http:
        http.send(request("GET", "/v1/stores/default/keys/plain", headers=[f"Authorization: Bearer {tokens.ROOT}"]))
        assert http.answer().status == 404


def test_a_record_that_was_tampered_with(daemon, certificate):
    connection = TlsSocket(raw(daemon.http_address), trusting(certificate.ca))
    log = len(daemon.log())
    connection.raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        connection.recv(1)
    connection.close()
    assert "bad record mac" in daemon.log()[log:]
    assert_serves(daemon)


def test_handshakes_that_do_not_go_on_hold_up_nobody(launch, certificate):
    daemon = launch("--header-timeout-ms", "500", certificate=certificate)
    silent = [raw(daemon.http_address) for _ in range(50)]
    for connection in silent[25:]:
        connection.sendall(b"\x16\x03\x01")
    assert_serves(daemon)
    for connection in silent:
        assert closed(connection) == b""
        connection.close()
    assert "ended: the handshake takes too long" in daemon.log()


def test_a_handshake_byte_by_byte_does_not_last_for_ever(launch, certificate):
    daemon = launch("--header-timeout-ms", "500", certificate=certificate)
    with raw(daemon.http_address) as connection:
        connection.settimeout(0.02)
        ended = threading.Event()
        data = b"\x16\x03\x01\x40\x00" + bytes(1 << 20)

        def gone():
            nonlocal data
            try:
                connection.sendall(data[:1])
                data = data[1:]
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True
        wait_until(gone, "the end")
        ended.set()


def test_what_is_not_taken_costs_no_memory(launch, certificate):
    """Requests that are more than the daemon holds at a time, and answers that nobody reads: 120 MiB in all."""
    daemon = launch("--request-bytes-max", "4m", certificate=certificate,
                    environment={"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"})
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(daemon.binary_address)) for _ in range(41)]
        wires[0].write(b"k", bytes(MIB))
        before = resident(daemon)
        for wire in wires[1:21]:
            wire.send(w.frame(w.WRITE, 1, b"x" * (MIB - 1000), body_len=MIB))
        for wire in wires[21:]:
            wire.send(w.frame(w.READ, 1, w.key_body("default", b"k")) * 5)
        wires[0].ping()
        assert resident(daemon) - before < 32 * MIB  # some 5; a sanitizer takes four times as much


# ---- another certificate --------------------------------------------------------------------------------------------

def shown(daemon, ca):
    """The certificate that a new connection gets, in PEM."""
    with TlsSocket(raw(daemon.http_address), trusting(ca)) as connection:
        return ssl.DER_cert_to_PEM_cert(connection.certificate)


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def replace(certificate, by):
    """As a renewal does: one file after the other, each whole."""
    for name in ("cert", "key"):
        shutil.copy(getattr(by, name), getattr(certificate, name) + ".new")
        os.rename(getattr(certificate, name) + ".new", getattr(certificate, name))


def reload(daemon, words):
    log = len(daemon.log())
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: words in daemon.log()[log:], words)


@pytest.mark.parametrize("loops", ["1", "3"])
def test_sighup_reads_the_certificate_again(launch, folder, authority, loops):
    certificate = Authority(folder).issue("used")
    first = text(certificate.cert)
    daemon = launch("--loops", loops, certificate=certificate)
    with Wire(daemon.binary_address) as old:
        old.write(b"k", b"v")
        assert shown(daemon, certificate.ca) == first
        successor = Authority(folder, "another").issue("successor")
        replace(certificate, successor)
        assert shown(daemon, certificate.ca) == first, "not before it is told"
        reload(daemon, "reloaded: ")
        for _ in range(6):
            assert shown(daemon, successor.ca) == text(successor.cert)
        assert old.read(b"k") == b"v", "connections go on with what they began with"
        with pytest.raises(ssl.SSLCertVerificationError):
            shown(daemon, certificate.ca)


def test_sighup_with_files_that_cannot_be_used_changes_nothing(launch, folder):
    authority = Authority(folder)
    certificate = authority.issue("used")
    first = text(certificate.cert)
    daemon = launch(certificate=certificate)
    shutil.copy(authority.issue("other").key, certificate.key)
    reload(daemon, f"the TLS key {certificate.key}: key values mismatch")
    assert shown(daemon, certificate.ca) == first
    os.unlink(certificate.cert)
    reload(daemon, f"the TLS certificate {certificate.cert}: No such file or directory")
    assert shown(daemon, certificate.ca) == first


def test_certificates_change_while_connections_come(launch, folder):
    """Handshakes on three loops, and as many changes as fit beside them."""
    authority = Authority(folder)
    certificate = authority.issue("used")
    others = [authority.issue("one"), authority.issue("two")]
    daemon = launch("--loops", "3", certificate=certificate)
    done = threading.Event()
    failures = []

    def connect():
        while not done.is_set():
            try:
                with Wire(daemon.binary_address) as wire:
                    wire.ping()
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)
                return

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(20):
        replace(certificate, others[turn % 2])
        daemon.process.send_signal(signal.SIGHUP)
        assert shown(daemon, certificate.ca)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


# ---- clients --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def program():
    """programs/tls.c, linked to the installed library."""
    root = tempfile.mkdtemp(prefix="rdrive-")
    installed = Installed(root)
    path = os.path.join(root, "tls")
    installed.compile(os.path.join(PROGRAMS, "tls.c"), path, [*installed.pkg_config("--libs"), "-luv"])
    yield lambda *arguments: installed.run(path, *arguments)
    shutil.rmtree(root)


@pytest.fixture(params=["cli", "blocking", "async", "bench"])
def client(request, program):
    """Asks a server for something, and believes `ca`: (whether that went well, what was said)."""
    def run_cli(server, ca):
        done = Cli(("--server", server, *(("--tls-ca", ca) if ca else ("--tls",)))).run("write", "k", "v")
        return done.code == 0, done.err

    def run_bench(server, ca):
        command = [RDRIVE_BENCH, "--server", server, "--op", "put", "--clients", "3", "--requests", "10", "--tls"]
        done = subprocess.run(command + (["--tls-ca", ca] if ca else []), capture_output=True, timeout=DEADLINE_S, check=False,
                              env=clean_environment())
        return done.returncode == 0, done.stderr.decode()

    def run_library(server, ca):
        done = program(request.param, server, ca or "-", "100")
        return done.returncode == 0 and done.stdout == "same\n", done.stdout
    return {"cli": run_cli, "bench": run_bench}.get(request.param, run_library)


def test_a_server_that_is_believed(daemon, client, certificate):
    port = daemon.binary_address[1]
    for host in ("127.0.0.1", "localhost"):
        assert client(f"{host}:{port}", certificate.ca) == (True, "same\n" if "library" in client.__name__ else "")


@pytest.mark.parametrize("how,words", [
    ("another authority", "not believed: .*(unable to get local issuer certificate|self-signed)"),
    ("the system's authorities", "not believed: .*(unable to get local issuer certificate|self-signed)"),
    ("another name", "certificate of localhost is not believed: hostname mismatch"),
    ("another address", "certificate of 127.0.0.1 is not believed: IP address mismatch"),
    ("expired", "not believed: certificate has expired"), ("no TLS", "does not speak TLS"),
    ("no such file", "absent.pem: No such file or directory")])
def test_a_server_that_is_not(launch, folder, client, how, words):
    authority = Authority(folder)
    options = {"expired": {"days": -1}, "another name": {"hosts": "DNS:elsewhere.example,IP:127.0.0.1"},
               "another address": {"hosts": "DNS:localhost"}}.get(how, {})
    certificate = authority.issue(**options)
    daemon = launch(certificate=None if how == "no TLS" else certificate)
    host, port = daemon.binary_address
    host = "localhost" if how == "another name" else host
    ca = {"another authority": lambda: Authority(folder, "other").cert, "the system's authorities": lambda: None,
          "no such file": lambda: os.path.join(folder, "absent.pem")}.get(how, lambda: certificate.ca)()
    good, said = client(f"{host}:{port}", ca)
    assert not good and re.search(words, said), said
    daemon.assert_alive()


@pytest.mark.parametrize("face", ["blocking", "async"])
@pytest.mark.parametrize("length", [2, 16383, 16384, 16385, 60 * MIB])
def test_values_of_any_length_by_the_library(daemon, program, certificate, face, length):
    assert program(face, daemon.binary, certificate.ca, str(length)).stdout == "same\n"


def test_a_plain_client_is_told_that_it_was_cut(daemon):
    done = Cli(("--server", str(daemon.binary))).run("read", "k")
    assert done.code == 1 and "the server closed the connection" in done.err


def test_the_tool_streams_both_ways(daemon, store, certificate, folder):
    value = os.path.join(folder, "value")
    with open(value, "wb") as file:
        file.write(random.Random(9).randbytes(20 * MIB))
    cli = Cli(("--server", daemon.binary), store)
    environment = {"RDRIVE_TLS_CA": certificate.ca}
    assert cli.run("write", "k", "-f", value, environment=environment).code == 0
    done = cli.run("read", "k", environment=environment)
    with open(value, "rb") as file:
        assert done.out == file.read()


def test_what_makes_no_sense(daemon, certificate, folder):
    for where in (("--unix", daemon.unix_path), ("--file", os.path.join(folder, "a.rdr"))):
        done = Cli((*where, "--tls")).run("read", "k")
        assert done.code == 2 and "--tls has no meaning beside --unix and --file" in done.err
    done = Cli(("--unix", daemon.unix_path)).run("read", "none", environment={"RDRIVE_TLS_CA": certificate.ca})
    assert done.code == 3, "the environment is about servers over TCP"


def test_a_connection_that_waited_is_used_again(launch, certificate, program):
    """What TLS says for itself between two requests is not taken for an answer that nobody asked for: see tls.c's ping."""
    daemon = launch("--log-level", "debug", certificate=certificate)
    assert program("blocking", daemon.binary, certificate.ca, "10").stdout == "same\n"
    daemon.stop()


def test_a_key_of_another_kind(launch, folder):
    """RSA, with an intermediate authority in the chain."""
    root = Authority(folder, "root")
    middle = Authority(folder, "middle")
    request_file, extensions = os.path.join(folder, "middle.csr"), os.path.join(folder, "ca.ext")
    with open(extensions, "w", encoding="utf-8") as file:
        file.write("basicConstraints=critical,CA:TRUE\n")
    openssl("req", "-new", "-key", middle.key, "-out", request_file, "-subj", "/CN=middle")
    openssl("x509", "-req", "-in", request_file, "-CA", root.cert, "-CAkey", root.key, "-CAcreateserial", "-days", "2", "-extfile",
            extensions, "-out", middle.cert)
    at = KEY.index("-newkey")
    leaf = middle.issue("leaf", key=["-newkey", "rsa:2048", *KEY[KEY.index("-nodes", at):]])
    with open(leaf.cert, "a", encoding="utf-8") as file:
        file.write(text(middle.cert))
    leaf.ca = root.cert
    assert_serves(launch(certificate=leaf))
