"""Column defaults: the text of a default expression, as pg_get_expr prints it, to the default of a field's schema.

Expressions are not evaluated. A literal is read like a value of the column. A function call becomes a placeholder of
the column's type. Other expressions give no default. Debezium's `PostgresDefaultValueConverter` decides which texts are
literals and calls, and we follow it exactly, oddities included: a default is part of the registered schema, so any
difference would change the schema of a topic that is taken over from Debezium.

These have no default: identity columns (pg_attrdef has no row for them), columns of a domain, arrays, and types that
the table below does not have. The expression of a generated column is not a default: pass None for it.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any, Final

from cdc.codecs.postgres.render import float4
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.late_regex import late_regex
from cdc.core.schema import BOOLEAN, DECIMAL, FLOAT32, STRUCT
from cdc.sources.shared.columns import Default

_LITERAL: Final = late_regex(r"'([^']*(?:''[^']*)*)'")
_CALL: Final = late_regex(r"\(?[A-Za-z0-9_.]+\([^\n\r\u0085\u2028\u2029]*\)")
_CURRENT: Final = frozenset({"current_timestamp", "current_time", "current_date", "localtime", "localtimestamp"})
_INTEGER: Final = late_regex(r"[+-]?[0-9]+", re.ASCII)
_NUMBER: Final = late_regex(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_UNTRIMMED: Final = frozenset({"bpchar", "varchar", "text", "json", "jsonb", "xml"})
_EXACT: Final = Context(prec=150_000, Emax=999_999, Emin=-999_999, traps=[Inexact, InvalidOperation])
"""Holds any numeric of PostgreSQL (131072 digits before the point, 16383 after), and never rounds."""


_NONE: Final = Default(None, True)
_NOT_UNDERSTOOD: Final = Default(None, False)


def default_value(expression: str | None, type_name: str, codec: Codec, *, typmod: int = -1,
                  is_enum: bool = False) -> Default:
    """The schema's default for a column with the default *expression*, None if it has none.

    *type_name*: the column's own type, pg_type.typname; for a domain the domain's name.
    *codec*: the column's text codec.
    *typmod*: the column's atttypmod.
    *is_enum*: the type is of kind `e`; False for a domain over one.
    """
    if expression is None:
        return _NONE
    if is_enum:
        return Default(_enum_label(expression, type_name), True)
    reader = _READERS.get(type_name)
    if reader is None:
        return _NONE
    try:
        text = _literal(expression, type_name)
        if text is None:
            return _NONE
        if codec.schema.type == STRUCT:
            return _NOT_UNDERSTOOD  # Connect cannot hold a struct as a default (KAFKA-12694)
        return Default(reader(text, codec, typmod), True)
    except (DecodeError, ValueError, ArithmeticError):
        return _NOT_UNDERSTOOD


def _literal(expression: str, type_name: str) -> str | None:
    """The text to read as a value: the first quoted string, a literal without quotes, or the placeholder for a call.
    None for a NULL. Raises ValueError if a quote is not closed."""
    if type_name not in _UNTRIMMED:
        expression = expression.strip()
    if _CALL.match(expression) or expression.lower() in _CURRENT:
        return _PLACEHOLDERS[type_name]
    if "'" not in expression:
        return None if expression == "NULL" or expression.startswith("NULL::") else expression
    quoted = _LITERAL.search(expression)
    if quoted is None:
        raise ValueError("a quote is not closed")
    return quoted[1].replace("''", "'")


def _enum_label(expression: str, type_name: str) -> str | None:
    """`x` of `'x'::type`, if *type_name* is that type. Doubled quotes stay doubled, as in Debezium."""
    value, cast, cast_type = expression.rpartition("::")
    if not cast or _last_part(cast_type) != type_name:
        return None
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "'" else None


def _last_part(identifier: str) -> str:
    """`mood` of `inv.mood` or `"inv"."mood"`, without quotes."""
    parts = re.findall(r'(?:"(?:[^"]|"")*"|[^".])+', identifier)
    last = parts[-1] if parts else ""
    return last[1:-1].replace('""', '"') if len(last) > 1 and last[0] == last[-1] == '"' else last


def _as_value(text: str, codec: Codec, typmod: int) -> Any:
    data = text.encode()
    return codec.value(data, 0, len(data))


def _as_moment(text: str, codec: Codec, typmod: int) -> Any:
    """Reads a date or timestamp. Debezium turns infinities into the ends of Java's calendar, in the years -999999999
    and 999999999. In some units these overflow, and Debezium keeps the overflowed number; in others it fails, and the
    column has no default."""
    if text not in ("infinity", "-infinity"):
        return _as_value(text, codec, typmod)
    ends = _ENDS_OF_TIME.get(codec.schema.name or "")
    if ends is None:
        raise ValueError("an infinity is no default in this unit")
    return ends[text == "infinity"]


_ENDS_OF_TIME: Final[Mapping[str, tuple[Any, Any]]] = {
    "io.debezium.time.Date": (-170999002, 169560311),
    "org.apache.kafka.connect.data.Date": (-170999002, 169560311),
    "io.debezium.time.MicroTimestamp": (-9223372036854775808, -9223372036853775810),
    "io.debezium.time.IsoDate": ("-999999999-01-01Z", "+999999999-12-31Z"),
    "io.debezium.time.IsoTimestamp": ("-999999999-01-01T00:00:00Z", "+999999999-12-31T23:59:59.999999999Z"),
}


def _as_boolean(text: str, codec: Codec, typmod: int) -> bool:
    return text.lower() == "true"


def _as_integer(text: str, codec: Codec, typmod: int) -> Any:
    if not _INTEGER.fullmatch(text):
        raise ValueError("not an integer")
    return _as_value(text.lstrip("+"), codec, typmod)


def _as_float(text: str, codec: Codec, typmod: int) -> float:
    """Reads a finite number. NaN and infinities cannot be defaults, because Avro's defaults are JSON numbers. For a
    float4 the result is the value that the server will store.

    The codec is not used: a literal may be written as a numeric, with hundreds of digits.
    """
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return float(float4(struct.pack(">f", number))) if codec.schema.type == FLOAT32 else number


def _as_decimal(text: str, codec: Codec, typmod: int) -> Any:
    """Reads a decimal, padded to the column's scale. A literal with more digits than the column keeps is no default."""
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError("not a finite number")
    scale = codec.schema.parameter("scale") if codec.schema.name == DECIMAL else _scale(typmod)
    if scale is not None:
        number = number.quantize(Decimal(1).scaleb(-int(scale)), context=_EXACT)
    return _as_value(format(number, "f"), codec, typmod)


def _scale(typmod: int) -> int | None:
    """The scale in a numeric's typmod: its low 11 bits, signed. src/backend/utils/adt/numeric.c, numeric_typmod_scale.
    """
    return None if typmod < 4 else (((typmod - 4) & 0x7FF) ^ 1024) - 1024


def _as_bits(text: str, codec: Codec, typmod: int) -> Any:
    if codec.schema.type == BOOLEAN:
        return int(text, 2) != 0
    bits = re.sub("[^1]", "0", text)  # Debezium does so with any text
    return _as_value(bits, codec, typmod)


def _as_fixed_bits(text: str, codec: Codec, typmod: int) -> Any:
    """Debezium takes a literal of one bit for a boolean, even in a wider column: one byte, also for zero."""
    if len(text) == 1 and codec.schema.type != BOOLEAN:
        return b"\1" if text == "1" else b"\0"
    return _as_bits(text, codec, typmod)


_READERS: Final[Mapping[str, Callable[[str, Codec, int], Any]]] = {
    "bit": _as_fixed_bits, "varbit": _as_bits, "bool": _as_boolean,
    "bpchar": _as_value, "varchar": _as_value, "text": _as_value, "json": _as_value, "jsonb": _as_value,
    "xml": _as_value, "uuid": _as_value,
    "numeric": _as_decimal, "float4": _as_float, "float8": _as_float,
    "int2": _as_integer, "int4": _as_integer, "int8": _as_integer,
    "date": _as_moment, "time": _as_value, "timestamp": _as_moment, "timestamptz": _as_moment, "interval": _as_value,
}
"""The types that can have a default, and the function that reads the text of a literal."""

_PLACEHOLDERS: Final[Mapping[str, str]] = {
    "bit": "00", "varbit": "0", "bool": "false",
    "bpchar": "", "varchar": "", "text": "", "json": "{}", "jsonb": "{}", "xml": "",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "numeric": "0.0", "float4": "0.0", "float8": "0.0", "int2": "0", "int4": "0", "int8": "0",
    "date": "1970-01-01", "time": "00:00:00", "timestamp": "1970-01-01 00:00:00",
    "timestamptz": "1970-01-01 00:00:00+00", "interval": "00:00:00",
}
"""The literal that replaces a function call."""
