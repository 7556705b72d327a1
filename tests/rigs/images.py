# SPDX-License-Identifier: MIT
"""Images for podman, made without a registry: the base by debootstrap, the project's own by docker/Dockerfile."""
import contextlib
import os
import socket
import subprocess
import tempfile

import bookworm
from harness.daemon import REPOSITORY

IMAGE = "localhost/rdrive-rig"
BASE_IMAGE = "docker.io/library/debian:bookworm-slim"
BUILD_FLAGS = ["--network", "host", "--format", "docker"]
CONFIGURATION = """[containers]
default_ulimits=["nofile=20000:20000","nproc=32768:32768"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
"""


@contextlib.contextmanager
def configured():
    """podman is installed, and whoever is started meanwhile runs it as this kind of machine can."""
    bookworm.install(["podman", "buildah", "runc"])
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(CONFIGURATION)
        file.flush()
        os.environ["CONTAINERS_CONF"] = file.name
        try:
            yield
        finally:
            del os.environ["CONTAINERS_CONF"]


def podman(*command):
    return bookworm.run("podman", *command).strip()


def exists(image):
    return subprocess.run(["podman", "image", "exists", image]).returncode == 0


def build():
    if not exists(BASE_IMAGE):
        with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
            bookworm.run("tar", "-C", bookworm.make_base(), "--numeric-owner", "-cf", tar.name, ".")
            podman("import", tar.name, BASE_IMAGE)
    podman("build", *BUILD_FLAGS, "-f", "docker/Dockerfile", "-t", IMAGE, REPOSITORY)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
