"""Collations by their numbers: what the log says of strings, and the text of its statements.

The numbers are those of the server (information_schema.COLLATIONS); servers never give one a new meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from cdc.codecs.charsets import UTF8, charset

_BINARY: Final = "binary"
_NOT_ASCII: Final = "swe7"
"""The one character set that a client may have and in which bytes below 128 are other letters."""

_WRITTEN_BY_SERVER: Final = re.compile(
    rb"CREATE (OR REPLACE )?TABLE (IF NOT EXISTS )?(`([^`]|``)*`\.)?`([^`]|``)*` \(\n  `")
"""How a server writes a table itself, for CREATE TABLE … SELECT and the like: in UTF-8, whatever the client's set."""


class Collation(NamedTuple):
    charset: str
    name: str
    max_bytes: int
    """Of one character."""


class Collations:
    """Those of one server."""

    def __init__(self, known: Mapping[int, Collation]) -> None:
        self._known = known

    def get(self, number: int) -> Collation | None:
        return self._known.get(number)

    def statement(self, sql: bytes, number: int | None) -> str:
        """A Query event's text, from a client with the collation *number*; bytes without meaning become U+FFFD."""
        client = self._known.get(number) if number is not None else None
        if sql.isascii() and (client is None or client.charset != _NOT_ASCII):
            return sql.decode("ascii")
        if client is not None and _WRITTEN_BY_SERVER.match(sql):
            try:
                return sql.decode("utf-8")
            except UnicodeDecodeError:
                pass
        return text(sql, client.charset if client is not None else "utf8mb4")


def text(data: bytes, charset_name: str) -> str:
    """*data* as the character set means it; names and labels of none (binary) are UTF-8."""
    known = None if charset_name in UTF8 or charset_name == _BINARY else charset(charset_name)
    return data.decode("utf-8", "replace") if known is None else known.decode(data)
