# SPDX-License-Identifier: MIT
"""rdrived as a child process: free ports, a data folder, logs kept, sanitizer reports never passed over."""
import contextlib
import json
import os
import signal
import subprocess
import time

from .address import marked

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.path.abspath(os.environ.get("RDRIVE_BUILD", os.path.join(REPOSITORY, "build")))
RDRIVED = os.path.join(BUILD, "bin", "rdrived")
RDRIVE = os.path.join(BUILD, "bin", "rdrive")

# Generous, because it is only ever waited out where something hangs: sanitizer builds on a busy machine are slow.
DEADLINE_S = int(os.environ.get("RDRIVE_TEST_DEADLINE_S", "60"))

SANITIZER_MARKS = (b"ERROR: AddressSanitizer", b"ERROR: LeakSanitizer", b"WARNING: ThreadSanitizer",
                   b"runtime error:", b"FATAL: ThreadSanitizer")


def memory_factor():
    """How much more memory a build takes by itself: a sanitizer keeps shadows of it, and for a while what was given
    back."""
    with open(RDRIVED, "rb") as file:
        program = file.read()
    return 8 if b"__tsan_init" in program or b"__asan_init" in program else 1


def wait_until(condition, what, deadline_s=DEADLINE_S):
    """Polls for an event of another process, and returns what condition returned."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain: {what}")
        time.sleep(0.005)


def clean_environment(**more):
    """The caller's environment without settings of rdrive's own."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("RDRIVE_") and not name.lower().endswith("_proxy")}
    environment.update(more)
    return environment


def assert_no_sanitizer_report(output):
    for mark in SANITIZER_MARKS:
        assert mark not in output, output.decode(errors="replace")


def run_to_end(*arguments, environment=None, folder=None):
    """rdrived where it is expected to end by itself: (exit code, standard output, standard error)."""
    done = subprocess.run([RDRIVED, *arguments], capture_output=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL,
                          env=clean_environment(**(environment or {})), cwd=folder)
    assert_no_sanitizer_report(done.stderr)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Daemon:
    """One run of rdrived. `folder` outlives it: another Daemon on the same folder is a restart."""

    def __init__(self, folder, *flags, environment=None, unix=False, data_dir=None, name_data_dir=True,
                 wait=True, certificate=None):
        """certificate: it speaks TLS with that one, and its addresses say so. name_data_dir=False: without --data-dir, for tests of where else that setting comes from. wait=False: does
        not wait until it serves; is_ready() tells."""
        self.folder = str(folder)
        self.certificate = certificate
        self.data_dir = str(data_dir or os.path.join(self.folder, "data"))
        self.port_file = os.path.join(self.folder, "ports.json")
        self.log_path = os.path.join(self.folder, "log")
        self.unix_path = os.path.join(self.folder, "socket") if unix else None
        if os.path.exists(self.port_file):
            os.unlink(self.port_file)
        self.log_start = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        command = [RDRIVED, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--port-file", self.port_file, *flags]
        if certificate is not None:
            command += certificate.flags
        if name_data_dir:
            command += ["--data-dir", self.data_dir]
        if unix:
            command += ["--unix", self.unix_path]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env=clean_environment(**(environment or {})))
        if not wait:
            return
        try:
            wait_until(self.is_ready, "the port file")
        except BaseException:
            self.kill()
            raise

    def is_ready(self):
        """Whether every store is recovered and every socket listens; from then on binary and http are set."""
        if self.process.poll() is not None:
            raise AssertionError(f"rdrived ended with {self.process.returncode}: {self.log()}")
        try:
            with open(self.port_file, "rb") as file:
                ports = json.load(file)
        except FileNotFoundError:
            return False
        assert ports["pid"] == self.process.pid
        self.binary = marked(ports["binary"], self.certificate)
        self.http = marked(ports["http"], self.certificate)
        self.redis = ports.get("redis")
        return True

    def _address(self, text):
        host, port = text.rsplit(":", 1)
        return marked((host, int(port)), self.certificate)

    @property
    def binary_address(self):
        return self._address(self.binary)

    @property
    def http_address(self):
        return self._address(self.http)

    @property
    def redis_address(self):
        return self._address(self.redis)

    def log(self):
        """What this run wrote to its standard error."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def assert_alive(self):
        assert self.process.poll() is None, f"rdrived ended with {self.process.returncode}: {self.log()}"

    def store_path(self, store):
        return os.path.join(self.data_dir, store + ".rdr")

    def wait(self):
        """Waits for its end and returns the exit code; a sanitizer's report fails the test."""
        code = self.process.wait(timeout=DEADLINE_S)
        assert_no_sanitizer_report(self.log().encode())
        return code

    def stop(self):
        """A clean stop, and nothing less."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.wait()
        assert code == 0, f"rdrived ended with {code}: {self.log()}"

    def kill(self):
        """As a crash does it."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait(timeout=DEADLINE_S)


@contextlib.contextmanager
def launcher(folder, **defaults):
    """A function that starts daemons on the folder; the ones still running at the end have to stop cleanly."""
    daemons = []

    def start(*flags, **options):
        daemon = Daemon(folder, *flags, **{**defaults, **options})
        daemons.append(daemon)
        return daemon

    try:
        yield start
        for daemon in daemons:
            daemon.stop()
    finally:
        for daemon in daemons:
            daemon.kill()
