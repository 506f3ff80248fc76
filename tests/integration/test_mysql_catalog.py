"""The servers are the oracle: statements they logged give the structures they say they have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cdc.core.errors import SourceError, SourceRefusedError
from cdc.core.table import TableId
from cdc.sources.mysql import catalog, connection, server, show_create
from cdc.sources.mysql.ddl import shown
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.structure import ColumnDef, Structures, TableStructure
from cdc.sources.mysql.options import parse_mariadb, parse_mysql
from cdc.sources.mysql.row_probe import RowProbe
from tests.servers.mysql import BinlogServer

SCENARIO = Path(__file__).parent / "scenarios" / "mysql_ddl.txt"
DATABASES = ("d", "other")

SYNONYMS = {
    "INTEGER": "INT", "BOOL": "TINYINT", "BOOLEAN": "TINYINT", "REAL": "DOUBLE", "DOUBLE PRECISION": "DOUBLE",
    "NUMERIC": "DECIMAL", "NCHAR": "CHAR", "NATIONAL VARCHAR": "VARCHAR", "LONG VARBINARY": "MEDIUMBLOB",
    "LONG VARCHAR": "MEDIUMTEXT",
}
"""What the server makes of types that statements may name."""


@pytest.fixture(params=["mysql", "mariadb"], name="binlog")
def binlog_fixture(request: pytest.FixtureRequest) -> BinlogServer:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, BinlogServer)
    return found


@pytest.fixture(name="conn")
def conn_fixture(binlog: BinlogServer) -> Iterator[connection.Connection]:
    parse = parse_mysql if binlog.flavor == "mysql" else parse_mariadb
    config, _ = parse({
        "name": "c", "topic.prefix": "srv", "database.hostname": binlog.host, "database.port": str(binlog.port),
        "database.user": binlog.user, "database.server.id": "4711",
    })
    conn = connection.connect(config)
    yield conn
    connection.close(conn)
    for name in DATABASES:
        binlog.drop_database(name)


def wanted(id: TableId) -> bool:
    return id.catalog in DATABASES


def now(conn: connection.Connection) -> catalog.Catalog:
    return catalog.read_catalog(conn, server.read_facts(conn), wanted)


def logged(cursor: Any, start: tuple[str, int]) -> Iterator[tuple[str, str]]:
    """Default database and text of the statements in the log from *start* on."""
    cursor.execute(f"SHOW BINLOG EVENTS IN '{start[0]}' FROM {start[1]}")
    for row in cursor.fetchall():
        if row[2] == "Query":
            used = re.match(r"use `((?:[^`]|``)*)`; (.*)", row[5], re.DOTALL)
            yield (used[1], used[2]) if used else ("", row[5])


def column_facts(column: ColumnDef, mariadb: bool) -> tuple[Any, ...]:
    """What statement and server must agree on; a default's spelling and a display width they need not."""
    base = SYNONYMS.get(column.base, column.base)
    charset = (column.charset or "").replace("utf8mb3", "utf8")
    if mariadb and base in ("JSON", "LONGTEXT"):  # the one is the other, with a charset of its own
        base, charset = "LONGTEXT", ""
    length = column.length if base in ("VARCHAR", "VARBINARY", "DECIMAL", "BIT", "DATETIME") else None
    return (column.name, base, column.unsigned, column.zerofill, length, charset, column.enum_values, column.nullable,
            column.default is not None, column.auto_increment, column.on_update, column.generated, column.invisible,
            column.comment)


def table_facts(table: TableStructure, mariadb: bool) -> tuple[Any, ...]:
    """Without the table's comment, which CREATE TABLE … LIKE does not copy in Debezium's events."""
    return [column_facts(column, mariadb) for column in table.columns], table.key, table.charset


def all_facts(structures: Structures, mariadb: bool) -> dict[str, Any]:
    return {str(table.id): table_facts(table, mariadb) for table in structures}


def test_statements_in_the_log_give_what_the_server_has(binlog: BinlogServer, conn: connection.Connection) -> None:
    binlog.execute("CREATE DATABASE d CHARACTER SET utf8mb4")
    mariadb = binlog.flavor == "mariadb"
    facts = server.read_facts(conn)
    known = now(conn).structures
    statements = [line.partition(" ")[2] for line in SCENARIO.read_text(encoding="utf-8").splitlines()
                  if line.startswith(">")]
    with binlog.connect("d") as session, session.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        for statement in statements:
            start = binlog.binlog_end()
            cursor.execute(statement)
            for database, text in logged(cursor, start):
                outcome = ddl.apply(text, database, known, catalog.dialect_of(facts))
                assert outcome.reread == (), text
            assert all_facts(known, mariadb) == all_facts(now(conn).structures, mariadb), statement


TABLES = """\
CREATE TABLE types (ti tinyint unsigned, b bit(3) DEFAULT b'101', d decimal(6,3) NOT NULL DEFAULT 1.5, f float(5,2),
  c char(5) CHARACTER SET latin1 DEFAULT 'it''s', e enum('a','b,c','it''s') DEFAULT 'a', y year,
  s set('x','y') NOT NULL DEFAULT 'x,y',
  t timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), bl blob, z int(6) zerofill,
  g point, vb varbinary(7), n int DEFAULT NULL COMMENT 'a ''quoted'' word', j json)
CREATE TABLE keys_ (a int NOT NULL, b int, c varchar(9) NOT NULL, UNIQUE KEY nullable (b), UNIQUE KEY good (c, a))
CREATE TABLE gen (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, a int, v int AS (a + 1) VIRTUAL,
  s int AS (a + 2) STORED, h int INVISIBLE) COMMENT = 'all of it' CHARACTER SET latin1
CREATE TABLE `odd ``name``.x` (`a``b` int, `ü` text, PRIMARY KEY (`a``b`)) PARTITION BY HASH (`a``b`) PARTITIONS 2"""


def test_information_schema_says_the_same(binlog: BinlogServer, conn: connection.Connection) -> None:
    binlog.create_database("d")
    for statement in re.split(r"\n(?=CREATE)", TABLES):
        binlog.execute(statement, "d")
    found = now(conn)
    dialect = catalog.dialect_of(server.read_facts(conn))
    assert len(found.structures) == 4
    for table in found.structures:
        again = catalog.read_information_schema(conn, table.id, found.structures, dialect)
        assert [column_facts(column, False) for column in again.columns] == [
            column_facts(column, False) for column in table.columns]
        assert [column.default for column in again.columns] == [column.default for column in table.columns]
        assert (again.key, again.charset, again.comment) == (table.key, table.charset, table.comment)
        assert {key.name for key in again.unique_keys} == {key.name for key in table.unique_keys}


def test_what_the_server_prints_is_read_by_lines(binlog: BinlogServer, conn: connection.Connection,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    binlog.create_database("d")
    for statement in re.split(r"\n(?=CREATE)", TABLES):
        binlog.execute(statement, "d")
    whole: list[str] = []

    def noted(text: str, *arguments: Any) -> Any:
        whole.append(text)
        return ddl.read_shown(text, *arguments)

    monkeypatch.setattr(shown, "read_shown", noted)
    facts = server.read_facts(conn)
    found = now(conn)
    assert [text.partition("\n")[0] for text in whole] == ["CREATE TABLE `odd ``name``.x` ("]
    for id, text in found.creates.items():
        assert catalog.read_table(conn, facts, id, found.structures) == (found.structures.get(id), text)


@pytest.mark.parametrize("several", [True, False])
def test_many_tables_are_shown_as_each_by_itself(binlog: BinlogServer, conn: connection.Connection, several: bool,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those after one that is not there any more, and where a proxy refuses several statements."""
    binlog.create_database("d")
    names = ["a", "b`c", "d;e", "f"]
    for name in names:
        binlog.execute(f"CREATE TABLE `{name.replace('`', '``')}` (a int)", "d")
    ids = [TableId("d", "", name) for name in ["gone", *names, "gone", "gone", *names, "gone"]]
    if not several:
        monkeypatch.setattr(show_create, "_several", lambda conn, option: False)
    second = binlog.connect("d")
    try:
        found = list(show_create.show_tables([conn, second], ids, together=3))
        again = list(show_create.show_tables([conn], ids, together=1))
        with pytest.raises(SourceRefusedError, match="syntax"):
            connection.query(conn, "SELECT 1; SELECT 2")
    finally:
        second.close()
    assert [id for id, _ in found] == ids
    assert list(map(_text_or_number, found)) == list(map(_text_or_number, again))
    assert sum(isinstance(answer, bytes) for _, answer in found) == 8


@pytest.mark.parametrize("by_handler", [True, False])
def test_tables_that_are_shown_are_asked_for_rows(binlog: BinlogServer, conn: connection.Connection,
                                                  by_handler: bool) -> None:
    """Only on the connection that sees them, and not those that are gone. Afterwards no table is locked."""
    binlog.create_database("d")
    for name in "abcdefgh":
        binlog.execute(f"CREATE TABLE {name} (a int)", "d")
    binlog.execute("INSERT INTO b VALUES (1)", "d")
    ids = [TableId("d", "", name) for name in ("a", "gone", "b", "c", "d", "e", "f", "g", "h")]
    second = binlog.connect("d")
    try:
        connection.query(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        binlog.execute("INSERT INTO a VALUES (1)", "d")
        probe = RowProbe(ids[:-1], [conn, second], [conn], by_handler=by_handler)
        answers = list(show_create.show_tables([conn, second], ids, together=3, probe=probe))
        if by_handler or binlog.flavor == "mysql":
            for name in "bg":
                binlog.execute(f"ALTER TABLE {name} COMMENT 'new'", "d")
    finally:
        second.close()
    assert [id for id, _ in answers] == ids
    assert {id.table: rows for id, rows in probe.has_rows.items()} == {"a": False, "b": True, "f": False, "g": False}


def _text_or_number(answer: show_create.Answer) -> object:
    return answer[1].context["errno"] if isinstance(answer[1], SourceError) else answer[1]


def test_an_open_question_costs_the_connection(binlog: BinlogServer, conn: connection.Connection) -> None:
    binlog.create_database("d")
    binlog.execute("CREATE TABLE a (a int)", "d")
    answers = show_create.show_tables([conn], [TableId("d", "", "a")] * 4, together=2)
    next(answers)
    answers.close()
    assert not conn.open


def test_only_tables_are_read_in_order_of_name(binlog: BinlogServer, conn: connection.Connection) -> None:
    binlog.create_database("d")
    for statement in ("CREATE TABLE b (a int)", "CREATE TABLE `B` (a int)", "CREATE TABLE a (a int)",
                      "CREATE VIEW v AS SELECT * FROM a"):
        binlog.execute(statement, "d")
    found = now(conn)
    assert [id.table for id in found.creates] == ["B", "a", "b"]
    assert set(found.creates) == {table.id for table in found.structures}
    assert found.creates[TableId("d", "", "a")].startswith("CREATE TABLE `a` (\n")
    assert set(found.row_estimates) == set(found.creates)


def test_databases_have_their_charsets(binlog: BinlogServer, conn: connection.Connection) -> None:
    binlog.execute("CREATE DATABASE d CHARACTER SET latin2 COLLATE latin2_bin")
    found = now(conn)
    assert [(each.charset, each.collation) for each in found.databases if each.name == "d"] == [
        ("latin2", "latin2_bin")]
    assert found.structures.charset_of("d") == "latin2"


def test_what_is_read_again_is_what_there_is_now(binlog: BinlogServer, conn: connection.Connection) -> None:
    binlog.create_database("d")
    binlog.execute("CREATE TABLE a (a int)", "d")
    binlog.execute("CREATE TABLE b (a int)", "d")
    known = now(conn).structures
    binlog.execute("ALTER TABLE a ADD b int", "d")
    binlog.execute("DROP TABLE b", "d")
    a, b = TableId("d", "", "a"), TableId("d", "", "b")
    gone = catalog.reread(conn, server.read_facts(conn), [a, b, TableId("nowhere", "", "x")], known)
    assert gone == [b, TableId("nowhere", "", "x")]
    table = known.get(a)
    assert table is not None
    assert [column.name for column in table.columns] == ["a", "b"]
    assert known.get(b) is None
