"""What a statement on one of very many tables costs, and that no structure gets lost on the way through the offset."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.errors import PositionLostError
from cdc.core.packing import pack, unpack
from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.mysql import kept_structures
from cdc.sources.mysql.builtin import is_builtin
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.structure import Structures, dump, load
from cdc.sources.mysql.kept_structures import Packed, stored_structures
from cdc.sources.mysql.options import parse_mysql
from cdc.sources.mysql.position import MySqlPosition


def packed(**options: str) -> Packed:
    config, _ = parse_mysql({
        "name": "test", "connector.class": "mysql", "topic.prefix": "srv", "database.hostname": "h",
        "database.user": "u", "database.server.id": "1",
        **{key.replace("_", "."): text for key, text in options.items()}})
    return Packed(Filters.from_config(config, is_builtin))


def many(count: int) -> Structures:
    found = Structures(database_charsets={"d": "utf8mb4"})
    for number in range(count):
        ddl.apply(f"CREATE TABLE t{number} (id int PRIMARY KEY, name_{number} varchar(20))", "d", found)
    return found


def stored(offset: dict[str, Any]) -> Structures | None:
    return stored_structures(MySqlPosition.from_offset(offset))


def offset_of(packing: Packed, structures: Structures, version: int) -> dict[str, Any]:
    return MySqlPosition("binlog.000001", 4, structures=packing.at(structures, version)).offset()


def test_few_tables_are_one_value() -> None:
    known = many(20)
    offset = offset_of(packed(), known, 0)
    assert offset["structures"] == pack(dump(known))
    assert not any(key.startswith("structures.") for key in offset)
    assert stored(offset) == known


def test_many_tables_come_back_from_their_groups() -> None:
    known = many(2000)
    known.as_of = ("binlog.000007", 99)
    offset = offset_of(packed(), known, 0)
    assert max(len(text) for key, text in offset.items() if key.startswith("structures")) < 4000
    assert stored(offset) == known


def test_many_tables_in_one_value_are_still_read() -> None:
    known = many(600)
    assert stored({"file": "binlog.000001", "pos": 4, "structures": pack(dump(known))}) == known


def test_a_statement_on_one_table_changes_one_value() -> None:
    packing, known = packed(), many(1000)
    before = offset_of(packing, known, 0)
    ddl.apply("ALTER TABLE t7 ADD COLUMN extra int", "d", known)
    after = offset_of(packing, known, 1)
    assert before.keys() == after.keys()
    changed = [key for key in before if before[key] is not after[key] and key.startswith("structures.")]
    assert len(changed) == 1
    assert stored(after) == known
    assert stored(before) != known


def test_of_the_positions_between_two_commits_only_the_last_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    packing, known = packed(), many(1000)
    offset_of(packing, known, 0)
    calls: list[str] = []

    def counted(text: str) -> str:
        calls.append(text)
        return pack(text)

    monkeypatch.setattr(kept_structures, "pack", counted)
    for number in range(1, 1001):
        ddl.apply(f"ALTER TABLE t{number % 3} ADD COLUMN extra_{number} int", "d", known)
        last = MySqlPosition("binlog.000001", number, structures=packing.at(known, number))
    assert not calls
    assert stored(last.offset()) == known
    assert len(calls) <= 4


def test_a_position_keeps_the_structures_of_its_time() -> None:
    packing, known = packed(), many(700)
    then = known.copy()
    position = MySqlPosition("binlog.000001", 4, structures=packing.at(known, 0))
    ddl.apply("DROP TABLE t1", "d", known)
    ddl.apply("ALTER TABLE t2 ADD COLUMN extra int", "d", known)
    ddl.apply("DROP DATABASE d", "", known)
    assert len(known) == 0
    assert len(then) == 700
    assert stored(position.offset()) == then


def test_a_copy_and_its_original_do_not_see_each_others_changes() -> None:
    known = many(50)
    copy = known.copy()
    ddl.apply("DROP TABLE t1", "d", known)
    ddl.apply("RENAME TABLE t2 TO t99", "d", copy)
    assert known.get(TableId("d", "", "t1")) is None
    assert copy.get(TableId("d", "", "t1")) is not None
    assert known.get(TableId("d", "", "t2")) is not None
    assert copy.get(TableId("d", "", "t2")) is None
    assert len(known) == 49
    assert len(copy) == 50


def test_tables_of_other_databases_are_left_out() -> None:
    known = many(600)
    ddl.apply("CREATE TABLE x (id int)", "elsewhere", known)
    found = stored(offset_of(packed(database_include_list="d"), known, 0))
    assert found is not None
    assert len(found) == 600


@pytest.mark.parametrize("damage", ["missing", "text", "another", "head"])
def test_a_damaged_group_is_an_error(damage: str) -> None:
    offset = offset_of(packed(), many(600), 0)
    if damage == "missing":
        del offset["structures.17"]
    elif damage == "text":
        offset["structures.17"] = "x"
    elif damage == "another":
        offset["structures.17"] = pack('{"tables":[]}')
    else:
        offset = {key: text for key, text in offset.items() if not key.startswith("structures.")}
    with pytest.raises(PositionLostError, match="structures stored with the offset"):
        stored(offset)


def test_a_version_that_does_not_know_groups_refuses_them() -> None:
    offset = offset_of(packed(), many(600), 0)
    with pytest.raises(ValueError, match="format 2"):
        load(unpack(offset["structures"]))
