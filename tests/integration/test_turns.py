# SPDX-License-Identifier: MIT
"""A connection's share of a turn of the loop: 256 KiB read from it, and as many sent to it, between two waits for
events, however much there is. So nobody waits for more than that of each other connection; and of what is sent, for a
third of it where others ask for little."""
import collections
import contextlib
import itertools
import signal
import threading

import pytest

from harness.curl import Curl
from harness.daemon import wait_until
from harness.rawhttp import RawHttp, request
from harness.resp import Resp, encode
from harness.syscalls import READS, WAITS, WRITES, recorded, traced, turns
from harness.wire import Wire

SHARE = 256 << 10
BRIEF_SHARE = 80 << 10
LENGTH = 4 << 20
VALUE = bytes(range(256)) * (LENGTH // 256)
SMALL_COUNT = 33000
PONG = b"+PONG\r\n"
PONG_LENS = (len(PONG), len(PONG) + 22)  # the latter through TLS
EXPECTED_S = 0.010  # behind a brief answer the loop takes others to wait for more of them
TICK_S = 0.001      # of its clock


def largest(counters):
    """The largest share of any connection, and the bytes in all."""
    counts = [count for counter in counters for count in counter.values()]
    return max(counts), sum(counts)


@contextlib.contextmanager
def beside(work):
    """Runs it on a thread; the block's end waits for it."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def redis(daemon):
    return Resp(daemon.redis_address)


def get_by_http(daemon):
    assert Curl(daemon.http).get("long").body == VALUE


def get_by_wire(daemon):
    with Wire(daemon.binary_address) as wire:
        assert wire.read(b"long") == VALUE


def get_as_stream(daemon):
    with Wire(daemon.binary_address) as wire:
        assert wire.read_all(b"long")[1] == VALUE


def get_by_redis(daemon):
    with redis(daemon) as resp:
        assert resp.call("GET", "long") == b"$%d\r\n" % LENGTH + VALUE + b"\r\n"


def get_many_by_redis(daemon):
    """Of values that are copied into the answer, not sent from the map."""
    with redis(daemon) as resp:
        resp.call("SET", "short", b"x" * 1000)
        with beside(lambda: resp.send(encode("GET", "short") * 5000)):
            for _ in range(5000):
                resp.answer()


@pytest.mark.parametrize("get", [get_by_http, get_by_wire, get_as_stream, get_by_redis, get_many_by_redis])
def test_what_is_sent(launch, get):
    daemon = launch("--redis", "127.0.0.1:0")
    Curl(daemon.http).put("long", VALUE)
    with recorded(daemon) as calls:
        get(daemon)
    most, total = largest(turns(calls)[1])
    assert total >= LENGTH
    assert most <= SHARE


def test_the_share_is_used(launch):
    """To its last byte, where the socket takes that much."""
    daemon = launch()
    curl = Curl(daemon.http)
    curl.put("long", VALUE)
    with recorded(daemon) as calls:
        for _ in range(5):
            get_by_http(daemon)
    assert largest(turns(calls)[1])[0] == SHARE


@contextlib.contextmanager
def small_talk(daemon):
    """One client asks for little, again and again."""
    over = threading.Event()

    def talk():
        with redis(daemon) as resp:
            while not over.is_set():
                assert resp.call("PING") == PONG

    with beside(talk):
        try:
            yield
        finally:
            over.set()


def since_brief_answers(calls):
    """Of each call that sent something else: what its connection has been sent in this turn, and the seconds since the turn
    that last gave a brief answer began. A turn's clock is read behind its wait and before its first call, so that these
    seconds may be too many by what has held the loop up, and never too few."""
    turn_begin = brief_begin = None
    sent = collections.Counter()
    for call in calls:
        if call.name in WAITS:
            turn_begin = call.end
            sent.clear()
        elif call.name in WRITES and call.result in PONG_LENS:
            brief_begin = turn_begin
        elif call.name in WRITES and call.result > 0 and brief_begin is not None:
            sent[call.descriptor] += call.result
            yield sent[call.descriptor], call.begin - brief_begin


@pytest.mark.parametrize("get", [get_by_http, get_by_wire, get_as_stream, get_by_redis])
def test_less_is_sent_where_others_ask_for_little(launch, get):
    daemon = launch("--redis", "127.0.0.1:0")
    Curl(daemon.http).put("long", VALUE)
    with small_talk(daemon), recorded(daemon) as calls:
        for _ in range(3):
            get(daemon)
    assert sum(sum(turn.values()) for turn in turns(calls)[1]) >= 3 * LENGTH
    sent = list(since_brief_answers(calls))
    assert all(since >= EXPECTED_S - TICK_S for length, since in sent if length > BRIEF_SHARE)
    assert any(length > BRIEF_SHARE / 2 and since < EXPECTED_S for length, since in sent)


def test_those_who_ask_for_little_are_let_in(launch):
    """Between pieces of a long value the loop's processor is theirs; where nobody asks for little, the loop keeps it."""
    daemon = launch("--redis", "127.0.0.1:0")
    Curl(daemon.http).put("long", VALUE)
    with traced(daemon, "-e", "trace=sched_yield") as alone:
        get_by_http(daemon)
    assert not any("sched_yield" in line for line in alone)

    def yields():
        with small_talk(daemon), traced(daemon, "-e", "trace=sched_yield") as beside_others:
            get_by_http(daemon)
        return any("sched_yield" in line for line in beside_others)

    wait_until(yields, "a download while the other client has its turn again and again")


def put_by_http(daemon):
    assert Curl(daemon.http).put("long", VALUE).status == 201


def put_by_wire(daemon):
    with Wire(daemon.binary_address) as wire:
        wire.write(b"long", VALUE)


def put_by_redis(daemon):
    with redis(daemon) as resp:
        assert resp.call("SET", "long", VALUE) == b"+OK\r\n"


def put_many_by_redis(daemon):
    with redis(daemon) as resp:
        requests = encode("SET", "short", b"x" * 100) * SMALL_COUNT
        assert len(requests) >= LENGTH
        with beside(lambda: resp.send(requests)):
            for _ in range(SMALL_COUNT):
                assert resp.answer() == b"+OK\r\n"


@pytest.mark.parametrize("put", [put_by_http, put_by_wire, put_by_redis, put_many_by_redis])
def test_what_is_read(launch, put):
    daemon = launch("--redis", "127.0.0.1:0", "--durability", "none")
    with recorded(daemon) as calls:
        put(daemon)
    most, total = largest(turns(calls)[0])
    assert total >= LENGTH
    assert most <= SHARE


def longest_run(calls, names):
    """Of calls by these names one after another that moved bytes, within a turn."""
    moved = [call for call in calls if call.name in WAITS or call.result > 0]
    runs = itertools.groupby(moved, key=lambda call: call.name in names)
    return max((sum(1 for _ in run) for wanted, run in runs if wanted), default=0)


def test_many_connections_are_answered_before_all_are_read(launch):
    """What the first of them have asked for is answered while it is in the caches, and they need not wait for the last."""
    daemon = launch("--redis", "127.0.0.1:0", "--durability", "none")
    count, depth = 60, 16
    with contextlib.ExitStack() as stack:
        resps = [stack.enter_context(redis(daemon)) for _ in range(count)]
        for i in range(depth):
            assert resps[0].call("SET", f"key {i}", f"value {i}") == b"+OK\r\n"
        for resp in resps:
            assert resp.call("PING") == b"+PONG\r\n"
        with recorded(daemon) as calls:
            daemon.process.send_signal(signal.SIGSTOP)
            try:
                for i, resp in enumerate(resps):
                    resp.send(b"".join(encode("GET", f"key {(i + j) % depth}") for j in range(depth)))
            finally:
                daemon.process.send_signal(signal.SIGCONT)
            for i, resp in enumerate(resps):
                for j in range(depth):
                    value = b"value %d" % ((i + j) % depth)
                    assert resp.answer() == b"$%d\r\n%s\r\n" % (len(value), value)
    assert max(len(turn) for turn in turns(calls)[0]) > count / 2
    assert longest_run(calls, READS) <= 8
    assert longest_run(calls, WRITES) <= 8


def processor_time(daemon):
    """Of its first loop, in seconds."""
    pid = daemon.process.pid
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def test_what_had_to_wait_makes_no_long_turn(launch):
    """As many as a connection may have unanswered are taken when they are read, and once more when these have been answered;
    those behind them wait for a turn of their own."""
    allowed, count = 16, 1000
    daemon = launch("--redis", "127.0.0.1:0", "--requests-max", str(allowed))
    with redis(daemon) as resp:
        with recorded(daemon) as calls:
            resp.send(encode("PING") * count)
            for _ in range(count):
                assert resp.answer() == PONG
    most, total = largest(turns(calls)[1])
    assert total >= count * len(PONG)
    assert most <= 3 * allowed * len(PONG)  # and what TLS adds


def test_short_requests_do_not_make_a_long_turn(launch):
    """A newcomer beside a hundred connections that have sent thousands of them before it need not wait for a third of them."""
    daemon = launch("--redis", "127.0.0.1:0")
    count, depth = 100, 1000
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(redis(daemon)) for _ in range(count)]
        newcomer = stack.enter_context(redis(daemon))
        with recorded(daemon) as calls:
            for resp in [newcomer, *many]:
                assert resp.call("PING") == PONG
            daemon.process.send_signal(signal.SIGSTOP)
            try:
                for resp in many:
                    resp.send(encode("x" * 90) * depth)
                newcomer.send(encode("PING"))
            finally:
                daemon.process.send_signal(signal.SIGCONT)
            assert newcomer.answer() == PONG
            for resp in many:
                for _ in range(depth):
                    assert resp.answer().startswith(b"-ERR unknown command")
    sent = [call for call in calls if call.name in ("sendto", "sendmsg") and call.result > 0]
    newcomers, sent = sent[0].descriptor, sent[1 + count:]  # the first ones were answered one by one
    before = sum(call.result for call in itertools.takewhile(lambda call: call.descriptor != newcomers, sent))
    assert before < sum(call.result for call in sent) / 3


def test_short_parts_do_not_make_a_long_turn(launch):
    """Nor need it wait for uploads whose every chunk is a byte."""
    daemon = launch("--durability", "none")
    count, chunks = 100, 20_000
    head = ["Transfer-Encoding: chunked"]
    body = b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(RawHttp(daemon.http_address)) for _ in range(count)]
        newcomer = stack.enter_context(RawHttp(daemon.http_address))
        for http in [newcomer, *many]:
            http.send(request("GET", "/healthz"))
            assert http.answer().status == 200
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            for i, http in enumerate(many):
                http.send(request("PUT", f"/v1/stores/default/keys/{i}", headers=head) + body)
            newcomer.send(request("GET", "/healthz"))
            before = processor_time(daemon)
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        assert newcomer.answer().status == 200
        waited = processor_time(daemon) - before
        for http in many:
            assert http.answer().status == 201
        total = processor_time(daemon) - before
    assert Curl(daemon.http).get("0").body == b"x" * chunks
    assert waited < total / 2, (waited, total)  # a quarter; through TLS, on a fast machine, two fifths


def test_waiting_for_a_turn_costs_nothing(launch):
    """A connection that may have 16 requests unanswered goes on some thousand times; each is a turn, and no more than that."""
    times = {}
    for allowed in (16, 1024):
        daemon = launch("--redis", "127.0.0.1:0", "--requests-max", str(allowed))
        with redis(daemon) as resp:
            assert resp.call("PING") == PONG
            before = processor_time(daemon)
            with beside(lambda: resp.send(encode("PING") * 20_000)):
                for _ in range(20_000):
                    assert resp.answer() == PONG
            times[allowed] = processor_time(daemon) - before
        daemon.stop()
    assert times[16] < 15 * times[1024] + 0.3, times  # 2 ms for each turn are more than a second


LONG = 64 << 20


def begin_exec(resp, looks, writes):
    """Looks at a long value so many times, of which one byte is answered and all is verified."""
    commands = [("MULTI",), *[("GETRANGE", "long", "0", "0")] * looks, *[("SET", "other", "1")] * writes]
    resp.send(b"".join(encode(*words) for words in commands))
    for _ in commands:
        resp.answer()
    resp.send(encode("EXEC"))


@pytest.mark.parametrize("writes", [0, 1])
def test_what_a_transaction_verifies(launch, writes):
    """Gigabytes are verified by another thread: others are answered meanwhile."""
    daemon = launch("--redis", "127.0.0.1:0")
    Curl(daemon.http).put("long", bytes(LONG))
    looks = 100
    with redis(daemon) as resp, redis(daemon) as other:
        other.call("PING")
        begin_exec(resp, looks, writes)
        done = threading.Event()
        answers = []

        def take():
            answers.append(resp.answer())
            done.set()

        pings = 0
        with beside(take):
            while not done.is_set():
                other.call("PING")
                pings += 1
    assert answers == [b"*%d\r\n" % (looks + writes) + b"$1\r\n\0\r\n" * looks + b"+OK\r\n" * writes]
    assert pings >= 20
