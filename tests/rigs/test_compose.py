# SPDX-License-Identifier: MIT
"""docker/compose.yaml as it is, by podman-compose: the daemon and a Prometheus that scrapes it. No registry: what the
file calls prom/prometheus is an image of Debian's Prometheus."""
import json
import os
import re
import shutil
import tempfile
import urllib.parse
import urllib.request

import pytest

import bookworm
import images
from harness import tokens
from harness.daemon import REPOSITORY, wait_until

SCRAPER = "scraper-token"
PROJECT = f"rdrive-rig-{os.getpid()}"
# The service's name is looked up in the network's own name server.
PACKAGES = ["podman-compose", "golang-github-containernetworking-plugin-dnsname"]
# Laid out as the official image is: what it runs as, and where it keeps its data.
PROMETHEUS = """FROM debian:bookworm-slim
RUN apt-get -q update && cd /tmp && apt-get -q download prometheus && dpkg -x prometheus_*.deb unpacked && \\
    mv unpacked/usr/bin/prometheus /bin/prometheus && rm -rf unpacked && install -d -o 65534 -g 65534 /prometheus
USER 65534
WORKDIR /prometheus
VOLUME /prometheus
ENTRYPOINT ["/bin/prometheus"]
"""


def secret(path, owner):
    os.chmod(path, 0o400)
    os.chown(path, owner, owner)


class Composition:
    """The tree as it is delivered, with tokens beside compose.yaml as its head tells; ports of its own."""

    def __init__(self, tree):
        self.folder = os.path.join(tree, "docker")
        shutil.copytree(REPOSITORY, tree, ignore=lambda folder, names: {".git", "build", "data"} if folder == REPOSITORY else ())
        rows = [tokens.row(tokens.ROOT, ["*"], tokens.VERBS), tokens.row(SCRAPER, ["*"], ["read"])]
        secret(tokens.write(os.path.join(self.folder, "tokens.json"), rows), 7480)
        with open(os.path.join(self.folder, "prometheus.token"), "w", encoding="ascii") as file:
            file.write(SCRAPER + "\n")
        secret(file.name, 65534)
        self.port, self.prometheus_port = images.free_port(), images.free_port()
        self.environment = {**os.environ, "RDRIVE_PORT": str(images.free_port()), "RDRIVE_HTTP_PORT": str(self.port),
                            "PROMETHEUS_PORT": str(self.prometheus_port)}

    def compose(self, *command):
        return bookworm.run("podman-compose", "--project-name", PROJECT,
                            f"--podman-build-args={' '.join(images.BUILD_FLAGS)}",
                            "-f", os.path.join(self.folder, "compose.yaml"), *command, env=self.environment)

    def request(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, method=method,
                                         headers={"Authorization": f"Bearer {tokens.ROOT}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def serves(self):
        try:
            return self.request("GET", "/readyz")
        except OSError:
            return None

    def up(self):
        self.compose("up", "-d")
        wait_until(self.serves, "the daemon to be ready", 60)

    def prometheus(self, path, **parameters):
        """What its HTTP API answers, None while it does not."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def target(self):
        targets = (self.prometheus("targets") or {}).get("activeTargets")
        return targets[0] if targets else None

    def sample(self, query):
        """The one value that the query has, None while there is none."""
        result = (self.prometheus("query", query=query) or {}).get("result")
        return float(result[0]["value"][1]) if result else None


@pytest.fixture
def prometheus_image(podman):
    """What compose.yaml asks for; made here where this machine has none."""
    with open(os.path.join(REPOSITORY, "docker", "compose.yaml"), encoding="utf-8") as file:
        image = re.search(r"image: (\S*prom/prometheus\S*)", file.read())[1]
    if images.exists(image):
        yield image
        return
    with tempfile.TemporaryDirectory() as context:
        with open(os.path.join(context, "Dockerfile"), "w", encoding="ascii") as file:
            file.write(PROMETHEUS)
        podman("build", *images.BUILD_FLAGS, "-t", image, context)
    yield image
    podman("rmi", image)


@pytest.fixture
def composition(podman, prometheus_image, folder):
    bookworm.install(PACKAGES)
    made = Composition(os.path.join(folder, "tree"))
    try:
        yield made
    finally:
        made.compose("down", "-v")
        podman("rmi", f"localhost/{PROJECT}_rdrive")


def test_the_daemon_with_a_prometheus_beside_it(composition):
    composition.up()
    composition.request("PUT", "/v1/stores/default/keys/k", b"value")
    assert composition.request("GET", "/v1/stores/default/keys/k") == b"value"
    wait_until(lambda: (composition.target() or {}).get("health") == "up", "the target to be up", 60)
    assert composition.target()["labels"] == {"instance": "rdrive:7480", "job": "rdrive"}
    wait_until(lambda: composition.sample('rdrive_store_entries{store="default"}') == 1, "a scrape behind the write", 60)

    composition.compose("down")
    assert composition.serves() is None
    composition.up()
    assert composition.request("GET", "/v1/stores/default/keys/k") == b"value"
    # What was scraped before is kept as well.
    wait_until(lambda: composition.sample("count_over_time(rdrive_store_entries[1h])"), "Prometheus to answer", 60)
