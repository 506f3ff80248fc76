"""ReselectColumnsPostProcessor: which columns of which events are asked for, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc.converters.plan import ColumnFailures
from cdc.converters.views import Views
from cdc.core.errors import ConfigError, SourceConnectionError, SourceRefusedError, SourceStoppedError
from cdc.core.record import Record
from cdc.core.row import NULL, TEXT, Row, row_of
from cdc.core.table import Column, TableSchema
from cdc.transforms.chain import Chain
from cdc.transforms.debezium import reselect
from tests.unit.converters.tables import INT, LEFT_OUT, STR, column, record, row, table
from tests.unit.transforms.worlds import message, problems, steps

ID = column(0, "id", INT)
NOTE = column(1, "note", STR, optional=True, unchanged="?")
SIZE = column(2, "size", STR, optional=True, default="L", unchanged="?")
PLAIN = column(3, "plain", INT, optional=True)
TABLE = table([ID, NOTE, SIZE, PLAIN], [ID])
NAME = "io.debezium.processors.reselect.ReselectColumnsPostProcessor"


class Database:
    """Stands in for a source: gives *answer*, and keeps what was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer if answer is not None else row_of([b"1", b"new", b"XL", b"7"])
        self.asked: list[tuple[tuple[str, ...], bool]] = []

    def reads(self, table: TableSchema) -> bool:
        return True

    def read_row(self, record: Record, columns: Sequence[Column], *, event_key: bool) -> Row | None:
        self.asked.append((tuple(each.name for each in columns), event_key))
        if isinstance(self.answer, Exception):
            raise self.answer
        found: Row | None = self.answer or None
        return found


def chain(database: Any, **options: str) -> Chain:
    config = {"post.processors": "r", "r.type": NAME,
              **{f"r.reselect.{key.replace('_', '.')}": text for key, text in options.items()}}
    made = Chain(steps(config), Views(ColumnFailures("fail")).view)
    made.read_from(database)
    return made


def after(made: Chain, change: Record) -> Any:
    view, = made.apply([change], 0)
    assert not isinstance(view, Record)
    return view.image("after")  # type: ignore[union-attr]


def update(note: Any = LEFT_OUT, size: Any = "L", plain: Any = "1", before: Any = None) -> Record:
    return record("u", TABLE, before, row("1", note, size, plain))


def test_values_that_are_missing_come_from_the_database() -> None:
    database = Database()
    made = chain(database)
    assert after(made, update()) == (1, "new", "L", 1)
    assert after(made, update(None, LEFT_OUT, None)) == (1, "new", "XL", 7)
    assert after(made, update("x", None, "2")) == (1, "x", None, 2), "a null with a default is the default"
    assert database.asked == [(("note",), False), (("note", "size", "plain"), False)]


def test_what_is_missing_can_be_chosen() -> None:
    database = Database()
    for options, names in (
            ({"unavailable_values": "false"}, ("plain",)), ({"null_values": "false"}, ("note", "size")),
            ({"columns_include_list": ".*:NOTE,.*:plain"}, ("note", "plain")),
            ({"columns_exclude_list": ".*:note"}, ("size", "plain")),
            ({"use_event_key": "true", "columns_include_list": ".*:size"}, ("size",))):
        after(chain(database, **options), update(LEFT_OUT, LEFT_OUT, None))
        assert database.asked[-1] == (names, "use_event_key" in options)


def test_the_old_image_goes_before_the_database() -> None:
    database = Database()
    assert after(chain(database), update(before=row("1", "old", "L", "1"))) == (1, "old", "L", 1)
    assert database.asked == []


@pytest.mark.parametrize("change", [
    record("r", TABLE, None, row("1", LEFT_OUT, "L", "1")), record("d", TABLE, row("1", None, None, None), None),
    record("", TABLE, row("1", None, None, None), None),
    record("c", table([ID, NOTE, SIZE, PLAIN], []), None, row("1", None, "L", "1")), message("x")], ids=[
        "read", "delete", "tombstone", "no key", "message"])
def test_other_events_are_left_alone(change: Any) -> None:
    database = Database()
    chain(database).apply([change], 0)
    assert database.asked == []


def test_tables_without_such_columns_stay_on_the_fast_path() -> None:
    made = chain(Database(), columns_include_list=".*:other")
    assert [made.outcome(TABLE, op) is None for op in ("c", "u", "d", "r", "")] == [False] * 5
    made = chain(Database())
    assert [made.outcome(TABLE, op) is None for op in ("c", "u", "d", "r", "")] == [True, True, False, False, False]


def test_failures_leave_the_event_as_it_is_and_are_told_once() -> None:
    with capture_logs() as logs:
        for answer in (False, SourceRefusedError("Denied.")):
            database = Database(answer)
            made = chain(database)
            assert [after(made, update()) for _ in range(3)] == [(1, "?", "L", 1)] * 3
            assert len(database.asked) == 3
    assert [each["reason"] for each in logs] == ["There is no such row any more.", "Denied."]


def test_a_lost_connection_is_not_tried_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(reselect, "time", SimpleNamespace(monotonic=lambda: now[0]))
    database = Database(SourceConnectionError("Away."))
    made = chain(database)
    assert [after(made, update()) for _ in range(3)] == [(1, "?", "L", 1)] * 3
    assert len(database.asked) == 1
    now[0], database.answer = 111.0, row_of([b"1", b"new", b"XL", b"7"])
    assert after(made, update()) == (1, "new", "L", 1)


def test_fail_stops_or_waits_for_the_server() -> None:
    for answer, kind in ((False, SourceRefusedError), (SourceRefusedError("Denied."), SourceRefusedError),
                         (SourceConnectionError("Away."), SourceConnectionError)):
        with pytest.raises(kind, match="Columns of a row cannot be read again"):
            after(chain(Database(answer), error_handling_mode="fail"), update())


def test_an_event_does_not_go_out_without_its_values_because_the_task_stops() -> None:
    with pytest.raises(SourceStoppedError):
        after(chain(Database(SourceStoppedError("Stopped."))), update())


def test_the_key_of_the_record_and_its_headers_stay() -> None:
    old = row("2", "a", "L", "1")
    change = record("c", TABLE, None, row("1", LEFT_OUT, "L", "1"), headers=(("__debezium.oldkey", old),))
    view, = chain(Database()).apply([change], 0)
    assert view.key == (1,)  # type: ignore[union-attr]
    assert [header.value for header in view.headers] == [(2,)]  # type: ignore[union-attr]
    assert change.after is not None
    assert change.after.kind(1) not in (TEXT, NULL), "the source's own record is as it was"


def test_a_source_without_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="PostgreSQL, MySQL and MariaDB only"):
        chain(object())


def test_its_configuration_is_checked() -> None:
    config = {"post.processors": "r", "post.processors.r.type": NAME}
    assert problems(config) == {}
    assert list(problems({**config, "post.processors.r.reselect.error.handling.mode": "ignore"})) == [
        "post.processors.r.reselect.error.handling.mode"]
    assert list(problems({**config, "post.processors.r.reselect.columns.include.list": "("})) == [
        "post.processors.r.reselect.columns.include.list"]
