# SPDX-License-Identifier: MIT
"""A minimal Debian, made once with debootstrap below build/rigs, and machines that boot it in a container of
systemd-nspawn. Needs root."""
import os
import shutil
import signal
import subprocess
import time

from harness.daemon import BUILD, REPOSITORY

PACKAGES = ["systemd-container", "debootstrap"]
IN_THE_MACHINE = ["systemd", "systemd-sysv", "dbus", "curl"]
BASE = os.path.join(BUILD, "rigs", "base")


def run(*command, **options):
    """Output in the exception where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def is_installed(package):
    """dpkg knows others, too: those that something installed suggests."""
    asked = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], capture_output=True, text=True)
    return asked.stdout == "installed"


def install(packages):
    missing = [name for name in packages if not is_installed(name)]
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "-q", "update")
        run("apt-get", "-q", "install", "-y", "--no-install-recommends", *missing, env=environment)


def mirror():
    """Where this machine gets its own packages from."""
    with open("/etc/apt/sources.list.d/debian.sources", encoding="ascii") as file:
        return next(line.split()[1] for line in file if line.startswith("URIs:"))


def make_base():
    install(PACKAGES)
    if not os.path.exists(BASE):
        os.makedirs(os.path.dirname(BASE), exist_ok=True)
        partial = BASE + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "bookworm", partial, mirror())
        os.rename(partial, BASE)
    return BASE


def make_package():
    """The .deb, fresh."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    run("make", "deb", f"BUILD={BUILD}", cwd=REPOSITORY, env=environment)
    names = [name for name in os.listdir(BUILD) if name.endswith(".deb")]
    assert len(names) == 1, names
    return os.path.join(BUILD, names[0])


def chroot(root, *command):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    return run("chroot", root, *command, env=environment)


def make_root(path):
    """A machine's file system with the package installed by apt, as an administrator would."""
    package = make_package()
    run("cp", "-a", make_base(), path)
    shutil.copy("/etc/resolv.conf", os.path.join(path, "etc"))
    chroot(path, "apt-get", "-q", "update")  # the base may be old, or have been made without lists
    chroot(path, "apt-get", "-q", "install", "-y", "--no-install-recommends", *IN_THE_MACHINE)
    shutil.copy(package, os.path.join(path, "root", "rdrive.deb"))
    chroot(path, "apt-get", "-q", "install", "-y", "--no-install-recommends", "/root/rdrive.deb")
    return path


class Machine:
    """Booted; changes to its file system are gone with it."""

    def __init__(self, root, log_path):
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "-q", "-D", root, "--volatile=overlay", "--register=no", "--keep-unit", "--boot",
                 f"--machine=rig{os.getpid()}", "--console=pipe"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.leader = self._wait_for_leader()
        self._wait_for_boot(log_path)

    def _wait_for_leader(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
            if children:
                return int(children[0])
            assert self.process.poll() is None, "the machine did not start"
            time.sleep(0.05)
        raise AssertionError("the machine has no first process")

    def _wait_for_boot(self, log_path):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.try_run("systemctl", "is-system-running")[1].strip() in ("running", "degraded"):
                return
            time.sleep(0.1)
        with open(log_path, encoding="utf-8", errors="replace") as log:
            raise AssertionError("the machine did not boot:\n" + log.read()[-4000:])

    def command(self, *command):
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-C", *command]

    def try_run(self, *command):
        done = subprocess.run(self.command(*command), capture_output=True, text=True, timeout=120,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
        return done.returncode, done.stdout, done.stderr

    def run(self, *command):
        status, output, errors = self.try_run(*command)
        assert status == 0, f"{' '.join(command)}: {status}\n{output}\n{errors}"
        return output

    def property(self, name, unit="rdrived.service"):
        return self.run("systemctl", "show", "-P", name, unit).strip()

    def wait_for(self, name, value, unit="rdrived.service", seconds=30):
        deadline = time.monotonic() + seconds
        while self.property(name, unit) != value:
            assert time.monotonic() < deadline, (name, value, self.property(name, unit), self.run("systemctl", "status", unit))
            time.sleep(0.05)

    def power_off(self):
        if self.process.poll() is None:
            os.kill(self.leader, signal.SIGRTMIN + 4)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
