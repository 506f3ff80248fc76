"""A query source over a SQLite file, with a clock that stands still until a test moves it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cdc.core.record import Batch, Message
from cdc.sources.query.options import parse_query
from cdc.sources.query.source import QuerySource


class World:
    """The file, its writer, and what of the source's rows was delivered and committed."""

    def __init__(self, folder: Path, *statements: str) -> None:
        self.file = folder / "rows.db"
        self.db = sqlite3.connect(self.file)
        self.db.execute("PRAGMA synchronous = OFF")
        for statement in statements:
            self.db.execute(statement)
        self.db.commit()
        self.now_us = 1_714_557_600_000_000  # 2024-05-01 10:00:00 UTC
        self.committed: dict[str, Any] | None = None
        self.source: QuerySource | None = None
        self.keys: dict[str, str] = {}
        self.columns: list[str] = []

    def write(self, sql: str, values: Iterable[Any] = ()) -> None:
        self.db.execute(sql, tuple(values))
        self.db.commit()

    def begin(self, **keys: str) -> QuerySource:
        """A new source, from the committed offset: the process before it was killed."""
        self.keys = keys or self.keys
        if self.source is not None:
            self.source.stop()
        config, _ = parse_query({
            "name": "q", "connection.url": f"jdbc:sqlite:{self.file}", "topic.prefix": "p-", "poll.interval.ms": "1",
            **{key.replace("_", "."): text for key, text in self.keys.items()}})
        self.source = QuerySource(config)
        self.source._database.now_us = lambda: self.now_us  # type: ignore[method-assign]
        self.source.start(self.committed)
        return self.source

    def batch(self) -> Batch | None:
        """The next batch of the SELECT that is open, or of a new one; None at its end."""
        assert self.source is not None
        for reader in self.source._readers.values():
            reader.due = 0.0
        self.source._due = 0.0
        return self.source.poll(0)

    def commit(self, batch: Batch) -> None:
        self.committed = json.loads(json.dumps(batch.position.offset()))

    def rows(self) -> list[tuple[Any, ...]]:
        """All rows that a whole SELECT of each table gives, delivered and committed."""
        assert self.source is not None
        found: list[tuple[Any, ...]] = []
        for _ in list(self.source._readers):
            while True:
                batch = self.batch()
                if batch is not None:
                    found += values(batch)
                    self.commit(batch)
                if self.source._open is None:
                    break
        return found


def values(batch: Batch) -> list[tuple[Any, ...]]:
    return [each.value for each in batch.records if isinstance(each, Message)]
