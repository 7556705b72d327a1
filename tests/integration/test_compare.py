# SPDX-License-Identifier: MIT
"""bench/compare: what it reads out of its tools, how it judges, what it draws; and a run of it that needs no peer."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from harness.daemon import BUILD, DEADLINE_S, REPOSITORY, clean_environment

sys.path.insert(0, os.path.join(REPOSITORY, "bench"))
from sidebyside import chart, jobs, report, rows, tools  # noqa: E402 - found by the line above
from sidebyside.peers import NotMeasured  # noqa: E402

MEASURED = {"date": "2025-01-01T00:00:00Z", "commit": "abc", "seconds": 5, "rounds": 3, "others": 0.1,
            "others_by_round": [0.1, 0.1, 0.1]}
MACHINE = {"processor": "A < B & C", "cores": 2, "memory_gib": 8.0, "kernel": "6.1"}


def test_redis_benchmark_is_read():
    text = ('"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\n'
            '"SET","412371.12","1.234","0.200","1.111","2.000","3.000","9.000"\n')
    assert tools.parse_redis_csv(text) == 412371.12
    with pytest.raises(NotMeasured):
        tools.parse_redis_csv("")


def test_wrk_is_read():
    text = "Running 5s test\n  1 threads and 50 connections\nRequests/sec:  93012.55\nTransfer/sec:    100.20MB\n"
    assert tools.parse_wrk(text) == 93012.55
    for bad in ("  Non-2xx or 3xx responses: 17\n" + text, text + "  Socket errors: connect 0, read 9, write 0, timeout 0\n", "oops"):
        with pytest.raises(NotMeasured):
            tools.parse_wrk(bad)


def test_memcaslap_is_read():
    assert tools.parse_memcaslap("get_misses: 0\n\nRun time: 4.0s Ops: 409209 TPS: 102270 Net_rate: 15.0M/s\n") == 102270
    with pytest.raises(NotMeasured):
        tools.parse_memcaslap("memaslap v1.0")


def judged(ours, peer, mark, lower=False):
    values = {"ours": ours, "peer": peer}
    comparison = rows.Comparison("ours", "peer" if peer is not None else None, mark, lower)
    row = report.result("k", "t", "k/s", {name: figures for name, figures in values.items() if figures is not None}, {},
                        [comparison], MEASURED)
    return row["comparisons"][0]


@pytest.mark.parametrize("ours, peer, mark, lower, ratio, met", (
    ([30, 10, 20], [5, 10, 40], 2, False, 2, True),         # medians, not means
    ([19], [10], 2, False, 1.9, False),
    ([10], [20], None, False, 0.5, None),
    ([], [20], 1, False, None, None),                       # not measured is not met, and not missed
    ([20], [], 1, False, None, None),
    ([0.1], [0.95], 10, True, 9.5, False),                  # times: how much shorter ours is
    ([0.09], [0.95], 10, True, 10.5556, True),
    ([2.1], None, 2, False, 2.1, True),                     # a mark that is a figure
    ([1.9], None, 2, False, 1.9, False),
    ([24], None, 24, True, 24, True),
    ([25], None, 24, True, 25, False),
))
def test_marks(ours, peer, mark, lower, ratio, met):
    comparison = judged(ours, peer, mark, lower)
    assert comparison["ratio"] == (None if ratio is None else pytest.approx(ratio, rel=1e-3))
    assert comparison["met"] is met


def test_the_text_says_what_is_met():
    assert report.verdict(judged([20], [10], 1.5), "k/s") == "2.00x peer, mark at least 1.5x: met"
    assert report.verdict(judged([10], [10], 1.5), "k/s") == "1.00x peer, mark at least 1.5x: NOT met"
    assert report.verdict(judged([25], None, 24, True), "B") == "25.0 B, mark at most 24 B: NOT met"
    assert report.verdict(judged([], [10], 1.5), "k/s").startswith("not measured")


def test_a_part_of_the_rows_replaces_its_own():
    def row(key, figure):
        return report.result(key, key, "k/s", {"ours": [figure]}, {}, [], MEASURED)
    merged = report.merge([row("b", 1), row("c", 1), row("gone", 1)], [row("b", 2), row("a", 2)], ["a", "b", "c", "d"])
    assert [(entry["key"], entry["sides"]["ours"]["median"]) for entry in merged] == [("a", 2), ("b", 2), ("c", 1)]


def test_what_an_earlier_version_wrote_is_left_out(folder):
    path = os.path.join(folder, "compare.json")
    rows_there = [{"key": "old", "measured": {"others": 1}}, {"key": "new", "measured": MEASURED}]
    with open(path, "w", encoding="utf-8") as file:
        file.write(report.json_of(MACHINE, rows_there))
    assert [row["key"] for row in report.load(path)] == ["new"]
    assert report.load(os.path.join(folder, "none.json")) == []


def everything():
    """A result for each row of the table, none measured twice alike."""
    results = []
    for number, row in enumerate((*rows.NETWORK, rows.MEMORY)):
        values = {name: [1.0 + number + place] for place, name in enumerate(row.sides)}
        results.append(report.result(row.key, row.title, row.unit, values, {}, row.comparisons, MEASURED))
    for number, row in enumerate(rows.ENGINE_ROWS):
        values = {rows.ENGINE: [1.0 + number], rows.RECORDED: [2.0], rows.COPY: [3.0]}
        results.append(report.result("engine-" + row.key, row.title, "M/s", values, {}, row.comparisons, MEASURED))
    return results


def test_the_picture():
    """Well-formed, and one bar for each mark."""
    results = everything()
    root = xml.etree.ElementTree.fromstring(chart.draw(results, MACHINE))
    marks = [comparison for row in results for comparison in row["comparisons"] if comparison["mark"] is not None]
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == len(marks) > 25


def test_the_tables():
    results = everything()
    comparisons = sum(len(row["comparisons"]) for row in results)
    lines = report.markdown_of(results, MACHINE).splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == comparisons + 1
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    text = report.text_of(results)
    assert all(f"[{row['key']}]" in text for row in results)


class Ticking(jobs.Job):
    """A job of known length, on a clock that only jobs move."""

    def __init__(self, key, seconds, clock):
        super().__init__([(key, key, "k/s", [])], 1)
        self.lasts, self.clock = seconds, clock

    def measure(self, root, say):
        self.clock[0] += self.lasts
        self.keep(self.key, "ours", self.clock[0])


@pytest.mark.parametrize("minutes, rounds", ((10, [3, 3, 3]), (2, [2, 1, 3]), (1, [1, 1, 0]), (0, [0, 0, 0])))
def test_a_run_ends_in_time(monkeypatch, minutes, rounds):
    """Each job has its first round before any has its second; what would end too late does not begin."""
    clock = [0.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])
    work = [Ticking("a", 30, clock), Ticking("b", 40, clock), Ticking("c", 5, clock)]
    saved = []
    short = jobs.run_all(work, 3, minutes, None, lambda text: None, lambda: saved.append(clock[0]))
    assert [job.rounds for job in work] == rounds
    assert [job.key for job in short] == [job.key for job in work if job.rounds < 3]
    assert len(saved) == sum(rounds)
    assert clock[0] <= max(minutes * 60, 75)  # of the first round it is not known how long it takes


def bench_program(path, log, figures):
    """One that notes that it ran, and prints its figures as bench-engine does, each in two passes around it."""
    report = {"rows": [{"key": key, "unit": "-", "values": [figure - 1, figure + 1]} for key, figure in figures.items()]}
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho {os.path.basename(path)} >> {log}\ncat << END\n{json.dumps(report)}\nEND\n")
    os.chmod(path, 0o755)
    return path


REFERENCE_FIGURES = {"batch_write": 4, "random_read": 2, "batch_read": 5, "iterate": 10, "single_blocking": 100}


def engine_job(folder, monkeypatch, part, reference):
    """Of programs that run for no time."""
    figures = {row.key: 20 for row in rows.ENGINE_ROWS if row.part == part}
    bench_program(os.path.join(folder, "bench-engine"), os.path.join(folder, "log"), figures)
    monkeypatch.setattr(jobs.machine, "BIN", folder)
    monkeypatch.setattr(jobs.machine, "settle", lambda *_, **__: None)
    return jobs.EngineJob(part, reference)


def test_the_reference_takes_turns_with_the_engine(folder, monkeypatch):
    log = os.path.join(folder, "log")
    reference = bench_program(os.path.join(folder, "bench-reference"), log, REFERENCE_FIGURES)
    job = engine_job(folder, monkeypatch, "operations", reference)
    for _ in range(3):
        job.run_round(folder, lambda text: None)
    with open(log, encoding="utf-8") as file:
        ran = file.read().split()
    assert ran == ["bench-engine", "bench-reference", "bench-reference", "bench-engine", "bench-engine", "bench-reference"]
    results = {row["key"]: row for row in job.results()}
    assert results["engine-random_read"]["sides"]["reference"]["values"] == [2, 2, 2]
    ratios = {key: row["comparisons"][0]["ratio"] for key, row in results.items() if "reference" in row["sides"]}
    assert ratios == {"engine-batch_write": 5, "engine-batch_in_flight": 5, "engine-random_read": 10, "engine-batch_read": 4,
                      "engine-iterate": 2, "engine-single_blocking": 0.2, "engine-single_in_flight": 0.2}
    assert {row["comparisons"][0]["met"] for row in (results["engine-iterate"], results["engine-single_blocking"])} == {False}


def test_without_its_program_the_reference_is_as_recorded(folder, monkeypatch):
    job = engine_job(folder, monkeypatch, "operations", None)
    job.run_round(folder, lambda text: None)
    row = next(row for row in job.results() if row["key"] == "engine-random_read")
    assert row["sides"]["reference, recorded"]["values"] == [2.3]
    assert row["comparisons"][0]["peer"] == "reference, recorded" and row["comparisons"][0]["ratio"] == pytest.approx(20 / 2.3)


def test_the_reference_runs_where_it_has_rows():
    assert list(jobs.EngineJob("memory", "/bin/false").programs) == ["rdrive"]
    assert all(row.recorded is not None for row in rows.ENGINE_ROWS if row.like)
    keys = [row.key for row in rows.ENGINE_ROWS]
    assert {row.like for row in rows.ENGINE_ROWS} - {None} <= set(keys)


def test_rounds_beside_other_peers_are_not_resumed(folder, monkeypatch):
    earlier = engine_job(folder, monkeypatch, "operations", None)
    earlier.run_round(folder, lambda text: None)
    for reference, rounds in ((None, 1), (os.path.join(folder, "bench-reference"), 0)):
        job = jobs.EngineJob("operations", reference)
        job.take_up(earlier.results())
        assert job.rounds == rounds


def test_a_reference_that_is_no_program(folder):
    done = run_compare("--only", "engine-open_1m", "--reference", os.path.join(folder, "none"), "--results", folder)
    assert done.returncode == 2 and "is no program" in done.stderr
    assert os.listdir(folder) == []


def test_keys_tell_rows_apart():
    assert len(set(rows.keys())) == len(rows.keys()) == len(everything())


def run_compare(*arguments):
    return subprocess.run([os.path.join(REPOSITORY, "bench", "compare"), "--no-build", *arguments], capture_output=True, text=True,
                          timeout=DEADLINE_S * 3, env=clean_environment(RDRIVE_BUILD=BUILD))


def test_a_run(folder):
    """The rows that need nothing but rdrive."""
    done = run_compare("--only", "^batch-", "--seconds", "1", "--rounds", "2", "--keys", "2000", "--folder", folder,
                       "--results", folder)
    assert done.returncode == 0, done
    with open(os.path.join(folder, "compare.json"), encoding="utf-8") as file:
        results = json.load(file)["results"]
    assert [row["key"] for row in results] == ["batch-put", "batch-put-none", "batch-get"]
    for row in results:
        assert len(row["sides"]["rdrive, binary"]["values"]) == 2
    xml.etree.ElementTree.parse(os.path.join(folder, "compare.svg"))
    assert sorted(os.listdir(folder)) == ["compare.json", "compare.md", "compare.svg"]


def test_a_run_is_resumed(folder):
    """Rounds that are there are kept as they are; those of other lengths are not."""
    def figures():
        with open(os.path.join(folder, "compare.json"), encoding="utf-8") as file:
            return json.load(file)["results"][0]["sides"]["rdrive, binary"]["values"]
    arguments = ["--only", "^batch-get", "--keys", "2000", "--folder", folder, "--results", folder, "--resume"]
    assert run_compare(*arguments, "--rounds", "1", "--seconds", "0.5").returncode == 0
    first = figures()
    assert run_compare(*arguments, "--rounds", "2", "--seconds", "0.5").returncode == 0
    assert figures()[:1] == first and len(figures()) == 2
    assert run_compare(*arguments, "--rounds", "1", "--seconds", "0.6").returncode == 0
    assert len(figures()) == 1 and figures() != first


def test_no_such_row():
    assert run_compare("--only", "no-such-row").returncode == 2


@pytest.mark.parametrize("arguments", (("--op", "get"), ("--op", "batch-put", "--depth", "1", "--clients", "4"),
                                       ("--op", "put", "--face", "http", "--durability", "sync", "--value-size", "1000")))
def test_a_pair(arguments):
    """Two builds, here the same one twice: a line each, of as many rounds."""
    program = os.path.join(BUILD, "bin", "rdrived")
    other = os.path.join(BUILD, "bin", "..", "bin", "rdrived")
    done = subprocess.run([os.path.join(REPOSITORY, "bench", "pairs"), program, other, "--rounds", "2", "--seconds", "0.1",
                           *arguments], capture_output=True, text=True, timeout=DEADLINE_S * 3, env=clean_environment(RDRIVE_BUILD=BUILD))
    assert done.returncode == 0, done
    head, *lines = done.stdout.splitlines()
    assert head.startswith(arguments[1] + " ") and "; 2 rounds of " in head
    assert [line.split()[-1] for line in lines] == [program, other]
    assert all(float(line.split("/s")[0].replace(",", "")) > 0 for line in lines)
