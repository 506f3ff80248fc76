"""Foreign keys that change rows of captured tables below the log: ON DELETE or ON UPDATE CASCADE and SET NULL.

InnoDB itself changes the referencing rows, and MariaDB and MySQL before 9.6 log nothing of it. MySQL Reference Manual,
"FOREIGN KEY Constraints": innodb_native_foreign_keys; MariaDB docs, "Foreign Keys": "Limitations".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from cdc.core.table import TableId
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.shared.warnings import Warnings

from .connection import Connection, query
from .server import MySqlFacts

KIND: Final = "cascades_not_logged"
_AT_ONCE: Final = 20
_HINT: Final = (
    "Let the application or triggers change these rows instead, or take a new snapshot after such changes. MySQL 9.6"
    " logs them."
)
_QUERY: Final = """\
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE, REFERENCED_TABLE_NAME
FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s"""
"""With both names MariaDB opens this table only (Open_full_table; Scanned 0 databases)."""
_CHANGES_ROWS: Final = ("CASCADE", "SET NULL", "SET DEFAULT")


class CascadeWatch:
    """Of the captured tables, each is looked at once, and again when a statement has changed it."""

    def __init__(self, captured: Callable[[TableId], bool], warnings: Warnings) -> None:
        self._captured = captured
        self._warnings = warnings
        self._lock = threading.Lock()
        self._seen: dict[int, dict[TableId, TableStructure]] = {}
        self._groups: dict[int, Mapping[Any, TableStructure]] = {}
        self._due: dict[TableId, None] = {}
        self._found: dict[TableId, str] = {}

    def changed(self, structures: Structures) -> None:
        """These are the tables now. From the task's thread."""
        with self._lock:
            for number, group in enumerate(structures.copy().buckets()):
                if self._groups.get(number) is group:
                    continue  # nothing in it has changed
                self._groups[number] = group
                was = self._seen.get(number, {})
                now = {each.id: each for each in group.values() if self._captured(each.id) and not each.sequence}
                self._due.update(dict.fromkeys(id for id, each in now.items() if was.get(id) is not each))
                for id in was.keys() - now.keys():
                    self._due.pop(id, None)
                    self._found.pop(id, None)
                self._seen[number] = now

    def look(self, conn: Connection, facts: MySqlFacts) -> None:
        """Ask for the tables that are due. From the monitor's thread. Raises a SourceError."""
        with self._lock:
            due = list(self._due)
        if facts.logs_cascades:
            with self._lock:
                self._found.clear()
        else:
            for chunk in _chunks(due):
                self._note(chunk, *read_cascades(conn, chunk))
        with self._lock:
            found = dict(self._found)
        self._warnings.show(KIND, {
            str(id): (f"{text} change rows of the table, and the server does not log that", _HINT)
            for id, text in found.items()})

    def _note(self, asked: Sequence[TableId], found: dict[TableId, str], complete: bool) -> None:
        with self._lock:
            for id in asked if complete else found:
                self._due.pop(id, None)
                self._found.pop(id, None)
                if id in found and any(id in each for each in self._seen.values()):
                    self._found[id] = found[id]


def read_cascades(conn: Connection, ids: Sequence[TableId]) -> tuple[dict[TableId, str], bool]:
    """What changes rows of those of *ids* that have such foreign keys, in words; and whether the server knew of all
    *ids*: MariaDB leaves out tables that are locked, with a warning. Raises a SourceError."""
    text = " UNION ALL ".join([_QUERY] * len(ids))
    rows = query(conn, text, *(name for id in ids for name in (id.catalog, id.table)))
    keys: dict[tuple[str, str], list[str]] = {}
    for database, table, name, on_delete, on_update, parent in rows:
        rules = [f"ON {event} {rule}" for event, rule in (("DELETE", on_delete), ("UPDATE", on_update))
                 if str(rule).upper() in _CHANGES_ROWS]
        if rules:
            keys.setdefault((str(database), str(table)), []).append(f"{name} to {parent} ({', '.join(rules)})")
    (trouble,), = query(conn, "SELECT @@SESSION.warning_count")
    return {id: "foreign keys (" + "; ".join(sorted(found)) + ")"
            for id in ids if (found := keys.get((id.catalog, id.table)))}, not int(trouble)


def _chunks(ids: Iterable[TableId]) -> Iterator[list[TableId]]:
    left = list(ids)
    while left:
        yield left[:_AT_ONCE]
        del left[:_AT_ONCE]
