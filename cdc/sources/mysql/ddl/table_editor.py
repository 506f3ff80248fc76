"""A table's structure while a statement changes it.

MySQL Reference Manual, "CREATE TABLE Statement", "ALTER TABLE Statement"; MariaDB docs, the same titles.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

from .columns import Definition, settled
from .grammar import MYSQL, Grammar
from .structure import ColumnDef, TableStructure, UniqueKey
from .tokens import Cursor, NotUnderstood

_GENERATED_KEY: Final = "my_row_id"


class _Slot:
    """A column while its table changes. `former`: its name before the statement, None for a new column; `place` as in
    `Definition`."""

    __slots__ = ("column", "former", "place")

    def __init__(self, column: ColumnDef, former: str | None = None, place: str | None = None) -> None:
        self.column = column
        self.former = former
        self.place = place


class TableEditor:
    """The parts of a table while a statement is applied. Names are found without case, as the server does.

    The server works the same way (sql/sql_table.cc, `prepare_fields_and_keys`): the order of a statement's actions
    matters only for new columns and places. Actions name columns and keys as they were before the statement; places and
    new keys name columns as they are after it.
    """

    def __init__(self, table: TableStructure, inherited_charset: str | None, grammar: Grammar = MYSQL) -> None:
        self._table = table
        self._grammar = grammar
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
        self.sequence = table.sequence
        self.period_end: str | None = None
        """As in `TableStructure`, if the statement names it."""

    @property
    def columns(self) -> tuple[ColumnDef, ...]:
        """The columns as changed so far, in no particular order."""
        return tuple(slot.column for slot in (*self._slots, *(slot for slot in self._placed if slot.former is None)))

    def finish(self) -> TableStructure:
        """The changed table: with inherited charsets, and required columns in the primary key. Raises NotUnderstood."""
        charset = self.charset or self._inherited
        slots = self._arranged()
        if len({slot.column.name.lower() for slot in slots}) < len(slots):
            raise NotUnderstood("a column that is there already")
        self._keep_keys(slots)
        columns = tuple([settled(slot.column, charset, self._grammar) for slot in slots])
        primary_key = self._primary_key if self._new_primary is None else self._key(self._new_primary, columns)
        unique_keys = list(self._unique_keys)
        for name, parts in self._new_unique:
            unique_keys.append(_unique_key(name, self._key(parts, columns), unique_keys))
        period_end = self._period_end(columns)
        return TableStructure(
            self._table.id,
            tuple([replace(column, nullable=False) if column.nullable and column.name in primary_key else column
                   for column in columns]),
            primary_key, tuple(unique_keys), charset, self.collation, self.comment,
            self.versioned and period_end is None, period_end, self.sequence,
        )

    def _period_end(self, columns: tuple[ColumnDef, ...]) -> str | None:
        """As the column is spelled. The server does not rename such a column."""
        wanted = (self.period_end or self._table.period_end or "").lower()
        return next((column.name for column in columns if column.name.lower() == wanted), None) if wanted else None

    def _arranged(self) -> list[_Slot]:
        """Columns that stay in place; then, one by one, columns with a place and new columns."""
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
        """The column that MySQL created under sql_generate_invisible_primary_key; it stays first (sql/sql_gipk.cc,
        `adjust_generated_invisible_primary_key_column_position`)."""
        column = self._table.column(_GENERATED_KEY)
        made = (column is not None and column.auto_increment and column.type_name == "BIGINT UNSIGNED"
                and self._table.primary_key == (column.name,))
        return column.name if column is not None and made else ""

    def _keep_keys(self, slots: list[_Slot]) -> None:
        """The former keys, with the current names of columns. The server removes dropped columns from them."""
        names = {slot.former: slot.column.name for slot in slots if slot.former is not None}
        self._primary_key = tuple(names[name] for name in self._primary_key if name in names)
        kept = [(key, tuple(names[name] for name in key.columns if name in names)) for key in self._unique_keys]
        self._unique_keys = [UniqueKey(key.name, columns) for key, columns in kept if columns or not key.columns]

    def _key(self, names: tuple[str, ...], columns: tuple[ColumnDef, ...]) -> tuple[str, ...]:
        """*names* as the columns spell them. Former versions of a row have the same key, so the server adds the
        period's end to the primary key."""
        end = self.period_end
        if names and end is not None and end.lower() not in {name.lower() for name in names}:
            names = (*names, end)
        return _known(names, columns)

    def _find(self, name: str) -> _Slot:
        """The column that had this name before the statement. Raises NotUnderstood if there is none, because our
        structure is then not the server's."""
        folded = name.lower()
        for slot in self._slots:
            if slot.former is not None and slot.former.lower() == folded:
                return slot
        raise NotUnderstood("a column that is not known")

    def had(self, name: str) -> bool:
        """Whether the table had such a column before the statement, for IF EXISTS."""
        return any(slot.former is not None and slot.former.lower() == name.lower() for slot in self._slots)

    def has(self, name: str) -> bool:
        """Whether the table has such a column by now, for IF NOT EXISTS."""
        return any(column.name.lower() == name.lower() for column in self.columns)

    def column(self, name: str) -> ColumnDef:
        """The column that had this name, in its current form. Raises NotUnderstood."""
        return self._find(name).column

    def add(self, definition: Definition, name: str | None = None) -> None:
        """*name*: the column's, if *definition* was read without it."""
        column = definition.column if name is None else definition.column.named(name)
        self._placed.append(_Slot(column, None, definition.place))
        self._settle(definition, column.name)

    def change(self, name: str, definition: Definition) -> None:
        slot = self._find(name)
        slot.column = definition.column
        if definition.place is not None:
            slot.place = definition.place
            self._placed.append(slot)
        self._settle(definition, definition.column.name)

    def drop(self, name: str) -> None:
        self._slots.remove(self._find(name))

    def rename(self, old: str, new: str) -> None:
        self.replace(old, name=new)

    def replace(self, of: str, **values: object) -> None:
        slot = self._find(of)
        slot.column = replace(slot.column, **values)  # type: ignore[arg-type]

    def _settle(self, definition: Definition, name: str) -> None:
        """Adds the keys, and the versioning, that the definition of column *name* creates."""
        if definition.primary:
            self._new_primary = (name,)
        if definition.unique:
            self._new_unique.append((None, (name,)))
        self.versioned = self.versioned or definition.versioned

    def set_primary(self, columns: tuple[str, ...]) -> None:
        """*columns*: as of `key_parts`."""
        self._new_primary = columns

    def add_unique(self, name: str | None, columns: tuple[str, ...]) -> None:
        self._new_unique.append((name, columns))

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
        """CONVERT TO CHARACTER SET, for the table and all its character columns. None: the charset that the table would
        inherit."""
        self.charset, self.collation = charset or self._inherited, collation
        for slot in self._slots:
            if slot.column.is_character:
                slot.column = replace(slot.column, charset=self.charset, collation=collation)


def key_parts(cursor: Cursor) -> tuple[str, ...]:
    """Reads `(parts)`, where *cursor* is: the columns of a key; none if a part is an expression."""
    inside = cursor.inside()
    names = []
    while not inside.done:
        part = inside.item()
        if part.sees("("):
            return ()
        names.append(part.column())
    return tuple(names)


def _known(names: tuple[str, ...], columns: tuple[ColumnDef, ...]) -> tuple[str, ...]:
    """*names* as the columns spell them. Raises NotUnderstood."""
    known = {column.name.lower(): column.name for column in columns}
    if any(name.lower() not in known for name in names):
        raise NotUnderstood("a key of a column that is not known")
    return tuple(known[name.lower()] for name in names)


def _unique_key(name: str | None, columns: tuple[str, ...], others: list[UniqueKey]) -> UniqueKey:
    """The key's name; without one, the name that the server gives it (sql/sql_table.cc, `make_unique_key_name`)."""
    base = name or (columns[0] if columns else "functional_index")
    taken = {key.name.lower() for key in others} | {"primary"}
    if name is not None or base.lower() not in taken:
        return UniqueKey(base, columns)
    return UniqueKey(next(f"{base}_{number}" for number in itertools.count(2)
                          if f"{base}_{number}".lower() not in taken), columns)
