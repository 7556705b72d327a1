# SPDX-License-Identifier: MIT
"""What a run consists of. A job is one row over the network, or a part of bench-engine with all rows that it fills; it runs
round by round, and keeps what its rounds gave."""
import datetime
import os
import statistics
import subprocess
import time

from . import machine, report, rows, tools
from .peers import NotMeasured


class Job:
    """rows: (key, title, unit, comparisons) of the results it makes. figures: of each row, by side, one a round."""

    def __init__(self, result_rows, seconds):
        self.rows = result_rows
        self.seconds = seconds          # of one measurement; None where the job decides
        self.figures = {row[0]: {} for row in result_rows}
        self.why = {row[0]: {} for row in result_rows}
        self.others = []
        self.date = None
        self.round_seconds = 0          # what the last round took

    @property
    def key(self):
        return self.rows[0][0]

    @property
    def rounds(self):
        return len(self.others)

    def goes_on(self, row, comparisons):
        """Whether that result is one of the same commit, with as long rounds and beside the same peers."""
        return (row["measured"]["commit"] == machine.commit() and row["measured"]["seconds"] == self.seconds
                and [comparison["peer"] for comparison in row["comparisons"]] == [comparison.peer for comparison in comparisons])

    def take_up(self, results):
        """Goes on where an earlier run left off."""
        earlier = {row["key"]: row for row in results}
        mine = [earlier.get(row[0]) for row in self.rows]
        if not all(row is not None and self.goes_on(row, comparisons) for row, (*_, comparisons) in zip(mine, self.rows)):
            return
        for row in mine:
            self.figures[row["key"]] = {name: list(side["values"]) for name, side in row["sides"].items()}
            self.why[row["key"]] = {name: side["why"] for name, side in row["sides"].items() if side["why"]}
        self.others = list(mine[0]["measured"]["others_by_round"])
        self.date = mine[0]["measured"]["date"]

    def run_round(self, root, say):
        others = machine.Others()
        began = time.monotonic()
        self.measure(root, say)
        self.round_seconds = time.monotonic() - began
        self.others.append(others.processors())
        self.date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def measure(self, root, say):
        raise NotImplementedError

    def keep(self, key, name, figure):
        self.figures[key].setdefault(name, []).append(figure)

    def results(self):
        measured = {"date": self.date, "commit": machine.commit(), "seconds": self.seconds, "rounds": self.rounds,
                    "others": round(statistics.mean(self.others), 2), "others_by_round": self.others}
        return [report.result(key, title, unit, self.figures[key], self.why[key], comparisons, measured)
                for key, title, unit, comparisons in self.rows]


class NetworkJob(Job):
    """Its sides in turn, every other round backwards, so that none always comes after the same one."""

    def __init__(self, row, seconds, keys):
        super().__init__([(row.key, row.title, row.unit, row.comparisons)], seconds * (2 if row.long else 1))
        self.row = row
        self.keys = keys
        self.figures[row.key] = {name: [] for name in row.sides}

    def measure(self, root, say):
        row, why = self.row, self.why[self.row.key]
        context = rows.Context(root, self.seconds, self.keys)
        for name in list(row.sides)[::-1 if self.rounds % 2 else 1]:
            if name in why:
                continue
            machine.settle(root, probe=row.writes)
            try:
                self.keep(row.key, name, row.sides[name](context) * row.scale)
                say(f"  {row.key} {self.rounds + 1} {name}: {report.number(self.figures[row.key][name][-1])} {row.unit}")
            except (NotMeasured, OSError, subprocess.TimeoutExpired) as error:
                why[name] = f"not measured: {error}"
                self.figures[row.key][name] = []
                say(f"  {row.key} {name}: {why[name]}")


class EngineJob(Job):
    """One run of a part of bench-engine fills all of its rows, also those that were not asked for. With a reference, the
    program bench-reference, both run in each round, every other one backwards."""

    def __init__(self, part, reference=None):
        self.part = part
        self.filled = [row for row in rows.ENGINE_ROWS if row.part == part]
        self.programs = {rows.ENGINE: os.path.join(machine.BIN, "bench-engine")}
        if reference and any(row.recorded is not None for row in self.filled):
            self.programs[rows.REFERENCE] = reference
        super().__init__([("engine-" + row.key, row.title, row.unit, row.judged(reference is not None)) for row in self.filled], None)

    def measure(self, root, say):
        figures = {}
        for name in list(self.programs)[::-1 if self.rounds % 2 else 1]:
            machine.settle(root, probe=True)
            figures[name] = tools.engine(self.programs[name], root, self.part)
        for row in self.filled:
            key = "engine-" + row.key
            self.keep(key, rows.ENGINE, figures[rows.ENGINE][row.key])
            if row.recorded is not None:
                self.keep_reference(key, row, figures.get(rows.REFERENCE))
            if row.beside:
                self.keep(key, rows.COPY, figures[rows.ENGINE][row.beside])
            shown = ", ".join(f"{name} {report.number(values[-1])}" for name, values in self.figures[key].items())
            say(f"  {key} {self.rounds + 1}: {shown} {row.unit}")

    def keep_reference(self, key, row, figures):
        if figures is None:
            self.keep(key, rows.RECORDED, row.recorded)
        else:
            self.keep(key, rows.REFERENCE, figures[row.like or row.key])


def chosen(is_chosen, seconds, keys, reference=None):
    """The jobs whose rows are asked for, in the order of the tables."""
    network = [NetworkJob(row, seconds, keys) for row in (*rows.NETWORK, rows.MEMORY) if is_chosen(row.key)]
    parts = dict.fromkeys(row.part for row in rows.ENGINE_ROWS if is_chosen("engine-" + row.key))
    return network + [EngineJob(part, reference) for part in parts]


def run_all(jobs, rounds, minutes, root, say, save):
    """Round by round through all jobs, so that each has had its first before any has its second; a round that would not end in
    time is left out. save(): after each. Returns the jobs that have fewer rounds than asked for."""
    end = time.monotonic() + minutes * 60
    for number in range(rounds):
        for job in jobs:
            if job.rounds > number or time.monotonic() + job.round_seconds >= end:
                continue
            job.run_round(root, say)
            save()
        say(f"round {number + 1} of {rounds}: {max(0, end - time.monotonic()) / 60:.1f} of {minutes:g} minutes left")
    return [job for job in jobs if job.rounds < rounds]
