"""Makes from PostgreSQL's binary formats the texts that the server prints.

There is one function for each type. It takes the bytes of the type's send function and returns those of its output
function, with the session settings named in `text.py` (TimeZone is UTC). So one decoder reads both formats of the rare
types; the frequent ones have their own codecs in `binary.py`.

Source: PostgreSQL, src/backend/utils/adt, the `*_send` and `*_out` functions named below. Integers are big-endian.
Each function raises DecodeError for bytes that the server does not send; no message shows them.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, Final

from cdc.codecs.time import DAY_US, clock_text, date_of
from cdc.core.errors import DecodeError

Render = Callable[[bytes], bytes]

EPOCH_DAYS: Final = 10957
"""2000-01-01, the server's epoch, in days since 1970-01-01."""

NUMERIC_NEG: Final = 0x4000
NUMERIC_NAN: Final = 0xC000
NUMERIC_PINF: Final = 0xD000
NUMERIC_NINF: Final = 0xF000
_DATE_INFINITY: Final = 2**31 - 1
_TIMESTAMP_INFINITY: Final = 2**63 - 1
_HOUR_US: Final = 3_600_000_000

_RANGE_EMPTY, _RANGE_LB_INC, _RANGE_UB_INC, _RANGE_LB_INF, _RANGE_UB_INF = 0x01, 0x02, 0x04, 0x08, 0x10
_RANGE_QUOTED: Final = frozenset(b'"\\()[], \t\n\v\f\r')


def bad_binary(what: str, length: int) -> DecodeError:
    """The error for *length* bytes that are not a value of type *what*. It never shows them."""
    return DecodeError(f"invalid binary value of type {what} from PostgreSQL", length=length)


def unpack(form: str, data: bytes, what: str) -> tuple[Any, ...]:
    """Unpack all of *data* by a struct format. DecodeError if its length is different."""
    if len(data) != struct.calcsize(form):
        raise bad_binary(what, len(data))
    return struct.unpack(form, data)


class Reader:
    """Reads integers and byte strings from *data*, in order. DecodeError at its end."""

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.what = what
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise bad_binary(self.what, len(self.data))
        taken = self.data[self.at:end]
        self.at = end
        return taken

    def number(self, size: int, signed: bool = True) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def count(self) -> int:
        """A count in 32 bits."""
        count = self.number(4)
        if count < 0:
            raise bad_binary(self.what, len(self.data))
        return count

    def counted(self) -> bytes | None:
        """A length, and that many bytes; None for the length -1, which is a null."""
        length = self.number(4)
        return None if length == -1 else self.take(length)

    def close(self) -> None:
        if self.at != len(self.data):
            raise bad_binary(self.what, len(self.data))


def integer(form: str) -> Render:
    """int2send, int4send, int8send, oidsend; *form* is the struct format."""
    return lambda data: b"%d" % unpack(form, data, "integer")[0]


def text(data: bytes) -> bytes:
    """textsend, namesend, enum_send, json_send, xml_send and others: their binary format is their text.

    xml_send and xml_out differ only in the encoding that the XML declaration names, and UTF8 is not named.
    """
    return data


def versioned(data: bytes) -> bytes:
    """jsonb_send, ltree_send: a version byte, 1, then the text."""
    if data[:1] != b"\1":
        raise bad_binary("text of version 1", len(data))
    return data[1:]


def boolean(data: bytes) -> bytes:
    """boolsend."""
    if data == b"\1":
        return b"t"
    if data == b"\0":
        return b"f"
    raise bad_binary("boolean", len(data))


def char(data: bytes) -> bytes:
    """charsend: one byte. charout: nothing for zero; octal digits for a byte that is not ASCII, since PostgreSQL 16.

    Earlier servers print such a byte unchanged, which is not valid UTF-8.
    """
    (code,) = unpack(">B", data, '"char"')
    if code == 0:
        return b""
    return data if code < 128 else b"\\%03o" % code


def float8(data: bytes) -> bytes:
    """float8send. The text denotes the same number, but its digits may differ from the server's."""
    return float_text(*unpack(">d", data, "double precision"))


def float4(data: bytes) -> bytes:
    """float4send."""
    return float4_text(*unpack(">f", data, "real"))


def float_text(number: float) -> bytes:
    if math.isfinite(number):
        return repr(number).encode()
    return b"NaN" if number != number else b"Infinity" if number > 0 else b"-Infinity"


def float4_text(number: float) -> bytes:
    """The shortest decimal that denotes the single-precision *number*, as the server prints it; of several the nearest.

    A decimal exactly between two floats denotes neither of them (src/common/f2s.c).
    """
    if not math.isfinite(number) or number == 0:
        return float_text(number)
    exact = Decimal(abs(number))
    (bits,) = struct.unpack(">i", struct.pack(">f", abs(number)))
    low, high = (exact + _float_of(bits - 1)) / 2, (exact + _float_of(bits + 1)) / 2
    for digits in range(1, 10):
        unit = Decimal(1).scaleb(exact.adjusted() + 1 - digits)
        below = exact.quantize(unit, ROUND_FLOOR, _WIDE)
        near = [shown for shown in (below, below + unit) if low < shown < high]
        if near:
            nearest = min(near, key=lambda shown: (abs(shown - exact), shown.as_tuple().digits[-1] % 2))
            return float_text(math.copysign(float(nearest), number))
    raise AssertionError("nine digits denote any single-precision number")


_WIDE: Final = Context(prec=400)


def _float_of(bits: int) -> Decimal:
    """The single-precision number of *bits*. After the largest comes the number that would follow, not infinity."""
    if bits == 0x7F800000:
        return Decimal(2) ** 128
    return Decimal(struct.unpack(">f", struct.pack(">i", bits))[0])


def numeric(data: bytes) -> bytes:
    """numeric_send: count of base-10000 digits, weight of the first, sign, count of decimals shown, the digits."""
    reader = Reader(data, "numeric")
    count, weight, sign, shown = (
        reader.number(2, False), reader.number(2), reader.number(2, False), reader.number(2, False))
    groups = struct.unpack(f">{count}H", reader.take(2 * count))
    reader.close()
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    if sign not in (0, NUMERIC_NEG) or shown > 0x3FFF or any(group > 9999 for group in groups):
        raise bad_binary("numeric", len(data))
    digits = b"".join([b"%04d" % group for group in groups])
    point = (weight + 1) * 4
    whole = digits[:max(point, 0)].ljust(max(point, 0), b"0").lstrip(b"0") or b"0"
    fraction = (b"0" * min(max(-point, 0), shown) + digits[max(point, 0):])[:shown].ljust(shown, b"0")
    return (b"-" if sign else b"") + whole + (b"." + fraction if shown else b"")


_SPECIAL: Final = {NUMERIC_NAN: b"NaN", NUMERIC_PINF: b"Infinity", NUMERIC_NINF: b"-Infinity"}


def money(data: bytes) -> bytes:
    """cash_send: the amount in the smallest unit. The text has the form of the locale C, which our sessions ask for."""
    (amount,) = unpack(">q", data, "money")
    digits = f"{abs(amount):03d}"
    return f"{'-' if amount < 0 else ''}${digits[:-2]}.{digits[-2:]}".encode()


def bytea(data: bytes) -> bytes:
    """byteasend: the bytes. Their text is that of bytea_output=hex."""
    return b"\\x" + data.hex().encode()


def hexadecimal(data: bytes) -> bytes:
    """PostGIS geometry and geography: EWKB. LWGEOM_out prints it as upper-case hexadecimal digits."""
    return data.hex().upper().encode()


def uuid(data: bytes) -> bytes:
    """uuid_send: 16 bytes."""
    if len(data) != 16:
        raise bad_binary("uuid", len(data))
    digits = data.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


def bits(data: bytes) -> bytes:
    """bit_send, varbit_send: count of bits, then the bits from the left; zeros fill the last byte."""
    reader = Reader(data, "bit string")
    count = reader.count()
    held = reader.take((count + 7) // 8)
    reader.close()
    return "".join([f"{byte:08b}" for byte in held])[:count].encode()


def date(data: bytes) -> bytes:
    """date_send: days since 2000-01-01; the smallest and the largest number are the infinities."""
    (days,) = unpack(">i", data, "date")
    if days == _DATE_INFINITY:
        return b"infinity"
    if days == -_DATE_INFINITY - 1:
        return b"-infinity"
    day, era = _date_and_era(days + EPOCH_DAYS)
    return (day + era).encode()


def time(data: bytes) -> bytes:
    """time_send: µs since midnight."""
    (micros,) = unpack(">q", data, "time")
    return _clock(micros, data)


def timetz(data: bytes) -> bytes:
    """timetz_send: µs since midnight of the wall clock, then the zone in seconds west of UTC."""
    micros, west = unpack(">qi", data, "time with time zone")
    if abs(west) >= 86400:
        raise bad_binary("time with time zone", len(data))
    hours, rest = divmod(abs(west), 3600)
    minutes, seconds = divmod(rest, 60)
    zone = f"{'-' if west > 0 else '+'}{hours:02d}"
    if minutes or seconds:
        zone += f":{minutes:02d}" + (f":{seconds:02d}" if seconds else "")
    return _clock(micros, data) + zone.encode()


def _clock(micros: int, data: bytes) -> bytes:
    if not 0 <= micros <= DAY_US:
        raise bad_binary("time", len(data))
    return clock_text(micros).encode()


def timestamp(zone: str = "") -> Render:
    """timestamp_send, timestamptz_send: µs since 2000-01-01 (UTC); the smallest and the largest are the infinities.

    *zone*: the text of the session's time zone, `+00` for timestamptz.
    """
    def render(data: bytes) -> bytes:
        (micros,) = unpack(">q", data, "timestamp")
        if micros == _TIMESTAMP_INFINITY:
            return b"infinity"
        if micros == -_TIMESTAMP_INFINITY - 1:
            return b"-infinity"
        days, clock = divmod(micros, DAY_US)
        day, era = _date_and_era(days + EPOCH_DAYS)
        return f"{day} {clock_text(clock)}{zone}{era}".encode()
    return render


def _date_and_era(days: int) -> tuple[str, str]:
    """The date as `YYYY-MM-DD`, and ` BC` or nothing. src/backend/utils/adt/datetime.c, EncodeDateOnly."""
    year, month, day = date_of(days)
    shown = year if year > 0 else 1 - year
    return f"{shown:04d}-{month:02d}-{day:02d}", "" if year > 0 else " BC"


def interval(data: bytes) -> bytes:
    """interval_send: µs, days, months. src/backend/utils/adt/datetime.c, EncodeInterval with INTSTYLE_POSTGRES.
    Since PostgreSQL 17 the smallest and the largest of all three are the infinities."""
    micros, days, months = unpack(">qii", data, "interval")
    if (micros, days, months) == (_TIMESTAMP_INFINITY, _DATE_INFINITY, _DATE_INFINITY):
        return b"infinity"
    if (micros, days, months) == (-_TIMESTAMP_INFINITY - 1, -_DATE_INFINITY - 1, -_DATE_INFINITY - 1):
        return b"-infinity"
    years, months = _truncated(months, 12)
    parts: list[str] = []
    before = False
    for value, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if value:
            plus = "+" if before and value > 0 else ""
            parts.append(f"{plus}{value} {unit}{'' if value == 1 else 's'}")
            before = value < 0
    if micros or not parts:
        hours, rest = divmod(abs(micros), _HOUR_US)
        sign = "-" if micros < 0 else "+" if before else ""
        parts.append(f"{sign}{hours:02d}{clock_text(rest)[2:]}")
    return " ".join(parts).encode()


def _truncated(number: int, by: int) -> tuple[int, int]:
    """Division that rounds toward zero, as in C."""
    quotient, rest = divmod(abs(number), by)
    return (quotient, rest) if number >= 0 else (-quotient, -rest)


def point(data: bytes) -> bytes:
    """point_send: x and y as float8."""
    x, y = unpack(">dd", data, "point")
    return b"(%b,%b)" % (float_text(x), float_text(y))


def inet(data: bytes) -> bytes:
    """network_send: family (2 is IPv4, 3 is IPv6), bits of the netmask, whether it is a cidr, length, address.

    As network_out does, we leave out the netmask of a single host, except for a cidr.
    """
    reader = Reader(data, "inet")
    family, mask, cidr, size = (reader.number(1, False) for _ in range(4))
    address = reader.take(size)
    reader.close()
    if (family, size) not in ((2, 4), (3, 16)) or mask > 8 * size:
        raise bad_binary("inet", len(data))
    shown = ".".join([str(byte) for byte in address]) if family == 2 else _ipv6(address)
    return (shown if mask == 8 * size and not cidr else f"{shown}/{mask}").encode()


def _ipv6(address: bytes) -> str:
    """As src/port/inet_net_ntop.c, inet_net_ntop_ipv6: the first of the longest runs of two or more zero words is `::`;
    IPv4 addresses inside are written as such."""
    words = struct.unpack(">8H", address)
    base, length = _longest_zeros(words)
    last = words[:6] if base == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF)) else words
    parts = [f"{word:x}" for word in last]
    if len(last) == 6:
        parts.append(".".join([str(byte) for byte in address[12:]]))
    if length < 2:
        return ":".join(parts)
    return f"{':'.join(parts[:base])}::{':'.join(parts[min(base + length, len(last)):])}"


def _longest_zeros(words: tuple[int, ...]) -> tuple[int, int]:
    """Start and length of the first of the longest runs of zeros."""
    best = (0, 0)
    run = 0
    for at, word in enumerate(words):
        run = run + 1 if word == 0 else 0
        if run > best[1]:
            best = (at + 1 - run, run)
    return best


def macaddr(size: int) -> Render:
    """macaddr_send, macaddr8_send: 6 or 8 bytes."""
    def render(data: bytes) -> bytes:
        if len(data) != size:
            raise bad_binary("MAC address", len(data))
        return data.hex(":").encode()
    return render


def pg_lsn(data: bytes) -> bytes:
    """pg_lsn_send: 64 bits."""
    high, low = unpack(">II", data, "pg_lsn")
    return f"{high:X}/{low:X}".encode()


def tsvector(data: bytes) -> bytes:
    """tsvectorsend: count of lexemes. Each has its NUL-terminated text, a count of positions, and the positions: 2 bits
    of weight and 14 bits of place."""
    reader = Reader(data, "tsvector")
    lexemes = []
    for _ in range(reader.count()):
        end = data.find(b"\0", reader.at)
        lexeme = reader.take(end - reader.at if end >= 0 else -1)
        reader.take(1)
        shown = b"'%b'" % lexeme.replace(b"\\", b"\\\\").replace(b"'", b"''")
        positions = [reader.number(2, False) for _ in range(reader.number(2, False))]
        places = ",".join([f"{position & 0x3FFF}{' CBA'[position >> 14].strip()}" for position in positions])
        lexemes.append(shown + (b":" + places.encode() if places else b""))
    reader.close()
    return b" ".join(lexemes)


def hstore(data: bytes) -> bytes:
    """hstore_send (contrib/hstore): count of pairs, then keys and values, each with its length."""
    reader = Reader(data, "hstore")
    pairs = []
    for _ in range(reader.count()):
        key, value = reader.counted(), reader.counted()
        if key is None:
            raise bad_binary("hstore", len(data))
        pairs.append(b"%b=>%b" % (_quoted(key), b"NULL" if value is None else _quoted(value)))
    reader.close()
    return b", ".join(pairs)


def _quoted(text: bytes) -> bytes:
    return b'"%b"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def vector(data: bytes) -> bytes:
    """pgvector's vector_send: the number of dimensions, 0, then that many float4."""
    return b"[%b]" % b",".join([float4_text(number) for number in _vector(data, "f")])


def halfvec(data: bytes) -> bytes:
    """pgvector's halfvec_send: as vector_send, with numbers of half precision, printed as single precision."""
    return b"[%b]" % b",".join([float4_text(number) for number in _vector(data, "e")])


def _vector(data: bytes, form: str) -> tuple[float, ...]:
    reader = Reader(data, "vector")
    count = reader.number(2, False)
    reader.take(2)
    return unpack(f">{count}{form}", data[4:], "vector")


def sparsevec(data: bytes) -> bytes:
    """pgvector's sparsevec_send: dimensions, count, 0, the indexes (from 0), then the values as float4."""
    reader = Reader(data, "sparsevec")
    dimensions, count, _ = reader.number(4), reader.count(), reader.take(4)
    indices = struct.unpack(f">{count}i", reader.take(4 * count))
    values = struct.unpack(f">{count}f", reader.take(4 * count))
    reader.close()
    shown = [b"%d:%b" % (index + 1, float4_text(value)) for index, value in zip(indices, values, strict=True)]
    return b"{%b}/%d" % (b",".join(shown), dimensions)


def range_of(bound: Render) -> Render:
    """range_send: flags, then each finite bound, with its length. *bound* renders one."""
    def render(data: bytes) -> bytes:
        reader = Reader(data, "range")
        flags = reader.number(1, False)
        if flags & _RANGE_EMPTY:
            reader.close()
            return b"empty"
        lower = b"" if flags & _RANGE_LB_INF else _bound(reader, bound)
        upper = b"" if flags & _RANGE_UB_INF else _bound(reader, bound)
        reader.close()
        return b"%b%b,%b%b" % (b"[" if flags & _RANGE_LB_INC else b"(", lower, upper,
                               b"]" if flags & _RANGE_UB_INC else b")")
    return render


def _bound(reader: Reader, bound: Render) -> bytes:
    """As src/backend/utils/adt/rangetypes.c, range_bound_escape: in quotes if needed, with `"` and `\\` doubled."""
    data = reader.counted()
    if data is None:
        raise bad_binary("range", len(reader.data))
    shown = bound(data)
    if shown and _RANGE_QUOTED.isdisjoint(shown):
        return shown
    return b'"%b"' % shown.replace(b"\\", b"\\\\").replace(b'"', b'""')


def array_of(element: Render) -> Render:
    """array_send: count of dimensions, whether there are nulls, oid of the element type; length and lower bound of each
    dimension; the elements with their lengths. The last dimension varies fastest. *element* renders an element.

    We quote every element. array_out quotes only if needed, but both are read alike.
    """
    def render(data: bytes) -> bytes:
        reader = Reader(data, "array")
        dimensions = reader.count()
        reader.take(8)
        if dimensions > 6:
            raise bad_binary("array", len(data))
        bounds = [(reader.count(), reader.number(4)) for _ in range(dimensions)]
        lengths = [length for length, _ in bounds]
        count = math.prod(lengths) if bounds else 0
        if 4 * count > len(data):
            raise bad_binary("array", len(data))
        items = [b"NULL" if item is None else _quoted(element(item)) for item in
                 [reader.counted() for _ in range(count)]]
        reader.close()
        if not items:
            return b"{}"
        for length in reversed(lengths):
            items = [b"{%b}" % b",".join(items[at:at + length]) for at in range(0, len(items), length)]
        if any(lower != 1 for _, lower in bounds):
            return b"".join([b"[%d:%d]" % (low, low + length - 1) for length, low in bounds]) + b"=" + items[0]
        return items[0]
    return render


RENDERS: Final[dict[str, Render]] = {
    "bool": boolean, "int2": integer(">h"), "int4": integer(">i"), "int8": integer(">q"), "oid": integer(">I"),
    "float4": float4, "float8": float8, "numeric": numeric,
    "text": text, "varchar": text, "bpchar": text, "name": text, "citext": text, "json": text, "xml": text,
    "refcursor": text, "unknown": text, "char": char, "jsonb": versioned, "ltree": versioned,
    "money": money, "bytea": bytea, "uuid": uuid, "bit": bits, "varbit": bits,
    "date": date, "time": time, "timetz": timetz, "timestamp": timestamp(), "timestamptz": timestamp("+00"),
    "interval": interval, "point": point, "inet": inet, "cidr": inet, "macaddr": macaddr(6), "macaddr8": macaddr(8),
    "pg_lsn": pg_lsn, "tsvector": tsvector, "hstore": hstore, "geometry": hexadecimal, "geography": hexadecimal,
    "vector": vector, "halfvec": halfvec, "sparsevec": sparsevec,
    "int4range": range_of(integer(">i")), "int8range": range_of(integer(">q")), "numrange": range_of(numeric),
    "daterange": range_of(date), "tsrange": range_of(timestamp()), "tstzrange": range_of(timestamp("+00")),
}
"""By pg_type.typname, for the types that Debezium maps. Other types are requested as text; isbn and its relatives have
no send function, so the server sends their text anyway."""
