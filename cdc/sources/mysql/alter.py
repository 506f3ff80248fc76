"""A table's structure under change: elements of CREATE TABLE, actions of ALTER TABLE, table options.

MySQL Reference Manual, "CREATE TABLE Statement" (create_definition, table_options), "ALTER TABLE Statement"
(alter_option); MariaDB docs, "CREATE TABLE", "ALTER TABLE".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .columns import (
    Definition,
    charset_name,
    charset_of_collation,
    read_default,
    read_definition,
    with_table_charset,
)
from .structure import TableStructure, UniqueKey
from .tokens import WORD, Cursor, NotUnderstood


class TableEditor:
    """The parts of a table while a statement is applied. Names are found without case, as the server does."""

    def __init__(self, table: TableStructure, inherited_charset: str | None) -> None:
        self._table = table
        self._inherited = inherited_charset
        self.columns = list(table.columns)
        self.primary_key = table.primary_key
        self.unique_keys = list(table.unique_keys)
        self.charset = table.charset
        self.collation = table.collation
        self.comment = table.comment
        self.versioned = table.versioned
        self.has_period = False

    def finish(self) -> TableStructure:
        """The table as it is now: charsets inherited, columns of the primary key required."""
        charset = self.charset or self._inherited
        key = {name.lower() for name in self.primary_key}
        columns = (with_table_charset(column, charset) for column in self.columns)
        return replace(
            self._table, primary_key=self.primary_key, unique_keys=tuple(self.unique_keys), charset=charset,
            collation=self.collation, comment=self.comment, versioned=self.versioned,
            columns=tuple(replace(c, nullable=False) if c.nullable and c.name.lower() in key else c for c in columns),
        )

    def find(self, name: str) -> int:
        """Where a column is. Raises NotUnderstood where there is none: the structure is not the server's."""
        folded = name.lower()
        for index, column in enumerate(self.columns):
            if column.name.lower() == folded:
                return index
        raise NotUnderstood("a column that is not known")

    def has(self, name: str) -> bool:
        return any(column.name.lower() == name.lower() for column in self.columns)

    def add(self, definition: Definition) -> None:
        self.columns.append(definition.column)
        self._settle(definition)

    def change(self, name: str, definition: Definition) -> None:
        index = self.find(name)
        former = self.columns[index].name
        self.columns[index] = definition.column
        if former != definition.column.name:
            self._rename_in_keys(former, definition.column.name)
        self._settle(definition)

    def rename(self, old: str, new: str) -> None:
        index = self.find(old)
        former = self.columns[index].name
        self.columns[index] = replace(self.columns[index], name=new)
        self._rename_in_keys(former, new)

    def drop(self, name: str) -> None:
        """The server takes a dropped column out of its keys as well."""
        former = self.columns.pop(self.find(name)).name
        self.primary_key = tuple(each for each in self.primary_key if each != former)
        kept = (UniqueKey(key.name, tuple(each for each in key.columns if each != former)) if former in key.columns
                else key for key in self.unique_keys)
        self.unique_keys = [new for new, old in zip(kept, tuple(self.unique_keys)) if new.columns or not old.columns]

    def replace(self, name: str, **values: object) -> None:
        index = self.find(name)
        self.columns[index] = replace(self.columns[index], **values)  # type: ignore[arg-type]

    def _settle(self, definition: Definition) -> None:
        """What a definition says beside the column: keys, and its place."""
        name = definition.column.name
        if definition.primary:
            self.primary_key = (name,)
        if definition.unique:
            self.unique_keys.append(UniqueKey(self._free_name(name), (name,)))
        if definition.place is not None:
            column = self.columns.pop(self.find(name))
            self.columns.insert(self.find(definition.place) + 1 if definition.place else 0, column)

    def _rename_in_keys(self, old: str, new: str) -> None:
        self.primary_key = tuple(new if name == old else name for name in self.primary_key)
        self.unique_keys = [UniqueKey(key.name, tuple(new if name == old else name for name in key.columns))
                            for key in self.unique_keys]

    def _free_name(self, base: str) -> str:
        """How the server names a key that has no name (sql/sql_table.cc, make_unique_key_name)."""
        taken = {key.name.lower() for key in self.unique_keys}
        if base.lower() not in taken and base.lower() != "primary":
            return base
        return next(f"{base}_{number}" for number in range(2, 1000) if f"{base}_{number}".lower() not in taken)

    def set_primary(self, cursor: Cursor) -> None:
        """From `(parts)`, which is where *cursor* is."""
        self.primary_key = self._parts(cursor)

    def add_unique(self, name: str | None, cursor: Cursor) -> None:
        columns = self._parts(cursor)
        base = name or (columns[0] if columns else "functional_index")
        self.unique_keys.append(UniqueKey(name or self._free_name(base), columns))

    def _parts(self, cursor: Cursor) -> tuple[str, ...]:
        """Columns of a key; none where a part is an expression."""
        inside = cursor.inside()
        names = []
        while not inside.done:
            part = inside.item()
            if part.sees("("):
                return ()
            names.append(self.columns[self.find(part.name())].name)
        return tuple(names)

    def drop_index(self, name: str) -> None:
        if name.lower() == "primary":
            self.primary_key = ()
        self.unique_keys = [key for key in self.unique_keys if key.name.lower() != name.lower()]

    def rename_index(self, old: str, new: str) -> None:
        self.unique_keys = [UniqueKey(new, key.columns) if key.name.lower() == old.lower() else key
                            for key in self.unique_keys]

    def convert(self, charset: str, collation: str | None) -> None:
        """CONVERT TO CHARACTER SET: the table and all its character columns."""
        self.charset, self.collation = charset, collation
        self.columns = [replace(column, charset=charset, collation=collation) if column.is_character else column
                        for column in self.columns]


# -- elements --------------------------------------------------------------------------------------------------------


def read_elements(inside: Cursor, editor: TableEditor) -> None:
    """The parenthesised part of CREATE TABLE, or of ADD COLUMN (…). Keys come after the columns they are of."""
    keys = []
    while not inside.done:
        item = inside.item()
        if _is_key(item):
            keys.append(item)
        else:
            name = item.name()
            editor.add(read_definition(item, name))
    for item in keys:
        _read_key(item, editor)


def _is_key(item: Cursor) -> bool:
    """Whether this is a constraint, an index or a period, and not a column."""
    token = item.peek()
    if token.kind != WORD:
        return False
    if token.value in ("PERIOD", "VECTOR"):
        return item.peek(1).value in ("FOR", "KEY", "INDEX") and item.peek(1).kind == WORD
    return token.value in ("CONSTRAINT", "PRIMARY", "UNIQUE", "INDEX", "KEY", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK")


def _read_key(item: Cursor, editor: TableEditor) -> None:
    name = None
    if item.takes("CONSTRAINT") and not _is_key(item):
        name = item.name()
    item_if_not_exists(item)
    if item.sees("PERIOD", "FOR", "SYSTEM_TIME"):
        editor.has_period = True
    elif item.takes("PRIMARY", "KEY"):
        _index_head(item)
        editor.set_primary(item)
    elif item.takes("UNIQUE"):
        item.takes_any("KEY", "INDEX")
        item_if_not_exists(item)
        editor.add_unique(_index_head(item) or name, item)


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
    """Table (or database) options up to the cursor's end; False when a query follows, whose columns nobody here
    knows. Options without meaning for values are passed over, whatever they are."""
    while not cursor.done:
        if cursor.takes_any("PARTITION"):
            cursor.to_end()
        elif cursor.takes("WITH", "SYSTEM", "VERSIONING"):
            editor.versioned = not editor.has_period
        elif cursor.peek().kind == WORD and cursor.peek().value in _QUERY and cursor.peek(1).value != "=":
            return False
        elif not _read_option(cursor, editor):
            cursor.next()
    return True


def _read_option(cursor: Cursor, editor: TableEditor) -> bool:
    """COMMENT, a charset or a collation."""
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


def _fitting(charset: str | None, collation: str) -> str:
    """The charset a collation belongs to; *charset* where its name is an alias of that (utf8, utf8mb3)."""
    wanted = charset_of_collation(collation)
    same = charset is not None and {charset.lower(), wanted.lower()} <= {"utf8", "utf8mb3"}
    return charset if same and charset is not None else wanted


# -- actions ---------------------------------------------------------------------------------------------------------

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
    """One action of ALTER TABLE; RENAME of the table itself is not looked at. Raises NotUnderstood."""
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
    if _is_key(item):
        _read_key(item, editor)
        return
    item.takes("COLUMN")
    skips = item.takes("IF", "NOT", "EXISTS")
    if item.sees("("):
        read_elements(item.inside(), editor)
        return
    name = item.name()
    if not (skips and editor.has(name)):
        editor.add(read_definition(item, name))


def _change(item: Cursor, editor: TableEditor) -> None:
    item.takes("COLUMN")
    skips = item.takes("IF", "EXISTS")
    old, new = item.name(), item.name()
    if not (skips and not editor.has(old)):
        editor.change(old, read_definition(item, new))


def _modify(item: Cursor, editor: TableEditor) -> None:
    item.takes("COLUMN")
    skips = item.takes("IF", "EXISTS")
    name = item.name()
    if not (skips and not editor.has(name)):
        editor.change(name, read_definition(item, editor.columns[editor.find(name)].name))


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
        editor.primary_key = ()
    elif item.takes_any("INDEX", "KEY", "CONSTRAINT"):
        item.takes("IF", "EXISTS")
        editor.drop_index(item.name())
    else:
        item.takes("COLUMN")
        skips = item.takes("IF", "EXISTS")
        name = item.name()
        if not (skips and not editor.has(name)):
            editor.drop(name)


def _rename(item: Cursor, editor: TableEditor) -> None:
    if item.takes("COLUMN"):
        item.takes("IF", "EXISTS")
        old = item.name()
        item.needs("TO")
        editor.rename(old, item.name())
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
    name = item.name()
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
    charset = charset_name(item)
    collation = None
    if item.takes("COLLATE"):
        item.takes("=")
        collation = charset_name(item)
    if charset.upper() == "DEFAULT":
        if collation is None:
            raise NotUnderstood("a conversion to the default charset")
        charset = charset_of_collation(collation)
    editor.convert(charset, collation)


_ACTIONS: Final = {
    "ADD": _add, "CHANGE": _change, "MODIFY": _modify, "DROP": _drop, "RENAME": _rename, "ALTER": _alter,
    "CONVERT": _convert,
}
