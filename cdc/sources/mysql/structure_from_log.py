"""Compares structures with the log, and makes structures from the log.

Table maps always contain types and sizes. With binlog_row_metadata=FULL they also contain names, signs, character sets,
labels, the primary key and invisible columns, so that the log alone describes a table. They never contain defaults,
comments, display widths, unique keys and generated columns; those come from other structures of the table.
MySQL libs/mysql/binlog/event/rows_event.h, `Table_map_event`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cdc.core.errors import ProtocolError
from cdc.core.late_regex import late_regex
from cdc.core.table import TableId
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.events import TableMap
from cdc.sources.mysql.binlog.rows import string_length
from cdc.sources.mysql.ddl.structure import ColumnDef, TableStructure, UniqueKey

from .collations import Collation, Collations, text
from .flavor import Flavor
from .types import SUPPORTED

_PERIOD: Final = ("row_start", "row_end")
"""Hidden columns of MariaDB's implicit system versioning; they follow the others in row images."""
_HASHED: Final = late_regex(r"DB_ROW_HASH_\d+")
"""Hidden columns of MariaDB's unique keys that are stored as hashes (on TEXT, for example). They come last in row
images (sql/sql_table.cc, `add_hash_field`)."""


_SEQUENCE: Final = ("next_not_cached_value", "minimum_value", "maximum_value", "start_value", "increment", "cache_size",
                    "cycle_option", "cycle_count")
_INTEGERS: Final = frozenset((const.MYSQL_TYPE_TINY, const.MYSQL_TYPE_SHORT, const.MYSQL_TYPE_INT24,
                              const.MYSQL_TYPE_LONG, const.MYSQL_TYPE_LONGLONG))
_BIG, _FLAG = frozenset((const.MYSQL_TYPE_LONGLONG,)), frozenset((const.MYSQL_TYPE_TINY,))
_SEQUENCE_TYPES: Final = (*(_INTEGERS,) * 4, _BIG, _BIG, _FLAG, _BIG)
"""Since MariaDB 11.5 the values may be of any integer type."""


def fits(structure: TableStructure, message: TableMap, collations: Collations, flavor: Flavor, *,
         strange: bool = False) -> bool:
    """Whether rows of *message* can be read with *structure*: the same columns in the same order, as far as the log
    describes them. *strange*: also columns of types that we do not know."""
    if structure.sequence:
        return is_sequence(message)
    if not strange and any(column.base not in SUPPORTED for column in structure.columns):
        return False
    more = len(message.types) - len(structure.columns) - 2 * structure.versioned
    hashes = len(structure.unique_keys) if flavor.hashes_unique_keys else 0
    if more and not (0 < more <= hashes and _are_hashes(message, more)):
        return False
    if message.names is not None and not _says_the_same(structure, message, collations):
        return False
    return all(_column_fits(column, code, size)
               for column, code, size in zip(structure.columns, message.types, message.metadata, strict=False))


def is_sequence(message: TableMap) -> bool:
    """Whether *message* may describe a sequence of MariaDB: its columns are always the same (sql/sql_sequence.cc,
    `sequence_structure`)."""
    if len(message.types) != len(_SEQUENCE) or any(message.nullable):
        return False
    return (message.names is None or message.names == _SEQUENCE) and all(
        code in codes for code, codes in zip(message.types, _SEQUENCE_TYPES, strict=True))


def _are_hashes(message: TableMap, count: int) -> bool:
    if message.names is not None:
        return all(_HASHED.fullmatch(name) for name in message.names[-count:])
    return all(code == const.MYSQL_TYPE_LONGLONG for code in message.types[-count:])


def _says_the_same(structure: TableStructure, message: TableMap, collations: Collations) -> bool:
    for index, column in enumerate(structure.columns):
        said = _column(message, index, collations)
        if (column.name, column.unsigned, column.enum_values) != (said.name, said.unsigned, said.enum_values):
            return False
        if _plain(column.charset) != _plain(said.charset):
            return False
    return True


def _plain(charset: str | None) -> str | None:
    """One name for each character set, also for those that have two."""
    return "utf8mb3" if charset is not None and charset.lower() == "utf8" else charset and charset.lower()


def from_log(message: TableMap, collations: Collations, *others: TableStructure | None) -> TableStructure:
    """The structure of the table of *message*, which must contain names. *others* are former or later structures of the
    table, the best one first; they complete what the log lacks. Raises ProtocolError."""
    assert message.names is not None
    if is_sequence(message):
        return TableStructure(TableId(message.database, "", message.table), (), sequence=True)
    known = [other for other in others if other is not None]
    count = len(message.types)
    while count and _HASHED.fullmatch(message.names[count - 1]):
        count -= 1
    versioned = _has_hidden_period(message, count, known)
    count -= 2 * versioned
    columns = tuple(_completed(message, index, _column(message, index, collations), known) for index in range(count))
    names = {column.name for column in columns}
    unique: tuple[UniqueKey, ...] = next((tuple(key for key in other.unique_keys if names.issuperset(key.columns))
                                          for other in known), ())
    best = known[0] if known else TableStructure(TableId(message.database, "", message.table), ())
    return TableStructure(
        TableId(message.database, "", message.table), columns,
        tuple(message.names[index] for index, _ in message.primary_key or ()
              if index < count), unique, best.charset, best.collation, best.comment, versioned,
        next((other.period_end for other in known if other.period_end in names), None))


def typed_by_log(structure: TableStructure, message: TableMap) -> TableStructure:
    """*structure*, which fits *message*, with the log's types in place of those that we do not know, where the log
    alone tells them."""
    columns = list(structure.columns)
    for index, column in enumerate(columns):
        code = message.types[index]
        if column.base not in SUPPORTED and code in _CERTAIN:
            name, length, scale = _type(message, index, code, message.metadata[index], None, 0)
            columns[index] = replace(column, type_name=name, length=length, scale=scale)
    return replace(structure, columns=tuple(columns))


def _has_hidden_period(message: TableMap, count: int, known: list[TableStructure]) -> bool:
    """MariaDB's log does not say which columns are invisible."""
    assert message.names is not None
    if message.names[count - 2:count] != _PERIOD or (message.visible is not None and any(message.visible[-2:])):
        return False
    return not any(other.column(_PERIOD[1]) for other in known)


def _column(message: TableMap, index: int, collations: Collations) -> ColumnDef:
    """One column as the log describes it."""
    assert message.names is not None
    code, size = message.types[index], message.metadata[index]
    number = message.charsets[index] if message.charsets is not None else None
    collation = collations.get(number) if number is not None else None
    if collation is None and code in _STRINGS:
        raise ProtocolError("string of an unknown character set in a table map", wanted="a collation of the server",
                            got=number)
    if code not in _STRINGS:
        collation = None
    labels = _labels(message, index, collation)
    type_name, length, scale = _type(message, index, code, size, collation, len(labels))
    is_text = collation is not None and collation.charset != "binary"
    unsigned = message.unsigned is not None and message.unsigned[index]
    return ColumnDef(
        message.names[index], type_name + (" UNSIGNED" if unsigned else ""), length, scale,
        collation.charset if collation is not None and (is_text or labels) else None,
        collation.name if collation is not None and (is_text or labels) else None, labels, message.nullable[index],
        invisible=message.visible is not None and not message.visible[index])


def _labels(message: TableMap, index: int, collation: Collation | None) -> tuple[str, ...]:
    lists = message.enum_members if message.types[index] == const.MYSQL_TYPE_ENUM else message.set_members
    labels = lists[index] if lists is not None else None
    return tuple(text(label, collation.charset if collation is not None else "binary") for label in labels or ())


def _type(message: TableMap, index: int, code: int, size: int, collation: Collation | None,
          labels: int) -> tuple[str, int | None, int | None]:
    """Name, length and scale, as in `ColumnDef`."""
    if code in _NAMES:
        return _NAMES[code], None, None
    if code in _TIMES:
        return _TIMES[code], size or None, None
    if code in (const.MYSQL_TYPE_ENUM, const.MYSQL_TYPE_SET):
        return ("ENUM", 1, None) if code == const.MYSQL_TYPE_ENUM else ("SET", max(0, 2 * labels - 1), None)
    if code == const.MYSQL_TYPE_NEWDECIMAL:
        return "DECIMAL", size >> 8, size & 0xff
    if code == const.MYSQL_TYPE_BIT:
        return "BIT", (size >> 8) * 8 + (size & 0xff), None
    if code == const.MYSQL_TYPE_GEOMETRY:
        number = message.geometry_types[index] if message.geometry_types is not None else None
        return _GEOMETRIES[number] if number is not None and number < len(_GEOMETRIES) else "GEOMETRY", None, None
    if code == const.MYSQL_TYPE_VECTOR:
        return "VECTOR", message.vector_dimensions[index] if message.vector_dimensions is not None else None, None
    if collation is not None:
        return _string(code, size, collation)
    raise ProtocolError("column of an unknown type in a table map", wanted="a type of enum_field_types", got=code)


def _string(code: int, size: int, collation: Collation) -> tuple[str, int | None, int | None]:
    binary = collation.charset == "binary"
    if code in _TEXTS:
        return ("TINY", "", "MEDIUM", "LONG")[min(max(size, 1), 4) - 1] + ("BLOB" if binary else "TEXT"), None, None
    if code == const.MYSQL_TYPE_STRING:
        return "BINARY" if binary else "CHAR", string_length(size) // collation.max_bytes, None
    size -= code == const.MYSQL_TYPE_VARCHAR_COMPRESSED  # the first byte names the compression
    return "VARBINARY" if binary else "VARCHAR", size // collation.max_bytes, None


def _completed(message: TableMap, index: int, said: ColumnDef, others: list[TableStructure]) -> ColumnDef:
    """*said*, completed by the first of *others* that has the same column."""
    found = [column for other in others if (column := other.column(said.name)) is not None]
    if not found:
        return said
    former = next((each for each in found if _same_type(each, message, index, said)), None)
    best = former or found[0]
    made = replace(said, comment=best.comment, auto_increment=best.auto_increment, generated=best.generated)
    if former is None:
        return made
    alias = _plain(former.charset) == _plain(said.charset)
    return replace(made, type_name=former.type_name, length=former.length, scale=former.scale, default=former.default,
                   on_update=former.on_update, charset=former.charset if alias else said.charset,
                   collation=former.collation if alias else said.collation)


def _same_type(column: ColumnDef, message: TableMap, index: int, said: ColumnDef) -> bool:
    code, size = message.types[index], message.metadata[index]
    labelled = replace(column, enum_values=said.enum_values)
    if not _column_fits(labelled, code, size) or column.unsigned != said.unsigned:
        return False
    if code in _TEXTS:
        return column.base not in _TEXT_SIZES or (_TEXT_SIZES[column.base], column.is_character) == (
            size, said.is_character)
    if code in _FIXED | _VARYING:
        return column.base in _SIZES or (column.is_character, column.length or 1) == (
            said.is_character, said.length)
    return code != const.MYSQL_TYPE_GEOMETRY or column.base == said.base


def _column_fits(column: ColumnDef, code: int, size: int) -> bool:
    if column.base not in SUPPORTED:
        return True
    codes = _CODES.get(column.base)
    if codes is not None and code not in codes:
        return False
    if code == const.MYSQL_TYPE_NEWDECIMAL:
        return size == (column.length or 10) << 8 | (column.scale or 0)
    if code in (const.MYSQL_TYPE_TIMESTAMP2, const.MYSQL_TYPE_DATETIME2, const.MYSQL_TYPE_TIME2):
        return size == (column.length or 0)
    if code == const.MYSQL_TYPE_BIT:
        return (size >> 8) * 8 + (size & 0xff) == (column.length or 1)
    if code in (const.MYSQL_TYPE_ENUM, const.MYSQL_TYPE_SET):
        return size & 0xff == _label_bytes(code, len(column.enum_values))
    if column.base in ("FLOAT", "FLOAT4"):
        double = column.scale is None and (column.length or 0) > 24
        return code == (const.MYSQL_TYPE_DOUBLE if double else const.MYSQL_TYPE_FLOAT)
    return column.base not in _SIZES or string_length(size) == _SIZES[column.base]


def _label_bytes(code: int, count: int) -> int:
    """Length of a value in bytes: sql/field.cc `get_enum_pack_length`, `get_set_pack_length`."""
    if code == const.MYSQL_TYPE_ENUM:
        return 1 if count < 256 else 2
    size = (count + 7) // 8
    return 8 if size > 4 else size


_TEXTS: Final = frozenset((const.MYSQL_TYPE_BLOB, const.MYSQL_TYPE_BLOB_COMPRESSED, const.MYSQL_TYPE_TINY_BLOB,
                           const.MYSQL_TYPE_MEDIUM_BLOB, const.MYSQL_TYPE_LONG_BLOB))
_FIXED: Final = frozenset((const.MYSQL_TYPE_STRING,))
_VARYING: Final = frozenset((const.MYSQL_TYPE_VARCHAR, const.MYSQL_TYPE_VAR_STRING,
                             const.MYSQL_TYPE_VARCHAR_COMPRESSED))
_STRINGS: Final = _TEXTS | _FIXED | _VARYING | {const.MYSQL_TYPE_ENUM, const.MYSQL_TYPE_SET}
_FLOATS: Final = frozenset((const.MYSQL_TYPE_FLOAT, const.MYSQL_TYPE_DOUBLE))
_DOUBLES: Final = frozenset((const.MYSQL_TYPE_DOUBLE,))
_GEOMETRIES: Final = ("GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON",
                      "GEOMETRYCOLLECTION")
_SIZES: Final = {"UUID": 16, "INET6": 16, "INET4": 4}
"""MariaDB's types that the log writes as BINARY of these lengths."""
_TEXT_SIZES: Final = {
    "TINYTEXT": 1, "TINYBLOB": 1, "TEXT": 2, "BLOB": 2, "MEDIUMTEXT": 3, "MEDIUMBLOB": 3, "LONG": 3, "LONG VARCHAR": 3,
    "LONG VARBINARY": 3, "LONG CHAR VARYING": 3, "LONG CHARACTER VARYING": 3, "LONGTEXT": 4, "LONGBLOB": 4,
}
_NAMES: Final = {
    const.MYSQL_TYPE_TINY: "TINYINT", const.MYSQL_TYPE_SHORT: "SMALLINT", const.MYSQL_TYPE_INT24: "MEDIUMINT",
    const.MYSQL_TYPE_LONG: "INT", const.MYSQL_TYPE_LONGLONG: "BIGINT", const.MYSQL_TYPE_FLOAT: "FLOAT",
    const.MYSQL_TYPE_DOUBLE: "DOUBLE", const.MYSQL_TYPE_YEAR: "YEAR", const.MYSQL_TYPE_DATE: "DATE",
    const.MYSQL_TYPE_NEWDATE: "DATE", const.MYSQL_TYPE_JSON: "JSON",
}
_CERTAIN: Final = frozenset((
    const.MYSQL_TYPE_NEWDECIMAL, const.MYSQL_TYPE_BIT, const.MYSQL_TYPE_FLOAT, const.MYSQL_TYPE_DOUBLE,
    const.MYSQL_TYPE_YEAR, const.MYSQL_TYPE_DATE, const.MYSQL_TYPE_NEWDATE, const.MYSQL_TYPE_TIMESTAMP2,
    const.MYSQL_TYPE_DATETIME2, const.MYSQL_TYPE_TIME2,
))
"""Types that need neither a sign nor a character set."""
_TIMES: Final = {
    const.MYSQL_TYPE_TIMESTAMP: "TIMESTAMP", const.MYSQL_TYPE_TIMESTAMP2: "TIMESTAMP",
    const.MYSQL_TYPE_DATETIME: "DATETIME", const.MYSQL_TYPE_DATETIME2: "DATETIME",
    const.MYSQL_TYPE_TIME: "TIME", const.MYSQL_TYPE_TIME2: "TIME",
}
_CODES: Final[dict[str, frozenset[int]]] = {
    **dict.fromkeys(("TINYINT", "INT1", "BOOL", "BOOLEAN"), frozenset((const.MYSQL_TYPE_TINY,))),
    **dict.fromkeys(("SMALLINT", "INT2"), frozenset((const.MYSQL_TYPE_SHORT,))),
    **dict.fromkeys(("MEDIUMINT", "INT3", "MIDDLEINT"), frozenset((const.MYSQL_TYPE_INT24,))),
    **dict.fromkeys(("INT", "INTEGER", "INT4"), frozenset((const.MYSQL_TYPE_LONG,))),
    **dict.fromkeys(("BIGINT", "INT8", "SERIAL"), frozenset((const.MYSQL_TYPE_LONGLONG,))),
    **dict.fromkeys(("FLOAT", "FLOAT4", "REAL"), _FLOATS),
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION", "FLOAT8"), _DOUBLES),
    **dict.fromkeys(("DECIMAL", "DEC", "NUMERIC", "FIXED"), frozenset((const.MYSQL_TYPE_NEWDECIMAL,))),
    "BIT": frozenset((const.MYSQL_TYPE_BIT,)), "YEAR": frozenset((const.MYSQL_TYPE_YEAR,)),
    "DATE": frozenset((const.MYSQL_TYPE_DATE, const.MYSQL_TYPE_NEWDATE)),
    "TIME": frozenset((const.MYSQL_TYPE_TIME, const.MYSQL_TYPE_TIME2)),
    "DATETIME": frozenset((const.MYSQL_TYPE_DATETIME, const.MYSQL_TYPE_DATETIME2)),
    "TIMESTAMP": frozenset((const.MYSQL_TYPE_TIMESTAMP, const.MYSQL_TYPE_TIMESTAMP2)),
    **dict.fromkeys(("CHAR", "CHARACTER", "BINARY", "NCHAR", "NATIONAL CHAR", "NATIONAL CHARACTER", *_SIZES), _FIXED),
    **dict.fromkeys(("VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "VARBINARY", "NVARCHAR", "NATIONAL VARCHAR",
                     "NATIONAL CHAR VARYING", "NATIONAL CHARACTER VARYING", "NCHAR VARCHAR", "NCHAR VARYING"),
                    _VARYING),
    **dict.fromkeys(_TEXT_SIZES, _TEXTS),
    **dict.fromkeys((*_GEOMETRIES, "GEOMCOLLECTION"), frozenset((const.MYSQL_TYPE_GEOMETRY,))),
    "ENUM": frozenset((const.MYSQL_TYPE_ENUM,)), "SET": frozenset((const.MYSQL_TYPE_SET,)),
    "JSON": _TEXTS | {const.MYSQL_TYPE_JSON},
}
"""The type codes of a table map that fit a column, by `ColumnDef.base`. Types that are missing here are not
compared."""
