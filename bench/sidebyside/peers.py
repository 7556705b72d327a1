# SPDX-License-Identifier: MIT
"""Servers as child processes: each in a folder of its own, on free ports of the loopback, gone when the block ends."""
import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from . import machine

START_SECONDS = 20


class NotMeasured(Exception):
    """This side of a row cannot be had here; the message says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Server:
    """The base: a folder, a process, a wait until it serves. `with Redis("always") as server:`"""

    def __init__(self, root):
        self.folder = tempfile.mkdtemp(prefix=type(self).__name__.lower() + "-", dir=root)
        self.process = None

    def start(self, command):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)

    def wait_until(self, serves):
        end = time.monotonic() + START_SECONDS
        while not serves():
            if self.process.poll() is not None or time.monotonic() > end:
                with open(os.path.join(self.folder, "log"), errors="replace") as log:
                    raise NotMeasured(f"{type(self).__name__} does not start: {log.read()[-300:]}")
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """appendfsync: always, everysec or no; None: no persistence at all. Never rewrites its file meanwhile, which would
    cost it time that rdrive, which does not compact either, does not spend."""

    def __init__(self, root, appendfsync=None):
        super().__init__(root)
        self.port = free_port()
        persistence = ["--appendonly", "no"]
        if appendfsync:
            persistence = ["--appendonly", "yes", "--appendfsync", appendfsync, "--auto-aof-rewrite-percentage", "0"]
        self.start([machine.find("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder,
                    "--save", "", "--daemonize", "no", "--loglevel", "warning", *persistence])
        self.wait_until(lambda: answers(self.port))

    def used_memory(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"INFO memory\r\n")
            text = connection.recv(65536).decode()
        return int(text.split("used_memory:", 1)[1].split()[0])


class Memcached(Server):
    def __init__(self, root):
        super().__init__(root)
        self.port = free_port()
        self.start([machine.find("memcached"), "-t", "1", "-m", "2048", "-l", "127.0.0.1", "-p", str(self.port),
                    "-u", getpass.getuser()])
        self.wait_until(lambda: answers(self.port))


class Nginx(Server):
    """Static files named as keys are; one worker, sendfile, no log, connections that stay open."""

    CONFIG = """
daemon off; master_process on; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn; {user}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""

    def __init__(self, root):
        super().__init__(root)
        self.port = free_port()
        os.mkdir(os.path.join(self.folder, "files"))
        config = os.path.join(self.folder, "nginx.conf")
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
        with open(config, "w", encoding="utf-8") as file:
            file.write(self.CONFIG.format(folder=self.folder, port=self.port, user=user))
        self.start([machine.find("nginx"), "-c", config, "-p", self.folder])
        self.wait_until(lambda: answers(self.port))

    def put(self, key, value):
        with open(os.path.join(self.folder, "files", key), "wb") as file:
            file.write(value)

    def url(self, key):
        return f"http://127.0.0.1:{self.port}/{key}"


class AnswerOnly(Server):
    """bench-answer_only: no store, only answers. kept: flags that say what it does with what it receives before it answers."""

    SYNCED = ("--file", "kept")             # one write and one sync a turn
    SYNCED_BESIDE = (*SYNCED, "--beside")   # the same on a thread of its own
    WRITTEN = (*SYNCED, "--every", "1000")  # one write a turn, a sync each second
    WRITTEN_BESIDE = (*WRITTEN, "--beside")

    def __init__(self, root, value_len, kept=()):
        super().__init__(root)
        self.start([os.path.join(machine.BIN, "bench-answer_only"), *kept, str(value_len)])
        log = os.path.join(self.folder, "log")
        self.wait_until(lambda: os.path.getsize(log))
        with open(log, encoding="utf-8") as file:
            self.binary = file.readline().strip()
        self.port = int(self.binary.rsplit(":", 1)[1])


def rdrived_knows(flag):
    done = subprocess.run([os.path.join(machine.BIN, "rdrived"), "--help"], capture_output=True, text=True)
    return flag in done.stdout


class Rdrive(Server):
    """durability: sync, interval:MS or none. Reads are verified, as they are unless somebody turns it off. prefix: a command
    that is to run the daemon, such as a profiler's. program: another build of it."""

    def __init__(self, root, durability="sync", redis_face=False, prefix=(), program=None):
        super().__init__(root)
        port_file = os.path.join(self.folder, "ports")
        command = [*prefix, program or os.path.join(machine.BIN, "rdrived"), "--data-dir", os.path.join(self.folder, "data"), "--listen",
                   "127.0.0.1:0", "--http", "127.0.0.1:0", "--port-file", port_file, "--durability", durability,
                   "--log-level", "warn"]
        if redis_face:
            if not rdrived_knows("--redis"):
                raise NotMeasured("this rdrived has no Redis face (it does not know --redis)")
            command += ["--redis", "127.0.0.1:0"]
        self.start(command)
        self.wait_until(lambda: os.path.exists(port_file))
        with open(port_file, encoding="utf-8") as file:
            ports = json.load(file)
        self.binary = ports["binary"]
        self.http = ports["http"]
        self.port = int(ports["redis"].rsplit(":", 1)[1]) if redis_face else None

    def url(self, key):
        return f"http://{self.http}/v1/stores/default/keys/{key}"
