# SPDX-License-Identifier: MIT
"""A disk that can be unplugged: a file as a loop device with ext4 or xfs on it, shut down by FS_IOC_SHUTDOWN without
flushing its log, so that what was not synced is gone after the next mount. Needs root.

A sync that is under way when the shutdown comes may succeed although nothing of it has reached the disk: appending and
fdatasync in a loop show that on both file systems. So what is answered after cut() began is not held to its promise.

Mounts are made in a mount namespace of this process's own, and loop devices go with their mounts: whatever ends the
run, nothing of them stays.
"""
import ctypes
import fcntl
import os
import struct
import subprocess
import time

CLONE_NEWNS = 0x00020000
FS_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_WITHOUT_LOG_FLUSH = 2
SIZE = 1 << 30

MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard"],
        "xfs": ["mkfs.xfs", "-q", "-f", "-K"]}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stderr)


def leave_mount_namespace():
    """From here on nobody else sees what this process and its children mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare: this rig needs root")
    run("mount", "--make-rprivate", "/")


class Disk:
    """with Disk(kind, folder) as disk: files in disk.path; disk.cut(), and once no process uses them disk.replug()."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.image = os.path.join(folder, "image")
        self.path = os.path.join(folder, "disk")
        self.data_dir = os.path.join(self.path, "data")
        self.mounted = False

    def _mount(self):
        run("mount", "-t", self.kind, "-o", "loop", self.image, self.path)
        self.mounted = True

    def _unmount(self):
        run("umount", self.path)
        self.mounted = False

    def __enter__(self):
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        os.mkdir(self.path)
        run(*MAKE[self.kind], self.image)
        self._mount()
        return self

    def cut(self):
        """Returns when it was, at the earliest."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            at_ns = time.monotonic_ns()
            fcntl.ioctl(folder, FS_IOC_SHUTDOWN, struct.pack("I", SHUTDOWN_WITHOUT_LOG_FLUSH))
            return at_ns
        finally:
            os.close(folder)

    def replug(self):
        self._unmount()
        self._mount()

    def __exit__(self, *_):
        if self.mounted:
            self._unmount()
        os.unlink(self.image)
        os.rmdir(self.path)
