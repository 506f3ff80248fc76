"""A table's structure under change: elements of CREATE TABLE, actions of ALTER TABLE, table options.

MySQL Reference Manual, "CREATE TABLE Statement" (create_definition, table_options), "ALTER TABLE Statement"
(alter_option); MariaDB docs, "CREATE TABLE", "ALTER TABLE".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Final

from .columns import (
    Definition,
    as_made,
    charset_name,
    charset_of_collation,
    read_default,
    read_definition,
    with_table_charset,
)
from .structure import ColumnDef, TableStructure, UniqueKey
from .tokens import WORD, Cursor, NotUnderstood

_GENERATED_KEY: Final = "my_row_id"


@dataclass(slots=True)
class _Slot:
    """A column while its table changes. `former` is its name before the statement, None for a new one; `place` is as in
    `Definition`."""

    column: ColumnDef
    former: str | None = None
    place: str | None = None


class TableEditor:
    """The parts of a table while a statement is applied. Names are found without case, as the server does.

    As there (sql/sql_table.cc, `prepare_fields_and_keys`), the order of a statement's actions counts for new columns
    and places only: actions name columns and keys as they were before it, while places and new keys name columns as
    they are after it.
    """

    def __init__(self, table: TableStructure, inherited_charset: str | None, *, mariadb: bool = False) -> None:
        self._table = table
        self._mariadb = mariadb
        self._inherited = inherited_charset
        self._slots = [_Slot(column, column.name) for column in table.columns]
        self._placed: list[_Slot] = []
        self._primary_key = table.primary_key
        self._unique_keys = list(table.unique_keys)
        self._new_primary: tuple[str, ...] | None = None
        self._new_unique: list[tuple[str | None, tuple[str, ...]]] = []
        self.charset = table.charset
        self.collation = table.collation
        self.comment = table.comment
        self.versioned = table.versioned
        self.period_end: str | None = None
        """The column that ends the period of MariaDB's system versioning, where the statement names it."""

    @property
    def columns(self) -> tuple[ColumnDef, ...]:
        """In no particular order."""
        return tuple(slot.column for slot in (*self._slots, *(slot for slot in self._placed if slot.former is None)))

    def finish(self) -> TableStructure:
        """The table as it is now: charsets inherited, columns of the primary key required. Raises NotUnderstood."""
        charset = self.charset or self._inherited
        slots = self._arranged()
        if len({slot.column.name.lower() for slot in slots}) < len(slots):
            raise NotUnderstood("a column that is there already")
        self._keep_keys(slots)
        columns = tuple(with_table_charset(as_made(slot.column) if self._mariadb else slot.column, charset)
                        for slot in slots)
        primary_key = self._primary_key if self._new_primary is None else self._key(self._new_primary, columns)
        unique_keys = list(self._unique_keys)
        for name, parts in self._new_unique:
            unique_keys.append(_unique_key(name, self._key(parts, columns), unique_keys))
        return replace(
            self._table, primary_key=primary_key, unique_keys=tuple(unique_keys), charset=charset,
            collation=self.collation, comment=self.comment, versioned=self.versioned,
            columns=tuple(replace(column, nullable=False) if column.nullable and column.name in primary_key else column
                          for column in columns),
        )

    def _arranged(self) -> list[_Slot]:
        """Columns that stay where they are; then, one after the other, those with a place and those that are new."""
        placed = {id(slot) for slot in self._placed}
        arranged = [slot for slot in self._slots if id(slot) not in placed]
        first = 1 if arranged and arranged[0].former == self._generated_key() else 0
        for slot in self._placed:
            if slot.place is None:
                arranged.append(slot)
            elif not slot.place:
                arranged.insert(first, slot)
            else:
                names = [each.column.name.lower() for each in arranged]
                if slot.place.lower() not in names:
                    raise NotUnderstood("a place behind a column that is not known")
                arranged.insert(names.index(slot.place.lower()) + 1, slot)
        return arranged

    def _generated_key(self) -> str:
        """The column that MySQL made under sql_generate_invisible_primary_key: it stays the first (sql/sql_gipk.cc,
        `adjust_generated_invisible_primary_key_column_position`)."""
        column = self._table.column(_GENERATED_KEY)
        made = (column is not None and column.auto_increment and column.type_name == "BIGINT UNSIGNED"
                and self._table.primary_key == (column.name,))
        return column.name if column is not None and made else ""

    def _keep_keys(self, slots: list[_Slot]) -> None:
        """Former keys under the present names. The server takes dropped columns out of them."""
        names = {slot.former: slot.column.name for slot in slots if slot.former is not None}
        self._primary_key = tuple(names[name] for name in self._primary_key if name in names)
        kept = [(key, tuple(names[name] for name in key.columns if name in names)) for key in self._unique_keys]
        self._unique_keys = [UniqueKey(key.name, columns) for key, columns in kept if columns or not key.columns]

    def _key(self, names: tuple[str, ...], columns: tuple[ColumnDef, ...]) -> tuple[str, ...]:
        """*names* as the columns write them. Former versions of a row have its key too, so the server adds the period's
        end to it."""
        end = self.period_end
        if names and end is not None and end.lower() not in {name.lower() for name in names}:
            names = (*names, end)
        return _known(names, columns)

    def _find(self, name: str) -> _Slot:
        """The column that had this name. Raises NotUnderstood where there is none: the structure is not the
        server's."""
        folded = name.lower()
        for slot in self._slots:
            if slot.former is not None and slot.former.lower() == folded:
                return slot
        raise NotUnderstood("a column that is not known")

    def had(self, name: str) -> bool:
        """Whether IF EXISTS finds it."""
        return any(slot.former is not None and slot.former.lower() == name.lower() for slot in self._slots)

    def has(self, name: str) -> bool:
        """Whether IF NOT EXISTS does."""
        return any(column.name.lower() == name.lower() for column in self.columns)

    def column(self, name: str) -> ColumnDef:
        """What had this name, as it is now. Raises NotUnderstood."""
        return self._find(name).column

    def add(self, definition: Definition) -> None:
        self._placed.append(_Slot(definition.column, None, definition.place))
        self._settle(definition)

    def change(self, name: str, definition: Definition) -> None:
        slot = self._find(name)
        slot.column = definition.column
        if definition.place is not None:
            slot.place = definition.place
            self._placed.append(slot)
        self._settle(definition)

    def drop(self, name: str) -> None:
        self._slots.remove(self._find(name))

    def rename(self, old: str, new: str) -> None:
        self.replace(old, name=new)

    def replace(self, of: str, **values: object) -> None:
        slot = self._find(of)
        slot.column = replace(slot.column, **values)  # type: ignore[arg-type]

    def _settle(self, definition: Definition) -> None:
        """The keys that a definition makes beside the column."""
        name = definition.column.name
        if definition.primary:
            self._new_primary = (name,)
        if definition.unique:
            self._new_unique.append((None, (name,)))

    def set_primary(self, cursor: Cursor) -> None:
        """From `(parts)`, which is where *cursor* is."""
        self._new_primary = _parts(cursor)

    def add_unique(self, name: str | None, cursor: Cursor) -> None:
        self._new_unique.append((name, _parts(cursor)))

    def drop_primary(self) -> None:
        self._primary_key = ()

    def drop_index(self, name: str) -> None:
        if name.lower() == "primary":
            self.drop_primary()
        self._unique_keys = [key for key in self._unique_keys if key.name.lower() != name.lower()]

    def rename_index(self, old: str, new: str) -> None:
        self._unique_keys = [UniqueKey(new, key.columns) if key.name.lower() == old.lower() else key
                             for key in self._unique_keys]

    def convert(self, charset: str | None, collation: str | None) -> None:
        """CONVERT TO CHARACTER SET: the table and all its character columns. None: what the table would inherit."""
        self.charset, self.collation = charset or self._inherited, collation
        for slot in self._slots:
            if slot.column.is_character:
                slot.column = replace(slot.column, charset=self.charset, collation=collation)


def _parts(cursor: Cursor) -> tuple[str, ...]:
    """Columns of a key; none where a part is an expression."""
    inside = cursor.inside()
    names = []
    while not inside.done:
        part = inside.item()
        if part.sees("("):
            return ()
        names.append(part.name())
    return tuple(names)


def _known(names: tuple[str, ...], columns: tuple[ColumnDef, ...]) -> tuple[str, ...]:
    """*names* as the columns themselves write them. Raises NotUnderstood."""
    known = {column.name.lower(): column.name for column in columns}
    if any(name.lower() not in known for name in names):
        raise NotUnderstood("a key of a column that is not known")
    return tuple(known[name.lower()] for name in names)


def _unique_key(name: str | None, columns: tuple[str, ...], others: list[UniqueKey]) -> UniqueKey:
    """Without a name it gets what the server gives it (sql/sql_table.cc, `make_unique_key_name`)."""
    base = name or (columns[0] if columns else "functional_index")
    taken = {key.name.lower() for key in others} | {"primary"}
    if name is not None or base.lower() not in taken:
        return UniqueKey(base, columns)
    return UniqueKey(next(f"{base}_{number}" for number in itertools.count(2)
                          if f"{base}_{number}".lower() not in taken), columns)


# -- elements --------------------------------------------------------------------------------------------------------


def read_elements(inside: Cursor, editor: TableEditor, *, only_new: bool = False) -> None:
    """The parenthesised part of CREATE TABLE, or of ADD COLUMN (…). *only_new* is IF NOT EXISTS."""
    while not inside.done:
        item = inside.item()
        if _is_key(item):
            _read_key(item, editor)
            continue
        name = item.name()
        if not (only_new and editor.has(name)):
            editor.add(read_definition(item, name))


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
    if item.takes("PERIOD", "FOR", "SYSTEM_TIME"):
        item.needs("(")
        item.name()
        item.needs(",")
        editor.period_end = item.name()
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
            editor.versioned = editor.period_end is None
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


def _fitting(charset: str | None, collation: str) -> str | None:
    """The charset a collation belongs to; *charset* where it is of any, or its name an alias (utf8, utf8mb3)."""
    wanted = charset_of_collation(collation)
    if wanted is None or (charset is not None and {charset.lower(), wanted.lower()} <= {"utf8", "utf8mb3"}):
        return charset
    return wanted


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
        read_elements(item.inside(), editor, only_new=skips)
        return
    name = item.name()
    if not (skips and editor.has(name)):
        editor.add(read_definition(item, name))


def _change(item: Cursor, editor: TableEditor) -> None:
    item.takes("COLUMN")
    skips = item.takes("IF", "EXISTS")
    old, new = item.name(), item.name()
    if not (skips and not editor.had(old)):
        editor.change(old, read_definition(item, new))


def _modify(item: Cursor, editor: TableEditor) -> None:
    item.takes("COLUMN")
    skips = item.takes("IF", "EXISTS")
    name = item.name()
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
        name = item.name()
        if not (skips and not editor.had(name)):
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
