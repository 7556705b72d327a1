# SPDX-License-Identifier: MIT
"""Every command of the Redis protocol beside a real Redis: the same bytes go to both, and the same bytes come back, but
for the differences that docs/REDIS.md names. What it names has to differ, and every command it lists is tried here.

A script is lines of commands. In its words `@a` is a key of the script's own, `#1` a database of its own, `\\x00` a byte.
A line that begins with `!name` is answered in another way, as docs/REDIS.md says under that name; one with `~name` is
answered alike but for numbers and texts that differ by nature.
"""
import codecs
import itertools
import os
import re

import pytest

from harness.daemon import REPOSITORY, wait_until
from harness.realredis import RealRedis
from harness.resp import Resp, encode, value

DATABASES = 20000

SCRIPTS = {
    "ping and echo": """
        PING
        ping
        PING hello
        PING \\x00\\r\\n
        PING a b
        ECHO hello
        ECHO
        ECHO a b
    """,
    "get and set": """
        GET @a
        SET @a v
        GET @a
        set @a w
        GeT @a
        SET @a \\x00\\x01\\xff\\r\\n$5\\r\\n
        GET @a
        SET @a
        SET
        GET
        GET @a @b
        SET @b v NX
        SET @b w NX
        GET @b
        SET @b x XX
        SET @none x XX
        GET @b
        GET @none
        SET @b y XX NX
        SET @b y NX NX
        GET @b
        SET @b y KEEPTTL
        SET @b y what
        SET @b y EX
        SET @b y KEEPTTL EX 5
        SET @b y EX 5 PX 5
        SET @b z GET
        SET @new z GET
        SET @b y NX GET
        SET @newer y nx get
        SET @b y GET XX
        SET @missing y XX GET
        MGET @b @new @newer @missing
    """,
    "values that cannot be stored": """
        !empty-value SET @a \\e
        !zero-byte SET @a \\x00
        !empty-value MSET @b v @c \\e
        SET @a \\x00\\x00
        GET @a
        SET @d \\x01
        GET @d
    """,
    "expiry": """
        !expiry SET @a v EX 100
        !expiry SET @a v PX 100000
        !expiry SET @a v EXAT 9999999999
        !expiry SET @a v PXAT 9999999999000
        !not-served EXPIRE @a 100
        !not-served TTL @a
        !not-served SETEX @a 100 v
        !not-served GETEX @a
    """,
    "empty keys and long ones": """
        SET \\e v
        GET \\e
        DEL \\e
        EXISTS \\e
        SET @\\x00\\xff v
        GET @\\x00\\xff
    """,
    "setnx, getset, getdel": """
        SETNX @a v
        SETNX @a w
        GET @a
        SETNX @a
        GETSET @a x
        GETSET @none y
        GET @none
        GETSET @a
        GETDEL @a
        GETDEL @a
        GETDEL
        GET @a
    """,
    "ranges and lengths": """
        SET @a Hello,\\x20world
        STRLEN @a
        STRLEN @none
        GETRANGE @a 0 -1
        GETRANGE @a 0 0
        GETRANGE @a 7 100
        GETRANGE @a -5 -1
        GETRANGE @a -100 4
        GETRANGE @a 2 -3
        GETRANGE @a 5 2
        GETRANGE @a 100 200
        GETRANGE @a -1 -5
        GETRANGE @a -9223372036854775807 9223372036854775807
        GETRANGE @none 0 -1
        GETRANGE @a 0
        GETRANGE @a x 1
        GETRANGE @a 1 1.5
        GETRANGE @a 9223372036854775808 1
        SUBSTR @a 0 4
        SUBSTR @none 0 4
        STRLEN
    """,
    "several keys": """
        MSET @a 1 @b 2 @c 3
        MGET @a @none @c @a
        MGET @none
        MGET
        MSET @a
        MSET @a 1 @b
        MSET
        MSET @a 8 @a 9
        GET @a
        MSETNX @a 1 @d 4
        GET @d
        MSETNX @d 4 @e 5
        MSETNX @f 1 @f 2
        GET @f
        MSETNX @g 1 @h
        MGET @d @e
    """,
    "deleting and existing": """
        MSET @a 1 @b 2 @c 3 @d 4
        DEL @a
        DEL @a
        DEL @b @none @c @b
        UNLINK @d
        UNLINK @d @none
        EXISTS @a
        SET @a 1
        EXISTS @a
        EXISTS @a @none @a
        TOUCH @a
        TOUCH @a @none @a
        TYPE @a
        TYPE @none
        DEL
        UNLINK
        EXISTS
        TOUCH
        TYPE
        TYPE @a @b
    """,
    "renaming": """
        SET @a 1
        RENAME @a @b
        GET @a
        GET @b
        RENAME @a @b
        RENAME @b @b
        RENAME @none @none
        SET @c 3
        RENAME @b @c
        GET @c
        RENAMENX @c @d
        SET @e 5
        RENAMENX @d @e
        RENAMENX @none @f
        RENAMENX @d @d
        RENAMENX @none @none
        MGET @d @e
        RENAME @d
        RENAMENX @d @e @f
    """,
    "copying and moving": """
        SET @a 1
        COPY @a @b
        COPY @a @b
        SET @a 2
        COPY @a @b REPLACE
        GET @b
        COPY @none @c
        COPY @none @b REPLACE
        COPY @a @a
        COPY @a @a REPLACE
        COPY @a @a DB #1
        COPY @a @z DB #1
        COPY @a @z DB #1
        SET @a 3
        COPY @a @z DB #1 REPLACE
        COPY @a @z REPLACE DB #2
        COPY @a
        COPY @a @b what
        COPY @a @b DB
        COPY @a @b DB -1
        COPY @a @b DB 99999999999
        !databases COPY @a @b DB x
        MOVE @a #1
        MOVE @a #3
        MOVE @a #3
        MOVE @none #3
        MOVE @b #0
        MOVE @a
        MOVE @a -1
        MOVE @a 99999999999
        GET @a
        SELECT #1
        MGET @a @z
        SELECT #3
        GET @a
        MOVE @a #0
        SELECT #0
        GET @a
        DBSIZE
    """,
    "databases": """
        DBSIZE
        SET @a 1
        DBSIZE
        SELECT #1
        DBSIZE
        GET @a
        DEL @a
        GETDEL @a
        EXISTS @a @b
        TYPE @a
        STRLEN @a
        GETRANGE @a 0 1
        MGET @a @b
        RENAME @a @b
        RENAMENX @a @b
        COPY @a @b
        MOVE @a #0
        DBSIZE
        MSET @a 2 @b 3
        DBSIZE
        SELECT #0
        GET @a
        DEL @a
        DBSIZE
        SELECT -1
        SELECT
        SELECT 1 2
        !databases SELECT 007
        !databases SELECT 2000000000
        !databases SELECT some-store
        !databases SELECT a/b
        SELECT 99999999999
        !databases SELECT 99999999999999999999
    """,
    "transactions": """
        MULTI
        SET @a 1
        SET @b 2 NX
        SETNX @b 3
        MSET @c 4 @d 5
        DEL @none
        DEL @d @e
        UNLINK @none
        SET @none x XX
        SET @b 6 XX
        SETNX @d 7
        EXEC
        MGET @a @b @c @d @none
        MULTI
        GET @a
        MGET @a @none
        STRLEN @a
        EXISTS @a @none
        EXISTS @a
        TOUCH @a @b
        TYPE @a
        TYPE @none
        GETRANGE @a 0 0
        SUBSTR @none 0 0
        PING
        PING x
        ECHO y
        EXEC
        MULTI
        GET @a
        SET @a 8
        GETSET @b 9
        SET @c 10 GET
        GETDEL @d
        SET @e 11 NX GET
        EXEC
        MGET @a @b @c @d @e
        MULTI
        EXEC
        EXEC
        DISCARD
        MULTI
        MULTI
        SET @z 1
        DISCARD
        GET @z
        MULTI x
        EXEC x
        MULTI
        SET @z 1
        RESET
        SELECT #0
        GET @z
        UNWATCH
        MULTI
        WAIT 0 0
        UNWATCH
        EXEC
    """,
    "transactions that are discarded": """
        MULTI
        SET @a 1
        GET
        SET @b 2
        EXEC
        MGET @a @b
        MULTI
        what @a
        EXEC
        MULTI
        SAVE
        EXEC
        MULTI
        WATCH @a
        SET @a 1
        EXEC
        GET @a
    """,
    "transactions that differ": """
        MULTI
        SET @a 1
        GET @a
        !read-behind-write EXEC
        MULTI
        !arguments-when-queued SET @a 1 EX
        !arguments-when-queued EXEC
        MULTI
        !not-queued RENAME @a @b
        !not-queued EXEC
        MULTI
        !not-queued DBSIZE
        DISCARD
        MULTI
        !not-queued TIME
        !not-queued COPY @a @b
        !not-queued MSETNX @x 1
        !not-queued SELECT #1
        !not-queued CLIENT GETNAME
        DISCARD
    """,
    "watching": """
        SET @a 1
        WATCH @a
        MULTI
        SET @b 2
        EXEC
        WATCH @a
        SET @a 3
        MULTI
        SET @b 4
        EXEC
        GET @b
        WATCH @none
        SET @none 1
        MULTI
        SET @b 4
        EXEC
        WATCH @a
        SET @a 5
        UNWATCH
        MULTI
        SET @b 6
        EXEC
        WATCH @a @b
        DEL @b
        MULTI
        GET @a
        EXEC
        WATCH @a
        SET @a 7
        MULTI
        EXEC
        WATCH @a
        SET @a 8
        MULTI
        DISCARD
        MULTI
        GET @a
        EXEC
        WATCH
        UNWATCH x
    """,
    "watching, otherwise": """
        WATCH @gone
        SET @gone 1
        DEL @gone
        MULTI
        SET @a 1
        !watched-versions EXEC
        WATCH @a
        SELECT #1
        !watched-databases WATCH @b
        MULTI
        SET @c 1
        !watched-databases EXEC
    """,
    "hello": """
        ~version HELLO
        ~version HELLO 3
        ~version HELLO 2
        ~version HELLO 3 AUTH default x SETNAME me
        CLIENT GETNAME
        HELLO 4
        HELLO 1
        HELLO x
        HELLO 3 AUTH you x
        HELLO 3 AUTH default
        HELLO 3 SETNAME
        HELLO 3 what
        ~version HELLO 2
        RESET
    """,
    "auth": """
        AUTH x
        AUTH default x
        AUTH you x
        AUTH a b c
        AUTH
    """,
    "client": """
        CLIENT GETNAME
        CLIENT SETNAME me
        CLIENT GETNAME
        CLIENT SETNAME a\\x20b
        CLIENT SETNAME \\x7f
        CLIENT GETNAME
        CLIENT SETNAME \\e
        CLIENT GETNAME
        ~client-id CLIENT ID
        CLIENT ID x
        CLIENT NO-EVICT on
        CLIENT NO-EVICT off
        CLIENT NO-EVICT what
        CLIENT what
        CLIENT
        CLIENT GETNAME x
        !client-list CLIENT LIST
        !client-list CLIENT LIST TYPE normal
        !client-list CLIENT LIST TYPE pubsub
        !client-setinfo CLIENT SETINFO LIB-NAME x
        !client-setinfo CLIENT SETINFO LIB-VER 1
        !client-setinfo CLIENT SETINFO what 1
        !help CLIENT HELP
        RESET
        CLIENT GETNAME
    """,
    "command": """
        !command-count COMMAND COUNT
        COMMAND COUNT x
        COMMAND what
        COMMAND INFO nosuch
        COMMAND DOCS nosuch
        !command-count COMMAND
        !command-count COMMAND LIST
        !command-info COMMAND INFO get
        !command-info COMMAND DOCS get
        !command-info COMMAND LIST FILTERBY PATTERN nosuch
        !help COMMAND HELP
    """,
    "config": """
        CONFIG GET save
        CONFIG GET maxmemory
        CONFIG GET MAXMEMORY
        CONFIG GET proto-max-bulk-len
        CONFIG GET nosuch
        CONFIG GET save save
        CONFIG GET
        CONFIG
        CONFIG what
        !config CONFIG GET *
        !config CONFIG GET appendonly
        !config CONFIG SET maxmemory 0
        !help CONFIG HELP
    """,
    "server": """
        INFO nosuch
        !info INFO
        !info INFO server
        !info INFO everything
        INFO cluster
        TIME x
        ~time TIME
        ~time LASTSAVE
        LASTSAVE x
        BGREWRITEAOF x
        SAVE
        SAVE x
        WAIT 0 0
        WAIT x 0
        WAIT 0 x
        WAIT 0 -1
        WAIT 0
    """,
    "what is not served": """
        what
        what a b
        what %s %s
        client|id
        !not-served KEYS *
        !not-served SCAN 0
        !not-served LPUSH @l 1
        !not-served INCR @n
        !not-served APPEND @n x
        !not-served PUBLISH c m
        !not-served FLUSHDB
        !not-served FLUSHALL
        !not-served SWAPDB 0 1
        !not-served EVAL x 0
        !not-served OBJECT ENCODING @n
        !not-served REPLICAOF no one
        !not-served BGSAVE
    """ % ("x" * 200, "y" * 200),
    "limits": """
        !limits SET @%s v
        !limits CLIENT SETNAME %s
    """ % ("k" * 40000, "n" * 200),
    "leaving": """
        SET @a 1
        QUIT
    """,
}

serials = itertools.count(1)


@pytest.fixture(scope="module")
def real():
    server = RealRedis("--databases", str(DATABASES))
    try:
        yield server
    finally:
        server.stop()


def document():
    with open(os.path.join(REPOSITORY, "docs", "REDIS.md"), encoding="utf-8") as file:
        return file.read()


def documented_differences():
    return re.findall(r"^\* \*\*([a-z-]+)\*\*", document(), re.MULTILINE)


def documented_commands():
    """The first column of the table of commands."""
    return [name.lower() for cell in re.findall(r"^\| (`[^|]*`) \|", document(), re.MULTILINE)
            for name in re.findall(r"`([^`]*)`", cell)]


def lines_of(script):
    """(mark, difference, words) of each line, the words still as they are written."""
    for line in script.strip().splitlines():
        words = line.split()
        mark, name = "", ""
        if words[0][0] in "!~":
            mark, name = words[0][0], words[0][1:]
            words = words[1:]
        yield mark, name, words


def real_words(words, serial):
    def real_word(word):
        if word.startswith("#"):
            return str(10 * serial + int(word[1:]))
        data = codecs.escape_decode(word.replace("\\e", "").encode())[0]
        return b"%d:%s" % (serial, data[1:]) if word.startswith("@") else data
    return [real_word(word) for word in words]


def masked(answer):
    """Without numbers and lengths, and without the version's text."""
    return re.sub(rb"\d+", b"0", re.sub(rb"\$\d+\r\n7\.[0-9.]+", b"", answer))


def run(connection, hello, script, serial):
    """The answers to a script's lines."""
    if hello:
        connection.call("HELLO", 3)
    assert connection.call("SELECT", 10 * serial) == b"+OK\r\n"
    return [connection.call(*real_words(words, serial)) for _, _, words in lines_of(script)]


@pytest.mark.parametrize("hello", [False, True], ids=["resp2", "resp3"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_bytes(daemon, real, name, hello):
    serial = next(serials)
    with Resp(daemon.redis_address) as mine, Resp(real.path) as theirs:
        answers = run(mine, hello, SCRIPTS[name], serial)
        expected = run(theirs, hello, SCRIPTS[name], serial)
        if name == "leaving":
            assert mine.closed() and theirs.closed()
    for (mark, difference, words), answer, wanted in zip(lines_of(SCRIPTS[name]), answers, expected):
        shown = (" ".join(words)[:80], answer[:300], wanted[:300])
        if mark == "!":
            assert answer != wanted, shown
        elif mark == "~":
            assert masked(answer) == masked(wanted), shown
        else:
            assert answer == wanted, shown
        assert difference == "" or difference in documented_differences()


@pytest.mark.parametrize("hello", [False, True], ids=["resp2", "resp3"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_bytes_in_one_piece(daemon, real, name, hello):
    """All commands of a script are sent before the first answer is read: the order of answers and effects is the same."""
    serial = next(serials)
    lines = list(lines_of(SCRIPTS[name]))
    data = b"".join(encode(*real_words(words, serial)) for _, _, words in lines)
    answers = []
    for address in (daemon.redis_address, real.path):
        with Resp(address) as connection:
            if hello:
                connection.call("HELLO", 3)
            connection.call("SELECT", 10 * serial)
            connection.send(data)
            answers.append([connection.answer() for _ in lines])
    for (mark, _, words), answer, wanted in zip(lines, *answers):
        if mark == "":
            assert answer == wanted, (" ".join(words)[:80], answer[:300], wanted[:300])


def tells_of_rewriting(info):
    return b"\r\naof_rewrite_in_progress:1\r\n" in info


def test_rewriting(launch, real):
    """BGREWRITEAOF, and another one while the first is under way."""
    daemon = launch("--redis", "127.0.0.1:0", "--compact-rate", "1")
    told = []
    for address in (daemon.redis_address, real.path):
        with Resp(address) as connection:
            assert connection.call("SELECT", 7) == b"+OK\r\n"
            connection.call("SET", "long", os.urandom(2 << 20))
            assert not tells_of_rewriting(connection.call("INFO", "persistence"))
            connection.send(encode("BGREWRITEAOF") * 2)
            told.append([connection.answer(), connection.answer()])
            # The real one may be done with it by now.
            assert tells_of_rewriting(connection.call("INFO", "persistence")) or address == real.path
            wait_until(lambda: not tells_of_rewriting(connection.call("INFO", "persistence")), "the end of it")
            assert connection.call("STRLEN", "long") == b":2097152\r\n"
    assert told[0] == told[1] == [b"+Background append only file rewriting started\r\n",
                                  b"-ERR Background append only file rewriting already in progress\r\n"]


def test_every_command_is_compared(resp):
    """What COMMAND LIST has, the scripts have, and so has docs/REDIS.md."""
    served = [name.decode() for name in value(resp.call("COMMAND", "LIST"))]
    tried = set()
    for script in SCRIPTS.values():
        for _, _, words in lines_of(script):
            tried.add(words[0].lower())
            tried.add("|".join(word.lower() for word in words[:2]))
    assert [name for name in served if name not in tried] == []
    documented = [name.replace(" ", "|") for name in documented_commands()]
    assert sorted(documented) == sorted(served)


def test_every_difference_is_shown():
    named = {name for script in SCRIPTS.values() for mark, name, _ in lines_of(script) if mark}
    named |= {"strict", "tokens"}  # test_what_is_not_the_protocol, test_tokens.py
    assert sorted(named) == sorted(documented_differences())


def test_what_is_known_of_commands(resp, real):
    """COMMAND INFO up to the categories, and of COMMAND DOCS the group and the version that brought it, for every
    command that both have."""
    with Resp(real.path) as theirs:
        for name in value(resp.call("COMMAND", "LIST")):
            mine, wanted = (value(connection.call("COMMAND", "INFO", name))[0] for connection in (resp, theirs))
            if wanted is None:
                assert name == b"client|setinfo"
                continue
            assert [mine[:2], sorted(mine[2]), mine[3:6], sorted(mine[6])] == \
                   [wanted[:2], sorted(wanted[2]), wanted[3:6], sorted(wanted[6])]
            mine, wanted = (value(connection.call("COMMAND", "DOCS", name))[1] for connection in (resp, theirs))
            mine, wanted = (dict(zip(fields[::2], fields[1::2])) for fields in (mine, wanted))
            for field in (b"group", b"since"):
                assert mine[field] == wanted[field], name
            assert mine[b"summary"]


def test_everything_that_redis_has_is_served_or_refused_with_a_reason(resp, real):
    with Resp(real.path) as theirs:
        names = [name for name in value(theirs.call("COMMAND", "LIST")) if b"|" not in name]
    served = value(resp.call("COMMAND", "LIST"))
    assert len(names) > 200
    for name in names:
        if name not in served:
            assert re.fullmatch(rb"-ERR '%s' is not served: [^\r]+\r\n" % re.escape(name), resp.call(name)), name


# ---- bytes that are not the protocol --------------------------------------------------------------------------------

SAME_ENDS = [b"*1000\r\n:1\r\n", b"*1\r\n$-7\r\n", b"*1\r\n$9999999999\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$x\r\n",
             b"*x\r\n", b"*9999999999\r\n", b"*1\r\nPING\r\n", b"*1\r\n+PING\r\n", b"SET k \"\r\n", b"GET 'a\r\n",
             b"PING \"a\"b\r\n", b"PING\r\n*1\r\n$-1\r\n", b"x" * 70000, b"*0\r\n*-1\r\n\r\n*1\r\n$-2\r\n",
             b"POST / HTTP/1.1\r\n", b"Host: x\r\n", b"quit\r\nPING\r\n"]

# Redis waits for more, or takes what it should not.
STRICT_ENDS = [b"*1000000000\r\n", b"*1\n$4\nPING\n", b"*1\r\n$4\r\nPINGxx*1\r\n", b"*" + b"1" * 40, b"*1\r\n$" + b"1" * 40]


def end_of(address, data):
    """All that comes back until the server closes."""
    with Resp(address) as connection:
        connection.send(data)
        received = b""
        while True:
            try:
                part = connection.socket.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                return received
            received += part


@pytest.mark.parametrize("data", SAME_ENDS)
def test_what_is_not_the_protocol(daemon, real, data):
    assert end_of(daemon.redis_address, data) == end_of(real.path, data)


@pytest.mark.parametrize("data", STRICT_ENDS)
def test_what_is_strict(daemon, data):
    """The connection ends with one error where Redis would go on (docs/REDIS.md, strict)."""
    assert re.fullmatch(rb"-ERR Protocol error: [^\r]+\r\n", end_of(daemon.redis_address, data))
