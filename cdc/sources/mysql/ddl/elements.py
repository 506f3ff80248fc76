"""Reads what CREATE TABLE and ALTER TABLE have in common: columns and keys, and table options.

MySQL Reference Manual, "CREATE TABLE Statement" (create_definition, table_options); MariaDB docs, "CREATE TABLE".
"""

from __future__ import annotations

from typing import Final

from .columns import charset_name, charset_of_collation, read_definition
from .table_editor import TableEditor, key_parts
from .tokens import WORD, Cursor

# -- elements --------------------------------------------------------------------------------------------------------


def read_elements(inside: Cursor, editor: TableEditor, *, only_new: bool = False) -> None:
    """Reads the parenthesised part of CREATE TABLE, or of ADD COLUMN (…). *only_new* is IF NOT EXISTS."""
    while not inside.done:
        item = inside.item()
        if is_key(item):
            read_key(item, editor)
            continue
        name = item.column()
        if not (only_new and editor.has(name)):
            editor.add(read_definition(item, name))


def is_key(item: Cursor) -> bool:
    """Whether the element is a constraint, an index or a period, and no column."""
    token = item.peek()
    if token.kind != WORD:
        return False
    if token.value in ("PERIOD", "VECTOR"):
        return item.peek(1).value in ("FOR", "KEY", "INDEX") and item.peek(1).kind == WORD
    return token.value in ("CONSTRAINT", "PRIMARY", "UNIQUE", "INDEX", "KEY", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK")


def read_key(item: Cursor, editor: TableEditor) -> None:
    """Reads an element that `is_key`: a primary or unique key, or a period; others have no effect on the structure."""
    name = None
    if item.takes("CONSTRAINT") and not is_key(item):
        name = item.name()
    item_if_not_exists(item)
    if item.takes("PERIOD", "FOR", "SYSTEM_TIME"):
        item.needs("(")
        item.column()
        item.needs(",")
        editor.period_end = item.column()
    elif item.takes("PRIMARY", "KEY"):
        _index_head(item)
        editor.set_primary(key_parts(item))
    elif item.takes("UNIQUE"):
        item.takes_any("KEY", "INDEX")
        item_if_not_exists(item)
        editor.add_unique(_index_head(item) or name, key_parts(item))


def _index_head(item: Cursor) -> str | None:
    """`[name] [USING type]`, up to the parenthesis."""
    name = None
    while not item.done and not item.sees("("):
        if item.takes_any("USING", "TYPE"):
            item.next()
        else:
            name = item.name()
    return name


def item_if_not_exists(item: Cursor) -> None:
    item.takes("IF", "NOT", "EXISTS")


# -- options ---------------------------------------------------------------------------------------------------------

_QUERY: Final = frozenset({"AS", "SELECT", "WITH", "VALUES", "TABLE"})


def read_options(cursor: Cursor, editor: TableEditor) -> bool:
    """Reads table (or database) options up to the cursor's end. Returns False if a query follows, whose columns we
    cannot know. Options that have no effect on values are skipped, whatever they are."""
    while not cursor.done:
        if cursor.takes_any("PARTITION"):
            cursor.to_end()
        elif cursor.takes("WITH", "SYSTEM", "VERSIONING"):
            editor.versioned = editor.period_end is None
        elif cursor.takes("SEQUENCE"):
            cursor.takes("=")
            editor.sequence = cursor.next().value == "1"
        elif cursor.peek().kind == WORD and cursor.peek().value in _QUERY and cursor.peek(1).value != "=":
            return False
        elif not _read_option(cursor, editor):
            cursor.next()
    return True


def _read_option(cursor: Cursor, editor: TableEditor) -> bool:
    """Reads COMMENT, a charset or a collation."""
    if cursor.takes("COMMENT"):
        cursor.takes("=")
        cursor.string()
        editor.comment = cursor.peek(-1).text[1:-1] or None
        return True
    if cursor.sees("DEFAULT") and cursor.peek(1).value in ("CHARACTER", "CHARSET", "COLLATE"):
        cursor.next()
    if cursor.takes("CHARACTER", "SET") or cursor.takes("CHARSET"):
        cursor.takes("=")
        charset = charset_name(cursor)
        if charset.upper() != "DEFAULT":
            editor.charset, editor.collation = charset, None
        return True
    if cursor.takes("COLLATE"):
        cursor.takes("=")
        collation = charset_name(cursor)
        if collation.upper() != "DEFAULT":
            editor.charset, editor.collation = _fitting(editor.charset, collation), collation
        return True
    return False


def _fitting(charset: str | None, collation: str) -> str | None:
    """The charset of a collation; *charset* if the collation fits any, or if its name is an alias (utf8, utf8mb3)."""
    wanted = charset_of_collation(collation)
    if wanted is None or (charset is not None and {charset.lower(), wanted.lower()} <= {"utf8", "utf8mb3"}):
        return charset
    return wanted
