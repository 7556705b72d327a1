# SPDX-License-Identifier: MIT
"""Who may do what: every operation, on every protocol, with no token, an unknown one, one that lacks a verb or a store, and
the right one. Every answer but the last says the same of a store that is there and of one that is not."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import pytest

from harness import tokens, wire
from harness.cli import Cli
from harness.daemon import DEADLINE_S, RDRIVED, REPOSITORY, Daemon, clean_environment, run_to_end, wait_until
from harness.rawhttp import RawHttp, request
from harness.resp import Resp

MINE, OTHER = "mine", "other"
STORES = {"mine": MINE, "other": OTHER}


def operations():
    with open(os.path.join(REPOSITORY, "protocol", "message.c"), encoding="utf-8") as file:
        rows = re.findall(r'\{RD_OPCODE_\w+, (RD_CLASS_\w+), true, "(\w+)"\}', file.read())
    return {name: category for category, name in rows if name not in ("hello", "auth")}


OPERATIONS = operations()


def test_the_table_is_covered():
    """An operation that is new must say here what it takes."""
    assert set(tokens.NEEDS) | tokens.FREE | tokens.LISTING | tokens.OVERALL == set(OPERATIONS)
    verbs = {"RD_CLASS_READ": "read", "RD_CLASS_WRITE": "write", "RD_CLASS_ADMIN": "admin"}
    assert {name: verbs[OPERATIONS[name]] in needs["mine"] for name, needs in tokens.NEEDS.items() if name != "copy"} == \
        {name: True for name in tokens.NEEDS if name != "copy"}


CASES = [(operation, None, False) for operation in tokens.NEEDS] + \
        [(operation, "unknown", False) for operation in tokens.NEEDS] + \
        [(operation, f"{operation}-{name}", may) for operation, needs in tokens.NEEDS.items() for name, may in tokens.names(needs)]


def wanted(token, may):
    """The status's name."""
    if may:
        return "ok"
    return "unauthorized" if token in (None, "unknown") else "forbidden"


@pytest.fixture(scope="module")
def guarded():
    """A daemon with a token for each case."""
    folder = tempfile.mkdtemp(prefix="rdrive-")
    rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), *tokens.overall_rows()]
    for operation in tokens.NEEDS:
        rows += tokens.rows_of(operation, STORES)
    daemon = Daemon(folder, "--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows), "--redis", "127.0.0.1:0", unix=True)
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder)


@pytest.fixture(params=[True, False], ids=["stores there", "stores missing"])
def there(request, guarded):
    """Whether the stores that the operation names exist."""
    prepare(guarded, request.param)
    return request.param


def http(daemon, method, path, token=tokens.ROOT, body=None, headers=()):
    headers = list(headers) + ([f"Authorization: Bearer {token}"] if token else [])
    with RawHttp(daemon.http_address) as connection:
        connection.send(request(method, path, body, headers))
        return connection.answer(to_head=method == "HEAD")


def prepare(daemon, there):
    """The stores with their keys, or none of them."""
    for store in (MINE, OTHER):
        http(daemon, "DELETE", f"/v1/stores/{store}?confirm={store}")
        if there:
            assert http(daemon, "PUT", f"/v1/stores/{store}").status == 201
    if there:
        assert http(daemon, "PUT", f"/v1/stores/{MINE}/keys/k", body=b"value").status == 201


def check(daemon, there, operation, may, outcome, token):
    """Where it may not, the answer is the same whether or not there is a store; where it may, it is done."""
    if not may:
        assert outcome == wanted(token, may)
        if there:
            answer = http(daemon, "GET", f"/v1/stores/{MINE}/keys/k")
            assert (answer.status, answer.body) == (200, b"value")
            assert http(daemon, "GET", f"/v1/stores/{OTHER}").json()["entries"] == 0
    elif there:
        assert outcome == ("conflict" if operation == "create" else "ok")
    else:
        assert outcome == ("ok" if operation == "create" else "store_not_found")


# ---- HTTP -----------------------------------------------------------------------------------------------------------

def json_request(path, value):
    return "POST", f"/v1/stores/{MINE}/{path}", json.dumps(value).encode(), ["Content-Type: application/json"]


HTTP = {
    "write": ("PUT", f"/v1/stores/{MINE}/keys/w", b"new", []),
    "write_stream": ("PUT", f"/v1/stores/{MINE}/keys/w", bytes(2 << 20), []),
    "batch_write": json_request("batch/write", {"entries": [{"key": "w", "value": "v"}]}),
    "rename": json_request("rename", {"from": "k", "to": "n"}),
    "delete": ("DELETE", f"/v1/stores/{MINE}/keys/k", None, []),
    "batch_delete": json_request("batch/delete", {"keys": ["k"]}),
    "copy": json_request("copy", {"key": "k", "target": OTHER}),
    "transfer": json_request("transfer", {"key": "k", "target": OTHER}),
    "read": ("GET", f"/v1/stores/{MINE}/keys/k", None, []),
    "read_stream": ("GET", f"/v1/stores/{MINE}/keys/k", None, ["Range: bytes=1-"]),
    "batch_read": json_request("batch/read", {"keys": ["k"]}),
    "exists": ("HEAD", f"/v1/stores/{MINE}/keys/k", None, []),
    "metadata": ("HEAD", f"/v1/stores/{MINE}/keys/k", None, []),
    "last": ("GET", f"/v1/stores/{MINE}/last", None, []),
    "iterate": ("GET", f"/v1/stores/{MINE}/entries", None, []),
    "info": ("GET", f"/v1/stores/{MINE}", None, []),
    "create": ("PUT", f"/v1/stores/{MINE}", None, []),
    "drop": ("DELETE", f"/v1/stores/{MINE}?confirm={MINE}", None, []),
    "verify": ("POST", f"/v1/stores/{MINE}/verify", None, []),
    "reopen": ("POST", f"/v1/stores/{MINE}/reopen", None, []),
    "backup": ("GET", f"/v1/stores/{MINE}/backup", None, []),
    "compact": ("POST", f"/v1/stores/{MINE}/compact", None, []),
}
HTTP_STATUS = {200: "ok", 201: "ok", 206: "ok", 401: "unauthorized", 403: "forbidden", 404: "store_not_found", 409: "conflict"}


@pytest.mark.parametrize("operation, token, may", CASES)
def test_http(guarded, there, operation, token, may):
    method, path, body, headers = HTTP[operation]
    answer = http(guarded, method, path, token, body, headers)
    outcome = HTTP_STATUS[answer.status]
    assert (answer.headers.get("www-authenticate") == 'Bearer realm="rdrive"') == (outcome == "unauthorized")
    if outcome != "ok" and method != "HEAD":
        assert answer.error == outcome
    check(guarded, there, operation, may, outcome, token)


@pytest.mark.parametrize("operation, token, may", [case for case in CASES if HTTP[case[0]][0] == "GET"])
def test_http_head_is_asked_what_get_is(guarded, there, operation, token, may):
    """Also where the body is not made: whoever may not learns nothing by it."""
    _, path, _, headers = HTTP[operation]
    answer = http(guarded, "HEAD", path, token, headers=headers)
    check(guarded, there, operation, may, HTTP_STATUS[answer.status], token)


def test_http_lists_what_a_token_may_see(guarded):
    prepare(guarded, True)
    assert http(guarded, "GET", "/v1/stores", None).status == 401
    assert http(guarded, "GET", "/v1/stores", "unknown").status == 401
    assert [http(guarded, "HEAD", "/v1/stores", token).status for token in (None, "unknown", "read-elsewhere")] == [401, 401, 200]

    def seen(token):
        return [store["name"] for store in http(guarded, "GET", "/v1/stores", token).json()["stores"]]
    assert seen(tokens.ROOT) == ["default", MINE, OTHER]
    assert seen("read-right") == [MINE]
    assert seen("copy-right") == [MINE, OTHER]
    assert seen("read-elsewhere") == []


@pytest.mark.parametrize("token, status", [(None, 401), ("unknown", 401), *((token, 200 if may else 403) for token, (_, _, may) in tokens.OVERALL_TOKENS.items())])
def test_what_tells_of_all_stores(guarded, token, status):
    """On HTTP and on the binary protocol."""
    assert [http(guarded, method, "/metrics", token).status for method in ("GET", "HEAD")] == [status, status]
    with wire.Wire(guarded.binary_address) as connection:
        if token not in (None, "unknown"):
            connection.call(AUTH, token.encode())
        assert status_of(lambda: connection.call(METRICS)) == {200: 0, 401: 2, 403: 3}[status]


def test_the_status_page_holds_nothing(guarded):
    """It is the same for everybody; what it shows it asks for with the reader's token."""
    prepare(guarded, True)
    page = http(guarded, "GET", "/", None)
    assert page.status == 200 and b"<html" in page.body
    assert MINE.encode() + b'"' not in page.body and page.body == http(guarded, "GET", "/", tokens.ROOT).body


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_asks_nobody(guarded, path):
    assert http(guarded, "GET", path, None).json() == {"status": "ok"}
    assert http(guarded, "GET", path, "unknown").json() == {"status": "ok"}


def test_readiness_names_no_store_to_strangers(launch, folder):
    os.makedirs(os.path.join(folder, "data"))
    with open(os.path.join(folder, "data", "secret.rdr"), "wb") as file:
        file.write(b"no store at all, and longer than nothing" * 200)
    rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), tokens.row("narrow", ["default"], tokens.VERBS)]
    daemon = launch("--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows))
    for token, told in ((None, False), ("unknown", False), ("narrow", False), (tokens.ROOT, True)):
        answer = http(daemon, "GET", "/readyz", token)
        assert answer.status == 503
        assert (b"secret" in answer.body) == told


BAD_HEADERS = {
    "basic": "Authorization: Basic cm9vdC10b2tlbg==",
    "no scheme": f"Authorization: {tokens.ROOT}",
    "scheme alone": "Authorization: Bearer",
    "empty": "Authorization: Bearer   ",
    "longer scheme": f"Authorization: Bearers {tokens.ROOT}",
    "tab": f"Authorization: Bearer\t{tokens.ROOT}",
    "two words": f"Authorization: Bearer {tokens.ROOT} x",
    "a comma": f"Authorization: Bearer {tokens.ROOT}, Bearer {tokens.ROOT}",
    "cut": f"Authorization: Bearer {tokens.ROOT[:-1]}",
    "longer": f"Authorization: Bearer {tokens.ROOT}x",
    "other case": f"Authorization: Bearer {tokens.ROOT.upper()}",
    "bytes above ASCII": f"Authorization: Bearer {tokens.ROOT}é",
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_http_headers_that_are_no_token(guarded, header):
    assert http(guarded, "GET", "/v1/stores", None, headers=[header]).status == 401


@pytest.mark.parametrize("header", [f"authorization: bearer {tokens.ROOT}", f"AUTHORIZATION: BEARER    {tokens.ROOT}  "])
def test_http_headers_that_are_one(guarded, header):
    assert http(guarded, "GET", "/v1/stores", None, headers=[header]).status == 200


def test_http_two_headers(guarded):
    headers = [f"Authorization: Bearer {tokens.ROOT}"] * 2
    answer = http(guarded, "GET", "/v1/stores", None, headers=headers)
    assert (answer.status, answer.error) == (400, "invalid_argument")


def test_http_hostile_headers(guarded):
    """A header of 1 MiB, and a zero byte in a token."""
    with RawHttp(guarded.http_address) as connection:
        try:
            connection.send(b"GET /v1/stores HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + b"a" * (1 << 20))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had read enough
        answer = connection.answer()
        assert (answer.status, answer.error) == (431, "header_too_large")
    with RawHttp(guarded.http_address) as connection:
        connection.send(b"GET /v1/stores HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer root-token\0\r\n\r\n")
        answer = connection.answer()
        assert (answer.status, answer.error) == (400, "invalid_argument")


def test_http_a_token_goes_for_its_request_alone(guarded):
    with RawHttp(guarded.http_address) as connection:
        authorized = [f"Authorization: Bearer {tokens.ROOT}"]
        connection.send(request("GET", "/v1/stores", headers=authorized) + request("GET", "/v1/stores")
                        + request("GET", "/v1/stores", headers=authorized))
        assert [connection.answer().status for _ in range(3)] == [200, 401, 200]


# ---- the binary protocol --------------------------------------------------------------------------------------------

AUTH, METRICS, BACKUP = 0x03, 0x04, 0x37

BINARY = {
    "write": lambda c: c.write(b"w", b"new"),
    "write_stream": lambda c: c.write_stream(b"w", bytes(300000)),
    "batch_write": lambda c: c.batch_write([(b"w", b"v")]),
    "rename": lambda c: c.rename(b"k", b"n"),
    "delete": lambda c: c.delete(b"k"),
    "batch_delete": lambda c: c.batch_delete([b"k"]),
    "copy": lambda c: c.copy(b"k", OTHER),
    "transfer": lambda c: c.transfer(b"k", OTHER),
    "read": lambda c: c.read(b"k"),
    "read_stream": lambda c: c.read_stream(b"k"),
    "batch_read": lambda c: c.batch_read([b"k"]),
    "exists": lambda c: c.exists(b"k"),
    "metadata": lambda c: c.metadata(b"k"),
    "last": lambda c: c.last(),
    "iterate": lambda c: c.iterate(),
    "info": lambda c: c.info(),
    "create": lambda c: c.create(MINE),
    "drop": lambda c: c.drop(MINE),
    "verify": lambda c: c.verify(),
    "reopen": lambda c: c.reopen(),
    "compact": lambda c: c.compact(),
    "backup": lambda c: c.call(BACKUP, wire.store_bytes(MINE) + struct.pack("<QQQ", 0, 0, 0)),
}
WIRE_STATUS = {2: "unauthorized", 3: "forbidden", wire.STORE_NOT_FOUND: "store_not_found", wire.CONFLICT: "conflict"}


def status_of(action):
    """0, or the status of its error."""
    try:
        action()
    except wire.WireError as error:
        return error.status
    return 0


@pytest.mark.parametrize("operation, token, may", CASES)
def test_binary(guarded, there, operation, token, may):
    with wire.Wire(guarded.binary_address, MINE) as connection:
        if token == "unknown":
            assert status_of(lambda: connection.call(AUTH, b"unknown")) == 2
        elif token:
            assert connection.call(AUTH, token.encode()) == b""
        status = status_of(lambda: BINARY[operation](connection))
        connection.ping()  # the connection lives, and ping is free
    check(guarded, there, operation, may, WIRE_STATUS[status] if status else "ok", token)


def test_binary_auth(guarded):
    """A token goes until another one is known; what is sent behind it at once is judged by it."""
    with wire.Wire(guarded.unix_path, MINE) as connection:
        first = connection.start(AUTH, b"unknown")
        second = connection.start(wire.STORES)
        third = connection.start(AUTH, tokens.ROOT.encode())
        fourth = connection.start(wire.STORES)
        fifth = connection.start(AUTH, b"root-token\0")
        sixth = connection.start(wire.STORES)
        answers = {answer[0]: answer[2] for answer in (connection.answer() for _ in range(6))}
        assert answers == {first: 2, second: 2, third: 0, fourth: 0, fifth: 2, sixth: 0}


@pytest.mark.parametrize("body", [b"", b"a" * 4097, b"a" * 1048576], ids=["none", "4,097 bytes", "1 MiB"])
def test_binary_auth_of_other_lengths(guarded, body):
    with wire.Wire(guarded.binary_address) as connection:
        assert status_of(lambda: connection.call(AUTH, body)) == wire.INVALID_ARGUMENT
        assert status_of(lambda: connection.call(AUTH, b"\0" * 4096)) == 2
        connection.ping()


def test_binary_lists_what_a_token_may_see(guarded):
    prepare(guarded, True)
    with wire.Wire(guarded.binary_address) as connection:
        assert status_of(connection.stores) == 2
        connection.call(AUTH, b"transfer-right")
        assert [store["name"] for store in connection.stores()] == [MINE, OTHER]


def test_without_tokens_any_is_taken(daemon):
    """A client that is told to show one works with a server that asks for none."""
    with wire.Wire(daemon.binary_address) as connection:
        assert connection.call(AUTH, b"whatever") == b""
        assert "default" in [store["name"] for store in connection.stores()]
    assert http(daemon, "GET", "/v1/stores", "whatever").status == 200


# ---- the Redis protocol ---------------------------------------------------------------------------------------------

REDIS = {
    "write": [["SET", "w", "new"], ["SETNX", "w", "new"], ["SAVE"]],
    "write_stream": [["SET", "w", bytes(2 << 20)]],
    "batch_write": [["MSET", "w", "v"]],
    "rename": [["RENAME", "k", "n"]],
    "batch_delete": [["DEL", "k"], ["UNLINK", "k"]],
    "copy": [["COPY", "k", "n", "DB", OTHER]],
    "transfer": [["MOVE", "k", OTHER]],
    "read": [["GET", "k"], ["GETRANGE", "k", 0, 1]],
    "batch_read": [["MGET", "k"], ["EXISTS", "k"]],
    "exists": [["TYPE", "k"]],
    "metadata": [["STRLEN", "k"]],
    "info": [["DBSIZE"]],
    "compact": [["BGREWRITEAOF"]],
}
REDIS_CASES = [(*case, words) for case in CASES if case[0] in REDIS for words in REDIS[case[0]]]


@pytest.mark.parametrize("operation, token, may, words", REDIS_CASES)
def test_redis(guarded, operation, token, may, words):
    prepare(guarded, True)
    with Resp(guarded.redis_address) as connection:
        if token == "unknown":
            assert connection.call("AUTH", token).startswith(b"-WRONGPASS ")
        elif token:
            assert connection.call("AUTH", token) == b"+OK\r\n"
        selected = connection.call("SELECT", MINE)
        answer = connection.call(*words)
        if wanted(token, may) == "unauthorized":
            assert selected == b"-NOAUTH Authentication required.\r\n" == answer
        elif not may:
            assert selected == b"+OK\r\n"
            assert answer.startswith(b"-NOPERM ")
        else:
            assert answer[:1] in (b"+", b"$", b":", b"*"), answer
    if not may:
        check(guarded, True, operation, may, wanted(token, may), token)


# What reads as it writes, in one step, takes both verbs.
@pytest.mark.parametrize("commands", [
    [["GETSET", "k", "n"]], [["GETDEL", "k"]], [["SET", "k", "n", "GET"]],
    [["MULTI"], ["GET", "k"], ["SET", "k", "n"], ["EXEC"]],
    [["MULTI"], ["STRLEN", "k"], ["DEL", "k"], ["EXEC"]]], ids=str)
def test_redis_values_are_not_read_with_write_alone(guarded, commands):
    prepare(guarded, True)
    for token, refused in (("write-right", True), ("read-right", True), (tokens.ROOT, False)):
        with Resp(guarded.redis_address) as connection:
            connection.call("AUTH", token)
            connection.call("SELECT", MINE)
            answers = [connection.call(*words) for words in commands]
            assert any(answer.startswith(b"-NOPERM ") for answer in answers) == refused, answers
            assert answers[-1].startswith((b"-NOPERM ", b"-EXECABORT ")) == refused, answers
    assert http(guarded, "GET", f"/v1/stores/{MINE}").json()["entries"] in (0, 1)


def test_redis_a_store_is_made_by_administrators_alone(guarded):
    prepare(guarded, False)
    with Resp(guarded.redis_address) as connection:
        connection.call("AUTH", "write-right")
        connection.call("SELECT", MINE)
        for value in (b"short", bytes(2 << 20)):
            assert connection.call("SET", "k", value).startswith(b"-ERR there is no store 'mine'")
    with Resp(guarded.redis_address) as connection:
        connection.call("AUTH", "transfer-right")  # which may read and write there
        connection.call("SELECT", MINE)
        for words in (["SET", "k", "v", "GET"], ["GETSET", "k", "v"], ["SETNX", "k", "v"], ["MSETNX", "k", "v"],
                      ["SETNX", "k", bytes(2 << 20)], ["MULTI", "SET k v"], ["MULTI", "GET a", "MSET k v l w"]):
            if words[0] == "MULTI":
                assert connection.call("MULTI") == b"+OK\r\n"
                assert {connection.call(*queued.split()) for queued in words[1:]} == {b"+QUEUED\r\n"}
                words = ["EXEC"]
            assert connection.call(*words).startswith(b"-ERR there is no store 'mine'"), words
        assert connection.call("GETDEL", "k") == b"$-1\r\n"
    assert http(guarded, "GET", f"/v1/stores/{MINE}").status == 404
    with Resp(guarded.redis_address) as connection:
        connection.call("AUTH", tokens.ROOT)
        connection.call("SELECT", MINE)
        assert connection.call("SET", "k", "v") == b"+OK\r\n"


NOAUTH = b"-NOAUTH Authentication required.\r\n"


def test_redis_nothing_is_left_of_what_strangers_say(guarded):
    """Neither a transaction, nor a database, nor RESP3."""
    prepare(guarded, True)
    with Resp(guarded.redis_address) as connection:
        for words in (["PING"], ["ECHO", "x"], ["INFO"], ["TIME"], ["COMMAND", "COUNT"], ["CLIENT", "ID"], ["WATCH", "k"], ["MULTI"],
                      ["SET", "k", "x"], ["SELECT", OTHER], ["CONFIG", "GET", "*"]):
            assert connection.call(*words) == NOAUTH
        assert connection.call("HELLO", 3).startswith(b"-NOAUTH HELLO must be called with the client already authenticated")
        assert connection.call("HELLO", 3, "AUTH", "default", "unknown").startswith(b"-WRONGPASS ")
        assert connection.call("AUTH", "default", tokens.ROOT) == b"+OK\r\n"
        assert connection.call("GET", "missing") == b"$-1\r\n"  # RESP2's null
        assert connection.call("EXEC") == b"-ERR EXEC without MULTI\r\n"
        assert connection.call("SET", "here", "x") == b"+OK\r\n"
    assert http(guarded, "GET", "/v1/stores/default/keys/here").body == b"x"


def test_redis_hello_and_reset(guarded):
    with Resp(guarded.redis_address) as connection:
        assert connection.call("HELLO", 3, "AUTH", "default", tokens.ROOT).startswith(b"%7\r\n")
        assert connection.call("PING") == b"+PONG\r\n"
        assert connection.call("AUTH", "nobody", tokens.ROOT).startswith(b"-WRONGPASS ")
        assert connection.call("AUTH", "unknown").startswith(b"-WRONGPASS ")
        assert connection.call("PING") == b"+PONG\r\n"  # what was shown before goes on
        assert connection.call("RESET") == b"+RESET\r\n"
        assert connection.call("PING") == NOAUTH
        assert connection.call("QUIT") == b"+OK\r\n"
        assert connection.closed()


def test_redis_info_tells_of_what_a_token_may_see(guarded):
    prepare(guarded, True)
    with Resp(guarded.redis_address) as connection:
        connection.call("AUTH", "read-right")
        text = connection.call("INFO", "stores")
        assert b"mine" in text and b"other" not in text and b"default" not in text


def test_redis_auth_without_tokens(daemon):
    with Resp(daemon.redis_address) as connection:
        assert connection.call("AUTH", "x").startswith(b"-ERR AUTH <password> called without any password configured")
        assert connection.call("AUTH", "default", "x") == b"+OK\r\n"


# ---- the file -------------------------------------------------------------------------------------------------------

GOOD = tokens.row("t", ["*"], ["read"])
BAD_FILES = {
    "no JSON": ("[\n{]", r":2: "),
    "no list": ("{}", r":1: must hold one JSON list"),
    "no object": ("[\n 1]", r":2: must be an object"),
    "unknown field": (json.dumps([GOOD, {**GOOD, "name": "x"}], indent=1), r":\d+: name: no such field"),
    "no digest": (json.dumps([{"stores": ["*"], "verbs": ["read"]}]), r":1: sha256: must be"),
    "short digest": (json.dumps([{**GOOD, "sha256": "ab"}]), r":1: sha256: must be"),
    "no hex": (json.dumps([{**GOOD, "sha256": "g" * 64}]), r":1: sha256: must be"),
    "no stores": (json.dumps([{**GOOD, "stores": []}]), r":1: stores: must be"),
    "a store's name that is none": (json.dumps([{**GOOD, "stores": ["a/b"]}]), r":1: stores: must be"),
    "a star inside": (json.dumps([{**GOOD, "stores": ["a*b"]}]), r":1: stores: must be"),
    "unknown verb": (json.dumps([{**GOOD, "verbs": ["read", "eat"]}]), r":1: verbs: must be"),
    "the same field twice": ('[{"verbs":["read"],"verbs":["read"]}]', r":1: "),
}


@pytest.mark.parametrize("text, message", BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(folder, text, message):
    path = os.path.join(folder, "tokens.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    code, _, error = run_to_end("--data-dir", folder, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--tokens", path)
    assert code == 2
    assert re.search(re.escape(path) + message, error), error


def test_the_manual_s_way_to_make_a_token(launch, folder):
    """docs/OPERATIONS.md, line by line."""
    with open(os.path.join(REPOSITORY, "docs", "OPERATIONS.md"), encoding="utf-8") as file:
        make, digest = re.search(r"```\n(\(umask .*)\n(.*sha256sum)\n```", file.read()).groups()
    subprocess.run(["sh", "-c", make], cwd=folder, check=True)
    done = subprocess.run(["sh", "-c", digest], cwd=folder, check=True, capture_output=True, text=True)
    token = os.path.join(folder, "token")
    assert os.stat(token).st_mode & 0o77 == 0
    rows = [{"sha256": done.stdout.split()[0], "stores": ["*"], "verbs": ["read"]}]
    daemon = launch("--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows))
    assert Cli(("--server", daemon.binary, "--token-file", token)).ok("len") == b"0\n"
    assert http(daemon, "GET", "/v1/stores", open(token, encoding="ascii").read().strip()).status == 200


def test_a_file_that_is_not_there(folder):
    code, _, error = run_to_end("--data-dir", folder, "--tokens", os.path.join(folder, "none"))
    assert code == 2 and "--tokens: cannot open" in error


@pytest.mark.parametrize("mode, warned", [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_a_file_that_everybody_reads(launch, folder, mode, warned):
    path = tokens.write(os.path.join(folder, "tokens.json"), [GOOD])
    os.chmod(path, mode)
    daemon = launch(environment={"RDRIVE_TOKENS": path})
    assert ("everybody on this machine may read or change" in daemon.log()) == warned
    assert http(daemon, "GET", "/v1/stores", "t").status == 200


# ---- read again -----------------------------------------------------------------------------------------------------

def reload(daemon, words):
    log = len(daemon.log())
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: words in daemon.log()[log:], words)


@pytest.mark.parametrize("loops", [1, 3])
def test_a_reload_ends_what_is_revoked_on_open_connections(launch, folder, loops):
    path = tokens.write(os.path.join(folder, "tokens.json"), [tokens.row("old", ["*"], tokens.VERBS), tokens.row("kept", ["*"], ["read"])])
    daemon = launch("--tokens", path, "--loops", str(loops), "--redis", "127.0.0.1:0")
    wires = [wire.Wire(daemon.binary_address) for _ in range(2 * loops)]
    resps = [Resp(daemon.redis_address) for _ in range(2 * loops)]
    with wire.Wire(daemon.binary_address) as kept:
        kept.call(AUTH, b"kept")
        for connection in wires:
            connection.call(AUTH, b"old")
            connection.write(b"k", b"value")
        for connection in resps:
            assert connection.call("AUTH", "old") == b"+OK\r\n"
        tokens.write(path, [tokens.row("new", ["*"], tokens.VERBS), tokens.row("kept", ["*"], ["write"])])
        reload(daemon, f"reload: the tokens are those that are in {path} now")
        for connection in wires:
            assert status_of(lambda: connection.read(b"k")) == 2
            assert status_of(lambda: connection.call(AUTH, b"old")) == 2
            connection.call(AUTH, b"new")
            assert connection.read(b"k") == b"value"
        for connection in resps:
            assert connection.call("GET", "k") == NOAUTH
            assert connection.call("AUTH", "new") == b"+OK\r\n"
        assert status_of(lambda: kept.read(b"k")) == 3  # it lives on, and may do something else
        kept.write(b"k", b"other")
    for connection in wires + resps:
        connection.socket.close()
    assert http(daemon, "GET", "/v1/stores", "old").status == 401
    assert http(daemon, "GET", "/v1/stores", "new").status == 200


def test_a_reload_of_a_bad_file_changes_nothing(launch, folder):
    path = tokens.write(os.path.join(folder, "tokens.json"), [GOOD])
    daemon = launch("--tokens", path)
    with open(path, "w", encoding="utf-8") as file:
        file.write('[{"sha256": "ab"}]')
    reload(daemon, f"nothing has changed: {path}:1: sha256: must be")
    assert http(daemon, "GET", "/v1/stores", "t").status == 200
    os.unlink(path)
    reload(daemon, "nothing has changed: --tokens: cannot open")
    assert http(daemon, "GET", "/v1/stores", "t").status == 200


def test_whether_tokens_are_asked_for_is_decided_at_the_start(launch, folder):
    path = tokens.write(os.path.join(folder, "tokens.json"), [GOOD])
    config = os.path.join(folder, "rdrived.conf")
    for before, after, status in (({}, {"tokens": path}, 200), ({"tokens": path}, {}, 401)):
        with open(config, "w", encoding="utf-8") as file:
            json.dump(before, file)
        daemon = launch("--config", config)
        with open(config, "w", encoding="utf-8") as file:
            json.dump(after, file)
        reload(daemon, "reload: to begin or to end with tokens needs a restart")
        assert http(daemon, "GET", "/v1/stores", None).status == status
        daemon.stop()


def test_check_config_looks_at_tokens(folder):
    path = tokens.write(os.path.join(folder, "tokens.json"), [GOOD])
    assert run_to_end("--check-config", "--data-dir", folder, "--tokens", path)[0] == 0
    with open(path, "w", encoding="utf-8") as file:
        file.write("[{}]")
    code, _, error = run_to_end("--check-config", "--data-dir", folder, "--tokens", path)
    assert code == 2 and f"{path}:1: sha256: must be" in error


# ---- beyond this machine --------------------------------------------------------------------------------------------

BEYOND = [("--listen", "0.0.0.0:0"), ("--http", "0.0.0.0:0"), ("--redis", "0.0.0.0:0"), ("--listen", "[::]:0")]


@pytest.mark.parametrize("flag, address", BEYOND)
def test_beyond_this_machine_tokens_are_needed(folder, flag, address):
    arguments = {"--listen": "127.0.0.1:0", "--http": "127.0.0.1:0", flag: address}
    code, _, error = run_to_end("--data-dir", folder, *(word for pair in arguments.items() for word in pair))
    assert code == 2
    assert "--tokens" in error and "--insecure" in error
    assert not os.path.exists(os.path.join(folder, "default.rdr"))


@pytest.mark.parametrize("flag, address", BEYOND)
def test_beyond_this_machine_with_tokens(launch, folder, flag, address):
    path = tokens.write(os.path.join(folder, "tokens.json"), [GOOD])
    daemon = launch("--tokens", path, flag, address)
    assert "insecure" not in daemon.log()


@pytest.mark.parametrize("how", [{"flags": ["--insecure"]}, {"flags": ["--insecure=true"]}, {"file": True}, {"environment": {"RDRIVE_INSECURE": "true"}}])
def test_beyond_this_machine_at_ones_own_risk(launch, folder, how):
    config = os.path.join(folder, "rdrived.conf")
    with open(config, "w", encoding="utf-8") as file:
        json.dump({"insecure": how.get("file", False)}, file)
    daemon = launch("--config", config, *how.get("flags", ()), "--http", "0.0.0.0:0", environment=how.get("environment"))
    assert re.search(r"warn .*insecure: whoever reaches 0\.0\.0\.0:\d+ may", daemon.log())


@pytest.mark.parametrize("address", ["127.0.0.1:0", "127.1.2.3:0", "localhost:0", "[::1]:0"])
def test_this_machine_alone(launch, address):
    daemon = launch("--listen", address)
    assert "insecure" not in daemon.log()


@pytest.mark.parametrize("host, code", [("0.0.0.0", 2), ("127.0.0.1", 0)])
def test_a_socket_that_is_handed_over_counts_too(folder, host, code):
    """As a service manager does it, whatever --http says. It stays what it was made, in how it is paced too."""
    port_file = os.path.join(folder, "ports.json")
    command = [RDRIVED, "--data-dir", folder, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--port-file", port_file]
    with socket.create_server((host, 0)) as listening:
        pace = listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        process = subprocess.Popen(["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *command], stderr=subprocess.PIPE, pass_fds=(3,),
                                   preexec_fn=lambda: os.dup2(listening.fileno(), 3),
                                   env=clean_environment(LISTEN_FDS="1", LISTEN_FDNAMES="http"))
        wait_until(lambda: os.path.exists(port_file) or process.poll() is not None, "its start or its end")
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16) == pace
    if code == 0:
        process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == code, error
    assert (b"is reached from beyond this machine" in error) == (code == 2)
