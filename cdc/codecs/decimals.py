"""Converts decimals exactly between digits and the bytes of Connect's Decimal (java.math.BigInteger)."""

from __future__ import annotations

from cdc.core.errors import DecodeError
from cdc.core.late_regex import late_regex

_DECIMAL = late_regex(rb"(-?)(\d+)(?:\.(\d*))?")


def unscaled_bytes(number: int) -> bytes:
    """The shortest big-endian two's complement of *number*, as java.math.BigInteger.toByteArray."""
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, "big", signed=True)


def big_int(digits: bytes) -> int:
    """An integer with any number of digits. Python's `int` takes up to 4300; PostgreSQL's numeric has up to 131072."""
    if len(digits) <= 4000:
        return int(digits)
    number = 0
    for at in range(0, len(digits), 4000):
        part = digits[at:at + 4000]
        number = number * 10 ** len(part) + int(part)
    return number


def unscaled(text: bytes, scale: int) -> int:
    """The number in *text* (digits without an exponent) times 10**scale. DecodeError if that is not a whole number."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise DecodeError("not a number that a decimal can hold", length=len(text))
    fraction = found[3] or b""
    digits = found[2] + fraction
    missing = scale - len(fraction)
    if missing >= 0:
        number: int = big_int(digits) * 10 ** missing
    elif digits[missing:].strip(b"0"):
        raise DecodeError("the number has more fraction digits than its column's scale", length=len(text))
    else:
        number = big_int(digits[:missing] or b"0")
    return -number if found[1] else number
