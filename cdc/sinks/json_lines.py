"""One outgoing as one line of JSON, and a file of such lines."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from cdc.core.errors import SinkRefusedError
from cdc.core.interfaces import Outgoing

from .durable import append, cut_torn, locked

LINE_START: Final = b'{"topic":'

_ANY = msgspec.json.Decoder(msgspec.Raw)


def json_line(outgoing: Outgoing) -> bytes:
    r"""`{"topic":…,"key":…,"value":…,"headers":[{"name":…,"value":…}]}` and a newline.

    JSON bytes are written unchanged, other bytes as base64 under `key_base64` and `value_base64`; null is null.
    `headers` is missing when there are none, and `kafka_partition` and `timestamp_ms` when they are not set.
    """
    parts = [LINE_START, _text(outgoing.topic), b",", *_field("key", outgoing.key), b",",
             *_field("value", outgoing.value)]
    if outgoing.kafka_partition >= 0:
        parts.append(b',"kafka_partition":%d' % outgoing.kafka_partition)
    if outgoing.timestamp_ms >= 0:
        parts.append(b',"timestamp_ms":%d' % outgoing.timestamp_ms)
    if outgoing.headers:
        headers = (b'{"name":' + _text(name) + b"," + b"".join(_field("value", value)) + b"}"
                   for name, value in outgoing.headers)
        parts.append(b',"headers":[' + b",".join(headers) + b"]")
    return b"".join((*parts, b"}\n"))  # once, as the value may be huge


def _field(name: str, content: bytes | None) -> tuple[bytes, ...]:
    if content is None:
        return (b'"%s":null' % name.encode(),)
    found = _json(content)
    if found is not None:
        return b'"%s":' % name.encode(), found
    return b'"%s_base64":"' % name.encode(), base64.b64encode(content), b'"'


def _json(content: bytes) -> bytes | None:
    """*content* on one line if it is JSON, else None."""
    try:
        if not content.isascii():
            content.decode()
        _ANY.decode(content)
        return msgspec.json.format(content, indent=-1) if b"\n" in content or b"\r" in content else content
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


class JsonLines:
    """The Writer of one file, with a line for each outgoing."""

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
        """Cut an incomplete last line; return the file's size. Raises SinkRefusedError for a file that is not ours."""
        end = os.fstat(fd).st_size
        whole = _end_of_lines(fd, end)
        if whole < end:
            torn = os.pread(fd, len(LINE_START), whole).rstrip(b"\0")
            if not LINE_START.startswith(torn):
                raise SinkRefusedError(f"{self._path} does not end with a line that this sink wrote.",
                                       hint="Name another file in sink.file.path, or add a newline at its end.")
            cut_torn(fd, end, whole, self._path)
        return whole


def _end_of_lines(fd: int, end: int) -> int:
    """The place after the last newline before *end*."""
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
