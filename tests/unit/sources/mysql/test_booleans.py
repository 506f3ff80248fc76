"""`converters`: which there is, what it takes, and what is refused."""

from __future__ import annotations

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.ddl.structure import ColumnDef
from cdc.sources.mysql.options import read_mysql
from tests.unit.sources.mysql.test_options import LEAST

CLASS = "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter"
ID = TableId("d", "", "t")


@pytest.mark.parametrize(("column", "taken"), [
    (ColumnDef("c", "TINYINT", 1), True), (ColumnDef("c", "TINYINT UNSIGNED", 1), True),
    (ColumnDef("c", "TINYINT", 4), False), (ColumnDef("c", "TINYINT"), False), (ColumnDef("c", "INT", 1), False),
    (ColumnDef("c", "TINYINT UNSIGNED ZEROFILL", 1), False), (ColumnDef("c", "BOOL"), False),
])
def test_tinyints_of_length_one_are_taken(column: ColumnDef, taken: bool) -> None:
    converter, = read_mysql({**LEAST, "converters": "b", "b.type": CLASS}).values["boolean_columns"]
    assert converter.takes(ID, column) is taken


def test_a_selector_and_any_length() -> None:
    converter, = read_mysql({**LEAST, "converters": "b", "b.type": CLASS, "b.selector": "d\\.t\\.(x|y),other",
                             "b.length.checker": "False"}).values["boolean_columns"]
    assert converter.takes(ID, ColumnDef("X", "TINYINT"))
    assert not converter.takes(ID, ColumnDef("xx", "TINYINT"))


@pytest.mark.parametrize(("options", "where", "words"), [
    ({"b.type": "com.example.Own"}, "b.type", "not available"), ({}, "b.type", "missing"),
    ({"b.type": CLASS, "b.selector": "("}, "b.selector", ""),
])
def test_what_is_not_there_is_refused(options: dict[str, str], where: str, words: str) -> None:
    problems = read_mysql({**LEAST, "converters": "b", **options}).problems
    assert [problem.option for problem in problems] == [where]
    assert words in problems[0].text


def test_options_that_the_converter_has_not_are_noted() -> None:
    notes = read_mysql({**LEAST, "converters": "b", "b.type": CLASS, "b.selektor": "x"}).notes
    assert [(note.option, note.kind) for note in notes] == [("b.selektor", "unknown")]
