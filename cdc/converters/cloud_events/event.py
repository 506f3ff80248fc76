"""What of a change event goes into a CloudEvent, and under which names.

Source: debezium/debezium, `CloudEventsMaker` with its subclasses of the connectors, and
`CloudEventsConverter.convertToCloudEventsFormat`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from cdc.core.errors import ConvertError
from cdc.core.schema import BOOLEAN, INT8, INT16, INT32, INT64, STRING, STRUCT, Field, Schema, optional

SPECVERSION: Final = "1.0"
CONTENT_TYPES: Final = {"json": "application/json", "avro": "application/avro"}
_TEXT: Final = Schema(STRING)
_EPOCH: Final = datetime(1970, 1, 1)
_BLOCK: Final = ("id", "total_order", "data_collection_order")
"""The fields of an envelope's `transaction`."""


class Kind(NamedTuple):
    """What events of one connector have. *id_fields*: pairs of a name within the id and of a field of `source`.
    *data*: the envelope's fields that are the event's data; all of them if there are none."""

    id_fields: tuple[tuple[str, str], ...]
    data: tuple[str, ...]


_BINLOG: Final = (("name", "name"), ("file", "file"), ("pos", "pos"))
KINDS: Final[Mapping[str, Kind]] = {
    "postgresql": Kind((("name", "name"), ("lsn", "lsn"), ("txId", "txId"), ("sequence", "sequence")),
                       ("before", "after")),
    "mysql": Kind(_BINLOG, ("before", "after")),
    "mariadb": Kind(_BINLOG, ()),
}
"""By the connector's name in `source`."""


def kind_of(connector: Any) -> Kind:
    """Raises ConvertError for a connector without CloudEvents."""
    found = KINDS.get(connector)
    if found is None:
        raise ConvertError("the record is no change event of a connector with CloudEvents", connector=connector)
    return found


class Source:
    """Reads the `source` structs of one schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._index = {field.name: index for index, field in enumerate(schema.fields)}
        self.extensions = [(extension_name(field.name), _extension_schema(field.schema)) for field in schema.fields]
        self._fields = [(field.schema.default, field.schema.type == INT64) for field in schema.fields]

    def get(self, source: tuple[Any, ...], name: str) -> Any:
        """A field's value, or its default. Raises ConvertError if there is no such field."""
        index = self._index.get(name)
        if index is None:
            raise ConvertError(f"the event's source has no field {name!r}, which a CloudEvent needs")
        value = source[index]
        return self.schema.fields[index].schema.default if value is None else value

    def values(self, source: tuple[Any, ...]) -> list[Any]:
        """All of them, as extension attributes: CloudEvents have no numbers of 64 bits, so these are text."""
        found = []
        for (default, as_text), value in zip(self._fields, source, strict=True):
            each = default if value is None else value
            found.append(str(each) if as_text and each is not None else each)
        return found


def event_id(kind: Kind, source: Source, values: tuple[Any, ...]) -> str:
    shown = ((name, source.get(values, field)) for name, field in kind.id_fields)
    return ";".join(f"{name}:{'null' if value is None else value}" for name, value in shown)


def event_time(ms: int) -> str:
    """RFC 3339, in UTC, with milliseconds. Raises ConvertError outside of the years 1 to 9999."""
    try:
        moment = _EPOCH + timedelta(milliseconds=ms)
    except OverflowError as exc:
        raise ConvertError("the event's source.ts_ms is outside of the years 1 to 9999") from exc
    return moment.isoformat(timespec="milliseconds") + "Z"


def extension_name(name: str, prefix: str = "") -> str:
    """`iodebezium` and the letters and digits of *name*."""
    return "iodebezium" + "".join(char for char in prefix + name if char.isascii() and char.isalnum())


BLOCK_NAMES: Final = tuple(extension_name(name, "tx") for name in _BLOCK)


def block_values(schema: Schema | None, block: tuple[Any, ...] | None) -> list[Any]:
    """The extension attributes of a transaction block; nulls without one."""
    if schema is None or block is None:
        return [None] * len(_BLOCK)
    values = {field.name: value for field, value in zip(schema.fields, block, strict=True)}
    return [None if values.get(name) is None else str(values[name]) for name in _BLOCK]


def _extension_schema(schema: Schema) -> Schema:
    if schema.type in (STRING, INT64):
        return Schema(STRING, optional=schema.optional)
    if schema.type in (INT8, INT16, INT32):
        return Schema(INT32, optional=schema.optional)
    if schema.type == BOOLEAN:
        return Schema(BOOLEAN, optional=schema.optional)
    raise ConvertError(f"a field of type {schema.type} in source cannot be an extension attribute of a CloudEvent")


class Names(NamedTuple):
    """Which attributes events have, beside those that all have."""

    data_schema: bool
    traceparent: bool
    extensions: bool


def event_schema(name: str | None, names: Names, source: Source, data: Schema) -> Schema:
    """The event's schema. *name*: None if nobody sees it."""
    fields = [(each, _TEXT) for each in ("id", "source", "specversion", "type", "time", "datacontenttype")]
    fields += [("dataschema", _TEXT)] * names.data_schema + [("traceparent", _TEXT)] * names.traceparent
    if names.extensions:
        fields += [(extension_name("op"), _TEXT), *source.extensions]
        fields += [(each, optional(STRING)) for each in BLOCK_NAMES]
    return Schema(STRUCT, name=name, fields=tuple(Field(each, schema) for each, schema in [*fields, ("data", data)]))


def data_schema(name: str, envelope: Schema, kept: tuple[str, ...]) -> Schema:
    """The schema of the data: the *kept* fields of *envelope*, or all of them."""
    return Schema(STRUCT, name=name, fields=tuple(
        field for field in envelope.fields if not kept or field.name in kept))
