"""Numbers and text as Java and Jackson write them, and the order of keys in Java's hash maps.

Both are visible in the output of Debezium and Kafka Connect.

Sources: Java SE API, `Double.toString` and `Float.toString` (shortest decimal that reads back as the same number,
JDK 19 and later); `BigDecimal.toString`; Jackson's JsonGenerator with its default features.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

from cdc.core.late_regex import late_regex

_CONTROL = late_regex(r'\\(u00[0-9a-f]{2}|.)')
_EXACT = Context(prec=200_000)
_DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def json_string(text: str) -> str:
    """*text* in quotes. Quotes, backslashes and control characters are escaped, with capital hexadecimal digits."""
    quoted = json.dumps(text, ensure_ascii=False)
    return capital_escapes(quoted) if "\\u00" in quoted else quoted


def capital_escapes(quoted: str) -> str:
    """*text*, which is JSON, with capitals in its escapes: `\\u001f` becomes `\\u001F`."""
    return _CONTROL.sub(lambda found: found[0] if len(found[1]) == 1 else "\\u" + found[1][1:].upper(), quoted)


def double_text(value: float) -> str:
    """`Double.toString`: `0.1`, `100.0`, `1.0E21`, `NaN`, `-Infinity`."""
    if 1e-3 <= value < 1e7 or -1e7 < value <= -1e-3:
        return repr(float(value))
    if not math.isfinite(value):
        return _not_finite(value)
    return _java(repr(float(value)), f"{value:.1e}")


def float_text(value: float) -> str:
    """`Float.toString` of *value* rounded to 32 bits."""
    value = float32(value)
    if not math.isfinite(value):
        return _not_finite(value)
    for digits in range(6 if abs(value) >= 1.1754943508222875e-38 else 1, 9):
        text = f"{value:.{digits - 1}e}"
        if float32(float(text)) == value:
            break
    else:
        text = f"{value:.8e}"
    return _java(text, f"{value:.1e}")


def float32(value: float) -> float:
    """*value* rounded to 32 bits, as Java's cast to float does."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def decimal_text(unscaled: bytes, scale: int) -> str:
    """`BigDecimal.toString` of a Connect Decimal: trailing zeros kept, an exponent only below 1E-6."""
    return str(Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, _EXACT))


def date_text(ms: int) -> str:
    """A java.util.Date, ms since 1970, as Kafka Connect's `Values.dateFormatFor` shows it in UTC: only the time before
    1970-01-02, only the date at midnight, otherwise both."""
    try:
        moment = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError:
        return str(ms)
    time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
    if ms < _DAY_MS:
        return time
    date = f"{moment.year:04d}-{moment:%m-%d}"
    return date if ms % _DAY_MS == 0 else f"{date}T{time}"


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _java(shortest: str, two_digits: str) -> str:
    """Python's notation in Java's form. A single digit becomes the nearest two, as in `Double.toString`."""
    sign, digits, exponent = _digits(shortest)
    if len(digits) == 1:
        sign, digits, exponent = _digits(two_digits)
    if digits == "0":
        return sign + "0.0"
    if -3 <= exponent < 7:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        return f"{sign}{digits[:exponent + 1].ljust(exponent + 1, '0')}.{digits[exponent + 1:] or '0'}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def _digits(text: str) -> tuple[str, str, int]:
    """Sign, significant digits without leading and trailing zeros, and the exponent of the first digit."""
    parts = Decimal(text).as_tuple()
    assert isinstance(parts.exponent, int)
    digits = "".join(map(str, parts.digits))
    exponent = parts.exponent + len(digits) - 1
    return "-" if parts.sign else "", digits.rstrip("0") or "0", exponent


def java_hash_order(names: Iterable[str], capacity: int = 16) -> list[str]:
    """*names* in the order of a java.util.HashMap<String, …>. Debezium lists a transaction's tables in this order.

    *capacity*: what the map was made for; 16 by default.

    OpenJDK java.util.HashMap: bucket `(h ^ h >>> 16) & (n - 1)`, n doubling when 0.75 full, insertion order within.
    """
    ordered = list(names)
    size = 1
    while size < capacity:
        size *= 2
    while len(ordered) > size * 3 // 4:
        size *= 2
    return sorted(ordered, key=lambda name: java_hash_spread(name) & (size - 1))


def java_hash(text: str) -> int:
    """`String.hashCode` as an unsigned number of 32 bits."""
    value = 0
    data = text.encode("utf-16-be", "surrogatepass")
    for index in range(0, len(data), 2):
        value = (31 * value + (data[index] << 8 | data[index + 1])) & 0xFFFFFFFF
    return value


def java_hash_spread(name: str) -> int:
    """The hash of *name* in a java.util.HashMap, whose buckets are named by its low bits."""
    value = java_hash(name)
    return value ^ value >> 16
