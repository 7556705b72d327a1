# SPDX-License-Identifier: MIT
"""What a token does not allow is refused before its body: the answer comes while that is still to be sent, nothing of it is
kept, and where its end can be told the connection goes on. On every protocol."""
import os
import shutil
import tempfile

import pytest

from harness import tokens, wire
from harness.daemon import Daemon, memory_factor
from harness.rawhttp import RawHttp, request
from harness.resp import Resp, encode

AUTH = 0x03
LONG = 64 << 20
NOAUTH = b"-NOAUTH Authentication required.\r\n"
NOPERM = b"-NOPERM the token does not allow write in store 'mine'\r\n"

# Who is refused: how HTTP answers it, and the binary protocol.
STRANGERS = {None: (401, 2), "unknown": (401, 2)}
REFUSED = {**STRANGERS, "reader": (403, 3), "elsewhere": (403, 3)}


@pytest.fixture(scope="module")
def guarded():
    folder = tempfile.mkdtemp(prefix="rdrive-")
    rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), tokens.row("reader", ["mine"], ["read"]),
            tokens.row("writer", ["mine"], ["write"]), tokens.row("elsewhere", ["other"], tokens.VERBS)]
    daemon = Daemon(folder, "--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows), "--redis", "127.0.0.1:0")
    try:
        assert http(daemon, "PUT", "/v1/stores/mine", tokens.ROOT).status == 201
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder)


def bearer(token):
    return [f"Authorization: Bearer {token}"] if token else []


def http(daemon, method, path, token):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request(method, path, headers=bearer(token)))
        return connection.answer()


def own_memory(daemon):
    """Bytes of the daemon's own."""
    with open(f"/proc/{daemon.process.pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:")) * 1024


def entries(daemon):
    return http(daemon, "GET", "/v1/stores/mine", tokens.ROOT).json()["entries"]


def refusals(daemon, **labels):
    """How many requests were answered so, of all stores."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    lines = http(daemon, "GET", "/metrics", tokens.ROOT).body.decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines
               if line.startswith("rdrive_requests_total{") and all(label in line for label in wanted))


def waits(connection):
    """Whether nothing is said for a while."""
    connection.socket.settimeout(0.3)
    try:
        connection.answer()
    except TimeoutError:
        return True
    return False


# ---- HTTP -----------------------------------------------------------------------------------------------------------

JSON = "Content-Type: application/json"
# Bodies that are streamed, and such as are gathered: what is sent of each before the answer.
HTTP_BODIES = {
    "long value": ("PUT", "mine/keys/w", [f"Content-Length: {LONG}"], b""),
    "chunked value": ("PUT", "mine/keys/w", ["Transfer-Encoding: chunked"], b""),
    "value": ("PUT", "mine/keys/w", ["Content-Length: 1000000"], b""),
    "batch": ("POST", "mine/batch/write", [JSON, "Content-Length: 70000000"], b""),
    "chunked batch": ("POST", "mine/batch/write", [JSON, "Transfer-Encoding: chunked"], b"400\r\n"),
    "a name that is encoded": ("PUT", "%6d%69ne/keys/w", ["Content-Length: 1000000"], b""),
}


def send_head(connection, body, token, headers=()):
    method, path, framing, begin = HTTP_BODIES[body]
    connection.send(request(method, f"/v1/stores/{path}", headers=[*framing, *headers, *bearer(token)]) + begin)


@pytest.mark.parametrize("token", REFUSED)
@pytest.mark.parametrize("body", HTTP_BODIES)
def test_http_is_answered_at_the_head(guarded, body, token):
    with RawHttp(guarded.http_address) as connection:
        send_head(connection, body, token)
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (REFUSED[token][0], "close")
        assert answer.error == ("forbidden" if answer.status == 403 else "unauthorized")
        assert ("www-authenticate" in answer.headers) == (answer.status == 401)
        if answer.status == 403:
            assert "does not allow write in store 'mine'" in answer.json()["error"]["message"]
        assert connection.closed()


@pytest.mark.parametrize("body", HTTP_BODIES)
def test_http_waits_for_who_may(guarded, body):
    with RawHttp(guarded.http_address) as connection:
        send_head(connection, body, "writer")
        assert waits(connection)


@pytest.mark.parametrize("token", REFUSED)
@pytest.mark.parametrize("body", HTTP_BODIES)
def test_http_asks_for_no_body_that_it_refuses(guarded, body, token):
    """No 100 Continue: the answer comes, and then the end."""
    with RawHttp(guarded.http_address) as connection:
        send_head(connection, body, token, ["Expect: 100-continue"])
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.socket.recv(4096)
        assert head.startswith(b"HTTP/1.1 %d" % REFUSED[token][0])
        assert b"Connection: close\r\n" in head
        connection.buffer = head
        assert connection.answer().status == REFUSED[token][0]
        assert connection.closed()


def test_http_asks_for_the_body_of_who_may(guarded):
    with RawHttp(guarded.http_address) as connection:
        connection.send(request("PUT", "/v1/stores/mine/keys/asked", headers=["Content-Length: 5000", "Expect: 100-continue", *bearer("writer")]))
        assert connection.socket.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(bytes(5000))
        assert connection.answer().status in (200, 201)


def test_http_a_short_body_that_is_waited_for(guarded):
    """Of a request that is gathered: refused instead of 100 Continue; with the right token it is asked for."""
    body = b'{"keys":["none"]}'
    headers = [JSON, "Expect: 100-continue", f"Content-Length: {len(body)}"]
    for token in REFUSED:
        with RawHttp(guarded.http_address) as connection:
            connection.send(request("POST", "/v1/stores/mine/batch/delete", headers=headers + bearer(token)))
            assert connection.answer().status == REFUSED[token][0]
            assert connection.closed()
    with RawHttp(guarded.http_address) as connection:
        connection.send(request("POST", "/v1/stores/mine/batch/delete", headers=headers + bearer("writer")))
        assert connection.socket.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body)
        assert connection.answer().json()["deleted"] == 0


@pytest.mark.parametrize("token", REFUSED)
@pytest.mark.parametrize("length", [1, 5000, 64 << 10])
def test_http_a_connection_goes_on_behind_a_body_that_is_read(guarded, length, token):
    """Refused at the head, however short it is, and short enough to be read and forgotten, whenever it comes."""
    before = entries(guarded)
    with RawHttp(guarded.http_address) as connection:
        head = request("PUT", "/v1/stores/mine/keys/w", headers=[f"Content-Length: {length}", *bearer(token)])
        connection.send(head)
        answer = connection.answer()
        assert answer.status == REFUSED[token][0] and "connection" not in answer.headers
        connection.send(bytes(length))
        connection.send(head + bytes(length) + request("GET", "/v1/stores/mine", headers=bearer("reader")))
        assert connection.answer().status == REFUSED[token][0]
        assert connection.answer().json()["entries"] == before


@pytest.mark.parametrize("length", [(1 << 20) + 1, 32 << 20], ids=["one that sockets hold", "a longer one"])
@pytest.mark.parametrize("path", ["keys/w", "batch/write"])
@pytest.mark.parametrize("token", REFUSED)
def test_http_a_body_that_comes_all_the_same(guarded, path, length, token):
    """It is read for a while, so that the answer is not lost to a reset."""
    method = "PUT" if path == "keys/w" else "POST"
    with RawHttp(guarded.http_address) as connection:
        connection.send(request(method, f"/v1/stores/mine/{path}", bytes(length), [JSON, *bearer(token)]))
        assert connection.answer().status == REFUSED[token][0]
        assert connection.closed()


def test_http_a_store_s_name_that_is_none(guarded):
    """It is not cut to one that the token allows: whoever may do everything everywhere is told what is wrong with it."""
    for token, status in ((tokens.ROOT, 400), ("writer", 403)):
        with RawHttp(guarded.http_address) as connection:
            connection.send(request("PUT", f"/v1/stores/{'m' * 65}/keys/w", bytes(5000), bearer(token)))
            assert connection.answer().status == status


def test_http_a_body_that_is_malformed_names_no_target(guarded):
    """Whoever may ask for copies in the source is told what is wrong, and not that there is another store to be asked for."""
    for token, status in (("reader", 400), ("writer", 403)):
        with RawHttp(guarded.http_address) as connection:
            connection.send(request("POST", "/v1/stores/mine/copy", b"{", [JSON, *bearer(token)]))
            assert connection.answer().status == status


# ---- the binary protocol --------------------------------------------------------------------------------------------

def shown(connection, token):
    """Nothing is checked: an unknown one is refused."""
    if token:
        connection.send(wire.frame(AUTH, 1, token.encode()))
        assert connection.answer()[:3] == (1, AUTH, 2 if token == "unknown" else 0)
    return connection


@pytest.mark.parametrize("token", REFUSED)
@pytest.mark.parametrize("length", [5000, LONG])
def test_binary_is_answered_at_the_store_s_name(guarded, length, token):
    """That is what a body begins with. The rest is skipped."""
    start = wire.store_bytes("mine")
    before = entries(guarded)
    with shown(wire.Wire(guarded.binary_address), token) as connection:
        connection.send(wire.frame(wire.WRITE, 7, start[:3], body_len=length))
        if token not in STRANGERS:
            assert waits(connection)
            connection.socket.settimeout(30)
        connection.send(start[3:])
        assert connection.answer()[:3] == (7, wire.WRITE, REFUSED[token][1])
        memory = own_memory(guarded)
        for sent in range(len(start), length, 1 << 20):
            connection.send(bytes(min(1 << 20, length - sent)))
        connection.ping()
        assert own_memory(guarded) - memory < memory_factor() * (4 << 20)
    assert entries(guarded) == before


def test_binary_strangers_are_answered_at_the_header(guarded):
    """Who has shown a token right before a long frame is known."""
    body = wire.write_body("mine", b"w", bytes(1 << 20))
    with wire.Wire(guarded.binary_address, "mine") as connection:
        connection.send(wire.frame(wire.WRITE, 7, b"", body_len=len(body)))
        assert connection.answer()[:3] == (7, wire.WRITE, 2)
        connection.send(body)
        connection.send(wire.frame(AUTH, 8, b"writer") + wire.frame(wire.WRITE, 9, body))
        assert connection.answer()[:3] == (8, AUTH, 0)
        assert connection.answer()[:3] == (9, wire.WRITE, 0)


def test_binary_waits_for_who_may(guarded):
    body = wire.write_body("mine", b"w", bytes(1 << 20))
    with shown(wire.Wire(guarded.binary_address), "writer") as connection:
        connection.send(wire.frame(wire.WRITE, 7, body[:300], body_len=len(body)))
        assert waits(connection)
        connection.socket.settimeout(30)
        connection.send(body[300:])
        assert connection.answer()[:3] == (7, wire.WRITE, 0)


def test_binary_what_is_too_long_is_not_judged_by_a_store_that_it_has_not_named(guarded):
    with shown(wire.Wire(guarded.binary_address), "writer") as connection:
        connection.send(wire.frame(wire.WRITE, 7, b"", body_len=connection.limits["body_len_max"] + 1))
        assert connection.answer()[:3] == (7, wire.WRITE, wire.TOO_LARGE)


def test_binary_every_operation_with_a_long_body(guarded):
    """A body that goes on behind its last field, refused before that is seen; and what has no store is none of its business."""
    with shown(wire.Wire(guarded.binary_address), "elsewhere") as connection:
        for opcode in (wire.BATCH_WRITE, wire.RENAME, wire.COPY, wire.DELETE, wire.READ, wire.BATCH_READ, wire.CREATE):
            connection.send(wire.frame(opcode, 7, wire.store_bytes("mine"), body_len=5000))
            assert connection.answer()[:3] == (7, opcode, 3)
            connection.send(bytes(5000 - len(wire.store_bytes("mine"))))
        connection.send(wire.frame(wire.STORES, 8, bytes(5000)))
        assert connection.answer()[:3] == (8, wire.STORES, wire.INVALID_ARGUMENT)


def test_binary_a_refused_stream(guarded):
    """Its parts are left over, and the connection goes on."""
    with shown(wire.Wire(guarded.binary_address, "mine"), "reader") as connection:
        stream = connection.start_write_stream(b"w", 1000)
        connection.send_chunk(stream, bytes(1000))
        connection.send_end(stream)
        with pytest.raises(wire.WireError) as caught:
            connection.expect(wire.WRITE_STREAM, stream)
        assert caught.value.status == 3
        connection.ping()


# ---- the Redis protocol ---------------------------------------------------------------------------------------------

def redis(daemon, token):
    connection = Resp(daemon.redis_address)
    if token in STRANGERS:
        if token:
            assert connection.call("AUTH", token).startswith(b"-WRONGPASS ")
        return connection, NOAUTH
    assert connection.call("AUTH", token) == b"+OK\r\n"
    assert connection.call("SELECT", "mine") == b"+OK\r\n"
    return connection, NOPERM


# A command's beginning, and how many bytes are to come, with the line's end behind them.
REDIS_COMMANDS = {
    "long value": (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % LONG, LONG + 2),
    "value": (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n", 100002),
    "value that is read, too": (b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n", 100002 + len(b"$3\r\nGET\r\n")),
    "one of several": (b"*5\r\n$4\r\nMSET\r\n$1\r\nk\r\n$1\r\nv\r\n$1\r\nl\r\n$%d\r\n" % LONG, LONG + 2),
}


def rest_of(command):
    start, length = REDIS_COMMANDS[command]
    tail = b"\r\n$3\r\nGET\r\n" if start.startswith(b"*4") else b"\r\n"
    return length - len(tail), tail


@pytest.mark.parametrize("token", REFUSED)
@pytest.mark.parametrize("command", REDIS_COMMANDS)
def test_redis_is_answered_at_the_value_s_length(guarded, command, token):
    """What comes of it is read and forgotten, and the connection goes on."""
    before = entries(guarded)
    connection, refusal = redis(guarded, token)
    with connection:
        connection.send(REDIS_COMMANDS[command][0])
        assert connection.answer() == refusal
        memory = own_memory(guarded)
        length, tail = rest_of(command)
        for sent in range(0, length, 1 << 20):
            connection.send(bytes(min(1 << 20, length - sent)))
        assert own_memory(guarded) - memory < memory_factor() * (4 << 20)
        connection.send(tail + encode("AUTH", "writer") + encode("SELECT", "mine") + encode("PING"))
        assert [connection.answer() for _ in range(3)] == [b"+OK\r\n", b"+OK\r\n", b"+PONG\r\n"]
    assert entries(guarded) == before


@pytest.mark.parametrize("token", REFUSED)
def test_redis_many_short_words(guarded, token):
    """A command that is long by their number is refused where it has become so."""
    words = encode("MSET", *(word for i in range(2000) for word in (f"k{i}", b"v" * 100)))
    connection, refusal = redis(guarded, token)
    with connection:
        connection.send(words[:50000])
        assert connection.answer() == refusal
        connection.send(words[50000:] + encode("PING"))
        assert connection.answer() == (b"+PONG\r\n" if refusal is NOPERM else NOAUTH)


def test_redis_waits_for_who_may(guarded):
    connection, _ = redis(guarded, "writer")
    with connection:
        connection.send(REDIS_COMMANDS["value"][0])
        assert waits(connection)
        connection.socket.settimeout(30)
        connection.send(b"v" * 100000 + b"\r\n")
        assert connection.answer() == b"+OK\r\n"


EXECABORT = b"-EXECABORT Transaction discarded because of previous errors.\r\n"


def test_redis_in_a_transaction(guarded):
    """None is queued, long or short, so EXEC does nothing."""
    before = entries(guarded)
    connection, refusal = redis(guarded, "reader")
    with connection:
        for words in (("SET", "k", "short"), ("SET", "k", bytes(100000)), ("SET", "k", "v", "GET"), ("DEL", "k")):
            assert connection.call("MULTI") == b"+OK\r\n"
            assert connection.call("GET", "k") == b"+QUEUED\r\n"
            assert connection.call(*words) == refusal
            assert connection.call("EXEC") == EXECABORT
        assert connection.call("PING") == b"+PONG\r\n"
    assert entries(guarded) == before


def cuts(command, length):
    """Where its bytes are cut in two: anywhere before the value and behind it, here and there in it, and not at all."""
    value = len(command) - length - len(b"\r\n")
    inside = {value + at for at in (4000, *range(4092, 4100), length // 2) if at < length}
    return sorted({*range(1, value + 3), *inside, *range(len(command) - 3, len(command) + 1)})


@pytest.mark.parametrize("length", [100, 5000, 20000])
def test_redis_a_transaction_does_not_go_by_how_its_bytes_come(guarded, length):
    connection, refusal = redis(guarded, "reader")
    other, _ = redis(guarded, "reader")
    command = encode("SET", "k", b"v" * length)
    with connection, other:
        for at in cuts(command, length):
            assert connection.call("MULTI") == b"+OK\r\n"
            connection.send(command[:at])
            assert other.call("PING") == b"+PONG\r\n"  # so the first part has been read
            connection.send(command[at:] + encode("EXEC"))
            assert [connection.answer(), connection.answer()] == [refusal, EXECABORT], at


def test_redis_a_long_command_that_needs_no_store(guarded):
    """Who is known may have anything echoed."""
    connection, _ = redis(guarded, "elsewhere")
    with connection:
        assert connection.call("ECHO", b"e" * 100000) == b"$100000\r\n" + b"e" * 100000 + b"\r\n"


# ---- what is counted ------------------------------------------------------------------------------------------------

def test_refusals_are_counted_by_their_reason(guarded):
    start = wire.store_bytes("mine")
    for token, code in (("reader", "forbidden"), (None, "unauthorized")):
        before = refusals(guarded, operation="write", code=code)
        with shown(wire.Wire(guarded.binary_address), token) as connection:
            connection.send(wire.frame(wire.WRITE, 7, start + bytes(5000 - len(start))))
            assert connection.answer()[2] == REFUSED[token][1]
        connection, refusal = redis(guarded, token)
        with connection:
            connection.send(REDIS_COMMANDS["value"][0])
            assert connection.answer() == refusal
        with RawHttp(guarded.http_address) as connection:
            send_head(connection, "value", token)
            assert connection.answer().status == REFUSED[token][0]
        assert refusals(guarded, operation="write", code=code) == before + 3
