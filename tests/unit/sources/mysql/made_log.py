"""Binary logs of MariaDB made by hand, for situations that the recorded ones lack."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from cdc.sources.mysql.binlog import const
from tests.unit.sources.mysql.binlog_files import MARIADB, event, frames

Image = Sequence[bytes | None]
"""The values of a row as the log has them; None is NULL."""


class MadeLog:
    """`events` of one file. Each statement has a GTID of its own, and each group of rows its transaction."""

    def __init__(self) -> None:
        head = frames(MARIADB)[0]
        self.events = [head]
        self._end = 4 + len(head)
        self._transactions = 0
        self._maps = 0

    def take(self) -> list[bytes]:
        """The events since the last call."""
        found, self.events = self.events, []
        return found

    def add(self, kind: int, body: bytes) -> None:
        made = event(kind, body, checksum=True)
        self._end += len(made)
        head = made[:13] + self._end.to_bytes(4, "little") + made[17:-4]
        self.events.append(head + zlib.crc32(head).to_bytes(4, "little"))

    def statement(self, sql: str, database: str = "shop", status: bytes = b"") -> None:
        """DDL. *status*: the event's status variables."""
        self._gtid(const.FL_STANDALONE)
        self.query(sql.encode(), database, status)

    def query(self, sql: bytes, database: str = "shop", status: bytes = b"") -> None:
        name = database.encode()
        self.add(const.QUERY_EVENT, b"\0" * 8 + bytes((len(name), 0, 0)) + len(status).to_bytes(2, "little") + status
                 + name + b"\0" + sql)

    def rows(self, table: str, types: Sequence[tuple[int, bytes]], *changes: tuple[str, Sequence[Image]],
             database: str = "shop", present: Sequence[int] = (), nullable: int | None = None) -> None:
        """One transaction. *types*: code and metadata of each column. *changes*: op and the images of each row, for an
        update before and after by turns. *present*: only these columns are in the images."""
        self._gtid(0)
        self._maps += 1
        count, size = len(types), (len(types) + 7) // 8
        bits = (1 << count) - 1
        metadata = b"".join(each for _, each in types)
        self.add(const.TABLE_MAP_EVENT, self._maps.to_bytes(6, "little") + b"\1\0" + b"".join(
            bytes((len(name.encode()),)) + name.encode() + b"\0" for name in (database, table)) + bytes((count,))
            + bytes(code for code, _ in types) + bytes((len(metadata),)) + metadata
            + (bits if nullable is None else nullable).to_bytes(size, "little"))
        mask = (sum(1 << index for index in present) or bits).to_bytes(size, "little")
        for op, images in changes:
            body = self._maps.to_bytes(6, "little") + b"\1\0" + bytes((count,)) + mask * (2 if op == "u" else 1)
            self.add({"c": const.WRITE_ROWS_EVENT_V1, "u": const.UPDATE_ROWS_EVENT_V1,
                      "d": const.DELETE_ROWS_EVENT_V1}[op], body + b"".join(map(_image, images)))
        self.add(const.XID_EVENT, b"\0" * 8)

    def _gtid(self, flags: int) -> None:
        self._transactions += 1
        self.add(const.GTID_EVENT, self._transactions.to_bytes(8, "little") + b"\0" * 4 + bytes((flags,)) + b"\0" * 6)


def _image(values: Image) -> bytes:
    nulls = sum(1 << index for index, value in enumerate(values) if value is None)
    return nulls.to_bytes((len(values) + 7) // 8, "little") + b"".join(value for value in values if value is not None)
