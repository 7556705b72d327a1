# SPDX-License-Identifier: MIT
"""The image: built without a registry from a debootstrapped base, run as its own user on a read-only root without
capabilities and with little memory, reached from outside, stopped under load, started again on its volume."""
import http.client
import json
import os
import tempfile
import threading
import time

import pytest

from harness import tokens
from harness.daemon import wait_until
from images import IMAGE, free_port


@pytest.fixture(scope="module")
def token_file():
    """For the image's user."""
    with tempfile.TemporaryDirectory() as folder:
        path = tokens.write(os.path.join(folder, "tokens.json"), [tokens.row(tokens.ROOT, ["*"], tokens.VERBS)])
        os.chmod(folder, 0o755)
        os.chown(path, 7480, 7480)
        os.chmod(path, 0o400)
        yield path


class Container:
    def __init__(self, podman, volume, token_file):
        self.podman = podman
        self.port = free_port()
        self.id = podman("run", "-d", "--read-only", "--tmpfs", "/tmp", "--cap-drop=all", "--security-opt", "no-new-privileges",
                         "--memory", "64m", "-v", f"{volume}:/data", "--network", "bridge", "-p", f"127.0.0.1:{self.port}:7480",
                         "-v", f"{token_file}:/run/tokens.json:ro", "-e", "RDRIVE_TOKENS=/run/tokens.json", IMAGE)
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, podman("logs", self.id)
            time.sleep(0.05)

    def request(self, method, path, body=None, token=tokens.ROOT):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def put(self, key, value):
        return self.request("PUT", f"/v1/stores/default/keys/{key}", value)[0]

    def get(self, key):
        status, body = self.request("GET", f"/v1/stores/default/keys/{key}")
        return body if status == 200 else None

    def state(self):
        return json.loads(self.podman("inspect", self.id))[0]["State"]

    def stop(self):
        """How long it took, in seconds."""
        begin = time.monotonic()
        self.podman("stop", "-t", "10", self.id)
        return time.monotonic() - begin

    def remove(self):
        self.podman("rm", "-f", "-t", "0", self.id)


@pytest.fixture
def volume(podman):
    name = f"rdrive-rig-{os.getpid()}"
    podman("volume", "create", name)
    yield name
    podman("volume", "rm", "-f", name)


@pytest.fixture
def start(podman, volume, token_file):
    containers = []

    def run():
        containers.append(Container(podman, volume, token_file))
        return containers[-1]

    yield run
    for container in containers:
        container.remove()


def test_what_is_in_the_image(podman):
    inspected = json.loads(podman("inspect", IMAGE))[0]
    assert inspected["Config"]["User"] not in ("", "0", "root")
    assert inspected["Config"]["Entrypoint"] == ["/usr/bin/rdrived"]
    for name in ("gcc", "make"):
        with pytest.raises(AssertionError):
            podman("run", "--rm", "--entrypoint", name, IMAGE, "--version")
    assert podman("run", "--rm", IMAGE, "--version").startswith("rdrived ")


def answers(podman, container):
    try:
        podman("exec", container, "/usr/bin/rdrive", "ping")
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("environment, starts", [((), False), (("-e", "RDRIVE_INSECURE=true"), True)], ids=["bare", "insecure"])
def test_it_is_not_open_by_default(podman, environment, starts):
    container = podman("run", "-d", *environment, IMAGE)
    try:
        if starts:
            wait_until(lambda: answers(podman, container), "an answer to ping")
        else:
            assert podman("wait", container) == "2"
    finally:
        podman("rm", "-f", "-v", "-t", "0", container)


def test_any_user_of_group_0_has_the_volume(podman):
    """As OpenShift runs it."""
    container = podman("run", "-d", "--user", "1000660000:0", "--read-only", "--cap-drop=all", "-e", "RDRIVE_INSECURE=true", IMAGE)
    try:
        wait_until(lambda: answers(podman, container), "an answer to ping")
        podman("exec", container, "/usr/bin/rdrive", "write", "k", "value")
        assert podman("exec", container, "/usr/bin/rdrive", "read", "k") == "value"
        podman("stop", "-t", "10", container)
        assert json.loads(podman("inspect", container))[0]["State"]["ExitCode"] == 0
    finally:
        podman("rm", "-f", "-v", "-t", "0", container)


def test_limited_in_everything_it_serves(start, podman):
    container = start()
    assert container.put("k", b"value") == 201
    assert container.get("k") == b"value"
    long_value = os.urandom(100 << 20)  # more than it has memory
    assert container.put("long", long_value) == 201
    assert container.get("long") == long_value
    podman("healthcheck", "run", container.id)
    assert container.request("GET", "/v1/stores", token=None)[0] == 401
    assert podman("exec", "-e", f"RDRIVE_TOKEN={tokens.ROOT}", container.id, "/usr/bin/rdrive", "len") == "2"
    assert container.state()["OOMKilled"] is False
    assert container.stop() < 5
    assert container.state()["ExitCode"] == 0


def test_stopped_under_load_it_loses_nothing_that_it_answered(start):
    container = start()
    answered = []
    stop = threading.Event()

    def load(number):
        for i in range(100000):
            if stop.is_set():
                return
            key = f"{number}-{i}"
            try:
                if container.put(key, key.encode()) == 201:
                    answered.append(key)
            except (OSError, http.client.HTTPException):
                return  # it has stopped

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    seconds = container.stop()
    stop.set()
    for thread in threads:
        thread.join()
    assert seconds < 5 and container.state()["ExitCode"] == 0
    assert len(answered) > 100
    again = start()
    assert [key for key in answered if again.get(key) != key.encode()] == []
    print(f"stopped in {seconds:.2f} s; {len(answered)} answered writes, none lost")
