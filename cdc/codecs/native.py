"""Which codecs `cdc.native` has in C, by the exact class: a subclass may read other bytes.

Its C function must write the same bytes as the codec's `encode`, or refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .mysql.native import NATIVE as _MYSQL
from .postgres import text as postgres
from .postgres import values
from .text import DecimalCodec, TextCodec

_NATIVE: Final[dict[type, Callable[[Any], tuple[Any, ...] | None]]] = {
    TextCodec: lambda codec: ("text",),
    DecimalCodec: lambda codec: ("decimal", codec.scale),
    postgres.IntCodec: lambda codec: ("pg_integer", codec.low, codec.high),
    postgres.BoolCodec: lambda codec: ("pg_boolean", codec.true, codec.false),
    postgres.FloatCodec: lambda codec: ("pg_float", int(codec.single)),
    postgres.ByteaCodec: lambda codec: ("pg_bytea",),
    postgres.DateCodec: lambda codec: ("pg_date",),
    postgres.TimeCodec: lambda codec: ("pg_time", codec.unit),
    postgres.TimestampCodec: lambda codec: ("pg_timestamp", codec.unit),
    postgres.ZonedTimestampCodec: lambda codec: ("pg_timestamptz", codec.digits),
    values.VariableDecimalCodec: lambda codec: ("pg_variable_decimal",),
    values.NumericTextCodec: lambda codec: ("pg_numeric_text",),
    values.NumericDoubleCodec: lambda codec: ("pg_numeric_double",),
    **_MYSQL,
}


def native_op(codec: Any) -> tuple[Any, ...] | None:
    """The name of *codec* in `cdc.native.records.OPS`, and its parameters; None if C has none."""
    made = _NATIVE.get(type(codec))
    return made(codec) if made is not None else None
