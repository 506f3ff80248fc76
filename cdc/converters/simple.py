"""Kafka Connect's small converters: text, raw bytes, single numbers, and the default converter for headers.

Sources: apache/kafka, `connect.storage.{StringConverter,SimpleHeaderConverter}` with `connect.data.Values` and
`Struct.toString`; `connect.converters.*`.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from cdc.codecs.java import date_text, decimal_text, double_text, float_text
from cdc.core.errors import ConfigError, ConvertError
from cdc.core.schema import (
    ARRAY,
    BOOLEAN,
    BYTES,
    DECIMAL,
    FLOAT32,
    FLOAT64,
    INT16,
    INT32,
    INT64,
    MAP,
    STRING,
    STRUCT,
    Schema,
)

_DATES: Final = {
    "org.apache.kafka.connect.data.Date": 86_400_000,
    "org.apache.kafka.connect.data.Time": 1,
    "org.apache.kafka.connect.data.Timestamp": 1,
}
"""Milliseconds in one unit of the type's values."""


class _Simple:
    """A converter whose output depends only on schema and value."""

    def __init__(self, stop: object = None) -> None:
        """*stop* ends a converter's waits; these have none."""

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Nothing can be configured."""

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """The bytes of *value*; None for a null. Raises ConvertError."""
        if value is None:
            return None
        try:
            return self.convert(schema, value)
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise
        except (TypeError, ValueError, AttributeError, OverflowError, struct.error) as exc:
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema and schema.name,
                               cause=type(exc).__name__) from exc

    def convert(self, schema: Schema | None, value: Any) -> bytes:
        raise NotImplementedError


class StringConverter(_Simple):
    """The value's `toString`: a struct is `Struct{a=1,b=x}` without its null fields.

    Bytes are base64 here; Java would print an object's address.
    """

    def __init__(self, stop: object = None) -> None:
        super().__init__(stop)
        self.encoding = "utf-8"

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """`converter.encoding`, UTF-8 by default. Raises ConfigError."""
        name = settings.get("converter.encoding", "").strip() or "utf-8"
        try:
            "".encode(name)
        except LookupError as exc:
            raise ConfigError(f'"{name}" is not a known character encoding', option="converter.encoding") from exc
        self.encoding = name

    def convert(self, schema: Schema | None, value: Any) -> bytes:
        # Java writes "?" for a character that the encoding does not have.
        return java_text(schema, value).encode(self.encoding, "replace")


class SimpleHeaderConverter(_Simple):
    """Connect's default for headers: text unchanged, all other types JSON-like: `{"id":1001,"code":"a"}`."""

    def convert(self, schema: Schema | None, value: Any) -> bytes:
        return header_text(schema, value, False).encode()


class ByteArrayConverter(_Simple):
    """Bytes, unchanged; it takes no other type."""

    def convert(self, schema: Schema | None, value: Any) -> bytes:
        if (schema is not None and schema.type != BYTES) or not isinstance(value, bytes):
            raise ConvertError("the ByteArrayConverter takes only bytes",
                               schema=schema and (schema.name or schema.type),
                               hint="Choose a converter that takes every type, such as the JsonConverter.")
        return value


class _NumberConverter(_Simple):
    """A single value of one type, in network byte order."""

    kind: ClassVar[str]
    pack: ClassVar[Callable[[Any], bytes]]

    def convert(self, schema: Schema | None, value: Any) -> bytes:
        if schema is not None and schema.type != self.kind:
            raise ConvertError(f"the {type(self).__name__} takes only {self.kind}",
                               schema=schema.name or schema.type,
                               hint="Choose a converter that takes every type, such as the JsonConverter.")
        return type(self).pack(value)


class ShortConverter(_NumberConverter):
    kind = INT16
    pack = struct.Struct(">h").pack


class IntegerConverter(_NumberConverter):
    kind = INT32
    pack = struct.Struct(">i").pack


class LongConverter(_NumberConverter):
    kind = INT64
    pack = struct.Struct(">q").pack


class FloatConverter(_NumberConverter):
    kind = FLOAT32
    pack = struct.Struct(">f").pack


class DoubleConverter(_NumberConverter):
    kind = FLOAT64
    pack = struct.Struct(">d").pack


class BooleanConverter(_NumberConverter):
    kind = BOOLEAN
    pack = struct.Struct(">?").pack


def java_text(schema: Schema | None, value: Any) -> str:
    """Java's `toString` of a Connect value; without a schema, by the Python type."""
    if value is None:
        return "null"
    kind = _kind(schema, value)
    if kind == STRUCT and schema is not None:
        pairs = zip(schema.fields, value, strict=True)
        shown = (f"{field.name}={java_text(field.schema, item)}" for field, item in pairs if item is not None)
        return f"Struct{{{','.join(shown)}}}"
    if kind == ARRAY:
        return f"[{', '.join(java_text(schema and schema.items, item) for item in value)}]"
    if kind == MAP:
        pairs_text = (f"{java_text(schema and schema.keys, key)}={java_text(schema and schema.items, item)}"
                      for key, item in value.items())
        return f"{{{', '.join(pairs_text)}}}"
    return _scalar_text(schema, kind, value)


def header_text(schema: Schema | None, value: Any, embedded: bool) -> str:
    """Connect's `Values.convertToString`; *embedded* text is quoted."""
    if schema is not None and value is None:
        value = schema.default
    if value is None:
        return "null"
    kind = _kind(schema, value)
    if kind == STRUCT and schema is not None:
        pairs = zip(schema.fields, value, strict=True)
        return "{" + ",".join(f"{_quoted(f.name)}:{header_text(f.schema, item, True)}" for f, item in pairs) + "}"
    if kind == ARRAY:
        return "[" + ",".join(header_text(schema and schema.items, item, True) for item in value) + "]"
    if kind == MAP:
        return "{" + ",".join(
            f"{header_text(schema and schema.keys, key, True)}:{header_text(schema and schema.items, item, True)}"
            for key, item in value.items()) + "}"
    text = _scalar_text(schema, kind, value)
    is_text = kind == STRING or (kind == BYTES and (schema is None or schema.name != DECIMAL))
    return _quoted(text) if embedded and is_text else text


def _kind(schema: Schema | None, value: Any) -> str:
    if schema is not None:
        return schema.type
    for python_type, kind in _SCHEMALESS:
        if isinstance(value, python_type):
            return kind
    raise ConvertError("the value has no schema, and its type is none of Kafka Connect's",
                       python_type=type(value).__name__)


_SCHEMALESS: Final[tuple[tuple[type, str], ...]] = (
    (bool, BOOLEAN), (int, INT64), (float, FLOAT64), (str, STRING), (bytes, BYTES), (list, ARRAY), (tuple, ARRAY),
    (dict, MAP),
)


def _scalar_text(schema: Schema | None, kind: str, value: Any) -> str:
    if kind == STRING:
        if not isinstance(value, str):
            raise TypeError("the value must be text")
        return value
    if kind == BOOLEAN:
        return "true" if value else "false"
    if kind == FLOAT64:
        return double_text(value)
    if kind == FLOAT32:
        return float_text(value)
    name = schema.name if schema is not None else None
    if kind == BYTES:
        if schema is not None and name == DECIMAL:
            return decimal_text(value, int(schema.parameter("scale") or 0))
        return base64.b64encode(value).decode("ascii")
    if name in _DATES:
        return date_text(int(value) * _DATES[name])
    return str(int(value))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
