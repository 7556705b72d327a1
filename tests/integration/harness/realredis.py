# SPDX-License-Identifier: MIT
"""The real Redis, to be compared with. Debian's redis-tools carries the server too, as the program redis-check-rdb,
which is the server where it is called by that name; the package redis-server would add a running service."""
import os
import shutil
import subprocess
import tempfile

from .daemon import DEADLINE_S, clean_environment, wait_until
from .resp import Resp


class RealRedis:
    """A server that keeps nothing, in a folder of its own, on a Unix socket there."""

    def __init__(self, *flags):
        self.folder = tempfile.mkdtemp(prefix="redis-")
        self.path = os.path.join(self.folder, "socket")
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        assert program, "redis-tools is not installed: scripts/deps.sh test"
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no",
                 "--dir", self.folder, "--daemonize", "no", *flags], executable=program, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env=clean_environment())
        try:
            wait_until(self._answers, "redis-server")
        except BaseException:
            self.stop()
            raise

    def _answers(self):
        assert self.process.poll() is None, open(os.path.join(self.folder, "log"), encoding="utf-8").read()
        try:
            with Resp(self.path) as connection:
                return connection.call("PING") == b"+PONG\r\n"
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
