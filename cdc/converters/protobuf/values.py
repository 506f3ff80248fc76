"""Connect values as Protobuf bytes.

Once per schema we make a function that writes its values. Fields follow each other in the order of their numbers; a
field without presence that has its type's zero is left out, and so is null. Sources: Protocol Buffers, "Encoding";
confluentinc/schema-registry, `ProtobufData.fromConnectData`; protobuf-java, `DynamicMessage.Builder.setField`,
`Timestamps.checkValid`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from cdc.core.errors import ConvertError
from cdc.core.schema import BOOLEAN, BYTES, DECIMAL, FLOAT32, FLOAT64, MAP, STRING, STRUCT, Schema

from .messages import DATE, TIME, TIMESTAMP, ProtoField, ProtoMessage

Write = Callable[[Any], bytes]
VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5
"""Wire types."""
DAY_MS: Final = 86_400_000
_FIRST_GREGORIAN_DAY: Final = -141_427
_SECONDS: Final = (-62_135_596_800, 253_402_300_799)
_MASK: Final = (1 << 64) - 1


def varint(value: int) -> bytes:
    """*value*, of 64 bits, signed or not, in base 128."""
    value &= _MASK
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def wire_type(field: ProtoField) -> int:
    """How the values of *field* are written, one by one."""
    if field.wrapped or is_message(field.schema):
        return SIZED
    return {FLOAT64: FIXED64, FLOAT32: FIXED32, STRING: SIZED, BYTES: SIZED}.get(field.schema.type, VARINT)


def is_message(schema: Schema) -> bool:
    return schema.type in (STRUCT, MAP) or schema.name in (DECIMAL, DATE, TIME, TIMESTAMP)


class ProtobufValues:
    """Writes values. *replace_nulls*: a null field is its schema's default."""

    def __init__(self, replace_nulls: bool = True) -> None:
        self.replace_nulls = replace_nulls

    def message(self, message: ProtoMessage) -> Write:
        """For the values of a struct."""
        fields = [self.field(each) for each in message.fields]

        def write(value: Any) -> bytes:
            return b"".join([one(item) for one, item in zip(fields, value, strict=True)])

        return write

    def field(self, field: ProtoField, default: bool = True) -> Write:
        """For a field's value, which may be null. *default*: a null may be replaced."""
        schema = field.schema
        if schema.type == MAP:
            return self.map(field)
        write = self.repeated(field) if field.label == "repeated" else self.single(field)
        null = b""
        if default and field.default is not None and (self.replace_nulls or not field.nullable):
            null = write(field.default)
        return lambda value: null if value is None else write(value)

    def single(self, field: ProtoField) -> Write:
        key = tag(field.number, wire_type(field))
        write, zero = self.value(field), self.zero(field)

        def one(value: Any) -> bytes:
            data = write(value)
            return b"" if data == zero else key + data

        return one

    def repeated(self, field: ProtoField) -> Write:
        kind, write = wire_type(field), self.value(field)
        packed = kind != SIZED
        key = tag(field.number, SIZED)

        def many(value: Any) -> bytes:
            if not value:
                return b""
            if any(item is None for item in value):
                raise null_item(field.name)
            if packed:
                return key + sized(b"".join(map(write, value)))
            return b"".join([key + write(item) for item in value])

        return many

    def map(self, field: ProtoField) -> Write:
        assert field.message is not None
        key = tag(field.number, SIZED)
        keys, items = (self.field(part, default=False) for part in field.message.fields)

        def entries(value: Any) -> bytes:
            return b"".join([key + sized(keys(each) + items(item)) for each, item in value.items()])

        null = b"" if field.default is None or not self.replace_nulls else entries(field.default)
        return lambda value: null if value is None else entries(value)

    def zero(self, field: ProtoField) -> bytes | None:
        """The value that is left out; None if the field says whether it is there."""
        kind = wire_type(field)
        if field.label == "optional" or field.wrapped or is_message(field.schema):
            return None
        return {FIXED64: bytes(8), FIXED32: bytes(4)}.get(kind, b"\0")

    def value(self, field: ProtoField) -> Write:
        """For a value that is not null, without the field's tag."""
        schema = field.schema
        logical = _LOGICAL.get(schema.name or "")
        if logical is not None:
            return lambda value: sized(logical(value, schema))
        if schema.type == STRUCT:
            assert field.message is not None
            whole = self.message(field.message)
            return lambda value: sized(whole(value))
        plain = _scalar(schema)
        if not field.wrapped:
            return plain
        inner = ProtoField("value", 1, "", "", schema.as_optional(False), False, [])
        wrapped = self.single(inner)
        return lambda value: sized(wrapped(value))


def _scalar(schema: Schema) -> Write:
    kind = schema.type
    if kind == STRING:
        return lambda value: sized(value.encode())
    if kind == BYTES:
        return lambda value: sized(bytes(value))
    if kind == BOOLEAN:
        return lambda value: b"\1" if value else b"\0"
    if kind == FLOAT64:
        return struct.Struct("<d").pack
    if kind == FLOAT32:
        return _float
    return _integer


def _integer(value: int) -> bytes:
    if not -1 << 63 <= value < 1 << 63:
        raise OverflowError("value does not fit 64 bits")
    return varint(value)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def null_item(name: str) -> ConvertError:
    """Protobuf's repeated fields have no null; the Java converter fails with a NullPointerException."""
    return ConvertError(f"the array {name!r} contains a null, and Protobuf has none within a repeated field",
                        field=name, hint="Exclude the column, or use another converter.")


def number_field(number: int, value: int) -> bytes:
    """A number without presence."""
    return tag(number, VARINT) + varint(value) if value else b""


def decimal(unscaled: bytes, schema: Schema) -> bytes:
    """`confluent.type.Decimal`: value, precision, scale."""
    number = int.from_bytes(unscaled, "big", signed=True)
    data = number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)
    return (tag(1, SIZED) + sized(data) + number_field(2, len(str(abs(number))))
            + number_field(3, int(schema.parameter("scale") or 0)))


def date(days: int, schema: Schema | None = None) -> bytes:
    """`google.type.Date`, as java.util.GregorianCalendar gives it: Julian before 1582-10-15, and years count backwards
    before year 1."""
    year, month, day = _calendar(days)
    return number_field(1, year if year > 0 else 1 - year) + number_field(2, month) + number_field(3, day)


def time(ms: int, schema: Schema | None = None) -> bytes:
    """`google.type.TimeOfDay`. Raises ConvertError outside of one day."""
    if not 0 <= ms <= DAY_MS:
        raise ConvertError("a Time is outside of 0 to 86400000 ms, and google.type.TimeOfDay has no such value")
    ms %= DAY_MS
    return (number_field(1, ms // 3_600_000) + number_field(2, ms // 60_000 % 60) + number_field(3, ms // 1000 % 60)
            + number_field(4, ms % 1000 * 1_000_000))


def timestamp(ms: int, schema: Schema | None = None) -> bytes:
    """`google.protobuf.Timestamp`. Raises ConvertError outside of the years 1 to 9999."""
    seconds, rest = divmod(ms, 1000)
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        raise ConvertError("a Timestamp is outside of the years 1 to 9999, and google.protobuf.Timestamp has no such"
                           " value",
                           hint="Set time.precision.mode to a mode other than connect, or exclude the column.")
    return number_field(1, seconds) + number_field(2, rest * 1_000_000)


_LOGICAL: Final[dict[str, Callable[[Any, Schema], bytes]]] = {
    DECIMAL: decimal, DATE: date, TIME: time, TIMESTAMP: timestamp}


def _calendar(days: int) -> tuple[int, int, int]:
    """Year (astronomical), month and day of a day number since 1970-01-01.

    The algorithms are those of the Julian day number; years begin in March, so that a leap day ends one.
    """
    if days >= _FIRST_GREGORIAN_DAY:
        era, of_era = divmod(days + 719_468, 146_097)
        year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
        year = year_of_era + era * 400
        of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    else:
        era, of_era = divmod(days + 719_470, 1461)
        year_of_era = min(of_era // 365, 3)
        year = year_of_era + era * 4
        of_year = of_era - 365 * year_of_era
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + (month <= 2), month, day
