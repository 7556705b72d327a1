# SPDX-License-Identifier: MIT
"""The status page in a headless Chromium: what it shows of a daemon under load, that it asks nobody else, how it bears a
daemon that goes away or wants a token. Screenshots go to BUILD/status-page*.png."""
import os
import shutil
import subprocess
import sys
import threading

import pytest

from browser import Browser
from harness import tokens
from harness.curl import Curl
from harness.daemon import BUILD, REPOSITORY, RDRIVED

sys.path.insert(0, os.path.join(REPOSITORY, "clients", "python"))
import rdrive  # noqa: E402 - found by the line above

RDRIVE_BENCH = os.path.join(os.path.dirname(RDRIVED), "rdrive-bench")
ROWS = "[...document.querySelectorAll('#stores tr')]"


@pytest.fixture(scope="module", autouse=True)
def chromium():
    if shutil.which("chromium") is None:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


@pytest.fixture
def busy(launch, folder):
    """A daemon with three stores under load, and one that is no store."""
    os.makedirs(os.path.join(folder, "data"), mode=0o700)
    with open(os.path.join(folder, "data", "broken.rdr"), "wb") as file:
        file.write(b"this is no store, whatever it is called\n" * 200)
    daemon = launch("--loops", "2")
    for store in ("photos", "sessions"):
        assert Curl(daemon.http, store).create().status == 201
    loads = [subprocess.Popen([RDRIVE_BENCH, "--server", daemon.binary, "--store", store, "--op", op, "--clients", "4", "--rate", rate,
                               "--keys", "2000", "--seconds", "120"], stdout=subprocess.DEVNULL)
             for store, op, rate in (("default", "get", "1000"), ("photos", "mixed", "500"), ("sessions", "put", "100"))]
    yield daemon
    for load in loads:
        load.kill()
        load.wait()


def assert_asks_only(browser, daemon):
    own = f"http://{daemon.http}/"
    assert browser.requests[0] == own
    assert [url for url in browser.requests if not url.startswith((own, "data:"))] == []


def test_what_it_shows(busy):
    for dark in (False, True):
        with Browser(dark=dark) as browser:
            browser.open(f"http://{busy.http}/")
            browser.wait("performance.now() > 12000 && document.querySelectorAll('#operations tr').length > 3")
            assert browser.evaluate(f"{ROWS}.map(row => row.cells[0].textContent)") == ["broken", "default", "photos", "sessions"]
            cells = browser.evaluate(f"{ROWS}.map(row => [...row.cells].map(cell => cell.textContent))")
            assert cells[0][1] == "failed" and "is not a store" in cells[0][2], cells[0]
            for row in cells[1:]:
                assert row[1] == "open" and float(row[7].replace(" k", "")) > 0, row
                assert "KiB" in row[3] or "MiB" in row[3] or row[0] == "default", row
            # Each store that is open has two plots with a point for each look, and so has each tile one.
            assert browser.evaluate(f"{ROWS}.slice(1).map(row => row.querySelectorAll('svg path.line').length)") == [2, 2, 2]
            points = browser.evaluate("[...document.querySelectorAll('path.line')].map(path => path.getAttribute('d').split('L').length)")
            assert len(points) > 12 and max(points) >= 4
            assert browser.evaluate("document.querySelectorAll('#tiles .tile').length") == 6
            # Tables are tables to whoever does not see them, and plots have names.
            assert browser.evaluate("[...document.querySelectorAll('thead th')].every(head => head.scope === 'col')")
            assert browser.evaluate(f"{ROWS}.every(row => row.cells[0].scope === 'row')")
            assert browser.evaluate("[...document.querySelectorAll('svg')].every(svg => svg.getAttribute('aria-label'))")
            browser.screenshot(os.path.join(BUILD, "status-page-dark.png" if dark else "status-page.png"))
            assert_asks_only(browser, busy)
            assert browser.complaints == []


def test_a_compaction_under_way(launch):
    daemon = launch("--compact-rate", "1")
    curl = Curl(daemon.http, "default")
    assert Curl(daemon.http, "empty").create().status == 201
    for _ in range(2):
        assert curl.put("k", os.urandom(6 << 20)).status in (200, 201)
    cells = f"{ROWS}.map(row => [1, 5].map(at => row.cells[at].textContent).join(' '))"
    with Browser() as browser, rdrive.Client(daemon.binary) as client:
        browser.open(f"http://{daemon.http}/")
        browser.wait(f"{ROWS}.length === 2")
        shown, empty = browser.evaluate(cells)
        assert shown.startswith("open 50 %") and empty == "open \u2013", (shown, empty)
        done = threading.Thread(target=client.store("default").compact)
        done.start()
        browser.wait(f"{cells}[0].startsWith('compacting 50 %')")
        done.join()
        browser.wait(f"{cells}[0].startsWith('open 0 %')")
        assert browser.complaints == []


def test_finding_a_store(busy):
    with Browser() as browser:
        browser.open(f"http://{busy.http}/")
        browser.wait(f"{ROWS}.length === 4")
        browser.evaluate("document.getElementById('find').value = 'ess'")
        browser.wait(f"{ROWS}.length === 1 && {ROWS}[0].cells[0].textContent === 'sessions'")
        assert browser.complaints == []


def test_a_daemon_that_goes_and_comes_back(launch):
    daemon = launch()
    with Browser() as browser:
        browser.open(f"http://{daemon.http}/")
        browser.wait(f"{ROWS}.length === 1")
        daemon.stop()
        browser.wait("!document.getElementById('note').hidden")
        assert "does not answer" in browser.evaluate("document.getElementById('note').textContent")
        assert browser.evaluate(f"{ROWS}.length") == 1
        again = launch("--http", daemon.http)
        browser.wait("document.getElementById('note').hidden")
        again.stop()


def test_a_daemon_that_wants_a_token(launch, folder):
    rows = [tokens.row("open-sesame", ["*"], ["read"]), tokens.row("a-little", ["default"], ["read"])]
    daemon = launch("--tokens", tokens.write(os.path.join(folder, "tokens.json"), rows))
    with Browser() as browser:
        browser.open(f"http://{daemon.http}/")  # the page itself holds nothing
        browser.wait("!document.getElementById('ask').hidden")
        assert browser.evaluate("document.getElementById('token').type") == "password"
        assert browser.evaluate("document.getElementById('content').hidden")
        give = "document.getElementById('token').value = '%s'; document.querySelector('#ask button').click()"
        for token in ("wrong", "a-little"):
            browser.evaluate(give % token)
            browser.wait("!document.getElementById('note').hidden && !document.getElementById('ask').hidden")
        browser.evaluate(give % "open-sesame")
        browser.wait(f"{ROWS}.length === 1")
        assert browser.evaluate("document.getElementById('ask').hidden && document.getElementById('note').hidden")
        # Kept nowhere: not in the field, nor in what outlives the page.
        assert browser.evaluate("document.getElementById('token').value + JSON.stringify(localStorage) + document.cookie") == "{}"
        assert_asks_only(browser, daemon)
