"""Which transactions a chunk shows, and the SQL that reads one."""

from __future__ import annotations

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.sources.mysql.binlog.gtid import GtidSet
from cdc.sources.mysql.chunk_marks import Began, By, Shows
from cdc.sources.mysql.chunk_query import ChunkQuery, key_column
from cdc.sources.mysql.ddl.structure import ColumnDef
from cdc.sources.mysql.position import MySqlPosition

UUID = "892c6c9b-ebc0-11f1-96d9-02fc00000001"


def gtids(text: str) -> GtidSet:
    return GtidSet.parse(f"{UUID}:{text}")


def test_with_gtids_a_chunk_shows_what_the_server_had_executed() -> None:
    shows = Shows(gtids=gtids("1-5"), high_gtids=gtids("1-7"))
    assert shows.sees(By(f"{UUID}:5", (1, 100), 0.0))
    assert not shows.sees(By(f"{UUID}:6", (1, 100), 0.0))
    assert Began(gtids("1-5"), (1, 0), 0.0).shown_by(shows)
    assert not Began(gtids("1-6"), (1, 0), 0.0).shown_by(shows)
    assert not shows.reached(MySqlPosition("b.000001", 1, f"{UUID}:1-6"))
    assert shows.reached(MySqlPosition("b.000001", 1, f"{UUID}:1-8"))


def test_a_snapshot_of_mariadb_shows_what_is_before_its_place() -> None:
    shows = Shows(place=(2, 50), high_place=(2, 50))
    assert shows.sees(By("0-1-9", (1, 900), 0.0))
    assert shows.sees(By("0-1-9", (2, 49), 0.0))
    assert not shows.sees(By("0-1-9", (2, 50), 0.0))
    assert Began(None, (2, 50), 0.0).shown_by(shows)
    assert not Began(None, (2, 51), 0.0).shown_by(shows)
    assert not shows.reached(MySqlPosition("b.000002", 49))
    assert shows.reached(MySqlPosition("b.000003", 4))


def test_without_gtids_a_chunk_shows_what_was_read_some_time_before() -> None:
    shows = Shows(settled_at=10.0, high_place=(1, 7))
    assert shows.sees(By(None, (1, 1), 9.9))
    assert not shows.sees(By(None, (1, 1), 10.1))
    assert Began(None, (9, 9), 9.0).shown_by(shows)
    assert not Began(None, (1, 1), 10.5).shown_by(shows)


def query(*columns: ColumnDef, condition: str | None = None) -> ChunkQuery:
    return ChunkQuery("`f`", "`d`.`t`", tuple(map(key_column, columns)), condition)


def test_a_chunk_begins_after_a_key() -> None:
    found = query(ColumnDef("a", "INT", nullable=False), ColumnDef("b", "VARCHAR", nullable=False), condition="x -- y")
    assert found.rows(("1", "ü"), ("9", "z"), 3) == (
        "SELECT `f`, `a` AS `key 0`, CONVERT(`b` USING utf8mb4) AS `key 1` FROM `d`.`t`"
        " WHERE NOT ((`a` > 9) OR (`a` = 9 AND `b` > _utf8mb4 X'7a'))"
        " AND ((`a` > 1) OR (`a` = 1 AND `b` > _utf8mb4 X'c3bc')) AND (x -- y\n) ORDER BY `a`, `b` LIMIT 3")


def test_nulls_come_first() -> None:
    found = query(ColumnDef("a", "INT"))
    assert "AND ((`a` IS NOT NULL))" in found.rows((None,), ("9",), 3)
    assert "NOT ((IFNULL(`a` > 9, FALSE)))" in found.rows((None,), ("9",), 3)


@pytest.mark.parametrize(("type_name", "compared", "value", "literal"), [
    ("ENUM", "(`a` + 0)", "2", "2"), ("FLOAT", "`a`", "0.10000000149011612", "0.10000000149011612"),
    ("BINARY", "`a`", "00FF", "X'00FF'"), ("DATETIME", "`a`", "2020-01-01 00:00:00", "'2020-01-01 00:00:00'"),
    ("BIGINT UNSIGNED", "`a`", "18446744073709551615", "18446744073709551615"),
])
def test_values_are_compared_as_the_column_sorts(type_name: str, compared: str, value: str, literal: str) -> None:
    column = key_column(ColumnDef("a", type_name))
    assert (column.compared, column.literal(value)) == (compared, literal)


@pytest.mark.parametrize(("type_name", "value"), [("INT", "1 OR 1"), ("DATE", "1'"), ("VARBINARY", "0")])
def test_what_is_no_value_is_refused(type_name: str, value: str) -> None:
    with pytest.raises(SourceRefusedError):
        key_column(ColumnDef("a", type_name)).literal(value)


def test_a_type_without_an_order_is_refused() -> None:
    with pytest.raises(SourceRefusedError, match="no order"):
        key_column(ColumnDef("a", "JSON"))
