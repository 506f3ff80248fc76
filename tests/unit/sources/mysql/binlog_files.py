"""The recorded binary logs beside this file, taken apart."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cdc.core.row import Row
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import Message, TableMap, TransactionPayload
from cdc.sources.mysql.binlog.header import Header
from cdc.sources.mysql.binlog.rows import RowsEvent

FOLDER = Path(__file__).parent / "binlogs"
MYSQL, MARIADB = "mysql-9.7-full", "mariadb-10.11-full"
MYSQL_MINIMAL, MARIADB_MINIMAL = "mysql-9.7-minimal", "mariadb-10.11-minimal"
ALL = (MYSQL, MYSQL_MINIMAL, MARIADB, MARIADB_MINIMAL)


@dataclass
class Change:
    table: TableMap
    op: str
    before: Row | None
    after: Row | None

    def cells(self, which: str = "after") -> dict[str, bytes | int | None]:
        """By column name: the bytes, None for NULL, ABSENT's number where the image does not have the column."""
        row = self.after if which == "after" else self.before
        assert row is not None
        names = self.table.names or tuple(str(index) for index in range(row.count))
        return {name: row.raw(index) if row.kind(index) <= 2 else row.kind(index) for index, name in enumerate(names)}


def frames(name: str) -> list[bytes]:
    """The events of a file, as they are."""
    data = (FOLDER / f"{name}.binlog").read_bytes()
    out = []
    at = 4
    while at < len(data):
        length = int.from_bytes(data[at + 9:at + 13], "little")
        out.append(data[at:at + length])
        at += length
    return out


def messages(name: str) -> Iterator[tuple[Header, Message]]:
    """All of a file, what is within payloads in its place."""
    decoder = BinlogDecoder()
    for frame in frames(name):
        header, message = decoder.decode(frame)
        yield header, message
        if isinstance(message, TransactionPayload):
            for inner in message.events():
                yield decoder.decode_inner(inner)


def changes(name: str, table: str = "") -> list[Change]:
    """The row changes of a file, or of one *table*."""
    maps: dict[int, TableMap] = {}
    out: list[Change] = []
    for _, message in messages(name):
        if isinstance(message, TableMap):
            maps[message.table_id] = message
        elif isinstance(message, RowsEvent):
            known = maps[message.table_id]
            if table in ("", known.table):
                out += [Change(known, message.op, *pair) for pair in message.split(known.layout)]
    return out


def event(kind: int, body: bytes, *, flags: int = 0, server_id: int = 1, checksum: bool = False) -> bytes:
    """An event made by hand."""
    length = 19 + len(body) + (4 if checksum else 0)
    head = (b"\0" * 4 + bytes((kind,)) + server_id.to_bytes(4, "little") + length.to_bytes(4, "little") + b"\0" * 4
            + flags.to_bytes(2, "little") + body)
    return head + zlib.crc32(head).to_bytes(4, "little") if checksum else head


class Maps:
    """The table maps of a recorded log, by their numbers."""

    def __init__(self, name: str) -> None:
        self.checksum = name.endswith("full")
        self._decoder = BinlogDecoder()
        self._maps: dict[int, TableMap] = {}
        for frame in frames(name):
            _, message = self._decoder.decode(frame)
            if isinstance(message, TableMap):
                self._maps[message.table_id] = message

    def lacking(self, frame: bytes, keep: Callable[[str, bool], bool]) -> bytes:
        """The rows event *frame* without some columns: *keep(which, in_key)* tells of each whether the images `before`
        and `after` have it. Events with values that are not written as they are stay whole."""
        _, event = self._decoder.decode(frame)
        assert isinstance(event, RowsEvent)
        table_map = self._maps[event.table_id]
        layout = table_map.layout
        if layout.special or event.partial or event.data is not frame:
            return frame
        key = {index for index, _ in table_map.primary_key or ()}
        pairs = event.split(layout)
        bitmaps = len(event.before_present) + len(event.after_present)
        body = bytearray(frame[19:event.start - bitmaps])
        kept = {which: [present[index >> 3] >> (index & 7) & 1 == 1 and keep(which, index in key)
                        for index in range(layout.count)] for which, present in (
                            ("before", event.before_present), ("after", event.after_present)) if present}
        for bits in kept.values():
            body += _bits(bits)
        for pair in pairs:
            for which, row in zip(("before", "after"), pair, strict=True):
                if row is not None:
                    body += _image(row, layout.sizes, kept[which])
        return resized(frame, bytes(body), self.checksum)


def _bits(bits: list[bool]) -> bytes:
    return sum(bit << index for index, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")


def _image(row: Row, sizes: list[tuple[int, int]], kept: list[bool]) -> bytes:
    columns = [index for index in range(row.count) if kept[index]]
    values = b""
    for index in columns:
        raw = row.raw(index)
        if raw is not None:
            prefix = sizes[index][0]
            values += (len(raw).to_bytes(prefix, "little") if prefix else b"") + raw
    return _bits([row.raw(index) is None for index in columns]) + values


def resized(frame: bytes, body: bytes, checksum: bool) -> bytes:
    """*frame* with another body, its length and checksum put right."""
    length = 19 + len(body) + (4 if checksum else 0)
    head = frame[:9] + length.to_bytes(4, "little") + frame[13:19] + body
    return head + zlib.crc32(head).to_bytes(4, "little") if checksum else head
