"""Statements, logged as such, on names that are not captured: do they change captured tables?"""

from __future__ import annotations

import pytest

from cdc.core.errors import SourceRefusedError
from tests.conftest import BinlogDatabase
from tests.integration.mysql_source import Reading, running
from tests.servers.process import wait_until

SECONDS = 60
TRIGGER = "CREATE TRIGGER {name} AFTER INSERT ON {on} FOR EACH ROW INSERT INTO {to} VALUES (NEW.id, 1)"


@pytest.fixture
def database(binlog_database: BinlogDatabase) -> BinlogDatabase:
    for name in ("here", "plain", "audit", "traced", "noisy"):
        binlog_database.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v int)")
    binlog_database.execute("CREATE VIEW pane AS SELECT id, v AS w FROM here AS a")
    binlog_database.execute("CREATE VIEW second AS SELECT id AS n, w FROM pane WHERE id > 0")
    binlog_database.execute("CREATE VIEW elsewhere AS SELECT * FROM plain")
    binlog_database.execute(TRIGGER.format(name="loud", on="noisy", to="here"))
    binlog_database.execute(TRIGGER.format(name="quiet", on="traced", to="audit"))
    return binlog_database


def as_statement(database: BinlogDatabase, statement: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute(statement)


def options(database: BinlogDatabase) -> dict[str, str]:
    return {"table.include.list": f"{database.name}.here"}


@pytest.mark.parametrize(("statement", "reason"), [
    ("INSERT INTO pane (id, w) VALUES (1, 1)", "pane is a view of {}.here"),
    ("UPDATE second SET w = 3", "second is a view of {}.here"),
    ("INSERT INTO noisy VALUES (1, 1)", "a trigger of {}.noisy names {}.here"),
])
def test_a_change_through_another_name_is_refused(database: BinlogDatabase, statement: str, reason: str) -> None:
    with running(database, options(database)) as reading:
        as_statement(database, statement)
        with pytest.raises(SourceRefusedError) as caught:
            wait_until(lambda: reading.source.poll(0.1) and False, SECONDS, "the error")
    assert reason.replace("{}", database.name) in str(caught.value.context["reason"])


@pytest.mark.parametrize(("statement", "table"), [
    ("INSERT INTO plain VALUES (1, 1)", "plain"), ("INSERT INTO elsewhere VALUES (1, 1)", "elsewhere"),
    ("INSERT INTO traced VALUES (1, 1)", "traced"),
])
def test_a_change_of_other_tables_is_a_warning(database: BinlogDatabase, statement: str, table: str) -> None:
    with running(database, options(database)) as reading:
        as_statement(database, statement)
        as_statement(database, "DELETE FROM plain")
        database.execute("INSERT INTO here VALUES (7, 7)")
        assert [each[2]["id"] for each in reading.changes(1)] == [7]
        assert passed_over(reading) == {f"{database.name}.{table}", f"{database.name}.plain"}


def passed_over(reading: Reading) -> set[str]:
    return {each.about for each in reading.source.warnings.active() if each.kind == "statement_passed_over"}


def test_a_view_that_the_user_may_not_see_is_refused(database: BinlogDatabase) -> None:
    user, password = "cdc_indirect", "pa55-w0rd-of-nobody"
    database.server.create_user(user, password, ("RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
                                                 f"SELECT ON {database.name}.*"))
    try:
        login = {"database.user": user, "database.password": password}
        with running(database, {**options(database), **login}) as reading:
            as_statement(database, "INSERT INTO elsewhere VALUES (1, 1)")
            with pytest.raises(SourceRefusedError) as caught:
                wait_until(lambda: reading.source.poll(0.1) and False, SECONDS, "the error")
        assert "may not see" in str(caught.value.context["reason"])
    finally:
        database.server.drop_user(user)
