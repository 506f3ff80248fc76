"""Which codecs of this family `cdc.native` has in C. `cdc/native/codec.h` says what their numbers and tables are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from . import text, values

NATIVE: Final[Mapping[type, Callable[[Any], tuple[Any, ...] | None]]] = {
    text.IntCodec: lambda codec: ("pg_integer", codec.low, codec.high),
    text.BoolCodec: lambda codec: ("pg_boolean", codec.true, codec.false),
    text.FloatCodec: lambda codec: ("pg_float", int(codec.single)),
    text.ByteaCodec: lambda codec: ("pg_bytea",),
    text.DateCodec: lambda codec: ("pg_date",),
    text.TimeCodec: lambda codec: ("pg_time", codec.unit),
    text.TimestampCodec: lambda codec: ("pg_timestamp", codec.unit),
    text.ZonedTimestampCodec: lambda codec: ("pg_timestamptz", codec.digits),
    values.VariableDecimalCodec: lambda codec: ("pg_variable_decimal",),
    values.NumericTextCodec: lambda codec: ("pg_numeric_text",),
    values.NumericDoubleCodec: lambda codec: ("pg_numeric_double",),
}
"""By class: what `codecs.native.native_op` gives."""
