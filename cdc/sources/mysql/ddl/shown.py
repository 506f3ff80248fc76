"""Reads what SHOW CREATE TABLE prints, for very many tables: as `statements.read_shown`, several times faster.

The server prints each column and key on a line of its own, and the columns of many tables are defined alike. So we
split the text into its lines, and read each definition, without the column's name, only once. That gives the same
tokens as the whole text if each line is complete by itself: all its quotes and comments are closed, and its last token
is the comma, or the parenthesis, that ends the element. Text of any other form is read as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from .columns import Definition, read_definition
from .elements import read_elements, read_options
from .statements import read_shown
from .structure import Structures, TableStructure
from .table_editor import TableEditor
from .tokens import SYMBOL, Cursor, Dialect, NotUnderstood, Token, tokenize

_MOST: Final = 4096
"""So many definitions are kept, and so many lines."""
_LONGEST: Final = 1000
"""Characters of a definition that is kept: others are lists of labels, and no two tables share them."""
_HEAD: Final = re.compile(r"CREATE TABLE `([^`]+)` \(")
_COLUMN: Final = re.compile(r"  `([^`]+)`( [^.].*)", re.DOTALL)
_PART: Final = r"`[^`]+`(?:\(\d+\))?(?: DESC)?"
_INDEX: Final = re.compile(
    rf"  (?:FULLTEXT |SPATIAL )?KEY `[^`]+` \({_PART}(?:,{_PART})*\)(?: USING (?:BTREE|HASH))?(?:,|\n\))")
"""An index that is not unique, which a structure does not have."""

T = TypeVar("T")


class ShownTables:
    """Reads the tables of one server. *structures* tells the charsets that they inherit."""

    def __init__(self, structures: Structures, dialect: Dialect) -> None:
        self._structures = structures
        self._dialect = dialect
        self._definitions: dict[str, Definition] = {}
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
        id = self._structures.id_of(database, named[1])
        editor = TableEditor(TableStructure(id, ()), self._structures.charset_of(id.catalog), self._dialect.grammar)
        elements, parenthesis, rest = body.partition("\n)")
        lines = elements.split("\n")
        if not parenthesis or not all(line.endswith(",") for line in lines[:-1]):
            return None
        for line in (*lines[:-1], lines[-1] + "\n)"):
            self._add(line, editor)
        options = _kept(self._lines, rest, self._tokens)
        if not options or options[-1].value == ";" or not read_options(self._cursor(options), editor):
            return None
        return editor.finish(), text[:len(text) - len(rest) + options[-1].end]

    def _add(self, line: str, editor: TableEditor) -> None:
        """Add the element in *line*, with what ends it. Raises NotUnderstood."""
        column = _COLUMN.fullmatch(line)
        if column is not None:
            known = _kept(self._definitions, column[2], self._definition)
            editor.add(Definition(known.column.named(column[1]), known.unique, known.primary, known.versioned,
                                  known.place))
        elif not _INDEX.fullmatch(line):
            read_elements(self._cursor(_kept(self._lines, line, self._complete)), editor)

    def _definition(self, text: str) -> Definition:
        return read_definition(self._cursor(self._complete(text)), "")

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
        if len(text) <= _LONGEST:
            if len(known) >= _MOST:
                known.clear()
            known[text] = found
    return found
