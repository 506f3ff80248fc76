"""Bytes stay bytes: where nobody looks at a value, nothing is decoded; where one column is looked at, only that one.

Every column has codecs that count. Rows go the way they go in a task: log, emitter, transform, tap, converter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter, StringConverter
from cdc.core.codec import Codec
from cdc.core.record import Message, Record
from cdc.core.row import BINARY, Row
from cdc.core.row import UNCHANGED as LEFT_OUT_KIND
from cdc.core.table import Column, TableSchema
from cdc.debezium.emit import EmittedTable, Emitter, Origin, shown
from cdc.runtime.tap import EventTap
from cdc.show.plain import event_of
from cdc.sources.mysql.tables import TableBuilder
from cdc.sources.postgres.protocol import Relation
from cdc.sources.postgres.relations import RelationState
from tests.unit.converters.tables import (
    INT,
    LEFT_OUT,
    MISSING,
    NOW_US,
    STR,
    Counting,
    Upper,
    avro,
    binary_row,
    column,
    context,
    row,
    table,
)
from tests.unit.sources.mysql.binlog_files import MARIADB, MYSQL
from tests.unit.sources.mysql.test_changes import logged, reader_of
from tests.unit.sources.postgres.pgoutput_frames import UNCHANGED, delete, insert, update
from tests.unit.sources.postgres.test_changes import OID, Catalog, feed, make, transaction

Calls = dict[str, tuple[int, int]]
"""By codec: how often a value was asked for, and how often Avro bytes."""


class Counted:
    """A table of three columns, the first its key, the last mapped; and how its codecs were called."""

    def __init__(self) -> None:
        self.codecs = {name: Counting(codec) for name, codec in (
            ("id", INT), ("id key", INT), ("name", STR), ("name binary", STR), ("note", Upper(STR.schema)),
            ("note key", STR))}
        of = self.codecs
        self.columns = (
            column(0, "id", of["id"], key_codec=of["id key"]),
            column(1, "name", of["name"], optional=True, binary=of["name binary"], unchanged="?"),
            column(2, "note", of["note"], optional=True, key_codec=of["note key"]),
        )
        self.table = table(self.columns, self.columns[:1])
        self.emitted = EmittedTable(self.table, "public.t")
        self.origin = Origin(context(), (42,), True)

    def calls(self) -> Calls:
        """Those of codecs that were called since the last time."""
        found = {name: (each.values, each.encodings) for name, each in self.codecs.items()
                 if each.values or each.encodings}
        for each in self.codecs.values():
            each.values = each.encodings = 0
        return found


def emitter(*, skip_unchanged: bool = False) -> Emitter:
    return Emitter(skipped=frozenset(), tombstones=True, skip_unchanged=skip_unchanged)


def converter(key: Any, value: Any) -> RecordConverter:
    return RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures("fail"))


def all_avro() -> RecordConverter:
    return converter(avro(True), avro())


def test_inserts_through_avro_encode_each_captured_column_once() -> None:
    made, records = Counted(), emitter()
    records.create(made.emitted, made.origin, row("1", "a", "b"))
    found = records.take()
    assert made.calls() == {}
    all_avro().convert(found, NOW_US)
    assert made.calls() == {"id": (0, 1), "id key": (0, 1), "name": (0, 1), "note": (0, 1)}


def test_updates_through_avro_encode_both_images_once() -> None:
    made, records = Counted(), emitter()
    records.update(made.emitted, made.origin, row("1", "a", "b"), row("1", "c", "d"))
    all_avro().convert(records.take(), NOW_US)
    assert made.calls() == {"id": (0, 2), "id key": (0, 1), "name": (0, 2), "note": (0, 2)}


def test_a_delete_and_its_tombstone_encode_the_key_twice_and_nulls_never() -> None:
    made, records = Counted(), emitter()
    records.delete(made.emitted, made.origin, row("1", None, MISSING))
    found = records.take()
    assert len(found) == 2
    all_avro().convert(found, NOW_US)
    assert made.calls() == {"id": (0, 1), "id key": (0, 2)}


def test_a_column_left_out_is_encoded_from_the_old_image_and_its_placeholder_never() -> None:
    made, records = Counted(), emitter()
    records.update(made.emitted, made.origin, row("1", "kept", "b"), row("1", LEFT_OUT, "d"))
    records.update(made.emitted, made.origin, None, row("1", LEFT_OUT, "d"))
    all_avro().convert(records.take(), NOW_US)
    assert made.calls() == {"id": (0, 3), "id key": (0, 2), "name": (0, 2), "note": (0, 3)}


def test_binary_columns_are_encoded_by_their_binary_codec_only() -> None:
    made, records = Counted(), emitter()
    name = made.columns[1]
    of = EmittedTable(table([name], []), "public.t")
    records.create(of, made.origin, binary_row("?", "a"))
    all_avro().convert(records.take(), NOW_US)
    assert made.calls() == {"name binary": (0, 1)}


def test_a_truncate_calls_nothing() -> None:
    made, records = Counted(), emitter()
    records.truncate(made.emitted, made.origin)
    all_avro().convert(records.take(), NOW_US)
    assert made.calls() == {}


def test_a_changed_key_is_read_for_its_headers_only() -> None:
    """Header converters get Connect values, so the key columns of both rows are decoded; the rows are not."""
    made, records = Counted(), emitter()
    records.update(made.emitted, made.origin, row("1", "a", "b"), row("2", "a", "b"))
    found = records.take()
    assert made.calls() == {}
    assert len(found) == 3
    all_avro().convert(found, NOW_US)
    # The new key on the delete and on its tombstone, the old key on the create: three headers.
    assert made.calls() == {"id": (0, 2), "id key": (3, 3), "name": (0, 2), "note": (0, 2)}


def test_comparing_images_decodes_no_column_but_a_mapped_one_that_differs() -> None:
    made, records = Counted(), emitter(skip_unchanged=True)
    records.update(made.emitted, made.origin, row("1", "a", "b"), row("1", "a", "b"))
    assert made.calls() == {}
    records.update(made.emitted, made.origin, row("1", "a", "b"), row("1", "a", "B"))
    assert records.take() == []
    assert records.filtered == 2
    assert made.calls() == {"note": (2, 0)}


def test_a_transform_that_looks_at_one_column_decodes_that_one() -> None:
    made, records = Counted(), emitter()
    for number in range(10):
        records.create(made.emitted, made.origin, row(str(number), f"n{number % 2}", "b"))

    def wanted(record: Record | Message) -> bool:
        assert isinstance(record, Record)
        assert record.after is not None
        return bool(shown(made.columns[1], record.after) == "n1")

    kept = [record for record in records.take() if wanted(record)]
    assert made.calls() == {"name": (10, 0)}
    all_avro().convert(kept, NOW_US)
    assert made.calls() == {"id": (0, 5), "id key": (0, 5), "name": (0, 5), "note": (0, 5)}


def test_being_watched_decodes_nothing_until_somebody_reads_what_was_seen() -> None:
    made, records, tap = Counted(), emitter(), EventTap()
    records.create(made.emitted, made.origin, row("1", "a", "b"))
    with tap.listen() as listener:
        tap.offer(records.take())
        taken, = listener.take().items
        assert made.calls() == {}
    assert isinstance(taken, Record)
    assert event_of(taken)["value"]["after"] == {"id": 1, "name": "a", "note": "B"}
    assert made.calls() == {"id": (1, 0), "id key": (1, 0), "name": (1, 0), "note": (1, 0)}


@pytest.mark.parametrize(("key", "value"), [
    (lambda: avro(True), JsonConverter), (JsonConverter, avro), (JsonConverter, JsonConverter),
    (StringConverter, StringConverter)])
def test_other_converters_get_each_value_once(key: Callable[[], Any], value: Callable[[], Any]) -> None:
    made, records = Counted(), emitter()
    records.create(made.emitted, made.origin, row("1", "a", "b"))
    converter(key(), value()).convert(records.take(), NOW_US)
    assert {name: sum(calls) for name, calls in made.calls().items()} == {"id": 1, "id key": 1, "name": 1, "note": 1}


# -- from the bytes of a log -------------------------------------------------------------------------------------------


class CountedTables:
    """Puts codecs that count into tables, and knows how often each should be called for records."""

    def __init__(self) -> None:
        self.codecs: list[Counting] = []

    def counted(self, of: TableSchema) -> TableSchema:
        return replace(of, columns=tuple(map(self._column, of.columns)), key=tuple(map(self._column, of.key)))

    def _column(self, of: Column) -> Column:
        codec, binary = self._codec(of.codec), of.binary_codec and self._codec(of.binary_codec)
        key, key_binary = self._codec(of.key_codec), of.key_binary_codec and self._codec(of.key_binary_codec)
        return replace(of, codec=codec, binary_codec=binary, key_codec=key, key_binary_codec=key_binary)

    def _codec(self, codec: Codec) -> Counting:
        self.codecs.append(Counting(codec))
        return self.codecs[-1]

    def calls(self) -> tuple[int, int]:
        return sum(each.values for each in self.codecs), sum(each.encodings for each in self.codecs)


def cells(columns: tuple[Column, ...], of: Row | None, old: Row | None = None) -> int:
    """How many of *columns* have bytes in the row, or are left out of it and have bytes in the *old* one."""
    if of is None:
        return 0
    places = ((old if old and of.kind(column.index) == LEFT_OUT_KIND else of, column.index) for column in columns)
    return sum(image.kind(index) <= BINARY for image, index in places)


def test_a_pgoutput_stream_is_read_without_a_codec_and_written_with_one_call_a_column() -> None:
    tables = CountedTables()

    class Counts(Catalog):
        def resolve(self, found: Relation, *_: int) -> RelationState:
            state = super().resolve(found)
            return state if state.table is None else RelationState(found, tables.counted(state.table))

    records = feed(make(catalog=Counts()), *transaction(
        insert(OID, "1", "a"), update(OID, "1", "b"), update(OID, "1", UNCHANGED), delete(OID, "1", None)))
    assert [record.op for record in records] == ["c", "u", "u", "d", ""]
    assert tables.calls() == (0, 0)
    all_avro().convert(records, NOW_US)
    # Both columns of the insert and the first update, then only the key's in rows, and the key of every record.
    assert tables.calls() == (0, 2 + 2 + 1 + 1 + 5)


@pytest.mark.parametrize("log", [MYSQL, MARIADB])
def test_a_binary_log_is_read_without_a_codec_and_written_with_one_call_a_column(
        log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = CountedTables()
    build = TableBuilder._make
    monkeypatch.setattr(TableBuilder, "_make", lambda self, *given: tables.counted(build(self, *given)))
    decoder = reader_of(log)
    for frame in logged(log):
        decoder.feed(frame)
        while decoder.payload_open:
            decoder.step()
    records = [record for record in decoder.emitter.take() if isinstance(record, Record)]
    assert {record.op for record in records} == {"c", "u", "d"}
    assert tables.calls() == (0, 0)
    all_avro().convert([*records], NOW_US)
    wanted = sum(cells(record.table.columns, record.before) + cells(record.table.columns, record.after, record.before)
                 + cells(record.table.key, record.key_row, record.before) for record in records)
    assert wanted > 100
    keys_in_headers = sum(len(record.key_headers) for record in records)
    assert tables.calls() == (keys_in_headers, wanted)
