"""Column defaults: from the text of a literal (`ColumnDef.default`) to the default of a field's schema.

We read exactly the texts that Debezium's `BinlogDefaultValueConverter` reads. A default is part of the registered
schema: if we read one more, or one less, the schema of a topic would change when we replace Debezium.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.mysql.binary_numbers import shortest
from cdc.codecs.mysql.binary_times import fixed_instant
from cdc.codecs.mysql.text import TextDatetimeCodec
from cdc.codecs.time import MICROS
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError, NoValue
from cdc.core.late_regex import late_regex
from cdc.core.schema import BOOLEAN, BYTES, DECIMAL, FLOAT32, FLOAT64, INT64, STRING, STRUCT, Schema
from cdc.sources.mysql.ddl.structure import ColumnDef
from cdc.sources.shared.columns import Default

from .types import ColumnType

_INTRODUCER: Final = late_regex(r"_[A-Za-z0-9]+'(.*)'")
_ZERO_DATE: Final = late_regex(r"\d{4}-\d{2}-00|\d{4}-00-\d{2}|0000-\d{2}-\d{2}", re.ASCII)
_ZERO_MOMENT: Final = late_regex(
    r"(?:\d{4}-\d{2}-00|\d{4}-00-\d{2}|0000-\d{2}-\d{2}) 00:00:00(?:\.\d{1,6})?", re.ASCII)
_DATE: Final = late_regex(r"(\d{4}-\d\d-\d\d)(?: \d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?", re.ASCII)
_MOMENT: Final = late_regex(r"(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d)(:\d\d)?(\.\d{1,9})?)?", re.ASCII)
_LOOSE_MOMENT: Final = late_regex(
    r"(\d+)\D+(\d+)\D+(\d+)(?:\D+(\d+)(?:\D+(\d+)(?:\D+(\d+)(?:\.(\d{1,9}))?)?)?)?", re.ASCII)
_TIME: Final = late_regex(r"(-?)(\d+):(\d+)(?::(\d+)(?:\.(\d{1,6}))?)?", re.ASCII)
_NUMBER: Final = late_regex(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_EPOCH_DATE: Final = "1970-01-01"
_EPOCH: Final = "1970-01-01 00:00:00"
_EXACT: Final = Context(prec=200)
_MOMENTS: Final = TextDatetimeCodec(Schema(INT64), MICROS, False)


_NONE: Final = Default(None, True)
_NOT_UNDERSTOOD: Final = Default(None, False)


def default_value(column: ColumnDef, type_: ColumnType) -> Default:
    """The default that *column*, of type *type_*, has in its field's schema."""
    if column.default is None:
        return _NONE
    reader = _READERS.get(column.base, _as_text)
    if type_.schema.type == STRUCT or reader is None:
        return _NOT_UNDERSTOOD
    introduced = _INTRODUCER.fullmatch(column.default)
    text = introduced[1] if introduced else column.default
    try:
        return Default(reader(text, column, type_), True)
    except NoValue:
        return _NONE
    except (DecodeError, ValueError, ArithmeticError, struct.error):
        return _NOT_UNDERSTOOD


_Reader = Callable[[str, ColumnDef, ColumnType], Any]


def _by_text(codec: Codec, text: str) -> Any:
    """Reads the text as a snapshot does."""
    data = text.encode()
    return codec.value(data, 0, len(data))


def _as_text(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    """Strings, labels and documents, unchanged; binary columns get the text's UTF-8 bytes."""
    if type_.schema.type == STRING and type_.schema.name is not None:
        return text
    if column.is_character:
        return text
    return text.encode() if type_.schema.type == BYTES else _by_text(type_.codec, text)


def _number(text: str) -> Decimal:
    """A literal number; `true` and `false` are 1 and 0. ValueError."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return Decimal(text.lower() == "true")
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return Decimal(text)


def _rounded(text: str) -> int:
    """Converted to a double and rounded half up, as Java's Math.round does."""
    return max(-(1 << 63), min((1 << 63) - 1, math.floor(Decimal(float(_number(text))) + Decimal("0.5"))))


def _as_integer(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    if type_.schema.name == DECIMAL:
        return unscaled_bytes(int(_number(text).to_integral_value(ROUND_HALF_UP, _EXACT)))
    number = _rounded(text)
    bits = {"INT16": 16, "INT32": 32, "INT64": 64}[type_.schema.type]
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise ValueError("not of the type's range")
    return number


def _as_float(text: str, column: ColumnDef, type_: ColumnType) -> float:
    number = float(_number(text))
    if type_.schema.type == FLOAT32:
        number = shortest(number)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _as_decimal(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    """At the column's scale, rounded half up."""
    scale = column.scale or 0
    number = _number(text).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, _EXACT)
    if type_.schema.type == BYTES:
        return unscaled_bytes(int(number.scaleb(scale, _EXACT)))
    return float(number) if type_.schema.type == FLOAT64 else format(number, "f")


def _as_boolean(text: str, column: ColumnDef, type_: ColumnType) -> bool:
    text = text.strip()
    return int(text) != 0 if re.fullmatch(r"[+-]?[0-9]+", text) else text.lower() == "true"


def _as_bits(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    """Binary digits to as many bytes as the column's values have; the byte of the last eight digits comes first."""
    if type_.schema.type == BOOLEAN:
        return _as_boolean(text, column, type_)
    digits = max(len(text.strip()), column.length or 1)
    return int(text.strip(), 2).to_bytes((digits + 7) // 8, "little")


def _as_year(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    """Two digits mean 1970 to 2069."""
    number = int(text.strip())
    if 0 < number < 100:
        number += 2000 if number < 70 else 1900
    return _by_text(type_.codec, f"{number:04d}")


def _as_nothing(text: str, column: ColumnDef, type_: ColumnType) -> None:
    """Debezium's connector for MariaDB has no defaults for a UUID."""
    raise NoValue("no default")


def _as_date(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    text = text.strip()
    if _ZERO_DATE.fullmatch(text) or _ZERO_MOMENT.fullmatch(text) or text == "0":
        if column.nullable:
            return None
        text = _EPOCH_DATE
    found = _DATE.fullmatch(text)
    return _moment(type_, column, found[1] if found else None, _EPOCH_DATE)


def _as_datetime(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    text = text.strip()
    if _ZERO_MOMENT.fullmatch(text) or text == "0":
        if column.nullable:
            return None
        text = _EPOCH
    found = _MOMENT.fullmatch(text)
    whole = f"{found[1]} {found[2] or '00:00'}{found[3] or ':00'}{(found[4] or '')[:7]}" if found else None
    return _moment(type_, column, whole, _EPOCH)


def _moment(type_: ColumnType, column: ColumnDef, text: str | None, epoch: str) -> Any:
    """A text that cannot be read gives no default in a nullable column, and the epoch in others."""
    try:
        if text is not None:
            return _by_text(type_.codec, text)
    except DecodeError:
        pass
    return None if column.nullable else _by_text(type_.codec, epoch)


def _as_timestamp(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    """A moment in UTC, with the column's number of digits. The epoch, which also replaces CURRENT_TIMESTAMP, has no
    fraction digits, and is no default in a nullable column."""
    text = text.strip()
    digits = column.length or 0
    if _ZERO_MOMENT.fullmatch(text) or text in ("0", _EPOCH):
        return None if column.nullable else fixed_instant(0, 0)
    found = _LOOSE_MOMENT.fullmatch(text)
    if found is None:
        raise ValueError("not a timestamp")
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    micros = _by_text(_MOMENTS, f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
                                f"{'.' + found[7][:6] if found[7] else ''}")
    return fixed_instant(micros, digits)


def _as_time(text: str, column: ColumnDef, type_: ColumnType) -> Any:
    """`H:M[:S[.f]]`, alone or after a date."""
    text = text.strip()
    if _MOMENT.fullmatch(text) and " " in text:
        text = text.partition(" ")[2]
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError("not a time")
    fraction = f".{found[5]}" if found[5] else ""
    hour, minute, second = (int(part or 0) for part in found.groups()[1:4])
    return _by_text(type_.codec, f"{found[1]}{hour:02d}:{minute:02d}:{second:02d}{fraction}")


_INTEGERS: Final = (
    "TINYINT", "INT1", "SMALLINT", "INT2", "MEDIUMINT", "INT3", "MIDDLEINT", "INT", "INTEGER", "INT4", "BIGINT",
    "INT8", "SERIAL",
)

_READERS: Final[Mapping[str, _Reader]] = {
    **dict.fromkeys(_INTEGERS, _as_integer),
    **dict.fromkeys(("FLOAT", "FLOAT4", "DOUBLE", "DOUBLE PRECISION", "FLOAT8", "REAL"), _as_float),
    **dict.fromkeys(("DECIMAL", "DEC", "NUMERIC", "FIXED"), _as_decimal),
    **dict.fromkeys(("BOOL", "BOOLEAN"), _as_boolean),
    "BIT": _as_bits,
    "YEAR": _as_year,
    "UUID": _as_nothing,
    "DATE": _as_date,
    "DATETIME": _as_datetime,
    "TIMESTAMP": _as_timestamp,
    "TIME": _as_time,
}
"""The readers of literals, by `ColumnDef.base`; all other types are read as text."""
