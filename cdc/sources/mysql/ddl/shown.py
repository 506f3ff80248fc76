"""Reads what SHOW CREATE TABLE prints, for very many tables: as `statements.read_shown`, several times faster.

The server prints each column and key on a line of its own, and the columns of many tables are defined alike. So we
split the text into its lines, and read each definition, without the column's name, only once. That gives the same
tokens as the whole text if each line is complete by itself: all its quotes and comments are closed, and its last token
is the comma, or the parenthesis, that ends the element. Text of any other form is read as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Final, TypeVar

from cdc.core.late_regex import late_regex
from cdc.core.named_tuple import NamedTuple
from cdc.core.table import TableId

from .columns import Definition, read_definition, settled
from .elements import read_elements, read_options
from .statements import read_shown
from .structure import Structures, TableStructure
from .table_editor import TableEditor
from .tokens import SYMBOL, Cursor, Dialect, NotUnderstood, Token, tokenize

_MOST: Final = 4096
"""So many definitions are kept, and so many lines."""
_LONGEST: Final = 1000
"""Characters of a definition that is kept: others are lists of labels, and no two tables share them."""
_HEAD: Final = late_regex(r"CREATE TABLE `([^`]+)` \(")
_COLUMN: Final = late_regex(r"  `([^`]+)`( [^.].*)", re.DOTALL)
_PART: Final = r"`[^`]+`(?:\(\d+\))?(?: DESC)?"
_PRIMARY: Final = late_regex(rf"  PRIMARY KEY \(({_PART}(?:,{_PART})*)\)(?: USING (?:BTREE|HASH))?(?:,|\n\))")
_NAME: Final = late_regex(r"`([^`]+)`")
_INDEX: Final = late_regex(
    rf"  (?:FULLTEXT |SPATIAL )?KEY `[^`]+` \({_PART}(?:,{_PART})*\)(?: USING (?:BTREE|HASH))?(?:,|\n\))")
"""An index that is not unique, which a structure does not have."""

_NO_TABLE: Final = TableStructure(TableId("", "", ""), ())

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Options(NamedTuple):
    """What follows a table's elements. `end`: of its last token. `versioned`: unless an element names the period.
    `table`: has the others."""

    end: int
    versioned: bool
    table: TableStructure


class ShownTables:
    """Reads the tables of one server. *structures* tells the charsets that they inherit."""

    def __init__(self, structures: Structures, dialect: Dialect) -> None:
        self._structures = structures
        self._dialect = dialect
        self._definitions: dict[tuple[str, str], Definition] = {}
        self._options: dict[str, _Options | None] = {}
        self._lines: dict[str, tuple[Token, ...]] = {}

    def read(self, text: str, database: str) -> tuple[TableStructure, str]:
        """The structure, and the statement as Debezium repeats it. Raises NotUnderstood."""
        try:
            found = self._by_lines(text, database)
        except NotUnderstood:
            found = None
        return found or read_shown(text, database, self._structures, self._dialect)

    def _by_lines(self, text: str, database: str) -> tuple[TableStructure, str] | None:
        """None if *text* has another form. Raises NotUnderstood."""
        head, _, body = text.partition("\n")
        named = _HEAD.fullmatch(head)
        if named is None or '"' in text:  # Debezium repeats strings in double quotes in another way
            return None
        elements, parenthesis, rest = body.partition("\n)")
        lines = elements.split("\n")
        if not parenthesis or not all(line.endswith(",") for line in lines[:-1]):
            return None
        options = _kept(self._options, rest, self._read_options)
        if options is None:
            return None
        id = self._structures.id_of(database, named[1])
        inherited = self._structures.charset_of(id.catalog)
        editor = TableEditor(replace(options.table, id=id), inherited, self._dialect.grammar)
        lines[-1] += "\n)"
        for line in lines:
            self._add(line, options.table.charset or inherited, editor)
        editor.versioned = editor.versioned or (options.versioned and editor.period_end is None)
        return editor.finish(), text[:len(text) - len(rest) + options.end]

    def _read_options(self, text: str) -> _Options | None:
        """None if *text* has another form. Raises NotUnderstood."""
        tokens = self._tokens(text)
        editor = TableEditor(_NO_TABLE, None, self._dialect.grammar)
        if not tokens or tokens[-1].value == ";" or not read_options(self._cursor(tokens), editor):
            return None
        return _Options(tokens[-1].end, editor.versioned, replace(
            _NO_TABLE, charset=editor.charset, collation=editor.collation, comment=editor.comment,
            sequence=editor.sequence))

    def _add(self, line: str, charset: str, editor: TableEditor) -> None:
        """Add the element in *line*, with what ends it, of a table of *charset*. Raises NotUnderstood."""
        column = _COLUMN.fullmatch(line)
        if column is not None:
            name, text = column.groups()
            editor.add(self._definitions.get((text, charset)) or self._definition(text, charset), name)
            return
        primary = _PRIMARY.fullmatch(line)
        if primary is not None:
            editor.set_primary(tuple(_NAME.findall(primary[1])))
        elif not _INDEX.fullmatch(line):
            read_elements(self._cursor(_kept(self._lines, line, self._complete)), editor)

    def _definition(self, text: str, charset: str) -> Definition:
        made = read_definition(self._cursor(self._complete(text)), "")
        made.column = settled(made.column, charset, self._dialect.grammar)
        _keep(self._definitions, (text, charset), made, len(text))
        return made

    def _complete(self, text: str) -> tuple[Token, ...]:
        """The tokens of one element, without the last one, which ends it. Raises NotUnderstood if *text* is more or
        less than one element."""
        tokens = self._tokens(text)
        depth = 0
        for token in tokens[:-1]:
            if token.kind == SYMBOL:
                depth += (token.value == "(") - (token.value == ")")
                if depth < 0 or (depth == 0 and token.value == ","):
                    raise NotUnderstood("more than one element in a line")
        if depth or len(tokens) < 2 or tokens[-1].kind != SYMBOL or tokens[-1].end != len(text):
            raise NotUnderstood("a line that is not complete")
        return tokens[:-1]

    def _tokens(self, text: str) -> tuple[Token, ...]:
        return tokenize(text, self._dialect)

    def _cursor(self, tokens: tuple[Token, ...]) -> Cursor:
        return Cursor(tokens, grammar=self._dialect.grammar, types=self._dialect.types)


def _kept(known: dict[str, T], text: str, read: Callable[[str], T]) -> T:
    """What *read* makes of *text*, from *known* if it is there."""
    found = known.get(text)
    if found is None:
        found = read(text)
        _keep(known, text, found, len(text))
    return found


def _keep(known: dict[K, T], key: K, found: T, length: int) -> None:
    if length <= _LONGEST:
        if len(known) >= _MOST:
            known.clear()
        known[key] = found
