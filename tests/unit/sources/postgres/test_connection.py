"""What a session sets before its first query, and connection settings that are no text."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from cdc.core.errors import SourceRefusedError
from cdc.sources.postgres import connection
from cdc.sources.postgres.options import PostgresConfig


@pytest.mark.parametrize(("version", "idle_session", "transaction"), [
    (130000, False, False), (140000, True, False), (160009, True, False), (170000, True, True)])
def test_a_server_is_asked_only_for_settings_that_it_has(version: int, idle_session: bool, transaction: bool) -> None:
    statement = connection._pinned(version)
    assert ("'idle_session_timeout'" in statement, "'transaction_timeout'" in statement) == (idle_session, transaction)
    assert "'quote_all_identifiers', 'off'" in statement


def test_the_users_path_is_kept_before_ours_is_set() -> None:
    statement = connection._pinned(180000)
    assert statement.index("current_setting('search_path')") < statement.index("'pg_catalog, pg_temp'")


def test_nothing_that_pins_depends_on_the_search_path() -> None:
    calls = connection._pinned(180000).replace("pg_catalog.", "")
    assert connection._pinned(180000).count("pg_catalog.set_config(") == calls.count("set_config(")


@pytest.mark.parametrize("place", ["database_password", "database_user"])
def test_a_setting_that_is_no_text_is_refused_without_telling_it(place: str) -> None:
    given: dict[str, Any] = {"topic_prefix": "p", "database_hostname": "127.0.0.1", "database_port": 1,
                             "database_user": "u", "database_dbname": "d", place: "secret\ud800"}
    with pytest.raises(SourceRefusedError, match="surrogate") as caught:
        connection.connect(PostgresConfig(**given))
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)


class Conn:
    """As psycopg's. *fails*: no server can be told. *ends*: it is closed meanwhile."""

    def __init__(self, *, closed: bool = False, fails: bool = False, ends: bool = False) -> None:
        self.closed = closed
        self.limits: list[float] = []
        self._fails = fails
        self._ends = ends

    def cancel_safe(self, *, timeout: float) -> None:
        self.limits.append(timeout)
        self.closed = self.closed or self._ends
        if self._fails:
            raise psycopg.errors.CancellationTimeout("no")


@pytest.mark.parametrize(("conn", "tried", "warned"), [
    (Conn(), True, False), (Conn(closed=True, fails=True), False, False), (Conn(fails=True), True, True),
    (Conn(fails=True, ends=True), True, False)])
def test_a_cancel_that_does_not_reach_the_server_is_warned_about(conn: Any, tried: bool, warned: bool) -> None:
    with capture_logs() as logs:
        connection.interrupt(conn, 7)
        connection.interrupt(None)
    assert conn.limits == ([7] if tried else [])
    assert [(each["event"], each["log_level"]) for each in logs] == ([("cancel_failed", "warning")] if warned else [])
