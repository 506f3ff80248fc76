"""A database with many tables, most of them empty: queries, locks and offsets that do not grow with their number.

The tests count, with few tables; `tests/bench/many_tables.py` measures, with 20,000.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cdc.core.record import Record
from cdc.sources.mysql import catalog, connection, grants, snapshot_plan
from cdc.sources.mysql.source import MySqlSource
from cdc.sources.postgres.snapshot import CopyReader
from cdc.stores.parts import Splitter
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source

COUNT = 120


def names(count: int) -> list[str]:
    return [f"t{number:03}" for number in range(count)]


def fill(execute: Callable[[str], Any], count: int) -> None:
    """So many tables; the first, one in the middle and the last have rows."""
    for name in names(count):
        execute(f"CREATE TABLE {name} (id int PRIMARY KEY, name_{name} varchar(20))")
    for name in filled(count):
        execute(f"INSERT INTO {name} VALUES (1, 'x'), (2, 'y')")


def filled(count: int) -> list[str]:
    return [names(count)[place] for place in (0, count // 2, count - 1)]


def tables_of(records: list[Any]) -> list[str]:
    return [each.table.id.table for each in records if isinstance(each, Record)]


def test_postgres_asks_for_a_hundred_tables_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database.execute, COUNT)
    asked: list[object] = []
    ask = CopyReader._ask

    def counted(reader: CopyReader, query: Any) -> Any:
        asked.append(query)
        return ask(reader, query)

    monkeypatch.setattr(CopyReader, "_ask", counted)
    options = {"snapshot.mode": "initial", "publication.name": f"pub_{database.name}"}
    with pg_source.running(database, options) as reading:
        records = reading.until(lambda _: reading.source.state() == "streaming")
        made = len(reading.source._builder._made)
    assert tables_of(records) == [name for name in filled(COUNT) for _ in range(2)]
    assert made == 3
    assert len(asked) <= 5 * 2 + 4 * 3


def test_postgres_holds_no_locks_of_tables_that_it_has_read(database: Database) -> None:
    """The server has room for about 6,400 locks, and 20,000 tables have twice as many with their indexes."""
    fill(database.execute, COUNT)
    options = {"snapshot.mode": "initial", "publication.name": f"pub_{database.name}", "max.batch.size": "1"}
    with pg_source.running(database, options) as reading:
        seen = []
        while reading.source.state() != "streaming":
            if reading.batch():
                seen.append(database.execute(
                    "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND l.database ="
                    " (SELECT oid FROM pg_database WHERE datname = current_database()) WHERE c.relname ~ '^t[0-9]'"))
    assert max(count for (count,), in seen) <= 2


def test_postgres_finds_an_empty_table_that_was_rewritten(database: Database) -> None:
    """To the snapshot's transaction it looks empty, but it was not at our point of the log."""
    fill(database.execute, COUNT)
    options = {"snapshot.mode": "initial", "publication.name": f"pub_{database.name}", "max.batch.size": "1"}
    with pg_source.running(database, options) as reading:
        reading.batch()
        database.execute(f"TRUNCATE {filled(COUNT)[2]}")
        with pytest.raises(Exception, match="rewritten or emptied"):
            reading.until(lambda _: reading.source.state() == "streaming")


def questions(database: BinlogDatabase) -> int:
    return int(database.execute("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])


@pytest.mark.parametrize("captured", ["all", "three"])
def test_mysql_asks_for_many_tables_at_once(binlog_database: BinlogDatabase, captured: str,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    fill(binlog_database.execute, COUNT)
    asked: list[str] = []
    for module in (connection, catalog, grants):
        for name in ("query", "query_bytes"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, _noted(getattr(module, name), asked))
    options = {"snapshot.mode": "initial"}
    if captured == "three":
        options["table.include.list"] = ",".join(f"{binlog_database.name}.{name}" for name in filled(COUNT))
    before = questions(binlog_database)
    source = mysql_source.make_source(binlog_database, options)
    try:
        source.start(None)
        records = drain(source)
    finally:
        source.stop()
    used = questions(binlog_database) - before
    assert tables_of(records) == [name for name in filled(COUNT) for _ in range(2)]
    assert not any("TABLE_ROWS" in statement for statement in asked)
    assert any("LIMIT 0" in statement for statement in asked) == (captured == "three")  # whether it may be read
    assert len(source._builder._made) == 3
    shown = 1 if binlog_database.server.flavor == "mysql" else 4  # MariaDB is asked by HANDLER as well
    assert used < (shown * COUNT if captured == "all" else 0) + 150


def _noted(query: Callable[..., Any], asked: list[str]) -> Callable[..., Any]:
    def run(conn: Any, statement: str, *arguments: Any) -> Any:
        asked.append(statement)
        return query(conn, statement, *arguments)

    return run


def drain(source: MySqlSource) -> list[Any]:
    records: list[Any] = []
    while source.state() != "streaming":
        batch = source.poll(0.5)
        records += batch.records if batch is not None else []
    return records


def copied(database: BinlogDatabase, monkeypatch: pytest.MonkeyPatch, *,
           before_catalog: Callable[[], None] = lambda: None,
           after_catalog: Callable[[], None] = lambda: None) -> tuple[list[str], list[Any]]:
    """What was logged during a first copy, and its records; somebody acts around each reading of the catalog."""
    read = catalog.read_catalog

    def read_beside(*arguments: Any, **named: Any) -> Any:
        before_catalog()
        found = read(*arguments, **named)
        after_catalog()
        return found

    monkeypatch.setattr(catalog, "read_catalog", read_beside)
    logged: list[str] = []
    told = SimpleNamespace(info=lambda event, **_: logged.append(event), warning=lambda event, **_: None)
    monkeypatch.setattr(snapshot_plan, "log", told)
    source = mysql_source.make_source(database, {"snapshot.mode": "initial"})
    try:
        source.start(None)
        return logged, drain(source)
    finally:
        source.stop()


def test_a_structure_changed_while_many_are_read_is_noticed(binlog_database: BinlogDatabase,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of change, in turn: the snapshot begins again until a start without one."""
    fill(binlog_database.execute, COUNT)
    changes = [
        "ALTER TABLE t001 ADD COLUMN extra int", "ALTER TABLE t002 MODIFY name_t002 varchar(30)",
        "ALTER TABLE t003 RENAME COLUMN name_t003 TO other", "ALTER TABLE t004 ADD UNIQUE KEY by_name (name_t004)",
        "ALTER TABLE t005 ALTER COLUMN name_t005 SET DEFAULT 'x'", "ALTER TABLE t006 COMMENT 'new'",
        "DROP TABLE t007", "CREATE TABLE u000 (id int)",
    ]
    expected = len(changes)

    def change() -> None:
        if changes:
            binlog_database.execute(changes.pop(0))

    begun, _ = copied(binlog_database, monkeypatch, after_catalog=change)
    assert begun.count("snapshot_begins_again") == expected


def test_rows_are_found_as_of_the_point_of_the_log(binlog_database: BinlogDatabase,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """Once that is fixed, others fill a table and empty another one."""
    fill(binlog_database.execute, COUNT)
    first, middle, last = filled(COUNT)

    def change() -> None:
        binlog_database.execute(f"DELETE FROM {middle}")
        binlog_database.execute("INSERT INTO t001 VALUES (1, 'x')")

    _, records = copied(binlog_database, monkeypatch, before_catalog=change)
    assert tables_of(records) == [name for name in (first, middle, last) for _ in range(2)]


def test_no_table_is_locked_when_it_is_known_which_have_rows(binlog_database: BinlogDatabase,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    fill(binlog_database.execute, COUNT)
    statements = ["SET SESSION lock_wait_timeout = 1",
                  *(f"ALTER TABLE {name} COMMENT 'new'" for name in ("t001", *filled(COUNT)))]

    def alter() -> None:
        with binlog_database.server.connect(binlog_database.name) as connection, connection.cursor() as cursor:
            while statements:
                cursor.execute(statements.pop(0))

    begun, _ = copied(binlog_database, monkeypatch, after_catalog=alter)
    assert begun.count("snapshot_begins_again") == 1


def test_a_table_that_is_locked_meanwhile_is_read_all_the_same(binlog_database: BinlogDatabase,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Its structure is shown, but not whether it has rows."""
    fill(binlog_database.execute, COUNT)
    other = binlog_database.server.connect(binlog_database.name)

    def lock() -> None:
        other.query(f"LOCK TABLES {filled(COUNT)[1]} WRITE, t007 WRITE")

    def unlock() -> None:
        other.query("UNLOCK TABLES")

    try:
        _, records = copied(binlog_database, monkeypatch, before_catalog=lock, after_catalog=unlock)
    finally:
        other.close()
    assert tables_of(records) == [name for name in filled(COUNT) for _ in range(2)]


def test_rows_that_are_inserted_meanwhile_change_no_structure(binlog_database: BinlogDatabase,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """The CREATE statements, by which few tables are compared, show the counter of AUTO_INCREMENT."""
    binlog_database.execute("CREATE TABLE counted (id int AUTO_INCREMENT PRIMARY KEY, name varchar(20))")
    binlog_database.execute("INSERT INTO counted (name) VALUES ('x')")

    def insert() -> None:
        binlog_database.execute("INSERT INTO counted (name) VALUES ('y')")

    begun, records = copied(binlog_database, monkeypatch, before_catalog=insert)
    assert len(tables_of(records)) == 1  # the other one comes in the stream
    assert "snapshot_begins_again" not in begun


def test_an_offset_of_many_tables_has_a_small_record(binlog_database: BinlogDatabase) -> None:
    for name in names(COUNT):
        binlog_database.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, {columns(name)})")
    with mysql_source.running(binlog_database, {"snapshot.mode": "initial"}) as reading:
        offset = reading.offset
    split = Splitter().split("place", offset)
    assert len(str(split.record)) < 32 << 10
    with mysql_source.running(binlog_database, offset=offset) as reading:
        binlog_database.execute(f"INSERT INTO {names(COUNT)[7]} (id) VALUES (1)")
        assert len(reading.changes(1)) == 1


def columns(table: str) -> str:
    return ", ".join(f"{table}_column_{number} varchar(20) DEFAULT '{table}'" for number in range(30))
