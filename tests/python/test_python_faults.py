# SPDX-License-Identifier: MIT
"""What goes wrong: refusals of the real daemon by their exceptions, servers that die, stall or talk nonsense."""
import asyncio
import os
import select
import signal
import socket
import struct
import threading

import pytest

import rdrive
import rdrive.aio
from rdrive import codec
from rdrive.session import Session
from test_python_codec import HELLO_ANSWER, answer


class Script:
    """A server for one connection after another, each answered by the next of the given functions of its socket."""

    def __init__(self, *acts):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, args=(acts,), daemon=True)
        self.thread.start()

    def _run(self, acts):
        for act in acts:
            connection, _ = self.listener.accept()
            with connection:
                act(connection)

    def end(self):
        self.thread.join(60)
        self.listener.close()
        assert not self.thread.is_alive()


def take(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            break
        data += part
    return data


def take_frame(connection):
    length, opcode, _, _, identifier = codec.HEADER.unpack(take(connection, 16))
    take(connection, length)
    return opcode, identifier


def greet(connection):
    take(connection, 16)
    connection.sendall(HELLO_ANSWER)


def until_closed(connection):
    while connection.recv(1 << 16):
        pass


# ---- the daemon's refusals ------------------------------------------------------------------------------------------

def test_invalid_arguments(face):
    for refused in (lambda: face.write("k", b""), lambda: face.write("k", b"\0"),
                    lambda: face.batch_write({"k": b""}), lambda: face.batch_write({"k": b"\0"}),
                    lambda: face.write("k", b"v", durability=rdrive.Durability.INTERVAL),
                    lambda: face.client.create("bad/name"), lambda: face.client.create("n" * 65),
                    lambda: face.client.create("fine", {"durability": "never"}),
                    lambda: face.client.call(codec.drop(face.store.name, "another"))):
        with pytest.raises(rdrive.InvalidArgument) as raised:
            refused()
        assert isinstance(raised.value, ValueError) and raised.value.status == 1 and raised.value.message
    assert face.len() == 0


def test_store_not_found(open_face, daemon):
    face = open_face(daemon.binary, "nowhere")
    for refused in (lambda: face.read("k"), lambda: face.write("k", b"v"), lambda: face.delete("k"), face.len,
                    lambda: face.batch_read(["k"]), lambda: face.entries(), face.last, face.drop,
                    lambda: face.download("k"), lambda: face.rename("a", "b"), lambda: face.copy("a", "default")):
        with pytest.raises(rdrive.StoreNotFound) as raised:
            refused()
        assert raised.value.status == 5 and "nowhere" in raised.value.message


def test_too_large(face):
    with pytest.raises(rdrive.TooLarge):
        face.write(b"k" * 32769, b"v")
    with pytest.raises(rdrive.TooLarge):
        face.batch_read([b"k"] * 100_001)
    with pytest.raises(rdrive.TooLarge):
        face.write("k", bytes(80 << 20))
    face.ping()


def test_corrupt(open_face, launch):
    server = launch()
    face = open_face(server.binary)
    written = face.write_stream("damaged", [b"v" * (1 << 20)])
    face.write("whole", b"value")
    with open(server.store_path("default"), "r+b") as file:
        file.seek(written.offset + 1000)
        file.write(b"X")
    for refused in (lambda: face.read("damaged"), lambda: face.download("damaged"),
                    lambda: face.rename("damaged", "new")):
        with pytest.raises(rdrive.Corrupt) as raised:
            refused()
        assert raised.value.status == 17
    with pytest.raises(rdrive.Corrupt) as raised:
        face.batch_read(["whole", "damaged", "none"])
    assert raised.value.values == [b"value", None, None] and raised.value.indexes == [1]
    assert face.download("damaged", first=999, length=3)[1] == b"vXv", "a range is not checked"


def test_unavailable(open_face, launch, folder):
    os.makedirs(os.path.join(folder, "data"), 0o700)
    with open(os.path.join(folder, "data", "letter.rdr"), "wb") as file:
        file.write(b"this is a letter, not a store. " * 200)
    face = open_face(launch().binary, "letter")
    with pytest.raises(rdrive.Unavailable) as raised:
        face.read("k")
    assert raised.value.status == 18 and type(raised.value) is rdrive.Unavailable
    info = face.info()
    assert info.state == rdrive.StoreState.FAILED and info.reason


# ---- connections ----------------------------------------------------------------------------------------------------

def test_nobody_listens(open_face, folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = "127.0.0.1:%d" % listener.getsockname()[1]
    for server in (free, os.path.join(folder, "no-socket")):
        face = open_face(server)
        with pytest.raises(rdrive.ConnectFailed) as raised:
            face.ping()
        assert isinstance(raised.value, (rdrive.Unavailable, ConnectionError)) and raised.value.status == 18


def test_a_restarted_server_is_found_again(open_face, launch, folder):
    path = os.path.join(folder, "socket")
    first = launch(unix=True)
    face = open_face(path)
    face.write("key", b"value")
    assert face.client.connected
    first.kill()
    with pytest.raises(rdrive.RdriveError) as raised:
        for _ in range(2):  # the first may be sent before the end is noticed, the second cannot connect
            face.ping()
    assert isinstance(raised.value, ConnectionError)
    launch(unix=True)
    assert face.read("key") == b"value"


def test_a_connection_that_ended_while_nothing_was_asked(launch):
    """Nobody's request went with it."""
    first = launch(unix=True)
    with rdrive.open("default", first.unix_path) as target:
        target.write("key", b"value")
        target.write("long", os.urandom(2 << 20))
        first.stop()
        launch(unix=True)
        target.write("key", b"of the next server")
        assert target["key"] == b"of the next server"
        stream = target.read_stream("long", window=1 << 16)
        next(stream)
        assert target["key"] == b"of the next server"
        assert len(b"".join(stream)) > 1 << 20


def test_an_answer_that_never_comes(open_face):
    for act in (until_closed, lambda connection: (greet(connection), until_closed(connection))):
        script = Script(act)
        face = open_face(script.server, timeout=0.2, connect_timeout=0.2)
        with pytest.raises(rdrive.Timeout) as raised:
            face.ping()
        assert isinstance(raised.value, TimeoutError) and raised.value.status == 7
        face.close()
        script.end()
        face.close = lambda: None


def test_a_server_that_stops_reading(launch, open_face):
    server = launch()
    face = open_face(server.binary, timeout=0.5, connect_timeout=0.5)
    face.ping()
    server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(rdrive.Timeout):
            face.write("key", bytes(range(256)) * (1 << 17))
        with pytest.raises(rdrive.Timeout):
            face.write_stream("key", (b"x" * 100_000 for _ in range(1000)))
    finally:
        server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", HELLO_ANSWER + answer(codec.PING, 77),
                                      HELLO_ANSWER + answer(codec.READ, 1)], ids=["http", "another id", "another"])
def test_nonsense(open_face, nonsense):
    def act(connection):
        take(connection, 16)
        if nonsense.startswith(HELLO_ANSWER):
            connection.sendall(HELLO_ANSWER)
            take_frame(connection)
        connection.sendall(nonsense.replace(HELLO_ANSWER, b""))
        until_closed(connection)

    script = Script(act)
    face = open_face(script.server)
    with pytest.raises(rdrive.ProtocolError):
        face.ping()
    assert not face.client.connected
    script.end()


def test_statuses_that_a_test_cannot_provoke(open_face):
    statuses = [2, 3, 9, 14, 16, 19, 21, 22, 500]

    def act(connection):
        greet(connection)
        for status in statuses:
            opcode, identifier = take_frame(connection)
            connection.sendall(answer(opcode, identifier, struct.pack("<H", 2) + b"no", status=status))
        until_closed(connection)

    script = Script(act)
    face = open_face(script.server)
    for status in statuses:
        with pytest.raises(rdrive.RdriveError) as raised:
            face.write("k", b"v")
        assert raised.value.status == status and raised.value.message == "no"
    face.close()
    script.end()
    face.close = lambda: None


def test_an_old_server_has_no_streams(open_face):
    def act(connection):
        take(connection, 16)
        connection.sendall(codec.MAGIC + struct.pack("<HHI", 1, 0, 16) + struct.pack("<4I", 1000, 100, 10, 5))
        until_closed(connection)

    script = Script(act)
    face = open_face(script.server)
    for refused in (lambda: face.write_stream("k", [b"v"]), lambda: face.download("k")):
        with pytest.raises(rdrive.Unsupported):
            refused()
    face.close()
    script.end()
    face.close = lambda: None


# ---- many at once ---------------------------------------------------------------------------------------------------

def test_threads_share_a_client(daemon, store):
    failures = []

    def work(target, number):
        try:
            for turn in range(30):
                target.write(f"{number}-{turn}", b"%d" % turn)
                assert target.read(f"{number}-{turn}") == b"%d" % turn
            assert b"".join(target.read_stream(f"{number}-5")) == b"5"
        except BaseException as error:
            failures.append(error)

    with rdrive.open(store, daemon.binary) as target:
        threads = [threading.Thread(target=work, args=(target, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == [] and len(target) == 240


def test_pipelined(daemon, store):
    async def run():
        async with rdrive.aio.open(store, daemon.binary) as target:
            await asyncio.gather(*(target.write(f"key-{i}", b"%d" % i) for i in range(3000)))
            values = await asyncio.gather(*(target.read(f"key-{i}") for i in range(3000)))
            assert values == [b"%d" % i for i in range(3000)]
            mixed = await asyncio.gather(target.read("none"), target.write("a", b"1"), target.read("a"),
                                         return_exceptions=True)
            assert isinstance(mixed[0], rdrive.KeyNotFound) and mixed[2] == b"1", "a read sees what was sent before it"

    asyncio.run(run())


def test_one_create_if_absent_wins(daemon, store):
    async def run():
        clients = [rdrive.aio.open(store, daemon.binary) for _ in range(10)]
        tries = [client.write("key", b"%d" % i, if_absent=True) for i, client in enumerate(clients * 10)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        won = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, rdrive.Written)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, rdrive.PreconditionFailed)]
        assert len(won) == 1 and len(lost) == 99
        assert await clients[0].read("key") == b"%d" % won[0]
        for client in clients:
            await client.close()

    asyncio.run(run())


def test_killed_with_requests_pending(launch):
    """Each request under way ends exactly once: with its answer, or with ConnectionLost."""
    server = launch()

    async def run():
        async with rdrive.aio.open("default", server.binary) as target:
            await target.write("value", os.urandom(8 << 20))
            gate = asyncio.Event()
            ended = []

            async def stalled():
                yield b"x" * 100_000
                await gate.wait()
                yield b"y"

            async def reading():
                async with target.read_stream("value", window=1 << 16) as stream:
                    await stream.__anext__()
                    await gate.wait()
                    return b"".join([chunk async for chunk in stream])

            tasks = [asyncio.create_task(target.write_stream("up", stalled())), asyncio.create_task(reading())]
            await target.ping()
            await asyncio.sleep(0.05)
            tasks += [asyncio.create_task(target.write(f"k{i}", os.urandom(2000))) for i in range(2000)]
            for task in tasks:
                task.add_done_callback(ended.append)
            await asyncio.wait(tasks[2:], return_when=asyncio.FIRST_COMPLETED)
            server.kill()
            gate.set()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            lost = [outcome for outcome in outcomes if isinstance(outcome, rdrive.ConnectionLost)]
            written = [outcome for outcome in outcomes if isinstance(outcome, rdrive.Written)]
            assert len(lost) + len(written) == len(tasks) == len(ended) and lost and written
            assert isinstance(outcomes[0], rdrive.ConnectionLost) and isinstance(outcomes[1], rdrive.ConnectionLost)
            assert not target.client.connected
            with pytest.raises(ConnectionError):
                await target.ping()
            return len(written)

    answered = asyncio.run(run())
    server = launch()
    with rdrive.open("default", server.binary) as target:
        assert len(target) >= answered + 1 and "up" not in target


def test_blocking_calls_when_the_server_is_killed(launch):
    server = launch()
    with rdrive.open("default", server.binary) as target:
        target.write_stream("value", [os.urandom(1 << 20)] * 8)

        def pieces():
            yield b"x" * 2_000_000
            server.kill()
            while True:
                yield b"x" * 100_000

        stream = target.read_stream("value", window=1 << 16)
        next(stream)
        with pytest.raises(rdrive.ConnectionLost):
            target.write_stream("key", pieces())
        with pytest.raises(rdrive.ConnectionLost):
            list(stream)
        stream.close()
        with pytest.raises(rdrive.ConnectFailed):
            target.ping()


def test_an_interrupt_does_not_mix_up_answers(daemon, store):
    """After a call that was broken off in the middle, the next one must not take its answer."""
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    with rdrive.open(store, daemon.binary) as target:
        target.write("a", b"A" * (8 << 20))
        target.write("b", b"B")
        before = signal.signal(signal.SIGALRM, stop)
        try:
            for turn in range(20):
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.0005 * turn)
                try:
                    target.read("a")
                except Stop:
                    pass
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                assert target.read("b") == b"B"
        except Stop:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert target.read("b") == b"B"


def test_an_interrupt_before_anything_is_asked(daemon, store, monkeypatch):
    """Part of a stream has left the socket by then, and what follows must not be taken for what it is not."""
    class Stop(Exception):
        pass

    def stop(_, data):
        assert data
        raise Stop

    with rdrive.open(store, daemon.binary) as target:
        target.write_stream("long", [b"L" * (4 << 20)])
        target.write("b", b"B")
        stream = target.read_stream("long", window=1 << 16)
        next(stream)
        assert select.select([target.client._link._socket], [], [], 30)[0]  # the next part
        with monkeypatch.context() as patch:
            patch.setattr(Session, "receive", stop)
            with pytest.raises(Stop):
                target.read("b")
        assert target.read("b") == b"B"
        with pytest.raises(rdrive.ConnectionLost):
            list(stream)


def test_closing_ends_what_is_under_way(daemon, store):
    async def run():
        target = rdrive.aio.open(store, daemon.binary)
        await target.ping()

        async def endless():
            while True:
                yield b"x"
                await asyncio.sleep(0.001)

        upload = asyncio.create_task(target.write_stream("key", endless()))
        await asyncio.sleep(0.02)
        await target.close()
        with pytest.raises(rdrive.ConnectionLost):
            await upload
        assert await target.len() == 0, "a later call connects anew"
        await target.close()
        await target.close()

    asyncio.run(run())
