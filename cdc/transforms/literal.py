"""Typed values written as text (`org.apache.kafka.connect.data.Values.parseString`): `true`, `42`, `[1,2]`,
`{"a":1}`, `2024-01-02T03:04:05.678Z`. What is none of these is text."""

from __future__ import annotations

import math
import re
from decimal import Context, InvalidOperation
from typing import Any, Final, NamedTuple

from cdc.codecs.decimals import unscaled_bytes
from cdc.codecs.java import float32
from cdc.core.late_regex import late_regex
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    Schema,
)

from .date_format import DateFormat
from .part import DATE, TIME, TIMESTAMP


class Typed(NamedTuple):
    """A value with its schema; both are None for null."""

    schema: Schema | None
    value: Any


_NULL: Final = Typed(None, None)
_TRUE, _FALSE = Typed(Schema(BOOLEAN), True), Typed(Schema(BOOLEAN), False)
_TEMPORAL: Final = {
    10: (Schema("INT32", name=DATE, version=1), DateFormat("yyyy-MM-dd"), 86_400_000),
    13: (Schema("INT32", name=TIME, version=1), DateFormat("HH:mm:ss.SSS'Z'"), 1),
    24: (Schema("INT64", name=TIMESTAMP, version=1), DateFormat("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"), 1),
}
"""By the length of the text: the schema, the format, and the milliseconds in one unit."""
_RANGES: Final = ((INT8, 2**7), (INT16, 2**15), (INT32, 2**31), (INT64, 2**63))
_NUMBERS: Final = (INT8, INT16, INT32, INT64, FLOAT32, FLOAT64)
_TOKEN: Final = late_regex(r'[:,{}\[\]"]|(?:\\.|[^:,{}\[\]"\\]|\\$)+', re.DOTALL)
_EXACT: Final = Context(prec=1000, traps=[InvalidOperation])


class _NoCollection(Exception):
    """The text is no array or map."""


def parse_literal(text: str) -> Typed:
    """*text* as a value with its type. Raises nothing."""
    tokens = _TOKEN.findall(text)
    if not tokens:
        return Typed(Schema(STRING), text)
    if len(tokens) == 1 and tokens[0].strip() in _WORDS:
        return _WORDS[tokens[0].strip()]
    try:
        parser = _Collections(tokens)
        found = parser.collection()
        if found is not None:
            return found
    except (_NoCollection, IndexError, RecursionError):
        pass
    first = next((token for token in tokens if token.strip()), "").strip()
    if first[:1].isdigit():
        typed = _temporal("".join(tokens[:5]).strip()) or _temporal(first)
        if typed is not None:
            return typed
    return (_number(first) if first[:1].isdigit() or first[:1] in ("+", "-") else None) or Typed(Schema(STRING), text)


_WORDS: Final = {"null": _NULL, "true": _TRUE, "false": _FALSE}


class _Collections:
    """Reads arrays and maps. What follows one is ignored, as in Kafka Connect."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def _takes(self, token: str) -> bool:
        at = self._at
        while at < len(self._tokens) - 1 and not self._tokens[at].strip():
            at += 1
        if at < len(self._tokens) and self._tokens[at].strip() == token:
            self._at = at + 1
            return True
        return False

    def collection(self) -> Typed | None:
        if self._takes("["):
            return self._array()
        return self._map() if self._takes("{") else None

    def _array(self) -> Typed:
        found: list[Typed] = []
        while not self._takes("]"):
            found.append(self._element())
            if not self._takes(","):
                if self._takes("]"):
                    break
                raise _NoCollection
        common = _common(found)
        return Typed(Schema(ARRAY, items=common), [_aligned(common, each.value) for each in found])

    def _map(self) -> Typed:
        keys: list[Typed] = []
        values: list[Typed] = []
        while not self._takes("}"):
            keys.append(self._element())
            if keys[-1].value is None or not self._takes(":"):
                raise _NoCollection
            values.append(self._element())
            self._takes(",")
        key_schema, value_schema = _common(keys), _common(values)
        return Typed(Schema(MAP, keys=key_schema, items=value_schema), {
            _aligned(key_schema, key.value): _aligned(value_schema, value.value)
            for key, value in zip(keys, values)})

    def _element(self) -> Typed:
        if self._takes('"'):
            return self._quoted()
        found = self.collection()
        if found is not None:
            return found
        if self._tokens[self._at] in (",", ":", "]", "}"):
            raise _NoCollection
        for count in (5, 1):
            token = "".join(self._tokens[self._at:self._at + count]).strip()
            typed = _temporal(token) if token[:1].isdigit() else None
            if typed is not None:
                self._at += count
                return typed
        token = self._tokens[self._at].strip()
        self._at += 1
        typed = _WORDS.get(token) or (_number(token) if token[:1].isdigit() or token[:1] in ("+", "-") else None)
        if typed is None:
            raise _NoCollection
        return typed

    def _quoted(self) -> Typed:
        text = ""
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            self._at += 1
            if token == '"':
                break
            text += token
        return _temporal(text) or Typed(Schema(STRING), text)


def _temporal(text: str) -> Typed | None:
    text = text.replace("\\:", ":")
    if len(text) not in _TEMPORAL:
        return None
    schema, form, unit_ms = _TEMPORAL[len(text)]
    ms = form.parse(text)
    return None if ms is None else Typed(schema, ms // unit_ms)


def _number(text: str) -> Typed | None:
    """The smallest integer type that has the number; else FLOAT32, FLOAT64 or Decimal. None if it is no number."""
    try:
        number = _EXACT.create_decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite() or "_" in text:
        return None
    if number == number.to_integral_value():
        whole = int(number)
        for kind, limit in _RANGES:
            if -limit <= whole < limit:
                return Typed(Schema(kind), whole)
    scale = -int(number.as_tuple().exponent)
    for kind, value in ((FLOAT32, float32(float(number))), (FLOAT64, float(number))):
        if math.isfinite(value) and scale != 0:
            return Typed(Schema(kind), value)
    schema = Schema(BYTES, name=DECIMAL, version=1, parameters=(("scale", str(scale)),))
    return Typed(schema, unscaled_bytes(int(number.scaleb(scale, _EXACT))))


def _common(found: list[Typed]) -> Schema | None:
    """The type that holds all of *found*, nulls left out; None if they have none in common."""
    common: Schema | None = None
    for each in found:
        if each.schema is None:
            continue
        if common is None or common.type == each.schema.type:
            common = each.schema
        elif common.type in _NUMBERS and each.schema.type in _NUMBERS:
            common = max(common, each.schema, key=lambda schema: _NUMBERS.index(schema.type))
        else:
            return None
    return common


def _aligned(schema: Schema | None, value: Any) -> Any:
    """*value* as the type that it has in common with the others, which is required: null is none of it."""
    if schema is not None and value is None:
        raise _NoCollection
    wants_float = schema is not None and schema.type in (FLOAT32, FLOAT64)
    return float(value) if wants_float else value


