"""Splits SQL text of MySQL and MariaDB into tokens, and reads them by a cursor.

MySQL Reference Manual, "Lexical Structure": "String Literals", "Schema Object Names", "Comments"; MariaDB docs,
"Comment Syntax". Comments are left out. Versioned comments (`/*!50100 … */`) are read if the server that wrote them
reads them. Nothing is refused here: text that is no token of SQL becomes a symbol.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cache
from sys import intern
from typing import Final, NamedTuple

from cdc.core.dataclass import dataclass
from cdc.core.late_regex import late_regex

from .grammar import MYSQL, NO_TYPES, Grammar

WORD: Final = "word"
"""A keyword or an unquoted name."""
NAME: Final = "name"
"""A quoted name."""
STRING: Final = "string"
NUMBER: Final = "number"
BITS: Final = "bits"
"""b'101', 0b101; `value` is the digits."""
HEX: Final = "hex"
"""x'1F', 0x1F; `value` is the digits."""
CHARSET: Final = "charset"
"""An introducer, such as `_utf8mb4`."""
SYMBOL: Final = "symbol"

MODE_ANSI_QUOTES: Final = 0x4
MODE_NO_BACKSLASH_ESCAPES: Final = 0x100000
"""Bits of sql_mode: MySQL Source Code Documentation, `Query_event` (Q_SQL_MODE_CODE); MariaDB sql/sql_class.h."""


class NotUnderstood(Exception):
    """The statement contains something that we do not read. The message names the place by a keyword, never by a
    value."""


class Token(NamedTuple):
    """`value`: the upper-case keyword of a WORD, the decoded text of a NAME or STRING, otherwise the text as written.
    `start`, `end`: places in the statement."""

    kind: str
    value: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Dialect:
    """The rules for reading text: the kind of server that wrote it, and its sql_mode at that time. `version` is written
    as in versioned comments (80036, 101119); if it is 0 (unknown), every versioned comment is read."""

    grammar: Grammar = MYSQL
    version: int = 0
    ansi_quotes: bool = False
    backslash_escapes: bool = True
    types: Mapping[str, str] = field(default_factory=dict)
    """Types that mean others under this sql_mode."""

    def runs(self, for_mariadb: bool, number: int) -> bool:
        """Whether the server runs the text of a versioned comment. MariaDB skips comments for MySQL 5.7 to 9."""
        if for_mariadb and not self.grammar.mariadb_comments:
            return False
        if self.grammar.mariadb_comments and not for_mariadb and 50700 <= number <= 99999:
            return False
        return self.version == 0 or number <= self.version

    def under(self, sql_mode: int | None) -> Dialect:
        """The dialect of a statement that ran under *sql_mode*, which a Query event contains; None if it does not."""
        if sql_mode is None:
            return self
        ansi_quotes, backslashes = bool(sql_mode & MODE_ANSI_QUOTES), not sql_mode & MODE_NO_BACKSLASH_ESCAPES
        types = next((types for bit, types in self.grammar.types_by_mode if sql_mode & bit), NO_TYPES)
        if (ansi_quotes, backslashes, types) == (self.ansi_quotes, self.backslash_escapes, self.types):
            return self
        return replace(self, ansi_quotes=ansi_quotes, backslash_escapes=backslashes, types=types)


PLAIN: Final = Dialect()
"""MySQL's dialect, for any version, without sql_mode."""

_PIECE: Final = r"""
    (?P<space>\s+)
  | (?P<line>\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*)
  | (?P<versioned>/\*(?P<m>M?)!(?P<number>\d{5,6})?)
  | (?P<comment>/\*.*?(?:\*/|$))
  | (?P<close>\*/)
  | (?P<bits>[bB]'(?P<b1>[01]*)'|0b(?P<b2>[01]+)(?![\w$]))
  | (?P<hex>[xX]'(?P<h1>[0-9a-fA-F]*)'|0x(?P<h2>[0-9a-fA-F]+)(?![\w$]))
  | (?P<national>[nN](?='))
  | (?P<charset>_[a-zA-Z0-9]+(?=\s*['"])|_[a-zA-Z0-9]+(?=\s+(?:[xXbB]'|0[xb])))
  | (?P<number_>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?(?![\w$]|[\u0080-\uffff]))
  | (?P<word>[^\x00-\x23\x25-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+)
  | (?P<variable>@@?(?:[^\x00-\x23\x25-\x2d\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]+|`[^`]*`|'[^']*'|"[^"]*")?)
  | (?P<quote>['"`])
  | (?P<symbol>.)
"""
"""A word consists of `[\\w$\\u0080-\\U0010ffff]`, a variable of dots too. The classes name what is not in them: that
compiles in half the time."""

_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


@cache
def _piece() -> re.Pattern[str]:
    """Compiled when the first statement comes: it takes 5 ms, and most restarts read none."""
    return re.compile(_PIECE, re.VERBOSE | re.DOTALL)


def tokenize(text: str, dialect: Dialect = PLAIN) -> tuple[Token, ...]:
    """All tokens of *text*."""
    return scan(text, dialect, len(text))[0]


def scan(text: str, dialect: Dialect, limit: int) -> tuple[tuple[Token, ...], bool]:
    """The first *limit* tokens of *text*, and whether these are all."""
    found: list[Token] = []
    at, size, piece = 0, len(text), _piece()
    while at < size and len(found) < limit:
        match = piece.match(text, at)
        assert match is not None, "the last alternative matches anything"
        kind = match.lastgroup
        at = match.end()
        if kind == "versioned":
            if not dialect.runs(bool(match["m"]), int(match["number"] or 0)):
                end = text.find("*/", at)
                at = size if end < 0 else end + 2
        elif kind == "quote":
            token = _quoted(text, match.start(), dialect)
            found.append(token)
            at = token.end
        elif kind not in _LEFT_OUT:
            found.append(_token(match))
    return tuple(found), at >= size


_LEFT_OUT: Final = frozenset({"space", "line", "comment", "close", "national"})


def _token(match: re.Match[str]) -> Token:
    text, start, end, kind = match[0], match.start(), match.end(), match.lastgroup
    if kind == "word":
        return Token(WORD, intern(text.upper()), intern(text), start, end)
    if kind == "bits":
        return Token(BITS, match["b1"] if match["b1"] is not None else match["b2"], text, start, end)
    if kind == "hex":
        return Token(HEX, match["h1"] if match["h1"] is not None else match["h2"], text, start, end)
    if kind == "charset":
        return Token(CHARSET, text, text, start, end)
    return Token(NUMBER if kind == "number_" else SYMBOL, text, text, start, end)


_LONG_STRING: Final = 1 << 16
"""No name, label or literal that the server accepts in a table's definition is longer."""
_BODIES: Final = {
    (quote, escapes): late_regex(
        rf"(?:[^{quote}\\]++|{quote}{quote}|\\.)*+" if escapes else rf"(?:[^{quote}]++|{quote}{quote})*+", re.DOTALL)
    for quote in "'\"`" for escapes in (True, False)
}
"""What is between quotes."""


def _quoted(text: str, start: int, dialect: Dialect) -> Token:
    """A string or a quoted name. Without a closing quote, it ends with the text. The value of a very long one is as
    written."""
    quote = text[start]
    is_name = quote == "`" or (quote == '"' and dialect.ansi_quotes)
    escapes = dialect.backslash_escapes and not is_name
    match = _BODIES[quote, escapes].match(text, start + 1)
    assert match is not None, "nothing is a body too"
    closed = text.startswith(quote, match.end())
    end = match.end() + 1 if closed else len(text)
    value = text[start + 1:end - closed]
    if len(value) <= _LONG_STRING:
        if escapes and "\\" in value:
            value = re.sub(rf"{quote}{quote}|\\.", _unescaped, value, flags=re.DOTALL)
        else:
            value = value.replace(quote * 2, quote)
    return Token(NAME if is_name else STRING, value, text[start:end], start, end)


def _unescaped(match: re.Match[str]) -> str:
    """Of a doubled quote, or of a backslash and a character."""
    second = match[0][1]
    return second if match[0][0] != "\\" else _ESCAPES.get(second, second)


_END: Final = Token("end", "", "", 0, 0)


class Cursor:
    """A place among tokens. Keywords match unquoted words without case; symbols match exactly."""

    def __init__(self, tokens: tuple[Token, ...], at: int = 0, stop: int | None = None, *,
                 grammar: Grammar = MYSQL, types: Mapping[str, str] = NO_TYPES) -> None:
        self.tokens = tokens
        self.at = at
        self.stop = len(tokens) if stop is None else stop
        self.grammar = grammar
        self.types = types

    @property
    def done(self) -> bool:
        return self.at >= self.stop

    def peek(self, ahead: int = 0) -> Token:
        place = self.at + ahead
        return self.tokens[place] if place < self.stop else _END

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def sees(self, *words: str) -> bool:
        """Whether these words or symbols come next, in this order."""
        at, tokens = self.at, self.tokens
        if at + len(words) > self.stop:
            return False
        for word in words:
            token = tokens[at]
            if token.value != word or (token.kind != WORD and token.kind != SYMBOL):
                return False
            at += 1
        return True

    def takes(self, *words: str) -> bool:
        """As `sees`; if they come next, the cursor moves behind them."""
        if not self.sees(*words):
            return False
        self.at += len(words)
        return True

    def takes_any(self, *words: str) -> str | None:
        """Moves behind the next token if it is one of *words*, and returns it."""
        for word in words:
            if self.takes(word):
                return word
        return None

    def needs(self, *words: str) -> None:
        if not self.takes(*words):
            raise self.surprise(f"{' '.join(words)} is missing")

    def name(self) -> str:
        """Reads a name, quoted or not."""
        token = self.next()
        if token.kind == NAME:
            return token.value
        if token.kind in (WORD, CHARSET):
            return token.text
        raise self.surprise("a name is missing")

    def column(self) -> str:
        """Reads the name of a column: `v`; for MariaDB also `t.v`, `d.t.v` and `.v` (sql/sql_yacc.yy, field_ident)."""
        self.takes(".")
        found = self.name()
        while self.takes("."):
            found = self.name()
        return found

    def fork(self, at: int, stop: int | None = None) -> Cursor:
        """A cursor over the same tokens, from index *at*."""
        return Cursor(self.tokens, at, self.stop if stop is None else stop, grammar=self.grammar,
                      types=self.types)

    def qualified(self) -> tuple[str | None, str]:
        """Reads `table`, `db.table` or `.table`, and returns database and table."""
        self.takes(".")
        first = self._part()
        if self.takes("."):
            return first, self._part()
        token = self.peek()
        if token.kind == NUMBER and token.text.startswith(".") and token.start == self.peek(-1).end:
            self.at += 1  # `db.1`: a name of digits after a dot
            return first, token.text[1:]
        return None, first

    def _part(self) -> str:
        token = self.peek()
        if token.kind == NUMBER and token.text.isdigit():
            self.at += 1
            return token.text
        return self.name()

    def string(self) -> str:
        token = self.next()
        if token.kind != STRING:
            raise self.surprise("a string is missing")
        return token.value

    def skip_parens(self) -> tuple[int, int]:
        """Moves behind a pair of parentheses, and returns where its content begins and ends."""
        self.needs("(")
        begin, depth = self.at, 1
        while depth:
            if self.done:
                raise self.surprise("a parenthesis is open")
            depth += self._depth(self.next())
        return begin, self.at - 1

    def inside(self) -> Cursor:
        """A cursor over the content of the parentheses here; this cursor moves behind them."""
        begin, end = self.skip_parens()
        return self.fork(begin, end)

    def item(self) -> Cursor:
        """A cursor over everything before the next comma outside of parentheses; this cursor moves behind that
        comma."""
        begin, depth = self.at, 0
        while not self.done and not (depth == 0 and self.sees(",")):
            depth += self._depth(self.next())
        made = self.fork(begin, self.at)
        self.takes(",")
        return made

    def before(self, *phrases: tuple[str, ...]) -> Cursor:
        """A cursor from here to the first of *phrases* outside of parentheses."""
        end, depth = self.fork(self.at), 0
        while not end.done and not (depth == 0 and any(end.sees(*phrase) for phrase in phrases)):
            depth += self._depth(end.next())
        return self.fork(self.at, end.at)

    def to_end(self) -> None:
        self.at = self.stop

    @staticmethod
    def _depth(token: Token) -> int:
        if token.kind != SYMBOL:
            return 0
        return 1 if token.value == "(" else -1 if token.value == ")" else 0

    def surprise(self, what: str) -> NotUnderstood:
        """The error for this place. It does not contain a quoted name or a value."""
        token = self.peek(-1) if self.at else self.peek()
        return NotUnderstood(f"{what} near {token.value if token.kind in (WORD, SYMBOL) else token.kind}")
