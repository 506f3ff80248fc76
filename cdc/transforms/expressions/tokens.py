"""The words of an expression."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from cdc.core.late_regex import late_regex

MAX_TEXT: Final = 10_000
"""The longest expression, in characters."""

_TOKEN: Final = late_regex(
    r"(?P<space>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<number>\d+(?:\.\d+)?[lLdDfFgG]?)"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>===|!==|==~|=~|==|!=|<=|>=|&&|\|\||\?\.|\?:|\?\?|[-+*/%!<>?:.,;(){}\[\]=])", re.DOTALL | re.ASCII)
_ESCAPE: Final = late_regex(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class ExpressionError(Exception):
    """An expression that cannot be read: the *reason*, and the *position* in its text, from 0."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} at position {position}")
        self.reason = reason
        self.position = position


class Token(NamedTuple):
    """`kind`: number, text, name, sign or end. A text is without quotes and escapes."""

    kind: str
    text: str
    position: int
    quote: str = ""


def tokens_of(text: str) -> list[Token]:
    """The words of *text*, ending with one of kind `end`. Raises ExpressionError."""
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"an expression has at most {MAX_TEXT} characters", MAX_TEXT)
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"{text[at]!r} has no meaning here", at)
        kind, word = match.lastgroup, match.group()
        if kind == "text":
            found.append(Token(kind, word[1:-1], at, word[0]))
        elif kind != "space":
            found.append(Token(kind, word, at))
        at = match.end()
    return [*found, Token("end", "", at)]


def unescaped(text: str) -> str:
    """*text* without the backslashes of Groovy and JavaScript."""
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)

    return _ESCAPE.sub(plain, text)
