# SPDX-License-Identifier: MIT
"""What of a file is in memory, and how often a thread had to wait for a page."""
import ctypes
import mmap
import os

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def evict(path):
    """Drops a file that nobody has mapped from the page cache."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def pages_in_memory(path):
    """How many, and of how many."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_WRITE) as mapped:
        count = (len(mapped) + PAGE - 1) // PAGE
        held = ctypes.create_string_buffer(count)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        assert libc.mincore(address, len(mapped), held) == 0, os.strerror(ctypes.get_errno())
        return sum(byte & 1 for byte in held.raw), count


def faults(pid, thread, field):
    with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[field])


def minor_faults(pid, thread):
    """How often the thread has had to have a page from the kernel, and not from the disk."""
    return faults(pid, thread, 7)


def major_faults(pid, thread):
    """How often the thread has had to wait for the disk to give it a page."""
    return faults(pid, thread, 9)


def threads_named(pid, name):
    folder = f"/proc/{pid}/task"
    found = []
    for thread in os.listdir(folder):
        with open(f"{folder}/{thread}/comm", encoding="ascii") as file:
            if file.read().strip() == name:
                found.append(int(thread))
    return found
