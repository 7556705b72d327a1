# SPDX-License-Identifier: MIT
"""Parts of a value: what a Range asks for and gets, and downloads that go on where they broke off."""
import hashlib
import os
import random
import subprocess
import threading

import pytest

from harness import wire as w
from harness.daemon import clean_environment
from harness.rawhttp import RawHttp, request
from harness.wire import WireError

VALUE = b"Hello, store!"
LONG = random.Random(5).randbytes((3 << 20) + 77)
HUGE_NUMBER = "9" * 40


@pytest.fixture
def tag(curl):
    return curl.put("k", VALUE).headers["etag"]


def get(curl, value, *headers):
    return curl.get("k", [f"Range: {value}", *headers])


SATISFIABLE = [
    ("bytes=0-0", 0, 1), ("bytes=7-11", 7, 12), ("bytes=7-", 7, 13), ("bytes=12-", 12, 13), ("bytes=0-", 0, 13),
    ("bytes=7-99", 7, 13), ("bytes=12-12", 12, 13), ("bytes=-1", 12, 13), ("bytes=-6", 7, 13), ("bytes=-13", 0, 13),
    ("bytes=-14", 0, 13), ("BYTES=1-2", 1, 3), ("bytes=007-011", 7, 12), (f"bytes=3-{HUGE_NUMBER}", 3, 13),
    (f"bytes=-{HUGE_NUMBER}", 0, 13), ("bytes=0-18446744073709551615", 0, 13), ("bytes=1-18446744073709551614", 1, 13),
]


@pytest.mark.parametrize("text, first, end", SATISFIABLE)
def test_a_part(curl, tag, text, first, end):
    answer = get(curl, text)
    assert (answer.status, answer.body) == (206, VALUE[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/13"
    assert answer.headers["etag"] == tag
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("text", ["bytes=13-", "bytes=13-13", "bytes=14-20", "bytes=-0", f"bytes={HUGE_NUMBER}-",
                                  "bytes=18446744073709551615-", "bytes=18446744073709551615-18446744073709551615",
                                  "bytes=-00"])
def test_without_a_byte_of_the_value(curl, tag, text):
    answer = get(curl, text)
    assert (answer.status, answer.error) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == "bytes */13"


@pytest.mark.parametrize("text", ["bytes=0-1,3-4", "bytes=0-1, 3-4", "bytes=-1,-2", "bytes=0-1,", "bytes=5-3", "bytes=",
                                  "bytes=-", "bytes", "bytes=a-b", "bytes=1-b", "bytes=1", "bytes= 1-2", "bytes=1 -2",
                                  "bytes=1- 2", "bytes=+1-2", "bytes=0x1-2", "bytes=--1", "bytes=1--2", "items=0-1",
                                  "bytes 0-1", "bytes=1-2-3", "-5", "1-2"])
def test_what_is_ignored(curl, tag, text):
    answer = get(curl, text)
    assert (answer.status, answer.body) == (200, VALUE)
    assert "content-range" not in answer.headers
    assert answer.headers["accept-ranges"] == "bytes"


def test_two_range_headers_are_ignored(curl, tag):
    assert get(curl, "bytes=0-1", "Range: bytes=3-4").status == 200


def test_head_ignores_range(curl, tag):
    for text in ("bytes=0-1", "bytes=99-"):
        answer = curl.request("HEAD", "keys/k", headers=[f"Range: {text}"])
        assert answer.status == 200
        assert answer.headers["content-length"] == "13"
        assert answer.headers["accept-ranges"] == "bytes"
        assert "content-range" not in answer.headers


def test_a_missing_key_is_404_whatever_the_range(curl):
    for text in ("bytes=0-1", "bytes=99-", "bytes=-0"):
        answer = curl.get("none", [f"Range: {text}"])
        assert (answer.status, answer.error) == (404, "key_not_found")
        assert "content-range" not in answer.headers


def test_by_hash_and_last(curl, tag):
    key_hash = curl.head("k").headers["rdrive-key-hash"]
    answer = curl.request("GET", f"hashes/{key_hash}", headers=["Range: bytes=-6"])
    assert (answer.status, answer.body) == (206, b"store!")
    assert curl.request("GET", "last", headers=["Range: bytes=0-1"]).status == 200


def test_if_range(curl, tag):
    assert get(curl, "bytes=0-4", f"If-Range: {tag}").status == 206
    assert get(curl, "bytes=99-", f"If-Range: {tag}").status == 416
    for other in ('"0-00000000"', '"x"', "W/" + tag, f'{tag}, "x"', "*", tag[1:-1], "Sun, 06 Nov 1994 08:49:37 GMT"):
        answer = get(curl, "bytes=0-4", f"If-Range: {other}")
        assert (answer.status, answer.body) == (200, VALUE), other
        assert get(curl, "bytes=99-", f"If-Range: {other}").status == 200, other
    curl.put("k", b"another value")
    answer = get(curl, "bytes=0-4", f"If-Range: {tag}")
    assert (answer.status, answer.body) == (200, b"another value")
    assert curl.get("k", [f"If-Range: {tag}"]).status == 200


@pytest.mark.parametrize("seed", range(4))
def test_random_parts_of_a_long_value(daemon, store, curl, seed):
    curl.put("k", LONG)
    path = f"/v1/stores/{store}/keys/k"
    source = random.Random(seed)
    wanted = []
    for _ in range(60):
        first = source.choice([source.randrange(len(LONG)), source.randrange(100), len(LONG) - 1 - source.randrange(99)])
        length = source.choice([1, source.randrange(1, 5000), source.randrange(1, 300000), len(LONG)])
        wanted.append((first, min(first + length, len(LONG))))
    with RawHttp(daemon.http_address) as connection:
        sender = threading.Thread(target=connection.send, args=(b"".join(
            request("GET", path, headers=[f"Range: bytes={first}-{end - 1}"]) for first, end in wanted),))
        sender.start()
        for first, end in wanted:
            answer = connection.answer()
            assert answer.status == 206
            assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(LONG)}"
            assert answer.body == LONG[first:end], (seed, first, end)
        sender.join()


def test_curl_resumes_a_cut_download(curl, folder):
    curl.put("k", LONG)
    path = os.path.join(folder, "download")
    url = f"{curl.base}/v1/stores/{curl.store}/keys/k"

    def download():
        done = subprocess.run(["curl", "-sS", "-C", "-", "-o", path, url], env=clean_environment(), capture_output=True)
        assert done.returncode == 0, done.stderr

    for cut in (0, 1, len(LONG) // 2, len(LONG) - 1):
        with open(path, "wb") as file:
            file.write(LONG[:cut])
        download()
        with open(path, "rb") as file:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(LONG).digest(), cut


def test_a_download_cut_by_the_client_resumes(daemon, store, curl):
    tag = curl.put("k", LONG).headers["etag"]
    path = f"/v1/stores/{store}/keys/k"
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", path))
        begun = connection.socket.recv(100000).split(b"\r\n\r\n", 1)[1]
    answer = curl.get("k", [f"Range: bytes={len(begun)}-", f"If-Range: {tag}"])
    assert answer.status == 206 and begun + answer.body == LONG


def test_binary_ranges(wire):
    wire.write(b"k", VALUE)
    for part, first, end in ((w.WHOLE, 0, 13), (w.Range(0, 99, 99), 0, 13), (w.part_from(7), 7, 13),
                             (w.part_from(7, 5), 7, 12), (w.part_from(12, 1), 12, 13), (w.part_from(0, 13), 0, 13),
                             (w.part_from(1, w.ALL_ONES - 1), 1, 13), (w.last_bytes(6), 7, 13),
                             (w.last_bytes(13), 0, 13), (w.last_bytes(w.ALL_ONES), 0, 13), (w.Range(2, 99, 1), 12, 13)):
        answer, value = wire.read_stream(b"k", part=part)
        assert (answer["first"], answer["len"], answer["value_len"]) == (first, end - first, 13), part
        assert value == VALUE[first:end]
    for part in (w.part_from(13), w.part_from(w.ALL_ONES), w.part_from(0, 0), w.last_bytes(0),
                 w.part_from(w.ALL_ONES, w.ALL_ONES - 1), w.part_from(w.ALL_ONES - 1, 5)):
        try:
            wire.read_stream(b"k", part=part)
            raise AssertionError(f"{part} was answered")
        except WireError as error:
            assert error.status == w.RANGE_NOT_SATISFIABLE, part
    for kind in (3, 255):
        try:
            wire.read_stream(b"k", part=w.Range(kind, 0, 1))
            raise AssertionError("an unknown kind was answered")
        except WireError as error:
            assert error.status == w.INVALID_ARGUMENT
    assert wire.read(b"k") == VALUE
