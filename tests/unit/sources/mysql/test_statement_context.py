"""What a Query event and a table map say beside the statement's text: sql_mode, character sets, types."""

from __future__ import annotations

import pytest

from cdc.core.table import TableId
from cdc.sources.mysql.binlog import const
from cdc.sources.mysql.binlog.decoder import BinlogDecoder
from cdc.sources.mysql.binlog.events import Query
from cdc.sources.mysql.changes import ChangeReader
from cdc.sources.mysql.ddl import statements as ddl
from cdc.sources.mysql.ddl.grammar import MARIADB
from cdc.sources.mysql.ddl.structure import Structures, TableStructure
from cdc.sources.mysql.ddl.tokens import Dialect
from tests.unit.sources.mysql.made_log import MadeLog
from tests.unit.sources.mysql.test_changes import fed, reader_of

ID = TableId("shop", "", "t")
INT, DECIMAL = (const.MYSQL_TYPE_LONG, b""), (const.MYSQL_TYPE_NEWDECIMAL, b"\x0c\x03")
BYTES, TIME = (const.MYSQL_TYPE_VARCHAR, b"\x08\0"), (const.MYSQL_TYPE_DATETIME2, b"\0")
ORACLE = bytes((const.Q_SQL_MODE_CODE,)) + (0x204).to_bytes(8, "little")
ROW = [b"\1\0\0\0", b"\x80\0\0\1\x01\xf4", b"\2rr", b"\x99\xb2\xe0\0\0"]


def structure(reader: ChangeReader) -> TableStructure:
    found: TableStructure | None = reader.tables.structures.get(ID)
    assert found is not None
    return found


def types(reader: ChangeReader) -> list[tuple[str, int | None, int | None]]:
    return [(each.type_name, each.length, each.scale) for each in structure(reader).columns]


@pytest.mark.parametrize("statements", [
    ["CREATE TABLE t (id INT PRIMARY KEY, n NUMBER(12,3), a RAW(8), d DATE)"],
    ['CREATE TABLE "t" (id INT PRIMARY KEY)', 'ALTER TABLE "t" ADD (n NUMBER(12,3), a RAW(8), d DATE)'],
    ["CREATE TABLE t (id INT PRIMARY KEY, n INT, x INT, y INT)",
     "ALTER TABLE t MODIFY t.n NUMBER(12,3), CHANGE t.x a RAW(8), CHANGE y d DATE"],
])
def test_rows_of_tables_made_under_sql_mode_oracle(statements: list[str]) -> None:
    reader, made = reader_of("mariadb"), MadeLog()
    for each in statements:
        made.statement(each, status=ORACLE)
    made.rows("t", (INT, DECIMAL, BYTES, TIME), ("c", [ROW]))
    assert [op for op, *_ in fed(reader, made.take())] == ["c"]
    assert types(reader) == [("INT", None, None), ("DECIMAL", 12, 3), ("VARBINARY", 8, None), ("DATETIME", None, None)]
    assert [column.name for column in structure(reader).columns] == ["id", "n", "a", "d"]


def test_a_type_that_is_not_known_is_read_from_the_server() -> None:
    reader, made = reader_of("mariadb"), MadeLog()
    fresh = ddl.read_create("CREATE TABLE t (id INT PRIMARY KEY, n decimal(12,3))", "shop", Structures(),
                            Dialect(MARIADB))
    reader.tables.reread = lambda ids, patient=True: {ID: fresh}
    made.statement("CREATE TABLE t (id INT PRIMARY KEY, n SPARKLE(12))")
    made.rows("t", (INT, DECIMAL), ("c", [ROW[:2]]))
    assert [op for op, *_ in fed(reader, made.take())] == ["c"]
    assert structure(reader) == fresh


@pytest.mark.parametrize("now", [None, "CREATE TABLE t (id INT PRIMARY KEY, n SPARKLE(9), v INT)",
                                 "CREATE TABLE t (id INT PRIMARY KEY, n SPARKLE(9))"])
def test_a_type_that_is_not_known_is_what_the_log_says(now: str | None) -> None:
    """Where the table of today does not help."""
    reader, made = reader_of("mariadb"), MadeLog()
    found = {} if now is None else {ID: ddl.read_create(now, "shop", Structures(), Dialect(MARIADB))}
    reader.tables.reread = lambda ids, patient=True: found
    made.statement("CREATE TABLE t (id INT PRIMARY KEY, n SPARKLE(12))")
    made.rows("t", (INT, DECIMAL), ("c", [ROW[:2]]))
    assert [op for op, *_ in fed(reader, made.take())] == ["c"]
    assert types(reader) == [("INT", None, None), ("DECIMAL", 12, 3)]


def test_a_type_that_nobody_knows_leaves_the_others() -> None:
    reader, made = reader_of("mariadb"), MadeLog()
    made.statement("CREATE TABLE t (id INT PRIMARY KEY, n SPARKLE(12))")
    made.rows("t", (INT, BYTES), ("c", [[ROW[0], ROW[2]]]))
    assert [op for op, *_ in fed(reader, made.take())] == ["c"]
    assert types(reader) == [("INT", None, None), ("SPARKLE", 12, None)]


def test_a_backlog_of_qualified_columns() -> None:
    """The table of today would not fit the first row."""
    reader, made = reader_of("mariadb"), MadeLog()
    big = (const.MYSQL_TYPE_LONGLONG, b"")
    made.statement("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))")
    made.statement("ALTER TABLE t MODIFY COLUMN t.v BIGINT")
    made.rows("t", (INT, big), ("c", [[b"\2\0\0\0", b"\2" + b"\0" * 7]]))
    made.statement("ALTER TABLE shop.t CHANGE COLUMN t.v v2 BIGINT, ADD COLUMN last_ INT")
    made.rows("t", (INT, big, INT), ("c", [[b"d\0\0\0", None, b"\1\0\0\0"]]))
    assert [op for op, *_ in fed(reader, made.take())] == ["c", "c"]
    assert [column.name for column in structure(reader).columns] == ["id", "v2", "last_"]


def test_the_sessions_server_charset_is_in_the_event() -> None:
    made = MadeLog()
    made.query(b"CREATE DATABASE x", status=bytes((const.Q_CHARSET_CODE, 45, 0, 45, 0, 8, 0)))
    made.query(b"CREATE DATABASE y")
    decoder = BinlogDecoder()
    found = [message for message in (decoder.decode(each)[1] for each in made.take()) if isinstance(message, Query)]
    assert [(each.client_collation, each.server_collation) for each in found] == [(45, 8), (None, None)]
