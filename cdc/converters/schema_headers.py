"""Adds the headers that converters make from a key's and a value's schema, such as Apicurio's ids."""

from __future__ import annotations

from cdc.core.interfaces import Converter, Outgoing, WritesHeaders
from cdc.core.outcome import Shaped, Transformed
from cdc.core.record import Record
from cdc.core.schema import Schema


class SchemaHeaders:
    """Those of one task's converters."""

    def __init__(self, key: WritesHeaders | None, value: WritesHeaders | None) -> None:
        self._key = key
        self._value = value

    @classmethod
    def of(cls, key: Converter, value: Converter) -> SchemaHeaders | None:
        """None if neither converter adds headers."""
        sides = [each if isinstance(each, WritesHeaders) else None for each in (key, value)]
        return cls(*sides) if any(each is not None for each in sides) else None

    def added(self, record: Transformed, made: Outgoing) -> Outgoing:
        """*made*, which *record* became, with them: the key's, then the value's; none for a null. Raises ConvertError,
        RegistryError."""
        key_schema, value_schema = _schemas(record)
        more: list[tuple[str, bytes | None]] = []
        if self._key is not None and made.key is not None:
            more += self._key.headers_of(made.topic, key_schema)
        if self._value is not None and made.value is not None:
            more += self._value.headers_of(made.topic, value_schema)
        return made._replace(headers=[*made.headers, *more]) if more else made


def _schemas(record: Transformed) -> tuple[Schema | None, Schema | None]:
    if isinstance(record, Record):
        return record.table.key_schema, record.table.envelope_schema
    if isinstance(record, Shaped):
        return record.outcome.key_schema, record.outcome.value_schema
    return record.key_schema, record.value_schema
