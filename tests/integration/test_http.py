# SPDX-License-Identifier: MIT
"""What is HTTP's own: status codes, headers, forms of bodies, limits of paths. docs/HTTP.md is what it holds to."""
import hashlib
import json
import os
import random
import re
import subprocess
import zlib

import pytest

from harness.daemon import DEADLINE_S, REPOSITORY
from harness.rawhttp import RawHttp, request
from harness.wire import Wire

MIB = 1 << 20


def test_put_tells_created_from_replaced(curl):
    first = curl.put("k", b"1")
    assert first.status == 201
    second = curl.put("k", b"22")
    assert second.status == 200
    curl.delete("k")
    assert curl.put("k", b"3").status == 201
    assert first.json() == {"offset": 0, "tail": 21}
    assert second.json()["offset"] == 64
    assert second.json()["tail"] == 64 + 2 + 20


def test_put_get_and_head_carry_the_version(curl):
    value = b"some value"
    headers = curl.put("hello", value).headers
    assert headers["rdrive-key-hash"] == "9555e8555c62dcfd"
    assert headers["rdrive-crc32"] == f"{zlib.crc32(value):08x}"
    assert headers["rdrive-offset"] == "0"
    assert headers["rdrive-durability"] == "sync"
    for answer in (curl.get("hello"), curl.head("hello")):
        assert answer.status == 200
        for name in ("etag", "rdrive-key-hash", "rdrive-crc32", "rdrive-offset"):
            assert answer.headers[name] == headers[name]
        assert answer.headers["content-length"] == str(len(value))
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert curl.put("hello", value).headers["etag"] != headers["etag"]


def test_delete_answers_200_either_way(curl):
    curl.put("k", b"v")
    answer = curl.delete("k")
    assert (answer.status, answer.json()) == (200, {"deleted": True, "tail": 42})
    answer = curl.delete("k")
    assert (answer.status, answer.json()) == (200, {"deleted": False, "tail": 42})


def test_missing_key_and_missing_store(curl):
    assert (curl.get("nothing").status, curl.get("nothing").error) == (404, "key_not_found")
    other = curl.at("no-such-store")
    for answer in (other.get("k"), other.put("k", b"v"), other.delete("k"), other.request("GET", "last"),
                   other.request("GET", "entries"), other.post("batch/read", {"keys": []}),
                   other.request("GET", "/v1/stores/no-such-store")):
        assert (answer.status, answer.error) == (404, "store_not_found")
    assert other.head("k").status == 404


def test_durability_of_one_write(curl):
    for asked in ("none", "sync"):
        answer = curl.put("k", b"v", f"?durability={asked}")
        assert answer.headers["rdrive-durability"] == asked
    answer = curl.put("k", b"v", "?durability=perhaps")
    assert (answer.status, answer.error) == (400, "invalid_argument")


def test_chunked_upload(curl):
    value = random.Random(3).randbytes(300000)
    answer = curl.put("k", value, headers=["Transfer-Encoding: chunked"])
    assert answer.status == 201
    assert curl.get("k").body == value


def test_expect_100_continue(curl):
    value = random.Random(4).randbytes(2 * MIB)
    answer = curl.put("k", value, headers=["Expect: 100-continue"])
    assert answer.status == 201
    assert curl.get("k").body == value


def test_continue_is_sent_before_the_body(daemon, store):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("PUT", f"/v1/stores/{store}/keys/k", headers=["Expect: 100-continue", "Content-Length: 5"]))
        seen = connection.socket.recv(100)
        assert seen.startswith(b"HTTP/1.1 100 ")
        connection.send(b"value")
        assert connection.answer().status == 201


@pytest.mark.parametrize("body", [None, b"", b"\0"])
def test_empty_and_one_nul_are_no_values(curl, body):
    curl.put("k", b"before")
    answer = curl.put("k", body)
    assert (answer.status, answer.error) == (400, "invalid_argument")
    assert curl.get("k").body == b"before"
    assert curl.info()["entries"] == 1


def test_a_batch_with_one_invalid_item_writes_nothing(curl):
    tail = curl.put("k", b"before").json()["tail"]
    for bad in ({"key": "x", "value": ""}, {"key": "x", "value": "\0"}, {"key": "x"}, {"value": "v"},
                {"key": "x", "value": 7}, {"key": "x", "value_base64": "!"}, {"key_base64": "x", "value": "v"},
                {"key_hash": "12", "value": "v"}, {"key": "x", "key_hash": "0" * 16, "value": "v"}, "x", None):
        answer = curl.post("batch/write", {"entries": [{"key": "k", "value": "after"}, bad]})
        assert (answer.status, answer.error) == (400, "invalid_argument"), bad
    assert curl.get("k").body == b"before"
    assert curl.info()["tail"] == tail


def test_batches_in_text_and_base64(curl):
    answer = curl.post("batch/write", {"entries": [{"key": "a", "value": "text ü"}, {"key_base64": "/w==", "value_base64": "AAE="},
                                                   {"key_hash": "00000000000000ff", "value": "by hash"}, {"key": "", "value": "\0\0"}]})
    assert answer.status == 200
    assert answer.json()["written"] == 4
    assert answer.json()["tail"] == curl.info()["tail"]
    answer = curl.post("batch/read", {"keys": ["a", {"key_base64": "/w=="}, {"key_hash": "00000000000000ff"}, "missing", ""]})
    rows = answer.json()["values"]
    assert [row["found"] for row in rows] == [True, True, True, False, True]
    assert [row.get("value_base64") for row in rows] == ["dGV4dCDDvA==", "AAE=", "YnkgaGFzaA==", None, "AAA="]
    assert rows[0]["offset"] == int(curl.head("a").headers["rdrive-offset"])
    answer = curl.post("batch/delete", {"keys": ["a", "missing", {"key_base64": "/w=="}]})
    assert answer.json() == {"deleted": 2, "tail": curl.info()["tail"]}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b'{"entries":1}', b'{"entries":[{]}', b'{}', b"{\"entries\":[]} x",
                                  b'{"entries":[],"entries":[]}', b"\xff\xfe", b'{"entries":[' * 3000, b"[" * 100000],
                         ids=lambda body: repr(body[:16]))
def test_malformed_json(curl, body):
    answer = curl.request("POST", "batch/write", body, ["Content-Type: application/json"])
    assert (answer.status, answer.error) == (400, "invalid_argument")


def test_json_has_to_say_that_it_is_json(curl):
    body = b'{"keys":[]}'
    for headers in ((), ["Content-Type: text/plain"], ["Content-Type: application/x-www-form-urlencoded"]):
        answer = curl.request("POST", "batch/read", body, headers)
        assert answer.status == 415
        assert answer.error == "unsupported_media_type"
    answer = curl.request("POST", "batch/read", body, ["Content-Type: application/json; charset=utf-8"])
    assert answer.status == 200


def test_paths_and_methods(curl):
    assert curl.request("GET", "/v1").status == 404
    assert curl.request("GET", "/v2/stores").status == 404
    answer = curl.request("POST", "keys/k", b"v")
    assert (answer.status, answer.error) == (405, "method_not_allowed")
    assert {"GET", "HEAD", "PUT", "DELETE"} == set(answer.headers["allow"].replace(",", " ").split())
    assert curl.request("DELETE", "last").status == 405


@pytest.mark.parametrize("path", ["keys/%", "keys/%2", "keys/%zz", "hashes/12", "hashes/zzzzzzzzzzzzzzzz", "hashes/",
                                  "hashes/00000000000000000", "entries?after=x", "entries?limit=-1", "entries?after=1&after=2",
                                  "keys/k?unknown=1", "entries?limit=99999999999999999999"])
def test_malformed_paths_and_parameters(curl, path):
    answer = curl.request("GET", path)
    assert (answer.status, answer.error) == (400, "invalid_argument")


def test_key_longer_than_the_limit(curl, daemon):
    with Wire(daemon.binary_address) as connection:
        limit = connection.limits["key_len_max"]
    assert curl.put("k" * limit, b"v").status == 201
    assert curl.get("k" * limit).body == b"v"
    answer = curl.put("k" * (limit + 1), b"v")
    assert (answer.status, answer.error) == (413, "too_large")


def test_raw_slashes_belong_to_the_key(curl):
    assert curl.request("PUT", "keys/a/b//c", b"raw").status == 201
    assert curl.request("GET", "keys/a%2Fb%2f%2Fc").body == b"raw"
    assert curl.request("PUT", "keys/", b"empty key").status == 201
    assert curl.request("GET", "hashes/2d06800538d394c2").body == b"empty key"
    assert curl.request("PUT", "keys/../x", b"dots").status == 201
    assert curl.request("GET", "keys/%2e%2E/x").body == b"dots"


def test_info(curl):
    fresh = curl.info()
    assert fresh["name"] == curl.store
    assert (fresh["entries"], fresh["tail"], fresh["dead_bytes"], fresh["state"]) == (0, 0, 0, "open")
    assert fresh["durability"] == "sync"
    assert fresh["batch_marker"] is True
    assert re.fullmatch("[0-9a-f]{16}", fresh["generation"]) and int(fresh["generation"], 16) != 0
    curl.put("a", b"x" * 100)
    curl.put("b", b"x" * 100)
    curl.put("a", b"y" * 10)
    info = curl.info()
    assert info["entries"] == 2
    assert info["tail"] == 256 + 10 + 20
    assert info["file_size"] >= info["tail"]
    live = 100 + 20 + 10 + 20
    assert info["dead_bytes"] == info["tail"] - live
    assert info["generation"] == fresh["generation"]


def test_entries_by_pages(curl):
    """`next` is what goes on, and null at the end; 0 would begin anew."""
    curl.post("batch/write", {"entries": [{"key": f"k{i}", "value": "v"} for i in range(10)]})
    everything = curl.request("GET", "entries").json()
    assert len(everything["entries"]) == 10
    assert everything["next"] is None
    assert curl.request("GET", "entries?limit=10").json()["next"] is None
    assert curl.request("GET", "entries?limit=9").json()["next"] == everything["entries"][8]["offset"]
    page = curl.request("GET", "entries?limit=4").json()
    assert page["entries"] == everything["entries"][:4]
    page = curl.request("GET", f"entries?limit=4&after={page['next']}").json()
    assert page["entries"] == everything["entries"][4:8]


def test_entries_beyond_what_one_answer_takes(curl, wire):
    wire.batch_write([(b"%d" % i, b"v") for i in range(25000)])
    assert curl.request("GET", "entries?limit=10001").status == 400
    for query in ("", "limit=10000&"):
        rows = []
        after = 0
        while after is not None:
            page = curl.request("GET", f"entries?{query}after={after}").json()
            rows += [row["offset"] for row in page["entries"]]
            after = page["next"]
            assert len(rows) <= 25000
        assert len(set(rows)) == 25000
        assert rows == sorted(rows, reverse=True)


def test_health(curl):
    assert curl.request("GET", "/healthz").status == 200
    assert curl.request("GET", "/readyz").status == 200


def test_a_foreign_origin_is_refused(curl):
    curl.put("k", b"v")
    for origin in ("http://evil.example", "null"):
        answer = curl.get("k", headers=[f"Origin: {origin}"])
        assert (answer.status, answer.error) == (403, "forbidden")
        assert curl.put("k", b"w", headers=[f"Origin: {origin}"]).status == 403
    assert curl.get("k", headers=[f"Origin: {curl.base}"]).status == 200
    assert curl.get("k").body == b"v"


def test_64_mib(curl):
    value = random.Random(64).randbytes(64 * MIB)
    assert curl.put("big", value).status == 201
    answer = curl.get("big")
    assert answer.headers["content-length"] == str(64 * MIB)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(value).digest()


def test_uploads_that_fill_the_window_are_all_answered(daemon, store):
    """How full the window is when the last bytes come depends on the disk, hence so many."""
    value = random.Random(5).randbytes(4 * MIB)
    with RawHttp(daemon.http_address) as connection:
        for _ in range(30):
            connection.send(request("PUT", f"/v1/stores/{store}/keys/k?durability=none", value))
            assert connection.answer().status in (200, 201)
        connection.send(request("GET", f"/v1/stores/{store}/keys/k"))
        assert connection.answer().body == value


def test_no_body_with_head_and_errors_have_json(daemon, store):
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("HEAD", f"/v1/stores/{store}/keys/missing") + request("GET", "/healthz"))
        assert connection.answer(to_head=True).status == 404
        assert connection.answer().status == 200
        connection.send(request("GET", f"/v1/stores/{store}/keys/missing"))
        assert set(json.loads(connection.answer().body)["error"]) == {"code", "message"}


# Everything that answers GET, and what of it is not made to be measured.
WITH_GET = ["/", "/healthz", "/readyz", "/readyz?store={store}", "/metrics", "/v1/stores", "/v1/stores/{store}",
            "/v1/stores/{store}/keys/k", "/v1/stores/{store}/hashes/{hash}", "/v1/stores/{store}/last",
            "/v1/stores/{store}/entries", "/v1/stores/{store}/entries?limit=1", "/v1/stores/{store}/backup"]
LISTINGS = ["/metrics", "/v1/stores", "/v1/stores/{store}/entries", "/v1/stores/{store}/entries?limit=1"]


@pytest.mark.parametrize("path", WITH_GET)
def test_head_wherever_there_is_get(daemon, store, curl, path):
    """The same answer without its body, and the connection stays in step."""
    key_hash = curl.put("k", b"value").headers["rdrive-key-hash"]
    target = path.format(store=store, hash=key_hash)
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", target) + request("HEAD", target) + request("GET", "/healthz"))
        got = connection.answer()
        head = connection.answer(to_head=True)
        assert (got.status, head.status) == (200, 200)
        assert connection.answer().json() == {"status": "ok"}
        if path in LISTINGS:
            del got.headers["content-length"]
        assert head.headers == got.headers
        connection.send(request("PATCH", target))
        answer = connection.answer()
        assert answer.status == 405
        assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))


def test_head_for_everything_that_the_document_lists():
    with open(os.path.join(REPOSITORY, "docs", "HTTP.md"), encoding="utf-8") as file:
        listed = re.findall(r"^\| `GET ([^`]*)`", file.read(), re.MULTILINE)
    tried = {path.split("?")[0] for path in WITH_GET}
    assert {path.replace("{key}", "k").split("?")[0] for path in listed} <= tried
    assert len(listed) > 10


@pytest.mark.parametrize("path, status", [("/nowhere", 404), ("/v1/stores/none", 404), ("/v1/stores/none/entries", 404),
                                          ("/v1/stores/{store}/entries?limit=10001", 400), ("/readyz?store=none", 404),
                                          ("/v1/stores/{store}/last", 404), ("/healthz?x=1", 400)])
def test_head_of_what_get_refuses(daemon, store, path, status):
    """Also where a listing would not have been made: what is wrong with it is told first."""
    target = path.format(store=store)
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", target) + request("HEAD", target) + request("GET", "/healthz"))
        got = connection.answer()
        head = connection.answer(to_head=True)
        assert (got.status, head.status, head.headers) == (status, status, got.headers)
        assert connection.answer().json() == {"status": "ok"}


def test_head_where_there_is_no_get(daemon, store):
    with RawHttp(daemon.http_address) as connection:
        for action in ("batch/write", "rename", "compact"):
            connection.send(request("HEAD", f"/v1/stores/{store}/{action}"))
            answer = connection.answer(to_head=True)
            assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_curl_asks_for_heads(daemon):
    done = subprocess.run(["curl", "-sS", "-I", f"http://{daemon.http}/healthz", f"http://{daemon.http}/v1/stores"],
                          capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 0 and done.stdout.count("HTTP/1.1 200 OK") == 2, done


def test_http_1_0_and_connection_close(daemon):
    with RawHttp(daemon.http_address) as connection:
        connection.send(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert connection.answer().status == 200
        assert connection.closed()
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", "/healthz", headers=["Connection: close"]))
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert connection.closed()
