"""cdc/show/plain.py."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.codec import Codec
from cdc.core.record import Record, SourceContext
from cdc.core.row import NULL, TEXT, UNCHANGED, Row, row_of
from cdc.core.schema import ARRAY, BYTES, DECIMAL, INT32, INT64, MAP, STRING, Schema, semantic, struct
from cdc.core.table import Column, TableId, TableSchema
from cdc.show.plain import event_of, plain, readable_scalar, unscaled


@pytest.mark.parametrize(("value", "scale", "digits"), [
    (b"\x30\x39", 2, "123.45"), (b"\xff", 0, "-1"), (b"\x01", 3, "0.001"), (b"\x05", -2, "500"), (b"", 0, "0"),
    ((10**60).to_bytes(26, "big"), 30, "1" + "0" * 30 + "." + "0" * 30),
])
def test_decimals_show_every_digit(value: bytes, scale: int, digits: str) -> None:
    assert unscaled(value, scale) == digits


@pytest.mark.parametrize(("name", "value", "text"), [
    ("io.debezium.time.Date", 0, "1970-01-01"), ("io.debezium.time.Date", -719162, "0001-01-01"),
    ("org.apache.kafka.connect.data.Timestamp", 1500, "1970-01-01 00:00:01.500000"),
    ("io.debezium.time.MicroTimestamp", -1, "1969-12-31 23:59:59.999999"),
    ("io.debezium.time.NanoTimestamp", 1_000_000_000, "1970-01-01 00:00:01"),
    ("io.debezium.time.MicroTime", 86_400_000_000, "24:00:00"), ("io.debezium.time.Time", 1, "00:00:00.001000"),
    ("io.debezium.time.MicroDuration", 90_000_000, "0:01:30"),
])
def test_temporal_values_become_iso_text(name: str, value: int, text: str) -> None:
    assert readable_scalar(name, value) == text


@pytest.mark.parametrize(("name", "value"), [
    ("io.debezium.time.MicroTimestamp", 2**63 - 1), ("io.debezium.time.Date", -(2**31)), (None, 5),
    ("io.debezium.time.ZonedTimestamp", "2024-01-01T00:00:00Z"), ("io.debezium.time.MicroTime", -1),
])
def test_what_fits_no_calendar_stays_as_it_is(name: str | None, value: Any) -> None:
    assert readable_scalar(name, value) == value


def test_containers_are_walked() -> None:
    date = semantic(INT32, "io.debezium.time.Date")
    variable = struct("io.debezium.data.VariableScaleDecimal", (("scale", Schema(INT32)), ("value", Schema(BYTES))))
    schema = struct("s", (
        ("list", Schema(ARRAY, items=date)), ("map", Schema(MAP, keys=Schema(STRING), items=Schema(BYTES))),
        ("decimal", semantic(BYTES, DECIMAL, scale="1")),
        ("variable", variable), ("none", Schema(STRING, optional=True)),
    ))
    value = ([1, None], {"k": b"\x00\xff"}, b"\x0f", (2, b"\x7b"), None)
    assert plain(schema, value) == {
        "list": [1, None], "map": {"k": "AP8="}, "decimal": "1.5", "variable": "1.23", "none": None}
    assert plain(schema, value, readable=True)["list"] == ["1970-01-02", None]


class Text(Codec):
    def __init__(self) -> None:
        self.schema = Schema(STRING)

    def value(self, data: bytes, start: int, end: int) -> Any:
        return data[start:end].decode()


def column(index: int, name: str, unchanged: str | None = None) -> Column:
    schema = Schema(STRING, optional=True)
    return Column(index, name, name, "text", schema, Text(), None, schema, Text(), None, unchanged)


def table() -> TableSchema:
    columns = (column(0, "id"), column(1, "a", unchanged="__unavailable"), column(2, "b"))
    row = struct("v", ((c.name, c.schema) for c in columns))
    return TableSchema(TableId("db", "public", "t"), "p.public.t", columns, columns[:1], row, row, row)


def record(op: str, before: Row | None, after: Row | None, key: Row | None) -> Record:
    source = SourceContext(struct("s", (("ts_ms", Schema(INT64)), ("table", Schema(STRING)))), (0, "t"), (0,))
    return Record(op, table(), before, after, key, source, (1000,), ("tx", 1, 1))


def test_an_update_shows_both_images_as_far_as_the_log_has_them() -> None:
    before = Row(b"7", 3)
    before.put(0, TEXT, 0, 1)
    after = Row(b"7", 3)
    after.put(0, TEXT, 0, 1)
    after.put(1, UNCHANGED, 0, 0)
    after.put(2, NULL, 0, 0)
    event = event_of(record("u", before, after, after), now_ms=1234)
    assert event["topic"] == "p.public.t"
    assert event["key"] == {"id": "7"}
    assert event["value"] == {
        "before": {"id": "7"}, "after": {"id": "7", "a": "__unavailable", "b": None},
        "source": {"ts_ms": 1000, "table": "t"}, "op": "u", "ts_ms": 1234,
        "transaction": {"id": "tx", "total_order": 1, "data_collection_order": 1}}


def test_a_tombstone_has_a_key_only() -> None:
    row = row_of([b"7", None, None])
    assert event_of(record("", row, None, row)) == {"topic": "p.public.t", "key": {"id": "7"}, "value": None}


def test_a_truncate_has_neither_key_nor_rows() -> None:
    event = event_of(record("t", None, None, None))
    assert event["key"] is None
    assert (event["value"]["before"], event["value"]["after"]) == (None, None)
