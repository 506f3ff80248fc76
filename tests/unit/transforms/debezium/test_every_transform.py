"""What each of Debezium's transforms does with each kind of record: `same` leaves it, `drop` drops it, `new` changes
it, and a text is the error. The errors are Debezium's, or say the same."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import TransformError
from cdc.core.record import Message, Record
from cdc.core.view import RecordView
from tests.unit.transforms.debezium import records
from tests.unit.transforms.worlds import applied

GROOVY = {"language": "jsr223.groovy"}
NO_STRUCT = "Only Struct objects supported for"
STEPS: dict[str, tuple[str, dict[str, str]]] = {
    "unwrap": ("ExtractNewRecordState", {}),
    "outbox": ("outbox.EventRouter", {"table.field.event.id": "id", "table.field.event.payload": "name",
                                      "table.field.event.key": "id", "route.by.field": "name"}),
    "reroute": ("ByLogicalTableRouter", {"topic.regex": "(srv.*)t", "topic.replacement": "$1all"}),
    "changed": ("ExtractChangedRecordState", {"header.changed.name": "c"}),
    "to-value": ("HeaderToValue", {"headers": "ctx", "fields": "ctx", "operation": "copy"}),
    "partition": ("partitions.PartitionRouting", {"partition.payload.fields": "change.id", "partition.topic.num": "3"}),
    "timezone": ("TimezoneConverter", {"converted.timezone": "+02:00"}),
    "ddl": ("SchemaChangeEventFilter", {"schema.change.event.exclude.list": "CREATE,DATABASE"}),
    "size": ("EnforceRecordSize", {"max.bytes": "1", "min.field.size": "0"}),
    "filter": ("Filter", {**GROOVY, "condition": "value.op == 'c'"}),
    "route": ("ContentBasedRouter", {**GROOVY, "topic.expression": "value.op == 'c' ? 'new' : null"}),
    "insert": ("io.debezium.connector.mysql.transforms.ReadToInsertEvent", {}),
    "logical": ("io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent", {}),
    "schema": ("ExtractSchemaToNewRecord", {}),
}
KINDS: dict[str, Record | Message] = {
    "create": records.CREATED, "update": records.UPDATED, "delete": records.DELETED, "tombstone": records.TOMBSTONE,
    "truncate": records.TRUNCATED, "heartbeat": records.HEARTBEAT, "transaction": records.TRANSACTION,
    "ddl": records.SCHEMA_CHANGE, "schemaless": records.SCHEMALESS, "null": records.NULL, "text": records.WRONG,
}
_PROPAGATE = "Ensure that enable configurations"
_NPE = "Cannot invoke"
EXPECTED: dict[str, str] = {
    #            create       update       delete       tombstone    truncate      heartbeat …
    "unwrap": "new|new|new|drop|drop|same|same|same|same|drop|same",
    "outbox": f"new|drop|drop|drop|{NO_STRUCT} [Read Outbox Event], found: null|same|same|same|same|drop|same",
    "reroute": "new|new|new|new|new|same|same|same|same|same|same",
    "changed": "new|new|new|same|new|same|same|same|same|same|same",
    "to-value": f"new|new|new|same|new|same|same|same|{NO_STRUCT} [Header field insertion], found: |same|"
                f"{NO_STRUCT} [Header field insertion], found: java.lang.String",
    "partition": "new|new|new|same|same|same|same|same|same|same|same",
    "timezone": "new|new|new|same|new|same|same|same|same|same|same",
    "ddl": "same|same|same|same|same|same|same|drop|same|same|same",
    "size": "new|new|new|same|same|same|same|same|same|same|same",
    "filter": "same|drop|drop|same|drop|op is not a valid|op is not a valid|op is not a valid|drop|same|has no 'op'",
    "route": "new|same|same|same|same|op is not a valid|op is not a valid|op is not a valid|same|same|has no 'op'",
    "insert": "same|same|same|same|same|same|same|same|same|same|same",
    "logical": f"same|same|same|{_NPE}|same|same|same|same|{_NPE}|{_NPE}|same",
    "schema": f"{_PROPAGATE}|{_PROPAGATE}|{_PROPAGATE}|same|same|same|same|same|same|same|same",
}


def config(step: str, **more: str) -> dict[str, str]:
    name, options = STEPS[step]
    full = name if name.startswith("io.") else f"io.debezium.transforms.{name}"
    return {"transforms": "x", "transforms.x.type": full,
            **{f"transforms.x.{key}": text for key, text in (options | more).items()}}


def outcome(given: Record | Message, found: RecordView | None) -> str:
    if found is None:
        return "drop"
    return "new" if _changed(given, found) else "same"


def _changed(given: Record | Message, found: RecordView) -> bool:
    topic = given.table.topic if isinstance(given, Record) else given.topic
    return bool(found.value_replaced or found.key_replaced or found.headers_replaced or found.topic != topic
                or found.kafka_partition is not None)


@pytest.mark.parametrize(("step", "kind", "expected"), [
    (step, kind, result) for step in STEPS for kind, result in zip(KINDS, EXPECTED[step].split("|"), strict=True)])
def test_each_kind_of_record_has_its_result(step: str, kind: str, expected: str) -> None:
    given = KINDS[kind]
    if expected in ("same", "new", "drop"):
        assert outcome(given, applied(config(step), given)) == expected
        return
    with pytest.raises(TransformError) as caught:
        applied(config(step), given)
    assert expected in str(caught.value)
    assert caught.value.context["class"] == config(step)["transforms.x.type"]


@pytest.mark.parametrize(("step", "options", "message", "exception"), [
    ("unwrap", {"route.by.field": "nope"}, "nope is not a valid field name", "errors.DataException"),
    ("unwrap", {"route.by.field": "qty"}, "Field 'qty' is not of type STRING", "errors.DataException"),
    ("unwrap", {"add.fields": "op:name", "add.fields.prefix": ""}, "field name duplication name",
     "errors.SchemaBuilderException"),
    ("unwrap", {"add.fields": "nope.x"}, "no field 'nope'", "NullPointerException"),
    ("unwrap", {"add.fields": "op.x"}, "Cannot look up fields on non-struct type", "errors.DataException"),
    ("unwrap", {"add.fields": "after"}, "a struct cannot be added", "errors.DataException"),
    ("outbox", {"table.field.event.payload": "nope"}, "Unable to find payload field nope in event",
     "errors.ConnectException"),
    ("outbox", {"table.field.event.timestamp": "nope"}, "Unable to find timestamp field nope in event",
     "errors.ConnectException"),
    ("outbox", {"table.field.event.timestamp": "name"}, "Field 'name' is not of type INT64", "errors.DataException"),
    ("outbox", {"table.fields.additional.placement": "nope:header"}, "nope is not a valid field name",
     "errors.DataException"),
    ("outbox", {"table.fields.additional.placement": "name:partition"}, "Field 'name' is not of type INT32",
     "errors.DataException"),
    ("outbox", {"route.by.field": "qty"}, "Field 'qty' is not of type STRING", "errors.DataException"),
    ("to-value", {"fields": "op.ctx"}, "Field 'op' is a primitive type", "DebeziumException"),
    ("filter", {"condition": "value.nope"}, "nope is not a valid field name", "DebeziumException"),
    ("filter", {"condition": "value.before.id"}, "null has no 'id'", "DebeziumException"),
    ("filter", {"condition": "value.after.qty"}, "it did not give a boolean", "DebeziumException"),
    ("filter", {"condition": "null"}, "it gave null", "DebeziumException"),
    ("route", {"topic.expression": "1"}, "it did not give a text", "DebeziumException"),
])
def test_a_missing_field_or_a_wrong_type_is_debeziums_error(step: str, options: dict[str, str], message: str,
                                                            exception: str) -> None:
    if step == "outbox":
        options = {"table.field.event.id": "id", **options}
    with pytest.raises(TransformError) as caught:
        applied(config(step, **options), records.CREATED)
    assert message in caught.value.message
    assert caught.value.context["exception"].endswith(exception)


@pytest.mark.parametrize("path", ["after.id", "after.nope"])
def test_partition_routing_fails_on_a_row_that_the_event_does_not_have(path: str) -> None:
    with pytest.raises(TransformError, match="Unprocessable message"):
        applied(config("partition", **{"partition.payload.fields": path}), records.DELETED)


def test_no_error_shows_a_value() -> None:
    secret = records.change("u", (1, "secret", 5), (1, "secret", 5))
    for step, options in (("outbox", {"table.op.invalid.behavior": "fatal"}),
                          ("filter", {"condition": "value.after.name > 1"})):
        with pytest.raises(TransformError) as caught:
            applied(config(step, **options), secret)
        assert "secret" not in str(caught.value)


def value_of(view: RecordView | None) -> dict[str, Any] | None:
    """The struct by field names."""
    assert view is not None
    if view.value is None:
        return None
    assert view.value_schema is not None
    return dict(zip((field.name for field in view.value_schema.fields), view.value, strict=True))
