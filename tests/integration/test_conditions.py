# SPDX-License-Identifier: MIT
"""Conditions: absent, present and "still this version", over HTTP and the binary protocol, alone and in races."""
import contextlib
import threading

import pytest

from harness import wire as w
from harness.curl import Curl
from harness.rawhttp import RawHttp, request
from harness.wire import Hash, Wire, WireError, frame

ALPHA = Hash(0xbe6903b5f625ab5a)
OTHER_TAGS = ['"0-00000000"', '"ffffffffffffffff-00000000"', '"no version of this server"', '""']


def put(curl, key, value, *headers):
    return curl.put(key, value, headers=headers)


def tag_of(answer):
    return f'"{int(answer.headers["rdrive-offset"]):x}-{answer.headers["rdrive-crc32"]}"'


def refused(status, call, *arguments, **options):
    with pytest.raises(WireError) as error:
        call(*arguments, **options)
    assert error.value.status == status, error.value


@pytest.fixture
def unchanged(curl):
    """Fails where the store got longer since the test took the mark."""
    marks = []
    yield lambda: marks.append(curl.info()["tail"])
    if marks:
        assert curl.info()["tail"] == marks[-1]


# ---- HTTP: changes --------------------------------------------------------------------------------------------------

def test_the_tag_is_the_same_in_every_answer(curl):
    first = put(curl, "alpha", b"1")
    assert first.headers["etag"] == tag_of(first)
    for answer in (curl.get("alpha"), curl.head("alpha"), curl.request("GET", f"hashes/{ALPHA:016x}")):
        assert answer.headers["etag"] == first.headers["etag"]
    second = put(curl, "alpha", b"1")
    assert second.headers["etag"] != first.headers["etag"], "a version is more than its bytes"


@pytest.mark.parametrize("long", [False, True], ids=["short", "streamed"])
def test_put_if_none_match(curl, long):
    value = b"v" * (2 << 20) if long else b"v"
    created = put(curl, "k", value, "If-None-Match: *")
    assert created.status == 201, created
    again = put(curl, "k", b"w" * len(value), "If-None-Match: *")
    assert (again.status, again.error) == (412, "precondition_failed")
    answer = curl.get("k")
    assert (answer.body, answer.headers["etag"]) == (value, created.headers["etag"])
    curl.delete("k")
    assert put(curl, "k", value, "If-None-Match: *").status == 201, "a deleted key is absent"


@pytest.mark.parametrize("long", [False, True], ids=["short", "streamed"])
def test_put_if_match(curl, long):
    value = b"v" * (2 << 20) if long else b"v"
    for condition in ("If-Match: *", 'If-Match: "0-00000000"'):
        assert put(curl, "k", value, condition).status == 412
    assert curl.get("k").status == 404
    first = put(curl, "k", value)
    second = put(curl, "k", value, f"If-Match: {first.headers['etag']}")
    assert second.status == 200, second
    late = put(curl, "k", value + b"late", f"If-Match: {first.headers['etag']}")
    assert (late.status, late.error) == (412, "precondition_failed")
    third = put(curl, "k", value + b"3", f"If-Match: {curl.get('k').headers['etag']}")
    assert third.status == 200
    assert put(curl, "k", value + b"4", "If-Match: *").status == 200
    assert curl.get("k").body == value + b"4"


@pytest.mark.parametrize("tag", [*OTHER_TAGS, 'W/"{}"', '"{}x"', '"0{}"', "weak own"])
def test_if_match_with_a_tag_that_cannot_match(curl, unchanged, tag):
    own = put(curl, "k", b"v").headers["etag"]
    tag = "W/" + own if tag == "weak own" else tag.format(own.strip('"'))
    unchanged()
    assert put(curl, "k", b"other", f"If-Match: {tag}").status == 412
    assert curl.request("DELETE", "keys/k", headers=[f"If-Match: {tag}"]).status == 412
    assert curl.get("k", [f"If-Match: {tag}"]).status == 412
    assert curl.request("HEAD", "keys/k", headers=[f"If-Match: {tag}"]).status == 412


def test_if_match_with_one_own_tag_in_a_list(curl):
    own = put(curl, "k", b"v").headers["etag"]
    assert curl.get("k", [f'If-Match: "x", {own} ,W/"y"']).status == 200
    assert put(curl, "k", b"2", f'If-Match: "x",{own}').status == 200
    assert put(curl, "k", b"3", f'If-Match: {own}, "0-00000000"').status == 400


@pytest.mark.parametrize("header", ["If-Match:  ", "If-Match: k", 'If-Match: "a', 'If-Match: "a" "b"', "If-Match: W/",
                                    'If-Match: *, "a"', 'If-None-Match: "0-00000000"', "If-None-Match: "])
def test_malformed_conditions_of_changes(daemon, store, unchanged, curl, header):
    put(curl, "k", b"v")
    unchanged()
    with RawHttp(daemon.http_address) as connection:
        for method, body in (("PUT", b"other"), ("DELETE", None)):
            connection.send(request(method, f"/v1/stores/{store}/keys/k", body, [header]))
            answer = connection.answer()
            assert (answer.status, answer.error) == (400, "invalid_argument"), (method, header)


def test_both_headers_at_once_and_headers_twice(curl, unchanged):
    own = put(curl, "k", b"v").headers["etag"]
    unchanged()
    assert put(curl, "k", b"2", f"If-Match: {own}", "If-None-Match: *").status == 400
    assert put(curl, "k", b"2", f"If-Match: {own}", f"If-Match: {own}").status == 400
    assert put(curl, "new", b"2", "If-None-Match: *", "If-None-Match: *").status == 400


def test_delete(curl):
    def delete(*headers):
        return curl.request("DELETE", "keys/k", headers=headers)

    first = put(curl, "k", b"1").headers["etag"]
    second = put(curl, "k", b"2").headers["etag"]
    assert delete(f"If-Match: {first}").error == "precondition_failed"
    assert delete("If-None-Match: *").status == 412
    assert curl.get("k").body == b"2"
    assert delete(f"If-Match: {second}").json()["deleted"] is True
    assert delete(f"If-Match: {second}").status == 412, "it is not there"
    assert delete("If-Match: *").status == 412
    assert delete("If-None-Match: *").json()["deleted"] is False


def rename(curl, source, target, *headers):
    return curl.request("POST", "rename", b'{"from":"%s","to":"%s"}' % (source, target),
                        ["Content-Type: application/json", *headers])


def test_rename(curl):
    first = put(curl, "a", b"1").headers["etag"]
    second = put(curl, "a", b"2").headers["etag"]
    put(curl, "b", b"b")
    assert rename(curl, b"a", b"c", f"If-Match: {first}").error == "precondition_failed"
    assert rename(curl, b"a", b"b", "If-None-Match: *").status == 412
    assert rename(curl, b"a", b"b", f"If-Match: {second}", "If-None-Match: *").status == 412
    assert rename(curl, b"none", b"c", "If-Match: *").status == 412
    assert rename(curl, b"none", b"c").status == 404
    assert [curl.get(key).body for key in "ab"] == [b"2", b"b"]
    moved = rename(curl, b"a", b"c", f"If-Match: {second}", "If-None-Match: *")
    assert moved.status == 200, moved
    assert curl.get("c").headers["etag"] == moved.headers["etag"] != second
    assert rename(curl, b"c", b"b", "If-Match: *").status == 200
    assert curl.get("b").body == b"2"


def test_operations_without_conditions_refuse_them(curl, daemon, unchanged):
    put(curl, "k", b"v")
    unchanged()
    json_type = "Content-Type: application/json"
    for header in ("If-Match: *", "If-None-Match: *"):
        for path, body in (("batch/write", b'{"entries":[{"key":"k","value":"2"}]}'), ("batch/delete", b'{"keys":["k"]}'),
                           ("copy", b'{"key":"k","target":"default"}'), ("transfer", b'{"key":"k","target":"default"}')):
            assert curl.request("POST", path, body, [json_type, header]).status == 400, (path, header)
        assert curl.request("DELETE", f"/v1/stores/{curl.store}?confirm={curl.store}", headers=[header]).status == 400
    assert Curl(daemon.http).get("k").status == 404
    assert curl.get("k").body == b"v"


# ---- HTTP: reads ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("length", [1, 5000, 3 << 20])
def test_not_modified(curl, method, length):
    own = put(curl, "k", b"v" * length).headers["etag"]
    for tags in (own, "W/" + own, f'"a", {own}', f'{own},"0-00000000"', f', "x" ,W/{own} ', "*"):
        answer = curl.request(method, "keys/k", headers=[f"If-None-Match: {tags}"])
        assert (answer.status, answer.body) == (304, b""), tags
        assert answer.headers["etag"] == own
        assert answer.headers.get("content-length", str(length)) == str(length)
        assert "content-range" not in answer.headers
    for tags in ('"a"', '"0-00000000"', f'W/"x","{own[1:-1]}x"', '"1-ffffffff", "2-ffffffff"'):
        answer = curl.request(method, "keys/k", headers=[f"If-None-Match: {tags}"])
        assert answer.status == 200 and answer.headers["content-length"] == str(length), tags
    for tags in ("*", own):
        assert curl.request(method, "keys/none", headers=[f"If-None-Match: {tags}"]).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_with_if_match(curl, method):
    first = put(curl, "k", b"1").headers["etag"]
    second = put(curl, "k", b"2").headers["etag"]
    for tags, status in ((second, 200), ("*", 200), (first, 412), (f'"x", {second}', 200)):
        answer = curl.request(method, "keys/k", headers=[f"If-Match: {tags}"])
        assert answer.status == status, tags
        if status == 412 and method == "GET":
            assert answer.error == "precondition_failed"
    for tags in ("*", second):
        assert curl.request(method, "keys/none", headers=[f"If-Match: {tags}"]).status == 412
    both = [f"If-Match: {first}", f"If-None-Match: {second}"]
    assert curl.request(method, "keys/k", headers=both).status == 412, "If-Match is judged first"
    both = [f"If-Match: {second}", f"If-None-Match: {second}"]
    assert curl.request(method, "keys/k", headers=both).status == 304


def test_conditions_win_over_ranges(curl):
    own = put(curl, "k", b"0123456789").headers["etag"]
    assert curl.get("k", [f"If-None-Match: {own}", "Range: bytes=2-3"]).status == 304
    assert curl.get("k", [f"If-None-Match: {own}", "Range: bytes=99-"]).status == 304
    assert curl.get("k", ['If-Match: "x"', "Range: bytes=99-"]).status == 412
    assert curl.get("k", [f"If-Match: {own}", "Range: bytes=2-3"]).body == b"23"


def test_a_connection_goes_on_behind_304_and_412(daemon, store, curl):
    own = put(curl, "k", b"v" * 100000).headers["etag"]
    path = f"/v1/stores/{store}/keys/k"
    with RawHttp(daemon.http_address) as connection:
        connection.send(request("GET", path, headers=[f"If-None-Match: {own}"])
                        + request("HEAD", path, headers=['If-Match: "x"'])
                        + request("PUT", path, b"w" * 100000, ["If-None-Match: *"])
                        + request("PUT", path, b"w" * 1000, ['If-Match: "unknown"'])
                        + request("GET", path))
        assert connection.answer().status == 304
        assert connection.answer(to_head=True).status == 412
        assert connection.answer().status == 412
        assert connection.answer().status == 412
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"v" * 100000)


# ---- binary ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("streamed", [False, True], ids=["write", "write_stream"])
def test_binary_writes(wire, streamed):
    write = wire.write_stream if streamed else wire.write
    value = b"v" * (600 << 10)
    for condition in (w.PRESENT, w.Condition(3, 0, 0)):
        refused(w.PRECONDITION_FAILED, write, b"alpha", value, condition=condition)
    assert not wire.exists(b"alpha")
    first = write(b"alpha", value, condition=w.ABSENT)
    assert not first["replaced"]
    refused(w.PRECONDITION_FAILED, write, b"alpha", b"late", condition=w.ABSENT)
    second = write(ALPHA, b"2", condition=w.version(first))
    assert second["replaced"]
    for stale in (w.version(first), w.version(second)._replace(crc32=0), w.version(second)._replace(offset=0)):
        refused(w.PRECONDITION_FAILED, write, b"alpha", b"late", condition=stale)
    third = write(b"alpha", b"3", condition=w.PRESENT)
    assert wire.read(b"alpha") == b"3"
    assert w.version(wire.metadata(b"alpha")) == w.version(third) == w.version(wire.last())


def test_binary_delete(wire):
    refused(w.PRECONDITION_FAILED, wire.delete, b"k", condition=w.PRESENT)
    assert not wire.delete(b"k", condition=w.ABSENT)["found"]
    first = wire.write(b"k", b"1")
    second = wire.write(b"k", b"1")
    refused(w.PRECONDITION_FAILED, wire.delete, b"k", condition=w.version(first))
    refused(w.PRECONDITION_FAILED, wire.delete, b"k", condition=w.ABSENT)
    assert wire.delete(b"k", condition=w.version(second))["found"]
    refused(w.PRECONDITION_FAILED, wire.delete, b"k", condition=w.version(second))


def test_binary_rename(wire):
    first = wire.write(b"a", b"1")
    second = wire.write(b"a", b"2")
    target = wire.write(b"b", b"b")
    for conditions in ({"condition": w.version(first)}, {"condition": w.ABSENT},
                       {"condition": w.version(second), "target_condition": w.ABSENT},
                       {"target_condition": w.version(second)}, {"target_condition": w.ABSENT}):
        refused(w.PRECONDITION_FAILED, wire.rename, b"a", b"b", **conditions)
    refused(w.PRECONDITION_FAILED, wire.rename, b"a", b"new", target_condition=w.PRESENT)
    assert (wire.read(b"a"), wire.read(b"b")) == (b"2", b"b")
    answer = wire.rename(b"a", b"b", condition=w.version(second), target_condition=w.version(target))
    assert answer["replaced"] and wire.read(b"b") == b"2" and not wire.exists(b"a")
    assert w.version(wire.metadata(b"b")) == w.version(answer)


@pytest.mark.parametrize("kind", [0, 4, 255])
def test_unknown_kinds_of_condition(wire, kind):
    refused(w.INVALID_ARGUMENT, wire.write, b"k", b"v", condition=w.Condition(kind, 0, 0))
    refused(w.INVALID_ARGUMENT, wire.delete, b"k", condition=w.Condition(kind, 0, 0))
    assert not wire.exists(b"k")


def test_a_long_rename_keeps_its_conditions(wire):
    """Values of this length are verified aside first."""
    value = b"long" * (200 << 10)
    first = wire.write(b"a", value)
    second = wire.write(b"a", value)
    refused(w.PRECONDITION_FAILED, wire.rename, b"a", b"b", condition=w.version(first))
    refused(w.PRECONDITION_FAILED, wire.rename, b"a", b"b", condition=w.ABSENT)
    wire.write(b"b", b"there")
    refused(w.PRECONDITION_FAILED, wire.rename, b"a", b"b", condition=w.version(second), target_condition=w.ABSENT)
    assert wire.rename(b"a", b"b", condition=w.version(second), target_condition=w.PRESENT)["replaced"]
    assert wire.read(b"b") == value


# ---- races ----------------------------------------------------------------------------------------------------------

@pytest.fixture(params=[1, 4], ids=["one-loop", "four-loops"])
def racing(request, launch):
    return launch("--loops", str(request.param))


def race_http(daemon, requests):
    """The statuses of requests that differ in their last byte's time of sending by as little as can be."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(RawHttp(daemon.http_address)) for _ in requests]
        for connection, data in zip(connections, requests):
            connection.send(data[:-1])
        for connection, data in zip(connections, requests):
            connection.send(data[-1:])
        return [connection.answer() for connection in connections]


def race_binary(daemon, sends):
    """sends: for each connection bytes; the last byte goes last. Each answer is (status, body)."""
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(daemon.binary_address)) for _ in sends]
        for connection, data in zip(wires, sends):
            connection.send(data[:-1])
        for connection, data in zip(wires, sends):
            connection.send(data[-1:])
        answers = []
        for connection in wires:
            answer = connection.answer()
            while answer[1] == w.CREDIT:
                answer = connection.answer()
            answers.append(answer)
        return answers


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
def test_of_100_that_create_one_key_over_http_one_wins(racing, chunked):
    path = "/v1/stores/default/keys/k"
    for attempt in range(3):
        values = [b"value %d of %d" % (i, attempt) for i in range(100)]
        if chunked:
            head = ["If-None-Match: *", "Transfer-Encoding: chunked"]
            requests = [request("PUT", path, headers=head) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(value), value)
                        for value in values]
        else:
            requests = [request("PUT", path, value, ["If-None-Match: *"]) for value in values]
        answers = race_http(racing, requests)
        winners = [i for i, answer in enumerate(answers) if answer.status == 201]
        assert len(winners) == 1
        assert {answer.error for answer in answers if answer.status != 201} == {"precondition_failed"}
        curl = Curl(racing.http)
        value = curl.get("k")
        assert value.body == values[winners[0]]
        assert value.headers["etag"] == answers[winners[0]].headers["etag"]
        curl.delete("k")


@pytest.mark.parametrize("streamed", [False, True], ids=["write", "write_stream"])
def test_of_100_that_create_one_key_in_binary_one_wins(racing, streamed):
    sends = []
    for i in range(100):
        value = b"value %d" % i
        if streamed:
            sends.append(frame(w.WRITE_STREAM, 7, w.write_stream_body("", b"k", condition=w.ABSENT), 1)
                         + frame(w.CHUNK, 7, value) + frame(w.END, 7))
        else:
            sends.append(frame(w.WRITE, 7, w.write_body("", b"k", value, condition=w.ABSENT), 1))
    answers = race_binary(racing, sends)
    statuses = [answer[2] for answer in answers]
    assert sorted(statuses) == [w.OK] + [w.PRECONDITION_FAILED] * 99
    with Wire(racing.binary_address) as wire:
        assert wire.read(b"k") == b"value %d" % statuses.index(w.OK)
        assert wire.info()["entries"] == 1


def test_of_100_that_rename_to_one_key_one_wins(racing):
    with Wire(racing.binary_address) as wire:
        wire.batch_write([(b"from %d" % i, b"value %d" % i) for i in range(100)])
        sends = [frame(w.RENAME, 7, w.rename_body("", b"from %d" % i, b"to", target_condition=w.ABSENT), 2)
                 for i in range(100)]
        statuses = [answer[2] for answer in race_binary(racing, sends)]
        assert sorted(statuses) == [w.OK] + [w.PRECONDITION_FAILED] * 99
        assert wire.read(b"to") == b"value %d" % statuses.index(w.OK)
        assert wire.info()["entries"] == 100


def test_creating_pipelined_on_one_connection(wire):
    wire.send(b"".join(frame(w.WRITE, i, w.write_body(wire.store, b"k", b"%d" % i, condition=w.ABSENT), 1)
                       for i in range(50)))
    statuses = dict((answer[0], answer[2]) for answer in (wire.answer() for _ in range(50)))
    assert [statuses[i] for i in range(50)] == [w.OK] + [w.PRECONDITION_FAILED] * 49
    assert wire.read(b"k") == b"0"


def run_threads(count, target):
    """Runs target(number) in so many threads; what one raises, this raises."""
    faults = []

    def guarded(number):
        try:
            target(number)
        except BaseException as fault:  # noqa: B902 - it is raised again below
            faults.append(fault)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def count_over_http(daemon, rounds):
    path = "/v1/stores/default/keys/counter"
    with RawHttp(daemon.http_address) as connection:
        done = 0
        while done < rounds:
            connection.send(request("GET", path))
            seen = connection.answer()
            connection.send(request("PUT", path, b"%d" % (int(seen.body) + 1), [f"If-Match: {seen.headers['etag']}"]))
            answer = connection.answer()
            assert answer.status in (200, 412), answer
            done += answer.status == 200


def count_in_binary(daemon, rounds):
    with Wire(daemon.binary_address) as wire:
        done = 0
        while done < rounds:
            seen, value = wire.read_all(b"counter")
            try:
                wire.write(b"counter", b"%d" % (int(value) + 1), condition=w.version(seen))
                done += 1
            except WireError as error:
                assert error.status == w.PRECONDITION_FAILED


def test_a_counter_of_8_clients_loses_nothing(racing):
    with Wire(racing.binary_address) as wire:
        wire.write(b"counter", b"0")
        run_threads(8, lambda number: (count_over_http, count_in_binary)[number % 2](racing, 25))
        assert wire.read(b"counter") == b"200"
        entries = wire.info()
    assert entries["entries"] == 1


def test_by_hash_and_by_key_are_one_key(curl, wire):
    assert put(curl, "alpha", b"1", "If-None-Match: *").status == 201
    path = f"hashes/{ALPHA:016x}"
    assert curl.request("PUT", path, b"2", ["If-None-Match: *"]).status == 412
    own = curl.request("HEAD", path).headers["etag"]
    assert curl.request("PUT", path, b"2", [f"If-Match: {own}"]).status == 200
    refused(w.PRECONDITION_FAILED, wire.write, ALPHA, b"3", condition=w.ABSENT)
    assert wire.read(b"alpha") == b"2"
