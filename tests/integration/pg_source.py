"""A PostgreSQL source against a test's database, and what came out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cdc.core.record import Message, Record
from cdc.core.row import ABSENT, BINARY, NULL, UNCHANGED
from cdc.sources.postgres.options import parse_postgres
from cdc.sources.postgres.source import PostgresSource
from tests.conftest import Database

SLOT = "cdc_slot"


def given_for(database: Database, options: Mapping[str, str]) -> dict[str, str]:
    return {
        "name": "test", "connector.class": "postgresql", "topic.prefix": "srv", "plugin.name": "pgoutput",
        "database.hostname": database.server.host, "database.port": str(database.server.port),
        "database.user": "postgres", "database.dbname": database.name, "slot.name": slot_of(database),
        "publication.name": "pub", "snapshot.mode": "no_data", **options,
    }


def slot_of(database: Database) -> str:
    """Slots belong to the whole server."""
    return f"{SLOT}_{database.name}"


def make_source(database: Database, options: Mapping[str, str] | None = None) -> PostgresSource:
    config, _ = parse_postgres(given_for(database, options or {}))
    return PostgresSource(config)


@contextmanager
def running(database: Database, options: Mapping[str, str] | None = None,
            offset: Mapping[str, Any] | None = None) -> Iterator[Reading]:
    """A source started at *offset*."""
    source = make_source(database, options)
    try:
        source.start(offset)
        yield Reading(source)
    finally:
        source.stop()


class Reading:
    """Batches of a running source. `offset` is the last one's position."""

    def __init__(self, source: PostgresSource) -> None:
        self.source = source
        self.offset: dict[str, Any] | None = None
        self.commit_soon = False

    def batch(self, timeout: float = 0.5) -> list[Any] | None:
        batch = self.source.poll(timeout)
        if batch is None:
            return None
        self.offset = dict(batch.position.offset())
        self.commit_soon = batch.commit_soon
        return list(batch.records)

    def until(self, done: Callable[[list[Any]], bool], timeout: float = 60.0) -> list[Any]:
        """All records until *done* says so."""
        records: list[Any] = []
        deadline = time.monotonic() + timeout
        while not done(records):
            assert time.monotonic() < deadline, f"{len(records)} records, and no end: {records[-3:]}"
            records += self.batch() or []
        return records

    def to_mark(self, database: Database) -> list[Any]:
        """All records before a logical message that is written now, which comes after all that is committed now."""
        database.execute("SELECT pg_logical_emit_message(true, 'mark', '')")
        found = self.until(lambda records: any(map(is_mark, records)))
        end = next(index for index, record in enumerate(found) if is_mark(record))
        begun = end > 0 and isinstance(found[end - 1], Message) and found[end - 1].topic == "srv.transaction"
        return found[:end - 1] if begun else found[:end]

    def to_end(self) -> list[Any]:
        """All records until the source is finished."""
        return self.until(lambda _: self.source.finished())


def is_mark(record: Any) -> bool:
    return isinstance(record, Message) and record.topic == "srv.message" and record.key == ("mark",)


def cells(record: Record, image: str = "after") -> dict[str, Any] | None:
    """The captured columns of a row by name, as values."""
    row = getattr(record, image)
    return None if row is None else {column.name: _cell(row, column) for column in record.table.columns}


def _cell(row: Any, column: Any) -> Any:
    kind = row.kind(column.index)
    if kind in (NULL, UNCHANGED, ABSENT):
        return {NULL: None, UNCHANGED: "unchanged", ABSENT: "absent"}[kind]
    raw = row.raw(column.index)
    return (column.binary_codec if kind == BINARY else column.codec).value(raw, 0, len(raw))


def described(record: Any, *, source: bool = False) -> Any:
    """What a record says, for comparisons between runs; *source* with its LSN and the whole source block."""
    if isinstance(record, Message):
        return record.topic, record.key, record.value[4] if record.topic == "srv.message" else record.value
    said = (record.op, str(record.table.id), cells(record, "before"), cells(record))
    return (*said, record.source.merged(record.source_values), record.block) if source else said


def brief(records: list[Any]) -> list[Any]:
    """(op, table, id) of row changes."""
    return [(record.op, record.table.id.table, (cells(record) or cells(record, "before") or {}).get("id"))
            for record in records if isinstance(record, Record)]
