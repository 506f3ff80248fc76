"""Columns of a result: the Connect schema of each, and how its text becomes a value.

A database gives each value as text, bytes or a number of Python's. Types and schemas follow Confluent's documentation
("JDBC Source Connector": data mapping). Where its connector loses digits, a column here has a wider type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Final

from cdc.codecs.decimals import unscaled, unscaled_bytes
from cdc.codecs.java import float32
from cdc.codecs.postgres.time import parse_clock, parse_days, parse_micros
from cdc.codecs.time import DAY_US, instant_text
from cdc.core.errors import DecodeError
from cdc.core.schema import (
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    Schema,
)

from .zones import local_of, moment_of

INTEGERS: Final = {"int8": (INT8, 7), "int16": (INT16, 15), "int32": (INT32, 31), "int64": (INT64, 63)}
MOMENTS: Final = ("date", "timestamp", "timestamptz")
"""The kinds that a timestamp column may have."""
_CONNECT: Final = "org.apache.kafka.connect.data."
ZERO_TIME: Final = "0000-00-00"
"""MySQL's zero date: null in a column that can be null, else 1970, as with Debezium."""
_INFINITE_MS: Final = {"infinity": 9223372036825200000, "-infinity": -9223372036832400000}
"""As PostgreSQL's JDBC driver has them."""

GRANULARITIES: Final = ("connect_logical", "micros_long", "micros_string", "micros_iso_datetime_string", "nanos_long",
                        "nanos_string", "nanos_iso_datetime_string")


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column of a result. *kind*: the type, of those in this module; empty for one that is left out. *numeric*: a
    decimal that `numeric.mapping` applies to. *automatic*: the database counts its values up."""

    name: str
    kind: str
    optional: bool = True
    precision: int = 0
    scale: int = 0
    automatic: bool = False
    numeric: bool = False
    type_name: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """How types are mapped: `numeric.mapping`, `timestamp.granularity` and `db.timezone`."""

    numeric: str
    granularity: str
    zone: tzinfo


def mapped(column: ColumnInfo, mapping: Mapping) -> ColumnInfo:
    """*column* as `numeric.mapping` wants it."""
    if not column.numeric or column.kind != "decimal" or mapping.numeric == "none":
        return column
    digits = column.precision - min(0, column.scale)
    whole = column.scale == 0 if mapping.numeric == "precision_only" else column.scale < 1
    if whole and digits <= 18:
        kind = "int64" if digits > 9 else "int32" if digits > 4 else "int16" if digits > 2 else "int8"
        return replace(column, kind=kind)
    eager = mapping.numeric == "best_fit_eager_double"
    if column.scale > 0 and mapping.numeric != "precision_only" and (eager or column.precision <= 18):
        return replace(column, kind="float64")
    return column


def schema_of(column: ColumnInfo, mapping: Mapping) -> Schema:
    """The Connect schema of a column that was `mapped`."""
    kind, optional = column.kind, column.optional
    if kind in INTEGERS:
        return Schema(INTEGERS[kind][0], optional)
    if kind == "decimal":
        return Schema(BYTES, optional, DECIMAL, 1, parameters=(
            ("scale", str(column.scale)), ("connect.decimal.precision", str(column.precision))))
    if kind == "date":
        return Schema("INT32", optional, f"{_CONNECT}Date", 1)
    if kind == "time":
        return Schema("INT32", optional, f"{_CONNECT}Time", 1)
    if kind in MOMENTS:
        if mapping.granularity == "connect_logical":
            return Schema(INT64, optional, f"{_CONNECT}Timestamp", 1)
        return Schema(INT64 if mapping.granularity.endswith("long") else STRING, optional)
    return Schema({"float32": FLOAT32, "float64": FLOAT64, "boolean": BOOLEAN, "bytes": BYTES}.get(kind, STRING),
                  optional)


Read = Callable[[Any], Any]


def reader(column: ColumnInfo, mapping: Mapping) -> Read:
    """A function from what the database gave for a column that was `mapped`, and is not null, to its Connect value. It
    raises DecodeError, which says nothing of the value."""
    read = _reader(column, mapping)

    def checked(raw: Any) -> Any:
        if raw == ZERO_TIME and column.kind in MOMENTS:
            if column.optional:
                return None
            raw = 0
        try:
            return read(raw)
        except DecodeError as exc:
            raise DecodeError(f"Column {column.name}: {exc.message}", **exc.context) from None
        except (ValueError, TypeError, OverflowError, AttributeError):
            raise DecodeError(f"Column {column.name} has a value that is no {column.kind}.",
                              type=column.type_name or None) from None

    return checked


def _reader(column: ColumnInfo, mapping: Mapping) -> Read:
    kind = column.kind
    if kind in INTEGERS:
        return _integer(INTEGERS[kind][1])
    if kind == "decimal":
        return lambda raw: unscaled_bytes(unscaled(str(raw).encode(), column.scale))
    if kind == "float32":
        return lambda raw: float32(float(raw))
    if kind == "float64":
        return _double
    if kind == "boolean":
        return _boolean
    if kind == "bytes":
        return _bytes
    if kind == "date":
        return lambda raw: micros_of(raw, "date") // DAY_US
    if kind == "time":
        return _clock_ms
    if kind in MOMENTS:
        return _moment(kind, mapping)
    return _text


def _integer(bits: int) -> Read:
    def read(raw: Any) -> int:
        if isinstance(raw, str):
            whole, _, fraction = raw.partition(".")  # a decimal that numeric.mapping makes an integer
            if fraction.strip("0"):
                raise ValueError
            raw = int(whole)
        if isinstance(raw, float) and raw.is_integer():
            raw = int(raw)
        if not isinstance(raw, int):
            raise ValueError
        if not -(1 << bits) <= raw < 1 << bits:
            raise DecodeError(f"the number needs more than {bits + 1} bits.")
        return raw

    return read


def _double(raw: Any) -> float:
    if isinstance(raw, int) and int(float(raw)) != raw:
        raise DecodeError("the number has more digits than a double.")
    return float(raw)


def _boolean(raw: Any) -> bool:
    if raw in ("t", 1, "1", "true"):
        return True
    if raw in ("f", 0, "0", "false"):
        return False
    raise ValueError


def _bytes(raw: Any) -> bytes:
    if not isinstance(raw, bytes | bytearray):
        raise ValueError  # bytes() makes zeros of a number
    return bytes(raw)


def _text(raw: Any) -> str:
    if isinstance(raw, bytes):
        return raw.decode("utf-8")
    return raw if isinstance(raw, str) else str(raw)


def _clock_ms(raw: Any) -> int:
    try:
        micros = parse_clock(str(raw).encode())
    except DecodeError:
        raise DecodeError("a value is no time of day.") from None
    if micros >= DAY_US:
        raise DecodeError("24:00:00 is no time of day that Connect's Time can hold.")
    return micros // 1000


def micros_of(raw: Any, kind: str) -> int:
    """µs since 1970 of a date or timestamp, in UTC for `timestamptz`, else as the column has it. A number is such µs,
    in UTC for all but dates. Raises DecodeError."""
    if isinstance(raw, int):
        return raw
    text = str(raw).encode()
    try:
        return parse_days(text) * DAY_US if kind == "date" else parse_micros(text, kind == "timestamptz")
    except DecodeError:
        raise DecodeError(f"a value is no {kind}.") from None


def domain_us(raw: Any, kind: str) -> int | None:
    """The same; None for an infinite time, and for a zero date."""
    return None if raw == ZERO_TIME or raw in _INFINITE_MS else micros_of(raw, kind)


def _moment(kind: str, mapping: Mapping) -> Read:
    shape, zone = mapping.granularity, mapping.zone
    unit = shape.partition("_")[0]

    def read(raw: Any) -> Any:
        if raw in _INFINITE_MS:
            if shape != "connect_logical":
                raise DecodeError(f"infinity has no form in timestamp.granularity={shape}.")
            return _INFINITE_MS[raw]
        micros = micros_of(raw, kind)
        is_local = kind == "timestamp" and not isinstance(raw, int)
        moment = moment_of(micros, zone) if is_local else micros
        if not -(1 << 63) <= moment < 1 << 63:
            raise DecodeError("the time is too far from 1970.")
        if shape == "connect_logical":
            return moment // 1000
        if shape.endswith("datetime_string"):
            local = micros if is_local else local_of(moment, zone)
            return instant_text(local, 6).removesuffix("Z") + ("000" if unit == "nanos" else "")
        number = moment * (1000 if unit == "nanos" else 1)
        if shape.endswith("string"):
            return str(number)
        if not -(1 << 63) <= number < 1 << 63:
            raise DecodeError(f"the time is out of the range of timestamp.granularity={shape}.")
        return number

    return read

