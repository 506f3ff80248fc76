"""`python -m cdc.sources.mysql.binlog FILE` prints a binary log file: one event a line, with position, type, content.

It prints no values of rows, and only the first words of statements, so that the output can be shared in a bug report.
`--values` prints both. It needs no server.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cdc.core.errors import ProtocolError
from cdc.core.late_regex import late_regex
from cdc.core.row import ABSENT, NULL, UNCHANGED, Row

from . import const
from .decoder import BinlogDecoder
from .events import (
    FormatDescription,
    Gtid,
    GtidList,
    Heartbeat,
    Incident,
    MariaGtid,
    Message,
    PreviousGtids,
    Query,
    Rotate,
    RowsQuery,
    TableMap,
    TransactionPayload,
    XaPrepare,
    Xid,
)
from .rows import RowsEvent

_MAGIC: Final = b"\xfebin"
_TYPES: Final = {number: name for name, number in vars(const).items() if re.search(r"_EVENT(_V\d)?$", name)}
_OPS: Final = {"c": "insert", "u": "update", "d": "delete"}
_HEAD: Final = late_regex(rb"\s*([A-Za-z_`][\w$.`]*(\s+[A-Za-z_`][\w$.`]*){0,2})")
"""Up to three words. Values come later in any statement, and do not look like words."""


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The events of a file, each with its position. Raises ProtocolError where they do not fit the file."""
    if not data.startswith(_MAGIC):
        raise ProtocolError("not a binary log", offset=0, wanted=_MAGIC.hex(), got=data[:4].hex())
    at = len(_MAGIC)
    while at < len(data):
        length = int.from_bytes(data[at + 9:at + 13], "little")
        if not const.HEADER_LEN <= length <= len(data) - at:
            raise ProtocolError("event does not fit the file", offset=at, wanted=f"up to {len(data) - at}", got=length)
        yield at, data[at:at + length]
        at += length


class Printer:
    """Events to lines. *values*: also whole statements and the values of rows."""

    def __init__(self, values: bool) -> None:
        self._values = values
        self._maps: dict[int, TableMap] = {}

    def lines(self, data: bytes) -> Iterator[str]:
        """Events inside a compressed transaction are indented. Raises ProtocolError after the last good event."""
        decoder = BinlogDecoder()
        for at, frame in frames(data):
            header, message = decoder.decode(frame)
            yield f"{at:>10}  {_TYPES.get(header.type, header.type)}  {self._content(message)}".rstrip()
            yield from self._rows(message)
            if isinstance(message, TransactionPayload):
                for inner, item in map(decoder.decode_inner, message.events()):
                    yield f"{'':>12}{_TYPES.get(inner.type, inner.type)}  {self._content(item)}".rstrip()
                    yield from self._rows(item)

    def _content(self, message: Message) -> str:
        match message:
            case FormatDescription():
                return f"{message.server_version}, {'CRC32' if message.checksum else 'no checksums'}"
            case Rotate() | Heartbeat():
                return f"{message.file}:{message.position}"
            case PreviousGtids() | GtidList():
                return str(message.gtids)
            case Gtid() | MariaGtid():
                return "anonymous" if isinstance(message, Gtid) and message.anonymous else str(message)
            case Query():
                return f"{message.database}: {self._statement(message.sql)}"
            case RowsQuery():
                return self._statement(message.sql)
            case Xid():
                return str(message.xid)
            case XaPrepare():
                return "one phase" if message.one_phase else ""
            case Incident():
                return f"number {message.number}: the server could not log something"
            case TransactionPayload():
                return f"{message.end - message.start} bytes, {message.uncompressed_size} unpacked"
            case TableMap():
                self._maps[message.table_id] = message
                return f"{message.database}.{message.table}, {len(message.types)} columns, number {message.table_id}"
            case RowsEvent():
                known = self._maps.get(message.table_id)
                if known is None:
                    return f"{_OPS[message.op]}, rows of a table that was not described, number {message.table_id}"
                count = len(message.split(known.layout))
                return f"{known.database}.{known.table}, {_OPS[message.op]}, {count} row{'s' if count != 1 else ''}"
        return ""

    def _statement(self, sql: bytes) -> str:
        head = _HEAD.match(sql)
        shown = sql if self._values else head[1] if head else b""
        return repr(shown.decode("utf-8", "replace"))[1:-1] + ("" if len(shown) == len(sql) else " …")

    def _rows(self, message: Message) -> Iterator[str]:
        known = self._maps.get(message.table_id) if self._values and isinstance(message, RowsEvent) else None
        if known is not None and isinstance(message, RowsEvent):
            for before, after in message.split(known.layout):
                for image, row in (("before", before), ("after", after)):
                    if row is not None:
                        yield f"{'':>14}{image}: {', '.join(_cell(row, index) for index in range(row.count))}"


def _cell(row: Row, index: int) -> str:
    """The bytes as they are in the log."""
    kind = row.kind(index)
    return {NULL: "NULL", ABSENT: "absent", UNCHANGED: "unchanged"}.get(kind) or repr(row.raw(index))[1:]


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if the file is damaged; the events before the damage are printed."""
    parser = argparse.ArgumentParser(prog="python -m cdc.sources.mysql.binlog", description=__doc__.split("\n\n")[1])
    parser.add_argument("file", type=Path)
    parser.add_argument("--values", action="store_true", help="also print whole statements and the values of rows")
    given = parser.parse_args(arguments)
    try:
        for line in Printer(given.values).lines(given.file.read_bytes()):
            print(line)
    except (ProtocolError, OSError) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as other filters end: `… | head` is no error
    sys.exit(main())
