"""The file sink: lines of JSON, or Avro container files. An ack means synced to disk.

Outgoings wait in memory; `poll` writes them together, under a lock, after the last whole line or block, and syncs. A
crash leaves at most an incomplete end, which the next write cuts off. Several processes may write to one place.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from cdc.core.errors import CdcError, ConfigError, SinkConnectionError, SinkError, SinkRefusedError
from cdc.core.interfaces import Ack, Outgoing, SinkSettings
from cdc.log import get_logger

from .durable import SchemaLookup, Writer
from .file_options import OPTIONS, FileSinkConfig
from .json_lines import JsonLines
from .pending import Pending

log = get_logger(__name__)

_BUFFER_BYTES: Final = 8 << 20
_SYNC_S: Final = 0.05
"""Least time between two syncs while more is coming."""
_RETRIABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EAGAIN})


def build(settings: SinkSettings) -> FileSink:
    """The sink for `sink.type=file`. Raises ConfigError."""
    parsed = OPTIONS.parse(settings.worker, partial=True)
    parsed.check("the worker's configuration")
    config = FileSinkConfig(**parsed.values)
    if not config.sink_file_path:
        raise ConfigError("sink.file.path is not set.", option="sink.file.path",
                          hint="Name the file (format json) or folder (format avro) to write.")
    if settings.dead_letters is not None and config.sink_file_format == "avro":
        raise ConfigError("errors.deadletterqueue.topic.name: dead letters are JSON, and this sink writes Avro.",
                          option="errors.deadletterqueue.topic.name", hint="Set sink.file.format=json, or remove it.")
    lookup = getattr(settings.value_converter, "schema_text", None)
    return FileSink(config.sink_file_path, config.sink_file_format, lookup)


class FileSink:
    """Writes to one file of JSON lines, or to one folder of Avro files."""

    def __init__(self, path: str | Path, form: Literal["json", "avro"] = "json",
                 schema_lookup: SchemaLookup | None = None) -> None:
        """*path* is the file of JSON lines, or the folder of Avro files, for which *schema_lookup* is needed."""
        self._path = Path(path)
        if form == "avro":
            from .avro_files import AvroFiles

            if schema_lookup is None:
                raise ConfigError("A folder of Avro files (sink.file.format=avro) needs Avro converters with "
                                  "Confluent's Schema Registry.",
                                  option="sink.file.format", hint="Or name a file: then each event is a line of JSON.")
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

    def fence(self) -> None:
        """Nothing of another process is on its way here."""

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
        error = kind(f"{self._path} cannot be written: {exc.strerror}.",
                     hint="Check the free space and the permissions.")
        error.__cause__ = exc
        return error
