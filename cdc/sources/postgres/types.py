"""PostgreSQL types to Connect schemas and codecs.

Call `resolve` once for each column of each version of a table. It follows Debezium's "PostgreSQL connector"
documentation, "Data type mappings". Columns of a type without a mapping are left out of the row.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from cdc.codecs.postgres import text as pgtext
from cdc.codecs.postgres import values as pgvalues
from cdc.codecs.postgres.array import ArrayCodec
from cdc.codecs.postgres.binary import binary_codec
from cdc.codecs.text import DecimalCodec, TextCodec
from cdc.codecs.time import MICROS, MILLIS, NANOS
from cdc.core.codec import Codec
from cdc.core.dataclass import dataclass
from cdc.core.errors import DecodeError
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
    MAP,
    STRING,
    Schema,
    semantic,
    struct,
)
from cdc.sources.shared.conversions import placeholder_bytes

from . import jdbc


@dataclass(frozen=True)
class TypeInfo:
    """A row of pg_type. `kind` is typtype: b base, c composite, d domain, e enum, r range, m multirange, p pseudo.

    `base_oid`, `base_typmod`: a domain's base type and its modifier; 0 and -1 for other types.
    `element_oid`: an array's element type; 0 for other types.
    `labels`: an enum's labels, in sort order.
    """

    oid: int
    name: str
    namespace: str
    kind: str
    base_oid: int = 0
    base_typmod: int = -1
    element_oid: int = 0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnType:
    """How columns of a type appear in events.

    `schema`: the form of a required field.
    `unchanged`: the Connect value for an out-of-line value that the log left out; None where Debezium has none.
    `always_optional`: the field is optional even if the column is NOT NULL.
    `type_name`, `length`, `scale`, `is_character`: the column as the JDBC driver describes it, for column mappers.
    `null_value`: the value for a null in a required field without a default; None for the one that all sources use.
    """

    schema: Schema
    codec: Codec
    binary_codec: Codec | None
    unchanged: Any
    always_optional: bool
    type_name: str
    length: int | None
    scale: int | None
    is_character: bool
    null_value: Any = None


class TypeConfig(Protocol):
    """The options that types depend on; options.py documents them."""

    @property
    def decimal_handling_mode(self) -> str: ...
    @property
    def time_precision_mode(self) -> str: ...
    @property
    def binary_handling_mode(self) -> str: ...
    @property
    def interval_handling_mode(self) -> str: ...
    @property
    def hstore_handling_mode(self) -> str: ...
    @property
    def money_fraction_digits(self) -> int: ...
    @property
    def include_unknown_datatypes(self) -> bool: ...
    @property
    def unavailable_value_placeholder(self) -> str: ...
    @property
    def cdc_debezium_faults(self) -> bool: ...


def resolve(type_info: TypeInfo, typmod: int, *, config: TypeConfig,
            types: Mapping[int, TypeInfo], money_shift: int = 0) -> ColumnType | None:
    """How a column of *type_info* with the modifier *typmod* appears in events; None if it does not appear.

    *types*: by oid, at least a domain's base and an array's element. A column whose type is not there or has no mapping
    appears only with include.unknown.datatypes; its text is then written as binary.handling.mode says.
    *money_shift*: see `pgvalues.MoneyCodec`.
    """
    root, root_typmod = _root(type_info, typmod, types)
    found = _array(root, root_typmod, config, types) if root.element_oid else _scalar(root, root_typmod, config)
    if found is None:
        if not config.include_unknown_datatypes or _never_shown(root, types):
            return None
        found = _unknown(root, config)
    if isinstance(found.codec, pgvalues.MONEY):
        found.codec.shift = money_shift
    sized = types.get(root.element_oid, root) if root.element_oid else root
    length = (jdbc.domain_length if type_info.kind == "d" else jdbc.length)(sized.name, root_typmod)
    return ColumnType(
        schema=found.schema, codec=found.codec, binary_codec=_binary(root, sized, found.codec),
        unchanged=_unchanged(root, found.schema, config, types), always_optional=found.always_optional,
        type_name=type_info.name, length=length, scale=jdbc.scale(sized.name, root_typmod),
        is_character=jdbc.is_character(root.name, root.kind == "e"),
        null_value=_null_value(root, root_typmod, config),
    )


def _never_shown(root: TypeInfo, types: Mapping[int, TypeInfo]) -> bool:
    """Whether a type is left out even with include.unknown.datatypes."""
    return root.element_oid in types and types[root.element_oid].name in _NO_ARRAYS


def _null_value(root: TypeInfo, typmod: int, config: TypeConfig) -> str | None:
    """`ColumnType.null_value`."""
    if root.name in ("json", "jsonb"):
        return ""
    if config.decimal_handling_mode != "string" or root.name not in ("numeric", "money"):
        return None
    digits = config.money_fraction_digits if root.name == "money" else jdbc.scale("numeric", typmod)
    return "0." + "0" * digits if digits else "0"


def _binary(root: TypeInfo, sized: TypeInfo, codec: Codec) -> Codec | None:
    """The codec for the type's binary format. *sized* is an array's element type, or *root* itself.

    None if the server sends, or we read, only text: for composites, and arrays that are written as their text.
    """
    is_array = root.element_oid != 0
    if sized.kind not in ("b", "e", "r") or is_array != isinstance(codec, ArrayCodec):
        return None
    return binary_codec(sized.name, codec, is_enum=sized.kind == "e", is_array=is_array)


def _root(info: TypeInfo, typmod: int, types: Mapping[int, TypeInfo]) -> tuple[TypeInfo, int]:
    """The type under all domains, with the modifier nearest to the column."""
    while info.kind == "d" and info.base_oid in types:
        typmod = info.base_typmod if typmod == -1 else typmod
        info = types[info.base_oid]
    return info, typmod


class WithheldCodec(Codec):
    """Refuses every value with *reason*, so that a null is written."""

    def __init__(self, schema: Schema, reason: str) -> None:
        Codec.__init__(self, schema)
        self.reason = reason

    def value(self, data: bytes, start: int, end: int) -> Any:
        raise DecodeError(self.reason)


class _Found(NamedTuple):
    codec: Codec
    always_optional: bool = False

    @property
    def schema(self) -> Schema:
        return self.codec.schema


_Maker = Callable[[TypeInfo, int, TypeConfig], Codec]


def _scalar(info: TypeInfo, typmod: int, config: TypeConfig) -> _Found | None:
    if info.kind == "e":
        return _Found(TextCodec(semantic(STRING, "io.debezium.data.Enum", allowed=",".join(info.labels))))
    maker = _MAKERS.get(info.name)
    if maker is None or info.kind not in ("b", "r"):
        return None
    return _Found(maker(info, typmod, config), always_optional=info.name == "geometry")


def _array(info: TypeInfo, typmod: int, config: TypeConfig, types: Mapping[int, TypeInfo]) -> _Found | None:
    element = types.get(info.element_oid)
    if element is None or info.name in _SPACED_LISTS or element.name in _NO_ARRAYS:
        return None
    found = _scalar(element, typmod, config)
    if found is None:
        if not config.include_unknown_datatypes:
            return None
        found = _unknown(element, config)
    if element.name == "bit":
        return _Found(WithheldCodec(found.schema, "an array of bit is null, as with Debezium"), always_optional=True)
    digits = _TIME_DIGITS.get(element.name)
    codec = found.codec if digits is None else pgvalues.ListedTimeCodec(found.codec, digits)
    items = found.schema.as_optional(element.name in _OPTIONAL_ELEMENTS and element.kind != "e")
    delimiter = b";" if element.name == "box" else b","
    return _Found(ArrayCodec(Schema(ARRAY, items=items), codec, delimiter))


def _unknown(info: TypeInfo, config: TypeConfig) -> _Found:
    mode = config.binary_handling_mode
    codec: Codec
    if mode == "bytes":
        codec = pgvalues.RawCodec(Schema(BYTES))
    else:
        codec = pgvalues.BinaryTextCodec(Schema(STRING), mode, raw=True)
    return _Found(pgvalues.JavaNumbersCodec(codec) if info.name in _GEOMETRIC else codec)


_SPACED_LISTS: Final = frozenset({"int2vector", "oidvector"})
"""The catalog calls these arrays, but they print as lists with spaces."""

_NO_ARRAYS: Final = frozenset({"money", "name", "interval", "varbit", "xml", "point", "refcursor"})
"""Debezium leaves arrays of these types out. It gives arrays of `bit` the schema of one value, which no value fits."""

_GEOMETRIC: Final = frozenset({"box", "circle", "line", "lseg", "path", "polygon"})

_TIME_DIGITS: Final = {"time": 3, "timetz": 0}

_OPTIONAL_ELEMENTS: Final = frozenset({
    "int2", "int4", "int8", "oid", "float4", "float8", "bool", "text", "varchar", "bpchar", "char", "citext", "inet",
    "cidr", "macaddr", "macaddr8", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange",
    "numeric", "date", "time", "timestamp", "timetz", "timestamptz", "uuid", "json", "jsonb", "bytea", "hstore",
    "ltree", "geometry", "geography",
})
"""Arrays of other types have required elements in Debezium's schemas."""


def _int(type_: str, low: int, high: int) -> _Maker:
    return lambda info, typmod, config: pgtext.IntCodec(Schema(type_), low, high)


def _text(name: str | None = None) -> _Maker:
    schema = semantic(STRING, name) if name else Schema(STRING)
    return lambda info, typmod, config: TextCodec(schema)


def _bool(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    return pgtext.BoolCodec(Schema(BOOLEAN))


def _float4(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    return pgtext.FloatCodec(Schema(FLOAT32), True)


def _float8(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    return pgtext.FloatCodec(Schema(FLOAT64), False)


VARIABLE_SCALE_DECIMAL: Final = struct(
    "io.debezium.data.VariableScaleDecimal", [("scale", Schema(INT32)), ("value", Schema(BYTES))], 1,
    doc="Variable scaled decimal")


def _numeric(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    mode = config.decimal_handling_mode
    if mode == "double":
        return pgvalues.NumericDoubleCodec(Schema(FLOAT64))
    if mode == "string":
        return pgvalues.NumericTextCodec(Schema(STRING))
    if typmod < 4:
        return pgvalues.VariableDecimalCodec(VARIABLE_SCALE_DECIMAL)
    precision, scale = numeric_modifier(typmod)
    schema = Schema(BYTES, name=DECIMAL, version=1,
                    parameters=(("scale", str(scale)), ("connect.decimal.precision", str(precision))))
    return DecimalCodec(schema, scale)


def numeric_modifier(typmod: int) -> tuple[int, int]:
    """Precision and scale of numeric(p, s). src/backend/utils/adt/numeric.c, `numeric_typmod_scale`.

    PostgreSQL 15 allows a negative scale, an Avro decimal does not: such a column has whole numbers of p - s digits.
    """
    precision = (typmod - 4) >> 16 & 0xFFFF
    scale = (((typmod - 4) & 0x7FF) ^ 0x400) - 0x400
    return (precision, scale) if scale >= 0 else (precision - scale, 0)


def _money(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    digits = config.money_fraction_digits
    if config.decimal_handling_mode == "double":
        return pgvalues.MoneyDoubleCodec(Schema(FLOAT64), digits)
    if config.decimal_handling_mode == "string":
        return pgvalues.MoneyTextCodec(Schema(STRING), digits)
    return pgvalues.MoneyCodec(semantic(BYTES, DECIMAL, scale=str(digits)), digits)


def _bits(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    """`bit` is bit(1), also in the catalog; `varbit` without a modifier has no limit."""
    length = typmod if typmod > 0 else (1 if info.name == "bit" else jdbc.UNLIMITED)
    if length == 1:
        return pgtext.BoolCodec(Schema(BOOLEAN), b"1", b"0")
    return pgvalues.BitsCodec(semantic(BYTES, "io.debezium.data.Bits", length=str(length)))


def _bytea(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    if config.binary_handling_mode == "bytes":
        return pgtext.ByteaCodec(Schema(BYTES))
    return pgvalues.BinaryTextCodec(Schema(STRING), config.binary_handling_mode)


def _precision(typmod: int) -> int:
    """Fraction digits of a time or timestamp; 6 unless declared."""
    return 6 if typmod < 0 else typmod


_CONNECT: Final = "org.apache.kafka.connect.data."
_DEBEZIUM: Final = "io.debezium.time."


def _date(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    mode = config.time_precision_mode
    if mode == "isostring":
        return pgvalues.IsoDateCodec(semantic(STRING, _DEBEZIUM + "IsoDate"))
    return pgtext.DateCodec(semantic(INT32, (_CONNECT if mode == "connect" else _DEBEZIUM) + "Date"))


def _time(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    mode = config.time_precision_mode
    if mode == "isostring":
        return pgvalues.IsoTimeCodec(semantic(STRING, _DEBEZIUM + "IsoTime"))
    if mode == "connect":
        return pgtext.TimeCodec(semantic(INT32, _CONNECT + "Time"), MILLIS)
    if mode == "nanoseconds":
        return pgtext.TimeCodec(semantic(INT64, _DEBEZIUM + "NanoTime"), NANOS)
    if mode == "adaptive" and _precision(typmod) <= 3:
        return pgtext.TimeCodec(semantic(INT32, _DEBEZIUM + "Time"), MILLIS)
    return pgtext.TimeCodec(semantic(INT64, _DEBEZIUM + "MicroTime"), MICROS)


def _timestamp(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    mode = config.time_precision_mode
    if mode == "isostring":
        return pgvalues.IsoTimestampCodec(semantic(STRING, _DEBEZIUM + "IsoTimestamp"))
    if mode == "connect":
        return pgtext.TimestampCodec(semantic(INT64, _CONNECT + "Timestamp"), MILLIS)
    if mode == "nanoseconds":
        return pgtext.TimestampCodec(semantic(INT64, _DEBEZIUM + "NanoTimestamp"), NANOS)
    if mode.startswith("adaptive") and _precision(typmod) <= 3:
        return pgtext.TimestampCodec(semantic(INT64, _DEBEZIUM + "Timestamp"), MILLIS)
    return pgtext.TimestampCodec(semantic(INT64, _DEBEZIUM + "MicroTimestamp"), MICROS)


def _timestamptz(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    return pgtext.ZonedTimestampCodec(semantic(STRING, _DEBEZIUM + "ZonedTimestamp"), _precision(typmod))


def _timetz(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    return pgvalues.ZonedTimeCodec(semantic(STRING, _DEBEZIUM + "ZonedTime"))


def _interval(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    if config.interval_handling_mode == "string":
        return pgvalues.IntervalCodec(semantic(STRING, _DEBEZIUM + "Interval"))
    return pgvalues.DurationCodec(semantic(INT64, _DEBEZIUM + "MicroDuration"))


def _hstore(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    if config.hstore_handling_mode == "map":
        return pgvalues.HstoreMapCodec(Schema(MAP, keys=Schema(STRING), items=Schema(STRING, optional=True)))
    return pgvalues.HstoreJsonCodec(semantic(STRING, "io.debezium.data.Json"))


_GEOMETRY: Final = "io.debezium.data.geometry."
_SRID: Final = ("srid", Schema(INT32, optional=True))


def _point(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    fields = [("x", Schema(FLOAT64)), ("y", Schema(FLOAT64)), ("wkb", Schema(BYTES, optional=True)), _SRID]
    return pgvalues.PointCodec(struct(_GEOMETRY + "Point", fields, 1, doc="Geometry (POINT)"))


def _geometry(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    name = info.name.capitalize()
    return pgvalues.GeometryCodec(struct(_GEOMETRY + name, [("wkb", Schema(BYTES)), _SRID], 1, doc=name))


def _vector(type_: str, name: str) -> _Maker:
    schema = Schema(ARRAY, name=name, version=1, items=Schema(type_))
    return lambda info, typmod, config: pgvalues.VectorCodec(schema)


def _sparse(info: TypeInfo, typmod: int, config: TypeConfig) -> Codec:
    values = Schema(MAP, keys=Schema(INT16), items=Schema(FLOAT64))
    return pgvalues.SparseVectorCodec(struct(
        "io.debezium.data.SparseDoubleVector", [("dimensions", Schema(INT16)), ("vector", values)], 1,
        doc="Sparse double vector"))


_STRINGS: Final = (
    "text", "varchar", "bpchar", "char", "name", "citext", "isbn", "inet", "cidr", "macaddr", "macaddr8", "int4range",
    "int8range", "numrange", "tsrange", "tstzrange", "daterange",
)

_MAKERS: Final[Mapping[str, _Maker]] = {
    **dict.fromkeys(_STRINGS, _text()),
    "json": _text("io.debezium.data.Json"),
    "jsonb": _text("io.debezium.data.Json"),
    "xml": _text("io.debezium.data.Xml"),
    "uuid": _text("io.debezium.data.Uuid"),
    "ltree": _text("io.debezium.data.Ltree"),
    "tsvector": _text("io.debezium.data.Tsvector"),
    "bool": _bool,
    "int2": _int(INT16, -(1 << 15), (1 << 15) - 1),
    "int4": _int(INT32, -(1 << 31), (1 << 31) - 1),
    "int8": _int(INT64, -(1 << 63), (1 << 63) - 1),
    "oid": _int(INT64, 0, (1 << 32) - 1),
    "float4": _float4,
    "float8": _float8,
    "numeric": _numeric,
    "money": _money,
    "bit": _bits,
    "varbit": _bits,
    "bytea": _bytea,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "timetz": _timetz,
    "interval": _interval,
    "point": _point,
    "hstore": _hstore,
    "geometry": _geometry,
    "geography": _geometry,
    "vector": _vector(FLOAT64, "io.debezium.data.DoubleVector"),
    "halfvec": _vector(FLOAT32, "io.debezium.data.FloatVector"),
    "sparsevec": _sparse,
}
"""By pg_type.typname: types of extensions (hstore, citext, isbn, ltree, PostGIS, pgvector) have no fixed oid."""


EXTENSION_TYPES: Final = frozenset({
    "citext", "geography", "geometry", "halfvec", "hstore", "isbn", "ltree", "sparsevec", "vector",
})


def _unchanged(info: TypeInfo, schema: Schema, config: TypeConfig, types: Mapping[int, TypeInfo]) -> Any:
    """The placeholder for an unchanged out-of-line value; None for types whose values are never out of line.

    Where Debezium has a placeholder, ours is the same. Where it writes a null, which would mean something else, ours
    is made of the same text or bytes, see `_placeholder`; but not with `cdc.debezium.faults`.
    """
    raw = placeholder_bytes(config.unavailable_value_placeholder)
    text = raw.decode("utf-8", "replace")
    if info.name == "hstore":
        return {text: text} if schema.type == MAP else pgvalues.json_text({text: text})
    element = types[info.element_oid] if schema.type == ARRAY and info.element_oid else None
    if element is not None and element.name == "uuid":
        return [str(uuid.UUID(bytes=hashlib.md5(raw, usedforsecurity=False).digest(), version=3))]
    if config.cdc_debezium_faults and not _as_debezium(schema, element):
        return None
    withheld = element is None and info.element_oid in types and types[info.element_oid].name == "bit"
    return None if withheld or not raw else _placeholder(schema, raw, text)


def _as_debezium(schema: Schema, element: TypeInfo | None) -> bool:
    """Whether Debezium has a placeholder for *schema*, or we had one before `cdc.debezium.faults`."""
    items = schema if element is None else schema.items
    assert items is not None
    if element is not None and element.name in ("int4", "int8", "date") and items.type in (INT32, INT64):
        return True
    return items.type == STRING or (items.type == BYTES and items.name is None)


def _placeholder(schema: Schema, raw: bytes, text: str) -> Any:
    """The text, or its bytes *raw*: as bytes (of a decimal, these are its digits; of bits, these are the bits), as the
    numbers of a list, as the bits of a list of booleans. As a number, it is that of the decimal."""
    if schema.type == ARRAY:
        items = schema.items
        assert items is not None
        if items.type == BOOLEAN:
            return [bool(byte >> bit & 1) for byte in raw for bit in range(7, -1, -1)]
        if items.type in (FLOAT32, FLOAT64):
            return [float(byte) for byte in raw]
        if items.type in (INT16, INT32, INT64):
            return [byte - 256 if byte > 127 else byte for byte in raw]
        return [_placeholder(items, raw, text)]
    if schema.type == STRING:
        return text
    if schema.type == BYTES:
        return raw
    if schema.type == FLOAT64:
        return float(int.from_bytes(raw[:_MOST_OF_A_FLOAT], signed=True))
    return _STRUCTS[schema.name or ""](raw) if schema.name in _STRUCTS else None


_MOST_OF_A_FLOAT: Final = 100
"""So many bytes of a placeholder are a number that a FLOAT64 can hold."""

_STRUCTS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "io.debezium.data.VariableScaleDecimal": lambda raw: (0, raw),
    "io.debezium.data.SparseDoubleVector": lambda raw: (
        min(len(raw), 32767), {index: float(byte) for index, byte in enumerate(raw[:32767], 1)}),
    "io.debezium.data.geometry.Geometry": lambda raw: (raw, None),
    "io.debezium.data.geometry.Geography": lambda raw: (raw, None),
}
