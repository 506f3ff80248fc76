"""Reads PostgreSQL's text format of the less common types: each gives a Connect value, which is then written as Avro.

The types' output functions print the texts; `text.py` has the session's settings. A type with several representations
(decimals, binaries, intervals) has one codec for each.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any, Final

from cdc.codecs.decimals import big_int, unscaled_bytes
from cdc.codecs.java import java_hash_order
from cdc.codecs.text import BINARY_TEXT
from cdc.codecs.time import DAY_US, clock_text, date_text, instant_text
from cdc.core.codec import Codec
from cdc.core.errors import DecodeError
from cdc.core.late_regex import late_regex
from cdc.core.schema import Schema

from .text import DateCodec, bytea
from .time import bad_text, parse_clock, parse_interval, parse_micros, parse_zoned_clock

_NUMERIC = late_regex(rb"(-?)(\d+)(?:\.(\d+))?")
_SPECIAL: Final[Mapping[bytes, str]] = {
    b"NaN": "NAN", b"Infinity": "POSITIVE_INFINITY", b"-Infinity": "NEGATIVE_INFINITY",
}
"""The texts that Debezium writes for numerics that are not numbers."""


class VariableDecimalCodec(Codec):
    """numeric without a modifier: `io.debezium.data.VariableScaleDecimal`, (scale, unscaled). The scale is at least 0,
    without trailing zeros. NaN and infinities are a DecodeError."""

    def value(self, data: bytes, start: int, end: int) -> tuple[int, bytes]:
        found = _NUMERIC.fullmatch(data, start, end)
        if found is None:
            raise DecodeError("not a number that a decimal can hold", length=end - start)
        fraction = (found[3] or b"").rstrip(b"0")
        number = big_int(found[2] + fraction)
        return len(fraction), unscaled_bytes(-number if found[1] else number)


class NumericTextCodec(Codec):
    """numeric in decimal.handling.mode string: STRING as the server prints it, which never has an exponent."""

    def value(self, data: bytes, start: int, end: int) -> str:
        text = data[start:end]
        if text in _SPECIAL:
            return _SPECIAL[text]
        if _NUMERIC.fullmatch(text) is None:
            raise bad_text("numeric", len(text))
        return text.decode()


class NumericDoubleCodec(Codec):
    """numeric in decimal.handling.mode double: the nearest FLOAT64."""

    def value(self, data: bytes, start: int, end: int) -> float:
        text = data[start:end]
        if text not in _SPECIAL and _NUMERIC.fullmatch(text) is None:
            raise bad_text("numeric", len(text))
        return float(text)


_MONEY_KEPT = late_regex(rb"[^0-9.,]+")


def money(text: bytes, digits: int) -> Decimal:
    """The amount in a text that depends on lc_monetary: `$1,234.56`, `-1.234,56 €`, `($0.50)`, `￥1,234`. DecodeError.

    The text does not say which mark is the decimal point. We take the last mark for it if *digits* digits follow, or
    not exactly three digits, or if an earlier mark is of another kind; otherwise the last mark separates thousands.
    Server source src/backend/utils/adt/cash.c, `cash_out`.
    """
    negative = b"-" in text or b"(" in text
    kept = _MONEY_KEPT.sub(b"", text).strip(b".,")
    mark = max(kept.rfind(b"."), kept.rfind(b","))
    whole, fraction = (kept, b"") if mark < 0 else (kept[:mark], kept[mark + 1:])
    others = set(whole) & set(b".,")
    grouping = mark >= 0 and (kept[mark] in others or (
        len(fraction) == 3 and digits != 3 and not others and not whole.startswith(b"0")))
    if grouping:
        whole, fraction = kept, b""
    whole = whole.replace(b",", b"").replace(b".", b"")
    if not whole.isdigit() or len(whole) + len(fraction) > 30:
        raise bad_text("money", len(text))
    number = Decimal(f"{whole.decode()}.{fraction.decode() or '0'}") if fraction else Decimal(whole.decode())
    return -number if negative else number


class _Money(Codec):
    """*digits*: of `money.fraction.digits`. `shift`: the server keeps amounts in the smallest unit of its lc_monetary,
    and our session prints them with two fraction digits (locale C); 2 for a currency without a smaller unit."""

    def __init__(self, schema: Schema, digits: int) -> None:
        Codec.__init__(self, schema)
        self.digits = digits
        self.shift = 0

    def number(self, text: bytes) -> Decimal:
        return money(text, self.digits).scaleb(self.shift)


class MoneyCodec(_Money):
    """money in decimal.handling.mode precise: Decimal with *digits* fraction digits, rounded half up."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        number = self.number(data[start:end])
        with localcontext() as context:
            context.prec = 100
            try:
                return unscaled_bytes(int(number.scaleb(self.digits).quantize(Decimal(1), ROUND_HALF_UP)))
            except InvalidOperation:
                raise bad_text("money", end - start) from None


class MoneyTextCodec(_Money):
    """money in decimal.handling.mode string: STRING of digits, and a decimal point if needed."""

    def value(self, data: bytes, start: int, end: int) -> str:
        return format(self.number(data[start:end]), "f")


class MoneyDoubleCodec(_Money):
    """money in decimal.handling.mode double: FLOAT64."""

    def value(self, data: bytes, start: int, end: int) -> float:
        return float(self.number(data[start:end]))


MONEY: Final = (MoneyCodec, MoneyTextCodec, MoneyDoubleCodec)

_NUMBER: Final = late_regex(rb"-?(?:[0-9][0-9.]*(?:e[+-]?[0-9]+)?|Infinity)|NaN")


def java_double(number: float) -> str:
    """As Java's Double.toString writes it: 1.0, 1.0E10, 1.0E-5, NaN, Infinity."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "-Infinity" if number < 0 else "Infinity"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return format(Decimal(repr(number)), "f")
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text = "".join(map(str, digits))
    assert isinstance(exponent, int)
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{exponent + len(digits) - 1}"


class JavaNumbersCodec(Codec):
    """Geometric types without a mapping: *codec* reads the server's text with each number as Java writes it.

    Debezium gets them as the driver's objects and writes those as text.
    """

    def __init__(self, codec: Codec) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec

    def value(self, data: bytes, start: int, end: int) -> Any:
        text = _NUMBER.sub(lambda found: java_double(float(found[0])).encode(), data[start:end])
        return self.codec.value(text, 0, len(text))


class ListedTimeCodec(Codec):
    """time and timetz in an array: *codec* reads only the first *digits* fraction digits, and 24:00:00 as midnight.

    Debezium gets these elements as java.sql.Time, which has no more digits and no 24:00:00.
    """

    def __init__(self, codec: Codec, digits: int) -> None:
        Codec.__init__(self, codec.schema)
        self.codec = codec
        self.digits = digits

    def value(self, data: bytes, start: int, end: int) -> Any:
        clock, _, rest = data[start:end].partition(b".")
        zone = rest.lstrip(b"0123456789")
        fraction = rest[:len(rest) - len(zone)][:self.digits]
        text = clock + (b"." + fraction if fraction else b"") + zone
        if text.startswith(b"24:"):
            text = b"00:" + text[3:]
        return self.codec.value(text, 0, len(text))


class ZonedTimeCodec(Codec):
    """timetz: STRING in UTC, `HH:MM:SS[.f]Z`, with the shortest fraction. There is no date, so it wraps at midnight."""

    def value(self, data: bytes, start: int, end: int) -> str:
        return clock_text(parse_zoned_clock(data[start:end]) % DAY_US) + "Z"


class IsoDateCodec(Codec):
    """date in time.precision.mode isostring: STRING `YYYY-MM-DDZ`."""

    def __init__(self, schema: Schema) -> None:
        Codec.__init__(self, schema)
        self.dates = DateCodec(schema)

    def value(self, data: bytes, start: int, end: int) -> str:
        return date_text(self.dates.number(data, start, end)) + "Z"


class IsoTimeCodec(Codec):
    """time in time.precision.mode isostring: STRING `HH:MM:SS[.f]Z`. 24:00:00 is midnight."""

    def value(self, data: bytes, start: int, end: int) -> str:
        return clock_text(parse_clock(data[start:end]) % DAY_US) + "Z"


class IsoTimestampCodec(Codec):
    """timestamp in time.precision.mode isostring: STRING `YYYY-MM-DDTHH:MM:SS[.f]Z`."""

    def value(self, data: bytes, start: int, end: int) -> str:
        text = data[start:end]
        if text == b"infinity":
            return instant_text(9223372036825200000)
        if text == b"-infinity":
            return instant_text(-9223372036832400000)
        return instant_text(parse_micros(text))


_MONTH_DAYS = 365.25 / 12
_MAX_LONG = 9223372036854775807


class DurationCodec(Codec):
    """interval in interval.handling.mode numeric: INT64 µs; a month has 365.25/12 days.

    As Debezium, we calculate in floating point and limit the result to 64 bits, so long intervals have the same last
    digits.
    """

    def value(self, data: bytes, start: int, end: int) -> int:
        interval = parse_interval(data[start:end])
        hours, minutes, seconds, micros = _clock_parts(interval.micros)
        days = interval.months * _MONTH_DAYS + interval.days
        total = (((days * 24 + hours) * 60 + minutes) * 60 + (seconds + micros / 1e6)) * 1e6
        return max(-_MAX_LONG - 1, min(_MAX_LONG, int(total)))


class IntervalCodec(Codec):
    """interval in interval.handling.mode string: STRING `P1Y2M3DT4H5M6.78S` with all parts, each with its sign; or
    `infinity` and `-infinity` (PostgreSQL 17)."""

    def value(self, data: bytes, start: int, end: int) -> str:
        if data[start:end] in (b"infinity", b"-infinity"):
            return data[start:end].decode()
        interval = parse_interval(data[start:end])
        years = abs(interval.months) // 12 * (-1 if interval.months < 0 else 1)
        hours, minutes, seconds, micros = _clock_parts(interval.micros)
        sign = "-" if seconds < 0 or micros < 0 else ""
        fraction = f".{abs(micros):06d}".rstrip("0").rstrip(".")
        return (f"P{years}Y{interval.months - 12 * years}M{interval.days}DT{hours}H{minutes}M"
                f"{sign}{abs(seconds)}{fraction}S")


def _clock_parts(micros: int) -> tuple[int, int, int, int]:
    """Hours, minutes, seconds and µs of *micros*, each with its sign."""
    sign = -1 if micros < 0 else 1
    seconds, fraction = divmod(abs(micros), 1_000_000)
    return sign * (seconds // 3600), sign * (seconds // 60 % 60), sign * (seconds % 60), sign * fraction


class BitsCodec(Codec):
    """bit(n), varbit: `io.debezium.data.Bits`, BYTES, little-endian, the last bit first, as short as possible."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        text = data[start:end]
        if text.strip(b"01"):
            raise bad_text("bit string", len(text))
        number = int(text or b"0", 2)
        return number.to_bytes((number.bit_length() + 7) // 8, "little")


class BinaryTextCodec(Codec):
    """bytea as STRING in one of the modes of BINARY_TEXT. *raw*: the text itself is the content."""

    def __init__(self, schema: Schema, mode: str, raw: bool = False) -> None:
        Codec.__init__(self, schema)
        self.text_of = BINARY_TEXT[mode]
        self.raw = raw

    def value(self, data: bytes, start: int, end: int) -> str:
        text = data[start:end]
        return self.text_of(text if self.raw else bytea(text)).decode()


class RawCodec(Codec):
    """An unknown type: BYTES, the text unchanged."""

    def value(self, data: bytes, start: int, end: int) -> bytes:
        return data[start:end]


_HSTORE_PAIR = late_regex(rb'"([^"\\]*(?:\\.[^"\\]*)*)"=>(?:"([^"\\]*(?:\\.[^"\\]*)*)"|NULL)(?:, |\Z)', re.DOTALL)
_ESCAPED = late_regex(rb"\\(.)", re.DOTALL)


def hstore(text: bytes) -> dict[str, str | None]:
    """The pairs of `"k"=>"v", "n"=>NULL` (contrib/hstore, `hstore_out`), in a Java map's order. Raises DecodeError."""
    pairs: dict[str, str | None] = {}
    at = 0
    while found := _HSTORE_PAIR.match(text, at):
        value = None if found[2] is None else _unescaped(found[2])
        pairs[_unescaped(found[1])] = value
        at = found.end()
    if at != len(text) or text.endswith(b", "):
        raise bad_text("hstore", len(text))
    return {key: pairs[key] for key in java_hash_order(list(pairs))}


def _unescaped(text: bytes) -> str:
    return _ESCAPED.sub(rb"\1", text).decode("utf-8", "replace")


_JSON_ESCAPES = {code: f"\\u{code:04X}" for code in range(32)} | {
    ord(char): escape for char, escape in
    (('"', '\\"'), ("\\", "\\\\"), ("\b", "\\b"), ("\t", "\\t"), ("\n", "\\n"), ("\f", "\\f"), ("\r", "\\r"))
}


def json_text(pairs: Mapping[str, str | None]) -> str:
    """A compact JSON object of texts and nulls, escaped as by Jackson."""
    return "{" + ",".join(f"{_quoted(key)}:{_quoted(value)}" for key, value in pairs.items()) + "}"


def _quoted(text: str | None) -> str:
    return "null" if text is None else f'"{text.translate(_JSON_ESCAPES)}"'


class HstoreJsonCodec(Codec):
    """hstore in hstore.handling.mode json: `io.debezium.data.Json`."""

    def value(self, data: bytes, start: int, end: int) -> str:
        return json_text(hstore(data[start:end]))


class HstoreMapCodec(Codec):
    """hstore in hstore.handling.mode map: MAP of STRING to optional STRING."""

    def value(self, data: bytes, start: int, end: int) -> dict[str, str | None]:
        return hstore(data[start:end])


class PointCodec(Codec):
    """point: `io.debezium.data.geometry.Point`: x, y, WKB, without an SRID."""

    def value(self, data: bytes, start: int, end: int) -> tuple[float, float, bytes, None]:
        text = data[start:end]
        x, comma, y = text[1:-1].partition(b",")
        if not comma or text[:1] != b"(" or text[-1:] != b")":
            raise bad_text("point", len(text))
        point = _floats((x, y), "point", len(text))
        return point[0], point[1], b"\x01\x01\x00\x00\x00" + struct.pack("<dd", *point), None


_FLOAT = late_regex(rb"-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|Infinity)|NaN")


def _floats(texts: tuple[bytes, ...] | list[bytes], what: str, length: int) -> list[float]:
    if not all(map(_FLOAT.fullmatch, texts)):
        raise bad_text(what, length)
    return [float(text) for text in texts]


_SRID_FLAG = 0x20000000


class GeometryCodec(Codec):
    """PostGIS geometry, geography: the EWKB unchanged, and its SRID, if it has one. PostGIS docs, "ST_AsEWKB"."""

    def value(self, data: bytes, start: int, end: int) -> tuple[bytes, int | None]:
        try:
            wkb = binascii.unhexlify(data[start:end])
        except ValueError:
            raise bad_text("geometry", end - start) from None
        if len(wkb) < 5 or wkb[0] > 1:
            raise bad_text("geometry", end - start)
        order = "<" if wkb[0] else ">"
        if not struct.unpack_from(order + "I", wkb, 1)[0] & _SRID_FLAG:
            return wkb, None
        if len(wkb) < 9:
            raise bad_text("geometry", end - start)
        return wkb, struct.unpack_from(order + "i", wkb, 5)[0]


class VectorCodec(Codec):
    """pgvector vector and halfvec: ARRAY of FLOAT64 or FLOAT32, from `[1,2.5,3]`."""

    def value(self, data: bytes, start: int, end: int) -> list[float]:
        text = data[start:end]
        if text[:1] != b"[" or text[-1:] != b"]":
            raise bad_text("vector", len(text))
        return _floats(text[1:-1].split(b",") if len(text) > 2 else [], "vector", len(text))


_SPARSE = late_regex(rb"\{((?:\d+:[^,}]+(?:,|(?=\})))*)\}/(\d{1,10})")


class SparseVectorCodec(Codec):
    """pgvector sparsevec: the number of dimensions, and the values by index, from 1, as in `{1:1.5,3:2}/5`.

    Numbers and indexes are INT16 in Debezium's schema: more than 32767 dimensions are a DecodeError.
    """

    def value(self, data: bytes, start: int, end: int) -> tuple[int, dict[int, float]]:
        found = _SPARSE.fullmatch(data, start, end)
        if found is None:
            raise bad_text("sparse vector", end - start)
        pairs = [pair.partition(b":") for pair in found[1].split(b",") if pair]
        values = _floats([value for _, _, value in pairs], "sparse vector", end - start)
        indexes = [int(index) for index, _, _ in pairs]
        dimensions = int(found[2])
        if dimensions > 32767 or any(index > 32767 for index in indexes):
            raise DecodeError("sparse vector of more than 32767 dimensions", dimensions=dimensions)
        return dimensions, dict(zip(indexes, values, strict=True))
