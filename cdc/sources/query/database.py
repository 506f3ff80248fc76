"""What the query source asks of a database. Each of `postgres`, `mysql` and `sqlite` has a class `Database`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Final, NamedTuple, Protocol

from .columns import ColumnInfo

ISOLATIONS: Final = {"DEFAULT": "", "READ_UNCOMMITTED": "READ UNCOMMITTED", "READ_COMMITTED": "READ COMMITTED",
                     "REPEATABLE_READ": "REPEATABLE READ", "SERIALIZABLE": "SERIALIZABLE"}


class TableName(NamedTuple):
    """A table. *catalog* and *schema* are empty where the database has none. *kind*: TABLE, VIEW and so on."""

    catalog: str
    schema: str
    name: str
    kind: str = "TABLE"

    @property
    def full(self) -> str:
        """The name with its schema or, without one, its catalog; not quoted."""
        return ".".join(part for part in (self.schema or self.catalog, self.name) if part)

    @property
    def names(self) -> tuple[str, ...]:
        """All names that a list may have for it."""
        return tuple(dict.fromkeys((self.name, self.full, ".".join(filter(None, self[:3])))))


@dataclass(frozen=True, slots=True)
class Login:
    """Where and how to connect. *properties* are those of the JDBC URL, by lower-case name."""

    host: str
    port: int
    database: str
    user: str | None
    password: str | None
    properties: dict[str, str]
    zone: tzinfo = UTC
    isolation: str = ""
    fetch_rows: int = 100

    def __repr__(self) -> str:
        return f"Login({self.host!r}, {self.port}, {self.database!r})"


class Pass(Protocol):
    """The result of one SELECT, read in parts."""

    columns: Sequence[ColumnInfo]

    def fetch(self, rows: int) -> Sequence[Sequence[Any]]:
        """Up to *rows* more rows, empty at the end. Raises SourceError."""
        ...

    def close(self) -> None:
        """End it, also before its end. Raises nothing."""
        ...


class Database(Protocol):
    """One connection. Its session has the zone UTC. Methods raise SourceError."""

    quotes: str
    """The quotation mark of identifiers."""

    def connect(self) -> None: ...

    def now_us(self) -> int:
        """The database's clock, µs since 1970."""
        ...

    def clock_note(self, zone: Any) -> str:
        """How the server's own zone differs from *zone*, as a sentence; empty if it does not."""
        ...

    def tables(self, catalog: str | None, schema: str | None) -> Sequence[TableName]:
        """All tables and views but the server's own. *catalog* and *schema* are patterns of LIKE; None for all."""
        ...

    def select(self, sql: str) -> Pass:
        """Run *sql*, one SELECT."""
        ...

    def moment(self, micros: int, kind: str) -> str:
        """SQL for a time that a timestamp column of *kind* is compared with."""
        ...

    def moment_kind(self, column: ColumnInfo) -> str:
        """The kind of a timestamp column: date, timestamp (local time of `db.timezone`) or timestamptz. Empty if its
        type has no times."""
        ...

    def domain_us(self, raw: Any, column: ColumnInfo) -> int | None:
        """The time in a row's value of such a *column*, in µs as `moment` takes them. None for an infinite one. Raises
        DecodeError."""
        ...

    def comparable(self, sql: str) -> str:
        """SQL for the timestamp column or expression *sql*, as it can be compared with `moment`."""
        ...

    def cancel(self) -> None:
        """End what the database is asked now; what it is asked later raises SourceError. From any thread. Raises
        nothing."""
        ...

    def close(self) -> None:
        """Raises nothing."""
        ...
