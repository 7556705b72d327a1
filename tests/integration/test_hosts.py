# SPDX-License-Identifier: MIT
"""Web pages whose name was made to stand for this machine (DNS rebinding) reach a daemon that asks for no tokens by a
browser here, and name their own host. docs/OPERATIONS.md, "Who may do what"."""
import json
import os
import socket

import pytest

from harness import tokens
from harness.connect import connect
from harness.curl import Curl
from harness.daemon import run_to_end
from harness.rawhttp import RawHttp, request
from harness.resp import Resp
from test_config import reload

FOREIGN = "attacker.example"
BROWSER = ["Accept-Language: en"]  # what no script can leave out
NODE = ["accept-language: *", "sec-fetch-mode: cors", "user-agent: node"]  # what its fetch sends, and a page's may
PATHS = ["/v1/stores", "/healthz", "/metrics", "/", "/v1/stores/default/keys/k", "/nowhere"]


def status(address, host, method="GET", path="/v1/stores", body=None, headers=()):
    with RawHttp(address) as connection:
        connection.send(request(method, path, body, headers, host))
        return connection.answer().status


def rebound(daemon):
    """What a page gets that was loaded from this very port of its own host, so that nothing in its requests is foreign."""
    port = daemon.http_address[1]
    return status(daemon.http_address, f"{FOREIGN}:{port}", headers=[f"Origin: http://{FOREIGN}:{port}"])


# ---- a daemon on loopback without tokens ----------------------------------------------------------------------------

@pytest.mark.parametrize("path", PATHS)
def test_a_rebound_page_reads_nothing(daemon, path):
    with RawHttp(daemon.http_address) as connection:
        for head in (False, True):
            connection.send(request("HEAD" if head else "GET", path, headers=BROWSER, host=FOREIGN))
            answer = connection.answer(to_head=head)
            assert answer.status == 421
        connection.send(request("GET", path, headers=BROWSER, host=f"{FOREIGN}:80"))
        answer = connection.answer()
        assert (answer.status, answer.error) == (421, "misdirected")
        message = answer.json()["error"]["message"]
        assert all(part in message for part in (FOREIGN, "--http-hosts", "http_hosts", "RDRIVE_HTTP_HOSTS"))
        connection.send(request("GET", "/healthz", headers=BROWSER))  # the connection has not ended
        assert connection.answer().status == 200


@pytest.mark.parametrize("host, told", [("n" * 32, "'" + "n" * 32 + "' is"), ("n" * 33, "'" + "n" * 32 + "...' is")], ids=["whole", "cut"])
def test_a_name_that_is_cut_short_is_told_as_such(daemon, host, told):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", "/v1/stores", headers=BROWSER, host=host))
        message = connection.answer().json()["error"]["message"]
    assert message.startswith(told) and message.endswith("says which are")


@pytest.mark.parametrize("length", [5, 100_000, 3_000_000])
def test_a_rebound_page_writes_nothing(daemon, curl, store, length):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("PUT", f"/v1/stores/{store}/keys/k", bytes(length), BROWSER, FOREIGN))
        assert connection.answer().status == 421
    assert curl.get("k").status == 404
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("DELETE", f"/v1/stores/{store}?confirm={store}", headers=BROWSER, host=FOREIGN))
        assert connection.answer().status == 421
    assert curl.info()["name"] == store


def test_a_target_with_another_host(daemon):
    """Its host has to be that of Host, and then that one is judged."""
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", f"http://{FOREIGN}/v1/stores", headers=BROWSER, host=FOREIGN))
        assert connection.answer().status == 421
    assert status(daemon.http_address, "localhost", path=f"http://{FOREIGN}/v1/stores") == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:7480", "LOCALHOST.", "a.localhost", "[::1]:1", "10.1.2.3", "", socket.gethostname()])
def test_who_is_served(daemon, host):
    assert status(daemon.http_address, host, headers=BROWSER) == 200


@pytest.mark.parametrize("headers", [["accept-language: "], BROWSER * 2, ["ACCEPT-LANGUAGE: x", "User-Agent: curl/8"], NODE, [f"Origin: http://{FOREIGN}"]])
def test_who_is_a_browser(daemon, headers):
    assert status(daemon.http_address, FOREIGN, headers=headers) == 421


@pytest.mark.parametrize("host", [FOREIGN, "rdrive", "h:1"])
def test_what_is_no_browser_calls_the_daemon_what_it_likes(daemon, host):
    assert status(daemon.http_address, host, headers=["User-Agent: Mozilla/5.0", "Accept: */*"]) == 200


def test_http_1_0(daemon):
    for headers, wanted in (("", 200), (f"Host: {FOREIGN}\r\nAccept-Language: en\r\n", 421), ("Host: localhost\r\n", 200)):
        with RawHttp(daemon.http_address) as connection:
            connection.send(f"GET /v1/stores HTTP/1.0\r\n{headers}\r\n".encode())
            assert connection.answer().status == wanted


def test_a_unix_socket_takes_any_name(daemon):
    done = Curl("any.example", unix=daemon.unix_path)
    assert done.request("GET", "/v1/stores").status == 200


def test_other_doors_end_what_a_browser_sends(daemon):
    """The binary protocol by the first byte, Redis by the request line: a page chooses the method."""
    with Resp(daemon.redis_address) as resp:
        assert resp.call("SET", "/k", "kept") == b"+OK\r\n"
        for address in (daemon.binary_address, daemon.redis_address):
            for method in ("GET", "POST", "SET", "DEL", "SETNX", "GETSET"):
                with connect(address) as client:
                    client.sendall(request(method, "/k", b"SET /k body\r\n", host=FOREIGN))
                    while client.recv(65536):
                        pass
                assert resp.call("GET", "/k") == b"$4\r\nkept\r\n", method
        assert resp.call("DEL", "/k") == b":1\r\n"


# ---- names that it was told -----------------------------------------------------------------------------------------

def test_names_in_the_file_and_a_reload(launch, folder):
    path = os.path.join(folder, "rdrived.conf")

    def write(**members):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(members, file)

    write(http_hosts="data.example.org,rdrive")
    daemon = launch("--config", path)
    with RawHttp(daemon.http_address) as connection:
        def ask(host, listed=True):
            connection.send(request("GET", "/v1/stores", headers=() if listed else BROWSER, host=host))
            return connection.answer().status
        hosts = ("Data.Example.org.:80", "rdrive", "localhost", FOREIGN)
        assert [ask(host) for host in hosts] == [200, 200, 200, 421]
        write(http_hosts="rdrive")
        assert "reload: http_hosts has changed" in reload(daemon)
        assert [ask(host) for host in hosts] == [421, 200, 200, 421]
        write(http_hosts="rdrive:80")
        assert "nothing has changed" in reload(daemon)
        assert [ask(host) for host in hosts] == [421, 200, 200, 421]
        write(http_hosts="*")
        reload(daemon)
        assert [ask(host) for host in hosts] == [200, 200, 200, 200]
        write()
        reload(daemon)
        assert [ask(host, listed=False) for host in hosts] == [421, 421, 200, 421]


@pytest.mark.parametrize("options", [{"flags": ["--http-hosts", FOREIGN]}, {"environment": {"RDRIVE_HTTP_HOSTS": f"a,{FOREIGN}"}}])
def test_names_from_elsewhere(launch, options):
    daemon = launch(*options.get("flags", ()), environment=options.get("environment"))
    assert rebound(daemon) == 200
    assert status(daemon.http_address, "other.example") == 421


@pytest.mark.parametrize("names", ["a:80", "a b", "a,", ",", "[::1]", "*.example.org", "n" * 256, ",".join(["n"] * 1025)],
                         ids=lambda names: names[:16])
def test_what_is_no_list_of_names(folder, names):
    code, _, error = run_to_end("--check-config", "--data-dir", os.path.join(folder, "data"), "--http-hosts", names)
    assert code == 2 and "--http-hosts" in error and "NAME,..." in error


def test_check_config_tells_the_names(folder):
    code, out, _ = run_to_end("--check-config", "--data-dir", os.path.join(folder, "data"), "--http-hosts", "a,b")
    assert code == 0 and "http_hosts: a,b (--http-hosts)" in out.splitlines()


# ---- where no names are asked for -----------------------------------------------------------------------------------

def test_with_tokens_any_name_will_do(launch, folder):
    """A page has no token, and the answer does not depend on names."""
    path = tokens.write(os.path.join(folder, "tokens.json"), [tokens.row(tokens.ROOT, ["*"], tokens.VERBS)])
    daemon = launch("--tokens", path, "--http-hosts", "rdrive")
    assert rebound(daemon) == 401
    assert status(daemon.http_address, FOREIGN, headers=[f"Authorization: Bearer {tokens.ROOT}"]) == 200


def test_beyond_loopback_names_are_asked_for_where_they_are_given(launch):
    """As in a network of containers, where a service has a name."""
    assert status(launch("--http", "0.0.0.0:0", "--insecure").http_address, "rdrive:7480") == 200


def test_beyond_loopback_with_names(launch):
    daemon = launch("--http", "0.0.0.0:0", "--insecure", "--http-hosts", "rdrive")
    assert [status(daemon.http_address, host) for host in ("rdrive:7480", "127.0.0.1", FOREIGN)] == [200, 200, 421]
