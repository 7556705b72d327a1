# SPDX-License-Identifier: MIT
"""verify, reopen and compact through every face behind one shape.

A look is {"entries", "bytes", "problem_count", "problems"}, each problem as HTTP writes it. A reopened store is its
(state, entries, reason). A compaction is what HTTP answers. What is refused raises Refused with the status' name.
"""
import asyncio
import os
import re
import shutil
import sys
import tempfile

from .cli import Cli
from .curl import Curl
from .daemon import REPOSITORY
from .installed import Installed
from .wire import PROBLEMS, Wire, WireError

sys.path.insert(0, os.path.join(REPOSITORY, "clients", "python"))

import rdrive  # noqa: E402 - found through the path above
import rdrive.aio  # noqa: E402

STATUS_NAMES = {1: "invalid_argument", 5: "store_not_found", 8: "conflict", 14: "overloaded", 16: "io_error", 18: "unavailable", 22: "not_a_store"}


class Refused(Exception):
    def __init__(self, status, message=""):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


def steps_to_look(steps):
    return {"entries": sum(step["entries"] for step in steps), "bytes": sum(step["bytes"] for step in steps),
            "problem_count": sum(step["problem_count"] for step in steps),
            "problems": [problem for step in steps for problem in step["problems"]]}


class Face:
    """step: bytes of one step, where the face lets its caller choose."""

    def __init__(self, daemon, store, program):
        self.daemon = daemon
        self.store = store
        self.program = program

    def reopened(self, row):
        return row["state"], row["entries"], row.get("reason", "")


class HttpWhole(Face):
    name = "http"

    def post(self, path):
        answer = Curl(self.daemon.http, self.store).request("POST", path)
        if answer.status != 200:
            raise Refused(answer.error, answer.json()["error"]["message"])
        return answer.json()

    def verify(self, step=0):
        look = self.post("verify")
        assert look["ok"] == (look["problem_count"] == 0) and look["next"] == 0 and look["from"] == look["bytes"]
        return {name: look[name] for name in ("entries", "bytes", "problem_count", "problems")}

    def reopen(self):
        return self.reopened(self.post("reopen"))

    def compact(self):
        return self.post("compact")


class HttpSteps(HttpWhole):
    name = "http in steps"

    def verify(self, step=0):
        limit = f"&limit={step}" if step else ""
        steps = [self.post(f"verify?from=0{limit}")]
        while steps[-1]["next"] != 0:
            steps.append(self.post(f"verify?from={steps[-1]['next']}{limit}"))
        assert all(one["ok"] == (one["problem_count"] == 0) for one in steps)
        return steps_to_look(steps)


class Binary(Face):
    name = "binary"

    def call(self, operation):
        with Wire(self.daemon.binary_address, self.store) as wire:
            try:
                return operation(wire)
            except WireError as error:
                raise Refused(STATUS_NAMES[error.status], error.message) from error

    def verify(self, step=0):
        def look(wire):
            steps = [wire.verify(0, step)]
            while steps[-1]["next"] != 0:
                steps.append(wire.verify(steps[-1]["next"], step))
            for one, following in zip(steps, steps[1:]):
                assert one["next"] == following["from"] and one["bytes"] == one["from"] - one["next"] >= step
            return steps_to_look(steps)
        return self.call(look)

    def reopen(self):
        return self.reopened(self.call(lambda wire: wire.reopen()))

    def compact(self):
        tail_before, tail, entries, generation, pause_us = self.call(lambda wire: wire.compact())
        return {"tail_before": tail_before, "tail": tail, "entries": entries, "reclaimed_bytes": tail_before - tail,
                "pause_us": pause_us, "generation": f"{generation:016x}"}


class CommandLine(Face):
    name = "cli"

    def run(self, *arguments):
        done = Cli(("--server", self.daemon.binary), self.store).run(*arguments)
        if done.err:
            assert done.code in (1, 3) and done.err.startswith("rdrive: "), done
            _, _, status, message = done.err.split(": ", 3)
            raise Refused(status, message)
        return done

    def verify(self, step=0):
        return look_of_lines(self.run("verify"))

    def reopen(self):
        done = self.run("reopen")
        assert done.code == 0
        fields = dict(line.split(" ", 1) for line in done.out.decode().splitlines())
        return fields["state"], int(fields["entries"]), fields.get("reason", "")

    def compact(self):
        done = self.run("compact")
        assert done.code == 0
        fields = dict(line.split(" ", 1) for line in done.out.decode().splitlines())
        return {name: text if name == "generation" else int(text) for name, text in fields.items()}


def look_of_lines(done):
    """What `rdrive verify` prints; its exit code has to fit."""
    *lines, summary = done.out.decode().splitlines()
    problems = []
    for line in lines:
        kind, live, offset, length, key_hash = re.fullmatch(
            r"(\w+) (live|dead) offset (\d+) length (\d+) key_hash ([0-9a-f]{16})", line).groups()
        problems.append({"kind": kind, "live": live == "live", "offset": int(offset), "length": int(length),
                         "key_hash": key_hash})
    entries, size, count = map(int, re.fullmatch(r"(\d+) entries, (\d+) bytes, (\d+) problems?", summary).groups())
    assert done.code == (1 if count else 0), done
    return {"entries": entries, "bytes": size, "problem_count": count, "problems": problems}


class CommandLineJson(CommandLine):
    name = "cli --json"

    def verify(self, step=0):
        done = self.run("--json", "verify")
        look = done.json()
        assert done.code == (0 if look["ok"] else 1)
        return {name: look[name] for name in ("entries", "bytes", "problem_count", "problems")}

    def reopen(self):
        return self.reopened(self.run("--json", "reopen").json())

    def compact(self):
        return self.run("--json", "compact").json()


def look_of_python(found):
    assert found.ok == (found.problem_count == 0)
    problems = [{"kind": problem.kind.name.lower(), "live": problem.live, "offset": problem.offset,
                 "length": problem.length, "key_hash": str(problem.key_hash)} for problem in found.problems]
    return {"entries": found.entries, "bytes": found.bytes, "problem_count": found.problem_count, "problems": problems}


class Progress:
    """What a progress callback has to be told: ever more, and all in the end."""

    def __init__(self):
        self.told = []

    def __call__(self, done, total):
        self.told.append((done, total))

    def check(self, found):
        done = [one for one, _ in self.told]
        assert done == sorted(done) and {total for _, total in self.told} == {found.bytes} and done[-1] == found.bytes


class PythonBlocking(Face):
    name = "python"

    def call(self, operation):
        try:
            with rdrive.open(self.store, self.daemon.binary) as store:
                return operation(store)
        except rdrive.RdriveError as error:
            raise Refused(STATUS_NAMES[error.status], error.message) from error

    def verify(self, step=0):
        progress = Progress()
        found = self.call(lambda store: store.verify(progress, step=step))
        progress.check(found)
        return look_of_python(found)

    def reopen(self):
        info = self.call(lambda store: store.reopen())
        return info.state.name.lower(), info.entries, info.reason

    def compact(self):
        done = self.call(lambda store: store.compact())
        return {**done._asdict(), "generation": f"{done.generation:016x}"}


class PythonAio(PythonBlocking):
    name = "python aio"

    def call(self, operation):
        async def run():
            async with rdrive.aio.open(self.store, self.daemon.binary) as store:
                return await operation(store)
        try:
            return asyncio.run(run())
        except rdrive.RdriveError as error:
            raise Refused(STATUS_NAMES[error.status], error.message) from error


class Library(Face):
    name = "C"
    manner = "blocking"

    def run(self, operation, *more):
        done = self.program.run(self.daemon.binary, self.store, self.manner, operation, *more)
        lines = done.stdout.splitlines()
        if lines and lines[-1].startswith("failed "):
            _, status, message = lines[-1].split(" ", 2)
            raise Refused(status, message)
        assert done.returncode == 0, done
        return lines

    def verify(self, step=0):
        *lines, whole = self.run("verify", str(step))
        problems = []
        for line in lines:
            _, kind, live, offset, length, key_hash = line.split(" ")
            problems.append({"kind": PROBLEMS[int(kind)], "live": live == "1", "offset": int(offset),
                             "length": int(length), "key_hash": key_hash})
        _, entries, size, count = whole.split(" ")
        return {"entries": int(entries), "bytes": int(size), "problem_count": int(count), "problems": problems}

    def reopen(self):
        line, = self.run("reopen")
        _, state, entries, reason = line.split(" ", 3)
        return state, int(entries), reason

    def compact(self):
        line, = self.run("compact")
        _, tail_before, tail, entries, reclaimed, pause_us, generation = line.split(" ")
        return {"tail_before": int(tail_before), "tail": int(tail), "entries": int(entries),
                "reclaimed_bytes": int(reclaimed), "pause_us": int(pause_us), "generation": generation}


class LibraryAsync(Library):
    name = "C async"
    manner = "async"


FACES = [HttpWhole, HttpSteps, Binary, CommandLine, CommandLineJson, PythonBlocking, PythonAio, Library, LibraryAsync]


class Program:
    """care.c, compiled against the library as it is installed."""

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="rdrive-")
        self.installed = Installed(self.root)
        self.path = os.path.join(self.root, "care")
        self.installed.compile(os.path.join(REPOSITORY, "tests", "integration", "programs", "care.c"), self.path)

    def run(self, *arguments):
        return self.installed.run(self.path, *arguments)

    def remove(self):
        shutil.rmtree(self.root)
