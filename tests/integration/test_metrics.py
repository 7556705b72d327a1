# SPDX-License-Identifier: MIT
"""What the daemon says of itself, against what was done to it: /metrics on every face, /readyz, and their documents."""
import os
import re
import sys
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import tokens
from harness.cli import Cli
from harness.curl import Curl
from harness.daemon import REPOSITORY, wait_until
from harness.rawhttp import RawHttp, request
from harness.resp import Resp

sys.path.insert(0, os.path.join(REPOSITORY, "clients", "python"))
import rdrive  # noqa: E402 - found by the line above


class Metrics:
    """A scrape, by name and labels."""

    def __init__(self, text):
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
                        for family in self.families for sample in family.samples}

    def get(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))), 0)

    def sum(self, name, **labels):
        """Over all samples that have at least these labels."""
        return sum(value for (sample, pairs), value in self.samples.items()
                   if sample == name and set(labels.items()) <= set(pairs))

    def requests(self, store, operation, code="ok"):
        return self.get("rdrive_requests_total", store=store, operation=operation, code=code)


def scrape(daemon):
    answer = Curl(daemon.http, "default").request("GET", "/metrics")
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.body.decode())


def assert_well_formed(metrics):
    """What the parser lets pass: each family once, with a help and a type, and histograms that add up."""
    names = re.findall(r"^# TYPE (\S+) (\S+)$", metrics.text, re.MULTILINE)
    assert len(names) == len({name for name, _ in names}) == len(re.findall(r"^# HELP \S+ \S", metrics.text, re.MULTILINE))
    for name, kind in names:
        assert re.fullmatch(r"[a-z_]+", name)
        assert (kind == "counter") == name.endswith("_total"), name
        if kind == "histogram":
            assert_histogram_adds_up(metrics, name)


def assert_histogram_adds_up(metrics, name):
    series = {}
    for (sample, labels), value in metrics.samples.items():
        if sample == name + "_bucket":
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in series.items():
        buckets.sort()
        counts = [count for _, count in buckets]
        assert counts == sorted(counts) and buckets[-1][0] == float("inf")
        assert counts[-1] == metrics.get(name + "_count", **dict(rest))
        bounds = [0] + [bound for bound, _ in buckets]
        each = [after - before for before, after in zip([0] + counts, counts)]
        least = sum(count * bound / 2 for count, bound in zip(each[1:], bounds[1:]))  # buckets double, the first begins at 0
        assert least <= metrics.get(name + "_sum", **dict(rest)) * 1.000001 or each[-1] != 0


def test_what_is_done_on_every_face_is_counted(daemon, store, curl):
    before = scrape(daemon)
    assert curl.request("PUT", "keys/http", b"one").status == 201
    assert curl.request("GET", "keys/http").status == 200
    assert curl.request("GET", "keys/nothing").status == 404
    tool = Cli(("--server", daemon.binary), store)
    tool.ok("write", "cli", "two")
    Cli(("--unix", daemon.unix_path), store).ok("len")
    with rdrive.Client(daemon.binary) as client:
        client.store(store).write("python", b"three")
        client.store(store).batch_write({"a": b"1", "b": b"2"})
    with Resp(daemon.redis_address) as connection:
        connection.call("SELECT", store)
        connection.call("SET", "redis", "four")
        connection.call("GET", "redis")
    metrics = scrape(daemon)
    assert_well_formed(metrics)
    assert metrics.requests(store, "write") + metrics.requests(store, "write_stream") >= 3
    assert metrics.requests(store, "batch_write") == 1
    assert metrics.requests(store, "read", "key_not_found") == 1
    assert metrics.requests(store, "info") == 1
    assert metrics.get("rdrive_store_entries", store=store) == 6
    assert metrics.get("rdrive_store_group_operations_sum", store=store) == 5
    assert metrics.get("rdrive_store_sync_duration_seconds_count", store=store) >= 1
    assert metrics.get("rdrive_connections_accepted_total") > before.get("rdrive_connections_accepted_total")
    assert metrics.get("rdrive_received_bytes_total") > before.get("rdrive_received_bytes_total")


def test_bytes_of_values_that_were_read(daemon, store, curl):
    """Each way of reading adds what it brings, and nothing else does."""
    def count():
        return scrape(daemon).get("rdrive_store_read_bytes_total", store=store)

    long_value = os.urandom(3 << 20)
    assert curl.put("short", b"x" * 100).status == 201
    assert curl.put("long", long_value).status == 201
    assert curl.put("gone", b"g").status == 201
    counted = count()
    assert counted == 0
    tool = Cli(("--server", daemon.binary), store)
    with rdrive.Client(daemon.binary) as client, Resp(daemon.redis_address) as connection:
        there = client.store(store)
        connection.call("SELECT", store)

        def in_transaction(*commands):
            for words in (["MULTI"], *commands, ["EXEC"]):
                assert not connection.call(*words).startswith(b"-")

        for what, bytes_read in (
                (lambda: curl.get("short"), 100),
                (lambda: curl.get("long"), len(long_value)),
                (lambda: curl.request("GET", "keys/long", headers=("Range: bytes=10-19",)), 10),
                (lambda: curl.request("GET", "keys/none"), 0),
                (lambda: curl.request("GET", "keys/short", headers=(f"If-None-Match: {curl.request('HEAD', 'keys/short').headers['etag']}",)), 0),
                (lambda: curl.request("HEAD", "keys/long"), 0),
                (lambda: curl.request("POST", "batch/read", b'{"keys":["short","none","short"]}', headers=("Content-Type: application/json",)), 200),
                (lambda: curl.request("GET", "backup"), 0),
                (lambda: curl.request("GET", "entries"), 0),
                (lambda: curl.request("GET", "last"), 0),
                (lambda: curl.request("POST", "verify"), 0),
                (lambda: tool.ok("read", "short"), 100),
                (lambda: tool.ok("read", "long"), len(long_value)),
                (lambda: tool.ok("backup", "-"), 0),
                (lambda: there.read("short"), 100),
                (lambda: there.batch_read(["short", "none", "long"]), 100 + len(long_value)),
                (lambda: there.metadata("long"), 0),
                (lambda: there.exists("long"), 0),
                (lambda: connection.call("GET", "short"), 100),
                (lambda: connection.call("GETRANGE", "short", 0, 4), 5),
                (lambda: connection.call("MGET", "short", "none", "long"), 100 + len(long_value)),
                (lambda: connection.call("STRLEN", "long"), 0),
                (lambda: connection.call("GETDEL", "gone"), 1),
                (lambda: connection.call("SET", "short", "y" * 7, "GET"), 100),
                (lambda: in_transaction(["GET", "short"], ["SET", "other", "o"]), 7),
                (lambda: in_transaction(["STRLEN", "long"], ["EXISTS", "short", "long"], ["TYPE", "long"], ["SET", "other", "p"]), 0),
                (lambda: in_transaction(["GET", "short"], ["STRLEN", "long"], ["EXISTS", "long"], ["DEL", "none"]), 7),
                (lambda: in_transaction(["STRLEN", "long"], ["EXISTS", "short", "long"]), 0),
                (lambda: in_transaction(["STRLEN", "long"], ["MGET", "short", "none", "short"], ["TYPE", "long"]), 14),
                (lambda: connection.call("EXISTS", "short", "long"), 0)):
            what()
            before, counted = counted, count()
            assert counted - before == bytes_read, what.__code__.co_consts


@pytest.mark.parametrize("loops", [1, 2])
def test_counts_add_up_over_loops(launch, loops):
    daemon = launch("--loops", str(loops))
    clients = [rdrive.Client(daemon.binary) for _ in range(8)]
    for number in range(100):
        store = clients[number % 8].store("default")
        store.write(f"key {number}", b"x" * 100)
        store.read(f"key {number}")
        store.exists(f"key {number}")
    for client in clients:
        client.close()
    metrics = scrape(daemon)
    assert_well_formed(metrics)
    assert metrics.get("rdrive_loops") == loops
    for operation in ("write", "read", "exists"):
        assert metrics.requests("default", operation) == 100
        assert metrics.get("rdrive_request_duration_seconds_count", store="default", operation=operation) == 100
        assert 0 < metrics.get("rdrive_request_duration_seconds_sum", store="default", operation=operation) < 60
    assert metrics.get("rdrive_store_group_operations_sum", store="default") == 100
    assert metrics.get("rdrive_store_appended_bytes_total", store="default") == metrics.get("rdrive_store_tail_bytes", store="default")
    assert metrics.get("rdrive_store_live_bytes", store="default") == 100 * 120


def test_rejections_are_counted_by_code(daemon, store, curl):
    assert curl.request("PUT", "keys/empty", b"").status == 400
    assert curl.request("GET", "/v1/stores/nowhere/keys/k").status == 404
    assert curl.request("PUT", "keys/" + "k" * 40000, b"v").status == 413
    metrics = scrape(daemon)
    assert metrics.requests(store, "write", "invalid_argument") == 1
    assert metrics.requests("", "read", "store_not_found") >= 1
    assert metrics.sum("rdrive_requests_total", code="too_large") >= 1


def test_an_upload_shows_while_it_is_under_way(daemon, store):
    with rdrive.Client(daemon.binary) as client:
        seen = []

        def chunks():
            yield b"x" * 300000
            wait_until(lambda: scrape(daemon).get("rdrive_upload_bytes") == 300000, "the upload's bytes")
            seen.append(scrape(daemon).get("rdrive_uploads"))
            yield b"y"

        client.store(store).write_stream("k", chunks())
    metrics = scrape(daemon)
    assert seen == [1]
    assert (metrics.get("rdrive_uploads"), metrics.get("rdrive_upload_bytes")) == (0, 0)
    assert metrics.requests(store, "write_stream") == 1


def test_a_dropped_store_vanishes(daemon):
    curl = Curl(daemon.http, "metrics-dropped")
    assert curl.create().status == 201
    assert curl.request("PUT", "keys/k", b"v").status == 201
    assert scrape(daemon).requests("metrics-dropped", "write") == 1
    assert curl.drop().status == 200
    assert 'store="metrics-dropped"' not in scrape(daemon).text


def test_a_store_that_failed_is_told(launch, folder):
    daemon = launch()
    daemon.stop()
    with open(daemon.store_path("broken"), "wb") as file:
        file.write(b"this is no store, whatever it is called\n" * 200)
    daemon = launch()
    metrics = scrape(daemon)
    states = {state: metrics.get("rdrive_store_state", store="broken", state=state)
              for state in ("open", "read_only", "failed", "reopening")}
    assert states == {"open": 0, "read_only": 0, "failed": 1, "reopening": 0}
    assert metrics.get("rdrive_store_state", store="default", state="open") == 1
    curl = Curl(daemon.http, "default")
    assert curl.request("GET", "/readyz").status == 503
    assert curl.request("GET", "/readyz?store=default").status == 200
    answer = curl.request("GET", "/readyz?store=broken")
    assert answer.status == 503 and "not" in answer.json()["error"]["message"]


def test_readiness_of_one_store(daemon, store, curl):
    assert curl.request("GET", f"/readyz?store={store}").status == 200
    assert curl.request("GET", "/readyz?store=nobody").status == 404
    for bad in ("store=", "store=..%2Fx", "store=a&store=b", "stores=a"):
        assert curl.request("GET", f"/readyz?{bad}").status == 400, bad


def test_readiness_of_one_store_is_told_to_those_who_may_see_it(launch, folder):
    rows = [tokens.row("mine", ["default"], ["read"]), tokens.row("other", ["other*"], ["admin"])]
    daemon = launch("--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows))
    curl = Curl(daemon.http, "default")
    for token, status in ((None, 403), ("other", 403), ("mine", 200)):
        headers = [f"Authorization: Bearer {token}"] if token else []
        assert curl.request("GET", "/readyz?store=default", headers=headers).status == status, token
        assert curl.request("GET", "/readyz", headers=headers).status == 200
        assert curl.request("GET", "/", headers=headers).status == 200


def test_every_face_gives_the_same_text(daemon):
    families = [family.name for family in scrape(daemon).families]
    with rdrive.Client(daemon.binary) as client:
        assert [family.name for family in Metrics(client.metrics()).families] == families
    text = Cli(("--server", daemon.binary), None).ok("metrics").decode()
    assert [family.name for family in Metrics(text).families] == families


def test_backups_under_way_are_counted_on_both_faces(launch):
    daemon = launch()
    assert Curl(daemon.http, "default").put("k", os.urandom(32 << 20)).status == 201
    with rdrive.Client(daemon.binary) as client, RawHttp(daemon.http_address) as http:
        stream = client.store("default").backup(window=1 << 20)
        wait_until(lambda: scrape(daemon).get("rdrive_backups") == 1, "a backup over the binary protocol")
        http.send(request("GET", "/v1/stores/default/backup"))  # whose answer nobody reads
        wait_until(lambda: scrape(daemon).get("rdrive_backups") == 2, "another over HTTP")
        stream.close()
        wait_until(lambda: scrape(daemon).get("rdrive_backups") == 1, "the end of the first")
    wait_until(lambda: scrape(daemon).get("rdrive_backups") == 0, "the end of both")
    taken = Curl(daemon.http, "default").request("GET", "backup")
    assert taken.status == 200 and len(taken.body) > 32 << 20
    wait_until(lambda: scrape(daemon).get("rdrive_backups") == 0, "a backup that came to its end")


def test_a_compaction_is_told_while_it_goes_on_and_when_it_is_over(launch):
    daemon = launch("--compact-rate", "1")
    curl = Curl(daemon.http, "default")
    for _ in range(2):
        assert curl.request("PUT", "keys/k", os.urandom(4 << 20)).status in (200, 201)
    metrics = scrape(daemon)
    before = metrics.get("rdrive_store_tail_bytes", store="default")
    assert (metrics.get("rdrive_store_compacting", store="default"), metrics.sum("rdrive_store_compactions_total")) == (0, 0)
    assert "rdrive_store_last_compaction_seconds{" not in metrics.text
    with rdrive.Client(daemon.binary) as client:
        done = threading.Thread(target=client.store("default").compact)
        done.start()
        wait_until(lambda: scrape(daemon).get("rdrive_store_compacting", store="default") == 1, "a compaction under way")
        assert scrape(daemon).sum("rdrive_store_compactions_total", store="default") == 0
        done.join()
    metrics = scrape(daemon)
    assert_well_formed(metrics)
    assert metrics.get("rdrive_store_compacting", store="default") == 0
    assert metrics.get("rdrive_store_compactions_total", store="default", result="done") == 1
    assert metrics.get("rdrive_store_compactions_total", store="default", result="failed") == 0
    saved = metrics.get("rdrive_store_compaction_saved_bytes_total", store="default")
    assert saved == before - metrics.get("rdrive_store_tail_bytes", store="default") >= 4 << 20
    pause = metrics.get("rdrive_store_last_compaction_pause_seconds", store="default")
    assert 0 < pause < metrics.get("rdrive_store_last_compaction_seconds", store="default") < 600


def test_quotas_are_told_where_there_are_any(daemon):
    curl = Curl(daemon.http, "metrics-quota")
    assert curl.create({"quota_bytes": 1 << 40, "quota_entries": 7}).status == 201
    try:
        metrics = scrape(daemon)
        assert metrics.get("rdrive_store_quota_bytes", store="metrics-quota") == 1 << 40
        assert metrics.get("rdrive_store_quota_entries", store="metrics-quota") == 7
        assert 'rdrive_store_quota_bytes{store="default"}' not in metrics.text
    finally:
        assert curl.drop().status == 200


def test_an_opening_tells_its_time(launch):
    daemon = launch()
    assert Curl(daemon.http, "default").request("POST", "reopen").status == 200
    metrics = scrape(daemon)
    assert 0 < metrics.get("rdrive_store_opening_seconds", store="default") < 600
    assert 'rdrive_store_opening_checkpoint_bytes{store="default"} 0\n' in metrics.text


def test_refused_tokens_are_counted_by_code(launch, folder):
    rows = [tokens.row("reader", ["default"], ["read"]), tokens.row("watcher", ["*"], ["read"])]
    daemon = launch("--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows))
    curl = Curl(daemon.http, "default")
    for token, method, status in ((None, "GET", 401), ("nobody", "GET", 401), ("reader", "PUT", 403)):
        headers = [f"Authorization: Bearer {token}"] if token else []
        assert curl.request(method, "keys/k", b"v" if method == "PUT" else None, headers=headers).status == status
    answer = curl.request("GET", "/metrics", headers=["Authorization: Bearer watcher"])
    assert answer.status == 200
    metrics = Metrics(answer.body.decode())
    assert metrics.sum("rdrive_requests_total", operation="read", code="unauthorized") == 2
    assert metrics.sum("rdrive_requests_total", code="forbidden") == 1


def test_the_document_tells_each_metric(launch):
    """Both ways, with type and labels."""
    daemon = launch()
    curl = Curl(daemon.http, "quota")
    assert curl.create({"quota_bytes": 1 << 40, "quota_entries": 7}).status == 201
    assert curl.put("k", b"v").status == 201
    assert curl.request("POST", "compact").status == 200
    metrics = scrape(daemon)
    with open(os.path.join(REPOSITORY, "docs", "OPERATIONS.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `((?:rdrive|process)_\w+)` \| (counter|gauge|histogram)(?: \*)? \|([^|]*)\|", file.read(), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    found = {}
    for family in metrics.families:
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    assert found == documented


STORES = 200


def test_many_stores(launch):
    """The text stays in proportion to what was done, and all of it adds up."""
    daemon = launch()
    with rdrive.Client(daemon.binary) as client:
        before = len(client.metrics())
        for number in range(STORES):
            client.create(f"store-{number:04}", {"durability": "none"})
            client.store(f"store-{number:04}").write("k", b"v")
        began = time.monotonic()
        text = client.metrics()
        print(f"{len(text)} bytes in {time.monotonic() - began:.3f} s")
    metrics = Metrics(text)
    assert len(text) > 1 << 20  # so that it leaves in pieces
    with RawHttp(daemon.http_address) as http:  # each whole, in its place
        http.send(3 * request("GET", "/metrics") + request("GET", "/healthz"))
        again = [http.answer() for _ in range(4)]
    assert [answer.status for answer in again] == [200] * 4 and len(again[3].body) < 100
    for answer in again[:3]:
        assert Metrics(answer.body.decode()).sum("rdrive_requests_total", operation="write") == STORES
    assert metrics.sum("rdrive_requests_total", operation="write") == STORES
    assert metrics.sum("rdrive_store_group_operations_sum") == STORES
    assert metrics.get("rdrive_stores") == STORES + 1
    assert len(text) - before < STORES * 10000
    daemon.kill()  # closing so many in order is no matter of this test
