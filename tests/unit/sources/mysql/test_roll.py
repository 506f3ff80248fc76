"""Captured tables that are in no snapshot, and whose creation is not in the log."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.core.table import TableId
from cdc.debezium.filters import Filters
from cdc.sources.mysql import catalog, roll
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.mysql.roll import Roll
from cdc.sources.shared.warnings import Warnings

A, B = TableId("d", "", "a"), TableId("d", "", "b")


class Server:
    """What it lists at each question, and where its log ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *lists: tuple[TableId, ...]) -> None:
        self.lists = list(lists)
        monkeypatch.setattr(catalog, "database_names", lambda conn: ["d"])
        monkeypatch.setattr(catalog, "tables_in", lambda conn, databases, wanted: self.lists.pop(0))
        monkeypatch.setattr(roll, "log_status", lambda conn: ("binlog.000002", 100))


def structures(*ids: TableId) -> Structures:
    made = Structures()
    for id in ids:
        made.put(TableStructure(id, ()))
    return made


def warned(made: Roll, steps: list[Structures]) -> list[str]:
    conn: Any = None
    for each in steps:
        made.look(conn)
        made.compare("binlog.000002", 99, structures())  # not yet there
        made.compare("binlog.000002", 100, each)
    return [each.about for each in made._warnings.active()]


@pytest.mark.parametrize(("lists", "steps", "wanted"), [
    ([(A, B), (A, B)], [(A, B)], []),
    ([(A, B)] * 4, [(A,), (A,)], ["d.b"]),
    ([(A, B)] * 4, [(A,), (A, B)], []),  # it was shown before its CREATE was logged
    ([(A, B), (A,)], [(A,)], []),  # dropped meanwhile
    ([(A,), (A, B)], [(A,)], []),  # made meanwhile
    ([(A, B)] * 2 + [(A,)] * 2, [(A,), (A,)], []),
    ([(A, B)] * 4, [(), ()], ["d.a", "d.b"]),
])
def test_a_table_is_missing_if_two_lists_say_so(monkeypatch: pytest.MonkeyPatch, lists: list[tuple[TableId, ...]],
                                                steps: list[tuple[TableId, ...]], wanted: list[str]) -> None:
    server = Server(monkeypatch, *lists)
    made = Roll(Filters(), Warnings())
    assert warned(made, [structures(*each) for each in steps]) == wanted
    assert server.lists == []
    made.look(None)  # type: ignore[arg-type]  # the list is not asked for again
    assert made.listed is None
