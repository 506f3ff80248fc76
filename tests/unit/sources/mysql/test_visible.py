"""A row is read again only once others see the change that the log has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.record import Record, SourceContext
from cdc.core.schema import STRUCT, Schema
from cdc.sources.mysql import visible
from cdc.sources.mysql.flavor import MARIADB, MYSQL, Flavor
from cdc.sources.shared import visible as waits
from tests.unit.converters.tables import INT, column, row, table

TABLE = table([column(0, "id", INT)])
UUID = "892c6c9b-ebc0-11f1-96d9-02fc00000001"


class Server:
    """Answers with what it has executed, one answer after the other; the last one stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def query(self, _conn: Any, text: str) -> Any:
        self.asked.append(text)
        if "gtid_executed" in text:
            return ((self._next(),),)
        return ()

    def place(self, _conn: Any) -> tuple[str, int]:
        place: tuple[str, int] = self._next()
        return place

    def _next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def waiting(server: Server, monkeypatch: pytest.MonkeyPatch, flavor: Flavor = MYSQL) -> visible.Visible:
    monkeypatch.setattr(visible, "query", server.query)
    monkeypatch.setattr(visible, "snapshot_place", server.place)
    monkeypatch.setattr(waits, "_PAUSE_S", 0)
    return visible.Visible(SimpleNamespace(facts=SimpleNamespace(flavor=flavor)))  # type: ignore[arg-type]


def change(gtid: str | None, pos: int = 50, file: str = "b.000002") -> Record:
    block = SourceContext(Schema(STRUCT), (*[None] * 11, gtid, file, pos), ())
    return Record("u", TABLE, None, row("1"), row("1"), block, ())


def test_with_gtids_it_waits_until_the_server_has_executed_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(f"{UUID}:1-4", f"{UUID}:1-4", f"{UUID}:1-7")
    made = waiting(server, monkeypatch)
    made.wait(None, change(f"{UUID}:5"), lambda: False)  # type: ignore[arg-type]
    assert len(server.asked) == 3
    made.wait(None, change(f"{UUID}:7"), lambda: False)  # type: ignore[arg-type]
    assert len(server.asked) == 3, "that is known"
    made.forget()
    made.wait(None, change(f"{UUID}:7"), lambda: False)  # type: ignore[arg-type]
    assert len(server.asked) == 4, "the next connection may see less"


def test_mariadb_is_asked_where_a_snapshot_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(("b.000002", 50), ("b.000002", 51))
    made = waiting(server, monkeypatch, MARIADB)
    made.wait(None, change("0-1-9"), lambda: False)  # type: ignore[arg-type]
    assert server.asked == ["START TRANSACTION WITH CONSISTENT SNAPSHOT", "COMMIT"] * 2


@pytest.mark.parametrize("stopped", [False, True])
def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, stopped: bool) -> None:
    monkeypatch.setattr(waits, "_PATIENCE_S", 60 if stopped else 0)
    made = waiting(Server(f"{UUID}:1-4"), monkeypatch)
    with pytest.raises(waits.NotVisibleError, match="do not see yet"):
        made.wait(None, change(f"{UUID}:5"), lambda: stopped)  # type: ignore[arg-type]


def test_mysql_without_gtids_tells_nothing_and_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("")
    waiting(server, monkeypatch).wait(None, change(None), lambda: False)  # type: ignore[arg-type]
    assert server.asked == []
