"""MySQL's and MariaDB's types to Connect schemas and codecs.

`resolve` runs once for each column of each version of a table. It follows Debezium's documentation, "MySQL connector":
"Data type mappings". A column whose type has no mapping is left out of the row.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any, Final, Protocol

from cdc.codecs.mysql import binary as mysqlbin
from cdc.codecs.mysql import binary_numbers as mysqlnumbers
from cdc.codecs.mysql import binary_times as mysqltimes
from cdc.codecs.mysql import json as mysqljson
from cdc.codecs.mysql import text as mysqltext
from cdc.codecs.mysql.binary import ReadAsCodec, ShownCodec
from cdc.codecs.mysql.charsets import UTF8, charset
from cdc.codecs.text import BINARY_TEXT, DecimalCodec, TextCodec
from cdc.codecs.time import MICROS, MILLIS, NANOS, instant_text
from cdc.core.codec import Codec
from cdc.core.dataclass import dataclass
from cdc.core.named_tuple import NamedTuple
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    STRING,
    Schema,
    semantic,
    struct,
)
from cdc.sources.mysql.ddl.structure import ColumnDef

from .flavor import Flavor


@dataclass(frozen=True)
class ColumnType:
    """How columns of a type appear in events.

    `schema`: the schema of a required field.
    `codec`, `binary_codec`: read the text protocol and row events.
    `select`: the expression for a SELECT list whose result `codec` reads; `{}` stands for the column's quoted name.
    `always_optional`: the field is optional even if the column is NOT NULL.
    `type_name`, `length`, `scale`, `is_character`: the column in Debezium's terms, for column mappers.
    `charset_unknown`: the character set is unknown, so the column is read as UTF-8.
    """

    schema: Schema
    codec: Codec
    binary_codec: Codec
    select: str
    always_optional: bool
    type_name: str
    length: int | None
    scale: int | None
    is_character: bool
    charset_unknown: bool = False


class TypeConfig(Protocol):
    """The options that types depend on; `options.py` describes each."""

    @property
    def flavor(self) -> Flavor: ...
    @property
    def decimal_handling_mode(self) -> str: ...
    @property
    def time_precision_mode(self) -> str: ...
    @property
    def binary_handling_mode(self) -> str: ...
    @property
    def bigint_unsigned_handling_mode(self) -> str: ...
    @property
    def enable_time_adjuster(self) -> bool: ...
    @property
    def cdc_uniform_values(self) -> bool:
        """Whether snapshot and stream write equal texts for JSON, TIMESTAMP, labels and the YEAR 0, where Debezium's
        differ."""


class _Found(NamedTuple):
    """The codecs for text protocol and row events; `select` as in ColumnType."""

    codec: Codec
    binary_codec: Codec
    select: str = "{}"
    always_optional: bool = False
    charset_unknown: bool = False


_Maker = Callable[[ColumnDef, TypeConfig, bool], _Found]


def resolve(column: ColumnDef, *, config: TypeConfig, old_temporal: bool = False) -> ColumnType | None:
    """How *column* appears in events; None if it does not appear.

    *old_temporal*: row events contain it in a temporal format from before MySQL 5.6 (type codes TIMESTAMP, DATETIME and
    TIME without "2"), which MariaDB writes with mysql56_temporal_format=OFF.
    """
    maker = _MAKERS.get(column.base)
    if maker is None:
        return None
    found = maker(column, config, old_temporal)
    return ColumnType(
        schema=found.codec.schema, codec=found.codec, binary_codec=found.binary_codec, select=found.select,
        always_optional=found.always_optional, type_name=column.type_name, length=column.length, scale=column.scale,
        is_character=column.is_character, charset_unknown=found.charset_unknown,
    )


def _int(size: int, signed: str, unsigned: str) -> _Maker:
    def make(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
        schema = Schema(unsigned if column.unsigned else signed)
        return _Found(mysqltext.TextIntCodec(schema, size, column.unsigned),
                      mysqlnumbers.LeIntCodec(schema, size, column.unsigned))

    return make


def _bigint(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    if not column.unsigned or config.bigint_unsigned_handling_mode != "precise":
        return _int(8, INT64, INT64)(column, config, old)
    schema = decimal_schema(20, 0)
    return _Found(mysqltext.TextUnsignedDecimalCodec(schema), mysqlnumbers.UnsignedDecimalCodec(schema))


def decimal_schema(precision: int, scale: int) -> Schema:
    return Schema(BYTES, name=DECIMAL, version=1,
                  parameters=(("scale", str(scale)), ("connect.decimal.precision", str(precision))))


def _boolean(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    """BOOL and BOOLEAN, if a statement spells the type so; otherwise the same column is a TINYINT(1)."""
    schema, number = Schema(BOOLEAN), Schema(INT16)
    return _Found(ShownCodec(schema, mysqltext.TextIntCodec(number, 1, False), bool),
                  ShownCodec(schema, mysqlnumbers.LeIntCodec(number, 1, False), bool))


def _float(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    """The text of a FLOAT has only 6 digits, so the SELECT casts it to DOUBLE. From FLOAT(25) on the column is a
    DOUBLE."""
    single = column.scale is None and (column.length is None or column.length <= 24)
    stored_single = column.scale is not None or single
    schema = Schema(FLOAT32 if single else FLOAT64)
    return _Found(mysqltext.TextFloatCodec(schema, single, stored_single), mysqlnumbers.LeFloatCodec(schema, single),
                  "CAST({} AS DOUBLE)" if stored_single else "{}")


def _double(type_: str) -> _Maker:
    def make(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
        single, schema = type_ == FLOAT32, Schema(type_)
        return _Found(mysqltext.TextFloatCodec(schema, single, single), mysqlnumbers.LeFloatCodec(schema, single))

    return make


def _decimal(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    precision = 10 if column.length is None else column.length
    scale = column.scale or 0
    mode = config.decimal_handling_mode
    if mode == "precise":
        schema = decimal_schema(precision, scale)
        return _Found(DecimalCodec(schema, scale), mysqlnumbers.BinDecimalCodec(schema, precision, scale))
    exact = DecimalCodec(decimal_schema(precision, scale), scale)
    if mode == "double":
        schema = Schema(FLOAT64)
        return _Found(ShownCodec(schema, exact, lambda number: float(_decimal_text(number, scale))),
                      mysqlnumbers.DecimalDoubleCodec(schema, precision, scale))
    schema = Schema(STRING)
    return _Found(ShownCodec(schema, exact, lambda number: _decimal_text(number, scale)),
                  mysqlnumbers.DecimalTextCodec(schema, precision, scale))


def _decimal_text(number: bytes, scale: int) -> str:
    return mysqlnumbers.decimal_text(int.from_bytes(number, "big", signed=True), scale)


def _bit(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    length = column.length or 1
    codec: Codec
    if length == 1:
        codec = mysqlbin.BitFlagCodec(Schema(BOOLEAN))
    else:
        codec = mysqlbin.BitsCodec(semantic(BYTES, "io.debezium.data.Bits", length=str(length)))
    return _Found(codec, codec)


def _string(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    """In the column's own character set, in text protocol and row events."""
    schema, known = Schema(STRING), None
    if column.charset is not None and column.charset.lower() not in UTF8:
        known = charset(column.charset)
    if known is None:
        codec: Codec = TextCodec(schema)
        unknown = column.charset is None or column.charset.lower() not in UTF8
        return _Found(codec, codec, charset_unknown=unknown)
    codec = mysqlbin.CharsetCodec(schema, known.decode, known.ascii)
    return _Found(codec, codec)


def _bytes(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    length = (column.length or 1) if column.base == "BINARY" else 0
    codec: Codec
    if config.binary_handling_mode == "bytes":
        schema = Schema(BYTES)
        codec = mysqlbin.PaddedBytesCodec(schema, length) if length else mysqlbin.BytesCodec(schema)
    else:
        show = BINARY_TEXT[config.binary_handling_mode]
        codec = ReadAsCodec(Schema(STRING), lambda data: show(data.ljust(length, b"\0")).decode())
    return _Found(codec, codec)


def escaped(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Escaped: a backslash before each backslash and each comma."""
    return tuple(label.replace("\\", "\\\\").replace(",", "\\,") for label in labels)


def _streamed(labels: tuple[str, ...], config: TypeConfig) -> tuple[str, ...]:
    """Debezium writes labels escaped in streams, and unchanged in snapshots."""
    return labels if config.cdc_uniform_values else escaped(labels)


def _enum(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    labels = column.enum_values
    schema = semantic(STRING, "io.debezium.data.Enum", allowed=",".join(escaped(labels)))
    return _Found(mysqltext.TextLabelCodec(schema, labels), mysqlbin.LabelCodec(schema, _streamed(labels, config)),
                  "CAST({} AS UNSIGNED)")


def _set(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    labels = column.enum_values
    schema = semantic(STRING, "io.debezium.data.EnumSet", allowed=",".join(escaped(labels)))
    return _Found(mysqltext.TextLabelSetCodec(schema, labels),
                  mysqlbin.LabelSetCodec(schema, _streamed(labels, config)), "CAST({} AS UNSIGNED)")


def _json(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    """MySQL's JSON. In MariaDB, JSON is another name for LONGTEXT."""
    schema = semantic(STRING, "io.debezium.data.Json")
    if config.flavor.json_is_text:
        return _Found(TextCodec(schema), TextCodec(schema))
    form = mysqljson.SERVER if config.cdc_uniform_values else mysqljson.COMPACT
    return _Found(TextCodec(schema), mysqljson.JsonCodec(schema, form))


def _year(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    """Debezium writes the year 0000 as 1900 in streams; in snapshots its time adjuster makes it 2000."""
    schema = semantic(INT32, "io.debezium.time.Year")
    if config.cdc_uniform_values:
        return _Found(mysqltext.TextYearCodec(schema, 0), mysqltimes.YearCodec(schema, 0))
    zero = 2000 if config.enable_time_adjuster else 0
    return _Found(mysqltext.TextYearCodec(schema, zero), mysqltimes.YearCodec(schema, 1900))


_CONNECT: Final = "org.apache.kafka.connect.data."
_DEBEZIUM: Final = "io.debezium.time."


def _date(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    mode, adjust = config.time_precision_mode, config.enable_time_adjuster
    schema = semantic(INT32, (_CONNECT if mode == "connect" else _DEBEZIUM) + "Date")
    text, binary = mysqltext.TextDateCodec(schema, adjust), mysqltimes.LeDateCodec(schema, adjust)
    if mode != "isostring":
        return _Found(text, binary)
    return _shown(semantic(STRING, _DEBEZIUM + "IsoDate"), text, binary, mysqltimes.iso_date)


def _shown(schema: Schema, text: Codec, binary: Codec, show: Callable[[Any], str]) -> _Found:
    return _Found(ShownCodec(schema, text, show), ShownCodec(schema, binary, show))


def _time(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    mode = config.time_precision_mode
    name, type_, unit = _TIMES.get(mode, _TIMES["microseconds"])
    schema, bounded = semantic(type_, name), mode in ("connect", "isostring")
    text, binary = mysqltext.TextTimeCodec(schema, unit, bounded), mysqltimes.Time2Codec(schema, unit, bounded, old)
    if mode != "isostring":
        return _Found(text, binary)
    return _shown(semantic(STRING, _DEBEZIUM + "IsoTime"), text, binary, mysqltimes.iso_time)


_TIMES: Final = {
    "microseconds": (_DEBEZIUM + "MicroTime", INT64, MICROS),
    "nanoseconds": (_DEBEZIUM + "NanoTime", INT64, NANOS),
    "connect": (_CONNECT + "Time", INT32, MILLIS),
}
"""By time.precision.mode: name, type and unit. adaptive_time_microseconds counts as microseconds here."""


def _datetime(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    mode, adjust = config.time_precision_mode, config.enable_time_adjuster
    if mode.startswith("adaptive"):
        mode = "milliseconds" if (column.length or 0) <= 3 else "microseconds"
    name, unit = _DATETIMES.get(mode, _DATETIMES["microseconds"])
    schema = semantic(INT64, name)
    text = mysqltext.TextDatetimeCodec(schema, unit, adjust)
    binary = mysqltimes.Datetime2Codec(schema, unit, adjust, old)
    if mode != "isostring":
        return _Found(text, binary)
    return _shown(semantic(STRING, _DEBEZIUM + "IsoTimestamp"), text, binary, instant_text)


_DATETIMES: Final = {
    "milliseconds": (_DEBEZIUM + "Timestamp", MILLIS),
    "microseconds": (_DEBEZIUM + "MicroTimestamp", MICROS),
    "nanoseconds": (_DEBEZIUM + "NanoTimestamp", NANOS),
    "connect": (_CONNECT + "Timestamp", MILLIS),
}


def _timestamp(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    """Debezium writes as many fraction digits as the column has in streams, and as few as possible in snapshots."""
    schema = semantic(STRING, _DEBEZIUM + "ZonedTimestamp")
    digits = column.length or 0
    return _Found(mysqltext.TextTimestampCodec(schema, digits if config.cdc_uniform_values else 0),
                  mysqltimes.Timestamp2Codec(schema, digits, old))


_GEOMETRY: Final = "io.debezium.data.geometry."
_SRID: Final = ("srid", Schema(INT32, optional=True))


def _point(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    fields = [("x", Schema(FLOAT64)), ("y", Schema(FLOAT64)), ("wkb", Schema(BYTES, optional=True)), _SRID]
    codec = mysqlbin.PointCodec(struct(_GEOMETRY + "Point", fields, 1, doc="Geometry (POINT)"))
    return _Found(codec, codec)


def _geometry(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    codec = mysqlbin.GeometryCodec(
        struct(_GEOMETRY + "Geometry", [("wkb", Schema(BYTES)), _SRID], 1, doc="Geometry"))
    return _Found(codec, codec, always_optional=True)


def _vector(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    codec = mysqlbin.FloatVectorCodec(
        Schema(ARRAY, name="io.debezium.data.FloatVector", version=1, items=Schema(FLOAT32)))
    return _Found(codec, codec)


def _uuid(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
    schema = semantic(STRING, "io.debezium.data.Uuid")
    return _Found(TextCodec(schema), ReadAsCodec(schema, uuid_text))


def uuid_text(data: bytes) -> str:
    """MariaDB's UUID. The log leaves out trailing zero bytes, as for a BINARY(16)."""
    if len(data) > 16:
        raise mysqlnumbers.bad_bytes("uuid", len(data))
    return str(uuid.UUID(bytes=data.ljust(16, b"\0")))


def _inet4_text(data: bytes) -> str:
    return str(IPv4Address(data))


def inet6_text(data: bytes) -> str:
    """As the server prints it: the first of the longest runs of zeros is left out, even if it is one word, and the end
    of an address that stands for an IPv4 one is shown as such. MariaDB server, sql/sql_type_inet.cc, Inet6::to_string.
    """
    words = [data[at:at + 2].hex().lstrip("0") or "0" for at in range(0, 16, 2)]
    length, at = max((_zeros(words, at), -at) for at in range(8))
    begin, end = -at, length - at
    if begin == 0 and (length == 6 or (length == 5 and words[5] == "ffff")):
        return f"::{'ffff:' if length == 5 else ''}{IPv4Address(data[12:])}"
    return f"{':'.join(words[:begin])}::{':'.join(words[end:])}" if length else ":".join(words)


def _zeros(words: Sequence[str], at: int) -> int:
    return next((number for number, word in enumerate(words[at:]) if word != "0"), len(words) - at)


def _address(size: int, show: Callable[[bytes], str]) -> _Maker:
    """MariaDB's INET4 and INET6, as text."""
    def read(data: bytes) -> str:
        if len(data) > size:
            raise mysqlnumbers.bad_bytes("address", len(data))
        return show(data.ljust(size, b"\0"))

    def make(column: ColumnDef, config: TypeConfig, old: bool) -> _Found:
        return _Found(TextCodec(Schema(STRING)), ReadAsCodec(Schema(STRING), read))

    return make


_STRINGS: Final = (
    "CHAR", "CHARACTER", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "TINYTEXT", "TEXT", "MEDIUMTEXT", "LONGTEXT",
    "LONG", "LONG VARCHAR", "LONG CHAR VARYING", "NCHAR", "NVARCHAR", "NATIONAL CHAR", "NATIONAL CHARACTER",
    "NATIONAL VARCHAR", "NATIONAL CHAR VARYING", "NATIONAL CHARACTER VARYING", "NCHAR VARCHAR", "NCHAR VARYING",
)
_BINARIES: Final = (
    "BINARY", "VARBINARY", "CHAR BYTE", "TINYBLOB", "BLOB", "MEDIUMBLOB", "LONGBLOB", "LONG VARBINARY",
)
_GEOMETRIES: Final = (
    "GEOMETRY", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION",
    "GEOMCOLLECTION",
)

_MAKERS: Final[Mapping[str, _Maker]] = {
    **dict.fromkeys(("TINYINT", "INT1"), _int(1, INT16, INT16)),
    **dict.fromkeys(("SMALLINT", "INT2"), _int(2, INT16, INT32)),
    **dict.fromkeys(("MEDIUMINT", "INT3", "MIDDLEINT"), _int(3, INT32, INT32)),
    **dict.fromkeys(("INT", "INTEGER", "INT4"), _int(4, INT32, INT64)),
    **dict.fromkeys(("BIGINT", "INT8", "SERIAL"), _bigint),
    **dict.fromkeys(("BOOL", "BOOLEAN"), _boolean),
    **dict.fromkeys(("FLOAT", "FLOAT4"), _float),
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION", "FLOAT8"), _double(FLOAT64)),
    "REAL": _double(FLOAT32),
    **dict.fromkeys(("DECIMAL", "DEC", "NUMERIC", "FIXED"), _decimal),
    "BIT": _bit,
    **dict.fromkeys(_STRINGS, _string),
    **dict.fromkeys(_BINARIES, _bytes),
    "ENUM": _enum,
    "SET": _set,
    "JSON": _json,
    "YEAR": _year,
    "DATE": _date,
    "TIME": _time,
    "DATETIME": _datetime,
    "TIMESTAMP": _timestamp,
    "POINT": _point,
    **dict.fromkeys(_GEOMETRIES, _geometry),
    "VECTOR": _vector,
    "UUID": _uuid,
    "INET4": _address(4, _inet4_text),
    "INET6": _address(16, inet6_text),
}
"""The makers of codecs, by `ColumnDef.base`."""
SUPPORTED: Final = frozenset(_MAKERS)
"""The types that appear in events, by `ColumnDef.base`."""
