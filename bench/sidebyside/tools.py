# SPDX-License-Identifier: MIT
"""Load generators: each runs for about so many seconds against a server and returns requests (or entries) a second."""
import csv
import io
import json
import os
import re
import statistics
import subprocess
import tempfile

from . import machine
from .peers import NotMeasured

WARM_SECONDS = 1


def run(command, timeout, cwd=None):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd)
    if done.returncode != 0:
        raise NotMeasured(f"{os.path.basename(command[0])} ended with {done.returncode}: {(done.stderr or done.stdout)[-200:]}")
    return done.stdout


# ---- redis-benchmark ---------------------------------------------------------------------------------------------------

def parse_redis_csv(text):
    """Requests a second of the one test in redis-benchmark's --csv."""
    rows = list(csv.DictReader(io.StringIO(text)))
    if len(rows) != 1:
        raise NotMeasured(f"redis-benchmark printed {len(rows)} rows")
    return float(rows[0]["rps"])


def redis_requests(port, requests, op, clients, depth, value_len, keys, timeout=600):
    return parse_redis_csv(run(
        [machine.find("redis-benchmark"), "-h", "127.0.0.1", "-p", str(port), "-t", op, "-c", str(clients), "-P", str(depth),
         "-d", str(value_len), "-r", str(keys), "-n", str(max(int(requests), clients * depth)), "--csv"], timeout=timeout))


def redis_benchmark(port, seconds, op, clients, depth, value_len, keys):
    """It counts requests, not time: two short runs tell how many fill the seconds."""
    def once(requests):
        return redis_requests(port, requests, op, clients, depth, value_len, keys, timeout=seconds * 10 + 120)
    rate = once(200 if value_len >= 1 << 20 else 2000)
    rate = once(rate * WARM_SECONDS)
    return once(rate * seconds)


# ---- rdrive-bench ------------------------------------------------------------------------------------------------------

def rdrive_bench(where, seconds, op, program="rdrive-bench", **options):
    """options: rdrive-bench's, with underscores. Any error or missed key fails it."""
    def once(duration):
        flags = [text for name, value in options.items() for text in ("--" + name.replace("_", "-"), str(value))]
        report = json.loads(run([os.path.join(machine.BIN, program), *where, "--op", op, "--seconds", str(duration), "--json",
                                 *flags], timeout=duration * 3 + 120))
        if report["errors"] or (report["misses"] and "get" in op):
            raise NotMeasured(f"{program}: {report['errors']} errors, {report['misses']} misses")
        return report["ops_per_sec"]
    once(WARM_SECONDS)
    return once(seconds)


# ---- memcaslap ---------------------------------------------------------------------------------------------------------

MEMCASLAP_CONFIG = "key\n16 16 1\nvalue\n{value_len} {value_len} 1\ncmd\n0 0.0\n1 1.0\n"


def parse_memcaslap(text):
    found = re.search(r"^Run time: [\d.]+s Ops: \d+ TPS: (\d+)", text, re.MULTILINE)
    if not found:
        raise NotMeasured("memcaslap printed no TPS")
    return float(found.group(1))


MEMCASLAP_KEYS_EACH = 1024  # of each connection, at least


def memcaslap_keys(clients):
    """How many keys it asks for: more than these it would store for most of the time."""
    return MEMCASLAP_KEYS_EACH * clients


def memcaslap(port, seconds, clients, value_len):
    """Gets only, but for the first half second or so, in which it stores what it will ask for: that is in its figure, so it
    runs twice as long as others."""
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(MEMCASLAP_CONFIG.format(value_len=value_len))
        config.flush()
        return parse_memcaslap(run([machine.find("memcaslap"), "-s", f"127.0.0.1:{port}", "-T", "1", "-c", str(clients),
                                    "-w", f"{MEMCASLAP_KEYS_EACH // 1024}k", "-t", f"{max(int(2 * seconds), 2)}s",
                                    "-F", config.name], timeout=seconds * 3 + 120))


# ---- wrk ---------------------------------------------------------------------------------------------------------------

def parse_wrk(text):
    rate = re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE)
    bad = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text)
    if bad or not rate:
        raise NotMeasured("wrk: " + (bad.group(0) if bad else "no figure"))
    return float(rate.group(1))


def wrk(url, seconds, clients):
    def once(duration):
        return parse_wrk(run([machine.find("wrk"), "-t", "1", "-c", str(clients), "-d", f"{max(int(duration), 1)}s",
                              "--timeout", "30s", url], timeout=duration * 3 + 120))
    once(WARM_SECONDS)
    return once(seconds)


# ---- no server at all --------------------------------------------------------------------------------------------------

def rawdisk(folder, seconds, piece_len, piece_count):
    report = json.loads(run([os.path.join(machine.BIN, "bench-rawdisk"), folder, str(seconds), str(piece_len),
                             str(piece_count)], timeout=seconds * 3 + 60))
    return report["pieces_per_sec"]


def engine(program, folder, part):
    """The rows of one part of bench-engine, or of bench-reference, run once: key to figure, of several passes the median."""
    report = json.loads(run([program, "--json", "--rounds", "1", "--only", part, folder], timeout=600))
    return {row["key"]: statistics.median(row["values"]) for row in report["rows"]}
