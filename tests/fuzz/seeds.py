#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the seeds in tests/fuzz/corpus anew from the protocol's vectors, the golden files and what is written here.

Files there whose names begin with `found-` are what fuzzing found; they stay.
"""
import json
import os
import struct
import zlib

TESTS = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
CORPUS = os.path.join(TESTS, "fuzz", "corpus")

LOW_LIMITS, SECOND, THIRD = 1, 2, 4


def head(choices, cuts=b""):
    """What binary and HTTP inputs begin with."""
    return bytes([choices, len(cuts)]) + cuts


# ---- the binary protocol ---------------------------------------------------------------------------------------------

HELLO = bytes.fromhex("d25244524956450a0100000000000000")
GREETED, REPEAT, REQUEST = SECOND, THIRD, 8


def frame(opcode, body=b"", request=1, flags=0, status=0):
    return struct.pack("<IBBHQ", len(body), opcode, flags, status, request) + body


def vectors():
    with open(os.path.join(TESTS, "vectors", "binary.json"), encoding="utf-8") as file:
        rows = json.load(file)
    hellos = [row for row in rows if row["name"].startswith("hello")]
    rest = rows[len(hellos):]
    last = 3  # they end the connection
    groups = [rest[at:at + 8] for at in range(0, len(rest) - last, 8)] + [[row] for row in rest[-last:]]
    return hellos, groups


def binary_server():
    hellos, groups = vectors()
    for number, row in enumerate(hellos):
        yield f"hello-{number}", head(0) + bytes.fromhex(row["request_hex"])
    for number, group in enumerate(groups):
        choices = SECOND | (LOW_LIMITS if number % 4 == 3 else 0)
        yield f"vectors-{number:02}", head(choices, bytes([1 + number, 3])) + b"".join(bytes.fromhex(row["request_hex"]) for row in group)
    yield "hello-again", head(0) + HELLO[:8] + b"\2\0" + HELLO[10:] + HELLO + frame(0x02)
    yield "long-value", head(SECOND | THIRD, b"\xff\0") + struct.pack("<IBBHQ", 18000, 0x10, 0, 0, 1) + b"\0\0\0\1\0\0\0k" + b"v" * 200
    for name in (b"", b"m", b"mine", b"other", b"x" * 64, b"y" * 65):  # a body that is asked about, and a frame behind it
        yield f"long-in-a-name-of-{len(name)}", head(SECOND, b"\1\7") + frame(0x10, bytes([len(name)]) + name + b"\0\0\1\0\0\0k" + b"v" * 4096) \
            + frame(0x02, request=2)
    yield "skipped-body", head(SECOND | LOW_LIMITS) + frame(0x10, b"x" * 1001) + frame(0x02, request=2)
    yield "opcode-hello-in-a-frame", head(SECOND) + frame(1) + frame(0xee, b"abc", 2) + frame(0x02, request=3)
    yield "parts-without-a-stream", head(SECOND) + frame(0x40, b"abc", 7) + frame(0x43, bytes(8), 7) + frame(0x42, b"", 7)


def binary_client():
    hellos, groups = vectors()
    for number, row in enumerate(hellos):
        yield f"hello-{number}", head(0) + bytes.fromhex(row["response_hex"])
    for number, group in enumerate(groups):
        choices = GREETED | (LOW_LIMITS if number % 4 == 3 else 0)
        yield f"vectors-{number:02}", head(choices, bytes([number, 1])) + b"".join(bytes.fromhex(row["response_hex"]) for row in group)
    yield "old-hello", head(0) + HELLO[:10] + struct.pack("<HI4I", 0, 16, 1 << 20, 99, 9, 3) + frame(0x02)
    yield "long-value", head(GREETED | REPEAT, b"\x40") + struct.pack("<IBBHQ", 20000, 0x20, 0, 0, 1) + bytes(28) + b"v" * 200
    yield "long-message", head(GREETED) + frame(0x20, struct.pack("<H", 400) + "\u00fc".encode() * 200, status=17)
    row = struct.pack("<HBBIQQQQB", 52, 0, 1, 0, 1, 2, 3, 4, 1) + b"s" + struct.pack("<H", 0)
    yield "store-row-of-an-older-server", head(GREETED) + frame(0x33 - 1, struct.pack("<I", 1) + struct.pack("<H", 42) + row[2:44])
    key = lambda text: b"\1" + struct.pack("<H", len(text)) + text
    fields = b"\0\0\0" + struct.pack("<H", 1) + b"s" + key(b"key") + b"\0" + struct.pack("<Q", 5) + (struct.pack("<H", 1) + b"t") * 3
    fields += b"\1" + struct.pack("<QQQQQIQQ", 1, 2, 3, 4, 5, 6, 7, 8) + b"\1\2" + key(b"a") + struct.pack("<H", 2) + b"v1"
    fields += key(b"b") + struct.pack("<H", 2) + b"v2"
    for opcode in (0x11, 0x14, 0x26, 0x31, 0x34):
        yield f"request-{opcode:02x}", head(REQUEST) + bytes([opcode]) + struct.pack("<Q", 9) + fields + b"the value"
    no_range = fields.replace(b"\1" + struct.pack("<Q", 1), b"\0" + struct.pack("<Q", 1))
    for opcode in (0x10, 0x12, 0x13):
        yield f"request-{opcode:02x}", head(REQUEST) + bytes([opcode]) + struct.pack("<Q", 9) + no_range + b"the value"


# ---- HTTP ------------------------------------------------------------------------------------------------------------

FOLLOWED = THIRD
HOST = b"Host: h\r\n"
PUT = b"PUT /v1/stores/s/keys/k HTTP/1.1\r\n" + HOST
GET = b"GET /v1/stores/s/keys/k HTTP/1.1\r\n" + HOST
CHUNKED = PUT + b"Transfer-Encoding: chunked\r\n\r\n"
JSON = b"Content-Type: application/json\r\n"

HTTP_RAW = {
    "health": b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
    "blank-lines": b"\r\n\r\nGET /readyz HTTP/1.1\r\nHost:\r\n\r\n",
    "put": PUT + b"Content-Length: 3\r\n\r\nabc",
    "put-expect": PUT + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    "put-chunked": CHUNKED + b"3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nT: trailer\r\n\r\n",
    "put-1.0": b"PUT /v1/stores/s/keys/k HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nv",
    "get-part": GET + b"Range: bytes=1-2\r\nIf-Range: \"1f40-00abcdef\"\r\n\r\n",
    "get-if-none": GET + b"If-None-Match: \"1f40-00abcdef\", W/\"0-ffffffff\"\r\n\r\n",
    "head": b"HEAD /v1/stores/s/keys/%00%fF+%25 HTTP/1.1\r\n" + HOST + b"If-None-Match: *\r\n\r\n",
    "delete-if": b"DELETE /v1/stores/s/keys/k HTTP/1.1\r\n" + HOST + b"If-Match: \"1f40-00abcdef\"\r\n\r\n",
    "drop": b"DELETE /v1/stores/n?confirm=%6e HTTP/1.1\r\n" + HOST + b"\r\n",
    "create": b"PUT /v1/stores/n HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 21\r\n\r\n{\"durability\":\"none\"}",
    "entries": b"GET /v1/stores/s/entries?after=64&limit=3 HTTP/1.1\r\n" + HOST + b"\r\nGET /v1/stores HTTP/1.1\r\n" + HOST + b"\r\n",
    "backup": b"GET /v1/stores/s/backup?from=640&generation=0123456789abcdef HTTP/1.1\r\n" + HOST
              + b"\r\nGET /v1/stores/s/backup HTTP/1.1\r\n" + HOST
              + b"Range: bytes=7-\r\nIf-Range: \"0123456789abcdef-1f\"\r\nIf-Match: \"0123456789abcdef-8\"\r\n\r\n",
    "verify": b"POST /v1/stores/s/verify?from=640&limit=100 HTTP/1.1\r\n" + HOST + b"\r\nPOST /v1/stores/s/reopen HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute": b"GET http://H/v1/stores/s/last HTTP/1.1\r\n" + HOST + b"Origin: http://h\r\nConnection: x, Close\r\n\r\n",
    "refused-body": b"POST /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\nbody",
    "not-http": b"\x16\x03\x01\x02\x00\x01\x00",
    "two-lengths": PUT + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length-and-chunked": PUT + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
}

HTTP_FRAMED = [
    (1, b"3\r\nabc\r\n0\r\nA: b\r\n\r\n"), (1, b"fffffffffffffff;a\r\n"), (2, b"Upgrade: h2c\r\nConnection: Upgrade"),
    (3, b"Expect: 100-continue\r\nOrigin: null"), (4, b"/v1/stores/s/keys/a%2Fb%4?x=1"),
    (5, b"bytes=-18446744073709551615,1-"), (6, b"\"1f40-00abcdef\",*"),
    (7, b", \"a\"\t,W/\"b\""), (8, b'{"entries":[{"key":"a","value":"t"},{"key_base64":"AA==","value_base64":"AP8="}]}'),
    (9, b'{"keys":["",{"key_hash":"0000000000000001"}]}'), (10, b'{"from":"a","to_base64":"Yg=="}'), (11, b'{"key":"a","target":"other"}'),
]


def http():
    for name, text in HTTP_RAW.items():
        yield name, head(FOLLOWED if len(name) % 2 else 0, bytes([len(name), 2, 0])) + text
    for number, (where, text) in enumerate(HTTP_FRAMED):
        yield f"framed-{number:02}", head(where << 3 | FOLLOWED | (number & LOW_LIMITS), bytes([5, number])) + text
    yield "pipelined", head(LOW_LIMITS, b"\7") + b"".join(list(HTTP_RAW.values())[:6])
    yield "long-body", head(SECOND, b"\xfe\3") + PUT + b"Content-Length: 19000\r\n\r\n" + b"v" * 100


# ---- the Redis protocol ----------------------------------------------------------------------------------------------

RESP3, MULTI = THIRD, 8


def array(line):
    words = line.split(b" ")
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


REDIS_LINES = {
    "values": b"GET a|SET a v|SET a v NX GET|SETNX a v|GETSET a v|GETDEL a|STRLEN a|GETRANGE a -3 -1|MGET a b|MSET a 1 b 2|MSETNX a 1",
    "keys": b"DEL a|DEL a b|UNLINK a|EXISTS a|EXISTS a b|TOUCH a|TYPE a|RENAME a b|RENAME a a|RENAMENX a b|COPY a b DB 1|MOVE a 1|DBSIZE",
    "connection": b"PING|PING x|ECHO x|SELECT 1|SELECT name|HELLO|HELLO 3 SETNAME x|AUTH x|RESET|CLIENT ID|CLIENT LIST|CLIENT SETNAME x|QUIT",
    "server": b"COMMAND COUNT|COMMAND INFO get what|COMMAND DOCS client|CONFIG GET *|INFO|INFO server x|TIME|SAVE|LASTSAVE|WAIT 0 0|CLIENT HELP",
    "transaction": b"WATCH a b|MULTI|SET a 1|DEL b c|PING|EXEC|MULTI|GET a|EXISTS b c|EXEC|UNWATCH|DISCARD",
    "refused": b"MULTI|what|EXEC|MULTI|SET a 1|GET a|EXEC|SET a v EX 5|KEYS *|GET|SET a v x|MULTI|MULTI|SELECT 1|EXEC",
}

REDIS_RAW = {
    "typed": b"  get  \"a \\x41\\n\" \r\n\nset 'it\\'s' \"\"\nping\r\n",
    "unbalanced": b"get \"a\r\n",
    "http": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "nothing": b"*0\r\n*-1\r\n\r\n" + array(b"PING"),
    "too-many": b"*1000000000\r\n",
    "negative": b"*1\r\n$-7\r\n",
    "too-long": b"*1\r\n$9999999999\r\n",
    "no-dollar": b"*1\r\n:1\r\n",
    "bare-lf": b"*1\n$4\nPING\n",
    "half": b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nab",
    "empty-value": b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1\r\n\0\r\n",
    "long-value": array(b"SET a " + b"v" * 150) + array(b"SET a " + b"v" * 1000 + b" NX KEEPTTL") + array(b"SET a " + b"v" * 1000 + b" GET"),
    "long-others": array(b"GETSET a " + b"v" * 990) + array(b"MSET a " + b"v" * 600 + b" b " + b"v" * 600) + array(b"PING"),
    "long-and-broken": array(b"SET a " + b"v" * 150)[:-2] + b"xx",
}


def redis():
    for number, (name, lines) in enumerate(REDIS_LINES.items()):
        commands = lines.split(b"|")
        yield name, head(0, bytes([number, 7])) + b"".join(map(array, commands))
        yield f"{name}-typed", head(LOW_LIMITS | RESP3, bytes([3])) + b"".join(line + b"\r\n" for line in commands)
    for number, (name, text) in enumerate(REDIS_RAW.items()):
        yield name, head(number & RESP3 | (LOW_LIMITS if name.startswith("long") else 0), bytes([number % 5, 40])) + text
    yield "queued", head(MULTI) + b"".join(map(array, REDIS_LINES["values"].split(b"|")[:4]))
    yield "queued-reads", head(MULTI | RESP3 | LOW_LIMITS, b"\2") + array(b"GET a") + array(b"MGET b c") + array(b"STRLEN d")
    yield "filled", head(SECOND, b"\xff\0") + b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$19000\r\n" + b"v" * 100


# ---- JSON ------------------------------------------------------------------------------------------------------------

def json_bodies():
    batches = [b'{"allow_null_bytes":true,"entries":[{"value":"\\u0000\\u00fc\\ud83d\\ude00\\"","key":""},{"key_base64":"/wA=","value_base64":""}]}',
               b'{"entries":[{"key_hash":"FEDCBA9876543210","value":"{[,"}]} \r\n', b'{"entries":[{"key":"k"}]}']
    keys = [b'{"keys":["a","",{"key":"b"},{"key_base64":"AA=="},{"key_hash":"0123456789abcdef"}]}', b'{"keys":["a","a"],"x":0}']
    bad = [b"", b"[[[[[[", b"{\"keys\":" + b"[" * 3 + b",,,,,,,,,,,,,,,,,,", b"\xff\xfe{}", b'{"keys":[],"keys":[]}']
    for which, bodies in ((0, batches), (1, keys), (2, keys[:1]), (3, [b'{"from":"a","to":"b"}', b'{"from_hash":"00000000000000aa","to_base64":"AA=="}',
                          b'{"from":"a","from_hash":"1","to":"b"}']), (4, [b'{"key":"a","target":"other"}', b'{"key_base64":"AA==","target":""}'])):
        for number, body in enumerate(bodies):
            yield f"body-{which}-{number}", bytes([which]) + body
    for number, body in enumerate(bad):
        yield f"bad-{number}", bytes([number % 5 | 0x80]) + body
    yield "not-utf-8", b"\0" + bytes(range(256))


# ---- config ----------------------------------------------------------------------------------------------------------

def config():
    files = [b'{"data_dir":"/srv/x","loops":4,"listen":"[::1]:0","http":"localhost:80","durability":"interval:50"}',
             b'{\n "unix":"/run/s",\n "port_file":"p","stall_timeout_ms":"100","log_level":"debug"\n}', b'{"loops":257}', b'{"what":{"loops":1}}', b"{\"a\\u0000\":1}",
             b'{"durability":"interval:0"}', b'{"data_dir":["x"]}', b""]
    settings = [b"{}", b'{"durability":"interval:3600000"}', b'{"durability":1}', b'{"batch_marker":false}']
    words = [[b"--data-dir", b"d", b"--loops=2", b"--http", b"h:1"], [b"--help"], [b"--version=1"], [b"--loops"], [b"--nope=1"],
             [b"--listen=[::]:65535", b"--unix=", b"--durability=none", b"", b"dir", b"h:1", b"", b"sock", b"3", b"sync"],
             [b"--config", b"/nonexistent"], [b"", b"", b"", b"", b"", b"0"]]
    for number, text in enumerate(files):
        yield f"file-{number}", b"\0" + text
    for number, text in enumerate(settings):
        yield f"settings-{number}", b"\1" + text
    for number, row in enumerate(words):
        yield f"words-{number}", b"\2" + b"".join(word + b"\0" for word in row)


# ---- store files -----------------------------------------------------------------------------------------------------

MADE, COMPANION, COMPANION_BYTES, CLEAN, STEPS = 1, 2, 4, 8, 16
GOLDEN = ("single", "flip_payload", "tornnest_base", "torn_00184")
VALUE, NESTED, TOMBSTONE, DAMAGED, MARKER, RECORD, END = 0, 3, 4, 5, 6, 7, 255
OVERWRITE, CUT, FLIP, ZEROS, ONES, APPEND = range(6)


def value(key, length, first=0x21, scale=0):
    return bytes([VALUE | scale << 3, key, length, first])


THREE = value(0, 13) + value(1, 40, 0x35) + value(2, 100, scale=1)
PROGRAMS = {
    "intact": THREE + bytes([TOMBSTONE, 0]),
    "empty": b"",
    "recorded-then-cut": THREE + bytes([RECORD]) + value(3, 77) + bytes([END, CUT, 0xff, 1]),
    "cut": THREE + bytes([END, CUT, 200, 0]),
    "zeros-behind": THREE + bytes([RECORD, END, ZEROS, 9]),
    "ones-behind": THREE + bytes([RECORD, END, ONES, 99]),
    "ones-behind-a-torn-one": THREE + bytes([END, CUT, 0x30, 1, ONES, 64]),
    "garbage-behind": THREE + bytes([RECORD, END, APPEND, 30]) + bytes(range(30)),
    "long-and-torn": value(0, 255, 0x33, 2) + value(1, 255, 0x13, 3) + bytes([END, CUT, 0, 0x20]),
    "flip-in-a-payload": THREE + bytes([END, FLIP, 64, 0, 3]),
    "flip-in-a-pad": THREE + bytes([END, FLIP, 40, 0, 1]),
    "flip-in-the-first-link": THREE + bytes([END, FLIP, 22, 0, 1]),
    "flip-in-a-middle-link": THREE + bytes([RECORD]) + value(4, 9) + bytes([END, FLIP, 113, 0, 2]),
    "flip-in-the-last-trailer": THREE + bytes([RECORD, END, FLIP, 0x4f, 2, 2]),
    "flip-in-the-last-recorded-trailer": THREE + bytes([RECORD]) + value(4, 9) + bytes([END, FLIP, 0x4f, 2, 2]),
    "damaged-value": value(0, 20) + bytes([DAMAGED, 1, 30, 0x22]) + value(2, 20) + bytes([RECORD]),
    "damaged-value-last": value(0, 20) + bytes([DAMAGED, 1, 30, 0x22]),
    "nested": THREE + bytes([NESTED, 5]) + value(1, 3) + bytes([RECORD]),
    "nested-and-torn": THREE + bytes([RECORD, NESTED, 5, END, CUT, 0xff, 3]),
    "batch": THREE + bytes([RECORD, MARKER, 0]) + value(0, 3) + value(1, 4),
    "batch-torn": THREE + bytes([RECORD, MARKER, 0]) + value(0, 3) + value(1, 64) + bytes([END, CUT, 0xd0, 2]),
    "batch-whose-last-is-flipped": THREE + bytes([MARKER, 0]) + value(0, 3) + value(1, 64) + bytes([END, FLIP, 0xc0, 2, 5]),
    "batch-of-tombstones": THREE + bytes([MARKER, 1, TOMBSTONE, 0, TOMBSTONE, 1, TOMBSTONE, 2]) + value(2, 2),
    "one-byte-values": value(0, 1, 1) + value(1, 1, 9) + bytes([TOMBSTONE, 0, END, FLIP, 64, 0, 0]),
}


BATCH, DELETE, RENAME, BEGIN, GO_ON, COMPACT, REOPEN, CRASH = 1, 2, 3, 4, 5, 6, 7, 15
STEP_PROGRAMS = {
    "compacted": bytes([COMPACT, REOPEN, COMPACT, CRASH]),
    "written-meanwhile": bytes([BEGIN, GO_ON, 1]) + value(1, 50) + bytes([GO_ON, 9, DELETE, 0, GO_ON, 1, BATCH, 2, 30, 0x44])
                         + bytes([GO_ON, 1, RENAME, 2, 1, COMPACT, CRASH, COMPACT]),
    "given-up": bytes([BEGIN, GO_ON, 1]) + value(3, 9) + bytes([BEGIN, GO_ON, 1, REOPEN, BEGIN, GO_ON, 200, CRASH, COMPACT]),
    "deleted": bytes([DELETE, 0, DELETE, 1, BEGIN, GO_ON, 1, DELETE, 2, DELETE, 3, COMPACT, REOPEN, COMPACT]) + value(0, 200, scale=2),
}


def count_entries(data):
    count = 0
    end = len(data)
    while end:
        end = struct.unpack_from("<Q", data, end - 12)[0]
        count += 1
    return count


def store():
    for name in GOLDEN:
        with open(os.path.join(TESTS, "golden", name + ".bin"), "rb") as file:
            yield f"golden-{name}", b"\0" + file.read()
    with open(os.path.join(TESTS, "golden", "deletes.bin"), "rb") as file:
        data = file.read()
    yield "golden-recorded", bytes([COMPANION]) + struct.pack("<IHBBQ", len(data), count_entries(data), 0, 0, 0) + data
    yield "golden-closed", bytes([COMPANION]) + struct.pack("<IHBBQ", len(data), count_entries(data), 1, 0, 0) + data
    yield "golden-of-another-file", bytes([COMPANION]) + struct.pack("<IHBBQ", len(data), count_entries(data), 1, 1, 77) + data
    meta = b"RDRMETA\n" + struct.pack("<IIQQQIQ", 2, 1, 7, 0, 0, 0, 0) + bytes(8)
    yield "companion-bytes", bytes([COMPANION | COMPANION_BYTES]) + meta + struct.pack("<I", zlib.crc32(meta)) + data[:200]
    for name, program in PROGRAMS.items():
        recorded = bytes([RECORD]) in program
        if not recorded or "flip" in name:
            yield f"made-{name}", bytes([MADE]) + program
        if recorded:
            yield f"recorded-{name}", bytes([MADE | COMPANION | (CLEAN if name.startswith("flip") else 0)]) + program


    for step_name, steps in STEP_PROGRAMS.items():
        for name in ("intact", "recorded-then-cut", "damaged-value", "batch", "one-byte-values"):
            yield f"steps-{step_name}-{name}", bytes([MADE | COMPANION | STEPS, len(steps)]) + steps + PROGRAMS[name]


# ---- a store's index --------------------------------------------------------------------------------------------------

SEALED = 1


def edit(at, data):
    return struct.pack("<HB", at, len(data)) + data


def checkpoint():
    whole = THREE + bytes([TOMBSTONE, 0, RECORD])
    more = THREE + bytes([RECORD]) + value(0, 20) + bytes([TOMBSTONE, 1]) + value(5, 3)
    edits = {"none": [], "magic": [edit(0, b"X")], "depth": [edit(12, b"\x1c")], "tail": [edit(24, b"\x21")], "count": [edit(32, b"\1")],
             "live-bytes": [edit(56, b"\xff" * 8)], "keys": [edit(64, b"\2")], "seed": [edit(72, b"\1\2\3")], "parts": [edit(80, b"\2")],
             "table": [edit(128, b"\1\7")], "slots": [edit(192 + 8 * at, b"\x21\0\0\0\0\0\1\0") for at in range(8)],
             "full": [edit(192 + 64 * at, b"\0\0\0\0\0\0\1\0" * 8) for at in range(8)]}
    for name, rows in edits.items():
        for sealed in (0, SEALED) if name == "slots" else (SEALED if rows else 0,):
            yield f"{'forged' if sealed else 'edited'}-{name}", bytes([sealed, len(rows)]) + b"".join(rows) + (more if len(name) % 2 else whole)


def write(target, seeds):
    folder = os.path.join(CORPUS, target)
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if not name.startswith("found-"):
            os.unlink(os.path.join(folder, name))
    for name, data in seeds:
        with open(os.path.join(folder, name), "xb") as file:
            file.write(data)


if __name__ == "__main__":
    for target_name, make in (("binary_server", binary_server), ("binary_client", binary_client), ("http", http), ("redis", redis), ("json", json_bodies),
                              ("config", config), ("store", store), ("checkpoint", checkpoint)):
        write(target_name, make())
