"""A pgoutput stream as psql writes it to a file: its messages, and one line of text for each.

A line is `LSN|XID|\\x…` or `LSN|\\x…`; `python -m cdc.sources.postgres` says how to take one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from cdc.core.errors import ProtocolError
from cdc.core.row import ABSENT, BINARY, NULL, TEXT, UNCHANGED, Row

from . import protocol
from .in_progress import WITH_XID
from .lsn import Lsn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {TEXT: "text", BINARY: "binary", NULL: "null", UNCHANGED: "unchanged", ABSENT: "absent"}
_MARKERS = {protocol.OLD_KEY: "key", protocol.OLD_TUPLE: "old", protocol.NEW_TUPLE: "new"}
_CHANGES = {protocol.LOGICAL_REP_MSG_INSERT: "Insert", protocol.LOGICAL_REP_MSG_UPDATE: "Update",
            protocol.LOGICAL_REP_MSG_DELETE: "Delete"}


def read_capture(lines: Iterable[str]) -> Iterator[tuple[int, bytes]]:
    """The LSN and the bytes of each message. Raises ValueError for a line of another form."""
    for number, line in enumerate(lines, 1):
        columns = line.strip().split("|")
        if columns == [""]:
            continue
        if len(columns) < 2 or not columns[-1].startswith("\\x"):
            raise ValueError(f"line {number} is not LSN|XID|\\x…")
        yield Lsn.parse(columns[0]), bytes.fromhex(columns[-1][2:])


class Printer:
    """Describes messages in their order: relations and stream blocks matter for those that follow."""

    def __init__(self, *, values: bool) -> None:
        self._values = values
        self._relations: dict[int, protocol.Relation] = {}
        self._streamed = False

    def describe(self, message: bytes) -> str:
        """One line. Raises ProtocolError."""
        if not message:
            raise ProtocolError("an empty message", offset=0, wanted="a message type", got="nothing")
        kind = message[0]
        cursor = protocol.Cursor(message, 1)
        xid = f"xid={cursor.u32()} " if self._streamed and kind in WITH_XID else ""
        if kind in _CHANGES:
            return f"{_CHANGES[kind]} {xid}{self._change(cursor)}"
        found = protocol.parse_control(cursor, kind, self._streamed)
        if isinstance(found, protocol.StreamStart | protocol.StreamStop):
            self._streamed = isinstance(found, protocol.StreamStart)
        elif isinstance(found, protocol.Relation):
            self._relations[found.oid] = found
        shown = " ".join(f"{each.name}={self._field(each.name, getattr(found, each.name))}" for each in fields(found))
        return f"{type(found).__name__} {xid}{shown}".rstrip()

    def _change(self, cursor: protocol.Cursor) -> str:
        oid = cursor.u32()
        relation = self._relations.get(oid)
        names = [column.name for column in relation.columns] if relation is not None else []
        out = [f"{relation.namespace}.{relation.name}" if relation is not None else f"relation {oid} (not described)"]
        while cursor.left():
            marker = cursor.u8()
            row = cursor.row()
            cells = (f"{names[index] if index < len(names) else index}={self._cell(row, index)}"
                     for index in range(row.count))
            out.append(f"{_MARKERS.get(marker, f'marker {marker}')}({', '.join(cells)})")
        return " ".join(out)

    def _cell(self, row: Row, index: int) -> str:
        data, kind = row.raw(index), _KINDS[row.kind(index)]
        if data is None:
            return kind
        return self._bytes(data) if self._values else f"{kind}:{len(data)}"

    def _bytes(self, data: bytes) -> str:
        return repr(data.decode("utf-8", "backslashreplace"))

    def _field(self, name: str, value: Any) -> str:
        if name.endswith("lsn"):
            return str(Lsn(value))
        if name.endswith("time_us"):
            return str(_EPOCH + timedelta(microseconds=value))
        if name == "content":
            return self._bytes(value) if self._values else f"{len(value)} bytes"
        if name == "columns":
            return ",".join(f"{column.name}:{column.type_oid}{'*' if column.in_key else ''}" for column in value)
        return str(value)
