"""The shop's people in a database that is there already: where they go, and that an outage does not end them."""

from __future__ import annotations

import threading

import click
import psycopg
import pymysql
import pytest

from cdc.demo import binlog, postgres, workload
from cdc.demo.workload import Database, Pace


@pytest.mark.parametrize(("url", "wanted", "dialect"), [
    ("postgresql://u:p%20w@h:6", {"host": "h", "port": 6, "user": "u", "password": "p w", "dbname": "shop"},
     postgres.DIALECT),
    ("postgresql://u@h", {"host": "h", "port": 5432, "user": "u", "password": "", "dbname": "shop"}, postgres.DIALECT),
    ("mysql://u:p@h", {"host": "h", "port": 3306, "user": "u", "password": "p", "charset": "utf8mb4"}, binlog.DIALECT),
    ("mariadb://u:p@h:7", {"host": "h", "port": 7, "user": "u", "password": "p", "charset": "utf8mb4"}, binlog.DIALECT),
])
def test_a_url_names_a_database(url: str, wanted: dict[str, object], dialect: object,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, object]] = []
    for driver in (psycopg, pymysql):
        monkeypatch.setattr(driver, "connect", lambda **options: made.append(options))
    found = workload.database(url)
    found.connect()
    assert made == [wanted | {"connect_timeout": 10}]
    assert found.dialect is dialect


@pytest.mark.parametrize("url", ["", "shop", "oracle://u:p@h", "postgresql://h", "mysql://u:p@"])
def test_what_is_no_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(click.UsageError):
        workload.database(url)


def test_it_waits_for_a_database_that_is_away(capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "_AGAIN_S", 0.0)
    stop, tries = threading.Event(), iter(range(3))

    def connect() -> None:
        if next(tries) == 2:
            stop.set()
        raise ConnectionError("geheim")

    workload.work(Database(connect, ConnectionError, postgres.DIALECT), Pace(1, 0, 60), stop)
    said = capsys.readouterr().err
    assert said.count("ConnectionError") == 3
    assert "geheim" not in said
