"""Of what kind a statement is, by its first words, and which table an INSERT, UPDATE or DELETE changes."""

from __future__ import annotations

import re
from typing import Final, Literal

from cdc.core.late_regex import late_regex

from .tokens import WORD, Cursor

Kind = Literal["ddl", "begin", "commit", "rollback", "savepoint", "xa", "dml", "other"]
"""`ddl` may change structures, `dml` changes rows, `other` does neither."""

_DEBEZIUM_SKIPS: Final = late_regex(
    r"drop\s+temporary\s+table\s+if\s+exists\s.+/\*\s*generated\s+by\s+server\s*\*/|flush\s+relay\s+logs"
    r"|\s*\#\s*dummy\s+event", re.IGNORECASE | re.DOTALL)
"""Statements that Debezium drops unread (SchemaHistory.DDL_FILTER), where their first words do not decide."""

_DML: Final = frozenset({
    "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "SELECT", "WITH", "VALUES", "HANDLER", "TABLE",
})
_HARMLESS: Final = frozenset({
    "GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "SET", "USE", "LOCK", "UNLOCK",
    "INSTALL", "UNINSTALL", "PURGE", "RESET", "CHANGE", "START", "STOP", "KILL", "SHUTDOWN", "BACKUP", "CLONE", "SHOW",
    "EXPLAIN", "DESCRIBE", "DESC", "HELP", "PREPARE", "EXECUTE", "DEALLOCATE", "IMPORT", "CACHE", "BINLOG", "SIGNAL",
})
_DML_NOISE: Final = ("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO", "FROM")


def kind_of(cursor: Cursor) -> Kind:
    """The cursor stays where it is."""
    first = cursor.peek()
    if first.kind != WORD:
        return "dml" if first.value == "(" else "other"
    word = first.value
    if word == "BEGIN" or cursor.sees("START", "TRANSACTION"):
        return "begin"
    if word == "COMMIT":
        return "commit"
    if word == "ROLLBACK":
        return "savepoint" if any(each.value == "TO" for each in cursor.tokens[1:3]) else "rollback"
    if word == "SAVEPOINT" or word == "RELEASE":
        return "savepoint"
    if word == "XA":
        return "xa"
    if word in _DML:
        return "dml"
    return "other" if word in _HARMLESS else "ddl"


_BEFORE_OBJECT: Final = ("OR", "REPLACE", "TEMPORARY", "UNIQUE", "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE", "IGNORE")
_OBJECTS: Final = frozenset({"TABLE", "TABLES", "DATABASE", "SCHEMA", "INDEX", "SEQUENCE"})


def is_about_tables(cursor: Cursor) -> bool:
    """Whether a `ddl` statement needs to be read to its end: not for routines, views, events, triggers and users, whose
    texts may be long. The cursor stays where it is."""
    ahead = 1
    if cursor.peek().value in ("CREATE", "ALTER", "DROP"):
        while cursor.peek(ahead).kind == WORD and cursor.peek(ahead).value in _BEFORE_OBJECT:
            ahead += 1
        return cursor.peek(ahead).value in _OBJECTS
    return cursor.peek().value == "RENAME"


def is_skipped(text: str) -> bool:
    """Whether Debezium drops a `ddl` statement unread."""
    return _DEBEZIUM_SKIPS.match(text.strip()) is not None


def written_table(cursor: Cursor) -> tuple[str | None, str] | None:
    """Database and table that an INSERT, REPLACE, UPDATE or DELETE changes; None where it does not name one table
    plainly. Raises NotUnderstood."""
    word = cursor.next().value
    if word not in ("INSERT", "REPLACE", "UPDATE", "DELETE"):
        return None
    while cursor.takes_any(*_DML_NOISE):
        pass
    name = cursor.qualified()
    several = cursor.sees(",") or cursor.sees("JOIN") or (word == "DELETE" and cursor.sees("FROM"))
    return None if several or (word == "UPDATE" and not _is_one_table(cursor)) else name


def _is_one_table(cursor: Cursor) -> bool:
    """Whether SET comes before anything but an alias."""
    return any(cursor.peek(ahead).value == "SET" for ahead in range(3))
