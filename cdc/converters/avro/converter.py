"""Confluent's AvroConverter (`io.confluent.connect.avro.AvroConverter`): magic byte, schema id, Avro.

A row plan (`plan.py`) uses only `wire_prefix` and `null_is_default`; all other values go through `from_connect`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdc.config.options import option, settings
from cdc.converters.registry.exchange import Stop
from cdc.converters.registry.serializer import RegistryConverter, SchemaText, with_registry
from cdc.core.avro import Writer, write_field, write_value
from cdc.core.errors import ConvertError, DecodeError
from cdc.core.schema import ARRAY, BYTES, MAP, STRUCT, Schema

from .compat import first_difference
from .schema import AvroOptions, avro_schema, record_name
from .schemaless import ANYTHING, TEXT, write_anything


@settings
class AvroSettings:
    """The keys of Confluent's `AvroDataConfig`, without the converter's prefix."""

    connect_meta_data: bool = option("connect.meta.data", "BOOLEAN", default="true", importance="LOW",
                                     doc="Write Connect's names, versions and parameters into the Avro schema.")
    scrub_invalid_names: bool = option("scrub.invalid.names", "BOOLEAN", default="false",
                                       doc="Replace characters that Avro does not allow in names.")
    discard_type_doc_default: bool = option("discard.type.doc.default", "BOOLEAN", default="false", importance="LOW",
                                            doc="Write a column's comment as the doc of its field.")
    enhanced_avro_schema_support: bool = option(
        "enhanced.avro.schema.support", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="no schema here has enums", doc="Keep Avro's enums and packages.")


OPTIONS = with_registry(AvroSettings)


class AvroConverter(RegistryConverter):
    """The converter of one side, key or value. Not for use from several threads.

    What is prepared for a schema (`Known.made`) is whether `core.avro.write_field` gives the right bytes.
    """

    options = OPTIONS
    schema_type = "AVRO"

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(stop)
        self._options = AvroOptions()
        self._out = Writer()

    def take(self, own: Mapping[str, Any]) -> None:
        s = AvroSettings(**own)
        self._options = AvroOptions(s.connect_meta_data, s.scrub_invalid_names, s.discard_type_doc_default)

    def text_of(self, schema: Schema) -> SchemaText:
        text = TEXT if schema is ANYTHING else avro_schema(schema, self._options)
        plain = self.null_is_default and not _has_struct_default(schema)
        return SchemaText(text, record_name(schema, self._options), plain)

    def misfit(self, ours: SchemaText, theirs: str) -> str | None:
        return first_difference(ours.text, theirs)

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Magic byte, schema id, and the value as Avro. A null with an optional schema, or without a schema, is Kafka's
        null and registers nothing.

        Raises ConvertError, RegistryError.
        """
        if schema is None:
            if value is None:
                return None
            schema = ANYTHING
        if value is None:
            if schema.optional:
                return None
            raise ConvertError("null where the schema requires a value", topic=topic, schema=schema.name)
        known = self.find(topic, schema)
        try:
            return known.prefix + self._encoded(schema, value, known.made)
        except (DecodeError, TypeError, ValueError, OverflowError, AttributeError) as exc:
            self._out.truncate(0)
            context = exc.context if isinstance(exc, DecodeError) else {"cause": type(exc).__name__}
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema.name,
                               **context) from exc

    def wire_prefix(self, topic: str, schema: Schema) -> bytes:
        """Magic byte 0 and the big-endian schema id. Raises ConvertError, RegistryError."""
        return self.find(topic, schema).prefix

    def _encoded(self, schema: Schema, value: Any, plain: bool) -> bytes:
        if schema.type == BYTES and not schema.optional:
            return bytes(value)  # the Java serializer writes top-level bytes without a length
        if schema is ANYTHING:
            write_anything(self._out, value)
        elif plain:
            write_field(self._out, schema, value)
        else:
            _write(self._out, schema, value, self.null_is_default)
        return self._out.take()


def _has_struct_default(schema: Schema | None) -> bool:
    if schema is None:
        return False
    if schema.type == STRUCT and schema.optional and schema.default is not None:
        return True
    return (_has_struct_default(schema.items) or _has_struct_default(schema.keys)
            or any(_has_struct_default(field.schema) for field in schema.fields))


def _write(out: Writer, schema: Schema, value: Any, null_is_default: bool) -> None:
    """Does the same as `core.avro.write_field`, but *null_is_default* holds at every depth, and in the union of an
    optional struct null comes first, even with a default."""
    if value is None and schema.default is not None and (null_is_default or not schema.optional):
        value = schema.default
    if schema.optional:
        value_first = schema.default is not None and schema.type != STRUCT
        out.put_byte(2 if value_first == (value is None) else 0)
        if value is None:
            return
    elif value is None:
        raise DecodeError("null in a required field", field_type=schema.name or schema.type)
    if schema.type == STRUCT:
        for field, item in zip(schema.fields, value, strict=True):
            _write(out, field.schema, item, null_is_default)
    elif schema.type in (ARRAY, MAP):
        _write_block(out, schema, value, null_is_default)
    else:
        write_value(out, schema, value)


def _write_block(out: Writer, schema: Schema, value: Any, null_is_default: bool) -> None:
    assert schema.items is not None
    if value:
        out.put_long(len(value))
        for item in value:
            if schema.type == MAP:
                assert schema.keys is not None
                _write(out, schema.keys, item, null_is_default)
                _write(out, schema.items, value[item], null_is_default)
            else:
                _write(out, schema.items, item, null_is_default)
    out.put_byte(0)
