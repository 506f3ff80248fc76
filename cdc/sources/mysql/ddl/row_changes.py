"""Which statements take rows out of a table, or put some in, without a row event for any of them.

MySQL Reference Manual, "ALTER TABLE Partition Operations", "Moving or Copying InnoDB Tables"; MariaDB docs, "Partition
Maintenance", "ALTER TABLE": ALTER IGNORE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

from cdc.core.table import TableId

from .tokens import Cursor, NotUnderstood

Effect = Literal["lost", "may have lost", "got", "exchanged"]


class RowChange(NamedTuple):
    """The table *id* lost, got or exchanged rows by *statement*, a form without names."""

    id: TableId
    statement: str
    effect: Effect


_ON_PARTITIONS: Final[tuple[tuple[str, Effect], ...]] = (
    ("DROP", "lost"), ("TRUNCATE", "lost"), ("DISCARD", "lost"), ("IMPORT", "got"),
)


def by_alter(id: TableId, actions: Cursor, table_id: Callable[[Cursor], TableId], *,
             ignore: bool, versioned: bool) -> tuple[RowChange, ...]:
    """Of ALTER TABLE *id*. *actions* begin behind the table's name; *table_id* reads another table's name. *ignore*:
    rows that do not fit a new key are left out. *versioned*: partitions may hold former versions of rows only. Raises
    nothing."""
    found = [RowChange(id, "ALTER IGNORE TABLE", "may have lost")] if ignore else []
    item = actions.fork(actions.at)
    while not item.done:
        found += _by_action(id, item.fork(item.at), table_id)
        item.item()
    if versioned:
        found = [each._replace(effect="may have lost") if each.effect == "lost" else each for each in found]
    return tuple(found)


def _by_action(id: TableId, action: Cursor, table_id: Callable[[Cursor], TableId]) -> list[RowChange]:
    try:
        for verb, effect in _ON_PARTITIONS:
            if action.takes(verb, "PARTITION"):
                return [RowChange(id, f"ALTER TABLE … {verb} PARTITION", effect)]
            if action.takes(verb, "TABLESPACE"):
                return [RowChange(id, f"ALTER TABLE … {verb} TABLESPACE", effect)]
        if action.takes("REORGANIZE", "PARTITION"):
            return _by_reorganize(id, action)
        if action.takes("EXCHANGE", "PARTITION"):
            action.name()
            action.needs("WITH", "TABLE")
            statement: str = "ALTER TABLE … EXCHANGE PARTITION"
            return [RowChange(id, statement, "exchanged"), RowChange(table_id(action), statement, "exchanged")]
        if action.takes("CONVERT", "PARTITION"):
            action.name()
            action.needs("TO", "TABLE")
            statement = "ALTER TABLE … CONVERT PARTITION"
            return [RowChange(id, statement, "lost"), RowChange(table_id(action), statement, "got")]
        if action.takes("CONVERT", "TABLE"):
            statement = "ALTER TABLE … CONVERT TABLE"
            return [RowChange(table_id(action), statement, "lost"), RowChange(id, statement, "got")]
        if action.takes("ENGINE"):
            action.takes("=")
            return [RowChange(id, "ALTER TABLE … ENGINE=BLACKHOLE", "lost")] if (
                action.peek().value.upper() == "BLACKHOLE") else []
    except NotUnderstood:
        return [RowChange(id, "ALTER TABLE … PARTITION", "may have lost")]
    return []


def _by_reorganize(id: TableId, action: Cursor) -> list[RowChange]:
    """A list partition can be divided into some that lack values, whose rows the server then drops silently. It
    refuses to leave out a part of a range, and HASH and KEY have a place for every row."""
    while not action.done:
        if action.takes("VALUES", "IN"):
            return [RowChange(id, "ALTER TABLE … REORGANIZE PARTITION", "may have lost")]
        action.next()
    return []


def by_rename(pairs: Iterable[tuple[TableId, TableId]]) -> tuple[RowChange, ...]:
    """Of RENAME TABLE or ALTER TABLE … RENAME, whose *pairs* of old and new names happen in order. A name that another
    table took over has other rows."""
    now: dict[TableId, TableId] = {}
    had_own: dict[TableId, None] = {}
    for old, new in pairs:
        origin = now.pop(old, old)
        had_own.setdefault(origin)
        now[new] = origin
    found = [RowChange(name, "RENAME TABLE", "exchanged" if name in had_own else "got")
             for name, origin in now.items() if name != origin]
    return (*found, *(RowChange(name, "RENAME TABLE", "lost") for name in had_own if name not in now))
