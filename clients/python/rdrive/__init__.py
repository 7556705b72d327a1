# SPDX-License-Identifier: MIT
"""A client of rdrive, a networked key-value server: blocking here, asyncio in rdrive.aio.

    import rdrive

    with rdrive.open("default", "127.0.0.1:7401") as store:
        store["greeting"] = b"hello"
        print(store["greeting"], len(store))
"""
from . import aio
from .blocking import Client, ReadStream, Store, open
from .errors import (Conflict, ConnectFailed, ConnectionLost, Corrupt, Forbidden, InvalidArgument, IoError,
                     KeyCollision, KeyNotFound, NoMemory, NoSpace, NotAStore, Overloaded, PreconditionFailed,
                     ProtocolError, RangeNotSatisfiable, RdriveError, Status, StoreNotFound, Timeout, TooLarge,
                     Unauthorized, Unavailable, Unsupported)
from .types import (BackupHead, BatchDeleted, BatchWritten, Compaction, Copied, Deleted, Durability, Entry, KeyHash, Limits,
                    Metadata, Problem, ProblemKind, StoreInfo, StoreState, StreamHead, Transferred, Value, Verification, VerifyStep, Version,
                    Written)

__version__ = "0.1.0"

__all__ = [
    "aio", "BackupHead", "BatchDeleted", "BatchWritten", "Client", "Compaction", "Conflict", "ConnectFailed", "ConnectionLost", "Copied",
    "Corrupt", "Deleted", "Durability", "Entry", "Forbidden", "InvalidArgument", "IoError", "KeyCollision",
    "KeyHash", "KeyNotFound", "Limits", "Metadata", "NoMemory", "NoSpace", "NotAStore", "Overloaded",
    "PreconditionFailed", "Problem", "ProblemKind", "ProtocolError", "RangeNotSatisfiable", "RdriveError",
    "ReadStream", "Status", "Store", "StoreInfo", "StoreNotFound", "StoreState", "StreamHead", "Timeout",
    "TooLarge", "Transferred", "Unauthorized", "Unavailable", "Unsupported", "Value", "Verification", "VerifyStep",
    "Version", "Written", "open",
]
