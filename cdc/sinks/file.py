"""To files: lines of JSON, or Avro container files. Delivered means synced to disk.

What is taken waits in memory, and `poll` writes it in one go: under a lock, behind what is whole in the file, synced.
A crash leaves at most a torn end, which the next write cuts off. Several processes may write to one place.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

import structlog

from cdc.core.errors import CdcError, ConfigError, SinkConnectionError, SinkError, SinkRefusedError
from cdc.core.interfaces import Ack, Outgoing

from .lines import LINE_START, json_line
from .pending import Pending

log = structlog.stdlib.get_logger(__name__)

_BUFFER_BYTES: Final = 8 << 20
_SYNC_S: Final = 0.05
"""Least time between two syncs while more is coming."""
_RETRIABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EAGAIN})

SchemaLookup = Callable[[int], str]
"""Schema id -> schema text, as a Schema Registry has it."""


class Writer(Protocol):
    """Gathers outgoings, then writes them."""

    def open(self) -> None:
        """Raises OSError, SinkRefusedError."""
        ...

    def add(self, outgoing: Outgoing) -> int:
        """Returns how many bytes of memory it takes. Raises SinkError."""
        ...

    def write(self) -> None:
        """Write and sync what was added since the last time. Raises OSError, CdcError."""
        ...

    def drop(self) -> None:
        """Forget what was added."""
        ...


class FileSink:
    """`sink.type=file`."""

    def __init__(self, path: str | Path, form: Literal["json", "avro"] = "json",
                 schema_lookup: SchemaLookup | None = None) -> None:
        """*path* is the file of JSON lines, or the folder of Avro files, for which *schema_lookup* is needed."""
        self._path = Path(path)
        if form == "avro":
            from .avro_files import AvroFiles

            if schema_lookup is None:
                raise ConfigError("sink.file.format=avro needs Avro converters.", option="sink.file.format")
            self._writer: Writer = AvroFiles(self._path, schema_lookup)
        else:
            self._writer = JsonLines(self._path)
        self._pending = Pending()
        self._taken = self._buffered = 0
        self._synced_at = 0.0

    def start(self) -> None:
        self._writer.drop()
        self._buffered = 0
        try:
            self._writer.open()
        except OSError as exc:
            raise ConfigError(f"sink.file.path: cannot write {self._path}: {exc.strerror}.",
                              option="sink.file.path") from exc

    def interrupt(self) -> None:
        """Nothing here waits."""

    def send(self, batch: Sequence[Outgoing], first: int, ack: Ack) -> int:
        index, failure = first, None
        while index < len(batch) and self._buffered < _BUFFER_BYTES:
            try:
                size_bytes = self._writer.add(batch[index])
            except SinkError as exc:
                failure = exc
                break
            self._taken += size_bytes
            self._buffered += size_bytes
            index += 1
        self._pending.add(self._taken, index - first, ack)
        if failure is not None:
            ack.failed(failure)
            return index + 1
        return index

    def poll(self, timeout: float) -> None:
        soon = time.monotonic() - self._synced_at < _SYNC_S
        if len(self._pending) and not (soon and timeout <= 0 and self._buffered < _BUFFER_BYTES):
            self._write()

    def flush(self, timeout: float) -> int:
        if len(self._pending):
            self._write()
        return len(self._pending)

    def close(self) -> None:
        self._writer.drop()
        self._buffered = 0
        self._pending.closed()

    def metrics(self) -> Mapping[str, float]:
        return self._pending.metrics()

    def _write(self) -> None:
        try:
            self._writer.write()
        except (OSError, CdcError) as exc:
            self._writer.drop()
            self._pending.failed(self._mapped(exc))
        else:
            self._pending.delivered(self._taken)
        self._buffered = 0
        self._synced_at = time.monotonic()

    def _mapped(self, exc: OSError | CdcError) -> CdcError:
        if isinstance(exc, CdcError):
            return exc
        kind = SinkConnectionError if exc.errno in _RETRIABLE else SinkRefusedError
        error = kind(f"{self._path} cannot be written: {exc.strerror}.", hint="Check the disk's space and the rights.")
        error.__cause__ = exc
        return error


class JsonLines:
    """One file, a line for each outgoing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[bytes] = []

    def open(self) -> None:
        with locked(self._path) as fd:
            self._whole(fd)

    def add(self, outgoing: Outgoing) -> int:
        line = json_line(outgoing)
        self._lines.append(line)
        return len(line)

    def write(self) -> None:
        with locked(self._path) as fd:
            append(fd, self._whole(fd), b"".join(self._lines))
        self._lines.clear()

    def drop(self) -> None:
        self._lines.clear()

    def _whole(self, fd: int) -> int:
        """The end of the last whole line, the file's end from now on. Raises SinkRefusedError for a foreign file."""
        end = os.fstat(fd).st_size
        whole = _end_of_lines(fd, end)
        if whole < end:
            torn = os.pread(fd, len(LINE_START), whole).rstrip(b"\0")
            if not LINE_START.startswith(torn):
                raise SinkRefusedError(f"{self._path} does not end with a line of ours.",
                                       hint="Name another file in sink.file.path, or end its last line.")
            cut_torn(fd, end, whole, self._path)
        return whole


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """A descriptor of *path*, made if it is missing, that no other process holds here at the same time."""
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
    """Write *data* at *end* and sync. If that fails, the file is as before as far as can be. Raises OSError."""
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
    """Cut what a crash left behind the last whole line or block: it was never acked."""
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


def _end_of_lines(fd: int, end: int) -> int:
    """Behind the last newline before *end*."""
    if end == 0 or os.pread(fd, 1, end - 1) == b"\n":
        return end
    place = end
    while place > 0:
        start = max(0, place - 65536)
        found = os.pread(fd, place - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        place = start
    return 0
