"""Column mappers: options that cut, hide or hash the values of some columns, or note their source type in the schema.

    column.truncate.to.N.chars · column.mask.with.N.chars · column.propagate.source.type ·
    datatype.propagate.source.type · column.mask.hash.ALGORITHM.with.salt.SALT · column.mask.hash.v2.…

Debezium docs, "Data change event" options of these names; Debezium sources, `io.debezium.relational.mapping`. At most
one mapper applies to a column: the first that matches, in the order above. Keys are never mapped, and neither is a
field's default. Texts are measured in UTF-16 units, as Java measures them. A salt is part of a configuration key, so
keys are shown here without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from cdc.codecs.wrappers import ConstantCodec, MappingCodec
from cdc.config.regex import JavaRegex, compile_list
from cdc.core.codec import Codec
from cdc.core.dataclass import dataclass
from cdc.core.errors import ConfigError
from cdc.core.late_regex import late_regex
from cdc.core.named_tuple import NamedTuple
from cdc.core.schema import BYTES, STRING, Schema
from cdc.core.table import TableId

ValueMapping = Callable[[Any], Any]
Parameters = tuple[tuple[str, str], ...]

_SOURCE: Final = "__debezium.source.column."
_TRUNCATE: Final = late_regex(r"column\.truncate\.to\.([0-9]+)\.chars")
_MASK: Final = late_regex(r"column\.mask\.with\.([0-9]+)\.chars")
_PROPAGATE: Final = late_regex(r"column\.propagate\.source\.type")
_PROPAGATE_BY_TYPE: Final = late_regex(r"datatype\.propagate\.source\.type")
_HASH: Final = late_regex(r"column\.mask\.hash\.([^.]+)\.with\.salt\.(.+)", re.DOTALL)
_HASH_V2: Final = late_regex(r"column\.mask\.hash\.v2\.([^.]+)\.with\.salt\.(.+)", re.DOTALL)
_BEYOND_BMP: Final = late_regex("[\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class ColumnSource:
    """A column as its database describes it, in Debezium's terms.

    *type_name* is the driver's name of the type. *length* and *scale* are None where there are none; a text without
    limit has Java's largest int. *is_character* is whether its JDBC type is a character type: only those are hidden.
    """

    name: str
    type_name: str
    length: int | None
    scale: int | None
    is_character: bool
    comment: str | None = None


class Mapper(Protocol):
    """One option, applied to columns."""

    def parameters(self, column: ColumnSource) -> Parameters:
        """What the field's schema gets in addition."""

    def mapping(self, column: ColumnSource, schema: Schema) -> ValueMapping | None:
        """The function that changes each value (never a null); None if the values of such a column stay unchanged."""

    @property
    def hides(self) -> bool:
        """Whether the option is meant to hide values, so that a column it cannot hide deserves a warning."""


@dataclass(frozen=True)
class Truncate:
    """Text cut to *limit* UTF-16 units, bytes to *limit* bytes; columns known to be no longer are left alone."""

    limit: int
    hides: bool = False

    def parameters(self, column: ColumnSource) -> Parameters:
        return (("truncateLength", str(self.limit)),) if self._applies(column) else ()

    def mapping(self, column: ColumnSource, schema: Schema) -> ValueMapping | None:
        if not self._applies(column):
            return None
        if schema.type == STRING:
            return lambda text: cut(text, self.limit)
        if schema.type == BYTES and schema.name is None:
            return lambda data: data[:self.limit]
        return None

    def _applies(self, column: ColumnSource) -> bool:
        return column.length is None or column.length < 0 or column.length > self.limit


@dataclass(frozen=True)
class Mask:
    """A text, null or not, replaced by *mask*."""

    mask: str
    hides: bool = True

    def parameters(self, column: ColumnSource) -> Parameters:
        return (("masked", "true"),)

    def mapping(self, column: ColumnSource, schema: Schema) -> ValueMapping | None:
        return (lambda _: self.mask) if _is_text(column, schema) else None


@dataclass(frozen=True, repr=False)
class Hash:
    """A text replaced by the hexadecimal digest of salt and text, cut to the column's length.

    *serialized* hashes the text as Java serialises it (the first version of the option), else its UTF-8 bytes.
    """

    algorithm: str
    salt: bytes
    serialized: bool
    hides: bool = True

    def parameters(self, column: ColumnSource) -> Parameters:
        return (("masked", "true"),)

    def mapping(self, column: ColumnSource, schema: Schema) -> ValueMapping | None:
        if not _is_text(column, schema):
            return None
        limit = column.length if column.length is not None and column.length > 0 else None
        return lambda text: self.digest(text)[:limit]

    def digest(self, text: str) -> str:
        digest = hashlib.new(self.algorithm, self.salt, usedforsecurity=False)
        digest.update(java_serialized(text) if self.serialized else text.encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Propagate:
    """The column's name and source type noted in the schema; values stay as they are."""

    hides: bool = False

    def parameters(self, column: ColumnSource) -> Parameters:
        noted = (
            ("type", column.type_name.upper()), ("length", column.length), ("scale", column.scale),
            ("comment", column.comment or None), ("name", column.name),
        )
        return tuple((_SOURCE + key, str(value)) for key, value in noted if value is not None)

    def mapping(self, column: ColumnSource, schema: Schema) -> ValueMapping | None:
        return None


@dataclass(frozen=True)
class Rule:
    """*mapper* is for the columns whose qualified name, or with *by_type* whose table and type name, any of
    *patterns* matches in full."""

    patterns: tuple[JavaRegex, ...]
    mapper: Mapper
    by_type: bool = False

    def matches(self, table: TableId, column: ColumnSource) -> bool:
        last = column.type_name if self.by_type else column.name
        short = f"{table}.{last}"
        names = {short, f"{table.catalog}.{short}"} if table.schema and table.catalog else {short}
        return any(pattern.fullmatch(name) for pattern in self.patterns for name in names)


def mapper_rules(config: Mapping[str, str | None]) -> tuple[Rule, ...]:
    """The rules that a connector's configuration asks for, in the order in which they are tried.

    Raises ConfigError on a pattern that is no regular expression and on an unknown hash algorithm.
    """
    return tuple(rule for family, make in _FAMILIES for key, value in config.items()
                 if value is not None and (found := family.fullmatch(key)) for rule in make(found, value))


def mapper_for(rules: Iterable[Rule], table: TableId, column: ColumnSource) -> Mapper | None:
    return next((rule.mapper for rule in rules if rule.matches(table, column)), None)


class Mapped(NamedTuple):
    """A field after its mapper: what goes into a `Column`.

    *ineffective*: the option should hide the values, but the column has no character type. They are sent unchanged, as
    by Debezium, and that deserves a warning.
    """

    schema: Schema
    codec: Codec
    binary_codec: Codec | None
    unchanged: Any
    null_value: Any
    ineffective: bool


def map_column(mapper: Mapper, column: ColumnSource, schema: Schema, codec: Codec, binary_codec: Codec | None = None, *,
               unchanged: Any = None, fallback: Any = None) -> Mapped:
    """Apply *mapper* to a field: its schema (optionality and default included), its codecs and its stand-ins.

    *unchanged* stands for a value the log left out and is mapped like one, unless it is bytes: those stay whole.
    *fallback* stands for a null in a required field without default and is mapped too; a null in an optional field
    stays null, unless masked.
    """
    schema = replace(schema, parameters=schema.parameters + mapper.parameters(column))
    mapping = mapper.mapping(column, schema)
    if mapping is None:
        return Mapped(schema, codec, binary_codec, unchanged, None, mapper.hides)
    if isinstance(mapper, Mask):
        constant = ConstantCodec(codec.schema, mapper.mask)
        return Mapped(schema, constant, binary_codec and constant, None if unchanged is None else mapper.mask,
                      mapper.mask, False)
    stand_in = fallback if schema.default is None else schema.default
    return Mapped(
        schema, MappingCodec(codec, mapping), binary_codec and MappingCodec(binary_codec, mapping),
        unchanged if unchanged is None or isinstance(unchanged, bytes) else mapping(unchanged),
        None if schema.optional or stand_in is None else mapping(stand_in), False,
    )


def _is_text(column: ColumnSource, schema: Schema) -> bool:
    return column.is_character and schema.type == STRING


def cut(text: str, limit: int) -> str:
    """The first *limit* UTF-16 units. Half of a surrogate pair becomes `?`, as it does when Java writes UTF-8."""
    if not _BEYOND_BMP.search(text):
        return text[:limit]
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * limit:
        return text
    kept = units[: 2 * limit]
    half = kept[-1:] and kept[-1] & 0xFC == 0xD8
    return kept[: len(kept) - 2].decode("utf-16-le") + "?" if half else kept.decode("utf-16-le")


def java_serialized(text: str) -> bytes:
    """*text* as ObjectOutputStream.writeObject writes it. Java Object Serialization Specification, "Grammar for the
    Stream Format": magic, version, TC_STRING and a 16-bit length or TC_LONGSTRING and a 64-bit one, modified UTF-8."""
    data = _BEYOND_BMP.sub(_surrogates, text).encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    if len(data) <= 0xFFFF:
        return b"\xac\xed\0\5\x74" + len(data).to_bytes(2, "big") + data
    return b"\xac\xed\0\5\x7c" + len(data).to_bytes(8, "big") + data


def _surrogates(found: re.Match[str]) -> str:
    offset = ord(found[0]) - 0x10000
    return chr(0xD800 + (offset >> 10)) + chr(0xDC00 + (offset & 0x3FF))


def _hash_name(java_name: str) -> str | None:
    """hashlib's name of a Java MessageDigest algorithm, None where there is none ("Java Security Standard Algorithm
    Names", MessageDigest). Java compares names without case."""
    name = java_name.upper()
    if re.fullmatch(r"SHA3-(224|256|384|512)|SHA-?1|SHA|SHA-(224|256|384|512)(/(224|256))?|MD5", name) is None:
        return None
    if name in ("SHA", "SHA1", "SHA-1"):
        name = "SHA1"
    name = name.replace("SHA3-", "SHA3_").replace("-", "").replace("/", "_").lower()
    try:
        hashlib.new(name, usedforsecurity=False)
    except ValueError:
        return None
    return name


def _truncate_rules(found: re.Match[str], columns: str) -> list[Rule]:
    return [Rule(compile_list(columns, found[0]), Truncate(int(found[1])))]


def _mask_rules(found: re.Match[str], columns: str) -> list[Rule]:
    return [Rule(compile_list(columns, found[0]), Mask("*" * int(found[1])))]


def _propagate_rules(found: re.Match[str], columns: str) -> list[Rule]:
    return [Rule(compile_list(columns, found[0]), Propagate(), by_type=found[0].startswith("datatype."))]


def _hash_rules(found: re.Match[str], columns: str) -> list[Rule]:
    option = found[0][: found.start(2) - found.start()] + "*"
    algorithm = _hash_name(found[1])
    if algorithm is None:
        raise ConfigError("unknown hash algorithm", option=option, algorithm=found[1],
                          hint="Use MD5, SHA-1, SHA-256, SHA-512, SHA3-256 or another of Java's MessageDigest names.")
    serialized = not option.startswith("column.mask.hash.v2.")
    return [Rule(compile_list(columns, option), Hash(algorithm, found[2].encode(), serialized))]


_FAMILIES: Final = (
    (_TRUNCATE, _truncate_rules), (_MASK, _mask_rules), (_PROPAGATE, _propagate_rules),
    (_PROPAGATE_BY_TYPE, _propagate_rules), (_HASH, _hash_rules), (_HASH_V2, _hash_rules),
)
