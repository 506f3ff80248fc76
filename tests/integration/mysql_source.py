"""A MySQL or MariaDB source against a test's database, and what came out of it."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from cdc.converters.plan import ColumnFailures, ValuePlan
from cdc.core.record import Record
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.source import MySqlSource
from tests.conftest import BinlogDatabase

_server_ids = itertools.count(8000)
_SILENCE_S = 5.0


def make_source(database: BinlogDatabase, options: Mapping[str, str] | None = None, *,
                native: bool = True) -> MySqlSource:
    """*native*: C reads where it can. A batch of a snapshot is then as large as a read from the socket."""
    server = database.server
    given = {
        "name": "test", "topic.prefix": "srv", "database.hostname": server.host, "database.port": str(server.port),
        "database.user": server.user, "database.server.id": str(next(_server_ids)),
        "database.include.list": database.name, "include.schema.changes": "false", "snapshot.mode": "no_data",
        "tombstones.on.delete": "false", **(options or {}),
    }
    config, _ = (parse_mariadb if server.flavor == "mariadb" else parse_mysql)(given)
    source = MySqlSource(config)
    if native:
        source.prefer_native()
    return source


@contextmanager
def running(database: BinlogDatabase, options: Mapping[str, str] | None = None,
            offset: Mapping[str, Any] | None = None) -> Iterator[Reading]:
    """A source started at *offset*, and past its snapshot if it has one."""
    source = make_source(database, options)
    try:
        source.start(offset)
        yield Reading(source, database)
    finally:
        source.stop()


def own_sessions(database: BinlogDatabase, condition: str = "TRUE") -> list[int]:
    """The sessions of this process that fulfil *condition*, apart from the one that asks: others share the server."""
    ports = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it is closed meanwhile
            if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(descriptor))) as each:
                if each.family in (socket.AF_INET, socket.AF_INET6):
                    ports.add(str(each.getsockname()[1]))
    rows = database.execute("SELECT id, host FROM information_schema.processlist"
                            f" WHERE id <> CONNECTION_ID() AND {condition}")
    return [number for number, host in rows if str(host).rpartition(":")[2] in ports]


class Reading:
    """Batches of a running source. `offset` is the last one's position."""

    def __init__(self, source: MySqlSource, database: BinlogDatabase) -> None:
        self.source = source
        self._database = database
        self.offset: dict[str, Any] = {}
        while source.state() != "streaming":
            self._batch(0.5)

    def _batch(self, timeout: float) -> list[Any]:
        batch = self.source.poll(timeout)
        if batch is None:
            return []
        self.offset = dict(batch.position.offset())
        return list(batch.records)

    def _place(self) -> tuple[str, int]:
        """Behind what was read: file and byte."""
        return str(self.offset.get("file", "")), int(self.offset.get("pos", 0))

    def changes(self, count: int, timeout: float = 60.0) -> list[tuple[Any, ...]]:
        """(op, before, after, key) of so many changes, rows by column; and that the log has no more of them now."""
        return [change(record) for record in self.records(count, timeout)]

    def records(self, count: int, timeout: float = 60.0) -> list[Record]:
        """So many changes, and that the log has no more of them now. What was delivered from another server moves no
        place on: then silence has to do."""
        records: list[Record] = []
        began = heard = time.monotonic()
        end = self._database.server.binlog_end()
        while time.monotonic() < began + timeout and (
                len(records) < count or (self._place() < end and time.monotonic() < heard + _SILENCE_S)):
            batch = self._batch(0.2)
            records += [each for each in batch if isinstance(each, Record)]
            heard = time.monotonic() if batch else heard
        assert len(records) == count, records
        return records


def change(record: Record) -> tuple[Any, ...]:
    plan = ValuePlan(record.table, ColumnFailures())
    names = [column.name for column in record.table.columns]
    before, after, *_ = plan.value(record, 0)
    key = plan.key(record.key_row, record.other if record.before is None else record.before)
    return (record.op, before and dict(zip(names, before, strict=True)), after and dict(zip(names, after, strict=True)),
            key)
