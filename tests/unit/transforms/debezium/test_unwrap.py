"""ExtractNewRecordState: what the value is, what it leaves undecoded, and what happens to deletes and headers."""

from __future__ import annotations

from typing import Any

import pytest

from cdc import plugins
from cdc.core.record import Message, Record
from cdc.core.schema import STRING, optional
from cdc.core.view import RecordView
from cdc.transforms.chain import read_steps
from tests.unit.converters.tables import NOW_US, Counting, column, record, row, table
from tests.unit.converters.tables import STR as TEXT_CODEC
from tests.unit.transforms.debezium import records
from tests.unit.transforms.debezium.test_every_transform import config, value_of
from tests.unit.transforms.worlds import applied, chain, converter

MODE = "delete.tombstone.handling.mode"


def unwrapped(given: Record | Message, **options: str) -> RecordView | None:
    return applied(config("unwrap", **{key.replace("_", "."): text for key, text in options.items()}), given)


def sent(given: list[Any], **options: str) -> list[tuple[Any, list[str]]]:
    """The values, and the names of the headers that the transform added, of what comes out."""
    views = chain(config("unwrap", **{key.replace("_", "."): text for key, text in options.items()})).apply(
        given, NOW_US)
    assert all(isinstance(view, RecordView) for view in views)
    return [(value_of(view), [header.name for header in view.headers if header.name != "ctx"])  # type: ignore
            for view in views]


@pytest.mark.parametrize(("mode", "expected"), [
    ("drop", []),
    ("tombstone", [None]),
    ("rewrite", [{"id": 1, "name": "a", "qty": 5, "__deleted": "true"}]),
    ("rewrite-with-tombstone", [{"id": 1, "name": "a", "qty": 5, "__deleted": "true"}, None]),
    ("delete-to-tombstone", [None]),
])
def test_a_delete_and_its_tombstone_become_what_the_mode_says(mode: str, expected: list[Any]) -> None:
    found = sent([records.DELETED, records.TOMBSTONE], **{MODE: mode})
    assert [value for value, _ in found] == expected


def test_a_null_keeps_its_schema_in_the_mode_tombstone_alone() -> None:
    kept, bare = (unwrapped(records.DELETED, **{MODE: mode}) for mode in ("tombstone", "delete-to-tombstone"))
    assert kept is not None
    assert bare is not None
    assert kept.value_schema == records.TABLE.value_schema
    assert bare.value_schema is None


def test_fields_are_added_where_the_event_has_them() -> None:
    view = unwrapped(records.UPDATED, add_fields="op,table,before.name:old,source.txId,id,ts_ms:at,nope",
                     add_fields_prefix="_")
    found = value_of(view) or {}
    assert {name: found[name] for name in found if name.startswith("_")} == {
        "_op": "u", "_table": "t", "_old": "a", "_source_txId": 7, "_id": None, "_at": NOW_US // 1000}


def test_a_prefix_may_be_empty() -> None:
    found = value_of(unwrapped(records.CREATED, add_fields="op", **{"add.fields.prefix": ""}))
    assert list(found or {}) == ["id", "name", "qty", "op"]


def test_the_value_is_required_and_added_fields_are_optional_without_default() -> None:
    view = unwrapped(records.CREATED, add_fields="source.snapshot")
    assert view is not None
    assert view.value_schema is not None
    assert (view.value_schema.optional, view.value_schema.name) == (False, "srv.public.t.Value")
    added = view.value_schema.fields[-1].schema
    assert (added.optional, added.default) == (True, None)


def test_records_of_one_table_get_one_schema_object() -> None:
    step = chain(config("unwrap", **{"add.fields": "op"}))
    first, second = step.apply([records.CREATED, records.UPDATED], NOW_US)
    assert first.value_schema is second.value_schema  # type: ignore[union-attr]


@pytest.mark.parametrize(("mode", "replace", "name"), [
    ("rewrite", "true", "anon"), ("rewrite", "false", None), ("tombstone", "true", None)])
def test_a_rewritten_null_is_the_default(mode: str, replace: str, name: str | None) -> None:
    view = unwrapped(records.change("c", None, (1, None, 5)), **{MODE: mode, "replace.null.with.default": replace})
    assert (value_of(view) or {})["name"] == name


def test_headers_come_on_changes_deletes_and_tombstones() -> None:
    found = sent([records.CREATED, records.DELETED, records.TOMBSTONE], add_headers="op,table:src",
                 **{MODE: "rewrite-with-tombstone"})
    assert [names for _, names in found] == [["__op", "__src"], ["__op", "__src"], ["__op"]]


def test_a_tombstone_has_the_headers_of_its_own_delete_as_in_debezium() -> None:
    image = row(b"1", b"a", b"5")
    delete = record("d", records.TABLE, image, None, key_row=image)
    tombstone = record("", records.TABLE, image, None, key_row=image)
    found = sent([delete, tombstone], add_headers="op", **{MODE: "rewrite-with-tombstone"})
    assert [names for _, names in found] == [["__op"], ["__op", "__op"]]


@pytest.mark.parametrize(("given", "topic"), [
    (records.CREATED, "a"), (records.change("c", None, (1, None, 5)), "srv.public.t"),
    (records.change("c", None, (1, " ", 5)), "srv.public.t")])
def test_a_column_gives_the_topic_unless_it_is_blank(given: Record, topic: str) -> None:
    view = unwrapped(given, route_by_field="name")
    assert view is not None
    assert view.topic == topic


def test_a_delete_is_routed_by_its_old_row() -> None:
    view = unwrapped(records.DELETED, route_by_field="name")
    assert view is not None
    assert (view.topic, view.value) == ("a", None)


@pytest.mark.parametrize(("compatible", "from_key", "value", "key"), [
    ("true", "false", {"id": 1, "name": "b"}, (1,)),
    ("false", "false", {"name": "b"}, (1,)),
    ("false", "true", {"name": "b"}, ()),
])
def test_the_fields_that_a_header_lists_are_dropped(compatible: str, from_key: str, value: dict[str, Any],
                                                    key: tuple[Any, ...]) -> None:
    steps = config("changed", **{"header.changed.name": "c", "header.unchanged.name": "same"})
    unwrap = config("unwrap", **{"drop.fields.header.name": "same", "drop.fields.from.key": from_key,
                                 "drop.fields.keep.schema.compatible": compatible})
    both = steps | {key.replace(".x.", ".y."): text for key, text in unwrap.items()} | {"transforms": "x,y"}
    view = applied(both, records.UPDATED)
    assert view is not None
    assert value_of(view) == value
    assert view.key == key


def test_an_envelope_without_before_is_unwrapped() -> None:
    schema = records.row_schema(a=optional(STRING))
    assert value_of(unwrapped(records.envelope(("x",), schema), add_fields="op", **{MODE: "rewrite"})) == {
        "a": "x", "__deleted": "false", "__op": "c"}


def test_options_that_debezium_ignores_are_ignored_with_a_warning_that_names_the_present_one() -> None:
    given = config("unwrap", **{"drop.tombstones": "false", "delete.handling.mode": "rewrite",
                                "add.source.fields": "db", "operation.header": "true"})
    _, parsed = read_steps(given, lambda kind, name, option: plugins.find(kind, name, option=option))
    assert not parsed.problems
    warned = {note.option.rpartition(".x.")[2]: note.text for note in parsed.notes if note.warning}
    assert {key: text.split("Set ")[1].split()[0].strip(",.") for key, text in warned.items()} == {
        "drop.tombstones": "delete.tombstone.handling.mode", "delete.handling.mode": "delete.tombstone.handling.mode",
        "add.source.fields": "add.fields", "operation.header": "add.headers=op"}
    assert sent([records.DELETED, records.TOMBSTONE], drop_tombstones="false") == [(None, [])]


def test_an_unwrapped_row_is_not_decoded() -> None:
    codecs = [Counting(TEXT_CODEC) for _ in range(3)]
    of = table([column(index, f"c{index}", codec) for index, codec in enumerate(codecs)])
    image = row("a", "b", "c")
    steps = chain(config("unwrap", **{"add.fields": "op,source.txId,before.c1"}))
    views = steps.apply([record("u", of, image, image)], NOW_US)
    assert [codec.values for codec in codecs] == [0, 1, 0]
    converter().convert(views, NOW_US)
    assert [codec.values for codec in codecs] == [0, 1, 0]
    assert [codec.encodings for codec in codecs] == [1, 1, 1]


@pytest.mark.parametrize(("before", "names"), [
    ({"type": "InsertHeader", "header": "h", "value.literal": "x"}, ["ctx", "h", "__op"]),
    ({"type": "DropHeaders", "headers": "none"}, ["ctx", "__op"]),
    ({"type": "RegexRouter", "regex": "no", "replacement": "x"}, ["ctx", "__op", "__op"]),
])
def test_a_tombstone_with_headers_of_its_own_has_none_of_its_delete(before: dict[str, str], names: list[str]) -> None:
    image = row(b"1", b"a", b"5")
    given = [record(op, records.TABLE, image, None, key_row=image) for op in ("d", "")]
    made = chain({"transforms": "a,u", **{f"transforms.a.{key}": text for key, text in before.items()},
                  "transforms.u.type": "io.debezium.transforms.ExtractNewRecordState",
                  "transforms.u.add.headers": "op", f"transforms.u.{MODE}": "rewrite-with-tombstone"})
    _, tombstone = made.apply(given, NOW_US)
    assert isinstance(tombstone, RecordView)
    assert [header.name for header in tombstone.headers] == names
