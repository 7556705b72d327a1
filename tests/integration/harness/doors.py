# SPDX-License-Identifier: MIT
"""One face for every way into a store, so that a test of what an operation does runs through each of them.

Keys are bytes, or wire.Hash for a key hash alone. A missing key reads as None. Metadata is a dict of integers:
key_hash, offset, length, crc32.
"""
import base64
import json

from . import wire
from .curl import quote


def json_key(key):
    """A key as the HTTP bodies and the CLI's batches take it."""
    if isinstance(key, wire.Hash):
        return {"key_hash": f"{key:016x}"}
    return {"key_base64": base64.b64encode(key).decode()}


def json_entries(entries, allow_null_bytes=False):
    rows = [{**json_key(key), "value_base64": base64.b64encode(value).decode()} for key, value in entries]
    return {"entries": rows, "allow_null_bytes": allow_null_bytes}


def json_keys(keys):
    return {"keys": [json_key(key) for key in keys]}


def json_values(answer):
    return [base64.b64decode(row["value_base64"]) if row["found"] else None for row in answer["values"]]


def numbers(fields):
    """Hashes and checksums are hex in text. Rows of iterate say `hash`, the rest `key_hash`."""
    key_hash = fields["hash"] if "hash" in fields else fields["key_hash"]
    return {"key_hash": int(key_hash, 16), "offset": int(fields["offset"]),
            "length": int(fields["length"]), "crc32": int(fields["crc32"], 16)}


class HttpDoor:
    def __init__(self, curl):
        self.curl = curl

    @staticmethod
    def path(key):
        return f"hashes/{key:016x}" if isinstance(key, wire.Hash) else f"keys/{quote(key)}"

    def request(self, method, key, body=None):
        return self.curl.request(method, self.path(key), body)

    def write(self, key, value):
        answer = self.request("PUT", key, value)
        assert answer.status in (200, 201), answer
        return answer.json()

    def read(self, key):
        answer = self.request("GET", key)
        if answer.status == 404:
            assert answer.error == "key_not_found"
            return None
        assert answer.status == 200, answer
        return answer.body

    def delete(self, key):
        answer = self.request("DELETE", key)
        assert answer.status == 200, answer
        return answer.json()["deleted"]

    def exists(self, key):
        answer = self.request("HEAD", key)
        assert answer.status in (200, 404), answer
        return answer.status == 200

    def metadata(self, key):
        answer = self.request("HEAD", key)
        if answer.status == 404:
            return None
        headers = answer.headers
        return numbers({"key_hash": headers["rdrive-key-hash"], "offset": headers["rdrive-offset"],
                        "length": headers["content-length"], "crc32": headers["rdrive-crc32"]})

    def batch(self, what, body):
        answer = self.curl.post(f"batch/{what}", body)
        assert answer.status == 200, answer
        return answer.json()

    def batch_write(self, entries, allow_null_bytes=False):
        return self.batch("write", json_entries(entries, allow_null_bytes))["written"]

    def batch_read(self, keys):
        return json_values(self.batch("read", json_keys(keys)))

    def batch_delete(self, keys):
        return self.batch("delete", json_keys(keys))["deleted"]

    def last(self):
        answer = self.curl.request("GET", "last")
        if answer.status == 404:
            return None
        assert answer.status == 200, answer
        return numbers(answer.json())

    def entries(self):
        """All of them, by pages of two, so that going on is tested wherever entries are."""
        rows = []
        after = 0
        while after is not None:
            answer = self.curl.request("GET", f"entries?limit=2&after={after}")
            assert answer.status == 200, answer
            page = answer.json()
            assert len(page["entries"]) <= 2
            rows += [numbers(row) for row in page["entries"]]
            assert page["next"] != after
            after = page["next"]
            assert after != 0, "0 would begin anew"
        return rows

    def length(self):
        return self.curl.info()["entries"]


class WireDoor:
    def __init__(self, connection):
        self.wire = connection

    def _or_none(self, call, *arguments):
        try:
            return call(*arguments)
        except wire.WireError as error:
            if error.status != wire.KEY_NOT_FOUND:
                raise
            return None

    def write(self, key, value):
        return self.wire.write(key, value)

    def read(self, key):
        return self._or_none(self.wire.read, key)

    def delete(self, key):
        return bool(self.wire.delete(key)["found"])

    def exists(self, key):
        return self.wire.exists(key)

    def metadata(self, key):
        metadata = self._or_none(self.wire.metadata, key)
        if metadata is not None:
            del metadata["prev_tail"]
        return metadata

    def batch_write(self, entries, allow_null_bytes=False):
        return self.wire.batch_write(entries, int(allow_null_bytes))["count"]

    def batch_read(self, keys):
        return self.wire.batch_read(keys)

    def batch_delete(self, keys):
        return self.wire.batch_delete(keys)["count"]

    def last(self):
        last = self._or_none(self.wire.last)
        if last is not None:
            del last["prev_tail"]
        return last

    def entries(self):
        rows = []
        while not rows or rows[-1]["offset"] != 0:  # nothing lies below 0, and 0 would begin anew
            page = self.wire.iterate(rows[-1]["offset"] if rows else 0, 2)
            if not page:
                break
            rows += page
        return rows

    def length(self):
        return self.wire.info()["entries"]


class CliDoor:
    """Online or offline: the options in front of the command make the difference."""

    def __init__(self, cli):
        self.cli = cli

    @staticmethod
    def key(key):
        if isinstance(key, wire.Hash):
            return "--hash", f"{key:016x}"
        # What argv cannot carry, or what would look like an option, goes as hex.
        if b"\0" in key or key.startswith(b"-"):
            return "--key-hex", key.hex()
        return (key,)

    def on_key(self, command, key, *more, stdin=b""):
        return self.cli.run(command, *self.key(key), *more, stdin=stdin)

    def write(self, key, value):
        done = self.on_key("write", key, stdin=value)
        assert done.code == 0, done
        return {}

    def read(self, key):
        done = self.on_key("read", key)
        if done.code == 3:
            assert done.out == b"" and done.err
            return None
        assert done.code == 0, done
        return done.out

    def delete(self, key):
        done = self.cli.run("--json", "delete", *self.key(key))
        assert done.code == 0, done
        return done.json()["deleted"]

    def exists(self, key):
        done = self.on_key("exists", key)
        assert done.code in (0, 3), done
        return done.code == 0

    def metadata(self, key):
        done = self.cli.run("--json", "metadata", *self.key(key))
        if done.code == 3:
            return None
        assert done.code == 0, done
        return numbers(done.json())

    def batch(self, command, body):
        return json.loads(self.cli.ok("--json", command, stdin=json.dumps(body).encode()))

    def batch_write(self, entries, allow_null_bytes=False):
        return self.batch("batch-write", json_entries(entries, allow_null_bytes))["written"]

    def batch_read(self, keys):
        return json_values(self.batch("batch-read", json_keys(keys)))

    def batch_delete(self, keys):
        return self.batch("batch-delete", json_keys(keys))["deleted"]

    def last(self):
        done = self.cli.run("--json", "last")
        if done.code == 3:
            return None
        assert done.code == 0, done
        return numbers(done.json())

    def entries(self):
        return [numbers(row) for row in json.loads(self.cli.ok("--json", "iterate"))["entries"]]

    def length(self):
        return int(self.cli.ok("len"))
