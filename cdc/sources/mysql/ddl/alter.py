"""Reads the actions of ALTER TABLE, and applies them to a table's structure.

MySQL Reference Manual, "ALTER TABLE Statement" (alter_option); MariaDB docs, "ALTER TABLE".
"""

from __future__ import annotations

from typing import Final

from .columns import charset_name, charset_of_collation, read_default, read_definition
from .elements import is_key, read_elements, read_key, read_options
from .table_editor import TableEditor
from .tokens import WORD, Cursor, NotUnderstood

_NO_STRUCTURE: Final = frozenset({
    "ALGORITHM", "LOCK", "FORCE", "DISABLE", "ENABLE", "DISCARD", "IMPORT", "VALIDATE", "COALESCE", "REORGANIZE",
    "EXCHANGE", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR", "REMOVE", "TRUNCATE", "NOWAIT", "WAIT",
    "SECONDARY_LOAD", "SECONDARY_UNLOAD", "ORDER", "PARTITION", "UPGRADE",
})
_OPTIONS: Final = frozenset({
    "ENGINE", "TYPE", "AUTO_INCREMENT", "AVG_ROW_LENGTH", "CHECKSUM", "PAGE_CHECKSUM", "COMMENT", "COMPRESSION",
    "CONNECTION", "DATA", "INDEX", "DELAY_KEY_WRITE", "ENCRYPTION", "ENCRYPTED", "ENCRYPTION_KEY_ID", "INSERT_METHOD",
    "KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS", "PACK_KEYS", "PASSWORD", "ROW_FORMAT", "STATS_AUTO_RECALC",
    "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "TABLESPACE", "STORAGE", "UNION", "CHARACTER", "CHARSET", "COLLATE",
    "DEFAULT", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "AUTOEXTEND_SIZE",
    "TRANSACTIONAL", "PAGE_COMPRESSED", "PAGE_COMPRESSION_LEVEL", "IETF_QUOTES", "SEQUENCE", "START", "RAID_TYPE",
    "TABLE_CHECKSUM",
})


def apply_action(item: Cursor, editor: TableEditor) -> None:
    """Reads one action of ALTER TABLE, but not RENAME of the table itself. Raises NotUnderstood."""
    token = item.peek()
    if item.done:
        return
    if token.kind != WORD:
        raise item.surprise("an unknown action")
    action = _ACTIONS.get(token.value)
    if action is not None:
        item.next()
        action(item, editor)
    elif token.value in _NO_STRUCTURE or (token.value in ("WITH", "WITHOUT") and item.peek(1).value == "VALIDATION"):
        item.to_end()
    elif token.value in _OPTIONS or item.peek(1).value == "=":
        read_options(item, editor)
    else:
        raise NotUnderstood(f"the action {token.value}")


def _add(item: Cursor, editor: TableEditor) -> None:
    if item.takes("SYSTEM", "VERSIONING"):
        editor.versioned = not any(column.generated and not column.nullable for column in editor.columns)
        return
    if item.sees("PERIOD", "FOR"):
        raise NotUnderstood("the action ADD PERIOD")
    if is_key(item):
        read_key(item, editor)
        return
    item.takes("COLUMN")
    skips = item.takes("IF", "NOT", "EXISTS")
    if item.sees("("):
        read_elements(item.inside(), editor, only_new=skips)
        return
    name = item.column()
    if not (skips and editor.has(name)):
        editor.add(read_definition(item, name))


def _change(item: Cursor, editor: TableEditor) -> None:
    item.takes("COLUMN")
    skips = item.takes("IF", "EXISTS")
    old, new = item.column(), item.column()
    if not (skips and not editor.had(old)):
        editor.change(old, read_definition(item, new))


def _modify(item: Cursor, editor: TableEditor) -> None:
    item.takes("COLUMN")
    skips = item.takes("IF", "EXISTS")
    name = item.column()
    if not (skips and not editor.had(name)):
        editor.change(name, read_definition(item, editor.column(name).name))


def _drop(item: Cursor, editor: TableEditor) -> None:
    if item.takes("FOREIGN", "KEY") or item.takes("CHECK"):
        item.to_end()
    elif item.takes("SYSTEM", "VERSIONING"):
        if not editor.versioned:
            raise NotUnderstood("the action DROP SYSTEM VERSIONING")
        editor.versioned = False
    elif item.sees("PERIOD", "FOR"):
        raise NotUnderstood("the action DROP PERIOD")
    elif item.takes("PRIMARY", "KEY"):
        editor.drop_primary()
    elif item.takes_any("INDEX", "KEY", "CONSTRAINT"):
        item.takes("IF", "EXISTS")
        editor.drop_index(item.name())
    else:
        item.takes("COLUMN")
        skips = item.takes("IF", "EXISTS")
        name = item.column()
        if not (skips and not editor.had(name)):
            editor.drop(name)


def _rename(item: Cursor, editor: TableEditor) -> None:
    if item.takes("COLUMN"):
        item.takes("IF", "EXISTS")
        old = item.column()
        item.needs("TO")
        editor.rename(old, item.column())
    elif item.takes_any("INDEX", "KEY"):
        item.takes("IF", "EXISTS")
        old = item.name()
        item.needs("TO")
        editor.rename_index(old, item.name())


def _alter(item: Cursor, editor: TableEditor) -> None:
    if item.sees("INDEX") or item.sees("KEY") or item.sees("CHECK") or item.sees("CONSTRAINT"):
        item.to_end()
        return
    item.takes("COLUMN")
    item.takes("IF", "EXISTS")
    name = item.column()
    if item.takes("DROP", "DEFAULT"):
        editor.replace(name, default=None)
    elif item.takes("SET", "DEFAULT"):
        editor.replace(name, default=read_default(item))
    elif item.takes("SET", "VISIBLE") or item.takes("SET", "INVISIBLE"):
        editor.replace(name, invisible=item.peek(-1).value == "INVISIBLE")
    else:
        raise item.surprise("an unknown change of a column")


def _convert(item: Cursor, editor: TableEditor) -> None:
    item.needs("TO")
    if not (item.takes("CHARACTER", "SET") or item.takes("CHARSET")):
        raise item.surprise("an unknown conversion")
    charset: str | None = charset_name(item)
    collation = None
    if item.takes("COLLATE"):
        item.takes("=")
        collation = charset_name(item)
    if charset is not None and charset.upper() == "DEFAULT":
        charset = None if collation is None else charset_of_collation(collation)
    editor.convert(charset, collation)


_ACTIONS: Final = {
    "ADD": _add, "CHANGE": _change, "MODIFY": _modify, "DROP": _drop, "RENAME": _rename, "ALTER": _alter,
    "CONVERT": _convert,
}
