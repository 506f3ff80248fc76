"""Decodes strings by the character sets of their columns, as the server's own tables do.

We use Python's codecs if they agree with the server. If single bytes differ (latin1 is cp1252 without its five gaps;
cp866 has ⁿ and ²), we follow the server's conversion to utf8mb4. Bytes without a character become U+FFFD.

MySQL Reference Manual, "Supported Character Sets and Collations"; server files share/charsets/*.xml,
strings/ctype-*.cc.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from cdc.core.named_tuple import NamedTuple


class Charset(NamedTuple):
    """`decode`: gives the text of a column's bytes. `ascii`: bytes below 128 are ASCII, if there are no others."""

    decode: Callable[[bytes], str]
    ascii: bool = True


UTF8: Final = frozenset({"utf8", "utf8mb3", "utf8mb4"})
"""Character sets whose bytes are UTF-8, as in events."""

_CODECS: Final = {
    "ascii": "ascii", "big5": "big5", "cp1250": "cp1250", "cp1251": "cp1251", "cp1256": "cp1256", "cp1257": "cp1257",
    "cp850": "cp850", "cp852": "cp852", "cp866": "cp866", "cp932": "cp932", "euckr": "cp949", "gb18030": "gb18030",
    "gb2312": "gb2312", "gbk": "gbk", "greek": "iso8859_7", "hebrew": "iso8859_8", "hp8": "hp_roman8",
    "koi8r": "koi8_r", "koi8u": "koi8_u", "latin1": "cp1252", "latin2": "iso8859_2", "latin5": "iso8859_9",
    "latin7": "iso8859_13", "macce": "mac_latin2", "macroman": "mac_roman", "sjis": "shift_jis", "tis620": "tis_620",
    "ujis": "euc_jp",
}
"""The Python codec of each character set."""

_WIDE: Final = {"ucs2": "utf_16_be", "utf16": "utf_16_be", "utf16le": "utf_16_le", "utf32": "utf_32_be"}

_PATCHES: Final[dict[str, dict[int, str]]] = {
    "latin1": {0x81: "\x81", 0x8D: "\x8d", 0x8F: "\x8f", 0x90: "\x90", 0x9D: "\x9d"},
    "koi8u": {0x95: "\u2022"},
    "cp866": {0xFC: "\u207f", 0xFD: "\xb2"},
    "greek": {0xA1: "\u02bd", 0xA2: "\u02bc"},
    "hebrew": {0xAF: "\u203e"},
}
"""Single bytes that the server decodes differently from Python."""

_HIGH: Final = {
    "dec8": "".join(map(chr, range(128, 160))) + (
        "\xa0¡¢£\ufffd¥\ufffd§¤©ª«\ufffd\ufffd\ufffd\ufffd°±²³\ufffdµ¶·\ufffd¹º»¼½\ufffd¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ\ufffdÑÒ"
        "ÓÔÕÖŒØÙÚÛÜŸ\ufffdßàáâãäåæçèéêëìíîï\ufffdñòóôõöœøùúûüÿ\ufffd\ufffd"
    ),
    "armscii8": "".join(map(chr, range(128, 160))) + (
        "\xa0❁§։\x29\x28»«—\x2e՝\x2c\x2d՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւ"
        "ՓփՔքՕօՖֆ’\x27"
    ),
    "geostd8": (
        "€\ufffd‚\ufffd„…†‡\ufffd‰\ufffd‹\ufffd\ufffd\ufffd\ufffd\ufffd‘’“”•–—\ufffd\ufffd\ufffd›\ufffd\ufffd"
        "\ufffd\ufffd\xa0¡¢£¤¥¦§¨©ª«¬\xad®¯°±²³´µ¶·¸¹º»¼½¾¿აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ\ufffd\ufffd"
        "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"
        "\ufffd\ufffd\ufffd\ufffd№\ufffd\ufffd"
    ),
    "keybcs2": (
        "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτ"
        "ΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0"
    ),
}
"""The characters of bytes 128 to 255, for sets that Python does not have. Lower bytes are ASCII."""

_SWE7: Final = {0x40: "É", 0x5B: "Ä", 0x5C: "Ö", 0x5D: "Å", 0x5E: "Ü", 0x60: "é", 0x7B: "ä", 0x7C: "ö",
                0x7D: "å", 0x7E: "ü"}


@cache
def charset(name: str) -> Charset | None:
    """The character set *name*, unless it is UTF-8; None if it is unknown."""
    name = name.lower()
    if name in _WIDE:
        return Charset(_by_codec(_WIDE[name]), ascii=False)
    if name == "swe7":
        low = "".join(_SWE7.get(byte, chr(byte)) for byte in range(127))
        return Charset(_by_table(low.ljust(256, "\ufffd")), ascii=False)
    if name in _HIGH:
        return Charset(_by_table("".join(map(chr, range(128))) + _HIGH[name]))
    if name in _PATCHES:
        return Charset(_by_table(_patched(_CODECS[name], _PATCHES[name])))
    if name in _SPECIAL:
        return Charset(_SPECIAL[name])
    codec = _CODECS.get(name)
    return Charset(_by_codec(codec)) if codec else None


def _by_codec(codec: str) -> Callable[[bytes], str]:
    return lambda data: data.decode(codec, "replace")


def _by_table(table: str) -> Callable[[bytes], str]:
    return lambda data: "".join([table[byte] for byte in data])


def _patched(codec: str, patches: dict[int, str]) -> str:
    return "".join(patches.get(byte) or bytes((byte,)).decode(codec, "replace") for byte in range(256))


def _big5(data: bytes) -> str:
    """big5 with the seven ETEN characters F9D6 to F9DC. Of Python's codecs only cp950 has them."""
    try:
        return data.decode("big5")
    except UnicodeDecodeError:
        return _by_pairs(data, "big5", "cp950")


def _by_pairs(data: bytes, codec: str, second: str) -> str:
    """Decodes one character after the other: by *codec*, or else by *second*."""
    parts, at = [], 0
    while at < len(data):
        size = 2 if data[at] > 128 else 1
        one = data[at:at + size]
        try:
            parts.append(one.decode(codec))
        except UnicodeDecodeError:
            parts.append(one.decode(second, "replace"))
        at += size
    return "".join(parts)


def _ujis(data: bytes) -> str:
    """euc_jp; the user-defined rows 85 to 94 are in the private use area."""
    try:
        return data.decode("euc_jp")
    except UnicodeDecodeError:
        return "".join(_user_defined(one, 0xE000) or one.decode("euc_jp", "replace") for one in _euc(data))


def _eucjpms(data: bytes) -> str:
    """EUC with Microsoft's tables: plane 1 is that of cp932, plane 2 is JIS X 0212.

    108 of IBM's own characters in plane 2 are missing, and become U+FFFD.
    """
    if data.isascii():
        return data.decode("ascii")
    return "".join(_user_defined(one, 0xE000) or _microsoft(one) for one in _euc(data))


def _euc(data: bytes) -> list[bytes]:
    """The bytes of each character."""
    parts, at = [], 0
    while at < len(data):
        lead = data[at]
        size = 3 if lead == 0x8F else 2 if lead == 0x8E or lead > 0xA0 else 1
        parts.append(data[at:at + size])
        at += size
    return parts


def _user_defined(one: bytes, base: int) -> str | None:
    """Rows F5 to FE: 940 code points from U+E000 for plane 1, 940 more for plane 2."""
    if len(one) == 3:
        one, base = one[1:], base + 940
    if len(one) != 2 or one[0] < 0xF5 or not 0xA1 <= one[1] <= 0xFE:
        return None
    return chr(base + (one[0] - 0xF5) * 94 + one[1] - 0xA1)


def _microsoft(one: bytes) -> str:
    if len(one) != 2 or one[0] == 0x8E:
        return one.decode("euc_jp", "replace")
    row, cell = one[0] - 0xA1, one[1] - 0xA1
    if not 0 <= row < 94 or not 0 <= cell < 94:
        return "\ufffd"
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + 0x9F if row % 2 else cell + 0x40 + (cell > 62)
    return bytes((lead, trail)).decode("cp932", "replace")


_SPECIAL: Final = {"big5": _big5, "ujis": _ujis, "eucjpms": _eucjpms}
