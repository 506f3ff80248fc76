"""Envelopes and structs, as Debezium's transforms read and rebuild them.

Debezium sources: `io.debezium.transforms.SmtManager` and `io.debezium.data.Envelope`; Kafka sources:
`org.apache.kafka.connect.data.Struct` and `org.apache.kafka.connect.transforms.util.SchemaUtil`. Errors have the texts
of those classes, because people search for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from cdc.core.errors import TransformError
from cdc.core.record import Record
from cdc.core.schema import INT64, STRING, STRUCT, Field, Schema
from cdc.core.view import RecordView, places

from ..part import DATA_EXCEPTION, data_error, required_struct

BEFORE: Final = "before"
AFTER: Final = "after"
UNKNOWN_FIELD: Final = "Unknown field: {}"
"""What Kafka's ExtractField says."""
_CONNECT: Final = "org.apache.kafka.connect.errors."
_EXCEPTIONS: Final = {UNKNOWN_FIELD: "java.lang.IllegalArgumentException"}


def failed(message: str, exception: str = DATA_EXCEPTION, *, hint: str = "", **context: Any) -> TransformError:
    """The error that has *exception*, the class that Debezium or Kafka Connect throws in that place."""
    return TransformError(message, hint=hint, exception=exception, **context)


def is_envelope(schema: Schema | None) -> bool:
    """Whether *schema* is a change event's: its name ends with `.Envelope`."""
    return schema is not None and schema.name is not None and schema.name.endswith(".Envelope")


def untouched(view: RecordView) -> bool:
    """Whether the value is still a row change as the source yielded it. Then each part can be read alone."""
    return isinstance(view.record, Record) and not view.value_replaced


def has_row(view: RecordView, name: str) -> bool:
    """Whether the envelope has the row image *name*. Decodes nothing if the value is untouched. Raises TransformError
    if the envelope has no such field."""
    if untouched(view):
        return getattr(view.record, name) is not None
    return field_of(struct_schema(view), view.value, name, unknown=UNKNOWN_FIELD) is not None


def row_schema(schema: Schema, name: str) -> Schema:
    """The schema of the envelope's field *name*. Raises TransformError."""
    return schema.fields[index_of(schema, name, unknown=UNKNOWN_FIELD)].schema


def operation(view: RecordView) -> str | None:
    """The envelope's `op`."""
    if untouched(view):
        assert isinstance(view.record, Record)
        return view.record.op
    found = typed(struct_schema(view), view.value, "op", STRING)
    return None if found is None else str(found)


def struct_schema(view: RecordView) -> Schema:
    """The value's schema, which must be a struct's. Raises TransformError."""
    return require_struct(view.value_schema, view.value, "Read record")


def require_struct(schema: Schema | None, value: Any, purpose: str) -> Schema:
    """*schema*, if it is a struct's and *value* is not null. Raises TransformError."""
    if schema is None:
        raise data_error(f"Only Struct objects supported for [{purpose}], found: "
                         f"{'null' if value is None else type(value).__name__}")
    required_struct(schema, value, purpose)
    return schema


def field_of(schema: Schema, values: tuple[Any, ...], name: str, *,
             unknown: str = "{} is not a valid field name") -> Any:
    """The value of field *name*, without its default. Raises TransformError with the text *unknown* if there is no
    such field."""
    return values[index_of(schema, name, unknown=unknown)]


def index_of(schema: Schema, name: str, *, unknown: str = "{} is not a valid field name") -> int:
    """The place of field *name*. Raises TransformError with the text *unknown* if there is no such field."""
    index = places(schema).get(name)
    if index is None:
        raise failed(unknown.format(name), _EXCEPTIONS.get(unknown, DATA_EXCEPTION), schema=schema.name)
    return index


def defaulted(schema: Schema, values: tuple[Any, ...], name: str) -> Any:
    """As `Struct.get`: the value of field *name*, for a null its default. Raises TransformError if there is no such
    field."""
    index = index_of(schema, name)
    value = values[index]
    return schema.fields[index].schema.default if value is None else value


def typed(schema: Schema, values: tuple[Any, ...], name: str, type_: str) -> Any:
    """As `Struct.getString` and its like: the value of field *name*, without its default. Raises TransformError if
    there is no such field or its type is another one."""
    index = index_of(schema, name)
    if schema.fields[index].schema.type != type_:
        raise failed(f"Field '{name}' is not of type {type_}", schema=schema.name)
    return values[index]


def copied(source: Schema, fields: Iterable[Field], *, optional: bool = False, name: str | None = None) -> Schema:
    """A struct schema with *fields*, and with the name (or *name*), version, doc and parameters of *source*. Raises
    TransformError if two fields have the same name."""
    found = tuple(fields)
    names: set[str] = set()
    for each in found:
        if each.name in names:
            raise failed(f"Cannot create field because of field name duplication {each.name}",
                         f"{_CONNECT}SchemaBuilderException", schema=source.name)
        names.add(each.name)
    return Schema(STRUCT, optional=optional, name=source.name if name is None else name, version=source.version,
                  doc=source.doc, parameters=source.parameters, fields=found)


def bare(schema: Schema) -> Schema:
    """*schema* as an optional field without a default. Raises TransformError for a struct, whose fields a copy would
    lose."""
    if schema.type == STRUCT:
        raise failed("a struct cannot be added as a field or header", schema=schema.name,
                     hint="Name one of its fields, such as source.ts_ms.")
    return replace(schema, optional=True, default=None)


def row_of(view: RecordView, name: str) -> tuple[Schema, Any]:
    """The schema and the values of the row image *name*; the values are None if the event has none. Decodes nothing
    else. Raises TransformError if the envelope has no such field."""
    envelope = view.value_schema
    assert envelope is not None
    schema = row_schema(envelope, name)
    return schema, view.image(name) if untouched(view) else field_of(struct_schema(view), view.value, name)


def event_ms(view: RecordView) -> int | None:
    """The envelope's `ts_ms`."""
    if untouched(view):
        return view.now_us // 1000
    found: int | None = typed(struct_schema(view), view.value, "ts_ms", INT64)
    return found


def event_parts(view: RecordView, name: str) -> Any:
    """The field *name* of an untouched row change, which is no row. Decodes nothing."""
    record = view.record
    assert isinstance(record, Record)
    if name == "source":
        return record.source.merged(record.source_values)
    return {"op": record.op, "transaction": record.block, "ts_ms": view.now_us // 1000, "ts_us": view.now_us,
            "ts_ns": view.now_us * 1000}[name]
