# SPDX-License-Identifier: MIT
"""HTTP through curl, as a user would."""
import json
import subprocess
import urllib.parse

from .address import TlsText
from .daemon import DEADLINE_S, clean_environment


def quote(key):
    """A key as a path segment: any byte, percent-encoded."""
    return urllib.parse.quote(key if isinstance(key, bytes) else key.encode(), safe="")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body

    def json(self):
        assert self.headers["content-type"].startswith("application/json"), self.headers
        return json.loads(self.body)

    @property
    def error(self):
        """The error's code, checked to come with a message."""
        error = self.json()["error"]
        assert error["message"], error
        return error["code"]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def parse_headers(block):
    """The last head of what curl dumped (a 100 Continue comes before it)."""
    head = [part for part in block.split(b"\r\n\r\n") if part][-1].split(b"\r\n")
    status = int(head[0].split()[1])
    headers = {}
    for line in head[1:]:
        name, value = line.split(b":", 1)
        name = name.decode().lower()
        assert name not in headers, f"{name} twice"
        headers[name] = value.strip().decode()
    return status, headers


class Curl:
    """Requests to one address, each a process of its own. store= is where relative paths begin."""

    def __init__(self, address, store="default", unix=None):
        self.address = address
        self.secure = isinstance(address, TlsText)
        self.base = f"https://{address}" if self.secure else f"http://{address}"
        self.store = store
        self.unix = unix

    def at(self, store):
        return Curl(self.address, store, self.unix)

    def request(self, method, path, body=None, headers=(), options=()):
        """path: absolute, or relative to the store. body: bytes, sent as they are."""
        if not path.startswith("/"):
            path = f"/v1/stores/{quote(self.store)}/{path}"
        # The head goes to standard error's place so that a body of any bytes has standard output to itself.
        command = ["curl", "-sS", "-g", "--path-as-is", "--max-time", str(DEADLINE_S), "-D", "/dev/stderr", *options]
        command += ["--head"] if method == "HEAD" else ["-X", method]
        if self.secure:
            command += ["--cacert", self.address.ca]
        if self.unix:
            command += ["--unix-socket", self.unix]
        if body is not None:
            command += ["--data-binary", "@-"]
            if not any(header.lower().startswith("content-type") for header in headers):
                command += ["-H", "Content-Type:"]
        for header in headers:
            command += ["-H", header]
        done = subprocess.run([*command, self.base + path], input=b"" if body is None else body,
                              capture_output=True, env=clean_environment(), timeout=DEADLINE_S * 2)
        assert done.returncode == 0, (done.returncode, done.stderr, path)
        status, answer_headers = parse_headers(done.stderr)
        return Answer(status, answer_headers, b"" if method == "HEAD" else done.stdout)

    def post(self, path, value):
        """value: an object, sent as JSON."""
        return self.request("POST", path, json.dumps(value).encode(), ["Content-Type: application/json"])

    def put(self, key, value, query="", headers=()):
        return self.request("PUT", f"keys/{quote(key)}{query}", value, headers)

    def get(self, key, headers=()):
        return self.request("GET", f"keys/{quote(key)}", headers=headers)

    def head(self, key):
        return self.request("HEAD", f"keys/{quote(key)}")

    def delete(self, key):
        return self.request("DELETE", f"keys/{quote(key)}")

    def info(self):
        answer = self.request("GET", f"/v1/stores/{quote(self.store)}")
        assert answer.status == 200, answer
        return answer.json()

    def create(self, settings=None):
        path = f"/v1/stores/{quote(self.store)}"
        if settings is None:
            return self.request("PUT", path)
        return self.request("PUT", path, json.dumps(settings).encode(), ["Content-Type: application/json"])

    def drop(self, confirm=None):
        name = quote(self.store if confirm is None else confirm)
        return self.request("DELETE", f"/v1/stores/{quote(self.store)}?confirm={name}")
