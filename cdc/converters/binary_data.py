"""Debezium's BinaryDataConverter (`io.debezium.converters.BinaryDataConverter`): bytes as they are, everything else by
another converter. It is meant for the outbox pattern, whose payloads are serialised already.

Source: debezium/debezium, `BinaryDataConverter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cdc.config.options import Option, option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import ConvertError
from cdc.core.interfaces import Converter, PrefixedAvro, PrintsAvro, ReadsHeaders, WritesHeaders
from cdc.core.late_regex import late_regex
from cdc.core.schema import BYTES, DECIMAL, Schema
from cdc.core.view import Header


@settings
class BinaryDataSettings:
    """The key with a value of its own; `delegate.converter.type.*` are for the other converter."""

    delegate_converter_type: str = option(
        "delegate.converter.type", "CLASS", default="", importance="LOW",
        doc="Class of the converter for what is not bytes. Without it, such a value is an error.")


DELEGATE: Final = Option(key="delegate.converter.type.*", pattern=late_regex(r"delegate\.converter\.type\.(.+)"),
                         private=True, doc="A key of that converter.")
OPTIONS: Final = OptionTable.of(BinaryDataSettings, DELEGATE)


class BinaryDataConverter:
    """The converter of one side, key or value, or of headers. Not for use from several threads."""

    null_is_default: bool
    """As the other converter has it, if rows are written by plans for that."""

    def __init__(self, stop: object = None) -> None:
        self._make: Callable[[str], Converter] | None = None
        self._other: Converter | None = None

    def find_with(self, make: Callable[[str], Converter]) -> None:
        """*make* gives the converter of a class, not configured. Called before `configure`."""
        self._make = make

    def configure(self, settings: Mapping[str, str], is_key: bool) -> None:
        """Take *settings*, without the converter's prefix. Raises ConfigError."""
        parsed = OPTIONS.parse(settings, partial=True)
        parsed.check("BinaryDataConverter")
        name = parsed.values["delegate_converter_type"]
        if name:
            assert self._make is not None, "find_with comes first"
            other: Any = self._make(name)
            other.configure({match[1]: text for match, text in parsed.families[DELEGATE.key]}, is_key)
            self._take(other)

    def _take(self, other: Any) -> None:
        """Rows are no bytes, so plans may write them as *other* wants them."""
        self._other = other
        if isinstance(other, PrefixedAvro):
            self.null_is_default, self.wire_prefix = other.null_is_default, other.wire_prefix
        elif isinstance(other, PrintsAvro):
            self.null_is_default, self.printer = other.null_is_default, other.printer
        if isinstance(other, ReadsHeaders):
            self.from_connect_with = self._with_headers
        if isinstance(other, WritesHeaders):
            self.headers_of = self._headers_of

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Raises ConvertError, RegistryError."""
        if _is_raw(schema, value):
            return None if value is None else bytes(value)
        return self._delegate(topic, schema).from_connect(topic, schema, value)

    def _with_headers(self, topic: str, headers: Sequence[Header], schema: Schema | None, value: Any) -> bytes | None:
        if _is_raw(schema, value):
            return self.from_connect(topic, schema, value)
        other: Any = self._delegate(topic, schema)
        made: bytes | None = other.from_connect_with(topic, headers, schema, value)
        return made

    def _headers_of(self, topic: str, schema: Schema | None) -> Sequence[tuple[str, bytes]]:
        other: Any = self._delegate(topic, schema)
        return () if schema is not None and _is_raw(schema, b"") else other.headers_of(topic, schema)

    def _delegate(self, topic: str, schema: Schema | None) -> Converter:
        if self._other is None:
            raise ConvertError(
                "the BinaryDataConverter takes only bytes", topic=topic, schema=schema and (schema.name or schema.type),
                hint="Set delegate.converter.type to a converter that takes every type, such as the JsonConverter.")
        return self._other

    def check(self) -> None:
        """Check that the other converter's registry answers, if it has one. Raises RegistryError."""
        getattr(self._other, "check", lambda: None)()

    def metrics(self) -> Mapping[str, float]:
        found: Mapping[str, float] = getattr(self._other, "metrics", dict)()
        return found

    def close(self) -> None:
        getattr(self._other, "close", lambda: None)()


def _is_raw(schema: Schema | None, value: Any) -> bool:
    """Whether *value* goes out as it is. A Decimal is a number in Java, although its schema's type is BYTES."""
    if value is None:
        return schema is None or schema.type == BYTES
    return isinstance(value, bytes | bytearray | memoryview) and (
        schema is None or (schema.type == BYTES and schema.name != DECIMAL))
