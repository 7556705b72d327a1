# SPDX-License-Identifier: MIT
"""One load on one rdrived, as bench/profile and bench/pairs let it be described, and what it costs the daemon."""
import json
import os

from . import fill, machine, tools
from .peers import Rdrive

KEYS_LEN_MAX = 100 << 20  # of all values together, unless told how many keys
KEYS_MAX = 10000
BATCH = 1000


def add_arguments(parser):
    parser.add_argument("--op", choices=("put", "get", "batch-put", "batch-get"), default="put")
    parser.add_argument("--face", choices=("binary", "http", "redis"), default="binary", help="which protocol (binary)")
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--value-size", type=int, default=100)
    parser.add_argument("--keys", type=int, help=f"({KEYS_MAX}, or as many as have {KEYS_LEN_MAX >> 20} MiB)")
    parser.add_argument("--durability", default="none", help="sync, interval:MS or none (none)")


def describe(options):
    return (f"{options.op} {options.value_size} B, {options.face}, {options.durability}, {options.clients} connections, depth "
            f"{options.depth}")


def key_count(options):
    return options.keys or max(1, min(KEYS_MAX, KEYS_LEN_MAX // options.value_size))


def start(root, options, program=None, prefix=()):
    """A daemon with what is to be read; program: in place of the one that was built."""
    server = Rdrive(root, options.durability, redis_face=options.face == "redis", prefix=prefix, program=program)
    if "get" in options.op:
        fill.fill_rdrive(server.binary, key_count(options), options.value_size)
    return server


def run(server, options, requests):
    """So many requests, or entries of batches; a second."""
    keys = key_count(options)
    if options.face == "redis":
        return tools.redis_requests(server.port, requests, {"put": "set"}.get(options.op, options.op), options.clients,
                                    options.depth, options.value_size, keys)
    shape = {"clients": options.clients, "depth": options.depth, "keys": keys, "value-size": options.value_size}
    if options.op.startswith("batch"):
        shape["batch"] = BATCH
        requests = max(1, requests // BATCH)
    where = ("--http", server.http) if options.face == "http" else ("--server", server.binary)
    flags = [text for name, value in shape.items() for text in ("--" + name, str(value))]
    return json.loads(tools.run([os.path.join(machine.BIN, "rdrive-bench"), *where, "--op", options.op, *flags, "--requests",
                                 str(requests), "--json"], timeout=600))["ops_per_sec"]


def processor_seconds(pid):
    """In user space and in the kernel, so far."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:13]]


def run_timed(server, options, requests):
    """(a second, microseconds of the daemon a request in user space, in the kernel)"""
    before = processor_seconds(server.process.pid)
    rate = run(server, options, requests)
    after = processor_seconds(server.process.pid)
    return rate, *((later - earlier) / requests * 1e6 for earlier, later in zip(before, after))
