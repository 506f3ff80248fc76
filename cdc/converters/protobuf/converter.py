"""Confluent's ProtobufConverter (`io.confluent.connect.protobuf.ProtobufConverter`): magic byte, schema id, message
indexes, Protobuf.

Source: confluentinc/schema-registry, `ProtobufData`, `AbstractKafkaProtobufSerializer`, `MessageIndexes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.converters.registry.exchange import Stop
from cdc.converters.registry.serializer import RegistryConverter, SchemaText, with_registry
from cdc.core.errors import ConvertError
from cdc.core.schema import STRUCT, Schema

from .compat import changes, first_misfit, message_path
from .messages import ProtobufOptions, ProtoFile, proto_file
from .printer import ProtobufPrinter
from .text import WRAPPER_MESSAGES, file_text
from .values import ProtobufValues, Write

_READING: Final = "it concerns reading only"
_NO_UNIONS: Final = "no schema here has unions or enums"


@settings
class ProtobufSettings:
    """The keys of Confluent's `ProtobufDataConfig` and `KafkaProtobufSerializerConfig`, without the converter's
    prefix."""

    scrub_invalid_names: bool = option("scrub.invalid.names", "BOOLEAN", default="false",
                                       doc="Replace characters that Protobuf does not allow in names.")
    optional_for_nullables: bool = option(
        "optional.for.nullables", "BOOLEAN", default="false",
        doc="Write fields that may be null as proto3 optional, so that a null differs from a zero.")
    wrapper_for_nullables: bool = option(
        "wrapper.for.nullables", "BOOLEAN", default="false",
        doc="Write fields that may be null as wrapper messages, so that a null differs from a zero.")
    enhanced_protobuf_schema_support: bool = option(
        "enhanced.protobuf.schema.support", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why=_READING, doc="Keep packages when reading.")
    int_for_enums: bool = option("int.for.enums", "BOOLEAN", default="false", importance="LOW", effect="inert",
                                 why=_READING, doc="Read enums as numbers.")
    optional_for_proto2: bool = option("optional.for.proto2", "BOOLEAN", default="true", importance="LOW",
                                       effect="inert", why=_READING, doc="Read optional fields of proto2.")
    wrapper_for_raw_primitives: bool = option(
        "wrapper.for.raw.primitives", "BOOLEAN", default="true", importance="LOW", effect="inert", why=_READING,
        doc="Read a wrapper message alone as its value.")
    generate_struct_for_nulls: bool = option(
        "generate.struct.for.nulls", "BOOLEAN", default="false", importance="LOW", effect="inert", why=_READING,
        doc="Read a missing message as a struct of defaults.")
    generate_index_for_unions: bool = option(
        "generate.index.for.unions", "BOOLEAN", default="true", importance="LOW", effect="inert", why=_READING,
        doc="Give unions names with a number.")
    flatten_unions: bool = option("flatten.unions", "BOOLEAN", default="false", importance="LOW", effect="inert",
                                  why=_READING, doc="Read a union's fields as fields of its message.")
    only_lookup_references_by_schema: bool = option(
        "only.lookup.references.by.schema", "BOOLEAN", default="false", importance="LOW", effect="inert",
        why="the files that a schema imports are known to every registry",
        doc="Look up referenced schemas instead of registering them.")


OPTIONS = with_registry(ProtobufSettings)


class ProtobufConverter(RegistryConverter):
    """The converter of one side, key or value. Not for use from several threads.

    What is prepared for a schema (`Known.made`) is its file, and the function that writes its values.
    """

    options = OPTIONS
    schema_type = "PROTOBUF"

    def __init__(self, stop: Stop | None = None) -> None:
        super().__init__(stop)
        self._options = ProtobufOptions()
        self._values = ProtobufValues()

    def take(self, own: Mapping[str, Any]) -> None:
        s = ProtobufSettings(**own)
        self._options = ProtobufOptions(s.scrub_invalid_names, s.optional_for_nullables, s.wrapper_for_nullables)
        self._values = ProtobufValues(self.null_is_default)

    def text_of(self, schema: Schema) -> SchemaText:
        file = proto_file(schema, self._options)
        whole = self._values.message(file.message)
        write: Write = whole if schema.type == STRUCT else lambda value: whole((value,))
        return SchemaText(file_text(file), file.full_name, (file, write))

    def misfit(self, ours: SchemaText, theirs: str) -> str | None:
        return first_misfit(ours.text, theirs, ours.record or "")

    def changes(self, ours: SchemaText, theirs: str) -> str | None:
        return changes(ours.text, theirs, ours.record or "")

    def frame(self, schema_id: int, ours: SchemaText, registered: str | None) -> bytes:
        file: ProtoFile = ours.made[0]
        if registered is not None:
            path = message_path(registered, file.full_name)
        else:
            path = [[name for name, _ in WRAPPER_MESSAGES].index(file.wrapper)] if file.wrapper else [0]
        return super().frame(schema_id, ours, registered) + message_indexes(path)

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        """Magic byte, schema id, message indexes, and the value as Protobuf. A null is Kafka's null and registers
        nothing.

        Raises ConvertError, RegistryError.
        """
        if value is None:
            return None
        if schema is None:
            raise ConvertError("the value has no schema, and the ProtobufConverter has none for it", topic=topic,
                               hint="Use the JsonConverter for such values.")
        known = self.find(topic, schema)
        try:
            data: bytes = known.made[1](value)
        except ConvertError as exc:
            exc.context.setdefault("topic", topic)
            raise
        except (TypeError, ValueError, OverflowError, AttributeError) as exc:
            raise ConvertError("the value does not fit its schema", topic=topic, schema=schema.name,
                               cause=type(exc).__name__) from exc
        return known.prefix + data

    def printer(self, topic: str, schema: Schema) -> ProtobufPrinter:
        """Makes of the Avro bytes of values of *schema* what `from_connect` makes of the values. Raises ConvertError,
        RegistryError."""
        known = self.find(topic, schema)
        return ProtobufPrinter(schema, known.made[0].message, self._values, known.prefix)


def message_indexes(path: list[int]) -> bytes:
    """Which message of the file a value is: its index, and those of messages nested in it. The first message of a file
    is one zero byte; else their number and they follow each other as zig-zag varints."""
    if path == [0]:
        return b"\0"
    out = bytearray()
    for number in (len(path), *path):
        bits = number << 1
        while bits > 127:
            out.append(bits & 127 | 128)
            bits >>= 7
        out.append(bits)
    return bytes(out)
