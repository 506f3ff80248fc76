"""What a change of a table that is not captured may change besides: the tables of a view, and what triggers write.

Asked only for changes that were logged as statements. MySQL Reference Manual, "The INFORMATION_SCHEMA VIEWS Table",
"The INFORMATION_SCHEMA TRIGGERS Table"; both hide what the user has no privilege for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from cdc.core.late_regex import late_regex
from cdc.core.table import TableId

from .connection import Connection, query

_VIEW: Final = """\
SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""
_TRIGGERS: Final = """\
SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s"""
_QUALIFIED: Final = late_regex(r"`((?:[^`]|``)+)`\.`((?:[^`]|``)+)`")
_WORD: Final = late_regex(r"[\w$]+")


def changed_besides(conn: Connection, id: TableId, captured: Collection[TableId]) -> str | None:
    """Why a statement that changes *id* may change one of *captured*, in words; None if nothing shows that it does.
    Raises a SourceError."""
    wanted = {(each.catalog.lower(), each.table.lower()): each for each in captured}
    names = {table: each for (_, table), each in wanted.items()}
    seen: set[TableId] = set()
    left = [id]
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        found = wanted.get((each.catalog.lower(), each.table.lower()))
        if found is not None:
            return f"{id} is a view of {found}"
        for text, in query(conn, _VIEW, each.catalog, each.table):
            if not text:
                return f"{each} is a view that the user may not see (SHOW VIEW)"
            left += _tables_in(_text(text))
        for text, in query(conn, _TRIGGERS, each.catalog, each.table):
            named = next((names[word] for word in map(str.lower, _WORD.findall(_text(text))) if word in names), None)
            if named is not None:
                return f"a trigger of {each} names {named}"
    return None


def _tables_in(view: str) -> Iterator[TableId]:
    """The server qualifies each table. Some of these are aliases and columns, which name no view."""
    for database, table in _QUALIFIED.findall(view):
        yield TableId(database.replace("``", "`"), "", table.replace("``", "`"))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
