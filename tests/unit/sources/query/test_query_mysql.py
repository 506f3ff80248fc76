"""The query source's connection to MySQL and MariaDB, as far as it needs no server."""

from __future__ import annotations

import socket

import pytest

from cdc.core.errors import SourceConnectionError
from cdc.sources.query import mysql
from cdc.sources.query.database import Login


def test_a_stop_that_comes_before_there_is_a_connection_ends_the_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked would go on for as long as the server takes."""
    def connect(database: mysql.Database) -> None:
        database.cancel()
        database._conn = object()

    monkeypatch.setattr(mysql.Database, "connect", connect)
    with pytest.raises(SourceConnectionError, match="stopped"):
        mysql.Database(Login("h", 1, "d", None, None, {})).select("SELECT 1")


def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql, "_CONNECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = mysql.Database(Login("127.0.0.1", silent.getsockname()[1], "d", None, None, {}))
        with pytest.raises(SourceConnectionError, match="timed out"):
            database.connect()
