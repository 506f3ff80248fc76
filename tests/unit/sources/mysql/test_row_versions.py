"""MariaDB's system-versioned tables: a change of a current row is one event, and former versions are none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cdc.core.record import Record
from cdc.core.table import TableId
from cdc.sources.mysql import flavor
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.changes import ChangeReader
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.grammar import MARIADB
from cdc.sources.mysql.ddl.structure import Structures, TableStructure, dump, load
from cdc.sources.mysql.ddl.tokens import Dialect
from cdc.sources.mysql.row_versions import period_of
from tests.unit.sources.mysql.made_log import MadeLog
from tests.unit.sources.mysql.test_changes import fed, reader_of

INT = (const.MYSQL_TYPE_LONG, b"")
TIME = (const.MYSQL_TYPE_TIMESTAMP2, b"\6")
NUMBER = (const.MYSQL_TYPE_LONGLONG, b"")
FOR_EVER, FOR_EVER_SINCE_11_5 = b"\x7f\xff\xff\xff\x0f\x42\x3f", b"\xff\xff\xff\xff\x0f\x42\x3f"
EXPLICIT = ("CREATE TABLE t (id int, bal int, s timestamp(6) GENERATED ALWAYS AS ROW START, e timestamp(6) GENERATED"
            " ALWAYS AS ROW END, PRIMARY KEY (id), PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING")
FORMS = {
    "implicit": ("CREATE TABLE t (id int PRIMARY KEY, bal int) WITH SYSTEM VERSIONING", TIME, FOR_EVER),
    "since 11.5": ("CREATE TABLE t (id int PRIMARY KEY, bal int) WITH SYSTEM VERSIONING", TIME, FOR_EVER_SINCE_11_5),
    "by a column": ("CREATE TABLE t (id int PRIMARY KEY, bal int WITH SYSTEM VERSIONING)", TIME, FOR_EVER),
    "explicit": (EXPLICIT, TIME, FOR_EVER),
    "transactions": (EXPLICIT.replace("timestamp(6)", "bigint unsigned"), NUMBER, b"\xff" * 8),
}
ROWS = (const.WRITE_ROWS_EVENT_V1, const.UPDATE_ROWS_EVENT_V1, const.DELETE_ROWS_EVENT_V1)


def int_(number: int) -> bytes:
    return number.to_bytes(4, "little")


class Versions:
    """The log of one table, whose rows are (id, bal, time of the start, time of the end or None)."""

    def __init__(self, form: str) -> None:
        self.statement, self.type, self.endless = FORMS[form]
        self.log = MadeLog()

    def rows(self, *changes: tuple[str, Sequence[tuple[int, int, int, int | None]]]) -> None:
        self.log.rows("t", (INT, INT, self.type, self.type), *(
            (op, [(int_(id), int_(bal), self.time(start), self.time(end)) for id, bal, start, end in rows])
            for op, rows in changes))

    def time(self, at: int | None) -> bytes:
        return self.endless if at is None else at.to_bytes(len(self.endless), "big")


def seen(reader: ChangeReader, events: list[bytes]) -> list[tuple[str, list[tuple[int, int] | None]]]:
    """Op, before and after of each."""
    return [(op, [row and (int.from_bytes(row[0], "little"), int.from_bytes(row[1], "little")) for row in rows])
            for op, _, rows in fed(reader, events)]


@pytest.mark.parametrize("form", list(FORMS))
def test_each_statement_gives_its_own_event_alone(form: str) -> None:
    made = Versions(form)
    made.log.statement(made.statement)
    made.rows(("c", [(1, 10, 1, None), (3, 30, 1, None), (4, 40, 1, None)]))
    made.rows(("u", [(4, 40, 1, None), (4, 41, 2, None)]), ("c", [(4, 40, 1, 2)]))
    made.rows(("u", [(3, 30, 1, None), (3, 30, 1, 3)]))  # DELETE
    made.rows(("u", [(4, 41, 2, None), (5, 41, 4, None)]), ("c", [(4, 41, 2, 4)]))
    made.rows(("c", [(1, 10, 1, 5)]), ("u", [(1, 10, 1, None), (1, 14, 5, None)]))
    made.rows(("d", [(5, 41, 4, None)]))  # DELETE under transactions' periods
    made.rows(("d", [(4, 40, 1, 2), (3, 30, 1, 3)]))  # DELETE HISTORY
    assert seen(reader_of("mariadb"), made.log.take()) == [
        ("c", [None, (1, 10)]), ("c", [None, (3, 30)]), ("c", [None, (4, 40)]),
        ("u", [(4, 40), (4, 41)]), ("d", [(3, 30), None]),
        ("d", [(4, 41), None]), ("c", [None, (5, 41)]),
        ("u", [(1, 10), (1, 14)]), ("d", [(5, 41), None]),
    ]


def test_versioning_that_begins_and_ends_in_the_stream() -> None:
    made, reader = Versions("implicit"), reader_of("mariadb")
    made.log.statement("CREATE TABLE t (id int PRIMARY KEY, bal int)")
    made.log.rows("t", (INT, INT), ("c", [(int_(1), int_(1))]), ("u", [(int_(1), int_(1)), (int_(1), int_(2))]))
    made.log.statement("ALTER TABLE t ADD SYSTEM VERSIONING")
    made.rows(("c", [(1, 2, 1, 2)]), ("u", [(1, 2, 1, None), (1, 2, 1, 2)]))
    made.log.statement("ALTER TABLE t DROP SYSTEM VERSIONING")
    made.log.rows("t", (INT, INT), ("c", [(int_(1), int_(7))]))
    assert [op for op, _ in seen(reader, made.log.take())] == ["c", "u", "d", "c"]
    assert reader.emitter.filtered == 1


def test_images_that_lack_the_period() -> None:
    """binlog_row_image=MINIMAL: the image before has the key, which the server extends by the period's end."""
    made, reader = Versions("implicit"), reader_of("mariadb")
    made.log.statement(made.statement)
    types = (INT, INT, TIME, TIME)
    made.log.rows("t", types, ("c", [(int_(1), FOR_EVER), (int_(2), b"\1" * 7)]), present=(0, 3))
    made.log.rows("t", types, ("u", [(int_(1), FOR_EVER), (int_(1), b"\2" * 7)]), present=(0, 3))
    made.log.rows("t", types, ("u", [(int_(1), b"\1" * 7), (int_(1), b"\2" * 7)]), present=(0, 2))
    for each in made.log.take():
        reader.feed(each)
    assert [record.op for record in reader.emitter.take() if isinstance(record, Record)] == ["c", "d", "u"]


@pytest.mark.parametrize("form", list(FORMS))
def test_a_restart_among_former_versions_repeats_and_skips_nothing(form: str) -> None:
    made = Versions(form)
    made.log.statement(made.statement)
    made.rows(("c", [(1, 1, 1, None), (2, 2, 1, None)]), ("c", [(9, 9, 1, 2), (8, 8, 1, 2), (3, 3, 1, None)]))
    made.rows(("u", [(1, 1, 1, None), (1, 1, 1, 3), (2, 2, 1, None), (2, 5, 3, None)]), ("c", [(2, 2, 1, 3)]))
    events = made.log.take()
    first, whole = reader_of("mariadb"), fed(reader_of("mariadb"), events)
    assert [op for op, _, _ in whole] == ["c", "c", "c", "d", "u"]
    number = delivered = 0
    while number < len(events):
        number, _ = first.run(events, number, 1, 1 << 60)
        delivered += len(first.emitter.take())
        position = first.position()
        again = reader_of("mariadb")
        again.tables.structures.put(structure(made.statement))
        again.resume(position, by_gtid=False)
        rest = [each for each in events[1:] if int.from_bytes(each[13:17], "little") - len(each) >= position.pos]
        assert fed(again, [events[0], *rest]) == whole[delivered:]


def structure(statement: str) -> TableStructure:
    known = Structures()
    ddl.apply(statement, "shop", known, Dialect(MARIADB))
    found = known.get(TableId("shop", "", "t"))
    assert found is not None
    return found


def test_the_period_survives_in_an_offset() -> None:
    known = Structures()
    known.put(structure(EXPLICIT))
    again = load(dump(known)).get(TableId("shop", "", "t"))
    assert again is not None
    assert again.period_end == "e"
    assert period_of(again, flavor.MARIADB) == (3,)


def test_an_offset_of_before_periods_were_kept() -> None:
    known = Structures()
    known.put(structure(EXPLICIT))
    again = load(dump(known).replace('"period_end":"e",', "")).get(TableId("shop", "", "t"))
    assert again is not None
    assert again.period_end is None
    assert period_of(again, flavor.MARIADB) == (3,)


def test_mysql_has_no_row_versions() -> None:
    """There generated columns may be NOT NULL."""
    known = Structures()
    ddl.apply("CREATE TABLE t (id bigint PRIMARY KEY, a bigint AS (id) STORED NOT NULL, b bigint AS (id) NOT NULL)",
              "shop", known)
    found = known.get(TableId("shop", "", "t"))
    assert found is not None
    assert period_of(found, flavor.MYSQL) is None
