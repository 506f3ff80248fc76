"""Collations by number: the character sets of strings in the log, and of the text of its statements. Which character
sets a value can be named in.

The numbers are the server's (information_schema.COLLATIONS). No server release changes the meaning of a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cdc.codecs.mysql.charsets import UTF8, charset
from cdc.core.late_regex import late_regex
from cdc.core.named_tuple import NamedTuple
from cdc.sources.mysql.ddl.structure import ColumnDef

_BINARY: Final = "binary"
_NOT_ASCII: Final = "swe7"
"""The only character set of a client in which bytes below 128 are not ASCII."""

_WRITTEN_BY_SERVER: Final = late_regex(
    rb"CREATE (OR REPLACE )?TABLE (IF NOT EXISTS )?(`([^`]|``)*`\.)?`([^`]|``)*` \(\n  `")
"""A statement that the server itself writes (for CREATE TABLE … SELECT, for example) is in UTF-8, whatever the client's
character set is."""


_THERE_AND_BACK: Final = frozenset({
    "utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "latin1", "ascii"})
"""Character sets all of whose strings are the same after they were converted to Unicode and back. Others have several
codes for one character, or some that stand for none."""
_NAME: Final = late_regex(r"\w+", re.ASCII)


def not_as_unicode(column: ColumnDef) -> str:
    """The character set of *column*, for `_charset X'…'`, if a value cannot be named by its text; else empty."""
    name = (column.charset or "").lower()
    named = column.is_character and name not in _THERE_AND_BACK and _NAME.fullmatch(name) is not None
    return name if named else ""


class Collation(NamedTuple):
    charset: str
    name: str
    max_bytes: int
    """The longest character, in bytes."""


class Collations:
    """The collations of one server."""

    def __init__(self, known: Mapping[int, Collation]) -> None:
        self._known = known

    def get(self, number: int) -> Collation | None:
        return self._known.get(number)

    def statement(self, sql: bytes, number: int | None) -> str:
        """The text of a Query event from a client with the collation *number*. Bytes without a meaning become
        U+FFFD."""
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
    """*data* decoded by the character set. Names and labels without one (binary) are UTF-8."""
    known = None if charset_name in UTF8 or charset_name == _BINARY else charset(charset_name)
    return data.decode("utf-8", "replace") if known is None else known.decode(data)
