"""What PyMySQL is given to log in with, and what a session is told before its first use."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

import pymysql
import pytest

from cdc.core.errors import SourceConnectionError, SourceRefusedError
from cdc.sources.mysql.connection import _Opened, connect, connection_arguments, session_statements
from cdc.sources.mysql.flavor import MARIADB, MYSQL, Flavor
from cdc.sources.mysql.options import MySqlConfig, parse_mysql


def config(password: str) -> MySqlConfig:
    return parse_mysql({"name": "c", "topic.prefix": "p", "database.hostname": "h", "database.user": "u",
                        "database.server.id": "1", "database.password": password})[0]


def sent(password: str) -> Any:
    """The bytes with which PyMySQL makes its answers, whatever the login method."""
    conn: Any = pymysql.Connection(**connection_arguments(config(password)), defer_connect=True)
    return conn.password


@pytest.mark.parametrize("password", ["plain", "s\u00e9cret", "\u043f\u0430\u0440\u043e\u043b\u044c",
                                      "\u5bc6\u7801 \U0001f511", "e\u0301 \ufb01"])
def test_a_password_is_sent_in_utf8_and_not_changed(password: str) -> None:
    assert sent(password) == password.encode()


def test_bytes_that_are_no_text_arrive_as_they_are() -> None:
    assert sent(os.fsdecode(b"s\xe9cret")) == b"s\xe9cret"


def test_a_password_that_is_no_text_is_refused_without_telling_it() -> None:
    with pytest.raises(SourceRefusedError, match="surrogate") as caught:
        connection_arguments(config("secret\ud800"))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "secret" not in str(caught.value)


def test_tls_that_verifies_nothing_loads_no_certificates_and_is_not_required() -> None:
    made: Any = [_Opened(**connection_arguments(config("plain")), defer_connect=True) for _ in range(2)]
    first, other = made
    assert first.ssl, "PyMySQL uses TLS where the server offers it"
    assert not first._ssl_required
    assert first.ctx is other.ctx
    assert (first.ctx.verify_mode, first.ctx.check_hostname) == (ssl.CERT_NONE, False)
    assert first.ctx.cert_store_stats()["x509"] == 0


@pytest.mark.parametrize("flavor", [MYSQL, MARIADB], ids=lambda flavor: flavor.name)
def test_initial_statements_can_change_timeouts_but_no_result(flavor: Flavor) -> None:
    before, initial, results, _ = session_statements(flavor, 1500, ["SET SESSION autocommit = 0"])
    assert initial == "SET SESSION autocommit = 0"
    assert "autocommit = 1" in results
    assert "sql_select_limit" in results
    assert "wait_timeout" not in results
    assert "lock_wait_timeout = 1," in before


def test_the_join_limit_is_set_before_the_switch_that_it_resets() -> None:
    results = session_statements(MYSQL, 0, [])[-2]
    assert results.index("max_join_size") < results.index("sql_big_selects = 1")


@pytest.mark.parametrize("query_timeout", [True, False])
def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for(query_timeout: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given, _ = parse_mysql({
            "name": "c", "topic.prefix": "t", "database.hostname": "127.0.0.1", "database.user": "u",
            "database.port": str(silent.getsockname()[1]), "database.server.id": "1", "connect.timeout.ms": "1000"})
        with pytest.raises(SourceConnectionError, match="timed out"):
            connect(given, query_timeout=query_timeout)
