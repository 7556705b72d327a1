# SPDX-License-Identifier: MIT
"""Rules about the sources themselves: who includes whom, where a library may appear, layout, first lines."""
import os
import re
import subprocess

import pytest

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# A layer, and what its files may include besides their own folder: patterns of whole paths.
LAYERS = {
    "base": (),
    "engine": ("base/.*",),
    "protocol": ("base/.*",),
    "server": ("base/.*", "protocol/.*", "engine/engine.h"),
    "clients/c": ("base/.*", "protocol/(?!http|json|redis|resp).*"),
    "clients/cli": ("base/.*", "clients/c/rdrive.h", "protocol/json.*", "protocol/message.h", "engine/engine.h"),
    "clients/bench": ("base/.*", "clients/c/rdrive.h", "clients/c/tls.h", "protocol/.*"),
}

# A library's header, and the files that may include it.
LIBRARIES = {
    "uv.h": "(server|clients|tests)/.*",
    "llhttp.h": "protocol/http.*",
    "jansson.h": "protocol/json.*|server/(config_file|log|tokens)\\.c|tests/.*",
    "xxhash.h": "engine/.*|bench/.*|tests/.*",
    "libdeflate.h": "engine/.*|bench/.*|tests/.*",
    "isa-l/.*": "engine/digest\\.c",
    "openssl/.*": "base/tls_pipe\\.c|server/(tls|auth|tokens)\\.c|clients/c/tls\\.c",
    "cmocka.h": "tests/.*",
}


def tracked():
    """What is in version control, or will be."""
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY,
                          capture_output=True, check=True, text=True)
    return [path for path in done.stdout.splitlines() if os.path.isfile(os.path.join(REPOSITORY, path))]


TRACKED = tracked()
C_FILES = [path for path in TRACKED if path.endswith((".c", ".h"))]
TEXTS = [path for path in TRACKED if not path.startswith(("tests/golden/", "tests/fuzz/corpus/"))]


def read(path):
    with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
        return file.read()


def includes(path):
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', read(path), re.MULTILINE)


def layer_of(path):
    layers = [layer for layer in LAYERS if path.startswith(layer + "/")]
    return max(layers, key=len) if layers else None


def test_there_is_something_to_check():
    assert len(C_FILES) > 20


@pytest.mark.parametrize("path", [path for path in C_FILES if layer_of(path)])
def test_a_layer_includes_what_it_may(path):
    layer = layer_of(path)
    allowed = (re.escape(layer) + "/.*", *LAYERS[layer])
    ours = [name for name in includes(path) if layer_of(name)]
    assert [name for name in ours if not any(re.fullmatch(pattern, name) for pattern in allowed)] == []


@pytest.mark.parametrize("path", C_FILES)
def test_libraries_appear_where_they_belong(path):
    wrong = [name for name in includes(path) for header, places in LIBRARIES.items()
             if re.fullmatch(header, name) and not re.fullmatch(places, path)]
    assert wrong == []


def test_every_source_names_its_license():
    without = [path for path in C_FILES if not read(path).startswith("/* SPDX-License-Identifier: MIT")]
    without += [path for path in TRACKED if path.endswith(".rs") and not read(path).startswith("// SPDX-License-Identifier: MIT\n")]
    without += [path for path in TRACKED if path.endswith(".py") and "SPDX-License-Identifier: MIT" not in read(path)[:100]]
    assert without == []


def test_headers_are_guarded_by_their_path():
    wrong = []
    for path in C_FILES:
        if layer_of(path) and path.endswith(".h") and not path.endswith("rdrive.h"):
            guard = "RD_" + re.sub(r"[/.-]", "_", path).upper()
            if f"#ifndef {guard}\n#define {guard}\n" not in read(path):
                wrong.append(path)
    assert wrong == []


def test_nothing_is_left_to_do():
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
    assert [path for path in TEXTS if words.search(read(path))] == []


def test_lines_end_where_they_end():
    assert [path for path in TEXTS if re.search(r"[ \t]+$|\r", read(path), re.MULTILINE)] == []


def test_layout():
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *C_FILES], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})


def test_shell_scripts():
    scripts = [path for path in TRACKED if path.endswith(".sh") or path == ".ci/run"]
    done = subprocess.run(["shellcheck", *scripts], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
