"""Notifications of a snapshot in Debezium's order, and its status."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest

from cdc.core.control import TableCopy
from cdc.core.record import Message
from cdc.sources.snapshot.told import Told
from tests.unit.sources.snapshot.test_initial import drain, message, read, said, snapshot


def told(*names: str, sink: bool = True, **more: Any) -> tuple[Told, list[tuple[str, Mapping[str, str]]]]:
    """What tells, and what it has told; *sink*: messages go out, too."""
    heard: list[tuple[str, Mapping[str, str]]] = []

    def tell(type: str, data: Mapping[str, str]) -> Message | None:
        heard.append((type, data))
        short = data.get("current_collection_in_progress") or data.get("scanned_collection") or ""
        return Message("notes", None, None, None, (f"{type} {short}".strip(), "", "", data)) if sink else None

    return Told(names, [*names, "s.signals"], tell, **more), heard


def order(batches: Any) -> list[str]:
    return [each[0] if isinstance(each[0], str) and len(each) == 4 else f"{each[0]}{each[2].decode()}"
            for each in said(batches)]


def test_the_end_of_a_table_is_told_before_its_last_row() -> None:
    made, heard = told("s.a", "s.b", "s.c")
    batches = drain(snapshot(read("a", b"1", b"2"), read("b", b"1"), read("c"), told=made))
    assert order(batches) == [
        "STARTED", "IN_PROGRESS s.a", "a1", "TABLE_SCAN_COMPLETED s.a", "IN_PROGRESS s.b", "a2",
        "TABLE_SCAN_COMPLETED s.b", "IN_PROGRESS s.c", "TABLE_SCAN_COMPLETED s.c", "b1"]
    assert dict(heard)["TABLE_SCAN_COMPLETED"] == {
        "scanned_collection": "s.c", "total_rows_scanned": "0", "status": "SUCCEEDED",
        "data_collections": "s.a,s.b,s.c,s.signals"}
    assert heard[1][1] == {"data_collections": "s.a,s.b,s.c", "current_collection_in_progress": "s.a"}
    assert heard[2][1]["total_rows_scanned"] == "2"


def test_tables_without_rows_are_told_of_one_by_one() -> None:
    made, heard = told("s.x", "s.y", "s.a", sink=False)
    assert said(drain(snapshot(2, read("a", b"1"), told=made))) == [("a", "last", b"1")]
    assert [type for type, _ in heard] == ["STARTED", *["IN_PROGRESS", "TABLE_SCAN_COMPLETED"] * 3]


@pytest.mark.parametrize("rows", [(b"1",), ()])
def test_schema_changes_come_after_the_start(rows: tuple[bytes, ...]) -> None:
    made, _ = told("s.a")
    found = said(drain(snapshot(read("a", *rows), messages=[message("create")], told=made)))
    assert found[0][0] == "STARTED"
    assert found[1] == "create"
    assert [each[0] for each in found[2:4]] == ["IN_PROGRESS s.a", "TABLE_SCAN_COMPLETED s.a"][:len(found) - 2]


def test_the_status_follows() -> None:
    made, heard = told("s.a", "s.b", estimates={"s.b": 7})
    assert [each.state for each in made.status().tables] == ["waiting", "waiting"]
    list(made.row(3))
    assert made.status().tables == (TableCopy("s.a", "running", 3), TableCopy("s.b", "waiting", 0, 7))
    list(made.table_ends())
    assert made.status().tables == (TableCopy("s.a", "done", 3), TableCopy("s.b", "waiting", 0, 7))
    assert (made.status().kind, made.status().state) == ("initial", "running")
    list(made.table_ends())
    list(made.completed())
    assert list(made.aborted()) == []
    assert made.status().state == "completed"
    assert [type for type, _ in heard][-1] == "COMPLETED"


def test_an_end_before_that_is_told() -> None:
    made, heard = told("s.a")
    list(made.row(1))
    assert [each.value[0] for each in made.aborted()] == ["ABORTED"]
    assert heard[-1] == ("ABORTED", {})
    assert made.status().state == "stopped"
    assert made.status().tables == (TableCopy("s.a", "stopped", 1),)
    assert list(made.aborted()) == []


def test_parts_of_a_table_are_told_of_whatever_its_ranges_are() -> None:
    made, heard = told("s.a", "s.b", parts=True)
    for steps in (made.unit_begins(2), made.row(3), made.unit_ends(Fraction(1, 3)), made.unit_begins(2), made.row(4),
                  made.unit_ends(Fraction(2, 3)), made.unit_begins(2), made.unit_ends(Fraction(1)), made.table_ends(),
                  made.without_rows(1)):
        list(steps)
    assert [(type, data.get("chunk_index"), data.get("total_chunks")) for type, data in heard] == [
        ("IN_PROGRESS", None, None), ("TABLE_CHUNK_IN_PROGRESS", "0", "2"), ("TABLE_CHUNK_COMPLETED", "0", "2"),
        ("TABLE_CHUNK_IN_PROGRESS", "1", "2"), ("TABLE_CHUNK_COMPLETED", "1", "2"),
        ("TABLE_SCAN_COMPLETED", None, None),
        ("IN_PROGRESS", None, None), ("TABLE_CHUNK_IN_PROGRESS", "0", "1"), ("TABLE_CHUNK_COMPLETED", "0", "1"),
        ("TABLE_SCAN_COMPLETED", None, None)]
    assert heard[3][1] == {"current_collection_in_progress": "s.a", "chunk_index": "1", "total_chunks": "2",
                           "total_rows_scanned": "7"}
    assert heard[4][1] == {"scanned_collection": "s.a", "data_collections": "s.a,s.b,s.signals", "chunk_index": "1",
                           "total_chunks": "2", "status": "SUCCEEDED"}


def test_a_table_that_the_server_refuses_to_read_is_told_of_before_the_end() -> None:
    made, heard = told("s.a", "s.b")
    list(made.row(1))
    list(made.failed())
    assert heard[-2:] == [("TABLE_SCAN_COMPLETED", {"scanned_collection": "s.a", "status": "SQL_EXCEPTION"}),
                          ("ABORTED", {})]
    assert [each.state for each in made.status().tables] == ["SQL_EXCEPTION", "stopped"]
    assert made.status().state == "stopped"
