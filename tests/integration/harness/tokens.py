# SPDX-License-Identifier: MIT
"""Tokens: files of them, and what each operation takes."""
import hashlib
import json
import os

VERBS = ("read", "write", "admin")
ROOT = "root-token"

# What an operation needs, by store: `mine` is the store asked, `other` the second one of a move.
READ, WRITE, ADMIN = {"mine": {"read"}}, {"mine": {"write"}}, {"mine": {"admin"}}
NEEDS = {
    "write": WRITE, "write_stream": WRITE, "batch_write": WRITE, "rename": WRITE, "delete": WRITE, "batch_delete": WRITE,
    "copy": {"mine": {"read"}, "other": {"write"}},
    "transfer": {"mine": {"read", "write"}, "other": {"write"}},
    "read": READ, "batch_read": READ, "exists": READ, "metadata": READ, "last": READ, "iterate": READ, "read_stream": READ, "info": READ,
    "create": ADMIN, "drop": ADMIN, "verify": ADMIN, "reopen": ADMIN, "backup": ADMIN, "compact": ADMIN,
}
# Answered to everybody; and to whoever has a token, of what that may see.
FREE, LISTING = {"ping"}, {"stores"}
# Tells of all stores at once: needs `read` in every one.
OVERALL = {"metrics"}
OVERALL_TOKENS = {"overall-right": (["*"], ["read"], True), "overall-write": (["*"], ["write", "admin"], False),
                  "overall-some": (["default", "m*"], VERBS, False)}


def row(token, stores, verbs):
    return {"sha256": hashlib.sha256(token.encode()).hexdigest(), "stores": list(stores), "verbs": list(verbs)}


def write(path, rows):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)
    return path


def overall_rows():
    return [row(token, stores, verbs) for token, (stores, verbs, _) in OVERALL_TOKENS.items()]


def names(needs):
    """The tokens of one operation: what each is, and whether it may."""
    yield "right", True
    yield "elsewhere", False
    for store, verbs in needs.items():
        for verb in sorted(verbs):
            yield f"without-{verb}-in-{store}", False


def rows_of(operation, stores):
    """stores: the names that `mine` and `other` have."""
    needs = NEEDS[operation]
    for name, _ in names(needs):
        token = f"{operation}-{name}"
        if name == "right":
            yield from (row(token, [stores[store]], verbs) for store, verbs in needs.items())
        elif name == "elsewhere":
            yield row(token, [stores["mine"] + "-not", "x" + stores["mine"] + "*", "z*"], VERBS)
        else:
            verb, missing = name.removeprefix("without-").split("-in-")
            for store, store_name in stores.items():
                yield row(token, [store_name], [each for each in VERBS if store != missing or each != verb])
