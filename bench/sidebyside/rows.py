# SPDX-License-Identifier: MIT
"""The table of what is compared. A row has sides, each of which gives a figure a round, and comparisons between them with
the mark that is to be reached. One column of it, `key`, is what --only looks at."""
import dataclasses
from typing import Callable, Optional

from . import fill, tools
from .peers import AnswerOnly, Memcached, Nginx, Rdrive, Redis

MIB = 1 << 20
CLIENTS = 50
BATCH = 1000  # entries


@dataclasses.dataclass(frozen=True)
class Context:
    root: str       # where servers make their folders
    seconds: float  # of one measurement
    keys: int       # of rows with short values


@dataclasses.dataclass(frozen=True)
class Comparison:
    ours: str
    peer: Optional[str]            # a side; None: the mark is a figure
    mark: Optional[float] = None   # ours / peer, or a figure in the row's unit; None: told, not judged
    lower: bool = False            # less is better: ours must not be above the mark; with a peer the ratio is peer / ours
    ceiling: bool = False          # ours is a server that does less than any could: what the row's tool allows at most


@dataclasses.dataclass(frozen=True)
class Row:
    key: str
    title: str
    unit: str
    scale: float                                     # from a side's figure to the unit
    sides: dict[str, Callable[[Context], float]]     # in the order of the first round
    comparisons: tuple[Comparison, ...]
    programs: tuple[str, ...] = ()                   # that must be installed
    long: bool = False                               # twice the seconds: what is synced in intervals needs several of them
    writes: bool = False                             # so that it wants a disk at rest


# ---- sides -------------------------------------------------------------------------------------------------------------

def put_redis(appendfsync, depth, value_len, clients, keys=None):
    def side(context):
        with Redis(context.root, appendfsync) as server:
            return tools.redis_benchmark(server.port, context.seconds, "set", clients, depth, value_len, keys or context.keys)
    return side


def put_redis_face(durability, depth, value_len, clients, keys=None):
    def side(context):
        with Rdrive(context.root, durability, redis_face=True) as server:
            return tools.redis_benchmark(server.port, context.seconds, "set", clients, depth, value_len, keys or context.keys)
    return side


def put_binary(durability, depth, value_len, clients, keys=None):
    def side(context):
        with Rdrive(context.root, durability) as server:
            return tools.rdrive_bench(("--server", server.binary), context.seconds, "put", clients=clients, depth=depth,
                                      value_size=value_len, keys=keys or context.keys)
    return side


def get_redis(depth, value_len, clients, keys=None):
    def side(context):
        with Redis(context.root) as server:
            fill.fill_redis(server.port, keys or context.keys, value_len)
            return tools.redis_benchmark(server.port, context.seconds, "get", clients, depth, value_len, keys or context.keys)
    return side


def get_redis_face(depth, value_len, clients, keys=None):
    def side(context):
        with Rdrive(context.root, redis_face=True) as server:
            fill.fill_rdrive(server.binary, keys or context.keys, value_len)
            return tools.redis_benchmark(server.port, context.seconds, "get", clients, depth, value_len, keys or context.keys)
    return side


def get_binary(depth, value_len, clients, keys=None):
    def side(context):
        with Rdrive(context.root) as server:
            fill.fill_rdrive(server.binary, keys or context.keys, value_len)
            return tools.rdrive_bench(("--server", server.binary), context.seconds, "get", clients=clients, depth=depth,
                                      value_size=value_len, keys=keys or context.keys)
    return side


def get_memcached(depth, value_len, clients):
    """Through rdrive-bench's generator, so that the tool makes no difference."""
    def side(context):
        with Memcached(context.root) as server:
            fill.fill_memcached(server.port, context.keys, value_len)
            return tools.rdrive_bench(("--server", f"127.0.0.1:{server.port}"), context.seconds, "get",
                                      program="bench-memcached", clients=clients, depth=depth, value_size=value_len,
                                      keys=context.keys)
    return side


def get_memcaslap(value_len, clients):
    def side(context):
        with Memcached(context.root) as server:
            return tools.memcaslap(server.port, context.seconds, clients, value_len)
    return side


def answer_only(op, depth, value_len, clients, kept=()):
    """What redis-benchmark reaches where nothing is stored or looked up."""
    def side(context):
        with AnswerOnly(context.root, value_len, kept) as server:
            return tools.redis_benchmark(server.port, context.seconds, op, clients, depth, value_len, context.keys)
    return side


def answer_only_binary(op, depth, value_len, clients, kept=()):
    """The same of rdrive-bench."""
    def side(context):
        with AnswerOnly(context.root, value_len, kept) as server:
            return tools.rdrive_bench(("--server", server.binary), context.seconds, op, clients=clients, depth=depth,
                                      value_size=value_len, keys=context.keys)
    return side


def answer_only_memcaslap(value_len, clients):
    def side(context):
        with AnswerOnly(context.root, value_len) as server:
            return tools.memcaslap(server.port, context.seconds, clients, value_len)
    return side


def http_nginx(value_len, clients):
    def side(context):
        with Nginx(context.root) as server:
            server.put("key:000000000000", fill.value_of(value_len))
            return tools.wrk(server.url("key:000000000000"), context.seconds, clients)
    return side


def http_rdrive(value_len, clients):
    def side(context):
        with Rdrive(context.root) as server:
            fill.fill_rdrive(server.binary, 1, value_len)
            return tools.wrk(server.url("key:000000000000"), context.seconds, clients)
    return side


def batch(op, durability, clients=10):
    def side(context):
        with Rdrive(context.root, durability) as server:
            if op == "batch-get":
                fill.fill_rdrive(server.binary, context.keys, 100)
            return tools.rdrive_bench(("--server", server.binary), context.seconds, op, clients=clients, batch=BATCH,
                                      value_size=100, keys=context.keys)
    return side


def raw_disk(piece_len, piece_count, entries=1):
    """Pieces a second, or the entries that each stands for."""
    return lambda context: entries * tools.rawdisk(context.root, context.seconds, piece_len, piece_count)


def redis_memory(keys, value_len):
    """Bytes a key, value included."""
    def side(context):
        with Redis(context.root) as server:
            before = server.used_memory()
            fill.fill_redis(server.port, keys, value_len)
            return (server.used_memory() - before) / keys
    return side


# ---- rows over the network -----------------------------------------------------------------------------------------------

REDIS, FACE, BINARY = "redis", "rdrive, Redis face", "rdrive, binary"
MEMCACHED, MEMCASLAP, BINARY_FEW, NGINX, HTTP, DISK = "memcached", "memcached, memcaslap", "rdrive, binary, memcaslap's keys", "nginx", "rdrive, HTTP", "by hand"
REDIS_NO, REDIS_MEMORY = "redis, appendfsync no", "redis without a file"
ANSWERS, ANSWERS_BINARY, ANSWERS_MEMCASLAP = "answers only", "answers only, binary", "answers only, memcaslap"
SYNCS, SYNCS_BESIDE, SYNCS_BESIDE_BINARY = "answers only, synced", "answers only, synced beside", "answers only, synced beside, binary"
WRITES, WRITES_BINARY = "answers only, written", "answers only, written, binary"
WRITES_BESIDE, WRITES_BESIDE_BINARY = "answers only, written beside", "answers only, written beside, binary"
REDIS_PROGRAMS = ("redis-server", "redis-benchmark")


def against_redis(mark):
    return Comparison(FACE, REDIS, mark), Comparison(BINARY, REDIS, mark)


def ceilings(peer, *sides):
    return tuple(Comparison(side, peer, ceiling=True) for side in sides)


def put_row(key, title, appendfsync, durability, depth, mark, value_len=100, long=False, answering=None):
    """answering: sides that only answer, told beside redis."""
    answering = answering or {}
    return Row(key, title, "k/s", 1e-3,
               {REDIS: put_redis(appendfsync, depth, value_len, CLIENTS),
                FACE: put_redis_face(durability, depth, value_len, CLIENTS),
                BINARY: put_binary(durability, depth, value_len, CLIENTS), **answering},
               (*against_redis(mark), *ceilings(REDIS, *answering)), REDIS_PROGRAMS, long, writes=True)


def put_none_row(depth, answering=None):
    """Against redis that writes a file and never syncs it, and redis without one."""
    answering = answering or {}
    return Row(f"put-none-{depth}", f"PUT 100 B, none, depth {depth}", "k/s", 1e-3,
               {REDIS_NO: put_redis("no", depth, 100, CLIENTS), REDIS_MEMORY: put_redis(None, depth, 100, CLIENTS),
                FACE: put_redis_face("none", depth, 100, CLIENTS), BINARY: put_binary("none", depth, 100, CLIENTS), **answering},
               (Comparison(FACE, REDIS_NO), Comparison(BINARY, REDIS_NO), *ceilings(REDIS_NO, *answering),
                Comparison(FACE, REDIS_MEMORY), Comparison(BINARY, REDIS_MEMORY)), REDIS_PROGRAMS, writes=True)


NETWORK = (
    put_row("put-sync-1", "PUT 100 B, sync, depth 1", "always", "sync", 1, 1.2,
            answering={ANSWERS: answer_only("set", 1, 100, CLIENTS), SYNCS: answer_only("set", 1, 100, CLIENTS, AnswerOnly.SYNCED),
                       SYNCS_BESIDE: answer_only("set", 1, 100, CLIENTS, AnswerOnly.SYNCED_BESIDE),
                       SYNCS_BESIDE_BINARY: answer_only_binary("put", 1, 100, CLIENTS, AnswerOnly.SYNCED_BESIDE)}),
    put_row("put-sync-16", "PUT 100 B, sync, depth 16", "always", "sync", 16, 1.5),
    put_row("put-interval-16", "PUT 100 B, interval:1000, depth 16", "everysec", "interval:1000", 16, 1.5, long=True),
    put_row("put-interval-64", "PUT 100 B, interval:1000, depth 64", "everysec", "interval:1000", 64, 2, long=True),
    put_row("put-4k-interval-16", "PUT 4 KiB, interval:1000, depth 16", "everysec", "interval:1000", 16, 4, 4096, long=True,
            answering={ANSWERS: answer_only("set", 16, 4096, CLIENTS), ANSWERS_BINARY: answer_only_binary("put", 16, 4096, CLIENTS),
                       WRITES: answer_only("set", 16, 4096, CLIENTS, AnswerOnly.WRITTEN),
                       WRITES_BINARY: answer_only_binary("put", 16, 4096, CLIENTS, AnswerOnly.WRITTEN),
                       WRITES_BESIDE: answer_only("set", 16, 4096, CLIENTS, AnswerOnly.WRITTEN_BESIDE),
                       WRITES_BESIDE_BINARY: answer_only_binary("put", 16, 4096, CLIENTS, AnswerOnly.WRITTEN_BESIDE)}),
    Row("put-1m-sync", "PUT 1 MiB, sync, 4 connections", "MiB/s", 1,
        {REDIS: put_redis("always", 1, MIB, 4, keys=100), FACE: put_redis_face("sync", 1, MIB, 4, keys=100),
         BINARY: put_binary("sync", 1, MIB, 4, keys=100), DISK: raw_disk(MIB, 4)},
        (*against_redis(1.5), Comparison(FACE, DISK, 0.7), Comparison(BINARY, DISK, 0.7)), REDIS_PROGRAMS, writes=True),
    put_none_row(1, {ANSWERS: answer_only("set", 1, 100, CLIENTS), ANSWERS_BINARY: answer_only_binary("put", 1, 100, CLIENTS)}),
    put_none_row(16),
    Row("get-1", "GET 100 B, depth 1", "k/s", 1e-3,
        {MEMCACHED: get_memcached(1, 100, CLIENTS), MEMCASLAP: get_memcaslap(100, CLIENTS),
         BINARY_FEW: get_binary(1, 100, CLIENTS, keys=tools.memcaslap_keys(CLIENTS)), BINARY: get_binary(1, 100, CLIENTS),
         REDIS: get_redis(1, 100, CLIENTS), FACE: get_redis_face(1, 100, CLIENTS),
         ANSWERS: answer_only("get", 1, 100, CLIENTS), ANSWERS_BINARY: answer_only_binary("get", 1, 100, CLIENTS),
         ANSWERS_MEMCASLAP: answer_only_memcaslap(100, CLIENTS)},
        (Comparison(BINARY, MEMCACHED, 1), *ceilings(MEMCACHED, ANSWERS_BINARY),
         Comparison(BINARY_FEW, MEMCASLAP, 1), *ceilings(MEMCASLAP, ANSWERS_BINARY, ANSWERS_MEMCASLAP),
         *against_redis(None), *ceilings(REDIS, ANSWERS, ANSWERS_BINARY)),
        (*REDIS_PROGRAMS, "memcached", "memcaslap")),
    Row("get-16", "GET 100 B, depth 16", "k/s", 1e-3,
        {REDIS: get_redis(16, 100, CLIENTS), FACE: get_redis_face(16, 100, CLIENTS), BINARY: get_binary(16, 100, CLIENTS)},
        against_redis(1.2), REDIS_PROGRAMS),
    Row("get-1m", "GET 1 MiB, 4 connections", "MiB/s", 1,
        {REDIS: get_redis(1, MIB, 4, keys=100), FACE: get_redis_face(1, MIB, 4, keys=100), BINARY: get_binary(1, MIB, 4, keys=100),
         ANSWERS: answer_only("get", 1, MIB, 4), ANSWERS_BINARY: answer_only_binary("get", 1, MIB, 4)},
        (*against_redis(1.3), *ceilings(REDIS, ANSWERS, ANSWERS_BINARY)), REDIS_PROGRAMS),
    Row("http-1k", "HTTP GET 1 KiB, 50 connections", "k/s", 1e-3,
        {NGINX: http_nginx(1024, CLIENTS), HTTP: http_rdrive(1024, CLIENTS)}, (Comparison(HTTP, NGINX, 0.9),), ("nginx", "wrk")),
    Row("http-1m", "HTTP GET 1 MiB, 4 connections", "MiB/s", 1,
        {NGINX: http_nginx(MIB, 4), HTTP: http_rdrive(MIB, 4)}, (Comparison(HTTP, NGINX, 1),), ("nginx", "wrk")),
    Row("http-64m", "HTTP GET 64 MiB, 4 connections", "MiB/s", 64,
        {NGINX: http_nginx(64 * MIB, 4), HTTP: http_rdrive(64 * MIB, 4)}, (Comparison(HTTP, NGINX, 1),), ("nginx", "wrk")),
    # By hand: what ten such batches take in the file, by one pwritev and one fdatasync.
    Row("batch-put", "batches of 1,000 PUTs of 100 B, entries, sync", "M/s", 1e-6,
        {BINARY: batch("batch-put", "sync"), DISK: raw_disk(128 * BATCH, 10, BATCH)},
        (Comparison(BINARY, None, 2), Comparison(BINARY, DISK)), writes=True),
    Row("batch-put-none", "batches of 1,000 PUTs of 100 B, entries, none", "M/s", 1e-6, {BINARY: batch("batch-put", "none")},
        (Comparison(BINARY, None, 2),), writes=True),
    Row("batch-get", "batches of 1,000 GETs of 100 B, entries", "M/s", 1e-6, {BINARY: batch("batch-get", "sync")},
        (Comparison(BINARY, None, 2),)),
)

# ---- rows of the engine --------------------------------------------------------------------------------------------------
# Beside the reference library: in the same rounds where its program is given (bench/reference/), else beside figures of its
# own storage benchmark, recorded on a machine of this kind (bench/README.md).

ENGINE, REFERENCE, RECORDED, COPY = "rdrive", "reference", "reference, recorded", "cp"


@dataclasses.dataclass(frozen=True)
class EngineRow:
    key: str             # without "engine-" a row of bench-engine
    title: str
    unit: str            # bench-engine's
    part: str            # of bench-engine
    recorded: Optional[float]      # the reference's; None: it has nothing like it
    comparisons: tuple[Comparison, ...]
    beside: Optional[str] = None   # another row of bench-engine, measured in the same round: the side `cp`
    like: Optional[str] = None     # the row of bench-reference that it is compared with; its own key where None

    def judged(self, beside_reference):
        """Its comparisons, with the reference that a run has."""
        return tuple(dataclasses.replace(comparison, peer=REFERENCE) if beside_reference and comparison.peer == RECORDED else comparison
                     for comparison in self.comparisons)


def engine_row(key, title, unit, part, recorded, mark, lower=False, like=None):
    return EngineRow(key, title, unit, part, recorded, (Comparison(ENGINE, RECORDED if recorded else None, mark, lower),), like=like)


ENGINE_ROWS = (
    engine_row("batch_write", "engine: writes of 8 bytes, batches of 1,024", "M/s", "operations", 4.0, 3),
    engine_row("fresh_pages", "engine: fresh pages of memory, by hand", "k/s", "operations", None, None),
    engine_row("batch_in_flight", "engine: the same, 4 batches in flight", "M/s", "operations", 4.0, None,
               like="batch_write"),  # nothing of its own is under way while its caller goes on
    engine_row("random_read", "engine: random single reads", "M/s", "operations", 2.3, 2),
    engine_row("two_looks", "engine: two dependent looks by hand", "M/s", "operations", None, None),
    engine_row("first_looks", "engine: first looks at mapped pages by hand", "M/s", "operations", None, None),
    engine_row("system_calls", "engine: system calls that do nothing", "M/s", "operations", None, None),
    engine_row("batch_read", "engine: batch reads of 1,024", "M/s", "operations", 6.1, 3.5),
    engine_row("iterate", "engine: iteration", "M/s", "operations", 12, 3),
    engine_row("single_blocking", "engine: 100 bytes, none, one blocking caller", "k/s", "operations", 117, 1),
    engine_row("single_in_flight", "engine: 100 bytes, none, 64 in flight", "k/s", "operations", 117, 4, like="single_blocking"),
    engine_row("open_1m", "engine: open after a clean stop, 1 M", "s", "opening", 0.15, None, lower=True),
    engine_row("open_5m", "engine: open after a clean stop, 5 M", "s", "opening", 0.95, 10, lower=True),
    EngineRow("stream", "engine: stream of 1 GiB, both passes", "GiB/s", "stream", 2.2,
              # The reference reached 0.52 of cp's speed where both were recorded, and 0.8 of that is 0.42.
              (Comparison(ENGINE, RECORDED, 0.8), Comparison(ENGINE, COPY, 0.42)), beside="cp"),
    engine_row("stream_spool", "engine: stream, first pass (spooling)", "GiB/s", "stream", None, None),
    engine_row("stream_append", "engine: stream, second pass (appending)", "GiB/s", "stream", None, None),
    engine_row("stream_held_max", "engine: longest write beside the append", "ms", "stream", None, None, lower=True),
    engine_row("memory_growing_max", "engine: index memory a key, growing, worst", "B", "memory", None, 40, lower=True),
    engine_row("memory_rest_1m", "engine: index memory a key, at rest, 1 M", "B", "memory", None, 24, lower=True),
    engine_row("memory_rest_5m", "engine: index memory a key, at rest, 5 M", "B", "memory", None, 24, lower=True),
    engine_row("growth_wait_max", "engine: longest wait of a put for index or map to grow, to 20 M keys", "ms", "growth", None, 5,
               lower=True),
    engine_row("growth_max", "engine: the longest of these puts as a whole", "ms", "growth", None, None, lower=True),
    engine_row("growth_by_hand_max", "as many appends of 64 bytes by hand, the longest", "ms", "growth", None, None, lower=True),
)

MEMORY = Row("memory-redis", "memory a key, 1 M keys, values of 8 bytes (redis: value included)", "B", 1,
             {REDIS: redis_memory(1000000, 8)}, (Comparison(REDIS, None),), ("redis-server",))


def keys():
    """Of all rows, in the order of the tables."""
    return [row.key for row in (*NETWORK, MEMORY)] + ["engine-" + row.key for row in ENGINE_ROWS]
