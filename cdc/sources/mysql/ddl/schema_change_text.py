"""Records of the schema change topic: the changed table, and the statement's text as Debezium repeats it.

Debezium sources: BinlogDatabaseSchema.parseDdl, DdlNormalizer.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, Literal

from cdc.core.dataclass import dataclass
from cdc.core.table import TableId
from cdc.sources.mysql.quoting import quoted_table

from .structure import TableStructure
from .tokens import PLAIN, STRING, Cursor, Dialect, Token, scan


@dataclass(frozen=True)
class TableChange:
    """`structure` is None for a DROP, and for a table whose structure must first be read from the server."""

    type: Literal["CREATE", "ALTER", "DROP"]
    id: TableId
    structure: TableStructure | None = None
    previous_id: TableId | None = None


@dataclass(frozen=True)
class SchemaChange:
    """One record of the schema change topic.

    `change`: None for a statement about a database, or about something that Debezium does not parse.
    `known`: False in the second case.
    `whole`: the complete statement, where Debezium cuts it (CREATE INDEX).
    """

    ddl: str
    database: str
    change: TableChange | None = None
    known: bool = True
    whole: str | None = None


_HEAD: Final = 64
"""Tokens that tell what a statement is: statements of any length are in the log, and most concern no table."""
_MOST: Final = 200_000
"""A table with the most columns, partitions or labels that a server allows has fewer tokens."""


class StatementText:
    """A statement as tokens, and its text as Debezium repeats it. `cursor` is at the first word, at index `begin`. Only
    the statement's head is read before `read_on`."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.source = text
        self.dialect = dialect
        self._read(_HEAD)
        if self.cursor.takes("SET", "STATEMENT"):  # MariaDB: SET STATEMENT name=value FOR statement
            self._read(_MOST)
            self.cursor.takes("SET", "STATEMENT")
            while not self.cursor.done and not self.cursor.takes("FOR"):
                self.cursor.next()
            if self.cursor.done:
                self.cursor.at = 0
        self.begin = self.cursor.at

    def _read(self, limit: int) -> None:
        """The first *limit* tokens."""
        self._limit = limit
        tokens, self._all = scan(self.source, self.dialect, limit)
        count = len(tokens)
        while self._all and count and tokens[count - 1].value == ";" and tokens[count - 1].kind == "symbol":
            count -= 1
        self.cursor = Cursor(tokens[:count], grammar=self.dialect.grammar, types=self.dialect.types)

    def read_on(self) -> bool:
        """Read the statement behind its head too, up to a limit. Returns whether it is complete then. `cursor` stays
        where it is."""
        if not self._all and self._limit < _MOST:
            at = self.cursor.at
            self._read(_MOST)
            self.cursor.at = at
        return self._all

    @property
    def text(self) -> str:
        """Without comments around it, and without what follows the last token."""
        complete = self.read_on()
        tokens = self.cursor.tokens
        if self.begin >= len(tokens):
            return ""
        return self.cut(tokens[self.begin], tokens[-1].end if complete else len(self.source.rstrip()))

    def cut(self, first: Token, end: int) -> str:
        """From *first* to *end*. Debezium repeats MySQL's strings in single quotes (DdlNormalizer)."""
        pieces, at = [], first.start
        tokens = self.cursor.tokens if self.dialect.grammar.single_quotes else ()
        for number in range(bisect_left(tokens, at, key=lambda token: token.start), len(tokens)):
            token = tokens[number]
            if token.start >= end:
                break
            if token.kind == STRING and token.text.startswith('"'):
                pieces += [self.source[at:token.start], "'", token.text[1:-1].replace("'", "''"), "'"]
                at = token.end
        return "".join([*pieces, self.source[at:end]])

    def without_create(self) -> str:
        """CREATE UNIQUE INDEX … as Debezium's reader of MySQL's statements repeats it."""
        return self.text[len("CREATE"):].lstrip() if self.dialect.grammar.cuts_create_index else self.text


def drop_text(prefix: str, id: TableId, suffix: str) -> str:
    """The DROP of one table of several, as if it had been dropped by a statement of its own."""
    return f"{prefix}{quoted_table(id)}{suffix}"


def statement_text(text: str, dialect: Dialect = PLAIN) -> str:
    """*text* as Debezium repeats it: from its first token to its last, without comments around them."""
    return StatementText(text, dialect).text
