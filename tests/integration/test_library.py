# SPDX-License-Identifier: MIT
"""The client library as others get it: installed, found by pkg-config, linked both ways, its examples run."""
import os
import re
import shutil
import subprocess
import tempfile

import pytest

from harness.daemon import RDRIVE, REPOSITORY, clean_environment
from harness.installed import COMPILER, Installed

EXAMPLES = os.path.join(REPOSITORY, "clients", "c", "examples")
@pytest.fixture(scope="module")
def installed():
    root = tempfile.mkdtemp(prefix="rdrive-")
    yield Installed(root)
    shutil.rmtree(root)


def test_what_is_installed(installed):
    for name in ("bin/rdrived", "bin/rdrive", "bin/rdrive-bench", "include/rdrive.h", "include/rdrive_async.h", "include/rdrive_types.h",
                 "lib/librdrive-client.a", "lib/librdrive-client.so", "lib/librdrive-client.so.0",
                 "lib/pkgconfig/rdrive-client.pc", "share/man/man1/rdrive.1", "share/man/man1/rdrive-bench.1",
                 "share/man/man3/rdrive-client.3"):
        assert os.path.exists(installed.path(name)), name
    version = installed.pkg_config("--modversion")[0]
    assert subprocess.run([installed.path("bin/rdrive"), "--version"], capture_output=True, text=True).stdout == f"rdrive {version}\n"
    assert os.path.realpath(installed.path("lib/librdrive-client.so")).endswith(f".so.{version}")


def symbols(path, *options):
    done = subprocess.run(["nm", "--defined-only", *options, path], capture_output=True, check=True, text=True)
    return {line.split()[2].split("@")[0] for line in done.stdout.splitlines() if len(line.split()) == 3}


def test_only_the_public_names_are_seen(installed):
    shared = symbols(installed.path("lib/librdrive-client.so"), "-D")
    assert {name for name in shared if not name.startswith("rdrive_")} <= {"RDRIVE_0"}
    static = symbols(installed.path("lib/librdrive-client.a"), "-g")
    assert {name for name in static if not name.startswith(("rdrive_", "__odr_asan"))} == set()
    declared = set()
    for name in ("rdrive.h", "rdrive_async.h", "rdrive_types.h"):
        with open(installed.path("include", name), encoding="utf-8") as file:
            declared |= set(re.findall(r"RDRIVE_API\s[^;]*?\b(rdrive_\w+)\(", file.read()))
    assert declared == shared - {"RDRIVE_0"} == {name for name in static if name.startswith("rdrive_")}


def test_the_name_that_programs_are_linked_to(installed):
    done = subprocess.run(["readelf", "-d", installed.path("lib/librdrive-client.so")], capture_output=True, check=True, text=True)
    assert "[librdrive-client.so.0]" in done.stdout


@pytest.mark.parametrize("header", ["rdrive.h", "rdrive_async.h"])
def test_headers_stand_alone(installed, header, folder):
    strict = "gnu" if "async" in header else "c"  # uv.h itself wants what POSIX adds
    languages = [["-x", "c", f"-std={strict}99"], ["-x", "c", f"-std={strict}11"]]
    if shutil.which("c++"):
        languages.append(["-x", "c++", "-std=gnu++11"])
    for language in languages:
        done = subprocess.run(["c++" if "c++" in language else COMPILER[0], *language, "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                               *installed.pkg_config("--cflags"), "-"], input=f"#include <{header}>\n", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_blocking_alone_needs_no_libuv_header(installed):
    with open(installed.path("include/rdrive.h"), encoding="utf-8") as file:
        assert "uv.h" not in file.read()


WANTED = {"blocking": "a second time: precondition_failed\n", "async": "1000 written, 0 failed\n",
          "stream": f"wrote {64 << 20} bytes\nread {64 << 20} bytes of {64 << 20}\n"}


@pytest.mark.parametrize("how", ["shared", "static"])
@pytest.mark.parametrize("example", sorted(WANTED))
def test_examples(installed, daemon, folder, example, how):
    program = os.path.join(folder, example)
    libraries = None
    if how == "static":
        libraries = [installed.path("lib/librdrive-client.a"), *[flag for flag in installed.pkg_config("--libs", "--static")
                                                                 if flag != "-lrdrive-client"]]
    installed.compile(os.path.join(EXAMPLES, example + ".c"), program, libraries)
    done = installed.run(program, daemon.binary)
    assert done.returncode == 0 and done.stdout.endswith(WANTED[example]), done
    if example == "stream":  # what it left behind holds the test's folder up
        subprocess.run([RDRIVE, "--server", daemon.binary, "delete", "large"], check=True, env=clean_environment())


def test_every_example_is_tested():
    assert {name[:-2] for name in os.listdir(EXAMPLES) if name.endswith(".c")} == set(WANTED)


# The asynchronous one waits for a server, and is tested with one.
@pytest.mark.parametrize("example", sorted(set(WANTED) - {"async"}))
def test_examples_where_nobody_answers(installed, folder, example):
    program = os.path.join(folder, example)
    installed.compile(os.path.join(EXAMPLES, example + ".c"), program)
    done = installed.run(program, "127.0.0.1:1")
    assert done.returncode == 1 and "unavailable" in done.stderr
