"""ReselectColumnsPostProcessor on real servers: what it reads again is what the stream has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from cdc import plugins
from cdc.converters.json import JsonConverter
from cdc.converters.plan import ColumnFailures
from cdc.converters.records import RecordConverter
from cdc.converters.simple import SimpleHeaderConverter
from cdc.converters.views import Views
from cdc.core.errors import SourceConnectionError, SourceRefusedError, SourceStoppedError
from cdc.core.record import Record
from cdc.core.row import UNCHANGED, Row, patched
from cdc.core.view import RecordView
from cdc.sources.mysql import connection as mysql_connection
from cdc.sources.postgres import row_again
from cdc.transforms.chain import Chain, read_steps
from tests.conftest import BinlogDatabase, Database
from tests.integration import mysql_source, pg_source
from tests.integration.test_golden_mysql import GOLDEN, statements
from tests.integration.test_golden_postgres import _run as run_script

PLACEHOLDER = "__debezium_unavailable_value"


def chain(source: Any, **options: str) -> Chain:
    """The post-processor over *source*; `_` in an option's name stands for a dot."""
    start = "post.processors.r."
    config = {"post.processors": "r", f"{start}type": "ReselectColumnsPostProcessor",
              **{f"{start}reselect.{key.replace('_', '.')}": text for key, text in options.items()}}
    steps, parsed = read_steps(config, lambda kind, name, option: plugins.find(kind, name, option=option))
    parsed.check("test")
    made = Chain(steps, Views(ColumnFailures("fail")).view)
    made.read_from(source)
    return made


def rows(made: Chain, records: Sequence[Any]) -> list[dict[str, Any]]:
    """The rows `after` behind the chain, by column."""
    found = []
    for view in made.apply(list(records), 0):
        assert isinstance(view, RecordView)
        assert isinstance(view.record, Record)
        names = [column.name for column in view.record.table.columns]
        found.append(dict(zip(names, view.image("after") or (), strict=True)))
    return found


def last_states(records: Sequence[Any]) -> list[Record]:
    """The last change of each row that is still there, as if the log had its new values only."""
    found: dict[Any, Record] = {}
    for record in records:
        if not isinstance(record, Record):
            continue
        assert record.key_row is not None
        key = (record.table.id, *(record.key_row.raw(column.index) for column in record.table.key))
        found.pop(key, None)
        if record.after is not None:
            found[key] = Record("u", record.table, None, record.after, record.after, record.source,
                                record.source_values)
    return list(found.values())


def emptied(record: Record) -> Record:
    """*record* as if the log had its key only."""
    assert record.after is not None
    nothing = Row(b"", record.after.count)
    keys = {column.index for column in record.table.key}
    others = [index for index in range(record.after.count) if index not in keys]
    for index in others:
        nothing.put(index, UNCHANGED, 0, 0)
    row = patched(record.after, nothing, others)
    return Record("u", record.table, None, row, row, record.source, record.source_values)


def as_json(records: Sequence[Any]) -> list[bytes | None]:
    key, value = JsonConverter(), JsonConverter()
    key.configure({}, True)
    value.configure({}, False)
    made = RecordConverter(key, value, SimpleHeaderConverter(), ColumnFailures("fail"))
    return [each.value for each in made.convert(records, 0)]


@pytest.mark.parametrize("binary", ["false", "true"])
def test_every_postgresql_type_is_read_again_as_the_stream_has_it(database: Database, binary: str) -> None:
    if not database.server.has_extension("hstore"):
        pytest.skip("the script needs contrib's extensions")
    setup, data = (GOLDEN / "postgres-types.sql").read_text(encoding="utf-8").split("-- data\n")
    with database.connect() as conn:
        run_script(conn, setup)
        conn.execute(b"CREATE PUBLICATION pub FOR ALL TABLES")
    given = {"cdc.binary": binary, "cdc.debezium.faults": "true", "cdc.name.columns": "value"}
    with pg_source.running(database, given) as reading:
        with database.connect() as conn:
            run_script(conn, data)
        wanted = last_states(reading.to_mark(database))
        assert reading.source._lookup.binary is (binary == "true")
        assert len(wanted) > 10
        assert as_json(chain(reading.source).apply([*map(emptied, wanted)], 0)) == as_json(wanted)


def test_every_mysql_type_is_read_again_as_the_stream_has_it(binlog_database: BinlogDatabase) -> None:
    setup, data = (GOLDEN / "mysql-types.sql").read_text(encoding="utf-8").split("-- data\n")
    with mysql_source.running(binlog_database, {"cdc.uniform.values": "true"}) as reading:
        with binlog_database.connect() as conn, conn.cursor() as cursor:
            for statement in statements(setup.partition("USE inv;")[2] + data):
                cursor.execute(statement)
        wanted = last_states(reading.records(27))
        assert len(wanted) > 10
        assert as_json(chain(reading.source).apply([*map(emptied, wanted)], 0)) == as_json(wanted)


# -- PostgreSQL --------------------------------------------------------------------------------------------------------

ODD = '"T ""1%s"'
TABLE = f"""\
CREATE TABLE {ODD} ("I""d" int PRIMARY KEY, n int, "b %s" text, note text DEFAULT 'none');
ALTER TABLE {ODD} ALTER "b %s" SET STORAGE EXTERNAL;
CREATE PUBLICATION pub FOR ALL TABLES"""
BIG = "x" * 9000


@pytest.fixture
def toasted(database: Database) -> Iterator[tuple[Database, pg_source.Reading, list[Any]]]:
    """An update that leaves out the big value, and nulls."""
    database.execute(TABLE)
    with pg_source.running(database) as reading:
        database.execute(f"INSERT INTO {ODD} VALUES (1, 1, '{BIG}', NULL)")
        database.execute(f"UPDATE {ODD} SET n = 2")
        records = reading.to_mark(database)
        assert pg_source.cells(records[1]) == {'I"d': 1, "n": 2, "b %s": "unchanged", "note": None}
        yield database, reading, records


Toasted = tuple[Database, pg_source.Reading, list[Any]]


def test_what_the_log_left_out_is_read_again(toasted: Toasted) -> None:
    database, reading, records = toasted
    whole = {'I"d': 1, "n": 2, "b %s": BIG, "note": None}
    assert rows(chain(reading.source), records) == [{**whole, "n": 1}, whole]
    left_out = {**whole, "b %s": PLACEHOLDER}
    listed = chain(reading.source, columns_include_list=r'public\.T "1%s:N')
    assert rows(listed, records)[1] == left_out
    assert rows(chain(reading.source, columns_exclude_list=".*:b .*"), records)[1] == left_out
    assert rows(chain(reading.source, unavailable_values="false"), records)[1] == left_out
    database.execute(f"UPDATE {ODD} SET n = NULL")
    nulled = reading.to_mark(database)
    database.execute(f"UPDATE {ODD} SET n = 7")
    assert rows(chain(reading.source), nulled) == [{**whole, "n": 7}]
    assert rows(chain(reading.source, null_values="false"), nulled) == [{**whole, "n": None}]


def test_a_table_is_found_under_its_new_name_and_is_not_mistaken_for_another(toasted: Toasted) -> None:
    database, reading, records = toasted
    made = chain(reading.source)
    assert rows(made, records)[1]["b %s"] == BIG
    database.execute(f"ALTER TABLE {ODD} RENAME TO older")
    assert rows(made, records)[1]["b %s"] == BIG
    database.execute(f"ALTER TABLE older RENAME TO old; CREATE TABLE {ODD} (LIKE old INCLUDING ALL)")
    database.execute(f"INSERT INTO {ODD} VALUES (1, 1, 'wrong', NULL)")
    assert rows(made, records)[1]["b %s"] == BIG
    database.execute("ALTER TABLE old ALTER n TYPE text")
    assert rows(made, records)[1]["b %s"] == BIG, "the column itself is as it was"
    database.execute('ALTER TABLE old ALTER "b %s" TYPE bytea USING \'wrong\'::bytea')
    with capture_logs() as logs:
        assert rows(made, records)[1]["b %s"] == PLACEHOLDER
    assert [each["reason"] for each in logs if each["event"] == "columns_not_read_again"] == [
        "The column has another type now."]


def test_a_row_that_is_gone_is_a_warning_or_an_error(toasted: Toasted) -> None:
    database, reading, records = toasted
    database.execute(f"DELETE FROM {ODD}")
    with capture_logs() as logs:
        made = chain(reading.source)
        assert [row["b %s"] for row in rows(made, [records[1], records[1]])] == [PLACEHOLDER, PLACEHOLDER]
    warned, = (each for each in logs if each["event"] == "columns_not_read_again")
    assert (warned["log_level"], warned["reason"]) == ("warning", "There is no such row any more.")
    with pytest.raises(SourceRefusedError, match="There is no such row any more") as caught:
        rows(chain(reading.source, error_handling_mode="FAIL"), records)
    assert "reselect.error.handling.mode=warn" in caught.value.hint


def test_a_locked_table_holds_up_nothing_for_long(toasted: Toasted, monkeypatch: pytest.MonkeyPatch) -> None:
    database, reading, records = toasted
    monkeypatch.setattr(row_again, "_WAIT", "SET lock_timeout = '20ms'")
    with database.connect(autocommit=False) as other:
        other.execute(f"LOCK TABLE {ODD} IN ACCESS EXCLUSIVE MODE".encode())
        with pytest.raises(SourceConnectionError, match="lock timeout"):  # the task tries again
            rows(chain(reading.source, error_handling_mode="fail"), records)
        made = chain(reading.source)
        assert [row["b %s"] for row in rows(made, [records[1]] * 2)] == [PLACEHOLDER] * 2
    assert rows(made, records)[1]["b %s"] == PLACEHOLDER, "it is not asked again at once"
    assert rows(chain(reading.source), records)[1]["b %s"] == BIG


def test_a_task_that_stops_sends_no_event_without_its_values(toasted: Toasted) -> None:
    _database, reading, records = toasted
    made = chain(reading.source)
    assert rows(made, records)[1]["b %s"] == BIG
    reading.source.interrupt()
    with pytest.raises(SourceStoppedError):
        rows(made, records)


def test_a_lost_connection_is_replaced(toasted: Toasted) -> None:
    database, reading, records = toasted
    made = chain(reading.source)
    assert rows(made, records)[1]["b %s"] == BIG
    conn = reading.source._again._own.conn
    assert conn is not None
    database.execute(f"SELECT pg_terminate_backend({conn.info.backend_pid})")
    assert rows(made, records)[1]["b %s"] == BIG


def test_the_key_of_the_event_finds_rows_of_a_table_without_key(database: Database) -> None:
    database.execute("CREATE TABLE t (a int, b text, c text); ALTER TABLE t ALTER c SET STORAGE EXTERNAL;"
                     "ALTER TABLE t REPLICA IDENTITY FULL; CREATE PUBLICATION pub FOR ALL TABLES")
    with pg_source.running(database, {"message.key.columns": "public.t:a,b"}) as reading:
        database.execute("INSERT INTO t VALUES (1, 'x', NULL), (1, 'y', NULL), (2, NULL, NULL), (3, 'z', NULL)")
        database.execute("UPDATE t SET c = a || b WHERE b IS NOT NULL; UPDATE t SET c = 'null' WHERE b IS NULL")
        database.execute("INSERT INTO t SELECT * FROM t WHERE a = 3")
        inserted = reading.to_mark(database)[:4]
        by_key = chain(reading.source, use_event_key="true")
        assert [row["c"] for row in rows(by_key, inserted[:3])] == ["1x", "1y", "null"]
        with pytest.raises(SourceRefusedError, match="Several rows have the key"):
            rows(chain(reading.source, use_event_key="true", error_handling_mode="fail"), inserted)
        with pytest.raises(SourceRefusedError, match="no key of its own"):
            rows(chain(reading.source, error_handling_mode="fail"), inserted)


@pytest.mark.parametrize("postgres", ["postgres15"], indirect=True)
def test_rows_are_found_by_keys_of_an_extensions_type(database: Database) -> None:
    """By its own operators: pg_catalog has none for a ltree, and others for a citext."""
    if not database.server.has_extension("citext"):
        pytest.skip("this build has no contrib")
    database.execute("CREATE SCHEMA x; CREATE EXTENSION citext SCHEMA x; CREATE EXTENSION ltree SCHEMA x;"
                     "CREATE TABLE t (c x.citext, l x.ltree, tx text, PRIMARY KEY (c, l));"
                     "CREATE PUBLICATION pub FOR ALL TABLES")
    with pg_source.running(database) as reading:
        database.execute("INSERT INTO t VALUES ('Ab', 'a.b', NULL)")
        database.execute("UPDATE t SET tx = 'later', c = 'aB'")
        records = [each for each in reading.to_mark(database) if each.after is not None]
        again = rows(chain(reading.source, error_handling_mode="fail"), records)
        assert [(row["c"], row["tx"]) for row in again] == [("Ab", "later"), ("aB", "later")]


@pytest.mark.parametrize("via_root", ["false", "true"])
def test_rows_of_partitions_are_found(database: Database, via_root: str) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, n text) PARTITION BY RANGE (id);"
                     "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (10);"
                     f"CREATE PUBLICATION pub FOR TABLE t WITH (publish_via_partition_root = {via_root})")
    with pg_source.running(database) as reading:
        database.execute("INSERT INTO t VALUES (1, NULL)")
        database.execute("UPDATE t SET n = 'later'")
        assert [row["n"] for row in rows(chain(reading.source), reading.to_mark(database))] == ["later", "later"]


# -- MySQL and MariaDB -------------------------------------------------------------------------------------------------


def test_minimal_images_become_whole(binlog_database: BinlogDatabase) -> None:
    name = binlog_database.name
    binlog_database.execute("CREATE TABLE `T ``%s` (id int PRIMARY KEY, v int, tx text, `d %s` decimal(5,2) NOT NULL)")
    with mysql_source.running(binlog_database) as reading:
        with binlog_database.connect() as conn, conn.cursor() as cursor:
            cursor.execute("SET SESSION binlog_row_image = MINIMAL")
            cursor.execute("INSERT INTO `T ``%s` VALUES (1, 2, 'text', 1.5)")
            cursor.execute("UPDATE `T ``%s` SET v = 9")
            cursor.execute("DELETE FROM `T ``%s`")
            cursor.execute("INSERT INTO `T ``%s` VALUES (1, 9, 'text', 2.5)")
        records = reading.records(4)[:2]
        whole = {"id": 1, "v": 9, "tx": "text", "d %s": b"\x00\xfa"}
        assert rows(chain(reading.source), records)[1] == whole
        assert rows(chain(reading.source, columns_include_list=rf"{name}\.t `%s:tx"), records)[1] == {
            **whole, "d %s": None}
        assert rows(chain(reading.source, columns_exclude_list=".*"), records)[1]["tx"] == PLACEHOLDER
        helper = reading.source._again._own.conn
        assert helper is not None
        mysql_connection.interrupt(helper)
        assert rows(chain(reading.source, error_handling_mode="fail"), records)[1] == whole, "on a new connection"
        binlog_database.execute("ALTER TABLE `T ``%s` MODIFY `d %s` varchar(9)")
        binlog_database.execute("UPDATE `T ``%s` SET `d %s` = 'many'")
        assert rows(chain(reading.source), records)[1]["tx"] == PLACEHOLDER, "decimals are not made of texts"
        with pytest.raises(SourceRefusedError, match="does not fit the type"):
            rows(chain(reading.source, error_handling_mode="fail"), records)
        reading.source.interrupt()
        with pytest.raises(SourceStoppedError):
            rows(chain(reading.source), records)


KEYS: Mapping[str, str] = {
    "bigint unsigned": "18446744073709551615", "tinyint": "-3", "decimal(20,5)": "-12345.00001", "double": "0.1",
    "datetime(6)": "'2024-02-29 12:34:56.789012'", "datetime": "'1000-01-01'",
    "timestamp(3)": "'2024-01-02 03:04:05.6'",
    "date": "'9999-12-31'", "time(3)": "'12:34:56.789'", "year": "1901", "bit(9)": "b'100000001'",
    "varchar(20) character set latin1": "'it''s é'", "char(5)": "'日本'", "varbinary(9)": "x'00ff27'",
    "varchar(9) character set cp932 collate cp932_bin": "x'ed40'",
    "binary(4)": "x'0102'", "enum('a','it''s')": "'it''s'", "set('x','y')": "'x,y'",
}


def test_rows_are_found_by_keys_of_all_types(binlog_database: BinlogDatabase) -> None:
    with binlog_database.connect() as conn, conn.cursor() as cursor:
        for number, kind in enumerate(KEYS):
            cursor.execute(f"CREATE TABLE k{number} (k {kind} PRIMARY KEY, tx text)")
    with mysql_source.running(binlog_database) as reading:
        with binlog_database.connect() as conn, conn.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+05:00'")
            for number, value in enumerate(KEYS.values()):
                cursor.execute(f"INSERT INTO k{number} VALUES ({value}, NULL)")
                cursor.execute(f"UPDATE k{number} SET tx = 'k{number}'")
        records = reading.records(2 * len(KEYS))
        made = chain(reading.source, error_handling_mode="fail")
        assert [row["tx"] for row in rows(made, records)] == [f"k{index // 2}" for index in range(len(records))]
