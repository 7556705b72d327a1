# SPDX-License-Identifier: MIT
"""tests/vectors/*.json through the Python codec: the arguments that make each request, and what its answer says."""
import glob
import json
import os
import struct

import pytest

import rdrive
from harness.daemon import REPOSITORY
from rdrive import (BackupHead, BatchDeleted, BatchWritten, Copied, Deleted, Durability, Entry, KeyHash, Limits,
                    Metadata, Problem, ProblemKind, StoreInfo, StoreState, StreamHead, Transferred, Value, VerifyStep, Version, Written,
                    codec)

VECTORS = [vector for path in sorted(glob.glob(os.path.join(REPOSITORY, "tests", "vectors", "*.json")))
           for vector in json.load(open(path, encoding="utf-8"))]

ALPHA, BETA = KeyHash(0xbe6903b5f625ab5a), KeyHash(0x28faff7f97dff641)
HELLO_STORE, COUNTED = b"Hello, store!", bytes(range(40))
ALPHA_CRC, BETA_CRC = 0xca97121a, 0x0da62e3c
DEFAULT_ROW = StoreInfo("default", StoreState.OPEN, "", 2, 124, 124, 0, Durability.SYNC, 0, 0x0123456789abcdef, True, 4096, 7,
                        compacting=True)

OLD_ROW = StoreInfo("old", StoreState.FAILED, "not a store", 0, 0, 4096, 0, Durability.INTERVAL, 500)


def sync(kind, *fields):
    return kind(*fields, Durability.SYNC, 0)


class Raises:
    def __init__(self, kind, *words):
        self.kind = kind
        self.words = words


class Raw:
    """A frame that no function of the codec would make."""

    def __init__(self, opcode, body, flags=0, length=None, answer=None):
        self.decode = answer or self.decode
        self.opcode, self.body, self.flags = opcode, body, flags
        self.length = len(body) if length is None else length

    def encode(self, identifier):
        return [codec.HEADER.pack(self.length, self.opcode, self.flags, 0, identifier), self.body]

    @staticmethod
    def decode(body):
        raise AssertionError("the answer should have been an error")


def raw_key(key):
    return struct.pack("<BI", 0, len(key)) + key


# By name: the preamble, and what comes of the answer to it.
HELLOS = {
    "hello": (codec.HELLO, Limits(80 << 20, 32 << 10, 100000, 1024, 1 << 20, 256 << 10)),
    "hello of version 2": (codec.MAGIC + struct.pack("<HHI", 2, 0, 0), Raises(rdrive.Unsupported, "version 1")),
    "hello with a wrong magic": (b"GET / HTTP/1.1\r\n", Raises(rdrive.InvalidArgument, "wrong magic")),
}

ABSENT = codec.condition(if_absent=True)

# By name: the request, and what its answer means.
FRAMES = {
    "ping": (codec.ping(), None),
    "metrics": (codec.metrics(), "# HELP rdrive_stores Stores that are listed, whatever their state.\n"
                                 "# TYPE rdrive_stores gauge\nrdrive_stores 2\n"),
    "metrics with a body": (Raw(codec.METRICS, b"x"), Raises(rdrive.InvalidArgument, "behind its last field")),
    "ping with bytes": (codec.ping(b"are you there?"), None),
    "auth": (Raw(codec.AUTH, b"a token of any bytes \xff", answer=codec.nothing), None),
    "auth with a token that is not known": (codec.auth("beta"), Raises(rdrive.Unauthorized, "not known")),
    "auth without a token": (Raw(codec.AUTH, b""), Raises(rdrive.InvalidArgument, "1 to 4096 bytes")),
    "read without a token": (codec.read("", "alpha"), Raises(rdrive.Unauthorized, "asks for a token")),
    "read that the token does not allow": (codec.read("", "alpha"), Raises(rdrive.Forbidden, "does not allow read")),
    "write": (codec.write("", "alpha", HELLO_STORE), sync(Written, 0, 33, ALPHA_CRC, ALPHA, False)),
    "write by hash, durability none": (codec.write("photos", BETA, COUNTED, Durability.NONE),
                                       Written(64, 124, BETA_CRC, BETA, True, Durability.NONE, 0)),
    "write of an empty value": (codec.write("", b"", b"", Durability.SYNC), Raises(rdrive.InvalidArgument, "empty")),
    "batch_write": (codec.batch_write("", [("alpha", HELLO_STORE), (BETA, COUNTED)]),
                    BatchWritten(64, 124, 2, Durability.INTERVAL, 250)),
    "batch_write that allows null bytes": (codec.batch_write("", {"a\0b": b"\0"}, True, Durability.SYNC),
                                           sync(BatchWritten, 124, 145, 1)),
    "batch_write of nothing": (codec.batch_write("", []), sync(BatchWritten, 0, 145, 0)),
    "delete": (codec.delete("", "alpha"), sync(Deleted, 145, True)),
    "delete of a missing key": (codec.delete("", b"/%\xff", Durability.NONE),
                                Deleted(145, False, Durability.NONE, 0)),
    "batch_delete": (codec.batch_delete("s", [b"a", "", ALPHA], Durability.SYNC), sync(BatchDeleted, 166, 1)),
    "read": (codec.read("", "alpha"), Value(HELLO_STORE, 0, ALPHA_CRC, ALPHA, 0)),
    "read by hash": (codec.read("", BETA), Value(COUNTED, 64, BETA_CRC, BETA, 33)),
    "read of a missing key": (codec.read("", "nobody"), Raises(rdrive.KeyNotFound, "no such key")),
    "read in a store that does not exist": (codec.read("nowhere", "k"), Raises(rdrive.StoreNotFound, "nowhere")),
    "batch_read": (codec.batch_read("", ["alpha", "nobody", BETA, ""]),
                   Raises(rdrive.Corrupt, "[3]")),
    "exists": (codec.exists("", "alpha"), True),
    "exists, not": (codec.exists("", "nobody"), False),
    "metadata": (codec.metadata("", "beta"), Metadata(BETA, 64, 40, 33, BETA_CRC)),
    "last": (codec.last(""), Metadata(BETA, 64, 40, 33, BETA_CRC)),
    "last of an empty store": (codec.last("empty"), Raises(rdrive.KeyNotFound, "no entry lives")),
    "iterate": (codec.iterate("", 0, 100), [Entry(BETA, 64, 40, BETA_CRC), Entry(ALPHA, 0, 13, ALPHA_CRC)]),
    "iterate, the end": (codec.iterate("", 64), []),
    "stores": (codec.stores(), [DEFAULT_ROW, OLD_ROW]),
    "create": (codec.create("new", {"durability": "interval:500"}),
               StoreInfo("new", StoreState.OPEN, "", 0, 0, 0, 0, Durability.INTERVAL, 500, 7, False)),
    "create of a store that exists": (codec.create("default"), Raises(rdrive.Conflict, "exists")),
    "info": (codec.info(""), DEFAULT_ROW),
    "drop": (codec.drop("old"), None),
    "verify, a first step of at most 64 bytes": (codec.verify("", 0, 64), VerifyStep(145, 33, 2, 112, 0, [])),
    "verify, the last step, with problems": (
        codec.verify("photos", 256), VerifyStep(256, 0, 3, 256, 5, [
            Problem(ProblemKind.PAYLOAD, True, 128, 40, BETA), Problem(ProblemKind.PAD, False, 33, 31, BETA),
            Problem(ProblemKind.BATCH, False, 32, 1, ALPHA), Problem(ProblemKind.CHAIN, False, 0, 32, KeyHash(0))])),
    "verify from behind the end": (codec.verify("", 1 << 63), Raises(rdrive.InvalidArgument, "behind")),
    "verify whose body is cut": (Raw(codec.VERIFY, bytes(9)), Raises(rdrive.InvalidArgument, "middle of a field")),
    "reopen": (codec.reopen(""), DEFAULT_ROW),
    "reopen of a store that still cannot be written": (
        codec.reopen("old"), StoreInfo("old", StoreState.READ_ONLY, "bytes 0 to 33 are damaged", 2, 124, 124, 0,
                                       Durability.SYNC, 0, 7, False)),
    "reopen twice at once": (codec.reopen(""), Raises(rdrive.Unavailable, "being reopened")),
    "compact": (codec.compact(""), rdrive.Compaction(282, 90, 2, 192, 0x0123456789abcdef, 4200)),
    "compact while another store is": (codec.compact("photos"), Raises(rdrive.Overloaded, "one at a time")),
    "ping with a flag": (Raw(codec.PING, b"", flags=1), Raises(rdrive.InvalidArgument, "flags")),
    "unknown operation": (Raw(0x7f, b"whatever"), Raises(rdrive.Unsupported, "does not know")),
    "read whose key is cut": (Raw(codec.READ, b"\0" + raw_key(b"alpha")[:-1]),
                              Raises(rdrive.InvalidArgument, "middle of a field")),
    "info with a trailing byte": (Raw(codec.INFO, b"\0\0"), Raises(rdrive.InvalidArgument, "behind its last")),
    "batch_read whose count does not fit": (Raw(codec.BATCH_READ, b"\0" + struct.pack("<I", 3) + 2 * raw_key(b"")),
                                            Raises(rdrive.InvalidArgument, "does not fit")),
    "read with a key over the limit": (Raw(codec.READ, b"\0\0" + struct.pack("<I", 32769)),
                                       Raises(rdrive.TooLarge, "key")),
    "rename": (codec.rename("", "alpha", "beta"), sync(Written, 128, 182, ALPHA_CRC, BETA, True)),
    "rename of one version to a key that is absent": (
        codec.rename("", BETA, "", Durability.NONE, codec.condition(if_version=Version(64, BETA_CRC)), ABSENT),
        Written(128, 209, BETA_CRC, KeyHash(0x2d06800538d394c2), False, Durability.NONE, 0)),
    "rename to a key that must be absent and is not": (codec.rename("", "alpha", "beta", target=ABSENT),
                                                       Raises(rdrive.PreconditionFailed, "is there")),
    "copy": (codec.copy("", "alpha", "photos"), Copied(128, 161)),
    "copy to the same store": (codec.copy("", "alpha", "default"), Raises(rdrive.Conflict, "same store")),
    "transfer": (codec.transfer("photos", BETA, ""), Transferred(64, 124, 145)),
    "write where the key is absent": (codec.write("", "alpha", HELLO_STORE, only=ABSENT),
                                      Raises(rdrive.PreconditionFailed, "is there")),
    "delete of one version": (codec.delete("", "alpha", only=codec.condition(if_version=Version(0, ALPHA_CRC))),
                              sync(Deleted, 145, True)),
    "delete where the key is present": (codec.delete("", "nobody", only=codec.condition(if_present=True)),
                                        Raises(rdrive.PreconditionFailed, "absent")),
    "write with a condition of no known kind": (codec.write("", "alpha", b"v", only=codec.Condition(4)),
                                                Raises(rdrive.InvalidArgument, "kind")),
    "delete with a flag that it does not have": (Raw(codec.DELETE, b"\0\1" + bytes(13) + raw_key(b"alpha"), flags=2),
                                                 Raises(rdrive.InvalidArgument, "flag")),
    "read with a condition": (Raw(codec.READ, b"\0\1" + bytes(12) + raw_key(b"alpha"), flags=1),
                              Raises(rdrive.InvalidArgument, "flag")),
    "read_stream with a range of no known kind": (
        Raw(codec.READ_STREAM, b"\0" + raw_key(b"alpha") + b"\3" + bytes(24)),
        Raises(rdrive.InvalidArgument, "range")),
    "an end with a body": (Raw(codec.END, b"x"), Raises(rdrive.InvalidArgument, "length")),
    "a chunk over the limit": (Raw(codec.CHUNK, b"", length=(256 << 10) + 1), Raises(rdrive.TooLarge, "chunk")),
    "write whose body is too long to skip": (Raw(codec.WRITE, b"", length=400 << 20),
                                             Raises(rdrive.TooLarge, "body")),
}

ALL_ONES = codec.U64_MAX
GENERATION = 0x0123456789abcdef
FILE = (HELLO_STORE + struct.pack("<QQI", ALPHA, 0, ALPHA_CRC)
        + bytes(31) + COUNTED + struct.pack("<QQI", BETA, 33, BETA_CRC))
ALPHA_HEAD = StreamHead(0, ALPHA_CRC, ALPHA, 0, 13, 0, 13)


def chunks(*pieces):
    return lambda identifier: b"".join(b"".join(codec.chunk(identifier, piece)) for piece in pieces)


def end(identifier):
    return codec.frame(codec.END, identifier)


def abort(identifier):
    return codec.frame(codec.ABORT, identifier)


# By name: the request, the parts that the client sends behind it, and what comes back: the answer's meaning, and parts
# as bytes (a chunk), a number (credit), END, or what an abort says.
STREAMS = {
    "write_stream, its length announced": (codec.write_stream("", "alpha", 13), [chunks(b"Hello, ", b"store!"), end],
                                           [sync(Written, 0, 33, ALPHA_CRC, ALPHA, False)]),
    "write_stream of unknown length where the key is absent, with credit": (
        codec.write_stream("photos", BETA, None, Durability.NONE, ABSENT), [chunks(COUNTED), end],
        [40, Written(64, 124, BETA_CRC, BETA, False, Durability.NONE, 0)]),
    "write_stream that is refused at once": (codec.write_stream("nowhere", "alpha", None), [],
                                             [Raises(rdrive.StoreNotFound, "nowhere")]),
    "write_stream that the client aborts": (codec.write_stream("", "alpha", 13, Durability.SYNC),
                                            [chunks(b"Hello"), abort], [Raises(rdrive.InvalidArgument, "aborted")]),
    "read_stream": (codec.read_stream("", "alpha", ALL_ONES), [], [ALPHA_HEAD, b"Hello, ", b"store!", codec.END]),
    "read_stream from byte 7 on, with credit given twice": (
        codec.read_stream("", "alpha", 4, first=7), [lambda identifier: codec.credit(identifier, 2)],
        [ALPHA_HEAD._replace(first=7, length=6), b"stor", b"e!", codec.END]),
    "read_stream of the last 8 bytes": (
        codec.read_stream("photos", BETA, 1 << 20, suffix=8), [],
        [StreamHead(64, BETA_CRC, BETA, 33, 40, 32, 8), COUNTED[32:], codec.END]),
    "read_stream of a range outside the value": (codec.read_stream("", "alpha", ALL_ONES, 13, 1), [],
                                                 [Raises(rdrive.RangeNotSatisfiable, "13 bytes")]),
    "read_stream of a damaged value": (codec.read_stream("", "alpha", ALL_ONES), [],
                                       [ALPHA_HEAD, b"Hellx, ", Raises(rdrive.Corrupt, "checksum")]),
    "read_stream that the client aborts": (codec.read_stream("", "alpha", 5), [abort],
                                           [ALPHA_HEAD, b"Hello", Raises(rdrive.RdriveError)]),
    "backup": (codec.backup("", ALL_ONES), [], [BackupHead(GENERATION, 33, 0, 33), FILE[:33], codec.END]),
    "backup of what is new, with credit given twice": (
        codec.backup("photos", 31, 33, GENERATION), [lambda identifier: codec.credit(identifier, 60)],
        [BackupHead(GENERATION, 124, 33, 91), FILE[33:64], FILE[64:], codec.END]),
    "backup where nothing is new": (codec.backup("", 1 << 20, 124, GENERATION), [],
                                    [BackupHead(GENERATION, 124, 124, 0), codec.END]),
    "backup of another generation": (codec.backup("", ALL_ONES, 33, 7), [],
                                     [Raises(rdrive.PreconditionFailed, "generation")]),
    "backup from behind the end": (codec.backup("", ALL_ONES, 125), [], [Raises(rdrive.RangeNotSatisfiable, "124")]),
    "backup whose file can no longer be read": (
        codec.backup("", ALL_ONES), [],
        [BackupHead(GENERATION, 33, 0, 33), b"Hello, ", Raises(rdrive.IoError, "cannot be read")]),
}


def check(expected, outcome):
    """Runs outcome and compares what it gives, or how it fails."""
    if isinstance(expected, Raises):
        with pytest.raises(rdrive.RdriveError) as raised:
            outcome()
        assert type(raised.value) is expected.kind
        assert all(word in raised.value.message for word in expected.words), raised.value.message
        return
    got = outcome()
    assert got == expected
    for value, wanted in zip(*([got, expected] if isinstance(got, list) else [[got], [expected]])):
        if isinstance(wanted, Value):  # which compare as the bytes that they are
            assert vars(value) == vars(wanted)


def feeds(data):
    """Whole, byte by byte, and in threes."""
    for step in (len(data), 1, 3):
        yield [data[at:at + step] for at in range(0, len(data), step)]


def test_there_are_vectors():
    assert len(VECTORS) >= 38


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_vector(vector):
    name, request, response = vector["name"], *(bytes.fromhex(vector[key]) for key in ("request_hex", "response_hex"))
    run = {**dict.fromkeys(HELLOS, run_hello), **dict.fromkeys(FRAMES, run_frame), **dict.fromkeys(STREAMS, run_stream)}
    assert name in run, "a vector that this test has no expectation for"
    for pieces in feeds(response):
        run[name](name, request, pieces)


def run_hello(name, request, pieces):
    preamble, expected = HELLOS[name]
    assert request == preamble
    decoder = codec.Decoder(1 << 20)
    check(expected, lambda: [hello for piece in pieces for hello in decoder.feed(piece)][0].limits)


def frames_of(pieces):
    decoder = codec.Decoder(1 << 20)
    decoder.feed(bytes.fromhex(VECTORS[0]["response_hex"]))
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def run_frame(name, request, pieces):
    asked, expected = FRAMES[name]
    identifier, = struct.unpack_from("<Q", request, 8)
    assert b"".join(asked.encode(identifier)) == request
    answer, = frames_of(pieces)
    assert (answer.opcode, answer.id) == (asked.opcode, identifier)
    check(expected, lambda: outcome_of(asked, answer))


def run_stream(name, request, pieces):
    asked, parts, expected = STREAMS[name]
    identifier, = struct.unpack_from("<Q", request, 8)
    assert b"".join([*asked.encode(identifier), *(part(identifier) for part in parts)]) == request
    frames = frames_of(pieces)
    assert len(frames) == len(expected) and {frame.id for frame in frames} == {identifier}
    for frame, meant in zip(frames, expected):
        check(meant, lambda: outcome_of(asked, frame))


def outcome_of(asked, frame):
    if frame.status:
        raise rdrive.errors.error_of(frame.status, codec.error_message(frame.body))
    if frame.opcode == codec.ABORT:
        raise codec.abort_of(frame.body)
    return {codec.CHUNK: lambda body: body, codec.CREDIT: codec.credit_of,
            codec.END: lambda body: codec.END}.get(frame.opcode, asked.decode)(frame.body)


def test_every_expectation_has_a_vector():
    assert sorted([*HELLOS, *FRAMES, *STREAMS]) == sorted(vector["name"] for vector in VECTORS)
