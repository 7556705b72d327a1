# SPDX-License-Identifier: MIT
"""The codec and the session without a socket: cuts, streams as docs/PROTOCOL.md spells them out, lies of a server."""
import os
import random
import re
import struct

import pytest

import rdrive
from harness.daemon import REPOSITORY
from rdrive import codec
from rdrive.session import Session

HELLO_ANSWER = codec.MAGIC + struct.pack("<HHI", 1, 0, 24) + struct.pack("<6I", 80 << 20, 32768, 100000, 1024, 1 << 20,
                                                                        256 << 10)


def answer(opcode, identifier, body=b"", status=0, flags=0):
    return codec.HEADER.pack(len(body), opcode, flags, status, identifier) + body


def error_body(message):
    return struct.pack("<H", len(message)) + message


@pytest.fixture
def session():
    session = Session(1 << 20)
    assert session.take_output() == [codec.HELLO]
    session.receive(HELLO_ANSWER)
    return session


def output(session):
    return b"".join(session.take_output())


def documented(name):
    """The frames of an example in docs/PROTOCOL.md: (from the client, bytes)."""
    with open(os.path.join(REPOSITORY, "docs", "PROTOCOL.md"), encoding="utf-8") as file:
        text = file.read()
    block = re.search(name + r".*?```\n(.*?)```", text, re.DOTALL).group(1)
    return [(line[0] == ">", bytes.fromhex(line[1:])) for line in block.splitlines()]


# ---- cuts ------------------------------------------------------------------------------------------------------------

def a_conversation(rng):
    """Answers of all lengths, and the bytes that they travel as."""
    frames = [codec.Frame(rng.randrange(256), 0, rng.randrange(25), rng.getrandbits(64),
                          rng.randbytes(rng.choice([0, 1, 15, 16, 17, 100, 5000]))) for _ in range(40)]
    return frames, HELLO_ANSWER + b"".join(answer(f.opcode, f.id, f.body, f.status) for f in frames)


def fed(pieces):
    decoder = codec.Decoder(1 << 20)
    return [message for piece in pieces for message in decoder.feed(piece)]


def test_byte_by_byte_and_at_random_cuts():
    seed = int(os.environ.get("RDRIVE_SEED", random.SystemRandom().randrange(1 << 32)))
    print("RDRIVE_SEED", seed)
    rng = random.Random(seed)
    for _ in range(20):
        frames, data = a_conversation(rng)
        assert fed([data])[1:] == frames
        assert fed([data[i:i + 1] for i in range(len(data))])[1:] == frames
        cuts = sorted(rng.randrange(len(data)) for _ in range(30))
        assert fed([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])])[1:] == frames


def test_a_cut_body_is_an_error_wherever_it_is_cut():
    bodies = [(codec.written, 34), (codec.batch_written, 29), (codec.deleted, 14), (codec.batch_deleted, 21),
              (codec.value_of, 28), (codec.found, 1), (codec.metadata_of, 36), (codec.stream_head, 52),
              (codec.copied, 16), (codec.transferred, 24)]
    for decode, length in bodies:
        whole = bytes(length)
        decode(whole + b"fields of a newer server")
        for cut in range(length):
            with pytest.raises(rdrive.ProtocolError):
                decode(whole[:cut])
    for decode, body in ((codec.values, struct.pack("<IHQIIs", 1, 0, 0, 0, 1, b"v")),
                         (codec.entries_of, struct.pack("<I", 1) + bytes(28)),
                         (codec.store_rows, struct.pack("<IH", 1, 41) + bytes(41))):
        assert len(decode(body)) == 1
        for cut in range(len(body)):
            with pytest.raises(rdrive.ProtocolError):
                decode(body[:cut])


def test_store_rows_of_other_servers():
    """What an older server leaves out counts as 0; what a newer one appends is skipped."""
    row = bytes(41) + struct.pack("<QBQQBB", 1 << 63, 1, 4096, 7, 1, 1)
    for length in range(41, len(row) + 1):
        info = codec.store_row(struct.pack("<IH", 1, length) + row[:length])
        assert (info.generation, info.batch_marker) == ((1 << 63, True) if length >= 50 else (0, False))
        assert info[-4:-1] == ((4096, 7, True) if length >= 67 else (0, 0, False))
        assert info.compacting == (length == len(row))
    assert codec.store_row(struct.pack("<IH", 1, len(row) + 3) + row + b"new").generation == 1 << 63


def test_counts_that_lie_cost_nothing():
    for decode in (codec.values, codec.entries_of, codec.store_rows):
        with pytest.raises(rdrive.ProtocolError):
            decode(b"\xff\xff\xff\xff")


def test_random_bytes_are_refused_and_not_worse():
    rng = random.Random(11)
    decoders = (codec.written, codec.values, codec.entries_of, codec.store_rows, codec.error_message, codec.abort_of)
    for _ in range(5000):
        body = rng.randbytes(rng.randrange(80))
        for decode in decoders:
            try:
                decode(body)
            except rdrive.RdriveError:
                pass


# ---- what a server must not do --------------------------------------------------------------------------------------

@pytest.mark.parametrize("data", [
    b"HTTP/1.1 400 Bad Request\r\n",
    codec.MAGIC + struct.pack("<HHI", 1, 0, 3) + b"abc",
    codec.MAGIC + struct.pack("<HHI", 1, 0, 0xffffffff),
    HELLO_ANSWER + answer(codec.PING, 1, flags=1),
    HELLO_ANSWER + struct.pack("<IBBHQ", (1 << 20) + 1, codec.READ, 0, 0, 1),
    HELLO_ANSWER + answer(codec.PING, 9),
    HELLO_ANSWER + answer(codec.CHUNK, 9, b"x"),
], ids=["http", "short limits", "long hello", "flags", "too long", "unknown id", "a part of no stream"])
def test_nonsense_is_a_protocol_error(data):
    with pytest.raises(rdrive.ProtocolError):
        Session(1 << 20).receive(data)


def test_an_answer_as_another_operation(session):
    session.start(codec.ping())
    with pytest.raises(rdrive.ProtocolError):
        session.receive(answer(codec.READ, 1))


@pytest.mark.parametrize("parts", [
    answer(codec.CHUNK, 1, b"12345"), answer(codec.CHUNK, 1, b"123") + answer(codec.END, 1),
    answer(codec.CREDIT, 1, bytes(8)), answer(codec.CHUNK, 1, error_body(b"no"), status=1)],
    ids=["too much", "too little", "credit", "an error"])
def test_a_download_that_does_not_add_up(session, parts):
    session.start_download(codec.read_stream("", "k", 100), 100)
    session.receive(answer(codec.READ_STREAM, 1, struct.pack("<QIQQQQQ", 0, 0, 0, 0, 4, 0, 4)))
    with pytest.raises(rdrive.RdriveError):
        session.receive(parts)


def test_a_server_without_streams():
    session = Session(1 << 20)
    session.receive(codec.MAGIC + struct.pack("<HHI", 1, 0, 16) + struct.pack("<4I", 1000, 100, 10, 5))
    assert session.limits == (1000, 100, 10, 5, 0, 0)
    with pytest.raises(rdrive.Unsupported):
        session.start_download(codec.read_stream("", "k", 100), 100)
    with pytest.raises(rdrive.TooLarge):
        session.start(codec.write("", "k", bytes(1001)))


# ---- errors ----------------------------------------------------------------------------------------------------------

def test_a_class_for_every_status_with_its_name():
    mentioned = open(os.path.join(REPOSITORY, "base", "status.h"), encoding="utf-8").read()
    numbers = {name: int(number) for name, number in re.findall(r"RD_(\w+) = (\d+)", mentioned)}
    assert {status.name: status.value for status in rdrive.Status} == numbers
    http_only = {"OK", "METHOD_NOT_ALLOWED", "UNSUPPORTED_MEDIA_TYPE", "HEADER_TOO_LARGE"}
    for name, number in numbers.items():
        error = rdrive.errors.error_of(number, "what happened")
        assert (error.status, error.message, str(error)) == (number, "what happened", "what happened")
        if name not in http_only:
            assert type(error).__name__ == "".join(word.capitalize() for word in name.split("_"))
            assert getattr(rdrive, type(error).__name__) is type(error)
    unknown = rdrive.errors.error_of(999, "new")
    assert type(unknown) is rdrive.RdriveError and unknown.status == 999


def test_python_knows_them_too():
    assert issubclass(rdrive.KeyNotFound, KeyError) and issubclass(rdrive.InvalidArgument, ValueError)
    assert issubclass(rdrive.ConnectionLost, ConnectionError) and issubclass(rdrive.Timeout, TimeoutError)
    assert issubclass(rdrive.ConnectFailed, (rdrive.Unavailable,)) and str(rdrive.KeyNotFound("no 'x'")) == "no 'x'"


def test_a_batch_read_with_a_corrupt_value(session):
    exchange = session.start(codec.batch_read("", ["a", "b", "c"]))
    session.receive(answer(codec.BATCH_READ, 1, struct.pack("<IHHHQII", 3, 17, 4, 0, 64, 5, 1) + b"v"))
    with pytest.raises(rdrive.Corrupt) as raised:
        exchange.result()
    assert raised.value.values == [None, None, b"v"] and raised.value.indexes == [0]


def test_a_lost_connection_fails_each_request_once(session):
    changes = []
    exchanges = [session.start(codec.ping()) for _ in range(3)]
    exchanges.append(session.start_upload(codec.write_stream("", "k", None)))
    exchanges.append(session.start_download(codec.read_stream("", "k", 10), 10))
    for number, exchange in enumerate(exchanges):
        exchange.changed = lambda number=number: changes.append(number)
    session.receive(answer(codec.PING, 2))
    for _ in range(2):
        session.fail(lambda: rdrive.ConnectionLost("gone"))
    assert exchanges[1].result() is None and session.pending == 0
    for exchange in (exchanges[0], *exchanges[2:]):
        with pytest.raises(rdrive.ConnectionLost):
            exchange.result()
    assert [changes.count(number) for number in range(4)] == [1, 1, 1, 1]


# ---- keys and conditions --------------------------------------------------------------------------------------------

def test_keys():
    assert codec.key_bytes("\u00fc") == codec.key_bytes(b"\xc3\xbc") == codec.key_bytes(bytearray(b"\xc3\xbc"))
    assert codec.key_bytes(rdrive.KeyHash(5)) == b"\1" + struct.pack("<Q", 5)
    assert rdrive.KeyHash.from_hex(str(rdrive.KeyHash(0xab))) == 0xab and len(str(rdrive.KeyHash(0xab))) == 16
    for wrong in (5, None, 1.5, ["a"]):
        with pytest.raises(TypeError):
            codec.key_bytes(wrong)
    for wrong in (-1, 1 << 64):
        with pytest.raises(ValueError):
            rdrive.KeyHash(wrong)
    with pytest.raises(rdrive.InvalidArgument):
        codec.read("s" * 256, "k")


def test_conditions_exclude_each_other():
    version = rdrive.Version(7, 8)
    assert codec.condition() is None
    assert codec.condition_bytes(codec.condition(if_version=version)) == b"\3" + struct.pack("<QI", 7, 8)
    for options in ({"if_absent": True, "if_present": True}, {"if_absent": True, "if_version": version},
                    {"if_present": True, "if_version": version}):
        with pytest.raises(rdrive.InvalidArgument):
            codec.condition(**options)


def test_rename_carries_both_conditions():
    request = codec.rename("s", "a", "b", rdrive.Durability.SYNC, codec.condition(if_version=rdrive.Version(1, 2)),
                           codec.condition(if_absent=True))
    assert request.flags == 3
    assert b"".join(request.body) == (b"\1s" + b"\3" + struct.pack("<QI", 1, 2) + b"\1" + bytes(12) + b"\1" +
                                      codec.key_bytes("a") + codec.key_bytes("b"))


# ---- streams, as the document has them ------------------------------------------------------------------------------

def test_the_upload_of_the_document(session):
    lines = documented("An upload of")
    session._next_id = 5
    upload = session.start_upload(codec.write_stream("", "alpha", 13, only=codec.condition(if_absent=True)))
    upload.send(b"Hello, ")
    upload.send(b"store!")
    upload.end()
    assert output(session) == b"".join(data for ours, data in lines if ours)
    for ours, data in lines:
        if not ours:
            session.receive(data)
    written = upload.result()
    assert (written.offset, written.tail, written.replaced) == (0, 33, False)
    assert session.pending == 0 and output(session) == b""


def test_the_download_of_the_document(session):
    lines = documented("A download of")
    session._next_id = 6
    download = session.start_download(codec.read_stream("", "alpha", 4, first=7), 4)
    got = b""
    for ours, data in lines:
        if ours and data[4] == codec.READ_STREAM:
            assert output(session) == data
        elif ours:  # the credit, which is the document's choice and not ours
            assert output(session)[:16] == data[:16]
        else:
            session.receive(data)
            while download.ready and (chunk := download.take()):
                got += chunk
    assert got == b"store!" and download.take() is None and session.pending == 0
    assert download.result().length == 6 and download.result().first == 7


def test_credit_is_kept_to(session):
    upload = session.start_upload(codec.write_stream("", "k", None))
    assert upload.room == 256 << 10
    for _ in range(4):
        upload.send(bytes(256 << 10))
    assert upload.room == 0
    session.receive(answer(codec.CREDIT, 1, struct.pack("<Q", 5)))
    assert upload.room == 5


def test_an_upload_that_is_answered_early_and_one_that_is_aborted(session):
    early = session.start_upload(codec.write_stream("", "k", None))
    session.receive(answer(codec.WRITE_STREAM, 1, error_body(b"full"), status=19) + answer(codec.CREDIT, 1, bytes(8)))
    with pytest.raises(rdrive.NoSpace):
        early.result()
    session.take_output()
    early.cancel()
    assert output(session) == b""
    aborted = session.start_upload(codec.write_stream("", "k", None))
    session.take_output()
    aborted.cancel()
    aborted.cancel()
    assert output(session) == codec.frame(codec.ABORT, 2) and session.pending == 1
    session.receive(answer(codec.WRITE_STREAM, 2, error_body(b"aborted"), status=1))
    assert session.pending == 0


HEAD = struct.pack("<QIQQQQQ", 0, 0, 0, 0, 4, 0, 4)


def test_a_download_that_the_server_aborts(session):
    download = session.start_download(codec.read_stream("", "k", 100), 100)
    session.receive(answer(codec.READ_STREAM, 1, HEAD) + answer(codec.CHUNK, 1, b"123") +
                    answer(codec.ABORT, 1, struct.pack("<H", 17) + error_body(b"bad sum")))
    assert download.take() == b"123"
    for _ in range(2):
        with pytest.raises(rdrive.Corrupt):
            download.take()
    assert session.pending == 0


@pytest.mark.parametrize("crossing", [answer(codec.END, 1), answer(codec.ABORT, 1, bytes(4))], ids=["end", "abort"])
def test_a_download_that_is_cancelled(session, crossing):
    download = session.start_download(codec.read_stream("", "k", 100), 100)
    session.receive(answer(codec.READ_STREAM, 1, HEAD) + answer(codec.CHUNK, 1, b"12"))
    session.take_output()
    download.cancel()
    download.cancel()
    assert output(session) == codec.frame(codec.ABORT, 1) and session.pending == 1
    session.receive(answer(codec.CHUNK, 1, b"34") + crossing)
    assert session.pending == 0 and output(session) == b""


def test_a_download_that_is_cancelled_before_its_head(session):
    download = session.start_download(codec.read_stream("", "k", 100), 100)
    session.take_output()
    download.cancel()
    assert output(session) == b""
    session.receive(answer(codec.READ_STREAM, 1, HEAD))
    assert output(session) == codec.frame(codec.ABORT, 1)
    session.receive(answer(codec.ABORT, 1, bytes(4)))
    refused = session.start_download(codec.read_stream("", "k", 100), 100)
    refused.cancel()
    session.receive(answer(codec.READ_STREAM, 2, error_body(b"none"), status=4))
    assert session.pending == 0


# ---- addresses ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("server, host, port, path", [
    ("127.0.0.1:7401", "127.0.0.1", 7401, ""), ("[::1]:80", "::1", 80, ""), (("a", 1), "a", 1, ""),
    ("/run/x.sock", "", 0, "/run/x.sock"), ("unix:x.sock", "", 0, "x.sock")])
def test_addresses(server, host, port, path):
    assert rdrive.address.parse(server) == (host, port, path)


@pytest.mark.parametrize("server", ["", "host", ":80", "host:", "host:x", "host:70000", "::1:80", "host:-1"])
def test_addresses_that_are_none(server):
    with pytest.raises(ValueError):
        rdrive.Client(server)
