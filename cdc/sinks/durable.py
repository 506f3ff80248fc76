"""Files that several processes append to: locked, synced, and after a crash cut to the last whole record."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from cdc.core.interfaces import Outgoing
from cdc.log import get_logger

log = get_logger(__name__)

SchemaLookup = Callable[[int], str]
"""Schema id -> schema text, as a Schema Registry has it."""


class Writer(Protocol):
    """Gathers outgoings, and writes them together."""

    def open(self) -> None:
        """Raises OSError, SinkRefusedError."""
        ...

    def add(self, outgoing: Outgoing) -> int:
        """Gather *outgoing*; returns how many bytes of memory that takes. Raises SinkError."""
        ...

    def write(self) -> None:
        """Write and sync what was added since the last time. Raises OSError, CdcError."""
        ...

    def drop(self) -> None:
        """Forget what was added."""
        ...


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Open *path*, or create it, and give its descriptor under an exclusive lock among processes."""
    is_new = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
        if is_new:
            sync_folder(path.parent)
    finally:
        os.close(fd)


def append(fd: int, end: int, data: bytes) -> None:
    """Write *data* at *end* and sync. After a failure the file is cut back to *end* if possible. Raises OSError."""
    try:
        view, place = memoryview(data), end
        while view:
            count = os.pwrite(fd, view, place)
            view, place = view[count:], place + count
        os.fsync(fd)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, end)
        raise


def cut_torn(fd: int, end: int, whole: int, path: Path) -> None:
    """Cut the incomplete line or block that a crash left at the end. It was never acked."""
    if whole < end:
        log.warning("torn_end_cut", path=str(path), size_bytes=end - whole)
        os.ftruncate(fd, whole)


def sync_folder(folder: Path) -> None:
    """A new file's name is durable only when its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
