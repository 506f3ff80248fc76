"""What is remembered of types, how an offset holds it, and what the log tells of types that nobody remembers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack
from cdc.sources.postgres.lost_types import lost_types
from cdc.sources.postgres.merge import MergedColumn, MergedRelation
from cdc.sources.postgres.protocol import Type
from cdc.sources.postgres.remembered import Remembered, family
from cdc.sources.postgres.types import TypeInfo

ENUM = TypeInfo(20001, "mood", "public", "e", labels=("a", "b,é"))
ENUMS = TypeInfo(20000, "_mood", "public", "b", element_oid=20001)
TEXT = TypeInfo(25, "text", "pg_catalog", "b")
DOMAIN = TypeInfo(20002, "em", "public", "d", base_oid=25, base_typmod=-1)
ALL = {info.oid: info for info in (ENUM, ENUMS, TEXT, DOMAIN)}


def test_a_type_is_remembered_with_what_it_consists_of_and_survives_a_restart() -> None:
    remembered = Remembered()
    remembered.learn_types([20000, 20002, 4294967295], ALL)
    again = Remembered(remembered.text())
    assert again.types == remembered.types == ALL
    assert again.completed({}) == ALL
    assert again.text() == remembered.text()


def test_the_text_is_the_same_object_until_something_is_learned() -> None:
    remembered = Remembered()
    remembered.learn_types([25], ALL)
    before = remembered.text()
    remembered.learn_types([25], ALL)
    assert remembered.text() is before
    again = Remembered(before)
    assert again.text() is before
    again.learn_types([20001], ALL)
    assert again.text() != before


def test_the_catalog_is_newer_than_what_is_remembered() -> None:
    remembered = Remembered()
    remembered.learn_types(ALL, ALL)
    now = TypeInfo(20001, "mood", "public", "e", labels=("a", "b,é", "c"))
    remembered.learn_types([20001], {20001: now})
    assert remembered.completed({20001: now}) == {**ALL, 20001: now}
    assert Remembered(remembered.text()).types[20001] == now


def test_labels_that_only_rows_have_stay_behind_those_of_the_catalog() -> None:
    remembered = Remembered()
    remembered.learn_types([20001], ALL)
    remembered.learn_labels(20001, ["old"])
    remembered.learn_types([20001], {20001: TypeInfo(20001, "mood", "public", "e", labels=("z", "a"))})
    remembered.learn_labels(20001, ["older", "old"])
    assert remembered.completed({})[20001].labels == ("z", "a", "old", "older")
    assert remembered.completed(ALL)[20001].labels == ("z", "a", "old", "older")


def table(*names: str, key: tuple[str, ...] = ("id",), identity: str = "d", type_oid: int = 25) -> MergedRelation:
    columns = tuple(MergedColumn(name, type_oid, -1, name not in key, None, True) for name in names)
    return MergedRelation(columns, key, True, identity)


def test_tables_are_remembered_with_their_last_versions() -> None:
    remembered = Remembered()
    versions = [table("id", f"c{number}") for number in range(5)]
    for version in versions:
        remembered.learn_table(7, version)
    remembered.learn_table(8, replace(table("k", key=("k",)), columns=(
        MergedColumn("k", 20001, 5, False, "'a'::mood", True),)))
    assert Remembered(remembered.text()).tables == remembered.tables
    assert remembered.tables[7] == tuple(versions[2:])


@pytest.mark.parametrize(("other", "news"), [
    (table("id", "a"), False), (table("id"), False), (table("id", "a", key=("a",)), True),
    (table("id", "a", identity="f"), True), (table("id", "b"), True), (table("id", "a", type_oid=23), True)])
def test_only_what_is_new_of_a_table_changes_the_text(other: MergedRelation, news: bool) -> None:
    remembered = Remembered()
    remembered.learn_table(7, table("id", "a", "generated"))
    before = remembered.text()
    remembered.learn_table(7, other)
    assert (remembered.text() is not before) is news


def test_the_last_dropped_tables_and_types_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.sources.postgres.remembered._MOST_DROPPED", 2)
    remembered = Remembered()
    types = {oid: TypeInfo(oid, f"t{oid}", "public", "e") for oid in range(20000, 20010)}
    remembered.learn_types(types, types)
    for oid in range(5):
        remembered.learn_table(oid, table("id", type_oid=20000 + oid))
    before = remembered.text()
    remembered.forget({1}, {20009})
    assert list(remembered.tables) == [1, 3, 4]
    assert sorted(remembered.types) == [20001, 20003, 20004, 20007, 20008, 20009]
    assert remembered.text() != before
    after = remembered.text()
    remembered.forget({1}, {20009})
    assert remembered.text() is after


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"types":[[1]]}', '{"types":[[1,2,"n","b",0,-1,0,[]]]}',
                                  '{"types":[["1","t","n","b",0,-1,0,[]]]}', '{"types":[[1,"t","n","b",0,-1,0,[7]]]}',
                                  '{"types":[],"tables":[[1]]}', '{"types":[],"tables":[["1",[]]]}',
                                  '{"types":[],"tables":[[1,[[[["a",1,-1,true,7]],[],true,"d"]]]]}'])
def test_a_damaged_text_is_refused(text: str) -> None:
    for packed in (pack(text), text):
        with pytest.raises(PositionLostError, match="stored with the offset"):
            Remembered(packed)


def test_a_text_of_a_later_version_with_more_in_it_is_read() -> None:
    remembered = Remembered()
    remembered.learn_types([25], ALL)
    stored = json.loads(unpack(remembered.text()))
    assert Remembered(pack(json.dumps({**stored, "more": 1}))).types == {25: TEXT}


def test_a_family_ends_where_types_are_not_known() -> None:
    assert [info.oid for info in family([20000], {20000: ENUMS})] == [20000]
    assert {info.oid for info in family([20000, 20001], ALL)} == {20000, 20001}


NOW = [TEXT, ENUM, TypeInfo(1231, "_numeric", "pg_catalog", "b", element_oid=1700), DOMAIN,
       TypeInfo(1560, "bit", "pg_catalog", "b"), TypeInfo(30001, "pair", "public", "c"),
       TypeInfo(30002, "vector", "public", "e", labels=("x",))]


@pytest.mark.parametrize(("said", "expected"), [
    (("pg_catalog", "text"), {7: TypeInfo(7, "text", "pg_catalog", "d", base_oid=25)}),
    (("pg_catalog", "_numeric"), {7: TypeInfo(7, "_numeric", "pg_catalog", "d", base_oid=1231)}),
    (("pg_catalog", "bit"), {7: TypeInfo(7, "varbit", "pg_catalog", "b")}),
    (("pg_catalog", "gone"), {}),
    (("public", "mood"), {7: TypeInfo(7, "mood", "public", "e", labels=("a", "b,é"))}),
    (("other", "mood"), {}),
    (("public", "em"), {}),
    (("public", "pair"), {7: TypeInfo(7, "pair", "public", "c")}),
    (("ext", "citext"), {7: TypeInfo(7, "citext", "ext", "b")}),
    (("ext", "_hstore"), {7: TypeInfo(7, "_hstore", "ext", "b", element_oid=-7),
                          -7: TypeInfo(-7, "hstore", "ext", "b")}),
    (("public", "vector"), {7: TypeInfo(7, "vector", "public", "e", labels=("x",))}),
])
def test_what_the_logs_name_of_a_type_tells(said: tuple[str, str], expected: dict[int, Any]) -> None:
    named = {(info.namespace, info.name): info for info in NOW}
    assert lost_types({7: Type(7, *said)}, named) == expected
