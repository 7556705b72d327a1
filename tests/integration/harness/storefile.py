# SPDX-License-Identifier: MIT
"""A reader of the store file (docs/FORMAT.md) that shares no code with the engine. For files of daemons at rest."""
import struct
import zlib


RESERVED_KEY_HASH = 0x6472697665000001
TOMBSTONE_CRC32 = zlib.crc32(b"\0")


class Entry:
    def __init__(self, offset, payload, key_hash, prev_tail, crc32, end):
        self.offset = offset
        self.payload = payload
        self.key_hash = key_hash
        self.prev_tail = prev_tail
        self.crc32 = crc32
        self.end = end

    @property
    def is_marker(self):
        """Of a batch: its checksum field holds how many entries follow that belong to it."""
        return self.key_hash == RESERVED_KEY_HASH and self.payload == b"\0" and self.crc32 != TOMBSTONE_CRC32

    @property
    def is_tombstone(self):
        return self.payload == b"\0"


def read_chain(path):
    """Every physical entry but for markers, oldest first. Asserts that the chain is whole: no gap, zero pads,
    checksums, and as many entries behind each marker as it counts."""
    with open(path, "rb") as file:
        data = file.read()
    entries = []
    end = len(data)
    while end:
        key_hash, prev_tail, crc32 = struct.unpack_from("<QQI", data, end - 20)
        assert prev_tail < end - 20, f"broken chain at {end}"
        start = prev_tail
        # A tombstone is one zero byte without a pad; anything else starts on a 64-byte boundary.
        if end - 20 - start != 1:
            start += -start % 64
            assert not any(data[prev_tail:start]), f"pad at {prev_tail} is not zero"
        payload = data[start:end - 20]
        entry = Entry(start, payload, key_hash, prev_tail, crc32, end)
        if entry.is_marker:
            assert 2 <= crc32 <= len(entries), f"the marker at {start} counts {crc32} entries"
        else:
            assert payload and zlib.crc32(payload) == crc32, f"checksum of the entry at {start}"
            entries.append(entry)
        end = prev_tail
    return entries[::-1]


def physical_entries(path):
    """Where every entry ends, markers included, newest first."""
    with open(path, "rb") as file:
        data = file.read()
    ends = []
    end = len(data)
    while end:
        ends.append(end)
        end, = struct.unpack_from("<Q", data, end - 12)
    return ends


def live_entries(path):
    """What lives, by key hash."""
    live = {}
    for entry in read_chain(path):
        if entry.is_tombstone:
            live.pop(entry.key_hash, None)
        else:
            live[entry.key_hash] = entry
    return live
