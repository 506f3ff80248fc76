"""How Java, and Jackson on its behalf, write numbers and text. Converters' output is compared byte for byte with it.

Sources: Java SE API, `Double.toString` and `Float.toString` (shortest decimal that reads back as the same number,
JDK 19 and later); `BigDecimal.toString`; Jackson's JsonGenerator with its default features.
"""

from __future__ import annotations

import json
import math
import re
import struct
from decimal import Context, Decimal

_CONTROL = re.compile(r'\\(u00[0-9a-f]{2}|.)')
_EXACT = Context(prec=200_000)


def json_string(text: str) -> str:
    """*text* quoted: only quote, backslash and control characters escaped, hexadecimal digits in capitals."""
    quoted = json.dumps(text, ensure_ascii=False)
    return capital_escapes(quoted) if "\\u00" in quoted else quoted


def capital_escapes(quoted: str) -> str:
    """JSON whose `\\u001f` become `\\u001F`."""
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
    """*value* as Java's cast to float rounds it."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def decimal_text(unscaled: bytes, scale: int) -> str:
    """`BigDecimal.toString` of a Connect Decimal: trailing zeros kept, an exponent only below 1E-6."""
    return str(Decimal(int.from_bytes(unscaled, "big", signed=True)).scaleb(-scale, _EXACT))


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _java(shortest: str, two_digits: str) -> str:
    """Python's notation to Java's. A single digit gives way to the nearest two, as `Double.toString` asks."""
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
    """Sign, significant digits without zeros at either end, and the exponent of the first."""
    parts = Decimal(text).as_tuple()
    assert isinstance(parts.exponent, int)
    digits = "".join(map(str, parts.digits))
    exponent = parts.exponent + len(digits) - 1
    return "-" if parts.sign else "", digits.rstrip("0") or "0", exponent
