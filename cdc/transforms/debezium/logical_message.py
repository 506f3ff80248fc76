"""DecodeLogicalDecodingMessageContent: a JSON message of `pg_logical_emit_message` as an insert, so that the outbox
EventRouter can route it.

Debezium sources: `io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cdc.config.options import option, settings
from cdc.config.table import OptionTable
from cdc.core.errors import TransformError
from cdc.core.record import CREATE
from cdc.core.schema import BYTES, STRUCT, Field, Schema
from cdc.core.view import RecordView, places

from ..part import configured
from .envelope import AFTER, field_of, index_of, require_struct
from .json_payload import JsonShapes, NotJson, parse

_SCHEMA_NAME: Final = "io.debezium.connector.postgresql.MessageValue"
_MAX_SCHEMAS: Final = 10_000
_DEBEZIUM_EXCEPTION: Final = "io.debezium.DebeziumException"


@settings
class LogicalMessageConfig:
    """The keys of DecodeLogicalDecodingMessageContent."""

    fields_null_include: bool = option(
        "fields.null.include", "BOOLEAN", default="false",
        doc="Whether a member that is null is a field of type bytes, or is left out.")


OPTIONS = OptionTable.of(LogicalMessageConfig)


class DecodeLogicalDecodingMessageContent:
    """Gives a logical decoding message the key null, `op` c, and its content as `after`. Other records stay."""

    options = OPTIONS

    def __init__(self, settings: Mapping[str, str]) -> None:
        config = configured(LogicalMessageConfig, OPTIONS, settings, "DecodeLogicalDecodingMessageContent")
        self._json = JsonShapes(null_fields=config.fields_null_include)
        self._schemas: dict[Schema, Schema] = {}

    def apply(self, view: RecordView) -> RecordView:
        """Raises TransformError."""
        schema = view.value_schema
        if schema is None:
            raise TransformError(
                'Cannot invoke "org.apache.kafka.connect.data.Schema.name()" because the return value of '
                '"org.apache.kafka.connect.connector.ConnectRecord.valueSchema()" is null',
                exception="java.lang.NullPointerException",
                hint="A tombstone has no schema: apply the transform to the topic of messages only, with a predicate.")
        if schema.name != _SCHEMA_NAME:
            return view
        values = view.value
        content = _content(require_struct(schema, values, "Retrieve a record value"), values)
        try:
            found = self._json.schema(None, content)
        except NotJson as exc:
            raise TransformError(f"The content of the message has no schema: {exc}.",
                                 exception="org.apache.kafka.connect.errors.ConnectException") from None
        if found is None or found.type != STRUCT:
            raise TransformError("The content of the message is a JSON array, not an object.",
                                 exception="org.apache.kafka.connect.errors.DataException")
        updated = self._updated_schema(schema, found)
        known = places(schema)
        view.set_value(updated, (*(
            CREATE if field.name == "op" else values[known[field.name]] for field in updated.fields[:-1]
        ), self._json.value(updated.fields[-1].schema, content)))
        view.set_key(None, None)
        return view

    def _updated_schema(self, schema: Schema, content: Schema) -> Schema:
        """As in Debezium, the content's schema alone decides: all messages of a connector have one schema."""
        if len(self._schemas) >= _MAX_SCHEMAS:
            self._schemas.clear()
        found = self._schemas.get(content)
        if found is None:
            fields = tuple(field for field in schema.fields if field.name != "message")
            found = self._schemas[content] = Schema(STRUCT, name=f"{schema.name}.Envelope",
                                                    fields=(*fields, Field(AFTER, content)))
        return found


def _content(schema: Schema, values: tuple[Any, ...]) -> Any:
    """The message's content, which is JSON. Raises TransformError."""
    message_schema = schema.fields[index_of(schema, "message")].schema
    message = field_of(schema, values, "message")
    require_struct(message_schema, message, "Retrieve content of a logical decoding message")
    if message_schema.fields[index_of(message_schema, "content")].schema.type != BYTES:
        raise TransformError("The content of a logical decoding message is non-binary", exception=_DEBEZIUM_EXCEPTION,
                             hint="Set binary.handling.mode=bytes.")
    content = field_of(message_schema, message, "content")
    try:
        return parse((content or b"").decode("utf-8", "replace"))
    except NotJson as exc:
        raise TransformError(f"Unable to parse logical decoding message content JSON string: {exc}",
                             exception=_DEBEZIUM_EXCEPTION) from None
