"""The outbox EventRouter: what the rows of an outbox table become."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.core.errors import ConfigError
from cdc.core.interfaces import Failed
from cdc.core.record import Message
from cdc.core.schema import BYTES, INT32, INT64, STRING, Schema, optional
from cdc.core.view import RecordView
from tests.unit.converters.tables import NOW_US, avro
from tests.unit.transforms.debezium import records
from tests.unit.transforms.debezium.test_every_transform import value_of
from tests.unit.transforms.worlds import applied, chain, converter

TEXT = Schema(STRING)
TIMES = {"ms": "io.debezium.time.Timestamp", "us": "io.debezium.time.MicroTimestamp",
         "ns": "io.debezium.time.NanoTimestamp"}
ROW: dict[str, tuple[Schema, Any]] = {
    "id": (TEXT, "e1"), "aggregatetype": (optional(STRING), "Order"), "aggregateid": (TEXT, "o-1"),
    "payload": (optional(STRING), '{"n":1}'), "tenant": (optional(STRING), None), "part": (optional(INT32), 2),
    "ver": (optional(INT32), 3), "plain": (optional(INT64), 7),
    **{name: (Schema(INT64, optional=True, name=kind), -1_500_000_000_001) for name, kind in TIMES.items()},
}


def event(op: Any = "c", **values: Any) -> Message:
    row = {name: (schema, values.get(name, value)) for name, (schema, value) in ROW.items()}
    for name, value in values.items():
        if name not in ROW:
            row[name] = value
    schema = records.row_schema(**{name: each for name, (each, _) in row.items()})
    return records.envelope(tuple(value for _, value in row.values()), schema, op, "srv.outbox.Envelope")


def config(**options: str) -> dict[str, str]:
    return {"transforms": "o", "transforms.o.type": "io.debezium.transforms.outbox.EventRouter",
            **{f"transforms.o.{key.replace('__', '.')}": text for key, text in options.items()}}


def routed(given: Message, **options: str) -> RecordView:
    view = applied(config(**options), given)
    assert view is not None
    return view


def headers(view: RecordView) -> dict[str, Any]:
    return {header.name: header.value for header in view.headers}


def test_an_insert_becomes_its_event() -> None:
    view = routed(event())
    assert (view.topic, view.key_schema, view.key, view.value_schema, view.value) == (
        "outbox.event.Order", TEXT, "o-1", optional(STRING), '{"n":1}')
    assert headers(view) == {"id": "e1"}
    assert (view.kafka_partition, view.timestamp_ms) == (None, 9)


@pytest.mark.parametrize(("behavior", "op", "dropped"), [
    ("warn", "u", True), ("error", "u", True), ("warn", "d", True), ("fatal", "d", True), ("warn", "r", False)])
def test_updates_and_deletes_are_dropped(behavior: str, op: str, dropped: bool) -> None:
    assert (applied(config(table__op__invalid__behavior=behavior), event(op)) is None) is dropped


@pytest.mark.parametrize(("column", "value", "expected"), [
    ("ms", -1_500_000_000_001, -1_500_000_000_001), ("us", -1_500_000_000_001, -1_500_000_000),
    ("ns", -1_500_000_000_001, -1_500_000), ("us", None, 9)])
def test_a_column_is_the_timestamp(column: str, value: int | None, expected: int) -> None:
    assert routed(event(**{column: value}), table__field__event__timestamp=column).timestamp_ms == expected


def test_columns_go_to_headers_the_envelope_and_the_partition() -> None:
    placement = "tenant:header:x-tenant,ver:envelope:version,part:PARTITION,plain:envelope"
    view = routed(event(), table__fields__additional__placement=placement)
    assert value_of(view) == {"payload": '{"n":1}', "version": 3, "plain": 7}
    assert headers(view) == {"id": "e1", "x-tenant": None}
    assert view.kafka_partition == 2
    assert view.value_schema is not None
    assert view.value_schema.name == "x.Order.Value"


def test_the_schema_of_the_envelope_may_have_a_version_from_a_column() -> None:
    view = routed(event(), table__fields__additional__placement="plain:envelope",
                  table__field__event__schema__version="ver")
    assert view.value_schema is not None
    assert view.value_schema.version == 3


def test_a_missing_column_may_be_ignored() -> None:
    view = routed(event(), table__fields__additional__placement="nope:header,none:envelope,tenant:header",
                  table__field__additional__missing="ignore")
    assert headers(view) == {"id": "e1", "tenant": None}
    assert value_of(view) == {"payload": '{"n":1}'}


@pytest.mark.parametrize(("payload", "empty"), [(None, True), ("", True), (" \n", True), ("{}", False)])
def test_an_empty_payload_may_be_a_tombstone(payload: str | None, empty: bool) -> None:
    view = routed(event(payload=payload), route__tombstone__on__empty__payload="true")
    assert (view.value_schema, view.value) == ((None, None) if empty else (optional(STRING), payload))
    assert routed(event(payload=payload)).value_schema == optional(STRING)


def test_a_json_payload_is_expanded_and_its_schema_is_one_object() -> None:
    step = chain(config(table__expand__json__payload="true"))
    first, second = step.apply([event(), event(payload='{"n":2}')], 0)
    assert isinstance(first, RecordView)
    assert isinstance(second, RecordView)
    assert (value_of(first), value_of(second)) == ({"n": 1}, {"n": 2})
    assert first.value_schema is second.value_schema


@pytest.mark.parametrize("payload", ['"x"', "plain", '[{"a":1},2]', "{", ""])
def test_a_payload_that_is_no_json_stays(payload: str) -> None:
    view = routed(event(payload=payload), table__expand__json__payload="true")
    assert (view.value_schema, view.value) == (optional(STRING), payload)


def test_bytes_stay_bytes() -> None:
    view = routed(event(raw=(optional(BYTES), b"\1")), table__field__event__payload="raw",
                  table__expand__json__payload="true")
    assert (view.value_schema, view.value) == (optional(BYTES), b"\1")


def test_the_topic_is_made_by_regex_and_replacement() -> None:
    view = routed(event(aggregatetype="eu-shop"), route__topic__regex="(?<a>..)-(.*)",
                  route__topic__replacement="$2.${a}")
    assert view.topic == "shop.eu"
    assert routed(event(), route__topic__regex="nope", route__topic__replacement="x").topic == "Order"


@pytest.mark.parametrize(("options", "text"), [
    ({"table__fields__additional__placement": "a"}, "neither column:where"),
    ({"table__fields__additional__placement": "a:b:c:d"}, "neither column:where"),
    ({"table__fields__additional__placement": "a:heder"}, "is no place"),
    ({"route__topic__regex": "("}, "is not valid"),
    ({"route__topic__replacement": "$9"}, "names no group"),
    ({"table__op__invalid__behavior": "stop"}, "allowed"),
])
def test_wrong_options_are_refused(options: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        chain(config(**options))


@pytest.mark.parametrize(("values", "options", "text"), [
    ({"part": -5}, {"table__fields__additional__placement": "part:partition"}, "Invalid partition"),
    ({"part": -1}, {"table__fields__additional__placement": "part:partition"}, "Invalid partition"),
    ({}, {"table__field__event__timestamp": "ms"}, "Invalid record timestamp"),
])
def test_a_partition_or_timestamp_that_kafka_does_not_have_is_not_replaced(
        values: dict[str, Any], options: dict[str, str], text: str) -> None:
    view = routed(event(**values), **options)
    failed: list[Failed] = []
    assert converter().convert([view], NOW_US, failed) == []
    assert text in failed[0].error.message


@pytest.mark.parametrize(("depth", "kept"), [(100, False), (101, True), (700, True)])
def test_json_that_is_nested_too_deeply_stays_a_text(depth: int, kept: bool) -> None:
    payload = '{"a":' * depth + "1" + "}" * depth
    view = routed(event(payload=payload), table__expand__json__payload="true")
    assert (view.value == payload) is kept
    for value in (avro(), JsonConverter()):
        assert converter(value=value).convert([view], NOW_US)[0].value
