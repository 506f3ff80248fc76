"""Which of very many tables have rows, as the snapshot's transaction sees them: one question for many tables.

A server that has more tables than it keeps open spends most of such a question on opening them. It has just opened
those that it showed, so the question comes right behind SHOW CREATE TABLE of the same tables (`show_create`).

MariaDB with a binary log keeps metadata locks over a ROLLBACK TO SAVEPOINT (sql/transaction.cc), and looks through all
that a transaction holds for each further table. There the question is HANDLER, which gives its lock back; InnoDB
answers it from the transaction's view, too. MySQL Reference Manual, "HANDLER Statement", "Metadata Locking".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from cdc.core.table import TableId

from .connection import Connection
from .quoting import quoted_table

BEGIN: Final = "SAVEPOINT probe"
END: Final = "ROLLBACK TO SAVEPOINT probe"
"""On MySQL it releases the metadata locks that a question between the two has taken."""


def question(ids: Sequence[TableId]) -> str:
    """Gives the indexes of those of *ids* that have no rows."""
    return " UNION ALL ".join(f"SELECT {number} FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {quoted_table(id)})"
                              for number, id in enumerate(ids))


def handler(id: TableId) -> dict[str, str]:
    """Statements by what they do. That in the middle gives the first row that the transaction sees of *id*, if there is
    one."""
    return {"open": f"HANDLER {quoted_table(id)} OPEN AS probe", "read": "HANDLER probe READ FIRST",
            "close": "HANDLER probe CLOSE"}


class RowProbe:
    """`has_rows`: by table, as far as the server has told. Tables that are missing there must be asked for again."""

    def __init__(self, wanted: Iterable[TableId], connections: Sequence[Connection],
                 seeing: Collection[Connection], *, by_handler: bool) -> None:
        """Of the tables *wanted*. The structures are read on *connections*, of which those *seeing* have an open
        transaction of the snapshot. *by_handler*: a SELECT would keep its metadata lock until the transaction ends."""
        self.connections = connections
        self.by_handler = by_handler
        self.has_rows: dict[TableId, bool] = {}
        self._wanted = frozenset(wanted)
        self._seeing = frozenset(map(id, seeing))

    def asked(self, conn: Connection, tables: Iterable[TableId]) -> list[TableId]:
        """The *tables* that *conn* may be asked for."""
        return [each for each in tables if each in self._wanted] if id(conn) in self._seeing else []

    def without_rows(self, tables: Sequence[TableId], numbers: Iterable[int]) -> None:
        """What `question` gave for *tables*."""
        empty = set(numbers)
        self.has_rows.update((each, number not in empty) for number, each in enumerate(tables))
