"""SQL text of MySQL and MariaDB as tokens, and a cursor over them.

MySQL Reference Manual, "Lexical Structure": "String Literals", "Schema Object Names", "Comments"; MariaDB docs,
"Comment Syntax". Comments are left out, versioned comments (`/*!50100 … */`) are read as the server that wrote them
does. Nothing is ever refused here: what is no token of SQL becomes a symbol.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

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
"""An introducer such as `_utf8mb4`."""
SYMBOL: Final = "symbol"

MODE_ANSI_QUOTES: Final = 0x4
MODE_NO_BACKSLASH_ESCAPES: Final = 0x100000
"""Bits of sql_mode: MySQL Source Code Documentation, `Query_event` (Q_SQL_MODE_CODE); MariaDB sql/sql_class.h."""


class NotUnderstood(Exception):
    """The statement goes beyond what is read here. The message names the place by a keyword, never by a value."""


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is the upper-case keyword of a WORD, the decoded text of a NAME or STRING, else the text as written.
    `start` and `end` are places in the statement."""

    kind: str
    value: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Dialect:
    """What decides how text is read: which server wrote it, and its sql_mode at that time. `version` counts as in
    versioned comments (80036, 101119); 0 when unknown, and then every one of them is read."""

    mariadb: bool = False
    version: int = 0
    ansi_quotes: bool = False
    backslash_escapes: bool = True

    def runs(self, for_mariadb: bool, number: int) -> bool:
        """Whether the server runs what a versioned comment holds. MariaDB skips what is for MySQL 5.7 to 9."""
        if for_mariadb and not self.mariadb:
            return False
        if self.mariadb and not for_mariadb and 50700 <= number <= 99999:
            return False
        return self.version == 0 or number <= self.version

    def under(self, sql_mode: int | None) -> Dialect:
        """For a statement run under *sql_mode*, as a Query event carries it; None when it does not say."""
        if sql_mode is None:
            return self
        ansi_quotes, backslashes = bool(sql_mode & MODE_ANSI_QUOTES), not sql_mode & MODE_NO_BACKSLASH_ESCAPES
        if (ansi_quotes, backslashes) == (self.ansi_quotes, self.backslash_escapes):
            return self
        return replace(self, ansi_quotes=ansi_quotes, backslash_escapes=backslashes)


MYSQL: Final = Dialect()

_PIECE: Final = re.compile(r"""
    (?P<space>\s+)
  | (?P<line>\#[^\n]*|--(?=[\s\x00-\x1f]|$)[^\n]*)
  | (?P<versioned>/\*(?P<m>M?)!(?P<number>\d{5,6})?)
  | (?P<comment>/\*.*?(?:\*/|$))
  | (?P<close>\*/)
  | (?P<bits>[bB]'(?P<b1>[01]*)'|0b(?P<b2>[01]+)(?![\w$]))
  | (?P<hex>[xX]'(?P<h1>[0-9a-fA-F]*)'|0x(?P<h2>[0-9a-fA-F]+)(?![\w$]))
  | (?P<national>[nN](?='))
  | (?P<charset>_[a-zA-Z0-9]+(?=\s*['"])|_[a-zA-Z0-9]+(?=\s+(?:[xXbB]'|0[xb])))
  | (?P<number_>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?(?![\w$\u0080-\uffff]))
  | (?P<word>[\w$\u0080-\U0010ffff]+)
  | (?P<variable>@@?(?:[\w$.\u0080-\U0010ffff]+|`[^`]*`|'[^']*'|"[^"]*")?)
  | (?P<quote>['"`])
  | (?P<symbol>.)
""", re.VERBOSE | re.DOTALL)

_ESCAPES: Final = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}


def tokenize(text: str, dialect: Dialect = MYSQL) -> tuple[Token, ...]:
    """All tokens of *text*."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _PIECE.match(text, at)
        assert match is not None, "the last alternative matches anything"
        kind = match.lastgroup
        at = match.end()
        if match["versioned"]:
            if not dialect.runs(bool(match["m"]), int(match["number"] or 0)):
                end = text.find("*/", at)
                at = len(text) if end < 0 else end + 2
        elif match["quote"]:
            token = _quoted(text, match.start(), dialect)
            found.append(token)
            at = token.end
        elif kind not in ("space", "line", "comment", "close", "national"):
            found.append(_token(match))
    return tuple(found)


def _token(match: re.Match[str]) -> Token:
    text, start, end = match[0], match.start(), match.end()
    if match["bits"]:
        return Token(BITS, match["b1"] if match["b1"] is not None else match["b2"], text, start, end)
    if match["hex"]:
        return Token(HEX, match["h1"] if match["h1"] is not None else match["h2"], text, start, end)
    if match["charset"]:
        return Token(CHARSET, text, text, start, end)
    if match["number_"]:
        return Token(NUMBER, text, text, start, end)
    if match["word"]:
        return Token(WORD, text.upper(), text, start, end)
    return Token(SYMBOL, text, text, start, end)


def _quoted(text: str, start: int, dialect: Dialect) -> Token:
    """A string or a quoted name; one that never ends reaches to the end of the text."""
    quote = text[start]
    is_name = quote == "`" or (quote == '"' and dialect.ansi_quotes)
    escapes = dialect.backslash_escapes and not is_name
    parts: list[str] = []
    at = start + 1
    while at < len(text):
        char = text[at]
        if char == quote:
            if text[at + 1:at + 2] != quote:
                break
            at += 1
        elif char == "\\" and escapes and at + 1 < len(text):
            at += 1
            char = _ESCAPES.get(text[at], text[at])
        parts.append(char)
        at += 1
    end = min(at + 1, len(text))
    return Token(NAME if is_name else STRING, "".join(parts), text[start:end], start, end)


_END: Final = Token("end", "", "", 0, 0)


class Cursor:
    """A place among tokens. Methods that take keywords match unquoted words without case; symbols are given as
    written."""

    def __init__(self, tokens: tuple[Token, ...], at: int = 0, stop: int | None = None, *,
                 mariadb: bool = False) -> None:
        self.tokens = tokens
        self.at = at
        self.stop = len(tokens) if stop is None else stop
        self.mariadb = mariadb

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
        return all(_is(self.peek(ahead), word) for ahead, word in enumerate(words))

    def takes(self, *words: str) -> bool:
        """As `sees`, and goes behind them."""
        if not self.sees(*words):
            return False
        self.at += len(words)
        return True

    def takes_any(self, *words: str) -> str | None:
        """Goes behind one of *words* and says which."""
        for word in words:
            if self.takes(word):
                return word
        return None

    def needs(self, *words: str) -> None:
        if not self.takes(*words):
            raise self.surprise(f"{' '.join(words)} is missing")

    def name(self) -> str:
        """A name, quoted or not."""
        token = self.next()
        if token.kind == NAME:
            return token.value
        if token.kind in (WORD, CHARSET):
            return token.text
        raise self.surprise("a name is missing")

    def qualified(self) -> tuple[str | None, str]:
        """Database and table of `table`, `db.table` or `.table`."""
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
        """Goes behind a pair of parentheses and says where its inside begins and ends."""
        self.needs("(")
        begin, depth = self.at, 1
        while depth:
            if self.done:
                raise self.surprise("a parenthesis is open")
            depth += self._depth(self.next())
        return begin, self.at - 1

    def inside(self) -> Cursor:
        """A cursor over what is between the parentheses here, behind which this one goes."""
        begin, end = self.skip_parens()
        return Cursor(self.tokens, begin, end, mariadb=self.mariadb)

    def item(self) -> Cursor:
        """A cursor over all up to the next comma outside of parentheses, behind which this one goes."""
        begin, depth = self.at, 0
        while not self.done and not (depth == 0 and self.sees(",")):
            depth += self._depth(self.next())
        made = Cursor(self.tokens, begin, self.at, mariadb=self.mariadb)
        self.takes(",")
        return made

    def before(self, *phrases: tuple[str, ...]) -> Cursor:
        """A cursor from here to the first of *phrases* outside of parentheses."""
        end, depth = Cursor(self.tokens, self.at, self.stop), 0
        while not end.done and not (depth == 0 and any(end.sees(*phrase) for phrase in phrases)):
            depth += self._depth(end.next())
        return Cursor(self.tokens, self.at, end.at)

    def to_end(self) -> None:
        self.at = self.stop

    @staticmethod
    def _depth(token: Token) -> int:
        if token.kind != SYMBOL:
            return 0
        return 1 if token.value == "(" else -1 if token.value == ")" else 0

    def surprise(self, what: str) -> NotUnderstood:
        """An error for this place. A quoted name or a value is not repeated."""
        token = self.peek(-1) if self.at else self.peek()
        return NotUnderstood(f"{what} near {token.value if token.kind in (WORD, SYMBOL) else token.kind}")


def _is(token: Token, word: str) -> bool:
    return token.value == word and token.kind in (WORD, SYMBOL)
