"""Which codecs of this family `cdc.native` has in C. `cdc/native/codec.h` says what their numbers and tables are."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from . import binary, binary_numbers, binary_times, text

_Native = tuple[Any, ...]


def _shown(codec: Any) -> _Native | None:
    """Integers as booleans."""
    if codec.show is bool and type(codec.codec) is binary_numbers.LeIntCodec:
        return "mysql_bool", codec.codec.size, int(codec.codec.unsigned)
    if codec.show is bool and type(codec.codec) is text.TextIntCodec:
        return "mysql_text_bool", *_text_int(codec.codec)[1:]
    return None


def _text_int(codec: Any) -> _Native:
    unsigned = int(codec.unsigned)
    return "mysql_text_int", (codec.limit.bit_length() + 1 - unsigned) // 8, unsigned


def _text_float(codec: Any) -> _Native | None:
    return None if codec.narrow and not codec.single else ("pg_float", int(codec.single))


def _labels(texts: Sequence[str]) -> bytes:
    """Their count, where each begins and the last one ends, and the texts."""
    raw = [label.encode() for label in texts]
    places = [0]
    for each in raw:
        places.append(places[-1] + len(each))
    return struct.pack(f"={len(places) + 1}I", len(raw), *places) + b"".join(raw)


def _charset(codec: Any) -> _Native | None:
    table = _single_bytes(codec.decode)
    return None if table is None else ("mysql_charset", table)


@cache
def _single_bytes(decode: Callable[[bytes], str]) -> bytes | None:
    """The characters of all bytes in UTF-8, in four bytes each: the length, and the text. None if the character set
    has characters of several bytes, so that two bytes are not always two characters."""
    characters = [decode(bytes((byte,))) for byte in range(256)]
    for byte, first in enumerate(characters):
        pairs = bytes(each for second in range(256) for each in (byte, second))
        if decode(pairs) != "".join(first + second for second in characters):
            return None
    raw = [each.encode() for each in characters]
    return None if max(map(len, raw)) > 3 else b"".join(bytes((len(each),)) + each.ljust(3, b"\0") for each in raw)


def _by(name: str, *params: str) -> Callable[[Any], _Native | None]:
    """For codecs whose parameters are attributes. None for those of the formats before MySQL 5.6."""
    return lambda codec: None if getattr(codec, "old", False) else (
        name, *(int(getattr(codec, each)) for each in params))


def _decimal(name: str) -> Callable[[Any], _Native]:
    """For codecs that read a decimal, and show it in another way."""
    return lambda codec: (name, codec.decimals.precision, codec.decimals.scale)


NATIVE: Final[Mapping[type, Callable[[Any], _Native | None]]] = {
    binary_numbers.LeIntCodec: _by("mysql_int", "size", "unsigned"),
    binary.ShownCodec: _shown,
    binary_numbers.UnsignedDecimalCodec: _by("mysql_unsigned_decimal"),
    binary_numbers.LeFloatCodec: _by("mysql_float", "single"),
    binary_numbers.BinDecimalCodec: _by("mysql_decimal", "precision", "scale"),
    binary_numbers.DecimalTextCodec: _decimal("mysql_decimal_text"),
    binary_numbers.DecimalDoubleCodec: _decimal("mysql_decimal_double"),
    binary.BytesCodec: _by("mysql_bytes"),
    binary.PaddedBytesCodec: _by("mysql_bytes", "length"),
    binary.BitFlagCodec: _by("mysql_bit"),
    binary.BitsCodec: _by("mysql_bits"),
    binary_times.LeDateCodec: _by("mysql_date", "adjust"),
    binary_times.Time2Codec: _by("mysql_time", "unit", "bounded"),
    binary_times.Datetime2Codec: _by("mysql_datetime", "unit", "adjust"),
    binary_times.Timestamp2Codec: _by("mysql_timestamp", "digits"),
    binary_times.YearCodec: _by("mysql_year", "zero"),
    binary.LabelCodec: lambda codec: ("mysql_enum", _labels(codec.labels)),
    binary.LabelSetCodec: lambda codec: ("mysql_set", _labels(codec.labels)),
    binary.CharsetCodec: _charset,
    binary.FloatVectorCodec: _by("mysql_vector"),
    text.TextIntCodec: _text_int,
    text.TextFloatCodec: _text_float,
    text.TextDateCodec: _by("mysql_text_date", "adjust"),
    text.TextTimeCodec: _by("mysql_text_time", "unit", "bounded"),
    text.TextDatetimeCodec: _by("mysql_text_datetime", "unit", "adjust"),
    text.TextTimestampCodec: _by("mysql_text_timestamp", "digits"),
    text.TextYearCodec: _by("mysql_text_year", "zero"),
    text.TextLabelCodec: lambda codec: ("mysql_text_enum", _labels(codec.labels)),
    text.TextLabelSetCodec: lambda codec: ("mysql_text_set", _labels(codec.sets.labels)),
}
"""By class: what `codecs.native.native_op` gives. None for sizes and modes that C does not have."""
