# SPDX-License-Identifier: MIT
"""The machine: what it is, what is installed, and a disk that has come to rest."""
import functools
import os
import platform
import resource
import shutil
import statistics
import subprocess
import time

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BIN = os.path.join(os.path.abspath(os.environ.get("RDRIVE_BUILD", os.path.join(REPOSITORY, "build"))), "bin")

# A program that is looked for, and the Debian package that it is in.
PACKAGES = {"redis-server": "redis-server", "redis-benchmark": "redis-tools", "memcached": "memcached",
            "memcaslap": "libmemcached-tools", "nginx": "nginx-light", "wrk": "wrk", "valgrind": "valgrind"}


def find(program):
    """Its path; what Debian keeps out of a user's PATH included. None: not installed."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install(programs):
    """Through apt, where something is missing. Their services are not started on a system that has an init."""
    packages = sorted({PACKAGES[program] for program in programs if find(program) is None})
    if not packages:
        return
    command = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        command = ["sudo", *command]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    if subprocess.run(command, env=environment).returncode != 0:
        subprocess.run(["apt-get", "-q", "update"] if os.geteuid() == 0 else ["sudo", "apt-get", "-q", "update"])
        subprocess.run(command, env=environment, check=True)


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].strip() if lines else ""


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


@functools.cache
def commit():
    """With a "+" where the sources are not what was committed."""
    changed = subprocess.run(["git", "-C", REPOSITORY, "diff", "--quiet", "HEAD", "--", ".", ":!bench/results"]).returncode
    return first_line("git", "-C", REPOSITORY, "rev-parse", "--short", "HEAD") + ("+" if changed else "")


@functools.cache
def facts(reference=None):
    """reference: the program bench-reference, where a run has it."""
    versions = {"rdrived": first_line(os.path.join(BIN, "rdrived"), "--version")}
    for program, option in (("redis-server", "--version"), ("memcached", "-V"), ("nginx", "-v"), ("wrk", "--version")):
        if find(program):
            versions[program] = first_line(find(program), option)
    if reference:
        versions["reference"] = first_line(reference, "--version")
    return {"processor": processor(), "cores": os.cpu_count(), "kernel": platform.release(), "commit": commit(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 ** 30, 1),
            "versions": versions}


class Others:
    """How much of the machine other processes (and the kernel's own threads) use, from here on."""

    def __init__(self):
        self.began = self.look()

    @staticmethod
    def look():
        """(now, processor seconds of all, processor seconds of us and of the children that have ended)."""
        with open("/proc/stat", encoding="utf-8") as file:
            fields = list(map(int, file.readline().split()[1:9]))
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        busy = sum(fields) - fields[3] - fields[4] - fields[7]  # without idle, waiting for the disk, stolen
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def processors(self):
        """On average; 0 where we had the machine to ourselves."""
        elapsed, everything, ours = (now - then for now, then in zip(self.look(), self.began))
        return round(max(everything - ours, 0) / elapsed, 2)


def sync_seconds(folder):
    """The median time of an append of 4 KiB with its fdatasync."""
    path = os.path.join(folder, "settling")
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(15):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    os.unlink(path)
    return statistics.median(times)


def settle(folder, probe, calm_seconds=0.0005, wait_seconds=10):
    """Gigabytes that were just written make every sync wait; a comparison begins on a disk at rest. Where it does not write,
    a disk that has nothing more to do is enough."""
    os.sync()
    end = time.monotonic() + wait_seconds
    while probe and sync_seconds(folder) > calm_seconds and time.monotonic() < end:
        time.sleep(0.5)
