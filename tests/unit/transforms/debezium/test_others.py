"""The smaller transforms: their options, and what they make of records."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import ConfigError, TransformError
from cdc.core.record import Message
from cdc.core.schema import STRING, STRUCT, Schema, optional
from cdc.core.view import RecordView
from tests.unit.transforms.debezium import records
from tests.unit.transforms.debezium.test_every_transform import config, value_of
from tests.unit.transforms.worlds import applied, chain

DBZ_KEY = "__dbz__physicalTableIdentifier"


def kept(step: str, given: Any, **options: str) -> RecordView:
    view = applied(config(step, **{key.replace("__", "."): text for key, text in options.items()}), given)
    assert view is not None
    return view


def names(schema: Schema | None) -> list[str]:
    assert schema is not None
    return [field.name for field in schema.fields]


def test_rerouted_records_have_schemas_and_keys_of_the_new_topic() -> None:
    view = kept("reroute", records.UPDATED)
    assert view.topic == "srv.public.all"
    assert (names(view.key_schema), view.key) == (["id", DBZ_KEY], (1, "srv.public.t"))
    assert view.key_schema is not None
    assert view.value_schema is not None
    assert (view.key_schema.name, view.value_schema.name, view.value_schema.version) == (
        "srv.public.all.Key", "srv.public.all.Envelope", 2)
    assert {field.schema.name for field in view.value_schema.fields[:2]} == {"srv.public.all.Value"}
    assert view.value[:2] == ((1, "a", 5), (1, "b", 5))


@pytest.mark.parametrize(("options", "key", "value"), [
    ({"key.enforce.uniqueness": "false"}, ["id"], (1,)),
    ({"key.field.regex": "srv[.](.*)[.]t", "key.field.replacement": "$1"}, ["id", DBZ_KEY], (1, "public")),
    ({"key.field.regex": "nope", "key.field.replacement": "x"}, ["id", DBZ_KEY], (1, "srv.public.t")),
    ({"key.field.name": "from"}, ["id", "from"], (1, "srv.public.t")),
])
def test_the_key_tells_the_tables_apart_if_wanted(options: dict[str, str], key: list[str], value: Any) -> None:
    view = applied(config("reroute", **options), records.TOMBSTONE)
    assert view is not None
    assert (names(view.key_schema), view.key) == (key, value)


def test_an_empty_topic_keeps_the_record() -> None:
    assert kept("reroute", records.CREATED, topic__regex="(x?).*", topic__replacement="$1").topic == "srv.public.t"


@pytest.mark.parametrize(("step", "options", "text"), [
    ("reroute", {"topic.regex": "("}, "is not valid"),
    ("reroute", {"topic.replacement": "$2"}, "names no group"),
    ("reroute", {"key.field.regex": "a"}, "must be non-empty if"),
    ("partition", {"partition.topic.num": "0"}, "A positive, non-zero integer value is expected"),
    ("partition", {"partition.payload.fields": "a,,b"}, "an element is empty"),
    ("timezone", {"include.list": "source:a", "exclude.list": "source:b"}, "Both include and exclude lists"),
    ("timezone", {"converted.timezone": "Mars"}, "Invalid timezone format"),
    ("ddl", {"schema.change.event.exclude.list": "create"}, "is no kind"),
    ("to-value", {"fields": "a,b"}, "must have the same number of elements"),
    ("to-value", {"operation": "steal"}, "allowed: move, copy"),
    ("to-value", {"headers": "a b"}, "has a space"),
    ("size", {"max.bytes": "0"}, "Must be a positive integer"),
    ("size", {"compression.ratio": "0"}, "Must be a positive number"),
    ("unwrap", {"delete.tombstone.handling.mode": "nope"}, "allowed: drop, tombstone, rewrite"),
    ("unwrap", {"add.fields": "a:b:c"}, "is no field"),
])
def test_wrong_options_are_refused(step: str, options: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        chain(config(step, **options))


def header_of(view: RecordView, name: str) -> Any:
    return next(header.value for header in view.headers if header.name == name)


@pytest.mark.parametrize(("given", "changed", "unchanged"), [
    (records.UPDATED, ["name"], ["id", "qty"]), (records.CREATED, [], []), (records.DELETED, [], []),
    (records.change("u", None, (1, "a", 5)), [], [])])
def test_changed_and_unchanged_columns_are_headers(given: Any, changed: list[str], unchanged: list[str]) -> None:
    view = kept("changed", given, header__unchanged__name="same")
    assert (header_of(view, "c"), header_of(view, "same")) == (changed, unchanged)


@pytest.mark.parametrize(("fields", "operation", "left"), [
    ("app,source.app", "copy", 2), ("app,new.deep.x", "move", 0)])
def test_headers_become_fields_of_the_value_and_of_structs_in_it(fields: str, operation: str, left: int) -> None:
    step = chain(config("to-value", headers="ctx,n", fields=fields, operation=operation))
    view = chain({}).apply([records.CREATED], 0)[0]
    assert isinstance(view, RecordView)
    view.add_header("n", Schema(STRING), "x")
    found = step.steps[0].apply(view)
    assert found is not None
    value = value_of(found) or {}
    assert value["app"] == "mysql"
    assert value["source"][-1] == "x" if "source" in fields else value["new"] == (("x",),)
    assert len(found.headers) == left


@pytest.mark.parametrize(("fields", "partition"), [
    ("change.id", 1), ("after.nope", None), ("nope", None), ("op,change.name", (99 + 97) % 3), ("source.txId", 7 % 3),
    ("change.id, source.table", (1 + 116) % 3)])
def test_the_partition_is_the_sum_of_the_hashes(fields: str, partition: int | None) -> None:
    assert kept("partition", records.CREATED, partition__payload__fields=fields).kafka_partition == partition


def test_times_of_envelopes_are_converted_as_the_rules_say() -> None:
    micros = Schema("INT64", name="io.debezium.time.MicroTimestamp", optional=True)
    given = records.envelope((3_600_000_000, 3_600_000_000), records.row_schema(a=micros, b=micros))
    assert value_of(kept("timezone", given))["after"] == (-3_600_000_000, -3_600_000_000)  # type: ignore[index]
    only = kept("timezone", given, include__list="topic:made:a")
    assert value_of(only)["after"] == (-3_600_000_000, 3_600_000_000)  # type: ignore[index]
    but = kept("timezone", given, exclude__list="topic:made:a")
    assert value_of(but)["after"] == (3_600_000_000, -3_600_000_000)  # type: ignore[index]
    assert not kept("timezone", given, exclude__list="topic:made").value_replaced
    assert not kept("timezone", given, include__list="topic:other").value_replaced


def test_long_values_are_cut_in_proportion() -> None:
    schema = records.row_schema(a=optional(STRING), b=optional("BYTES"), c=Schema(STRING))
    given = records.envelope(("x" * 3000, b"y" * 1000, "short"), schema)
    size = kept("size", given, max__bytes="100000")
    assert not size.value_replaced
    after = (value_of(kept("size", given, max__bytes="3000", min__field__size="10")) or {})["after"]
    assert len(after[0]) == pytest.approx(3 * len(after[1]), abs=3)
    assert after[2] == "short"
    assert len(after[0]) + len(after[1]) < 3000


def test_half_a_character_is_not_left_at_the_end() -> None:
    given = records.envelope(("😀" * 1000,), records.row_schema(a=Schema(STRING)))
    after = (value_of(kept("size", given, max__bytes="3501", min__field__size="10")) or {})["after"]
    assert set(after[0]) == {"😀"}


def test_a_snapshot_row_becomes_an_insert() -> None:
    view = kept("insert", records.change("r", None, (1, "a", 5)))
    assert (value_of(view) or {})["op"] == "c"
    assert view.value_schema is records.TABLE.envelope_schema


def test_a_json_message_becomes_an_insert_without_key() -> None:
    view = kept("logical", records.logical(b'{"who":"ann","gone":null}'))
    assert (view.key_schema, view.key) == (None, None)
    assert view.value_schema is not None
    assert view.value_schema.name == "io.debezium.connector.postgresql.MessageValue.Envelope"
    assert {key: value for key, value in (value_of(view) or {}).items() if key in ("op", "ts_ms", "after")} == {
        "op": "c", "ts_ms": 7, "after": ("ann",)}
    after = kept("logical", records.logical(b'{"gone":null}'), fields__null__include="true").value_schema
    assert after is not None
    assert names(after.fields[-1].schema) == ["gone"]


@pytest.mark.parametrize("content", [b"plain", b"[1]", b'{"a":[1,"x"]}', b"", None, b"\xff"])
def test_a_message_that_is_no_json_object_is_an_error(content: bytes | None) -> None:
    with pytest.raises(TransformError, match="content"):
        kept("logical", records.logical(content))


@pytest.mark.parametrize(("changes", "dropped"), [([], True), ([("ALTER", "x")], False), ([("CREATE", "x")], True)])
def test_schema_changes_are_dropped_by_their_first_kind(changes: list[Any], dropped: bool) -> None:
    given = Message("srv", None, None, records.SCHEMA_CHANGE_SCHEMA, ("ddl", changes))
    assert (applied(config("ddl"), given) is None) is dropped


def test_a_struct_of_another_transform_is_described_too() -> None:
    column = Schema(STRING, parameters=(("__debezium.source.column.type", "TEXT"),
                                        ("__debezium.source.column.length", "9"),
                                        ("__debezium.source.column.name", "Name")))
    source = Schema(STRUCT, fields=records.row_schema(table=Schema(STRING)).fields)
    schema = Schema(STRUCT, name="x.Envelope", fields=records.row_schema(
        before=records.row_schema(name=column), after=records.row_schema(name=column), source=source,
        op=Schema(STRING)).fields)
    found = value_of(kept("schema", Message("x", None, None, schema, (("old",), None, ("t",), "d")))) or {}
    assert found["sourceSchema"] == ("t", ([("Name", "TEXT", 9, None, None)],))
