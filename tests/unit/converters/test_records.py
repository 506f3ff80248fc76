"""Records to outgoings: keys, values, headers, tombstones, messages; and what errors.tolerance=all leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cdc.converters import records as records_module
from cdc.converters.apicurio.converter import ExtJsonConverter
from cdc.converters.json import JsonConverter
from cdc.converters.json_schema.converter import JsonSchemaConverter
from cdc.converters.plan import ColumnFailures, ValuePlan
from cdc.converters.protobuf.converter import ProtobufConverter
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.core.errors import ConvertError, RegistryConnectionError, RegistryRefusedError
from cdc.core.interfaces import Failed, Outgoing
from cdc.core.record import CREATE, DELETE, READ, TOMBSTONE, TRUNCATE, UPDATE, Message, Record
from cdc.core.schema import INT32, INT64, STRING, Schema, optional, struct
from cdc.core.table import TableSchema
from tests.unit.converters.tables import (
    INT,
    LEFT_OUT,
    NOW_US,
    STR,
    TOPIC,
    avro,
    column,
    read,
    record,
    row,
    table,
)

ID = column(0, "id", INT)
NAME = column(1, "name", STR, optional=True)
TOASTED = column(1, "name", STR, optional=True, unchanged="?")
HEADERS = (("__debezium.context.connectorName", "mysql"), ("__debezium.context.taskId", "0"))


class Registered:
    """An Avro converter that counts what it is asked, and may refuse."""

    null_is_default = True

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[str, str | None]] = []
        self.checked = self.closed = 0

    def wire_prefix(self, topic: str, schema: Schema) -> bytes:
        self.asked.append((topic, schema.name))
        if self.error is not None:
            raise self.error
        return b"\0\0\0\0\1"

    def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
        return None if value is None else repr(value).encode()

    def check(self) -> None:
        self.checked += 1

    def close(self) -> None:
        self.closed += 1


def json_converter(**settings: str) -> JsonConverter:
    made = JsonConverter()
    made.configure({"schemas.enable": "false"} | settings, False)
    return made


def made(key: Any = None, value: Any = None, *, mode: str = "fail", headers: Any = (), header: Any = None,
         **more: Any) -> RecordConverter:
    return RecordConverter(key or avro(True), value or avro(), header or SimpleHeaderConverter(),
                           ColumnFailures(mode), headers, **more)


def one(converter: RecordConverter, change: Record | Message) -> Outgoing:
    found, = converter.convert([change], NOW_US)
    return found


def key_of(found: Outgoing, of: TableSchema) -> Any:
    assert found.key is not None
    assert of.key_schema is not None
    return read(of.key_schema, found.key[5:])


def after_of(found: Outgoing, of: TableSchema) -> Any:
    assert found.value is not None
    return read(of.envelope_schema, found.value[5:])["after"]


# -- row changes -------------------------------------------------------------------------------------------------------


def test_an_outgoing_names_topic_table_and_no_partition() -> None:
    of = table([ID, NAME], [ID])
    found = one(made(), record(CREATE, of, None, row("1", "a")))
    assert type(found) is Outgoing
    assert (found.topic, found.table, found.kafka_partition, list(found.headers)) == (TOPIC, "public.t", -1, [])
    assert key_of(found, of) == {"id": 1}
    assert after_of(found, of) == {"id": 1, "name": "a"}


def test_records_and_messages_keep_their_order() -> None:
    first, second = table([ID], [ID]), table([ID, NAME], [ID], topic="srv.public.u")
    message = Message("heartbeat", None, None, Schema(STRING), "x")
    batch: list[Record | Message] = [
        record(CREATE, first, None, row("1")), message, record(READ, second, None, row("2", None)),
        record(DELETE, first, row("3"), None)]
    assert [found.topic for found in made().convert(batch, NOW_US)] == [
        TOPIC, "heartbeat", "srv.public.u", TOPIC]
    assert made().convert([], NOW_US) == []


@pytest.mark.parametrize(("key", "value"), [
    (avro, avro), (avro, json_converter), (json_converter, avro), (json_converter, json_converter)])
def test_each_side_has_its_own_converter(key: Callable[[], Any], value: Callable[[], Any]) -> None:
    of = table([ID, NAME], [ID])
    converter = made(key(), value())
    for _ in range(2):
        found = one(converter, record(UPDATE, of, row("1", "a"), row("2", LEFT_OUT)))
        assert found.key is not None
        assert found.value is not None
        assert (key_of(found, of) if key is avro else json.loads(found.key)) == {"id": 2}
        shown = (read(of.envelope_schema, found.value[5:]) if value is avro else json.loads(found.value))
        assert (shown["before"], shown["after"], shown["op"]) == ({"id": 1, "name": "a"}, {"id": 2, "name": "a"}, "u")


@pytest.mark.parametrize("sides", [avro, json_converter])
def test_a_tombstone_is_the_key_of_its_row_and_no_value(sides: Callable[[], Any]) -> None:
    of = table([ID, NAME], [ID])
    old = row("1", "a")
    converter = made(sides(), sides())
    deleted, tombstone = converter.convert([record(DELETE, of, old, None), record(TOMBSTONE, of, old, None)], NOW_US)
    assert (tombstone.key, tombstone.value) == (deleted.key, None)
    assert deleted.value is not None


@pytest.mark.parametrize("sides", [avro, json_converter])
def test_a_truncate_has_no_key_and_a_table_without_one_neither(sides: Callable[[], Any]) -> None:
    keyed, keyless = table([ID], [ID]), table([ID])
    truncated, created = made(sides(), sides()).convert(
        [record(TRUNCATE, keyed), record(CREATE, keyless, None, row("1"))], NOW_US)
    assert (truncated.key, created.key) == (None, None)
    assert truncated.value is not None
    assert created.value is not None


@pytest.mark.parametrize("sides", [avro, json_converter])
def test_a_new_keys_unchanged_column_is_the_old_rows(sides: Callable[[], Any]) -> None:
    of = table([ID, TOASTED], [TOASTED])
    converter = made(sides(), sides())
    old, new = row("1", "kept"), row("2", LEFT_OUT)
    changed = record(UPDATE, of, old, new)
    recreated = record(CREATE, of, None, new)
    recreated.other = old
    shown = [key_of(found, of) if sides is avro else json.loads(found.key or b"")
             for found in converter.convert([changed, recreated], NOW_US)]
    assert shown == [{"name": "kept"}, {"name": "kept"}]
    with pytest.raises(ConvertError, match="key column 'name'"):
        converter.convert([record(CREATE, of, None, new)], NOW_US)


def test_an_old_keys_unchanged_column_has_no_other_row() -> None:
    of = table([ID, TOASTED], [TOASTED])
    old, new = row("1", LEFT_OUT), row("2", "new")
    with pytest.raises(ConvertError, match="key column 'name'"):
        one(made(), record(UPDATE, of, old, new, key_row=old))


PRINTED: list[tuple[Any, dict[str, str]]] = [
    (JsonConverter, {}), (JsonSchemaConverter, {"schema.registry.url": "mock://printed"}),
    (ProtobufConverter, {"schema.registry.url": "mock://printed", "optional.for.nullables": "true"}),
    (ExtJsonConverter, {"apicurio.registry.url": "mock://printed", "apicurio.registry.auto-register": "true"}),
]


@pytest.mark.parametrize(("kind", "settings"), PRINTED, ids=[kind.__name__ for kind, _ in PRINTED])
def test_a_plan_writes_what_the_converter_makes_of_the_values(kind: Any, settings: dict[str, str]) -> None:
    key, value = kind(), kind()
    key.configure(settings, True)
    value.configure(settings, False)
    of = table([ID, NAME], [ID])
    values = ValuePlan(of, ColumnFailures("fail"))
    for change in (record(CREATE, of, None, row("1", "a")), record(UPDATE, of, row("1", None), row("2", "é")),
                   record(DELETE, of, row("3", ""), None)):
        found = one(made(key, value), change)
        assert found.value == value.from_connect(TOPIC, of.envelope_schema, values.value(change, NOW_US))
        assert found.key == key.from_connect(TOPIC, of.key_schema, values.key(change.key_row, None))


def test_json_with_schemas_has_the_tables_schemas() -> None:
    of = table([ID], [ID])
    found = one(made(JsonConverter(), JsonConverter()), record(CREATE, of, None, row("1")))
    assert json.loads(found.key or b"")["schema"]["name"] == f"{TOPIC}.Key"
    assert json.loads(found.value or b"")["schema"]["name"] == f"{TOPIC}.Envelope"


@pytest.mark.parametrize(("ignores", "shown"), [("false", "new"), ("true", None)])
def test_each_side_says_for_itself_what_a_null_is(ignores: str, shown: Any) -> None:
    default = column(0, "c", STR, optional=True, default="new")
    of = table([default], [default])
    other, null = {"false": ("true", None), "true": ("false", "new")}[ignores]
    change = record(CREATE, of, None, row(None))
    sides = avro(True, ignore_default_for_nullables=other), avro(ignore_default_for_nullables=ignores)
    found = one(made(*sides), change)
    assert (after_of(found, of), key_of(found, of)) == ({"c": shown}, {"c": null})
    as_json = json_converter(**{"replace.null.with.default": str(ignores == "false").lower()})
    kept = json_converter(**{"replace.null.with.default": str(other == "false").lower()})
    found = one(made(kept, as_json), change)
    assert json.loads(found.value or b"")["after"] == {"c": shown}
    assert json.loads(found.key or b"") == {"c": null}


# -- headers -----------------------------------------------------------------------------------------------------------


def test_context_headers_are_made_once_for_each_topic() -> None:
    of = table([ID], [ID])
    asked: list[str] = []

    class Header(SimpleHeaderConverter):
        def from_connect(self, topic: str, schema: Schema | None, value: Any) -> bytes | None:
            asked.append(topic)
            return super().from_connect(topic, schema, value)

    converter = made(headers=HEADERS, header=Header())
    found = converter.convert([record(CREATE, of, None, row("1"))] * 3, NOW_US)
    assert [list(each.headers) for each in found] == [[(name, text.encode()) for name, text in HEADERS]] * 3
    assert asked == [TOPIC, TOPIC]


def test_headers_of_changed_keys_are_key_structs_and_come_first() -> None:
    of = table([ID, NAME], [ID])
    old, new = row("1", "a"), row("2", "a")
    changes: list[Record | Message] = [
        record(DELETE, of, old, None, headers=(("__debezium.newkey", new),)),
        record(CREATE, of, None, new, headers=(("__debezium.oldkey", old),))]
    for sides in (avro, json_converter):
        deleted, created = made(sides(), sides(), headers=HEADERS[:1]).convert(changes, NOW_US)
        assert list(deleted.headers) == [("__debezium.newkey", b'{"id":2}'), (HEADERS[0][0], b"mysql")]
        assert list(created.headers) == [("__debezium.oldkey", b'{"id":1}'), (HEADERS[0][0], b"mysql")]


def test_a_new_key_in_a_header_takes_unchanged_columns_from_the_old_row() -> None:
    of = table([ID, TOASTED], [ID, TOASTED])
    old, new = row("1", "kept"), row("2", LEFT_OUT)
    changed = one(made(), record(DELETE, of, old, None, headers=(("new", new), ("old", old))))
    assert list(changed.headers) == [("new", b'{"id":2,"name":"kept"}'), ("old", b'{"id":1,"name":"kept"}')]
    with pytest.raises(ConvertError, match="key column 'name'"):
        one(made(), record(DELETE, of, new, None, headers=(("old", new),)))


def test_headers_of_one_record_are_not_in_the_next() -> None:
    of = table([ID], [ID])
    converter = made(headers=HEADERS)
    found = converter.convert([record(CREATE, of, None, row("1"), headers=(("a", row("1")),)),
                               record(CREATE, of, None, row("1"))], NOW_US)
    assert [len(each.headers) for each in found] == [3, 2]


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_has_its_own_schemas_and_partition() -> None:
    key = struct("x.K", [("a", Schema(INT32))])
    found = one(made(headers=HEADERS), Message("topic", key, (1,), Schema(INT64), 2, kafka_partition=0))
    assert (found.topic, found.table, found.kafka_partition, list(found.headers)) == ("topic", "topic", 0, [])
    assert found.key is not None
    assert found.value is not None
    assert read(key, found.key[5:]) == {"a": 1}
    assert read(Schema(INT64), found.value[5:]) == 2


def test_a_message_without_key_or_value_is_nulls() -> None:
    found = one(made(), Message("topic", None, None, optional(STRING), None))
    assert (found.key, found.value, found.kafka_partition) == (None, None, -1)


def test_a_message_has_context_headers_if_it_asks_for_them() -> None:
    found = one(made(headers=HEADERS), Message("topic", None, None, None, None, context_headers=True))
    assert list(found.headers) == [(name, text.encode()) for name, text in HEADERS]


# -- plans are kept ----------------------------------------------------------------------------------------------------


def test_the_registry_is_asked_once_for_each_table() -> None:
    key, value = Registered(), Registered()
    converter = made(key, value)
    first, second = table([ID], [ID]), table([ID])
    for _ in range(3):
        converter.convert([record(CREATE, first, None, row("1")), record(CREATE, second, None, row("1"))], NOW_US)
    assert key.asked == [(TOPIC, f"{TOPIC}.Key")]
    assert value.asked == [(TOPIC, f"{TOPIC}.Envelope")] * 2


def test_a_new_structure_of_a_table_is_another_table() -> None:
    value = Registered()
    converter = made(Registered(), value)
    for of in (table([ID], [ID]), table([ID, NAME], [ID])):
        one(converter, record(CREATE, of, None, row("1", "a")))
    assert len(value.asked) == 2


def test_plans_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_module, "MAX_PLANS", 3)
    converter = made()
    for _ in range(10):
        one(converter, record(CREATE, table([ID], [ID]), None, row("1")))
        assert len(converter.plans) <= 3


def test_what_the_registry_could_not_answer_is_asked_again() -> None:
    value = Registered(RegistryConnectionError("away"))
    converter = made(Registered(), value, tolerant=True)
    batch: list[Record | Message] = [record(CREATE, table([ID], [ID]), None, row("1"))]
    with pytest.raises(RegistryConnectionError):
        converter.convert(batch, NOW_US)
    value.error = None
    assert len(converter.convert(batch, NOW_US)) == 1


# -- tolerance ---------------------------------------------------------------------------------------------------------


def bad_and_good() -> list[Record | Message]:
    of = table([ID], [ID])
    return [record(CREATE, of, None, row("1")), record(CREATE, of, None, row("secret")),
            Message("topic", None, None, Schema(STRING), None), record(CREATE, of, None, row("3"))]


def test_a_record_that_cannot_be_converted_ends_the_batch() -> None:
    with pytest.raises(ConvertError, match="column 'id' cannot be converted") as caught:
        made().convert(bad_and_good(), NOW_US)
    assert "secret" not in str(caught.value)


def test_with_tolerance_it_is_left_out_and_told_with_its_stage() -> None:
    failed: list[Failed] = []
    found = made(tolerant=True).convert(bad_and_good(), NOW_US, failed)
    assert [read(Schema(INT32), (each.key or b"")[5:]) for each in found] == [1, 3]
    assert [(type(each.error).__name__, each.stage) for each in failed] == [
        ("ConvertError", "KEY_CONVERTER"), ("ConvertError", "VALUE_CONVERTER")]


def test_without_tolerance_nothing_behind_it_is_converted() -> None:
    failed: list[Failed] = []
    assert len(made().convert(bad_and_good(), NOW_US, failed)) == 1
    assert len(failed) == 1


@pytest.mark.parametrize("error", [RegistryRefusedError("incompatible"), RegistryConnectionError("away"),
                                   RuntimeError("a bug")], ids=lambda error: type(error).__name__)
def test_what_is_no_records_fault_is_never_tolerated(error: Exception) -> None:
    converter = made(Registered(), Registered(error), tolerant=True)
    with pytest.raises(type(error)):
        converter.convert(bad_and_good(), NOW_US)


def test_a_columns_failure_is_the_columns_first() -> None:
    """`event.converting.failure.handling.mode` decides before `errors.tolerance` does."""
    of = table([ID, column(1, "n", INT, optional=True)], [ID])
    found = one(made(mode="warn", tolerant=True), record(CREATE, of, None, row("1", "many")))
    assert after_of(found, of) == {"id": 1, "n": None}


# -- their end ---------------------------------------------------------------------------------------------------------


def test_check_and_close_reach_the_converters_that_have_them() -> None:
    key, value = Registered(), Registered()
    converter = made(key, value)
    converter.check()
    converter.close()
    assert (key.checked, value.checked, key.closed, value.closed) == (1, 1, 1, 1)
    plain = made(json_converter(), json_converter())
    plain.check()
    plain.close()


def test_one_check_is_enough_for_converters_that_are_configured_the_same() -> None:
    key, value = Registered(), Registered()
    made(key, value, alike=True).check()
    assert (key.checked, value.checked) == (1, 0)


def test_a_registry_that_refuses_is_found_by_check() -> None:
    class Refusing(Registered):
        def check(self) -> None:
            raise RegistryRefusedError("no such user")

    with pytest.raises(RegistryRefusedError):
        made(Registered(), Refusing()).check()
