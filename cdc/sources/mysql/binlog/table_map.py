"""Parses TABLE_MAP events: the columns of a table, as the log describes them.

MySQL libs/mysql/binlog/event/rows_event.cpp `Table_map_event` and its `Optional_metadata_fields`; sql/log_event.cc
`Table_map_log_event`; MariaDB sql/log_event_server.cc. Column types' metadata: `Field::save_field_metadata`.
"""

from __future__ import annotations

from typing import Any

from cdc.core.errors import ProtocolError

from . import const
from .body import Reader
from .events import TableMap
from .rows import Layout, real_type

_NUMERIC = frozenset((const.MYSQL_TYPE_TINY, const.MYSQL_TYPE_SHORT, const.MYSQL_TYPE_INT24, const.MYSQL_TYPE_LONG,
                      const.MYSQL_TYPE_LONGLONG, const.MYSQL_TYPE_NEWDECIMAL, const.MYSQL_TYPE_FLOAT,
                      const.MYSQL_TYPE_DOUBLE, const.MYSQL_TYPE_YEAR))
_CHARACTER = frozenset((const.MYSQL_TYPE_STRING, const.MYSQL_TYPE_VAR_STRING, const.MYSQL_TYPE_VARCHAR,
                        const.MYSQL_TYPE_BLOB))
_MYSQL_CHARACTER = _CHARACTER | {const.MYSQL_TYPE_VECTOR}
_MARIADB_CHARACTER = _CHARACTER | {const.MYSQL_TYPE_GEOMETRY, const.MYSQL_TYPE_BLOB_COMPRESSED,
                                   const.MYSQL_TYPE_VARCHAR_COMPRESSED}
_ENUM_OR_SET = frozenset((const.MYSQL_TYPE_ENUM, const.MYSQL_TYPE_SET))
_ONE_BYTE = frozenset((const.MYSQL_TYPE_FLOAT, const.MYSQL_TYPE_DOUBLE, const.MYSQL_TYPE_TINY_BLOB,
                       const.MYSQL_TYPE_MEDIUM_BLOB, const.MYSQL_TYPE_LONG_BLOB, const.MYSQL_TYPE_BLOB,
                       const.MYSQL_TYPE_GEOMETRY, const.MYSQL_TYPE_JSON, const.MYSQL_TYPE_VECTOR,
                       const.MYSQL_TYPE_TIMESTAMP2, const.MYSQL_TYPE_DATETIME2, const.MYSQL_TYPE_TIME2,
                       const.MYSQL_TYPE_BLOB_COMPRESSED))
_TWO_BYTES_LITTLE = frozenset((const.MYSQL_TYPE_VARCHAR, const.MYSQL_TYPE_VAR_STRING, const.MYSQL_TYPE_BIT,
                               const.MYSQL_TYPE_VARCHAR_COMPRESSED))
_TWO_BYTES_BIG = frozenset((const.MYSQL_TYPE_STRING, const.MYSQL_TYPE_NEWDECIMAL, *_ENUM_OR_SET))
_MAX_COLUMNS = 4096


def parse_table_map(body: bytes, post_header: int, mariadb: bool) -> TableMap:
    """Table_map_event's body, checksum excluded. *mariadb* decides which types count as strings: geometry
    columns in MariaDB, vectors in MySQL (log_event.cc `is_character_type`). Raises ProtocolError."""
    reader = Reader(body, 0, len(body))
    table_id, flags = reader.uint(4 if post_header == 6 else 6), reader.uint(2)
    database = reader.text(reader.counted())
    reader.take(1)
    table = reader.text(reader.counted())
    reader.take(1)
    count = reader.length()
    if not 0 < count <= _MAX_COLUMNS:
        raise ProtocolError("table map of impossible width", offset=reader.pos, wanted=f"1 to {_MAX_COLUMNS}",
                            got=count)
    sent = reader.take(count)
    metadata = _field_metadata(sent, reader.counted())
    types = bytes(map(real_type, sent, metadata))
    nulls = int.from_bytes(reader.take((count + 7) // 8), "little")
    nullable = tuple(bool(nulls >> index & 1) for index in range(count))
    fields = _optional_fields(reader)
    return TableMap(table_id, flags, database, table, types, metadata, nullable, Layout(types, metadata),
                    **_Optional(reader, types, fields, mariadb).all())


def _field_metadata(types: bytes, raw: bytes) -> tuple[int, ...]:
    """The metadata of each type (Field::save_field_metadata) as one number."""
    reader = Reader(raw, 0, len(raw))
    out: list[int] = []
    for code in types:
        if code in _ONE_BYTE:
            out.append(reader.uint(1))
        elif code in _TWO_BYTES_LITTLE:
            out.append(reader.uint(2))
        elif code in _TWO_BYTES_BIG:
            out.append(int.from_bytes(reader.take(2)))
        else:
            out.append(0)
    if reader.left():
        raise ProtocolError("table map's metadata does not fit its columns", offset=reader.pos, wanted=reader.pos,
                            got=len(raw))
    return tuple(out)


def _optional_fields(reader: Reader) -> dict[int, tuple[int, int]]:
    """The place of each optional field: type, length, value. Unknown types are skipped."""
    fields: dict[int, tuple[int, int]] = {}
    while reader.left():
        kind, length = reader.uint(1), reader.length()
        fields[kind] = reader.pos, reader.pos + length
        reader.take(length)
    return fields


class _Optional:
    """A table map's optional metadata (Optional_metadata_fields), by the columns that each field describes."""

    def __init__(self, reader: Reader, types: bytes, fields: dict[int, tuple[int, int]], mariadb: bool) -> None:
        self._data = reader.data
        self._types = types
        self._fields = fields
        self._character = _MARIADB_CHARACTER if mariadb else _MYSQL_CHARACTER

    def all(self) -> dict[str, Any]:
        return {
            "unsigned": self._signedness(), "charsets": self._charsets(), "names": self._names(),
            "enum_members": self._members(const.ENUM_STR_VALUE, const.MYSQL_TYPE_ENUM),
            "set_members": self._members(const.SET_STR_VALUE, const.MYSQL_TYPE_SET),
            "geometry_types": self._numbers(const.GEOMETRY_TYPE, const.MYSQL_TYPE_GEOMETRY),
            "primary_key": self._primary_key(), "visible": self._visibility(),
            "vector_dimensions": self._numbers(const.VECTOR_DIMENSIONALITY, const.MYSQL_TYPE_VECTOR),
        }

    def _part(self, kind: int) -> Reader | None:
        place = self._fields.get(kind)
        return Reader(self._data, *place) if place else None

    def _where(self, types: frozenset[int]) -> list[int]:
        return [index for index, code in enumerate(self._types) if code in types]

    def _spread(self, columns: list[int], values: list[int]) -> list[int | None]:
        if len(columns) != len(values):
            raise ProtocolError("table map's metadata is about other columns", wanted=len(columns), got=len(values))
        out: list[int | None] = [None] * len(self._types)
        for index, value in zip(columns, values, strict=True):
            out[index] = value
        return out

    def _bits(self, reader: Reader, count: int) -> list[bool]:
        """Bits, from the high bit of each byte down."""
        raw = reader.rest()
        if len(raw) * 8 < count:
            raise ProtocolError("table map's bits do not fit", offset=reader.pos, wanted=count, got=len(raw) * 8)
        return [bool(raw[index >> 3] >> (7 - (index & 7)) & 1) for index in range(count)]

    def _signedness(self) -> tuple[bool, ...] | None:
        reader = self._part(const.SIGNEDNESS)
        if reader is None:
            return None
        columns = self._where(_NUMERIC)
        signs = self._spread(columns, [int(bit) for bit in self._bits(reader, len(columns))])
        return tuple(bool(sign) and code != const.MYSQL_TYPE_YEAR
                     for sign, code in zip(signs, self._types, strict=True))

    def _charsets(self) -> tuple[int | None, ...] | None:
        strings = self._charset_of(self._where(self._character), const.DEFAULT_CHARSET, const.COLUMN_CHARSET)
        choices = self._charset_of(self._where(_ENUM_OR_SET), const.ENUM_AND_SET_DEFAULT_CHARSET,
                                   const.ENUM_AND_SET_COLUMN_CHARSET)
        if strings is None and choices is None:
            return None
        nothing: list[int | None] = [None] * len(self._types)
        return tuple(one if one is not None else other
                     for one, other in zip(strings or nothing, choices or nothing, strict=True))

    def _charset_of(self, columns: list[int], default_kind: int, each_kind: int) -> list[int | None] | None:
        """Collations: either one for each string column, or a default with exceptions by their number among the string
        columns."""
        reader = self._part(each_kind)
        if reader is not None:
            values: list[int] = []
            while reader.left():
                values.append(reader.length())
            return self._spread(columns, values)
        reader = self._part(default_kind)
        if reader is None:
            return None
        values = [reader.length()] * len(columns)
        while reader.left():
            place, collation = reader.length(), reader.length()
            if place >= len(values):
                raise ProtocolError("table map's charset is of no column", offset=reader.pos, wanted=len(values),
                                    got=place)
            values[place] = collation
        return self._spread(columns, values)

    def _names(self) -> tuple[str, ...] | None:
        reader = self._part(const.COLUMN_NAME)
        if reader is None:
            return None
        names: list[str] = []
        while reader.left():
            names.append(reader.text(reader.counted()))
        if len(names) != len(self._types):
            raise ProtocolError("table map's names do not fit its columns", wanted=len(self._types), got=len(names))
        return tuple(names)

    def _members(self, kind: int, code: int) -> tuple[tuple[bytes, ...] | None, ...] | None:
        reader = self._part(kind)
        if reader is None:
            return None
        lists: list[tuple[bytes, ...]] = []
        while reader.left():
            count = reader.length()
            if count > reader.left():
                raise ProtocolError("table map's members do not fit", offset=reader.pos, wanted=count,
                                    got=reader.left())
            lists.append(tuple(reader.counted() for _ in range(count)))
        places = self._spread(self._where(frozenset((code,))), list(range(len(lists))))
        return tuple(None if place is None else lists[place] for place in places)

    def _numbers(self, kind: int, code: int) -> tuple[int | None, ...] | None:
        reader = self._part(kind)
        if reader is None:
            return None
        values: list[int] = []
        while reader.left():
            values.append(reader.length())
        return tuple(self._spread(self._where(frozenset((code,))), values))

    def _primary_key(self) -> tuple[tuple[int, int], ...] | None:
        reader, prefixed = self._part(const.SIMPLE_PRIMARY_KEY), False
        if reader is None:
            reader, prefixed = self._part(const.PRIMARY_KEY_WITH_PREFIX), True
        if reader is None:
            return None
        key: list[tuple[int, int]] = []
        while reader.left():
            index = reader.length()
            if index >= len(self._types):
                raise ProtocolError("table map's key is of no column", offset=reader.pos, wanted=len(self._types),
                                    got=index)
            key.append((index, reader.length() if prefixed else 0))
        return tuple(key)

    def _visibility(self) -> tuple[bool, ...] | None:
        reader = self._part(const.COLUMN_VISIBILITY)
        return None if reader is None else tuple(self._bits(reader, len(self._types)))
