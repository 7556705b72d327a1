# SPDX-License-Identifier: MIT
"""The client library as `make install` leaves it, and programs that are compiled against it."""
import os
import subprocess

from .daemon import BUILD, DEADLINE_S, RDRIVE, REPOSITORY, assert_no_sanitizer_report, clean_environment

PREFIX = "/opt/rdrive"
COMPILER = os.environ.get("CC", "cc").split()


def instrumentation_flags():
    """What a program that links code with sanitizers or coverage in it needs itself."""
    with open(RDRIVE, "rb") as file:
        program = file.read()
    if b"__asan_init" in program:
        return ["-fsanitize=address,undefined"]
    if b"__gcov_init" in program or b"__gcov_dump" in program:
        return ["--coverage"]
    return ["-fsanitize=thread"] if b"__tsan_init" in program else []


class Installed:
    def __init__(self, root):
        self.root = root
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        # `all` is old news: what is installed is what the tests around this one have run.
        subprocess.run(["make", "-s", "-o", "all", "install", f"BUILD={BUILD}", f"DESTDIR={root}", f"PREFIX={PREFIX}"],
                       cwd=REPOSITORY, check=True, env=environment, timeout=DEADLINE_S)

    def path(self, *parts):
        return os.path.join(self.root + PREFIX, *parts)

    def pkg_config(self, *options):
        environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": self.root, "PKG_CONFIG_PATH": self.path("lib", "pkgconfig")}
        done = subprocess.run(["pkg-config", *options, "rdrive-client"], env=environment, check=True, capture_output=True, text=True)
        return done.stdout.split()

    def compile(self, source, program, libraries=None):
        """libraries: in place of what pkg-config says."""
        if libraries is None:
            libraries = self.pkg_config("--libs")
        subprocess.run([*COMPILER, "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", *instrumentation_flags(), source,
                        *self.pkg_config("--cflags"), *libraries, "-o", program], check=True, timeout=DEADLINE_S)

    def run(self, program, *arguments):
        environment = clean_environment(LD_LIBRARY_PATH=self.path("lib"))
        done = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment, timeout=DEADLINE_S)
        assert_no_sanitizer_report(done.stderr.encode())
        return done
