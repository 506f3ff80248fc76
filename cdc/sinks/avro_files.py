"""Avro Object Container Files from values in Confluent's wire format. Avro specification, "Object Container Files".

One file for each topic and schema, numbered in the order of their first use: `<topic>-0001.avro`. A record's bytes are
copied without the frame, and nothing is decoded. Keys are not stored. Null values (tombstones) cannot be stored in
such a file: they are left out, with a warning.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cdc.core.errors import SinkRefusedError
from cdc.core.interfaces import Outgoing
from cdc.core.late_regex import late_regex
from cdc.log import get_logger

from .durable import SchemaLookup, append, cut_torn, locked, sync_folder

log = get_logger(__name__)

_MAGIC: Final = b"Obj\x01"
_SYNC_BYTES: Final = 16
_BLOCK_BYTES: Final = 64 << 10
_FRAME_BYTES: Final = 5
_NUMBERED = late_regex(r"-(\d{4,})\.avro")


@dataclass(slots=True)
class _Gathered:
    """Records of one topic and schema id: `blocks` that are full, and the one being filled."""

    blocks: list[tuple[int, bytes]] = field(default_factory=list)
    count: int = 0
    data: bytearray = field(default_factory=bytearray)

    def add(self, record: memoryview) -> None:
        self.data += record
        self.count += 1
        if len(self.data) >= _BLOCK_BYTES:
            self.cut()

    def cut(self) -> None:
        if self.count:
            self.blocks.append((self.count, bytes(self.data)))
            self.count = 0
            self.data = bytearray()


@dataclass(frozen=True, slots=True)
class Container:
    """A container file as we found it. `end` is the place after its last whole block; 0 if the header is incomplete."""

    metadata: Mapping[str, bytes]
    sync: bytes
    end: int

    def takes(self, schema_text: str) -> bool:
        """Whether blocks of ours with this schema can follow."""
        return (self.metadata.get("avro.schema") == schema_text.encode()
                and self.metadata.get("avro.codec", b"null") == b"null")


class AvroFiles:
    """The Writer of a folder of container files."""

    def __init__(self, folder: Path, schema_lookup: SchemaLookup) -> None:
        self._folder = folder
        self._lookup = schema_lookup
        self._gathered: dict[tuple[str, int], _Gathered] = {}
        self._places: dict[tuple[str, str], tuple[Path, bytes, int]] = {}
        self._without: set[str] = set()

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._folder.parent)
        self._places.clear()

    def add(self, outgoing: Outgoing) -> int:
        value = outgoing.value
        if value is None:
            self._note_null(outgoing.topic)
            return 0
        if len(value) < _FRAME_BYTES or value[0] != 0:
            raise SinkRefusedError(
                f"A record for topic {outgoing.topic} is not in Confluent's Avro format.", table=outgoing.table,
                hint="sink.file.format=avro needs value.converter=avro.",
            )
        place = outgoing.topic, int.from_bytes(value[1:_FRAME_BYTES], "big")
        gathered = self._gathered.get(place)
        if gathered is None:
            gathered = self._gathered[place] = _Gathered()
        gathered.add(memoryview(value)[_FRAME_BYTES:])
        return len(value)

    def write(self) -> None:
        with locked(self._folder / ".lock"):
            for (topic, schema_id), gathered in self._gathered.items():
                gathered.cut()
                self._append(topic, self._lookup(schema_id), gathered.blocks)
        self._gathered.clear()

    def drop(self) -> None:
        self._gathered.clear()

    def _append(self, topic: str, schema_text: str, blocks: list[tuple[int, bytes]]) -> None:
        path, sync, expected = self._places.get((topic, schema_text)) or self._find(topic, schema_text)
        with locked(path) as fd:
            size = os.fstat(fd).st_size
            if size != expected:  # Somebody else wrote here, or a write of ours failed half way.
                found = read_container(fd, size)
                if found.end == 0:
                    _check_torn(fd, path)
                cut_torn(fd, size, found.end, path)
                sync, expected = found.sync, found.end
            data = b"".join(_block(count, records, sync) for count, records in blocks)
            if expected == 0:
                sync = os.urandom(_SYNC_BYTES)
                data = _header(schema_text, sync) + b"".join(_block(count, records, sync) for count, records in blocks)
            append(fd, expected, data)
        self._places[topic, schema_text] = path, sync, expected + len(data)

    def _find(self, topic: str, schema_text: str) -> tuple[Path, bytes, int]:
        """The file of *topic* with this schema, its sync marker and size; a new file's name when there is none.

        A size of -1 tells the caller to read the file itself.
        """
        last = 0
        for number, path in self._files(topic):
            with locked(path) as fd:
                found = read_container(fd, os.fstat(fd).st_size)
            if found.end == 0 or found.takes(schema_text):
                return path, b"", -1
            last = number
        return self._folder / f"{_file_name(topic)}-{last + 1:04d}.avro", b"", -1

    def _files(self, topic: str) -> list[tuple[int, Path]]:
        prefix = _file_name(topic)
        named = ((path, _NUMBERED.fullmatch(path.name[len(prefix) :])) for path in self._folder.glob("*.avro")
                 if path.name.startswith(prefix))
        return sorted((int(match[1]), path) for path, match in named if match)

    def _note_null(self, topic: str) -> None:
        if topic not in self._without:
            self._without.add(topic)
            log.warning("null_values_left_out", topic=topic,
                        hint="An Avro file cannot hold them; with tombstones.on.delete=false there are none.")


def read_container(fd: int, size: int) -> Container:
    """Walk over the blocks of a container file of *size* bytes, without reading their records."""
    try:
        reader = _Walker(fd, size)
        metadata = reader.header()
        sync = reader.take(_SYNC_BYTES)
        end = reader.place
        for end in reader.blocks(sync):  # noqa: B007  the last one counts
            pass
    except EOFError:
        return Container({}, b"", 0)
    return Container(metadata, sync, end)


def _check_torn(fd: int, path: Path) -> None:
    """Raise SinkRefusedError unless a file with an incomplete header begins as an Avro file: it will be emptied."""
    if not _MAGIC.startswith(os.pread(fd, len(_MAGIC), 0).rstrip(b"\0")):
        raise SinkRefusedError(f"{path} exists and is not an Avro file.", hint="Move it, or set sink.file.path.")


class _Walker:
    """Reads Avro's longs and bytes from *fd* up to *size*; raises EOFError where one is incomplete."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self.place = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > self._size:
            raise EOFError
        data = os.pread(self._fd, count, self.place)
        self.place += count
        return data

    def long(self) -> int:
        shift = number = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            if shift > 63:
                raise EOFError

    def header(self) -> dict[str, bytes]:
        if self.take(len(_MAGIC)) != _MAGIC:
            raise EOFError
        found: dict[str, bytes] = {}
        while count := self.long():
            if count < 0:
                self.long()
            for _ in range(abs(count)):
                name = self.take(self.long()).decode()
                found[name] = self.take(self.long())
        return found

    def blocks(self, sync: bytes) -> Iterator[int]:
        """The end of each whole block."""
        try:
            while self.place < self._size:
                self.long()
                size = self.long()
                if size < 0 or self.place + size + _SYNC_BYTES > self._size:
                    return
                self.place += size
                if self.take(_SYNC_BYTES) != sync:
                    return
                yield self.place
        except EOFError:
            return


def _header(schema_text: str, sync: bytes) -> bytes:
    metadata = {"avro.codec": b"null", "avro.schema": schema_text.encode()}
    pairs = b"".join(_bytes(name.encode()) + _bytes(value) for name, value in metadata.items())
    return _MAGIC + _long(len(metadata)) + pairs + _long(0) + sync


def _block(count: int, records: bytes, sync: bytes) -> bytes:
    return _long(count) + _bytes(records) + sync


def _bytes(data: bytes) -> bytes:
    return _long(len(data)) + data


def _long(number: int) -> bytes:
    """Avro specification, "Binary Encoding": zig-zag, seven bits a byte, least significant first."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _file_name(topic: str) -> str:
    return quote(topic, safe="")
