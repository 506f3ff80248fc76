"""Views out of transforms become outgoings: a part that was not replaced is never decoded, and only schemas that are
written are registered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.views import Views
from cdc.core.record import Record
from cdc.core.schema import INT32, STRING, Schema, struct
from cdc.core.table import TableSchema
from cdc.core.view import RecordView, Struct
from tests.unit.converters.tables import LEFT_OUT, NOW_US, TOPIC, avro, read, record, row
from tests.unit.converters.test_codec_calls import CountedTables
from tests.unit.converters.test_records import Registered
from tests.unit.transforms.worlds import HEADERS, TABLE, change, converter, message

OTHER = struct("x.Other", (("a", Schema(INT32)),))


def view(given: Any) -> RecordView:
    return Views(ColumnFailures("fail"), HEADERS).view(given, NOW_US)


def test_an_untouched_view_gives_the_bytes_of_the_record() -> None:
    for given in (change(), change("d"), change(""), change(name=None), message("a", Schema(STRING), key=1,
                  key_schema=Schema(INT32), context_headers=True), message()):
        both = converter()
        assert both.convert([view(given)], NOW_US) == both.convert([given], NOW_US)


@pytest.mark.parametrize("json", [False, True])
def test_topic_partition_and_timestamp_are_the_views(json: bool) -> None:
    made = converter(JsonConverter(), JsonConverter()) if json else converter()
    seen = view(change())
    seen.topic, seen.kafka_partition, seen.timestamp_ms = "other", 3, 5
    out, = made.convert([seen], NOW_US)
    plain, = made.convert([change()], NOW_US)
    assert (out.topic, out.kafka_partition, out.timestamp_ms) == ("other", 3, 5)
    assert (out.value and out.value[5:]) == (plain.value and plain.value[5:])
    assert (plain.kafka_partition, plain.timestamp_ms) == (-1, -1)


def counted() -> tuple[CountedTables, TableSchema]:
    tables = CountedTables()
    return tables, tables.counted(TABLE)


def test_topic_and_headers_decode_nothing() -> None:
    tables, table = counted()
    given = record("c", table, None, row("1", "a"))
    seen = view(given)
    seen.topic = "other"
    seen.add_header("n", Schema(INT32), 7)
    out, = converter().convert([seen], NOW_US)
    assert tables.calls() == (0, 3)  # written as Avro: two columns, and the one of the key
    assert list(out.headers) == [("ctx", b"mysql"), ("n", b"7")]


def test_a_new_key_leaves_the_value_to_the_plan() -> None:
    tables, table = counted()
    seen = view(record("c", table, None, row("1", "a")))
    assert seen.column("after", "id") == 1
    assert tables.calls() == (1, 0)
    seen.set_key(OTHER, (5,))
    out, = converter().convert([seen], NOW_US)
    assert tables.calls() == (1, 2)
    assert out.key is not None
    assert read(OTHER, out.key[5:]) == {"a": 5}


def test_a_new_value_leaves_the_key_to_the_plan_and_registers_no_envelope() -> None:
    key, value = Registered(), avro()
    tables, table = counted()
    seen = view(record("c", table, None, row("1", "a")))
    seen.set_value(OTHER, (5,))
    out, = converter(key, value).convert([seen], NOW_US)
    assert tables.calls() == (0, 1)
    assert key.asked == [(TOPIC, f"{TOPIC}.Key")]
    assert out.value is not None
    assert read(OTHER, out.value[5:]) == {"a": 5}


def test_a_tombstone_registers_no_schema_of_a_value() -> None:
    value = Registered()
    out, = converter(avro(True), value).convert([view(change(""))], NOW_US)
    assert (out.value, value.asked) == (None, [])


def test_a_row_image_is_read_when_somebody_asks() -> None:
    tables, table = counted()
    seen = view(record("c", table, None, row("1", "a")))
    schema = replace(table.value_schema, fields=(*table.value_schema.fields, *OTHER.fields))
    seen.set_row_image(schema, "after", (9,))
    assert tables.calls() == (0, 0)
    assert not seen.is_tombstone
    assert dict(Struct(schema, seen.value)) == {"id": 1, "name": "a", "a": 9}


def test_a_view_reads_what_the_log_left_out_from_the_old_row() -> None:
    given = record("u", TABLE, row("1", "old"), row("1", LEFT_OUT))
    assert view(given).column("after", "name") == "old"
    assert view(given).value[1] == (1, "old")
    assert (view(given).column("before", "name"), view(given).key) == ("old", (1,))
    with pytest.raises(KeyError):
        view(given).column("after", "nope")


def test_headers_are_the_keys_then_the_constant_ones() -> None:
    given: Record = change("d", headers=(("__debezium.newkey", row("2", None)),))
    seen = view(given)
    assert [(header.name, header.value) for header in seen.headers] == [("__debezium.newkey", (2,)), ("ctx", "mysql")]
    out, = converter().convert([seen], NOW_US)
    assert list(out.headers) == [("__debezium.newkey", b'{"id":2}'), ("ctx", b"mysql")]
    seen.drop_headers(["ctx"])
    assert [header.name for header in seen.headers] == ["__debezium.newkey"]


def test_a_row_image_whose_schema_is_optional_has_its_branch() -> None:
    """As ExtractField gives it, whose schema is the envelope's field."""
    seen = view(change())
    assert seen.value_schema is not None
    schema = seen.value_schema.fields[1].schema
    assert schema.optional
    seen.set_row_image(schema, "after")
    out, = converter().convert([seen], NOW_US)
    assert out.value is not None
    assert read(schema, out.value[5:]) == {"id": 1, "name": "a"}


class Headed(JsonConverter):
    """A converter that looks at headers."""

    def from_connect_with(self, topic: str, headers: Any, schema: Schema | None, value: Any) -> bytes | None:
        return ",".join(f"{header.name}={header.value}" for header in headers).encode()


def test_a_converter_that_reads_headers_gets_them() -> None:
    seen = view(change())
    seen.add_header("n", Schema(INT32), 7)
    out, = converter(JsonConverter(), Headed()).convert([seen], NOW_US)
    assert out.value == b"ctx=mysql,n=7"
