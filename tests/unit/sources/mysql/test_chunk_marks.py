"""Which transactions a chunk shows, and the SQL that reads one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdc.core.errors import SourceRefusedError
from cdc.sources.mysql import chunk_marks
from cdc.sources.mysql.binlog.gtid import GtidSet
from cdc.sources.mysql.chunk_marks import Began, By, Marks, Shows, began
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


@dataclass
class Stream:
    """As `transaction.Stream`, after a restart, or within a transaction."""

    at: MySqlPosition
    transaction: Any = None
    event_end: int = 0

    @property
    def file(self) -> str:
        return self.at.file

    @property
    def pos(self) -> int:
        return self.at.pos

    @property
    def gtids(self) -> GtidSet | None:
        return None if self.at.gtids is None else GtidSet.parse(self.at.gtids)

    def position(self) -> MySqlPosition:
        return self.at


def test_what_was_told_counts_a_transaction_that_was_delivered_in_part_before_a_restart() -> None:
    """The stream will tell the rest of it only, so a snapshot without it would undo its first rows."""
    at = MySqlPosition("b.000001", 100, f"{UUID}:1-5")
    within = replace(at, event=1, row=2, transaction=f"{UUID}:6")
    assert began(cast(Any, Stream(at))).shown_by(Shows(gtids=gtids("1-5")))
    assert not began(cast(Any, Stream(within))).shown_by(Shows(gtids=gtids("1-5")))
    assert began(cast(Any, Stream(within))).shown_by(Shows(gtids=gtids("1-6")))
    assert began(cast(Any, Stream(at))).shown_by(Shows(place=(1, 100)))
    assert not began(cast(Any, Stream(within))).shown_by(Shows(place=(1, 100)))
    assert began(cast(Any, Stream(within))).shown_by(Shows(place=(1, 300)))


class Server:
    """It answers each question with the next of *answers*, at last with the last one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        monkeypatch.setattr(chunk_marks, "query", self.query)
        monkeypatch.setattr(chunk_marks, "snapshot_position", lambda conn: self.next())
        for name, value in (("_SHOWN_S", 0.3), ("_AGAIN_S", 0.0), ("_SETTLES_S", 0.0)):
            monkeypatch.setattr(chunk_marks, name, value)

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def query(self, conn: Any, text: str) -> list[tuple[Any, ...]]:
        self.asked.append(text)
        return [(self.next(),)] if text == "SELECT @@GLOBAL.gtid_executed" else []

    def shows(self, told: Began, *, gtids: bool = True, mariadb: bool = False) -> bool:
        facts: Any = SimpleNamespace(has_gtids=gtids, flavor=SimpleNamespace(snapshot_has_position=mariadb))
        return Marks(signal_table=None, deletes=False).wait_until_shown(
            cast(Any, None), facts, told, threading.Event())


def test_a_blocking_snapshot_waits_for_a_commit_that_waits_for_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Began(gtids("1-7"), (1, 0), 0.0)
    assert Server(monkeypatch, f"{UUID}:1-5", f"{UUID}:1-6", f"{UUID}:1-9").shows(told)
    assert not Server(monkeypatch, f"{UUID}:1-5").shows(told)


def test_on_mariadb_it_waits_for_the_place_and_leaves_no_transaction_open(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch, MySqlPosition("b.000002", 40), MySqlPosition("b.000002", 50))
    assert server.shows(Began(None, (2, 50), 0.0), mariadb=True)
    assert server.asked == ["START TRANSACTION WITH CONSISTENT SNAPSHOT", "ROLLBACK"] * 2


def test_a_stream_that_does_not_know_its_gtids_goes_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for ever."""
    assert Server(monkeypatch, f"{UUID}:1-5").shows(began(cast(Any, Stream(MySqlPosition("b.000001", 100)))))


def query(*columns: ColumnDef, condition: str | None = None) -> ChunkQuery:
    return ChunkQuery("`f`", "`d`.`t`", tuple(map(key_column, columns)), condition)


def test_a_chunk_begins_after_a_key() -> None:
    found = query(ColumnDef("a", "INT", nullable=False), ColumnDef("b", "VARCHAR", nullable=False), condition="x -- y")
    assert found.rows(("1", "ü"), ("9", "z"), 3) == (
        "SELECT `f`, `a` AS `key 0`, CONVERT(`b` USING utf8mb4) AS `key 1` FROM `d`.`t`"
        " WHERE NOT ((`a` > 9) OR (`a` = 9 AND `b` > _utf8mb4 X'7a'))"
        " AND ((`a` > 1) OR (`a` = 1 AND `b` > _utf8mb4 X'c3bc')) AND (x -- y\n) ORDER BY `a`, `b` LIMIT 3")


def test_the_server_counts_what_comes_before_a_key_that_several_rows_have() -> None:
    found = query(ColumnDef("a", "INT", nullable=False), ColumnDef("b", "INT"), condition="x")
    assert found.count_before(("1", None), ("2", "3")) == (
        "SELECT COUNT(*) FROM `d`.`t`"
        " WHERE NOT ((`a` > 2) OR (`a` = 2 AND IFNULL(`b` > 3, FALSE)) OR (`a` = 2 AND `b` <=> 3))"
        " AND ((`a` > 1) OR (`a` = 1 AND `b` IS NOT NULL)) AND (x\n)")


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


def test_texts_that_unicode_does_not_bring_back_are_compared_by_their_bytes() -> None:
    column = key_column(ColumnDef("a", "VARCHAR", 9, charset="sjis"))
    assert (column.shown, column.literal("815F")) == ("HEX(`a`)", "_sjis X'815F'")


@pytest.mark.parametrize(("type_name", "value"), [("INT", "1 OR 1"), ("DATE", "1'"), ("VARBINARY", "0")])
def test_what_is_no_value_is_refused(type_name: str, value: str) -> None:
    with pytest.raises(SourceRefusedError):
        key_column(ColumnDef("a", type_name)).literal(value)


def test_a_type_without_an_order_is_refused() -> None:
    with pytest.raises(SourceRefusedError, match="no order"):
        key_column(ColumnDef("a", "JSON"))
