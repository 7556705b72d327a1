# SPDX-License-Identifier: MIT
"""System calls of a running process that fail, or take long, for as long as a test wants: strace, attached and detached
again."""
import signal
import subprocess
import tempfile

from .daemon import DEADLINE_S, wait_until


class Fault:
    """Every call of that name, such as "fdatasync", fails with that error in all threads, also in those to come. path:
    calls on that file alone. what: something else that befalls them, as strace says it."""

    def __init__(self, pid, call, error="EIO", path=None, what=None):
        self.log = tempfile.TemporaryFile()
        what = what or f"error={error}"
        self.process = subprocess.Popen(["strace", "-f", "-p", str(pid), *(["-P", path] if path else []), "-e", f"trace={call}",
                                         "-e", f"inject={call}:{what}", "-o", "/dev/null"], stderr=self.log)

    def __enter__(self):
        wait_until(self._is_attached, "strace to be attached")
        return self

    def _is_attached(self):
        self.log.seek(0)
        said = self.log.read()
        assert self.process.poll() is None, said
        return b" attached" in said

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=DEADLINE_S)
        self.log.close()
