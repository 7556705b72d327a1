# SPDX-License-Identifier: MIT
"""rdrived's settings as --help, docs/OPERATIONS.md and rdrived(8) tell of them."""
import os
import re

from harness.daemon import REPOSITORY, run_to_end


def of_help():
    """{name of the file's key: (default, allowed)}"""
    code, text, _ = run_to_end("--help")
    assert code == 0
    rows = re.findall(r"^  --([a-z0-9-]+)(?: |\[=)([^\s\]]+)\]?\n      .*\(RDRIVE_[A-Z0-9_]+(?:, default ([^,)]+))?(?:, from ([^)]+))?\)$",
                      text, re.MULTILINE)
    assert len(rows) >= 11
    return {name.replace("-", "_"): (default or "none", bounds or form) for name, form, default, bounds in rows}


def of_operations():
    """The same from the table of docs/OPERATIONS.md."""
    with open(os.path.join(REPOSITORY, "docs", "OPERATIONS.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `([a-z0-9_]+)` \| `([^`]+)` \| `([^`]+)` \|", file.read(), re.MULTILINE)
    return {name: (default, allowed.replace("\\|", "|")) for name, default, allowed in rows}


def of_manual():
    """{name of the file's key: default}"""
    with open(os.path.join(REPOSITORY, "packaging", "man", "rdrived.8"), encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")
    rows = re.findall(r"^\.TP\n\.B[IR] --([a-z0-9-]+) .*\n(?:(?!\.TP).*\n)*?Default: (\S+)\.$", text, re.MULTILINE)
    return {name.replace("-", "_"): default for name, default in rows}
